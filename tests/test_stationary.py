"""Stationary laws and stability thresholds of SGD: closed forms, fixed points, spectral radii, edge cases."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw, StabilityWarning, Unstable
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

METHODS = {"plain": {}, "heavy ball": {"momentum": 0.7}, "Nesterov": {"momentum": 0.6, "nesterov": True}}
SAMPLINGS = ["with_replacement", "without_replacement"]


def small(seed=0, n=5, d=2, ridge=0.0):
    generator = np.random.Generator(np.random.Philox(seed))
    return LeastSquares.from_arrays(generator.standard_normal((n, d)), generator.standard_normal(n), ridge)


def transition(K, eta, mu=0.0, nesterov=False):
    """Linear map of (x, buffer) by one step with the Hessian K."""
    d = len(K)
    M = np.hstack([K, mu * np.eye(d)])
    direction = np.hstack([K, np.zeros((d, d))]) + mu * M if nesterov else M
    return np.vstack([np.hstack([np.eye(d), np.zeros((d, d))]) - eta * direction, M])


def second_moment_radius(problem, eta, size, sampling, momentum=0.0, nesterov=False):
    """Spectral radius of E T (x) T over all batches: a dense superoperator that knows nothing of modes."""
    A, n, d = problem.features, problem.samples, problem.dimension
    with_replacement = sampling == "with_replacement"
    batches = (
        itertools.product(range(n), repeat=size)
        if with_replacement
        else itertools.combinations(range(n), size)
    )
    total, count = 0.0, 0
    for batch in batches:
        K = A[list(batch)].T @ A[list(batch)] / size + problem.ridge * np.eye(d)
        T = transition(K, eta, momentum, nesterov)
        T = T if momentum else T[:d, :d]
        total, count = total + np.kron(T, T), count + 1
    return np.abs(np.linalg.eigvals(total / count)).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_threshold_is_where_the_dense_superoperator_reaches_radius_one(method, sampling, ridge):
    """Mean-square threshold against the root of the spectral radius over all batches, to 1e-10."""
    problem = small(1, ridge=ridge)
    stability = SGD(problem, 0.1, 2, sampling, **METHODS[method]).stability()
    radius = lambda eta: second_moment_radius(problem, eta, 2, sampling, **METHODS[method])  # noqa: E731
    threshold = stability.mean_square_threshold
    assert threshold < stability.mean_threshold
    assert radius(threshold) == pytest.approx(1, abs=1e-10)
    root = brentq(lambda eta: radius(eta) - 1, 0.5 * threshold, 1.5 * threshold, xtol=1e-15)
    assert threshold == pytest.approx(root, rel=1e-10)
    assert all(radius(fraction * threshold) < 1 for fraction in np.linspace(0.05, 0.999, 20))


@pytest.mark.parametrize("method", METHODS)
def test_mean_threshold_is_where_the_mean_transition_reaches_radius_one(method):
    """2 (1 + mu) / k, Nesterov 2 (1 + mu) / ((1 + 2 mu) k)."""
    problem = small(2, ridge=0.1)
    threshold = SGD(problem, 0.1, **METHODS[method]).stability().mean_threshold
    K = problem.hessian + 0.1 * np.eye(2)
    settings_ = {"mu": METHODS[method].get("momentum", 0.0), "nesterov": "nesterov" in METHODS[method]}
    radius = lambda eta: np.abs(np.linalg.eigvals(transition(K, eta, **settings_))).max()  # noqa: E731
    assert radius(threshold) == pytest.approx(1, abs=1e-12)
    assert radius(threshold * 0.999) < 1 < radius(threshold * 1.001)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch_size,dimension", [(1, 1), (1, 3), (4, 3)])
def test_streaming_threshold_is_where_the_gaussian_superoperator_reaches_radius_one(
    method, batch_size, dimension
):
    """Kronecker products with the fourth moments of N(0, H); and for heavy ball the theorem of Ziyin et al.

    Theirs: G > 0 and sum of eta k / G = B with G = 2 (1 - mu) - ((1 - mu) / (1 + mu) + 1 / B) eta k.
    """
    H, settings_ = np.diag([1.0, 0.6, 0.3][:dimension]), METHODS[method]
    sgd = SGD(StreamingLeastSquares(H, 0.5, np.ones(dimension)), 0.01, batch_size, **settings_)
    eta, mu = sgd.stability().mean_square_threshold, settings_.get("momentum", 0.0)
    nesterov, d = "nesterov" in settings_, dimension
    fluctuation = np.einsum("ik,jl->ikjl", H, H) + np.einsum("il,jk->ikjl", H, H)
    fluctuation = fluctuation.reshape(d * d, d * d) / batch_size
    reads = np.hstack([np.eye(d), np.zeros((d, d))])
    enters = np.vstack([-eta * (1 + mu if nesterov else 1) * np.eye(d), np.eye(d)])
    T = transition(H, eta, mu, nesterov)
    step = np.kron(T, T) + np.kron(enters, enters) @ fluctuation @ np.kron(reads, reads)
    assert np.abs(np.linalg.eigvals(step)).max() == pytest.approx(1, abs=1e-10)
    if not nesterov:
        G = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / batch_size) * eta * np.diag(H)
        assert G.min() > 0
        assert (eta * np.diag(H) / G).sum() == pytest.approx(batch_size, rel=1e-10)


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
def test_streaming_stationary_law_equals_the_theorem_of_ziyin(mu):
    """Their Theorem 2: Sigma = (sigma^2 / S) (1 + kappa / S) eta / G, to 1e-12."""
    spectrum, sigma, S, eta = np.array([1.0, 0.5, 0.2]), 0.7, 3, 0.05
    law = SGD(
        StreamingLeastSquares(spectrum, sigma, np.array([1.0, 2.0, 3.0])), eta, S, momentum=mu
    ).stationary()
    G = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / S) * eta * spectrum
    T = (eta * spectrum / G).sum()
    kappa = T / (1 - T / S)
    np.testing.assert_allclose(
        law.covariance, np.diag(sigma**2 / S * (1 + kappa / S) * eta / G), rtol=1e-12, atol=1e-16
    )
    np.testing.assert_allclose(law.mean, [1, 2, 3], rtol=1e-13)
    assert law.risk == pytest.approx(0.5 * np.trace(law.covariance * spectrum) + 0.5 * sigma**2, rel=1e-12)


@pytest.mark.parametrize("mu,nesterov", [(0.0, False), (0.8, False), (0.8, True)])
def test_additive_noise_equals_the_closed_forms(mu, nesterov):
    """Full batch, so that only label noise is left: each mode's variance, of heavy ball formula stationary-variance."""
    problem, sigma, eta = small(3, n=7, d=3), 0.4, 0.2
    law = SGD(problem, eta, 7, "without_replacement", mu, sigma, nesterov).stationary()
    k, c = problem.eigenvalues, sigma**2 / 7 * problem.eigenvalues
    a = eta * k
    if nesterov:
        variance = (
            eta**2
            * c
            * (1 + mu + mu * (1 + 2 * mu) * a)
            / (a * (1 - mu + mu * a) * (2 * (1 + mu) - (1 + 2 * mu) * a))
        )
    else:
        variance = eta * c / (k * (1 - mu) * (2 - a / (1 + mu)))
    expected = (problem.eigenvectors * variance) @ problem.eigenvectors.T
    np.testing.assert_allclose(law.covariance, expected, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_stationary_law_is_the_limit_of_the_moments(method, sampling):
    """Long iteration of the exact moments, ridge and label noise on, ends at the fixed point."""
    sgd = SGD(small(4, ridge=0.2), 0.1, 2, sampling, label_noise=0.3, **METHODS[method])
    law = sgd.stationary()
    end = sgd.moments(np.array([3.0, -1.0]), 3000, record=[3000])
    np.testing.assert_allclose(end["mean"][-1], law.mean, atol=1e-13)
    np.testing.assert_allclose(end["covariance"][-1], law.covariance, rtol=1e-11)
    assert float(end["risk"][-1]) == pytest.approx(law.risk, rel=1e-12)
    stay = sgd.moments((law.mean, law.covariance), 1)
    if not sgd.momentum:
        np.testing.assert_allclose(stay["covariance"][1], law.covariance, rtol=1e-12)


def test_large_problems_agree_with_the_iteration():
    """d = 40 takes the Krylov route: residual of the fixed point at rounding."""
    sgd = SGD(LeastSquares.gaussian(80, 40, spectrum=1.0, ridge=0.01), 0.05, 1)
    law = sgd.stationary()
    after = sgd.moments((law.mean, law.covariance), 1)
    assert np.abs(after["covariance"][1] - law.covariance).max() <= 1e-12 * np.abs(law.covariance).max()
    radius = sgd.moment_map(sgd.stability().mean_square_threshold).feedback.spectral_radius()
    assert radius == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize(
    "momentum,nesterov", [(0.0, False), (0.5, False), (0.95, False), (0.5, True), (0.95, True)]
)
def test_the_spectral_radius_grows_with_the_step_size(momentum, nesterov):
    """So the first crossing of one is the only one; every entry of the response grows and is positive."""
    sgd = SGD(small(5, n=8, d=4, ridge=0.05), 0.1, 1, momentum=momentum, nesterov=nesterov)
    top = sgd.stability().mean_threshold
    maps = [
        sgd.moment_map(fraction * top)
        for fraction in np.r_[np.geomspace(1e-5, 0.1, 25), np.linspace(0.1, 0.999, 40)[1:]]
    ]
    responses = np.array([m.response for m in maps])
    assert (responses > 0).all() and (np.diff(responses, axis=0) > 0).all()
    radii = [m.feedback.spectral_radius() for m in maps]
    assert (np.diff(radii) > 0).all()
    assert [m.feedback.is_stable() for m in maps] == [radius < 1 for radius in radii]


def test_one_sample_one_parameter():
    """n = d = 1: no noise, the mean threshold is the only one, and the law is a point."""
    sgd = SGD(LeastSquares.from_arrays([[2.0]], [3.0]), 0.1)
    assert sgd.stability().mean_threshold == sgd.stability().mean_square_threshold == 0.5
    law = sgd.stationary()
    assert law.covariance == 0 and law.mean == 1.5 and law.risk == pytest.approx(0, abs=1e-30)


def test_interpolation_has_a_point_law_and_a_threshold():
    """Zero residual: covariance zero below the threshold, which lies below that of the mean."""
    A = np.random.Generator(np.random.Philox(6)).standard_normal((6, 2))
    sgd = SGD(LeastSquares.from_arrays(A, A @ [1.0, 2.0]), 0.05, 1)
    assert np.abs(sgd.stationary().covariance).max() < 1e-25
    assert sgd.stability().mean_square_threshold < sgd.stability().mean_threshold


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_rank_deficient_problems(ridge):
    """n < d: without a ridge the law lives on the range and names the frozen directions."""
    problem = small(7, n=3, d=5, ridge=ridge)
    sgd = SGD(problem, 0.05, 1, label_noise=0.2)
    law = sgd.stationary()
    assert law.frozen_directions.shape == ((5, 2) if ridge == 0 else (5, 0))
    null = problem.eigenvectors[:, 3:]
    assert np.abs(law.covariance @ null).max() < 1e-15
    np.testing.assert_allclose(
        sgd.moments((law.mean, law.covariance), 1)["covariance"][1], law.covariance, atol=1e-14
    )


def test_full_batch_threshold_equals_that_of_the_mean():
    """B = n without replacement: the gain stays zero up to the mean threshold."""
    stability = SGD(small(8), 0.1, 5, "without_replacement", label_noise=1.0).stability()
    assert stability.mean_square_threshold == stability.mean_threshold


def test_step_size_exactly_at_a_threshold_is_an_error():
    """Both thresholds, as computed and as known in closed form (streaming, d = 1: 2 B / (B + 2))."""
    problem = small(9)
    stability = SGD(problem, 0.1, 1).stability()
    with pytest.raises(InfiniteVariance) as error:
        SGD(problem, stability.mean_square_threshold, 1).stationary()
    assert error.value.threshold == stability.mean_square_threshold
    with pytest.raises(NoStationaryLaw) as error:
        SGD(problem, stability.mean_threshold, 1).stationary()
    assert error.value.threshold == stability.mean_threshold
    with pytest.raises(InfiniteVariance):
        SGD(StreamingLeastSquares(1.0, 1.0, [0.0]), 2 / 3, 1).stationary()
    SGD(problem, stability.mean_square_threshold * (1 - 1e-9), 1).stationary()


def test_negative_curvature_is_named():
    """A ridge below minus the smallest eigenvalue: threshold 0, and the error names the curvature."""
    problem = small(10, ridge=-5.0)
    sgd = SGD(problem, 0.01, 1)
    assert sgd.stability().mean_threshold == sgd.stability().mean_square_threshold == 0
    with pytest.raises(NoStationaryLaw, match="negative curvature -4") as error:
        sgd.stationary()
    assert isinstance(error.value, Unstable) and error.value.threshold == 0
    with pytest.warns(StabilityWarning, match="settles only below 0"):
        sgd.moments(np.zeros(2), 3)


def test_small_negative_ridge_that_leaves_all_curvatures_positive_has_a_law():
    """A negative ridge is no error by itself; the moments started in the law stay in it."""
    problem = small(11)
    problem = LeastSquares.from_arrays(problem.features, problem.targets, -0.5 * problem.eigenvalues[-1])
    sgd = SGD(problem, 0.02, 1)
    law = sgd.stationary()
    after = sgd.moments((law.mean, law.covariance), 1)
    np.testing.assert_allclose(after["covariance"][1], law.covariance, rtol=1e-12)
    np.testing.assert_allclose(after["mean"][1], law.mean, rtol=1e-12)


def test_moments_past_the_thresholds_warn_and_overflow_to_infinity():
    """A warning names step size and threshold; moments past the range of numbers are inf, never nan."""
    problem = small(12)
    stability = SGD(problem, 0.1).stability()
    between = 0.5 * (stability.mean_threshold + stability.mean_square_threshold)
    with pytest.warns(StabilityWarning, match=f"second moment.*{stability.mean_square_threshold:.6g}"):
        SGD(problem, between).moments(np.ones(2), 5)
    with pytest.warns(StabilityWarning, match=f"mean.*{stability.mean_threshold:.6g}"):
        far = SGD(problem, 10.0).moments(np.ones(2), 2000)
    assert not any(np.isnan(far[name]).any() for name in ("mean", "covariance", "risk"))
    assert np.isinf(far["risk"][-1]) and float(far["risk"][0]) == pytest.approx(
        float(problem.risk(np.ones(2)))
    )


def test_bad_arguments_are_refused_in_a_sentence():
    """What was got, what is allowed."""
    problem = small(13)
    for arguments, message in [
        ({"step_size": -1.0}, "step_size must be above zero"),
        ({"step_size": 0.1, "batch_size": 6, "sampling": "without_replacement"}, "over the 5 samples"),
        ({"step_size": 0.1, "momentum": 1.0}, "below 1"),
        ({"step_size": 0.1, "nesterov": True}, "needs a momentum"),
        ({"step_size": 0.1, "sampling": "with_replacment"}, "did you mean"),
        ({"step_size": 0.1, "label_noise": -1.0}, "label_noise must be at least zero"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            SGD(problem, **arguments)
    with pytest.raises(InvalidInput, match="use simulate"):
        SGD(problem, 0.1, sampling="reshuffle").moments(np.zeros(2), 3)


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seeds, st.floats(0.02, 0.9), st.sampled_from(sorted(METHODS)), st.floats(0, 0.5))
def test_laws_are_proper_and_follow_rotations_and_scales(seed, fraction, method, ridge):
    """Covariance PSD, risk >= 0; features rotated rotate the law; scaled targets and features scale it."""
    problem = small(seed, n=6, d=3, ridge=ridge)
    threshold = SGD(problem, 0.1, 2, **METHODS[method]).stability().mean_square_threshold
    eta = fraction * threshold
    law = SGD(problem, eta, 2, **METHODS[method]).stationary()
    scale = np.abs(law.covariance).max()
    assert np.linalg.eigvalsh(law.covariance)[0] >= -1e-12 * scale and law.risk >= 0
    rotation, _ = np.linalg.qr(np.random.Generator(np.random.Philox(seed)).standard_normal((3, 3)))
    turned = LeastSquares.from_arrays(problem.features @ rotation.T, problem.targets, ridge)
    turned_sgd = SGD(turned, eta, 2, **METHODS[method])
    assert turned_sgd.stability().mean_square_threshold == pytest.approx(threshold, rel=1e-9)
    np.testing.assert_allclose(
        turned_sgd.stationary().covariance, rotation @ law.covariance @ rotation.T, atol=1e-9 * scale
    )
    larger = LeastSquares.from_arrays(problem.features, 3 * problem.targets, ridge)
    np.testing.assert_allclose(
        SGD(larger, eta, 2, **METHODS[method]).stationary().covariance,
        9 * law.covariance,
        atol=1e-9 * 9 * scale,
    )
    # Features scaled by c: curvatures by c^2, so step size / c^2 and ridge * c^2 give the same law / c^2.
    stretched = LeastSquares.from_arrays(2 * problem.features, problem.targets, 4 * ridge)
    np.testing.assert_allclose(
        SGD(stretched, eta / 4, 2, **METHODS[method]).stationary().covariance,
        law.covariance / 4,
        atol=1e-9 * scale,
    )
