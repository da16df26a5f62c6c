"""Noise mechanisms: regulariser and covariance against expectations over the noise itself, laws, regimes, misfits."""

from itertools import permutations, product

import numpy as np
import pytest

from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry, noise, zero_loss
from sgdlimits.problems.noise import Perturbation
from sgdlimits.exact.numerical_derivatives import derivative
from tests.parameters import slowly
from tests.zero_loss_cases import DRAW, FEATURES, LABELS, LOSSES, point

TARGET = DRAW.standard_normal((2, 2))
MODELS = {
    "hyperbola": zero_loss.Hyperbola(),
    "product sum": zero_loss.ProductSum(2),
    "quadratic difference": zero_loss.QuadraticDifference(),
    "diagonal network": zero_loss.DiagonalLinearNetwork(FEATURES[:2, :].repeat(2, axis=1) + [[0, 1, 2, 3]], LABELS[:2]),
    "matrix factorisation": zero_loss.MatrixFactorisation(TARGET, 2),
    "network": zero_loss.ShallowNetwork(FEATURES, LABELS, 3),
    "linear regression": zero_loss.LinearRegression(FEATURES[:1].repeat(2, axis=1) + [[0, 1, 2, 3]], LABELS[:1]),
    "general loss": LOSSES["user's loss"],
}
MECHANISMS = {
    "label": noise.LabelNoise,
    "input": noise.InputNoise,
    "weight": noise.WeightNoise,
    "gaussian DropConnect": noise.DropConnect,
    "bernoulli DropConnect": lambda sigma: noise.DropConnect(sigma, "bernoulli"),
    "gaussian Dropout": noise.Dropout,
    "bernoulli Dropout": lambda sigma: noise.Dropout(sigma, "bernoulli"),
    "gaussian Dropout per sample": lambda sigma: noise.Dropout(sigma, sharing="per_sample"),
    "bernoulli Dropout per sample": lambda sigma: noise.Dropout(sigma, "bernoulli", "per_sample"),
    "Langevin": noise.Langevin,
    "own": noise.LossNoise,
}
SIGMA = 0.02  # errors of the extrapolation below are of order sigma^4


def fits(mechanism, model):
    return mechanism.misfit(model) is None


PAIRS = [(m, k) for m, k in product(MODELS, MECHANISMS) if fits(MECHANISMS[k](0.1), MODELS[m])]
BATCHED = [(m, k) for m, k in PAIRS if m in ("diagonal network", "network") and k not in ("own", "Langevin")]
_SET: dict[str, np.ndarray] = {}


def on_set(name):
    """A point of the model's zero-loss set."""
    if name not in _SET:
        _SET[name] = geometry.limit_map(MODELS[name], point(MODELS[name], seed=3))
    return _SET[name]


def outcomes(draw):
    """Values (K, *shape) of a draw with probabilities (K,) that have its mean and covariance (Gaussian) or law."""
    if draw.law == "bernoulli":
        kept = np.array(list(product([0, 1], repeat=draw.size)), float)
        return (kept / draw.keep - 1).reshape(-1, *draw.shape), np.prod(
            np.where(kept == 1, draw.keep, 1 - draw.keep), axis=1
        )
    points = draw.sigma * np.sqrt(draw.size) * np.concatenate([np.eye(draw.size), -np.eye(draw.size)])
    return points.reshape(-1, *draw.shape), np.full(len(points), 1 / len(points))


def batches(batch, samples):
    """All batches, equally likely."""
    if batch is None:
        return [None]
    if batch.sampling == "with_replacement":
        return list(product(range(samples), repeat=batch.batch_size))
    return list(permutations(range(samples), batch.batch_size))


def gradient_moments(model, mechanism, w):
    """Mean (m,) and covariance (m, m) of the noisy gradient, by enumeration of noise and batch."""
    (draw,) = (draw for draw in mechanism.draws(model) if draw.slot != "rows")
    values, weights = outcomes(draw)
    values = 1 + values if draw.slot in ("units", "factor") else values
    mean, second = 0.0, 0.0
    choices = batches(mechanism.batch, model.samples)
    for rows in choices:
        drawn = {draw.slot: values}
        if rows is not None:
            drawn["rows"] = np.broadcast_to(rows, (len(values), len(rows)))
        found = noise.noisy_gradient(model, np.broadcast_to(w, (len(values), w.size)), Perturbation(**drawn))
        mean = mean + weights @ found / len(choices)
        second = second + (found * weights[:, None]).T @ found / len(choices)
    return mean, second - np.outer(mean, mean)


def limits(model, make, w):
    """Limits of (mean - gradient) / sigma^2 and covariance / sigma^2 as sigma goes to 0, extrapolated."""
    at = []
    for sigma in (SIGMA, SIGMA / 2):
        mean, covariance = gradient_moments(model, make(sigma), w)
        at.append(((mean - model.gradient(w)) / sigma**2, covariance / sigma**2))
    return tuple((4 * fine - rough) / 3 for rough, fine in zip(*at, strict=True))


def close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * (1 + np.abs(wanted).max()))


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_regulariser_and_covariance_are_the_expectations_over_the_noise(name, kind):
    """Assert both limits against enumeration over the noise; along the set, where the regulariser acts."""
    model, make, w = MODELS[name], MECHANISMS[kind], on_set(name)
    drift, covariance = limits(model, make, w)
    projector = geometry.tangent_projector(model, w)
    mechanism = make(0.3)
    close(projector @ mechanism.regulariser_gradient(model, w), projector @ drift, 1e-4)
    close(mechanism.covariance(model, w), covariance, 1e-4)
    if kind != "input":  # its formula holds on the set only
        off = w + 0.1
        close(mechanism.regulariser_gradient(model, off), limits(model, make, off)[0], 1e-4)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_regulariser_gradient_and_noise_matrix_are_consistent(name, kind):
    """Assert that one is the gradient of the regulariser and the other a root of the covariance."""
    model, mechanism, w = MODELS[name], MECHANISMS[kind](0.3), on_set(name)
    found = derivative(lambda place: mechanism.regulariser(model, place), w)
    close(mechanism.regulariser_gradient(model, w), found, 1e-7)
    columns = mechanism.noise_matrix(model, w)
    close(columns @ columns.T, mechanism.covariance(model, w), 1e-12)
    stack = np.stack([w, w + 0.1])
    close(mechanism.covariance(model, stack)[0], mechanism.covariance(model, w), 1e-12)
    close(mechanism.regulariser_gradient(model, stack)[0], mechanism.regulariser_gradient(model, w), 1e-7)


@pytest.mark.parametrize("sampling", ["with_replacement", "without_replacement"])
@pytest.mark.parametrize(("name", "kind"), BATCHED)
def test_covariance_with_a_minibatch_is_the_expectation_over_noise_and_batch(name, kind, sampling):
    """Assert it against enumeration over all batches of two; the noise of a sample is fresh for every entry."""
    model, w, batch = MODELS[name], on_set(name), noise.Minibatch(2, sampling)

    def make(sigma):
        return batch + MECHANISMS[kind](sigma)

    close(MECHANISMS[kind](0.3).covariance(model, w, batch), limits(model, make, w)[1], 1e-4)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_noise_inside_a_square_loss_does_not_push_along_the_set(name, kind):
    """Assert P G = 0 for Gaussian noise in the model, and that Langevin noise fails it."""
    model, mechanism, w = MODELS[name], MECHANISMS[kind](0.3), on_set(name)
    if kind == "own" or "bernoulli" in kind:
        return
    pushed = np.abs(geometry.tangent_projector(model, w) @ mechanism.noise_matrix(model, w)).max()
    assert (pushed > 0.1) if kind == "Langevin" else (pushed < 1e-10)


@pytest.mark.parametrize(
    ("name", "batch", "constant"),
    [
        ("network", None, 1 / 3),
        ("network", noise.Minibatch(1), 1.0),
        ("network", noise.Minibatch(2, "without_replacement"), 0.5),
        ("matrix factorisation", None, 1.0),
        ("hyperbola", None, 1.0),
    ],
)
def test_label_noise_has_covariance_proportional_to_the_hessian(name, batch, constant):
    """Assert covariance = c Hessian: c = 1/B for a mean over samples, 1 for a sum."""
    model, w = MODELS[name], on_set(name)
    close(noise.LabelNoise(0.2).covariance(model, w, batch), constant * model.hessian(w), 1e-12)


def test_bernoulli_dropconnect_equals_the_gaussian_only_where_the_loss_is_quadratic_in_each_weight():
    """Assert equality on the hyperbola, the factor 1/4 on the difference of squares, and the non-local formula."""
    hyperbola, difference = MODELS["hyperbola"], MODELS["quadratic difference"]
    gaussian, bernoulli = noise.DropConnect(0.1), noise.DropConnect(0.1, "bernoulli")
    w = on_set("hyperbola")
    close(bernoulli.regulariser(hyperbola, w), gaussian.regulariser(hyperbola, w), 1e-12)
    w = on_set("quadratic difference")
    close(4 * bernoulli.regulariser(difference, w), gaussian.regulariser(difference, w), 1e-12)
    removed = difference.loss(np.array([0.0, w[1]])) + difference.loss(np.array([w[0], 0.0]))
    close(bernoulli.regulariser(difference, w), removed, 1e-12)


REGIMES = [
    ("hyperbola", noise.Minibatch(1), "trivial"),
    ("network", noise.LabelNoise(0.1), "degenerate"),
    ("network", noise.Langevin(0.1), "degenerate"),
    ("network", noise.Dropout(0.1), "non-degenerate"),
    ("network", noise.DropConnect(0.1, "bernoulli"), "non-degenerate"),
    ("network", noise.InputNoise(0.1), "non-degenerate"),
    ("hyperbola", noise.WeightNoise(0.1), "non-degenerate"),
    ("hyperbola", noise.AntiCorrelated(0.1), "non-degenerate"),
    ("hyperbola", noise.Dropout(0.1), "degenerate"),
    ("hyperbola", noise.DropConnect(0.1), "degenerate"),
    ("hyperbola", noise.Dropout(0.1, "bernoulli"), "trivial"),
    ("hyperbola", noise.DropConnect(0.1, "bernoulli"), "trivial"),
    ("product sum", noise.Dropout(0.1), "non-degenerate"),
    ("general loss", noise.LossNoise(0.1), "degenerate"),
]


@pytest.mark.parametrize(
    ("name", "mechanism", "wanted"),
    slowly(REGIMES, lambda case: case[0] == "network" and not isinstance(case[1], noise.LabelNoise)),
)
def test_regimes(name, mechanism, wanted):
    """Assert the time scale: by theory, or where the regulariser is constant on the set, by numbers."""
    model = MODELS[name]
    found = mechanism.regime(model, geometry.limit_map(model, point(model, seed=3)))
    assert found.name == wanted, found.sentence


def test_clock_constants():
    """Assert 1/(step_size sigma^2) and 1/(step_size^2 sigma^2) steps in a unit of time."""
    assert noise.steps_per_time("non-degenerate", 0.1, 0.5) == pytest.approx(40)
    assert noise.steps_per_time("degenerate", 0.1, 0.5) == pytest.approx(400)
    with pytest.raises(InvalidInput, match="regime is 'fast'"):
        noise.steps_per_time("fast", 0.1)


STREAM = Noise(7, np.arange(4000))


@pytest.mark.parametrize("kind", [kind for kind in MECHANISMS if kind not in ("own", "Langevin")])
def test_draws_have_mean_zero_and_the_variance_asked_for(kind):
    """Assert both within 4.5 standard errors; sigma is a standard deviation, for Bernoulli masks too."""
    model = MODELS["network"]
    (draw,) = MECHANISMS[kind](0.5).draws(model)
    value = getattr(noise.perturbation([draw], STREAM, 3), draw.slot).reshape(4000, -1)
    value = value - 1 if draw.slot in ("units", "factor") else value
    for found, wanted in ((value, 0.0), (value**2, 0.25)):
        assert abs(found.mean() - wanted) < 4.5 * found.std() / np.sqrt(found.size)
    if draw.law == "bernoulli":
        assert set(np.unique(value.round(12))) == {-1.0, 0.25}


def test_mixtures_are_flat_and_their_noise_is_independent():
    """Assert that parts add up, that no two draws share a stream, and that slots combine."""
    model = MODELS["network"]
    mixture = noise.Minibatch(2) + noise.LabelNoise(0.1) + (noise.Langevin(0.2) + noise.WeightNoise(0.3))
    assert [type(part).__name__ for part in mixture.components] == [
        "Minibatch", "LabelNoise", "Langevin", "WeightNoise"
    ]
    assert mixture.batch.batch_size == 2 and not mixture.anti_correlated
    draws = mixture.draws(model)
    assert draws[0].slot == "rows" and len({draw.purpose for draw in draws}) == len(draws)
    doubled = (noise.LabelNoise(0.1) + noise.LabelNoise(0.1)).draws(model)
    found = noise.perturbation(doubled, STREAM, 0).labels
    parts = [noise.perturbation([draw], STREAM, 0).labels for draw in doubled]
    np.testing.assert_array_equal(found, parts[0] + parts[1])
    both = (noise.DropConnect(0.1) + noise.DropConnect(0.2, "bernoulli")).draws(model)
    found = noise.perturbation(both, STREAM, 0).factor
    parts = [noise.perturbation([draw], STREAM, 0).factor for draw in both]
    np.testing.assert_array_equal(found, parts[0] * parts[1])


def test_langevin_covariance_is_the_one_given():
    """Assert the empirical covariance of the push within 4.5 standard errors, and the noise matrix exactly."""
    wanted = np.array([[2.0, 0.5], [0.5, 1.0]])
    mechanism, model = noise.Langevin(0.5, wanted), MODELS["hyperbola"]
    push = noise.perturbation(mechanism.draws(model), STREAM, 0).push
    for i, j in ((0, 0), (0, 1), (1, 1)):
        found = push[:, i] * push[:, j]
        assert abs(found.mean() - 0.25 * wanted[i, j]) < 4.5 * found.std() / np.sqrt(len(found))
    columns = mechanism.noise_matrix(model, np.ones(2))
    close(columns @ columns.T, wanted, 1e-14)


@pytest.mark.parametrize("name", ["network", "diagonal network", "matrix factorisation", "hyperbola"])
def test_kernels_and_arrays_agree_under_all_slots_at_once(name):
    """Assert the compiled gradient of a path against the NumPy one with rows, labels, masks and input shifts."""
    model = MODELS[name]
    mixture = noise.Minibatch(2) + noise.LabelNoise(0.3) + noise.Dropout(0.4, sharing="per_sample")
    mixture = mixture + noise.InputNoise(0.2) if model.input_size else mixture
    drawn = noise.perturbation(mixture.draws(model), Noise(1, np.arange(5)), 2)
    w = point(model, paths=5)
    wanted, out, work = noise.noisy_gradient(model, w, drawn), np.empty(w.shape[1]), np.empty(w.shape[1])
    for i in range(5):
        inputs = None if drawn.inputs is None else drawn.inputs[i]
        arguments = drawn.rows[i], drawn.labels[i], drawn.units[i], inputs, None
        model.kernel(w[i], model.kernel_data, *arguments, out, work)
        close(out, wanted[i], 1e-13)


@pytest.mark.slow
def test_dropconnect_multiplies_the_position_that_anti_correlated_noise_moves():
    """Assert steps of w' = w - step F grad L(F w) + xi' - xi, written out, for the NumPy form and the compiled loop."""
    model, steps, paths, size = MODELS["hyperbola"], 5, 3, 0.1
    mixture = noise.DropConnect(0.5) + noise.AntiCorrelated(0.3)
    factors, shifts = mixture.draws(model)
    stream, start = Noise(4, np.arange(paths)), np.array([2.0, 0.6])
    w, before = np.tile(start, (paths, 1)), np.zeros((paths, 2))
    wrong = w.copy()  # F z + xi instead of F (z + xi)
    for k in range(steps):
        F = noise.perturbation([factors], stream, k).factor
        xi = noise.perturbation([shifts], stream, k).shift
        at = F * (wrong - before) + before
        w, wrong = (x - size * F * model.gradient(y) + xi - before for x, y in ((w, F * w), (wrong, at)))
        before = xi
    process = NoisyGradientDescent(model, mixture, size)
    state = process.initial_state(np.tile(start, (paths, 1)))
    for k in range(steps):
        state = process.step(k, state, stream)
    close(process.position(state), w, 1e-13)
    run = process.simulate(start, steps, paths, observables=("state",), record=[steps], seed=4)
    close(run["state"].values[:, -1], w, 1e-12)
    assert np.abs(wrong - w).max() > 1e-2


@pytest.mark.parametrize(
    ("mechanism", "name", "sentence"),
    [
        (noise.LabelNoise(0.1), "general loss", "without samples"),
        (noise.Minibatch(1), "general loss", "without samples"),
        (noise.Minibatch(4, "without_replacement"), "network", "at most its 3 samples"),
        (noise.Dropout(0.1), "general loss", "no hidden units"),
        (noise.InputNoise(0.1), "hyperbola", "do not depend on features"),
        (noise.LossNoise(0.1), "network", "no noise variables"),
        (noise.Langevin(0.1, np.eye(3)), "hyperbola", "there are 2 weights"),
        (noise.Minibatch(1) + noise.Minibatch(2), "network", "one Minibatch at most"),
    ],
)
def test_a_mechanism_that_does_not_fit_says_why(mechanism, name, sentence):
    """Assert InvalidInput from check and from draws."""
    for method in (mechanism.check, mechanism.draws):
        with pytest.raises(InvalidInput, match=sentence):
            method(MODELS[name])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: noise.LabelNoise(-0.1), "sigma must be at least zero"),
        (lambda: noise.Minibatch(0), "batch_size must be at least 1"),
        (lambda: noise.Minibatch(1, "replacing"), "sampling is 'replacing'"),
        (lambda: noise.Dropout(0.1, "gauss"), "did you mean 'gaussian'"),
        (lambda: noise.Dropout(0.1, sharing="each"), "sharing is 'each'"),
        (lambda: noise.Langevin(0.1, -np.eye(2)), "positive semidefinite"),
        (lambda: noise.Mixture(()), "at least one noise mechanism"),
        (lambda: noise.LabelNoise(0.1).check(3), "got int"),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    """Assert InvalidInput with what to change."""
    with pytest.raises(InvalidInput, match=sentence):
        make()
