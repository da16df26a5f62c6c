"""Distances between laws: exact cases, and intervals that cover."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sgdlimits.compare.distances import EmpiricalLaw, ExactLaw, gelbrich, kolmogorov_smirnov, wasserstein


def random_covariance(generator, dimension, rank=None):
    root = generator.standard_normal((dimension, rank or dimension))
    return root @ root.T


@given(seed=st.integers(0, 2**32), dimension=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_gelbrich_equals_the_bures_formula(seed, dimension):
    """Assert the textbook formula |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2)."""
    from scipy.linalg import sqrtm

    generator = np.random.default_rng(seed)
    first, second = random_covariance(generator, dimension), random_covariance(generator, dimension)
    shift = generator.standard_normal(dimension)
    root = np.real(sqrtm(first))
    expected = shift @ shift + np.trace(first + second - 2 * np.real(sqrtm(root @ second @ root)))
    found = gelbrich(np.zeros(dimension), first, shift, second)
    assert found**2 == pytest.approx(expected, rel=1e-6)


def test_gelbrich_is_exact_for_commuting_and_degenerate_covariances():
    """Assert the closed form for diagonal covariances, zero ones included, and zero for equal laws."""
    a, b = np.array([4.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.25])
    found = gelbrich(np.zeros(3), np.diag(a), np.array([0.0, 0.0, 2.0]), np.diag(b))
    assert found == pytest.approx(np.sqrt(4 + np.square(np.sqrt(a) - np.sqrt(b)).sum()), rel=1e-12)
    generator = np.random.default_rng(1)
    covariance = random_covariance(generator, 5, rank=2)
    assert gelbrich(np.ones(5), covariance, np.ones(5), covariance) < 1e-7


def test_gelbrich_resolves_nearby_laws():
    """Assert that a relative change of 1e-9 is measured, not lost to cancellation."""
    generator = np.random.default_rng(2)
    covariance = random_covariance(generator, 4)
    found = gelbrich(np.zeros(4), covariance, np.zeros(4), covariance * (1 + 1e-9) ** 2)
    assert found == pytest.approx(1e-9 * np.sqrt(np.trace(covariance)), rel=1e-4)


def rejected(held, repetitions, level=0.95):
    """Whether a binomial test rejects a coverage of at least `level`: at 0.5 %, the lower side of a test at 1 %."""
    from scipy.stats import binom

    return binom.cdf(held, repetitions, level) < 0.005


@pytest.mark.slow
def test_wasserstein_interval_covers_and_rejects():
    """Assert 95 % coverage of a shift, and of zero for equal laws, 1000 times; a third of the width must fail.

    Only the lower side is tested: the triangle inequality covers more by design.
    """
    generator, held = np.random.default_rng(3), {"shift": 0, "third": 0, "equal": 0}
    for repeat in range(1000):
        first, second = generator.standard_normal((2, 100))
        law, shifted, same = (EmpiricalLaw(x, repeat, 60) for x in (first, second + 0.6, second))
        distance = wasserstein(law, shifted)
        held["shift"] += distance.lower <= 0.6 <= distance.upper
        held["third"] += abs(distance.value - 0.6) <= (distance.upper - distance.value) / 3
        held["equal"] += wasserstein(law, same).lower == 0
    assert not rejected(held["shift"], 1000) and not rejected(held["equal"], 1000)
    assert rejected(held["third"], 1000)
    assert wasserstein(law, EmpiricalLaw(second + 2)).lower > 0.5


def test_kolmogorov_smirnov_interval_covers_and_rejects():
    """Assert the value against scipy's, and over 1000 repetitions coverage of the true distance of two exponentials.

    Only the lower side is tested: two bands are added, which covers more by design; a third of the width must fail.
    """
    from scipy.optimize import minimize_scalar
    from scipy.stats import ks_2samp

    rate = 1.5
    truth = -minimize_scalar(lambda x: np.exp(-rate * x) - np.exp(-x), bounds=(0, 5), method="bounded").fun
    generator, held, narrow = np.random.default_rng(4), 0, 0
    for _ in range(1000):
        first, second = generator.exponential(1, 500), generator.exponential(1 / rate, 700)
        distance = kolmogorov_smirnov(EmpiricalLaw(first), EmpiricalLaw(second))
        held += distance.lower <= truth <= distance.upper
        narrow += abs(distance.value - truth) <= (distance.upper - distance.value) / 3
    assert not rejected(held, 1000) and rejected(narrow, 1000)
    assert distance.value == pytest.approx(ks_2samp(first, second).statistic, abs=1e-12)
    assert kolmogorov_smirnov(EmpiricalLaw(first), EmpiricalLaw(second + 1)).lower > 0.2


def test_the_dkw_margin_has_massarts_constant():
    """Assert that each sample's band errs with probability 2 exp(-2 n margin^2), half of 5 % to each of two samples."""
    n, m = 300, 700
    samples = [EmpiricalLaw(np.arange(n) / n), EmpiricalLaw(np.arange(m) / m)]
    found = kolmogorov_smirnov(*samples, confidence=0.95)
    margins = [np.sqrt(np.log(2 / 0.025) / (2 * size)) for size in (n, m)]
    assert [2 * np.exp(-2 * size * e**2) for size, e in zip((n, m), margins)] == pytest.approx([0.025, 0.025])
    assert found.upper - found.value == pytest.approx(sum(margins), rel=1e-12)


@pytest.mark.slow
def test_wasserstein_interval_against_a_known_law_covers():
    """Assert 95 % coverage of zero for samples of the law itself, 1000 times: nothing is conservative there.

    Half the width must fail.
    """
    generator, law, held, half = np.random.default_rng(8), ExactLaw(norm()), 0, 0
    for repeat in range(1000):
        found = wasserstein(EmpiricalLaw(generator.standard_normal(200), repeat), law)
        held += found.lower == 0
        half += found.value <= (found.upper - found.value) / 2
    assert not rejected(held, 1000) and rejected(half, 1000)


def test_the_wasserstein_margin_is_at_the_level_of_each_sample():
    """Assert the bootstrap of coin flips against binomial quantiles: at 97.5 % for each of two samples, not at 95 %."""
    from scipy.stats import binom

    n = 400
    coin = np.repeat([0.0, 1.0], n // 2)
    first, second = (EmpiricalLaw(coin, seed, 4000) for seed in (1, 2))
    found = wasserstein(first, second, confidence=0.95)
    exact = binom(n, 0.5).ppf(1 - 0.025 / 2) / n - 0.5  # |flips / n - 1/2| stays below it with probability 97.5 %
    wrong = binom(n, 0.5).ppf(1 - 0.05 / 2) / n - 0.5
    assert found.value == 0 and found.upper / 2 == pytest.approx(exact, abs=0.0026)
    assert abs(found.upper / 2 - wrong) > 0.004


def test_a_sample_without_variety_says_nothing_of_the_distance():
    """Assert that two samples which have not seen a rare atom give [0, inf], not [0, 0]; known constants do not."""
    never = [EmpiricalLaw(np.zeros(500), seed) for seed in (1, 2)]
    assert (wasserstein(*never).lower, wasserstein(*never).upper) == (0.0, np.inf)
    still = [EmpiricalLaw(np.full(500, x), certain=True) for x in (0.0, 0.25)]
    assert (wasserstein(*still).lower, wasserstein(*still).upper) == (0.25, 0.25)
