"""Expected losses known by formula, as problems of one sample: SGD on them is gradient descent without noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sgdlimits.exact.compiling import compiled

from ..sample_loops import path_gradients, path_values
from ..sampled import SampledProblem, along, summed

NODES = np.arange(-90, 91) / 10.0  # trapezoidal rule for normal means, exact to rounding for these integrands
DENSITY = np.exp(-0.5 * NODES**2) / (10.0 * math.sqrt(2 * math.pi))


@dataclass(frozen=True, eq=False, repr=False)
class Population(SampledProblem):
    """L(x) by formula; its one sample is the whole population.

    Parameters
    ----------
    name : str
    dimension : int
        d.
    compiled_value : compiled function (x (d,), i, *data) -> float
    compiled_gradient : compiled function (x (d,), i, out (d,), *data) -> None
    arrays : tuple of arrays
        What the compiled functions take behind their own arguments.
    """

    name: str
    dimension: int
    compiled_value: Callable[..., float]
    compiled_gradient: Callable[..., None]
    arrays: tuple[np.ndarray, ...]
    ridge: float = 0.0

    compiled: ClassVar[bool] = True
    samples: ClassVar[int] = 1
    evaluated: ClassVar[int] = 1
    exact_hessians: ClassVar[bool] = False

    @property
    def data(self):
        """The arrays."""
        return self.arrays

    def sample_values(self, x, rows):
        """L (P, B), whatever the row."""
        return path_values(self.compiled_value, self.data, np.ascontiguousarray(x), np.ascontiguousarray(rows))

    def sample_loss_gradients(self, x, rows):
        """Gradients (P, B, d) of L, whatever the row."""
        return path_gradients(self.compiled_gradient, self.data, np.ascontiguousarray(x), np.ascontiguousarray(rows))

    def summed_gradients(self, x, rows, weights=None):
        """Sum (P, d) of the gradients, times weights (P, B)."""
        return summed(self.sample_loss_gradients(x, rows), weights)

    def _slopes_along(self, x, rows, directions):
        return along(self.sample_loss_gradients(x, rows), directions)

    @property
    def row_size(self) -> int:
        """d."""
        return self.dimension

    own_blocks, mean_products = False, None

    @property
    def alone(self) -> bool:
        """Compiled loops take path after path."""
        return self.compiled

    def hessian(self, x):
        """Hessian (d, d) of L by differences of the gradient."""
        return self._hessian_by_differences(x)

    def batch_hessians(self, x, rows):
        """Hessians (P, d, d) of L, whatever the rows, by differences of the gradient."""
        return self._batch_hessians_by_differences(x, rows[:, :1])

    def batch_hessian_products(self, x, rows, directions):
        """Hessians of L, whatever the rows, times directions (P, m, d), by differences of the gradient."""
        return self._batch_products_by_differences(x, rows[:, :1], directions)

    def hessian_product(self, x, direction):
        """Hessian of L times a direction (d,), by differences of the gradient."""
        return self._hessian_product_by_differences(x, direction)

    def __repr__(self) -> str:
        return f"Population({self.name}: d={self.dimension})"


@compiled
def quadratic_value(x, i, hessian, least, floor):
    """floor + (x - least) . H (x - least) / 2."""
    total = 0.0
    for j in range(x.size):
        line = 0.0
        for k in range(x.size):
            line += hessian[j, k] * (x[k] - least[k])
        total += line * (x[j] - least[j])
    return floor[0] + 0.5 * total


@compiled
def quadratic_gradient(x, i, out, hessian, least, floor):
    """H (x - least)."""
    for j in range(x.size):
        line = 0.0
        for k in range(x.size):
            line += hessian[j, k] * (x[k] - least[k])
        out[j] = line


def quadratic(name: str, hessian: np.ndarray, least: np.ndarray, floor: float) -> Population:
    """A quadratic risk from its Hessian (d, d), a minimiser (d,) and its least value."""
    data = np.array(hessian, dtype=np.float64), np.array(least, dtype=np.float64), np.array([floor])
    return Population(name, len(least), quadratic_value, quadratic_gradient, data)


@compiled
def diagonal_value(x, i, coefficients, floor):
    """floor + |u^2 - v^2 - coefficients|^2 / 2."""
    p, total = coefficients.size, 0.0
    for j in range(p):
        total += (x[j] * x[j] - x[p + j] * x[p + j] - coefficients[j]) ** 2
    return floor[0] + 0.5 * total


@compiled
def diagonal_gradient(x, i, out, coefficients, floor):
    """2 (e u, -e v) with the error e of the coefficients."""
    p = coefficients.size
    for j in range(p):
        error = x[j] * x[j] - x[p + j] * x[p + j] - coefficients[j]
        out[j], out[p + j] = 2 * error * x[j], -2 * error * x[p + j]


def diagonal(coefficients: np.ndarray, noise: float) -> Population:
    """Squares of a diagonal linear network on inputs N(0, I), labels <a, coefficients> + noise N(0, 1)."""
    data = np.array(coefficients, dtype=np.float64), np.array([0.5 * noise**2])
    return Population("diagonal linear network", 2 * len(coefficients), diagonal_value, diagonal_gradient, data)


@compiled
def logistic_mean(x, i, variances, truth, pull, nodes, density):
    """E log(1 + e^m) - pull x . H truth for m ~ N(0, x . H x): the labels enter by Stein's identity."""
    variance, along = 0.0, 0.0
    for j in range(x.size):
        variance += variances[j] * x[j] * x[j]
        along += variances[j] * x[j] * truth[j]
    scale, total = math.sqrt(variance), 0.0
    for q in range(nodes.size):
        m = scale * nodes[q]
        total += density[q] * (max(m, 0.0) + math.log1p(math.exp(-abs(m))))
    return total - pull[0] * along


@compiled
def logistic_mean_gradient(x, i, out, variances, truth, pull, nodes, density):
    """H (E s'(m) x - pull truth), s the logistic function."""
    variance = 0.0
    for j in range(x.size):
        variance += variances[j] * x[j] * x[j]
    scale, rise = math.sqrt(variance), 0.0
    for q in range(nodes.size):
        small = math.exp(-abs(scale * nodes[q]))
        rise += density[q] * small / (1.0 + small) ** 2
    for j in range(x.size):
        out[j] = variances[j] * (rise * x[j] - pull[0] * truth[j])


def logistic(variances: np.ndarray, truth: np.ndarray) -> Population:
    """Logistic loss on inputs N(0, diag(variances)) whose labels follow the logistic model of `truth`; derived.

    L(x) = E log(1 + e^m) - E[s'(m_truth)] x . H truth. The trapezoidal rule is exact to rounding where x . H x is
    below about 40, and to 1e-9 below 80.
    """
    small = np.exp(-np.abs(np.sqrt(variances @ truth**2) * NODES))
    pull = np.array([DENSITY @ (small / (1 + small) ** 2)])
    data = *(np.array(each, dtype=np.float64) for each in (variances, truth)), pull, NODES, DENSITY
    return Population("logistic regression", len(truth), logistic_mean, logistic_mean_gradient, data)


@compiled
def _units(x, teacher):
    """All units in a row each, inner weights, outer weight and norm: the student's, then the teacher's with sign -1."""
    p = teacher.shape[1] - 1
    width = x.size // (p + 1)
    units = np.empty((width + teacher.shape[0], p + 2))
    for j in range(units.shape[0]):
        square = 0.0
        for k in range(p):
            units[j, k] = x[j * p + k] if j < width else teacher[j - width, k]
            square += units[j, k] * units[j, k]
        units[j, p] = x[width * p + j] if j < width else -teacher[j - width, p]
        units[j, p + 1] = math.sqrt(square)
    return width, p, units


@compiled
def _cosine(units, j, other, p):
    """Of the angle between the inner weights of two units; 0 where one has none."""
    norms = units[j, p + 1] * units[other, p + 1]
    product = 0.0
    for k in range(p):
        product += units[j, k] * units[other, k]
    return min(max(product / norms, -1.0), 1.0) if norms > 0.0 else 0.0


@compiled
def relu_value(x, i, teacher, floor):
    """Half the mean square of student minus teacher, from the arc-cosine kernel of each pair of units."""
    width, p, units = _units(x, teacher)
    total = floor[0]
    for j in range(width):
        for other in range(units.shape[0]):
            cosine = _cosine(units, j, other, p)
            kernel = math.sqrt(1 - cosine * cosine) + (math.pi - math.acos(cosine)) * cosine
            kernel *= units[j, p + 1] * units[other, p + 1] / (2 * math.pi)
            total += (0.5 if other < width else 1.0) * units[j, p] * units[other, p] * kernel
    return total


@compiled
def relu_gradient(x, i, out, teacher, floor):
    """Its derivative; the kernel's own in u is (|w| sin(angle) u / |u| + (pi - angle) w) / (2 pi)."""
    width, p, units = _units(x, teacher)
    for j in range(width):
        norm, weight = units[j, p + 1], units[j, p]
        along = 0.0
        for other in range(units.shape[0]):
            far, outer = units[other, p + 1], units[other, p] / (2 * math.pi)
            cosine = _cosine(units, j, other, p)
            sine, rest = math.sqrt(1 - cosine * cosine), math.pi - math.acos(cosine)
            out[width * p + j] += outer * norm * far * (sine + rest * cosine)
            along += outer * far * sine
            pull = weight * outer * rest
            for k in range(p):
                out[j * p + k] += pull * units[other, k]
        if norm > 0.0:
            for k in range(p):
                out[j * p + k] += weight * along / norm * units[j, k]


def relu(teacher: np.ndarray, width: int, noise: float) -> Population:
    """Squares of a two-layer ReLU network without biases on inputs N(0, I), by the arc-cosine kernel (Cho, Saul 2009).

    Parameters
    ----------
    teacher : (k, p + 1) array
        A unit a row: its inner weights and its outer weight; labels add noise N(0, 1) to its output.
    width : int
        Units of the student, x = (U row by row, V).
    noise : float
    """
    teacher = np.array(teacher, dtype=np.float64)
    weights, outer = teacher[:, :-1], teacher[:, -1]
    norms = np.linalg.norm(weights, axis=1)
    cosine = np.clip(weights @ weights.T / np.outer(norms, norms), -1, 1)
    angle = np.arccos(cosine)
    kernel = np.outer(norms, norms) * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi)
    floor = np.array([0.5 * outer @ kernel @ outer + 0.5 * noise**2])
    return Population("two-layer ReLU network", width * teacher.shape[1], relu_value, relu_gradient, (teacher, floor))
