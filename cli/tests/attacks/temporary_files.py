#!/usr/bin/env python3
"""A search that is killed in a container leaves nothing that the next process of the same number stumbles over, and a link that was planted in the
temporary directory is not followed.

usage: SYMOPT=path/to/symopt temporary_files.py [rounds]; works in a directory of its own
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SYMOPT = str(Path(os.environ.get("SYMOPT") or shutil.which("symopt") or "symopt").resolve())
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 12
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def main() -> int:
    container = ["unshare", "-pf", "--kill-child"]
    if subprocess.run([*container, "true"], **QUIET).returncode:
        print("temporary_files: no process numbers of its own can be had here; without them")
        container = []
    draw = random.Random(3)
    search = [SYMOPT, "search", "--suite", "smoke", "--population", "64", "--held-out", "0"]
    faults = []
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        Path("tmp").mkdir()
        environment = {**os.environ, "TMPDIR": f"{work}/tmp"}
        subprocess.run(
            [*search, "--programs", "20000", "--store", "a"], env=environment, check=True, **QUIET
        )
        subprocess.run(
            [*search, "--seed", "5", "--programs", "1000", "--store", "b"],
            env=environment,
            check=True,
            **QUIET,
        )
        report = [SYMOPT, "report", "b", "--seeds", "1"]
        for turn in range(ROUNDS):
            process = subprocess.Popen(
                [*container, SYMOPT, "resume", "a", "--programs", "30000", "--held-out", "0"],
                env=environment,
                **QUIET,
            )
            time.sleep(draw.uniform(0.02, 0.3))
            process.kill()
            process.wait()
            after = subprocess.run(
                [*container, *report], env=environment, capture_output=True, text=True
            )
            if after.returncode:
                faults.append(
                    f"round {turn}: a healthy store is refused: {after.stderr.strip()[:200]}"
                )
        left = sorted(path.name for path in Path("tmp").iterdir())
        if left:
            faults.append(f"left in the temporary directory: {left}")
        victim = Path("victim")
        victim.write_text("precious\n")
        plant = (
            "mkdir -p $TMPDIR/symopt-check-$$-0 && ln -s $PWD/victim $TMPDIR/symopt-check-$$-0/db; exec "
            + " ".join(report)
        )
        subprocess.run(["sh", "-c", plant], env=environment, **QUIET)
        if victim.read_text(errors="replace") != "precious\n":
            faults.append("a planted link was followed")
    for fault in faults:
        print(f"temporary_files: {fault}")
    if not faults:
        print(f"temporary_files: {ROUNDS} kills, no store refused, nothing left")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
