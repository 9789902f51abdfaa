#!/bin/bash
# Kills commands at each system call that writes, names or removes a file: what they were to replace is the old file or the whole new one.
# usage: SYMOPT=path/to/symopt kill_outputs.sh [kills of a command, at most]; works in a directory of its own
set -u; set +m; exec 2> >(grep -v Killed >&2)
symopt=$(realpath "${SYMOPT:-$(command -v symopt)}"); most=${1:-14}
command -v strace > /dev/null || { echo "kill_outputs: skipped, there is no strace"; exit 0; }
strace -qq -o /dev/null true 2> /dev/null || { echo "kill_outputs: skipped, processes can't be traced here"; exit 0; }
work=$(mktemp -d); trap 'cd /; rm -rf "$work"' EXIT; cd "$work" || exit 1
calls=write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,ftruncate,unlink,unlinkat
echo old > old; failed=0; kills=0; fail() { echo "kill_outputs: $*"; failed=1; }

# attempt FILES COMMAND...: the files that the command writes, apart from the time of day in them.
attempt() {
  local files=$1 n file; shift
  rm -rf whole there; mkdir whole there
  (cd whole && "$symopt" "$@" > /dev/null 2>&1) || fail "$*: exit code $?"
  for ((n = 1; n <= most; n++)); do
    rm -rf there; mkdir there
    for file in $files; do mkdir -p "there/$(dirname "$file")"; echo old > "there/$file"; done
    (cd there && strace -f -qq -o /dev/null -e trace=$calls -e inject=$calls:signal=KILL:when="$n" "$symopt" "$@" > /dev/null 2>&1) && break
    kills=$((kills + 1))
    for file in $files; do
      cmp -s "there/$file" old || cmp -s "there/$file" "whole/$file" || fail "$*, call $n: $file is neither"
    done
    # The next attempt does its work, and removes what the killed one left.
    (cd there && "$symopt" "$@" > /dev/null 2>&1) || fail "$*, call $n: not again: exit code $?"
    for file in $files; do cmp -s "there/$file" "whole/$file" || fail "$*, call $n: $file is another one"; done
    [ -z "$(find there -name '.*' -type f)" ] || fail "$*, call $n: left behind: $(find there -name '.*' -type f)"
  done
}

"$symopt" search --suite smoke --seed 5 --population 32 --held-out 0 --programs 300 --store store > /dev/null 2>&1 || fail "the store"
attempt "lion.py" export lion --to pytorch -o lion.py
attempt "small.opt small.md" simplify lion-raw -o small.opt --derivation small.md
attempt "graph.svg graph.dot" inspect lion-raw --graph graph.svg --graph graph.dot
attempt "curves.csv curves.svg weights" train --task smoke/smoke-linear --program lion --seeds 1 --csv curves.csv --svg curves.svg --save weights
attempt "table.md kept/inputs.json" conformance --no-exports --program lion --markdown table.md --keep kept
attempt "report/report.md report/report.json" report ../store --seeds 1 -o report
[ "$kills" -gt 30 ] || fail "only $kills kills"
[ $failed = 0 ] && echo "kill_outputs: $kills kills, every file old or whole"
exit $failed
