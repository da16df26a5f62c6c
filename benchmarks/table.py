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
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import engine
import far_moments
import numpy as np
import sweeps
import torch_module
from rows import Row
from sgdlimits import problems
from sgdlimits.discrete import SGD
from timing import interleaved

TARGET = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def main() -> int:
    """Measure, print and write the table."""
    rows: list[Row] = []
    sections = (*engine.SECTIONS, moments, stationary_laws, torch_modules, sweeping, imports)
    for section in sections:
        for row in section():
            rows.append(row)
            print(row.text(), flush=True)
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
