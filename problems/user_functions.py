"""Calls of a user's NumPy function: it cannot write into what it gets, and what it returns is checked and copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, calling


def call(name: str, function: Callable[..., Any], *arguments: np.ndarray) -> Any:
    """Call a user's function on read-only views of arrays.

    Raises
    ------
    InvalidInput
        If it writes into one of them.
    """
    views = [argument.view() for argument in arguments]
    for view in views:
        view.flags.writeable = False
    with calling(name):
        try:
            return function(*views)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise InvalidInput(
                f"{name} writes into its argument, which belongs to the caller; work on a copy: x = x.copy()"
            ) from None


def numbers(name: str, result: Any, shape: tuple[int, ...] | None = None, given: str = "") -> np.ndarray:
    """What a user's function returned as a float64 array of its own; `given` says for what it was returned.

    Raises
    ------
    InvalidInput
        If it is not an array of real numbers, or has another shape than `shape`.
    """
    if np.ma.isMaskedArray(result):
        raise InvalidInput(f"{name} returned a masked array; fill or drop what is masked")
    try:
        if np.iscomplexobj(result):
            raise InvalidInput(f"{name} returned complex numbers; it must return real ones")
        array = np.array(result, dtype=np.float64)  # a copy: the function may reuse its buffer
    except InvalidInput:
        raise
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a torch tensor that needs a gradient
        reason = f" ({str(error)[:120]})" if isinstance(error, RuntimeError) else ""
        raise InvalidInput(f"{name} returned {type(result).__name__}, not an array of numbers{reason}") from None
    if shape is not None and array.shape != shape:
        raise InvalidInput(f"{name} returned shape {array.shape}{given}; it must return {shape}")
    return array


def compiled_function(name: str, function: Any, form: str) -> None:
    """Raise unless `function` is compiled with numba; `form` says what it must look like."""
    from numba.core.dispatcher import Dispatcher

    if not callable(function):
        raise InvalidInput(f"{name} must be a function, got {type(function).__name__}")
    if not isinstance(function, Dispatcher):
        raise InvalidInput(f"{name} is not compiled; decorate it with numba.njit: {form}")


def unchanged(name: str, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> None:
    """Raise if a compiled function changed one of the arrays that it only reads (numba cannot forbid it)."""
    if all(np.array_equal(old, new, equal_nan=True) for old, new in zip(before, after)):
        return
    raise InvalidInput(f"{name} writes into its argument, which belongs to the caller; it may write into `out` alone")


def tried_out(
    name: str, function: Any, form: str, arguments: tuple[np.ndarray, ...], out: tuple[np.ndarray, ...]
) -> None:
    """Call a compiled function once on copies; raise if numba cannot compile it or it writes into an argument."""
    from numba.core.errors import NumbaError

    copies = [argument.copy() for argument in arguments]
    try:
        function(*copies, *out)
    except (NumbaError, TypeError) as error:
        raise InvalidInput(f"{name} cannot be compiled; its form must be {form}. numba says: {error}") from None
    unchanged(name, arguments, copies)
