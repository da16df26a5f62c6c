"""compare.laws: two or more processes side by side, in law, with the error budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import capabilities
from .gathered import gathered
from .labels import dataset_of
from .result import Laws
from .numbers import numbers_of


@capabilities.one_blas_thread
def laws(
    reference: Any,
    *others: Any,
    x0: Any = None,
    steps: int,
    paths: int = 10_000,
    observables: Sequence[str] | Mapping[str, Any] | None = None,
    record: Any = None,
    seed: int = 0,
    solver: Any = None,
    substeps: int | None = None,
    clock: float | Mapping[str, float] | None = None,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> Laws:
    """Compare the laws of processes at the same steps, and say where the distance comes from.

    A row is about the process that it names: exact where its moments give the expectation, else sampled. Where the law
    of the scheme depends on its increments, they are shortened until its own part is below the Monte Carlo error, or
    64 of them a step or the normals of a whole run (4e8) are spent. That part is estimated on a pilot, widens the
    interval, and where it stays larger than the Monte Carlo error the row says so (beware: integrator).

    Parameters
    ----------
    reference : process
        Usually `discrete.SGD`; every difference is "other minus reference". Any recurrence (with `initial_state`,
        `step` and `position`), diffusion, limit along a zero-loss set, or `compare.KnownLaw` will do.
    *others : processes
        Of the same dimension. The start may follow them as the last positional argument.
    x0 : array (d,), array (paths, d), Gaussian, or tuple (mean, covariance)
    steps : int
        SGD steps; a diffusion runs to the time of that step on its own clock.
    paths : int
        Independent paths of each process, at least 2.
    observables : names or mapping
        "risk", "excess" (risk less the least risk, without the ridge), "norm", "test_risk", or name -> function of
        positions (paths, d) giving (paths,). Default: the first three, as far as the problem has them.
    record : None, int or increasing sequence of steps
        None: about 50 evenly spaced steps, and 1, 2, 5, 10, 20, 50, ... between them.
    seed : int
    solver : None, name or scheme
        None: the processes themselves. A scheme: it is what is compared, in rows that are named after it.
    substeps : int, optional
        Increments per SGD step. Default: 1 for a scheme that is asked for, else as many as are needed.
    clock : float or mapping from labels to floats, optional
        Steps per unit of time, for a diffusion that states no clock of its own.
    tolerance : float
        A difference within `tolerance` times the scale is called agreement: the scale of a risk is the reference's
        excess over the least risk, that of another observable the reference's value.
    confidence : float
        Of each interval by itself, and of each band over all recorded steps together.
    threads, progress
        As in `simulate`.

    Returns
    -------
    Laws

    Raises
    ------
    InvalidInput
        If an argument does not fit; the sentence says which and why.

    Warns
    -----
    MismatchedProcesses
        If the sides do not share problem, step size, batch size or label noise.
    """
    compared, x0 = capabilities.with_start(others, x0)
    found = gathered(
        [reference, *compared], x0, steps, paths, observables, record, seed, solver, substeps, clock, tolerance,
        confidence, threads, progress,
    )  # fmt: skip
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is counted and said
        return Laws(dataset_of(found, numbers_of(found)))
