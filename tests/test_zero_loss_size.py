"""Zero-loss sets of many weights: products against matrices, the flow against brute force, memory, ranks, kinks."""

import tracemalloc

import numpy as np
import pytest

from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.numerical_derivatives import slope_along
from sgdlimits.problems import exponential_collocation, geometry, noise, predictors, zero_loss
from sgdlimits.problems.leading_modes import FEW, leading_modes
from sgdlimits.problems.row_space import gram_modes, row_space
from tests.zero_loss_cases import FEATURES, FEW as FEW_LABELS, LABELS, WIDE, point

DRAW = np.random.Generator(np.random.Philox(17))
ROWS, TARGETS = DRAW.standard_normal((4, 3)), 0.5 * DRAW.standard_normal(4)
NETWORK = zero_loss.ShallowNetwork(ROWS, TARGETS, 6)
MODELS = {
    "network": NETWORK,
    "diagonal network": zero_loss.DiagonalLinearNetwork(WIDE, FEW_LABELS),
    "matrix factorisation": zero_loss.MatrixFactorisation(np.array([[1.0, 0.3, -0.2], [0.1, 0.8, 0.4]]), 2),
    "two layers": zero_loss.PredictorRegression(predictors.TwoLayer(3, 5), ROWS, TARGETS),
}
MODELS["network as a loss"] = zero_loss.UserLoss(
    NETWORK.loss, NETWORK.gradient, NETWORK.dimension, hessian_function=NETWORK.hessian,
    third_function=NETWORK.third_contraction,
)  # fmt: skip
MECHANISMS = {
    "labels": noise.LabelNoise(0.1), "weights": noise.WeightNoise(0.1), "Langevin": noise.Langevin(0.1),
    "DropConnect": noise.DropConnect(0.1), "Bernoulli": noise.DropConnect(0.1, "bernoulli"),
    "inputs": noise.InputNoise(0.1), "Dropout": noise.Dropout(0.1, sharing="per_sample"),
}  # fmt: skip
PAIRS = [(name, kind) for name in MODELS for kind in MECHANISMS if not MECHANISMS[kind].misfit(MODELS[name])]
_SET: dict[str, np.ndarray] = {}


def on_set(name):
    if name not in _SET:
        _SET[name] = geometry.limit_map(MODELS[name], point(MODELS[name], seed=3))
    return _SET[name]


def close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * (1 + np.abs(wanted).max()))


def wide_network(weights, samples, seed=4):
    """A tanh network of about so many weights, and a start."""
    draw = np.random.Generator(np.random.Philox(seed))
    rows, width = draw.standard_normal((samples, 9)), weights // 10
    model = zero_loss.ShallowNetwork(rows, draw.standard_normal(samples), width)
    start = draw.standard_normal(model.dimension)
    start[:width] /= np.sqrt(width)
    return model, start


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_derivatives_by_products_are_those_of_the_matrices(name, kind):
    """Assert all parts of d2Phi[covariance] and the regulariser's slope against matrices of the weights, to 1e-9."""
    model, mechanism, w = MODELS[name], MECHANISMS[kind], on_set(name)
    values, vectors = np.linalg.eigh(model.hessian(w))
    kept = values > 1e-9 * values.max()
    values, normals = values[kept], vectors[:, kept]
    P, inverse = np.eye(len(w)) - normals @ normals.T, (normals / values) @ normals.T
    columns = mechanism.noise_matrix(model, w)
    S = columns @ columns.T
    X = normals @ (normals.T @ S @ normals / (values[:, None] + values)) @ normals.T
    M = inverse @ S @ P
    found = geometry.second_derivative(model, w, mechanism.factored_covariance(model, w))
    scale = max(1.0, np.abs(S).max())
    close(found.curvature, -inverse @ model.third_contraction(w, P @ S @ P), 1e-9 * scale)
    close(found.mixed, -P @ model.third_contraction(w, M + M.T), 1e-9 * scale)
    close(found.normal, -P @ model.third_contraction(w, X), 1e-9 * scale)
    frame = geometry.frame(model, w)
    slope = frame.tangent_part(mechanism.regulariser_slope(model, w, frame))
    close(slope, P @ mechanism.regulariser_gradient(model, w), 1e-9)
    close(mechanism.regulariser_on_set(model, w, frame), mechanism.regulariser(model, w), 1e-9)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
@pytest.mark.parametrize("kind", MECHANISMS)
def test_covariances_with_a_minibatch_by_products(kind, sampling):
    """Assert symmetry, and that of the whole data set without replacement no minibatch is left."""
    w, mechanism = on_set("network"), MECHANISMS[kind]
    found = mechanism.covariance(NETWORK, w, noise.Minibatch(2, sampling))
    close(found, found.T, 1e-14)
    whole = mechanism.covariance(NETWORK, w, noise.Minibatch(4, "without_replacement"))
    close(whole, mechanism.covariance(NETWORK, w), 1e-12)
    assert kind == "Langevin" or np.abs(found - whole).max() > 1e-3 * np.abs(whole).max()


def descended(model, start, step_size):
    """Where gradient descent ends."""
    w = start.copy()
    while model.loss(w) > 1e-22:
        w = w - step_size * model.gradient(w)
    return geometry.retract(model, w)


@pytest.mark.parametrize("name", ["network", "two layers", "matrix factorisation"])
def test_the_limit_map_is_where_tiny_steps_of_descent_end(name):
    """Assert that gradient descent ends at a distance proportional to its step, and extrapolated at Phi."""
    model, start = MODELS[name], point(MODELS[name], seed=3)
    ends = [descended(model, start, size) for size in (0.04, 0.02, 0.01)]
    wanted = on_set(name)
    far = [np.linalg.norm(end - wanted) for end in ends]
    assert 1.8 < far[0] / far[1] < 2.2 and 1.9 < far[1] / far[2] < 2.1
    close((ends[0] - 6 * ends[1] + 8 * ends[2]) / 3, wanted, 1e-5)
    assert far[2] > 1e-4  # the control: one descent alone is far off


def test_the_limit_map_s_error_is_that_of_its_tolerance():
    """Assert three tolerances of a network of 200 weights against one far below, and the same bits beside others."""
    model, start = wide_network(200, 8)
    best = geometry.limit_map(model, start, 1e-13)
    for tolerance in (1e-6, 1e-8, 1e-10):
        found = geometry.limit_map(model, start, tolerance)
        assert np.linalg.norm(found - best) < 10 * tolerance * np.linalg.norm(best)
    others = np.stack([start, 0.5 * start, start + 1])
    w = exponential_step(model, others)
    assert all((exponential_step(model, others[i : i + 1])[0] == w[i]).all() for i in range(3))


def exponential_step(model, w):
    from sgdlimits.problems.limit_flow import _step

    return _step(model, w, np.full(len(w), 0.1), 1e-8)[0]


def test_steps_of_exponential_collocation_are_exact_for_linear_flows_and_of_high_order_else():
    """Assert a stiff linear flow in one long step, with modes known or a half of them, and order 9 or more."""
    rates = np.array([1e6, 30.0, 1.0, 0.1])
    turned = np.linalg.qr(DRAW.standard_normal((6, 6)))[0][:4]
    matrix = (turned.T * rates) @ turned
    target = DRAW.standard_normal(6)

    def linear(w):
        return (target - w) @ matrix

    w = np.ones((1, 6))
    made = exponential_collocation.step(linear, w, linear(w), rates[None], turned[None], np.ones(1), np.full(1, 1e-9))
    inside = np.exp(-rates) - 1
    close(made.moved[0], w[0] + ((w[0] - target) @ turned.T * inside) @ turned, 1e-8)
    some = exponential_collocation.step(
        linear, w, linear(w), rates[None, :2], turned[None, :2], np.ones(1), np.full(1, 1e-9)
    )
    close(some.moved, made.moved, 1e-8)

    def logistic(w):
        return w * (1 - w)

    errors = []
    for size in (2.4, 1.2):
        start = np.full((1, 1), 0.2)
        step = exponential_collocation.step(
            logistic, start, logistic(start), np.zeros((1, 1)), np.ones((1, 1, 1)), np.full(1, size), np.full(1, 1e-13)
        )
        errors.append(abs(step.moved[0, 0] - 1 / (1 + 4 * np.exp(-size))))
    assert errors[0] > 1e-11 and errors[0] / errors[1] > 2**9


def test_row_spaces_of_wide_matrices_are_those_of_the_decomposition():
    """Assert singular values and orthonormal rows of ill-conditioned and rank-deficient rows, and tall ones."""
    left = np.linalg.qr(DRAW.standard_normal((8, 8)))[0]
    right = np.linalg.qr(DRAW.standard_normal((200, 8)))[0].T
    matrix = (left * np.logspace(0, -5, 8)) @ right
    for given in (matrix, np.concatenate([matrix, matrix[:1]]), matrix.T[:5], matrix[:, :9]):
        wanted = np.linalg.svd(given, compute_uv=False)
        found, rows = row_space(given)
        kept = wanted > 1e-6 * wanted[0]
        close(found[: len(wanted)], wanted, 1e-14)
        close(rows[kept] @ rows[kept].T, np.eye(kept.sum()), 1e-13)
        close(given @ rows[kept].T @ rows[kept], given, 1e-6 * wanted[0])
        close(np.sqrt(gram_modes(given)[0])[kept], wanted[kept], 1e-7)


def test_leading_modes_of_a_loss_of_many_weights_span_its_normals():
    """Assert frame and trace gradient of a loss without predictor against those of the network that it is."""
    model, start = wide_network(FEW + 150, 5)
    loss = zero_loss.UserLoss(model.loss, model.gradient, model.dimension)
    w = geometry.limit_map(model, start)
    values, vectors = leading_modes(loss, w, 1e-7)
    assert values.size < model.dimension / 4
    known, found = geometry.frame(model, w), geometry.frame(loss, w)
    close(found.eigenvalues, known.eigenvalues, 1e-7)  # of differences of the gradient
    v = DRAW.standard_normal(model.dimension)
    close(found.tangent_part(v), known.tangent_part(v), 1e-7)
    close(geometry.trace_gradient(loss, w), geometry.trace_gradient(model, w), 1e-5)
    exact = zero_loss.UserLoss(model.loss, model.gradient, model.dimension, product_function=product_of(model))
    found = geometry.frame(exact, w)
    close(found.eigenvalues, known.eigenvalues, 1e-10)
    close(found.tangent_part(v), known.tangent_part(v), 1e-10)


def product_of(model):
    return lambda w, v: model.hessian_products(w, v[..., None, :])[..., 0, :]


@pytest.mark.slow
def test_a_loss_of_many_weights_is_followed_to_the_same_limit():
    """Assert Phi of a loss without predictor, from products with its Hessian, at 350 weights."""
    model, start = wide_network(FEW + 150, 3)
    loss = zero_loss.UserLoss(model.loss, model.gradient, model.dimension)
    wanted = geometry.limit_map(model, start)
    close(geometry.limit_map(loss, start, 1e-8), wanted, 1e-6)


def test_the_drift_of_label_noise_at_many_weights_is_a_difference_of_the_trace():
    """Assert -(c/4) grad tr H along the set of 2000 weights, by differences of the sum of the eigenvalues."""
    model, start = wide_network(2000, 20)
    w = geometry.limit_map(model, start)
    limit = ManifoldLimit(model, noise.LabelNoise(0.1), 1e-3, start=start)
    frame = geometry.frame(model, w)
    v = frame.tangent_part(np.random.Generator(np.random.Philox(2)).standard_normal(model.dimension))
    v /= np.linalg.norm(v)

    def trace(place):
        return geometry.frame(model, geometry.retract(model, place), rank=20).eigenvalues.sum(-1)

    drift = limit.drift(0.0, w)
    assert np.linalg.norm(drift) > 1e-6
    close(drift @ v, -slope_along(trace, w, v) / (4 * model.samples), 1e-9)


def test_no_matrix_of_the_weights_is_held():
    """Assert that Phi, regime, drift and a step of the limit at 4000 weights hold less than half of one."""
    model, start = wide_network(4000, 10)
    for mechanism in (noise.LabelNoise(0.1), noise.WeightNoise(0.1), noise.DropConnect(0.1), noise.Dropout(0.1)):
        tracemalloc.start()
        limit = ManifoldLimit(model, mechanism, 1e-4, start=start)
        limit.solve(start, [0.0, 1e-3], solver="euler", dt=1e-3)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.5 * 8 * model.dimension**2
    tracemalloc.start()
    limit = ManifoldLimit(model, noise.Langevin(0.1), 1e-4, start=start)
    frame = geometry.frame(model, limit._origin)
    limit._fields.tangent_drift(limit._origin, frame), limit._fields.noise_times(limit._origin, start)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 8 * model.dimension**2


def test_a_jacobian_of_deficient_rank_moves_nothing():
    """Assert that twice the same samples, the same loss, have the same limit, rank and drift."""
    model, start = wide_network(200, 4)
    twice = zero_loss.ShallowNetwork(np.tile(model.features, (2, 1)), np.tile(model.labels, 2), model.width)
    w = geometry.limit_map(model, start)
    close(geometry.limit_map(twice, start), w, 1e-10)
    assert geometry.frame(twice, w).rank == 4
    close(geometry.trace_gradient(twice, w), geometry.trace_gradient(model, w), 1e-11)


def test_one_sample_and_more_samples_than_weights():
    """Assert the limit of a network on one sample by brute force, and an isolated minimum's sentence."""
    one = zero_loss.ShallowNetwork(FEATURES[:1], LABELS[:1], 5)
    start = point(one, seed=6)
    close((lambda a, b: 2 * b - a)(*(descended(one, start, size) for size in (2e-3, 1e-3))),
          geometry.limit_map(one, start), 1e-6)  # fmt: skip
    rows = DRAW.standard_normal((12, 2))
    teacher = np.array([1.0, -0.7, 0.8, 0.3, -0.4, 0.9])
    many = zero_loss.ShallowNetwork(rows, zero_loss.ShallowNetwork(rows, np.zeros(12), 2).predict(teacher), 2)
    close(geometry.limit_map(many, teacher + 0.02), teacher, 1e-9)
    with pytest.raises(InvalidInput, match="isolated minimum"):
        geometry.frame(many, teacher)


def test_a_relu_network_is_followed_within_a_smooth_piece():
    """Assert Phi by brute force from a start near the set, where no unit switches on the way."""
    model = zero_loss.PredictorRegression(predictors.TwoLayer(3, 12, 1, "relu"), ROWS[:3], TARGETS[:3])
    w = geometry.retract(model, model.predictor.start(1, 1)[0])
    start = w + 0.02 * np.random.Generator(np.random.Philox(1)).standard_normal(model.dimension)
    signs = [model.predict_with_jacobian(place)[1] != 0 for place in (start, geometry.limit_map(model, start))]
    assert (signs[0] == signs[1]).all()
    ends = [descended(model, start, size) for size in (0.01, 0.005)]
    close(2 * ends[1] - ends[0], geometry.limit_map(model, start), 1e-6)


@pytest.mark.extras
def test_a_torch_network_has_the_limit_and_the_drift_of_its_twin():
    """Assert Phi, label-noise drift and Hessian products of a torch module, as predictor and as loss, to 1e-9."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    own = zero_loss.PredictorRegression(predictors.TorchPredictor.from_module(net, 3), ROWS, TARGETS)
    twin, start = MODELS["two layers"], point(MODELS["two layers"], seed=3)
    w = geometry.limit_map(own, start, 1e-11)
    close(w, geometry.limit_map(twin, start, 1e-11), 1e-9)
    found, wanted = (ManifoldLimit(model, noise.LabelNoise(0.1), 1e-3).drift(0.0, w) for model in (own, twin))
    close(found, wanted, 1e-9)
    rows, targets = torch.tensor(ROWS), torch.tensor(TARGETS)

    def loss(x):
        hidden = torch.tanh(rows @ x[:15].reshape(5, 3).T + x[15:20])
        return 0.5 * ((hidden @ x[20:25] + x[25] - targets) ** 2).mean()

    alone = zero_loss.UserLoss.from_torch(loss, 26)
    vectors = np.random.Generator(np.random.Philox(8)).standard_normal((4, 26))
    close(alone.hessian_products(start, vectors), twin.hessian_products(start, vectors), 1e-12)
    close(alone.third_products(w, vectors, np.ones(4)), twin.third_products(w, vectors, np.ones(4)), 1e-9)
    close(geometry.trace_gradient(alone, w), geometry.trace_gradient(twin, w), 1e-9)
