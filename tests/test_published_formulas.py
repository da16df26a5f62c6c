"""Formulas of finite step sizes that are exact, against what is found and the fixed point of second moments.

A case gives, at a multiple of its step size, what the package finds, what the recurrence written out in positions
leaves unchanged, and the formula, published or derived (None where there is none but the recurrence).
"""

import numpy as np
import pytest

from sgdlimits import diffusions
from sgdlimits.discrete import SGD, fluctuation, rules
from sgdlimits.problems import LeastSquares, NoisyQuadratic, StreamingLeastSquares
from tests import second_moment_reference as reference

ONE = np.eye(2)
K, C, P = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([[1.0, -0.4], [-0.4, 0.6]]), np.array([[0.9, 0.2], [0.2, 0.6]])
A, U = np.array([1.0, 0.5]), np.array([1.0, -2.0])
DRAWS = np.random.Generator(np.random.Philox(3)).standard_normal((6, 3))
ROWS, LABELS = DRAWS[:, :2], DRAWS[:, 2]
CASES = {}


def case(*names):
    """Keep a function of (step size multiple, *arguments) under names, each with its arguments."""

    def keep(function):
        for name, *arguments in names:
            CASES[name] = lambda part: function(part, *arguments)
        return function

    return keep


def heavy_ball(matrix, hessian, noise, mu):
    """The published equation by its closed form in the eigenbasis of matrix @ hessian, of any matrices."""
    a, w = np.linalg.eig(matrix @ hessian)
    inverse = np.linalg.inv(w)
    i, j = a[:, None], a
    d = ((1 - mu) ** 2 * ((1 + mu) * (i + j) - i * j) + mu * (i - j) ** 2) / (1 - mu**2)
    return w @ (inverse @ matrix @ noise @ matrix.T @ inverse.T / d) @ w.T


def modes(hessian, noise):
    """Eigenvalues, eigenvectors, and the noise between them."""
    k, v = np.linalg.eigh(hessian)
    return k, v, v.T @ noise @ v


@case(("1: any matrix, mu=0", 0.0), ("2: any matrix, mu=0.9", 0.9))
def additive(part, mu):
    sgd = SGD(NoisyQuadratic(K, C), 0.6 * part, momentum=mu, preconditioner=P)
    step = 0.6 * part * P
    return sgd.stationary().covariance, reference.additive(K, C, step, mu)[1][:2, :2], heavy_ball(step, K, C, mu)


@case(("1: commuting, mu=0", 0.0), ("2: commuting, mu=0.5", 0.5))
def commuting(part, mu):
    eta = 1.2 * part
    found = SGD(NoisyQuadratic(K, K @ K), eta, momentum=mu).stationary().covariance
    formula = eta * K @ np.linalg.inv((1 - mu) * (2 * ONE - eta * K / (1 + mu)))
    return found, reference.additive(K, K @ K, eta * ONE, mu)[1][:2, :2], formula


@case(("1: transients",))
def transient(part):
    eta, n, start, spread = 0.7 * part, 7, np.array([1.0, -1.0]), np.array([[0.5, 0.1], [0.1, 0.2]])
    found = SGD(NoisyQuadratic(K, C), eta).moments((start, spread), n, record=[n]).isel(step=-1)
    kept, walked, mean = ONE - eta * K, spread, start
    for _ in range(n):
        walked, mean = kept @ walked @ kept + eta**2 * C, kept @ mean
    law, power = heavy_ball(eta * ONE, K, C, 0.0), np.linalg.matrix_power(kept, n)
    formula = np.column_stack([law - power @ (law - spread) @ power, power @ start])
    return np.column_stack([found.covariance, found["mean"]]), np.column_stack([walked, mean]), formula


@case(("1: autocovariance",))
def lagged(part):
    eta = 0.7 * part
    found = fluctuation.autocovariance(SGD(NoisyQuadratic(K, C), eta), [5]).autocovariance.values[0]
    power = np.linalg.matrix_power(ONE - eta * K, 5)
    return found, power @ reference.additive(K, C, eta * ONE)[1][:2, :2], power @ heavy_ball(eta * ONE, K, C, 0.0)


@case(("1: Ornstein-Uhlenbeck, by its ratio", 0.0), ("2: overdamped, by its ratio", 0.6))
def ornstein(part, mu):
    eta, factor = 0.7 * part, (1 - 0.6) if mu else 1.0
    k, v, c = modes(K, K)
    limit = np.diag(v.T @ diffusions.OrnsteinUhlenbeck(NoisyQuadratic(K, K), eta / factor).stationary().covariance @ v)
    exact = np.diag(v.T @ reference.additive(K, K, eta * ONE, mu)[1][:2, :2] @ v)
    return limit, exact * (1 - eta * k / (2 * (1 + mu))), eta * np.diag(c) / (2 * (1 - mu) * k)


@case(("2: underdamped Langevin",))
def underdamped(part):
    eta, mu = 0.05 * part, 0.6
    k, v, c = modes(K, C)
    found = diffusions.UnderdampedLangevin.of(SGD(NoisyQuadratic(K, C), eta, momentum=mu)).stationary().covariance
    friction, still = (1 - mu) / np.sqrt(eta), np.zeros((2, 2))
    drift = np.block([[still, ONE], [-K, -friction * ONE]])  # of (x, v) in time sqrt(eta)
    operator = np.kron(drift, np.eye(4)) + np.kron(np.eye(4), drift)
    noise = np.block([[still, still], [still, np.sqrt(eta) * C]])
    fixed = -np.linalg.solve(operator, noise.ravel()).reshape(4, 4)[:2, :2]
    gap = (1 - mu) * (k[:, None] + k) + eta * (k[:, None] - k) ** 2 / (2 * (1 - mu))
    return found, fixed, v @ (eta * c / gap) @ v.T


@case(("2: heavy ball's buffer",))
def buffer(part):
    eta, mu = 0.7 * part, 0.6
    state = SGD(NoisyQuadratic(K, K), eta, momentum=mu)._stationary_state()
    fixed = reference.additive(K, K, eta * ONE, mu)[1]
    law = state.out(state.positions)
    formula = np.hstack([2 * K @ law / (eta * (1 + mu)), -K @ law / (1 + mu)])
    found = np.hstack([state.out(state.covariance[1, 1]), state.out(state.covariance[0, 1])])
    return found, np.hstack([fixed[2:, 2:], fixed[:2, 2:]]), formula


@case(("2: Nesterov on a line, as torch holds it",))
def torch_nesterov(part):
    k, c, eta, mu = 0.8, 1.3, 1.1 * part, 0.7
    a = eta * k
    bottom = a * (1 - mu + mu * a) * (2 * (1 + mu) - (1 + 2 * mu) * a)
    found = SGD(NoisyQuadratic([k], [c]), eta, momentum=mu, nesterov=True).stationary().covariance
    fixed = reference.additive(np.array([[k]]), np.array([[c]]), np.array([[eta]]), mu, True)[1][:1, :1]
    return found, fixed, np.array([[eta**2 * c * (1 + mu + mu * (1 + 2 * mu) * a) / bottom]])


@case(("2: Nesterov that does not commute, its other iterate",))
def nesterov(part):
    """theta = x + step_size mu m."""
    eta, mu = 0.9 * part, 0.7
    s = SGD(NoisyQuadratic(K, C), eta, momentum=mu, nesterov=True)._stationary_state()
    push, fixed = eta * mu, reference.additive(K, C, eta * ONE, mu, True)[1]
    x = s.covariance
    found = s.out(x[0, 0] + push * (x[0, 1] + x[1, 0]) + push**2 * x[1, 1])
    cross = fixed[:2, 2:]
    whole = fixed[:2, :2] + push * (cross + cross.T) + push**2 * fixed[2:, 2:]
    k, v, c = modes(K, C)
    q, r = (1 - eta * k)[:, None], 1 - eta * k
    left = ((1 + mu) ** 2 + mu**2) * q * r - mu * (1 + mu) ** 2 * q * r * (q + r - 2 * mu * q * r) / (1 - mu**2 * q * r)
    return found, whole, v @ (eta**2 * c / (1 - left)) @ v.T


@case(("3: Newton with additive noise",))
def newton(part):
    eta, mu = 0.9 * part, 0.6
    found = SGD(NoisyQuadratic(K, C), eta, rule=rules.DampedNewton(momentum=mu)).stationary().covariance
    inverse = np.linalg.inv(K)
    formula = eta / ((1 - mu) * (2 - eta / (1 + mu))) * inverse @ C @ inverse
    return found, reference.additive(K, C, eta * inverse, mu)[1][:2, :2], formula


@case(("3: Newton with noise on labels, mu=0", 0.0), ("3: Newton with noise on labels, mu=0.8", 0.8))
def newton_on_labels(part, mu):
    eta, size, variance = 0.3 * part, 4, 0.49
    sgd = SGD(StreamingLeastSquares(K, 0.7, U), eta, size, rule=rules.DampedNewton(momentum=mu))
    g, inverse = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / size) * eta, np.linalg.inv(K)
    fixed = reference.streaming(K, U, variance, size, eta * inverse, mu)[1][:2, :2]
    return sgd.stationary().covariance, fixed, eta * variance / (g * size - eta * 2) * inverse


@case(("3: natural gradient, 2022", None), ("3: natural gradient, 2021", "2021"), ("3: Adam-type", "adam"))
def closure(part, form):
    """The law under the frozen matrix and the noise that go with it."""
    eta, mu, size = 0.2 * part, 0.5, 3
    rule = rules.Adam((mu, 0.999)) if form == "adam" else rules.NaturalGradient(fisher="centred", momentum=mu)
    found = SGD(StreamingLeastSquares(K, 0.0, U), eta, size, rule=rule).closure(None if form == "adam" else form)
    sums = 1 / (1 + mu) / (3 if form is None else 1) + 1 / ((1 - mu) * size)
    formula = (eta * (1 - mu) / 2 * sums) ** 2 * ONE if form == "adam" else eta / 2 * sums * np.linalg.inv(K)
    return found.covariance, reference.additive(K, found.noise, found.step_matrix, mu)[1][:2, :2], formula


@case(("3: RMSProp on a line",))
def rmsprop(part):
    k, c, size = 2.0, 3.0, 0.3 * part
    found = SGD(NoisyQuadratic([k], [c]), size, rule=rules.RMSProp(0.999, 1e-300)).closure()
    step = (-(size**2) * k + np.sqrt(size**4 * k**2 + 16 * c * size**2)) / (4 * c)
    fixed = reference.additive(np.array([[k]]), np.array([[c]]), found.step_matrix)[1][:1, :1]
    return found.covariance, fixed, np.array([[step * c / (k * (2 - step * k))]])


@case(("4: train loss", 0.0), ("4: train loss with momentum", 0.7))
def train_loss(part, mu):
    eta = 0.8 * part
    found = SGD(NoisyQuadratic(K, C), eta, momentum=mu).stationary().risk
    formula = eta / (2 * (1 - mu)) * np.trace(C @ np.linalg.inv(2 * ONE - eta * K / (1 + mu)))
    return found, np.trace(K @ reference.additive(K, C, eta * ONE, mu)[1][:2, :2]) / 2, formula


@case(("4: weight decay with additive noise, ridge 0.3", 0.3), ("4: the same, ridge -0.2", -0.2))
def decay(part, ridge):
    eta, mu, whole = 0.6 * part, 0.4, K + ridge * ONE
    law = SGD(NoisyQuadratic(K, C, U, ridge), eta, momentum=mu).stationary()
    mean = np.linalg.solve(whole, K @ U)
    fixed = reference.additive(whole, C, eta * ONE, mu)[1][:2, :2]
    formula = heavy_ball(eta * ONE, whole, C, mu)
    pairs = (law.covariance, law.mean), (fixed, mean), (formula, mean)
    return tuple(np.column_stack(pair) for pair in pairs)


@case(("4: test loss and covariance under weight decay, ridge 0.3", 0.3), ("4: the same on a stream, ridge -0.1", -0.1))
def decay_of_stream(part, ridge):
    """Theorem 4; and the covariance in the form that holds where the truth does not commute (flag F1)."""
    eta, size, k = 0.4 * part, 3, A + ridge
    law = SGD(StreamingLeastSquares(A, 0.0, U, ridge), eta, size).stationary()
    mean, fixed = reference.streaming(np.diag(A), U, 0.0, size, eta * ONE, ridge=ridge)
    loss = (A * ((mean - U) ** 2 + np.diag(fixed)[:2])).sum() / 2
    g = 2 - eta * (k + A**2 / k / size)
    bottom = 1 - eta / size * (A**2 / k / g).sum()
    kappa, r = (A**2 / k / g).sum() / bottom, (A**3 / k**3 * ridge**2 / g * U**2).sum() / bottom
    tau = (A * ridge**2 / k**2 * U**2).sum()
    test = eta / (2 * size) * (tau * kappa + r) + tau / 2
    v = np.outer(ridge / k * A * U, ridge / k * A * U)
    gap = k[:, None] + k - eta * k[:, None] * k - eta / size * A[:, None] * A
    formula = eta / size * (v + np.diag(2 * test * A)) / gap
    pairs = (law.covariance, law.risk), (fixed[:2, :2], loss), (formula, test)
    return tuple(np.append(*pair) for pair in pairs)


@case(("5: a stream, mu=0", 0.0), ("5: a stream, mu=0.9", 0.9))
def stream(part, mu):
    """Theorem 2, and the noise of theorem 3."""
    eta, size, variance = 0.05 * part, 2, 0.49
    sgd = SGD(StreamingLeastSquares(A, 0.7, U), eta, size, momentum=mu)
    fixed = reference.streaming(np.diag(A), U, variance, size, eta * ONE, mu)[1][:2, :2]
    g = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / size) * eta * A
    total = (eta * A / g).sum()
    level = 1 + total / (1 - total / size) / size
    noise = variance / size * A + variance / size**2 * level * (eta * A / g + total) * A
    seen = (A * fixed * A[:, None] + ((A * np.diag(fixed)).sum() + variance) * np.diag(A)) / size
    found = sgd.stationary().covariance, sgd._stationary_state().noise
    formula = np.diag(variance / size * level * eta / g), np.diag(noise)
    return tuple(np.vstack(pair) for pair in (found, (fixed, seen), formula))


@case(("5: the stochastic equation with the exact noise",))
def stochastic_equation(part):
    """Dropping what is of the step alone from G."""
    eta, variance = 0.2 * part, 0.49
    found = diffusions.ModifiedEquation.of(SGD(StreamingLeastSquares(A, 0.7, U), eta)).stationary().covariance
    drift = np.kron(np.diag(A), ONE) + np.kron(ONE, np.diag(A))
    seen = eta * (np.kron(np.diag(A), np.diag(A)) + np.outer(np.diag(A).ravel(), np.diag(A).ravel()))
    fixed = np.linalg.solve(drift - seen, eta * variance * np.diag(A).ravel()).reshape(2, 2)
    g = 2 - eta * A
    total = (eta * A / g).sum()
    return found, fixed, np.diag(variance * (1 + total / (1 - total)) * eta / g)


@case(("5: a stream under any matrix", 0.0, 0.0), ("5: the same with momentum and ridge", 0.5, 0.2))
def stream_under_matrix(part, mu, ridge):
    eta = 0.1 * part
    sgd = SGD(StreamingLeastSquares(K, 0.7, U, ridge), eta, 2, momentum=mu, preconditioner=P)
    mean, fixed = reference.streaming(K, U, 0.49, 2, eta * P, mu, ridge=ridge)
    about = fixed[:2, :2] + np.outer(mean - U, mean - U)
    noise = (K @ about @ K + (np.trace(K @ about) + 0.49) * K) / 2
    return sgd.stationary().covariance, fixed[:2, :2], heavy_ball(eta * P, K + ridge * ONE, noise, mu)


@case(
    ("5: rows, with replacement", 1, "with_replacement", 0.0, False, 0.0, 0.0),
    ("5: rows, two of them, momentum, noise on labels", 2, "with_replacement", 0.6, False, 0.0, 0.4),
    ("5: rows, without replacement, ridge 0.2", 2, "without_replacement", 0.6, False, 0.2, 0.0),
    ("5: rows, without replacement, Nesterov, ridge -0.05", 3, "without_replacement", 0.6, True, -0.05, 0.3),
)
def rows(part, size, sampling, mu, is_nesterov, ridge, label_noise):
    eta, n = 0.1 * part, len(ROWS)
    problem = LeastSquares.from_arrays(ROWS, LABELS, ridge)
    sgd = SGD(problem, eta, size, sampling, mu, label_noise, is_nesterov)
    replaced = sampling == "with_replacement"
    mean, fixed = reference.listed(ROWS, LABELS, size, replaced, eta * ONE, mu, is_nesterov, ridge, label_noise**2)
    spread, residuals = fixed[:2, :2], ROWS @ mean - LABELS
    squares = residuals**2 + np.einsum("ni,ij,nj->n", ROWS, spread, ROWS)
    hessian, slope = ROWS.T @ ROWS / n, ROWS.T @ residuals / n
    noise = (ROWS * squares[:, None]).T @ ROWS / n - hessian @ spread @ hessian - np.outer(slope, slope)
    noise = noise * (1 / size if replaced else (n - size) / (size * (n - 1))) + label_noise**2 / size * hessian
    formula = None if is_nesterov else heavy_ball(eta * ONE, hessian + ridge * ONE, noise, mu)
    return sgd.stationary().covariance, spread, formula


@case(("5: noise on inputs",))
def noisy_inputs(part):
    eta, mu, size, added = 0.1 * part, 0.4, 3, np.array([0.3, 0.1])
    whole = A + added
    law = SGD(StreamingLeastSquares(A, 0.7, U).with_input_noise(added), eta, size, momentum=mu).stationary()
    centre, variance = A * U / whole, 0.49 + (U**2 * A * added / whole).sum()
    mean, fixed = reference.streaming(np.diag(whole), centre, variance, size, eta * ONE, mu)
    g = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / size) * eta * whole
    total = (eta * whole / g).sum()
    formula = np.diag(variance / size * (1 + total / (1 - total / size) / size) * eta / g)
    pairs = (law.covariance, law.mean), (fixed[:2, :2], mean), (formula, centre)
    return tuple(np.column_stack(pair) for pair in pairs)


@case(("7: fluctuation and dissipation, mu=0", 0.0), ("7: fluctuation and dissipation, mu=0.6", 0.6))
def dissipation(part, mu):
    eta = 0.1 * part
    problem = LeastSquares.from_arrays(ROWS, LABELS)
    both = fluctuation.dissipation(SGD(problem, eta, 2, "without_replacement", mu))
    _, fixed = reference.listed(ROWS, LABELS, 2, False, eta * ONE, mu)
    lost = np.trace(ROWS.T @ ROWS / len(ROWS) @ fixed[:2, :2])
    return both.dissipated, lost, eta * (1 + mu) / 2 * np.trace(fixed[2:, 2:])


@case(("7: the preconditioner of a posterior, mu=0", 0.0), ("7: the same, mu=0.8", 0.8))
def posterior(part, mu):
    n, sgd = 50 * part, SGD(NoisyQuadratic(K, C), 0.1, momentum=mu)
    matrix = fluctuation.posterior(sgd, n).exact_preconditioner
    formula = 2 * (1 - mu) * np.linalg.inv(n * C + (1 - mu) / (1 + mu) * K)
    law = SGD(NoisyQuadratic(K, C), 1.0, momentum=mu, preconditioner=matrix).stationary().covariance
    fixed = reference.additive(K, C, formula, mu)[1][:2, :2]
    return np.vstack([law, matrix]), np.vstack([fixed, formula]), np.vstack([np.linalg.inv(n * K), formula])


def apart(one, other):
    """Largest difference, beside the largest number."""
    return np.abs(np.asarray(one) - other).max() / np.abs(other).max()


@pytest.mark.parametrize("name", CASES)
def test_law_fixed_point_and_formula_are_one(name):
    """Assert all three to 1e-10 of the largest entry, and that the law of another step size is told from them."""
    found, fixed, formula = CASES[name](1.0)
    assert apart(found, fixed) < 1e-10
    if formula is not None:
        assert apart(formula, fixed) < 1e-10
    assert apart(CASES[name](1.01)[0], fixed) > 1e-4
