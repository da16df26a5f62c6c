"""Exceptions, warnings and the input checks that raise them: one clear sentence each."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np


class SgdlimitsError(ValueError):
    """Base class of every error that this package raises on purpose."""


class InvalidInput(SgdlimitsError):
    """What was passed cannot be used; the message says what was got and what is allowed."""


class Unstable(SgdlimitsError):
    """The asked law does not exist at this step size.

    Attributes
    ----------
    threshold : float
        The step size at which it ceases to exist (nan where no step size helps).
    """

    def __init__(self, message: str, threshold: float = math.nan) -> None:
        super().__init__(message)
        self.threshold = threshold


class InfiniteVariance(Unstable):
    """The mean is stable, but the stationary second moment is infinite."""


class NoStationaryLaw(Unstable):
    """Not even the mean settles."""


class MissingLibrary(SgdlimitsError):
    """An optional library is not installed; the message carries its install line."""


class StabilityWarning(UserWarning):
    """The step size lies past a known threshold."""


class OverflowedPaths(UserWarning):
    """Some paths left the range of floating-point numbers."""


class LongRun(UserWarning):
    """What was asked will take long; the message says how long, and what to change."""


class MismatchedProcesses(UserWarning):
    """The sides of a comparison do not share problem, step size or batch size."""


def restore_read_only(self: Any, state: dict[str, Any]) -> None:
    """`__setstate__` of a frozen dataclass with read-only arrays: pickle and deepcopy make writeable ones."""
    for value in state.values():
        if isinstance(value, np.ndarray):
            value.setflags(write=False)
    self.__dict__.update(state)


def nearest(value: Any, allowed: Iterable[str]) -> str:
    """Return a ``did you mean`` ending for a misspelt name, or the list of allowed names."""
    names = [str(name) for name in allowed]
    close = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(map(repr, names))}"


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of the allowed names, else raise with the nearest one."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    raise InvalidInput(f"{name} is {value!r}, which is not known; {nearest(value, names)}")


def real_number(name: str, value: Any) -> float:
    """Return `value` as a finite float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise InvalidInput(f"{name} must be finite, got {value!r}")
    return number


def positive(name: str, value: Any) -> float:
    """Return `value` as a finite float above zero."""
    number = real_number(name, value)
    if number <= 0:
        raise InvalidInput(f"{name} must be above zero, got {value!r}")
    return number


def non_negative(name: str, value: Any) -> float:
    """Return `value` as a finite float of at least zero."""
    number = real_number(name, value)
    if number < 0:
        raise InvalidInput(f"{name} must be at least zero, got {value!r}")
    return number


def whole_number(name: str, value: Any, minimum: int = 0, maximum: int | None = None) -> int:
    """Return `value` as an int within its bounds; 3.0 counts as whole, 3.5 and True do not."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        raise InvalidInput(f"{name} must be a whole number, got {value!r}") from None
    if number < minimum or (maximum is not None and number > maximum):
        bounds = f"at least {minimum}" if maximum is None else f"between {minimum} and {maximum}"
        raise InvalidInput(f"{name} must be {bounds}, got {value!r}")
    return number


def finite_array(
    name: str, value: Any, shape: tuple[int | None, ...] | None = None, ndim: int | None = None
) -> np.ndarray:
    """Return `value` as a float64 array of the asked shape (None: any length) with finite entries."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} must be an array of numbers, got {type(value).__name__}") from None
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            want is None or got == want for want, got in zip(shape, array.shape)
        )
        if not fits:
            wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
            raise InvalidInput(f"{name} must have shape {wanted}, got {array.shape}")
    if ndim is not None and array.ndim != ndim:
        raise InvalidInput(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        count = int((~np.isfinite(array)).sum())
        raise InvalidInput(f"{name} must be finite, got {array[where]} at index {where} ({count} such entries)")
    return array


def covariance_matrix(name: str, value: Any, dimension: int) -> np.ndarray:
    """Return `value` as a symmetric positive semidefinite (d, d) array, rounding forgiven."""
    array = finite_array(name, value, shape=(dimension, dimension))
    scale = float(np.abs(array).max()) if array.size else 0.0
    if np.abs(array - array.T).max() > 1e-10 * scale:
        raise InvalidInput(f"{name} must be symmetric, got a largest asymmetry of {np.abs(array - array.T).max():.3g}")
    smallest = float(np.linalg.eigvalsh(array)[0])
    if smallest < -1e-10 * scale:
        raise InvalidInput(f"{name} must be positive semidefinite, got the eigenvalue {smallest:.3g}")
    return (array + array.T) / 2
