"""Growth of moments of products of random 3 x 3 matrices of Gaussian batches: a transfer operator. Derived.

As in `circle_growth`, T_s f(u) = E |A u|^s f(A u / |A u|), now on directions in space. With S = diag(eigenvalues) the
reflections of the axes change nothing, so that f is a function of the squares of u: Galerkin's method takes polynomials
of them. Given R,

    A u = (kept - scale R^2 u.S u) u - scale R (R (S u)' + sqrt(u.S u) L z),   z ~ N(0, 1) in the plane across u,

(S u)' the part of S u in that plane and L L^T = S - S u u^T S / u.S u. Where A u may vanish nodes gather: about the z
that brings it nearest to 0 in polar coordinates; elsewhere a product of Gauss and Hermite's rule does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .compiling import compiled
from .moment_growth import chi_panels, gauss_panels

ORDERS = 20.0  # of moments that the nodes reach
NEAREST = 1e-2  # how near, in units of z, nodes come to where A u vanishes: it counts there by the power order + 3
POLAR = 1.5  # nearer than this to 0, in units of z, A u asks for polar coordinates
FURTHEST = 6.0  # z beyond which nothing gathers: it has a probability below 1e-8
WIDTH = 1.5  # of panels
DIFFERENCE = 1e-3  # of orders, for the slope at 0


@dataclass(frozen=True)
class Resolution:
    """Degree of polynomials in the squares of u, nodes of a panel, of an angle, and of Hermite's rule."""

    degree: int
    panel: int
    angle: int
    hermite: int


@dataclass(frozen=True, eq=False)
class SphereGrowth:
    """Of A = kept - scale * (sum of batch_size a a^T), a ~ N(0, diag(eigenvalues)) in space."""

    eigenvalues: np.ndarray
    kept: float
    scale: float
    batch_size: int
    resolution: Resolution

    @cached_property
    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        """One of eight octants: u (m, 3), with weights (m,)."""
        size = self.resolution.degree + 1
        heights, weights = np.polynomial.legendre.leggauss(size)
        heights, weights = (heights + 1) / 2, weights / 2
        angles = (np.arange(size) + 0.5) * (np.pi / 2 / size)
        z, phi = (each.ravel() for each in np.meshgrid(heights, angles, indexing="ij"))
        flat = np.sqrt(1 - z**2)
        return np.column_stack([flat * np.cos(phi), flat * np.sin(phi), z]), np.repeat(weights, size) / size

    @cached_property
    def _basis(self) -> tuple[np.ndarray, np.ndarray]:
        """Orthonormal functions: their values at the directions, times roots of the weights, and from them the rest."""
        u, weights = self._directions
        values = np.array([_values(direction**2, self.resolution.degree) for direction in u])
        left, right = np.linalg.qr(values * np.sqrt(weights)[:, None])
        return left, np.linalg.inv(right)

    @cached_property
    def _radii(self) -> list[tuple[np.ndarray, np.ndarray]]:
        found = []
        for u in self._directions[0]:
            place = np.sqrt(max(self.kept / (self.scale * (self.eigenvalues @ u**2)), 0.0))
            found.append(chi_panels(self.batch_size, place, self.resolution.panel, NEAREST, 2 * ORDERS))
        return found

    def __call__(self, order: float) -> float:
        """log k(order)."""
        resolution = self.resolution
        points, weights = np.polynomial.hermite_e.hermegauss(resolution.hermite)
        weights = weights / weights.sum()
        panel, panel_weights = gauss_panels(np.array([0.0, 1.0]), resolution.panel)
        rows = []
        for u, (radii, log_weights) in zip(self._directions[0], self._radii):
            across, root = _plane(self.eigenvalues, u)
            rows.append(_image(
                order, u, self.eigenvalues, across, root, np.linalg.inv(root), self.kept, self.scale, radii,
                np.exp(log_weights), points, weights, panel, panel_weights, resolution.angle, resolution.degree,
            ))  # fmt: skip
        # The largest eigenvalue's function has one sign; others that are as large come from what is cut off.
        left, turn = self._basis
        roots = np.sqrt(self._directions[1])
        values, vectors = np.linalg.eig((left * roots[:, None]).T @ np.array(rows) @ turn)
        shapes = (left @ vectors) * roots[:, None]
        one_sign = np.abs(shapes.sum(axis=0)) / np.abs(shapes).sum(axis=0)
        return float(np.log(np.abs(values[np.argmax(one_sign)])))

    @cached_property
    def exponent(self) -> float:
        """Lyapunov exponent: the slope of log k at 0."""
        return (self(DIFFERENCE) - self(-DIFFERENCE)) / (2 * DIFFERENCE)

    def slope(self, order: float) -> float:
        """Derivative of log k, by a difference."""
        wide = DIFFERENCE * order
        return (self(order + wide) - self(order - wide)) / (2 * wide)


def _plane(eigenvalues: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors (3, 2) across u, and a root (2, 2) of the covariance in their plane, given a.u."""
    across = np.linalg.svd(u[None])[2][1:].T
    pull = eigenvalues * u
    spread = across.T @ (np.diag(eigenvalues) - np.outer(pull, pull) / (pull @ u)) @ across
    values, vectors = np.linalg.eigh(spread)
    return across, vectors * np.sqrt(values)


def _values(w: np.ndarray, degree: int) -> np.ndarray:
    found = np.zeros((degree + 1) * (degree + 2) // 2)
    _add(found, 1.0, w[0], w[1], degree, np.empty(degree + 1), np.empty(degree + 1))
    return found


@compiled
def _add(out, weight, first, second, degree, one, two):
    # Products of Chebyshev's polynomials of two of the squares, up to a total degree.
    x, y = 2.0 * first - 1.0, 2.0 * second - 1.0
    one[0], two[0] = 1.0, weight
    one[1], two[1] = x, weight * y
    for i in range(2, degree + 1):
        one[i] = 2.0 * x * one[i - 1] - one[i - 2]
        two[i] = 2.0 * y * two[i - 1] - two[i - 2]
    place = 0
    for i in range(degree + 1):
        for j in range(degree + 1 - i):
            out[place] += one[i] * two[j]
            place += 1


@compiled
def _image(
    order, u, eigenvalues, across, root, inverse, kept, scale, radii, masses, points, weights, panel, panel_weights,
    angles, degree,
):  # fmt: skip
    """E |A u|^order times the functions at A u."""
    out = np.zeros((degree + 1) * (degree + 2) // 2)
    one, two = np.empty(degree + 1), np.empty(degree + 1)
    along, pull = 0.0, np.zeros(2)
    for i in range(3):
        along += eigenvalues[i] * u[i] * u[i]
        for a in range(2):
            pull[a] += across[i, a] * eigenvalues[i] * u[i]
    largest = 0.0
    for a in range(2):
        largest = max(largest, np.sqrt(root[0, a] ** 2 + root[1, a] ** 2))
    last, edges, z, flat = np.sqrt(2.0 * ORDERS) + 5.0, np.empty(64), np.empty(2), np.empty(2)
    for r in range(radii.size):
        radial = kept - scale * along * radii[r] ** 2
        width = scale * radii[r] * np.sqrt(along)
        shift0, shift1 = scale * radii[r] ** 2 * pull[0], scale * radii[r] ** 2 * pull[1]
        # Where the part across u vanishes: shift + width root z = 0.
        zero0 = -(inverse[0, 0] * shift0 + inverse[0, 1] * shift1) / width
        zero1 = -(inverse[1, 0] * shift0 + inverse[1, 1] * shift1) / width
        away, near = np.sqrt(zero0**2 + zero1**2), max(abs(radial) / (width * largest), NEAREST)
        if near < POLAR and away < FURTHEST:
            count, edge = 1, near
            edges[0] = 0.0
            while edge < WIDTH:
                edges[count] = edge
                count, edge = count + 1, 3.0 * edge
            edge = WIDTH
            while count < edges.size and edges[count - 1] < away + last:
                edges[count] = edge
                count, edge = count + 1, edge + WIDTH
            for e in range(count - 1):
                for p in range(panel.size):
                    length = edges[e] + (edges[e + 1] - edges[e]) * panel[p]
                    mass = masses[r] * (edges[e + 1] - edges[e]) * panel_weights[p] * length / angles
                    for k in range(angles):
                        angle = 2.0 * np.pi * (k + 0.5) / angles
                        z[0], z[1] = zero0 + length * np.cos(angle), zero1 + length * np.sin(angle)
                        _at(out, mass * np.exp(-(z[0] ** 2 + z[1] ** 2) / 2), z, flat, order, u, across, root, radial,
                            width, shift0, shift1, degree, one, two)  # fmt: skip
        else:
            for i in range(points.size):
                for j in range(points.size):
                    z[0], z[1] = points[i], points[j]
                    _at(out, masses[r] * weights[i] * weights[j], z, flat, order, u, across, root, radial, width,
                        shift0, shift1, degree, one, two)  # fmt: skip
    return out


@compiled
def _at(out, mass, z, flat, order, u, across, root, radial, width, shift0, shift1, degree, one, two):
    flat[0] = -(shift0 + width * (root[0, 0] * z[0] + root[0, 1] * z[1]))
    flat[1] = -(shift1 + width * (root[1, 0] * z[0] + root[1, 1] * z[1]))
    square = radial**2 + flat[0] ** 2 + flat[1] ** 2
    first = radial * u[0] + across[0, 0] * flat[0] + across[0, 1] * flat[1]
    second = radial * u[1] + across[1, 0] * flat[0] + across[1, 1] * flat[1]
    _add(out, mass * square ** (order / 2), first**2 / square, second**2 / square, degree, one, two)
