"""How a user's NumPy function is called: it can neither change what it is given nor what it gave before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import InvalidInput


def call(label: Callable[[], str] | str, function: Callable[..., Any], *arguments: Any) -> np.ndarray:
    """What the function returns as an array of its own: it may keep one buffer and fill it again.

    Its array arguments are read-only copies: a write into one is an error, and one around the flag (torch's are)
    changes nothing. A function that numba compiled gets writeable copies: it may have been compiled for those.

    Parameters
    ----------
    label : str or function () -> str
        What the function is called in a sentence.

    Raises
    ------
    InvalidInput
        If the function writes into an argument, or what it returns is no array.
    """
    compiled = hasattr(function, "py_func")
    given = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in arguments]
    for argument in given:
        if isinstance(argument, np.ndarray):
            argument.flags.writeable = compiled
    try:
        result = function(*given)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise InvalidInput(f"{_named(label)} wrote into its argument; return a new array") from None
    try:
        return np.array(result)
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInput(f"{_named(label)} returned {type(result).__name__}, not an array of numbers") from None


def _named(label: Callable[[], str] | str) -> str:
    return label if isinstance(label, str) else label()
