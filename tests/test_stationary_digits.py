"""Digits of stationary laws where step sizes are tiny, momentum is all but 1, or curvatures are far apart."""

import mpmath
import numpy as np
import pytest
from tests import second_moment_reference as reference

from sgdlimits.discrete import SGD, fluctuation, rules
from sgdlimits.exact.errors import NoStationaryLaw
from sgdlimits.problems import LeastSquares, NoisyQuadratic, StreamingLeastSquares

RULES = [(0.0, False), (0.3, False), (0.3, True), (0.9, False), (0.9, True), (0.999999, False), (0.999999, True)]
SIGNS = np.array([[1.0, 1.0], [1.0, -1.0], [2.0, 2.0], [2.0, -2.0], [0.5, 0.5], [0.5, -0.5]])  # columns are orthogonal
LABELS = np.array([1.0, 2.0, -1.0, 0.5, 0.25, 3.0])


def law(problem, hessian, size, mu, nesterov, batch=1, sampling="with_replacement"):
    """Covariance that is found, and that of the recurrence in 60 digits."""
    sgd = SGD(problem, size, batch, sampling, momentum=mu, nesterov=nesterov)
    digits = reference.many_digits
    matrix, mu = digits(size * np.eye(2)), mpmath.mpf(mu)
    ridge = mpmath.mpf(problem.ridge)
    if isinstance(problem, NoisyQuadratic):
        noise = digits(problem.noise_covariance) / batch
        expected = reference.additive(digits(hessian) + ridge * digits(np.eye(2)), noise, matrix, mu, nesterov)
    elif isinstance(problem, StreamingLeastSquares):
        parts = digits(problem.covariance), digits(problem.truth), mpmath.mpf(problem.noise) ** 2
        expected = reference.streaming(*parts, batch, matrix, mu, nesterov, ridge)
    else:
        parts = digits(problem.features), digits(problem.targets)
        expected = reference.listed(*parts, batch, sampling == "with_replacement", matrix, mu, nesterov, ridge)
    return sgd, expected


def apart(found, expected):
    """Largest difference of entries, in standard deviations of both coordinates."""
    scale = [mpmath.sqrt(expected[i, i]) for i in range(len(found))]
    entries = np.ndindex(found.shape)
    return max(float(abs(found[i, j] - expected[i, j]) / scale[i] / scale[j]) for i, j in entries)


PROBLEMS = {
    "additive, far apart": NoisyQuadratic([1.0, 2.0**-30], [[1.0, 0.3], [0.3, 0.5]]),
    "additive, all but alike": NoisyQuadratic([1.0, 1 - 2.0**-20], [[1.0, 0.3], [0.3, 0.5]]),
    "additive, not diagonal": NoisyQuadratic([[1.0, 0.25], [0.25, 0.5]], [[1.0, 0.3], [0.3, 0.5]]),
    "stream, far apart": StreamingLeastSquares([1.0, 2.0**-30], 0.5, [1.0, 2.0]),
    "stream, ridge": StreamingLeastSquares([1.0, 0.5], 0.5, [1.0, 2.0], ridge=0.25),
    "rows, far apart": LeastSquares.from_arrays(SIGNS * [1.0, 2.0**-15], LABELS),
    "rows, ridge": LeastSquares.from_arrays(SIGNS * [1.0, 0.5], LABELS, ridge=-0.125),
}


@pytest.mark.parametrize("size", [1e-12, 0.9])
@pytest.mark.parametrize(("mu", "nesterov"), RULES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_no_digits_are_lost(name, mu, nesterov, size):
    """Assert every entry to 1e-12 of its standard deviations against the recurrence in 60 digits."""
    problem = PROBLEMS[name]
    hessian = problem.given if isinstance(problem, NoisyQuadratic) else problem.hessian
    if size == 0.9:  # of the threshold
        size *= SGD(problem, 1e-3, momentum=mu, nesterov=nesterov).stability().mean_square_threshold
    with mpmath.workdps(60):
        sgd, (mean, expected) = law(problem, hessian, size, mu, nesterov)
        assert apart(sgd.stationary().covariance, expected[:2, :2]) < 1e-12
        np.testing.assert_allclose(sgd.stationary().mean, mean.astype(float), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("size", [1e-12, 0.3])
@pytest.mark.parametrize(("mu", "nesterov"), [(0.3, False), (0.9, True), (0.999, False)])
def test_what_is_made_of_it_keeps_them_too(mu, nesterov, size):
    """Assert covariances with the buffer through autocovariances, windows and dissipation, in 80 digits."""
    problem = NoisyQuadratic([1.0, 2.0**-10], [[1.0, 0.3], [0.3, 0.5]])
    with mpmath.workdps(80):
        sgd, (_, state) = law(problem, problem.given, size, mu, nesterov)
        digits = reference.many_digits
        gradient = digits(np.column_stack([problem.given, np.zeros(2)]))
        step = reference.affine(gradient, digits(size * np.eye(2)), mpmath.mpf(mu), nesterov)[:4, :4]
        power, lags = mpmath.matrix(step), [1, 7, round(1 / size)]
        found = fluctuation.autocovariance(sgd, lags).autocovariance.values
        for lag, one in zip(lags, found):
            expected = np.array((power**lag).tolist(), dtype=object) @ state
            scale = [mpmath.sqrt(state[i, i]) for i in range(2)]
            for i in range(2):
                for j in range(2):
                    assert abs(one[i, j] - expected[i, j]) / scale[i] / scale[j] < 1e-11
        total, one = 5 * state, step
        for lag in range(1, 5):
            total, one = total + (5 - lag) * (one @ state + (one @ state).T), one @ step
        assert apart(fluctuation.average(sgd, 5).covariance.values, total[:2, :2] / 25) < 1e-12
        if not nesterov:
            both = fluctuation.dissipation(sgd)
            assert both.dissipated == pytest.approx(float(state[0, 0] + state[1, 1] / 1024), rel=1e-12)
            assert both.fluctuating == pytest.approx(both.dissipated, rel=1e-12)


@pytest.mark.parametrize("size", [1e-12, 0.05])
@pytest.mark.parametrize(("mu", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_a_preconditioner_loses_none(mu, nesterov, size):
    """Assert the same of a matrix step size that commutes with nothing, a ridge on the rows."""
    matrix = np.array([[0.5, 0.125], [0.125, 0.25]])
    rows = LeastSquares.from_arrays(SIGNS[:4] * [1.0, 0.5] + [[0.25, 0.0]], LABELS[:4], ridge=0.25)
    with mpmath.workdps(60):
        digits = reference.many_digits
        found = SGD(rows, size, momentum=mu, nesterov=nesterov, preconditioner=matrix).stationary().covariance
        parts, step = (digits(rows.features), digits(rows.targets)), digits(matrix) * mpmath.mpf(size)
        expected = reference.listed(*parts, 1, True, step, mpmath.mpf(mu), nesterov, mpmath.mpf(0.25))[1]
        assert apart(found, expected[:2, :2]) < 1e-12


def inverse(matrix):
    """Of two rows and columns of many digits."""
    (a, b), (c, d) = matrix
    return np.array([[d, -b], [-c, a]], dtype=object) / (a * d - b * c)


@pytest.mark.parametrize("size", [1e-12, 0.5])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("ridge", [0.0, 0.25])
def test_matrices_of_batches_lose_none(ridge, batch, size):
    """Assert the same of stochastic Newton and proximal steps over all batches, and of a run of 1 / step size steps."""
    rows = LeastSquares.from_arrays(SIGNS[:4] * [1.0, 0.5] + [[0.25, 0.0]], LABELS[:4], ridge=ridge)
    with mpmath.workdps(60):
        digits = reference.many_digits
        parts, one = (digits(rows.features), digits(rows.targets)), digits(np.eye(2))
        for rule, step, damping in (
            (rules.StochasticNewton(0.5), mpmath.mpf(size), mpmath.mpf(0.5)),
            (rules.Proximal(), mpmath.mpf(1), 1 / mpmath.mpf(size)),
        ):
            sgd, shift = SGD(rows, size, batch, rule=rule), damping + mpmath.mpf(ridge)
            mean, expected = reference.listed(
                *parts, batch, True, step * one, ridge=mpmath.mpf(ridge), newton=lambda h: inverse(h + shift * one)
            )
            assert apart(sgd.stationary().covariance, expected[:2, :2]) < 1e-12
            np.testing.assert_allclose(sgd.stationary().mean, mean.astype(float), rtol=1e-12)
    far = sgd.moments(np.zeros(2), round(200 / size), record=[round(200 / size)]).isel(step=-1)
    np.testing.assert_allclose(far["covariance"], sgd.stationary().covariance, rtol=1e-8)


def test_a_proximal_step_of_any_size_has_a_law_or_a_negative_ridge():
    """Assert a refusal for a ridge below minus the least curvature, of which a tiny step shows next to nothing."""
    rows = LeastSquares.from_arrays(SIGNS[:4] * [1.0, 0.5] + [[0.25, 0.0]], LABELS[:4], ridge=-1.0)
    for size in (1e-12, 0.1):
        with pytest.raises(NoStationaryLaw, match="does not settle with the ridge -1"):
            SGD(rows, size, 2, rule=rules.Proximal()).stationary()
        near = SGD(rows.with_ridge(-0.125), size, 2, rule=rules.Proximal())
        assert np.linalg.eigvalsh(near.stationary().covariance).min() > 0
