"""What a landscape on a line with several wells says of each: where it lies, how wide it is, what bars the way out."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, instance_of, points, real_number

from .basin import Basin
from .landscapes import Landscape

SCAN = 1001  # places on the way from a start to its minimum at which the slope's sign is looked at


@dataclass(frozen=True)
class Well:
    """One well of a landscape on a line.

    Attributes
    ----------
    minimum : float
    lower, upper : float
        The tops beside it; infinite for the outermost wells, to which all that lies beyond counts.
    value, curvature : float
        U and U'' at the minimum.
    lower_barrier, upper_barrier : float
        U at the tops less `value`; infinite where there is none.
    """

    minimum: float
    lower: float
    upper: float
    value: float
    curvature: float
    lower_barrier: float
    upper_barrier: float

    @property
    def width(self) -> float:
        """Distance between the tops; of an outermost well twice that from the minimum to its one top."""
        if math.isinf(self.lower):
            return 2 * (self.upper - self.minimum)
        return 2 * (self.minimum - self.lower) if math.isinf(self.upper) else self.upper - self.lower

    @property
    def barrier(self) -> float:
        """The lower of the two."""
        return min(self.lower_barrier, self.upper_barrier)


class WellLandscape(Landscape):
    """A potential on a line with several wells; `start` lies in the one that is to be left.

    A path is in a well until it reaches the minimum beside it or passes it - at a top half of the paths turn back - and
    then in the one between whose tops it is. `minimum`, `saddle` (the lower top beside it) and `basin` are those of the
    well of the start.
    """

    if TYPE_CHECKING:

        @property
        def start(self) -> Any: ...

        @property
        def minima(self) -> Any: ...

        @property
        def tops(self) -> Any: ...

    @abstractmethod
    def curvature(self, x: float) -> float:
        """U'' at a place."""

    @cached_property
    def basins(self) -> tuple[Well, ...]:
        """The wells, from left to right."""
        heights = np.r_[np.inf, self.potential(self.tops[:, None]), np.inf]
        values, edges = self.potential(self.minima[:, None]), np.r_[-np.inf, self.tops, np.inf]
        return tuple(
            Well(float(m), float(edges[i]), float(edges[i + 1]), float(values[i]), self.curvature(float(m)),
                 float(heights[i] - values[i]), float(heights[i + 1] - values[i]))
            for i, m in enumerate(self.minima)
        )  # fmt: skip

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Where a path in each well has left it, (n,) and (n,): the minima beside it, infinite at the outermost."""
        return np.r_[-np.inf, self.minima[:-1]], np.r_[self.minima[1:], np.inf]

    @cached_property
    def home(self) -> int:
        """Number of the well of the start."""
        return int(self.well_of(np.array([self.start]))[0])

    @property
    def widest(self) -> int:
        """Number of the widest well.

        Raises
        ------
        InvalidInput
            If two are equally wide.
        """
        widths = np.array([well.width for well in self.basins])
        ordered = np.argsort(widths)
        if widths[ordered[-1]] - widths[ordered[-2]] <= 1e-9 * widths[ordered[-1]]:
            first, second = sorted(float(self.minima[k]) for k in ordered[-2:])
            raise InvalidInput(
                f"the wells at {first:.6g} and {second:.6g} are equally wide, and both the widest: name the one that "
                "is meant by target="
            )
        return int(ordered[-1])

    def _settle_start(self, start: Any) -> None:
        """Take the start, the first minimum by default.

        Raises
        ------
        InvalidInput
            If it lies in none of the wells: at a top, or beyond the outermost.
        """
        x = float(self.minima[0]) if start is None else real_number("start", start)
        object.__setattr__(self, "start", x)
        m = float(self.minima[self.home])
        way = np.linspace(x, m, SCAN)[:-1] if x != m else np.empty(0)
        if not (self.gradient(way[:, None])[:, 0] * (x - m) > 0).all():
            listed = ", ".join(f"{minimum:.4g}" for minimum in self.minima)
            raise InvalidInput(
                f"the start {x:.6g} lies in none of the stated basins, as descent from it does not lead to one of "
                f"their minima {listed}: start in one of them, or state more"
            )

    def well_of(self, x: np.ndarray) -> np.ndarray:
        """Numbers of the wells between whose tops positions (P,) lie, (P,)."""
        return np.searchsorted(self.tops, x)

    @property
    def minimum(self) -> np.ndarray:
        """(1,)."""
        return np.array([self.minima[self.home]])

    @property
    def saddle(self) -> np.ndarray:
        """(1,)."""
        well = self.basins[self.home]
        return np.array([well.lower if well.lower_barrier < well.upper_barrier else well.upper])

    @property
    def basin(self) -> Basin:
        """Of the well of the start."""
        lower, upper = self.bounds
        return Basin.interval(float(lower[self.home]), float(upper[self.home]), float(self.minima[self.home]))

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """(1, 1)."""
        return np.array([[self.curvature(float(points("x", x, 1)[0]))]])

    def __repr__(self) -> str:
        listed = ", ".join(f"{w.minimum:.4g} (width {w.width:.3g}, barrier {w.barrier:.3g})" for w in self.basins)
        return f"{type(self).__name__}: {len(self.basins)} wells at {listed}; start {self.start:.4g}"


def wells_of(landscape: Any) -> WellLandscape:
    """The landscape, if it states its wells.

    Raises
    ------
    InvalidInput
        If it does not.
    """
    if isinstance(landscape, WellLandscape):
        return landscape
    if isinstance(landscape, Landscape):
        raise InvalidInput(
            f"{landscape.label} does not state its basins, between which paths are followed: pass a CosineValley or "
            "Wells, or state its minima by UserWells.of(landscape, minima)"
        )
    return instance_of("landscape", landscape, WellLandscape, "see sgdlimits.problems.wells")
