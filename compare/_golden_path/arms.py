"""Runs of one task whose noise drops, or never does: arms with common starts, and branches of a saved state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.ensembles import Crowd, saved_state
from sgdlimits.ensembles.crowd import SavedState
from sgdlimits.ensembles.philox import PACK
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems.tasks import Task


@dataclass(frozen=True, eq=False)
class Arm:
    """What was seen of one run.

    Attributes
    ----------
    name : str
    losses : (R, K) array
        Of each seed at the recorded steps.
    positions : (R, K', d) array
        At the last recorded steps, those from the drop on.
    """

    name: str
    losses: np.ndarray
    positions: np.ndarray

    @property
    def after(self) -> np.ndarray:
        """Losses (R, K') at these steps."""
        return self.losses[:, self.losses.shape[1] - self.positions.shape[1] :]


@dataclass(frozen=True, eq=False)
class Runner:
    """How arms of one comparison are run.

    Attributes
    ----------
    task : Task
    seeds : int
        R.
    threads : int or None
    """

    task: Task
    seeds: int
    threads: int | None

    def run(
        self, name: str, sgd: SGD, start: np.ndarray | SavedState, record: Sequence[int] | np.ndarray, kept: int,
        seed: int,
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
        """
        first, done = list(record[: len(record) - kept]), list(record[len(record) - kept :])
        losses, positions, state = [], np.empty((self.seeds, 0, self.task.dimension)), start
        for part, look in ((first, False), (done, True)):
            if not part:
                continue
            observables: dict[str, Any] = {"loss": self.task.risk, **({"x": _positions} if look else {})}
            found = sgd.simulate(
                state, part[-1], self.seeds, observables=observables, record=part, seed=seed, threads=self.threads,
                keep_state=True,
            )  # fmt: skip
            losses.append(found["loss"].values)
            if look:
                positions = found["x"].values
            state = saved_state(found)
        assert isinstance(state, SavedState)  # there is a last step
        return Arm(name, np.concatenate(losses, axis=1), positions), state


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
    simulator, paths = after.simulator(), state.paths
    filled = np.resize(state.positions, (-(-paths // PACK) * PACK, state.positions.shape[1]))
    fresh = Crowd(simulator, filled, Noise(state.seed, np.arange(len(filled)), state.quality))
    arrays = {name: values[:paths] for name, values in fresh.dump().items()}
    if type(before.update_rule) is type(after.update_rule):
        if after.update_rule.slots and state.process != simulator.name:
            raise InvalidInput(
                f"{after.update_rule!r} keeps numbers in the coordinates of {state.process}, and after the drop runs "
                f"as {simulator.name}: drop to a large finite batch instead of all samples"
            )
        arrays |= {name: values for name, values in state.arrays.items() if name in arrays and name != "x"}
    return replace(state, process=simulator.name, arrays=arrays, past=f"{state.past}, then {after!r}")
