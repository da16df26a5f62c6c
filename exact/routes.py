"""The one choice of an exact route: from the declared structure, from what is asked, and from what fits into memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import ClassVar, Protocol

from .cost import check_memory
from .noise_feedback import GeneralFeedback, NoFeedback, NoiseFeedback, RankOneFeedback, Responses
from .noise_maps import NoiseMap, Structure


class Moments(IntEnum):
    """Which moments are asked or carried along; each includes those before it."""

    MEAN = 0
    VARIANCES = 1
    COVARIANCES = 2


NEEDED = {"mean": Moments.MEAN, "risk": Moments.VARIANCES, "covariance": Moments.COVARIANCES}
NUMBER = 8.0  # bytes


class Method(Enum):
    """How moments are carried on."""

    STEPS = "step by step"
    ENTRIES = "entry by entry, in closed form"
    EIGENPROBLEM = "one eigenproblem for the variances, the rest entry by entry"
    EXPONENTIAL = "the exponential of the generator"


class Equations(Protocol):
    """What the choice looks at: a `MomentMap` or a `MomentFlow`."""

    discrete: ClassVar[bool]

    @property
    def noise(self) -> NoiseMap: ...

    @property
    def dimension(self) -> int: ...

    @property
    def numbers(self) -> int: ...

    def responses(self) -> Responses: ...


@dataclass(frozen=True)
class Route:
    """How exact moments are computed.

    Attributes
    ----------
    method : Method
    carried : Moments
        What moves along: as little as the structure allows.
    kept : Moments
        What is kept at each recorded step: as little as was asked.
    feedback : class of NoiseFeedback
        What decides stability and solves for the stationary law.
    """

    method: Method
    carried: Moments
    kept: Moments
    feedback: type[NoiseFeedback]


IN_CONTINUOUS_TIME = {
    Structure.COMMUTING: Method.ENTRIES,
    Structure.RANK_ONE: Method.EIGENPROBLEM,
    Structure.GENERAL: Method.EXPONENTIAL,
}
FEEDBACK: dict[Structure, type[NoiseFeedback]] = {
    Structure.COMMUTING: NoFeedback,
    Structure.RANK_ONE: RankOneFeedback,
    Structure.GENERAL: GeneralFeedback,
}


def choose_route(equations: Equations, quantities: Collection[str] = (), records: int = 0) -> Route:
    """The exact route of these equations; no caller chooses.

    Parameters
    ----------
    quantities : names among NEEDED
        What is asked of the moments in time; nothing where the stationary law or stability is.
    records : int
        Steps that are kept.

    Raises
    ------
    InvalidInput
        If what the route holds does not fit into memory.
    """
    structure, d = equations.noise.structure, equations.dimension
    kept = max((NEEDED[name] for name in quantities), default=Moments.MEAN)
    carried = kept
    if kept is Moments.VARIANCES and structure is Structure.GENERAL:
        carried = Moments.COVARIANCES  # variances do not close among themselves
    method = IN_CONTINUOUS_TIME[structure]
    if equations.discrete:
        method = Method.STEPS
    elif carried is Moments.MEAN:
        method = Method.ENTRIES
    # Modes, positions and what is between them; then what moves, with its factors.
    size = (3.0 if kept is Moments.COVARIANCES else 2.0) * records * d ** max(1, int(kept))
    size += 4.0 * equations.numbers**2 * d ** max(1, int(carried))
    size += 4.0 * d**2 if method is Method.EIGENPROBLEM else 0.0
    what = "covariances" if kept is Moments.COVARIANCES else "moments"
    check_memory(
        f"the {what} of {records} recorded steps in dimension {d}", NUMBER * size,
        "record fewer steps, record=[...] for example",
    )  # fmt: skip
    return Route(method, carried, kept, FEEDBACK[structure])


def feedback_of(equations: Equations) -> NoiseFeedback:
    """The loop from the noise to itself, by the route of its structure."""
    loop: NoiseFeedback = choose_route(equations).feedback(equations.noise, equations.responses())
    return loop
