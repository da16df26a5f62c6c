"""The engine's speed on one thread, against a program by hand in AVX2, NumPy and the peers; a section of the table.

Alone, for who works on a kernel: python benchmarks/engine.py [SECTION ...]. A detail ends in what a path, step and
coordinate (psc) needs: its normals, float64 operations and bytes of cache, and what drawing the normals alone takes.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial

import homogenized_sgd
import minibatch_sgd
import noisy_gradient_descent
import normals_limit
import numpy as np
import user_diffusion
from rows import Row
from timing import interleaved

PATHS = 1000
# d: (steps, asked of the yardstick, asked of NumPy)
HOMOGENIZED = {10: (4000, 2.1, 5.5), 100: (1000, 1.6, 6), 256: (1000, 1.5, None), 1000: (500, 1.6, 6)}
PEERS = {"torchsde": {100: 28, 1000: 14}, "diffrax": {100: 7.5, 1000: 4.8}, "sdeint": {100: 60, 1000: 60}}
NEEDS = "1 normal, 10 flops, 24 bytes"


@lru_cache(maxsize=1)
def yardstick() -> normals_limit.Yardstick | str:
    """Compiled once."""
    return normals_limit.yardstick()


def normals() -> Iterator[Row]:
    """The normals alone."""
    claim, limit = "float32 normals: package / by hand in AVX2", yardstick()
    if isinstance(limit, str):
        yield Row(claim, "at most 1.15", limit)
        return
    count = 100 * 1000 * PATHS / 50
    contenders = {"package": homogenized_sgd.normals_alone(100, 20, PATHS), "limit": limit.run(count)}
    seconds = {name: taken * 1e9 / count for name, taken in interleaved(contenders, rounds=12).items()}
    yield Row(claim, "at most 1.15", f"{seconds['package'] / seconds['limit']:.2f}x",
              f"{seconds['package']:.2f} ns against {seconds['limit']:.2f}, same bits; {limit.compiler}")  # fmt: skip


def homogenized() -> Iterator[Row]:
    """Euler's homogenized SGD against the normals by hand, NumPy and the peers."""
    limit = yardstick()
    for dimension, (steps, asked, of_numpy) in HOMOGENIZED.items():
        process, x0 = homogenized_sgd.setting(dimension)
        size = process, x0, steps, PATHS
        contenders = {
            "package": homogenized_sgd.package(*size),
            "normals": homogenized_sgd.normals_alone(dimension, steps, PATHS),
        }
        if of_numpy:
            contenders["numpy"] = homogenized_sgd.numpy_in_place(*size)
        if not isinstance(limit, str):
            contenders["limit"] = limit.run(PATHS * steps * dimension)
        per = 1e9 / (PATHS * steps * dimension)
        ns = {name: taken * per for name, taken in interleaved(contenders, rounds=3).items()}
        ours = f"{ns['package']:.2f} ns/psc against"
        needs = f"{NEEDS} of which the normals {ns['normals']:.2f} ns"
        claim = f"hSGD, d={dimension}: package / normals by hand in AVX2"
        if isinstance(limit, str):
            yield Row(claim, f"at most {asked}", limit, needs)
        else:
            yield Row(claim, f"at most {asked}", f"{ns['package'] / ns['limit']:.2f}x",
                      f"{ours} {ns['limit']:.2f}; {needs}")  # fmt: skip
        if of_numpy:
            yield Row(f"hSGD, d={dimension}: NumPy in place / package", f"at least {of_numpy}",
                      f"{ns['numpy'] / ns['package']:.1f}x", f"{ours} {ns['numpy']:.2f}")  # fmt: skip
        yield from peers(process, x0, dimension, ns["package"])


def peers(process: object, x0: np.ndarray, dimension: int, ours: float) -> Iterator[Row]:
    """The other libraries on the same problem, fewer steps or paths where they are slow."""
    steps = 1000 if dimension == 100 else 100  # theirs grow dearer with the number of steps
    sizes = {"torchsde": (steps, PATHS), "diffrax": (steps, PATHS), "sdeint": (100, 20)}
    for name, asked in PEERS.items():
        if dimension not in asked:
            continue
        claim, wanted = f"hSGD, d={dimension}: {name} / package", f"at least {asked[dimension]:g}"
        if importlib.util.find_spec(name) is None:
            yield Row(claim, wanted, "not installed", "./run benchmarks installs it")
            continue
        steps, paths = sizes[name]
        contender = getattr(homogenized_sgd, f"{name}_euler")(process, x0, steps, paths)
        theirs = interleaved({name: contender}, rounds=2)[name] * 1e9 / (steps * paths * dimension)
        yield Row(claim, wanted, f"{theirs / ours:.1f}x", f"{ours:.2f} ns/psc against {theirs:.1f}")


def qualities() -> Iterator[Row]:
    """Normals of float64 quality against NumPy."""
    process, x0 = homogenized_sgd.setting(100)
    seconds = interleaved({
        "package": homogenized_sgd.package(process, x0, 1000, PATHS, quality="float64"),
        "numpy": homogenized_sgd.numpy_in_place(process, x0, 1000, PATHS),
    })  # fmt: skip
    ratio = seconds["numpy"] / seconds["package"]
    yield Row("hSGD, d=100, float64 normals: NumPy in place / package", "at least 1.6", f"{ratio:.1f}x")


def user() -> Iterator[Row]:
    """A diffusion of the user's own, compiled by numba, against the built-in kernel."""
    process, x0 = homogenized_sgd.setting(100)
    seconds = interleaved({
        "package": homogenized_sgd.package(process, x0, 1000, PATHS),
        "user": user_diffusion.compiled_by_the_user(process, x0, 1000, PATHS),
    })  # fmt: skip
    per = 1e9 / (PATHS * 1000 * 100)
    yield Row("d=100: a user's drift and diagonal noise in numba / hSGD built in", "at most 1.3",
              f"{seconds['user'] / seconds['package']:.2f}x",
              f"{seconds['user'] * per:.2f} ns/psc against {seconds['package'] * per:.2f}")  # fmt: skip


def minibatch() -> Iterator[Row]:
    """Minibatch SGD against a NumPy gather; what reading the rows that are drawn takes."""
    for batch, steps, asked in ((1, 2000, 5), (16, 200, 2)):
        sgd, x0 = minibatch_sgd.setting(batch)
        contenders = {
            "package": minibatch_sgd.package(sgd, x0, steps, PATHS),
            "numpy": minibatch_sgd.numpy_gather(sgd, x0, steps, PATHS),
            "rows": minibatch_sgd.rows_read(sgd, steps, PATHS),
        }
        per = 1e9 / (PATHS * steps * 100)
        ns = {name: taken * per for name, taken in interleaved(contenders).items()}
        yield Row(f"SGD, n=1000, d=100, B={batch}: NumPy gather / package", f"at least {asked}",
                  f"{ns['numpy'] / ns['package']:.1f}x",
                  f"{ns['package']:.2f} ns/psc against {ns['numpy']:.2f}; reading the rows once {ns['rows']:.2f}; "
                  f"{4 * batch} flops, {16 * batch + 24} bytes")  # fmt: skip


def rules() -> Iterator[Row]:
    """Other update rules against plain SGD, fused in the same loop."""
    for batch, steps, adam in ((1, 2000, 4.5), (16, 200, 2)):
        sgd, x0 = minibatch_sgd.setting(batch)
        others = {"plain": sgd, "momentum": replace(sgd, momentum=0.5), "adam": replace(sgd, rule="adam")}
        seconds = interleaved({
            name: minibatch_sgd.package(each, x0, steps, PATHS) for name, each in others.items()
        })  # fmt: skip
        for name, most in (("momentum", 1.5), ("adam", adam)):
            ratio = seconds[name] / seconds["plain"]
            yield Row(f"SGD, n=1000, d=100, B={batch}: {name} / plain", f"at most {most}", f"{ratio:.2f}x")


def threads() -> Iterator[Row]:
    """Two threads against one; the bits are compared too."""
    process, x0 = homogenized_sgd.setting(100)
    contenders = {str(t): homogenized_sgd.package(process, x0, 2000, PATHS, threads=t) for t in (1, 2)}
    same = np.array_equal(contenders["1"]()["risk"].values, contenders["2"]()["risk"].values)
    seconds = interleaved(contenders, clock=time.perf_counter)
    ratio = seconds["1"] / seconds["2"]
    yield Row("hSGD, d=100: one thread / two threads", "at least 1.85", f"{ratio:.2f}x",
              "same bits" if same else "DIFFERENT BITS")  # fmt: skip


def zero_loss_sets() -> Iterator[Row]:
    """Noisy gradient descent: steps of a two-parameter model, and of a tanh network in torch and in numba."""
    hyperbola = noisy_gradient_descent.hyperbola()
    taken = interleaved({"steps": lambda: hyperbola.simulate([2.0, 0.5], 100_000, PATHS, record=1, threads=1)}, 2)
    yield Row("10^8 steps of a two-parameter model, one thread", "under 5 s", f"{taken['steps']:.1f} s")
    for name, steps, asked in (("torch", 300, 20_000), ("numba", 3000, 400_000)):
        claim = f"tanh network in {name}, {PATHS} paths, two threads"
        if name == "torch" and importlib.util.find_spec("torch") is None:
            yield Row(claim, f"{asked} steps/min", "not installed", "./run benchmarks installs it")
            continue
        process, w0 = noisy_gradient_descent.network(name)
        run = partial(process.simulate, w0, steps, PATHS, record=1)
        wall = interleaved({name: partial(run, threads=2)}, 2, time.perf_counter)[name]
        cpu = interleaved({name: partial(run, threads=1)}, 3)[name]
        yield Row(claim, f"{asked} steps/min", f"{60 * steps / wall:.0f} steps/min",
                  f"{1e9 * cpu / (PATHS * steps):.0f} ns of one core a path and step")  # fmt: skip


SECTIONS = (normals, homogenized, qualities, user, minibatch, rules, threads, zero_loss_sets)

if __name__ == "__main__":
    for section in SECTIONS:
        if len(sys.argv) == 1 or section.__name__ in sys.argv[1:]:
            for row in section():
                print(row.text(), flush=True)
