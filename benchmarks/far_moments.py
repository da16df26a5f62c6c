"""Exact moments at far steps: seconds and memory against d, n and steps, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

CASES: list[tuple[str, str, float, float]] = [  # what, code that makes it, seconds and GB asked
    ("n=442, d=10, 50 steps to 1e6, all moments", "finite(diabetes(), 0.05, 10**6, 50, None)", 2.0, 2.0),
    ("n=2000, d=100, 50 steps to 1e6, risk", "finite(gaussian(2000, 100), None, 10**6, 50, ('risk',))", 60.0, 2.0),
    ("n=2000, d=100, 50 of 1000 steps, all moments", "finite(gaussian(2000, 100), None, 1000, 50, None)", 1.5, 2.0),
    ("n=2000, d=100, 50 steps to 1e6, all moments", "finite(gaussian(2000, 100), None, 10**6, 50, None)", 10.0, 2.0),
    ("momentum, n=442, d=10, 50 steps to 1e9, all", "finite(diabetes(), 0.005, 10**9, 50, None, 0.9)", 5.0, 2.0),
    ("momentum, stream, d=100, 50 steps to 1e9, all", "stream(100, 0.0, 10**9, 50, None, 0.9)", 10.0, 2.0),
    ("momentum, stream, d=100, 50 steps to 1e9, risk", "stream(100, 0.0, 10**9, 50, ('risk',), 0.9)", 10.0, 2.0),
    ("stream, d=1000, 200 steps to 1e12, risk", "stream(1000, 0.0)", 1.0, 2.0),
    ("stream, d=1000, ridge, 200 steps to 1e12, risk", "stream(1000, 0.01)", 20.0, 2.0),
    ("stream, d=3000, ridge, 200 steps to 1e12, risk", "stream(3000, 0.01)", 20.0, 2.0),
    ("n=442, d=10, 50 of 1000 steps, s.d. of the risk", "finite(diabetes(), 0.05, 1000, 50, SPREAD)", 5.0, 2.0),
    ("stream, d=100, 50 of 1000 steps, s.d. of the risk", "stream(100, 0.0, 1000, 50, SPREAD)", 5.0, 2.0),
    ("stream, d=10, 50 steps to 1e6, s.d. of the risk", "stream(10, 0.0, 10**6, 50, SPREAD)", 5.0, 2.0),
    ("stream, d=10 000, 200 steps to 1e12, risk", "stream(10_000, 0.0)", 20.0, 2.0),
]
CODE = """
import json, resource, time
import numpy as np
from sgdlimits import discrete, problems

SPREAD = ("risk_standard_deviation",)
def diabetes(): return problems.LeastSquares.from_dataset("diabetes")
def gaussian(n, d): return problems.LeastSquares.gaussian(n, d, seed=0)
def finite(problem, size, last, count, quantities, momentum=0.0):
    size = 0.2 / np.trace(problem.hessian) if size is None else size
    return discrete.SGD(problem, size, momentum=momentum), last, count, quantities
def stream(d, ridge, last=10**12, count=200, quantities=("risk",), momentum=0.0):
    eigenvalues = np.arange(1, d + 1.0) ** -1.1
    problem = problems.StreamingLeastSquares(eigenvalues, 0.3, np.arange(1, d + 1.0) ** -0.5, ridge=ridge)
    size = 0.5 * (1 - momentum) / eigenvalues.sum()
    return discrete.SGD(problem, size, momentum=momentum), last, count, quantities

discrete.SGD(gaussian(30, 25), 1e-3).moments(np.zeros(25), 10**6, record=5, quantities=("risk",))  # compiles
stream(30, 0.1)[0].moments(np.zeros(30), 10**6, record=5, quantities=("risk",))
sgd, last, count, quantities = CASE
record = np.unique(np.geomspace(1, last, count).astype(np.int64))
began = time.perf_counter()
sgd.moments(np.zeros(sgd.problem.dimension), last, record=record, quantities=quantities)
print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))
"""


def far_moments() -> list[tuple[str, float, float, float, float]]:
    """(what, seconds asked, GB asked, seconds, GB) of each case."""
    found = []
    for what, case, seconds, memory in CASES:
        ended = subprocess.run([sys.executable, "-c", CODE.replace("CASE", case)], capture_output=True, text=True)
        if ended.returncode:
            raise RuntimeError(ended.stderr)
        taken: list[Any] = json.loads(ended.stdout.splitlines()[-1])
        found.append((what, seconds, memory, taken[0], taken[1]))
    return found


if __name__ == "__main__":
    for what, seconds, memory, took, held in far_moments():
        print(f"{what}: {took:.2f} s (asked {seconds:g}), {held:.2f} GB (asked {memory:g})")
