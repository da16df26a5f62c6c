"""Models that the tests of the zero-loss set share, each with a start."""

import numpy as np
from numba import njit

from sgdlimits.problems import predictors, zero_loss

DRAW = np.random.Generator(np.random.Philox(5))
FEATURES, LABELS = DRAW.standard_normal((3, 2)), 0.5 * DRAW.standard_normal(3)
WIDE, FEW = DRAW.standard_normal((2, 4)), DRAW.standard_normal(2)


def network_layers(w, x):
    """Weights, hidden values and their multipliers of a tanh network of width 2 on two features, in NumPy."""
    a, b = w[:, None, :2], w[:, 2:].reshape(-1, 2, 2)
    return a, np.tanh(x[..., :2] @ b.swapaxes(-1, -2)), x[..., 2:]


def network_value(w, x):
    """Its output; inputs beyond the second are multipliers of the units."""
    a, t, keep = network_layers(w, x)
    return (keep * a * t).sum(-1, keepdims=True)


def network_pullback(w, x, slopes):
    """Gradient of the output times a slope."""
    a, t, keep = network_layers(w, x)
    inner = (keep * a * (1 - t**2))[..., None] * x[..., None, :2]
    return slopes * np.concatenate([keep * t, inner.reshape(*t.shape[:-1], 4)], axis=-1)


@njit
def network_output(w, x, work, out):
    """The same for one sample in numba; hidden values are kept for the slope."""
    for j in range(2):
        work[j] = np.tanh(w[2 + 2 * j] * x[0] + w[3 + 2 * j] * x[1])
        out[0] += w[j] * work[j] * x[2 + j]


@njit
def network_slope(w, x, slope, work, out):
    """Its gradient."""
    for j in range(2):
        keep = slope[0] * x[2 + j]
        out[j] = keep * work[j]
        out[2 + 2 * j] = keep * w[j] * (1 - work[j] ** 2) * x[0]
        out[3 + 2 * j] = keep * w[j] * (1 - work[j] ** 2) * x[1]


@njit
def coupled_loss(w, eta):
    """A loss whose own noise is not constant off the set."""
    r = w[0] * w[1] - 1
    return 0.5 * (r - eta[0]) ** 2 + eta[0] ** 2 * r * (w[0] ** 2 - w[1] ** 2) + 0.1 * eta[1] ** 4 * w[0] ** 3


@njit
def coupled_gradient(w, eta, out):
    """Its gradient in w."""
    x, y = w[0], w[1]
    r, c = x * y - 1, x * x - y * y
    pull = r - eta[0] + eta[0] ** 2 * c
    out[0] = pull * y + eta[0] ** 2 * r * 2 * x + 0.3 * eta[1] ** 4 * x**2
    out[1] = pull * x - eta[0] ** 2 * r * 2 * y


def coupled_loss_numpy(w, eta):
    """The same loss, vectorised."""
    return np.vectorize(lambda *z: coupled_loss.py_func(z[:2], z[2:]))(*np.moveaxis(w, -1, 0), *np.moveaxis(eta, -1, 0))


def coupled_gradient_numpy(w, eta):
    """Its gradient, vectorised."""
    x, y, p, q = w[..., 0], w[..., 1], eta[..., 0], eta[..., 1]
    r, c = x * y - 1, x**2 - y**2
    pull = r - p + p**2 * c
    return np.stack([pull * y + p**2 * r * 2 * x + 0.3 * q**4 * x**2, pull * x - p**2 * r * 2 * y], axis=-1)


def regressions():
    """Regressions by name, without torch."""
    found = {
        "hyperbola": zero_loss.Hyperbola(),
        "product sum": zero_loss.ProductSum(3),
        "quadratic difference": zero_loss.QuadraticDifference(),
        "diagonal network": zero_loss.DiagonalLinearNetwork(WIDE, FEW),
        "matrix factorisation": zero_loss.MatrixFactorisation(DRAW.standard_normal((2, 3)), 3),
        "linear regression": zero_loss.LinearRegression(WIDE, FEW),
        "two layers": zero_loss.PredictorRegression(predictors.TwoLayer(2, 2), FEATURES, LABELS),
        "linear predictor": zero_loss.PredictorRegression(predictors.Linear(4), WIDE, FEW),
        "user's network": zero_loss.PredictorRegression(
            predictors.UserPredictor(network_value, network_pullback, 4, 1, 6), FEATURES, LABELS, 2
        ),
        "numba network": zero_loss.PredictorRegression(
            predictors.UserPredictor(network_output, network_slope, 4, 1, 6, compiled=True, work_size=2),
            FEATURES, LABELS, 2,
        ),  # fmt: skip
    }
    for activation in ("tanh", "sigmoid", "softplus", "silu", "sine", "erf", "gelu"):
        found[activation] = zero_loss.ShallowNetwork(FEATURES, LABELS, 4, activation)
    return found


REGRESSIONS = regressions()
BY_DIFFERENCES = ("two layers", "user's network", "numba network")
BUILT_IN = {name: model for name, model in REGRESSIONS.items() if name not in BY_DIFFERENCES}
LOSSES = {
    "user's loss": zero_loss.UserLoss(coupled_loss_numpy, coupled_gradient_numpy, 2, 2),
    "numba loss": zero_loss.UserLoss(coupled_loss, coupled_gradient, 2, 2, compiled=True),
}
MODELS = REGRESSIONS | LOSSES


def point(model, seed=0, paths=None):
    """A generic place off the set."""
    draw = np.random.Generator(np.random.Philox(seed))
    w = draw.standard_normal(model.dimension if paths is None else (paths, model.dimension))
    return np.sign(w) * (0.3 + np.abs(w) / 2) if model.dimension > 2 else 0.6 + np.abs(w)
