"""Models with a set of zero loss: derivatives against differences, closed limits against the flow, bad input."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.parameters import slowly
from tests.zero_loss_cases import (
    BUILT_IN,
    FEATURES,
    FEW,
    LABELS,
    LOSSES,
    MODELS,
    REGRESSIONS,
    WIDE,
    coupled_gradient_numpy,
    coupled_loss_numpy,
    network_value,
    point,
)

from sgdlimits.exact.errors import InvalidInput, MissingLibrary
from sgdlimits.problems import predictors, zero_loss
from sgdlimits.problems.zero_loss.activations import ACTIVATIONS
from sgdlimits.exact.numerical_derivatives import derivative

EXACT = 1e-9  # of models whose derivatives are formulas; the difference itself errs by about 1e-11
BY_DIFFERENCES = 1e-6  # of third derivatives by differences of a difference
COMPILED = [name for name, model in MODELS.items() if model.kernel is not None and name not in [*ACTIVATIONS][1:]]


def close(found, wanted, tolerance):
    scale = 1 + np.abs(wanted).max(initial=0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)


def symmetric(size, seed=1):
    matrix = np.random.Generator(np.random.Philox(seed)).standard_normal((size, size))
    return matrix + matrix.T


@pytest.mark.parametrize("name", MODELS)
def test_derivatives_of_the_loss_agree_with_differences(name):
    """Assert gradient, Hessian and third derivative against sixth-order differences of the one before."""
    model = MODELS[name]
    w, matrix = point(model), symmetric(model.dimension)
    close(model.gradient(w), derivative(model.loss, w), EXACT)
    close(model.hessian(w), derivative(model.gradient, w), EXACT)
    third = derivative(lambda place: (matrix * model.hessian(place)).sum((-1, -2)), w)
    close(model.third_contraction(w, matrix), third, EXACT if name in BUILT_IN else BY_DIFFERENCES)


PREDICTORS = {
    "linear": predictors.Linear(3, 2),
    "linear without bias": predictors.Linear(3, 2, bias=False),
    "two layers": predictors.TwoLayer(3, 2, 2, "sine"),
    "two layers without biases": predictors.TwoLayer(3, 2, 2, "gelu", bias=False),
    "ReLU": predictors.TwoLayer(3, 2, 2, "relu"),
    "diagonal": predictors.DiagonalNetwork(3),
}
PREDICTORS["user's"] = predictors.UserPredictor(PREDICTORS["linear"].predict, PREDICTORS["linear"].pullback, 3, 2, 8)


@pytest.mark.parametrize("name", PREDICTORS)
def test_derivatives_of_several_outputs_agree_with_differences(name):
    """Assert every derivative of <slopes, outputs> of a predictor, in parameters and inputs, for 2 paths and 4 rows."""
    predictor = PREDICTORS[name]
    draw = np.random.Generator(np.random.Philox(9))
    x, inputs, slopes = draw.standard_normal((2, predictor.dimension)), *draw.standard_normal((2, 2, 4, 3))
    slopes = slopes[..., : predictor.outputs]
    matrix = np.stack([symmetric(predictor.dimension, seed) for seed in (1, 2)])
    inner = lambda place: (predictor.predict(place, inputs) * slopes).sum(-1)  # noqa: E731
    outputs, pulled = predictor.predict_and_pullback(x, inputs, slopes)
    close(outputs, predictor.predict(x, inputs), 0)
    close(pulled, derivative(inner, x), EXACT)
    hessians = derivative(lambda place: predictor.pullback(place, inputs, slopes), x)
    close(predictor.hessians(x, inputs, slopes), hessians, EXACT)
    contracted = lambda place: np.einsum("pbij,pij->pb", predictor.hessians(place, inputs, slopes), matrix)  # noqa: E731
    close(predictor.hessian_gradient(x, inputs, slopes, matrix), derivative(contracted, x), BY_DIFFERENCES)
    moved = lambda place: (predictor.predict(x, place) * slopes).sum(-1)  # noqa: E731
    close(predictor.input_pullback(x, inputs, slopes), derivative(moved, inputs), EXACT)
    formula = PREDICTORS["linear"] if name == "user's" else predictor  # no differences of differences
    mixed = derivative(lambda place: formula.input_pullback(place, inputs, slopes), x)
    close(predictor.mixed(x, inputs, slopes), mixed, BY_DIFFERENCES)


@pytest.mark.parametrize("name", REGRESSIONS)
def test_derivatives_of_the_predictions_agree_with_differences(name):
    """Assert Jacobian, Hessians (applied, contracted, summed) and third derivatives of the predictions."""
    model = REGRESSIONS[name]
    tolerance = EXACT if name in BUILT_IN else BY_DIFFERENCES
    w, matrix = point(model), symmetric(model.dimension)
    close(model.predict_with_jacobian(w)[1], derivative(lambda place: model.predict_with_jacobian(place)[0], w), EXACT)
    hessians = derivative(lambda place: model.predict_with_jacobian(place)[1], w)
    draw = np.random.Generator(np.random.Philox(2))
    vectors, weights = draw.standard_normal((model.samples, model.dimension)), draw.standard_normal(model.samples)
    close(model.prediction_hvp(w, vectors), np.einsum("ijk,ik->ij", hessians, vectors), tolerance)
    close(model.prediction_hessian_inner(w, matrix), np.einsum("ijk,jk->i", hessians, matrix), tolerance)
    close(model.weighted_hessians(w, weights), np.einsum("i,ijk->jk", weights, hessians), tolerance)
    slope = derivative(lambda place: model.prediction_hessian_inner(place, matrix), w)
    close(model.hessian_gradient(w, matrix), slope, tolerance)


@pytest.mark.parametrize("name", [name for name, model in REGRESSIONS.items() if model.input_size])
def test_derivatives_in_the_inputs_agree_with_differences(name):
    """Assert the gradient of every prediction in its input, and its derivative in the weights."""
    model = REGRESSIONS[name]
    w = point(model)
    shifted = lambda shift: model.predict_with_jacobian(w, model.inputs + shift)[0]  # noqa: E731
    found = derivative(shifted, np.zeros(model.input_size))
    close(model.input_gradient(w), found, EXACT)
    close(model.mixed(w), derivative(model.input_gradient, w), EXACT)


@pytest.mark.parametrize("name", [name for name, model in REGRESSIONS.items() if model.units])
def test_units_add_up_to_the_prediction_and_multipliers_act_on_them(name):
    """Assert f = sum_j (1 + eta_j) h_j, shared by the samples or one mask each, and its Jacobian."""
    model = REGRESSIONS[name]
    w = point(model)
    outputs = model.unit_outputs(w)
    close(outputs.sum(-1), model.predict_with_jacobian(w)[0], 1e-14)
    for rows in (1, model.samples):
        masks = np.random.Generator(np.random.Philox(4)).standard_normal((rows, model.units))
        values, jacobian = model.predict_with_jacobian(w, units=masks)
        close(values, (masks * outputs).sum(-1), 1e-14)
        masked = lambda place, masks=masks: model.predict_with_jacobian(place, units=masks)[0]  # noqa: E731
        close(jacobian, derivative(masked, w), EXACT)


@pytest.mark.parametrize("name", MODELS)
def test_every_method_is_vectorised_over_leading_axes(name):
    """Assert that a stack of points gives the stack of values."""
    model = MODELS[name]
    w = point(model, paths=6).reshape(2, 3, -1)
    matrix = np.array([symmetric(model.dimension, seed) for seed in range(6)]).reshape(2, 3, *[model.dimension] * 2)
    for method in (model.loss, model.gradient, model.hessian, model.conserved):
        close(method(w)[1, 2], method(w[1, 2]), 1e-13)
    close(model.third_contraction(w, matrix)[1, 2], model.third_contraction(w[1, 2], matrix[1, 2]), 1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_compiled_activations_are_the_array_ones(name):
    """Assert value and slope of the compiled twin against NumPy, and each derivative against differences."""
    in_numpy, twin = ACTIVATIONS[name]
    z = np.linspace(-4, 4, 9)
    found = in_numpy(z)
    close(np.array([twin(value) for value in z]).T, np.array(found[:2]), 1e-15)
    for order in (1, 2, 3):
        slope = [derivative(lambda u, order=order: in_numpy(u)[order - 1][0], np.array([value]))[0] for value in z]
        close(found[order], np.array(slope), EXACT)


@pytest.mark.parametrize("name", slowly(COMPILED, lambda name: name == "two layers"))
def test_the_kernel_is_the_gradient(name):
    """Assert that the compiled kernel without noise writes the gradient, to rounding."""
    model = MODELS[name]
    w, out, work = point(model), np.empty(model.dimension), np.empty(model.dimension)
    eta = np.zeros(model.noise_size) if model.noise_size else None
    model.kernel(w, model.kernel_data, None, None, None, None, eta, out, work)
    close(out, model.gradient(w), 1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_with_noise_gives_its_noise_matrix_and_regularisers(name):
    """Assert G, Reg, its gradient and the fourth-order one against hand-made formulas of the coupled loss."""
    model = LOSSES[name]
    w = np.array([1.3, 0.7])
    x, y = w
    r, c = x * y - 1, x * x - y * y
    grad_r, grad_c = np.array([y, x]), np.array([2 * x, -2 * y])
    close(model.noise_matrix(w), np.stack([-grad_r, np.zeros(2)], axis=-1), 1e-9)
    close(model.own_regulariser(w), 0.5 + r * c, 1e-9)
    close(model.own_regulariser_gradient(w), grad_r * c + r * grad_c, 1e-9)
    close(model.own_fourth_gradient(w), [0.3 * 3 * x * x, 0], 1e-5)  # eighth of the fourth derivative, 0.1 * 24 / 8


@settings(max_examples=25, deadline=None)
@given(arrays(float, 4, elements=st.floats(-2, 2)))
def test_diagonal_network_reaches_the_interpolator_that_keeps_its_products(w):
    """Assert zero loss and conserved u v of the closed limit, for starts away from zero weights."""
    w = np.where(np.abs(w) < 0.1, 0.1, w)
    model = zero_loss.DiagonalLinearNetwork(np.array([[1.0, -0.4]]), np.array([0.7]))
    limit = model.closed_limit(w)
    assert model.loss(limit) < 1e-26
    np.testing.assert_allclose(model.conserved(limit), model.conserved(w), rtol=1e-13)


def torch_network(w, x):
    import torch

    return (x[2:] * w[:4] * torch.tanh(w[4:].reshape(4, 2) @ x[:2])).sum()


def torch_regression():
    return zero_loss.PredictorRegression(predictors.TorchPredictor(torch_network, 6, 1, 12), FEATURES, LABELS, 4)


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_a_torch_network_is_the_network():
    """Assert that every derivative of a torch function equals that of the built-in network, to rounding."""
    pytest.importorskip("torch")
    mine = zero_loss.ShallowNetwork(FEATURES, LABELS, 4)
    model = torch_regression()
    w, matrix = point(mine, paths=3), np.broadcast_to(symmetric(12), (3, 12, 12))
    masks = np.random.Generator(np.random.Philox(4)).standard_normal((3, 1, 4))
    both = (one.predict_with_jacobian(w, units=masks) for one in (model, mine))
    for found, wanted in zip(*both, strict=True):
        close(found, wanted, 1e-13)
    for method in ("loss", "gradient", "hessian", "unit_outputs", "input_gradient", "mixed"):
        close(getattr(model, method)(w), getattr(mine, method)(w), 1e-13)
    close(model.third_contraction(w, matrix), mine.third_contraction(w, matrix), 1e-13)
    close(model.gradient(w[0]), mine.gradient(w[0]), 1e-13)


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_a_torch_loss_has_exact_derivatives_of_its_noise():
    """Assert the derivatives in w and eta against those of the same loss by differences."""
    pytest.importorskip("torch")

    def loss(w, eta):
        r = w[0] * w[1] - 1
        own = 0.1 * eta[1] ** 4 * w[0] ** 3
        return 0.5 * (r - eta[0]) ** 2 + eta[0] ** 2 * r * (w[0] ** 2 - w[1] ** 2) + own

    model, other = zero_loss.UserLoss.from_torch(loss, 2, 2), LOSSES["user's loss"]
    w, eta = np.array([[1.3, 0.7], [0.4, 2.0]]), np.array([[0.1, 0.2], [0.3, -0.4]])
    close(model.loss_of(w, eta), coupled_loss_numpy(w, eta), 1e-14)
    close(model.noisy_gradient_of(w, eta), other.noisy_gradient_of(w, eta), 1e-14)
    matrix = np.broadcast_to(symmetric(2), (2, 2, 2))
    close(model.third_contraction(w, matrix), other.third_contraction(w, matrix), 1e-6)
    for method in ("hessian", "noise_matrix", "own_regulariser", "own_regulariser_gradient"):
        close(getattr(model, method)(w), getattr(other, method)(w), 1e-8)
    close(model.own_fourth_gradient(w), other.own_fourth_gradient(w), 1e-5)


def test_without_torch_the_error_carries_the_install_line(monkeypatch):
    """Assert MissingLibrary, with what to install."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingLibrary, match="pip install torch"):
        torch_regression()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: zero_loss.ProductSum(0), "terms must be at least 1"),
        (lambda: zero_loss.ShallowNetwork(FEATURES, LABELS, 4, "tanhh"), "did you mean 'tanh'"),
        (lambda: zero_loss.ShallowNetwork(FEATURES, LABELS[:2], 4), "labels must have shape \\(3\\)"),
        (lambda: zero_loss.MatrixFactorisation(LABELS), "target must have 2 dimension"),
        (lambda: zero_loss.PredictorRegression(predictors.Linear(3), FEATURES, LABELS), "takes 3 inputs, .* 2 feat"),
        (lambda: zero_loss.PredictorRegression(predictors.Linear(2, 2), FEATURES, LABELS), "one output, got 2"),
        (lambda: zero_loss.PredictorRegression(predictors.Linear(2), FEATURES[:, :1], LABELS, 1), "must be linear in"),
        (lambda: zero_loss.PredictorRegression(network_value, FEATURES, LABELS), "must be of the kind Predictor"),
        (lambda: zero_loss.UserLoss(lambda w: (w**2).sum(), lambda w: 2 * w, 2), "vectorised over the leading axes"),
        (lambda: zero_loss.UserLoss(coupled_loss_numpy, coupled_gradient_numpy, 2, 2, compiled=True), "numba.njit"),
        (
            lambda: zero_loss.UserLoss(
                coupled_loss_numpy, coupled_gradient_numpy, 2, 2, noise_functions={"regularizer": lambda w: w}
            ),
            "did you mean 'regulariser'",
        ),
        (lambda: zero_loss.Hyperbola().closed_limit(np.array([1.0, -1.0])), "u \\+ v = 0"),
        (lambda: zero_loss.QuadraticDifference().closed_limit(np.array([0.0, 1.0])), "u = 0"),
        (lambda: zero_loss.DiagonalLinearNetwork(WIDE, FEW).closed_limit(np.zeros(8)), "does not reach zero loss"),
        (lambda: zero_loss.LinearRegression(WIDE.T, np.arange(4.0)).closed_limit(np.zeros(2)), "no interpolator"),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    """Assert InvalidInput with what to change."""
    with pytest.raises(InvalidInput, match=sentence):
        make()
