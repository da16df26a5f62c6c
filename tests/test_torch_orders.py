"""Orders of the modified equations on a smooth network: weak in one step of all batches, strong under one noise."""

import os
import subprocess
import sys

import numpy as np
import pytest
from tests.generators import Generator
from tests.optional import optional

from sgdlimits import diffusions
from sgdlimits.compare.fits import exponent
from sgdlimits.ensembles.random import Noise
from sgdlimits.problems import Supervised, predictors, samplings, sources

DRAW = np.random.Generator(np.random.Philox(5))
INPUTS = DRAW.standard_normal((5, 6))
TARGETS = np.sin(INPUTS[:, 0]) + 1.0
WEIGHTS = DRAW.standard_normal(97) / 5
BATCH = 2


@pytest.mark.extras
def test_one_step_has_the_weak_orders_that_are_claimed():
    """Slopes 2 and 3 of |E g(SGD) - E g(equation)|, of two functions and both samplings; the first misses 3.

    SGD's side is every batch. The equation's is its Ito-Taylor expansion, its generator applied three times, so that
    what is left out is of order 4; without the third term the second equation's error is another.
    """
    torch = optional("torch")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Tanh(), torch.nn.Linear(12, 1)).double()
    data = torch.utils.data.TensorDataset(torch.tensor(INPUTS), torch.tensor(TARGETS))
    given = Supervised.from_module(net, data, torch.nn.functional.mse_loss)
    x, function = given.predictor.initial, given.predictor.function
    assert x.size == 97
    rows, factors, chances = [], [], []
    for sampling in ("with_replacement", "without_replacement"):
        batches, chance = samplings.all_batches(BATCH, sampling, 5)
        rows.append(given.batch_gradients(np.tile(x, (len(batches), 1)), batches))
        chances.append(chance)
        factors.append(samplings.sampling_factor(BATCH, sampling, 5))
    sizes, direction, place = 0.04 / 2.0 ** np.arange(4), torch.tensor(WEIGHTS), torch.tensor(x)

    def seen(z):
        return torch.stack([torch.sin(z @ direction), (z @ direction) ** 2 / 2])

    def sgd(which):
        ends = torch.tensor(x - sizes[:, None, None] * rows[which])
        return torch.func.vmap(torch.func.vmap(seen))(ends).numpy().transpose(0, 2, 1) @ chances[which]

    exact = np.stack([sgd(0), sgd(1)])  # sampling, size, function
    samples = torch.tensor(INPUTS), torch.tensor(TARGETS)
    loss = lambda z, a, y: (function(z, a)[0] - y) ** 2  # noqa: E731
    slopes = {}
    for order in (1, 2):
        made = Generator(loss, samples, order)
        equation = diffusions.ModifiedEquation(given, sizes[0], BATCH, order=order)
        np.testing.assert_allclose(equation.drift(0.0, x[None])[0], made.drift(place, sizes[0]).numpy(), atol=1e-12)
        columns = equation.diffusion_product(0.0, np.tile(x, (5, 1)), np.eye(5))
        scaled = np.sqrt(sizes[0] / BATCH / 5) * made.columns(place).numpy()
        np.testing.assert_allclose(columns, scaled, atol=1e-12)
        terms = made.expansion(seen, place, torch.tensor(sizes), torch.tensor(factors), 3)  # term, sampling, size, g
        for count in (2, 3):
            errors = np.abs(terms[: count + 1].sum(axis=0) - exact)
            slopes[order, count] = np.log2(errors[:, :-1] / errors[:, 1:]), errors
    assert np.abs(slopes[1, 3][0][:, -1] - 2).max() < 0.06
    assert np.abs(slopes[2, 3][0][:, -1] - 3).max() < 0.08
    assert slopes[1, 3][0].max() < 2.5
    assert np.abs(slopes[1, 2][0][:, -1] - 2).max() < 0.1  # twice suffices for the first
    assert (np.abs(slopes[2, 2][1] / slopes[2, 3][1] - 1)[:, -1, 0] > 0.5).all()  # and not for the second


def coupled(problem, x0, size, order, batch, paths, seed, increments=64):
    """Root mean square of Gaussian-weight SGD less its equation, at time 1/2 under the same noise, and its error.

    The equation by Heun's drift and Euler's noise, in `increments` a step: of second order in the drift.
    """
    equation = diffusions.ModifiedEquation(problem, size, batch, order=order)
    noise, h = Noise(seed, np.arange(paths), "float64"), size / increments
    x = np.tile(x0, (paths, 1))
    y = x
    for k in range(round(0.5 / size)):
        total = np.zeros((paths, problem.samples))
        for j in range(increments):
            w = np.sqrt(h) * noise.normals(64, k * increments + j, problem.samples)
            total += w
            drift, moved = equation.drift(0.0, y), equation.diffusion_product(0.0, y, w)
            y = y + h / 2 * (drift + equation.drift(0.0, y + h * drift + moved)) + moved
        x = x + equation.gradient.descent(x, total, size, np.sqrt(size))
    squares = np.square(x - y).sum(axis=1)
    root = np.sqrt(squares.mean())
    return root, squares.std(ddof=1) / np.sqrt(paths) / (2 * root)


@pytest.mark.slow
def test_gaussian_weights_follow_the_equations_path_by_path():
    """Root mean square of order 1 for the first equation and 3/2 for the second, by four standard errors."""
    rows = sources.Rows(INPUTS, TARGETS)
    problem = Supervised(predictors.TwoLayer(6, 12, 1, "tanh"), "squares", rows)  # the torch module's own twin
    x0 = problem.predictor.start(1, 3)[0]
    sizes = 1 / 2.0 ** np.arange(4, 8)
    for order, expected, others in ((1, 1.0, (1.5, 0.5)), (2, 1.5, (1.0, 2.0))):
        found = np.array([coupled(problem, x0, size, order, 8, 32, place) for place, size in enumerate(sizes)])
        slope = exponent(sizes, found[:, 0], found[:, 1])
        value, error = slope.coefficients[0], slope.errors[0]
        assert abs(value - expected) < 4 * error < 0.3
        assert all(abs(value - other) > 4 * error for other in others)


MEMORY = """
import resource, sys
import numpy as np, torch
torch.set_num_threads(1)
from sgdlimits import diffusions
from sgdlimits.problems import Supervised
net = torch.nn.Sequential(torch.nn.Linear(64, 100), torch.nn.Tanh(), torch.nn.Linear(100, 35), torch.nn.Tanh(),
                          torch.nn.Linear(35, 1))
inputs = np.random.Generator(np.random.Philox(3)).standard_normal((1000, 64))
data = torch.utils.data.TensorDataset(torch.tensor(inputs), torch.tensor(np.sin(inputs[:, 0])))
problem = Supervised.from_module(net, data, "squares")
equation, x = diffusions.ModifiedEquation(problem, 0.05, 16), problem.predictor.initial
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
run = lambda paths: equation.simulate(x, 1, paths, "state", record=[1], threads=1, chunk=paths)
run(16)
before = peak()
run(512)
print(problem.dimension, peak() - before, 8 * 512 * problem.dimension, 8 * 1000 * problem.row_size)
"""


@pytest.mark.extras
@pytest.mark.slow
def test_memory_is_that_of_the_paths():
    """512 paths of 10 000 weights in one chunk, ends kept: below four times their numbers and a batch's activations."""
    optional("torch")
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, env=environment
    ).stdout.split()  # fmt: skip
    dimension, grown, paths, activations = map(int, told)
    assert 9_900 < dimension < 10_200
    assert grown < 4 * paths + activations
