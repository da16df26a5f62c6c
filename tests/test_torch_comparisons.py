"""Every comparison that takes a built-in predictor takes the torch module of the same function, with its numbers."""

import numpy as np
import pytest
from tests.optional import optional

from sgdlimits import compare, diffusions, discrete
from sgdlimits.problems import Supervised, noise, predictors, sources, tasks, zero_loss

pytestmark = pytest.mark.extras
DRAW = np.random.Generator(np.random.Philox(51))
INPUTS, LABELS = DRAW.standard_normal((12, 3)), DRAW.standard_normal(12)
START = np.array([0.4, -0.3, 0.2, 0.1])


def pair():
    """The task of nn.Linear, whose weights come before its bias, and that of predictors.Linear."""
    torch = optional("torch")
    net = torch.nn.Linear(3, 1)
    torch.nn.utils.vector_to_parameters(torch.tensor(START, dtype=torch.float32), net.parameters())
    data = torch.utils.data.TensorDataset(torch.tensor(INPUTS), torch.tensor(LABELS))
    rows = sources.Rows(INPUTS, LABELS)
    own = Supervised(predictors.Linear(3), "squares", rows, test=rows)
    starts = tasks.Starts(START, np.full(4, 0.2))
    module = tasks.torch_module(net, data, data, "squares", starts=starts)
    return module, tasks.Task("own", own, rows, starts, None, "own")


def laws(task):
    sgd = discrete.SGD(task.problem, 0.05, 4, sampling="without_replacement")
    sides = [diffusions.ModifiedEquation.of(sgd), diffusions.GradientFlow.of(sgd), discrete.SVAG(sgd, 2)]
    return compare.laws(sgd, *sides, x0=START, steps=3, paths=64, solver="euler", threads=1)


def golden_path(task):
    sgd = discrete.SGD(task.problem, 0.05, 2)
    return compare.golden_path(task, sgd, 3, batch_size=None, steps=6, seeds=4, sharpness_seeds=1)


def dose_response(task):
    return compare.dose_response(task, discrete.SGD(task.problem, 0.05), 4, batch_sizes=[1, 2], seeds=4)


def last_iterates(task):
    starts = START + DRAW_OF_STARTS
    return compare.last_iterates(discrete.SGD(task.problem, 0.05), starts, 4, 60, threads=1, values=1000)


DRAW_OF_STARTS = 0.1 * DRAW.standard_normal((60, 4))
COMPARISONS = {
    "laws": laws,
    "golden_path": golden_path,
    "dose_response": dose_response,
    "last_iterates": last_iterates,
    "svag": lambda task: compare.svag(
        discrete.SGD(task.problem, 0.05, 2), START, 4, l=(1, 2), paths=64, record=[2, 4]
    ),
    "linear_scaling": lambda task: compare.linear_scaling(
        discrete.SGD(task.problem, 0.05, 2), START, 4, factors=(1, 2), paths=64
    ),
    "step_size_effect": lambda task: compare.step_size_effect(
        task.problem, START, 0.05, 6, sgd=discrete.SGD(task.problem, 0.05, 2), paths=32
    ),
    "singular_values": lambda task: compare.singular_values(
        discrete.SGD(task.problem, 0.05, 2), START, 4, runs=2, batches=3
    ),
    "finite_time_exponents": lambda task: compare.finite_time_exponents(discrete.SGD(task.problem, 0.05), START, 6),
}


def numbers(dataset):
    for name, values in dataset.variables.items():
        if values.dtype.kind == "f" and name != "seconds":
            yield name, values.values


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPARISONS)
def test_a_module_has_the_numbers_of_its_built_in_twin(name):
    """All numbers of the result, to the rounding of two ways of summing."""
    module, own = (dict(numbers(COMPARISONS[name](task).dataset)) for task in pair())
    assert module.keys() == own.keys() and module
    for each, values in own.items():
        scale = np.abs(values[np.isfinite(values)]).max(initial=0.0)
        np.testing.assert_allclose(module[each], values, rtol=1e-5, atol=1e-6 * scale + 1e-9, err_msg=each)


@pytest.mark.slow
def test_a_module_has_a_set_of_zero_loss_like_its_twin():
    """The limit's regime, time scales and curve of a module of two layers, by torch and by this package's formulas."""
    torch = optional("torch")
    net = torch.nn.Sequential(torch.nn.Linear(1, 2, bias=False), torch.nn.Linear(2, 1, bias=False))
    weights = np.array([0.9, 0.7, 0.8, 0.6])
    torch.nn.utils.vector_to_parameters(torch.tensor(weights, dtype=torch.float32), net.parameters())
    made = predictors.TorchPredictor.from_module(net, (1,))
    module = zero_loss.PredictorRegression(made, np.ones((1, 1)), np.ones(1))
    own = zero_loss.ProductSum(2)  # x_1 y_1 + x_2 y_2 = 1, in the module's order of weights
    found = []
    for model in (module, own):
        process = discrete.NoisyGradientDescent(model, noise.WeightNoise(0.1), 0.05)
        limit = diffusions.ManifoldLimit.of(process, start=weights)
        assert limit.regime == "non-degenerate"
        times = compare.time_scales(
            [compare.TimeScale(process, weights, kind) for kind in ("relaxation", "equilibration")], rungs=2
        ).dataset
        along = compare.manifold(process, limit, weights, time=0.2, paths=16, rungs=2, threads=1).dataset
        found.append([limit.solve(weights, [0.5])["w"].values, times["time"].values, dict(numbers(along))])
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-6)
    for each, values in found[1][2].items():
        np.testing.assert_allclose(found[0][2][each], values, rtol=1e-3, atol=1e-6, err_msg=each)
