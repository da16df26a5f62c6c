"""How much of the reference's gradient noise the other processes have: the first reason why they may differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments

from ..capabilities import has_moments

PLACES = ("start", "minimiser")
FACTOR = 2.0  # shares beyond it, either way, are a finding


def noise_shares(processes: Sequence[Any], x0: Any) -> np.ndarray:
    """Trace of each process's covariance of the batch gradient over that of the first one, (processes, places).

    At the start it is the mean over the law of the start. nan where the covariance of either does not follow from two
    moments, the problems are not the same, or the first has no noise.
    """
    reference = processes[0]
    found = np.full((len(processes), len(PLACES)), np.nan)
    if not has_moments(reference):
        return found
    problem = reference.problem
    d = problem.dimension
    mean, covariance = initial_moments(x0, d)
    modes, vectors = problem.to_modes(mean), problem.eigenvectors
    points = ((vectors.T @ covariance @ vectors + np.outer(modes, modes), modes), (np.zeros((d, d)), np.zeros(d)))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        first = np.array([np.trace(reference.noise_map(*point)) for point in points])
        for row, process in enumerate(processes):
            if has_moments(process) and process.problem is problem:
                shares = np.array([np.trace(process.noise_map(*point)) for point in points]) / first
                found[row] = np.where((first > 0) & np.isfinite(shares), shares, np.nan)
    return found


def off_by_more(shares: np.ndarray) -> np.ndarray:
    """Whether a process (processes, places) has noise, and less than half or more than twice as much; (processes,)."""
    with np.errstate(invalid="ignore"):
        return np.any((shares > 0) & ((shares > FACTOR) | (shares < 1 / FACTOR)), axis=-1)
