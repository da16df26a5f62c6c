"""A torch module with a map-style data set as a task: the package's own network, the same bits, no sample met twice."""

import pickle
import sys

import numpy as np
import pytest
from tests.optional import optional
from tests.parameters import slowly

from sgdlimits import compare, diffusions, discrete
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, MissingLibrary
from sgdlimits.exact.fingerprints import fingerprint
from sgdlimits.problems import Supervised, predictors, sources, tasks

pytestmark = pytest.mark.extras
GENERATOR = np.random.Generator(np.random.Philox(11))
INPUTS = GENERATOR.standard_normal((60, 4))
LABELS = {"squares": np.sin(INPUTS[:, 0]), "cross_entropy": (INPUTS[:, :3].argmax(axis=1)).astype(np.int64)}
IMAGES = GENERATOR.standard_normal((48, 1, 6, 6))
CLASSES = (IMAGES.mean(axis=(1, 2, 3)) > 0).astype(np.int64)


def dataset(inputs, labels):
    torch = optional("torch")
    return torch.utils.data.TensorDataset(torch.tensor(inputs), torch.tensor(labels))


def tanh_task(loss="squares", compiled=False, **settings):
    """A tanh network with six hidden units, and the same in the package's own code, in NumPy or compiled."""
    torch, outputs = optional("torch"), 1 if loss == "squares" else 3
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, outputs))
    labels = LABELS[loss]
    training, held_out = dataset(INPUTS[:40], labels[:40]), dataset(INPUTS[40:], labels[40:])
    task = tasks.torch_module(net, training, held_out, loss, **settings)
    rows, test = sources.Rows(INPUTS[:40], labels[:40]), sources.Rows(INPUTS[40:], labels[40:])
    own = predictors.TwoLayer(4, 6, outputs, "tanh")
    if not compiled:
        own = predictors.UserPredictor(
            own.predict, own.pullback, 4, outputs, own.dimension, hessian_function=own.hessians
        )
    return task, Supervised(own, loss, rows, settings.get("ridge", 0.0), test=test)


def convolution():
    nn = optional("torch").nn
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.GELU(), nn.GroupNorm(1, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)
    )


def image_task(**settings):
    images, test = dataset(IMAGES[:32], CLASSES[:32]), dataset(IMAGES[32:], CLASSES[32:])
    return tasks.torch_module(settings.pop("net", None) or convolution(), images, test, "cross_entropy", **settings)


def ends(problem, x, steps=20, **settings):
    sgd = discrete.SGD(problem, settings.pop("step_size", 0.1), settings.pop("batch_size", 4), **settings)
    return sgd.simulate(x, steps, len(x), "state", record=[steps], seed=3, threads=1)["state"].values[:, 0]


@pytest.mark.parametrize(("loss", "compiled"), slowly([("squares", False), ("cross_entropy", True)], lambda c: c[1]))
def test_a_module_is_the_package_own_network(loss, compiled):
    """Same weights and batches: ends of SGD, Adam, momentum and full batches to 1e-10; other batches are seen."""
    task, own = tanh_task(loss, compiled, ridge=0.01)
    x = task.starts(5, 2)
    for settings in (
        {}, {"sampling": "reshuffle"}, {"sampling": "without_replacement", "batch_size": 40},
        {"rule": "adam", "step_size": 0.01}, {"momentum": 0.5},
    ):  # fmt: skip
        np.testing.assert_allclose(ends(task.problem, x, **settings), ends(own, x, **settings), atol=1e-10)
    assert np.abs(ends(task.problem, x) - ends(own, x, sampling="reshuffle")).max() > 1e-3
    np.testing.assert_allclose(task.problem.risk(x), own.risk(x), atol=1e-13)
    np.testing.assert_allclose(task.test_risk(x), own.test_risk(x), atol=1e-13)
    np.testing.assert_allclose(task.outputs(x), own.outputs(x, own.test.inputs), atol=1e-13)


def test_hessians_sharpness_and_flow_are_the_package_own():
    """Hessian and its products to 1e-12, its largest eigenvalue without differences, gradient flow to 1e-9."""
    task, compiled = tanh_task(compiled=True)
    _, own = tanh_task()
    x = task.starts(1, 2)[0]
    np.testing.assert_allclose(task.problem.hessian(x), compiled.hessian(x), atol=1e-12)
    v = np.cos(np.arange(x.size))
    np.testing.assert_allclose(task.problem.hessian_product(x, v), compiled.hessian_product(x, v), atol=1e-12)
    top, mine = (discrete.sharpness(problem, x) for problem in (compiled, task.problem))
    assert mine.value == pytest.approx(top.value, rel=1e-9) and not mine.differences
    flows = [diffusions.GradientFlow(problem, 0.1).solve(x, 5)["state"].values for problem in (own, task.problem)]
    np.testing.assert_allclose(*flows, atol=1e-9)


def test_gradients_of_a_convolution_are_those_of_autograd_and_need_no_row_of_each_sample(monkeypatch):
    """Mean and weighted gradients of three seeds against torch's own backward, without any (P, B, d); blocks too."""
    torch, task = optional("torch"), image_task()
    monkeypatch.setattr(predictors.TorchPredictor, "pullback", None)
    x, images, labels = task.starts(3, 0), torch.tensor(IMAGES[:32]), torch.tensor(CLASSES[:32])
    weights = Noise(1, np.arange(3), "float64").normals(64, 0, 32)
    weights -= weights.mean(axis=1, keepdims=True)
    means, noisy = [], []
    for start, each in zip(x, weights):
        net = convolution().double()
        torch.nn.utils.vector_to_parameters(torch.tensor(start), net.parameters())
        losses = torch.nn.functional.cross_entropy(net(images), labels, reduction="none")
        for found, total in ((means, losses.mean()), (noisy, losses @ torch.tensor(each))):
            parts = torch.autograd.grad(total, list(net.parameters()), retain_graph=True)
            found.append(torch.cat([part.ravel() for part in parts]).numpy())
    np.testing.assert_allclose(task.problem.gradient(x), means, atol=1e-12)
    np.testing.assert_allclose(task.problem.weighted_gradients(x, weights), noisy, atol=1e-12)
    monkeypatch.setattr("sgdlimits.problems.torch_functions.BLOCK", 1000)
    np.testing.assert_allclose(task.problem.gradient(x), means, atol=1e-12)
    limit = diffusions.ModifiedEquation.of(discrete.SGD(task.problem, 0.05, 4))
    assert np.isfinite(limit.simulate(x, 2, 3, "risk", seed=1, threads=1)["risk"]).all()


@pytest.mark.parametrize("sampling", ["with_replacement", "reshuffle"])
def test_the_bits_do_not_depend_on_chunks_or_threads(sampling):
    """Forty paths at once, in pieces of 16, on two threads, and some alone; torch's own generator plays no part."""
    torch, task = optional("torch"), image_task()
    sgd = discrete.SGD(task.problem, 0.1, 5, sampling=sampling)
    settings = {"observables": ("state", "risk"), "record": [12], "seed": 4}

    def run(paths, first=0, **more):
        torch.manual_seed(first)
        return sgd.simulate(task.starts(paths, 7, first), 12, paths, first_path=first, **settings, **more)

    whole = run(40, threads=1, chunk=48)
    for other in (run(40, threads=2, chunk=16), run(40, threads=1, chunk=32)):
        np.testing.assert_array_equal(whole["state"], other["state"])
        np.testing.assert_array_equal(whole["risk"], other["risk"])
    np.testing.assert_array_equal(whole["state"][5:23], run(18, 5, threads=1)["state"])
    assert np.unique(whole["state"].values[:, 0, 0]).size == 40


def test_weights_are_reset_under_seeds_of_the_package():
    """The law of torch's layers, by moments of 150 paths; pieces are rows of the whole; torch's generator stands."""
    torch, task = optional("torch"), image_task()
    before = torch.random.get_rng_state()
    x = task.starts(150, 5)
    np.testing.assert_array_equal(np.concatenate([task.starts(3, 5), task.starts(4, 5, 3)]), x[:7])
    assert torch.equal(before, torch.random.get_rng_state())
    assert not (task.starts(2, 6) == x[:2])[:, :30].any()
    for part, fan in ((x[:, :30], 9), (x[:, 36:], 12)):  # torch draws uniformly up to 1 / sqrt(fan-in), biases too
        uniform = part * fan**0.5
        assert 0.98 < np.abs(uniform).max() < 1 and abs(uniform.mean()) < 4 / np.sqrt(3 * uniform.size)
        assert uniform.var() == pytest.approx(1 / 3, rel=0.06)
    assert (x[:, 30:33] == 1).all() and (x[:, 33:36] == 0).all()  # GroupNorm
    assert np.abs(np.corrcoef(x[:, :30].T) - np.eye(30)).max() < 5 / np.sqrt(150)

    def normal(net):
        for part in net.modules():
            if isinstance(part, torch.nn.Linear):
                torch.nn.init.normal_(part.weight, std=0.5)
                torch.nn.init.trunc_normal_(part.bias, 1.0, 0.1)

    net = convolution()
    given = torch.nn.utils.parameters_to_vector(net.parameters()).detach().double().numpy()
    drawn = image_task(net=net, starts=normal).starts(60, 5)
    assert drawn[:, 36:60].std() == pytest.approx(0.5, rel=0.05) and abs(drawn[:, 60:].mean() - 1) < 0.03
    np.testing.assert_array_equal(drawn[:, :36], np.tile(given[:36], (60, 1)))
    fixed = image_task(net=net, starts="given")
    assert fixed.start.fixed and (fixed.starts(2, 0) == given).all()
    with pytest.raises(InvalidInput, match="only uniform_, normal_, rand and randn"):
        image_task(starts=lambda net: net[0].weight.copy_(torch.bernoulli(net[0].weight * 0 + 0.5)))


def test_golden_path_and_dose_response_take_a_module():
    """Online and offline, verdicts of all four criteria, probabilities compared; the ladder has its intervals."""
    online, offline = image_task(online=True), image_task()
    sgd = discrete.SGD(online.problem, 0.1, 1, sampling="reshuffle")
    found = compare.golden_path(online, sgd, 4, batch_size=2, steps=8, seeds=4)
    assert "batch size 4" in found.dataset.attrs["noiseless"] and "online" in str(found) and "F3" in str(found)
    full = compare.golden_path(offline, discrete.SGD(offline.problem, 0.1, 2), 4, batch_size=None, steps=8, seeds=4)
    assert full.dataset.attrs["silent"] and np.isfinite(full.dataset["distance"]).all()
    ladder = compare.dose_response(offline, discrete.SGD(offline.problem, 0.1), 8, batch_sizes=[1, 8], seeds=4)
    assert np.isfinite(ladder.dataset["relative_upper"]).all()


class Pairs:
    """A map-style data set of a function."""

    def __init__(self, item, length=6):
        self.item, self.length = item, length

    def __len__(self):
        return self.length

    def __getitem__(self, place):
        return self.item(place)


def test_items_of_any_kind_are_read():
    """Numbers, arrays, tokens of an embedding, one-element targets; tied and frozen weights."""
    torch = optional("torch")
    nn = torch.nn

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.out = nn.Embedding(7, 3), nn.Linear(3, 7, bias=False)
            self.out.weight = self.table.weight

        def forward(self, tokens):
            return self.out(torch.tanh(self.table(tokens).mean(dim=1)))

    words = Pairs(lambda i: (np.array([i, (2 * i) % 7]), (3 * i) % 7))
    task = tasks.torch_module(Tied(), words, words, "cross_entropy")
    assert task.dimension == 21 and np.isfinite(ends(task.problem, task.starts(2, 0), 3)).all()
    slopes = [(task.problem.risk(task.starts(1, 0)[0] + e) - task.problem.risk(task.starts(1, 0)[0] - e)) / 2e-6
              for e in 1e-6 * np.eye(21)]  # fmt: skip
    np.testing.assert_allclose(task.problem.gradient(task.starts(1, 0)[0]), slopes, atol=1e-8)
    line = nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1))
    line[0].requires_grad_(False)
    numbers = Pairs(lambda i: (float(i), torch.tensor([i / 3])))
    task = tasks.torch_module(line, numbers, numbers, "squares")
    assert task.dimension == 3 and task.problem.source.labels.shape == (6,)
    assert line[0].weight.dtype == torch.float32 and line.training


def test_a_copy_is_the_same_problem():
    """Through pickle, used before or not: starts, gradients, and what tells settings apart."""
    task = image_task()
    mark = fingerprint(task.problem)
    x = task.starts(2, 0)
    slope = task.problem.gradient(x)
    again = pickle.loads(pickle.dumps(task))
    np.testing.assert_array_equal(again.problem.gradient(again.starts(2, 0)), slope)
    assert fingerprint(task.problem) == mark == fingerprint(again.problem) != fingerprint(image_task().problem)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_attention_has_gradients():
    """A quotient of differences along one direction, of tokens through one head."""
    nn = optional("torch").nn

    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.out = nn.Embedding(5, 4), nn.Linear(4, 5)
            self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, tokens):
            seen = self.table(tokens)
            return self.out(self.heads(seen, seen, seen, need_weights=False)[0][:, -1])

    words = Pairs(lambda i: (np.array([i % 5, (3 * i) % 5, 1]), i % 5))
    task = tasks.torch_module(Attending(), words, words, "cross_entropy")
    x, v = task.starts(1, 0)[0], np.cos(np.arange(task.dimension))
    quotient = (task.problem.risk(x + 1e-5 * v) - task.problem.risk(x - 1e-5 * v)) / 2e-5
    assert task.problem.gradient(x) @ v == pytest.approx(float(quotient), abs=1e-8) and abs(quotient) > 1e-4


@pytest.mark.parametrize(
    ("layers", "message"), [
        (lambda nn: [nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 1)], r"net \(BatchNorm1d\) gives other outputs"),
        (lambda nn: [nn.Linear(4, 5), nn.Dropout(0.2), nn.Linear(5, 1)], r"net \(Dropout\) .* net.eval\(\)"),
    ],
)  # fmt: skip
def test_parts_with_a_training_mode_are_refused_unless_it_is_off(layers, message):
    """One sentence; in evaluation mode the module is taken, and its buffers stay as they are."""
    nn = optional("torch").nn
    net, rows = nn.Sequential(*layers(nn)), dataset(INPUTS, LABELS["squares"])
    with pytest.raises(InvalidInput, match=message):
        tasks.torch_module(net, rows, rows, "squares")
    task = tasks.torch_module(net.eval(), rows, rows, "squares")
    assert np.isfinite(ends(task.problem, task.starts(2, 0), 3)).all()


def test_what_cannot_be_used_is_named(monkeypatch):
    """No data set, items that change, targets and shapes that do not fit, samples that mix, weights of no part."""
    torch = optional("torch")
    nn, rows = torch.nn, dataset(INPUTS, LABELS["squares"])
    net, random = nn.Linear(4, 1), np.random.default_rng(0)

    class Mixed(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs - inputs.mean(dim=0))

    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4))

        def forward(self, inputs):
            return inputs @ self.weight

    cases = [
        ((net, INPUTS, rows), "data must be a map-style data set"),
        ((net, rows, Pairs(None, 0)), "test is empty"),
        ((net, Pairs(lambda i: (random.standard_normal(4), 0.0)), rows), "gives another sample when it is read again"),
        ((net, Pairs(lambda i: (INPUTS[i], [0.0, 1.0])), rows), "must be one number"),
        ((net, Pairs(lambda i: INPUTS[i]), rows), r"must be a pair \(input, target\)"),
        ((net, Pairs(lambda i: (np.zeros(4 + i), 0.0)), rows), r"data\[1\] has an input of shape \(5,\)"),
        ((net, Pairs(lambda i: ("text", 0.0)), rows), "must be a tensor, an array or a number"),
        ((net, Pairs(lambda i: 1 / 0), rows), "raised ZeroDivisionError"),
        ((net, dataset(IMAGES, CLASSES), rows), "give both one shape"),
        ((nn.Linear(3, 1), rows, rows), r"net cannot take a batch of inputs of shape \(4, 4\)"),
        ((nn.Linear(4, 2), rows, rows), "squares takes one output"),
        ((nn.LazyLinear(1), rows, rows), "lazy modules"),
        ((lambda inputs: inputs, rows, rows), "net must be a torch.nn.Module"),
        ((nn.Tanh(), rows, rows), "no parameters that require a gradient"),
        ((Mixed(4, 1), rows, rows), "other outputs in a batch than by itself"),
        ((nn.Unflatten(1, (2, 2)), rows, rows), "nothing to descend"),
        ((Bare(), rows, rows), "'weight' among them, belong to no part with reset_parameters"),
    ]
    for given, message in cases:
        with pytest.raises(InvalidInput, match=message):
            tasks.torch_module(*given, "squares")
    with pytest.raises(InvalidInput, match="starts is 'zero'"):
        tasks.torch_module(net, rows, rows, "squares", starts="zero")
    with pytest.raises(InvalidInput, match="starts, a function of the module, raised KeyError"):
        tasks.torch_module(net, rows, rows, "squares", starts=lambda net: {}["weight"]).starts(1, 0)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingLibrary, match="pip install torch"):
        tasks.torch_module(net, rows, rows, "squares")
