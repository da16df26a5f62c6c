"""How often the intervals for ends of runs and for rank correlations hold the truth: the numbers of docs/networks.md.

    python benchmarks/network_coverage.py [repeats]

Prints a line a law: coverage of the interval over runs, and of the one for independent weights, at 95 %.
"""

import sys

import numpy as np

from sgdlimits.compare._last_iterates.driver import estimator_of
from sgdlimits.compare._last_iterates.rows import groups_of, row_of
from sgdlimits.compare._last_iterates.samples import WEIGHTS, centre_and_scale, samples_of
from sgdlimits.compare._rank_correlation.correlations import KENDALL, SPEARMAN, with_intervals
from sgdlimits.compare.tail_estimators import against_lognormal

RUNS, PER_RUN, NOISE, RESAMPLES = 200, 60, 0.3, 100
ESTIMATORS = ("corrected_hill", "hill", "moment", "student")


def ends_of_student(generator: np.random.Generator, index: float, common: bool) -> np.ndarray:
    """Weights with Student's law: one scale a run, or one a weight."""
    scales = generator.chisquare(index, (RUNS, 1 if common else PER_RUN)) / index
    return generator.standard_normal((RUNS, PER_RUN)) / np.sqrt(scales)


def tails(generator: np.random.Generator, repeats: int) -> None:
    """Coverage of an index."""
    groups = groups_of(RUNS, 20)
    for index, common in ((1.5, True), (3.0, True), (3.0, False)):
        hits = {name: np.zeros(2) for name in ESTIMATORS}
        for _ in range(repeats):
            ends = ends_of_student(generator, index, common)
            sample = samples_of(ends, *centre_and_scale(ends), slice(0, PER_RUN), 20_000)[0][WEIGHTS]
            for name in ESTIMATORS:
                row = row_of("all", WEIGHTS, name, estimator_of(name), sample, groups, 0.95, index)
                hits[name] += [row.lower <= index <= row.upper, row.alone_lower <= index <= row.alone_upper]
        for name, (over_runs, alone) in hits.items():
            law = f"Student {index:g}, one scale a {'run' if common else 'weight'}"
            print(f"{law}, {name}: {over_runs / repeats:.0%}, alone {alone / repeats:.0%}")


def lognormal(generator: np.random.Generator, repeats: int) -> None:
    """How often a lognormal law is preferred to Pareto runs."""
    runs, found = np.repeat(np.arange(RUNS), 50), np.zeros(2)
    for _ in range(repeats):
        sizes = (generator.random((RUNS, 1)) ** -0.5 * np.exp(0.01 * generator.random((RUNS, 50)))).ravel()
        for place, clusters in enumerate((runs, None)):
            found[place] += against_lognormal(sizes, clusters=clusters).preferred == "lognormal"
    over_runs, alone = found / repeats
    print(f"Pareto 2, one radius a run: lognormal preferred in {over_runs:.0%}, alone {alone:.0%}")


def correlations(generator: np.random.Generator, repeats: int) -> None:
    """Coverage of 0, and how often an association is seen."""
    for cells in (12, 25):
        for method in (SPEARMAN, KENDALL):
            for rho in (0.0, 0.8):
                covers = holds = 0
                for seed in range(repeats):
                    one = generator.standard_normal(cells)
                    sides = np.array([one, rho * one + np.sqrt(1 - rho**2) * generator.standard_normal(cells)])
                    seen = sides + NOISE * generator.standard_normal((2, cells))
                    runs = seen[..., None] + NOISE * generator.standard_normal((2, cells, RESAMPLES))
                    found = with_intervals(*seen, None, method, 0.95, 300, seed, *runs)
                    covers, holds = covers + (found.lower <= 0 <= found.upper), holds + (found.lower > 0)
                said = f"holds in {holds / repeats:.0%}" if rho else f"interval holds 0 in {covers / repeats:.0%}"
                print(f"{cells} cells, {method}, correlation {rho:g}: {said}")


def main() -> None:
    """Print all lines."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    generator = np.random.Generator(np.random.Philox(0))
    lognormal(generator, repeats)
    correlations(generator, 4 * repeats)
    tails(generator, repeats)


if __name__ == "__main__":
    main()
