"""Geometry of zero-loss sets: limit map, its first two derivatives, functions of the Hessian, and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry, zero_loss
from sgdlimits.exact.numerical_derivatives import bend_along, slope_along
from tests.zero_loss_cases import FEATURES, FEW, LABELS, WIDE, point

TARGET = np.array([[1.0, 0.3, -0.2], [0.1, 0.8, 0.4]])
MODELS = {
    "hyperbola": zero_loss.Hyperbola(),
    "product sum": zero_loss.ProductSum(3),
    "quadratic difference": zero_loss.QuadraticDifference(),
    "diagonal network": zero_loss.DiagonalLinearNetwork(WIDE, FEW),
    "matrix factorisation": zero_loss.MatrixFactorisation(TARGET, 2),
    "network": zero_loss.ShallowNetwork(FEATURES, LABELS, 4),
    "linear regression": zero_loss.LinearRegression(WIDE, FEW),
}
CLOSED = [name for name, model in MODELS.items() if model.closed_limit(point(model)) is not None]
_SET: dict[str, np.ndarray] = {}


def on_set(name):
    if name not in _SET:
        _SET[name] = geometry.limit_map(MODELS[name], point(MODELS[name], seed=3))
    return _SET[name]


def as_loss(model):
    """The same loss without anything that is known of it."""
    return zero_loss.UserLoss(
        model.loss, model.gradient, model.dimension, hessian_function=model.hessian,
        third_function=model.third_contraction,
    )  # fmt: skip


def directions(model, count=3):
    draw = np.random.Generator(np.random.Philox(8))
    found = draw.standard_normal((count, model.dimension))
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * (1 + np.abs(wanted).max()))


@pytest.mark.parametrize("name", CLOSED)
def test_closed_limits_agree_with_the_flow(name):
    """Assert the closed form against the stiff flow of the same loss, which knows nothing of it."""
    model = MODELS[name]
    w = point(model, seed=2)
    limit = geometry.limit_map(model, w)
    assert model.loss(limit) < 1e-24
    close(limit, geometry.limit_map(as_loss(model), w), 1e-9)
    close(geometry.limit_map(model, np.stack([w, limit]))[1], limit, 1e-12)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "network"])
def test_the_limit_map_keeps_what_the_flow_conserves(name):
    """Assert the conserved quantities at the limit, from 1e-9 for a flow to rounding for a closed form."""
    model = MODELS[name]
    w = point(model, seed=2)
    close(model.conserved(geometry.limit_map(model, w)), model.conserved(w), 1e-13 if name in CLOSED else 1e-9)


@settings(max_examples=30, deadline=None)
@given(arrays(float, 2, elements=st.floats(-3, 3)))
def test_limit_map_is_a_projection_onto_the_hyperbola(w):
    """Assert zero loss, idempotence and the branch of sign(x + y), away from the saddle's stable line."""
    w = w if abs(w.sum()) > 0.01 else w + 0.5
    model = MODELS["hyperbola"]
    limit = geometry.limit_map(model, w)
    assert model.loss(limit) < 1e-20
    assert np.sign(limit[0]) == np.sign(w.sum())
    close(geometry.limit_map(model, limit), limit, 1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_first_derivative_of_the_limit_map_is_the_projector(name):
    """Assert dPhi = P on the set by sixth-order differences of the limit map."""
    model, w = MODELS[name], on_set(name)
    projector = geometry.tangent_projector(model, w)
    v = directions(model)
    close(slope_along(lambda place: geometry.limit_map(model, place, 1e-11), w, v), v @ projector, 1e-7)
    close(geometry.tangent_projector(as_loss(model), w), projector, 1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_second_derivative_of_the_limit_map_in_all_blocks(name):
    """Assert d2Phi[v, v] by differences for normal, tangent and mixed directions, and its parts' directions."""
    model, w = MODELS[name], on_set(name)
    frame = geometry.frame(model, w)
    projector = frame.projector
    v = directions(model, 2)
    moves = np.concatenate([v @ projector, v - v @ projector, v])
    wanted = bend_along(lambda place: geometry.limit_map(model, place, 1e-12), w, moves)
    for move, bent in zip(moves, wanted, strict=True):
        found = geometry.second_derivative(model, w, np.outer(move, move), frame)
        close(found.total, bent, 1e-6)
        close(projector @ found.curvature, np.zeros(len(w)), 1e-12)
        close(projector @ (found.mixed + found.normal), found.mixed + found.normal, 1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_covariance_proportional_to_the_hessian_gives_the_trace(name):
    """Assert (1/2) d2Phi[c H] = -(c/4) P grad tr H, to rounding."""
    model, w = MODELS[name], on_set(name)
    found = 0.5 * geometry.second_derivative(model, w, 0.7 * model.hessian(w)).total
    close(found, -0.7 / 4 * geometry.trace_gradient(model, w), 1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_isotropic_covariance_gives_the_log_determinant(name):
    """Assert that the tangent part of (1/2) d2Phi[1] is -(1/4) P grad log det+ H, to rounding."""
    model, w = MODELS[name], on_set(name)
    frame = geometry.frame(model, w)
    found = frame.projector @ (0.5 * geometry.second_derivative(model, w, np.eye(len(w))).total)
    close(found, -0.25 * geometry.log_determinant_gradient(model, w), 1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_trace_and_log_determinant_change_along_the_set_as_their_gradients_say(name):
    """Assert both tangential gradients by differences along the set."""
    model, w = MODELS[name], on_set(name)
    projector = geometry.tangent_projector(model, w)
    pairs = (
        (geometry.trace_hessian, geometry.trace_gradient),
        (geometry.log_determinant, geometry.log_determinant_gradient),
    )
    for v in directions(model, 2) @ projector:
        for value, gradient in pairs:
            found = slope_along(lambda place, value=value: value(model, geometry.retract(model, place)), w, v)
            close(gradient(model, w) @ v, found, 1e-8)


@pytest.mark.parametrize("step_size", [0.0, 0.05])
def test_normal_covariance_solves_its_equation(step_size):
    """Assert H C + C H - step_size H C H = Q covariance Q, for a stack of points."""
    model = MODELS["network"]
    w = np.stack([on_set("network"), geometry.limit_map(model, point(model, seed=4))])
    frame = geometry.frame(model, w)
    root = np.random.Generator(np.random.Philox(1)).standard_normal((2, 12, 12))
    covariance = root @ root.swapaxes(-1, -2)
    found = geometry.normal_covariance(model, w, covariance, step_size)
    hessian, normal = model.hessian(w), np.eye(12) - frame.projector
    close(
        hessian @ found + found @ hessian - step_size * hessian @ found @ hessian, normal @ covariance @ normal, 1e-9
    )
    with pytest.raises(InvalidInput, match="stable below"):
        geometry.normal_covariance(model, w, covariance, 2.01 / frame.eigenvalues.max())


@pytest.mark.parametrize("name", ["hyperbola", "network", "matrix factorisation"])
def test_retraction_lands_on_the_set_along_the_normals_asked_for(name):
    """Assert zero loss and a displacement normal at the base; Phi differs from it at second order only."""
    model, base = MODELS[name], on_set(name)
    projector = geometry.tangent_projector(model, base)
    v = directions(model, 1)[0]
    gaps = []
    for size in (0.02, 0.01):
        away = base + size * v
        found = geometry.retract(model, away, base=base)
        assert model.loss(found) < 1e-24
        close(projector @ (found - away), np.zeros(len(v)), 1e-13)
        gaps.append(np.linalg.norm(found - geometry.limit_map(model, away)))
    assert 3 < gaps[0] / gaps[1] < 5
    close(geometry.distance(model, base), 0.0, 1e-10)


def test_set_dimension():
    """Assert m minus the rank, a rank below the number of samples included."""
    for name, wanted in (("hyperbola", 1), ("product sum", 5), ("network", 9), ("diagonal network", 6)):
        assert geometry.set_dimension(MODELS[name], on_set(name)) == wanted
    low = zero_loss.MatrixFactorisation(np.outer([1.0, 2.0], [1.0, -1.0, 0.5]), 1)
    assert geometry.set_dimension(low, geometry.limit_map(low, np.array([1.0, 1.5, 0.8, -0.7, 0.4]))) == 1


def crossing(w):
    """Two lines that cross, times a coordinate that is fixed: rank 2, but 1 at the crossing."""
    return 0.5 * (w[..., 0] * w[..., 1]) ** 2 + 0.5 * w[..., 2] ** 2


def crossing_gradient(w):
    x, y, z = np.moveaxis(w, -1, 0)
    return np.stack([x * y**2, y * x**2, z], axis=-1)


def lifted(w):
    """A hyperbola at the height 0.1."""
    return 0.1 + MODELS["hyperbola"].loss(w)


CROSSING = zero_loss.UserLoss(crossing, crossing_gradient, 3)
SQUARE = zero_loss.LinearRegression(WIDE[:, :2], FEW)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: geometry.limit_map(zero_loss.UserLoss(lifted, MODELS["hyperbola"].gradient, 2), [2.0, 1.0]),
         "stops at a loss of 0.1"),
        (lambda: geometry.frame(SQUARE, geometry.limit_map(SQUARE, np.ones(2))), "isolated minimum"),
        (lambda: geometry.set_dimension(CROSSING, np.zeros(3)), "rank .* jumps"),
        (lambda: geometry.frame(CROSSING, np.array([[1.0, 0, 0], [0, 0, 0]])), "rank of the Hessian jumps"),
        (lambda: geometry.set_dimension(MODELS["hyperbola"], np.array([1.0, 2.0])), "not on the zero-loss set"),
        (lambda: geometry.limit_map(MODELS["hyperbola"], np.ones(3)), "2 weights"),
        (lambda: geometry.limit_map(MODELS["hyperbola"], np.array([np.nan, 1.0])), "must be finite"),
        (lambda: geometry.retract(as_loss(MODELS["hyperbola"]), np.array([0.0, 0.0])), "no point of zero loss"),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    """Assert InvalidInput: no zero loss (with the loss reached), isolated minimum, rank jump, wrong shape."""
    with pytest.raises(InvalidInput, match=sentence):
        make()
