"""Indices of a random factor on a line: laws of every shape against closed moments, roots near 0, what is refused."""

import math

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import betaln, digamma, gammaln, hyp1f1

from sgdlimits.discrete import SGD, kesten_index, tail_exponent_bounds
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach
from sgdlimits.exact.moment_growth import isotropic_growth
from sgdlimits.problems import LeastSquares, StreamingLeastSquares


def student(freedom, scale):
    def growth(s):
        parts = gammaln((s + 1) / 2) + gammaln((freedom - s) / 2) - gammaln(freedom / 2)
        return s * math.log(scale) + s / 2 * math.log(freedom) + parts - math.log(math.pi) / 2

    return stats.t(freedom, scale=scale), growth, freedom


def pareto(exponent, scale):
    return stats.pareto(exponent, scale=scale), lambda s: s * math.log(scale) - math.log1p(-s / exponent), exponent


def gamma(shape, scale):
    return stats.gamma(shape, scale=scale), lambda s: s * math.log(scale) + gammaln(shape + s) - gammaln(shape), 1e3


def beta(a, b, scale):
    return stats.beta(a, b, scale=scale), lambda s: s * math.log(scale) + betaln(a + s, b) - betaln(a, b), 1e3


def inverse_gamma(shape, scale):
    def growth(s):
        return s * math.log(scale) + gammaln(shape - s) - gammaln(shape)

    return stats.invgamma(shape, scale=scale), growth, shape


def log_logistic(exponent, scale):
    def growth(s):
        return s * math.log(scale) - math.log(np.sinc(s / exponent))

    return stats.fisk(exponent, scale=scale), growth, exponent


HEAVY = [student(3, 0.1), student(3, 0.5), student(10, 0.3), student(1, 0.01), pareto(6, 0.5), pareto(3, 0.3),
         pareto(200, 0.9), inverse_gamma(3, 0.8), log_logistic(4, 0.5)]  # fmt: skip
LIGHT = [gamma(10, 0.05), gamma(2, 0.3), gamma(0.01, 1.0), gamma(0.01, 40.0), beta(0.5, 0.5, 2.0), beta(0.1, 0.3, 2.0)]


@pytest.mark.parametrize(("law", "growth", "end"), HEAVY + LIGHT)
def test_laws_with_closed_moments(law, growth, end):
    """Assert ten digits of the root, below the order from which on moments are infinite, and that its error holds."""
    exact = optimize.brentq(growth, 0.05, end * (1 - 1e-15), xtol=1e-14, rtol=1e-15)
    found = kesten_index(law)
    assert not found.note and found.index < end and found.index == pytest.approx(exact, rel=1e-10)
    assert abs(found.index - exact) <= found.error + 1e-13 * exact and found.error < 1e-8 * exact


def test_lognormal_factors_near_and_far():
    """Assert -2 m / v over sixteen decades: formula kesten-index in closed form."""
    for mean, width in ((-1e-10, 1.0), (-1e-6, 1.0), (-0.5, 0.2), (-2.0, 0.3), (-1.0, 0.015), (-30.0, 10.0)):
        scale = np.exp(mean)
        found, exact = kesten_index(stats.lognorm(width, scale=scale)), -2 * math.log(scale) / width**2
        assert abs(found.index - exact) <= found.error + 1e-12 * exact
        assert found.error < 1e-8 * exact + 1e-13


def test_the_lyapunov_exponent_of_a_law_with_most_of_it_near_zero():
    """Assert E log |A| where a tenth of a percent lies below the smallest number."""
    found = kesten_index(stats.gamma(0.01))
    assert found.lyapunov_exponent == pytest.approx(digamma(0.01), rel=1e-12)


def test_a_density_with_jumps():
    """Assert the root of a histogram's moments."""
    edges, counts = np.array([0.0, 0.2, 0.5, 1.3, 1.5]), np.array([1, 3, 2, 2])

    def moment(s):
        parts = np.diff(edges ** (s + 1)) / (s + 1) / np.diff(edges)
        return counts @ parts / counts.sum() - 1

    found = kesten_index(stats.rv_histogram((counts, edges), density=False))
    exact = optimize.brentq(moment, 0.5, 30.0, xtol=1e-13)
    assert abs(found.index - exact) <= found.error < 1e-8


def test_a_lower_bound_from_a_heavy_law_holds():
    """Assert that the bound is the index on a line, below the law's own tail exponent."""
    bounds = tail_exponent_bounds(stats.t(3, scale=0.1), stats.t(3, scale=0.05))
    assert bounds.lower.value == pytest.approx(kesten_index(stats.t(3, scale=0.1)).index, rel=1e-12)
    assert bounds.lower.value < bounds.upper.value < 3 and bounds.lower.error < 1e-8


def test_a_law_without_any_moment():
    """Assert that a log-Cauchy factor is refused, by what is wrong with it."""

    class LogCauchy(stats.rv_continuous):
        def _pdf(self, x):
            return 1 / (x * np.pi * (1 + (np.log(x) + 5) ** 2))

        def _ppf(self, q):
            return np.exp(np.clip(-5 + np.tan(np.pi * (q - 0.5)), -700, 700))

    with pytest.raises(OutOfReach, match="no moment of positive order is finite"):
        kesten_index(LogCauchy(a=0.0)())


def test_support_decides_whether_a_factor_exceeds_one():
    """Assert finite or unseen indices where the support is unbounded, and an infinite one where it ends at 1."""
    narrow = kesten_index(stats.norm(0.5, 0.05))
    growth = math.log(0.005) / 2 * narrow.index + math.lgamma((narrow.index + 1) / 2) - math.log(math.pi) / 2
    growth += math.log(hyp1f1(-narrow.index / 2, 0.5, -50.0))
    assert narrow.index == pytest.approx(481.612669245, rel=1e-9) and growth == pytest.approx(0, abs=1e-9)
    bounds = tail_exponent_bounds(stats.norm(0.5, 0.05), stats.norm(0.5, 0.05))
    assert list(bounds) == pytest.approx([narrow.index] * 2, rel=1e-12) and not bounds.void
    with pytest.raises(OutOfReach, match="over 1e.04"):
        kesten_index(stats.norm(0, 1e-3))
    far = tail_exponent_bounds(stats.norm(0, 1e-3)).lower
    assert far.value == 1e4 and "or more" in str(far) and "beyond the method" in far.reason
    with pytest.raises(OutOfReach, match="over 200"):
        SGD(StreamingLeastSquares([[1.0]], 0.3, [1.0]), 1e-6).tail_index()
    assert math.isinf(kesten_index(stats.uniform(-0.9, 1.9)).index)
    assert "never exceeds 1" in tail_exponent_bounds(stats.uniform(0, 1)).lower.reason


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-8, 1e-9, 1e-12])
def test_small_roots_keep_their_digits(gap):
    """Assert log2((1 + 2 gap) / (1 - 2 gap)) of factors 2 and 1 / 2, to what rounding of probabilities leaves."""
    low, high = 0.5 - gap, 0.5 + gap
    found, exact = kesten_index(([2.0, 0.5], [low, high])), math.log1p((high - low) / low) / math.log(2)
    assert abs(found.index - exact) <= found.error < 1e-14 + 1e-9 * exact
    assert 0 < found.lyapunov_error < 1e-14


def test_a_line_at_its_threshold():
    """Assert that the index falls in proportion to the way that is left to the threshold, with its error."""
    sgd, found = StreamingLeastSquares([[1.0]], 0.3, [1.0]), []
    edge = optimize.brentq(lambda size: isotropic_growth(1, 1.0, size, 1).exponent, 2.0, 3.0, xtol=1e-15)
    for part in (1e-4, 1e-6, 1e-8):
        found.append(SGD(sgd, edge * (1 - part)).tail_index())
        assert found[-1].index / part == pytest.approx(0.792, abs=2e-3) and found[-1].error < 1e-3 * found[-1].index


def test_an_exponent_that_cannot_be_told_from_zero_is_refused():
    """Assert it of factors 1 / 2 and -2 up to rounding, and not a little below."""
    problem = LeastSquares.from_arrays([[1.0], [math.sqrt(6)]], [1.0, 2.0])
    with pytest.raises(NoStationaryLaw, match="cannot be told from 0"):
        SGD(problem, 0.5).tail_index()
    assert SGD(problem, 0.5 - 1e-9).tail_index().index == pytest.approx(2.0813689810e-9, rel=1e-4)
    with pytest.raises(NoStationaryLaw):
        kesten_index([2.0, 0.5])


def test_a_density_that_is_not_one():
    """Assert a sentence."""

    class Half:
        def pdf(self, x):
            return 0.5 * stats.norm.pdf(x)

        def ppf(self, q):
            return stats.norm.ppf(q)

    with pytest.raises(InvalidInput, match="adds up to 0.5"):
        kesten_index(Half())


def test_probabilities_that_are_none():
    """Assert a sentence for a sum that is not 1 and for one below 0, and that rounding passes."""
    for law, said in (
        (([1.0, 2.0], [0.5, 0.6]), "must add up to 1, got 1.1"),
        ((np.ones((2, 1, 1)), [0.5, 0.4]), "must add up to 1, got 0.9"),
        (([1.0, 2.0], [-0.5, 1.5]), "must not be below 0, got -0.5"),
        (([1.0, 2.0], [1.0]), r"got shapes \(2,\) and \(1,\)"),
    ):
        with pytest.raises(InvalidInput, match=said):
            kesten_index(law)
    assert kesten_index(([2.0, 0.3, 0.3], [0.1] + [0.45] * 2)).index > 1
