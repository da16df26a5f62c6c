"""Moments E |x - minimiser|^p of even order of SGD on least squares: the equations that close."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact import fourth_moments
from sgdlimits.exact.affine_moments import affine_moments, radial_moments
from sgdlimits.exact.batch_polynomials import GaussianBatch, Series, about, centred, listed_batches, sampled_batch
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.even_moments import EvenMoments
from sgdlimits.exact.moment_growth import alike
from sgdlimits.exact.monomials import Monomials, Polynomial
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.streaming import StreamingLeastSquares

from .moment_equations import linear_of, with_a_law_of_samples

if TYPE_CHECKING:
    from .sgd import SGD

MOST_BATCHES = 4000  # without replacement, that are listed one by one


def even_moments(sgd: SGD, order: int) -> EvenMoments:
    """The closed equations up to an even order, in the modes that the data move.

    Raises
    ------
    InvalidInput
        If they do not close: another rule or loss, a schedule, reshuffled epochs, nothing that moves.
    OutOfReach
        If they are too many.
    """
    problem: Any = with_a_law_of_samples(sgd, "a moment of even order")
    if isinstance(sgd.step_size, StepSizes):
        raise InvalidInput(
            f"step_size is the schedule {sgd.step_size!r}, and moments of even order are known for one step size: take "
            "dataclasses.replace(sgd, step_size=...)"
        )
    problem.sampling_factor(sgd.batch_size, sgd.sampling)  # refuses reshuffled epochs
    problem.check_centre()
    h = problem.eigenvalues[problem.eigenvalues > 0]
    if not h.size:
        raise InvalidInput("the data are all zero, so that no gradient depends on the parameters: nothing has moments")
    kept, entry = linear_of(sgd, sgd.step_size)
    streaming, offset = isinstance(problem, StreamingLeastSquares), problem.offset_modes[: h.size]
    variance = sgd.label_noise**2 + getattr(problem, "noise", 0.0) ** 2
    if streaming and not sgd.momentum and not offset.any() and alike(h):
        return radial_moments(
            h.size, float(h[0]), variance, 1 - sgd.step_size * problem.ridge, sgd.step_size, sgd.batch_size, order
        )
    basis = Monomials(h.size, entry.size, order, bool(streaming and not offset.any()))
    transition = np.repeat(kept[None], h.size, axis=0)
    transition[:, :, 0] += problem.ridge * entry
    series: Series
    if streaming:
        gaussian = GaussianBatch(basis, h, variance, sgd.batch_size)
        series = centred(about(basis, gaussian, offset), h * offset)
    elif sgd.sampling == "without_replacement" and sgd.batch_size == problem.samples and not sgd.label_noise:
        transition[:, :, 0] += h[:, None] * entry  # all samples: nothing is random
        series = _nothing
    else:
        series = centred(_sampled(sgd, problem, basis), problem.risk_slope[: h.size])
    return affine_moments(basis, transition, entry, series)


def _sampled(sgd: SGD, problem: LeastSquares, basis: Monomials) -> Series:
    """Of batches of finitely many samples."""
    n, batch = problem.samples, sgd.batch_size
    rows, residuals, weights = problem.range_modes, problem.residuals_at_minimiser, np.full(n, 1 / n)
    if sgd.sampling == "with_replacement" or batch == 1:
        if sgd.label_noise:
            errors, mass = fourth_moments.gaussian_samples(np.array([sgd.label_noise**2]), basis.order // 2 + 1)
            residuals = (residuals[:, None] - errors[:, 0]).ravel()
            rows, weights = np.repeat(rows, len(errors), axis=0), np.outer(weights, mass).ravel()
        return sampled_batch(basis, rows, residuals, weights, batch)
    if math.comb(n, batch) > MOST_BATCHES or sgd.label_noise:
        raise InvalidInput(
            f"moments of even order are known without replacement for batches of one or all samples, or of at most "
            f"{MOST_BATCHES} sets and no label noise, and here are {math.comb(n, batch):.3g} sets with label_noise "
            f"{sgd.label_noise:g}: take sampling='with_replacement', or simulate"
        )
    chosen = np.array(list(combinations(range(n), batch)))
    part = rows[chosen]
    pulls = np.einsum("sbi,sbj->sij", part, part) / batch
    shifts = np.einsum("sbi,sb->si", part, residuals[chosen]) / batch
    return listed_batches(basis, pulls, shifts, np.full(len(chosen), 1 / len(chosen)))


def _nothing(beta: tuple[int, ...]) -> Polynomial:
    return Polynomial(np.zeros(1, dtype=np.uint64), np.array([float(not any(beta))]))
