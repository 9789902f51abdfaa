#!/bin/bash
# Kills a search at the N-th file system call, while its store is made and while it is resumed: nothing that was acknowledged is lost, nothing
# blocks the next attempt, and both ends are those of a search that nobody killed.
# usage: SYMOPT=path/to/symopt kill_syscall.sh [calls of a new search] [calls of a resumed one]; works in a directory of its own
set -u; set +m; exec 2> >(grep -v Killed >&2)
symopt=$(realpath "${SYMOPT:-$(command -v symopt)}"); new=${1:-48}; resumed=${2:-40}
command -v strace > /dev/null || { echo "kill_syscall: skipped, there is no strace"; exit 0; }
strace -qq -o /dev/null true 2> /dev/null || { echo "kill_syscall: skipped, processes can't be traced here"; exit 0; }
work=$(mktemp -d); trap 'cd /; rm -rf "$work"' EXIT; cd "$work" || exit 1
export TMPDIR=$work/tmp; mkdir tmp
calls=openat,write,pwrite64,fsync,fdatasync,rename,mkdir,ftruncate,unlink,rmdir
search=(search --suite smoke --seed 5 --population 32 --held-out 0 --threads 1 --json --programs 300 --store)
resume=(resume s --held-out 0 --threads 1 --json)
plain() { grep -av -e seconds -e '"store"' || true; }
killed() { strace -f -qq -o /dev/null -e trace=$calls -e inject=$calls:signal=KILL:when="$1" "$symopt" "${@:2}" > out.json 2> err; }
failed=0; fail() { echo "kill_syscall: $*"; failed=1; }

"$symopt" "${search[@]}" ref 2> /dev/null | plain > ref.json
cp -r ref begun
"$symopt" resume ref --programs 900 --held-out 0 --threads 1 --json 2> /dev/null | plain > ref2.json
kills=0
for ((n = 1; n <= new; n++)); do
  rm -rf s; killed "$n" "${search[@]}" s && break
  kills=$((kills + 1))
  "$symopt" "${resume[@]}" 2> err1 | plain > got.json
  cmp -s got.json ref.json || "$symopt" "${search[@]}" s 2> err2 | plain > got.json
  cmp -s got.json ref.json || fail "new search, call $n: resume: $(head -1 err1) | search: $(head -1 err2) | there: $(find s -type f -printf '%P:%s ')"
  left=$(find s -name '.*' -o -name '*.new'; ls -d s?* .s* 2> /dev/null)
  [ -z "$left" ] || fail "new search, call $n: left behind: $left"
done
for ((n = 1; n <= resumed; n++)); do
  rm -rf s; cp -r begun s
  killed "$n" "${resume[@]}" --programs 900 && break
  kills=$((kills + 1))
  "$symopt" "${resume[@]}" --programs 900 2> err1 | plain > got.json
  cmp -s got.json ref2.json || fail "resumed search, call $n: $(head -1 err1)"
done
[ -z "$(ls -A tmp)" ] || fail "left in the temporary directory: $(ls -A tmp)"
[ "$kills" -gt 20 ] || fail "only $kills kills"
[ $failed = 0 ] && echo "kill_syscall: $kills kills, nothing lost"
exit $failed
