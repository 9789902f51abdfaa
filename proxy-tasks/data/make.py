"""Makes the data sets of this folder from the files as they are published.

    python make.py fashion-mnist FOLDER      the four files of Fashion-MNIST (.gz)
    python make.py glosses FILE              data.noun of WordNet 3.0
    python make.py flights FILE              flights.csv of nycflights13
    python make.py diamonds FILE             diamonds.csv of ggplot2
    python make.py python-sources FOLDER     the standard library of CPython 3.11

Each writes one file beside this script, the same bytes whenever it runs. README.md says where the
published files come from, and under which licences they are.
"""

import csv
import datetime
import gzip
import random
import sys
from pathlib import Path

HERE = Path(__file__).parent
MODULES = (
    "argparse ast calendar configparser csv dataclasses datetime difflib enum fractions functools "
    "heapq inspect ipaddress json/decoder json/encoder locale pathlib pickle pprint random shutil "
    "statistics string tarfile textwrap tokenize traceback typing uuid weakref zipfile"
)


def write(name, content):
    (HERE / name).write_bytes(gzip.compress(content, compresslevel=9, mtime=0))


def fashion_mnist(folder):
    """Images of 14 x 14 pixels, each the mean of 2 x 2; the first 8,192 and 2,048 of both sets."""
    records = bytearray()
    for part, count in [("train", 8192), ("t10k", 2048)]:
        images = gzip.open(Path(folder) / f"{part}-images-idx3-ubyte.gz").read()[16:]
        labels = gzip.open(Path(folder) / f"{part}-labels-idx1-ubyte.gz").read()[8:]
        for i in range(count):
            image = images[784 * i : 784 * (i + 1)]
            for row in range(0, 28, 2):
                for column in range(0, 28, 2):
                    at = 28 * row + column
                    total = image[at] + image[at + 1] + image[at + 28] + image[at + 29]
                    records.append((total + 2) // 4)
            records.append(labels[i])
    write("fashion-mnist.bin.gz", bytes(records))


def glosses(path):
    """10,000 definitions of nouns, one a line, in a random order."""
    lines = Path(path).read_text(encoding="ascii").splitlines()
    found = [line.split("| ", 1)[1].strip() for line in lines if "| " in line]
    random.Random(1).shuffle(found)
    write("glosses.txt.gz", "".join(f"{gloss}\n" for gloss in found[:10_000]).encode())


def flights(path):
    """12,288 flights of 2013 out of New York; the last column says how late they arrived."""
    header = "month weekday hour minute carrier origin destination miles departure_delay arrival"
    rows = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if row["arr_delay"] in ("", "NA"):
                continue
            day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"]))
            late = float(row["arr_delay"])
            arrival = "early" if late < -15 else "on time" if late < 5 else "late"
            arrival = "very late" if late >= 45 else arrival
            rows.append(
                [row["month"], day.strftime("%a"), row["hour"], row["minute"], row["carrier"]]
                + [row["origin"], row["dest"], row["distance"], row["dep_delay"], arrival]
            )
    table("flights.csv.gz", header.split(), rows)


def diamonds(path):
    """12,288 diamonds; the last column is the quality of their cut."""
    header = ["carat", "color", "clarity", "depth", "table", "price", "x", "y", "z", "cut"]
    with open(path, newline="") as file:
        rows = [[row[name] for name in header] for row in csv.DictReader(file)]
        table("diamonds.csv.gz", header, rows)


def table(name, header, rows):
    random.Random(1).shuffle(rows)
    lines = [",".join(row) for row in [header, *rows[:12_288]]]
    write(name, "".join(f"{line}\n" for line in lines).encode())


def python_sources(folder):
    """Modules one after the other, cut into parts of about 4,000 characters in a random order."""
    parts = []
    for module in MODULES.split():
        part = ""
        for line in (Path(folder) / f"{module}.py").read_text(encoding="utf-8").splitlines(True):
            if not line.isascii():
                continue
            part += line
            if len(part) >= 4_000 and line == "\n":
                parts.append(part)
                part = ""
        parts.append(part)
    random.Random(1).shuffle(parts)
    write("python-sources.txt.gz", "".join(parts)[:800_000].encode())


if __name__ == "__main__":
    name, source = sys.argv[1:]
    globals()[name.replace("-", "_")](source)
