"""A torch module and a map-style data set as parts of a problem: items read once, the module tried on some of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.derivative_check import check_derivative, probe
from sgdlimits.exact.errors import InvalidInput, calling, flag

from .losses import OutputLoss, find_loss
from .sources import Rows
from .torch_functions import import_torch
from .torch_losses import TorchLoss
from .torch_modules import check_module
from .torch_predictors import TorchPredictor

PROBED = 4  # samples of the data that the module is tried on


def module_parts(
    net: Any, data: Any, loss: Any, test: Any, online: bool
) -> tuple[TorchPredictor, OutputLoss, Rows, Rows | None]:
    """Predictor, loss, rows and held-out rows of `Supervised.from_module`."""
    import_torch()
    rows, shape, whole, classes = _rows("data", data, flag("online", online))
    held_out = None
    if test is not None:
        held_out, test_shape, test_whole, test_classes = _rows("test", test, False)
        if test_shape != shape:
            raise InvalidInput(
                f"inputs of data have shape {shape}, and those of test {test_shape}: give both one shape"
            )
        whole, classes = whole and test_whole, classes and test_classes
    check_module(net, rows.inputs[:PROBED].reshape(-1, *shape), whole)
    predictor = TorchPredictor.from_module(net, shape, whole)
    if isinstance(loss, str | OutputLoss):
        return predictor, find_loss(loss), rows, held_out
    tried = rows.inputs[None, :PROBED]
    assert predictor.initial is not None  # a module has weights
    near = predictor.initial + 0.3 * probe(predictor.dimension)[1]  # outputs of its own weights may be all alike
    found = TorchLoss(loss, classes, probes=predictor.predict(near[None], tried)[0])
    return predictor, found, rows, held_out


def check_gradient(problem: Any) -> None:
    """Compare torch's gradient of a few samples with difference quotients, along one direction near the start.

    Raises
    ------
    InvalidInput
        If they differ: something is cut off from the derivative.
    """
    start, direction = problem.predictor.initial, probe(problem.dimension)[1]
    rows = np.arange(min(PROBED, problem.samples))[None]

    def value(places: np.ndarray) -> np.ndarray:
        return np.array([problem.sample_values((start + t * direction)[None], rows).sum() for t in places[:, 0]])

    def claimed(place: np.ndarray, sign: np.ndarray) -> np.ndarray:
        slope = problem.summed_gradients((start + place[0] * direction)[None], rows)[0]
        return sign * (slope @ direction)

    check_derivative("gradient that torch has of net and loss, which detach() cuts off,", value, claimed, 1)


def _rows(name: str, data: Any, single_pass: bool) -> tuple[Rows, tuple[int, ...], bool, bool]:
    """All items, stored flat; the shape of an input; whether inputs, and targets, are whole numbers."""
    torch = import_torch()
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")) or isinstance(data, torch.Tensor | np.ndarray):
        raise InvalidInput(
            f"{name} must be a map-style data set with len({name}) and {name}[i] = (input, target), got "
            f"{type(data).__name__}: wrap tensors in torch.utils.data.TensorDataset"
        )
    count = len(data)
    if not count:
        raise InvalidInput(f"{name} is empty")
    first, target = _item(name, data, 0)
    check_memory(f"keeping the {count} items of {name}", 24.0 * count * first.size, "give fewer, or smaller ones")
    inputs, labels, classes = np.empty((count, first.size)), np.empty(count), True
    for place in range(count):
        one, target = _item(name, data, place)
        if one.shape != first.shape:
            raise InvalidInput(f"{name}[{place}] has an input of shape {one.shape}, and {name}[0] of {first.shape}")
        inputs[place], labels[place] = one.ravel(), _number(target)
        classes = classes and target.dtype.kind in "iu"
    for place in {0, count - 1}:
        again, target = _item(name, data, place)
        if not np.array_equal(again.ravel(), inputs[place]) or _number(target) != labels[place]:
            raise InvalidInput(
                f"{name}[{place}] gives another sample when it is read again, and each is read once here: leave out "
                "its random transforms, or store what they give"
            )
    shape = first.shape or (1,)
    rows = Rows(inputs, labels, f"{count} items of {type(data).__name__}", single_pass)
    return rows, shape, first.dtype.kind in "iu", classes


def _number(target: np.ndarray) -> float:
    return float(target.reshape(-1)[0])


def _item(name: str, data: Any, place: int) -> tuple[np.ndarray, np.ndarray]:
    with calling(f"{name}[{place}]"):
        item = data[place]
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise InvalidInput(f"{name}[{place}] must be a pair (input, target), got {type(item).__name__}")
    one, label = (_array(f"{part} of {name}[{place}]", each) for part, each in zip(("the input", "the target"), item))
    if label.size != 1:
        raise InvalidInput(
            f"the target of {name}[{place}] must be one number, a class or a real number, got shape {label.shape}; "
            "SampleLoss.from_module takes arrays of several"
        )
    return one, label


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
