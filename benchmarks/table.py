"""Measure every speed claim as a ratio in one run and write docs/benchmarks.md.

Run alone on the machine: ./run benchmarks. Single thread unless a row says otherwise.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import importlib.util
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import far_moments
import homogenized_sgd
import minibatch_sgd
import noisy_gradient_descent
import numpy as np
import sweeps
import torch_module
from sgdlimits import problems
from sgdlimits.discrete import SGD
from timing import interleaved

TARGET = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Row:
    """One claim: what was asked and what was reached; `unit` is "x" for a ratio."""

    claim: str
    asked: str
    reached: str
    detail: str = ""

    @property
    def missed(self) -> bool:
        """Whether what was reached falls short of what was asked."""
        asked, reached = (re.search(r"\d+(\.\d+)?", text) for text in (self.asked, self.reached))
        if asked is None or reached is None:
            return False
        most = self.asked.startswith(("at most", "under"))
        return float(reached[0]) > float(asked[0]) if most else float(reached[0]) < float(asked[0])

    def line(self) -> str:
        """As a row of the page."""
        reached = f"**missed:** {self.reached}" if self.missed else self.reached
        return f"| {self.claim} | {self.asked} | {reached} | {self.detail} |"


def main() -> int:
    """Measure, print and write the table."""
    rows: list[Row] = []
    sections = (
        homogenized, qualities, minibatch, rules, threads, moments, stationary_laws, zero_loss_sets, torch_modules,
        sweeping, imports,
    )  # fmt: skip
    for section in sections:
        for row in section():
            rows.append(row)
            print(f"{row.claim:70} asked {row.asked:14} reached {row.reached:12} {row.detail}", flush=True)
    lines = [
        "# Speed, as ratios in one run",
        "",
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}. Made by `./run benchmarks`; one thread unless a row says otherwise. A ratio is the "
        "rival's CPU time over ours (threads: wall time), each the minimum of interleaved rounds. psc: one path, one "
        "step, one coordinate.",
        "",
        f"{sum(row.missed for row in rows)} of {len(rows)} targets are missed; they are marked.",
        "",
        "| claim | asked | reached | detail |",
        "|---|---|---|---|",
        *(row.line() for row in rows),
        "",
    ]
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    print(f"written: {TARGET.relative_to(TARGET.parent.parent)}")
    return 0


def homogenized() -> list[Row]:
    """Euler's homogenized SGD against NumPy, the peers and drawing the normals alone."""
    rows = []
    for dimension, steps in ((10, 4000), (100, 1000), (256, 1000), (1000, 500)):
        process, x0 = homogenized_sgd.setting(dimension)
        size = process, x0, steps, 1000
        contenders = {
            "package": homogenized_sgd.package(*size),
            "numpy": homogenized_sgd.numpy_in_place(*size),
            "normals": homogenized_sgd.normals_alone(dimension, steps, 1000),
        }
        seconds = interleaved(contenders, rounds=3)
        per = 1e9 / (1000 * steps * dimension)
        ours = f"{seconds['package'] * per:.2f} ns/psc against"
        if dimension != 256:
            asked = "at least 4" if dimension == 10 else "at least 4.5"
            ratio = seconds["numpy"] / seconds["package"]
            rows.append(Row(f"hSGD, d={dimension}: NumPy in place / package", asked, f"{ratio:.1f}x",
                            f"{ours} {seconds['numpy'] * per:.2f}"))  # fmt: skip
        if dimension >= 100:
            asked = "at most 1.7" if dimension == 100 else "at most 1.4"
            ratio = seconds["package"] / seconds["normals"]
            rows.append(Row(f"hSGD, d={dimension}: package / its normals alone", asked, f"{ratio:.2f}x",
                            f"{ours} {seconds['normals'] * per:.2f}"))  # fmt: skip
        if dimension in (100, 1000):
            rows += peers(process, x0, dimension, seconds["package"] * per)
    return rows


def peers(process: object, x0: np.ndarray, dimension: int, ours: float) -> list[Row]:
    """The other libraries on the same problem, fewer steps or paths where they are slow."""
    rows = []
    steps = 1000 if dimension == 100 else 100  # theirs grow dearer with the number of steps
    sizes = {"torchsde": (steps, 1000), "diffrax": (steps, 1000), "sdeint": (100, 20)}
    for name, asked in homogenized_sgd.PEERS.items():
        claim = f"hSGD, d={dimension}: {name} / package"
        if importlib.util.find_spec(name) is None:
            rows.append(Row(claim, f"at least {asked:g}", "not installed", "./run benchmarks installs it"))
            continue
        steps, paths = sizes[name]
        contender = getattr(homogenized_sgd, f"{name}_euler")(process, x0, steps, paths)
        theirs = interleaved({name: contender}, rounds=2)[name] * 1e9 / (steps * paths * dimension)
        detail = f"{ours:.2f} ns/psc against {theirs:.1f}"
        rows.append(Row(claim, f"at least {asked:g}", f"{theirs / ours:.0f}x", detail))
    return rows


def qualities() -> list[Row]:
    """Normals of float64 quality against NumPy."""
    process, x0 = homogenized_sgd.setting(100)
    seconds = interleaved({
        "package": homogenized_sgd.package(process, x0, 500, 1000, quality="float64"),
        "numpy": homogenized_sgd.numpy_in_place(process, x0, 500, 1000),
    })  # fmt: skip
    ratio = seconds["numpy"] / seconds["package"]
    return [Row("hSGD, d=100, float64 normals: NumPy in place / package", "at least 1.6", f"{ratio:.1f}x")]


def minibatch() -> list[Row]:
    """Minibatch SGD against a NumPy gather."""
    rows = []
    for batch, steps, asked in ((1, 2000, 4), (16, 200, 2)):
        sgd, x0 = minibatch_sgd.setting(batch)
        seconds = interleaved({
            "package": minibatch_sgd.package(sgd, x0, steps, 1000),
            "numpy": minibatch_sgd.numpy_gather(sgd, x0, steps, 1000),
        })  # fmt: skip
        per = 1e9 / (1000 * steps * 100)
        rows.append(Row(f"SGD, n=1000, d=100, B={batch}: NumPy gather / package", f"at least {asked}",
                        f"{seconds['numpy'] / seconds['package']:.1f}x",
                        f"{seconds['package'] * per:.2f} ns/psc against {seconds['numpy'] * per:.2f}"))  # fmt: skip
    return rows


def rules() -> list[Row]:
    """Other update rules against plain SGD, fused in the same loop."""
    rows = []
    for batch, steps, adam in ((1, 2000, 4.5), (16, 200, 2)):
        sgd, x0 = minibatch_sgd.setting(batch)
        others = {"plain": sgd, "momentum": replace(sgd, momentum=0.5), "adam": replace(sgd, rule="adam")}
        seconds = interleaved({
            name: minibatch_sgd.package(each, x0, steps, 1000) for name, each in others.items()
        })  # fmt: skip
        for name, most in (("momentum", 1.5), ("adam", adam)):
            ratio = seconds[name] / seconds["plain"]
            rows.append(Row(f"SGD, n=1000, d=100, B={batch}: {name} / plain", f"at most {most}", f"{ratio:.2f}x"))
    return rows


def stationary_laws() -> list[Row]:
    """Stationary covariances under momentum, in seconds."""
    generator = np.random.Generator(np.random.Philox(0))
    d = 200
    first, second = generator.standard_normal((2, d, d))
    noisy = problems.NoisyQuadratic(first @ first.T / d + 0.1 * np.eye(d), second @ second.T / d)
    rows = problems.LeastSquares.gaussian(2000, d, spectrum=0.5, noise=0.5, seed=1)
    threshold = SGD(rows, 1e-3, momentum=0.9).stability().mean_square_threshold
    stream = problems.StreamingLeastSquares(1 / np.arange(1, 1001), 0.3, np.ones(1000))
    end = SGD(stream, 1e-3, momentum=0.9).stability().mean_square_threshold
    cases = {
        "additive noise, d=200, nothing commutes": (SGD(noisy, 0.3, momentum=0.9), 2),
        "n=2000, d=200, B=1 at 0.9 of the threshold": (SGD(rows, 0.9 * threshold, momentum=0.9), 2),
        "stream, d=1000": (SGD(stream, 0.9 * end, momentum=0.9), 5),
    }
    found = []
    for name, (sgd, most) in cases.items():
        seconds = interleaved({"law": lambda sgd=sgd: replace(sgd).stationary()}, rounds=2)["law"]
        found.append(Row(f"stationary law, momentum 0.9, {name}", f"under {most} s", f"{seconds:.2f} s"))
    return found


def threads() -> list[Row]:
    """Two threads against one; the bits are compared too."""
    process, x0 = homogenized_sgd.setting(100)
    contenders = {str(t): homogenized_sgd.package(process, x0, 2000, 1000, threads=t) for t in (1, 2)}
    same = np.array_equal(contenders["1"]()["risk"].values, contenders["2"]()["risk"].values)
    seconds = interleaved(contenders, clock=time.perf_counter)
    ratio = seconds["1"] / seconds["2"]
    return [Row("hSGD, d=100: one thread / two threads", "at least 1.7", f"{ratio:.2f}x",
                "same bits" if same else "DIFFERENT BITS")]  # fmt: skip


def moments() -> list[Row]:
    """Exact moments in seconds."""
    rows = []
    for name, problem, steps, asked in (
        ("n=442, d=10, 10 000 steps", problems.LeastSquares.from_dataset("diabetes"), 10_000, 1),
        ("n=2000, d=100, 1000 steps", problems.LeastSquares.gaussian(2000, 100, 0.5, 0.5, seed=1), 1000, 10),
    ):
        sgd = SGD(problem, 0.1 / problem.eigenvalues.sum(), 1)
        begin = time.perf_counter()
        sgd.moments(np.zeros(problem.dimension), steps)
        rows.append(Row(f"SGD, exact moments, {name}", f"under {asked} s", f"{time.perf_counter() - begin:.2f} s"))
    for name, asked, memory, took, held in far_moments.far_moments():
        limits, reached = f"under {asked:g} s, {memory:g} GB", f"{took:.2f} s"
        rows.append(Row(f"SGD, exact moments, {name}", limits, reached, f"{held:.2f} GB"))
    return rows


def zero_loss_sets() -> list[Row]:
    """Noisy gradient descent: steps of a two-parameter model, and of a tanh network in torch and in numba."""
    hyperbola = noisy_gradient_descent.hyperbola()
    seconds = interleaved({"steps": lambda: hyperbola.simulate([2.0, 0.5], 100_000, 1000, record=1, threads=1)}, 2)
    rows = [Row("10^8 steps of a two-parameter model, one thread", "under 5 s", f"{seconds['steps']:.1f} s")]
    for name, steps, asked in (("torch", 300, 20_000), ("numba", 3000, 200_000)):
        claim = f"tanh network in {name}, 1000 paths, two threads"
        if name == "torch" and importlib.util.find_spec("torch") is None:
            rows.append(Row(claim, f"{asked} steps/min", "not installed", "./run benchmarks installs it"))
            continue
        process, w0 = noisy_gradient_descent.network(name)
        run = interleaved({name: lambda: process.simulate(w0, steps, 1000, record=1)}, 2, time.perf_counter)  # noqa: B023
        rows.append(Row(claim, f"{asked} steps/min", f"{60 * steps / run[name]:.0f} steps/min"))
    return rows


def torch_modules() -> list[Row]:
    """Steps of a diffusion of a torch module, each path's counted; gradient, drift and noise in one where it can be."""
    name = "modified equation of a torch module, d=10 071, n=1000"
    claims = {paths: f"{name}, paths at once: {paths}" for paths in (1, 16)}
    if importlib.util.find_spec("torch") is None:
        return [Row(claim, "100 steps/s", "not installed", "./run benchmarks installs it") for claim in claims.values()]
    trained, rows = torch_module.problem(), []
    for paths, claim in claims.items():
        rate = {}
        for order in (1, 2):
            run = torch_module.diffusion(trained, order, 32 // paths, paths)
            rate[order] = 32 // paths * paths / interleaved({"run": run}, 3)["run"]
        rows.append(Row(claim, "at least 100 steps/s", f"{rate[1]:.0f} steps/s", f"order 2: {rate[2]:.0f} steps/s"))
    return rows


def sweeping() -> list[Row]:
    """A grid of cells: what keeping them costs, and what a second worker process gains."""
    ratio, start, same = sweeps.two_workers()
    rows = [
        Row(f"1000 cells beyond their 0.1 s, kept{where}", "under 5 %", f"{100 * sweeps.overhead(workers):.1f} %")
        for where, workers in (("", None), (", two workers", 2))
    ]  # fmt: skip
    detail = f"after {start:.1f} s in which they start; " + ("same bits" if same else "DIFFERENT BITS")
    return [*rows, Row("a sweep whose cells compute: one worker / two", "at least 1.8", f"{ratio:.2f}x", detail)]


def imports() -> list[Row]:
    """Import times beyond what they stand on, minimum of five fresh interpreters."""

    def seconds(line: str) -> float:
        command = f"import time; b = time.perf_counter(); {line}; print(time.perf_counter() - b)"
        runs = [subprocess.run([sys.executable, "-c", command], capture_output=True, text=True) for _ in range(5)]
        return min(float(run.stdout) for run in runs)

    base = seconds("import numpy, numba")
    folders = seconds("import numpy, numba; from sgdlimits import problems, discrete, diffusions, compare") - base
    return [
        Row("import sgdlimits", "under 0.2 s", f"{seconds('import sgdlimits'):.3f} s"),
        Row("problems, discrete, diffusions, compare beyond numpy and numba", "under 0.4 s", f"{folders:.2f} s"),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
