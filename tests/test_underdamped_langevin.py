"""The underdamped limit of momentum: exact moments and stationary law, both orders, against the exact recurrence."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov, solve_discrete_lyapunov
from sgdlimits import compare
from sgdlimits.diffusions import ModifiedEquation, UnderdampedLangevin
from sgdlimits.discrete import SGD
from sgdlimits.ensembles import Gaussian
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw
from sgdlimits.exact.noise_maps import ConstantNoise
from sgdlimits.exact.phase_space_moments import PhaseSpaceFlow
from sgdlimits.problems import LeastSquares, Logistic, NoisyQuadratic, StreamingLeastSquares

MEAN, SPREAD = np.array([1.0, -1.0, 0.5]), np.diag([0.5, 0.2, 0.1]) + 0.05
START = Gaussian(MEAN, SPREAD)
D = 3


def problems():
    return {
        "finite": LeastSquares.gaussian(12, D, spectrum=0.7, noise=0.4, seed=2, ridge=0.1),
        "fewer samples than parameters": LeastSquares.gaussian(2, D, noise=0.4, seed=2),
        "streaming": StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]), 0.3, np.array([0.4, 1.0, -1.0]), 0.05),
    }


def settings():
    """Name -> SGD with momentum."""
    found = {name: SGD(problem, 0.03, 2, momentum=0.8) for name, problem in problems().items()}
    finite = problems()["finite"]
    found["label noise"] = SGD(finite, 0.03, 2, momentum=0.8, label_noise=0.5)
    found["without replacement"] = SGD(finite, 0.03, 5, momentum=0.8, sampling="without_replacement")
    found["labels alone"] = SGD(finite, 0.03, 12, momentum=0.8, sampling="without_replacement", label_noise=0.5)
    found["Nesterov"] = SGD(finite, 0.03, 2, momentum=0.8, nesterov=True)
    return found


def generator(limit):
    """Generator of (second moments of (x - minimiser, V), their means, 1), by brute force on a basis."""
    problem, s = limit.problem, 2 * D
    centre = np.concatenate([problem.minimiser, np.zeros(D)])
    drift = limit.drift(0.0, centre + np.eye(s)).T
    pairs = (np.eye(D)[:, None] + np.eye(D)).reshape(-1, D)
    probes = np.concatenate([np.zeros((1, D)), np.eye(D), -np.eye(D), pairs])
    roots = limit.diffusion(0.0, np.concatenate([probes + problem.minimiser, np.zeros_like(probes)], axis=1))
    squares = np.einsum("pim,pjm->pij", roots, roots)
    constant = squares[0]
    linear = (squares[1 : D + 1] - squares[D + 1 : 2 * D + 1]) / 2
    own = (squares[1 : D + 1] + squares[D + 1 : 2 * D + 1]) / 2 - constant
    sums = squares[2 * D + 1 :].reshape(D, D, s, s)

    def change(second, mean, one):
        noise = one * constant + np.einsum("i,iab->ab", mean[:D], linear)
        for i in range(D):
            noise = noise + second[i, i] * own[i]
            for j in range(i):
                mixed = sums[i, j] - constant - linear[i] - linear[j] - own[i] - own[j]
                noise = noise + second[i, j] * mixed
        return drift @ second + second @ drift.T + noise, drift @ mean

    size = s * s + s + 1
    columns = []
    for unit in np.eye(size):
        second, mean = change(unit[: s * s].reshape(s, s), unit[s * s : -1], unit[-1])
        columns.append(np.concatenate([second.ravel(), mean, [0.0]]))
    return np.array(columns).T


@pytest.mark.parametrize("name", settings())
@pytest.mark.parametrize("order", [1, 2])
def test_moments_are_those_of_the_definition(name, order):
    """Assert mean and covariance to 1e-10 against the generator built from drift and diffusion alone."""
    limit = UnderdampedLangevin.of(settings()[name], order=order)
    found, centre = limit.moments(START, 40, record=[1, 7, 40]), limit.problem.minimiser
    first = np.concatenate([MEAN - centre, np.zeros(D)])
    second = np.outer(first, first)
    second[:D, :D] += SPREAD
    start = np.concatenate([second.ravel(), first, [1.0]])
    for step in (1, 7, 40):
        end = expm(step / float(limit.clock) * generator(limit)) @ start
        mean = end[4 * D * D : -1][:D]
        covariance = end[: 4 * D * D].reshape(2 * D, 2 * D)[:D, :D] - np.outer(mean, mean)
        np.testing.assert_allclose(found["mean"].sel(step=step), mean + centre, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found["covariance"].sel(step=step), covariance, rtol=0, atol=1e-10)
        risk = limit.problem.expected_risk(limit.problem.to_modes(mean + centre), rotated(limit.problem, covariance))
        assert found["risk"].sel(step=step) == pytest.approx(float(risk), rel=1e-10)


def rotated(problem, covariance):
    return problem.eigenvectors.T @ covariance @ problem.eigenvectors


@pytest.mark.parametrize("name", settings())
def test_the_risk_alone_is_the_same(name):
    """Assert that variances alone, where they close, give the risk that all covariances give."""
    limit = UnderdampedLangevin.of(settings()[name])
    whole, alone = limit.moments(START, 30), limit.moments(START, 30, quantities=("risk",))
    np.testing.assert_allclose(alone["risk"], whole["risk"], rtol=1e-11)
    assert "covariance" not in alone


@pytest.mark.parametrize("name", [name for name in settings() if "fewer" not in name])
@pytest.mark.parametrize("order", [1, 2])
def test_the_stationary_law_is_where_moments_settle(name, order):
    """Assert that the generator keeps it, to 1e-10, and that moments arrive there."""
    limit = UnderdampedLangevin.of(settings()[name], order=order)
    law, late = limit.stationary(), limit.moments(START, 4000, record=[4000])
    np.testing.assert_allclose(late["covariance"][-1], law.covariance, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(late["mean"][-1], law.mean, atol=1e-8)
    matrix = generator(limit)
    size = 4 * D * D
    moments = np.linalg.solve(matrix[:size, :size], -matrix[:size, -1]).reshape(2 * D, 2 * D)
    np.testing.assert_allclose(law.covariance, moments[:D, :D], rtol=0, atol=1e-10)


def test_the_closed_form_of_additive_noise():
    """Assert l C_ij / [(1 - b)(k_i + k_j) + l (k_i - k_j)^2 / (2 (1 - b))] to 1e-12, by Lyapunov too."""
    k, size, momentum = np.array([1.0, 0.7, 0.2]), 0.05, 0.7
    root = np.random.default_rng(0).standard_normal((D, D))
    covariance = root @ root.T
    h, lost = np.sqrt(size), 1 - momentum
    drifts = np.zeros((D, 2, 2))
    drifts[:, 0, 1], drifts[:, 1, 0], drifts[:, 1, 1] = h, -h * k, -lost
    flow = PhaseSpaceFlow(drifts, np.array([0.0, 1.0]), size, ConstantNoise(covariance))
    closed = size * covariance / (lost * np.add.outer(k, k) + size * np.subtract.outer(k, k) ** 2 / (2 * lost))
    np.testing.assert_allclose(flow.feedback.stationary_covariance(), closed, rtol=1e-12)
    matrix = np.block([[np.zeros((D, D)), h * np.eye(D)], [-h * np.diag(k), -lost * np.eye(D)]])
    noise = np.zeros((2 * D, 2 * D))
    noise[D:, D:] = size * covariance
    np.testing.assert_allclose(solve_continuous_lyapunov(matrix, -noise)[:D, :D], closed, rtol=1e-12)
    found = flow.propagate(np.zeros(D), np.zeros((D, D)), np.array([3.0, 2000.0]))[1]
    np.testing.assert_allclose(found[1], closed, rtol=1e-11)
    early = expm(3 * matrix)
    np.testing.assert_allclose(
        found[0], closed - (early @ solve_continuous_lyapunov(matrix, -noise) @ early.T)[:D, :D], rtol=1e-10
    )


def test_it_is_nearer_than_the_overdamped_limit_where_noise_and_curvature_do_not_commute():
    """Assert at step size 1e-4, momentum 0.99: overdamped off by some per cent, underdamped by 0.02 % at most.

    Against the exact covariance of heavy ball with additive noise; overdamped alike where the two commute.
    """
    size, momentum, k = 1e-4, 0.99, np.array([0.5, 0.3, 0.02])
    lost, h = 1 - momentum, 1e-2
    root = np.random.default_rng(1).standard_normal((D, D))
    covariance = root @ root.T
    step = np.block([[np.eye(D) - size * np.diag(k), -size * momentum * np.eye(D)], [np.diag(k), momentum * np.eye(D)]])
    entry = np.concatenate([-size * np.eye(D), np.eye(D)])
    exact = solve_discrete_lyapunov(step, entry @ covariance @ entry.T)[:D, :D]
    over = size / lost * covariance / np.add.outer(k, k)
    drifts = np.zeros((D, 2, 2))
    drifts[:, 0, 1], drifts[:, 1, 0], drifts[:, 1, 1] = h, -h * k, -lost
    flow = PhaseSpaceFlow(drifts, np.array([0.0, 1.0]), size, ConstantNoise(covariance))
    under = flow.feedback.stationary_covariance()
    gaps = [np.linalg.norm(found - exact) / np.linalg.norm(exact) for found in (over, under)]
    assert 0.02 < gaps[0] < 0.05 and gaps[1] < 2e-4, gaps
    np.testing.assert_allclose(np.diag(under), np.diag(over), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in settings() if "fewer" not in name])
def test_both_orders_are_those_claimed(name):
    """Assert slopes in sqrt(step_size), from exact moments: 1 and 2 for risk, mean and covariance."""
    sgd = settings()[name]
    data = compare.orders(
        sgd, UnderdampedLangevin.of(sgd), UnderdampedLangevin.of(sgd, order=2), x0=START, steps=8, rungs=7
    ).dataset
    np.testing.assert_array_equal(data["claimed"], [[1, 1, 1], [2, 2, 2]])
    gap = np.abs(data["slope"] - data["claimed"])
    assert (gap < 4 * data["slope_error"] + 0.06).all(), data["slope"].values
    np.testing.assert_allclose(data["parameter"], np.sqrt(data["step_size"]))


def test_a_wrong_limit_has_no_order():
    """Assert that heavy ball's correction is of order 1 for Nesterov, and that other friction leaves an error."""
    sgd = settings()["Nesterov"]
    limit = UnderdampedLangevin.of(sgd, order=2)
    with pytest.raises(InvalidInput, match="nesterov"):
        compare.orders(sgd, replace(limit, nesterov=False), x0=START, steps=16)
    errors = {}
    for wrong in ({"nesterov": False}, {"momentum": 0.7}):
        found = []
        for halving in range(4):
            size, momentum = 1e-3 / 4**halving, 1 - 0.05 / 2**halving
            other = replace(sgd, step_size=size, momentum=momentum)
            change = {key: 1 - (1 - momentum) * 1.2 if key == "momentum" else value for key, value in wrong.items()}
            risks = [
                float(process.moments(START, 16 * 2**halving, record=[16 * 2**halving])["risk"][-1])
                for process in (other, replace(UnderdampedLangevin.of(other, order=2), **change))
            ]
            found.append(abs(risks[1] - risks[0]))
        errors[next(iter(wrong))] = np.diff(np.log2(found))
    assert (np.abs(errors["nesterov"] + 1) < 0.15).all() and (np.abs(errors["momentum"]) < 0.3).all(), errors


def test_thresholds_and_what_has_no_law():
    """Assert the threshold of order 2's mean, both sides of the mean-square one, and refusals in the house's words."""
    finite = problems()["finite"]
    limit = UnderdampedLangevin(finite, 0.03, 2, momentum=0.8, order=2)
    threshold = limit.stability().mean_threshold
    for factor, settles in ((1 - 1e-9, True), (1 + 1e-9, False)):
        assert (limit.flow_at(factor * threshold).mean_decays > 0).all() == settles
    first = replace(limit, order=1)
    edge = first.stability().mean_square_threshold
    assert np.isfinite(replace(first, step_size=0.99 * edge).stationary().risk)
    with pytest.raises(InfiniteVariance) as caught:
        replace(first, step_size=1.01 * edge).stationary()
    assert caught.value.threshold == pytest.approx(edge, rel=1e-9)
    running = LeastSquares.from_arrays(finite.features, finite.targets, ridge=-2.0)
    with pytest.raises(NoStationaryLaw):
        UnderdampedLangevin(running, 0.03, momentum=0.8).stationary()
    logistic = Logistic.from_arrays(finite.features, np.sign(finite.targets), ridge=0.1)
    with pytest.raises(InvalidInput, match="no closed form"):
        UnderdampedLangevin(logistic, 0.03).moments(np.zeros(D), 3)
    with pytest.raises(InvalidInput, match="momentum must be at least 0 and below 1"):
        UnderdampedLangevin(finite, 0.03, momentum=1.0)


@pytest.mark.parametrize("name", ["finite", "streaming"])
def test_schemes_of_the_house_sample_it(name):
    """Assert the exact risk within four standard errors, by a scheme of positions, of matrices and of a linear part."""
    limit = UnderdampedLangevin.of(settings()[name])
    exact = limit.moments(MEAN, 15, record=[15])["risk"].values[-1]
    for solver, substeps in (("heun", 4), ("ri6", 1), ("exponential_euler", 8)):
        paths = 4000 if solver != "ri6" else 500
        run = limit.simulate(MEAN, 15, paths, "risk", [15], 4, solver=solver, substeps=substeps, threads=1)
        risk = run["risk"].values[:, -1]
        allowed = 4 * risk.std() / np.sqrt(paths) + (0.01 * exact if solver == "exponential_euler" else 0)
        assert abs(risk.mean() - exact) < allowed, solver


def test_the_overdamped_limit_is_reached_at_large_friction():
    """Assert that it falls in with the modified equation of step_size / (1 - momentum) where friction is large."""
    finite = problems()["finite"]
    gaps = []
    for size in (1e-2, 1e-4):
        limit = UnderdampedLangevin(finite, size, 2, momentum=0.5)
        over = ModifiedEquation(finite, size / 0.5, 2)
        gaps.append(abs(limit.stationary().risk - over.stationary().risk) / size)
        assert gaps[-1] < 0.1 * size / size
    assert gaps[1] < 0.2 * gaps[0]


def test_the_correction_of_order_2_on_a_loss_that_is_not_quadratic():
    """Assert h (a pull, (Hessian V - mu pull) / 2), pull = mu V + gradient, to the error of a difference."""
    finite = problems()["finite"]
    logistic = Logistic.from_arrays(finite.features, np.sign(finite.targets), ridge=0.1)
    generator = np.random.default_rng(4)
    x, v = generator.standard_normal((2, 5, D))
    v[0] = 0.0
    for nesterov, ahead in ((False, -0.5), (True, -1.5)):
        first = UnderdampedLangevin(logistic, 0.04, 2, momentum=0.8, nesterov=nesterov)
        z = np.concatenate([x, v], axis=1)
        gap = (replace(first, order=2).drift(0.0, z) - first.drift(0.0, z)) / 0.2
        pull = first.friction * v + logistic.gradient(x)
        bent = np.array([logistic.hessian(point) @ w + 0.1 * w for point, w in zip(x, v)])
        np.testing.assert_allclose(gap[:, :D], ahead * pull, atol=1e-12)
        np.testing.assert_allclose(gap[:, D:], 0.5 * (bent - first.friction * pull), atol=1e-7)


def test_a_noisy_quadratic_has_this_limit_as_least_squares_has():
    """Assert the closed form for matrices that do not commute, its order, its paths, and laws of settled directions."""
    k, c = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 0.9], [0.9, 1.0]])
    sgd = SGD(NoisyQuadratic(k, c), 0.01, batch_size=2, momentum=0.9)
    values, vectors = np.linalg.eigh(k)
    inner = vectors.T @ c @ vectors / 2
    decay = 0.1 * (values[:, None] + values) + 0.01 * (values[:, None] - values) ** 2 / 0.2
    limit = UnderdampedLangevin.of(sgd)
    expected = vectors @ (0.01 * inner / decay) @ vectors.T
    np.testing.assert_allclose(limit.stationary().covariance, expected, rtol=1e-12)
    paths = limit.simulate(np.zeros(2), 150, 4000, ("state",), [150], seed=1).state.values[:, -1]
    moments = limit.moments(np.zeros(2), 150, [150]).covariance.values[-1]
    np.testing.assert_allclose(np.cov(paths.T), moments, rtol=0.12)
    flat = UnderdampedLangevin.of(SGD(NoisyQuadratic([1.0, -1.0], [1.0, 1.0]), 0.01, momentum=0.9))
    with pytest.raises(NoStationaryLaw, match="settled_only=True"):
        flat.stationary()
    np.testing.assert_allclose(flat.stationary(settled_only=True).covariance, [[0.05, 0], [0, 0]], rtol=1e-12)
