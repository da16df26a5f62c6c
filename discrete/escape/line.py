"""Rates on a line by the transfer operator: Gauss-Legendre panels, refined until two resolutions agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.killed_chains import quasi_stationary

from .steps import LineSteps
from .well_mesh import NODES, Mesh, mesh_of

WIDTHS = (6.5, 5.0, 3.8, 2.9)  # of a panel, in widths of a step
MOST_NODES = 4000
SETTLED = 1e-10  # relative change between two resolutions at which the finer one stands
ROUNDING = 1e-13
SMALLEST = 1e-280
SPARE = 1e-13  # of the rate: mass in the outermost panel of an open end
WIDER = 1.3
MOST_WIDENINGS = 25


@dataclass(frozen=True, eq=False)
class Interval:
    """A basin on a line, cut off where it has no end.

    Attributes
    ----------
    lower, upper : float
        Ends, infinite where there is none.
    start : float
    spread : float
        Standard deviation about the minimum, for the first guess where to cut.
    """

    lower: float
    upper: float
    start: float
    spread: float

    def cut(self, factor: float) -> tuple[float, float]:
        """Where the nodes end."""
        reach = 9 * self.spread * factor
        return max(self.lower, self.start - reach), min(self.upper, self.start + reach)


@dataclass(frozen=True, eq=False)
class Found:
    """A rate with its error, the quasi-stationary law at nodes (n, d), and where paths leave: masses of sum 1."""

    rate: float
    error: float
    points: np.ndarray
    masses: np.ndarray
    resolution: str
    exits: np.ndarray
    shares: np.ndarray


def panels(steps: LineSteps, lower: float, upper: float, widths: float, start: float) -> Mesh:
    """So fine everywhere that the law of a step is resolved, in where it starts and where it arrives.

    None goes across `start`, about which noise that grows with the distance is narrow.

    Raises
    ------
    OutOfReach
        If that takes too many nodes; `.about` is 0 where no rate is left among numbers.
    """
    ends = np.array([lower, start, upper] if lower < start < upper else [lower, upper])
    try:
        if not lower < upper:
            raise OutOfReach("rounding leaves no place for it")
        return mesh_of(steps, ends, widths, MOST_NODES)
    except OutOfReach:
        raise OutOfReach(
            f"the noise of one step is so small beside the basin, or beside what the drift does where noise takes "
            f"paths, that more than {MOST_NODES} nodes would be needed: raise step_size, pass "
            'method="splitting", or ask for escape.kramers, which is near at small step sizes',
            about=math.nan if lower < upper else 0.0,
        ) from None


def line_rate(steps: LineSteps, interval: Interval) -> Found:
    """Rate of leaving an interval, refined until two resolutions agree."""
    factor = 1.0
    coarse = _at(steps, interval, factor, WIDTHS[0])
    for _ in range(MOST_WIDENINGS):
        if coarse[1] <= SPARE * coarse[0]:
            break
        factor *= WIDER
        coarse = _at(steps, interval, factor, WIDTHS[0])
    else:
        raise OutOfReach(
            "paths wander so far from the minimum on the side without an end that the nodes do not hold them: name "
            "that end of the basin too"
        )
    seen(coarse[0])
    return refined(lambda widths: _at(steps, interval, factor, widths), coarse)


def seen(rate: float) -> None:
    """Raise where a rate is lost among the smallest numbers."""
    if not rate > SMALLEST:
        raise OutOfReach(
            f"the rate is below {SMALLEST:g} a step, where numbers end: escape.exponent gives its logarithm to leading "
            "order", about=rate,
        )  # fmt: skip


def refined(at, coarse) -> Found:
    """Halve the panels until the rate stays; `at(widths)` gives rate, mass left out, points, masses."""
    before, error = coarse, np.inf
    for widths in WIDTHS[1:]:
        found = at(widths)
        error = abs(found[0] - before[0]) + ROUNDING * found[0]
        before = found
        if error <= SETTLED * found[0]:
            break
    rate, _, points, masses, exits, shares = before
    return Found(float(rate), float(error), points, masses, f"{len(points)} nodes", exits, shares)


def through_ends(
    interval: Interval, law: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ends (k, 1) at which paths leave, and the share of each."""
    ends, flux = np.array([interval.lower, interval.upper]), np.array([law @ lower, law @ upper])
    finite = np.isfinite(ends)
    return ends[finite, None], flux[finite] / (flux.sum() or 1.0)


def _at(steps: LineSteps, interval: Interval, factor: float, widths: float) -> tuple:
    lower, upper = interval.cut(factor)
    mesh = panels(steps, lower, upper, widths, interval.start)
    zero = np.zeros(mesh.nodes.size)
    down = steps.leaving(mesh.nodes, zero, interval.lower, np.inf)
    up = steps.leaving(mesh.nodes, zero, -np.inf, interval.upper)
    if steps.singular:
        matrix = product_rows(steps, mesh, mesh.nodes, zero, widths)
    else:
        matrix = steps.density(mesh.nodes, zero, np.broadcast_to(mesh.nodes, (zero.size, zero.size))) * mesh.weights
    law, rate = quasi_stationary(matrix, down + up)
    outer = (law[:NODES].sum() if lower > interval.lower else 0.0) + (
        law[-NODES:].sum() if upper < interval.upper else 0.0
    )
    return rate, float(outer), mesh.nodes[:, None], law, *through_ends(interval, law, down, up)


def lagrange(mesh: Mesh, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First node (P,) of the panel of each x (P,), and the values (P, 16) there of the panel's Lagrange polynomials."""
    first = NODES * np.clip(np.searchsorted(mesh.ends, x, side="right") - 1, 0, mesh.ends.size - 2)
    gaps = x[:, None] - mesh.nodes[first[:, None] + np.arange(NODES)]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = _barycentric() / gaps
        values = terms / terms.sum(axis=1, keepdims=True)
    return first, np.where((gaps == 0).any(axis=1, keepdims=True), gaps == 0, values)


def _barycentric() -> np.ndarray:
    from scipy.special import roots_legendre

    unit, _ = roots_legendre(NODES)
    return np.array([1 / np.prod(unit[j] - np.delete(unit, j)) for j in range(NODES)])


def product_rows(steps: Any, mesh: Mesh, w: np.ndarray, v: np.ndarray, widths: float) -> np.ndarray:
    """Rows (P, n): integrals of the density times each node's polynomial, fine about the singular point."""
    from scipy.special import roots_legendre

    t, weight = roots_legendre(10)
    size = float(steps.width(w[:1])[0]) * widths / WIDTHS[0]
    ladder = size * 2.0 ** np.arange(-36, 1)
    far = size * np.arange(2, 400)
    ends = np.r_[0.0, ladder, far[: int(np.ceil((mesh.ends[-1] - mesh.ends[0]) / size)) + 1]]
    ends = np.r_[-ends[:0:-1], ends]
    low, high = mesh.ends[0], mesh.ends[-1]
    out = np.zeros((w.size, mesh.nodes.size))
    barycentric = _barycentric()
    rows = max(1, int(2e6 / (ends.size * t.size)))
    for first in range(0, w.size, rows):
        part = slice(first, first + rows)
        centre = (steps.carried(w[part]) + v[part])[:, None]
        from_, to = np.maximum(ends[:-1], low - centre), np.minimum(ends[1:], high - centre)  # about the singular point
        half = np.maximum(to - from_, 0)[..., None] / 2
        away = from_[..., None] + half * (t + 1)
        z = centre + away.reshape(len(centre), -1)
        # Near the singular point z - centre has lost the digits that `away` still has.
        exact = steps.density_away(w[part], v[part], away.reshape(z.shape))
        _spread(out[part], z, (half * weight).reshape(z.shape) * exact, mesh.ends, mesh.nodes, barycentric)
    return out


@compiled
def _spread(out, z, mass, ends, nodes, barycentric):
    """Give the mass at each z to the nodes of its panel, by their Lagrange polynomials."""
    size = barycentric.size
    last = ends.size - 2
    for p in range(z.shape[0]):
        for q in range(z.shape[1]):
            if mass[p, q] == 0:
                continue
            panel = min(max(np.searchsorted(ends, z[p, q], side="right") - 1, 0), last)
            first = panel * size
            total, hit = 0.0, -1
            for j in range(size):
                gap = z[p, q] - nodes[first + j]
                if gap == 0:
                    hit = j
                    break
                total += barycentric[j] / gap
            if hit >= 0:
                out[p, first + hit] += mass[p, q]
                continue
            for j in range(size):
                out[p, first + j] += mass[p, q] * barycentric[j] / (z[p, q] - nodes[first + j]) / total
