"""Growth of moments of products of random 2 x 2 matrices: the largest eigenvalue of a transfer operator. Derived.

    T_s f(u) = E |A u|^s f(A u / |A u|)

acts on functions of the line through u, and k(s) is its largest eigenvalue, whatever the norm: |u|^s f(u / |u|) is a
homogeneous function F with E F(A u) = k(s) F(u). For batches of Gaussian features, A = kept - scale sum a a^T with
a ~ N(0, S): given R^2 = sum (a.u)^2 / u.S u, a chi^2 of batch_size degrees,

    A u = kept u - scale (R^2 S u + R sqrt(u.S u) g),   g ~ N(0, S - S u u^T S / u.S u),

so that one radius and one normal number make the law of A u. F is even in both axes and varies in the logarithm of
u_1 / u_2 between the two ratios where the noise from one axis sets in on the other, sqrt(h_2 / h_1) and its inverse: f
is a short series of cosines of an elliptic integral of the angle, which is that logarithm in between and even beyond.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from .circle_nodes import NEGLIGIBLE, SPACING, across, rows_of
from .moment_growth import chi_panels, gauss_panels

ORDERS = 50.0  # of moments that the panels reach
NEAREST = 1e-4  # how near panels come to where A u may vanish or turn fast
WIDTH = 1.5  # of panels that nothing makes finer
ONE_SIGN = 0.95  # share of a function that has its sign: one below it may have another by rounding
BEYOND = 18.0  # logarithm past the ends of the table, where the cosine is 1 to rounding
FAR_FROM_ALIKE = 0.5  # ratio of standard deviations below which functions vary in the logarithm


@dataclass(frozen=True, eq=False)
class CircleGrowth:
    """Collocation of the transfer operator, in functions of the direction of which the first is 1.

    Attributes
    ----------
    starts : (directions + 1,) array
        Where the points of each direction u begin.
    log_sizes, log_weights, cosines : (points,) arrays
        log |A u|, its log weight, and the cosine of the place of A u: functions are cosines of multiples of the place.
    sines : (points,) array
        Of the place, where sines are among the functions; else empty.
    values : (terms, terms) array
        The functions at the directions u.
    locate : callable
        log |u| in the operator's norm (n,) and the places (n,) of vectors u (n, 2).
    """

    starts: np.ndarray
    log_sizes: np.ndarray
    log_weights: np.ndarray
    cosines: np.ndarray
    sines: np.ndarray
    values: np.ndarray
    locate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.inv(self.values)

    def matrix(self, order: float, shift: float = 0.0) -> np.ndarray:
        """T_s, times exp(-shift), on the coefficients of the functions."""
        rows = rows_of(
            self.starts, order * self.log_sizes + self.log_weights - shift, self.cosines, self.sines, len(self.values)
        )
        return self._inverse @ rows

    def _top(self, matrix: np.ndarray) -> tuple[float, np.ndarray]:
        """The largest eigenvalue whose function has one sign, and that: others come from what is cut off."""
        values, vectors = np.linalg.eig(matrix)
        shapes = self.values @ vectors
        one_sign = np.abs(shapes.sum(axis=0)) / np.abs(shapes).sum(axis=0)
        fit = one_sign >= min(ONE_SIGN, one_sign.max())
        top = int(np.argmax(np.where(fit, np.abs(values), 0.0)))
        return float(np.abs(values[top])), vectors[:, top].real

    def __call__(self, order: float) -> float:
        """log k(order)."""
        shift = float((order * self.log_sizes + self.log_weights).max())
        return float(np.log(self._top(self.matrix(order, shift))[0]) + shift)

    def eigenfunction(self, order: float, directions: np.ndarray) -> np.ndarray:
        """F (n,) of vectors (n, 2), up to a factor."""
        shift = float((order * self.log_sizes + self.log_weights).max())
        series = self._top(self.matrix(order, shift))[1]
        logs, places = self.locate(directions)
        shapes = _functions(places, len(series), self.sines.size > 0) @ series
        return np.asarray(np.exp(order * logs) * shapes * np.sign(shapes[0]))

    @cached_property
    def exponent(self) -> float:
        """Lyapunov exponent: the mean of log |A u| under the stationary law of directions."""
        matrix = self.matrix(0.0)
        values, left = np.linalg.eig(matrix.T)
        law = left[:, np.argmin(np.abs(values - 1))].real
        # The first coefficient of T f is the constant's: a left eigenvector is a law of directions, on coefficients.
        means = np.add.reduceat(np.exp(self.log_weights) * self.log_sizes, self.starts[:-1])
        return float(law @ (self._inverse @ means) / law[0])


def _functions(places: np.ndarray, terms: int, waves: bool) -> np.ndarray:
    """(n, terms) of places (n,): cosines, or 1, cosines and sines."""
    if not waves:
        return np.cos(np.multiply.outer(places, np.arange(terms)))
    both = np.multiply.outer(places, np.arange(1, terms // 2 + 1))
    return np.concatenate([np.ones((places.size, 1)), np.cos(both), np.sin(both)], axis=1)


def gaussian_circle(
    eigenvalues: np.ndarray, kept: float, scale: float, batch_size: int, terms: int = 16, nodes: int = 8,
    orders: float = ORDERS,
) -> CircleGrowth:  # fmt: skip
    """Of A = kept - scale * (sum of batch_size a a^T), a ~ N(0, diag(eigenvalues)) in the plane.

    Parameters
    ----------
    eigenvalues : (2,) array
        The larger one first.
    terms, nodes : int
        Cosines, and nodes of a panel across u, with four more along it.
    orders : float
        Up to which moments are seen.
    """
    least = float(np.sqrt(eigenvalues[1] / eigenvalues[0]))
    to_place, from_place, table = _elliptic(least)
    middles = (np.arange(terms) + 0.5) * (np.pi / terms)
    angles = from_place(middles)  # tan = u_1 / u_2
    turns = np.array([1.0, least, 1 / least] if least < FAR_FROM_ALIKE else [1.0])
    last = np.sqrt(2 * orders) + 5.0
    points, weights = gauss_panels(np.array([0.0, 1.0]), nodes)
    starts, parts = [0], []
    for u in np.column_stack([np.sin(angles), np.cos(angles)]):
        # Where A u may vanish, and where a part of it does and the other hardly moves.
        curvatures = np.array([eigenvalues @ u**2, *(eigenvalues if turns.size > 1 else ())])
        radii, logs = chi_panels(
            batch_size, np.sqrt(max(kept, 0.0) / scale / curvatures), nodes + 4, NEAREST, 2 * orders
        )
        still = (kept - scale * np.multiply.outer(radii**2, eigenvalues)) * u
        spread = np.multiply.outer(radii, scale * np.sqrt(eigenvalues.prod()) * np.array([u[1], -u[0]]))
        parts.append(across(
            still, spread, logs, points, weights, turns, last, WIDTH, NEAREST, orders, table
        ))  # fmt: skip
        starts.append(starts[-1] + parts[-1].shape[1])
    log_sizes, cosines, log_weights = np.concatenate(parts, axis=1)

    def locate(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = np.abs(directions).T
        return np.log(np.hypot(first, second)), to_place(np.arctan2(first, second))

    return CircleGrowth(
        np.array(starts), log_sizes, log_weights, cosines, np.empty(0), _functions(middles, terms, False), locate,
    )  # fmt: skip


@lru_cache(maxsize=8)
def _elliptic(least: float) -> tuple[Callable[[Any], np.ndarray], Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """From angles in [0, pi / 2] to places in [0, pi], and back: finest, about `least`, at both ends.

    And the cosine of the place with its derivative, in steps of the logarithm of the tangent.
    """
    from scipy.special import ellipj, ellipk, ellipkinc

    parameter = max(0.0, 1 - 16 * least**2)
    quarter = float(ellipk(parameter))

    def there(angles: np.ndarray) -> np.ndarray:
        return np.asarray((ellipkinc(2 * angles - np.pi / 2, parameter) / quarter + 1) * (np.pi / 2))

    def back(places: np.ndarray) -> np.ndarray:
        return np.asarray((ellipj((2 * places / np.pi - 1) * quarter, parameter)[3] + np.pi / 2) / 2)

    size = int((BEYOND - np.log(least)) / SPACING)
    angles = np.arctan(np.exp(SPACING * np.arange(-size, size + 1)))
    slopes = np.sin(2 * angles) / 2 * np.pi / quarter / np.sqrt(1 - parameter * np.cos(2 * angles) ** 2)
    places = there(angles)
    return there, back, np.column_stack([np.cos(places), -np.sin(places) * slopes])


def scalar_circle(
    first: np.ndarray, second: np.ndarray, batch_size: int, terms: int = 65, nodes: int = 10,
    orders: float = ORDERS, axes: np.ndarray | None = None,
) -> CircleGrowth:  # fmt: skip
    """Of A = first + X second, (2, 2) matrices, X chi^2 of batch_size degrees: momentum on a line.

    A Fourier series of `terms`, odd, functions in twice the angle of axes @ u; it converges fast where directions
    settle or turn evenly, and else by a power that rises with the order: the law of X has an edge.
    """
    axes = np.eye(2) if axes is None else axes
    back = np.linalg.inv(axes)
    first, second = axes @ first @ back, axes @ second @ back
    angles = np.arange(terms) * (np.pi / terms)
    starts, parts = [0], []
    for angle in angles:
        u = np.array([np.cos(angle), np.sin(angle)])
        still, pull = first @ u, second @ u
        with np.errstate(divide="ignore", invalid="ignore"):  # where A u nearly vanishes, in the complex plane
            nearest = np.sqrt(-complex(*still) / complex(*pull)) if pull.any() else complex(np.inf, np.inf)
        place, near = abs(nearest.real) if np.isfinite(nearest) else 0.0, abs(nearest.imag)
        radii, logs = chi_panels(batch_size, place, nodes, float(np.clip(near, NEAREST, WIDTH)), 2 * orders)
        image = still[:, None] + pull[:, None] * radii**2
        seen = np.maximum(logs, logs + orders * np.log(np.hypot(*image))) > -NEGLIGIBLE
        parts.append(np.concatenate([image, logs[None]])[:, seen])
        starts.append(starts[-1] + int(seen.sum()))
    here, there, log_weights = np.concatenate(parts, axis=1)

    def locate(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = directions @ axes.T
        return np.log(np.hypot(*moved.T)), 2 * np.arctan2(moved[:, 1], moved[:, 0])

    return CircleGrowth(
        np.array(starts), 0.5 * np.log(here**2 + there**2), log_weights, (here**2 - there**2) / (here**2 + there**2),
        2 * here * there / (here**2 + there**2),
        _functions(2 * angles, terms, True), locate,
    )  # fmt: skip
