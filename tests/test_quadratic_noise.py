"""Diffusions with the covariance of finitely many samples: their tail index and even moments, against other ways."""

import numpy as np
import pytest
from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation
from sgdlimits.discrete import SGD
from sgdlimits.exact.diffusion_index import spectral_index
from sgdlimits.exact.moment_exponents import LinearNoise
from sgdlimits.exact.monomials import exponents
from sgdlimits.exact.quadratic_noise import QuadraticNoise
from sgdlimits.problems import LeastSquares, StreamingLeastSquares


def a_problem(n, d, ridge=0.0, seed=0):
    draw = np.random.Generator(np.random.Philox(seed))
    return LeastSquares.from_arrays(draw.standard_normal((n, d)), draw.standard_normal(n), ridge=ridge)


def gaussian(eigenvalues, size):
    """The noise of Gaussian features as a tensor."""
    h = np.diag(eigenvalues)
    crossed = np.einsum("ik,jl->ijkl", h, h)
    square = np.einsum("ij,kl->ijkl", h, h) + (crossed + crossed.swapaxes(2, 3)) / 2
    d = len(eigenvalues)
    return QuadraticNoise(-size * h, size**2 * square, np.zeros((d,) * 3), np.zeros((d, d)))


@pytest.mark.parametrize("eigenvalues", [(1.0, 0.5), (1.0, 0.6, 0.3)])
def test_the_index_of_gaussian_noise_is_that_of_its_own_method(eigenvalues):
    """Assert that two Galerkin methods in different functions agree within their errors, in any coordinates."""
    h, size = np.array(eigenvalues), 0.5
    known = spectral_index(LinearNoise(size * h, size**2 * h, h, size * h))
    found = spectral_index(gaussian(h, size))
    assert abs(found.index - known.index) < found.error + known.error < 1e-7
    turn = np.linalg.qr(np.random.Generator(np.random.Philox(2)).standard_normal((h.size,) * 2))[0] * h
    back, plain = np.linalg.inv(turn), gaussian(h, size)
    square = np.einsum("ai,bj,ijkl,kc,ld->abcd", turn, turn, plain.square, back, back)
    skewed = QuadraticNoise(turn @ plain.drift @ back, square, plain.slope, plain.constant)
    assert spectral_index(skewed).index == pytest.approx(known.index, abs=1e-6)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("n", "d", "ridge"), [(9, 3, 0.0), (12, 2, 0.2), (2, 3, 0.1)])
def test_even_moments_start_with_second_moments(order, n, d, ridge):
    """Assert E |x - m|^2 at every step, and its stationary value, against the moment equations."""
    process = ModifiedEquation.of(SGD(a_problem(n, d, ridge), 0.15, label_noise=0.3), order=order)
    x0 = np.arange(1.0, d + 1)
    found = process.even_moments(x0, 30, order=4)
    moments = process.moments(x0, 30)
    centre = process.quadratic.minimiser
    range_ = process.quadratic.eigenvectors[:, process.quadratic.eigenvalues > 0]
    away = (moments["mean"].values - centre) @ range_
    spread = np.einsum("kij,im,jm->k", moments["covariance"].values, range_, range_)
    squares = np.square(away).sum(axis=1) + spread
    np.testing.assert_allclose(found["norm_moment"].sel(order=2), squares, rtol=1e-9)


def test_fourth_moments_follow_the_generator():
    """Assert the derivative of E |z|^4 at a point: z . grad and the noise's second derivatives, by hand."""
    problem, size = a_problem(9, 3), 0.1
    process = ModifiedEquation.of(SGD(problem, size))
    x = np.array([1.0, -2.0, 0.5])
    rows, z = problem.features, x - problem.minimiser
    gradients = rows * (rows @ x - problem.targets)[:, None]
    mean, cov = gradients.mean(axis=0), np.cov(gradients.T, bias=True)
    square = z @ z
    slope = -4 * size * square * (mean @ z) + size**2 * (2 * square * np.trace(cov) + 4 * z @ cov @ z)
    start = process.even_moments(x, 1, order=4)["norm_moment"].sel(order=4).values[0]
    k = problem.features.shape[1]
    noise = QuadraticNoise.of_samples(
        size * problem.eigenvalues, problem.range_modes, problem.residuals_at_minimiser, size**2, np.zeros(k)
    )
    alpha = np.concatenate([exponents(degree, k) for degree in range(5)])
    modes = problem.to_modes(x)
    change = noise.generator(alpha) @ np.prod(modes**alpha, axis=1)
    fours = {(4, 0, 0): 1, (0, 4, 0): 1, (0, 0, 4): 1, (2, 2, 0): 2, (2, 0, 2): 2, (0, 2, 2): 2}
    found = sum(weight * change[alpha.tolist().index(list(each))] for each, weight in fours.items())
    assert found == pytest.approx(slope, rel=1e-11)
    assert start == pytest.approx(square**2, rel=1e-12)


def test_the_index_is_two_at_the_threshold():
    """Assert index 2 where second moments stop to settle, below it above, and 4 where fourth moments do."""
    problem = a_problem(20, 3)
    threshold = ModifiedEquation.of(SGD(problem, 0.1)).stability().mean_square_threshold
    at = {share: ModifiedEquation.of(SGD(problem, share * threshold)).tail_index() for share in (0.8, 1.0, 1.1)}
    assert at[1.0].index == pytest.approx(2.0, abs=1e-8) and "spectral" in at[1.0].method
    assert at[0.8].index > 2 + at[0.8].error and at[1.1].index < 2 - at[1.1].error
    process = ModifiedEquation.of(SGD(problem, 0.8 * threshold))
    bounded = process.even_moments(np.ones(3), 2, order=8)["bounded"]
    assert [bool(each) for each in bounded] == [order < at[0.8].index for order in (2, 4, 6, 8)]


def test_one_mode_has_a_closed_form():
    """Assert 1 + 2 rate / own for one column, and that one row, whose noise does not grow, has no tail."""
    problem = LeastSquares.from_arrays(np.array([[1.0], [2.0], [0.5]]), np.array([1.0, 0.0, 1.0]), ridge=0.1)
    size, squares = 0.2, problem.features[:, 0] ** 2
    found = ModifiedEquation.of(SGD(problem, size)).tail_index()
    assert found.index == pytest.approx(1 + 2 * (squares.mean() + 0.1) / (size * squares.var()), rel=1e-12)
    lone = ModifiedEquation.of(SGD(LeastSquares.from_arrays([[1.0, 2.0]], [1.0], ridge=0.1), 0.1, label_noise=0.2))
    assert lone.tail_index().index == np.inf and "does not grow" in lone.tail_index().note


def test_gaussian_features_by_many_samples():
    """Assert that the index on many drawn rows comes near that of their law, and homogenized SGD's is another."""
    draw = np.random.Generator(np.random.Philox(3))
    rows = draw.standard_normal((40_000, 2)) * [1.0, 0.7]
    problem = LeastSquares.from_arrays(rows, draw.standard_normal(len(rows)))
    stream = StreamingLeastSquares([1.0, 0.49], 1.0, [0.0, 0.0])
    sampled, law = (ModifiedEquation.of(SGD(each, 0.6)).tail_index() for each in (problem, stream))
    assert sampled.index == pytest.approx(law.index, rel=0.05)
    assert abs(HomogenizedSGD.of(SGD(stream, 0.6)).tail_index().index - law.index) > 0.1 * law.index
