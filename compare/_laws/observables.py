"""What a comparison looks at: functions of the position, and which of their expectations follow from two moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import Gaussian, initial_state, recorded_steps
from sgdlimits.ensembles.observables import Reducer
from sgdlimits.ensembles.passages import FirstPassage
from sgdlimits.exact.errors import InvalidInput, one_of

from ..capabilities import risk_floor, shown

NAMES = ("risk", "excess", "norm", "test_risk")
LARGEST_DIMENSION = 24  # up to which a user's function is tried for a quadratic; beyond, for a linear one
SCALES = (1e-3, 1.0, 30.0, 1e3)  # around the start, at which the two must agree


@dataclass(frozen=True, eq=False)
class Quadratic:
    """constant + <linear, x> + <x, matrix x>."""

    constant: float
    linear: np.ndarray
    matrix: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.constant + x @ self.linear + np.einsum("...i,ij,...j->...", x, self.matrix, x)

    def expectation(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """E (steps,) from moments (steps, d), (steps, d, d) of the position."""
        return self(mean) + np.einsum("ij,...ij->...", self.matrix, covariance)


@dataclass(eq=False)
class Watched:
    """A user's function under its name; notes if it leaves the quadratic that it was taken for."""

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    quadratic: Quadratic | None = None
    left: bool = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        try:
            values = self.function(x)
        except InvalidInput:
            raise
        except Exception as error:
            raise InvalidInput(
                f"observable {self.name!r} raised {type(error).__name__}: {shown(str(error))}; it gets positions of "
                f"shape {x.shape} and must return one number a row"
            ) from error
        if self.quadratic is not None and not self.left:
            q = self.quadratic
            with np.errstate(all="ignore"):
                gap = np.abs(np.asarray(values, dtype=float) - q(x))
                size = abs(q.constant) + np.abs(x) @ np.abs(q.linear)
                size = size + np.einsum("...i,ij,...j->...", np.abs(x), np.abs(q.matrix), np.abs(x))
                size = size + 1e-4 * max(abs(q.constant), np.abs(q.linear).max(), np.abs(q.matrix).max())
                self.left = bool((gap > 1e-8 * size)[np.isfinite(gap)].any())
        return values


@dataclass(frozen=True, eq=False)
class Observable:
    """One observable.

    Attributes
    ----------
    name : str
    source : str, function or reducer
        What `simulate` is asked for.
    floor : float
        Taken off the sampled values: the least risk, for the excess.
    """

    name: str
    source: Any
    floor: float = 0.0

    def expectation(self, side_problem: Any, moments: Any) -> np.ndarray | None:
        """E (steps,) from exact moments; None where they do not give it."""
        if moments is None:
            return None
        if self.source == "risk":
            return moments["risk"].values - self.floor if self.floor else moments["risk"].values
        if self.name == "test_risk" and not isinstance(self.source, Watched):
            return side_problem.expected_test_risk(moments["mean"].values, moments["covariance"].values)
        if isinstance(self.source, Watched) and self.source.quadratic is not None and not self.source.left:
            return self.source.quadratic.expectation(moments["mean"].values, moments["covariance"].values)
        return None


def observables_of(asked: Any, problem: Any, x0: Any, dimension: int, closes: bool) -> tuple[Observable, ...]:
    """The observables; default: risk and excess where the problem has them, and the norm.

    `closes`: whether the moments of some side close, so that it pays to find out which functions are quadratic.

    Raises
    ------
    InvalidInput
        If an observable cannot be used; the sentence names it.
    """
    named = _named(asked, problem)
    start = starting_points(x0, dimension)
    found = []
    for name, source in named.items():
        if source == "excess":
            floor = risk_floor(problem)
            if floor is None:
                raise InvalidInput("'excess' is the risk less its least value, which is known for least squares only")
            found.append(Observable(name, "risk", floor))
        elif source == "test_risk":
            if not hasattr(problem, "test_risk"):
                raise InvalidInput("'test_risk' needs a problem with held-out samples")
            problem.test_risk(np.zeros((1, dimension)))  # says so when nothing is held out
            found.append(Observable(name, problem.test_risk))
        elif isinstance(source, FirstPassage):
            raise InvalidInput(
                f"observable {name!r} is a first passage: one number a path, not one a step; give its function itself, "
                "or simulate each process and compare the passages seen at steps, the sense that SGD has"
            )
        elif isinstance(source, Reducer):
            found.append(Observable(name, source))
        elif callable(source):
            found.append(Observable(name, _watched(name, source, start, closes)))
        elif not isinstance(source, str):
            raise InvalidInput(f"observable {name!r} must be a name, a function or a reducer, got {shown(source)}")
        elif source == "state":
            raise InvalidInput("'state' is not a number; compare a function of it, such as lambda x: x[:, 0]")
        else:
            found.append(Observable(name, one_of("observable", source, NAMES)))
    return tuple(found)


def _named(asked: Any, problem: Any) -> dict[str, Any]:
    if asked is None:
        floor = risk_floor(problem)
        known = {"risk": hasattr(problem, "risk"), "excess": floor is not None, "norm": True}
        return {name: name for name, has in known.items() if has}
    if isinstance(asked, Mapping):
        named = dict(asked)
    else:
        if callable(asked) or not isinstance(asked, (str, Sequence)):
            raise InvalidInput(f"observables must be names or a mapping from names to functions, got {shown(asked)}")
        names = [asked] if isinstance(asked, str) else list(asked)
        wrong = next((name for name in names if not isinstance(name, str)), None)
        if wrong is not None:
            raise InvalidInput(f"observables must be names or a mapping from names to functions, got {shown(wrong)}")
        named = {name: name for name in names}
    if not named:
        raise InvalidInput("observables is empty; name at least one, 'risk' for example")
    for name in named:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 100:
            raise InvalidInput(f"observable name {shown(name)} cannot be used: take a short printable text")
    return named


def compared_steps(record: Any, steps: int) -> np.ndarray:
    """Steps at which processes are compared: as `recorded_steps`; None adds 1, 2, 5, 10, ... to the even ones.

    Processes that agree at late times may differ most at the first step.
    """
    chosen = recorded_steps(record, steps)
    if record is not None:
        return chosen
    early = [digit * 10**power for power in range(len(str(steps))) for digit in (1, 2, 5)]
    return np.union1d(chosen, [step for step in early if step <= steps]).astype(np.int64)


def starting_points(x0: Any, dimension: int) -> np.ndarray:
    """Points (n, d), at most 16, where paths start; the mean of a Gaussian."""
    initial = initial_state(x0, dimension)
    if isinstance(initial, Gaussian):
        return initial.mean[None]
    return np.atleast_2d(initial)[:16]


def _watched(name: str, function: Callable[..., Any], start: np.ndarray, closes: bool) -> Watched:
    """The function, checked at the start, with its quadratic where it is one."""
    if isinstance(function, Watched):
        return function
    watched = Watched(name, function)
    points = np.repeat(start, 2, axis=0)
    given = watched(points.copy())
    if np.iscomplexobj(given):
        raise InvalidInput(f"observable {name!r} gave complex numbers; give its real part or modulus")
    try:
        values = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise InvalidInput(f"observable {name!r} gave {type(given).__name__}, no numbers") from None
    if values.shape != (len(points),):
        raise InvalidInput(
            f"observable {name!r} gave shape {values.shape} for positions of shape {points.shape}; it must give one "
            f"number a row, ({len(points)},)"
        )
    return Watched(name, function, _quadratic(function, start) if closes else None)


def _quadratic(function: Callable[..., Any], start: np.ndarray) -> Quadratic | None:
    """The quadratic that a function is, to rounding, at points of very different sizes; None where it is none."""
    d = start.shape[1]
    centre = start.mean(axis=0)
    size = max(1.0, float(np.abs(centre).max()))
    rows, columns = np.triu_indices(d)
    square = d <= LARGEST_DIMENSION
    count = 1 + d + (rows.size if square else 0)
    random = np.random.Generator(np.random.Philox(0))

    def terms(x: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(x)), x, *([x[:, rows] * x[:, columns]] if square else [])])

    unit = random.standard_normal((2 * count + 8, d))
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(function(centre + size * unit), dtype=float)
            coefficients = np.linalg.lstsq(terms(unit), values, rcond=None)[0]
            for scale in SCALES:
                probe = scale * random.standard_normal((16, d))
                shape = terms(probe)
                gap = np.abs(np.asarray(function(centre + size * probe), dtype=float) - shape @ coefficients)
                largest = np.abs(coefficients)  # below their own rounding no difference is one
                if not (gap <= 1e-10 * (np.abs(shape) @ largest).max() + 1e-12 * largest.max()).all():
                    return None
    except Exception:  # a function that is not defined out there is no quadratic
        return None
    # From (x - centre) / size back to x.
    linear, matrix = coefficients[1 : d + 1] / size, np.zeros((d, d))
    if square:
        matrix[rows, columns] = coefficients[d + 1 :] / size**2
        matrix = (matrix + matrix.T) / 2
    small = 1e-13 * np.abs(coefficients).max()
    matrix[np.abs(matrix) * size**2 < small] = 0.0
    linear[np.abs(linear) * size < small] = 0.0
    coefficients[0] = 0.0 if abs(coefficients[0]) < small else coefficients[0]
    constant = coefficients[0] - linear @ centre + centre @ matrix @ centre
    return Quadratic(float(constant), linear - 2 * matrix @ centre, matrix)
