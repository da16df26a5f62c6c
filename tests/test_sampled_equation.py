"""The modified equation of losses given sample by sample: logistic, a user's own, torch."""

import os

import numba
import numpy as np
import pytest
from sgdlimits.diffusions import GradientFlow, ModifiedEquation
from sgdlimits.discrete import SGD
from sgdlimits.ensembles import Noise, Purpose
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, Logistic, SampleLoss

GENERATOR = np.random.default_rng(3)
A, B = GENERATOR.standard_normal((24, 3)), GENERATOR.standard_normal(24)


def value(x, rows):
    return 0.5 * np.square(np.einsum("pbj,pj->pb", A[rows], x) - B[rows])


def gradient(x, rows):
    return (np.einsum("pbj,pj->pb", A[rows], x) - B[rows])[:, :, None] * A[rows]


@numba.njit
def value_of_one(x, i):
    return 0.5 * (A[i] @ x - B[i]) ** 2


@numba.njit
def gradient_of_one(x, i, out):
    error = A[i] @ x - B[i]
    for j in range(out.size):
        out[j] = error * A[i, j]


def own(compiled=False, ridge=0.1):
    functions = (value_of_one, gradient_of_one) if compiled else (value, gradient)
    return SampleLoss(*functions, samples=24, dimension=3, ridge=ridge, compiled=compiled)


def logistic():
    return Logistic(A, (B > 0).astype(int), ridge=0.2)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_a_quadratic_loss_by_samples_is_least_squares(compiled, order):
    """Assert drift and noise covariance of the closed form, for the same loss given sample by sample."""
    closed = ModifiedEquation(LeastSquares.from_arrays(A, B, ridge=0.1), 0.07, 3, order)
    sampled = ModifiedEquation(own(compiled), 0.07, 3, order)
    x = GENERATOR.standard_normal((5, 3))
    np.testing.assert_allclose(sampled.drift(0, x), closed.drift(0, x), rtol=1e-8, atol=1e-10)
    ours, theirs = sampled.diffusion(0, x), closed.diffusion(0, x)
    ours, theirs = ours @ np.swapaxes(ours, 1, 2), theirs @ np.swapaxes(theirs, 1, 2)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("problem", [own(), own(True), logistic()], ids=["NumPy", "numba", "logistic"])
def test_weighted_samples_equal_the_columns(problem):
    """Assert that simulate adds drift dt + diffusion dW, without the (d, n) matrices, and the same bits by threads."""
    process = ModifiedEquation(problem, 0.1, 2, order=2)
    x0, substeps = np.array([0.5, -0.2, 1.0]), 2
    options = {"observables": ["state"], "record": [3], "seed": 4, "substeps": substeps}
    found = process.simulate(x0, 3, 20, **options)["state"].values[:, 0]
    noise, x, dt = Noise(4, np.arange(20)), np.tile(x0, (20, 1)), 0.1 / substeps
    for k in range(3 * substeps):
        increments = np.sqrt(dt) * noise.normals(Purpose.BROWNIAN, k, problem.samples)
        x = x + dt * process.drift(0, x) + np.einsum("pij,pj->pi", process.diffusion(0, x), increments)
    np.testing.assert_allclose(found, x, rtol=1e-9, atol=1e-12)
    again = process.simulate(x0, 3, 20, threads=2, **options)
    np.testing.assert_array_equal(again["state"].values[:, 0], found)


@pytest.mark.slow
def test_logistic_sgd_is_closer_to_its_equation_than_to_the_flow():
    """Assert the mean risk within 4 standard errors plus the size of the next order, and gradient flow rejected."""
    sgd = SGD(logistic(), 0.2, 2)
    runs = [
        process.simulate(np.zeros(3), 60, 4000, observables=["risk"], record=[60], seed=1)["risk"].values[:, 0]
        for process in (sgd, ModifiedEquation.of(sgd, order=2), GradientFlow.of(sgd))
    ]
    means = [run.mean() for run in runs]
    error = np.hypot(runs[0].std(), runs[1].std()) / np.sqrt(4000)
    noise_effect = means[0] - means[2]
    assert noise_effect > 10 * error
    assert abs(means[1] - means[0]) < 4 * error + 0.1 * noise_effect


def test_what_it_cannot_do_is_said():
    """Assert a sentence for moments, for label noise without labels and for a problem without samples."""
    process = ModifiedEquation(logistic(), 0.1)
    with pytest.raises(InvalidInput, match="no closed (form|moments)"):
        process.moments(np.zeros(3), 5)
    with pytest.raises(InvalidInput, match="only least squares has labels"):
        ModifiedEquation(logistic(), 0.1, label_noise=0.1)


@pytest.mark.extras
def test_a_torch_loss_gives_the_same_problem():
    """Assert values, gradients and one step of the equation of the loss written in torch."""
    if not os.environ.get("SGDLIMITS_REQUIRE_ALL"):
        pytest.importorskip("torch")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, on its first use of torch.func
        problem = SampleLoss.from_torch(lambda x, a, b: 0.5 * (a @ x - b) ** 2, (A, B), 3, ridge=0.1)
        x = GENERATOR.standard_normal((4, 3))
        np.testing.assert_allclose(problem.risk(x), own().risk(x), rtol=1e-12)
        np.testing.assert_allclose(problem.gradient(x), own().gradient(x), rtol=1e-12)
        ours, theirs = (
            ModifiedEquation(p, 0.1).simulate(x[0], 2, 16, observables=["norm"], record=[2]) for p in (problem, own())
        )
    np.testing.assert_allclose(ours["norm"], theirs["norm"], rtol=1e-11)
