"""Exact moments of SGD against independent routes: every index sequence, and Kronecker products."""

import itertools

import numpy as np
import pytest

from sgdlimits.discrete import SGD
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

METHODS = {"plain": {}, "heavy ball": {"momentum": 0.7}, "Nesterov": {"momentum": 0.6, "nesterov": True}}


def tiny(seed=0, n=4, d=2, ridge=0.0):
    generator = np.random.Generator(np.random.Philox(seed))
    return LeastSquares.from_arrays(generator.standard_normal((n, d)), generator.standard_normal(n), ridge)


def batches(n, size, sampling):
    if sampling == "with_replacement":
        return list(itertools.product(range(n), repeat=size))
    return list(itertools.combinations(range(n), size))


def enumerate_moments(problem, x0, steps, eta, size, sampling, momentum=0.0, nesterov=False, label_noise=0.0):
    """Moments after each step: all equally likely batches and two-point label errors."""
    A, b = problem.features, problem.targets
    choices = []
    for batch in batches(len(b), size, sampling):
        signs = itertools.product((-1, 1), repeat=size) if label_noise else [(0,) * size]
        choices += [(list(batch), label_noise * np.array(sign)) for sign in signs]
    states, moments = [(np.array(x0), np.zeros(len(x0)))], []
    for _ in range(steps):
        after = []
        for x, m in states:
            for batch, error in choices:
                g = A[batch].T @ (A[batch] @ x - b[batch] - error) / size + problem.ridge * x
                buffer = momentum * m + g
                after.append((x - eta * (g + momentum * buffer if nesterov else buffer), buffer))
        states = after
        positions = np.array([x for x, _ in states])
        moments.append((positions.mean(axis=0), np.cov(positions.T, bias=True)))
    return moments


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_moments_equal_the_enumeration_of_every_index_sequence(method, size, sampling):
    """Three steps (two for 64 batches) of SGD with a ridge, N = 4: mean and covariance to 1e-13."""
    problem, steps = tiny(1, ridge=0.3), 2 if size == 3 and sampling == "with_replacement" else 3
    x0 = [1.0, -2.0]
    sgd = SGD(problem, 0.2, size, sampling, **METHODS[method])
    exact = sgd.moments(x0, steps)
    truth = enumerate_moments(problem, x0, steps, 0.2, size, sampling, **METHODS[method])
    for k, (mean, covariance) in enumerate(truth, start=1):
        np.testing.assert_allclose(exact["mean"][k], mean, atol=1e-13)
        np.testing.assert_allclose(exact["covariance"][k], covariance, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
def test_label_noise_equals_the_enumeration_of_two_point_errors(method, sampling):
    """Second moments know only the variance of the label errors; batch of 2, negative ridge."""
    problem, x0 = tiny(2, n=3, ridge=-0.05), [0.5, 1.5]
    exact = SGD(problem, 0.25, 2, sampling, label_noise=0.8, **METHODS[method]).moments(x0, 2)
    truth = enumerate_moments(problem, x0, 2, 0.25, 2, sampling, label_noise=0.8, **METHODS[method])
    for k, (mean, covariance) in enumerate(truth, start=1):
        np.testing.assert_allclose(exact["mean"][k], mean, atol=1e-13)
        np.testing.assert_allclose(exact["covariance"][k], covariance, atol=1e-13)


def test_risk_and_random_start_equal_the_average_over_starts():
    """A Gaussian start enters by its moments: the mixture over two symmetric starts has the same ones."""
    problem = tiny(3)
    mean, offset = np.array([0.3, -0.4]), np.array([0.7, 0.2])
    exact = SGD(problem, 0.3, 1).moments((mean, np.outer(offset, offset)), 2)
    sides = [SGD(problem, 0.3, 1).moments(mean + sign * offset, 2) for sign in (-1, 1)]
    np.testing.assert_allclose(exact["risk"], (sides[0]["risk"] + sides[1]["risk"]) / 2, rtol=1e-13)
    between = np.array([side["mean"].values for side in sides])
    spread = np.einsum("ski,skj->kij", between - between.mean(0), between - between.mean(0)) / 2
    expected = (sides[0]["covariance"] + sides[1]["covariance"]).values / 2 + spread
    np.testing.assert_allclose(exact["covariance"], expected, atol=1e-14)


def gaussian_fourth(H):
    """E a a^T (x) a a^T of N(0, H) as a (d^2, d^2) matrix acting on row-major vec: Isserlis."""
    fourth = np.einsum("ij,kl->ikjl", H, H) + np.einsum("ik,jl->ikjl", H, H) + np.einsum("il,jk->ikjl", H, H)
    return fourth.reshape(H.size, H.size)


@pytest.mark.parametrize("method", METHODS)
def test_streaming_moments_equal_the_kronecker_superoperator(method):
    """Second moment of (x - truth, buffer, 1) by Kronecker products with Gaussian fourth moments."""
    H, truth, noise, ridge, eta, B = (
        np.array([[1.0, 0.4], [0.4, 0.6]]),
        np.array([1.0, -0.5]),
        0.7,
        0.2,
        0.15,
        3,
    )
    settings = METHODS[method]
    mu, nesterov = settings.get("momentum", 0.0), settings.get("nesterov", False)
    problem = StreamingLeastSquares(H, noise, truth, ridge)
    sgd = SGD(problem, eta, B, label_noise=0.3, **settings)
    x0 = np.array([0.2, 2.0])
    exact = sgd.moments(x0, 4)
    d, one = 2, np.eye(2)
    # v = (u, m, 1) with u = x - truth; gradient g = H u + ridge (u + truth) + fluctuation.
    G = np.hstack([H + ridge * one, np.zeros((d, d)), ridge * truth[:, None]])
    M = mu * np.hstack([np.zeros((d, d)), one, np.zeros((d, 1))]) + G
    direction = G + mu * M if nesterov else M
    into_x, into_m = (-eta * (1 + mu) if nesterov else -eta), 1.0
    U = np.hstack([one, np.zeros((d, d + 1))]) - eta * direction
    F = np.vstack([U, M, np.eye(2 * d + 1)[-1:]])
    E = np.vstack([into_x * one, into_m * one, np.zeros((1, d))])
    fluctuation = (gaussian_fourth(H) - np.kron(H, H)) / B
    v = np.concatenate([x0 - truth, np.zeros(d), [1.0]])
    second = np.outer(v, v)
    for k in range(1, 5):
        spread = (fluctuation @ second[:d, :d].ravel()).reshape(d, d) + (noise**2 + 0.3**2) / B * H
        second = (np.kron(F, F) @ second.ravel()).reshape(2 * d + 1, -1) + E @ spread @ E.T
        mean = second[:d, -1]
        np.testing.assert_allclose(exact["mean"][k], mean + truth, atol=1e-13)
        np.testing.assert_allclose(exact["covariance"][k], second[:d, :d] - np.outer(mean, mean), atol=1e-13)
        risk = 0.5 * np.trace(H @ second[:d, :d]) + 0.5 * noise**2
        np.testing.assert_allclose(exact["risk"][k], risk, atol=1e-13)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 5), (5, 1)])
def test_moments_equal_the_enumeration_in_degenerate_shapes(shape):
    """One sample, one parameter, fewer samples than parameters."""
    n, d = shape
    problem = tiny(4, n=n, d=d)
    exact = SGD(problem, 0.1, 1).moments(np.ones(d), 3)
    truth = enumerate_moments(problem, np.ones(d), 3, 0.1, 1, "with_replacement")
    for k, (mean, covariance) in enumerate(truth, start=1):
        np.testing.assert_allclose(exact["mean"][k], mean, atol=1e-13)
        np.testing.assert_allclose(exact["covariance"][k], np.reshape(covariance, (d, d)), atol=1e-13)


def test_full_batch_has_no_noise_but_label_noise():
    """B = n without replacement: covariance zero, and with label noise that of a linear filter."""
    problem = tiny(5, n=6, d=3)
    still = SGD(problem, 0.3, 6, "without_replacement").moments(np.ones(3), 5)
    assert np.abs(still["covariance"]).max() < 1e-15
    noisy = SGD(problem, 0.3, 6, "without_replacement", label_noise=0.5).moments(np.ones(3), 5)
    shrink = np.eye(3) - 0.3 * problem.hessian
    power, expected = np.eye(3), np.zeros((3, 3))
    for _ in range(5):
        expected += 0.3**2 * 0.25 / 6 * power @ problem.hessian @ power
        power = power @ shrink
    np.testing.assert_allclose(noisy["covariance"][5], expected, atol=1e-14)


def test_moments_on_a_large_problem_do_not_depend_on_the_route():
    """The packed fourth-moment matrix and the sum over rows give the same noise covariance."""
    generator = np.random.Generator(np.random.Philox(8))
    problem = LeastSquares.gaussian(40, 6, ridge=0.1)
    root, mean = generator.standard_normal((6, 6)), generator.standard_normal(6)
    second = root @ root.T + np.outer(mean, mean)
    rows = problem.augmented_modes
    gradients_second = np.zeros((6, 6))
    for a in rows:  # E r^2 = a^T M a, one sample after the other
        features, offset = a[:6], a[6]
        gradients_second += (
            np.outer(features, features)
            * (features @ second @ features + 2 * offset * features @ mean + offset**2)
            / len(rows)
        )
    lam, slope = np.diag(problem.eigenvalues), problem.risk_slope
    mean_part = (
        lam @ second @ lam
        + np.outer(lam @ mean, slope)
        + np.outer(slope, lam @ mean)
        + np.outer(slope, slope)
    )
    through_matrix = problem.noise_covariance_map(second, mean)
    problem.__dict__["fourth_moments"] = None
    through_rows = problem.noise_covariance_map(second, mean)
    np.testing.assert_allclose(through_matrix, gradients_second - mean_part, atol=1e-12)
    np.testing.assert_allclose(through_rows, gradients_second - mean_part, atol=1e-12)
