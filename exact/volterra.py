"""Volterra equations of the second kind with a convolution kernel, in continuous and in discrete time.

Continuous: l(t) = F(t) + integral over s from 0 to t of K(t - s) l(s), by collocation at Gauss nodes on equal
panels; the error is estimated by halving the panels. Discrete: l_k = F_k + sum over j < k of K_{k-1-j} l_j.
Both are one block convolution, solved in the order of time, long histories by FFT. Derived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .errors import InvalidInput, finite_array, positive, whole_number

Function = Callable[[np.ndarray], np.ndarray]

DIRECT = 256  # blocks whose history is summed directly: exact to rounding, and faster than FFT
MOST_BLOCKS = 2**15


@dataclass(frozen=True, eq=False)
class VolterraSolution:
    """Solution at chosen times.

    Attributes
    ----------
    times : array (times,)
    values : array (times,)
    error : float
        Largest change that halving the panels made, at these times.
    panels : int
    """

    times: np.ndarray
    values: np.ndarray
    error: float
    panels: int


def solve_volterra(
    forcing: Function,
    kernel: Function,
    times: np.ndarray,
    nodes: int = 12,
    panels: int = 8,
    tolerance: float = 1e-13,
) -> VolterraSolution:
    """Solve l = F + K * l for smooth F and K.

    Parameters
    ----------
    forcing, kernel : callable
        F and K at an array of times >= 0, shaped alike.
    times : array (times,)
        Increasing, from 0 on.
    nodes : int
        Gauss nodes a panel; the error falls as (panel length)^nodes, or faster.
    panels : int
        Where to start; they are doubled until the estimated error is below `tolerance` times the largest value,
        or no longer falls because it is rounding.
    tolerance : float

    Raises
    ------
    InvalidInput
        If an argument cannot be used, F, K or the solution is not finite, or 32768 panels do not resolve the
        kernel.
    """
    times = finite_array("times", times, ndim=1)
    if times.size == 0 or times[0] < 0 or (np.diff(times) <= 0).any():
        raise InvalidInput("times must increase, from 0 on, and hold at least one")
    nodes, panels = whole_number("nodes", nodes, 1, 40), whole_number("panels", panels, 1)
    tolerance = positive("tolerance", tolerance)
    if times[-1] == 0:
        return VolterraSolution(times, finite_array("forcing", forcing(times)), 0.0, 0)
    coarse, before = _collocate(forcing, kernel, times, nodes, panels), np.inf
    while 2 * panels <= MOST_BLOCKS:
        panels *= 2
        fine = _collocate(forcing, kernel, times, nodes, panels)
        scale = float(np.abs(fine).max())
        error = float(np.abs(fine - coarse).max())
        rounding = error >= before / 2 and error <= 1e-9 * scale
        if error <= tolerance * scale or rounding:
            return VolterraSolution(times, fine, error, panels)
        coarse, before = fine, error
    raise InvalidInput(
        f"{MOST_BLOCKS} panels do not resolve the Volterra equation up to time {times[-1]:g}: shorten the run"
    )


def solve_discrete_volterra(forcing: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Solve l_k = F_k + sum over j < k of K_{k-1-j} l_j.

    Parameters
    ----------
    forcing : array (steps + 1,)
    kernel : array (steps,) or longer

    Returns
    -------
    array (steps + 1,)
    """
    forcing = finite_array("forcing", forcing, ndim=1)
    kernel = finite_array("kernel", kernel, ndim=1)
    if kernel.size < forcing.size - 1:
        raise InvalidInput(f"kernel must have at least {forcing.size - 1} entries, got {kernel.size}")
    blocks = np.concatenate([[0.0], kernel[: forcing.size - 1]])[:, None, None]
    with np.errstate(over="ignore", invalid="ignore"):
        values = _block_convolution(forcing[:, None], blocks, np.eye(1))[:, 0]
    if not np.isfinite(values).all():
        raise InvalidInput(f"the solution leaves the range of numbers within {forcing.size - 1} steps: shorten the run")
    return values


def _collocate(
    forcing: Function, kernel: Function, times: np.ndarray, nodes: int, panels: int
) -> np.ndarray:
    """Collocation solution at `times` on this many equal panels."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    points, weights = (points + 1) / 2, weights / 2
    length = times[-1] / panels
    # Within a panel the history up to node i: Gauss nodes on (0, c_i), where l is interpolated.
    inner = points[:, None] * points
    within = length * points[:, None] * weights * kernel(length * (points[:, None] - inner))
    own = np.einsum("ir,irq->iq", within, _lagrange(points, inner))
    # Earlier panels: each node is a quadrature node.
    apart = np.arange(1, panels)[:, None, None] + points[:, None] - points
    blocks = np.zeros((panels, nodes, nodes))
    blocks[1:] = length * weights * kernel(length * apart)
    starts = length * (np.arange(panels)[:, None] + points)
    given = finite_array("forcing", forcing(starts))
    with np.errstate(over="ignore", invalid="ignore"):
        values = _block_convolution(given, finite_array("kernel", blocks), np.linalg.inv(np.eye(nodes) - own))
    if not np.isfinite(values).all():
        raise InvalidInput(f"the solution leaves the range of numbers before time {times[-1]:g}: shorten the run")
    place = np.minimum((times / length).astype(int), panels - 1)
    return np.einsum("tq,tq->t", _lagrange(points, times / length - place), values[place])


def _lagrange(points: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Lagrange polynomials of the points (q,) at x (...): array (..., q)."""
    gaps = points[:, None] - points
    np.fill_diagonal(gaps, 1.0)
    away = x[..., None, None] - points  # (..., 1, r)
    factors = np.broadcast_to(away, (*x.shape, points.size, points.size)) / gaps
    factors[..., np.arange(points.size), np.arange(points.size)] = 1.0
    return factors.prod(axis=-1)


def _block_convolution(given: np.ndarray, blocks: np.ndarray, solve: np.ndarray) -> np.ndarray:
    """Solve l_m = solve (given_m + sum over j < m of blocks_{m-j} l_j) for l (m, p); blocks is (m, p, p)."""
    total, values = given.copy(), np.empty_like(given)
    reversed_rows = np.ascontiguousarray(blocks[:DIRECT][::-1].transpose(1, 0, 2))
    transforms: dict[int, np.ndarray] = {}

    def advance(first: int, last: int) -> None:
        count = last - first
        if count <= DIRECT:
            for m in range(first, last):
                rows = reversed_rows[:, reversed_rows.shape[1] - 1 - (m - first) : -1]
                total[m] += np.tensordot(rows, values[first:m], axes=([1, 2], [0, 1]))
                values[m] = solve @ total[m]
            return
        middle = first + count // 2
        advance(first, middle)
        if count not in transforms:
            transforms[count] = np.fft.rfft(blocks[:count], 2 * count, axis=0)
        past = np.fft.rfft(values[first:middle], 2 * count, axis=0)
        history = np.fft.irfft(np.einsum("fpq,fq->fp", transforms[count], past), 2 * count, axis=0)
        total[middle:last] += history[middle - first : count]
        advance(middle, last)

    advance(0, len(given))
    return values
