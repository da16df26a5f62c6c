"""Moments by spectra: those of the steps to rounding, at any horizon, in any unit, and the choice between routes."""

from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest

from sgdlimits import diffusions, discrete, problems
from sgdlimits.exact import routes
from sgdlimits.exact.errors import InvalidInput, OutOfReach, StabilityWarning
from sgdlimits.exact.routes import Method, choose_route
from tests.parameters import slowly

RANDOM = np.random.default_rng(0)
FINITE = problems.LeastSquares.from_arrays(RANDOM.standard_normal((12, 4)), RANDOM.standard_normal(12), ridge=0.2)
PROBLEMS = {
    "finite": FINITE,
    "fewer samples": problems.LeastSquares.from_arrays(RANDOM.standard_normal((3, 5)), RANDOM.standard_normal(3)),
    "one direction": problems.LeastSquares.from_arrays(RANDOM.standard_normal((5, 1)), RANDOM.standard_normal(5)),
    "huge targets": problems.LeastSquares.from_arrays(FINITE.features, 1e8 * FINITE.targets, ridge=0.2),
    "stream": problems.StreamingLeastSquares(RANDOM.random(6) + 0.1, 0.3, RANDOM.standard_normal(6), ridge=0.2),
    "stream, equal and none": problems.StreamingLeastSquares([0.5, 0.0, 0.5, 0.5, 1.0], 0.3, RANDOM.standard_normal(5)),
    "stream, one": problems.StreamingLeastSquares([1.0], 0.0, [0.7]),
}  # fmt: skip
RECORD = [0, 1, 2, 5, 17, 100, 300]


def sides(problem):
    yield discrete.SGD(problem, 0.05, 2, label_noise=0.3)
    yield discrete.SGD(problem, 0.9 / problem.eigenvalues[0])  # factors of both signs
    if isinstance(problem, problems.LeastSquares):
        yield discrete.SGD(problem, 0.05, problem.samples, "without_replacement")
    yield diffusions.HomogenizedSGD(problem, 0.05, 2)
    yield diffusions.ModifiedEquation(problem, 0.05, 2, order=2)


def by(method, monkeypatch, process, *arguments, **options):
    """Moments by one method alone."""
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)
        patch.setattr(routes, "_by_spectrum", lambda equations, usual, *rest: usual if method is None else method)
        return process.moments(*arguments, **options)


CASES = [(name, start) for name in PROBLEMS for start in ("point", "cloud", "minimiser")]
QUICK = {(name, "point") for name in PROBLEMS} | {("finite", "cloud"), ("stream", "cloud"), ("finite", "minimiser")}


@pytest.mark.parametrize(("name", "start"), slowly(CASES, lambda case: case not in QUICK))
def test_spectra_give_what_steps_and_exponentials_give(name, start, monkeypatch):
    """Assert every quantity to 1e-12 of the largest, by eigenproblem and by Krylov space."""
    problem = PROBLEMS[name]
    d = problem.dimension
    x0 = {
        "point": RANDOM.standard_normal(d), "minimiser": problem.minimiser,
        "cloud": (RANDOM.standard_normal(d), np.diag(RANDOM.random(d))),
    }[start]  # fmt: skip
    for process in sides(problem):
        for asked in (("risk",), ("mean", "covariance", "risk")):
            options = {"record": RECORD, "quantities": asked}
            usual = by(None, monkeypatch, process, x0, 300, **options)
            methods = [Method.EIGENPROBLEM]
            if asked == ("risk",) and isinstance(problem, problems.LeastSquares):
                methods.append(Method.KRYLOV)
            for method in methods:
                found = by(method, monkeypatch, process, x0, 300, **options)
                for key in asked:
                    scale = float(np.abs(usual[key]).max())
                    np.testing.assert_allclose(found[key], usual[key], rtol=1e-11, atol=1e-12 * scale, err_msg=key)


def exact_risk(eigenvalues, noise, ridge, truth, step_size, steps):
    """Of SGD with batches of one from 0, by the recurrence of E z^2 about the minimiser in numbers of 60 digits."""
    lam, u = [[mpmath.mpf(x) for x in values] for values in (eigenvalues, truth)]
    eta, rho, sigma = mpmath.mpf(step_size), mpmath.mpf(ridge), mpmath.mpf(noise)
    d, q = len(lam), eta**2
    delta = [-rho * a / (b + rho) for a, b in zip(u, lam)]  # minimiser less truth
    z, fade = [-(a + b) for a, b in zip(u, delta)], [1 - eta * (x + rho) for x in lam]
    matrix = mpmath.matrix(d)
    for i in range(d):
        for j in range(d):
            matrix[i, j] = q * lam[i] * lam[j] + (fade[i] ** 2 + q * lam[i] ** 2 if i == j else 0)
    growth, vectors = mpmath.eigsy(matrix)
    level = sum(x * y**2 for x, y in zip(lam, delta)) + sigma**2
    still = [q * (lam[i] ** 2 * delta[i] ** 2 + lam[i] * level) for i in range(d)]

    def turned(values):
        return [sum(vectors[i, a] * values[i] for i in range(d)) for a in range(d)]

    start, constant, reading = turned([x**2 for x in z]), turned(still), turned(lam)
    pull = turned(lam)
    found = []
    for n in steps:
        total, faded = mpmath.mpf(0), [f**n for f in fade]
        for a in range(d):
            grown = growth[a] ** n
            value = grown * start[a] + (1 - grown) / (1 - growth[a]) * constant[a]
            for j in range(d):
                driven = 2 * q * delta[j] * z[j] * (lam[j] ** 2 * vectors[j, a] + lam[j] * pull[a])
                if driven:
                    value += driven * (grown - faded[j]) / (growth[a] - fade[j])
            total += reading[a] * value
        means = sum(lam[i] * (2 * delta[i] * faded[i] * z[i] + delta[i] ** 2) for i in range(d))
        found.append(float((total + means + sigma**2) / 2))
    return np.array(found)


@pytest.mark.parametrize("ridge", [0.0, 0.05])
@pytest.mark.parametrize("modes", slowly([10, 50], lambda modes: modes > 10))
def test_a_stream_against_sixty_digits(modes, ridge):
    """Assert the risk of a power law to 1e-12 of itself, from step 1 to 1e12."""
    eigenvalues = np.arange(1, modes + 1) ** -1.5
    truth = np.arange(1, modes + 1) ** -0.5
    problem = problems.StreamingLeastSquares(eigenvalues, 0.3, truth, ridge=ridge)
    steps = [1, 10, 1000, 10**5, 10**8, 10**12]
    with mpmath.workdps(60):
        expected = exact_risk(eigenvalues, 0.3, ridge, truth, 0.2, steps)
    risk = discrete.SGD(problem, 0.2).moments(np.zeros(modes), steps[-1], record=steps, quantities=("risk",)).risk
    np.testing.assert_allclose(risk[1:], expected, rtol=1e-12)


def test_ten_thousand_modes_to_any_horizon():
    """Assert the stationary risk at 1e12 steps, no matrix of that size, and the recurrence at its first steps."""
    lam = np.arange(1, 10_001.0) ** -1.1
    problem = problems.StreamingLeastSquares(lam, 0.3, np.arange(1, 10_001.0) ** -0.5)
    sgd = discrete.SGD(problem, 0.5 / lam.sum())
    risk = sgd.moments(np.zeros(10_000), 10**12, record=[1, 2, 3, 10**12], quantities=("risk",)).risk.values
    second, eta = problem.truth**2, sgd.step_size
    for k in range(3):
        level = lam @ second + 0.3**2
        second = (1 - eta * lam) ** 2 * second + eta**2 * (lam**2 * second + lam * level)
        assert risk[k + 1] == pytest.approx(0.5 * (lam @ second + 0.3**2), rel=1e-12)
    share = eta * lam / (2 - 2 * eta * lam)
    assert risk[-1] == pytest.approx(0.5 * 0.3**2 * (1 + share.sum() / (1 - share.sum())), rel=1e-12)
    with pytest.raises(InvalidInput, match="in modes|needs about .* of memory|record fewer"):
        sgd.moments(np.zeros(10_000), 10**12, record=200, quantities=("covariance",))


@pytest.mark.slow
@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_the_recurrence_over_1e5_steps(ridge, monkeypatch):
    """Assert 1e-10 at d = 300 over 1e5 steps, the bound that is promised of 1e12."""
    lam = np.arange(1, 301.0) ** -1.1
    sgd = discrete.SGD(problems.StreamingLeastSquares(lam, 0.3, np.arange(1, 301.0) ** -0.5, ridge=ridge), 0.15)
    record = [1, 30, 1000, 30_000, 100_000]
    found = sgd.moments(np.zeros(300), 10**5, record=record, quantities=("risk",)).risk
    walked = by(None, monkeypatch, sgd, np.zeros(300), 10**5, record=record, quantities=("risk",)).risk
    np.testing.assert_allclose(found, walked, rtol=1e-10)


@pytest.mark.parametrize("name", ["finite", "fewer samples", "stream"])
def test_far_away_is_the_stationary_law(name):
    """Assert mean, covariance and risk at 1e12 steps of every side that has one, on the range of the data."""
    problem = PROBLEMS[name]
    for process in sides(problem):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StabilityWarning)
            if not process.stability().mean_square_stable:
                continue
            law, far = process.stationary(), process.moments(problem.minimiser + 1, 10**12, record=[10**12])
        assert float(far.risk[-1]) == pytest.approx(law.risk, rel=1e-11)
        np.testing.assert_allclose(far.covariance[-1], law.covariance, rtol=1e-9, atol=1e-12)


def test_a_start_far_away_costs_no_digits_of_what_it_leads_to(monkeypatch):
    """Assert the risk of a start at a distance of 1e6 to 1e-11 of itself, early and when it has faded."""
    problem = problems.LeastSquares.gaussian(60, 8, seed=1)
    sgd, record = discrete.SGD(problem, 0.02), [1, 10, 100, 1000, 4000]
    walked = by(None, monkeypatch, sgd, np.full(8, 1e6), 4000, record=record, quantities=("risk",)).risk
    for method in (Method.EIGENPROBLEM, Method.KRYLOV):
        found = by(method, monkeypatch, sgd, np.full(8, 1e6), 4000, record=record, quantities=("risk",)).risk
        np.testing.assert_allclose(found, walked, rtol=1e-11)


@pytest.mark.parametrize("batch", [1, 2**10, 2**24])
def test_small_noise_keeps_its_digits(batch, monkeypatch):
    """Assert covariances to 1e-11 of each entry against the steps, however large the batch."""
    sgd, record = discrete.SGD(FINITE, 0.1, batch), [1, 8, 50]
    walked, found = (
        by(method, monkeypatch, sgd, np.array([3.0, -2.0, 1.0, 0.5]), 50, record=record, quantities=("covariance",))
        for method in (None, Method.EIGENPROBLEM)
    )
    np.testing.assert_allclose(found.covariance[1:], walked.covariance[1:], rtol=1e-11)


def test_past_the_threshold_moments_grow_to_infinity():
    """Assert what the steps give while it is a number, and inf, no nan, beyond."""
    process = discrete.SGD(FINITE, 3.0)
    with pytest.warns(StabilityWarning):
        far = process.moments(np.ones(4), 10**7, record=[10, 10**7])
    assert np.isfinite(far.risk[1]) and np.isinf(far.risk[2]) and not np.isnan(far.covariance).any()


def test_long_runs_leap_and_short_ones_walk():
    """Assert the choice by cost: steps for few, a spectrum for many, a Krylov space where the spectrum is too large."""
    for problem in (FINITE, PROBLEMS["stream"]):
        equations = discrete.SGD(problem, 0.01).second_moments.equations
        assert choose_route(equations, ("risk",), 5, 5).method is Method.STEPS
        assert choose_route(equations, ("risk", "covariance"), 5, 10**6).method is Method.EIGENPROBLEM
    large = discrete.SGD(problems.LeastSquares.gaussian(300, 70, seed=0), 0.01).second_moments.equations
    assert choose_route(large, ("risk",), 50, 10**9).method is Method.KRYLOV
    assert choose_route(large, ("risk",), 50, 10**6).method is Method.CHEBYSHEV
    assert choose_route(large, ("risk",), 50, 10**6, 10).method is Method.KRYLOV
    assert choose_route(large, ("covariance",), 50, 10**6).method is Method.CHEBYSHEV
    momentum = discrete.SGD(FINITE, 0.01, momentum=0.9).second_moments.equations
    assert choose_route(momentum, ("risk",), 5, 10**6).method is Method.POWERS


def test_means_alone_leap_and_walks_of_hours_are_refused():
    """Assert the geometric mean at 1e12 steps, and a sentence before momentum is walked so far."""
    sgd, start = discrete.SGD(PROBLEMS["stream"], 1e-9), np.ones(6)
    mean = sgd.moments(start, 10**12, record=[10**9, 10**12], quantities=("mean",))["mean"]
    modes = PROBLEMS["stream"].to_modes(start) * np.exp(10**9 * np.log1p(-1e-9 * PROBLEMS["stream"].curvatures))
    np.testing.assert_allclose(mean[1], PROBLEMS["stream"].from_modes(modes), rtol=1e-12)
    large = discrete.SGD(problems.LeastSquares.gaussian(300, 70), 1e-3, momentum=0.9)
    with pytest.raises(OutOfReach, match="large matrix in dimension 70, which takes about .* hours, over 3"):
        large.moments(np.zeros(70), 10**12, [10**12])


def test_a_risk_that_a_krylov_space_cannot_reach_is_said(monkeypatch):
    """Assert a sentence where the largest space is too small."""
    from sgdlimits.exact import moment_spectra

    monkeypatch.setattr(moment_spectra, "LARGEST_KRYLOV", 5)
    monkeypatch.setattr(moment_spectra, "KRYLOV_BLOCK", 2)
    hard = problems.LeastSquares.from_arrays(
        RANDOM.standard_normal((30, 8)) * np.geomspace(1, 1e-3, 8), RANDOM.standard_normal(30)
    )
    with pytest.raises(OutOfReach, match="does not settle within 5 Krylov vectors: ask for fewer steps"):
        by(Method.KRYLOV, monkeypatch, discrete.SGD(hard, 0.5), np.zeros(8), 10**6, quantities=("risk",))
