"""A user's torch module with a map-style data set as a task; torch is imported when it is called."""

from __future__ import annotations

from typing import Any

import numpy as np
from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import InvalidInput, calling, flag, text

from ..prediction import Supervised
from ..sources import Rows
from ..torch_functions import import_torch
from ..torch_modules import check_module
from ..torch_predictors import TorchPredictor
from ..torch_starts import ModuleStarts
from .task import Starts, Task, UserStarts

PROBED = 4  # samples of the data that the module is tried on


def torch_module(
    net: Any, data: Any, test: Any, loss: Any, online: bool = False, starts: Any = "reset", ridge: float = 0.0,
    name: str = "torch module",
) -> Task:  # fmt: skip
    """A torch module on a map-style data set, in double precision; all seeds at once through torch.func.

    Each item is read once, and kept. A minibatch is rows that a path's own random numbers choose, so that a seed means
    the same whatever loader, thread or chunk; the gradient of a batch is one way forth and one back for 16 seeds.

    Parameters
    ----------
    net : torch.nn.Module
        Called on batches (B, *shape of an input), it gives (B,) or (B, K). A copy is used; parameters that require no
        gradient stay as they are, and buffers too. Parts with another training than evaluation mode, as Dropout and
        BatchNorm, are refused, unless `net.eval()` was called.
    data, test : map-style data sets
        `len(data)`, and `data[i]` = (input, target): a tensor, array or number of any shape, of whole numbers for an
        embedding, and a number, whole for a class.
    loss : "cross_entropy", "squares", "logistic", or object of problems.losses
        As in `Supervised`; squares are (output - target)^2 / 2.
    online : bool
        A run meets each sample once at most, and is refused where they would run out. Else they are used again and
        again: by chance, reshuffled epoch by epoch, or all at once, as `discrete.SGD` is told.
    starts : "reset", "given", function, or Starts
        Weights: by every part's `reset_parameters`; those that the module has now; by a function that draws them in a
        module in place, as `net.apply` would; a law of all coordinates. What torch draws meanwhile are numbers of the
        path's own stream, not of torch's generator.
    ridge : float
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
    import_torch()
    online, name = flag("online", online), text("name", name)
    rows, shape, whole = _rows("data", data, online)
    held_out, test_shape, test_whole = _rows("test", test, False)
    if test_shape != shape:
        raise InvalidInput(f"inputs of data have shape {shape}, and those of test {test_shape}: give both one shape")
    whole = whole and test_whole
    check_module(net, rows.inputs[:PROBED].reshape(-1, *shape), whole)
    predictor = TorchPredictor.from_module(net, shape, whole, evaluation=False)
    problem = Supervised(predictor, loss, rows, ridge, test=held_out, name=name)
    used = "each met once" if online else "used again and again"
    about = f"{rows.rows} samples of a data set, inputs of shape {shape}, {used}"
    return Task(name, problem, held_out, _starts(net, predictor, starts), None, about)


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


def _rows(name: str, data: Any, single_pass: bool) -> tuple[Rows, tuple[int, ...], bool]:
    """All items, stored flat; the shape of an input; whether inputs are whole numbers."""
    torch = import_torch()
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")) or isinstance(data, torch.Tensor | np.ndarray):
        raise InvalidInput(
            f"{name} must be a map-style data set with len({name}) and {name}[i] = (input, target), got "
            f"{type(data).__name__}: wrap tensors in torch.utils.data.TensorDataset"
        )
    count = len(data)
    if not count:
        raise InvalidInput(f"{name} is empty")
    first, label = _item(name, data, 0)
    check_memory(f"keeping the {count} items of {name}", 24.0 * count * first.size, "give fewer, or smaller ones")
    inputs, labels = np.empty((count, first.size)), np.empty(count)
    for place in range(count):
        one, label = _item(name, data, place)
        if one.shape != first.shape:
            raise InvalidInput(f"{name}[{place}] has an input of shape {one.shape}, and {name}[0] of {first.shape}")
        inputs[place], labels[place] = one.ravel(), label
    for place in {0, count - 1}:
        again, label = _item(name, data, place)
        if not np.array_equal(again.ravel(), inputs[place]) or label != labels[place]:
            raise InvalidInput(
                f"{name}[{place}] gives another sample when it is read again, and each is read once here: leave out "
                "its random transforms, or store what they give"
            )
    shape = first.shape or (1,)
    return Rows(inputs, labels, f"{count} items of {type(data).__name__}", single_pass), shape, first.dtype.kind in "iu"


def _item(name: str, data: Any, place: int) -> tuple[np.ndarray, float]:
    with calling(f"{name}[{place}]"):
        item = data[place]
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise InvalidInput(f"{name}[{place}] must be a pair (input, target), got {type(item).__name__}")
    one, label = (_array(f"{part} of {name}[{place}]", each) for part, each in zip(("the input", "the target"), item))
    if label.size != 1:
        raise InvalidInput(
            f"the target of {name}[{place}] must be one number, a class or a real number, got shape {label.shape}"
        )
    return one, float(label.reshape(-1)[0])


def _array(what: str, value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        found = np.asarray(value)
        return found if found.dtype.kind in "iuf" else found.astype(np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(
            f"{what} must be a tensor, an array or a number, got {type(value).__name__}: let the data set give tensors"
        ) from None
