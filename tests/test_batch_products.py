"""Products with batch Hessians, what a predictor tells of its layers, and spectra from products alone."""

import numpy as np
import pytest

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.lanczos import spectral_ends
from sgdlimits.problems import SampleLoss, Supervised, predictors, sources

DRAW = np.random.Generator(np.random.Philox(5))
INPUTS, REAL, CLASSES = DRAW.standard_normal((20, 5)), DRAW.standard_normal(20), DRAW.integers(0, 3, 20)


def cubic(x, inputs):
    return (inputs @ x[..., None]) ** 3


def cubic_pullback(x, inputs, slopes):
    return 3 * slopes * (inputs @ x[..., None]) ** 2 * inputs


def problems():
    """Name -> (problem, how well differences of gradients do; 0 where products are exact)."""
    real, classes = sources.Rows(INPUTS, REAL), sources.Rows(INPUTS, CLASSES)
    user = predictors.UserPredictor(cubic, cubic_pullback, 5, 1, 5, layer_sizes={"front": 2, "back": 3})
    return {
        "tanh": (Supervised(predictors.TwoLayer(5, 4, 3), "cross_entropy", classes), 0.0),
        "no biases": (Supervised(predictors.TwoLayer(5, 4, 3, bias=False), "cross_entropy", classes), 0.0),
        "ReLU": (Supervised(predictors.TwoLayer(5, 4, 3, "relu"), "cross_entropy", classes), 0.0),
        "sine": (Supervised(predictors.TwoLayer(5, 4, 1, "sine"), "squares", real), 0.0),
        "linear": (Supervised(predictors.Linear(5, 3), "cross_entropy", classes), 0.0),
        "no intercept": (Supervised(predictors.Linear(5, 3, bias=False), "cross_entropy", classes), 0.0),
        "diagonal": (Supervised(predictors.DiagonalNetwork(5), "squares", real), 0.0),
        "user": (Supervised(user, "squares", real), 1e-8),
        "loss": (SampleLoss(
            lambda x, i: np.cosh(x).sum(axis=1)[:, None] * REAL[i] ** 2,
            lambda x, i: np.sinh(x)[:, None] * (REAL[i] ** 2)[..., None], 20, 5,
        ), 1e-8),
    }  # fmt: skip


@pytest.mark.parametrize("name", problems())
def test_products_are_those_of_the_batch_hessians(name):
    """Assert them to rounding, or to the error of differences, at every position; other rows are the control."""
    problem, error = problems()[name]
    draw = np.random.Generator(np.random.Philox(6))
    x, directions = draw.standard_normal((3, problem.dimension)), draw.standard_normal((3, 6, problem.dimension))
    rows = draw.integers(0, 20, (3, 7))
    dense = problem.batch_hessians(x, rows)
    found = problem.batch_hessian_products(x, rows, directions)
    size = np.abs(directions @ dense).max()
    assert np.abs(found - directions @ dense).max() <= (error or 1e-12) * size
    other = problem.batch_hessian_products(x, (rows + 1) % 20, directions)
    assert np.abs(other - directions @ dense).max() > 0.01 * size


@pytest.mark.parametrize("name", [name for name in problems() if name != "loss"])
def test_layers_are_all_of_the_parameters_in_order(name):
    """Assert that they lie one after the other."""
    predictor = problems()[name][0].predictor
    places = list(predictor.layers.values())
    assert [each.start for each in places] == [0, *(each.stop for each in places[:-1])]
    assert places[-1].stop == predictor.dimension


def test_layers_are_where_outputs_depend_on_them():
    """Assert that the second layer of a network is what its outputs are linear in; and sizes that do not add up."""
    network = predictors.TwoLayer(5, 4, 3)
    x, along = network.start(1, seed=1), np.zeros((1, network.dimension))
    along[:, network.layers["second layer"]] = 1.0
    points = np.array([network.predict(x + step * along, INPUTS[None]) for step in (0.0, 1.0, 2.0)])
    np.testing.assert_allclose(points[2] - points[1], points[1] - points[0], atol=1e-13)
    along[:, network.layers["first layer"]] = 1.0
    points = np.array([network.predict(x + step * along, INPUTS[None]) for step in (0.0, 1.0, 2.0)])
    assert np.abs(points[2] - 2 * points[1] + points[0]).max() > 0.1
    with pytest.raises(InvalidInput, match="add up to 4"):
        predictors.UserPredictor(cubic, cubic_pullback, 5, 1, 5, layer_sizes={"front": 2, "back": 2})


@pytest.mark.extras
def test_a_module_tells_its_parts():
    """Assert names and sizes of the layers of a torch module."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    found = predictors.TorchPredictor.from_module(net, 5)
    assert found.layers == {"0": slice(0, 24), "2": slice(24, 39)}


def symmetric(values):
    turn = np.linalg.qr(DRAW.standard_normal((len(values), len(values))))[0]
    return turn @ np.diag(values) @ turn.T


@pytest.mark.parametrize("target", (0.55, 0.8, 3.0, -2.0), ids=("in the bulk", "in a gap", "above", "below"))
def test_ends_and_the_eigenvalue_nearest_to_a_number(target):
    """Assert them within their errors, in the bulk of 300 eigenvalues, in a gap and outside; the next one is not."""
    values = np.concatenate([DRAW.uniform(-0.2, 0.6, 296), [0.9, 1.3, 1.9, -0.7]])
    matrices = np.stack([symmetric(values), symmetric(np.where(np.arange(300) < 290, 0.0, values))])
    exact = np.linalg.eigvalsh(matrices)
    found = spectral_ends(
        lambda places, v: (matrices[places] @ v[..., None])[..., 0], DRAW.standard_normal((2, 300)), target, 1e-8, 300
    )
    assert (np.abs(found.lowest - exact[:, 0]) <= found.end_error).all()
    assert (np.abs(found.highest - exact[:, -1]) <= found.end_error).all() and found.end_error.max() <= 1e-8
    away = np.sort(np.abs(exact - target), axis=1)
    assert (np.abs(np.abs(found.nearest - target) - away[:, 0]) <= found.nearest_error).all()
    assert found.nearest_error.max() <= 1e-8 and found.products < 600
    assert (away[:, 1:] - away[:, :1]).max(axis=1).min() > 1e-3  # control: others lie elsewhere


def test_an_error_says_so_where_products_run_out():
    """Assert that ten products leave an error that holds, in the bulk of a spectrum, and one far from the tolerance."""
    values = DRAW.uniform(-1, 1, 200)
    matrix = symmetric(values)
    found = spectral_ends(lambda places, v: v @ matrix, DRAW.standard_normal((1, 200)), 0.1, 1e-10, 10)
    nearest = np.abs(values - 0.1).min()
    assert np.abs(abs(found.nearest[0] - 0.1) - nearest) <= found.nearest_error[0] and found.nearest_error[0] > 1e-3
