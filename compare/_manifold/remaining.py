"""What remains of errors as step size and noise go to zero, at all times, with what each path adds to its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..fits import fit, misfits
from ..verdicts import Judgement, judged_throughout

TINY = np.finfo(float).tiny
SKEW = 0.75  # (2 q^2 + 1) / (6 q) at q = 2: how far a skewness of one moves the quantile q of t, relative to it


@dataclass(frozen=True, eq=False)
class Remainder:
    """Of T times.

    Attributes
    ----------
    gap : (T,) array
        The constant of the expansion at each time.
    influence : (N, T) array
        What each of the independent paths of all rungs adds to its error; rows of their own for what a misfit of the
        expansion adds beyond them.
    degrees : float
        Degrees of freedom of the errors (Satterthwaite), the fewest over the times.
    lasting : (T,) array
        Share of the squared errors that the misfit of the expansion makes up: more paths leave it.
    """

    gap: np.ndarray
    influence: np.ndarray
    degrees: float
    lasting: np.ndarray

    def judged(self, margin: np.ndarray | float, confidence: float, paths: int) -> Judgement:
        """The verdict at all times at once."""
        return judged_throughout(self.gap, self.influence, margin, confidence, self.degrees, paths, self.lasting)


def remaining(columns: np.ndarray, values: np.ndarray, influences: Sequence[Sequence[np.ndarray]]) -> Remainder:
    """What remains of values (rungs, T), expanded in columns (rungs, parts), the constant first.

    The constant is a linear combination of the rungs' independent means, so that what their paths add to it is known,
    enlarged as in `fits.fit` where the expansion misfits, and by the first term in the skewness of the means, without
    which squares of normal numbers are missed too often. Derived, the last from the Edgeworth expansion of Student's t.

    Parameters
    ----------
    columns : (rungs, parts) array
    values : (rungs, T) array
    influences : for each rung a sequence of arrays (paths, T)
        Of its independent means.
    """
    count, times = values.shape
    spare = count - columns.shape[1]
    variances = [[np.square(part).sum(axis=0) for part in parts if len(part)] for parts in influences]
    errors = np.sqrt(np.array([np.sum(parts, axis=0) if parts else np.zeros(times) for parts in variances]))
    thirds = [[_unbiased(len(part)) * (part**3).sum(axis=0) for part in parts if len(part)] for parts in influences]
    gap, factors, misfit, degrees = np.empty(times), np.empty((count, times)), np.zeros(times), np.inf
    lasting = np.zeros(times)
    for at in range(times):
        found = fit(columns, values[:, at], errors[:, at])
        scale = max(1.0, found.reduced_chi2) if spare else 1.0
        gap[at], factors[:, at] = found.coefficients[0], np.sqrt(scale) * found.weights[0]
        known = np.square(factors[:, at] * errors[:, at])
        beyond = found.errors[0] ** 2 - known.sum()  # of rungs without spread, whose error is the misfit alone
        misfit[at] = np.sqrt(beyond) if beyond > 1e-9 * found.errors[0] ** 2 else 0.0
        # A misfit that is seen is known from so few rungs; one that is not only widens the band.
        seen = bool(spare) and misfits(found, times)
        widened = np.sqrt(scale) if seen else 1.0
        shares = [
            ((factors[rung, at] / widened) ** 2 * part[at], len(influence) - 1)
            for rung, parts in enumerate(influences)
            for part, influence in zip(variances[rung], (x for x in parts if len(x)))
        ]
        if spare:
            stays = misfit[at] ** 2 + (1 - 1 / widened**2) * known.sum()
            shares.append((stays, spare))
            lasting[at] = stays / max(sum(share for share, _ in shares), TINY)
        parts = sum(share**2 / max(freedom, 1) for share, freedom in shares)
        if parts > 0:
            degrees = min(degrees, sum(share for share, _ in shares) ** 2 / parts)
    cubes = sum(factors[rung] ** 3 * part for rung, parts in enumerate(thirds) for part in parts)
    squares = sum(factors[rung] ** 2 * part for rung, parts in enumerate(variances) for part in parts) + misfit**2
    sizes = np.sqrt(np.where(squares > 0, squares, 1.0))
    skewness = np.abs(cubes / sizes / sizes / sizes)
    factors, misfit = factors * (1 + SKEW * skewness), misfit * (1 + SKEW * skewness)
    rows = [factors[rung] * part for rung, parts in enumerate(influences) for part in parts if len(part)]
    return Remainder(gap, np.concatenate([*rows, np.diag(misfit)]), degrees, lasting)


def _unbiased(paths: int) -> float:
    """Factor from the sum of cubes of an influence to the third cumulant of its mean without bias."""
    return np.sqrt(paths * (paths - 1)) / (paths - 2) if paths > 2 else 1.0
