"""Noisy gradient descent: the compiled loops against the array definition, its own noise, and known recursions."""

import dataclasses

import numpy as np
import pytest
from sgdlimits.discrete import NoisyGradientDescent, network_kernels, noisy_gradient_descent
from sgdlimits.discrete.noisy_kernels import Plan
from sgdlimits.discrete.pair_kernels import fits
from sgdlimits.ensembles import PACK, Noise, Purpose
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.problems import LeastSquares, geometry, noise, zero_loss
from sgdlimits.problems.noise import perturbation
from tests.parameters import slowly

SEED, PATHS, STEPS = 2**40 + 3, 2 * PACK, 23
RNG = np.random.default_rng(1)
NETWORK = zero_loss.ShallowNetwork(RNG.standard_normal((3, 2)), RNG.standard_normal(3), 4)
DIAGONAL = zero_loss.DiagonalLinearNetwork(RNG.standard_normal((3, 5)), RNG.standard_normal(3))
LINEAR = zero_loss.LinearRegression(RNG.standard_normal((3, 5)), RNG.standard_normal(3))
MODELS = {
    "hyperbola": zero_loss.Hyperbola(),
    "one product": zero_loss.ProductSum(1),
    "two products": zero_loss.ProductSum(2),
    "difference": zero_loss.QuadraticDifference(),
    "factorisation": zero_loss.MatrixFactorisation(RNG.standard_normal((2, 3)), 2),
    "network": NETWORK,
    "diagonal": DIAGONAL,
    "linear": LINEAR,
}
SKEW = np.array([[1.0, 0.3], [0.3, 0.5]])
MECHANISMS = {
    "exact": noise.LabelNoise(0.0),
    "minibatch": noise.Minibatch(2),
    "minibatch, distinct": noise.Minibatch(2, "without_replacement"),
    "label": noise.LabelNoise(0.3),
    "DropConnect": noise.DropConnect(0.1),
    "DropConnect, Bernoulli": noise.DropConnect(0.2, "bernoulli"),
    "Dropout": noise.Dropout(0.2),
    "Dropout, Bernoulli": noise.Dropout(0.2, "bernoulli"),
    "Dropout, per sample": noise.Dropout(0.2, "gaussian", "per_sample"),
    "weight": noise.WeightNoise(0.1),
    "anti-correlated": noise.AntiCorrelated(0.1),
    "input": noise.InputNoise(0.1),
    "Langevin": noise.Langevin(0.1),
    "Langevin, skew": noise.Langevin(0.1, SKEW),
    "mixture": noise.LabelNoise(0.3) + noise.Dropout(0.1) + noise.AntiCorrelated(0.1) + noise.DropConnect(0.1),
    "batch mixture": noise.Minibatch(2) + noise.LabelNoise(0.2) + noise.WeightNoise(0.1) + noise.Langevin(0.05),
}


def processes():
    for name, model in MODELS.items():
        for word, mechanism in MECHANISMS.items():
            try:
                yield f"{name}-{word}", NoisyGradientDescent(model, mechanism, 0.05)
            except InvalidInput:
                continue


PROCESSES = dict(processes())
PAIRED = ("hyperbola", "one product", "difference")  # their loop is compiled once, others once for each set of slots


def quick(name):
    model, _, word = name.partition("-")
    rows = PROCESSES[name].noise.batch is not None
    if model in PAIRED:
        return not rows
    if name == "network-label":  # the loop of networks, kept on disk
        return True
    chosen = ("anti-correlated", "DropConnect, Bernoulli", "Langevin", "Dropout, Bernoulli", "batch mixture")
    return model == "diagonal" and word in chosen




def quality_of(name):
    """Both qualities in turn; among quick cases of the general loop float64 for the one whose slots no other has."""
    if name in PROCESSES and quick(name) and not name.startswith(PAIRED):
        return "float64" if name == "diagonal-Dropout, Bernoulli" else "float32"
    return "float64" if len(name) % 2 else "float32"


CASES = slowly(PROCESSES, lambda name: not quick(name))


def start(model):
    return 0.7 + 0.3 * np.random.default_rng(2).standard_normal((PATHS, model.dimension))


def definition(process, w0, steps, seed=SEED, quality="float32", paths=None):
    stream = Noise(seed, np.arange(len(w0)) if paths is None else paths, quality)
    state = process.initial_state(w0)
    for k in range(steps):
        state = process.step(k, state, stream)
    return process.position(state)


def compiled(process, w0, pieces, seed=SEED, quality="float32", path=0):
    simulator = process.simulator()
    stream = Noise(seed, np.arange(path, path + len(w0)), quality)
    state = simulator.start(w0, stream)
    for first, last in pieces:
        simulator.advance(state, first, last, stream)
    return simulator.positions(state)


def test_every_mechanism_runs_on_some_model():
    """Assert that the table of cases leaves no mechanism out."""
    assert {name.partition("-")[2] for name in PROCESSES} == set(MECHANISMS)


@pytest.mark.parametrize("name", CASES)
def test_compiled_loop_equals_the_array_definition(name):
    """Assert equality to rounding under the same noise, for every mechanism on every model that it fits."""
    process = PROCESSES[name]
    quality, w0 = quality_of(name), start(process.model)
    got = compiled(process, w0, [(0, STEPS)], quality=quality)
    np.testing.assert_allclose(got, definition(process, w0, STEPS, quality=quality), rtol=1e-10, atol=1e-11)
    assert np.abs(got - w0).max() > 1e-3


@pytest.mark.parametrize("name", [name for name in PROCESSES if quick(name)])
def test_bits_do_not_depend_on_how_steps_and_paths_are_grouped(name):
    """Assert equal bits for a whole run, a run in pieces, and the second pack alone."""
    process, w0, quality = PROCESSES[name], start(PROCESSES[name].model), quality_of(name)
    whole = compiled(process, w0, [(0, STEPS)], quality=quality)
    assert np.array_equal(whole, compiled(process, w0, [(0, 1), (1, 8), (8, 8), (8, STEPS)], quality=quality))
    assert np.array_equal(whole[PACK:], compiled(process, w0[PACK:], [(0, STEPS)], quality=quality, path=PACK))


@pytest.mark.parametrize(
    "name",
    slowly(
        ["hyperbola-label", "network-label", "diagonal-anti-correlated", "diagonal-batch mixture", "network-mixture"],
        lambda name: name == "network-mixture",
    ),
)
def test_bits_do_not_depend_on_chunk_or_threads(name):
    """Assert equal datasets for one chunk on one thread and many on two."""
    process = PROCESSES[name]
    runs = [
        process.simulate(start(process.model)[0], 40, 50, "state", seed=5, chunk=chunk, threads=threads)["state"].values
        for chunk, threads in ((64, 1), (16, 2), (32, 2))
    ]
    assert np.array_equal(runs[0], runs[1]) and np.array_equal(runs[0], runs[2])


def test_another_seed_gives_other_paths():
    """Assert that the comparison above can fail."""
    process, w0 = PROCESSES["diagonal-batch mixture"], start(DIAGONAL)
    assert not np.allclose(compiled(process, w0, [(0, STEPS)]), compiled(process, w0, [(0, STEPS)], seed=SEED + 1))


def test_the_pair_loop_is_used_for_two_parameters_only():
    """Assert that models and noise outside its scope take the general loop."""
    for name, process in PROCESSES.items():
        paired = name.startswith(PAIRED)
        uses_rows = process.noise.batch is not None
        plan = Plan.of(process.noise.draws(process.model), process.model.dimension)
        assert fits(process.model, plan) == (paired and not uses_rows), name


def test_the_loop_of_networks_is_used_for_label_noise_only():
    """Assert which noise takes it; and that a sigmoid network with two label noises equals the array definition."""
    for name, process in PROCESSES.items():
        plan = Plan.of(process.noise.draws(process.model), process.model.dimension)
        assert network_kernels.fits(process.model, plan) == (name in ("network-label", "network-exact")), name
    model = zero_loss.ShallowNetwork(NETWORK.features, NETWORK.labels, 3, "sigmoid")
    mechanism, w0 = noise.LabelNoise(0.3) + noise.LabelNoise(0.1), start(model)
    process = NoisyGradientDescent(model, mechanism, lambda k: 0.1 / (1 + k))
    assert network_kernels.fits(model, Plan.of(process.noise.draws(model), model.dimension))
    got = compiled(process, w0, [(0, STEPS)])
    np.testing.assert_allclose(got, definition(process, w0, STEPS), rtol=1e-10, atol=1e-11)
    assert np.abs(got - w0).max() > 1e-3


def test_label_noise_on_the_hyperbola_obeys_the_exact_recursion():
    """Assert c_{k+1} = c_k (1 - step_size^2 r_k^2) for c = x^2 - y^2, with the residual r_k of the noisy label."""
    process = NoisyGradientDescent(MODELS["hyperbola"], noise.LabelNoise(0.5), 0.1)
    w, stream = start(process.model), Noise(SEED, np.arange(PATHS))
    (draw,) = process.noise.draws(process.model)
    moved = compiled(process, w, [(0, 1)])
    r = w.prod(axis=1) - 1 - 0.5 * stream.normals(draw.purpose, 0, 1)[:, 0]
    c = w[:, 0] ** 2 - w[:, 1] ** 2
    np.testing.assert_allclose(moved[:, 0] ** 2 - moved[:, 1] ** 2, c * (1 - 0.01 * r**2), rtol=1e-12, atol=1e-14)


def test_anti_correlated_noise_is_the_difference_of_its_draws():
    """Assert w_{k+1} = w_k - step_size grad L(w_k) + xi_{k+1} - xi_k, with xi_0 = 0 and the stream's own numbers."""
    process = NoisyGradientDescent(NETWORK, noise.AntiCorrelated(0.1), 0.05)  # in NumPy: the definition itself
    (draw,) = process.noise.draws(NETWORK)
    stream, w = Noise(SEED, np.arange(PATHS)), start(NETWORK)
    state, before = process.initial_state(w), 0.0
    for k in range(5):
        fresh = 0.1 * stream.normals(draw.purpose, k, NETWORK.dimension)
        w = w - 0.05 * NETWORK.gradient(w) + fresh - before
        state, before = process.step(k, state, stream), fresh
        np.testing.assert_allclose(process.position(state), w, rtol=1e-12, atol=1e-13)


def test_dropconnect_is_the_gradient_of_the_loss_at_masked_weights():
    """Assert the step of a finite difference of L(w (1 + eta)) in w."""
    model = DIAGONAL
    process = NoisyGradientDescent(model, noise.DropConnect(0.3), 1.0)
    (draw,) = process.noise.draws(model)
    w, mask = start(model), 1 + 0.3 * Noise(SEED, np.arange(PATHS)).normals(draw.purpose, 0, model.dimension)
    gradient = np.empty_like(w)
    for j, shift in enumerate(1e-5 * np.eye(w.shape[1])):
        gradient[:, j] = (model.loss((w + shift) * mask) - model.loss((w - shift) * mask)) / 2e-5
    np.testing.assert_allclose(w - compiled(process, w, [(0, 1)]), gradient, rtol=1e-7, atol=1e-8)


def test_observables_of_the_set():
    """Assert that limit_map, distance, regulariser, loss and state agree with each other and with the geometry."""
    model = MODELS["two products"]
    process = NoisyGradientDescent(model, noise.Dropout(0.2), 0.05)
    asked = {name: name for name in ("limit_map", "distance", "regulariser", "loss", "risk", "state", "norm")}
    run = process.simulate(start(model)[0], 50, 20, asked | {"own": lambda w: w[:, 0] * w[:, 2]}, record=[0, 10, 50])
    w, phi = run["state"].values, run["limit_map"].values
    assert run["limit_map"].dims == run["state"].dims == ("path", "step", "coordinate")
    np.testing.assert_allclose(phi, geometry.limit_map(model, w), rtol=1e-12)
    np.testing.assert_allclose(run["distance"], np.linalg.norm(w - phi, axis=-1), atol=1e-12)
    np.testing.assert_allclose(run["loss"], model.loss(w), atol=1e-14)
    np.testing.assert_allclose(run["risk"], run["loss"])
    np.testing.assert_allclose(run["own"], w[..., 0] * w[..., 2])
    products = w[..., :2] * w[..., 2:]
    np.testing.assert_allclose(run["regulariser"], 0.5 * (products**2).sum(-1), rtol=1e-12)
    assert np.all(model.loss(phi) < 1e-24)
    assert set(process.simulate(start(model)[0], 3, 2, ("limit_map", "norm")).data_vars) == {"limit_map", "norm"}


def test_regulariser_of_a_mixture_weighs_by_variance():
    """Assert the mean of the parts' regularisers, weighed by sigma^2; the minibatch has none."""
    parts = noise.DropConnect(0.1), noise.WeightNoise(0.3)
    both = NoisyGradientDescent(NETWORK, noise.Minibatch(1) + parts[0] + parts[1], 0.1)
    w = start(NETWORK)
    expected = (0.01 * parts[0].regulariser(NETWORK, w) + 0.09 * parts[1].regulariser(NETWORK, w)) / 0.1
    np.testing.assert_allclose(both.regulariser(w), expected, rtol=1e-12)


def test_minibatch_noise_leaves_points_of_zero_loss_exactly_where_they_are():
    """Assert displacement 0 from a start on the set, whatever the rows; label noise moves from there."""
    model = zero_loss.DiagonalLinearNetwork(np.eye(2), np.zeros(2))
    point = np.array([1.0, 0.5, 1.0, 0.5])
    for sigma, steps in ((0.0, 10_000), (0.3, 100)):
        process = NoisyGradientDescent(model, noise.Minibatch(1) + noise.LabelNoise(sigma), 0.1)
        end = process.simulate(point, steps, 16, "state", record=1)["state"].values[:, 0]
        assert np.all(end == point) if sigma == 0 else np.all(end != point)


@pytest.mark.parametrize("name", slowly(["hyperbola", "two products"], lambda name: name == "two products"))
def test_overflow_is_recorded_at_its_step(name):
    """Assert the step of the array definition, from the compiled loops."""
    process = NoisyGradientDescent(MODELS[name], noise.LabelNoise(0.1), 5.0)
    w0, stream = 3 * start(process.model), Noise(0, np.arange(PATHS))
    state, expected = process.initial_state(w0), np.full(PATHS, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(12):
            state = process.step(k, state, stream)
            large = ~(np.linalg.norm(process.position(state), axis=1) <= 1e150)
            expected[(expected < 0) & large] = k + 1
    simulator = process.simulator()
    run = simulator.start(w0, stream)
    simulator.advance(run, 0, 12, stream)
    assert np.all(expected > 0) and np.array_equal(run.overflow_steps, expected)
    with pytest.warns(OverflowedPaths):
        lost = process.simulate(w0, 12, PATHS, ("limit_map", "distance", "loss", "norm"), record=[0, 12])
    assert all(np.isinf(lost[name].values[:, 1]).all() for name in ("limit_map", "distance", "norm"))


def test_a_model_without_kernel_runs_as_the_definition():
    """Assert that a NumPy model takes the array definition itself."""
    model = zero_loss.UserLoss(
        lambda w: 0.5 * (w[..., 0] * w[..., 1] - 1) ** 2,
        lambda w: (w[..., :1] * w[..., 1:] - 1) * w[..., ::-1],
        dimension=2,
    )
    process = NoisyGradientDescent(model, noise.WeightNoise(0.1), 0.1)
    same = NoisyGradientDescent(MODELS["hyperbola"], noise.WeightNoise(0.1), 0.1)
    runs = [each.simulate([2.0, 0.5], 30, 32, "state", seed=4)["state"].values for each in (process, same)]
    np.testing.assert_allclose(*runs, rtol=1e-12)


def test_bad_input_is_named():
    """Assert one clear sentence for each wrong argument."""
    hyperbola = MODELS["hyperbola"]
    with pytest.raises(InvalidInput, match="zero_loss, got LeastSquares"):
        NoisyGradientDescent(LeastSquares.from_arrays(np.eye(2), np.ones(2)), noise.LabelNoise(0.1), 0.1)
    with pytest.raises(InvalidInput, match="noise must be one of sgdlimits.problems.noise, got float"):
        NoisyGradientDescent(hyperbola, 0.1, 0.1)
    with pytest.raises(InvalidInput, match="step_size must be above zero"):
        NoisyGradientDescent(hyperbola, noise.LabelNoise(0.1), 0.0)
    with pytest.raises(InvalidInput):
        NoisyGradientDescent(hyperbola, noise.InputNoise(0.1), 0.1)
    process = NoisyGradientDescent(hyperbola, noise.LabelNoise(0.1), 0.1)
    with pytest.raises(InvalidInput, match="'limit_maps', which is not known"):
        process.simulate([2.0, 0.5], 3, 2, {"phi": "limit_maps"})
    with pytest.raises(InvalidInput, match="x0 has shape"):
        process.simulate([2.0], 3, 2)


def test_labels_are_words():
    """Assert short names for mechanisms and mixtures."""
    both = noise.LabelNoise(0.1) + noise.Dropout(0.1)
    assert noisy_gradient_descent.mechanism_name(both) == "label noise + Dropout"
    assert NoisyGradientDescent(NETWORK, both, 0.1).label == "noisy gradient descent, label noise + Dropout"


def test_draws_of_a_mixture_are_independent_of_each_other():
    """Assert that first numbers of any two draws of a step, and of the start, are uncorrelated over 4000 paths."""
    stream = Noise(11, np.arange(4000))
    start = stream.normals(Purpose.INITIAL_STATE, 0, 1)[:, 0]
    for process in PROCESSES.values():
        columns = [start]
        for draw in process.noise.draws(process.model):
            found = perturbation([dataclasses.replace(draw, transform=None)], stream, 0)
            (values,) = [value for value in found if value is not None]
            columns.append(np.asarray(values, float).reshape(4000, -1)[:, 0])
        moving = [column - column.mean() for column in columns if column.std() > 0]
        correlations = np.corrcoef(moving)[np.triu_indices(len(moving), 1)] if len(moving) > 1 else np.zeros(1)
        assert np.abs(correlations).max() < 5 / np.sqrt(4000), process.label
