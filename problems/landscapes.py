"""Landscapes to escape from: a potential with a minimum, a basin about it, and a saddle or a wall in the way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.derivative_check import check_derivative
from sgdlimits.exact.errors import (
    InvalidInput,
    calling,
    covariance_matrix,
    finite_array,
    flag,
    function,
    instance_of,
    points,
    positive,
    real_array,
    real_number,
)
from sgdlimits.exact.numerical_derivatives import derivative

from .basin import Basin
from .problem import Objective

FLAT = 1e-6  # slope at a stationary point, relative to curvature times distance, that counts as none


class Landscape(Objective):
    """A potential that is descended, with the basin of one minimum.

    Attributes
    ----------
    label : str
    minimum : (d,) array
    saddle : (d,) array or None
        Where a smooth barrier is lowest; None where the basin ends at a wall.
    """

    label: str

    if TYPE_CHECKING:  # read only: a leaf has a field or a property

        @property
        def minimum(self) -> Any: ...

        @property
        def saddle(self) -> Any: ...

    @property
    @abstractmethod
    def basin(self) -> Basin:
        """Where a path has not yet escaped."""

    @abstractmethod
    def potential(self, x: np.ndarray) -> np.ndarray:
        """U (...) at positions (..., d)."""

    @cached_property
    def dimension(self) -> int:
        """d."""
        return self.minimum.size

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Second derivatives (d, d) at x (d,), of the gradient's differences."""
        found = derivative(self.gradient, points("x", x, self.dimension))
        return (found + found.T) / 2

    @property
    def barrier(self) -> float:
        """U at the saddle less U at the minimum.

        Raises
        ------
        InvalidInput
            If there is no saddle.
        """
        if self.saddle is None:
            raise InvalidInput(f"{self.label} has no saddle: it ends at a wall")
        return float(self.potential(self.saddle) - self.potential(self.minimum))


def _fixed(values: Any) -> np.ndarray:
    array = np.array(values, dtype=float)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class DoubleWell(Landscape):
    """U = height (w^2 - 1)^2 / 4 on a line: minima at -1 and 1, curvature 2 height, and a saddle at 0, -height.

    Parameters
    ----------
    height : float
        Four times the barrier.

    The basin is that of the minimum at -1, and a path has escaped once it reaches the other minimum: at the saddle half
    of the paths turn back.
    """

    height: float = 1.0
    label = "the quartic double well"

    def __post_init__(self) -> None:
        object.__setattr__(self, "height", positive("height", self.height))

    minimum = _fixed([-1.0])
    saddle = _fixed([0.0])

    @property
    def basin(self) -> Basin:
        return Basin.interval(-np.inf, 1.0, -1.0)

    def potential(self, x: np.ndarray) -> np.ndarray:
        return self.height / 4 * (x[..., 0] ** 2 - 1) ** 2

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self.height * x * (x**2 - 1)

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return self.height * np.diag(3 * points("x", x, 1) ** 2 - 1)


@dataclass(frozen=True, eq=False)
class PlanarDoubleWell(Landscape):
    """U = height (x^2 - 1)^2 / 4 + stiffness (y - bend (x^2 - 1))^2 / 2: two wells of a bent valley in the plane.

    Parameters
    ----------
    height, stiffness : float
    bend : float
        How far the valley turns aside: the saddle lies at (0, -bend).

    The basin is that of the minimum at (-1, 0), and a path has escaped once x is 1, as at the other minimum.
    """

    height: float = 1.0
    stiffness: float = 2.0
    bend: float = 0.0
    label = "the double well in the plane"

    def __post_init__(self) -> None:
        object.__setattr__(self, "height", positive("height", self.height))
        object.__setattr__(self, "stiffness", positive("stiffness", self.stiffness))
        object.__setattr__(self, "bend", real_number("bend", self.bend))

    minimum = _fixed([-1.0, 0.0])

    @cached_property
    def saddle(self) -> np.ndarray:
        return _fixed([0.0, -self.bend])

    @property
    def basin(self) -> Basin:
        return Basin(lambda x: (x[..., 0] + 1) / 2, 1.0, self.minimum)

    def potential(self, x: np.ndarray) -> np.ndarray:
        well = x[..., 0] ** 2 - 1
        return self.height / 4 * well**2 + self.stiffness / 2 * (x[..., 1] - self.bend * well) ** 2

    def gradient(self, x: np.ndarray) -> np.ndarray:
        well = x[..., 0] ** 2 - 1
        pull = self.stiffness * (x[..., 1] - self.bend * well)
        return np.stack([x[..., 0] * (self.height * well - 2 * self.bend * pull), pull], axis=-1)


@dataclass(frozen=True, eq=False)
class HarmonicWell(Landscape):
    """U = x^T curvature x / 2 within walls |n . x| < wall, where it ends: a cusp, or an absorbing wall.

    Parameters
    ----------
    curvature : float or array (d, d)
    wall : float or array (m,)
        Distances of the walls from the minimum, which is 0.
    normals : array (m, d), optional
        Unit vectors across the walls; default: the axes, each with a wall.
    two_sided : bool
        Whether a wall stands on the other side too.
    """

    curvature: Any
    wall: Any
    normals: Any = None
    two_sided: bool = True
    label = "the harmonic well with walls"

    def __post_init__(self) -> None:
        given = np.atleast_2d(real_array("curvature", self.curvature))
        curvature = covariance_matrix("curvature", given, len(given))
        if np.linalg.eigvalsh(curvature)[0] <= 0:
            raise InvalidInput("curvature must be positive definite: a flat or falling direction has no well")
        normals = finite_array("normals", np.eye(len(curvature)) if self.normals is None else self.normals,
                               shape=(None, len(curvature)))  # fmt: skip
        lengths = np.linalg.norm(normals, axis=1)
        if (lengths == 0).any():
            raise InvalidInput("normals must not be zero: each is the direction across a wall")
        wall = np.broadcast_to(np.atleast_1d(finite_array("wall", self.wall)), len(normals)) + 0.0
        if not (wall > 0).all():
            raise InvalidInput(f"wall must be above zero, got {wall.min():g}: the minimum at 0 lies inside")
        for name, value in (("curvature", curvature), ("normals", normals / lengths[:, None]), ("wall", wall)):
            object.__setattr__(self, name, _fixed(value))
        object.__setattr__(self, "two_sided", flag("two_sided", self.two_sided))

    @cached_property
    def minimum(self) -> np.ndarray:
        return _fixed(np.zeros(len(self.curvature)))

    saddle = None

    @property
    def basin(self) -> Basin:
        size = np.abs if self.two_sided else np.positive

        def score(x: np.ndarray) -> np.ndarray:
            return (size(x @ self.normals.T) / self.wall).max(axis=-1)

        return Basin(score, 1.0, self.minimum)

    def potential(self, x: np.ndarray) -> np.ndarray:
        return 0.5 * np.einsum("...i,ij,...j->...", x, self.curvature, x)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return x @ self.curvature

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return self.curvature.copy()

    @property
    def barriers(self) -> np.ndarray:
        """Least U on each wall, (m,)."""
        return self.wall**2 / (2 * np.einsum("mi,ij,mj->m", self.normals, np.linalg.inv(self.curvature), self.normals))


@dataclass(frozen=True, eq=False)
class UserLandscape(Landscape):
    """A landscape of the user's own.

    Parameters
    ----------
    value, slope : functions of positions (P, d) with values (P,) and (P, d)
        Potential and gradient; the gradient is checked by a difference quotient.
    minimum : array (d,)
    region : Basin, or tuple (lower, upper) on a line
    saddle : array (d,), optional
        The lowest point of a smooth barrier; None where the basin ends at a wall.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, the gradient is wrong, `minimum` is no minimum of the potential, or `saddle` no
        saddle with one way down.
    """

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    minimum: Any
    region: Any
    saddle: Any = None
    label = "the user's landscape"

    def __post_init__(self) -> None:
        function("value", self.value, "of positions (P, d)")
        function("slope", self.slope, "of positions (P, d)")
        minimum = finite_array("minimum", np.atleast_1d(real_array("minimum", self.minimum)), shape=(None,))
        object.__setattr__(self, "minimum", _fixed(minimum))
        d = minimum.size
        if isinstance(self.region, (tuple, list)) and len(self.region) == 2 and d == 1:
            object.__setattr__(self, "region", Basin.interval(self.region[0], self.region[1], float(minimum[0])))
        instance_of("region", self.region, Basin, "on a line a pair (lower, upper) will do")
        if self.region.dimension != d:
            raise InvalidInput(f"region has dimension {self.region.dimension}, but the minimum has {d}")
        check_derivative(
            "slope of value", lambda x: self.potential(x), lambda x, v: self.gradient(x[None])[0] @ v, d
        )
        self._check_stationary("minimum", minimum, 0)
        if self.saddle is not None:
            saddle = finite_array("saddle", np.atleast_1d(real_array("saddle", self.saddle)), shape=(d,))
            object.__setattr__(self, "saddle", _fixed(saddle))
            self._check_stationary("saddle", saddle, 1)
            if not self.barrier > 0:
                raise InvalidInput(f"the saddle is no barrier: U there less U at the minimum is {self.barrier:.4g}")

    def _check_stationary(self, name: str, x: np.ndarray, falling: int) -> None:
        bends, slope = np.linalg.eigvalsh(self.hessian(x)), float(np.abs(self.gradient(x[None])).max())
        scale = float(np.abs(bends).max()) * max(1.0, float(np.abs(x).max()))
        if slope > FLAT * scale:
            raise InvalidInput(f"{name} is no stationary point: the gradient there is {slope:.3g}, not 0")
        if int((bends < 0).sum()) != falling or not bends.all():
            wanted = "none" if not falling else "one"
            raise InvalidInput(
                f"at the {name} the Hessian must have {wanted} of its eigenvalues below zero, got {bends.tolist()}"
            )

    @property
    def basin(self) -> Basin:
        return self.region

    def potential(self, x: np.ndarray) -> np.ndarray:
        return self._called("value", self.value, x, x.shape[:-1])

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self._called("slope", self.slope, x, x.shape)

    def _called(self, name: str, chosen: Callable[..., Any], x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        rows = x.reshape(-1, x.shape[-1])
        with calling(name):
            given = chosen(rows)
        found = real_array(f"what {name} returns", given)
        wanted = rows.shape if len(shape) == x.ndim else rows.shape[:1]
        if found.shape != wanted:
            raise InvalidInput(f"{name} must return shape {wanted} for positions {rows.shape}, got {found.shape}")
        return found.reshape(shape)
