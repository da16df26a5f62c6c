"""How a batch is drawn from n samples, or from a stream."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, combinations_with_replacement
from math import comb, perm

import numpy as np

from sgdlimits.ensembles.random import SAMPLINGS
from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import InvalidInput, one_of, whole_number
from sgdlimits.exact.products_of_pairs import BatchMoments

LARGEST_BATCH = 2**24  # rows are drawn one by one: 128 MB of indices and about a second for a step of one path


def check_sampling(batch_size: int, sampling: str, samples: int | None) -> int:
    """Return the batch size if it can be drawn from `samples` (None: a stream) under this sampling."""
    batch = whole_number("batch_size", batch_size, 1)
    replaced = one_of("sampling", sampling, SAMPLINGS) == "with_replacement"
    if samples is None and not replaced:
        raise InvalidInput(f"sampling is {sampling!r}, but a stream never repeats; use 'with_replacement'")
    if not replaced and samples is not None and batch > samples:
        raise InvalidInput(
            f"batch_size is {batch:.10g}, over the {samples} samples that there are; without replacement it can "
            "be at most that"
        )
    if batch > LARGEST_BATCH:
        raise InvalidInput(
            f"batch_size is {batch:.10g}, and a step would draw that many samples one by one; take at most "
            f"{LARGEST_BATCH}, or diffusions.GradientFlow for a gradient without noise"
        )
    check_memory("the rows of one batch", 64.0 * batch, "lower batch_size")
    return batch


def sampling_factor(batch_size: float, sampling: str, samples: int) -> float:
    """Covariance of a batch's mean over that of one sample: 1/B, or (n - B) / (B (n - 1)) without replacement."""
    if sampling == "with_replacement":
        return 1 / batch_size
    return (samples - batch_size) / (batch_size * (samples - 1)) if samples > 1 else 0.0


def sampling_factor_slope(batch_size: int, sampling: str, samples: int | None) -> float:
    """Derivative of `sampling_factor` in the batch size, as a real number; of a stream without `samples`."""
    if sampling == "with_replacement" or samples is None:
        return -1 / batch_size**2
    return -samples / (batch_size**2 * (samples - 1)) if samples > 1 else 0.0


def batch_moments(batch_size: int, sampling: str, samples: int) -> BatchMoments:
    """Moments of the mean of a batch from those of one of `samples`, up to the fourth; derived.

    Without replacement by the probabilities that one to four given samples are all drawn, and by sums over distinct
    ones, in which centred values add up to zero.
    """
    b, n = batch_size, samples
    if sampling == "with_replacement":
        return BatchMoments(1 / b, 1 / b**2, 1 / b**3, (b - 1) / b**3)
    one, two, three, four = (Fraction(perm(b, k), perm(n, k)) if b >= k else Fraction(0) for k in range(1, 5))
    return BatchMoments(
        float(n * (one - two) / b**2), float(n * (one - 3 * two + 2 * three) / b**3),
        float(n * (one - 7 * two + 12 * three - 6 * four) / b**4), float(n**2 * (two - 2 * three + four) / b**4),
    )  # fmt: skip


def number_of_batches(batch_size: int, sampling: str, samples: int) -> int:
    """How many sets of rows a batch can be, rows of a set drawn again among them."""
    return comb(samples + batch_size - 1, batch_size) if sampling == "with_replacement" else comb(samples, batch_size)


def all_batches(batch_size: int, sampling: str, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (m, batch_size) of every batch, up to their order, and the probabilities (m,)."""
    if sampling != "with_replacement":
        chosen = np.array(list(combinations(range(samples), batch_size)))
        return chosen, np.full(len(chosen), 1 / len(chosen))
    chosen = np.array(list(combinations_with_replacement(range(samples), batch_size)))
    # Orders of a set: a run of t equal rows takes a factor 1 / t! off.
    ways, run = np.ones(len(chosen)), np.ones(len(chosen))
    for place in range(batch_size):
        again = (chosen[:, place] == chosen[:, place - 1]) if place else np.zeros(len(chosen), dtype=bool)
        run = np.where(again, run + 1, 1.0)
        ways *= (place + 1) / run
    return chosen, ways / float(samples) ** batch_size
