"""Geometry of zero-loss sets: limit map, its first two derivatives, functions of the Hessian, and bad input."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.exact.errors import InvalidInput, Unstable
from sgdlimits.problems import geometry, noise, predictors, zero_loss
from sgdlimits.exact.numerical_derivatives import bend_along, slope_along
from tests.parameters import slowly
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


@pytest.mark.parametrize("name", slowly(MODELS, lambda name: name == "matrix factorisation"))
def test_first_derivative_of_the_limit_map_is_the_projector(name):
    """Assert dPhi = P on the set by sixth-order differences of the limit map."""
    model, w = MODELS[name], on_set(name)
    projector = geometry.tangent_projector(model, w)
    v = directions(model)
    close(slope_along(lambda place: geometry.limit_map(model, place, 1e-11), w, v), v @ projector, 1e-7)
    close(geometry.tangent_projector(as_loss(model), w), projector, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", slowly(MODELS, lambda name: name == "matrix factorisation"))
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
    with pytest.raises(Unstable, match="stable below"):
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


# Losses that the limits do not hold for: start, sentence. A tolerance of 1e-6 is enough to see it.
ROWS = np.array([[1.0, 1.0], [2.0, 0.3], [0.2, 0.7]])


def loss_of(function, gradient, dimension=2, **more):
    return zero_loss.UserLoss(function, gradient, dimension, **more)


def logistic(rows):
    return loss_of(
        lambda w: np.logaddexp(0, -(w @ rows.T)).mean(-1), lambda w: -(1 / (1 + np.exp(w @ rows.T))) @ rows / len(rows)
    )


def hinge(rows):
    return loss_of(
        lambda w: (np.maximum(0, 1 - w @ rows.T) ** 2).mean(-1),
        lambda w: -2 * np.maximum(0, 1 - w @ rows.T) @ rows / len(rows),
    )


def of_first(value, slope):
    """A loss of the first of two weights."""
    return loss_of(lambda w: value(w[..., 0]), lambda w: np.stack([slope(w[..., 0]), 0 * w[..., 1]], axis=-1))


def miss(w):
    return w[..., 0] * w[..., 1] - 1


def shifted(by):
    return loss_of(lambda w: miss(w) ** 2 / 2 + by, lambda w: miss(w)[..., None] * w[..., ::-1])


NO_LIMIT = {
    "logistic": (logistic(ROWS[:1]), [0.0, 0.0], "no zero of the loss is attained .* while w runs away"),
    "separable rows": (logistic(ROWS), [0.0, 0.0], "no zero of the loss is attained .* while w runs away"),
    "exponential": (of_first(lambda x: np.exp(-x), lambda x: -np.exp(-x)), [0.0, 1.0], "no zero .* runs away"),
    "rational": (
        loss_of(lambda w: 1 / (1 + (w**2).sum(-1)), lambda w: -2 * w / (1 + (w**2).sum(-1, keepdims=True)) ** 2),
        [1.0, 0.5], "no zero of the loss is attained .* while w runs away",
    ),
    "softplus": (
        of_first(lambda x: np.logaddexp(0, x) ** 2 / 2, lambda x: np.logaddexp(0, x) / (1 + np.exp(-x))), [1.0, 0.5],
        "no zero of the loss is attained .* while w runs away",
    ),
    "flat at infinity": (
        loss_of(
            lambda w: np.exp(-w[..., 0]) + (w[..., 1] - 3) ** 2 / 2,
            lambda w: np.stack([-np.exp(-w[..., 0]), w[..., 1] - 3], axis=-1),
        ),
        [0.0, 1.0], "no zero-loss set is reached .* at infinity",
    ),
    "x^4 alone": (loss_of(lambda w: w[..., 0] ** 4, lambda w: 4 * w**3, 1), [1.0], "Hessian vanishes at the zeros"),
    "x^4": (of_first(lambda x: x**4, lambda x: 4 * x**3), [1.0, 1.0], "Hessian vanishes at the zeros .* 0.6"),
    "(xy)^4": (
        loss_of(lambda w: w.prod(-1) ** 4, lambda w: 4 * w.prod(-1, keepdims=True) ** 3 * w[..., ::-1]), [1.0, 2.0],
        "Hessian vanishes at the zeros",
    ),
    "circle^4": (
        loss_of(
            lambda w: ((w**2).sum(-1) - 1) ** 4, lambda w: 8 * ((w**2).sum(-1, keepdims=True) - 1) ** 3 * w
        ),
        [1.0, 2.0], "Hessian vanishes at the zeros",
    ),
    "x^4 + y^2": (
        loss_of(
            lambda w: w[..., 0] ** 4 / 4 + (w[..., 1] - 1) ** 2 / 2,
            lambda w: np.stack([w[..., 0] ** 3, w[..., 1] - 1], axis=-1),
        ),
        [1.0, 2.0], "no zero-loss set is reached .* zero of higher order",
    ),
    "negative": (shifted(-0.1), [1.0, 2.0], "the loss is negative, -.*subtract the minimum"),
    "unbounded": (loss_of(lambda w: 5 - w.sum(-1), lambda w: -np.ones_like(w)), [0.0, 0.0], "the loss is negative"),
    "positive minimum": (shifted(0.1), [1.0, 2.0], "stops at a loss of 0.1, .* if that is the minimum .* subtract it"),
    "squared hinge": (hinge(ROWS[:1]), [0.0, 0.0], "has an interior, .* squared hinge"),
    "squared hinge, rows": (hinge(ROWS), [0.0, 0.0], "has an interior, .* squared hinge"),
    "no interpolator": (
        zero_loss.LinearRegression(np.array([[1.0, 0], [1, 1], [1, 2]]), [1e-10, -1e-10, 1e-10]), [1.0, 1.0],
        "these labels have no interpolator",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_LIMIT)
def test_a_loss_without_a_zero_loss_set_is_refused_with_the_reason(name):
    """Assert the sentence of each kind."""
    model, start, sentence = NO_LIMIT[name]
    with pytest.raises(InvalidInput, match=sentence):
        geometry.limit_map(model, np.array(start), tolerance=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logistic", "x^4", "rational", "squared hinge, rows"])
def test_the_limit_refuses_it_too_and_within_seconds(name):
    """Assert it of a limit without a start and with one, where a regime would be decided; never more than 20 s."""
    model, start, sentence = NO_LIMIT[name]
    for place in (None, np.array(start)):
        begun = time.process_time()
        with pytest.raises(InvalidInput, match="attained|Hessian vanishes|interior"):
            print(ManifoldLimit(model, noise.WeightNoise(0.1), 0.01, start=place).regime)
        assert time.process_time() - begun < 20


def test_a_start_inside_the_interior_is_refused_by_the_limit():
    """Assert it: nothing relaxes there, and the flow does not move; in any unit, and for other insides."""
    insides = {
        "hinge": (hinge(ROWS), [5.0, 5.0]), "one row": (hinge(ROWS[:1]), [3.0, -1.0]),
        "small": (hinge(1e6 * ROWS), [5e-6, 5e-6]), "large": (hinge(1e-6 * ROWS), [5e6, 5e6]),
        "ball": (
            loss_of(
                lambda w: np.maximum(0, (w**2).sum(-1) - 1) ** 2,
                lambda w: 4 * np.maximum(0, (w**2).sum(-1, keepdims=True) - 1) * w,
            ),
            [0.3, 0.4],
        ),
    }  # fmt: skip
    for model, start in insides.values():
        with pytest.raises(InvalidInput, match="has an interior.* the loss is zero around it.*; take a loss"):
            print(ManifoldLimit(model, noise.WeightNoise(0.1), 0.01, start=start).regime)


@pytest.mark.parametrize(("name", "zero"), [("x^4", [0.0, 1.0]), ("(xy)^4", [0.0, 2.0]), ("circle^4", [0.6, 0.8])])
def test_a_zero_of_higher_order_is_not_taken_for_an_inner_point(name, zero):
    """Assert the other sentence at a zero around which the loss grows slower than a square."""
    with pytest.raises(InvalidInput, match="Hessian vanishes at w = .*: it grows slower than a square"):
        geometry.frame(NO_LIMIT[name][0], np.array(zero))


def in_unit(c, s):
    """c (xy / s^2 - 1)^2 / 2: the hyperbola with another unit of the loss, c, and of the weights, s."""
    return loss_of(
        lambda w: c * (w.prod(-1) / s**2 - 1) ** 2 / 2,
        lambda w: c * (w.prod(-1, keepdims=True) / s**2 - 1) * w[..., ::-1] / s**2,
    )


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(-20, 20), st.integers(-6, 6), st.sampled_from(["weights", "DropConnect", "Langevin"]))
@example(0, -5, "DropConnect")
def test_nothing_depends_on_the_unit_of_the_loss_or_of_the_weights(c, s, kind):
    """Assert Phi, rank, regime and drift under L -> cL and w -> sw against the closed forms in the old unit."""
    c, s = 10.0**c, 10.0**s
    model, start = in_unit(c, s), np.array([2.2, 0.7])
    point = MODELS["hyperbola"].closed_limit(start)
    close(geometry.limit_map(model, s * start, tolerance=1e-8) / s, point, 1e-7)
    assert geometry.set_dimension(model, s * point) == 1
    make = {"weights": noise.WeightNoise, "DropConnect": noise.DropConnect, "Langevin": noise.Langevin}[kind]
    old = ManifoldLimit(MODELS["hyperbola"], make(0.1), 0.01, start=start)
    new = ManifoldLimit(model, make(0.1), 0.01 * s**2 / c, start=s * point)
    assert new.regime == old.regime
    # A drift of the weights over their unit: linear in the loss for a regulariser, quadratic for its square; Langevin
    # noise, which no loss enters, has curvature terms only.
    scale = {"weights": c / s**3, "DropConnect": c**2 / s**3, "Langevin": 1 / s}[kind]
    close(new.drift(0, s * point) / scale, old.drift(0, point), 1e-6)


@pytest.mark.parametrize("c", [1e-17, 1e12])
def test_the_limit_of_the_flow_does_not_depend_on_the_unit_of_the_loss(c):
    """Assert Phi and the dimension of the set of c (xy - 1)^2 / 2 against the closed form."""
    point = MODELS["hyperbola"].closed_limit(np.array([2.2, 0.7]))
    model = in_unit(c, 1.0)
    close(geometry.limit_map(model, np.array([2.2, 0.7]), tolerance=1e-8), point, 1e-7)
    assert geometry.set_dimension(model, point) == 1


@pytest.mark.parametrize("y", [1e-9, 1e9])
def test_small_and_large_labels_have_the_same_relative_error(y):
    """Assert Phi of f = xy with label y from sqrt(y) (2.2, 0.7), 1e-2 off at 1e-9 with a scale of 1."""
    predictor = predictors.UserPredictor(
        lambda w, x: w.prod(-1)[:, None, None] + 0 * x, lambda w, x, slope: slope * w[:, None, ::-1] + 0 * x, 1, 1, 2
    )
    model = zero_loss.PredictorRegression(predictor, np.ones((1, 1)), np.array([y]))
    found = geometry.limit_map(model, np.sqrt(y) * np.array([2.2, 0.7]), tolerance=1e-8) / np.sqrt(y)
    close(found, MODELS["hyperbola"].closed_limit(np.array([2.2, 0.7])), 1e-7)


def test_a_start_on_the_set_stays():
    """Assert it at zero loss, at rounding of it and at the origin."""
    loss = as_loss(MODELS["hyperbola"])
    for w in (np.array([2.0, 0.5]), np.array([3.0, 1 / 3]) * (1 + 1e-15)):
        close(geometry.limit_map(loss, w), w, 1e-14)
    through_origin = zero_loss.UserLoss(lambda w: w[..., 0] ** 2 / 2, lambda w: w * [1.0, 0.0], 2)
    np.testing.assert_array_equal(geometry.limit_map(through_origin, np.zeros(2)), np.zeros(2))
    assert geometry.set_dimension(through_origin, np.zeros(2)) == 1


OFF = np.array([2.0, 0.6])
ON_SET_ONLY = {
    "frame": lambda model, w: geometry.frame(model, w),
    "tangent_projector": lambda model, w: geometry.tangent_projector(model, w),
    "second_derivative": lambda model, w: geometry.second_derivative(model, w, np.eye(2)),
    "normal_covariance": lambda model, w: geometry.normal_covariance(model, w, np.eye(2)),
    "trace_gradient": lambda model, w: geometry.trace_gradient(model, w),
    "log_determinant": lambda model, w: geometry.log_determinant(model, w),
    "log_determinant_gradient": lambda model, w: geometry.log_determinant_gradient(model, w),
    "set_dimension": lambda model, w: geometry.set_dimension(model, w),
}


@pytest.mark.parametrize("name", ON_SET_ONLY)
def test_geometry_off_the_set_is_refused(name):
    """Assert the sentence for a regression and a general loss, a residual of 1e-7 passing."""
    for model in (MODELS["hyperbola"], as_loss(MODELS["hyperbola"]), in_unit(1e-17, 1.0)):
        with pytest.raises(InvalidInput, match=r"not on the zero-loss set: .*take limit_map"):
            ON_SET_ONLY[name](model, OFF)
        ON_SET_ONLY[name](model, np.array([2.0, 0.5 + 1e-7]))


def test_wrong_arguments_of_the_geometry():
    """Assert one sentence each: a vector of another space, a covariance that is not symmetric, a wrong gradient."""
    model = MODELS["hyperbola"]
    with pytest.raises(InvalidInput, match="2 weights"):
        geometry.frame(model, np.ones(3))
    with pytest.raises(InvalidInput, match="symmetric"):
        geometry.second_derivative(model, np.ones(2), np.array([[1.0, 1.0], [0.0, 1.0]]))
    with pytest.raises(InvalidInput, match="gradient.* is wrong: .*2 times as much"):
        loss_of(model.loss, lambda w: 2 * model.gradient(w))
    with pytest.raises(InvalidInput, match="Hessian vanishes"):
        geometry.frame(NO_LIMIT["x^4"][0], np.array([0.0, 1.0]))


def relu_network():
    """A ReLU network of 4 units on two samples, with a point of its set inside a smooth piece."""

    def parts(w, x):
        a, b = w[:, None, :4], w[:, 4:].reshape(-1, 4, 2)
        return a, x @ b.swapaxes(-1, -2)

    def value(w, x):
        a, z = parts(w, x)
        return (a * np.maximum(z, 0)).sum(-1, keepdims=True)

    def pullback(w, x, slope):
        a, z = parts(w, x)
        inner = (a * (z > 0))[..., None] * x[..., None, :]
        return slope * np.concatenate([np.maximum(z, 0), inner.reshape(*z.shape[:-1], 8)], axis=-1)

    w = np.random.Generator(np.random.Philox(6)).standard_normal(12)
    labels = value(w[None], FEATURES[None, :2])[0, :, 0]
    return zero_loss.PredictorRegression(predictors.UserPredictor(value, pullback, 2, 1, 12), FEATURES[:2], labels), w


@pytest.mark.slow
def test_a_network_with_kinks_is_told_and_a_smooth_one_is_not():
    """Assert the warning for ReLU, that the limit is there all the same, and no false alarm on any smooth model."""
    model, w = relu_network()
    with pytest.warns(geometry.NotSmooth, match="kink or jump about .* within the smooth piece"):
        assert ManifoldLimit(model, noise.LabelNoise(0.1), 0.01, start=w).regime == "degenerate"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in MODELS:
            geometry.warn_of_kinks(MODELS[name], on_set(name))
        for name in ("hyperbola", "linear regression"):
            geometry.warn_of_kinks(as_loss(MODELS[name]), on_set(name))


def test_a_flow_that_ends_in_a_saddle_is_refused_and_one_that_leaves_it_is_followed():
    """Assert the sentence from [1, -1], whose flow under (xy - 1)^2 / 2 stays on x = -y and ends at 0, and the limit
    from either side of that line, which ends on its own branch."""
    saddle = zero_loss.UserLoss(
        lambda w: (w.prod(-1) - 1) ** 2 / 2, lambda w: (w.prod(-1) - 1)[:, None] * w[:, ::-1], 2
    )
    with pytest.raises(InvalidInput, match=r"comes to rest at w = .* where the loss is 0\.5: a saddle"):
        geometry.limit_map(saddle, np.array([1.0, -1.0]), tolerance=1e-7)
    for off, branch in ((1e-3, 1.0), (-1e-3, -1.0)):
        found = geometry.limit_map(saddle, np.array([1.0, -1.0 + off]), tolerance=1e-7)
        close(found, MODELS["hyperbola"].closed_limit(np.array([1.0, -1.0 + off])), 1e-4)
        assert np.sign(found[0]) == branch
