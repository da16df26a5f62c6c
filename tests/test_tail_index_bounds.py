"""Tail indices of homogenized SGD and of the true-covariance equation: exact solvers, bounds, refusals, simulation."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.linalg import eigvals
from scipy.stats import binom

from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation, tail_populations, tails
from sgdlimits.diffusions.tail_populations import population_index
from sgdlimits.ensembles.populations import Growth
from sgdlimits.exact import direction_spaces
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach, PositiveLyapunovExponent
from sgdlimits.exact.moment_exponents import LinearNoise
from sgdlimits.exact.monomials import exponents
from sgdlimits.exact.polynomial_moments import PolynomialMoments
from sgdlimits.problems import LeastSquares, StreamingLeastSquares
from tests.parameters import slowly


def stream(variances, ridge=0.0, noise=1.0):
    variances = np.asarray(variances, dtype=float)
    return StreamingLeastSquares(variances, noise, np.ones(variances.size), ridge)


def threshold(variances, ridge, batch_size):
    """gamma_c = 2 B / tr(H^2 K^-1)."""
    return 2 * batch_size / (np.square(variances) / (variances + ridge)).sum()


def random_cases(count, seed=12):
    """Every third above the threshold; d = 2, 3, ridge and batches among them."""
    draws = np.random.Generator(np.random.Philox(seed))
    for place in range(count):
        variances = np.sort(draws.uniform(0.05, 1, 2 + place % 2))[::-1]
        ridge, batch_size = float(draws.choice([0, 0.05, 0.3])), int(draws.choice([1, 2, 5]))
        share = draws.uniform(1.02, 1.3) if place % 3 == 0 else draws.uniform(0.2, 0.98)
        step = share * threshold(variances, ridge, batch_size)
        yield HomogenizedSGD(stream(variances, ridge), step, batch_size), share


@pytest.mark.parametrize("count", slowly([24, 200], lambda count: count > 100))
def test_bounds_contain_the_exact_index(count):
    """Assert it in random cases on both sides of the threshold, few of them void, and that wrong bounds fail."""
    above, telling, missed, closer = 0, 0, 0, 0
    for process, share in random_cases(count):
        bounds, found = process.tail_index_bounds(), process.tail_index()
        lower, upper = bounds
        assert found.error < 1e-6
        assert lower - found.error <= found.index <= min(upper, bounds.sharpest_upper) + found.error
        assert bounds.lower_proved and bounds.upper_proved
        assert bounds.regime == ("below the threshold" if share < 1 else "above the threshold")
        above, telling = above + (share > 1), telling + (not bounds.void)
        missed += not lower <= found.index <= upper - 0.5 * (upper - lower)  # half of the interval must not do
        # The formulas of below, kept above the threshold.
        problem, size, batch = process.problem, process.step_size, process.batch_size
        kappa = np.square(problem.eigenvalues) / problem.curvatures
        closer += share > 1 and not 2 + (2 * batch / size - kappa.sum()) / kappa.max() <= found.index
    assert above >= count // 4 and telling >= 3 * count // 4
    assert missed > count // 10 and closer == above


def test_the_numbers_of_two_dimensions():
    """Assert bounds and index of eigenvalues (1, 0.4), ridge 0.1 at two step sizes, and the same for B and label noise.

    The bounds are formula hsgd-tail-bounds.
    """
    for step, lower, upper, index in ((0.8, 3.398, 3.75, 3.5737155336), (1.2, 2.48133333, 2.83333333, 2.582462348)):
        process = HomogenizedSGD(stream([1, 0.4], 0.1), step)
        for other in (process, HomogenizedSGD(stream([1, 0.4], 0.1, 0.0), 3 * step, 3, label_noise=0.7)):
            assert tuple(other.tail_index_bounds()) == pytest.approx((lower, upper), rel=1e-8)
            found = other.tail_index()
            assert found.index == pytest.approx(index, abs=1e-9) and found.error < 1e-9
            assert found.lyapunov_exponent < 0 and "spectral" in found.method


def test_at_the_threshold_the_index_is_two():
    """Assert 2 exactly from the bounds, to rounding from the spectrum, in two to six dimensions."""
    for d, ridge in itertools.product((2, 3, 6), (0.0, 0.2)):
        variances = np.linspace(1, 0.3, d)
        process = HomogenizedSGD(stream(variances, ridge), threshold(variances, ridge, 1))
        assert tuple(process.tail_index_bounds()) == (2, 2)
        assert process.tail_index_bounds().regime == "at the threshold"
        assert process.tail_index().index == pytest.approx(2, abs=1e-9)
        assert process.stability().mean_square_threshold == pytest.approx(process.step_size, rel=1e-12)


@pytest.mark.parametrize("order", (1, 2))
def test_closed_forms(order):
    """Assert one dimension, where both bounds meet, and equal variances; nearly equal ones go to the same number."""
    for d, step in itertools.product((1, 2, 5), (0.1, 0.9)):
        process = HomogenizedSGD(stream(np.full(d, 0.7), 0.2), step, 5, drift_order=order)
        rate = (0.9 + (order - 1) * step * 0.9**2 / 2) * step
        index = 2 - d + 10 * rate / (step * 0.7) ** 2
        assert process.tail_index().index == pytest.approx(index, rel=1e-13)
        bounds = process.tail_index_bounds()
        assert bounds.lower <= index * (1 + 1e-12) and index <= bounds.upper * (1 + 1e-12)
        assert bounds.lower == pytest.approx(index, rel=1e-12) == bounds.sharpest_upper
        if 1 < d < 5:
            near = HomogenizedSGD(stream(0.7 + 1e-9 * np.arange(d), 0.2), step, 5, drift_order=order)
            assert near.tail_index().index == pytest.approx(index, rel=1e-7)


def test_true_covariance_on_a_stream():
    """Assert B (lambda + ridge) / (step lambda^2) - (d - 3) / 2 for equal variances, and that nearly equal ones agree.
    """
    for d, batch, ridge in itertools.product((1, 2, 3, 4), (1, 3), (0.0, 0.2)):
        index = batch * (0.8 + ridge) / (0.3 * 0.8**2) - (d - 3) / 2
        assert ModifiedEquation(stream(np.full(d, 0.8), ridge), 0.3, batch).tail_index().index == pytest.approx(index)
        if d > 1:
            near = ModifiedEquation(stream(0.8 + 1e-9 * np.arange(d), ridge), 0.3, batch)
            assert near.tail_index().index == pytest.approx(index, rel=1e-7)


def even_exponent(noise, order):
    """Growth of moments of an even order, from their closed equations; the noise's own part adds to the diagonal."""
    nothing = np.zeros(noise.dimension)
    moments = PolynomialMoments(noise.rates, noise.spread, nothing, noise.coupling, 0.0, order)
    alpha = moments.exponents
    kept = (alpha.sum(axis=1) == order) & (alpha % 2 == 0).all(axis=1)
    own = np.square(alpha @ noise.own) - alpha @ np.square(noise.own)
    move = moments.generator.toarray() + np.diag(own / 2)
    return np.linalg.eigvals(move[np.ix_(kept, kept)]).real.max()


@pytest.mark.parametrize("covariance", (False, True))
@pytest.mark.parametrize("d", (2, 3, 4))
def test_even_moments_agree_with_the_spectrum(d, covariance):
    """Assert closed equations of moments of order 2, 4, 6 against the spectrum on polynomials of higher degree, and
    order 2 against the moment equations of this package.
    """
    problem = stream(np.linspace(1, 0.3, d), 0.1)
    process = (ModifiedEquation if covariance else HomogenizedSGD)(problem, 0.4)
    map_ = process.noise_map
    noise = LinearNoise(process.rates, 0.16 * map_.spread, map_.coupling, 0.4 * map_.own)
    for order in (2, 4, 6):
        pencil = noise.pencil(exponents(order // 2 + 2, d))
        top = np.max(eigvals(pencil.at(order), pencil.mass).real)
        assert top == pytest.approx(even_exponent(noise, order), abs=1e-11)
    move = np.diag(-2 * process.rates) + 0.16 * np.array([map_.variances(e, 0 * e) for e in np.eye(d)]).T
    move -= 0.16 * map_.variances(np.zeros(d), np.zeros(d))[:, None]
    assert np.linalg.eigvals(move).real.max() == pytest.approx(even_exponent(noise, 2), abs=1e-12)


def test_an_index_of_four_where_the_fourth_moments_say_so():
    """Assert it: the step size at which the closed equation of order 4 has the growth 0 is solved for first."""
    from scipy.optimize import brentq

    problem = stream([1, 0.6, 0.2], 0.05)
    h, k = problem.eigenvalues, problem.curvatures

    def growth(step):
        return even_exponent(LinearNoise(step * k, step**2 * h, h, 0 * h), 4)

    step = brentq(growth, 0.1, 1.0, xtol=1e-14)
    assert HomogenizedSGD(problem, step).tail_index().index == pytest.approx(4, abs=1e-9)


def test_ten_dimensions_without_sampling():
    """Assert small errors, and what all polynomials of degree 4 gave, which is another space of functions."""
    for variances, ridge, other in ((np.arange(10, 0, -1) / 10, 0, 3.55752), (np.arange(1, 11.0) ** -1.5, 0.1, 2.4943)):
        process = HomogenizedSGD(stream(variances, ridge), 0.85 * threshold(variances, ridge, 1))
        found = process.tail_index()
        assert found.index == pytest.approx(other, abs=1e-4) and found.error < 1e-3
        lower, upper = process.tail_index_bounds()
        assert lower < found.index < upper


@pytest.mark.slow
def test_a_hundred_dimensions_without_sampling():
    """Assert 5 % for the spectrum 1 / i, where the threshold is known to give 2 exactly."""
    variances = 1 / np.arange(1.0, 101.0)
    for share in (0.85, 1.0):
        process = HomogenizedSGD(stream(variances, 0.01), share * threshold(variances, 0.01, 1))
        found = process.tail_index()
        assert ("spectral" in found.method or share == 1) and found.error < 0.05 * found.index
        assert share < 1 or found.index == pytest.approx(2, abs=1e-6)


@pytest.mark.slow
def test_populations_agree_with_the_spectrum():
    """Assert that the exact index lies within the error of population dynamics, which is below 10 %."""
    variances = np.array([1, 0.7, 0.5, 0.4])
    process = HomogenizedSGD(stream(variances, 0.1), 0.9 * threshold(variances, 0.1, 1))
    noise, exact = tails.linear_noise(process), process.tail_index()
    found = population_index(process, noise, 3.0, 1, None)
    assert abs(found.index - exact.index) < found.error < 0.1 * exact.index
    assert "population" in found.method


@pytest.mark.slow
def test_intervals_of_populations_cover(monkeypatch):
    """Assert 99 % where the index is exactly 2, from a guess far off; a tenth of the interval does not hold it."""
    monkeypatch.setattr(tail_populations, "COARSE", (128, 2))
    monkeypatch.setattr(tail_populations, "FINE", (128, 4))
    variances = np.linspace(1, 0.8, 5)
    process = HomogenizedSGD(stream(variances), threshold(variances, 0.0, 1))
    noise = tails.linear_noise(process)
    assert noise.search_start > 4
    runs = [population_index(process, noise, noise.search_start, seed, 1) for seed in range(20)]
    held = [sum(abs(run.index - 2) < part * run.error for run in runs) for part in (1, 0.1)]
    assert binom(20, 0.99).cdf(held[0]) > 0.005 > binom(20, 0.99).cdf(held[1])


def test_populations_without_a_root_say_what_they_saw():
    """Assert growth at small orders as no law, growth at none as an index beyond sight, and the root between."""
    def rates(function):
        return lambda order: Growth(function(order), 0.0, 0.0, 0.99, 0.0, 0.0, 9.0, 8, 8, 2)

    for root in (0.3, 2.0, 50.0):
        for start in (0.1, 3.0, 60.0):
            found = tail_populations._search("it", rates(lambda p, at=root: p * (p - at)), start)
            assert found == pytest.approx(root, rel=0.05)
    with pytest.raises(PositiveLyapunovExponent, match="moments of that order grow") as caught:
        tail_populations._search("it", rates(lambda p: p * (p + 1)), 3.0)
    assert caught.value.lyapunov_exponent > 1
    with pytest.raises(OutOfReach, match="over 64"):
        tail_populations._search("it", rates(lambda p: -p), 3.0)


def test_what_has_no_index_is_refused():
    """Assert a sentence and its class for every kind."""
    with pytest.raises(PositiveLyapunovExponent, match="does not|not below zero") as caught:
        HomogenizedSGD(stream([1, 0.4, 0.3]), 8.0).tail_index()
    assert caught.value.lyapunov_exponent > 0 and isinstance(caught.value, NoStationaryLaw)
    with pytest.raises(PositiveLyapunovExponent):
        HomogenizedSGD(stream(np.ones(5)), 8.0).tail_index()
    with pytest.raises(PositiveLyapunovExponent, match="grow"):
        HomogenizedSGD(stream(np.ones(5)), 8.0).tail_index_bounds()
    with pytest.raises(NoStationaryLaw, match="negative curvature"):
        HomogenizedSGD(stream([1, 0.4], -0.5), 0.1).tail_index_bounds()
    with pytest.raises(NoStationaryLaw, match="run away"):
        HomogenizedSGD(stream([1, 0], -0.1), 0.1).tail_index()
    flat = HomogenizedSGD(stream([0, 0], 0.1), 0.1)
    scheduled = HomogenizedSGD(stream([1, 0.4]), lambda k: 0.1)
    for process, says in ((flat, "data are all zero"), (scheduled, "schedule")):
        for ask in (process.tail_index, process.tail_index_bounds):
            with pytest.raises(InvalidInput, match=says):
                ask()


def test_without_risk_at_the_minimiser_nothing_is_left_of_the_law():
    """Assert an infinite index that names the moments which fall to zero, and that the bounds are refused."""
    fitted = LeastSquares.from_arrays(np.array([[1.0, 0.2], [0.3, 1.0]]), np.array([1.0, 2.0]))
    noisy = HomogenizedSGD(fitted, 0.5, label_noise=0.1).tail_index()
    found = HomogenizedSGD(fitted, 0.5).tail_index()
    assert found.index == np.inf and f"below {noisy.index:.6g}" in found.note and noisy.note == ""
    with pytest.raises(InvalidInput, match="dies with"):
        HomogenizedSGD(fitted, 0.5).tail_index_bounds()


def test_frozen_directions_and_noise_against_a_negative_curvature():
    """Assert that a direction without data changes nothing, and the closed form in one dimension below index one."""
    full, frozen = (HomogenizedSGD(stream(v), 0.8) for v in ([1, 0.4], [1, 0.4, 0]))
    assert frozen.tail_index().index == pytest.approx(full.tail_index().index, abs=1e-10)
    assert tuple(frozen.tail_index_bounds()) == pytest.approx(tuple(full.tail_index_bounds()))
    unstable = HomogenizedSGD(stream([1.0], -1.1), 0.5).tail_index()
    assert unstable.index == pytest.approx(1 - 2 * 0.1 / 0.5)


def test_the_index_falls_with_the_step_size_and_rises_with_the_batch():
    """Assert both on a grid of three dimensions, above the threshold too."""
    problem = stream([1, 0.5, 0.2], 0.1)
    at = {(s, b): HomogenizedSGD(problem, s, b).tail_index().index for s in (0.4, 1.0, 1.6) for b in (1, 2)}
    for batch in (1, 2):
        assert at[0.4, batch] > at[1.0, batch] > at[1.6, batch]
    assert all(at[s, 2] > at[s, 1] for s in (0.4, 1.0, 1.6))


@pytest.mark.slow
def test_the_error_of_a_coarse_degree_is_honest(monkeypatch):
    """Assert that with few degrees the reported error covers the distance to the converged root."""
    variances = np.array([1, 0.1, 0.03])
    for share in (0.3, 0.8, 1.2):
        process = HomogenizedSGD(stream(variances, 0.02), share * threshold(variances, 0.02, 1))
        exact = process.tail_index()
        for last in (4, 6, 10):
            monkeypatch.setattr(direction_spaces, "DEGREES", tuple(range(1, last)))
            coarse = process.tail_index()
            assert abs(coarse.index - exact.index) <= coarse.error + exact.error
        monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.parametrize("step", (0.8, 1.2))
def test_hill_sees_the_index(step):
    """Assert 10 % at 0.3 % of 10^5 independent chains by exponential Euler; the index of another step size fails."""
    process = HomogenizedSGD(stream([1, 0.4], 0.1), step)
    run = process.simulate(
        np.zeros(2), 120, 100_000, observables={"first": lambda x: np.abs(x[:, 0] - process.problem.minimiser[0])},
        record=[120], solver="ninomiya_victoir", substeps=4, seed=3,
    )  # fmt: skip
    top = np.sort(run["first"].values.ravel())[-301:]
    hill = 1 / np.mean(np.log(top[1:] / top[0]))
    assert hill == pytest.approx(process.tail_index().index, rel=0.15)
    other = dataclasses.replace(process, step_size=0.5).tail_index().index
    assert abs(hill - other) > 0.2 * other
