"""Coverage and bias of every estimator of a tail index on samples of 10^4; writes docs/tail_estimators.md.

    PYTHONPATH=. python benchmarks/tail_coverage.py [repetitions] [--laws NAME ...] [--sizes] [--page] [--workers 1]

`--laws` measures some of the laws only and keeps their numbers in docs/tail_estimators.json, from which `--page`
writes the page without measuring. What takes long has fewer repetitions, by the shares below. The full table takes
nine minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from sgdlimits.compare import tail_estimators as tails
from sgdlimits.exact.errors import SgdlimitsError
from tail_page import write_page

FOLDER = Path(__file__).resolve().parent.parent / "docs"
NUMBERS, PAGE = FOLDER / "tail_estimators.json", FOLDER / "tail_estimators.md"
SAMPLES = 10_000
SIZES = {f"{name}, n = {n}": (name, n) for name in ("corrected_hill", "moment") for n in (1000, 100_000)}
Draw = Callable[[np.random.Generator, int], np.ndarray]


def pareto(index: float, generator: np.random.Generator, n: int) -> np.ndarray:
    """P(X > t) = t^-index from 1 on."""
    return generator.random(n) ** (-1 / index)


def student(index: float, generator: np.random.Generator, n: int) -> np.ndarray:
    """Student's t."""
    return generator.standard_t(index, n)


def stable(index: float, skewness: float, generator: np.random.Generator, n: int) -> np.ndarray:
    """Chambers, Mallows and Stuck (1976), index other than one."""
    angle, wait = math.pi * (generator.random(n) - 0.5), generator.standard_exponential(n)
    lean = skewness * math.tan(math.pi * index / 2)
    turned = index * angle + math.atan(lean)
    bent = np.sin(turned) / np.cos(angle) ** (1 / index) * (np.cos(angle - turned) / wait) ** ((1 - index) / index)
    return (1 + lean**2) ** (0.5 / index) * bent


def skewed(a: float, b: float, generator: np.random.Generator, n: int) -> np.ndarray:
    """Jones and Faddy's skewed t from a beta variable."""
    share = generator.beta(a, b, n)
    return math.sqrt(a + b) * (2 * share - 1) / (2 * np.sqrt(share * (1 - share)))


def shifted(index: float, shift: float, generator: np.random.Generator, n: int) -> np.ndarray:
    """Student's t about another place than zero."""
    return shift + generator.standard_t(index, n)


def general(index: float, generator: np.random.Generator, n: int) -> np.ndarray:
    """Generalised Pareto of shape 1 / index from zero on: P(X > t) = (1 + t / index)^-index."""
    return index * np.expm1(generator.standard_exponential(n) / index)


def loggamma(index: float, generator: np.random.Generator, n: int) -> np.ndarray:
    """P(X > t) = t^-index (1 + index log t): a power but for a slowly varying factor."""
    return np.exp(generator.standard_gamma(2.0, n) / index)


def unequal(index: float, generator: np.random.Generator, n: int) -> np.ndarray:
    """A tenth Pareto of that index on the right, the rest of twice the index on the left."""
    size, side = generator.random((2, n))
    return np.where(side < 0.1, size ** (-1 / index), -(size ** (-0.5 / index)))


def stationary(generator: np.random.Generator, n: int, steps: int = 120) -> np.ndarray:
    """Ends of w <- (1 - a^2 / 2) w + a e / 2, whose index is the root of E |1 - a^2 / 2|^index = 1."""
    w = np.zeros(n)
    for _ in range(steps):
        a, noise = generator.standard_normal((2, n))
        w = (1 - 0.5 * a**2) * w + 0.5 * a * noise
    return w


def lognormal(generator: np.random.Generator, n: int) -> np.ndarray:
    """exp(N(0, 1))."""
    return np.exp(generator.standard_normal(n))


def weibull(generator: np.random.Generator, n: int) -> np.ndarray:
    """P(X > t) = exp(-sqrt(t))."""
    return generator.standard_exponential(n) ** 2


LAWS: dict[str, tuple[float, Draw]] = {
    **{f"Pareto {index:g}": (index, partial(pareto, index)) for index in (1.5, 3.0)},
    **{f"Student {index:g}": (index, partial(student, index)) for index in (2.0, 3.0, 5.0, 8.0)},
    "Student 4 + 3": (4.0, partial(shifted, 4.0, 3.0)),
    "Student 3 + 5": (3.0, partial(shifted, 3.0, 5.0)),
    "generalised Pareto 4": (4.0, partial(general, 4.0)),
    "log-gamma 2": (2.0, partial(loggamma, 2.0)),
    "unequal tails 2 and 4": (2.0, partial(unequal, 2.0)),
    **{f"stable {index:g}": (index, partial(stable, index, 0.0)) for index in (1.2, 1.5, 1.9)},
    "stable 1.5, skewness 0.5": (1.5, partial(stable, 1.5, 0.5)),
    "skewed t, a 1, b 2": (2.0, partial(skewed, 1.0, 2.0)),
    "lognormal 1": (math.inf, lognormal),
    "Weibull 0.5": (math.inf, weibull),
}
# Laws that no default was chosen on: the two general choices alone are measured there.
HELD_OUT: dict[str, tuple[float, Draw]] = {
    "inverse gamma 3": (3.0, lambda generator, n: 1 / generator.standard_gamma(3.0, n)),
    "F, 4 and 5": (2.5, lambda generator, n: generator.f(4.0, 5.0, n)),
    "log-logistic 1.5": (1.5, lambda generator, n: (1 / generator.random(n) - 1) ** (1 / 1.5)),
    "Student 2.5 - 2": (2.5, partial(shifted, 2.5, -2.0)),
    "skewed t, a 3, b 1.25": (2.5, partial(skewed, 3.0, 1.25)),
    "half normal, half Student 3": (3.0, lambda generator, n: np.where(
        generator.random(n) < 0.5, 2 * generator.standard_normal(n), generator.standard_t(3.0, n))),
    "Pareto 3 + 1": (3.0, lambda generator, n: 1 + generator.random(n) ** (-1 / 3)),
    "SGD of one parameter": (2.9040, lambda generator, n: stationary(generator, n)),
}  # fmt: skip
ESTIMATORS: dict[str, Callable[[np.ndarray], tails.TailEstimate]] = {
    "corrected_hill": tails.corrected_hill,
    **{f"hill, {rule}": partial(tails.hill, k=rule) for rule in
       ("kolmogorov_smirnov", "double_bootstrap", "smooth", "second_order")},
    "hill, k = 0.2 %": partial(tails.hill, k=0.002),
    "hill, k = 5 %": partial(tails.hill, k=0.05),
    "moment": tails.moment,
    "pickands": tails.pickands,
    "power_law": partial(tails.power_law, resamples=100, goodness=False),
    "student": tails.student,
    "skewed_student": tails.skewed_student,
    "stable_quantiles": tails.stable_quantiles,
    "stable_blocks": tails.stable_blocks,
    "stable_blocks, centre = mean": partial(tails.stable_blocks, centre="mean"),
    "stable_blocks, 100": partial(tails.stable_blocks, block=100),
}  # fmt: skip
FEWER = {  # shares of the repetitions; all others but the two that any law may need have 0.4
    "corrected_hill": 1.0, "moment": 1.0, "student": 0.1, "hill, double_bootstrap": 0.04, "power_law": 0.04,
    "skewed_student": 0.04, "stable_quantiles": 0.06, "stable_blocks": 0.06, "stable_blocks, centre = mean": 0.06,
    "stable_blocks, 100": 0.06,
}  # fmt: skip


def measured(law: str, repetitions: int, numbers: range) -> dict[str, list[list[float]]]:
    """(index, lower, upper, number of warnings) of every estimator on samples of these numbers."""
    found: dict[str, list[list[float]]] = {name: [] for name in ESTIMATORS}
    for number in numbers:
        sample = drawn(law, number, SAMPLES)
        for name, estimator in ESTIMATORS.items():
            if number < repetitions * FEWER.get(name, 0.4):
                found[name].append(numbers_of(estimator, sample))
    return found


def measured_sizes(law: str, repetitions: int, numbers: range) -> dict[str, list[list[float]]]:
    """The same of the two general choices on samples of other lengths, a tenth of the repetitions of the longest."""
    found: dict[str, list[list[float]]] = {name: [] for name in SIZES}
    for number in numbers:
        for label, (name, n) in SIZES.items():
            if number < repetitions * (0.1 if n > SAMPLES else 0.4):
                found[label].append(numbers_of(ESTIMATORS[name], drawn(law, number, n)))
    return found


def held_out(law: str, repetitions: int) -> dict[str, dict[str, float]]:
    """Summaries of the two general choices on a law that no default was chosen on, at two lengths."""
    found: dict[str, list[list[float]]] = {}
    for number in range(int(0.3 * repetitions)):
        for n in (1000, SAMPLES):
            sample = drawn(law, number, n)
            for name in ("corrected_hill", "moment"):
                found.setdefault(f"{name}, n = {n}", []).append(numbers_of(ESTIMATORS[name], sample))
    return {name: summary(np.array(rows), HELD_OUT[law][0]) for name, rows in found.items()}


def drawn(law: str, number: int, n: int) -> np.ndarray:
    """The sample of n values of that number."""
    laws = LAWS | HELD_OUT
    bits = np.random.Philox(key=number, counter=[0, 0, 0, list(laws).index(law)])
    return laws[law][1](np.random.Generator(bits), n)


def numbers_of(estimator: Callable[[np.ndarray], tails.TailEstimate], sample: np.ndarray) -> list[float]:
    """Index, lower, upper and number of warnings; nan where the estimator refuses."""
    try:
        estimate = estimator(sample)
    except SgdlimitsError:
        return [math.nan, math.nan, math.nan, 1]
    return [estimate.index, estimate.lower, estimate.upper, len(estimate.warnings)]


def summary(rows: np.ndarray, truth: float) -> dict[str, float]:
    """Coverage, median index, median width of the interval over the index, share with a warning, repetitions."""
    index, lower, upper, warned = rows.T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # infinite less infinite
        middle, width = np.nanmedian(index), np.nanmedian((upper - lower) / index)
    return {
        "truth": truth,
        "coverage": float(np.mean((lower <= truth) & (truth <= upper))),
        "median": float(middle),
        "width": float(width),
        "warned": float(np.mean(warned > 0)),
        "repetitions": len(rows),
    }


def _keep(numbers: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    # In the order of the laws, in whatever order they were measured.
    ordered = {
        law: {name: numbers[law][name] for name in (*ESTIMATORS, *SIZES) if name in numbers[law]}
        for law in LAWS if law in numbers
    } | {law: numbers[law] for law in HELD_OUT if law in numbers}  # fmt: skip
    NUMBERS.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    return ordered


def main() -> int:
    """Measure what is asked, keep the numbers, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repetitions", nargs="?", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--laws", nargs="+", choices=list(LAWS | HELD_OUT), default=list(LAWS | HELD_OUT))
    parser.add_argument("--sizes", action="store_true", help="measure the other lengths of sample alone")
    parser.add_argument("--page", action="store_true", help="write the page from the numbers that are kept")
    arguments = parser.parse_args()
    numbers = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    many = arguments.repetitions
    parts = [range(start, min(start + 20, many)) for start in range(0, many, 20)]
    with ProcessPoolExecutor(arguments.workers) as pool:
        for law in [] if arguments.page else arguments.laws:
            if law in HELD_OUT:
                numbers[law] = held_out(law, many)
                continue
            measures = [measured_sizes] if arguments.sizes else [measured, measured_sizes]
            found = [each for measure in measures for each in pool.map(partial(measure, law, many), parts)]
            names = dict.fromkeys(name for each in found for name in each)
            rows = {name: [row for each in found for row in each.get(name, [])] for name in names}
            numbers.setdefault(law, {}).update(
                {name: summary(np.array(values), LAWS[law][0]) for name, values in rows.items()}
            )
            _keep(numbers)
            print(law, {name: row["coverage"] for name, row in numbers[law].items()}, flush=True)
    numbers = _keep(numbers)
    complete = all(name in numbers.get(law, {}) for law in LAWS for name in (*ESTIMATORS, *SIZES))
    if complete and HELD_OUT.keys() <= numbers.keys():
        write_page(PAGE, numbers, list(LAWS), list(ESTIMATORS), list(SIZES), list(HELD_OUT))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
