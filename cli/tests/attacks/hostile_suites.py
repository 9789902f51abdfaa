#!/usr/bin/env python3
"""Suites and data files that are wrong, huge or lie: exit code 0, 1 or 2 with a reason, soon, in little memory; no panic, no abort.

usage: SYMOPT=path/to/symopt hostile_suites.py

Each case is a short search with 2 GiB of address space and 20 seconds, in a temporary directory. After a minute of them the rest is left out, and
that is said; SECONDS=1000 leaves nothing out. Exits with 1 where a case is bad.
"""

import gzip
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SYMOPT = str(Path(shutil.which(os.environ.get("SYMOPT", "symopt")) or "symopt").absolute())
ADDRESS_SPACE = 2 << 30
SECONDS_OF_A_CASE = 20
SECONDS = float(os.environ.get("SECONDS", "60"))
LARGEST = 2**63 - 1

TUNED = '\n[[task.tuned]]\nprogram = "adamw"\npeak_lr = 0.01\nhyperparameters = [["weight_decay", 0.0]]\n'
HEAD = 'name = "x"\nsummary = "x"\nseeds = [1]\n'
# Words of the message of each case that must be refused, with exit code 2.
REFUSED = {}
CASES = {}


def suite(
    data='{ kind = "digits" }', model='{ kind = "linear" }', head=HEAD, tuned=TUNED, **changes
):
    """The text of a suite of one small task, with changes."""
    task = {
        "name": '"t"',
        "steps": 4,
        "batch": 16,
        "checkpoints": 2,
        "training": 256,
        "validation": 64,
    } | changes
    keys = "".join(f"{key} = {value}\n" for key, value in task.items() if value is not None)
    return f"{head}[[task]]\n{keys}data = {data}\nmodel = {model}\n{tuned}"


def case(name, text, refused=None):
    CASES[name] = text
    if refused is not None:
        REFUSED[name] = refused


def wrong_suites():
    case("no tasks", HEAD)
    case("no seeds", suite(head=HEAD.replace("[1]", "[]")), "`seeds` is empty")
    case("seed 2^63-1", suite(head=HEAD.replace("[1]", f"[{LARGEST}]")), "reserved")
    case("seeds twice", suite(head=HEAD.replace("[1]", "[1, 1]")), "twice")
    case("name with /", suite(head=HEAD.replace('name = "x"', 'name = "../x"')))
    case("same task twice", suite() + suite(head=""), "has this name")
    million = ",".join(map(str, range(1_000_000)))
    case("a million seeds", suite(head=HEAD.replace("[1]", f"[{million}]"), steps=1, checkpoints=1))
    case("2000 tasks", suite() + "".join(suite(head="", name=f'"t{i}"') for i in range(2000)))
    case("no adamw", suite(tuned=""), "adamw")
    for value in ["nan", "0.0", "1e308"]:
        case(f"peak_lr {value}", suite(tuned=TUNED.replace("0.01", value)))
    case("tuned hyperparameter nan", suite(tuned=TUNED.replace("0.0]", "nan]")))
    case("tuned unknown hyperparameter", suite(tuned=TUNED.replace("weight_decay", "nope")), "nope")
    case("tuned unknown program", suite(tuned=TUNED.replace("adamw", "nope")), "nope")
    for key in ["steps", "batch", "checkpoints", "training", "validation"]:
        for value in [0, 1, -1, 1_000_000, 10**12, LARGEST, "nan", '"x"']:
            case(f"{key} = {value}", suite(**{key: value}))
    for key in ["weight", "label_noise"]:
        for value in ["nan", "inf", "-1.0", "1e308", "0.0"]:
            case(f"{key} = {value}", suite(**{key: value}))
    for value in ["nan", "2.0", "1.0"]:
        case(f"warmup {value}", suite(schedule=f"{{ warmup_cosine = {{ warmup = {value} }} }}"))
    case('schedule "x"', suite(schedule='"x"'), "unknown variant")
    # The order of the examples alone would take eight gigabytes.
    case("2^31 examples", suite(steps=100_000_000, batch=21), "memory")


def models():
    hidden = [
        "[0]",
        "[]",
        "[100000]",
        "[1000000]",
        "[100000, 100000]",
        f"[{LARGEST}]",
        "[" + ",".join(["2"] * 5000) + "]",
        "[-1]",
    ]
    hidden.append("[" + ",".join(["2"] * 500_000) + "]")
    for widths in hidden:
        case(
            f"perceptron {widths[:40]}",
            suite(model=f'{{ kind = "mlp", hidden = {widths}, activation = "tanh" }}'),
        )
    REFUSED["perceptron [1000000]"] = "memory"
    sizes = [
        (0, 8, 2, 8, 4),
        (1, 0, 1, 8, 4),
        (1, 8, 0, 8, 4),
        (1, 8, 3, 8, 4),
        (1, 8, 2, 0, 4),
        (1, 8, 2, 8, 0),
        (1, 8, 2, 8, 3),
        (1, 8, 2, 8, 100),
    ]
    sizes += [
        (LARGEST, 8, 2, 8, 4),
        (1, LARGEST, 1, 8, 4),
        (1, 8, 2, LARGEST, 4),
        (1, 8, 2, 8, LARGEST),
        (100_000, 8, 2, 8, 4),
    ]
    sizes += [
        (1_000_000, 1, 1, 1, 4),
        (1, 100_000, 2, 8, 4),
        (1, 8, 2, 10**9, 4),
        (1, 1 << 20, 1 << 20, 1 << 20, 4),
        (16_000, 8, 8, 8, 1),
    ]
    for layers, width, heads, of_perceptron, patch in sizes:
        block = f'kind = "transformer", layers = {layers}, width = {width}, heads = {heads}, hidden = {of_perceptron}, patch = {patch}'
        case(
            f"transformer {layers} {width} {heads} {of_perceptron} patch {patch}",
            suite(model=f"{{ {block} }}"),
        )


def drawn_data():
    case(
        "unknown key of digits",
        suite(data='{ kind = "digits", path = "x" }'),
        "unknown field `path`",
    )
    case(
        "unknown key of a linear model",
        suite(model='{ kind = "linear", hidden = [3] }'),
        "unknown field `hidden`",
    )
    case("teacher without sizes", suite(data='{ kind = "teacher" }'), "missing field")
    case(
        "misspelt key", suite(data='{ kind = "teacher", feature = 8 }'), "did you mean `features`?"
    )
    case("unknown kind", suite(data='{ kind = "mnits", path = "x" }'), "did you mean `mnist`?")
    teacher = '{ kind = "teacher", features = %d, classes = %d, hidden = %d, weights = "normal", scale = 1.0 }'
    case("teacher of 34 GB", suite(data=teacher % (65536, 2, 65536)), "memory")
    case("examples of 26 TB", suite(data=teacher % (65536, 2, 0), training=100_000_000), "memory")
    table = '{ kind = "tabular", numeric = %d, classes = %d, trees = %d, depth = 1, scale = 1.0 }'
    case("table of 4 GB", suite(data=table % (1000, 2, 1), training=1_000_000), "memory")
    language = '{ kind = "language", vocabulary = 65536, states = 4096, successors = 4096, exponent = 1.0 }'
    case("language of 3 GB", suite(data=language, model=LANGUAGE_MODEL % 4), "memory")


LANGUAGE_MODEL = (
    '{ kind = "transformer", layers = 1, width = 8, heads = 2, hidden = 8, context = %s }'
)


def texts():
    def text(name, content, unit="bytes", held_out="0.2", context=4, extra=""):
        Path(name).write_bytes(content)
        data = (
            f'{{ kind = "text", path = "{name}", unit = "{unit}", held_out = {held_out}{extra} }}'
        )
        case(
            f"text {name} {unit} {held_out} {context} {extra}",
            suite(data=data, model=LANGUAGE_MODEL % context, training=None),
        )

    contents = {
        "empty": b"",
        "one": b"a",
        "two": b"ab",
        "spaces": b" \n" * 500,
        "binary": bytes(range(256)) * 20,
        "same": b"a" * 5000,
        "nul": b"\0" * 5000,
    }
    for unit in ["bytes", "characters", "words"]:
        for name, content in contents.items():
            text(f"{name}.txt", content, unit, extra=", vocabulary = 10" if unit == "words" else "")
    good = b"the cat sat on the mat and the dog sat on the log " * 100
    for context in [0, 1, 4000, 100_000, 10**9, LARGEST]:
        text("good.txt", good, context=context)
    for held_out in ["0.0", "1.0", "nan", "1e-9", "0.999999", "-0.5"]:
        text("good.txt", good, held_out=held_out)
    for vocabulary in [0, 1, 2, 65536, 65537, LARGEST, -1]:
        text("good.txt", good, "words", extra=f", vocabulary = {vocabulary}")
    for path in ["/dev/zero", "/dev/random", "/", "/nonexistent"]:
        data = f'{{ kind = "text", path = "{path}", unit = "bytes", held_out = 0.1 }}'
        case(
            f"text {path}", suite(data=data, model=LANGUAGE_MODEL % 4, training=None), "cannot read"
        )


MNIST = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def idx(sizes, body):
    return bytes([0, 0, 8, len(sizes)]) + b"".join(struct.pack(">I", size) for size in sizes) + body


def images():
    def mnist(name, change=lambda files: None, refused=None, ending=""):
        directory = Path(name)
        directory.mkdir()
        labels = bytes(i % 10 for i in range(300))
        files = {
            MNIST[0]: ((300, 4, 4), bytes(4800)),
            MNIST[1]: ((300,), labels),
            MNIST[2]: ((100, 4, 4), bytes(1600)),
            MNIST[3]: ((100,), labels[:100]),
        }
        change(files)
        for file, content in files.items():
            content = content if isinstance(content, bytes) else idx(*content)
            (directory / (file + ending)).write_bytes(
                gzip.compress(content, 1)
                if ending and not content.startswith(b"\x1f\x8b")
                else content
            )
        case(f"mnist {name}", suite(data=f'{{ kind = "mnist", path = "{name}" }}'), refused)

    most = 2**32 - 1
    changes = {
        "fine": {},
        "promises_4g": {MNIST[0]: ((most, 1, 1), bytes(4800))},
        "promises_all": {MNIST[0]: ((most,) * 3, bytes(4800))},
        "wraps": {MNIST[0]: ((2**16, 2**16, most), b"")},
        "none": {MNIST[0]: ((0, 4, 4), b""), MNIST[1]: ((0,), b"")},
        "no_pixels": {MNIST[0]: ((300, 0, 4), b""), MNIST[2]: ((100, 0, 4), b"")},
        "label_10": {MNIST[1]: ((300,), bytes([10] * 300))},
        "fewer_labels": {MNIST[1]: ((299,), bytes(299))},
        "labels_promised": {MNIST[1]: ((most,), bytes(300))},
        "other_sizes": {MNIST[2]: ((100, 2, 8), bytes(1600))},
        "one_class": {MNIST[1]: ((300,), bytes(300)), MNIST[3]: ((100,), bytes(100))},
        "trailing": {MNIST[0]: ((300, 4, 4), bytes(4801))},
    }
    for name, change in changes.items():
        for ending in ["", ".gz"]:
            mnist(
                name + ending.replace(".", "_"),
                lambda files, change=change: files.update(change),
                ending=ending,
            )
    # A gigabyte and more of zeros in a few hundred kilobytes, and files that end early.
    bomb = gzip.compress(bytes(1 << 26), 9) * 20
    mnist("bomb", lambda files: files.update({MNIST[0]: bomb}), "unpacks to more than", ".gz")
    cut = gzip.compress(idx((300, 4, 4), bytes(4800)))[:-9]
    mnist("cut", lambda files: files.update({MNIST[0]: cut}), "truncated or damaged", ".gz")
    holes = Path("holes")
    holes.mkdir()
    for name in MNIST:
        with open(holes / name, "wb") as file:
            file.truncate(5 << 30)
    case(
        "mnist of five sparse gigabytes", suite(data='{ kind = "mnist", path = "holes" }'), "memory"
    )
    for path in ["/nonexistent", ""]:
        case(
            f"mnist at {path!r}", suite(data=f'{{ kind = "mnist", path = "{path}" }}'), "four files"
        )

    cifar = Path("cifar")
    cifar.mkdir()
    for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
        (cifar / name).write_bytes(bytes(3073 * 20 + 1))
    case("cifar truncated", suite(data='{ kind = "cifar10", path = "cifar" }'), "truncated")
    archive = Path("archive")
    archive.mkdir()
    (archive / "cifar-10-binary.tar.gz").write_bytes(bomb)
    case("cifar without a file", suite(data='{ kind = "cifar10", path = "archive" }'), "no file")
    header = bytearray(512)
    header[:20] = b"x/data_batch_1.bin\0\0"
    header[124:135] = b"77777777777"
    huge = Path("huge")
    huge.mkdir()
    (huge / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(bytes(header)) + bomb)
    case("cifar with a huge file", suite(data='{ kind = "cifar10", path = "huge" }'), "too large")

    Path("pixels").write_bytes(bytes(48 * 400))
    Path("labels").write_bytes(b"".join(struct.pack("<H", i % 3) for i in range(400)))
    raw = '{ kind = "raw-images", images = "pixels", labels = "%s", height = %d, width = %d, channels = %d, classes = %d }'
    for sizes in [
        (4, 4, 3, 3),
        (0, 4, 3, 3),
        (LARGEST, LARGEST, 3, 3),
        (4, 4, 3, 0),
        (4, 4, 3, 1),
        (4, 4, 3, 2),
        (4, 4, 3, 10**9),
        (4, 4, LARGEST, 3),
    ]:
        case(f"raw {sizes}", suite(data=raw % ("labels", *sizes)))
    case("raw without labels", suite(data=raw % ("pixels", 4, 4, 3, 3)))


def run(text):
    """Exit code, message and seconds of a search on a suite."""
    Path("suite.toml").write_text(text)
    shutil.rmtree("store", ignore_errors=True)
    command = [
        SYMOPT,
        "search",
        "--suite",
        "suite.toml",
        "--population",
        "8",
        "--programs",
        "40",
        "--store",
        "store",
        "--held-out",
        "0",
    ]
    command += ["--seconds", "5", "--threads", "1"]
    begin = time.monotonic()

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))

    try:
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=SECONDS_OF_A_CASE,
            preexec_fn=limit,
        )
        code, message = done.returncode, done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        code, message = "none in time", (error.stderr or b"").decode(errors="replace")
    return code, message, time.monotonic() - begin


def main():
    work = tempfile.mkdtemp(prefix="hostile-suites-")
    os.chdir(work)
    bad = 0
    try:
        for make in [wrong_suites, models, drawn_data, texts, images]:
            make()
        begin = time.monotonic()
        # Cases with known words run first: most of them were bad once.
        names = sorted(CASES, key=lambda name: name not in REFUSED)
        for done, name in enumerate(names):
            if time.monotonic() - begin > SECONDS:
                print(f"{len(names) - done} of {len(names)} cases left out after {SECONDS:.0f} s")
                break
            code, message, seconds = run(CASES[name])
            expected = REFUSED.get(name)
            fine = (
                code in (0, 1, 2)
                and "panicked" not in message
                and (code == 0 or re.search(r"^error", message, re.M))
            )
            if expected is not None:
                fine = fine and code == 2 and expected in message
            if not fine:
                bad += 1
                print(
                    f"BAD: {name[:100]}: exit code {code} after {seconds:.1f} s: {' '.join(message.split())[-300:]}",
                    flush=True,
                )
        print(f"{len(names)} cases, {bad} bad, {time.monotonic() - begin:.0f} s")
    finally:
        os.chdir("/")
        shutil.rmtree(work, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
