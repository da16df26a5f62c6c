"""Moments under momentum by powers of a matrix: those of the steps to rounding, at any horizon, of the slowest mode."""

from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest

from sgdlimits import discrete, problems
from sgdlimits.exact import routes
from sgdlimits.exact.errors import StabilityWarning
from sgdlimits.exact.map_powers import Power, leaps
from sgdlimits.exact.routes import Method, choose_route
from tests.parameters import slowly

RANDOM = np.random.default_rng(5)
A, B, X = RANDOM.standard_normal((12, 4)), RANDOM.standard_normal(12), RANDOM.standard_normal(5)
PROBLEMS = {
    "finite": problems.LeastSquares.from_arrays(A, B, ridge=0.2),
    "fewer samples": problems.LeastSquares.from_arrays(A[:3], B[:3]),
    "no residuals": problems.LeastSquares.from_arrays(A, A @ X[:4]),
    "one direction": problems.LeastSquares.from_arrays(A[:, :1], B),
    "stream": problems.StreamingLeastSquares(np.arange(1, 6.0) ** -2, 0.3, X, ridge=0.1),
    "stream, no noise": problems.StreamingLeastSquares([0.5, 0.0, 0.5, 0.01, 1.0], 0.0, X),
    "stream, one": problems.StreamingLeastSquares([1.0], 0.2, [0.7]),
}
RULES = {"heavy ball": {"momentum": 0.9}, "Nesterov": {"momentum": 0.6, "nesterov": True}}
RECORD = [0, 1, 2, 3, 10, 57, 300, 1000, 1001]
ASKED = [("mean",), ("mean", "risk"), ("mean", "covariance", "risk")]


def sides(problem, options):
    top = float(problem.eigenvalues.max())
    yield discrete.SGD(problem, 0.01 / top, label_noise=0.3, **options)
    yield discrete.SGD(problem, 0.3 / top, 4, **options)
    yield discrete.SGD(problem, 5.0 / top, **options)  # past every threshold
    if isinstance(problem, problems.LeastSquares):
        yield discrete.SGD(problem, 0.1 / top, 1, "without_replacement", **options)
        yield discrete.SGD(problem, 0.9 / top, problem.samples, "without_replacement", **options)


def by(powers, monkeypatch, process, *arguments, **options):
    """Moments by powers alone, or by steps alone."""
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)
        patch.setattr(routes, "_powers", lambda *arguments: -np.inf if powers else np.inf)
        return process.moments(*arguments, **options)


CASES = [(name, rule, start) for name in PROBLEMS for rule in RULES for start in ("point", "cloud")]
QUICK = {(name, "heavy ball", "point") for name in PROBLEMS} | {("stream", "Nesterov", "cloud")}


@pytest.mark.parametrize(("name", "rule", "start"), slowly(CASES, lambda case: case not in QUICK))
def test_powers_give_what_steps_give(name, rule, start, monkeypatch):
    """Assert every quantity to 1e-11 of its largest at each step, until nothing is left of 1e15, and inf where it is.
    """
    problem = PROBLEMS[name]
    d = problem.dimension
    x0 = X[:d] if start == "point" else (X[:d], np.diag(np.linspace(2.0, 0.1, d)))
    for index, process in enumerate(sides(problem, RULES[rule])):
        for asked in ASKED:
            walked, found = (
                by(powers, monkeypatch, process, x0, RECORD[-1], record=RECORD, quantities=asked)
                for powers in (False, True)
            )
            for key in asked:
                first = 0.0
                for k, step in enumerate(RECORD):
                    one, other = walked[key].values[k], found[key].values[k]
                    size = float(np.abs(one).max())
                    assert not np.isnan(other).any()
                    np.testing.assert_array_equal(np.isinf(one), np.isinf(other), err_msg=f"{index} {key} {step}")
                    if np.isfinite(size):
                        first = max(first, size)
                        assert np.abs(one - other).max() <= 1e-11 * max(size, 1e-15 * first), (index, key, step)


def exact_risk(eigenvalues, noise, truth, eta, mu, steps):
    """Of heavy ball on a stream from 0, by powers in 60 digits of the map of E ww^T, w = (x - truth, buffer, 1)."""
    h, d = [mpmath.mpf(x) for x in eigenvalues], len(eigenvalues)
    n = 2 * d + 1
    eta, mu, variance = mpmath.mpf(eta), mpmath.mpf(mu), mpmath.mpf(noise) ** 2
    move = mpmath.eye(n)
    for i in range(d):
        move[i, i], move[i, d + i] = 1 - eta * h[i], -eta * mu
        move[d + i, i], move[d + i, d + i] = h[i], mu
    matrix = mpmath.matrix(n * n)
    for place in range(n * n):
        second = mpmath.zeros(n)
        second[place // n, place % n] = 1
        after = move * second * move.T
        trace = sum(h[i] * second[i, i] for i in range(d))
        for i in range(d):
            for j in range(d):
                drawn = h[i] * second[i, j] * h[j] + (trace * h[i] + variance * second[n - 1, n - 1] * h[i]) * (i == j)
                for a, left in ((i, -eta), (d + i, 1)):
                    for b, right in ((j, -eta), (d + j, 1)):
                        after[a, b] += left * right * drawn
        for row in range(n * n):
            matrix[row, place] = after[row // n, row % n]
    start = mpmath.matrix([-mpmath.mpf(x) for x in truth] + [0] * d + [1])
    start = start * start.T
    vector = mpmath.matrix([start[row // n, row % n] for row in range(n * n)])
    found = []
    for step in steps:
        state = matrix**step * vector
        found.append(float((sum(h[i] * state[i * n + i] for i in range(d)) + variance) / 2))
    return np.array(found)


@pytest.mark.parametrize("noise", slowly([0.0, 0.3], lambda noise: noise > 0))
def test_a_slow_mode_keeps_its_digits_over_a_billion_steps(noise):
    """Assert the risk against 60 digits to 1e-11 of itself, with a mode that forgets in 1e8 steps."""
    eigenvalues, truth, steps = [1.0, 1e-7], [1.0, 1000.0], [1, 50, 10**4, 10**7, 10**9 + 1]
    with mpmath.workdps(60):
        expected = exact_risk(eigenvalues, noise, truth, 0.01, 0.9, steps)
    sgd = discrete.SGD(problems.StreamingLeastSquares(eigenvalues, noise, truth), 0.01, momentum=0.9)
    for asked in (("risk",), ("risk", "covariance")):
        found = sgd.moments(np.zeros(2), steps[-1], record=steps, quantities=asked).risk[1:]
        np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finite", "stream"])
def test_the_recurrence_over_1e5_steps(name, monkeypatch):
    """Assert 1e-10 at far steps."""
    problem = PROBLEMS[name]
    sgd = discrete.SGD(problem, 1e-4, momentum=0.9)
    walked, found = (
        by(powers, monkeypatch, sgd, np.ones(problem.dimension), 10**5, record=[1, 1000, 30_001, 10**5])
        for powers in (False, True)
    )
    for key in ("risk", "covariance", "mean"):
        np.testing.assert_allclose(found[key][1:], walked[key][1:], rtol=1e-10, atol=1e-16)


def test_the_end_is_the_stationary_law():
    """Assert mean, covariance and risk after 1e12 steps of data and of a stream."""
    for name in ("finite", "stream"):
        sgd = discrete.SGD(PROBLEMS[name], 0.01, momentum=0.9)
        law, far = sgd.stationary(), sgd.moments(np.ones(PROBLEMS[name].dimension), 10**12, record=[10**12])
        assert float(far.risk[-1]) == pytest.approx(law.risk, rel=1e-11)
        np.testing.assert_allclose(far.covariance[-1], law.covariance, rtol=1e-9, atol=1e-12)


def test_the_choice_by_cost():
    """Assert steps for few, powers for many, steps where the matrix is too large, and steps under a schedule."""
    for name in ("finite", "stream"):
        equations = discrete.SGD(PROBLEMS[name], 0.01, momentum=0.9).second_moments.equations
        for asked in ASKED:
            assert choose_route(equations, asked, 2, 2).method is Method.STEPS
            assert choose_route(equations, asked, 50, 10**6).method is Method.POWERS
    large = discrete.SGD(problems.LeastSquares.gaussian(500, 80, seed=0), 1e-3, momentum=0.9)
    assert choose_route(large.second_moments.equations, ("risk",), 50, 10**4).method is Method.STEPS
    falling = discrete.SGD(PROBLEMS["stream"], lambda k: 0.01 / (1 + k), momentum=0.9)
    constant = discrete.SGD(PROBLEMS["stream"], 0.01, momentum=0.9)
    one, other = (process.moments(np.ones(5), 3000, record=[3000]).risk[-1] for process in (falling, constant))
    assert abs(one - other) > 1e-3


def test_a_small_excess_survives_squaring():
    """Assert a factor 1 - 1e-12 after 1e12 steps, beside one that has died, which 1 - factor in floats would lose."""
    step = Power.of(np.diag([-1e-12, -0.5])[None])
    found = leaps(step, np.ones((1, 2)), (), [10**12, 10])[0]
    assert found[0, 0] == pytest.approx(np.exp(10**12 * np.log1p(-1e-12)), rel=1e-13)
    assert found[1, 0] == 0.0 and found[1, 1] == 0.5**10
    plain = np.linalg.matrix_power(np.array([[1.0 - 1e-12]]), 10**12)
    assert abs(plain[0, 0] - found[0, 0]) > 1e-6
