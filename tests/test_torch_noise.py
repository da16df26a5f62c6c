"""Torch modules under diffusions: the noise is one gradient with weights of sum 0, of the covariance of batches."""

import numpy as np
import pytest
from tests.optional import optional

from sgdlimits import compare, diffusions, discrete
from sgdlimits.ensembles import FirstPassage
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import SampleLoss, Supervised, losses, predictors, samplings, sources, tasks, zero_loss

pytestmark = pytest.mark.extras
DRAW = np.random.Generator(np.random.Philox(31))
INPUTS = DRAW.standard_normal((600, 6))
NUMBERS = np.sin(INPUTS[:, 0]) + 0.5
CLASSES = INPUTS[:, :3].argmax(axis=1)
SAMPLINGS = ("with_replacement", "without_replacement")


def dataset(count, targets=NUMBERS):
    torch = optional("torch")
    return torch.utils.data.TensorDataset(torch.tensor(INPUTS[:count]), torch.tensor(targets[:count]))


def network(outputs=1, width=12, seed=1):
    """6 inputs and `width` hidden units under tanh: 97 weights of one output."""
    torch = optional("torch")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Linear(6, width), torch.nn.Tanh(), torch.nn.Linear(width, outputs)
        ).double()  # fmt: skip


def problem(count=6, ridge=0.0, width=12):
    return Supervised.from_module(
        network(width=width), dataset(count), optional("torch").nn.functional.mse_loss, ridge=ridge
    )  # fmt: skip


def start(given):
    return given.predictor.initial


def counted(monkeypatch):
    """Paths of each call for the gradient of a batch, from now on."""
    asked, own = [], predictors.TorchPredictor.batch_pullback

    def pullback(self, x, *rest):
        asked.append(len(x))
        return own(self, x, *rest)

    monkeypatch.setattr(predictors.TorchPredictor, "batch_pullback", pullback)
    return asked


def covariance_of_batches(given, x, batch_size, sampling):
    """Of the batch's gradient, from every batch."""
    rows, chances = samplings.all_batches(batch_size, sampling, given.samples)
    gradients = given.batch_gradients(np.tile(x, (len(rows), 1)), rows)
    away = gradients - chances @ gradients
    return (away * chances[:, None]).T @ away


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("batch_size", (1, 3))
def test_the_noise_has_the_covariance_of_all_batches(sampling, batch_size):
    """To rounding, by one direction of each weight; the variance along a gradient too; an uncentred one is far off."""
    given = problem(ridge=0.1)
    x, n = start(given), given.samples
    equation = diffusions.ModifiedEquation(given, 0.2, batch_size, sampling=sampling)
    columns = equation.diffusion_product(0.0, np.tile(x, (n, 1)), np.eye(n))
    wanted = 0.2 * covariance_of_batches(given, x, batch_size, sampling)
    np.testing.assert_allclose(columns.T @ columns, wanted, atol=1e-13 * np.abs(wanted).max())
    np.testing.assert_allclose(equation.diffusion(0.0, x[None])[0], columns.T, atol=1e-14)
    mean = given.gradient(x)
    along = equation.gradient.variance_along(x[None], mean[None])
    assert 0.2 * float(along[0]) == pytest.approx(mean @ wanted @ mean, rel=1e-11)
    uncentred = wanted + 0.2 / batch_size * np.outer(mean, mean)
    assert np.abs(uncentred - wanted).max() > 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize("large", (False, True))
def test_projections_of_a_step_have_the_variance_of_a_batch(large):
    """1000 random projections of 4000 steps within four standard errors, also where the mean gradient is large.

    There noise with the second moment of a sample's gradient instead of its covariance is rejected.
    """
    given = problem(8)
    x, paths, eta = start(given).copy(), 4000, 0.05
    if large:  # all units are nearly full and all residuals large: the samples' gradients are much alike
        x[72:84], x[-1] = 2.0, 6.0
    equation = diffusions.ModifiedEquation(given, eta, 2, sampling="without_replacement")
    ends = equation.simulate(x, 1, paths, "state", record=[1], seed=7, quality="float64", threads=1)
    noise = (ends["state"].values[:, 0] - x + eta * given.gradient(x)) / eta
    directions = Noise(5, np.arange(1000), "float64").normals(64, 0, x.size)
    wanted = covariance_of_batches(given, x, 2, "without_replacement")
    variances = np.einsum("kd,de,ke->k", directions, wanted, directions)
    found = np.square(directions @ noise.T).mean(axis=1)
    error = variances * np.sqrt(2 / paths)  # of Gaussian projections
    assert (np.abs(found - variances) < 4 * error).all()
    means = directions @ noise.mean(axis=0) / np.sqrt(variances / paths)
    assert np.abs(means).max() < 4
    pull = np.square(directions @ given.gradient(x)) * samplings.sampling_factor(2, "without_replacement", 8)
    rejected = np.mean(np.abs(found - variances - pull) > 4 * (variances + pull) * np.sqrt(2 / paths))
    ratio = pull.mean() / variances.mean()
    assert (ratio > 5 and rejected > 0.9) if large else ratio < 2


@pytest.mark.parametrize("order", (1, 2))
def test_a_path_alone_has_the_bits_that_it_has_in_company(order, monkeypatch):
    """600 samples are work enough for a path by itself: chunks, threads, one path; no lanes are added to it."""
    given = problem(600, width=96)
    assert given.alone and not problem(5).alone
    equation = diffusions.ModifiedEquation(given, 0.02, 20, order=order, sampling="without_replacement")
    x = start(given) + 0.1 * Noise(2, np.arange(19)).normals(64, 0, given.dimension)
    settings = {"observables": ("state", "risk"), "record": [2], "seed": 3}
    whole = equation.simulate(x, 2, 19, threads=1, chunk=32, **settings)
    other = equation.simulate(x, 2, 19, threads=2, chunk=16, **settings)
    asked = counted(monkeypatch)
    single = equation.simulate(x, 2, 1, first_path=17, threads=1, **settings)
    assert set(asked) == {1} and len(asked) == 2 * order  # of the mean and the noise apart where the drift is corrected
    for name in ("state", "risk"):
        np.testing.assert_array_equal(whole[name], other[name])
        np.testing.assert_array_equal(whole[name][17:18], single[name])


@pytest.mark.slow
def test_a_compiled_loss_stands_alone_too():
    """The same bits of a logistic regression in numba, one path or forty, and another sampling's are others."""
    rows = sources.Rows(INPUTS[:30], np.where(CLASSES[:30] == 0, 1.0, -1.0))
    given = Supervised(predictors.Linear(6), "logistic", rows, ridge=0.1)
    equation = diffusions.ModifiedEquation(given, 0.2, 4, order=2)
    settings = {"observables": ("state", "risk"), "record": [5], "seed": 1, "threads": 1}
    whole = equation.simulate(np.ones(7), 5, 40, **settings)
    single = equation.simulate(np.ones(7), 5, 1, first_path=33, **settings)
    for name in ("state", "risk"):
        np.testing.assert_array_equal(whole[name][33:34], single[name])
    without = diffusions.ModifiedEquation(given, 0.2, 4, order=2, sampling="without_replacement")
    assert np.abs(without.simulate(np.ones(7), 5, 40, **settings)["state"] - whole["state"]).max() > 1e-3


def test_no_gradient_of_each_sample_is_made(monkeypatch):
    """Paths of both orders, SVAG, an Euler scheme by products and continuous passages, without any (P, n, d)."""
    given = problem(ridge=0.01)
    for name in ("pullback", "predict_and_pullback", "differentials", "hessians"):
        monkeypatch.setattr(predictors.TorchPredictor, name, None)
    monkeypatch.setattr(Supervised, "sample_loss_gradients", None)
    x, sgd = start(given), discrete.SGD(given, 0.05, 2, sampling="without_replacement")
    equation = diffusions.ModifiedEquation.of(sgd)
    assert equation.sampling == "without_replacement"
    passage = FirstPassage("risk", below=0.3, sense="continuous")
    found = equation.simulate(x, 3, 4, {"risk": "risk", "first": passage}, record=[3], seed=1, threads=1)
    assert np.isfinite(found["risk"]).all()
    for process in (diffusions.ModifiedEquation.of(sgd, order=2), discrete.SVAG(sgd, 3)):
        assert np.isfinite(process.simulate(x, 2, 4, "risk", seed=1, threads=1)["risk"]).all()
    ends = diffusions.integrate(equation, x, 0.1, dt=0.05, paths=4, solver="euler", observables="state", seed=1)
    assert np.isfinite(ends["state"]).all()


def test_a_pair_of_batches_of_svag_is_one_gradient(monkeypatch):
    """As the pair written out, by half as many passes."""
    given = problem(ridge=0.1)
    sgd = discrete.SGD(given, 0.2, 2)
    plus, minus = discrete.SVAG(sgd, 5).coefficients
    noise, x = Noise(3, np.arange(16), "float64"), np.tile(start(given), (16, 1))
    y = x
    for place in range(5):
        one, two = (sgd.source.gradient(2 * place + which, y, noise) for which in (0, 1))
        y = y - 0.2 / 5 * (plus * one + minus * two)
    asked = counted(monkeypatch)
    np.testing.assert_allclose(discrete.SVAG(sgd, 5).step(0, x, noise), y, atol=1e-13)
    assert len(asked) == 5


@pytest.mark.parametrize("kind", ("squares", "cross_entropy"))
def test_torch_losses_and_sample_losses_are_the_same_problem(kind):
    """Risk, gradient, Hessian products and drift of order 2 of three doors, against the package's own loss."""
    nn, few = optional("torch").nn, 9
    outputs, targets = (1, NUMBERS) if kind == "squares" else (3, CLASSES)
    scale = 0.5 if kind == "squares" else 1.0
    net, torch_loss = network(outputs), nn.MSELoss() if kind == "squares" else nn.CrossEntropyLoss()
    known = Supervised.from_module(net, dataset(few, targets), kind)
    by_torch = Supervised.from_module(net, dataset(few, targets), torch_loss)
    by_sample = SampleLoss.from_module(net, INPUTS[:few], targets[:few], torch_loss)
    x = known.predictor.initial + 0.1 * Noise(2, np.arange(3)).normals(64, 0, known.dimension)
    weights, along = np.cos(np.arange(3 * few)).reshape(3, few), np.sin(x)
    np.testing.assert_array_equal(by_sample.start, known.predictor.initial)
    for other in (by_torch, by_sample):
        np.testing.assert_allclose(scale * other.risk(x), known.risk(x), rtol=1e-12)
        np.testing.assert_allclose(scale * other.gradient(x), known.gradient(x), atol=1e-13)
        mine, theirs = (each.weighted_gradients(x, weights) for each in (other, known))
        np.testing.assert_allclose(scale * mine, theirs, atol=1e-12)
        mine, theirs = (each.slopes_along(x, along) for each in (other, known))
        np.testing.assert_allclose(scale * mine, theirs, atol=1e-12)
        mine, theirs = (each.mean_products(x, along) for each in (other, known))
        np.testing.assert_allclose(scale * mine, theirs, atol=1e-12)
    slope = known.gradient(x)
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    quotient = (known.gradient(x + 1e-5 * slope / length) - known.gradient(x - 1e-5 * slope / length)) / 2e-5 * length
    np.testing.assert_allclose(known.hessian_times_gradient(x), quotient, atol=1e-7)
    np.testing.assert_allclose(known.hessian_product(x[0], slope[0]), known.hessian(x[0]) @ slope[0], atol=1e-12)
    if kind == "cross_entropy":
        np.testing.assert_array_equal(by_torch.accuracy(x), known.accuracy(x))


def test_a_module_stands_where_a_network_does():
    """In compare.laws, with SVAG and both equations; in the golden path; as a model with a set of zero loss."""
    torch = optional("torch")
    data, test = dataset(12), dataset(30)
    task = tasks.torch_module(network(width=4), data, test, torch.nn.functional.mse_loss, starts="given")
    sgd = discrete.SGD(task.problem, 0.05, 4, sampling="without_replacement")
    sides = [diffusions.ModifiedEquation.of(sgd, order=order) for order in (1, 2)]
    found = compare.laws(
        sgd, discrete.SVAG(sgd, 2), *sides, x0=task.problem.predictor.initial, steps=4, paths=32, solver="euler",
        observables={"test": task.test_risk},
    )  # fmt: skip
    assert found.dataset.sizes["process"] == 4 and "modified equation, order 2" in str(found)
    path = compare.golden_path(task, sgd, 3, batch_size=None, steps=6, seeds=4)
    assert np.isfinite(path.dataset["distance"]).all()
    model = zero_loss.PredictorRegression(task.problem.predictor, INPUTS[:2], NUMBERS[:2])
    x = task.problem.predictor.initial
    residuals = task.problem.predictor.predict(x[None], INPUTS[None, :2])[0, :, 0] - NUMBERS[:2]
    assert model.loss(x) == pytest.approx(np.square(residuals).mean() / 2, rel=1e-12)


def test_a_loss_must_be_a_mean_over_samples():
    """Sums, weights of classes and pairs are refused in a sentence; means, losses of each and of one are taken."""
    torch = optional("torch")
    nn, functional = torch.nn, torch.nn.functional
    taken = [
        functional.mse_loss, nn.MSELoss(reduction="none"), lambda found, target: (found - target) ** 2,
        lambda found, target: {}[found] if found.ndim else (found - target) ** 2, nn.SmoothL1Loss(),
    ]  # fmt: skip
    for loss in taken:
        found = Supervised.from_module(network(), dataset(4), loss)
        assert np.isfinite(found.risk(start(found)))
    refused = [
        (nn.MSELoss(reduction="sum"), NUMBERS, 1, r"not a mean over samples: of a batch of 4 .* reduction='mean'"),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0])), CLASSES, 3, "not a mean over samples"),
        (lambda found, target: (found - found.mean() - target).square().mean(), NUMBERS, 1, "not a mean over samples"),
        (lambda found, target: found - target.reshape(-1), NUMBERS, 1, "must give one number"),
        (lambda found, target: 1 / 0, NUMBERS, 1, "raised ZeroDivisionError"),
        (3, NUMBERS, 1, "loss must be a function of outputs and target"),
        ("l2", NUMBERS, 1, "loss is 'l2', which is not known"),
    ]
    for loss, targets, outputs, sentence in refused:
        with pytest.raises(InvalidInput, match=sentence):
            Supervised.from_module(network(outputs), dataset(8, targets), loss)
    with pytest.raises(InvalidInput, match="no whole numbers"):
        found.accuracy(start(found))
    assert isinstance(found.loss, losses.OutputLoss)


def test_modules_that_are_no_function_of_real_weights_are_refused():
    """Modes, integer and complex weights, two devices, and no values at all: one sentence at every door."""
    torch = optional("torch")
    nn = torch.nn
    whole, complex_net = network(), nn.Sequential(nn.Linear(6, 1))
    whole[0].register_parameter("steps", nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False))
    complex_net.register_parameter("phase", nn.Parameter(torch.zeros(2, dtype=torch.complex128)))
    apart = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1, device="meta"))
    cases = [
        (nn.Sequential(nn.Linear(6, 4), nn.Dropout(0.5), nn.Linear(4, 1)), r"net \(Dropout\) gives other outputs"),
        (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), "BatchNorm1d|cannot take one input"),
        (whole, r"parameter '0\.steps' of net is of torch\.int64, and SGD moves real numbers"),
        (complex_net, r"parameter 'phase' of net is of torch\.complex128"),
        (apart, "lie on 2 devices, cpu, meta, and one is allowed"),
        (nn.Linear(6, 1, device="meta"), "device 'meta', where they have no values"),
    ]
    for net, sentence in cases:
        for door in (
            lambda net: Supervised.from_module(net, dataset(5), "squares"),
            lambda net: SampleLoss.from_module(net, INPUTS[:5], NUMBERS[:5], nn.functional.mse_loss),
            lambda net: predictors.TorchPredictor.from_module(net, 6),
        ):
            with pytest.raises(InvalidInput, match=sentence):
                door(net)
    found = Supervised.from_module(cases[0][0].eval(), dataset(5), "squares")
    assert np.isfinite(found.risk(start(found)))


def test_samplings_of_an_equation_are_checked():
    """Least squares have the equation with replacement, whose distance is a part of the budget; batches that fit."""
    from sgdlimits.problems import LeastSquares

    squares = LeastSquares.from_arrays(INPUTS[:9], NUMBERS[:9])
    with pytest.raises(InvalidInput, match="least squares is that of batches with replacement"):
        diffusions.ModifiedEquation(squares, 0.1, 2, sampling="without_replacement")
    sgd = discrete.SGD(squares, 0.1, 2, sampling="without_replacement")
    assert diffusions.ModifiedEquation.of(sgd).sampling == "with_replacement"
    given = problem()
    with pytest.raises(InvalidInput, match="over the 6 samples"):
        diffusions.ModifiedEquation(given, 0.1, 7, sampling="without_replacement")
    with pytest.raises(InvalidInput, match="sampling is 'reshuffle'"):
        diffusions.ModifiedEquation(given, 0.1, 2, sampling="reshuffle")
    full = diffusions.ModifiedEquation(given, 0.1, 6, sampling="without_replacement")
    assert not full.diffusion_product(0.0, start(given)[None], np.ones((1, 6))).any()
