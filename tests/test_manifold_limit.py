"""Limits on the zero-loss set: closed forms, regimes, mixtures, corrections, a finite step, and bad input."""

from types import SimpleNamespace

import numpy as np
import pytest

from sgdlimits.diffusions.manifold.checks import LargeNoise, NeglectedDrift
from sgdlimits.diffusions.manifold_limit import ManifoldLimit
from sgdlimits.exact.errors import InvalidInput, Unstable
from sgdlimits.problems import geometry, noise, zero_loss
from tests.parameters import slowly
from tests.noisy_loss import NoisyLoss

TIMES = np.array([0.0, 0.1, 0.35, 1.0])
HYPERBOLA = zero_loss.Hyperbola()
W0 = np.array([2.0, 0.5])
C0 = 3.75
DRAW = np.random.default_rng(7)
FEATURES, BETA = DRAW.standard_normal((3, 5)), np.array([1.0, -0.5, 0.0, 0.3, 0.0])
DIAGONAL = zero_loss.DiagonalLinearNetwork(FEATURES, FEATURES @ BETA)
DIAGONAL_W0 = DRAW.uniform(0.3, 1.2, 10)
NETWORK = zero_loss.ShallowNetwork(FEATURES[:, :2], DRAW.standard_normal(3), 4)
TARGET = np.array([[1.0, 0.4], [-0.3, 0.8]])


def conserved(w):
    return w[..., 0] ** 2 - w[..., 1] ** 2


def solved(model, mechanism, w0, step_size=0.01, times=TIMES, **options):
    return ManifoldLimit(model, mechanism, step_size, start=w0, **options).solve(w0, times).w.values


@pytest.mark.parametrize(
    ("mechanism", "rate"),
    [
        (noise.LabelNoise(0.3), 1),
        (noise.WeightNoise(0.01), 2),
        (noise.AntiCorrelated(0.01), 2),
        (noise.Dropout(0.01), 1),
        (noise.DropConnect(0.01), 2),
    ],
)
def test_hyperbola_decays_as_its_closed_form(mechanism, rate):
    """Assert x^2 - y^2 = 3.75 exp(-rate t) to 1e-8 on the set, started off it.

    Of label noise this is formula manifold-degenerate.
    """
    w = solved(HYPERBOLA, mechanism, np.array([2.2, 0.9]))
    start = 2.2**2 - 0.9**2
    assert np.abs(conserved(w) - start * np.exp(-rate * TIMES)).max() < 1e-8
    assert np.abs(w.prod(axis=1) - 1).max() < 1e-12


@pytest.mark.parametrize(("mechanism", "rate"), [(noise.Dropout(0.01), 1), (noise.DropConnect(0.01), 2)])
def test_product_sum_shares_as_its_closed_form(mechanism, rate):
    """Assert y^2 / (1 - y^2) = K exp(-2 t) for two balanced products under Dropout, twice as fast under
    DropConnect."""
    root = np.sqrt([0.9, 0.1])
    w = solved(zero_loss.ProductSum(2), mechanism, np.concatenate([root, root]))
    y = w[:, 0] * w[:, 2] - w[:, 1] * w[:, 3]
    expected = 0.64 / 0.36 * np.exp(-2 * rate * TIMES)
    assert np.abs(y - np.sqrt(expected / (1 + expected))).max() < 1e-8


@pytest.mark.parametrize(("law", "rate"), [("gaussian", 8), ("bernoulli", 2)])
def test_quadratic_difference_decays_as_its_closed_form(law, rate):
    """Assert uv = 1 / (2 sinh(rate t + asinh(1 / 2 uv_0))): DropConnect depends on the law, four times slower
    here."""
    times = np.array([0.0, 0.02, 0.05, 0.2])
    u = np.sqrt((1 + np.sqrt(5)) / 2)
    w = solved(
        zero_loss.QuadraticDifference(), noise.DropConnect(0.01, law), np.array([u, 1 / u]), times=times
    )
    assert np.abs(w.prod(axis=1) - 0.5 / np.sinh(rate * times + np.arcsinh(0.5))).max() < 1e-8


@pytest.mark.parametrize("batch", [None, 1, 2])
def test_diagonal_network_decays_as_its_closed_form(batch):
    """Assert, under label noise, u_j v_j decays at 4 / (N B) sum_i z_ij^2 while log(u_j / v_j) moves in the
    rows' span."""
    mechanism = noise.LabelNoise(0.2)
    if batch:
        mechanism = noise.Minibatch(batch) + mechanism
    w = solved(DIAGONAL, mechanism, DIAGONAL_W0)
    u, v = w[:, :5], w[:, 5:]
    start_u, start_v = DIAGONAL_W0[:5], DIAGONAL_W0[5:]
    kappa = 4 / (3 * (batch or 3)) * (FEATURES**2).sum(axis=0)
    assert np.abs(u * v - start_u * start_v * np.exp(-kappa * TIMES[:, None])).max() < 1e-8
    assert np.abs(DIAGONAL.residual(w)).max() < 1e-12
    moved = np.log(u / v) - np.log(start_u / start_v)
    outside = moved - moved @ np.linalg.pinv(FEATURES) @ FEATURES
    assert np.abs(outside).max() < 1e-8


def test_matrix_factorisation_decays_as_its_closed_form():
    """Assert U'U - V'V = C_0 exp(-p t) under noise on every entry of a (p, p) matrix."""
    model = zero_loss.MatrixFactorisation(TARGET)
    w0 = np.random.default_rng(1).standard_normal(8)
    w = solved(model, noise.LabelNoise(0.2), w0)
    u, v = w[:, :4].reshape(-1, 2, 2), w[:, 4:].reshape(-1, 2, 2)
    gap = u.swapaxes(1, 2) @ u - v.swapaxes(1, 2) @ v
    first = w0[:4].reshape(2, 2), w0[4:].reshape(2, 2)
    start = first[0].T @ first[0] - first[1].T @ first[1]
    assert np.abs(gap - start * np.exp(-2 * TIMES)[:, None, None]).max() < 1e-8


def test_twice_the_label_noise_drift_fails():
    """Assert that the closed form with a factor 2 in the drift is far from the limit: the check has teeth."""
    w = solved(HYPERBOLA, noise.LabelNoise(0.3), W0)
    assert np.abs(conserved(w)[1:] - C0 * np.exp(-2 * TIMES[1:])).min() > 0.1


def test_the_recurrence_approaches_the_limit_of_label_noise_at_order_one():
    """Assert relative errors -1.57 step_size within 4 standard errors and 3 step_size^2, on the recurrence
    itself."""
    draw, sigma = np.random.default_rng(11), 0.5
    for step_size in (0.05, 0.025):
        limit = ManifoldLimit(HYPERBOLA, noise.LabelNoise(sigma), step_size)
        w = np.tile(W0, (2000, 1))
        steps = round(limit.clock)
        for _ in range(steps):
            residual = w[:, 0] * w[:, 1] - 1 - sigma * draw.standard_normal(len(w))
            w = w - step_size * residual[:, None] * w[:, ::-1]
        exact = conserved(limit.solve(W0, [steps / limit.clock]).w.values[0])
        error = conserved(w) / exact - 1
        spread = error.std() / np.sqrt(len(w))
        assert abs(error.mean() + 1.57 * step_size) < 4 * spread + 3 * step_size**2
        assert abs(conserved(w).mean() / (C0 * np.exp(-2)) - 1) > 1


def test_mixtures_add_their_terms_in_the_leading_clock():
    """Assert that c decays at the sum of both mechanisms' rates a step, and that the faster term gives the
    clock."""
    alpha, weight, label = 0.05, 0.02, 0.1
    limit = ManifoldLimit(HYPERBOLA, noise.LabelNoise(label) + noise.WeightNoise(weight), alpha)
    assert [(term.step_size_order, term.sigma_order) for term in limit.terms] == [(2, 2), (1, 2)]
    per_step = 2 * alpha * weight**2 + alpha**2 * label**2
    found = conserved(limit.solve(W0, TIMES).w.values)
    assert np.abs(found - C0 * np.exp(-per_step * limit.clock * TIMES)).max() < 1e-8
    # Label noise leads where sigma_label^2 step_size is the larger.
    assert limit.regime == "degenerate" and limit.clock == pytest.approx(1 / (alpha**2 * label**2))
    swapped = ManifoldLimit(HYPERBOLA, noise.LabelNoise(label) + noise.WeightNoise(0.1), alpha)
    assert swapped.regime == "non-degenerate" and swapped.clock == pytest.approx(1 / (alpha * 0.1**2))
    assert "LabelNoise is degenerate" in swapped.explanation


def test_langevin_has_the_generator_of_its_closed_form():
    """Assert, to rounding, that c has drift (S_11 - S_22) and that d<c> = 4 (c^2 + 4)^(1/2) dt under
    isotropic noise."""
    x = np.array([0.4, 1.0, 2.0, -1.3])
    w = np.stack([x, 1 / x], axis=-1)
    gradient = 2 * w * [1, -1]
    for covariance in (np.eye(2), np.array([[2.0, 0.3], [0.3, 0.5]])):
        limit = ManifoldLimit(HYPERBOLA, noise.Langevin(0.2, covariance), 0.04)
        root = limit.diffusion(0.0, w)
        spread = root @ root.swapaxes(1, 2)
        mean = (limit.drift(0.0, w) * gradient).sum(-1) + spread[:, 0, 0] - spread[:, 1, 1]
        assert np.abs(mean - (covariance[0, 0] - covariance[1, 1])).max() < 1e-11
        if covariance[0, 1] == 0:
            speed = np.einsum("pi,pij,pj->p", gradient, spread, gradient)
            assert np.abs(speed / (4 * np.sqrt(conserved(w) ** 2 + 4)) - 1).max() < 1e-12


def test_additive_covariance_drifts_as_its_closed_form():
    """Assert E c = c_0 + (S_11 - S_22) t within 4 standard errors, and not c_0."""
    covariance = np.array([[2.0, 0.3], [0.3, 0.5]])
    limit = ManifoldLimit(HYPERBOLA, noise.Langevin(0.2, covariance), 0.04)
    steps = round(0.5 * limit.clock)
    c = limit.simulate(W0, steps, 3000, {"c": conserved}, record=[steps], seed=2).c.values[:, 0]
    error = 4 * c.std() / np.sqrt(len(c))
    assert abs(c.mean() - C0 - 1.5 * steps / limit.clock) < error < abs(c.mean() - C0)


REGIMES = [
    (HYPERBOLA, noise.Minibatch(1), "trivial"),
    (HYPERBOLA, noise.LabelNoise(0.1), "degenerate"),
    (HYPERBOLA, noise.Dropout(0.1), "degenerate"),
    (HYPERBOLA, noise.DropConnect(0.1), "degenerate"),
    (HYPERBOLA, noise.Dropout(0.1, "bernoulli"), "trivial"),
    (HYPERBOLA, noise.DropConnect(0.1, "bernoulli"), "trivial"),
    (HYPERBOLA, noise.WeightNoise(0.1), "non-degenerate"),
    (HYPERBOLA, noise.AntiCorrelated(0.1), "non-degenerate"),
    (HYPERBOLA, noise.Langevin(0.1), "degenerate"),
    (HYPERBOLA, noise.WeightNoise(0.0), "trivial"),
    (zero_loss.ProductSum(1), noise.Dropout(0.1), "degenerate"),
    (zero_loss.ProductSum(3), noise.Dropout(0.1), "non-degenerate"),
    (zero_loss.ProductSum(3), noise.Dropout(0.1, "bernoulli"), "non-degenerate"),
    (zero_loss.ProductSum(3), noise.DropConnect(0.1), "non-degenerate"),
    (zero_loss.ProductSum(3), noise.LabelNoise(0.1), "degenerate"),
    (zero_loss.QuadraticDifference(), noise.DropConnect(0.1, "bernoulli"), "non-degenerate"),
    (zero_loss.QuadraticDifference(), noise.WeightNoise(0.1), "non-degenerate"),
    (DIAGONAL, noise.Minibatch(2, "without_replacement"), "trivial"),
    (DIAGONAL, noise.Minibatch(2) + noise.LabelNoise(0.1), "degenerate"),
    (DIAGONAL, noise.DropConnect(0.1), "non-degenerate"),
    (DIAGONAL, noise.Dropout(0.1), "non-degenerate"),
    (DIAGONAL, noise.InputNoise(0.1), "non-degenerate"),
    (zero_loss.MatrixFactorisation(TARGET), noise.LabelNoise(0.1), "degenerate"),
    (zero_loss.MatrixFactorisation(TARGET), noise.DropConnect(0.1), "non-degenerate"),
    (NETWORK, noise.Minibatch(1), "trivial"),
    (NETWORK, noise.LabelNoise(0.1), "degenerate"),
    (NETWORK, noise.Langevin(0.1), "degenerate"),
    (NETWORK, noise.Dropout(0.1), "non-degenerate"),
    (NETWORK, noise.Dropout(0.1, "bernoulli", "per_sample"), "non-degenerate"),
    (NETWORK, noise.DropConnect(0.1), "non-degenerate"),
    (NETWORK, noise.DropConnect(0.1, "bernoulli"), "non-degenerate"),
    (NETWORK, noise.InputNoise(0.1), "non-degenerate"),
    (NETWORK, noise.WeightNoise(0.1), "non-degenerate"),
]


def is_long(case):
    """A factorisation, whose decay another quick test has; a network's motion of zero, which smaller models have."""
    model, _, regime = case
    return isinstance(model, zero_loss.MatrixFactorisation) or model is NETWORK and regime == "trivial"


@pytest.mark.parametrize(("model", "mechanism", "regime"), slowly(REGIMES, is_long))
def test_regimes_and_clocks(model, mechanism, regime):
    """Assert the regime, its clock, a sentence, and that a trivial limit stays where it starts."""
    limit = ManifoldLimit(model, mechanism, 0.1)
    assert limit.regime == regime
    assert len(limit.terms) == len(mechanism.components) and limit.explanation.startswith(regime)
    if regime == "trivial":
        w = limit.solve(limit._probes[0], [0.0, 5.0]).w.values
        assert np.abs(w[1] - w[0]).max() < 1e-12
    else:
        assert limit.clock == pytest.approx({"non-degenerate": 1e3, "degenerate": 1e4}[regime])
        assert np.abs(limit.drift(0.0, limit._probes)).max() > 1e-3


@pytest.mark.parametrize(
    "mechanism",
    [
        noise.WeightNoise(0.01),
        noise.LabelNoise(0.1),
        noise.Langevin(0.1),
        noise.Minibatch(2) + noise.LabelNoise(0.1),
    ],
)
def test_regulariser_is_the_potential_of_the_tangential_drift(mechanism):
    """Assert that along a curve on the set R changes by minus the drift's work, to the difference's accuracy.

    That is formula manifold-regulariser.
    """
    limit = ManifoldLimit(NETWORK, mechanism, 0.1)
    base = limit._probes[0]
    along = geometry.tangent_projector(NETWORK, base) @ np.ones(NETWORK.dimension)
    h = 1e-3
    ends = [limit.regulariser(geometry.retract(NETWORK, base + k * h * along)) for k in (-2, -1, 1, 2)]
    change = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h)
    assert change == pytest.approx(-limit.drift(0.0, base) @ along, rel=1e-6)


def test_finite_step_gives_the_closed_forms_of_the_hyperbola():
    """Assert dc/dt = -rate c / (1 - step_size (c^2 + 4)^(1/2) / 2) under label and weight noise (derived)."""
    from scipy.integrate import solve_ivp

    for mechanism, rate in ((noise.LabelNoise(0.1), 1), (noise.WeightNoise(0.01), 2)):
        found = conserved(solved(HYPERBOLA, mechanism, W0, 0.2, finite_step=True))
        exact = solve_ivp(
            lambda _, c, rate=rate: -rate * c / (1 - 0.1 * np.sqrt(c**2 + 4)), (0, 1), [C0], "DOP853", TIMES,
            rtol=1e-12, atol=1e-12,
        )  # fmt: skip
        assert np.abs(found - exact.y[0]).max() < 1e-8
    with pytest.raises(Unstable, match="lower the step size") as caught:
        ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), 0.5, finite_step=True).drift(0.0, W0)
    assert 0 < caught.value.threshold < 0.5
    with pytest.raises(InvalidInput, match="finite_step=False"):
        ManifoldLimit(HYPERBOLA, noise.Langevin(0.1), 0.1, finite_step=True).terms


def test_finite_step_removes_the_error_in_the_step_size():
    """Assert, against the recurrence at step size 0.2, an error of 5 % and more without it and within 4
    errors with it."""
    draw, sigma, step_size, steps = np.random.default_rng(3), 0.03, 0.2, 6000
    w = np.tile(W0, (200, 1))
    for _ in range(steps):
        residual = w[:, 0] * w[:, 1] - 1 - sigma * draw.standard_normal(len(w))
        w = w - step_size * residual[:, None] * w[:, ::-1]
    c = conserved(w)
    plain, finite = (
        ManifoldLimit(HYPERBOLA, noise.LabelNoise(sigma), step_size, finite_step=option)
        for option in (False, True)
    )
    off = [
        c.mean() / conserved(limit.solve(W0, [steps / limit.clock]).w.values[0]) - 1
        for limit in (plain, finite)
    ]
    assert off[0] < -0.05
    assert abs(off[1]) < 4 * c.std() / np.sqrt(len(c)) / c.mean() + sigma**2


def bent_hyperbola():
    """L_hat = (xy - 1 - eta)^2 / 2 + eta^2 (xy - 1) (x^2 - y^2): Reg = 1/2 + (xy - 1)(x^2 - y^2)."""
    return NoisyLoss(
        loss=lambda x, y: 0.5 * (x * y - 1) ** 2,
        gradient=lambda x, y: ((x * y - 1) * y, (x * y - 1) * x),
        hessian=lambda x, y: (y**2, 2 * x * y - 1, x**2),
        third=lambda x, y: (0, 2 * y, 2 * x, 0),
        regulariser=lambda x, y: 0.5 + (x * y - 1) * (x**2 - y**2),
        regulariser_gradient=lambda x, y: (
            y * (x**2 - y**2) + 2 * x * (x * y - 1), x * (x**2 - y**2) - 2 * y * (x * y - 1)
        ),
        noise_column=lambda x, y: (-y, -x),
    )  # fmt: skip


def test_correction_adds_the_drift_of_a_loss_that_is_not_quadratic_in_its_noise():
    """Assert dc/dt = -c + 4 kappa c (c^2 + 4)^(1/2) with sigma^2 = kappa step_size, and a warning without
    it."""
    from scipy.integrate import solve_ivp

    kappa, step_size = 0.06, 0.01
    mechanism = noise.LossNoise(np.sqrt(kappa * step_size))
    model = bent_hyperbola()
    found = conserved(solved(model, mechanism, W0, step_size, correction=True))
    exact = solve_ivp(
        lambda _, c: -c + 4 * kappa * c * np.sqrt(c**2 + 4),
        (0, 1),
        [C0],
        "DOP853",
        TIMES,
        rtol=1e-12,
        atol=1e-12,
    )
    assert np.abs(found - exact.y[0]).max() < 1e-8
    with pytest.warns(NeglectedDrift, match="LossNoise needs sigma.2 = o.step_size.*correction=True"):
        naive = solved(model, mechanism, W0, step_size)
    assert np.abs(conserved(naive) - C0 * np.exp(-TIMES)).max() < 1e-8


def test_of_takes_model_noise_and_step_size_from_a_recurrence():
    """Assert the limit of anything with the three attributes, and a sentence for anything without."""
    recurrence = SimpleNamespace(model=HYPERBOLA, noise=noise.LabelNoise(0.1), step_size=0.02)
    limit = ManifoldLimit.of(recurrence, finite_step=True)
    assert (limit.model, limit.step_size, limit.finite_step) == (HYPERBOLA, 0.02, True)
    with pytest.raises(InvalidInput, match="no model nor noise"):
        ManifoldLimit.of(SimpleNamespace(step_size=0.1))


def test_solve_labels_its_result():
    """Assert dimensions, the SGD step of each time, and attributes that say what was solved."""
    limit = ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), 0.1)
    data = limit.solve(W0, [0.0, 0.5])
    assert data.w.dims == ("time", "coordinate")
    assert data.step.values == pytest.approx([0, 5000])
    assert data.attrs["regime"] == "degenerate" and "step_size^2 sigma^2" in repr(limit.clock)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ManifoldLimit(HYPERBOLA, "label", 0.1), "noise must be a mechanism"),
        (lambda: ManifoldLimit("model", noise.LabelNoise(0.1), 0.1), "model must be one of"),
        (lambda: ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), -1), "step_size must be above zero"),
        (lambda: ManifoldLimit(HYPERBOLA, noise.InputNoise(0.1), 0.1), "."),
        (lambda: ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), 0.1, start=[1.0]), "start must have shape"),
        (lambda: label().solve(W0, [1.0, 0.5]), "times must increase"),
        (lambda: label().solve(W0, [1.0], solver="adaptve"), "did you mean 'adaptive'"),
        (lambda: label().solve(W0, [1.0], dt=0.1), "leave dt out"),
        (lambda: label().solve([1.0, -1.0], [1.0]), "."),
        (lambda: label().simulate(W0, 10, 2, dt=0.1, substeps=1), "pass one of them"),
        (lambda: label().drift(0.0, [1.0, 1.0, 1.0]), "w must have 2 numbers in its last axis"),
        (
            lambda: ManifoldLimit(HYPERBOLA, noise.Langevin(0.1), 0.1).solve(W0, [1.0]),
            "stochastic .*use simulate",
        ),
    ],
)
def test_bad_input_is_answered_in_a_sentence(call, sentence):
    """Assert InvalidInput that says what was got and what to do."""
    with pytest.raises(InvalidInput, match=sentence):
        call()


def label():
    return ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), 0.1)


def test_noise_too_strong_for_the_leading_order_is_warned_of():
    """Assert LargeNoise of non-degenerate masks where sigma^2 is not small, and silence where it is or is no matter."""
    root = np.sqrt([0.9, 0.1, 0.9, 0.1])
    products = zero_loss.ProductSum(2)
    for mechanism in (noise.Dropout(1.0), noise.DropConnect(0.6), noise.DropConnect(1.0, "bernoulli")):
        name = type(mechanism).__name__
        with pytest.warns(LargeNoise, match=f"{name} is the leading order in sigma.2, but sigma.2 is") as caught:
            solved(products, mechanism, root, 0.05)
        assert caught[0].filename == __file__
    for mechanism in (noise.Dropout(0.4), noise.WeightNoise(0.3), noise.LabelNoise(3.0)):
        solved(products, mechanism, root, 0.05)
