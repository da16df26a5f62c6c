"""Growth of moments of products of random 2 x 2 matrices: the largest eigenvalue of a transfer operator. Derived.

    T_s f(u) = E |A u|^s f(A u / |A u|)

acts on functions of the line through u, and k(s) is its largest eigenvalue. For batches of Gaussian features, A =
kept - scale sum a a^T with a ~ N(0, S): given R^2 = sum (a.u)^2 / u.S u, a chi^2 of batch_size degrees,

    A u = kept u - scale (R^2 S u + R sqrt(u.S u) g),   g ~ N(0, S - S u u^T S / u.S u),

so that one radius and one normal number make the law of A u, which is smooth: f is a short cosine series.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .moment_growth import chi_panels, gauss_panels

NEAREST = 1e-4  # of its length, how near panels come to where A u may vanish
ORDERS = 50.0  # of moments that the panels reach


@dataclass(frozen=True, eq=False)
class CircleGrowth:
    """Collocation of the transfer operator, in functions of the direction of which the first is 1.

    Attributes
    ----------
    log_sizes, log_weights : lists of (nodes,) arrays
        log |A u| for each direction u, and its log weights.
    functions : list of (nodes, terms) arrays
        The functions at A u.
    values : (terms, terms) array
        The functions at the directions u.
    """

    log_sizes: list[np.ndarray]
    log_weights: list[np.ndarray]
    functions: list[np.ndarray]
    values: np.ndarray

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.inv(self.values)

    def matrix(self, order: float, shift: float = 0.0) -> np.ndarray:
        """T_s, times exp(-shift), on the coefficients of the functions."""
        rows = [
            np.exp(order * sizes + weights - shift) @ functions
            for sizes, weights, functions in zip(self.log_sizes, self.log_weights, self.functions)
        ]
        return self._inverse @ np.array(rows)

    def __call__(self, order: float) -> float:
        """log k(order)."""
        shift = max(float((order * s + w).max()) for s, w in zip(self.log_sizes, self.log_weights))
        return float(np.log(np.abs(np.linalg.eigvals(self.matrix(order, shift))).max()) + shift)

    @cached_property
    def exponent(self) -> float:
        """Lyapunov exponent: the mean of log |A u| under the stationary law of directions."""
        matrix = self.matrix(0.0)
        values, left = np.linalg.eig(matrix.T)
        law = left[:, np.argmax(np.abs(values))].real
        # The first coefficient of T f is the constant's: a left eigenvector is a law of directions, on coefficients.
        growth = self._inverse @ np.array([np.exp(w) @ s for s, w in zip(self.log_sizes, self.log_weights)])
        return float(law @ growth / law[0])


def gaussian_circle(
    eigenvalues: np.ndarray, kept: float, scale: float, batch_size: int, terms: int = 16, nodes: int = 8
) -> CircleGrowth:
    """Of A = kept - scale * (sum of batch_size a a^T), a ~ N(0, diag(eigenvalues)) in the plane.

    By symmetry f is a series of cosines of twice the angle from the first axis.
    """
    angles = (np.arange(terms) + 0.5) * (np.pi / 2 / terms)
    sizes, logs, functions = [], [], []
    for angle in angles:
        u = np.array([np.cos(angle), np.sin(angle)])
        along = float(eigenvalues @ u**2)
        across = float(eigenvalues @ (u * np.array([-u[1], u[0]])))
        # Radial: kept - scale along R^2; tangential: -scale (across R^2 + spread R g), g ~ N(0, 1).
        spread = np.sqrt(eigenvalues.prod())
        radial, tangential, weights = _nodes(kept, scale * along, scale * across, scale * spread, batch_size, nodes)
        sizes.append(0.5 * np.log(radial**2 + tangential**2))
        logs.append(weights)
        turned = angle + np.arctan2(tangential, radial)
        functions.append(np.cos(2 * np.outer(turned, np.arange(terms))))
    return CircleGrowth(sizes, logs, functions, np.cos(2 * np.outer(angles, np.arange(terms))))


def scalar_circle(
    first: np.ndarray, second: np.ndarray, values: np.ndarray, log_weights: np.ndarray, terms: int = 65
) -> CircleGrowth:
    """Of A = first + X second, (2, 2) matrices, X with values (n,) of log probabilities: momentum on a line.

    A Fourier series in twice the angle; it converges fast where the law has a density.
    """
    angles = np.arange(terms) * (np.pi / terms)
    orders = 2 * np.arange(1, terms // 2 + 1)

    def functions(at: np.ndarray) -> np.ndarray:
        waves = np.multiply.outer(at, orders)
        return np.concatenate([np.ones((at.size, 1)), np.cos(waves), np.sin(waves)], axis=1)

    sizes, moved = [], []
    for angle in angles:
        u = np.array([np.cos(angle), np.sin(angle)])
        image = (first @ u)[:, None] + (second @ u)[:, None] * values
        sizes.append(0.5 * np.log(np.square(image).sum(axis=0)))
        moved.append(functions(np.arctan2(image[1], image[0])))
    return CircleGrowth(sizes, [log_weights] * terms, moved, functions(angles))


def _nodes(
    kept: float, along: float, across: float, spread: float, batch_size: int, nodes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radial and tangential parts of A u, and log weights, at nodes that gather where both vanish."""
    place = np.sqrt(max(kept / along, 0.0))
    radii, log_radii = chi_panels(batch_size, place, nodes, NEAREST, 2 * ORDERS)
    parts = []
    for radius, log_weight in zip(radii, log_radii):
        radial, shift, width = kept - along * radius**2, across * radius**2, spread * radius
        last = np.sqrt(2 * ORDERS) + 5.0
        centre = -shift / width
        near = max(abs(radial) / width, NEAREST)
        edges = set(np.linspace(-last, last, 2 + int(last)).tolist())
        if near < 1.5 and abs(centre) < last:
            steps = near * 3.0 ** np.arange(max(1, int(np.log(3.0 / near) / np.log(3)) + 1))
            steps = np.concatenate([[0.0], steps])
            edges |= {float(edge) for edge in np.concatenate([centre - steps, centre + steps]) if abs(edge) < last}
        g, weights = gauss_panels(np.array(sorted(edges)), nodes)
        tangential = -(shift + width * g)
        parts.append((
            np.full(g.size, radial), tangential, log_weight + np.log(weights) - g**2 / 2 - 0.5 * np.log(2 * np.pi)
        ))  # fmt: skip
    radial, tangential, logs = (np.concatenate(part) for part in zip(*parts))
    return radial, tangential, logs
