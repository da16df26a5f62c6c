"""How the index of a diffusion moves with what its noise is made of, by the implicit function of its growth. Derived.

Lambda(index; theta) = 0, so that d index / d theta = -(d Lambda / d theta) / (d Lambda / d index). With the
eigenfunction and its adjoint both are quotients of the pencil's derivatives, which are exact: its entries are
polynomials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .diffusion_index import CLOSE, SAFETY, nearest_eigenvalue
from .direction_spaces import FEW
from .index_sensitivities import ROUNDING, STEP, Derivative, difference
from .moment_exponents import LinearNoise
from .planar_diffusion import NODES, Panels
from .tail_index import TailIndex

Change = Callable[[float], LinearNoise]  # of a change of a parameter, in which coefficients are quadratic
FAR = 0.1  # over which a central difference of quadratics is taken: exact but for rounding
ENOUGH = 1e-2  # relative error from which on derivatives are guesses


def index_slopes(noise: LinearNoise, index: TailIndex, changes: Sequence[Change]) -> list[Derivative] | None:
    """Derivatives of the index at no change, one for each; None where the spectrum does not resolve them."""
    if noise.isotropic:
        return [_alike(noise, index.index, change) for change in changes]
    values, errors = _by_polynomials(noise, index.index, changes)
    if noise.dimension == 2 and not (errors <= CLOSE * np.abs(values)).all():
        panels = [_by_panels(index.index, change) for change in changes]
        better = np.array([each.error for each in panels]) < np.where(np.isfinite(errors), errors, math.inf)
        values = np.where(better, [each.value for each in panels], values)
        errors = np.where(better, [each.error for each in panels], errors)
    errors = errors + SAFETY * np.abs(values) * index.error / index.index
    if not (errors <= ENOUGH * np.abs(values).max()).all():
        return None
    return [Derivative(float(value), float(error)) for value, error in zip(values, errors)]


def _alike(noise: LinearNoise, p: float, change: Change) -> Derivative:
    """In closed form, Lambda = p / 2 (-2 rate + shared (d + p - 2)) with the root p."""
    ends = [change(side * FAR).isotropic_exponent(p) for side in (1, -1)]
    slope = p / 2 * float(noise.spread[0] * noise.coupling[0] + noise.own[0] ** 2)
    value = (ends[1] - ends[0]) / (2 * FAR) / slope
    return Derivative(value, ROUNDING * max(p * float(noise.rates[0]) / slope, abs(value)) / FAR)


def _by_polynomials(noise: LinearNoise, p: float, changes: Sequence[Change]) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives (m,) from larger and larger spaces, and three times what the last one changed, or more."""
    ends = [[change(side * FAR).with_functions_of(noise) for side in (1, -1)] for change in changes]
    tolerance = 1e-11 if noise.dimension <= FEW else 1e-8
    found: list[np.ndarray] = []
    errors = np.full(len(changes), math.inf)
    for space in noise.spaces():
        pencil = noise.pencil(space.alpha)
        pair = nearest_eigenvalue(pencil, p, pencil.constant, pencil.constant, 6)
        if pair is None:
            break
        _, right, left = pair
        apart = [(up.pencil(space.alpha).at(p) - down.pencil(space.alpha).at(p)) / (2 * FAR) for up, down in ends]
        slope = left @ pencil.slope_at(p) @ right
        now = np.array([-(left @ each @ right) / slope for each in apart])
        if found:
            changed = np.abs(now - found[-1])
            if not space.sure and (changed > SAFETY * errors).any():
                break  # rounding has taken over
            before = errors if np.isfinite(errors).all() else changed
            errors = np.maximum(SAFETY * changed, 0.1 * before) + ROUNDING * np.abs(now)
        found.append(now)
        if len(found) > 2 and (errors <= SAFETY * tolerance * np.abs(now).max()).all():
            break
    return (found[-1] if found else np.full(len(changes), math.nan)), errors


def _by_panels(p: float, change: Change) -> Derivative:
    """In the plane where scales are far apart: differences of the growth that panels give."""

    def rate(noise: LinearNoise, order: float) -> tuple[float, float]:
        both = []
        for nodes in NODES:
            panels = Panels.of(noise, nodes)
            both.append(panels.rate(order, 0.0, np.ones(len(panels.mass)))[0])
        return both[1], abs(both[1] - both[0])

    here = change(0.0)
    moved = difference(lambda t: rate(change(t), p), 0.0, STEP)
    slope = difference(lambda order: rate(here, order), p, STEP * p)
    value = -moved.value / slope.value
    return Derivative(value, moved.error / abs(slope.value) + abs(value * slope.error / slope.value))
