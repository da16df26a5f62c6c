"""Verdicts keep their level: the error of the first kind over 1000 repetitions of small cases, by binomial tests."""

import re

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sgdlimits.compare import manifold, rescaling
from sgdlimits.compare._manifold.error_expansion import columns_of, matrix_of
from sgdlimits.compare._manifold.remaining import remaining
from sgdlimits.compare._time_scales.cases import Measurement
from sgdlimits.compare._time_scales.crossings import crossing
from sgdlimits.compare._time_scales.statistics import _degrees
from sgdlimits.compare.estimates import mean_and_error, mean_and_influence, student_quantile
from sgdlimits.compare.fits import exponent, fit
from sgdlimits.compare.floors import floor_of
from sgdlimits.compare.verdicts import judged_throughout, relative_tolerance
from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import noise, zero_loss

TIMES, REPEATS = 4, 1000
ROOT = np.linalg.cholesky(0.7 ** np.abs(np.subtract.outer(np.arange(TIMES), np.arange(TIMES))))
SIZES = 0.1 * 0.5 ** np.arange(4)


def kept(misses, level=0.05):
    """Whether so many of 1000 verdicts may be wrong at this level: a test at 1 %."""
    return binomtest(int(misses), REPEATS, level, alternative="greater").pvalue > 0.01


def exact(misses, level=0.05):
    """The same two-sided."""
    return binomtest(int(misses), REPEATS, level).pvalue > 0.01


def crowd(rng, paths, skewed=False):
    values = rng.standard_normal((paths, TIMES)) @ ROOT.T
    return (values**2 - 1) / np.sqrt(2) if skewed else values


def wrong_at_all_times(paths, truth, margin=1.0):
    """How often the band misses gaps of this truth at some time, and how often a word is wrong."""
    rng, missed, words = np.random.default_rng(paths), 0, 0
    for _ in range(REPEATS):
        gaps, influence = mean_and_influence(truth + crowd(rng, paths))
        found = judged_throughout(gaps, influence, margin, 0.95)
        missed += (np.abs(gaps - truth) > found.half).any()
        words += found.verdict == ("differs" if abs(truth) <= margin else "agrees")
        words += abs(truth) == margin and found.verdict == "agrees"
    return missed, words


@pytest.mark.parametrize("paths", [7, 30])
def test_a_band_at_all_times_holds_at_its_level_with_few_paths(paths):
    """Assert that at most 5 % of 1000 bands miss, and that a gap on the margin or of 0 is misjudged as seldom.

    With few paths the band is Bonferroni's, which is a little too wide for times that go together.
    """
    for truth in (0.0, 1.0):
        missed, words = wrong_at_all_times(paths, truth)
        assert kept(missed) and kept(words) and missed > 10


@pytest.mark.slow
def test_a_band_at_all_times_holds_at_its_level():
    """Assert 5 % two-sided with 300 paths, where the correlation of the times is known."""
    for truth in (0.0, 1.0):
        missed, words = wrong_at_all_times(300, truth)
        assert exact(missed) and kept(words)


def remainders(paths, levels, skewed=False, sampled=False, wrong=0.0):
    """1000 expansions over rungs of unequal spread, beside the truth of what remains and the factor of the misfit."""
    rng, columns = np.random.default_rng(paths), matrix_of(columns_of(SIZES[:3], levels))
    truth = 0.2 * rng.standard_normal((columns.shape[1], TIMES))
    for _ in range(REPEATS):
        values, influences = [], []
        for rung, row in enumerate(columns):
            mean, influence = mean_and_influence(row @ truth + (0.3 + 0.2 * rung) * crowd(rng, paths, skewed))
            parts = [influence]
            if sampled:
                other, more = mean_and_influence(0.3 * crowd(rng, paths, skewed))
                mean, parts = mean - other, [influence, -more]
            values.append(mean)
            influences.append(parts)
        yield remaining(columns, np.array(values), influences), truth[0] + wrong


@pytest.mark.parametrize("sampled", [pytest.param(False, marks=pytest.mark.slow), True])
def test_what_remains_is_covered_at_all_times_with_few_paths(sampled):
    """Assert that at most 5 % of 1000 bands miss what remains with seven paths a rung, whether the limit is sampled.

    At most, because a misfit and the skewness only ever widen the band.
    """
    missed = 0
    for rest, truth in remainders(7, np.array([0.2]), sampled=sampled):
        missed += (np.abs(rest.gap - truth) > rest.judged(1.0, 0.95, 7).half).any()
    assert kept(missed) and missed > 5


@pytest.mark.slow
@pytest.mark.parametrize("skewed, paths", [(False, 30), (False, 200), (True, 60), (True, 200)])
def test_what_remains_is_covered_at_all_times(skewed, paths):
    """Assert at most 5 % of 1000 over a grid of step sizes and noise levels, for squares of normal numbers too."""
    missed = 0
    for rest, truth in remainders(paths, np.array([0.2, 0.1]), skewed):
        missed += (np.abs(rest.gap - truth) > rest.judged(1.0, 0.95, paths).half).any()
    assert kept(missed) and missed > 5


def test_a_wrong_limit_is_rejected_with_the_power_of_its_distance():
    """Assert the power of the verdict against a gap of known size, at one time, from its standard error; and none at 0.

    The word "differs" is given if gap - half > margin: probability Phi((truth - margin) / error - quantile).
    """
    rng, error, margin = np.random.default_rng(0), 0.1, 0.2
    for truth in (margin + 1.5 * error, margin + 3 * error):
        hits = 0
        for _ in range(REPEATS):
            gaps, influence = mean_and_influence(truth + error * np.sqrt(400) * rng.standard_normal((400, 1)))
            hits += judged_throughout(gaps, influence, margin, 0.95).verdict == "differs"
        power = norm.cdf((truth - margin) / error - student_quantile(0.95, 399))
        assert binomtest(hits, REPEATS, power).pvalue > 0.01


def test_the_paths_that_would_decide_do_so_more_often_than_not():
    """Assert that four times as many paths as it says decide nearly always, and a tenth of them seldom."""
    rng = np.random.default_rng(1)

    def decided(paths):
        words = [
            judged_throughout(*mean_and_influence(0.3 + rng.standard_normal((paths, 1))), 0.1, 0.95).verdict
            for _ in range(200)
        ]
        return np.mean(np.array(words) == "differs")

    needed = []
    for _ in range(200):
        found = judged_throughout(*mean_and_influence(0.3 + rng.standard_normal((30, 1))), 0.1, 0.95)
        needed.append(found.paths)
    typical = int(np.nanmedian(needed))
    assert 30 < typical < 1000
    assert decided(4 * 97) > 0.9 and 0.35 < decided(97) < 0.65 and decided(10) < 0.2  # 97 = (1.96 / 0.2)^2


@pytest.mark.slow
def test_floors_are_judged_at_their_level():
    """Assert that wrong words are at most 5 % of 1000, with seven and thirty paths a rung.

    On the edge: a ratio of exactly the tolerance is not "agrees"; an excess that falls exactly as slowly as none may
    is neither "floor" nor "differs". Off it the right word is the rule.
    """
    ladder, rng = {"step size": SIZES}, np.random.default_rng(2)

    def words(ratio, paths, spread):
        found = []
        for _ in range(REPEATS):
            values = ratio * (1 + spread * rng.standard_normal((paths, 4)))
            floor = floor_of(
                *mean_and_error(values), np.ones(4), ladder, tolerance=0.05, confidence=0.95, degrees=paths - 1
            )
            found.append(floor.verdict)
        return {word: found.count(word) for word in ("agrees", "floor", "differs", "undecided")}

    for paths in (7, 30):
        edge = words(np.full(4, 1.05), paths, 0.01)
        assert kept(edge["agrees"]) and kept(edge["floor"] + edge["differs"])
        slow = words(1 + 3 * np.sqrt(SIZES / SIZES[0]), paths, 0.2)
        assert kept(slow["floor"]) and kept(slow["differs"]) and kept(slow["agrees"])
    assert words(1 + 10 * SIZES / SIZES[0], 30, 0.1)["floor"] > 950
    assert words(np.full(4, 2.0), 30, 0.1)["differs"] > 950
    assert words(np.full(4, 1.0), 30, 0.02)["agrees"] > 950


def test_a_floor_says_its_level_and_order():
    """Assert ratio, level and exponents of a floor in step size and noise level, and its sentence."""
    sizes, levels = np.array([0.1, 0.05, 0.05]), np.array([0.2, 0.2, 0.1])
    level = 40 * sizes * levels**2
    found = floor_of(
        1e-3 + level, 1e-3 * level, np.full(3, 1e-3), {"step size": sizes, "noise level": levels}, tolerance=0.05,
        confidence=0.95,
    )  # fmt: skip
    assert found.verdict == "floor" and "the limit is approached" in found.sentence
    np.testing.assert_allclose(found.level, level, rtol=1e-12)
    assert abs(found.order["step size"] - 1) < 1e-9 and abs(found.order["noise level"] - 2) < 1e-9
    study = floor_of(
        np.array([2.5e-6, 2.1e-7]), np.array([1e-7, 1e-8]), np.full(2, 1.7e-7), {"noise level": np.array([0.2, 0.1])},
        tolerance=0.05, confidence=0.95, degrees=59,
    )  # fmt: skip
    assert study.verdict == "floor" and study.sentence.startswith("floor: measured is 14.7")
    with pytest.raises(InvalidInput, match="needs a ladder of at least two"):
        floor_of(np.ones(2), np.ones(2), np.ones(2), {"step size": np.ones(2)}, tolerance=0.05, confidence=0.95)
    with pytest.raises(InvalidInput, match="relative to a positive limit, got 0.0"):
        floor_of(np.ones(2), np.ones(2), np.zeros(2), {"step size": SIZES[:2]}, tolerance=0.05, confidence=0.95)
    with pytest.raises(InvalidInput, match="at most 0.1, got 0.5: lower it"):
        relative_tolerance(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("paths", [7, 100])
def test_exponents_of_measured_times_are_covered(paths):
    """Assert that at most 5 % of 1000 intervals miss the exponent -2, from crossings of means of so many paths.

    The mean of a path is 1 - exp(-t), t = step size^2 times the step, its spread a Brownian motion's.
    """
    rng, missed = np.random.default_rng(paths), 0
    fractions = np.unique(np.concatenate([[0.0], np.geomspace(1 / 8, 1, 40)])) * 1.2
    growth = np.sqrt(np.diff(fractions, prepend=0.0))
    for _ in range(REPEATS):
        runs = []
        for size in SIZES:
            paths_found = 1 - np.exp(-fractions) + 0.2 * (growth * rng.standard_normal((paths, 41))).cumsum(axis=1)
            steps = fractions / size**2
            time, error = crossing(steps, *mean_and_error(paths_found), 1 - np.exp(-0.6))
            runs.append(Measurement(time, error, np.nan, 0))
        if not all(np.isfinite([run.time for run in runs])):
            continue
        found = exponent(SIZES, *(np.array([getattr(run, name) for run in runs]) for name in ("time", "error")), 1.0)
        half = student_quantile(0.95, _degrees(found, runs, paths)) * found.errors[0]
        missed += abs(found.coefficients[0] + 2) > half
    assert kept(missed) and missed > 5


def test_an_undecided_floor_says_how_many_paths_would_tell():
    """Assert it of a level of twelve limits at half the noise of one of three: the intervals that so many paths would
    have decide it, and it is decided with no fewer."""
    ladder = {"noise level": np.array([0.069, 0.0345])}
    measured, limit, error = np.array([12.2, 2.8]), np.ones(2), np.array([2.2, 0.9])
    found = floor_of(measured, error, limit, ladder, tolerance=0.1, confidence=0.95, degrees=24)
    assert found.verdict == "undecided"
    paths = float(re.search(r"about (\d+) paths would tell", found.sentence)[1])
    assert 25 < paths < 200
    for share, verdict in ((1.1, "floor"), (0.8, "undecided")):
        scaled = error * np.sqrt(25 / (share * paths))
        assert floor_of(
            measured, scaled, limit, ladder, tolerance=0.1, confidence=0.95, degrees=24
        ).verdict == verdict  # fmt: skip


@pytest.mark.slow
def test_the_verdict_of_manifold_misses_what_remains_at_its_level(monkeypatch):
    """Assert at most 5 % of 1000 comparisons whose band misses what remains, from end to end, with twenty paths.

    What a line leaves at these step sizes is known from a comparison with very many paths, too many for a line to fit
    them. The limit, c_0 exp(-t), is given in closed form to save time.
    """

    def closed(limit, w0, times):
        c = 3.75 * np.exp(-times)
        x = np.sqrt((c + np.sqrt(c**2 + 4)) / 2)
        return np.stack([x, 1 / x], axis=1)

    model, label = zero_loss.Hyperbola(), noise.LabelNoise(0.5)
    process, limit = NoisyGradientDescent(model, label, 0.2), ManifoldLimit(model, label, 0.2)
    np.testing.assert_allclose(
        closed(limit, None, np.array([0.3])), rescaling.limit_points(limit, [2.0, 0.5], np.array([0.3])), rtol=1e-7
    )
    monkeypatch.setattr(rescaling, "limit_points", closed)
    asked = {
        "time": 0.4, "times": 2, "step_sizes": [0.2, 0.16, 0.12], "threads": 1,
        "observables": {"c": lambda w: w[:, 0] ** 2 - w[:, 1] ** 2},
    }  # fmt: skip
    known = manifold(process, limit, [2.0, 0.5], paths=200_000, seed=12345, **asked).dataset
    here = {"against": "the limit", "observable": "c"}
    line = matrix_of(columns_of(np.array(asked["step_sizes"]), np.array([np.nan])))
    errors, spread = (
        known[name].sel(observable="c", noise_level=known["noise_level"][0]).values.reshape(3, 2)
        for name in ("error", "error_error")
    )
    truth = np.array([fit(line, *pair).coefficients[0] for pair in zip(errors.T, spread.T)])
    missed = 0
    for seed in range(REPEATS):
        found = manifold(process, limit, [2.0, 0.5], paths=20, seed=seed, **asked).dataset
        gap, half = found["against_gap"].sel(here).values, found["against_band"].sel(here).values
        missed += (np.abs(gap - truth) > half).any()
    assert kept(missed) and missed > 5
