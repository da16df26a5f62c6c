"""Torch functions of one path and one sample as NumPy functions of many, in double precision; imported late."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from sgdlimits.ensembles.philox import PACK
from sgdlimits.exact.errors import InvalidInput, MissingLibrary, calling

BLOCK = 2**20  # numbers of a pack of paths that torch may hold at once
ALONE = 2**16  # numbers that the samples of one path make from which on there is nothing to gain from others beside it


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
    whole = np.asarray(array).dtype.kind in "iub"
    return import_torch().from_numpy(np.array(array, dtype=np.int64 if whole else np.float64))


def stands_alone(samples: int, row_size: int) -> bool:
    """Whether so many samples of a path, of so many numbers each, are worked out by themselves."""
    return samples * row_size >= ALONE


def blocks(shape: tuple[int, ...], row_size: int) -> Iterator[tuple[slice, slice]]:
    """Of (paths, samples, ...), in blocks that the numbers of a path do not depend on: its bits might."""
    paths, samples = shape[:2]
    size = 1 if stands_alone(samples, row_size) else PACK
    length = max(1, BLOCK // (size * row_size))
    for start in range(0, paths, size):
        for first in range(0, samples, length):
            yield slice(start, start + size), slice(first, first + length)


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
