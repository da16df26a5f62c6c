"""Any smooth loss with a zero-loss set: Huber, cross-entropy with label smoothing, a convolutional network."""

import numpy as np
import pytest

from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.problems import geometry, noise, predictors, zero_loss
from tests.optional import optional

DRAW = np.random.Generator(np.random.Philox(41))
FEATURES, LABELS = DRAW.standard_normal((2, 2)), 0.5 * DRAW.standard_normal(2)
WIDTH = 1.0  # of Huber's quadratic zone


def tanh_network(w, x):
    """Outputs (P, N) of a network with 3 hidden units on two features, and their Jacobian (P, N, 9)."""
    a, b = w[:, None, :3], w[:, 3:].reshape(-1, 3, 2)
    t = np.tanh(x @ b.swapaxes(-1, -2))
    inner = (a * (1 - t**2))[..., None] * x[:, None, :]
    return (a * t).sum(-1), np.concatenate([t, inner.reshape(*t.shape[:-1], 6)], axis=-1)


def huber_loss(w):
    r = np.abs(tanh_network(w, FEATURES)[0] - LABELS)
    return np.where(r <= WIDTH, 0.5 * r**2, WIDTH * (r - WIDTH / 2)).mean(-1)


def huber_gradient(w):
    values, jacobian = tanh_network(w, FEATURES)
    return np.einsum("pi,pij->pj", np.clip(values - LABELS, -WIDTH, WIDTH), jacobian) / len(LABELS)


def squares(features=FEATURES, labels=LABELS):
    """The squared loss of the same network."""
    predictor = predictors.UserPredictor(
        lambda w, x: _outputs(w, x)[0], lambda w, x, s: s * _outputs(w, x)[1], 2, 1, 9
    )
    return zero_loss.PredictorRegression(predictor, features, labels)


def _outputs(w, x):
    values, jacobian = zip(*(tanh_network(w[p : p + 1], x[p]) for p in range(len(w))))
    return np.concatenate(values)[..., None], np.concatenate(jacobian)


HUBER = zero_loss.UserLoss(huber_loss, huber_gradient, 9, label="Huber")
START = 0.7 * DRAW.standard_normal(9)


@pytest.mark.slow
def test_huber_inside_its_quadratic_zone_is_the_squared_loss():
    """Phi, rank, regime and drift of both, to the error of differences; the start is inside the zone."""
    regression = squares()
    assert np.abs(regression.residual(START)).max() < WIDTH
    point = geometry.limit_map(regression, START)
    np.testing.assert_allclose(geometry.limit_map(HUBER, START), point, rtol=0, atol=1e-9)
    assert geometry.frame(HUBER, point).rank == geometry.frame(regression, point).rank == 2
    for mechanism in (noise.WeightNoise(0.1), noise.DropConnect(0.1), noise.Langevin(0.1)):
        limits = [ManifoldLimit(model, mechanism, 0.05, start=START) for model in (HUBER, regression)]
        assert limits[0].regime == limits[1].regime
        drifts = [limit.drift(0, point) for limit in limits]
        np.testing.assert_allclose(drifts[0], drifts[1], rtol=0, atol=1e-7 * np.abs(drifts[1]).max())
    wrong = ManifoldLimit(HUBER, noise.WeightNoise(0.1), 0.05, start=START).drift(0, point)
    assert np.abs(wrong - drifts[1]).max() > 1e-2 * np.abs(wrong).max()  # another mechanism's drift is told apart


# Cross-entropy of the linear classifier logits = W x, three classes and six weights, on one sample. Its targets are
# smoothed, so that the minimum, their entropy, is attained: where softmax(W x) are the targets, a set of dimension 4.
SAMPLE, TARGETS = np.array([1.2, -0.7]), np.array([0.8, 0.1, 0.1])
ENTROPY = -(TARGETS * np.log(TARGETS)).sum()


def product_logits(w):
    """Logits (P, 3), u_c v_c for classes c, of a network without hidden layer but two factors each."""
    return w[:, :3] * w[:, 3:]


def softmax(z):
    grown = np.exp(z - z.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


def smoothed_loss(w):
    z = product_logits(w)
    return np.log(np.exp(z).sum(-1)) - z @ TARGETS - ENTROPY


def smoothed_gradient(w):
    pull = softmax(product_logits(w)) - TARGETS
    return np.concatenate([pull * w[:, 3:], pull * w[:, :3]], axis=-1)


SMOOTHED = zero_loss.UserLoss(smoothed_loss, smoothed_gradient, 6, label="cross-entropy with label smoothing")
FACTORS = np.array([1.3, 0.4, -0.6, 0.9, 0.8, 0.5])


def half_trace(w):
    """Half the trace of the Hessian on the set, by hand: sum_c p_c (1 - p_c) (u_c^2 + v_c^2) / 2."""
    return 0.5 * (TARGETS * (1 - TARGETS) * (w[:3] ** 2 + w[3:] ** 2)).sum()


def along_the_set(w):
    """Tangent projector at w of {softmax(u v) = targets}: u_c v_c - u_0 v_0 are fixed."""
    u, v = w[:3], w[3:]
    rows = np.array([[-v[0], 0, 0, -u[0], 0, 0]] * 2, float)
    for i in (0, 1):
        rows[i, i + 1], rows[i, i + 4] = v[i + 1], u[i + 1]
    return np.eye(6) - np.linalg.pinv(rows) @ rows


@pytest.mark.slow
def test_cross_entropy_with_label_smoothing_less_its_minimum():
    """Zero set, rank C - 1, regimes, and the drift of weight noise, all against formulas by hand."""
    point = geometry.limit_map(SMOOTHED, FACTORS)
    np.testing.assert_allclose(softmax(point[None, :3] * point[None, 3:])[0], TARGETS, atol=1e-12)
    conserved = FACTORS[:3] ** 2 - FACTORS[3:] ** 2
    np.testing.assert_allclose(point[:3] ** 2 - point[3:] ** 2, conserved, atol=1e-8)
    assert geometry.set_dimension(SMOOTHED, point) == 4
    np.testing.assert_allclose(geometry.tangent_projector(SMOOTHED, point), along_the_set(point), atol=1e-9)
    limit = ManifoldLimit(SMOOTHED, noise.WeightNoise(0.1), 0.05, start=FACTORS)
    assert limit.regime == "non-degenerate"
    # On the set the trace is that of J'(diag p - p p')J, and functions that agree there have one gradient along it.
    weights = np.tile(TARGETS * (1 - TARGETS), 2)
    wanted = -along_the_set(point) @ (weights * point)
    np.testing.assert_allclose(limit.drift(0, point), wanted, atol=1e-7)
    np.testing.assert_allclose(limit.regulariser(point), half_trace(point), rtol=1e-8)
    assert np.abs(limit.drift(0, point) + wanted).max() > 0.1  # a sign is told apart
    assert ManifoldLimit(SMOOTHED, noise.Langevin(0.1), 0.05, start=FACTORS).regime == "degenerate"


def mean_end(model, mechanism, start, step_size, steps, paths):
    """Mean (m,) and standard error of w_k retracted, which is Phi(w_k) to second order in the distance from the set."""
    run = NoisyGradientDescent(model, mechanism, step_size).simulate(
        start, steps, paths, observables=("state",), record=[steps], seed=3
    )
    ends = geometry.retract(model, run["state"].values[:, -1])
    return ends.mean(0), ends.std(0) / np.sqrt(paths)


def agrees(model, mechanism, start, step_size, time, paths, bias):
    """Hold the mean end against the limit, within 4 standard errors and `bias` of what the limit moves by; and that
    twice its time is rejected by the same rule."""
    limit = ManifoldLimit(model, mechanism, step_size, start=start)
    origin = geometry.limit_map(model, start)
    steps = int(round(time * float(limit.clock)))
    right, wrong = limit.solve(start, [steps / float(limit.clock), 2 * steps / float(limit.clock)])["w"].values
    mean, error = mean_end(model, mechanism, start, step_size, steps, paths)
    moved = np.linalg.norm(right - origin)
    allowed = 4 * error + bias * moved
    assert (np.abs(mean - right) <= allowed).all(), (mean - right, allowed, moved)
    assert (np.abs(mean - wrong) > allowed).any() and moved > 4 * np.linalg.norm(error)


@pytest.mark.slow
def test_the_smoothed_classifier_follows_its_limit():
    """Mean end under weight noise at step 0.1 and sigma 0.05, against `ManifoldLimit.solve`."""
    agrees(SMOOTHED, noise.WeightNoise(0.05), FACTORS, 0.1, 1.0, 200, 0.1)


def convolution_outputs(w, x):
    """A convolution of length 3 with two channels over 5 inputs, tanh, mean over places, a linear layer; in NumPy."""
    filters, out = w[:, :6].reshape(-1, 2, 3), w[:, None, 6:8]
    windows = np.stack([x[..., i : i + 3] for i in range(3)], axis=-2)  # (P, N, places, 3)
    t = np.tanh(np.einsum("pnls,pcs->pnlc", windows, filters))
    slopes = np.einsum("pnlc,pnls,pnc->pncs", 1 - t**2, windows, np.broadcast_to(out, (*t.shape[:2], 2))) / 3
    jacobian = np.concatenate([slopes.reshape(*t.shape[:2], 6), t.mean(-2)], axis=-1)
    return (out * t.mean(-2)).sum(-1, keepdims=True), jacobian


SIGNALS, HEIGHTS = DRAW.standard_normal((2, 5)), np.array([0.3, -0.2])
CONVOLUTION = zero_loss.PredictorRegression(
    predictors.UserPredictor(
        lambda w, x: convolution_outputs(w, x)[0], lambda w, x, s: s * convolution_outputs(w, x)[1], 5, 1, 8
    ),
    SIGNALS, HEIGHTS, label="convolutional network",
)  # fmt: skip
FILTERS = 0.8 * DRAW.standard_normal(8)


@pytest.mark.slow
def test_a_convolutional_network_has_the_limit_of_its_squared_loss():
    """Rank N; label noise degenerate with drift -(1/4N) P grad tr H, tr H = mean |grad f_i|^2 differenced on the set;
    input noise non-degenerate."""
    point = geometry.limit_map(CONVOLUTION, FILTERS)
    assert geometry.set_dimension(CONVOLUTION, point) == 6
    limit = ManifoldLimit(CONVOLUTION, noise.LabelNoise(0.1), 0.05, start=FILTERS)
    assert limit.regime == "degenerate"
    assert ManifoldLimit(CONVOLUTION, noise.InputNoise(0.1), 0.05, start=FILTERS).regime == "non-degenerate"

    def squared_gradients(w):
        return (convolution_outputs(w[None], SIGNALS[None])[1] ** 2).sum() / 2

    ends = [[geometry.retract(CONVOLUTION, point + s * 1e-4 * e) for s in (1, -1)] for e in np.eye(8)]
    slope = np.array([squared_gradients(up) - squared_gradients(down) for up, down in ends]) / 2e-4
    # A retraction's derivative is the projector, so the slope is P grad already.
    np.testing.assert_allclose(limit.drift(0, point), -slope / 8 + normal_part(limit, point), atol=1e-6)


def normal_part(limit, point):
    """Part of a drift across the set, which a gradient along it does not have."""
    drift = limit.drift(0, point)
    return drift - geometry.tangent_projector(limit.model, point) @ drift


@pytest.mark.slow
def test_the_convolutional_network_follows_its_limit():
    """Mean end under input noise at step 0.1 and sigma 0.05."""
    agrees(CONVOLUTION, noise.InputNoise(0.05), FILTERS, 0.1, 0.5, 150, 0.1)


@pytest.mark.extras
def test_torch_losses_agree_with_the_numpy_ones():
    """The classifier and the convolution, written in torch: retraction, regime, d2Phi and regulariser of both doors."""
    torch = optional("torch")
    targets, entropy = torch.tensor(TARGETS), float(ENTROPY)

    def classifier(w):
        z = w[:3] * w[3:]
        return torch.logsumexp(z, 0) - (z * targets).sum() - entropy

    def convolution(w, x):
        t = torch.tanh(torch.nn.functional.conv1d(x[None, None, :], w[:6].reshape(2, 1, 3)))
        return (w[6:8] * t[0].mean(-1)).sum()

    pairs = (
        (zero_loss.UserLoss.from_torch(classifier, 6), SMOOTHED, FACTORS, noise.WeightNoise(0.1)),
        (
            zero_loss.PredictorRegression(predictors.TorchPredictor(convolution, 5, 1, 8), SIGNALS, HEIGHTS),
            CONVOLUTION, FILTERS, noise.LabelNoise(0.1),
        ),
    )  # fmt: skip
    for one, other, start, mechanism in pairs:
        point = geometry.limit_map(other, start, tolerance=1e-6)
        near = point + 1e-3 * start
        np.testing.assert_allclose(geometry.retract(one, near), geometry.retract(other, near), atol=1e-10)
        assert mechanism.regime(one, point).name == mechanism.regime(other, point).name
        parts = [geometry.second_derivative(model, point, np.eye(model.dimension)).total for model in (one, other)]
        np.testing.assert_allclose(parts[0], parts[1], atol=1e-7)
        slopes = [mechanism.regulariser_gradient(model, point) for model in (one, other)]
        np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-7)
