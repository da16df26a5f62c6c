"""What is exactly known of a process among wells: by the chain on wells, of a diffusion by quadrature too."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlimits.diffusions import LandscapeDiffusion, StableLangevin
from sgdlimits.discrete.escape import LandscapeDescent, basin_law
from sgdlimits.discrete.escape.models import model_of
from sgdlimits.discrete.escape.steps import GaussianSteps, LineSteps
from sgdlimits.discrete.escape.well_chain import FINE, WellChain
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.exact.line_diffusions import WellDiffusion
from sgdlimits.problems.wells import WellLandscape

LONG_RUN = ("long_visits", "long_time", "next_target", "rate", "interquartile_range")
JUMPS = "its noise jumps, and no operator or quadrature for it stands here"
AT_REST = (
    "the noise dies out at the minimum, so that paths come to rest there and do not escape: give it a floor, as in "
    "LandscapeDiffusion.homogenized(..., floor=0.1)"
)
UNKNOWN = "its law of one step is not known, so that nothing exact stands beside its paths"


@dataclass
class Known:
    """Exact numbers by name, with their errors; what is not there is not known.

    Attributes
    ----------
    values, errors : dict
        Of `QUANTITIES` and `LONG_RUN`.
    diffusion : dict
        Of the diffusion itself, in continuous time, where the process samples one by a scheme.
    time : (n,) array
        Shares of the wells in the long run, nan where not known.
    notes : list of str
    """

    values: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    diffusion: dict[str, float] = field(default_factory=dict)
    time: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    def put(self, name: str, value: float, error: float) -> None:
        self.values[name], self.errors[name] = float(value), float(error)


def known_of(process: Any, landscape: WellLandscape, steps: int, target: int) -> Known:
    """All that is exactly known of a process from the start of `landscape`."""
    known = Known()
    try:
        law, substeps, functions = one_step(process)
    except InvalidInput as error:
        known.notes.append(f"nothing exact: {error}")
        return known
    if isinstance(process, LandscapeDescent) and process.momentum:
        return _with_momentum(dataclasses.replace(process, landscape=landscape), known)
    if law is None:
        reason = JUMPS if isinstance(process, StableLangevin) else UNKNOWN
        known.notes.append(f"nothing exact: {reason}")
        return known
    try:
        chain = WellChain(law, landscape, substeps, target=target)
        fine = WellChain(law, landscape, substeps, FINE)
    except (OutOfReach, InvalidInput) as error:
        known.notes.append(f"nothing exact: {error}")
        return known
    # How much the rate changes with the resolution stands for all that is computed with these nodes.
    change = abs(chain.rate / fine.rate - 1) + 1e-12
    _ask(known, lambda: _of_chain(known, chain, change, steps, target))
    if functions is not None:
        _ask(known, lambda: _of_diffusion(known, landscape, *functions, float(process.step_size), target))
    return known


def _ask(known: Known, compute: Callable[[], None]) -> None:
    try:
        compute()
    except OutOfReach as error:
        known.notes.append(str(error))


Functions = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]


def one_step(process: Any) -> tuple[LineSteps | None, int, Functions | None]:
    """The law of one own step, own steps in a step, and drift and variance of a diffusion; None what is not known."""
    if isinstance(process, LandscapeDescent):
        model = model_of(process)
        return (model.line if model is not None else None), 1, None
    if isinstance(process, LandscapeDiffusion):
        if not process.covariance(process.landscape.minimum[None]).max() > 0:
            raise InvalidInput(AT_REST)
        functions = _drift(process), lambda x: process.step_size * process.covariance(x[:, None])[:, 0, 0]
    elif isinstance(process, StableLangevin) and process.index == 2:
        variance = 2 * float(np.square(process.scale).sum())
        functions = _drift(process), lambda x: np.full(x.shape, variance)
    else:
        return None, 1, None
    length = process.step_size / process.substeps
    drift, spread = functions
    law = GaussianSteps(
        lambda x: ((x + length * drift(x))[:, None], np.sqrt(length * spread(x))[:, None]), np.ones(1)
    )
    return law, process.substeps, functions


def _drift(process: Any) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: process.drift(0.0, x[:, None])[:, 0]


def _of_chain(known: Known, chain: WellChain, change: float, steps: int, target: int) -> None:
    landscape, start = chain.landscape, chain.landscape.start
    known.put("rate", chain.rate, change * chain.rate)
    iqr = chain.interquartile_range
    known.put("interquartile_range", iqr, change * iqr)
    next_visited = float(chain.next_visited[target])
    known.put("next_target", next_visited, change + 1e-14)

    def finite() -> None:
        value, error = chain.mean_residence(start)
        known.put("residence", value, error + change * value)
        value, error = chain.mean_passage(start, target)
        known.put("passage", value, error + change * value)

    def expected() -> None:
        found = chain.expected(start, steps, target)
        left_out = found.lost + change
        known.put("reached", found.reached, left_out)
        known.put("time", found.time[target] / steps, left_out)
        if found.visits.sum() > 0:
            known.put("visits", found.visits[target] / found.visits.sum(), left_out)

    def long_run() -> None:
        found = chain.long_run
        if np.isnan(found.visits).any():
            known.notes.append(
                f"the well at {landscape.minima[int(found.time.argmax())]:.4g} is left less than once in 1e13 steps: "
                "what the others have of the time is bounded from above, and shares of the visits are not known"
            )
        else:
            known.put("long_visits", found.visits[target], found.error + change)
        share = float(found.time[target])
        known.put("long_time", share, found.error + change * share * (1 - share))
        known.time = found.time

    for part in (finite, expected, long_run):
        _ask(known, part)


def _of_diffusion(
    known: Known, landscape: WellLandscape, drift: Any, variance: Any, step_size: float, target: int
) -> None:
    found = WellDiffusion(drift, variance, landscape.minima, landscape.tops, landscape.start)
    shares = found.long_run
    known.diffusion = {
        "residence": found.mean_residence / step_size, "passage": found.mean_passage(target) / step_size,
        "long_visits": float(shares.visits[target]), "long_time": float(shares.time[target]),
        "next_target": float(found.next_visited()[target]),
    }  # fmt: skip


def _with_momentum(process: LandscapeDescent, known: Known) -> Known:
    known.notes.append(
        "with momentum only the rate of leaving is exact: residence is its inverse, from the quasi-stationary law"
    )

    def compute() -> None:
        law = basin_law(process)
        known.put("rate", law.rate, law.rate_error)
        known.put("interquartile_range", law.interquartile_range, law.interquartile_error)
        known.put("residence", 1 / law.rate, math.inf)

    _ask(known, compute)
    return known
