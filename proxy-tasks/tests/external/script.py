"""Stands in for a training script: answers what is asked of it, or misbehaves as its first argument says.

With `mixed` it misbehaves with some programs only, chosen by their hashes; with `poison` it kills, with some further ones, the process that the
variable WORKER of its environment has the number of. The losses follow from the hash and the seed, so that tests can
know them. Needs nothing but the standard library.
"""

import json
import os
import select
import signal
import sys
import time

MODE, *REST = sys.argv[1:] + ["ok"][len(sys.argv) - 1 :]

FAULTS = [
    "crash",
    "garbage",
    "hang",
    "partial",
    "error",
    "signal",
    "wrong-id",
    "unicode",
    "close",
    "flood",
    "long",
    "negative",
]


ANSWERED = []


def say(**answer):
    print(json.dumps(answer), flush=True)


def raw(data):
    os.write(1, data)


def loss_of(request):
    return 1 + int(request["hash"][:8], 16) % 1000 / 1000 + request["seed"] % 8 / 64


def note(text):
    """Leaves a line in the file that the second argument names, for tests to find."""
    if REST:
        with open(REST[0], "a") as file:
            file.write(f"{text}\n")


def stubborn_children():
    """Starts processes of the group, which ignore what their parent ignores."""
    for _ in range(2):
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        note(child)
    note(os.getpid())


def misbehave(fault, request):
    number = request["id"]
    if fault == "crash":
        sys.stderr.write("warming up\nRuntimeError: boom\n")
        sys.exit(3)
    elif fault == "signal":
        os.kill(os.getpid(), signal.SIGABRT)
    elif fault == "garbage":
        print("Epoch 1: loss 0.5", flush=True)
        time.sleep(600)
    elif fault == "unicode":
        raw(b'{"id": 1, "loss": "\xff\xfe"}\n')
        time.sleep(600)
    elif fault == "hang":
        for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        sys.stderr.write("thinking\n")
        sys.stderr.flush()
        stubborn_children()
        time.sleep(600)
    elif fault == "partial":
        raw(b'{"id": %d, "lo' % number)
        sys.exit(0)
    elif fault == "close":
        os.close(1)
        time.sleep(600)
    elif fault == "wrong-id":
        say(id=number + 1000, loss=0.1)
        time.sleep(600)
    elif fault == "error":
        say(id=number, error="out of memory")
    elif fault == "flood":
        line = b'{"id": %d, "step": 1, "loss": 1.5, "note": "%s"}\n' % (number, b"x" * 8192)
        while True:
            raw(line)
    elif fault == "long":
        while True:
            raw(b"x" * 65536)
    elif fault == "negative":
        say(id=number, loss=-1)
    elif fault == "silent-end":
        sys.exit(0)


def answer(request):
    number, loss = request["id"], loss_of(request)
    if MODE == "nan":
        say(id=number, loss=float("nan"))
    elif MODE == "nan-step":
        say(id=number, step=7, loss=float("inf"))
        say(id=number, loss=0.1)
    elif MODE == "fitness":
        say(id=number, fitness=-loss)
    elif MODE == "quiet":
        say(id=number, loss=loss)
    elif MODE == "echo":
        with open(request["export"]["path"]) as file:
            text = file.read()
        say(id=number, loss=loss, accuracy=0.5 if text == request["program"] else 0.0)
    elif MODE == "complaints":
        sys.stderr.write("x" * 1_000_000 + "\n")
        say(id=number, loss=loss)
    elif MODE == "stale":
        # Once more for the last one, which nobody waits for.
        for old in ANSWERED[-1:]:
            say(id=old, loss=0.001)
        ANSWERED.append(number)
        # In one piece, so that both are there when the first is read.
        raw(
            b'{"id": %d, "loss": %s}\n{"id": %d, "loss": 0.002}\n'
            % (number, repr(loss).encode(), number)
        )
    elif MODE == "stops":
        for step in range(1, 5):
            say(id=number, step=step, loss=loss * (5 - step))
            if select.select([sys.stdin], [], [], 0.5 if step == 1 else 0)[0]:
                stop = json.loads(sys.stdin.readline())
                note(f"stop {stop['stop'] == number}")
                say(id=number, stopped=True)
                return
        say(id=number, loss=loss)
    elif MODE == "plods":
        say(id=number, step=1, loss=loss * 4)
        time.sleep(600)
    else:
        steps = request["budget"]["steps"] or 4
        curve = []
        for step in range(1, steps + 1):
            point = loss * steps / step
            curve.append(
                {
                    "step": step,
                    "training_loss": point / 2,
                    "validation_loss": point,
                    "accuracy": 0.25,
                }
            )
            if step < steps:
                say(id=number, step=step, loss=point)
        say(id=number, loss=loss, accuracy=0.25, curve=curve)


def main():
    say(ready=True, stop=MODE == "stops")
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        note(f"request {os.getpid()} {request['hash']}")
        if MODE in ("mixed", "poison"):
            which = int(request["hash"][8:16], 16) % 40
            spared = request["hash"] in REST[1:]
            if MODE == "poison" and which >= 38 and request["name"] == "train":
                os.kill(int(os.environ["WORKER"]), signal.SIGKILL)
                time.sleep(600)
            if which < len(FAULTS) and request["name"] == "train" and not spared:
                misbehave(FAULTS[which], request)
                continue
        elif MODE in FAULTS or MODE == "silent-end":
            misbehave(MODE, request)
            continue
        answer(request)
        if MODE == "once":
            return
        if MODE == "once-badly":
            sys.exit(4)


main()
