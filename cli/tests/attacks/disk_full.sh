#!/bin/bash
# A disk that is full at many sizes: a clear error, exit code 1, nothing acknowledged lost, and the same end once there is room. A full temporary
# directory concerns nobody, and what only reads a store does so on a read-only disk.
# usage: SYMOPT=path/to/symopt disk_full.sh; needs the right to mount; works in a directory of its own
set -u
symopt=$(realpath "${SYMOPT:-$(command -v symopt)}")
work=$(mktemp -d); cd "$work" || exit 1
mkdir disk temporary
trap 'umount "$work/disk" "$work/temporary" 2> /dev/null; cd /; rm -rf "$work"' EXIT
if ! mount -t tmpfs -o size=64k tmpfs temporary 2> /dev/null; then echo "disk_full: skipped, nothing can be mounted here"; exit 0; fi
umount temporary
failed=0; fail() { echo "disk_full: $*"; failed=1; }
plain() { grep -av -e seconds -e '"store"' || true; }
says_full() { [ "$1" = 1 ] && grep -q 'no space is left' "$2" && ! grep -q -e damaged -e panicked "$2"; }
search=(search --suite smoke --seed 5 --population 64 --held-out 0 --programs 12000 --json --store)

"$symopt" "${search[@]}" ref 2> /dev/null | plain > ref.json
for size in 4k 12k 16k 20k 32k 64k 100k 128k; do
  mount -t tmpfs -o size=$size tmpfs disk
  "$symopt" "${search[@]}" disk/s > out.json 2> err; code=$?
  says_full $code err || fail "search, $size: exit code $code: $(head -1 err)"
  if [ -e disk/s ]; then
    "$symopt" resume disk/s --held-out 0 --json > /dev/null 2> err; code=$?
    says_full $code err || fail "resume on the full disk, $size: exit code $code: $(head -1 err)"
  fi
  mount -o remount,size=64m disk
  if [ -e disk/s ]; then
    "$symopt" resume disk/s --held-out 0 --json 2> err | plain > got.json
  else
    "$symopt" "${search[@]}" disk/s 2> err | plain > got.json
  fi
  cmp -s got.json ref.json || fail "$size: the end is another one: $(head -1 err)"
  umount disk
done
mount -t tmpfs -o size=64k tmpfs temporary
dd if=/dev/zero of=temporary/full bs=1k count=64 2> /dev/null
best=$(grep -o '"hash": "[0-9a-f]*"' ref.json | head -1 | cut -d'"' -f4)
for arguments in "resume ref --programs 13000 --held-out 0" "report ref --seeds 1" "inspect ref:${best:-0} --lineage"; do
  # shellcheck disable=SC2086
  TMPDIR=$work/temporary "$symopt" $arguments > out 2> err || fail "full temporary directory: $arguments: $(head -1 err)"
done
[ "$(ls -A temporary)" = full ] || fail "left in the temporary directory: $(ls -A temporary)"
# A store is only read where it can't be written.
mount -t tmpfs -o size=64m tmpfs disk && cp -r ref disk/ref && mount -o remount,ro disk
for arguments in "report disk/ref --seeds 1" "inspect disk/ref:${best:-0}" "inspect disk/ref:${best:-0} --lineage"; do
  # shellcheck disable=SC2086
  "$symopt" $arguments > out 2> err || fail "read-only disk: $arguments: $(head -1 err)"
done
"$symopt" resume disk/ref --programs 13000 > out 2> err && fail "a store on a read-only disk was resumed"
grep -q 'Read-only file system' err || fail "resume on a read-only disk: $(head -1 err)"
umount disk
[ $failed = 0 ] && echo "disk_full: nothing lost at any size"
exit $failed
