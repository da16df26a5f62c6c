"""Quadratics with additive gradient noise: stationary laws that do not commute, and directions in which none exists."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD, rules
from sgdlimits.ensembles import Noise
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.problems import (
    LeastSquares, LocalExpansion, LocalQuadratic, Logistic, NoisyQuadratic, StreamingLeastSquares,
)  # fmt: skip


def drawn(seed, d, floor=0.1):
    """A random Hessian and noise covariance that do not commute."""
    generator = np.random.Generator(np.random.Philox(seed))
    a, b = generator.standard_normal((2, d, d))
    return a @ a.T / d + floor * np.eye(d), b @ b.T / d


def residual(k, c, s, eta, mu):
    """What is left of the equation of heavy ball's stationary covariance, relative to its right side."""
    left = (1 - mu) * eta * (k @ s + s @ k) - (1 + mu**2) / (1 - mu**2) * eta**2 * k @ s @ k
    left += mu / (1 - mu**2) * eta**2 * (k @ k @ s + s @ k @ k)
    return np.abs(left - eta**2 * c).max() / np.abs(eta**2 * c).max()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.floats(0, 0.95), st.floats(0.01, 0.95))
def test_heavy_ball_solves_its_equation_for_matrices_that_do_not_commute(seed, d, mu, part):
    """Assert the published equation (sheet: Eq. 3), to rounding, and that without its cross terms it fails."""
    k, c = drawn(seed, d)
    eta = part * 2 * (1 + mu) / np.linalg.eigvalsh(k)[-1]
    law = SGD(NoisyQuadratic(k, c), eta, momentum=mu).stationary()
    assert residual(k, c, law.covariance, eta, mu) < 1e-10
    np.testing.assert_allclose(law.risk, np.trace(k @ law.covariance) / 2, rtol=1e-10)


def test_the_equation_tells_another_covariance():
    """Assert that the check above can fail: the Ornstein-Uhlenbeck covariance does not solve the equation."""
    k, c = drawn(3, 4)
    law = OrnsteinUhlenbeck(NoisyQuadratic(k, c), 0.1).stationary()
    assert residual(k, c, law.covariance, 0.1, 0.0) > 1e-3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0, 0.9), st.floats(0.02, 0.9))
def test_the_train_loss_of_any_noise_is_a_trace(seed, d, mu, part):
    """Assert E L = step_size / (2 (1 - mu)) tr C (2 - step_size K / (1 + mu))^-1, whether they commute or not."""
    k, c = drawn(seed, d)
    eta = part * 2 * (1 + mu) / np.linalg.eigvalsh(k)[-1]
    expected = eta / (2 * (1 - mu)) * np.trace(c @ np.linalg.inv(2 * np.eye(d) - eta * k / (1 + mu)))
    found = SGD(NoisyQuadratic(k, c), eta, momentum=mu).stationary().risk
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("mu", [0.3, 0.9])
@pytest.mark.parametrize("a", [0.1, 0.9, 1.2])
def test_nesterov_holds_the_iterate_of_torch(mu, a):
    """Assert the variance of y, not of theta."""
    bottom = a * (1 - mu + mu * a) * (2 * (1 + mu) - (1 + 2 * mu) * a)
    of_y, of_theta = (1 + mu + mu * (1 + 2 * mu) * a) / bottom, (1 + mu - mu * a) / bottom
    found = SGD(NoisyQuadratic([a], [1.0]), 1.0, momentum=mu, nesterov=True).stationary().covariance[0, 0]
    np.testing.assert_allclose(found, of_y, rtol=1e-12)
    assert abs(found / of_theta - 1) > 0.05
    assert SGD(NoisyQuadratic([a], [1.0]), 1.0, momentum=mu, nesterov=True).stability().mean_threshold == pytest.approx(
        2 * (1 + mu) / ((1 + 2 * mu) * a)
    )


@pytest.mark.parametrize("options", [
    {}, {"momentum": 0.6}, {"momentum": 0.6, "nesterov": True, "batch_size": 3}, {"rule": "adam"},
    {"rule": rules.Clipped(0.5)},
])  # fmt: skip
@pytest.mark.parametrize("commuting", [False, True])
def test_the_compiled_loop_is_the_definition(options, commuting):
    """Assert that loop and NumPy form draw the same numbers and make the same path."""
    k, c = drawn(5, 3)
    problem = NoisyQuadratic(np.diag(k), np.diag(c), ridge=0.1) if commuting else NoisyQuadratic(k, c, [1.0, 2, 3])
    sgd = SGD(problem, 0.2, **options)
    x0, noise = np.full(3, 0.5), Noise(9, np.arange(5))
    state = sgd.initial_state(np.tile(x0, (5, 1)))
    for step in range(30):
        state = sgd.step(step, state, noise)
    found = sgd.simulate(x0, 30, 5, observables=("state", "risk"), seed=9)
    np.testing.assert_allclose(found.state[:, -1], sgd.position(state), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.risk[:, -1], problem.risk(sgd.position(state)), rtol=1e-11)


def test_moments_are_those_of_the_paths():
    """Assert mean and covariance within four standard errors of 20 000 paths, and a wrong batch size outside."""
    k, c = drawn(7, 2)
    sgd = SGD(NoisyQuadratic(k, c, [1.0, -1.0]), 0.3, batch_size=4, momentum=0.5)
    paths = 20_000
    x = sgd.simulate(np.zeros(2), 25, paths, observables=("state",), record=[25]).state[:, -1].values
    exact = sgd.moments(np.zeros(2), 25, record=[25]).isel(step=-1)
    spread = np.sqrt(np.diag(exact["covariance"].values))
    assert (np.abs(x.mean(axis=0) - exact["mean"].values) < 4 * spread / math.sqrt(paths)).all()
    ratio = x.var(axis=0) / spread**2
    assert (np.abs(ratio - 1) < 4 * math.sqrt(2 / paths)).all()
    assert (np.abs(2 * ratio - 1) > 4 * math.sqrt(2 / paths)).all()


def test_directions_without_a_law_are_named_and_left_out_on_request():
    """Assert that the law of the other directions is that of the problem without them."""
    turn = np.linalg.qr(np.random.Generator(np.random.Philox(2)).standard_normal((4, 4)))[0]
    k, c = turn * np.array([2.0, 1.0, -0.5, 0.0]) @ turn.T, drawn(4, 4)[1]
    sgd = SGD(NoisyQuadratic(k, c), 0.1, momentum=0.4)
    with pytest.raises(NoStationaryLaw, match="2 of 4 directions") as raised:
        sgd.stationary()
    named = raised.value.directions
    np.testing.assert_allclose(named @ named.T, turn[:, 2:] @ turn[:, 2:].T, atol=1e-10)
    law, part = sgd.stationary(settled_only=True), turn[:, :2]
    rest = SGD(NoisyQuadratic(part.T @ k @ part, part.T @ c @ part), 0.1, momentum=0.4).stationary()
    np.testing.assert_allclose(part.T @ law.covariance @ part, rest.covariance, rtol=1e-9)
    np.testing.assert_allclose(law.covariance @ turn[:, 2:], 0, atol=1e-12)
    assert law.unsettled_directions.shape == (4, 2)
    with pytest.raises(NoStationaryLaw, match="settles only below 1.4") as raised:
        SGD(NoisyQuadratic(k, c), 1.5, momentum=0.4).stationary(settled_only=True)
    assert raised.value.threshold == pytest.approx(1.4)


def test_noise_where_nothing_pulls_back_has_no_law():
    """Assert that a flat direction is frozen without noise, and wanders off with it."""
    assert SGD(NoisyQuadratic([1.0, 0.0], [1.0, 0.0]), 0.1).stationary().frozen_directions.shape == (2, 1)
    with pytest.raises(NoStationaryLaw, match="no curvature along 1 direction"):
        SGD(NoisyQuadratic([1.0, 0.0], [1.0, 0.1]), 0.1).stationary()


def test_the_second_order_equation_is_farther_from_the_recurrence_than_the_first():
    """Assert variances 1 / (1 - a/2), 1, 1 / (1 + a/2) times step_size c / (2 k), in this order."""
    k, c, eta = 2.0, 3.0, 0.3
    problem, ornstein = NoisyQuadratic([k], [c]), eta * c / (2 * k)
    found = [
        process.stationary().covariance[0, 0] / ornstein
        for process in (SGD(problem, eta), ModifiedEquation(problem, eta), ModifiedEquation(problem, eta, order=2))
    ]
    np.testing.assert_allclose(found, [1 / (1 - eta * k / 2), 1, 1 / (1 + eta * k / 2)], rtol=1e-12)
    np.testing.assert_allclose(OrnsteinUhlenbeck(problem, eta).stationary().covariance[0, 0] / ornstein, 1, rtol=1e-12)


def test_the_tail_is_light():
    """Assert an infinite index with the Lyapunov exponent of the linear part."""
    found = SGD(NoisyQuadratic([1.0, 0.5], [1.0, 1.0]), 0.2).tail_index()
    assert math.isinf(found.index) and found.lyapunov_exponent == pytest.approx(math.log(0.9))
    stability = SGD(NoisyQuadratic([1.0, 0.5], [1.0, 1.0]), 0.2).stability()
    assert stability.lyapunov_threshold == stability.mean_threshold == 2


def test_a_loss_about_its_minimum_is_one():
    """Assert that SGD on the quadratic about a minimum samples its own stationary law, with the sampling's factor."""
    generator = np.random.Generator(np.random.Philox(8))
    rows = generator.standard_normal((40, 2))
    local = LocalQuadratic(Logistic.from_arrays(rows, np.sign(rows[:, 0] + generator.standard_normal(40)), ridge=0.1))
    sgd = SGD(local, 0.5, batch_size=10, sampling="without_replacement")
    x = sgd.simulate(local.minimiser, 200, 20_000, observables=("state",), record=[200]).state[:, -1].values
    ratio = x.var(axis=0) / np.diag(sgd.stationary().covariance)
    assert (np.abs(ratio - 1) < 4 * math.sqrt(2 / 20_000)).all()
    assert (np.abs(ratio * 30 / 39 - 1) > 4 * math.sqrt(2 / 20_000)).all()
    with pytest.raises(InvalidInput, match="reshuffled"):
        SGD(local, 0.5, batch_size=10, sampling="reshuffle").stationary()


def logistic(ridge=0.05):
    """A small classification problem."""
    generator = np.random.Generator(np.random.Philox(8))
    rows = generator.standard_normal((40, 2))
    return Logistic.from_arrays(rows, np.sign(rows[:, 0] + generator.standard_normal(40)), ridge=ridge)


@pytest.mark.parametrize("options", [
    {"batch_size": 1}, {"batch_size": 4, "momentum": 0.8}, {"batch_size": 10, "sampling": "without_replacement"},
])  # fmt: skip
def test_a_generalised_linear_model_about_its_minimum_is_least_squares(options):
    """Assert that expansions of all samples give the law of the rows sqrt(s_i) a_i that have the same gradients."""
    loss = logistic()
    expansion = LocalExpansion(loss)
    m, rows, signs = expansion.minimiser, loss.features, loss.labels
    part = 1 / (1 + np.exp(signs * (rows @ m)))  # minus the slope of the loss in the margin
    weights = np.sqrt(part * (1 - part))
    scaled = weights[:, None] * rows
    same = LeastSquares.from_arrays(scaled, scaled @ m + part * signs / weights, ridge=0.05)
    found, expected = (SGD(problem, 0.5, **options) for problem in (expansion, same))
    np.testing.assert_allclose(found.stationary().covariance, expected.stationary().covariance, rtol=1e-9)
    assert found.stability().mean_square_threshold == pytest.approx(expected.stability().mean_square_threshold)
    mean = found.moments(np.zeros(2), 5)
    other = expected.moments(np.zeros(2), 5)
    np.testing.assert_allclose(mean["covariance"], other["covariance"], rtol=1e-8, atol=1e-15)


def test_noise_that_sees_the_place_is_nearer_to_the_loss_itself():
    """Assert that expanded noise predicts the spread of SGD on a classifier better than that of the minimum."""
    loss = logistic(0.1)
    expansion, local = LocalExpansion(loss), LocalQuadratic(loss)
    x = SGD(loss, 0.5).simulate(local.minimiser, 300, 20_000, ("state",), [300]).state[:, -1].values
    seen = np.trace(np.cov(x.T))
    near, far = (np.trace(SGD(problem, 0.5).stationary().covariance) for problem in (expansion, local))
    assert abs(near / seen - 1) < 0.5 * abs(far / seen - 1)
    with pytest.raises(InvalidInput, match="nothing is drawn"):
        SGD(expansion, 0.5).simulate(np.zeros(2), 2, 4)
    with pytest.raises(InvalidInput, match="only second moments close"):
        SGD(expansion, 0.5).tail_index()


def test_noisy_inputs_are_another_stream():
    """Assert covariance and mean of SGD on features with added noise, drawn as such, against the other stream's."""
    a, b, u = np.array([[1.0, 0.3], [0.3, 0.5]]), np.diag([0.2, 0.4]), np.array([1.0, -2.0])
    stream = StreamingLeastSquares(a, 0.3, u).with_input_noise([0.2, 0.4])
    k = a + b
    np.testing.assert_allclose(stream.minimiser, np.linalg.solve(k, a @ u), rtol=1e-12)
    assert stream.noise**2 == pytest.approx(0.09 + u @ a @ np.linalg.solve(k, b @ u))
    generator = np.random.Generator(np.random.Philox(3))
    x = np.tile(stream.minimiser, (40_000, 1))
    for _ in range(6):
        clean = generator.standard_normal((len(x), 2)) @ np.linalg.cholesky(a).T
        noisy = clean + generator.standard_normal((len(x), 2)) * np.sqrt([0.2, 0.4])
        labels = clean @ u + 0.3 * generator.standard_normal(len(x))
        x = x - 0.1 * noisy * ((noisy * x).sum(axis=1) - labels)[:, None]
    exact = SGD(stream, 0.1).moments(stream.minimiser, 6, record=[6])["covariance"].values[-1]
    products = np.einsum("pi,pj->pij", x - stream.minimiser, x - stream.minimiser)
    errors = products.std(axis=0) / math.sqrt(len(x))
    assert (np.abs(products.mean(axis=0) - exact) < 4 * errors).all()
    wrong = SGD(StreamingLeastSquares(k, 0.3, stream.minimiser), 0.1).moments(stream.minimiser, 6, record=[6])
    assert (np.abs(products.mean(axis=0) - wrong["covariance"].values[-1]) > 4 * errors).any()
    with pytest.raises(InvalidInput, match="covariance must have shape"):
        stream.with_input_noise([1.0])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: NoisyQuadratic([[1, 0.5], [0, 1]], np.eye(2)), "hessian must be symmetric"),
    (lambda: NoisyQuadratic(np.eye(2), [[1, 2], [2, 1]]), "noise_covariance must be positive semidefinite"),
    (lambda: NoisyQuadratic(np.eye(2), np.eye(3)), r"noise_covariance must have shape \(2, 2\)"),
    (lambda: NoisyQuadratic(np.eye(2), np.eye(2), [1.0]), r"minimiser must have shape"),
    (lambda: SGD(NoisyQuadratic([1.0], [1.0]), 0.1, label_noise=0.1).stationary(), "no labels"),
    (lambda: HomogenizedSGD(NoisyQuadratic([1.0], [1.0]), 0.1), "is the same everywhere"),
    (lambda: SGD(NoisyQuadratic([1.0], [1.0]), 0.1).even_moments([0.0], 5), "additive and Gaussian"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused(make, message):
    """Assert one sentence each."""
    with pytest.raises(InvalidInput, match=message):
        make()
