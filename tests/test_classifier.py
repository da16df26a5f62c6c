"""Predictor x loss x source: a classifier on the digits and on streams, in NumPy, numba and torch."""

import numba
import numpy as np
import pytest
from tests.optional import optional
from tests.parameters import slowly

from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, Logistic, SampleLoss, Supervised, losses, predictors, sources

DIGITS = sources.Rows.from_dataset("digits", standardise=False)
FEW = sources.Rows(DIGITS.inputs[:60] / 16, DIGITS.labels[:60])
MULTINOMIAL = Supervised(predictors.Linear(61, 10), "cross_entropy", FEW, ridge=0.01)
NETWORK = Supervised(predictors.TwoLayer(61, 12, 10), "cross_entropy", FEW, ridge=0.01)
PROBLEMS = {"multinomial": MULTINOMIAL, "network": NETWORK}


def in_numpy(problem):
    """The same problem without compiled functions."""
    p = problem.predictor
    user = predictors.UserPredictor(p.predict, p.pullback, p.inputs, p.outputs, p.dimension)
    return Supervised(user, problem.loss, problem.source, problem.ridge)


@pytest.mark.parametrize("name", slowly(PROBLEMS, lambda name: name == "network"))
def test_gradient_and_hessian_are_derivatives_of_the_risk(name):
    """Central differences along random directions; the compiled and the NumPy form agree to rounding."""
    problem = PROBLEMS[name]
    x = problem.predictor.start(3, seed=1)
    v = np.random.Generator(np.random.Philox(3)).standard_normal(problem.dimension)
    v /= np.linalg.norm(v)
    h = 1e-4
    objective = lambda y: problem.risk(y) + 0.005 * (y**2).sum(-1)  # noqa: E731
    quotient = (objective(x + h * v) - objective(x - h * v)) / (2 * h)
    np.testing.assert_allclose(problem.gradient(x) @ v, quotient, atol=1e-8)
    other = in_numpy(problem)
    np.testing.assert_allclose(other.risk(x), problem.risk(x), rtol=1e-13)
    np.testing.assert_allclose(other.gradient(x), problem.gradient(x), atol=1e-14)
    if name == "multinomial":
        curved = (problem.gradient(x[0] + h * v) - problem.gradient(x[0] - h * v)) / (2 * h) - 0.01 * v
        np.testing.assert_allclose(problem.hessian(x[0]) @ v, curved, atol=1e-8)


@pytest.mark.parametrize("name", slowly(PROBLEMS, lambda name: name == "network"))
def test_compiled_and_numpy_classifiers_take_the_same_steps(name):
    """Twenty steps of SGD under the same rows, momentum included."""
    x0 = PROBLEMS[name].predictor.start(6, seed=2)
    runs = [
        SGD(problem, 0.1, 4, momentum=0.5).simulate(x0, 20, 6, "state", record=[20], seed=3)["state"].values
        for problem in (PROBLEMS[name], in_numpy(PROBLEMS[name]))
    ]
    np.testing.assert_allclose(runs[0], runs[1], atol=1e-12)


@pytest.mark.slow
def test_known_problems_fall_out_as_special_cases():
    """Linear x squares is least squares, linear x logistic is Logistic, two outputs of cross-entropy are one margin."""
    generator = np.random.Generator(np.random.Philox(4))
    A, b = generator.standard_normal((30, 4)), generator.standard_normal(30)
    x = generator.standard_normal((5, 4))
    linear = predictors.Linear(4, bias=False)
    squares, known = Supervised(linear, "squares", sources.Rows(A, b), 0.3), LeastSquares.from_arrays(A, b, 0.3)
    np.testing.assert_allclose(squares.risk(x), known.risk(x), rtol=1e-13)
    np.testing.assert_allclose(squares.gradient(x), known.gradient(x), atol=1e-13)
    np.testing.assert_allclose(squares.hessian(x[0]), known.hessian, atol=1e-13)
    np.testing.assert_allclose(
        squares.gradient_noise_covariance(x[0]), known.gradient_noise_covariance(x[0]), atol=1e-12
    )
    labels = np.where(b > 0, 1.0, -1.0)
    logistic, own = Supervised(linear, "logistic", sources.Rows(A, labels)), Logistic(A, labels)
    np.testing.assert_array_equal(logistic.risk(x), own.risk(x))
    np.testing.assert_array_equal(logistic.gradient(x), own.gradient(x))
    np.testing.assert_allclose(logistic.hessian(x[0]), own.hessian(x[0]), atol=1e-15)
    np.testing.assert_array_equal(logistic.accuracy(x), ((x @ A.T) * labels > 0).mean(axis=1))
    two = Supervised(predictors.Linear(4, 2, bias=False), "cross_entropy", sources.Rows(A, (labels + 1) / 2))
    both = np.concatenate([np.zeros_like(x), x], axis=1)
    np.testing.assert_allclose(two.risk(both), own.risk(x), rtol=1e-13)
    np.testing.assert_array_equal(two.accuracy(both), own.accuracy(x))


@pytest.mark.slow
def test_a_thousand_replicas_of_the_digits_train_together():
    """1000 starts, 61 x 10 weights: the mean loss falls far below log 10, and most digits are told apart."""
    training, held_out = sources.Rows.from_table(_table(), standardise=False, test_fraction=0.2, seed=1)
    scaled = [sources.Rows(rows.inputs / 16, rows.labels) for rows in (training, held_out)]
    problem = Supervised(predictors.Linear(61, 10), losses.CrossEntropy(), scaled[0], test=scaled[1])
    x0 = problem.predictor.start(1000, seed=5)
    run = SGD(problem, 0.5, 8).simulate(x0, 300, 1000, {"x": "state"}, record=[0, 300], seed=6)
    x = run["x"].sel(step=300).values
    risks, right = problem.risk(x[:40]), problem.test_accuracy(x[:40])
    assert x.shape == (1000, 620) and risks.max() < 0.35 and right.min() > 0.85
    assert np.unique(x[:, 0]).size == 1000


def _table():
    from sgdlimits.problems.datasets import dataset

    return dataset("digits")


@numba.njit
def ring(normals, uniforms, out):
    """Two classes: a point at the origin's side of a circle, or beyond."""
    out[0], out[1] = normals[0], normals[1]
    return 1.0 if normals[0] ** 2 + normals[1] ** 2 > 1.4 else 0.0


@numba.njit
def jitter(point, normals, uniforms):
    """Noise on the pixels."""
    for j in range(point.size):
        point[j] += 0.1 * normals[j]


def test_a_stream_has_its_law_and_the_same_rows_everywhere():
    """Moments of Gaussian classes; a row depends on its number alone; another seed is another stream."""
    centres = np.array([[2.0, 0.0, -1.0], [-2.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    stream = sources.Stream.gaussian_classes(centres, 0.5, seed=7)
    inputs, labels = stream.sample(np.arange(60_000))
    assert np.abs(np.bincount(labels.astype(int)) / 60_000 - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 60_000)
    for k in range(3):
        own = inputs[labels == k]
        assert np.abs(own.mean(axis=0) - centres[k]).max() < 4.5 * 0.5 / np.sqrt(len(own))
        np.testing.assert_allclose(np.cov(own.T), 0.25 * np.eye(3), atol=0.25 * 5 * np.sqrt(2 / len(own)))
    again, _ = stream.sample(np.array([[59_999, 3], [3, 2**32 - 1]]))
    np.testing.assert_array_equal(again[0], inputs[[59_999, 3]])
    np.testing.assert_array_equal(again[1, 0], inputs[3])
    assert not np.isin(sources.Stream.gaussian_classes(centres, 0.5, seed=8).sample(np.arange(99))[0], inputs).any()


@pytest.mark.slow
def test_a_classifier_on_fresh_samples_learns_and_says_its_error():
    """Streaming cross-entropy: compiled equals NumPy; the risk's error covers a second stream; epochs are refused."""
    stream = sources.Stream(ring, 2, 2, seed=1)
    problem = Supervised(predictors.TwoLayer(2, 8, 2), "cross_entropy", stream, ridge=1e-4)
    x0 = problem.predictor.start(8, seed=1)
    runs = [
        SGD(p, 0.3, 4).simulate(x0, 50, 8, "state", record=[50], seed=2)["state"].values[:, 0]
        for p in (problem, in_numpy(problem))
    ]
    np.testing.assert_allclose(runs[0], runs[1], atol=1e-12)
    x = SGD(problem, 0.5, 4).simulate(x0, 3000, 8, "state", record=[3000], seed=2)["state"].values[:, 0]
    assert problem.accuracy(x).mean() > 0.9 > 0.7 > problem.accuracy(x0).mean()
    other = Supervised(problem.predictor, "cross_entropy", sources.Stream(ring, 2, 2, seed=9), ridge=1e-4)
    apart = (problem.risk(x) - other.risk(x)) / np.hypot(problem.risk_error(x), other.risk_error(x))
    assert np.abs(apart).max() < 4 and (problem.risk_error(x) > 0).all()
    for sampling in ("without_replacement", "reshuffle"):
        with pytest.raises(InvalidInput, match="a stream never repeats"):
            SGD(problem, 0.1, 1, sampling)


@pytest.mark.slow
def test_augmented_rows_are_the_stored_rows_under_fresh_changes():
    """Row i is row i mod n plus noise of its own; its mean gradient is that of the same rows stored."""
    augmented = sources.Augmented(FEW, jitter, 61, seed=3, evaluated=180)
    inputs, labels = augmented.sample(np.arange(180))
    np.testing.assert_array_equal(labels, np.tile(FEW.labels, 3))
    noise = (inputs - np.tile(FEW.inputs, (3, 1))) / 0.1
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size) and abs(noise.std() - 1) < 4 / np.sqrt(2 * noise.size)
    stored = Supervised(MULTINOMIAL.predictor, "cross_entropy", sources.Rows(inputs, labels))
    fresh = Supervised(MULTINOMIAL.predictor, "cross_entropy", augmented)
    x = MULTINOMIAL.predictor.start(2)
    np.testing.assert_allclose(fresh.gradient(x), stored.gradient(x), atol=1e-14)
    assert augmented.rows % 60 == 0 and "endless" in repr(fresh)


def test_parts_that_do_not_fit_are_refused_in_one_sentence():
    """Lengths, outputs, labels, names, and a slope or pullback that is not the derivative."""
    rows = sources.Rows(FEW.inputs, FEW.labels + 0.5)
    cases = [
        (lambda: Supervised(predictors.Linear(60, 10), "cross_entropy", FEW), "60 numbers"),
        (lambda: Supervised(predictors.Linear(61, 9), "cross_entropy", FEW), "from 0 to 8"),
        (lambda: Supervised(predictors.Linear(61, 10), "cross_entropy", rows), "whole numbers"),
        (lambda: Supervised(predictors.Linear(61, 10), "squares", FEW), "takes one output"),
        (lambda: Supervised(predictors.Linear(61, 1), "logistic", FEW), "-1 and \\+1"),
        (lambda: Supervised(predictors.Linear(61, 10), "hinge", FEW), "not known"),
        (lambda: Supervised(None, "squares", FEW), "predictors"),
        (lambda: Supervised(predictors.Linear(61), "squares", FEW.inputs), "sources"),
        (lambda: sources.Stream(lambda n, u, out: 0.0, 2, 2), "not compiled"),
        (lambda: NETWORK.test_accuracy(np.zeros(NETWORK.dimension)), "held out"),
        (lambda: sources.Rows(np.ma.masked_array(np.ones((2, 2)), [[1, 0], [0, 0]]), [0, 1]), "mask"),
    ]
    for build, words in cases:
        with pytest.raises(InvalidInput, match=words):
            build()
    p = MULTINOMIAL.predictor
    with pytest.raises(InvalidInput, match="pullback_function is wrong.*2 times"):
        predictors.UserPredictor(p.predict, lambda x, a, s: 2 * p.pullback(x, a, s), 61, 10, 620)
    wrong = losses.UserOutputLoss(lambda f, y: (f[..., 0] - y) ** 2, lambda f, y: f - y[..., None])
    with pytest.raises(InvalidInput, match="slope_function of the loss is wrong.*0.5 times"):
        Supervised(predictors.Linear(61), wrong, FEW)


@pytest.mark.extras
@pytest.mark.parametrize("name", PROBLEMS)
def test_loss_accuracy_and_gradient_equal_torch_on_the_digits(name):
    """All 1797 digits, torch's own layers, loss and autograd, to 1e-10; a module becomes the same problem."""
    torch = optional("torch")
    rows = sources.Rows(DIGITS.inputs / 16, DIGITS.labels)
    problem = Supervised(PROBLEMS[name].predictor, "cross_entropy", rows)
    layers = [torch.nn.Linear(61, 10)]
    if name == "network":
        layers = [torch.nn.Linear(61, 12), torch.nn.Tanh(), torch.nn.Linear(12, 10)]
    net = torch.nn.Sequential(*layers).double()
    x = problem.predictor.start(1, seed=8)[0]
    torch.nn.utils.vector_to_parameters(torch.from_numpy(x.copy()), net.parameters())
    inputs, labels = torch.from_numpy(rows.inputs.copy()), torch.from_numpy(rows.labels.astype(np.int64))
    found = net(inputs)
    loss = torch.nn.functional.cross_entropy(found, labels)
    loss.backward()
    gradient = torch.cat([p.grad.ravel() for p in net.parameters()]).numpy()
    right = (found.argmax(dim=1) == labels).double().mean().item()
    few = np.arange(40)
    module = predictors.TorchPredictor.from_module(net, 61)
    same = SampleLoss.from_module(net, rows.inputs, rows.labels.astype(int), torch.nn.functional.cross_entropy)
    np.testing.assert_array_equal(same.start, x)
    for one in (problem, in_numpy(problem), Supervised(module, "cross_entropy", rows), same):
        assert float(one.risk(x)) == pytest.approx(loss.item(), rel=1e-10)
        np.testing.assert_allclose(one.gradient(x), gradient, atol=1e-10)
        each = one.sample_loss_gradients(x[None], few[None])
        np.testing.assert_allclose(each, problem.sample_loss_gradients(x[None], few[None]), atol=1e-10)
        if one is not same:
            assert float(one.accuracy(x)) == pytest.approx(right, abs=1e-10)
    torch_run, own = (
        SGD(p, 0.2, 4).simulate(x, 10, 3, "state", record=[10], seed=1)["state"].values for p in (same, problem)
    )
    np.testing.assert_allclose(torch_run, own, atol=1e-10)


@pytest.mark.slow
def test_continuous_limits_say_what_a_smooth_loss_has():
    """Homogenized SGD names what there is; OU needs a minimum; the modified equation needs stored rows."""
    from sgdlimits import diffusions

    sgd = SGD(MULTINOMIAL, 0.1, 2)
    with pytest.raises(InvalidInput, match="ModifiedEquation or GradientFlow, or OrnsteinUhlenbeck about a minimum"):
        diffusions.HomogenizedSGD.of(sgd)
    x0 = MULTINOMIAL.predictor.start(4)
    for process in (diffusions.ModifiedEquation, diffusions.GradientFlow):
        assert np.isfinite(process.of(sgd).simulate(x0, 2, 4, "risk")["risk"]).all()
    stream = Supervised(predictors.Linear(2, 2), "cross_entropy", sources.Stream(ring, 2, 2))
    with pytest.raises(InvalidInput, match="endless"):
        diffusions.ModifiedEquation.of(SGD(stream, 0.1))
    with pytest.raises(InvalidInput, match="only least squares has labels"):
        diffusions.ModifiedEquation(MULTINOMIAL, 0.1, label_noise=0.1)
