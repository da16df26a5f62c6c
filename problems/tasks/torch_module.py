"""A user's torch module with a map-style data set as a task; torch is imported when it is called."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from ..prediction import Supervised
from ..sources import Rows
from ..torch_modules import ModuleFunction
from ..torch_predictors import TorchPredictor
from ..torch_starts import ModuleStarts
from .task import Starts, Task, UserStarts


def torch_module(
    net: Any, data: Any, test: Any, loss: Any, online: bool = False, starts: Any = "reset", ridge: float = 0.0,
    name: str = "torch module",
) -> Task:  # fmt: skip
    """A torch module on a map-style data set, in double precision; all seeds at once through torch.func.

    Each item is read once, and kept. A minibatch is rows that a path's own random numbers choose, so that a seed means
    the same whatever loader, thread or chunk; the gradient of a batch is one way forth and one back for 16 seeds.

    Parameters
    ----------
    net, data, test, loss, ridge
        As in `Supervised.from_module`.
    online : bool
        A run meets each sample once at most, and is refused where they would run out. Else they are used again and
        again: by chance, reshuffled epoch by epoch, or all at once, as `discrete.SGD` is told.
    starts : "reset", "given", function, or Starts
        Weights: by every part's `reset_parameters`; those that the module has now; by a function that draws them in a
        module in place, as `net.apply` would; a law of all coordinates. What torch draws meanwhile are numbers of the
        path's own stream, not of torch's generator.
    name : str

    Returns
    -------
    Task
        `task.problem.predictor.initial` are the module's own weights, in the order of its parameters.

    Raises
    ------
    MissingLibrary
        If torch is not installed.
    InvalidInput
        If an item, the module or a start cannot be used.
    """
    if test is None:
        raise InvalidInput("test is None, and a task measures on held-out samples: give a map-style data set")
    problem = Supervised.from_module(net, data, loss, test, ridge, online, name)
    rows, predictor = problem.source, problem.predictor
    assert isinstance(predictor, TorchPredictor) and isinstance(predictor.function, ModuleFunction)
    assert isinstance(problem.test, Rows)
    used = "each met once" if rows.single_pass else "used again and again"
    about = f"{rows.rows} samples of a data set, inputs of shape {predictor.function.shape}, {used}"
    return Task(problem.name, problem, problem.test, _starts(net, predictor, starts), None, about)


def _starts(net: Any, predictor: TorchPredictor, starts: Any) -> Starts | UserStarts:
    if isinstance(starts, Starts | UserStarts):
        return starts
    if isinstance(starts, str) and starts == "given":
        assert predictor.initial is not None
        return Starts(predictor.initial, np.zeros(predictor.dimension))
    if isinstance(starts, str) and starts == "reset":
        return UserStarts(ModuleStarts(net), predictor.dimension)
    if callable(starts):
        return UserStarts(ModuleStarts(net, starts), predictor.dimension)
    raise InvalidInput(
        f"starts is {str(starts)[:60]!r}; allowed: 'reset', 'given', a function that draws the weights of a module in "
        "place, or a Starts"
    )
