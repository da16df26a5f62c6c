"""A matrix for a step size: exact moments in the coordinates in which it is plain, and the compiled loop."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlimits.diffusions import OrnsteinUhlenbeck, UnderdampedLangevin
from sgdlimits.discrete import SGD, fluctuation, rules
from sgdlimits.ensembles import Noise
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw
from sgdlimits.problems import LeastSquares, Logistic, NoisyQuadratic, StreamingLeastSquares


def positive(seed, d, floor=0.2):
    """A random positive definite matrix."""
    m = np.random.Generator(np.random.Philox(seed)).standard_normal((d, d))
    return m @ m.T / d + floor * np.eye(d)


def rows(seed=1, n=6, d=3):
    """A little data set."""
    generator = np.random.Generator(np.random.Philox(seed))
    return generator.standard_normal((n, d)), generator.standard_normal(n)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0, 0.9), st.floats(0.02, 0.9), st.sampled_from([0.0, 0.4]))
def test_additive_noise_solves_the_published_equation(seed, d, mu, part, ridge):
    """Assert Eq. 3 of the sheet for a matrix step size that commutes with nothing, a ridge among it, to rounding."""
    hessian, noise, matrix = positive(seed, d), positive(seed + 1, d), positive(seed + 2, d)
    k = hessian + ridge * np.eye(d)
    eta = part * 2 * (1 + mu) / np.linalg.eigvals(matrix @ k).real.max()
    sgd = SGD(NoisyQuadratic(hessian, noise, np.ones(d), ridge), eta, momentum=mu, preconditioner=matrix)
    s, step = sgd.stationary().covariance, eta * matrix
    left = (1 - mu) * (step @ k @ s + s @ k @ step) - (1 + mu**2) / (1 - mu**2) * step @ k @ s @ k @ step
    left += mu / (1 - mu**2) * (step @ k @ step @ k @ s + s @ k @ step @ k @ step)
    np.testing.assert_allclose(left, step @ noise @ step, rtol=0, atol=1e-10 * np.abs(step @ noise @ step).max())
    assert sgd.stability().mean_threshold == pytest.approx(eta / part, rel=1e-9)


@pytest.mark.parametrize("momentum", [{}, {"momentum": 0.6}, {"momentum": 0.6, "nesterov": True}])
@pytest.mark.parametrize("ridge", [0.0, 0.3, -0.05])
def test_moments_are_those_of_all_batches(momentum, ridge):
    """Assert mean, covariance and risk against the enumeration of all samples, at every step."""
    features, targets = rows()
    problem, matrix, eta = LeastSquares.from_arrays(features, targets, ridge=ridge), positive(3, 3), 0.1
    sgd = SGD(problem, eta, preconditioner=matrix, **momentum)
    x0 = np.array([1.0, -1.0, 0.5])
    paths, weights = [(x0, np.zeros(3))], 1.0
    found = sgd.moments(x0, 3)
    mu, nesterov = momentum.get("momentum", 0.0), "nesterov" in momentum
    for step in range(1, 4):
        moved = []
        for x, m in paths:
            for a, b in zip(features, targets):
                g = matrix @ (a * (a @ x - b) + ridge * x)
                m_new = mu * m + g
                moved.append((x - eta * (g + mu * m_new if nesterov else m_new), m_new))
        paths, weights = moved, weights / len(features)
        points = np.array([x for x, _ in paths])
        np.testing.assert_allclose(found["mean"][step], points.mean(axis=0), rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(found["covariance"][step], np.cov(points.T, bias=True), rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(found["risk"][step], problem.risk(points).mean(), rtol=1e-11)
    np.testing.assert_allclose(sgd.moments(x0, 3, quantities=("risk",)).risk, found.risk, rtol=1e-11)


@pytest.mark.parametrize(("mu", "batch", "eta"), [(0.0, 8, 0.2), (0.5, 16, 0.3), (0.9, 32, 0.3)])
def test_newton_on_a_stream_has_the_published_covariance(mu, batch, eta):
    """Assert Sigma = eta sigma^2 / (g S - eta D) A^-1 and its threshold g S = eta D."""
    d, noise = 4, 0.5
    a = positive(5, d)
    sgd = SGD(StreamingLeastSquares(a, noise, np.ones(d)), eta, batch, momentum=mu, preconditioner=np.linalg.inv(a))

    def g(size):
        return 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / batch) * size

    expected = eta * noise**2 / (g(eta) * batch - eta * d) * np.linalg.inv(a)
    np.testing.assert_allclose(sgd.stationary().covariance, expected, rtol=1e-10)
    threshold = sgd.stability().mean_square_threshold
    assert g(threshold) * batch == pytest.approx(threshold * d, rel=1e-9)
    with pytest.raises(InfiniteVariance):
        replace(sgd, step_size=1.001 * threshold).stationary()


@pytest.mark.parametrize("mu", [0.0, 0.9])
def test_the_preconditioner_that_samples_a_posterior(mu):
    """Assert that 2 (1 - mu) [N C + (1 - mu) / (1 + mu) K]^-1 gives (N K)^-1, and that without K it does not."""
    k, c, n = positive(7, 3), positive(8, 3), 50
    exact = 2 * (1 - mu) * np.linalg.inv(n * c + (1 - mu) / (1 + mu) * k)
    law = SGD(NoisyQuadratic(k, c), 1.0, momentum=mu, preconditioner=exact).stationary()
    np.testing.assert_allclose(law.covariance, np.linalg.inv(n * k), rtol=1e-10)
    mandt = SGD(NoisyQuadratic(k, c), 1.0, momentum=mu, preconditioner=2 * (1 - mu) * np.linalg.inv(n * c)).stationary()
    assert np.abs(mandt.covariance @ (n * k) - np.eye(3)).max() > 1e-4


def test_the_identity_is_plain_and_a_multiple_is_a_step_size():
    """Assert both against SGD without a preconditioner."""
    features, targets = rows(2, 20, 4)
    problem = LeastSquares.from_arrays(features, targets, ridge=0.1)
    plain = SGD(problem, 0.06, 2, momentum=0.5)
    turned = SGD(problem, 0.02, 2, momentum=0.5, preconditioner=3 * np.eye(4))
    np.testing.assert_allclose(turned.stationary().covariance, plain.stationary().covariance, rtol=1e-10)
    assert turned.stability().mean_square_threshold == pytest.approx(plain.stability().mean_square_threshold / 3)


@pytest.mark.parametrize("make", [
    lambda: LeastSquares.from_arrays(*rows(), ridge=0.1),
    lambda: StreamingLeastSquares(positive(2, 3), 0.3, np.ones(3)),
    lambda: NoisyQuadratic(positive(2, 3), positive(4, 3)),
    lambda: Logistic.from_arrays(rows()[0], np.sign(rows()[1]), ridge=0.1),
])  # fmt: skip
@pytest.mark.parametrize("rule", [rules.Plain(), rules.HeavyBall(0.5), rules.Nesterov(0.5)])
@pytest.mark.parametrize("diagonal", [False, True])
def test_the_compiled_loop_is_the_definition(make, rule, diagonal):
    """Assert that loop and NumPy form make the same path on every source."""
    problem, matrix = make(), positive(6, 3)
    sgd = SGD(problem, 0.05, 2, rule=rules.Preconditioned(np.diag(matrix) if diagonal else matrix, rule))
    x0, noise = np.array([0.5, -1.0, 1.0]), Noise(4, np.arange(3))
    state = sgd.initial_state(np.tile(x0, (3, 1)))
    for step in range(20):
        state = sgd.step(step, state, noise)
    found = sgd.simulate(x0, 20, 3, observables=("state",), seed=4).state[:, -1]
    np.testing.assert_allclose(found, sgd.position(state), rtol=1e-11, atol=1e-12)


def test_a_limit_is_taken_in_plain_coordinates():
    """Assert that the limit of y, brought back, is dX = -M K X dt + sqrt(eta M C M) dW, and that of x is refused."""
    k, c, matrix, eta = positive(1, 3), positive(2, 3), positive(3, 3), 0.05
    sgd = SGD(NoisyQuadratic(k, c), eta, preconditioner=matrix)
    root = sgd.rule.root
    s = root @ OrnsteinUhlenbeck.of(sgd.in_plain_coordinates()).stationary().covariance @ root
    np.testing.assert_allclose(matrix @ k @ s + s @ k @ matrix, eta * matrix @ c @ matrix, rtol=1e-10)
    with pytest.raises(InvalidInput, match="in_plain_coordinates"):
        OrnsteinUhlenbeck.of(sgd)


def test_the_tail_index_knows_no_coordinates():
    """Assert the isotropic closed form of a stream whose features are made isotropic by the preconditioner."""
    a = np.diag([4.0, 1.0, 0.25])
    turned = SGD(StreamingLeastSquares(a, 1.0, np.zeros(3)), 0.3, 2, preconditioner=np.linalg.inv(a)).tail_index()
    plain = SGD(StreamingLeastSquares(np.eye(3), 1.0, np.zeros(3)), 0.3, 2).tail_index()
    assert turned.index == pytest.approx(plain.index, rel=1e-9) and math.isfinite(plain.index)


@pytest.mark.parametrize(("options", "message"), [
    ({"preconditioner": np.ones(2)}, "for 2 parameters, and the problem has 3"),
    ({"preconditioner": [[1, 2, 0], [0, 1, 0], [0, 0, 1]]}, "symmetric"),
    ({"preconditioner": [1.0, 0, 1]}, "positive definite"),
    ({"preconditioner": np.diag([1.0, 1, -1])}, "positive semidefinite"),
    ({"preconditioner": np.ones(3), "rule": "adam"}, "leave one out"),
    ({"preconditioner": "half"}, "numbers"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused(options, message):
    """Assert one sentence each."""
    with pytest.raises(InvalidInput, match=message):
        SGD(LeastSquares.from_arrays(*rows()), 0.1, **options)
    with pytest.raises(InvalidInput, match="plain already"):
        SGD(LeastSquares.from_arrays(*rows()), 0.1).in_plain_coordinates()
    with pytest.raises(InvalidInput, match="Plain, HeavyBall or Nesterov"):
        rules.Preconditioned(np.ones(3), rules.Adam())


def test_the_rule_by_its_own_name_is_the_same_descent():
    """Assert that rules.Preconditioned has what preconditioner= has, its fluctuations and the cure of a limit too."""
    matrix, problem = np.array([[2.0, 0.3], [0.3, 1.0]]), NoisyQuadratic([[2.0, 0.5], [0.5, 1.0]], [1.0, 0.5])
    named = SGD(problem, 0.1, rule=rules.Preconditioned(matrix, rules.HeavyBall(0.5)))
    short = SGD(problem, 0.1, momentum=0.5, preconditioner=matrix)
    for sgd in (named, replace(named, step_size=0.1)):
        np.testing.assert_array_equal(
            fluctuation.autocovariance(sgd, 3).autocovariance, fluctuation.autocovariance(short, 3).autocovariance
        )
    for limit in (OrnsteinUhlenbeck, UnderdampedLangevin):
        with pytest.raises(InvalidInput, match="in_plain_coordinates"):
            limit.of(named)
    assert UnderdampedLangevin.of(named.in_plain_coordinates()).stationary().risk > 0


def test_a_refusal_speaks_of_the_positions_that_were_asked_for():
    """Assert curvature and direction of x, the cure of proximal steps, and digits that tell a step from its threshold.
    """
    matrix, hessian = np.array([[2.0, 0.8], [0.8, 1.0]]), np.diag([1.0, -0.5])
    problem = NoisyQuadratic(hessian, [1.0, 1.0])
    with pytest.raises(NoStationaryLaw, match="negative curvature -0.5, so preconditioned SGD") as caught:
        SGD(problem, 0.1, preconditioner=matrix).stationary()
    values, vectors = np.linalg.eig(matrix @ hessian)
    grows = vectors[:, np.argmin(values)]
    assert abs(caught.value.directions[:, 0] @ grows) == pytest.approx(1, rel=1e-12)
    with pytest.raises(InvalidInput, match=r"lower step_size \(3\) until that is above 0.5"):
        SGD(problem, 3.0, rule=rules.Proximal())
    with pytest.raises(NoStationaryLaw, match="step_size is 1.9999999999999, but .* below 2 .known to 1e-12"):
        SGD(NoisyQuadratic([1.0], [1.0]), 2 - 1e-13).stationary()
