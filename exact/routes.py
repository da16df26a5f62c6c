"""The one choice of an exact route: from the declared structure, from what is asked, and from what fits into memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import ClassVar, Protocol

import numpy as np

from .chebyshev import HELD, products
from .cost import CALLS, MINUTE, SPEED, check_memory, check_time
from .linear_maps import DENSE_SIZE
from .noise_feedback import GeneralFeedback, NoFeedback, NoiseFeedback, RankOneFeedback, Responses
from .noise_maps import NoiseMap, SampledNoise, Structure
from .momentum_moments import size_of


class Moments(IntEnum):
    """Which moments are asked or carried along; each includes those before it."""

    MEAN = 0
    VARIANCES = 1
    COVARIANCES = 2


NEEDED = {"mean": Moments.MEAN, "risk": Moments.VARIANCES, "covariance": Moments.COVARIANCES}
NUMBER = 8.0  # bytes
SPECTRUM = 10.0  # multiplications of a divided difference, or of an entry in an eigenproblem
LARGEST_PACKED, TYPICAL_KRYLOV = 1300, 1000  # numbers of an eigenproblem that is solved whole, vectors of a space
APART = 1e-7  # of the largest eigenvalue of the data, below which the smallest lies
LONG_WAY = 1000  # steps from which on means are taken in closed form
SMALLEST_KRYLOV = 200  # numbers up to which the whole eigenproblem is as cheap, and more exact


class Method(Enum):
    """How moments are carried on."""

    STEPS = "step by step"
    ENTRIES = "entry by entry, in closed form"
    EIGENPROBLEM = "one eigenproblem for what closes, the rest entry by entry"
    KRYLOV = "a Krylov space of the risk"
    CHEBYSHEV = "Chebyshev polynomials of a step"
    POWERS = "powers of a step's matrix"
    EXPONENTIAL = "the exponential of the generator"


class Equations(Protocol):
    """What the choice looks at: a `MomentMap`, a `MomentFlow` or a `PhaseSpaceFlow`."""

    discrete: ClassVar[bool]

    @property
    def noise(self) -> NoiseMap: ...

    @property
    def dimension(self) -> int: ...

    @property
    def numbers(self) -> int: ...

    @property
    def spectral(self) -> bool: ...

    @property
    def paired(self) -> bool: ...

    @property
    def mean_decays(self) -> np.ndarray: ...

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


def choose_route(
    equations: Equations, quantities: Collection[str] = (), records: int = 0, last: int = 0, looks: int = 1
) -> Route:
    """The exact route of these equations; no caller chooses.

    Steps are walked where that is cheaper than a spectrum, which reaches any step.

    Parameters
    ----------
    quantities : names among NEEDED
        What is asked of the moments in time; nothing where the stationary law or stability is.
    records : int
        Steps that are kept.
    last : int
        The last of them.
    looks : int
        How often so many are asked for: a spectrum is made once, the rest each time.

    Raises
    ------
    InvalidInput
        If what the route holds does not fit into memory.
    OutOfReach
        If steps must be walked, and take hours.
    """
    structure, d = equations.noise.structure, equations.dimension
    kept = max((NEEDED[name] for name in quantities), default=Moments.MEAN)
    carried = kept
    if kept is Moments.VARIANCES and structure is Structure.GENERAL:
        carried = Moments.COVARIANCES  # variances do not close among themselves
    method = IN_CONTINUOUS_TIME[structure]
    if method is Method.EIGENPROBLEM and not equations.spectral:
        method = Method.EXPONENTIAL
    if equations.discrete:
        method = Method.STEPS
    if carried > Moments.MEAN and equations.spectral:
        method = _by_spectrum(equations, method, kept, records, last, looks)
    if carried is Moments.MEAN and (not equations.discrete or (last > LONG_WAY and equations.spectral)):
        method = Method.ENTRIES
    short = _apart(equations) and _walk(equations, carried, last) < SPEED * MINUTE
    if equations.paired and not short and _powers(equations, carried, records, last) < _walk(equations, carried, last):
        method = Method.POWERS
    _refuse_hours(equations, method, carried, records, last)
    # Modes, positions and what is between them; then what moves, with its factors.
    size = (3.0 if kept is Moments.COVARIANCES else 2.0) * records * d ** max(1, int(kept))
    size += 4.0 * equations.numbers**2 * d ** max(1, int(carried))
    if method is Method.EIGENPROBLEM and not (structure is Structure.RANK_ONE and kept is Moments.VARIANCES):
        size += 4.0 * (d if structure is Structure.RANK_ONE else d * (d + 1) / 2) ** 2
    if method is Method.POWERS and carried > Moments.MEAN:
        size += 10.0 * size_of(structure, d, equations.numbers) ** 2
    if method is Method.CHEBYSHEV:
        size += min(HELD, products(equations, last) * d * (d + 1) / 2)
    what = "covariances" if kept is Moments.COVARIANCES else "moments"
    check_memory(
        f"the {what} of {records} recorded steps in dimension {d}", NUMBER * size,
        "record fewer steps, record=[...] for example",
    )  # fmt: skip
    return Route(method, carried, kept, FEEDBACK[structure])


def _apart(equations: Equations) -> bool:
    """Whether modes are so unlike that a minimiser far out in one, whose square enters a spectrum, drowns the others.

    Steps, and polynomials of them, never add up what lies apart: they are taken where that is no matter of minutes.
    """
    noise = equations.noise
    if not isinstance(noise, SampledNoise) or not noise.eigenvalues.size:
        return False
    return bool(noise.eigenvalues.min() < APART * noise.eigenvalues.max())


def _walk(equations: Equations, carried: Moments, steps: float) -> float:
    """Multiplications of so many steps, about."""
    noise, d = equations.noise, equations.dimension
    step = noise.cost if isinstance(noise, SampledNoise) and carried > Moments.MEAN else 4.0
    return steps * (CALLS + equations.numbers**2 * max(step, 4.0 * d ** max(1, int(carried))))


def _powers(equations: Equations, carried: Moments, records: int, last: int) -> float:
    """Multiplications of the powers of a matrix of pairs, and of means, up to a step."""
    d, s, structure = equations.dimension, equations.numbers, equations.noise.structure
    once = CALLS + SPECTRUM * d * s**2 * (s + records)
    if carried > Moments.MEAN:
        n = size_of(structure, d, s)
        once += 10 * CALLS + float(n) ** 2 * (2 * n + s * d + records)
    if carried is Moments.COVARIANCES and structure is not Structure.GENERAL:
        once += SPECTRUM * d**2 * s**4 * (s**2 + records)  # each pair alone
    return once * last.bit_length()


def _refuse_hours(equations: Equations, method: Method, carried: Moments, records: int, last: int) -> None:
    if method is Method.STEPS:
        cost, how = _walk(equations, carried, last), "would be walked one by one"
    elif method is Method.CHEBYSHEV:
        cost, how = _walk(equations, carried, products(equations, last)), "need many polynomials of a step"
    elif method is Method.POWERS:
        cost, how = _powers(equations, carried, records, last), "need powers of a large matrix"
    else:
        return
    check_time(
        f"exact moments up to step {last:.3g} {how} in dimension {equations.dimension}, which", cost,
        "ask for fewer steps, or where the rule is plain SGD for the risk alone, quantities=('risk',)",
    )  # fmt: skip


def _by_spectrum(
    equations: Equations, usual: Method, kept: Moments, records: int, last: int, looks: int
) -> Method:
    """An eigenproblem, a Krylov space or polynomials where they cost less, in multiplications, than the usual way."""
    d, noise = equations.dimension, equations.noise
    if noise.structure is Structure.RANK_ONE:
        if not equations.discrete:
            return Method.EIGENPROBLEM
        walked = looks * last * (CALLS + 4.0 * d ** int(kept))
        records *= looks
        return Method.EIGENPROBLEM if SPECTRUM * (d**2 + records * d**2) + 10 * CALLS < walked else usual
    if not isinstance(noise, SampledNoise):
        return usual
    size = d * (d + 1) // 2
    walked = last * (CALLS + noise.cost)
    if usual is Method.EXPONENTIAL:
        numbers = 2 * size + d + 1
        if numbers <= DENSE_SIZE:  # one exponential of a small matrix for each gap between times
            walked = numbers * CALLS + records * 20.0 * numbers**3
        else:
            walked *= float(np.abs(equations.mean_decays).max())
    driven = d if kept is Moments.VARIANCES else size + d
    found = [(looks * walked, usual)]
    if equations.discrete:
        made = products(equations, last) * (CALLS + noise.cost + 4.0 * size * (2 + records))
        found.append((looks * made, Method.CHEBYSHEV))
    records, best = records * looks, min(found, key=lambda pair: pair[0])
    if equations.discrete and _apart(equations) and best[0] < SPEED * MINUTE:
        return best[1]
    if size <= LARGEST_PACKED:
        dense = size * (CALLS + noise.cost) + SPECTRUM * (size**3 + records * size * driven)
        found.append((dense, Method.EIGENPROBLEM))
    if kept is Moments.VARIANCES and size > SMALLEST_KRYLOV:
        vectors = min(size, TYPICAL_KRYLOV)
        found.append((vectors * (noise.cost + CALLS + 4.0 * size * vectors + records * d * SPECTRUM), Method.KRYLOV))
    return min(found, key=lambda pair: pair[0])[1]


def feedback_of(equations: Equations) -> NoiseFeedback:
    """The loop from the noise to itself, by the route of its structure."""
    loop: NoiseFeedback = choose_route(equations).feedback(equations.noise, equations.responses())
    return loop
