"""Exceptions, warnings and the input checks that raise them: one clear sentence each."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np

LONGEST_VALUE = 60  # characters of a value that a message shows
LONGEST_LIST = 160  # characters of the allowed names that a message lists
LARGEST = 1e150  # of a number: its square is still one; where paths count as overflowed too
LARGEST_VARIANCE = LARGEST_LABEL = 1e75
LARGEST_FEATURE = 1e37  # of data: squares of curvatures, and of noise, are still numbers
LONGEST_COUNT = 2**62  # whole numbers beyond it fit in no array and no loop
LAST_SEED = 2**64 - 1


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
    directions : array (d, r), or None
        Orthonormal directions in which nothing settles at any step size, where it is these that forbid the law.
    """

    def __init__(self, message: str, threshold: float = math.nan, directions: np.ndarray | None = None) -> None:
        super().__init__(message)
        self.threshold = threshold
        self.directions = directions


class InfiniteVariance(Unstable):
    """The mean is stable, but the stationary second moment is infinite."""


class NoStationaryLaw(Unstable):
    """Not even the mean settles."""


class PositiveLyapunovExponent(NoStationaryLaw):
    """Paths run away: the Lyapunov exponent of the linear part is not below zero.

    Attributes
    ----------
    lyapunov_exponent : float
        Of the distance between two paths, per SGD step (nan where it was not needed to tell).
    """

    def __init__(self, message: str, threshold: float = math.nan, lyapunov_exponent: float = math.nan) -> None:
        super().__init__(message, threshold)
        self.lyapunov_exponent = lyapunov_exponent


class MissingLibrary(SgdlimitsError):
    """An optional library is not installed; the message carries its install line."""


class StabilityWarning(UserWarning):
    """The step size lies past a known threshold."""


class OutOfReach(InvalidInput):
    """A number that cannot be known as well as asked; the message says what it would take, or why nothing does.

    Attributes
    ----------
    above, about : float
        What was seen of it nonetheless: that a search up to there did not find it, or a guess without an interval; nan
        where nothing was.
    """

    def __init__(self, message: str, above: float = math.nan, about: float = math.nan) -> None:
        super().__init__(message)
        self.above, self.about = above, about


class IntervalNotReached(UserWarning):
    """An interval is wider than asked although all paths that may be spent are."""


class FailedCells(UserWarning):
    """Some cells of a sweep failed; their sentences stand in its result."""


class OverflowedPaths(UserWarning):
    """Some paths left the range of floating-point numbers."""


class LongRun(UserWarning):
    """What was asked will take long; the message says how long, and what to change."""


class MismatchedProcesses(UserWarning):
    """The sides of a comparison do not share problem, step size or batch size."""


def shown(value: Any) -> str:
    """A value for a message, of at most about 60 characters; an array by its type and shape."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"an array of {value.dtype} of shape {value.shape}"[:LONGEST_VALUE]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        # Python refuses to print whole numbers of more than 4300 digits.
        return f"a whole number of about {int(value.bit_length() * math.log10(2)) + 1} digits"
    if isinstance(value, (list, tuple, dict, set)) and len(value) > 20:
        return f"a {type(value).__name__} of {len(value)} entries"
    try:
        text = repr(value)
    except Exception:  # whatever a stranger's __repr__ raises, the message must come out
        text = kind(value)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 4]} ..."


def kind(value: Any) -> str:
    """What kind of thing a value is, for a message: "None", "the class LeastSquares", "ndarray"."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"[:LONGEST_VALUE]
    return type(value).__name__[:LONGEST_VALUE]



def nearest(value: Any, allowed: Iterable[str]) -> str:
    """Return a ``did you mean`` ending for a misspelt name, or the list of allowed names."""
    names = [str(name) for name in allowed]
    close = difflib.get_close_matches(value[:100], names, n=1, cutoff=0.5) if isinstance(value, str) else []
    if close:
        return f"did you mean {close[0]!r}?"
    listed = ", ".join(map(repr, names))
    return f"allowed: {listed if len(listed) <= LONGEST_LIST else listed[:LONGEST_LIST].rpartition(', ')[0] + ', ...'}"


def one_of(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of the allowed names, else raise with the nearest one."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    raise InvalidInput(f"{name} is {shown(value)}, which is not known; {nearest(value, names)}")


def some_of(name: str, values: Any, usual: Sequence[str], further: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names asked for, the usual ones for None, if each is one of these or of further ones."""
    if values is None:
        return tuple(usual)
    allowed = (*usual, *further)
    if not isinstance(values, str | list | tuple) or not values:
        raise InvalidInput(f"{name} must be names among {', '.join(allowed)}, got {shown(values)}")
    return tuple(one_of(name, value, allowed) for value in ((values,) if isinstance(values, str) else values))


def instance_of(name: str, value: Any, kinds: type | tuple[type, ...], hint: str = "") -> Any:
    """Return `value` if it is an instance of one of these classes, else raise; `hint` says what to pass."""
    if isinstance(value, kinds):
        return value
    names = [each.__name__ for each in (kinds if isinstance(kinds, tuple) else (kinds,))]
    ending = f"; {hint}" if hint else ""
    raise InvalidInput(f"{name} must be of the kind {' or '.join(names)}, got {kind(value)}{ending}")


def has_methods(name: str, value: Any, methods: Iterable[str], hint: str = "") -> Any:
    """Return `value` if it is an object (not a class) with all these methods or attributes, else raise."""
    missing = None
    for method in methods:
        if isinstance(value, type) or not hasattr(type(value), method) and method not in getattr(value, "__dict__", ()):
            missing = method
            break
    if missing is None:
        return value
    ending = f"; {hint}" if hint else ""
    raise InvalidInput(f"{name} must be an object with {missing!r}, got {kind(value)}{ending}")


def function(name: str, value: Any, form: str = "") -> Callable[..., Any]:
    """Return `value` if it can be called, else raise; `form` says of what it is a function."""
    if callable(value):
        return value
    raise InvalidInput(f"{name} must be a function{f' {form}' if form else ''}, got {shown(value)}")


def flag(name: str, value: Any) -> bool:
    """Return a yes or no as a bool; a text such as 'False' is neither."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise InvalidInput(f"{name} must be True or False, got {shown(value)}")


def text(name: str, value: Any) -> str:
    """Return `value` if it is a text with something in it that can be printed and written to a file."""
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise InvalidInput(f"{name} must be a text of printable characters, got {shown(value)}")


def _is_number(value: Any) -> bool:
    """Whether a value is one real number; texts, yes or no, dates and complex numbers are none."""
    if isinstance(value, (bool, np.bool_, str, bytes, np.datetime64, np.timedelta64)) or value is np.ma.masked:
        return False
    if isinstance(value, Real) and not isinstance(value, np.generic):
        return True
    dtype = getattr(value, "dtype", None)
    if getattr(value, "shape", None) == () and isinstance(dtype, np.dtype):
        return dtype.kind in "iuf"
    # A number of another library: Decimal, a torch or JAX scalar.
    one = getattr(value, "shape", ()) == () and "bool" not in str(dtype) and "complex" not in str(dtype)
    return one and hasattr(type(value), "__float__")


def real_number(name: str, value: Any) -> float:
    """Return `value` as a finite float."""
    try:
        if not _is_number(value):
            raise TypeError
        with np.errstate(over="ignore"):
            number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInput(f"{name} must be a number, got {shown(value)}") from None
    if not math.isfinite(number):
        raise InvalidInput(f"{name} must be finite, got {shown(value)}")
    if abs(number) > LARGEST:
        raise InvalidInput(f"{name} must be at most {LARGEST:g} in size, got {number:g}")
    return number


def positive(name: str, value: Any) -> float:
    """Return `value` as a finite float above zero."""
    number = real_number(name, value)
    if number <= 0:
        raise InvalidInput(f"{name} must be above zero, got {shown(value)}")
    return number


def non_negative(name: str, value: Any) -> float:
    """Return `value` as a finite float of at least zero."""
    number = real_number(name, value)
    if number < 0:
        raise InvalidInput(f"{name} must be at least zero, got {shown(value)}")
    return number


def several(name: str, values: Any) -> list[Any]:
    """Return a list of what can be run through; a single number or text is none."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput(f"{name} must be a list of values, got {values!r}: write [{values!r}] for one")
    return list(values)


def whole_number(name: str, value: Any, minimum: int = 0, maximum: int | None = None) -> int:
    """Return `value` as an int within its bounds (at most 2^62 by default); 3.0 counts as whole, 3.5 and True do not.
    """
    try:
        if not _is_number(value):
            raise TypeError
        fractional = isinstance(value, (float, np.floating))
        number = int(value) if fractional and float(value).is_integer() else operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInput(f"{name} must be a whole number, got {shown(value)}") from None
    if number < minimum or number > (LONGEST_COUNT if maximum is None else maximum):
        bounds = f"between {minimum} and {maximum}"
        if maximum is None:
            bounds = f"at least {minimum}" if number < minimum else "at most 2^62"
        raise InvalidInput(f"{name} must be {bounds}, got {shown(value)}")
    return number


def seed_number(value: Any, name: str = "seed") -> int:
    """Return a seed as an int: a whole number from 0 to 2^64 - 1, by the one rule of `whole_number`."""
    return whole_number(name, value, 0, LAST_SEED)


def real_array(name: str, value: Any) -> np.ndarray:
    """As a float64 array; what would lose its mask, imaginary part, unit or meaning on the way is refused."""
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        count = int(np.ma.getmaskarray(value).sum())
        raise InvalidInput(f"{name} has {count} masked entries: fill them, or drop their rows")
    try:
        given = np.asarray(value)
    except RuntimeError:
        raise InvalidInput(f"{name} is a tensor that needs a gradient: pass {name}.detach()") from None
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(
            f"{name} must be an array of numbers, got {kind(value)} whose rows differ in length or are no numbers"
        ) from None
    what = {"c": "complex numbers", "U": "texts", "S": "texts", "M": "dates", "m": "durations"}.get(given.dtype.kind)
    if given.dtype.kind == "O":
        odd = next((entry for entry in given.flat if entry is None or isinstance(entry, (str, bytes, dict))), 0)
        what = what if isinstance(odd, int) else kind(odd) if given.ndim == 0 or odd is None else "texts"
    if what is not None:
        raise InvalidInput(f"{name} must be an array of numbers, got {what}")
    try:
        with np.errstate(over="ignore"):
            return np.asarray(given, dtype=np.float64)
    except OverflowError:
        raise InvalidInput(f"{name} must hold numbers below 1.8e308, got a whole number beyond that") from None
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInput(f"{name} must be an array of numbers, got {kind(value)}") from None


def finite_array(
    name: str, value: Any, shape: tuple[int | None, ...] | None = None, ndim: int | None = None
) -> np.ndarray:
    """Return `value` as a float64 array of the asked shape (None: any length) with finite entries."""
    array = real_array(name, value)
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            want is None or got == want for want, got in zip(shape, array.shape)
        )
        if not fits:
            wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
            wanted = "(n,), one axis" if shape == (None,) else wanted
            raise InvalidInput(f"{name} must have shape {wanted}, got {array.shape}")
    if ndim is not None and array.ndim != ndim:
        raise InvalidInput(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        count = int((~np.isfinite(array)).sum())
        raise InvalidInput(f"{name} must be finite, got {array[where]} at index {where} ({count} such entries)")
    return array


def points(name: str, value: Any, dimension: int, finite: bool = True) -> np.ndarray:
    """Return `value` as float64 positions (..., d); with `finite` false, those of paths that overflowed pass."""
    array = finite_array(name, value) if finite else real_array(name, value)
    if array.shape[-1:] != (dimension,):
        raise InvalidInput(f"{name} must have {dimension} numbers in its last axis, got shape {array.shape}")
    return array


@contextmanager
def calling(what: Callable[[], str] | str) -> Iterator[None]:
    """Run a user's function: what it raises becomes a sentence that names it, with the error itself as the cause."""
    try:
        yield
    except (SgdlimitsError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        reason = reason if len(reason) <= 100 else f"{reason[:96]} ..."
        name = what if isinstance(what, str) else what()
        raise InvalidInput(f"{name} raised {type(error).__name__}: {reason or 'no reason given'}") from error


def axes(value: Any) -> int:
    """Number of axes of what stands for an array; -1 where its rows differ in length, which the next check names."""
    try:
        return np.ndim(value)
    except (TypeError, ValueError, RuntimeError):
        return -1


def of_size(name: str, array: np.ndarray, most: float) -> np.ndarray:
    """Return an array whose largest number is 0, or from 1 / most to `most` in size, else raise."""
    largest = float(np.abs(array).max(initial=0.0))
    if largest > most:
        raise InvalidInput(f"{name} must hold numbers of at most {most:g} in size, got {largest:.3g}: change the unit")
    if 0 < largest < 1 / most:
        raise InvalidInput(
            f"{name} must hold a number of at least {1 / most:g} in size, or zeros alone, got {largest:.3g}: change "
            "the unit"
        )
    return array


def symmetric_matrix(name: str, value: Any, dimension: int) -> np.ndarray:
    """Return `value` as a symmetric (d, d) array, rounding forgiven."""
    array = finite_array(name, value, shape=(dimension, dimension))
    if not array.size:
        raise InvalidInput(f"{name} must have at least one row and one column, got shape {array.shape}")
    scale = float(np.abs(array).max())
    if scale > 1e150:
        raise InvalidInput(f"{name} must hold numbers of at most 1e150, got {scale:.3g}: change the unit")
    if np.abs(array - array.T).max() > 1e-10 * scale:
        raise InvalidInput(f"{name} must be symmetric, got a largest asymmetry of {np.abs(array - array.T).max():.3g}")
    return (array + array.T) / 2


def covariance_matrix(name: str, value: Any, dimension: int) -> np.ndarray:
    """Return `value` as a symmetric positive semidefinite (d, d) array, rounding forgiven."""
    array = symmetric_matrix(name, value, dimension)
    smallest = float(np.linalg.eigvalsh(array)[0])
    if smallest < -1e-10 * float(np.abs(array).max()):
        raise InvalidInput(f"{name} must be positive semidefinite, got the eigenvalue {smallest:.3g}")
    return array
