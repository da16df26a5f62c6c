"""Landscapes on a line with several wells: the cosine valley, wells of chosen widths and depths, the user's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.derivative_check import check_derivative
from sgdlimits.exact.errors import (
    InvalidInput,
    calling,
    finite_array,
    function,
    instance_of,
    real_array,
    whole_number,
)

from .landscapes import FLAT, Landscape
from .well_landscape import Well, WellLandscape, wells_of

__all__ = ["CosineValley", "UserWells", "Well", "WellLandscape", "Wells", "wells_of"]

SCAN = 1001  # places between two stated minima at which the slope's sign is looked at
HALVINGS = 100
COSINE = math.pi**2 / 2  # curvature of half a cosine wave at its ends, in heights over squared lengths


def _frozen(values: Any) -> np.ndarray:
    found = np.array(values, dtype=float)
    found.flags.writeable = False
    return found


@dataclass(frozen=True, eq=False, repr=False)
class CosineValley(WellLandscape):
    """U = x^2 / 10 + 1 - cos x^2: wells that grow narrower and sharper away from the wide one in the middle.

    Parameters
    ----------
    start : float
    wells : int
        Stated on each side of the middle; there are infinitely many, and what lies beyond counts to the outermost.
    """

    start: float = -4.75
    wells: int = 6
    label = "the cosine valley"

    def __post_init__(self) -> None:
        object.__setattr__(self, "wells", whole_number("wells", self.wells, 1, 100))
        self._settle_start(self.start)

    @cached_property
    def minima(self) -> np.ndarray:
        """(n,), from left to right."""
        right = np.sqrt(2 * math.pi * np.arange(1, self.wells + 1) - math.asin(0.1))
        return _frozen(np.r_[-right[::-1], 0.0, right])

    @cached_property
    def tops(self) -> np.ndarray:
        """(n - 1,)."""
        right = np.sqrt(math.pi + math.asin(0.1) + 2 * math.pi * np.arange(self.wells))
        return _frozen(np.r_[-right[::-1], right])

    def potential(self, x: np.ndarray) -> np.ndarray:
        square = x[..., 0] ** 2
        return square / 10 + 2 * np.sin(square / 2) ** 2

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return x * (0.2 + 2 * np.sin(x**2))

    def curvature(self, x: float) -> float:
        return 0.2 + 2 * math.sin(x**2) + 4 * x**2 * math.cos(x**2)


@dataclass(frozen=True, eq=False, repr=False)
class Wells(WellLandscape):
    """Wells of chosen widths and depths side by side, between tops of one height; U is 0 at the deepest minimum.

    U is made of polynomials of degree 5 from minimum to top and from top to minimum, near half waves of a cosine, twice
    continuously differentiable; outside the outermost minima it is harmonic.

    Parameters
    ----------
    widths : array (n,)
        Of the wells, see `Well.width`; curvatures are about pi^2 / 2 times depth over the squared half width.
    depths : float or array (n,)
        Of the minima below the tops: the barriers.
    positions : array (n,), optional
        Of the minima. Default: side by side from 0 on. A gap that is not the mean of two widths is shared out in their
        proportion.
    start : float, optional
        Default: the first minimum.
    """

    widths: Any
    depths: Any = 1.0
    positions: Any = None
    start: Any = None
    label = "wells side by side"

    def __post_init__(self) -> None:
        widths = finite_array("widths", self.widths, ndim=1)
        if widths.size < 2 or not (widths > 0).all():
            raise InvalidInput(f"widths must be two or more numbers above zero, got {widths.tolist()}")
        depths = np.broadcast_to(finite_array("depths", self.depths), widths.shape) + 0.0
        if not (depths > 0).all():
            raise InvalidInput(f"depths must be above zero, got {depths.min():g}: they are barriers")
        usual = np.r_[0.0, np.cumsum((widths[1:] + widths[:-1]) / 2)]
        given = usual if self.positions is None else finite_array("positions", self.positions, shape=widths.shape)
        if not (np.diff(given) > 0).all():
            raise InvalidInput(f"positions must rise from well to well, got {given.tolist()}")
        for name, value in (("widths", widths), ("depths", depths), ("positions", given)):
            object.__setattr__(self, name, _frozen(value))
        self._settle_start(self.start)

    @property
    def minima(self) -> np.ndarray:
        """(n,), from left to right."""
        return self.positions

    @cached_property
    def tops(self) -> np.ndarray:
        """(n - 1,)."""
        share = self.widths[:-1] / (self.widths[:-1] + self.widths[1:])
        return _frozen(self.positions[:-1] + share * np.diff(self.positions))

    @cached_property
    def _pieces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places between pieces (2 n - 1,), and of each piece the place it is written about and (6,) coefficients."""
        knots = np.empty(2 * self.positions.size - 1)
        knots[::2], knots[1::2] = self.positions, self.tops
        heights = np.full(knots.size, self.depths.max())
        heights[::2] -= self.depths
        length, rise = np.diff(knots), np.abs(np.diff(heights))
        beside = COSINE * rise / length**2
        bends = np.minimum(np.r_[np.inf, beside], np.r_[beside, np.inf])
        bends[1::2] *= -1
        f, g = np.diff(heights), bends
        coefficients = np.zeros((knots.size + 1, 6))
        inner = coefficients[1:-1]
        inner[:, 0], inner[:, 2] = heights[:-1], g[:-1] / 2
        a, b = g[:-1] * length**2 / 2, g[1:] * length**2 / 2
        inner[:, 3] = (10 * f - 3 * a + b) / length**3
        inner[:, 4] = (-15 * f + 3 * a - 2 * b) / length**4
        inner[:, 5] = (6 * f - a + b) / length**5
        for place, knot in ((0, 0), (-1, -1)):
            coefficients[place, 0], coefficients[place, 2] = heights[knot], g[knot] / 2
        return knots, np.r_[knots[0], knots], coefficients

    def _piece(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance from the place a piece is written about, and its coefficients (..., 6)."""
        knots, about, coefficients = self._pieces
        place = np.searchsorted(knots, x)
        return x - about[place], coefficients[place]

    def potential(self, x: np.ndarray) -> np.ndarray:
        u, c = self._piece(x[..., 0])
        higher = c[..., 3] + u * (c[..., 4] + u * c[..., 5])
        return c[..., 0] + u * (c[..., 1] + u * (c[..., 2] + u * higher))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        u, c = self._piece(x)
        return c[..., 1] + u * (2 * c[..., 2] + u * (3 * c[..., 3] + u * (4 * c[..., 4] + u * 5 * c[..., 5])))

    def curvature(self, x: float) -> float:
        u, c = self._piece(np.array([x]))
        return float(2 * c[0, 2] + u[0] * (6 * c[0, 3] + u[0] * (12 * c[0, 4] + u[0] * 20 * c[0, 5])))


@dataclass(frozen=True, eq=False, repr=False)
class UserWells(WellLandscape):
    """A landscape of the user's own on a line, with its minima stated; the tops between them are found.

    Parameters
    ----------
    value, slope : functions of positions (P, 1) with values (P,) and (P, 1)
        Potential and gradient; the gradient is checked by a difference quotient. `UserWells.of` takes them from a
        landscape.
    minima : array (n,)
        All of them in the range that paths see, at least two, from left to right.
    start : float, optional
        Default: the first minimum.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, the gradient is wrong, a stated minimum is none, or there is another between two.
    """

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    minima: Any
    start: Any = None
    label: str = "the user's landscape"

    def __post_init__(self) -> None:
        function("value", self.value, "of positions (P, 1)")
        function("slope", self.slope, "of positions (P, 1)")
        minima = finite_array("minima", self.minima, ndim=1)
        if minima.size < 2 or not (np.diff(minima) > 0).all():
            raise InvalidInput(f"minima must be two or more numbers that rise, got {minima.tolist()}")
        object.__setattr__(self, "minima", _frozen(minima))
        check_derivative("slope of value", lambda x: self.potential(x), lambda x, v: self.gradient(x[None])[0] @ v, 1)
        for m in minima:
            bend, slope = self.curvature(float(m)), abs(float(self.gradient(np.array([[m]]))[0, 0]))
            if not bend > 0 or slope > FLAT * bend * max(1.0, abs(float(m))):
                raise InvalidInput(
                    f"the landscape does not have the stated well: at {m:.6g} its slope is {slope:.3g} and its "
                    f"curvature {bend:.3g}, where a minimum has 0 and one above 0"
                )
        object.__setattr__(self, "tops", _frozen([self._top(a, b) for a, b in zip(minima, minima[1:])]))
        for well in self.basins:
            if not 0 < well.barrier < math.inf:
                raise InvalidInput(
                    f"the landscape does not have the stated well: value is {well.value:.6g} at {well.minimum:.6g} and "
                    f"{well.value + well.barrier:.6g} at the lower top beside it: make it finite, and larger there"
                )
        self._settle_start(self.start)

    @classmethod
    def of(cls, landscape: Landscape, minima: Any, start: Any = None) -> UserWells:
        """A landscape on a line with its minima stated."""
        instance_of("landscape", landscape, Landscape, "or pass value, slope and minima to UserWells")
        if landscape.dimension != 1:
            raise InvalidInput(f"wells are stated on a line, but {landscape.label} has dimension {landscape.dimension}")
        return cls(landscape.potential, landscape.gradient, minima, start, landscape.label)

    def _top(self, left: float, right: float) -> float:
        grid = np.linspace(left, right, SCAN)[1:-1]
        rising = self.gradient(grid[:, None])[:, 0] > 0
        turns = np.flatnonzero(rising[1:] != rising[:-1])
        if turns.size != 1 or not rising[0]:
            falls = np.flatnonzero(~rising[:-1] & rising[1:])
            where = f"one near {grid[falls[0]]:.4g}" if falls.size else "no top"
            raise InvalidInput(
                f"between the stated minima {left:.6g} and {right:.6g} there must be one top and no other minimum, but "
                f"there is {where}: state all minima"
            )
        low, high = grid[turns[0]], grid[turns[0] + 1]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.gradient(np.array([[middle]]))[0, 0] > 0 else (low, middle)
        return float((low + high) / 2)

    def potential(self, x: np.ndarray) -> np.ndarray:
        return self._called("value", self.value, x, x.shape[:-1])

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self._called("slope", self.slope, x, x.shape)

    def curvature(self, x: float) -> float:
        move = 1e-5 * max(1.0, abs(x))
        ahead, behind = self.gradient(np.array([[x + move], [x - move]]))[:, 0]
        return float((ahead - behind) / (2 * move))

    def _called(self, name: str, chosen: Callable[..., Any], x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        rows = x.reshape(-1, 1)
        with calling(name):
            given = chosen(rows)
        found = real_array(f"what {name} returns", given)
        wanted = rows.shape if name == "slope" else rows.shape[:1]
        if found.shape != wanted:
            raise InvalidInput(f"{name} must return shape {wanted} for positions {rows.shape}, got {found.shape}")
        return found.reshape(shape)
