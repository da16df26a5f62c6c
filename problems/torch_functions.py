"""Torch functions of one path and one sample as NumPy functions of many, in double precision; imported late."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, MissingLibrary, calling


def import_torch() -> Any:
    """Return torch, past what its first derivative warns of (its own use of what it deprecates).

    Raises
    ------
    MissingLibrary
        If it is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingLibrary(
            "a torch model needs torch, which is not installed: pip install torch (or give the model in NumPy or numba)"
        ) from None
    _first_derivative()
    return torch


@lru_cache(maxsize=None)
def _first_derivative() -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.func.vmap(torch.func.hessian(lambda x: (x**2).sum()))(torch.ones(1, 1))


def tensor(array: np.ndarray) -> Any:
    """A tensor with memory of its own: float64, or int64 for whole numbers."""
    array = np.array(array)
    return import_torch().from_numpy(array.astype(np.int64 if array.dtype.kind in "iub" else np.float64))


def torch_number(name: str, function: Callable[..., Any], *arguments: np.ndarray) -> None:
    """Raise unless a torch function of one path gives one number, a tensor of shape (), for these arrays."""
    torch = import_torch()
    with calling(name):
        found = function(*map(tensor, arguments))
    if not isinstance(found, torch.Tensor) or found.shape != ():
        got = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else type(found).__name__
        raise InvalidInput(f"{name} must return one number, a tensor of shape (), got {got}")


def vmapped(function: Callable[..., Any], gradient: bool = False) -> Callable[..., Any]:
    """f(x (d,), *sample) as a function of x (P, d) and arrays (P, B, ...), or its gradient in x: (P, B, ...).

    Where f gives a tuple of tensors, so does what is returned give one of arrays.
    """
    torch = import_torch()

    def evaluate(x: np.ndarray, *arrays: Any) -> np.ndarray | tuple[np.ndarray, ...]:
        one = torch.func.grad(function) if gradient else function
        over = torch.func.vmap(torch.func.vmap(one, in_dims=(None, *(0 for _ in arrays))), in_dims=0)
        tensors = (array if isinstance(array, torch.Tensor) else tensor(array) for array in arrays)
        with torch.no_grad():
            found = over(tensor(x), *tensors)
            return tuple(part.numpy() for part in found) if isinstance(found, tuple) else found.numpy()

    return evaluate


def module_function(net: Any, inputs: int) -> tuple[Callable[..., Any], np.ndarray, int]:
    """A module as f(x, input) in double precision, its parameters (d,) and its number of outputs.

    Raises
    ------
    InvalidInput
        If it is not a module, has no parameters, or cannot take an input of this length.
    """
    torch = import_torch()
    if not isinstance(net, torch.nn.Module):
        raise InvalidInput(f"net must be a torch.nn.Module, got {type(net).__name__}")
    net = copy.deepcopy(net).double().eval()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    shapes = {name: parameter.shape for name, parameter in net.named_parameters()}
    if not shapes:
        raise InvalidInput("net has no parameters, so there is nothing to descend")
    sizes = [shape.numel() for shape in shapes.values()]
    fixed = dict(net.named_buffers())

    def function(x: Any, a: Any) -> Any:
        parts = zip(shapes.items(), x.split(sizes))
        parameters = {name: part.reshape(shape) for (name, shape), part in parts}
        return torch.func.functional_call(net, {**parameters, **fixed}, (a,)).reshape(-1)

    initial = torch.nn.utils.parameters_to_vector(net.parameters()).numpy().copy()
    try:
        with torch.no_grad():
            outputs = function(torch.from_numpy(initial), torch.zeros(inputs, dtype=torch.float64)).numel()
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        raise InvalidInput(f"net cannot take one input of {inputs} numbers: {str(error)[:200]}") from None
    return function, initial, outputs
