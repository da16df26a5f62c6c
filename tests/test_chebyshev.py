"""Covariances by Chebyshev polynomials: those of the steps to rounding, whatever fades or grows on the way."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from sgdlimits import discrete, problems
from sgdlimits.exact import routes
from sgdlimits.exact.errors import OutOfReach, StabilityWarning
from sgdlimits.exact.routes import Method, choose_route
from tests.parameters import slowly

RANDOM = np.random.default_rng(3)
A, B, X = RANDOM.standard_normal((15, 6)), RANDOM.standard_normal(15), RANDOM.standard_normal(6)
PROBLEMS = {
    "finite": problems.LeastSquares.from_arrays(A, B),
    "ridge": problems.LeastSquares.from_arrays(A, B, ridge=0.3),
    "ridge below zero": problems.LeastSquares.from_arrays(A, B, ridge=-0.6),
    "fewer samples": problems.LeastSquares.from_arrays(A[:4], B[:4]),
    "no residuals": problems.LeastSquares.from_arrays(A, A @ X),
    "far apart": problems.LeastSquares.from_arrays(A * np.geomspace(1, 1e-4, 6), B),
    "one direction": problems.LeastSquares.from_arrays(A[:, :1], B),
    "nothing": problems.LeastSquares.from_arrays(np.zeros((3, 2)), B[:3]),
}
RECORD = [0, 1, 2, 3, 10, 57, 300, 1000, 1001]


def sides(problem):
    top = max(float(problem.eigenvalues[0]), 1e-3)
    yield discrete.SGD(problem, 0.01 / top, label_noise=0.3)
    yield discrete.SGD(problem, 0.1 / top)
    yield discrete.SGD(problem, 1.1 / top, problem.samples)  # factors of both signs
    yield discrete.SGD(problem, 0.9 / top, problem.samples, "without_replacement")
    yield discrete.SGD(problem, 0.2 / top, 2, "without_replacement", label_noise=1e-9)
    yield discrete.SGD(problem, 0.75 / top)  # past the threshold of some
    yield discrete.SGD(problem, 2.3 / top, 3)  # and of all


def by(method, monkeypatch, process, *arguments, **options):
    """Moments by one method alone."""
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)
        patch.setattr(routes, "_by_spectrum", lambda equations, usual, *rest: method)
        return process.moments(*arguments, **options)


CASES = [(name, start) for name in PROBLEMS for start in ("point", "cloud", "minimiser", "far")]
QUICK = {(name, "point") for name in PROBLEMS} | {("ridge", "cloud"), ("no residuals", "far"), ("finite", "minimiser")}


@pytest.mark.parametrize(("name", "start"), slowly(CASES, lambda case: case not in QUICK))
def test_polynomials_give_what_steps_give(name, start, monkeypatch):
    """Assert covariances to 1e-11 of the largest at every step, until nothing is left of 1e18."""
    problem = PROBLEMS[name]
    d = problem.dimension
    x0 = {
        "point": X[:d], "minimiser": problem.minimiser, "far": 1e6 * X[:d],
        "cloud": (X[:d], np.diag(np.linspace(2.0, 0.1, d))),
    }[start]  # fmt: skip
    for index, process in enumerate(sides(problem)):
        walked, found = (
            by(method, monkeypatch, process, x0, RECORD[-1], record=RECORD)
            for method in (Method.STEPS, Method.CHEBYSHEV)
        )
        assert not np.isnan(found.covariance).any() and not np.isnan(found.risk).any()
        largest = 0.0
        for k in range(len(RECORD)):
            one, other = walked.covariance.values[k], found.covariance.values[k]
            size = np.abs(one).max()
            np.testing.assert_array_equal(np.isinf(one), np.isinf(other), err_msg=f"{index}, {RECORD[k]}")
            if np.isinf(size):
                continue
            largest = max(largest, size)
            assert np.abs(one - other).max() <= 1e-11 * max(size, 1e-18 * largest), (index, RECORD[k])


def test_a_million_steps_are_those_of_the_eigenproblem(monkeypatch):
    """Assert covariances to 1e-11 up to 1e6 steps, on data whose decays are four decades apart."""
    problem = problems.LeastSquares.from_dataset("diabetes")
    record = np.unique(np.geomspace(1, 10**6, 30).astype(int))
    one, other = (
        by(method, monkeypatch, discrete.SGD(problem, 0.05), np.ones(10), 10**6, record=record).covariance.values
        for method in (Method.EIGENPROBLEM, Method.CHEBYSHEV)
    )
    assert (np.abs(one - other).max(axis=(1, 2))[1:] <= 1e-11 * np.abs(one).max(axis=(1, 2))[1:]).all()


def test_the_whole_covariance_leaps_where_an_eigenproblem_is_too_large():
    """Assert the choice at d = 60, walked for a few steps, and the stationary law at the end of a million."""
    problem = problems.LeastSquares.gaussian(200, 60, seed=0)
    sgd = discrete.SGD(problem, 0.002)
    equations = sgd.second_moments.equations
    assert choose_route(equations, ("covariance",), 5, 5).method is Method.STEPS
    for last in (1000, 10**6):
        assert choose_route(equations, ("covariance",), 50, last).method is Method.CHEBYSHEV
    far = sgd.moments(np.ones(60), 10**6, record=[10**6])
    law = sgd.stationary()
    assert np.abs(far.covariance[-1].values - law.covariance).max() <= 1e-10 * np.abs(law.covariance).max()


def test_a_schedule_is_walked():
    """Assert that the polynomials of one step are not those of steps that differ."""
    problem = problems.LeastSquares.gaussian(200, 60, seed=0)
    constant = discrete.SGD(problem, 0.002).moments(np.ones(60), 400, record=[400], quantities=("covariance",))
    walked = discrete.SGD(problem, lambda k: 0.002).moments(np.ones(60), 400, record=[400], quantities=("covariance",))
    np.testing.assert_allclose(constant.covariance[-1], walked.covariance[-1], rtol=1e-11, atol=1e-16)
    falling = discrete.SGD(problem, lambda k: 0.002 / (1 + k)).moments(np.ones(60), 400, record=[400])
    assert np.abs(falling.covariance[-1] - walked.covariance[-1]).max() > 1e-6


def test_what_would_take_hours_is_refused():
    """Assert a sentence for the covariances at 1e15 steps."""
    sgd = discrete.SGD(problems.LeastSquares.gaussian(200, 60, seed=0), 0.002)
    with pytest.raises(OutOfReach, match="need many polynomials of a step in dimension 60, which takes about .* hours"):
        sgd.moments(np.ones(60), 10**15, record=[10**15], quantities=("covariance",))
