"""Lipschitz factors of one step, far out: how much it spreads and how little it shrinks states under the same noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.exact.errors import (
    InvalidInput,
    OutOfReach,
    calling,
    finite_array,
    has_methods,
    positive,
    seed_number,
    whole_number,
)
from sgdlimits.exact.schedules import StepSizes

from .sgd import SGD

DIRECTIONS = 96  # purpose of the random numbers of directions
FAR = 1e8  # radius at which only behaviour at infinity is left
APART = 1e-3  # half the distance of a pair, over the radius
FARTHER = 10.0  # times the radius, where the factors must be the same
CHECKED = 64  # draws that are looked at there too
SAME = 0.01  # relative change that still counts as the same
NUMBERS = 2**20  # of positions that are stepped at once
WORK = 2e12  # numbers, from which on it takes hours


@dataclass(frozen=True, eq=False)
class LipschitzFactors:
    """Largest and smallest factor of independent steps, for `tail_exponent_bounds`.

    Attributes
    ----------
    largest, smallest : (n,) arrays
        K_Psi and k_Psi of each draw of the noise: extreme singular values of the matrix of differences, the extreme
        over the states that were looked at.
    dimension : int
        Of the state.
    states : int
        Places looked at for each draw.
    steps : int
        Steps that were taken as one.
    spread : float
        Largest ratio between two places' largest factors under the same noise; 1 of a map that is linear far out. Where
        it is above 1, places that were not looked at may have still larger factors.
    growth : float
        Largest factors ten times as far out over those here, of the draw where they differ most; nan where the places
        were given.
    """

    largest: np.ndarray
    smallest: np.ndarray
    dimension: int
    states: int
    steps: int
    spread: float
    growth: float

    @property
    def settled(self) -> bool:
        """Whether the factors no longer change with the radius; True where that was not looked at."""
        return math.isnan(self.growth) or abs(self.growth - 1) <= SAME

    def __repr__(self) -> str:
        taken = "" if self.steps == 1 else f" of {self.steps} steps each"
        radius = "" if math.isnan(self.growth) else f"; {self.growth:.4g} times as large ten times as far out"
        return (
            f"LipschitzFactors({self.largest.size} draws{taken}, d={self.dimension}: K_Psi from "
            f"{self.largest.min():.4g} to {self.largest.max():.4g}, k_Psi from {self.smallest.min():.4g} to "
            f"{self.smallest.max():.4g}; between {self.states} places up to {self.spread:.4g} times{radius})"
        )


def lipschitz_factors(
    recurrence: Any,
    dimension: int | None = None,
    *,
    draws: int = 4096,
    states: Any = 4,
    apart: float | None = None,
    steps: int = 1,
    seed: int = 0,
) -> LipschitzFactors:
    """Estimate K_Psi and k_Psi of a recurrence along independent draws of its noise.

    Pairs of states far apart take the same step with the same noise; the differences over the distance make a matrix,
    whose extreme singular values are taken. Such differences see what a derivative at one point does not: of a bounded
    gradient nothing is left, and wiggles of the map are averaged out. Directions are drawn at random.

    Parameters
    ----------
    recurrence : SGD, or an object with `initial_state`, `step` and `position`
        Its state must be its position; SGD with momentum is taken with its joint state (w, w before). The noise must be
        independent from step to step.
    dimension : int
        d of the positions; of SGD it is known.
    draws : int
        n of the noise. They are independent, so sampling errors are those of a mean.
    states : int or array (m, d)
        How many places at radius 10^8 in random directions, or the places themselves, the ends of paths for example.
    apart : float, optional
        Half the distance of a pair, in the same units as states; by default a thousandth of the radius.
    steps : int
        Take so many steps as one: sharper lower bounds of the index, laxer upper ones.
    seed : int

    Returns
    -------
    LipschitzFactors

    Raises
    ------
    InvalidInput
        If the recurrence keeps more than its position, its noise is not independent, or its step overflows.
    OutOfReach
        If it takes hours.
    """
    recurrence, dimension = _independent(recurrence, dimension)
    count, steps = whole_number("draws", draws, 1), whole_number("steps", steps, 1, 10**4)
    noise = Noise(seed_number(seed), np.arange(count))
    given = None if np.ndim(states) == 0 else finite_array("states", states, shape=(None, dimension))
    places = whole_number("states", states, 1) if given is None else len(given)
    if not places:
        raise InvalidInput("states must hold at least one state, got none")
    if 2.0 * count * places * dimension**3 * steps > WORK:
        raise OutOfReach(
            f"{count} draws at {places} states in {dimension} dimensions take hours: lower draws or states"
        )
    if given is None:
        half = positive("apart", APART * FAR if apart is None else apart)
        normals = noise.child("directions").normals(DIRECTIONS, 0, places * dimension)
        about = normals.reshape(count, places, dimension)
        about *= FAR / np.sqrt(np.square(about).sum(axis=2, keepdims=True))
    else:
        size = float(np.sqrt(np.square(given).sum(axis=1)).mean())
        half = positive("apart", APART * (size or 1.0) if apart is None else apart)
        about = np.broadcast_to(given, (count, places, dimension))
    values = _singular_values(recurrence, about, half, noise, steps)
    largest, smallest = values[..., 0], values[..., -1]
    growth = math.nan
    if given is None:
        few = slice(0, CHECKED)
        farther = _singular_values(
            recurrence, FARTHER * about[few], FARTHER * half, Noise(noise.seed, noise.paths[few]), steps
        )
        ratios = _ratio(farther[..., 0].max(axis=1), largest[few].max(axis=1))
        growth = float(ratios[np.argmax(np.abs(np.log(ratios)))])
    return LipschitzFactors(
        largest.max(axis=1), smallest.min(axis=1), dimension, places, steps,
        float(_ratio(largest.max(axis=1), largest.min(axis=1)).max()), growth,
    )  # fmt: skip


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Ratios of factors; those that are 0 up to rounding count as a tiny one."""
    return np.maximum(above, 1e-12) / np.maximum(below, 1e-12)


def _independent(recurrence: Any, dimension: int | None) -> tuple[Any, int]:
    """The recurrence with a state that is its position, and the dimension of that."""
    if isinstance(recurrence, SGD):
        if isinstance(recurrence.step_size, StepSizes) or recurrence.sampling == "reshuffle":
            raise InvalidInput(
                f"{recurrence.label} with a schedule or with sampling='reshuffle' takes other steps each time: give a "
                "constant step size and independent batches"
            )
        if dimension is not None and dimension != recurrence.problem.dimension:
            raise InvalidInput(f"dimension is {dimension}, but the problem has {recurrence.problem.dimension}")
        dimension = int(recurrence.problem.dimension)
        if recurrence.momentum:
            plain = replace(recurrence, momentum=0.0, nesterov=False, rule=None)
            return JointMomentum(plain, recurrence.momentum, recurrence.nesterov), 2 * dimension
        if recurrence.update_rule.slots:
            raise InvalidInput(
                f"{recurrence.label} keeps {recurrence.update_rule.slots} arrays beside its position, and a factor "
                "would be one of all of them: ask tail_index(), which bounds its increments"
            )
        return recurrence, dimension
    has_methods("recurrence", recurrence, ("initial_state", "step", "position"))
    if dimension is None:
        raise InvalidInput("dimension is missing: the d of the recurrence's positions")
    dimension = whole_number("dimension", dimension, 1)
    paths = RecurrenceSimulator(recurrence, dimension).start(np.ones((1, dimension)), Noise(0, np.zeros(1, np.int64)))
    kept = sum(array.size for name, array in paths.dump().items() if name != "overflow_steps")
    if kept != dimension:
        raise InvalidInput(
            f"the state of {type(recurrence).__name__} holds {kept} numbers and its position {dimension}: let the "
            "position be all of the state"
        )
    return recurrence, dimension


def _singular_values(recurrence: Any, about: np.ndarray, half: float, noise: Noise, steps: int) -> np.ndarray:
    """Of the differences about (n, m, d), each of `half` to both sides along every coordinate: (n, m, d)."""
    n, m, d = about.shape
    moves = half * np.concatenate([np.eye(d), -np.eye(d)])
    found = np.empty((n, m, d))
    block = max(1, NUMBERS // (2 * m * d * d))
    for first in range(0, n, block):
        part = about[first : first + block]
        pairs = (part[:, :, None] + moves).reshape(-1, d)
        own = Noise(noise.seed, np.repeat(noise.paths[first : first + block], 2 * m * d), noise.quality)
        with calling("the recurrence"), np.errstate(over="ignore", invalid="ignore"):
            state = recurrence.initial_state(pairs)
            for k in range(steps):
                state = recurrence.step(k, state, own)
            after = np.asarray(recurrence.position(state), dtype=np.float64)
        if after.shape != pairs.shape:
            raise InvalidInput(f"the recurrence's position has shape {after.shape}, but must have {pairs.shape}")
        if not np.isfinite(after).all():
            raise InvalidInput(
                f"the step overflows from states of size {np.abs(pairs).max():.3g}: give states nearer to zero"
            )
        sides = after.reshape(len(part), m, 2, d, d)
        found[first : first + block] = np.linalg.svd((sides[:, :, 0] - sides[:, :, 1]) / (2 * half), compute_uv=False)
    return found


@dataclass(frozen=True, eq=False)
class JointMomentum:
    """The linear part of SGD with momentum as one position (w, w before): no slots beside it."""

    plain: Any  # SGD without momentum and noise, whose step gives the gradient
    momentum: float
    nesterov: bool

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        return x0.copy()

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        now, before = np.split(state, 2, axis=1)
        ahead = now + self.momentum * (now - before)
        at = ahead if self.nesterov else now
        moved = self.plain.position(self.plain.step(k, self.plain.initial_state(at), noise))
        return np.concatenate([moved + ahead - at, now], axis=1)

    def position(self, state: np.ndarray) -> np.ndarray:
        return state
