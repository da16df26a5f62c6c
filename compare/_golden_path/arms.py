"""Runs of one task whose noise drops, or never does: arms with common starts, and branches of a saved state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.ensembles import Crowd, saved_state
from sgdlimits.ensembles.crowd import Arrays, SavedState
from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.philox import PACK
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems.tasks import Task

from .plan import told

BEYOND = 1e200  # a loss at which a run has overflowed


@dataclass(frozen=True, eq=False)
class Arm:
    """What was seen of one run.

    Attributes
    ----------
    name : str
    losses : (R, K) array
        Of each seed at the recorded steps.
    positions : (R, K', d) array
        At the last of these.
    looks : int
        How many of them are from the drop on.
    """

    name: str
    losses: np.ndarray
    positions: np.ndarray
    looks: int = 0

    @property
    def after(self) -> np.ndarray:
        """Losses (R, looks) from the drop on."""
        return self.losses[:, self.losses.shape[1] - self.looks :]

    @property
    def early(self) -> np.ndarray:
        """Losses before the drop."""
        return self.losses[:, : self.losses.shape[1] - self.looks]


@dataclass(frozen=True, eq=False)
class Runner:
    """How arms of one comparison are run.

    Attributes
    ----------
    task : Task
    seeds : int
        R.
    threads : int or None
    progress : object with update(n) and close(), optional
        Kept open.
    """

    task: Task
    seeds: int
    threads: int | None
    progress: Progress | None = None

    def run(
        self, name: str, sgd: SGD, start: np.ndarray | SavedState, record: Sequence[int] | np.ndarray, kept: int,
        seed: int, looks: int | None = None,
    ) -> tuple[Arm, SavedState]:  # fmt: skip
        """An arm, and its end.

        Parameters
        ----------
        name : str
        sgd : SGD
        start : (R, d) array, or a state
        record : steps at which it is looked at, the last one its end
        kept : int
            The last so many also keep positions.
        seed : int
        looks : int, optional
            How many are from the drop on; by default those.
        """
        first, done = list(record[: len(record) - kept]), list(record[len(record) - kept :])
        losses, positions, state = [], np.empty((self.seeds, 0, self.task.dimension)), start
        for part, look in ((first, False), (done, True)):
            if not part:
                continue
            observables: dict[str, Any] = {"loss": self._loss, **({"x": _positions} if look else {})}
            found = sgd.simulate(
                state, part[-1], self.seeds, observables=observables, record=part, seed=seed, threads=self.threads,
                keep_state=True, progress=self.progress,
            )  # fmt: skip
            losses.append(found["loss"].values)
            self._check(name, sgd, losses[-1][:, -1])
            if look:
                positions = found["x"].values
            state = saved_state(found)
        assert isinstance(state, SavedState)  # there is a last step
        return Arm(name, np.concatenate(losses, axis=1), positions, kept if looks is None else looks), state


    def _loss(self, x: np.ndarray) -> np.ndarray:
        values = self.task.risk(x)
        return np.where(np.isfinite(values), values, BEYOND)

    def _check(self, name: str, sgd: SGD, ends: np.ndarray) -> None:
        gone = int(np.sum(~(np.abs(ends) < BEYOND)))
        if gone:
            raise InvalidInput(
                f"{gone} of {self.seeds} runs '{name}' overflow with {told(sgd)}: lower the step size, or take larger "
                "batches"
            )


def _positions(x: np.ndarray) -> np.ndarray:
    return x


def branch(state: SavedState, before: SGD, after: SGD) -> SavedState:
    """The same paths at the same step under other settings.

    Positions are carried. What a rule keeps (momentum, second moments) is carried where both rules are of one type,
    and starts at zero otherwise; the step, which Adam's correction and schedules read, goes on counting.

    Raises
    ------
    InvalidInput
        If what a rule keeps cannot be carried over.
    """
    simulator = after.simulator()
    arrays = _own(_crowd(simulator, state, state.positions), state)
    if type(before.update_rule) is type(after.update_rule):
        if state.process == simulator.name:
            arrays |= {name: values for name, values in state.arrays.items() if name in arrays and name != "x"}
        elif after.update_rule.slots and {"slots"} <= set(arrays) & set(state.arrays):
            arrays["slots"] = _slots_elsewhere(state, before.simulator(), simulator)
        elif after.update_rule.slots:
            raise InvalidInput(
                f"what {after.update_rule!r} keeps cannot be carried from {state.process} to {simulator.name}: "
                "drop to a large finite batch instead of all samples"
            )
    return replace(state, process=simulator.name, arrays=arrays, past=f"{state.past}, then {after!r}")


def _crowd(simulator: Simulator, state: SavedState, rows: np.ndarray) -> Crowd:
    """A crowd at positions (R, d), filled up with copies."""
    filled = np.resize(rows, (-(-len(rows) // PACK) * PACK, rows.shape[1]))
    return Crowd(simulator, filled, Noise(state.seed, np.arange(len(filled)), state.quality))


def _own(crowd: Crowd, state: SavedState) -> Arrays:
    """What it holds for the paths of a state."""
    return {name: values[: state.paths] for name, values in crowd.dump().items()}


def _slots_elsewhere(state: SavedState, old: Simulator, new: Simulator) -> np.ndarray:
    """Slots (R, m, d) in the coordinates of another simulator: they turn as positions do, by linear maps."""
    slots, crowd = state.arrays["slots"], _crowd(old, state, state.positions)
    moved = np.empty_like(slots)
    for place in range(slots.shape[1]):
        arrays = crowd.dump()
        arrays["x"][: state.paths] = slots[:, place]
        crowd.state.load(arrays)
        positions = crowd.positions()[: state.paths]
        moved[:, place] = _own(_crowd(new, state, positions), state)["x"]
    return moved
