#!/usr/bin/env python3
"""Texts that try to get code into what symopt writes, or escape sequences into a terminal: doc strings, and names of files, stores, suites and tasks.

usage: SYMOPT=path/to/symopt injection.py

Works in a temporary directory, in about half a minute; uses cc and rustc where they are. The exit code is 1 if an attack succeeds.
"""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.dom import minidom

SYMOPT = os.path.abspath(os.environ.get("SYMOPT", "symopt"))
TARGETS = "pytorch optax praxis keras tf2 tf1 numpy".split()
BODY = "  m = interp(g, m, beta)\n  update = m * lr\n  return update, m\n"
DOCS = [
    "INJECTED = 1",
    '\\"\\"\\"\nINJECTED()\n\\"\\"\\"',
    "''' \nINJECTED()\n'''",
    'ends in a quote"',
    "ends in a backslash\\\\",
    "a \\ b \\n \\x41 \\N{BULLET} \\u0041 \\u202e",
    "*/ INJECTED(); /*",
    "// x\n*/\nINJECTED;\n/*",
    "*\\\n/ INJECTED;",
    "??/\nINJECTED;",
    "<!-- x --> <script>alert(1)</script> </svg> & < > ]]>",
    "\u2028INJECTED()\u2029\x85INJECTED()",
    "a\x0cINJECTED()\x0bINJECTED()\x1c\x1d\x1e",
    "a\rINJECTED()",
    "\x1b[31mred\x1b[0m \x07 \x9b31m",
    "} \\input{/etc/passwd} $ % _ ^ # & ~ {",
    "```\nINJECTED\n```",
    "| a | b |\n|---|---|\n[x](javascript:alert(1))",
    "{INJECTED} {0} %s %(x)s ${INJECTED} {{",
    "\ufeff BOM \u202e rtl \u2066 \u200b \u061c",
    "#{INJECTED} #![feature(x)] #!/bin/sh",
    "x" * 5000,
    "\\",
]
NAMES = [
    'a"b',
    "a'b",
    "a`id`b",
    "a$(id)b",
    "a|<script>alert(1)<|script>&b",
    "a\\b ]]>{b}%s",
    "-x",
    "a\x1b[31m\x9bb",
    "é\u202e",
    "a\nINJECTED",
    '"""',
    "'''",
]
# Characters that must not reach a terminal.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)

failures = checks = 0


def fail(*words):
    global failures
    failures += 1
    print("FAIL", *words, flush=True)


def check(holds, *words):
    global checks
    checks += 1
    if not holds:
        fail(*words)


def run(*arguments):
    result = subprocess.run(
        [SYMOPT, *arguments], capture_output=True, timeout=60, stdin=subprocess.DEVNULL
    )
    out, err = result.stdout.decode(), result.stderr.decode()
    check(
        not HIDDEN.search(out + err),
        arguments[0],
        repr(arguments[-1][:40]),
        "hidden characters reach the terminal",
    )
    return result.returncode, out, err


def is_xml(path):
    try:
        minidom.parse(str(path))
    except Exception:
        return False
    return True


def check_python(text, *what):
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        return check(False, *what, "no Python:", error)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    check(
        "INJECTED"
        not in names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)},
        *what,
        "INJECTED is code",
    )


def check_c(*what):
    _, out, _ = run("export", "p.opt", "--to", "c")
    Path("p.h").write_text(out)
    Path("c.c").write_text('#include "p.h"\nint main(void) { return 0; }\n')
    options = ["cc", "-std=c99", "-trigraphs", "-Wall", "-Wcomment"]
    compiled = subprocess.run([*options, "-fsyntax-only", "c.c"], capture_output=True, text=True)
    check(compiled.returncode == 0, *what, "C", compiled.stderr[:200])
    code = subprocess.run([*options, "-E", "-P", "c.c"], capture_output=True, text=True).stdout
    check("INJECTED" not in code, *what, "C", "INJECTED is code")


def check_rust(*what):
    _, out, _ = run("export", "p.opt", "--to", "rust")
    Path("p.rs").write_text(out)
    options = ["--crate-type", "lib", "--emit=metadata", "-A", "warnings", "-o", "p.rmeta", "p.rs"]
    compiled = subprocess.run(["rustc", *options], capture_output=True, text=True)
    check(compiled.returncode == 0, *what, "Rust", compiled.stderr[:200])


def attack_by_doc_strings():
    programs = 0
    for doc in DOCS:
        for quote in ('"""', "'''", "#"):
            if quote == "#":
                text = (
                    "# " + doc.replace("\n", "\n# ") + "\ndef p(w, g, m, lr, *, beta=0.9):\n" + BODY
                )
            else:
                text = f"def p(w, g, m, lr, *, beta=0.9):\n  {quote}{doc}{quote}\n" + BODY
            Path("p.opt").write_bytes(text.encode())
            what = (repr(doc[:30]), quote)
            if run("inspect", "p.opt", "--graph", "g.svg")[0] == 2:
                continue
            programs += 1
            check(is_xml("g.svg"), *what, "SVG")
            for target in TARGETS:
                code, out, err = run("export", "p.opt", "--to", target)
                check(code == 0, *what, target, err[-100:])
                check_python(out, *what, target)
            # A comment of the program is in no export, so the compilers would see the same text again and again.
            if quote != "#" and shutil.which("cc"):
                check_c(*what)
            if quote == '"""' and shutil.which("rustc"):
                check_rust(*what)
            try:
                json.loads(run("export", "p.opt", "--to", "json")[1])
            except ValueError as error:
                check(False, *what, "JSON", error)
            # A text goes round.
            code, _, err = run("simplify", "p.opt", "-o", "s.opt", "--derivation", "d.md")
            check(code == 0, *what, "simplify", err[-150:])
            code, _, err = run("inspect", "s.opt")
            check(code == 0, *what, "simplify's own output is no program", err[:200])
    check(programs > 60, "only", programs, "texts are programs")


def check_hint(line, store):
    """A command to go on with is one that a shell takes, and names the store."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = []
    check(
        len(words) >= 3 and store in words,
        repr(store),
        "the command to go on with is not quoted:",
        line.strip()[:80],
    )


def attack_by_names():
    Path("p.opt").write_text("def p(w, g, m, lr, *, beta=0.9):\n" + BODY)
    tuned = '[[task.tuned]]\nprogram = "adamw"\npeak_lr = 0.1\nhyperparameters = [["weight_decay", 0.0]]\n'
    sizes = "steps = 8\nbatch = 16\ncheckpoints = 2\ntraining = 256\nvalidation = 64\n"
    for name in NAMES:
        store = f"store {name}"
        code, out, err = run(
            "search",
            "--suite",
            "smoke",
            "--population",
            "16",
            "--programs",
            "100",
            "--held-out",
            "0",
            "--store",
            store,
        )
        check(code == 0, repr(name), "store", err[-150:])
        for line in out.splitlines():
            if line.startswith("  symopt resume"):
                check_hint(line, store)
        code, _, err = run(
            "report", store, "-o", "rep", "--seeds", "2", "--validate", "smoke", "--sample", "2"
        )
        check(code == 0, repr(name), "report", err[-150:])
        for file in Path("rep").glob("*.svg"):
            check(is_xml(file), repr(name), file.name)
        # Text in fences and in `code` is shown as it is.
        prose = re.sub(
            r"`[^`]*`", "", re.sub(r"(?s)```.*?```", "", Path("rep/report.md").read_text())
        )
        check("<script>" not in prose, repr(name), "report.md", "raw HTML of a store's name")

        suite = f"name = {json.dumps('s ' + name)}\nsummary = {json.dumps(name)}\nseeds = [1]\n[[task]]\nname = {json.dumps('t ' + name)}\n"
        Path("s.toml").write_text(
            suite + sizes + 'data = { kind = "digits" }\nmodel = { kind = "linear" }\n' + tuned
        )
        tasks = [
            "tasks",
            "--landscape",
            "s.toml",
            "--program",
            "lion",
            "--program",
            "adamw",
            "--budget",
            "10",
            "--tuning-seeds",
            "1",
        ]
        tasks += [
            "--seeds",
            "2",
            "--no-betas",
            "--svg",
            "l.svg",
            "--markdown",
            "l.md",
            "--csv",
            "l.csv",
        ]
        train = [
            "train",
            "--task",
            f"s.toml/t {name}",
            "--program",
            "lion",
            "--program",
            "p.opt",
            "--svg",
            "t.svg",
            "--csv",
            "t.csv",
        ]
        train += ["--seeds", "2", "--set", "p.opt:lr=0.1"]
        for arguments in (
            ["tune", "--suite", "s.toml", "--program", "lion", "--grid", "local", "--seeds", "1"],
            tasks,
            train,
        ):
            code, _, err = run(*arguments)
            check(code == 0, repr(name), arguments[0], err[-150:])
        check(is_xml("l.svg") and is_xml("t.svg"), repr(name), "a task's name in a picture")
        check("<script>" not in Path("l.md").read_text(), repr(name), "raw HTML of a task's name")
        # Where nothing has the name, the message quotes it.
        run("inspect", f"no {name}")
        run("no" + name)
    long = "x" * 5000
    for arguments in (
        ["inspect", long],
        [long],
        ["train", "--task", long, "--program", "lion"],
        ["search", "--suite", long],
    ):
        check(
            max(map(len, run(*arguments)[2].splitlines())) < 2500,
            arguments[0][:20],
            "a message of enormous length",
        )


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        attack_by_doc_strings()
        attack_by_names()
        os.chdir("/")
    print(f"injection: {checks} checks, {failures} failures")
    sys.exit(failures > 0)


main()
