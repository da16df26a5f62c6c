"""How a user's function is called: it cannot change what it is given or gave before, and what it returns is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from .errors import InvalidInput, calling, function as checked_function

Label = Callable[[], str] | str  # what a function is called in a sentence; a function where that takes work


def call(label: Label, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns for read-only copies of its arrays.

    A write into one is an error, and one around the flag (torch's are) changes nothing. A function that numba compiled
    gets writeable copies: it may have been compiled for those.

    Parameters
    ----------
    label : str or function () -> str

    Raises
    ------
    InvalidInput
        If the function writes into an argument, or raises an error of its own.
    """
    compiled = isinstance(function, Dispatcher)
    given = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
    for argument in given:
        if isinstance(argument, np.ndarray):
            argument.flags.writeable = compiled
    with calling(label):
        try:
            return function(*given)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise InvalidInput(
                f"{_named(label)} wrote into its argument; return a new array, or work on a copy: x = x.copy()"
            ) from None


def own_array(label: Label, result: Any) -> np.ndarray:
    """What a function returned as an array of its own, of any kind: it may keep one buffer and fill it again."""
    if np.ma.isMaskedArray(result):
        raise InvalidInput(f"{_named(label)} returned a masked array; fill or drop what is masked")
    try:
        return np.array(result)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a torch tensor that needs a gradient
        raise _no_numbers(label, result, error) from None


def numbers(label: Label, result: Any, shape: tuple[int, ...] | None = None, given: str = "") -> np.ndarray:
    """What a function returned as a float64 array of its own; `given` says for what it was returned.

    Raises
    ------
    InvalidInput
        If it is not an array of real numbers, or has another shape than `shape`.
    """
    array = own_array(label, result)
    if np.iscomplexobj(array):
        raise InvalidInput(f"{_named(label)} returned complex numbers; it must return real ones")
    try:
        array = array.astype(np.float64, copy=False)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_numbers(label, result, error) from None
    if shape is not None and array.shape != shape:
        raise InvalidInput(f"{_named(label)} returned shape {array.shape}{given}; it must return {shape}")
    return array


def user_function(name: str, function: Any, compiled: bool = False, form: str = "") -> None:
    """Raise unless this is a function, compiled with numba where it must be; `form` says what it must look like."""
    checked_function(name, function)
    if compiled and not isinstance(function, Dispatcher):
        raise InvalidInput(f"{name} is not compiled; decorate it with numba.njit: {form}")


def unchanged(name: str, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> None:
    """Raise if a compiled function changed one of the arrays that it only reads (numba cannot forbid it)."""
    if all(np.array_equal(old, new, equal_nan=True) for old, new in zip(before, after)):
        return
    raise InvalidInput(f"{name} wrote into its argument; it may write into `out` alone")


def tried_out(
    name: str, function: Any, form: str, arguments: tuple[np.ndarray, ...], out: tuple[np.ndarray, ...]
) -> None:
    """Call a compiled function once on copies; raise if numba cannot compile it or it writes into an argument."""
    user_function(name, function, True, form)
    copies = [argument.copy() for argument in arguments]
    try:
        function(*copies, *out)
    except (NumbaError, TypeError) as error:
        raise InvalidInput(f"{name} cannot be compiled; its form must be {form}. numba says: {error}") from None
    unchanged(name, arguments, copies)


def _named(label: Label) -> str:
    return label if isinstance(label, str) else label()


def _no_numbers(label: Label, result: Any, error: Exception) -> InvalidInput:
    reason = f" ({str(error)[:120]})" if isinstance(error, RuntimeError) else ""
    return InvalidInput(f"{_named(label)} returned {type(result).__name__}, not an array of numbers{reason}")
