"""Tail index of a diffusion in two modes whose noise is as large as its state, whatever their scales. Derived.

With w = z_2^2 / |z|^2 and t = log(w / (1 - w)), functions |z|^p f(t) that are even in both modes move by

    a (f'' - (1 - 2 w) f') + b f' + c D f,     D = w (1 - w),

over D: a is half the variance of w over D; b its drift, linear in p; c quadratic in p. A positive f for which this is
zero belongs to p = 0, where it is 1, and to the index. In t layers of any two scales are equally wide, so that
polynomials on panels of one length resolve f; p is an eigenvalue of a quadratic pencil.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from .moment_exponents import LinearNoise

PANEL = 2.5  # length in t
MARGIN = 16.0  # in t, beyond the scales of the modes
NODES = (10, 13)  # of a panel: coarse and fine
POSITIVE = -1e-9  # least value over the largest of a function that counts as positive
FIRST, FASTER, LAST = 0.1, 1.25, 200.0  # orders that are tried: the first, from one to the next, and the last
SLOWEST = 1 + 1e-6  # from one order to the next, before it is given up
ROUNDS = 12  # of inverse iteration, which is cubic
NEAR = 1e-4  # relative, of two orders from which secants begin
POINTS, FAR = 16001, 3.0  # at which the stationary law of t is summed, which falls slowly; times as far
SAFETY = 5.0  # times what the finer nodes change
ROUNDING = 1e-10


@dataclass(frozen=True)
class PlanarRoot:
    """The index and the Lyapunov exponent per step, with their errors; the index is nan where none is resolved."""

    index: float
    error: float
    lyapunov_exponent: float
    lyapunov_error: float


def planar_root(noise: LinearNoise) -> PlanarRoot:
    """Of a diffusion in two modes."""
    slope, doubt = lyapunov_exponent(noise)
    if slope >= -doubt:
        return PlanarRoot(math.nan, math.nan, slope, doubt)
    roots = []
    for nodes in NODES:
        panels = Panels.of(noise, nodes)
        root = panels.root(slope)
        roots.append(panels.root_near(noise.search_start) if math.isnan(root) else root)
    error = SAFETY * abs(roots[1] - roots[0]) + ROUNDING * max(1.0, abs(roots[1]))
    return PlanarRoot(roots[1], error, slope, doubt)


def lyapunov_exponent(noise: LinearNoise) -> tuple[float, float]:
    """Lambda'(0), the mean of its density over the stationary law of t, with an error from a step twice as long."""
    from scipy.integrate import cumulative_simpson, simpson

    found = []
    for points in (POINTS, 2 * POINTS - 1):
        t = np.linspace(-FAR * reach(noise), FAR * reach(noise), points)
        terms = Terms.at(noise, t)
        pull = (terms.drift - terms.half * (terms.u[0] - terms.u[1])) / terms.half
        logs = cumulative_simpson(pull, x=t, initial=0.0) - np.log(terms.half / terms.mass)
        density = np.exp(logs - logs.max())
        found.append(simpson(density * terms.slope, x=t) / simpson(density, x=t))
    return float(found[1]), float(SAFETY * abs(found[1] - found[0]) + ROUNDING * abs(found[1]))


@dataclass(frozen=True, eq=False)
class Panels:
    """still + p linear + p^2 square - Lambda mass, on values at nodes."""

    still: np.ndarray
    linear: np.ndarray
    square: np.ndarray
    mass: np.ndarray

    @classmethod
    def of(cls, noise: LinearNoise, nodes: int) -> Panels:
        """By collocation, joined with one derivative; at the ends, where a vanishes, without the second derivative."""
        t, first, second, (rows, inner) = _panels(noise, nodes)
        still, linear, square, mass, ends = _matrices(noise, t, first, second)
        for matrix in (linear, square):
            matrix[~inner] = 0.0
        still[~inner] = rows
        for place, parts in zip((0, -1), ends):
            still[place], linear[place], square[place] = parts
        inner[[0, -1]] = True
        size = 1 / np.abs(still).max(axis=1, keepdims=True)  # rows at the ends are small
        return cls(size * still, size * linear, size * square, size[:, 0] * np.where(inner, mass, 0.0))

    def rate(self, p: float, guess: float, function: np.ndarray) -> tuple[float, np.ndarray]:
        """Lambda(p) near a guess, with its function, from one that is near; nan where that is not positive."""
        from scipy.linalg import lu_factor, lu_solve

        matrix = self.still + p * self.linear + p**2 * self.square
        for _ in range(ROUNDS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a matrix that is singular: the guess is an eigenvalue
                factors = lu_factor(matrix - guess * np.diag(self.mass), check_finite=False)
            weighted = self.mass * function
            moved = lu_solve(factors, weighted, check_finite=False)
            size = float(weighted @ moved) / float(weighted @ function)
            if not np.isfinite(moved).all():
                break  # the guess is the eigenvalue to the last digit
            function = moved / moved[np.argmax(np.abs(moved))]
            guess += 1 / size
            if abs(1 / size) <= 1e-13 * max(abs(guess), 1e-12):
                break
        return (guess if function.min() > POSITIVE else math.nan), function

    def root(self, slope: float) -> float:
        """The order above zero at which Lambda is zero, on the way from p = 0; nan where the function is lost."""
        function, factor = np.ones(len(self.mass)), FASTER
        last, p = (0.0, 0.0, slope), FIRST
        while p < LAST and factor > SLOWEST:
            low, value, slope = last
            found, seen = self.rate(p, value + (p - low) * slope, function)
            if not math.isfinite(found):  # another function is nearer: come closer
                factor = math.sqrt(factor)
                p = low * factor if low else p / 4
                continue
            if found > 0:
                return self._between(low, value / low if low else slope, p, found / p, seen)
            function, last = seen, (p, found, (found - value) / (p - low))
            p, factor = p * factor, min(factor**1.5, FASTER)
        return math.nan

    def root_near(self, p: float) -> float:
        """The same by secants from an order above it, where two functions nearly have one rate; nan if it is lost."""
        ones = np.ones(len(self.mass))
        before, (value, function) = p * (1 + NEAR), self.rate(p, 0.0, ones)
        at_before = self.rate(before, 0.0, ones)[0] / before
        rate = value / p
        for _ in range(ROUNDS):
            if not math.isfinite(rate) or rate == at_before:
                return p if rate == 0 else math.nan
            before, at_before, p = p, rate, p - rate * (p - before) / (rate - at_before)
            if not FIRST < p < LAST:
                return math.nan
            value, function = self.rate(p, 0.0, function)
            rate = value / p
            if abs(p - before) <= 1e-12 * p:
                return p if math.isfinite(rate) else math.nan
        return math.nan

    def _between(self, low: float, low_rate: float, high: float, high_rate: float, function: np.ndarray) -> float:
        """By secants that keep the root between them (Illinois), each from the last function."""
        side, first = 0, abs(low_rate)
        for _ in range(60):
            p = high - high_rate * (high - low) / (high_rate - low_rate)
            found, seen = self.rate(p, 0.0, function)
            if not math.isfinite(found):
                p = (low + high) / 2
                found, seen = self.rate(p, 0.0, function)
            if not math.isfinite(found):
                return math.nan
            function, rate = seen, found / p
            if rate > 0:
                high, high_rate, low_rate, side = p, rate, low_rate / (2 if side > 0 else 1), 1
            else:
                low, low_rate, high_rate, side = p, rate, high_rate / (2 if side < 0 else 1), -1
            if abs(high - low) <= 1e-13 * high or abs(rate) <= 1e-16 * first:
                break
        return p


def reach(noise: LinearNoise) -> float:
    """How far t goes on either side."""
    return MARGIN + float(np.ptp(np.log(np.concatenate([noise.coupling, noise.squares]))))


@dataclass(frozen=True, eq=False)
class Terms:
    """Coefficients at places t: a = half (times D), b = drift + p crossed / 2, c = p slope + p^2 curvature."""

    u: tuple[np.ndarray, np.ndarray]
    half: np.ndarray
    drift: np.ndarray
    crossed: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray

    @property
    def mass(self) -> np.ndarray:
        """D."""
        return self.u[0] * self.u[1]

    @classmethod
    def at(cls, noise: LinearNoise, t: np.ndarray) -> Terms:
        """From the variances of both squares, their drifts and their covariance."""
        u = 1 / (1 + np.exp(t)), 1 / (1 + np.exp(-t))
        rates, spread, own = noise.rates, noise.spread, noise.own
        level = noise.coupling[0] * u[0] + noise.coupling[1] * u[1]
        noisy = [spread[i] * level + own[i] ** 2 * u[i] for i in (0, 1)]
        q, both = [4 * u[i] * noisy[i] for i in (0, 1)], 4 * own[0] * own[1] * u[0] * u[1]
        g = [-2 * rates[i] * u[i] + noisy[i] for i in (0, 1)]
        variance = q[0] + q[1] + 2 * both
        return cls(
            u, 2 * (u[0] * noisy[1] + u[1] * noisy[0]) - both,
            u[0] * g[1] - u[1] * g[0] - u[0] * q[1] + u[1] * q[0] + (u[1] - u[0]) * both,
            u[0] * (q[1] + both) - u[1] * (q[0] + both), (g[0] + g[1]) / 2 - variance / 4, variance / 8,
        )  # fmt: skip


def _panels(
    noise: LinearNoise, nodes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Places t, derivative matrices, and the rows that join panels and close the ends."""
    count = math.ceil(2 * reach(noise) / PANEL)
    edges = np.linspace(-reach(noise), reach(noise), count + 1)
    x = -np.cos(np.pi * np.arange(nodes) / (nodes - 1))
    weights = (-1.0) ** np.arange(nodes) * np.where((np.arange(nodes) % (nodes - 1)) == 0, 0.5, 1.0)
    gaps = x[:, None] - x + np.eye(nodes)
    local = weights / weights[:, None] / gaps
    np.fill_diagonal(local, 0.0)
    np.fill_diagonal(local, -local.sum(axis=1))
    length = edges[1] - edges[0]
    local = local * 2 / length
    twice = local @ local
    size = count * nodes
    first, second = np.zeros((size, size)), np.zeros((size, size))
    t = np.concatenate([edge + (x + 1) * length / 2 for edge in edges[:-1]])
    for k in range(count):
        part = slice(k * nodes, (k + 1) * nodes)
        first[part, part], second[part, part] = local, twice
    inner = np.ones(size, dtype=bool)
    inner[::nodes] = inner[nodes - 1 :: nodes] = False
    rows = []
    eye = np.eye(size)
    for k in range(count):
        left, right = k * nodes, (k + 1) * nodes - 1
        rows.append(first[left] if k == 0 else eye[left] - eye[left - 1])
        rows.append(first[right] if k == count - 1 else first[right] - first[right + 1])
    return t, first, second, (np.array(rows), inner)


def _matrices(
    noise: LinearNoise, t: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """still + p linear + p^2 square, the mass D, and the rows at both ends."""
    terms = Terms.at(noise, t)
    plain = terms.drift[:, None] * first
    still = terms.half[:, None] * (second - (terms.u[0] - terms.u[1])[:, None] * first) + plain
    linear = terms.crossed[:, None] / 2 * first + np.diag(terms.mass * terms.slope)
    square = np.diag(terms.mass * terms.curvature)
    ends = [(plain[place], linear[place].copy(), square[place].copy()) for place in (0, -1)]
    return still, linear, square, terms.mass, ends
