"""Derivatives of the exact risk in step size, ridge and batch size, against complex steps of other equations."""

from __future__ import annotations


import numpy as np
import pytest
from scipy.linalg import expm

from sgdlimits import diffusions, discrete, problems
from sgdlimits.exact.errors import InvalidInput, OutOfReach, StabilityWarning

DIMENSION, SAMPLES, STEPS = 3, 7, 12
ROWS = np.random.default_rng(0).standard_normal((SAMPLES, DIMENSION))
LABELS = ROWS @ np.array([1.0, -0.5, 0.2]) + 0.3 * np.random.default_rng(1).standard_normal(SAMPLES)
START, SPREAD = np.array([0.7, -0.4, 1.1]), np.diag([0.2, 0.0, 0.1])
COVARIANCE, TRUTH, NOISE = np.diag([2.0, 0.7, 0.1]), np.array([0.4, -1.0, 0.6]), 0.5
TINY = 1e-30
SETTINGS = {"step_size": 0.07, "ridge": 0.15, "batch_size": 2}


def factor(batch, sampling):
    return 1 / batch if sampling == "with_replacement" else (SAMPLES - batch) / (batch * (SAMPLES - 1))


class Written:
    """What SGD and its limits do, in positions, with numbers that may be complex: E xx^T and E x, no centre."""

    def __init__(self, streaming):
        self.streaming = streaming
        if streaming:
            self.hessian, self.pull = COVARIANCE, COVARIANCE @ TRUTH
            self.square = NOISE**2 + TRUTH @ COVARIANCE @ TRUTH
        else:
            self.hessian, self.pull = ROWS.T @ ROWS / SAMPLES, ROWS.T @ LABELS / SAMPLES
            self.square = LABELS @ LABELS / SAMPLES

    def risk(self, second, mean):
        return 0.5 * (np.trace(self.hessian @ second) - 2 * mean @ self.pull + self.square)

    def gradient_square(self, second, mean):
        cross = self.hessian @ np.outer(mean, self.pull)
        return self.hessian @ second @ self.hessian - cross - cross.T + np.outer(self.pull, self.pull)

    def noise(self, second, mean):
        if self.streaming:
            return self.gradient_square(second, mean) + 2 * self.risk(second, mean) * self.hessian
        residuals = np.einsum("ni,ij,nj->n", ROWS, second, ROWS) - 2 * LABELS * (ROWS @ mean) + LABELS**2
        return (ROWS.T * residuals) @ ROWS / SAMPLES - self.gradient_square(second, mean)

    def sgd(self, step_size, ridge, batch_size, sampling, label_noise, momentum, nesterov, steps):
        """By steps, of position and buffer together."""
        d, eye = DIMENSION, np.eye(DIMENSION)
        k = self.hessian + ridge * eye
        reach = step_size * (1 + momentum) if nesterov else step_size
        kept = step_size * momentum * (momentum if nesterov else 1)
        transition = np.block([[eye - reach * k, -kept * eye], [k, momentum * eye]])
        entry, push = np.vstack([-reach * eye, eye]), np.concatenate([reach * self.pull, -self.pull])
        mean, second = np.zeros(2 * d, dtype=complex), np.zeros((2 * d, 2 * d), dtype=complex)
        mean[:d], second[:d, :d] = START, SPREAD + np.outer(START, START)
        for _ in range(steps):
            drawn = factor(batch_size, sampling) * self.noise(second[:d, :d], mean[:d])
            drawn = drawn + label_noise**2 / batch_size * self.hessian
            cross = np.outer(transition @ mean, push)
            second = transition @ second @ transition.T + cross + cross.T + np.outer(push, push)
            second = second + entry @ drawn @ entry.T
            mean = transition @ mean + push
        return self.risk(second[:d, :d], mean[:d])

    def limit(self, step_size, ridge, batch_size, label_noise, noise, drift_order, steps):
        """By one exponential."""
        d, eye = DIMENSION, np.eye(DIMENSION)
        k = self.hessian + ridge * eye
        rates = step_size * k + (0.5 * step_size**2 * k @ k if drift_order == 2 else 0)
        centre = np.linalg.solve(k, self.pull)

        def rate(state):
            second, mean, one = state[: d * d].reshape(d, d), state[d * d : -1], state[-1]
            drawn = noise(self, second / one, mean / one, centre) * one / batch_size
            drawn = drawn + one * label_noise**2 / batch_size * self.hessian * (noise is not nothing)
            cross = np.outer(mean, rates @ centre)
            moved = -rates @ second - second @ rates + cross + cross.T + step_size**2 * drawn
            return np.concatenate([moved.ravel(), -rates @ mean + one * rates @ centre, [0]])

        size = d * d + d + 1
        still = np.zeros(size, dtype=complex)
        still[-1] = 1
        columns = [rate(still)]
        for column in np.eye(size)[:-1]:
            columns.insert(-1, rate(column + still) - columns[-1])
        start = np.concatenate([(SPREAD + np.outer(START, START)).ravel(), START, [1]])
        end = expm(steps * np.column_stack(columns)) @ start
        return self.risk(end[: d * d].reshape(d, d), end[d * d : -1])


def homogenized(written, second, mean, centre):
    return 2 * written.risk(second, mean) * written.hessian


def true(written, second, mean, centre):
    return written.noise(second, mean)


def frozen(written, second, mean, centre):
    return written.noise(np.outer(centre, centre), centre)


def nothing(written, second, mean, centre):
    return 0 * second


def by_complex_steps(function):
    return {
        name: function(**SETTINGS | {name: SETTINGS[name] + 1j * TINY}).imag / TINY for name in SETTINGS
    }


def problem(streaming, ridge=SETTINGS["ridge"]):
    if streaming:
        return problems.StreamingLeastSquares(COVARIANCE, NOISE, TRUTH, ridge=ridge)
    return problems.LeastSquares.from_arrays(ROWS, LABELS, ridge=ridge)


def check(process, function, steps=STEPS, rel=1e-12):
    found = process.sensitivities((START, SPREAD), steps, record=[steps])
    expected = by_complex_steps(function)
    largest = max(abs(value) for value in expected.values())
    for name, value in expected.items():
        got = float(found.sensitivity.sel(parameter=name)[-1])
        assert got == pytest.approx(value, rel=rel, abs=rel * largest), name
    moments = process.moments((START, SPREAD), steps, record=[steps])
    np.testing.assert_allclose(found.risk, moments.risk, rtol=rel)
    assert function(**SETTINGS).real == pytest.approx(float(found.risk[-1]), rel=rel)


@pytest.mark.parametrize("label_noise", [0.0, 0.4])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.6, False), (0.6, True)])
@pytest.mark.parametrize("data", ["with_replacement", "without_replacement", "stream"])
def test_sgd(data, momentum, nesterov, label_noise):
    """Assert 1e-12, with and without momentum, on finite data and on a stream."""
    sampling = "with_replacement" if data == "stream" else data
    process = discrete.SGD(
        problem(data == "stream"), SETTINGS["step_size"], 2, sampling, momentum, label_noise, nesterov
    )
    written = Written(data == "stream")
    check(
        process,
        lambda **settings: written.sgd(
            **settings, sampling=sampling, label_noise=label_noise, momentum=momentum, nesterov=nesterov, steps=STEPS
        ),
    )


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("kind", "noise", "options"),
    [
        (diffusions.HomogenizedSGD, homogenized, {}), (diffusions.HomogenizedSGD, homogenized, {"drift_order": 2}),
        (diffusions.ModifiedEquation, true, {"order": 1}), (diffusions.ModifiedEquation, true, {"order": 2}),
        (diffusions.OrnsteinUhlenbeck, frozen, {}), (diffusions.GradientFlow, nothing, {}),
    ],
)  # fmt: skip
def test_limits(kind, noise, options, streaming):
    """Assert 1e-12 for every limit, the noise that is frozen at a minimiser which the ridge moves among them."""
    written = Written(streaming)
    process = kind(problem(streaming), SETTINGS["step_size"], 2, label_noise=0.4, **options)
    check(
        process,
        lambda **settings: written.limit(
            **settings, label_noise=0.4, noise=noise, drift_order=process.drift_order, steps=STEPS
        ),
        rel=3e-12,
    )


def test_a_full_batch_without_replacement_has_a_slope_all_the_same():
    """Assert the derivative where the noise vanishes: a batch of one less would have some."""
    process = discrete.SGD(problem(False), SETTINGS["step_size"], SAMPLES, "without_replacement")
    found = process.sensitivities((START, SPREAD), STEPS).sensitivity.sel(parameter="batch_size")
    written = Written(False)
    expected = written.sgd(
        SETTINGS["step_size"], SETTINGS["ridge"], SAMPLES + 1j * TINY, "without_replacement", 0.0, 0.0, False, STEPS
    ).imag / TINY  # fmt: skip
    assert expected < 0 and float(found[-1]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("streaming", [False, True])
def test_far_horizons_are_reached_by_squares(streaming):
    """Assert complex steps at step 3000, where the start still fades, and slopes of the stationary risk at 1e6."""
    process, written = discrete.SGD(problem(streaming), 0.002, 2), Written(streaming)
    found = process.sensitivities((START, SPREAD), 10**6, record=[3000, 10**6]).sensitivity
    settings = SETTINGS | {"step_size": 0.002}
    options = {"sampling": "with_replacement", "label_noise": 0.0, "momentum": 0.0, "nesterov": False, "steps": 3000}
    for name in ("step_size", "ridge"):
        value, h = settings[name], 1e-4 * settings[name]
        expected = written.sgd(**settings | {name: value + 1j * TINY}, **options).imag / TINY
        assert float(found.sel(parameter=name)[1]) == pytest.approx(expected, rel=1e-9)

        def risk(size, name=name, settings=settings):
            moved = settings | {name: size}
            return discrete.SGD(problem(streaming, moved["ridge"]), moved["step_size"], 2).stationary().risk

        slope = (risk(value + h) - risk(value - h)) / (2 * h)
        assert float(found.sel(parameter=name)[2]) == pytest.approx(slope, rel=1e-6)


def test_what_cannot_be_used_is_named():
    """Assert one clear sentence each."""
    process = discrete.SGD(problem(False), 0.05)
    with pytest.raises(InvalidInput, match="parameters.*'ridg'.* did you mean 'ridge'"):
        process.sensitivities(START, 5, parameters=["ridg"])
    scheduled = discrete.SGD(problem(False), lambda k: 0.1 / (1 + k))
    with pytest.raises(InvalidInput, match="step_size is the schedule"):
        scheduled.sensitivities(START, 5)
    with pytest.raises(InvalidInput, match="no closed moments"):
        discrete.SGD(problem(False), 0.05, rule="adam").sensitivities(START, 5)
    many = problems.LeastSquares.gaussian(200, 60, seed=0)
    with pytest.raises(OutOfReach, match="cost about .* minutes or more: ask for fewer steps"):
        discrete.SGD(many, 1e-3).sensitivities(np.zeros(60), 10**9, record=[10**9])
    with pytest.warns(StabilityWarning):
        far = discrete.SGD(problem(False), 3.0).sensitivities(START, 2000)
    assert np.isinf(far.sensitivity[:, -1]).all()
