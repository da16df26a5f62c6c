"""The largest Hessian eigenvalue against dense Hessians and closed forms, with errors that hold."""

import numpy as np
import pytest

from sgdlimits.discrete import sharpness
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, SampleLoss, StreamingLeastSquares, Supervised, predictors, sources, tasks

DRAW = np.random.Generator(np.random.Philox(11))
INPUTS = DRAW.standard_normal((20, 5))
REAL, CLASSES = DRAW.standard_normal(20), DRAW.integers(0, 3, 20)


def networks():
    """Name -> (problem, whether its products are exact)."""
    rows, classes = sources.Rows(INPUTS, REAL), sources.Rows(INPUTS, CLASSES)
    return {
        "linear classes": Supervised(predictors.Linear(5, 3), "cross_entropy", classes, ridge=0.1),
        "tanh": Supervised(predictors.TwoLayer(5, 6), "squares", rows, ridge=0.05),
        "tanh without biases": Supervised(predictors.TwoLayer(5, 6, bias=False), "squares", rows),
        "ReLU classes": Supervised(predictors.TwoLayer(5, 4, 3, "relu"), "cross_entropy", classes),
        "sine": Supervised(predictors.TwoLayer(5, 3, 1, "sine"), "squares", rows),
        "diagonal": Supervised(predictors.DiagonalNetwork(5), "squares", rows),
    }


@pytest.mark.parametrize("name", networks())
def test_products_and_sharpness_are_those_of_the_dense_hessian(name):
    """Assert the product to rounding and the eigenvalue within its error, by columns and by Lanczos."""
    problem = networks()[name]
    draw = np.random.Generator(np.random.Philox(2))
    x, v = draw.standard_normal((2, problem.dimension))
    dense = problem.hessian(x)
    np.testing.assert_allclose(problem.hessian_product(x, v), dense @ v, rtol=1e-11, atol=1e-12)
    found, exact = sharpness(problem, x), np.linalg.eigvalsh(dense)[-1] + problem.ridge
    assert abs(found.value - exact) <= found.error + 1e-12 < 1e-5 * exact
    assert not found.differences and found.sampling_error == 0.0
    off = np.linalg.eigvalsh(dense)[-2] + problem.ridge
    assert abs(found.value - off) > 10 * found.error  # control: the next one is told apart


def test_differences_of_gradients_state_an_error_that_holds():
    """Assert it for a user's loss of 40 parameters whose Hessian is known, with the ridge."""
    weights = np.linspace(0.5, 3.0, 40)
    problem = SampleLoss(
        lambda x, rows: (weights * np.cosh(x)).sum(axis=1)[:, None] + 0.0 * rows,
        lambda x, rows: (weights * np.sinh(x))[:, None] + 0.0 * rows[..., None], 1, 40, ridge=0.3,
    )  # fmt: skip
    x = np.linspace(-1, 1, 40)
    found = sharpness(problem, x)
    assert found.differences and abs(found.value - (weights * np.cosh(x)).max() - 0.3) <= found.error < 1e-6


def test_least_squares_streams_and_populations():
    """Assert the largest curvature, also of 400 parameters, and 0 where nothing bends."""
    wide = StreamingLeastSquares(np.diag(np.arange(1, 401) ** -1.0), 0.1, np.zeros(400), ridge=0.2)
    found = sharpness(wide, np.ones(400))
    assert abs(found.value - 1.2) <= found.error + 1e-12 and found.products < 200
    rows = LeastSquares.from_arrays(INPUTS, REAL)
    assert abs(float(sharpness(rows, np.zeros(5))) - rows.eigenvalues[0]) < 1e-12
    still = LeastSquares.from_arrays(np.zeros((3, 30)), np.ones(3))
    assert sharpness(still, np.zeros(30)).value == 0.0


@pytest.mark.slow
def test_of_a_task_online_and_of_its_population():
    """Assert that a stream's sharpness lies within 4 of its standard errors, and its bias, of the population's."""
    task = tasks.diagonal_network(inputs=8, ones=2)
    x = np.concatenate([np.full(8, 0.6), np.full(8, 0.1)])
    exact, mean = sharpness(task.population, x), sharpness(task.problem, x)
    e = x[:8] ** 2 - x[8:] ** 2 - (np.arange(8) < 2)
    blocks = [np.array([[4 * u * u + 2 * r, -4 * u * v], [-4 * u * v, 4 * v * v - 2 * r]]) for u, v, r in
              zip(x[:8], x[8:], e)]  # fmt: skip
    assert abs(exact.value - max(np.linalg.eigvalsh(b)[-1] for b in blocks)) <= exact.error + 1e-12
    assert 0 < mean.sampling_error < 0.1 * mean.value
    assert abs(mean.value - exact.value) < 4 * mean.sampling_error + 0.1 * exact.value


def test_what_does_not_fit_gets_a_sentence():
    """Assert one for a point of another length, and for something that is no problem."""
    for make in (lambda: sharpness(networks()["tanh"], np.zeros(3)), lambda: sharpness("loss", np.zeros(3))):
        with pytest.raises(InvalidInput):
            make()
