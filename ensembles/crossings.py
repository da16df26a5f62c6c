"""Follows the continuous first passages of a chunk of paths from one increment to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sgdlimits.exact.errors import InvalidInput, calling, real_array, shown
from sgdlimits.exact.numerical_derivatives import jacobian

from .crowd import Crowd
from .observation import Observation
from .passages import FirstPassage, LocalNoise, streams
from .random import Noise, Purpose

NUMBERS = 4  # uniforms of an increment: one decides, three draw the time
LEAST = 2.0**-60  # no uniform is below it, so that a chance below it needs none


@dataclass(eq=False)
class _Group:
    """Passages of one function, with one gradient, on one side; those of one function and side share their numbers."""

    passages: dict[str, FirstPassage]
    stream: Noise
    values: np.ndarray = field(default_factory=lambda: np.empty(0))


class Crossings:
    """Continuous first passages of the lanes `mine` of a crowd.

    Parameters
    ----------
    passages : mapping
    local : LocalNoise
    crowd : Crowd
        Where it begins; `see` is to be called after every own step of it.
    mine : slice
    first : int
        Number of the first path among them.

    Attributes
    ----------
    times : dict of (count,) arrays
        Passages so far, in steps; inf where there is none.
    """

    def __init__(
        self, passages: Mapping[str, FirstPassage], local: LocalNoise, crowd: Crowd, mine: slice, first: int
    ) -> None:
        self._local, self._crowd, self._mine, self._first = local, crowd, mine, first
        self._each = crowd.simulator.substeps
        paths = crowd.noise.paths[mine]
        self.times = {name: np.full(len(paths), np.inf) for name in passages}
        groups: dict[tuple, _Group] = {}
        for name, number in streams(passages).items():
            passage = passages[name]
            key = number, id(passage.gradient)
            if key not in groups:
                groups[key] = _Group({}, Noise(crowd.noise.seed, paths).child("passage", number))
            groups[key].passages[name] = passage
        self._groups = list(groups.values())
        self._modal = all(isinstance(p.function, str) and p.gradient is None for p in passages.values())
        self._look(crowd.step * self._each)
        for group in self._groups:
            for name, passage in group.passages.items():
                passage.shape(0, group.values.shape[1:])
                self.times[name][passage.distance(group.values) <= 0] = crowd.step

    def see(self, own: int) -> None:
        """Take in that the crowd took its own step `own`."""
        if all(np.isfinite(times).all() for times in self.times.values()):
            return
        before = [group.values for group in self._groups]
        alive, z, positions = self._alive, self._z, self._positions
        self._look(own + 1)
        for group, values in zip(self._groups, before):
            rows = np.flatnonzero(np.any([np.isinf(self.times[name]) for name in group.passages], axis=0))
            variance = np.zeros(len(values))
            moving = rows[(alive & self._alive)[rows]]
            if len(moving):
                gradient = self._gradient(group, z[moving], positions[moving])
                variance[moving] = self._variance(group, own, z[moving], gradient, moving)
            for name, passage in group.passages.items():
                self._decide(name, passage, group, own, values, variance)

    def _look(self, own: int) -> None:
        """Keep where the paths stand after `own` own steps."""
        crowd, mine = self._crowd, self._mine
        reached = crowd.state.overflow_steps[mine]
        self._alive = (reached < 0) | (reached > own)
        look = Observation(crowd.simulator, crowd.state, -(-own // self._each), mine, self._first, ~self._alive)
        for group in self._groups:
            name, passage = next(iter(group.passages.items()))
            group.values = look.values(name, passage.function)
        self._z = self._local.coordinates(crowd.state)[mine]
        # Only a user's function is asked at positions.
        self._positions = self._z if self._modal else crowd.positions()[mine]

    def _gradient(self, group: _Group, z: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Gradient (P, d) of the group's function in the process's coordinates."""
        name, passage = next(iter(group.passages.items()))
        asked, given = passage.function, passage.gradient
        if given is not None:
            return self._local.turn(_called(f"the gradient of observable {shown(name)}", given, positions, 2))
        if not isinstance(asked, str):
            label, function = f"observable {shown(name)}", asked
            return self._local.turn(jacobian(lambda x: _called(label, function, x, 1), positions))
        if asked not in self._local.gradients:
            raise InvalidInput(
                f"observable {shown(name)} is a continuous first passage of {asked!r}, whose gradient this process "
                "does not have: pass gradient=, a function of a (paths, d) array"
            )
        return self._local.gradients[asked](z)

    def _variance(
        self, group: _Group, own: int, z: np.ndarray, gradient: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            variance = self._local.variance(own, z, gradient)
        if np.isnan(variance).any():
            path = self._first + int(rows[np.flatnonzero(np.isnan(variance))[0]])
            raise InvalidInput(
                f"the gradient of observable {shown(next(iter(group.passages)))} gives the variance nan in step "
                f"{own // self._each} on path {path}, which has not overflowed: pass gradient=, or another function"
            )
        return variance

    def _decide(
        self, name: str, passage: FirstPassage, group: _Group, own: int, before: np.ndarray, variance: np.ndarray
    ) -> None:
        """Whether and when the paths passed the level in this increment."""
        times = self.times[name]
        rows = np.flatnonzero(np.isinf(times))
        u, v, variance = passage.distance(before)[rows], passage.distance(group.values)[rows], variance[rows]
        with np.errstate(all="ignore"):
            chance = np.where(v <= 0, 1.0, np.exp(-2 * u * v / variance))
        able = chance > LEAST  # nan without noise, and where nothing is finite
        if not able.any():
            return
        rows, u, v, variance, chance = rows[able], u[able], v[able], variance[able], chance[able]
        stream = Noise(group.stream.seed, group.stream.paths[rows])
        draws = stream.uniforms(Purpose.CROSSING, own, NUMBERS)
        share = hitting_share(u, np.abs(v), variance, draws[:, 1:])
        passed = draws[:, 0] < chance
        begin, end = self._local.span(own)
        times[rows[passed]] = (begin + share[passed] * (end - begin)) / self._each


def _called(label: str, function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, axes: int) -> np.ndarray:
    """What a user's function gives at x (P, d), (P,) or (P, d), in an array of its own."""
    with calling(f"{label}, a function of an array {x.shape},"):
        result = function(x.copy())
    values = np.array(real_array(f"what {label} returns", result))
    if values.shape != x.shape[:axes]:
        raise InvalidInput(f"{label} returned shape {values.shape}: it must return {x.shape[:axes]}")
    return values


def hitting_share(u: np.ndarray, w: np.ndarray, variance: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Share (P,) of an increment after which a Brownian bridge that passes 0 first does.

    It starts at u > 0 and ends at w or at -w, w >= 0: by reflection both first pass alike. With t the time of it and T
    the increment, r = t / (T - t) is inverse Gaussian of mean u / w and shape u^2 / variance (derived, from the density
    of t; w = 0 is Levy's law). Drawn by Michael, Schucany and Haas's transformation with two roots, written so that
    w = 0 and a variance of 0, where r = u / w, need no case of their own.

    Parameters
    ----------
    u, w, variance : (P,) arrays
        Variance of the function over the whole increment.
    uniforms : (P, 3) array
        In (0, 1): two make the square of a normal, one chooses between the roots.
    """
    square = -2 * np.log(uniforms[:, 0]) * np.square(np.cos(2 * np.pi * uniforms[:, 1]))
    with np.errstate(all="ignore"):
        p = 0.5 * square * variance / u
        root = w + p + np.sqrt(p * (2 * w + p))  # u / r of the smaller root
        first = uniforms[:, 2] * (w + root) <= root
        share = u / (u + np.where(first, root, w * w / root))
    return np.where(np.isfinite(share) & np.isfinite(w), share, 1.0)  # past the range of numbers: at the end
