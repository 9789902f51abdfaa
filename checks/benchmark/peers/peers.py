"""The optimizers of Python libraries, as peers of `symopt bench`: NumPy, Optax (JAX) and PyTorch, whichever of them can be imported.

`symopt bench --peers PYTHON` runs this file as `PYTHON peers.py THREADS`. It speaks JSON lines, as baseline.c does:

  it starts with      {"peers":[{"name":"numpy lion","program":"lion","version":"2.1.0"},...]}
  it is asked         {"peer":"numpy lion","arrays":[4096],"seconds":0.1}
  it answers          {"nanoseconds":[9810.2,...]}      one number for each sample: the mean time of a step
  or                  {"error":"..."}
  it ends             when its standard input does

`arrays` holds the lengths of the parameter arrays. What is made for the arrays of one question (a compiled step, above all) is kept for the
next one, so that only the first one has to wait for it. With `seconds` 0 nothing is measured, but all is made ready.

Each peer does what someone who knows the library would write for the same algorithm: in place or with donated buffers, compiled where the
library compiles, no copies, no zeroing of gradients. A learning rate of 1e-9 keeps the weights where they are.
"""

import json
import os
import sys
import time

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 1

# The libraries size their pools when they are imported, so all of this comes first. The affinity is what JAX goes by.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = str(THREADS)
os.environ["JAX_PLATFORMS"] = "cpu"
if THREADS == 1:
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    )
if hasattr(os, "sched_setaffinity"):
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[-THREADS:])

LR, WEIGHT_DECAY = 1e-9, 0.1
LION_BETAS = (0.9, 0.99)
ADAM_BETAS, EPSILON = (0.9, 0.999), 1e-8

# A sample lasts at least this long, or one step.
SAMPLE_SECONDS = 2e-3
MOST_SAMPLES = 1024


def noise(length, seed):
    """Numbers of size 0.25 to 1 and either sign: never zero, never near a denormal number."""
    generator = numpy.random.default_rng(seed)
    sizes = generator.uniform(0.25, 1.0, length)
    return (sizes * generator.choice([-1.0, 1.0], length)).astype(numpy.float32)


class Numpy:
    """In place, with `out=` everywhere. Long arrays go in blocks, so that what is between two operations stays in the cache."""

    BLOCK = 16384

    def __init__(self, arrays):
        self.blocks = []
        for seed, length in enumerate(arrays):
            whole = [
                noise(length, 2 * seed),
                noise(length, 2 * seed + 1),
                numpy.zeros(length, "f"),
                numpy.zeros(length, "f"),
            ]
            scratch = [
                numpy.empty(min(length, self.BLOCK), dtype) for dtype in ("f", "f", "?", "?", "b")
            ]
            for start in range(0, length, self.BLOCK):
                views = [array[start : start + self.BLOCK] for array in whole]
                self.blocks.append(views + [array[: len(views[0])] for array in scratch])
        self.count = 0

    def steps(self, count):
        for _ in range(count):
            self.count += 1
            for block in self.blocks:
                self.step(*block)


class NumpyLion(Numpy):
    name, program = "numpy lion", "lion"

    # `numpy.sign` takes a branch for each element. It is the fastest way as long as the processor knows all the branches by heart.
    BRANCHES = 4096

    def step(self, w, g, m, _, x, y, positive, negative, signs):
        beta1, beta2 = LION_BETAS
        multiply, add, subtract = numpy.multiply, numpy.add, numpy.subtract
        multiply(m, beta1, out=x)
        multiply(g, 1 - beta1, out=y)
        add(x, y, out=x)
        if len(x) <= self.BRANCHES:
            numpy.sign(x, out=x)
        else:
            numpy.greater(x, 0, out=positive)
            numpy.less(x, 0, out=negative)
            subtract(positive.view("b"), negative.view("b"), out=signs)
            numpy.copyto(x, signs)
        multiply(w, WEIGHT_DECAY, out=y)
        add(x, y, out=x)
        multiply(x, LR, out=x)
        subtract(w, x, out=w)
        multiply(m, beta2, out=m)
        multiply(g, 1 - beta2, out=y)
        add(m, y, out=m)


class NumpyAdamW(Numpy):
    name, program = "numpy adamw", "adamw"

    def step(self, w, g, m, v, x, y, *_):
        beta1, beta2 = ADAM_BETAS
        multiply, add, divide, subtract = numpy.multiply, numpy.add, numpy.divide, numpy.subtract
        multiply(m, beta1, out=m)
        multiply(g, 1 - beta1, out=x)
        add(m, x, out=m)
        multiply(v, beta2, out=v)
        multiply(g, g, out=x)
        multiply(x, 1 - beta2, out=x)
        add(v, x, out=v)
        multiply(v, 1 / (1 - beta2**self.count), out=x)
        numpy.sqrt(x, out=x)
        add(x, EPSILON, out=x)
        multiply(m, 1 / (1 - beta1**self.count), out=y)
        divide(y, x, out=y)
        multiply(w, WEIGHT_DECAY, out=x)
        add(x, y, out=x)
        multiply(x, LR, out=x)
        subtract(w, x, out=w)


class Optax:
    """One jitted function for update and application, which takes over the buffers of weights and state."""

    def __init__(self, arrays):
        transformation = self.make()

        def step(weights, state, gradients):
            updates, state = transformation.update(gradients, state, weights)
            return optax.apply_updates(weights, updates), state

        self.step = jax.jit(step, donate_argnums=(0, 1))
        # The copy is JAX's own, so that its buffer can be taken over.
        self.weights = [
            jax.numpy.array(noise(length, 2 * seed)) for seed, length in enumerate(arrays)
        ]
        self.gradients = [
            jax.numpy.array(noise(length, 2 * seed + 1)) for seed, length in enumerate(arrays)
        ]
        self.state = transformation.init(self.weights)

    def steps(self, count):
        weights, state = self.weights, self.state
        for _ in range(count):
            weights, state = self.step(weights, state, self.gradients)
        jax.block_until_ready((weights, state))
        self.weights, self.state = weights, state


class OptaxLion(Optax):
    name, program = "optax lion", "lion"

    def make(self):
        return optax.lion(LR, b1=LION_BETAS[0], b2=LION_BETAS[1], weight_decay=WEIGHT_DECAY)


class OptaxAdamW(Optax):
    name, program = "optax adamw", "adamw"

    def make(self):
        return optax.adamw(
            LR, b1=ADAM_BETAS[0], b2=ADAM_BETAS[1], eps=EPSILON, weight_decay=WEIGHT_DECAY
        )


class Torch:
    """Parameters with gradients, as `backward` leaves them."""

    def __init__(self, arrays):
        self.parameters = []
        for seed, length in enumerate(arrays):
            parameter = torch.nn.Parameter(torch.from_numpy(noise(length, 2 * seed)))
            parameter.grad = torch.from_numpy(noise(length, 2 * seed + 1))
            self.parameters.append(parameter)
        self.optimizer = self.make()

    def steps(self, count):
        step = self.optimizer.step
        for _ in range(count):
            step()


class TorchLion(Torch):
    """Lion as its users run it in PyTorch: the package `lion-pytorch`, or the published algorithm where that is not installed."""

    name, program = "torch lion", "lion"

    def make(self):
        if lion_pytorch is not None:
            return lion_pytorch.Lion(
                self.parameters, lr=LR, betas=LION_BETAS, weight_decay=WEIGHT_DECAY
            )
        return PublishedLion(self.parameters)


class PublishedLion:
    """The loop of the published PyTorch implementation, without its bookkeeping."""

    def __init__(self, parameters):
        self.triples = [(p, p.grad, torch.zeros_like(p)) for p in parameters]

    def step(self):
        with torch.no_grad():
            for p, g, m in self.triples:
                published_lion(p, g, m)


def published_lion(p, g, m):
    beta1, beta2 = LION_BETAS
    p.mul_(1 - LR * WEIGHT_DECAY)
    update = m * beta1 + g * (1 - beta1)
    p.add_(torch.sign(update), alpha=-LR)
    m.mul_(beta2).add_(g, alpha=1 - beta2)


class CompiledTorchLion(Torch):
    """The published algorithm through `torch.compile`: the step over all arrays in one graph, so that it is fused as far as it can be."""

    name, program = "torch.compile lion", "lion"

    def make(self):
        lists = [
            self.parameters,
            [p.grad for p in self.parameters],
            [torch.zeros_like(p) for p in self.parameters],
        ]

        def step(weights, gradients, momenta):
            for p, g, m in zip(weights, gradients, momenta):
                published_lion(p, g, m)

        torch._dynamo.reset()
        compiled = torch.compile(step, fullgraph=True, dynamic=False)

        class Step:
            def step(self):
                with torch.no_grad():
                    compiled(*lists)

        return Step()


class TorchAdamW(Torch):
    program = "adamw"

    def make(self):
        return torch.optim.AdamW(
            self.parameters,
            lr=LR,
            betas=ADAM_BETAS,
            eps=EPSILON,
            weight_decay=WEIGHT_DECAY,
            **self.implementation,
        )


class FusedTorchAdamW(TorchAdamW):
    name, implementation = "torch fused adamw", {"fused": True}


class ForeachTorchAdamW(TorchAdamW):
    name, implementation = "torch foreach adamw", {"foreach": True}


def imported(name):
    """A module, or None where it is missing or broken."""
    try:
        return __import__(name)
    except Exception as error:
        if not isinstance(error, ImportError):
            print(f"{name}: {error}", file=sys.stderr)
        return None


def calibrate(peer):
    """How many steps make a sample. Only the fastest time counts: whatever else the machine does makes a step seem longer."""
    fastest, steps = float("inf"), 1
    while True:
        for _ in range(2):
            start = time.perf_counter()
            peer.steps(steps)
            fastest = min(fastest, (time.perf_counter() - start) / steps)
        if fastest * steps >= SAMPLE_SECONDS / 4:
            return max(1, int(SAMPLE_SECONDS / fastest) + 1) if fastest < SAMPLE_SECONDS else 1
        steps *= 2


def measure(peer, steps, seconds):
    # Others ran since the last question: fills the caches and wakes the threads again.
    peer.steps(steps // 8)
    samples, left = [], seconds
    while left > 0 and len(samples) < MOST_SAMPLES:
        start = time.perf_counter()
        peer.steps(steps)
        elapsed = time.perf_counter() - start
        samples.append(1e9 * elapsed / steps)
        left -= elapsed
    return samples


def main():
    # Only answers go to the standard output; what a library prints goes to the standard error stream.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    peers = {}
    if numpy is not None:
        peers.update({peer.name: (peer, numpy.__version__) for peer in (NumpyLion, NumpyAdamW)})
    if numpy is not None and jax is not None and optax is not None:
        peers.update(
            {
                peer.name: (peer, f"{optax.__version__}, jax {jax.__version__}")
                for peer in (OptaxLion, OptaxAdamW)
            }
        )
    if numpy is not None and torch is not None:
        torch.set_num_threads(THREADS)
        for peer in (TorchLion, CompiledTorchLion, FusedTorchAdamW, ForeachTorchAdamW):
            version = torch.__version__ + (
                ", lion-pytorch" if peer is TorchLion and lion_pytorch is not None else ""
            )
            peers[peer.name] = (peer, version)
    say(
        {
            "peers": [
                {"name": name, "program": peer.program, "version": version}
                for name, (peer, version) in peers.items()
            ]
        }
    )

    arrays, ready = None, {}
    for line in sys.stdin:
        try:
            question = json.loads(line)
            if question["arrays"] != arrays:
                arrays, ready = question["arrays"], {}
            name = question["peer"]
            if name not in ready:
                peer = peers[name][0](arrays)
                # Compiles, where there is something to compile.
                peer.steps(1)
                ready[name] = (peer, calibrate(peer))
            say({"nanoseconds": measure(*ready[name], question["seconds"])})
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"[:500]})


numpy, jax, optax, torch = (imported(name) for name in ("numpy", "jax", "optax", "torch"))
lion_pytorch = imported("lion_pytorch") if torch is not None else None

if __name__ == "__main__":
    main()
