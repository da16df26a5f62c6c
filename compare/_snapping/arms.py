"""Runs in pieces of one map each, and their exact expected risk at any of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.moment_states import MomentState, states, without_noise
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.quadratic import QuadraticProblem

MapAt = Callable[[float], MomentMap]
MOST = 2**18  # steps of a schedule that are added up
NEAR = 1e-9  # of a step, by which sums of step sizes may differ and still coincide


@dataclass(frozen=True)
class Piece:
    """Steps of one size.

    Attributes
    ----------
    map_at : callable
        The moment equations at a step size.
    size : float
    steps : int
    """

    map_at: MapAt
    size: float
    steps: int


def pieces_of(map_at: MapAt, step_size: float | StepSizes, first: int, last: int) -> list[Piece]:
    """Steps first..last-1 of a step size or a schedule."""
    if not isinstance(step_size, StepSizes):
        return [Piece(map_at, step_size, last - first)] if last > first else []
    return [Piece(map_at, size, end - begin) for size, begin, end in step_size.runs(first, last)]


@dataclass(frozen=True, eq=False)
class Risks:
    """Exact parts of the expected excess risk at recorded steps.

    Attributes
    ----------
    of_mean : (k,) array
        Excess risk of the mean position.
    of_spread : (k,) array
        Half the trace of Hessian times covariance.
    kept : dict
        Step -> state, of the steps that were to be kept whole.
    """

    of_mean: np.ndarray
    of_spread: np.ndarray
    kept: dict[int, MomentState] = field(default_factory=dict)

    @property
    def excess(self) -> np.ndarray:
        """E L - min L (k,)."""
        return self.of_mean + self.of_spread


@dataclass(frozen=True, eq=False)
class Arm:
    """A run.

    Attributes
    ----------
    pieces : sequence of Piece
    """

    pieces: Sequence[Piece]

    def noiseless(self) -> Arm:
        """Gradient descent with the same step sizes."""
        def still(piece: Piece) -> Piece:
            return Piece(lambda size: without_noise(piece.map_at(size)), piece.size, piece.steps)

        return Arm([still(piece) for piece in self.pieces])

    def elapsed(self, steps: np.ndarray) -> np.ndarray:
        """Sum of the step sizes before each of these steps."""
        edges = np.concatenate([[0], np.cumsum([piece.steps for piece in self.pieces])])
        sums = np.concatenate([[0.0], np.cumsum([piece.size * piece.steps for piece in self.pieces])])
        place = np.clip(np.searchsorted(edges, steps, side="right") - 1, 0, len(self.pieces) - 1)
        sizes = np.array([piece.size for piece in self.pieces])
        return sums[place] + (steps - edges[place]) * sizes[place]

    def states(self, start: MomentState, record: np.ndarray) -> Iterator[MomentState]:
        """At each recorded step (rising)."""
        left, now, state = [int(step) for step in record], 0, start
        for piece in self.pieces:
            end = now + piece.steps
            within = [step for step in left if step <= end] if left and left[0] <= end else []
            left = left[len(within) :]
            wanted = within if not left or (within and within[-1] == end) else [*within, end]
            for step, state in zip(wanted, states(piece.map_at(piece.size), state, np.array(wanted) - now)):
                if within and step <= within[-1]:
                    yield state
            if not left:
                return
            now = end

    def risks(self, problem: QuadraticProblem, start: MomentState, record: np.ndarray, keep: int = -1) -> Risks:
        """Parts of the risk at recorded steps; the state at the step `keep` too, one of them.

        Raises
        ------
        InvalidInput
            If they leave the range of floating-point numbers: under a schedule.
        """
        weights, offset = problem.eigenvalues, problem.offset_modes
        steps, back = np.unique(record, return_inverse=True)
        of_mean, of_spread = np.empty(len(steps)), np.empty(len(steps))
        kept: dict[int, MomentState] = {}
        with np.errstate(over="ignore", invalid="ignore"):
            for place, state in enumerate(self.states(start, steps)):
                of_mean[place] = 0.5 * np.square(state.mean + offset) @ weights
                of_spread[place] = 0.5 * state.variances @ weights
                if steps[place] == keep:
                    kept[keep] = state
        lost = np.flatnonzero(~np.isfinite(of_mean + of_spread))
        if lost.size:
            raise InvalidInput(
                f"the risk leaves the range of numbers before step {steps[lost[0]]}: lower the step sizes of the "
                "schedule"
            )
        return Risks(of_mean[back], of_spread[back], kept)


def steps_within(step_size: float | StepSizes, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many steps (k,) have a sum of step sizes of at most these times (rising), and what is left (k,).

    Raises
    ------
    InvalidInput
        If the steps of a schedule do not add up to the last time.
    """
    if not isinstance(step_size, StepSizes):
        count = np.floor(times / step_size + NEAR).astype(np.int64)
        left = times - count * step_size
        return count, np.where(left > NEAR * step_size, left, 0.0)
    last, longest = float(times[-1]), 64
    while (sums := step_size.elapsed(np.arange(longest + 1)))[-1] <= last:
        longest *= 4
        if longest > MOST:
            raise InvalidInput(
                f"step_size is the schedule {step_size!r}, whose first {longest // 4} steps add up to "
                f"{float(sums[-1]):.6g}, less than the {last:.6g} of the run before the drop: take larger steps, or an "
                "earlier drop"
            )
    count = np.searchsorted(sums, times + NEAR * np.diff(sums).max(), side="right") - 1
    left = times - sums[count]
    return count, np.where(left > NEAR * np.diff(sums).max(), left, 0.0)
