"""What a run kept, and how neighbouring runs of one ensemble become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .crowd import SavedState
from .observables import Reducer
from .stopping import Outcome


@dataclass(frozen=True, eq=False)
class Ensemble:
    """What a run kept.

    Attributes
    ----------
    values : dict of arrays
        name -> (paths, recorded) or (paths, recorded, m); a first passage (paths,).
    record : (recorded,) int64 array of steps
    overflow_steps : (paths,) int64 array
        Step at which the path overflowed, -1 if it did not.
    observables : dict of reducers by name
    seed, paths, steps, first_path : int
        Row i of a result is path first_path + i of the ensemble that the seed stands for.
    quality : str
    state : SavedState or None
        Where the paths stand at the last step, if that was asked for.
    start : str
        What tells its start from others.
    ending : Ending or None
        How a run `until` an interval was narrow ended.
    """

    values: dict[str, np.ndarray]
    record: np.ndarray
    overflow_steps: np.ndarray
    observables: dict[str, Reducer]
    seed: int
    paths: int
    steps: int
    quality: str
    first_path: int = 0
    state: SavedState | None = None
    start: str = ""
    ending: Ending | None = None


@dataclass(frozen=True)
class Ending:
    """How a run `until` an interval was narrow ended.

    Attributes
    ----------
    asked : str
        What the run was to reach.
    outcome : Outcome
        Whether it did, why it ended, and the interval.
    confidence : float
    spent : int
        Paths that were run; those that are not in the result only fixed how many the others are.
    """

    asked: str
    outcome: Outcome
    confidence: float
    spent: int


def joined(pieces: Sequence[Ensemble]) -> Ensemble:
    """One ensemble of pieces of which each begins where the one before ends."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    states = [piece.state for piece in pieces if piece.state is not None]
    return replace(
        first,
        values={name: np.concatenate([piece.values[name] for piece in pieces]) for name in first.values},
        overflow_steps=np.concatenate([piece.overflow_steps for piece in pieces]),
        paths=sum(piece.paths for piece in pieces),
        state=_joined_states(states) if states else None,
    )


def _joined_states(states: Sequence[SavedState]) -> SavedState:
    names = states[0].arrays
    return replace(
        states[0],
        positions=np.concatenate([state.positions for state in states]),
        arrays={name: np.concatenate([state.arrays[name] for state in states]) for name in names},
    )
