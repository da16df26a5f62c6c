"""How moments change with a parameter: the linearised moment equations, beside the moments themselves. Derived.

Second moments are taken about a centre that stays where it is when a parameter moves: a ridge then pushes the mean, and
leaves a noise that is a function of the position alone. All is linear in second moments, means, their derivatives and 1
together, so that powers and exponentials serve as well as steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import OutOfReach
from .linear_maps import DENSE_SIZE, LinearMap, dense, exponential_states, pack_symmetric, unpack_symmetric
from .moment_flows import MomentFlow, length_unit
from .moment_maps import MomentMap
from .noise_maps import DiagonalNoise, SampledNoise

AFFORDABLE = 3e12  # multiplications that steps may cost: some minutes
OVERHEAD = 3e5  # the same for what a step costs whatever its size
GAIN = 10  # squarings, which lose a few digits, must be cheaper than steps by this

State = tuple[np.ndarray, np.ndarray, float]
Noise = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


@dataclass(frozen=True, eq=False)
class Direction:
    """A parameter's derivative of all that stands in the equations; None where nothing changes.

    Attributes
    ----------
    transition : (d, s, s) array
        Of F of a map; of minus the rates of a flow, s = 1.
    enters : (s, s) array
        Of e e^T, or of the flow's scale.
    push : (s, d) array
        Of the motion at the centre.
    noise : function (second, mean, N at both, one), optional
        Of N: a covariance, or its diagonal where second moments are a diagonal, linear in its arguments together.
    """

    transition: np.ndarray | None = None
    enters: np.ndarray | None = None
    push: np.ndarray | None = None
    noise: Noise | None = None


class Tangents:
    """Moments of modes of s numbers with their derivatives in p parameters.

    A state is means (1 + p, s, d), second moments (1 + p, s, s, d, d), or (1 + p, s, s, d) where the diagonal closes,
    and the number 1; the first entry of each is the moment itself.

    Parameters
    ----------
    equations : MomentMap or MomentFlow
        A map with one weight for all pairs of modes, and no decay before the noise.
    directions : sequence of Direction
    """

    def __init__(self, equations: MomentMap | MomentFlow, directions: Sequence[Direction]) -> None:
        self.noise, self.directions, self.discrete = equations.noise, tuple(directions), equations.discrete
        if isinstance(equations, MomentMap):
            transition, self._enters = equations.transition, np.outer(equations.entry, equations.entry)
        else:
            transition, self._enters = -equations.rates[:, None, None], np.full((1, 1), equations.scale)
        self.dimension, self.numbers = transition.shape[:2]
        self._closes = isinstance(self.noise, DiagonalNoise)
        changed = [np.zeros_like(transition) if d.transition is None else d.transition for d in self.directions]
        self._moves = [np.moveaxis(each, 0, 2) for each in (transition, *changed)]
        own = self._moves[0]
        self._carries = [self._pairs(own, own) if self.discrete else self._sums(own)]
        self._carries += [
            self._pairs(own, each) + self._pairs(each, own) if self.discrete else self._sums(each)
            for each in self._moves[1:]
        ]
        d = self.dimension
        self._still = self._noise(np.zeros((d,) if self._closes else (d, d)), np.zeros(d))

    def _pairs(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """From second moments to second moments: (a, b, c, e, d[, d])."""
        return np.einsum("aci,bei->abcei" if self._closes else "aci,bej->abceij", left, right)

    def _sums(self, rates: np.ndarray) -> np.ndarray:
        return 2 * rates[None, None] if self._closes else (rates[..., :, None] + rates[..., None, :])[None, None]

    def _noise(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        if isinstance(self.noise, DiagonalNoise) and self._closes:
            return self.noise.variances(second, mean)
        return self.noise(second, mean)

    def start(self, mean: np.ndarray, covariance: np.ndarray) -> State:
        """The state at a start (d,), (d, d) that knows of no parameter."""
        p, s, d = 1 + len(self.directions), self.numbers, self.dimension
        second = covariance + np.outer(mean, mean)
        means = np.zeros((p, s, d))
        means[0, 0] = mean
        seconds = np.zeros((p, s, s, d) if self._closes else (p, s, s, d, d))
        seconds[0, 0, 0] = np.diagonal(second) if self._closes else second
        return means, seconds, 1.0

    def apply(self, state: State) -> State:
        """The state after one step of a map; the rate of change under a flow."""
        means, seconds, one = state
        moved, carried = np.empty_like(means), np.empty_like(seconds)
        tail = "ij"[: seconds.ndim - 3]
        drawn = self._noise(seconds[0, 0, 0], means[0, 0]) + (one - 1) * self._still
        for index in range(len(means)):
            moved[index] = self._turn(self._moves[0], means[index])
            carried[index] = self._carry(self._carries[0], seconds[index], tail)
            if not index:
                carried[index] += self._spread(self._enters, drawn)
                continue
            each = self.directions[index - 1]
            moved[index] += self._turn(self._moves[index], means[0])
            carried[index] += self._carry(self._carries[index], seconds[0], tail)
            if each.push is not None:
                moved[index] += one * each.push
                cross = np.einsum(f"ai,b{tail[-1]}->ab{tail}", each.push, moved[0] if self.discrete else means[0])
                carried[index] += cross + self._transposed(cross)
            fed = self._noise(seconds[index, 0, 0], means[index, 0]) - self._still
            carried[index] += self._spread(self._enters, fed)
            if each.enters is not None:
                carried[index] += self._spread(each.enters, drawn)
            if each.noise is not None:
                added = each.noise(seconds[0, 0, 0], means[0, 0], drawn, one)
                carried[index] += self._spread(self._enters, added)
        return moved, carried, one if self.discrete else 0.0

    def _turn(self, moves: np.ndarray, means: np.ndarray) -> np.ndarray:
        return moves[0] * means if self.numbers == 1 else np.einsum("aci,ci->ai", moves, means)

    def _carry(self, carry: np.ndarray, seconds: np.ndarray, tail: str) -> np.ndarray:
        if self.numbers == 1:
            return carry[0, 0] * seconds
        return np.einsum(f"abce{tail},ce{tail}->ab{tail}", carry, seconds)

    def _spread(self, enters: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        return enters.reshape(enters.shape + (1,) * drawn.ndim) * drawn

    def _transposed(self, seconds: np.ndarray) -> np.ndarray:
        flipped = seconds.swapaxes(0, 1)
        return flipped if self._closes else flipped.swapaxes(-1, -2)

    def at(self, times: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> Iterator[State]:
        """States at increasing times (whole steps of a map) from 0 on.

        Raises
        ------
        OutOfReach
            If the way to the last time is too dear.
        """
        start, last = self.start(mean, covariance), float(times[-1])
        still = self._still if self._closes else np.diagonal(self._still)
        unit = length_unit(mean, covariance, self._enters[0, 0] * np.atleast_1d(still))
        size = self._pack(start, 1.0).size
        p = len(self.directions) + 1
        rows = self.noise.cost if isinstance(self.noise, SampledNoise) else 0.0
        by_steps = last * (OVERHEAD + p * (rows + start[1][0].size * self.numbers**2))
        by_squares = size * size * OVERHEAD / 1e3 + size**3 * (2 * np.log2(last + 2) + 2)
        small = size <= 2 * DENSE_SIZE
        if not self.discrete:
            if not small and last > 0:
                self._afford(by_steps * float(np.abs(self._carries[0]).max()))
            for found in exponential_states(self._packed(unit), self._pack(start, unit), times):
                yield self._unpack(found, unit)
        elif small and GAIN * by_squares < by_steps:
            yield from self._by_squares(start, times, unit)
        else:
            self._afford(by_steps)
            state, now = start, 0
            for time in times:
                for _ in range(now, int(time)):
                    state = self.apply(state)
                now = int(time)
                yield state

    def _afford(self, cost: float) -> None:
        if cost > AFFORDABLE:
            raise OutOfReach(
                f"sensitivities so far on, in {self.dimension} modes, cost about {cost / 1e10 / 60:.2g} minutes or "
                "more: ask for fewer steps, or compare two runs of moments at neighbouring settings"
            )

    def _by_squares(self, start: State, times: np.ndarray, unit: float) -> Iterator[State]:
        """By powers of the map's matrix: a square is made when it is first needed."""
        packed = self._pack(start, unit)
        powers = [dense(self._packed(unit), packed.size)]
        now = 0
        for time in times:
            left, place = int(time) - now, 0
            while left:
                if place == len(powers):
                    powers.append(powers[-1] @ powers[-1])
                if left & 1:
                    packed = powers[place] @ packed
                left, place = left >> 1, place + 1
            now = int(time)
            yield self._unpack(packed, unit)

    def _packed(self, unit: float) -> LinearMap:
        return lambda vector: self._pack(self.apply(self._unpack(vector, unit)), unit)

    def _pack(self, state: State, unit: float) -> np.ndarray:
        """As a vector, lengths counted in `unit`, so that no part drowns the others."""
        means, seconds, one = state
        p, side = len(means), self.numbers * self.dimension
        flat = seconds.reshape(p, -1)
        if not self._closes:
            flat = pack_symmetric(seconds.swapaxes(2, 3).reshape(p, side, side))
        return np.concatenate([flat.ravel() / unit**2, means.ravel() / unit, [one]])

    def _unpack(self, vector: np.ndarray, unit: float) -> State:
        p, s, d = 1 + len(self.directions), self.numbers, self.dimension
        means = vector[-1 - p * s * d : -1].reshape(p, s, d) * unit
        flat = vector[: -1 - p * s * d].reshape(p, -1) * unit**2
        if self._closes:
            return means, flat.reshape(p, s, s, d), float(vector[-1])
        return means, unpack_symmetric(flat, s * d).reshape(p, s, d, s, d).swapaxes(2, 3), float(vector[-1])
