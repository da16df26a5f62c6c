"""Steps of stiff gradient flows by exponential collocation: a low-rank part of the force exactly, the rest at nodes.

The force minus its linearisation V' diag(-rates) V about the start of a step is a polynomial in time through Lobatto's
nodes, and what it does is integrated exactly in the modes V and in the directions that they leave out. Sweeps over all
nodes at once solve for it. Of any linearisation the order in time is that of the nodes; a good one lets steps be long
(derived; the idea of Hochbruck and Ostermann's exponential collocation methods).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

NODES = 7  # unknown ones; with the start they are Lobatto's
SWEEPS = 14
FAST = 30.0  # exponent beyond which the upward recursion of the moments is exact to rounding
QUADRATURE = 24  # Gauss-Legendre nodes: exact to rounding up to FAST
EXPLOSION = 1e3  # distances over those of the linear flow, at which a sweep is given up


def _lobatto(count: int) -> np.ndarray:
    inner = np.sort(np.real(np.polynomial.legendre.Legendre.basis(count - 1).deriv().roots()))
    return np.concatenate([[0.0], 0.5 + 0.5 * inner, [1.0]])


TIMES = _lobatto(NODES + 1)
MONOMIALS = np.linalg.inv(np.vander(TIMES, increasing=True))  # (power, node): coefficients of Lagrange's polynomials
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(QUADRATURE)
_POINTS, _WEIGHTS = (1 + _POINTS) / 2, _WEIGHTS / 2
# Lagrange's polynomials at the quadrature's points on the way to each node: (node, point, polynomial).
_LAGRANGE = np.vander((TIMES[1:, None] * _POINTS).ravel(), NODES + 1, increasing=True) @ MONOMIALS
_LAGRANGE = _LAGRANGE.reshape(NODES, QUADRATURE, NODES + 1)
# Coefficient of the highest Legendre polynomial on the step, as a sum over the nodes.
_HIGHEST = np.linalg.inv(np.polynomial.legendre.legvander(2 * TIMES - 1, NODES))[-1]


class Step(NamedTuple):
    """Ends (P, m) of steps, their estimated errors (P,), inf where the sweeps do not settle, and slope of the rest.

    `slope` (P,) is the size of the force's derivative beyond the modes, as the step has met it.
    """

    moved: np.ndarray
    error: np.ndarray
    slope: np.ndarray


def weights_of(exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a constant (..., NODES) and a polynomial's nodes (..., NODES, NODES + 1) do by each node, for z (...).

    int_0^c exp((c - t) z) dt and int_0^c exp((c - t) z) l_j(t) dt, l_j Lagrange's polynomials on 0 = t_0 < ... <= 1.
    """
    z = exponents[..., None] * TIMES[1:]
    near = np.where(z > -FAST, z, 0.0)
    decay = np.exp(near[..., None] * (1 - _POINTS)) * _WEIGHTS
    found = TIMES[1:, None] * np.einsum("...iq,iqj->...ij", decay, _LAGRANGE)
    if (z <= -FAST).any():
        far = np.where(z > -FAST, -FAST, z)
        moments, last = [], np.exp(far)
        for k in range(NODES + 1):
            last = (k * last if k else last) - 1.0
            last = last / far  # k! phi_{k+1}
            moments.append(TIMES[1:] ** (k + 1) * last)
        found = np.where((z > -FAST)[..., None], found, np.stack(moments, axis=-1) @ MONOMIALS)
    return found.sum(-1), found


_STILL_CONSTANT, _STILL = weights_of(np.zeros(()))


def step(
    force_of: Callable[[np.ndarray], np.ndarray],
    w: np.ndarray,
    force: np.ndarray,
    rates: np.ndarray,
    modes: np.ndarray,
    size: np.ndarray,
    tolerance: np.ndarray,
) -> Step:
    """Steps of sizes (P,) of dw/dt = force_of(w) from w (P, m), with its values (P, m) there.

    Parameters
    ----------
    force_of : function of points (P, s, m), of the same shape
    rates, modes : (P, k) and (P, k, m) arrays
        Minus the eigenvalues of the linear part, and its orthonormal eigenvectors.
    tolerance : (P,) array
        Distance by which the last sweep may still move the end.
    """
    h = size[:, None, None]
    constant, weights = weights_of(-size[:, None] * rates)
    back = modes.swapaxes(-1, -2)
    pull = (modes @ force[..., None])[..., 0]
    beyond = (constant - _STILL_CONSTANT) * pull[..., None]
    linear = h * (_STILL_CONSTANT[:, None] * force[:, None] + beyond.swapaxes(-1, -2) @ modes)
    inside = size[:, None, None] * (constant * pull[..., None]).swapaxes(-1, -2)  # (P, s, k)
    reach = EXPLOSION * np.linalg.norm(linear, axis=-1).max(-1) + tolerance
    moved, within = linear.copy(), inside.copy()
    shift = np.full(len(w), np.inf)
    change, seen, bent = np.zeros(linear.shape), np.zeros(inside.shape), np.zeros(inside.shape)
    going = np.arange(len(w))  # a point's numbers must not depend on those beside it
    for _ in range(SWEEPS):
        size_of, turned = h[going], modes[going]
        change[going] = force_of(w[going, None] + moved[going]) - force[going, None]  # (P, s, m)
        seen[going] = change[going] @ back[going]
        bent[going] = seen[going] + rates[going, None] * within[going]  # of the modes; beyond them the change itself
        extra = size_of * np.einsum("pkij,pjk->pik", weights[going][..., 1:], bent[going])
        still = size_of * (_STILL[:, 1:] @ seen[going])
        new = linear[going] + size_of * (_STILL[:, 1:] @ change[going]) + (extra - still) @ turned
        last, shift[going] = shift[going], np.linalg.norm(new[:, -1] - moved[going, -1], axis=-1)
        moved[going], within[going] = new, inside[going] + extra
        lost = ~(np.linalg.norm(new[:, -1], axis=-1) <= reach[going]) | (shift[going] > last)
        shift[going[lost]] = np.inf
        going = going[~lost & (shift[going] > tolerance[going])]
        if not going.size:
            break
    highest = np.einsum("j,pjm->pm", _HIGHEST[1:], change)
    across = np.einsum("j,pjk->pk", _HIGHEST[1:], bent)
    damped = (constant[..., -1] * across - np.einsum("j,pjk->pk", _HIGHEST[1:], seen))[:, None] @ modes
    error = size * np.linalg.norm(highest + damped[:, 0], axis=-1)
    beyond_modes = change + (bent - seen) @ modes
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.linalg.norm(beyond_modes[:, -1], axis=-1) / np.linalg.norm(moved[:, -1], axis=-1)
    return Step(w + moved[:, -1], np.where(shift <= tolerance, error, np.inf), slope)
