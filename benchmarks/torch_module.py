"""The modified equation of a torch module with 10 071 weights on 1000 samples, a path alone and sixteen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sgdlimits.diffusions import ModifiedEquation
from sgdlimits.problems import Supervised

SAMPLES, WIDTHS = 1000, (64, 100, 35, 1)


def problem() -> Supervised:
    """A tanh network with two hidden layers and squares."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in zip(WIDTHS, WIDTHS[1:]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.Tanh()]
    inputs = np.random.default_rng(0).standard_normal((SAMPLES, WIDTHS[0]))
    data = torch.utils.data.TensorDataset(torch.tensor(inputs), torch.tensor(np.sin(inputs[:, 0])))
    return Supervised.from_module(torch.nn.Sequential(*layers[:-1]), data, "squares")


def diffusion(trained: Supervised, order: int, steps: int, paths: int) -> Callable[[], object]:
    """Euler's steps of the equation, one a step of SGD with batches of 16; the norm at the end alone."""
    equation, x0 = ModifiedEquation(trained, 0.05, 16, order), trained.predictor.start(1)[0]
    return lambda: equation.simulate(x0, steps, paths, "norm", record=[steps], threads=1)
