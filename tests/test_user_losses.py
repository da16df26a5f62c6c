"""A user's loss, whatever its door: never written into, checked against its derivative, at any scale, copied whole."""

import copy
import dataclasses
import pickle
import re
import warnings

import numba
import numpy as np
import pytest
from tests.optional import optional

from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import (
    LeastSquares, Logistic, SampleLoss, StreamingLeastSquares, Supervised, geometry, losses, predictors, sources,
    zero_loss,
)  # fmt: skip

DRAW = np.random.Generator(np.random.Philox(11))
A, b = DRAW.standard_normal((7, 2)), DRAW.standard_normal(7)
SIGNS = np.where(b > 0, 1.0, -1.0)


def squares_value(x, rows):
    return 0.5 * (np.einsum("pbj,pj->pb", A[rows], x) - b[rows]) ** 2


def squares_slope(x, rows):
    return (np.einsum("pbj,pj->pb", A[rows], x) - b[rows])[:, :, None] * A[rows]


@numba.njit
def compiled_value(x, i):
    return 0.5 * ((A[i] * x).sum() - b[i]) ** 2


@numba.njit
def adding_slope(x, i, out):
    """Adds to what `out` holds: right where it is zero on entry."""
    out += ((A[i] * x).sum() - b[i]) * A[i]


@numba.njit
def half_silent_slope(x, i, out):
    """Writes only where the slope is not zero: the loss is (x_0 - b_i)^2 / 2."""
    if x[0] > b[i]:
        out[0] = x[0] - b[i]
    elif x[0] < b[i]:
        out[0] = x[0] - b[i]


@numba.njit
def first_value(x, i):
    return 0.5 * (x[0] - b[i]) ** 2


@numba.njit
def writing_slope(x, i, out):
    """Turns its argument round."""
    x *= -1.0
    out += (-(A[i] * x).sum() - b[i]) * A[i]


def test_a_function_that_writes_into_its_argument_is_named():
    """Every door: the user's function meets a read-only view, or is found out at construction."""

    def turned(x, rows):
        x *= -1.0
        return squares_slope(-x, rows)

    def turned_loss(w):
        w += 0.0
        return (w**2).sum(-1)

    def value(w):
        return (w**2).sum(-1)

    doors = {
        "gradient": lambda: SampleLoss(squares_value, turned, 7, 2),
        "gradient compiled": lambda: SampleLoss(compiled_value, writing_slope, 7, 2, compiled=True),
        "loss_function": lambda: zero_loss.UserLoss(turned_loss, lambda w: 2 * w, 2),
        "gradient_function": lambda: zero_loss.UserLoss(value, lambda w: np.multiply(w, 2, out=w), 2),
        "output_function": lambda: predictors.UserPredictor(
            lambda x, a: np.multiply(x, 2, out=x), lambda x, a, s: a, 2, 1, 2
        ),
        "value_function": lambda: Supervised(
            predictors.Linear(2),
            losses.UserOutputLoss(lambda f, y: np.sin(f, out=f)[..., 0], lambda f, y: np.cos(f)),
            sources.Rows(A, b),
        ),
    }
    for words, build in doors.items():
        with pytest.raises(InvalidInput, match=f"{words.split()[0]} wrote into its argument"):
            build()
    problem = SampleLoss(squares_value, squares_slope, 7, 2)
    own = zero_loss.UserLoss(value, lambda w: 2 * w, 2)
    for one in (problem, Logistic(A, SIGNS), own, LeastSquares.from_arrays(A, b)):
        x = np.array([0.3, -0.2])
        one.gradient(x)
        np.testing.assert_array_equal(x, [0.3, -0.2])


def test_a_function_that_returns_one_shared_buffer_is_copied():
    """Two calls in one formula: derivatives by differences would be zero on a shared buffer."""
    buffer = np.zeros((64, 2))

    def shared(w):
        found = buffer[: np.size(w) // 2].reshape(np.shape(w))
        found[...] = np.asarray(w) ** 3
        return found

    loss = zero_loss.UserLoss(lambda w: (np.asarray(w) ** 4).sum(-1) / 4, shared, 2)
    w = np.array([0.5, -1.0])
    np.testing.assert_allclose(loss.hessian(w), np.diag(3 * w**2), atol=1e-10)
    first, second = loss.gradient(w), loss.gradient(2 * w)
    np.testing.assert_allclose(8 * first, second)


@pytest.mark.slow
def test_out_is_zero_on_entry_everywhere():
    """Gradients that add to `out`, or leave zeros unwritten, in every compiled loop of the problems."""
    adding = SampleLoss(compiled_value, adding_slope, 7, 2, compiled=True)
    known = LeastSquares.from_arrays(A, b)
    x = DRAW.standard_normal((3, 2))
    np.testing.assert_allclose(adding.gradient(x), known.gradient(x), atol=1e-14)
    np.testing.assert_allclose(adding.weighted_gradients(x, np.ones((3, 7))) / 7, known.gradient(x), atol=1e-14)
    each = adding.sample_gradients(x, np.tile(np.arange(7), (3, 1)))
    np.testing.assert_allclose(each.mean(axis=1), known.gradient(x), atol=1e-14)
    silent = SampleLoss(first_value, half_silent_slope, 7, 2, compiled=True)
    np.testing.assert_allclose(silent.gradient(x), np.stack([x[:, 0] - b.mean(), 0 * x[:, 1]], -1), atol=1e-14)

    @numba.njit
    def loss(w):
        return 0.5 * ((w * w).sum() - 1.0) ** 2

    @numba.njit
    def gradient(w, out):
        out += 2 * ((w * w).sum() - 1.0) * w

    @numba.njit
    def prediction(w, x, work, out):
        out += (x * w).sum()

    @numba.njit
    def pull(w, x, slope, work, out):
        out += slope[0] * x

    w = np.array([0.4, 0.9])
    model = zero_loss.UserLoss(loss, gradient, 2, compiled=True)
    np.testing.assert_allclose(model.gradient(w), 2 * (w @ w - 1) * w)
    made = predictors.UserPredictor(prediction, pull, 2, 1, 2, compiled=True)
    regression = zero_loss.PredictorRegression(made, A, b)
    np.testing.assert_allclose(regression.gradient(w), known.gradient(w), atol=1e-14)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 1e-9, 1e4])
def test_numerical_derivatives_know_the_scale_of_the_coordinates(scale):
    """s^2 log cosh(w / s) has curvature 1 / cosh^2 and third derivative -2 tanh / (s cosh^2), at every s."""
    w = np.array([0.5, -1.2]) * scale
    value = lambda w: scale**2 * np.logaddexp(w / scale, -w / scale).sum(-1)  # noqa: E731
    slope = lambda w: scale * np.tanh(w / scale)  # noqa: E731
    curvature = np.cosh(w / scale) ** -2
    loss = zero_loss.UserLoss(value, slope, 2)
    np.testing.assert_allclose(loss.hessian(w), np.diag(curvature), atol=1e-9)
    third = loss.third_contraction(w, np.eye(2))
    np.testing.assert_allclose(third * scale, -2 * np.tanh(w / scale) * curvature, rtol=1e-6)
    sampled = SampleLoss(
        lambda x, rows: value(x)[:, None] * np.ones(rows.shape),
        lambda x, rows: slope(x)[:, None] * np.ones((*rows.shape, 1)), 3, 2,
    )  # fmt: skip
    np.testing.assert_allclose(sampled.hessian(w), np.diag(curvature), atol=1e-9)
    np.testing.assert_allclose(sampled.hessian_times_gradient(w), curvature * slope(w), rtol=1e-9)


def test_one_large_coordinate_does_not_blur_a_small_one():
    """Curvatures 1 and 1e-12 of coordinates 1e-6 and 1e6 apart, each to its own digits."""
    scales = np.array([1e-6, 1e6])
    w = 0.5 * scales
    loss = zero_loss.UserLoss(
        lambda w: np.logaddexp(w / scales, -w / scales).sum(-1), lambda w: np.tanh(w / scales) / scales, 2
    )
    np.testing.assert_allclose(np.diag(loss.hessian(w)) * scales**2, np.cosh(0.5) ** -2, rtol=1e-6)


WRONG = {"sign": -1.0, "twice": 2.0, "one and a bit": 1.001}


@pytest.mark.parametrize("factor", WRONG.values(), ids=WRONG)
def test_a_wrong_derivative_is_told_at_construction(factor):
    """Sign, factor two, a tenth of a per cent: every door says so, with the ratio."""

    def cubes(w, x):
        return (x * w[:, None, :] ** 3).sum(-1, keepdims=True)

    def right(w, x, slopes):
        return slopes * 3 * x * w[:, None, :] ** 2

    def quartic(w):
        return (w**4).sum(-1)

    def bent(w, x, slopes):
        return 6 * (slopes * x * w[:, None, :])[..., None] * np.eye(2)

    def third(w, x, slopes, m):
        return factor * 6 * slopes * x * np.diagonal(m, axis1=-2, axis2=-1)[:, None, :]

    doors = [
        lambda: SampleLoss(squares_value, lambda x, rows: factor * squares_slope(x, rows), 7, 2),
        lambda: zero_loss.UserLoss(quartic, lambda w: factor * 4 * w**3, 2),
        lambda: zero_loss.UserLoss(
            quartic, lambda w: 4 * w**3, 2, hessian_function=lambda w: factor * 12 * w[..., None] ** 2 * np.eye(2)
        ),
        lambda: zero_loss.UserLoss(
            quartic, lambda w: 4 * w**3, 2,
            third_function=lambda w, m: factor * 24 * w * np.diagonal(m, axis1=-2, axis2=-1),
        ),
        lambda: predictors.UserPredictor(cubes, lambda *given: factor * right(*given), 2, 1, 2),
        lambda: predictors.UserPredictor(
            cubes, right, 2, 1, 2, hessian_function=lambda *given: factor * bent(*given)
        ),
        lambda: predictors.UserPredictor(cubes, right, 2, 1, 2, hessian_function=bent, third_function=third),
    ]  # fmt: skip
    for build in doors:
        with pytest.raises(InvalidInput, match=f"is wrong: along one direction.*{re.escape(f'{factor:.4g}')} times"):
            build()


@pytest.mark.slow
def test_a_compiled_derivative_twice_too_large_is_told():
    """The compiled doors."""

    @numba.njit
    def slope(x, i, out):
        out[:] = 2 * ((A[i] * x).sum() - b[i]) * A[i]

    @numba.njit
    def loss(w):
        return (w**4).sum()

    @numba.njit
    def gradient(w, out):
        out[:] = 8 * w**3

    @numba.njit
    def prediction(w, x, work, out):
        out[0] = (x * w**3).sum()

    @numba.njit
    def pull(w, x, slope, work, out):
        out[:] = slope[0] * 6 * x * w**2

    for build in (
        lambda: SampleLoss(compiled_value, slope, 7, 2, compiled=True),
        lambda: zero_loss.UserLoss(loss, gradient, 2, compiled=True),
        lambda: predictors.UserPredictor(prediction, pull, 2, 1, 2, compiled=True),
    ):
        with pytest.raises(InvalidInput, match="is wrong: along one direction.*2 times"):
            build()


def test_a_right_derivative_of_an_awkward_function_passes():
    """Large offsets, tiny scales, kinks, single precision, a domain that ends: nothing is refused without cause."""
    generator = np.random.Generator(np.random.Philox(12))
    rows = generator.standard_normal((5, 3))

    def of(value, slope):
        return zero_loss.UserLoss(value, slope, 3)

    of(lambda w: 1e9 + w.sum(-1), lambda w: np.ones_like(w))
    of(lambda w: np.abs(w).sum(-1), np.sign)
    of(lambda w: np.cos(1e4 * w).sum(-1), lambda w: -1e4 * np.sin(1e4 * w))
    of(lambda w: (w**2).sum(-1).astype(np.float32), lambda w: 2 * w)
    of(lambda w: ((w.astype(np.float32) @ rows.T.astype(np.float32)) ** 2).sum(-1), lambda w: 2 * (w @ rows.T) @ rows)
    of(lambda w: np.log(0.45 - w).sum(-1), lambda w: -1 / (0.45 - w))
    of(lambda w: np.maximum(w @ rows.T, 0).sum(-1), lambda w: (w @ rows.T > 0) @ rows)
    of(lambda w: 0 * w.sum(-1), lambda w: 0 * w)
    of(lambda w: 1e-200 * (w**2).sum(-1), lambda w: 2e-200 * w)
    of(lambda w: 1e120 * np.exp(w).sum(-1), lambda w: 1e120 * np.exp(w))


def test_copies_are_as_closed_as_the_original_and_derive_anew():
    """Pickle, copy and deepcopy: arrays cannot be written to, cached numbers are not carried over."""
    models = [
        LeastSquares.from_arrays(A, b), LeastSquares.from_dataset("diabetes", test_fraction=0.2),
        StreamingLeastSquares(np.eye(2), 0.1, np.ones(2)), Logistic(A, SIGNS, 0.1),
        Supervised(predictors.Linear(2), "squares", sources.Rows(A, b)), zero_loss.ShallowNetwork(A, b, 3),
        zero_loss.LinearRegression(A, b), zero_loss.MatrixFactorisation(A), zero_loss.DiagonalLinearNetwork(A, b),
        zero_loss.Hyperbola(), SampleLoss(np_value, np_slope, 7, 2),
    ]  # fmt: skip
    for model in models:
        x = np.full(model.dimension, 0.3)
        before = model.gradient(x)
        for again in (copy.deepcopy(model), copy.copy(model), pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(again.gradient(x), before)
            held = [v for v in _arrays(again) if v.size]
            assert all(not v.flags.writeable for v in held)
    problem = LeastSquares.from_arrays(A, b)
    problem.eigenvalues  # noqa: B018
    assert "spectrum" not in copy.deepcopy(problem).__dict__
    given = np.ones(2)
    streaming = StreamingLeastSquares(np.eye(2), 0.1, given)
    given[:] = 7.0
    np.testing.assert_array_equal(streaming.truth, [1, 1])


def np_value(x, rows):
    return np.ones(rows.shape) * (x**2).sum(-1, keepdims=True)


def np_slope(x, rows):
    return np.ones((*rows.shape, 1)) * 2 * x[:, None]


def _arrays(model):
    """Arrays in the fields of a model, those of its parts included."""
    for value in (getattr(model, field.name) for field in dataclasses.fields(model)):
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, sources.Rows):
            yield from _arrays(value)


@pytest.mark.parametrize(
    "problem", [LeastSquares.from_arrays(A, b), Logistic(A, SIGNS), StreamingLeastSquares(1.0, 0.1, 1.0)]
)
def test_a_batch_past_memory_is_refused_at_construction(problem):
    """10^9 rows a step would be drawn one by one; a sentence instead of a MemoryError."""
    with pytest.raises(InvalidInput, match="1000000000.*at most 16777216"):
        SGD(problem, 0.1, batch_size=10**9)


def test_results_that_are_no_real_numbers_are_named():
    """Complex, masked, text and objects, from a NumPy function."""
    for result, words in (
        (lambda w: (w**2).sum(-1) + 1j, "complex"), (lambda w: np.ma.masked_less((w**2).sum(-1), 9), "masked"),
        (lambda w: "text", "not an array of numbers"), (lambda w: None, "not an array|returned"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            zero_loss.UserLoss(result, lambda w: 2 * w, 2)
    with pytest.raises(InvalidInput, match="numba says"):
        zero_loss.UserLoss(numba.njit(lambda w: w.nothing), numba.njit(lambda w, out: None), 2, compiled=True)


def test_a_loss_of_a_data_sets_rows():
    """A user's loss on a named set's rows equals least squares on the same rows."""
    rows = sources.Rows.from_dataset("concrete")
    problem = SampleLoss.from_rows(
        lambda x, a, y: 0.5 * (np.einsum("pbj,pj->pb", a, x) - y) ** 2,
        lambda x, a, y: (np.einsum("pbj,pj->pb", a, x) - y)[..., None] * a, rows, 8, 0.1,
    )  # fmt: skip
    known = LeastSquares.from_arrays(rows.inputs, rows.labels, 0.1)
    x = np.linspace(-1, 1, 8)
    assert problem.risk(x) == pytest.approx(float(known.risk(x)), rel=1e-12)
    np.testing.assert_allclose(problem.gradient(x), known.gradient(x), rtol=1e-11)


@pytest.mark.extras
def test_torch_doors_take_single_precision_and_count_rows():
    """float32 data and read-only arrays without a warning; too many or too few labels: a sentence."""
    torch = optional("torch")
    few = np.broadcast_to(b.astype(np.float32), (7,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem = SampleLoss.from_torch(lambda x, a, y: 0.5 * (a @ x - y) ** 2, (A.astype(np.float32), few), 2)
        x = np.array([0.3, -0.2])
        known = LeastSquares.from_arrays(A.astype(np.float32), few)
        np.testing.assert_allclose(problem.gradient(x), known.gradient(x), rtol=1e-12)
        SGD(problem, 0.1, 2).simulate(x, 3, 4)
    for labels in (b[:5], np.concatenate([b, b])):
        with pytest.raises(InvalidInput, match="same number of rows"):
            SampleLoss.from_torch(lambda x, a, y: (a @ x - y) ** 2, (A, labels), 2)
        with pytest.raises(InvalidInput, match="same number of rows"):
            SampleLoss.from_module(torch.nn.Linear(2, 1), A, labels, torch.nn.functional.mse_loss)
    with pytest.raises(InvalidInput, match=r"it must return \(2, 3\)"):
        SampleLoss.from_torch(lambda x, a, y: a * x, (A, b), 2)
    with pytest.raises(InvalidInput, match="one number"):
        zero_loss.UserLoss.from_torch(lambda w: w**2, 2)
    with pytest.raises(InvalidInput, match=r"cannot take one input of shape \(2,\)"):
        SampleLoss.from_module(torch.nn.Linear(3, 1), A, b, torch.nn.functional.mse_loss)


@pytest.mark.extras
def test_a_module_and_its_data_in_one_call():
    """mse_loss of one output is twice the squares; the module keeps its weights, precision and mode."""
    torch = optional("torch")
    net = torch.nn.Linear(2, 1)
    problem = SampleLoss.from_module(net, A, b, torch.nn.functional.mse_loss)
    known = Supervised(predictors.Linear(2), "squares", sources.Rows(A, b))
    x = problem.start
    assert net.weight.dtype == torch.float32 and net.training and net.weight.requires_grad
    np.testing.assert_allclose(problem.risk(x), 2 * known.risk(x), rtol=1e-13)
    np.testing.assert_allclose(problem.gradient(x), 2 * known.gradient(x), rtol=1e-12)


@pytest.mark.extras
def test_torch_models_are_copied():
    """Compiled torch functions are derived anew in a deep copy."""
    optional("torch")
    model = zero_loss.UserLoss.from_torch(torch_quartic, 2)
    w = np.array([0.5, 1.5])
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.gradient(w), model.gradient(w))


def torch_quartic(w):
    return (w**4).sum()


def test_a_flow_that_gets_nowhere_is_given_up():
    """A gradient that is turned by a right angle far from the point of the check: refused, in seconds."""

    def turned(w):
        x, y = w[..., 0], w[..., 1]
        own = 2 * (x * y - 1)[..., None] * np.stack([y, x], -1)
        far = (np.abs(w).sum(-1) > 3)[..., None]
        return np.where(far, np.stack([-own[..., 1], own[..., 0]], -1), own)

    calls = []

    def counted(w):
        calls.append(1)
        return turned(w)

    loss = zero_loss.UserLoss(lambda w: (w[..., 0] * w[..., 1] - 1) ** 2, counted, 2)
    with pytest.raises(InvalidInput, match="does not reach zero loss"):
        geometry.limit_map(loss, np.array([4.0, 4.0]))
    assert len(calls) < 150_000
