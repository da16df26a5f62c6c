"""A scheme's steps made ready for the engine: of any diffusion, or of one of SGD's, in its modes, SGD steps outside."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.ensembles import Brownian
from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.initial import Gaussian, initial_state
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, risk_of, rotated
from sgdlimits.exact.errors import seed_number, whole_number

from .adapters import LibraryScheme, LibrarySteps
from .coefficients import Coefficients
from .scheme import Scheme
from .simulation import SchemeSteps


def scheme_simulator(steps: SchemeSteps | LibrarySteps, process: Any = None, substeps: int = 1) -> Simulator:
    """A simulator of `SchemeSteps`, or of `LibrarySteps`.

    `process` is the diffusion of SGD whose modes they move, None where they move positions; `substeps` are their steps
    per step of the run.
    """
    source, d, kept = steps.coefficients.source, steps.coefficients.dimension, steps.kept
    if process is None:
        return ArraySimulator(
            f"{type(source).__name__} by {steps.scheme.name}", d, steps.advance, kept=kept,
            measures=risk_of(getattr(source, "risk", None)), substeps=substeps, compiled=False,
        )  # fmt: skip
    problem = process.problem

    def leave(state: PathArrays) -> np.ndarray:
        return rotated(state.x, problem.eigenvectors) + problem.minimiser

    return ArraySimulator(
        f"{process.label} by {steps.scheme.name}", d, steps.advance,
        lambda positions: rotated(positions - problem.minimiser, problem.eigenvectors.T), leave,
        {"risk": lambda state: problem.risk(leave(state))}, kept, substeps=substeps, compiled=False,
    )  # fmt: skip


def steps_of(
    coefficients: Coefficients, scheme: Scheme, brownian: Brownian, t0: float, level: int = 0, joined: int = 1,
    tolerance: float | None = None,
) -> SchemeSteps | LibrarySteps:  # fmt: skip
    """The scheme's own steps, or those that another library takes."""
    if isinstance(scheme, LibraryScheme):
        return LibrarySteps(coefficients, scheme, brownian, t0, level, joined)
    return SchemeSteps(coefficients, scheme, brownian, t0, level, joined, tolerance)


def process_simulator(
    process: Any, scheme: Scheme, substeps: int, steps: int, x0: Any, seed: int, quality: str
) -> Simulator:
    """A built-in diffusion of SGD run by any scheme: `substeps` of its steps per SGD step."""
    substeps = whole_number("substeps", substeps, 1)
    initial = initial_state(x0, process.dimension)
    start = initial.mean if isinstance(initial, Gaussian) else np.atleast_2d(initial)[:16]
    modes = process.in_modes()
    if modes is not None:
        start = process.problem.to_modes(start)
    coefficients = Coefficients(process if modes is None else modes, 0.0, start)
    scheme.check(coefficients)
    count = max(whole_number("steps", steps), 1)
    brownian = Brownian(
        float(process.clock.time(count)), count * substeps, coefficients.noise_dimension, seed_number(seed), quality,
        scheme.areas,
    )  # fmt: skip
    own = steps_of(coefficients, scheme, brownian, 0.0)
    return scheme_simulator(own, None if modes is None else process, substeps)
