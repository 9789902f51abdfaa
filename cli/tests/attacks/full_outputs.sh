#!/bin/bash
# Commands that write into a directory on a full disk: exit code 1 and a reason with the place, the old file as it was, nothing else left.
# usage: SYMOPT=path/to/symopt full_outputs.sh   (mounts small file systems in memory, which needs root; without, it says so and ends with 0)
set -u
symopt=$(realpath "$(command -v "${SYMOPT:-symopt}")") || exit 1
work=$(mktemp -d)
disk=$work/disk
mkdir "$disk"
trap 'cd /; umount "$disk" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
if ! mount -t tmpfs -o size=64k tmpfs "$disk" 2>/dev/null; then
  echo "full outputs: left out, since nothing can be mounted here"
  exit 0
fi
umount "$disk"

bad=0
complain() {
  echo "BAD: $1"
  bad=$((bad + 1))
}

# attempt NAME WHAT-MAY-BE-LEFT COMMAND...: the disk has room for names and hardly for content.
attempt() {
  local left=$2 code
  mount -t tmpfs -o size=4k tmpfs "$disk" || exit 1
  echo old >"$disk/old.svg"
  (cd "$disk" && timeout 100 "$symopt" "${@:3}" >"$work/out" 2>"$work/err")
  code=$?
  # One page is the old file's, so that every new content finds the disk full.
  [ $code = 1 ] || complain "$1: exit code $code: $(tail -n 1 err | cut -c 1-300)"
  grep -q 'no space left' err || complain "$1: no word of the full disk: $(tail -n 1 err | cut -c 1-300)"
  ! grep -q -e panicked -e 'damaged' err || complain "$1: $(tail -n 1 err | cut -c 1-300)"
  [ "$(cat "$disk/old.svg")" = old ] || complain "$1: the old file is gone"
  local found
  found=$(find "$disk" -mindepth 1 -not -type d -not -name old.svg -printf '%P ')
  [ -z "$found" ] || [[ $found =~ ^($left)\ $ ]] || complain "$1: left behind: $found"
  umount "$disk"
}

"$symopt" search --suite smoke --seed 5 --population 64 --held-out 0 --programs 600 --store reference >/dev/null 2>&1 || complain "the reference"
attempt export "" export lion --to pytorch -o old.svg
attempt "export to a new file" "" export lion --to pytorch -o new.py
attempt simplify "" simplify lion-raw -o old.svg
attempt derivation "" simplify lion-raw -o small.opt --derivation new.md
attempt report "" report ../reference -o report --seeds 2
attempt funnel "" funnel ../reference --through smoke --keep 1 --seeds 2 --tuning-seeds 1 -o funnel
attempt checkpoints "" train --task quick/digits-linear --program lion --seeds 1 --checkpoint kept
attempt curves "" train --task quick/digits-linear --program lion --seeds 1 --csv new.csv --svg old.svg
attempt weights "" train --task quick/digits-linear --program lion --seeds 1 --save old.svg
attempt graph "" inspect lion-raw --graph old.svg
attempt campaign "" search --suite smoke --seed 5 --population 64 --held-out 0 --programs 600 --repeats 2 --restarts 1 --store campaign
attempt rediscovery "protocol.toml" rediscover --seeds 1 -o rediscovery

echo "full outputs: $bad bad"
[ $bad = 0 ]
