"""Verdicts: whether a difference, known by an interval, lies within a margin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, positive

from .estimates import band_quantile

LOOSEST = 0.1  # a tolerance above this part of what a limit changes says little


def verdicts_of(lower: np.ndarray, upper: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """agrees: the whole interval lies within the margin; differs: outside; undecided: it straddles, or says nothing.

    An infinite difference (one side is infinite) differs from every margin.
    """
    margin = np.where(np.isfinite(margin), margin, 0.0)
    apart = np.isinf(lower) & (lower == upper)
    with np.errstate(invalid="ignore"):
        inside = (lower >= -margin) & (upper <= margin) & ~apart
        outside = (lower > margin) | (upper < -margin) | apart
    return np.where(inside, "agrees", np.where(outside, "differs", "undecided")).astype(object)


def judged(value: float, error: float, predicted: float, tolerance: float, z: float) -> str:
    """The verdict on one value beside its prediction, by the interval of z standard errors."""
    gap, half = float(value) - float(predicted), z * float(error)
    return str(verdicts_of(np.array(gap - half), np.array(gap + half), np.array(tolerance)))


def relative_tolerance(value: float) -> float:
    """A tolerance relative to what a limit changes, at most `LOOSEST`."""
    tolerance = positive("tolerance", value)
    if tolerance > LOOSEST:
        raise InvalidInput(
            f"tolerance is relative to what the limit changes, and at most {LOOSEST:g}, got {tolerance:g}: lower it"
        )
    return tolerance


@dataclass(frozen=True, eq=False)
class Judgement:
    """A verdict on gaps (T,) at all times together.

    Attributes
    ----------
    verdict : {"agrees", "differs", "undecided"}
    half : (T,) array
        Half widths of the simultaneous band.
    worst : int
        The time whose gap is largest against its margin.
    paths : float
        Paths that would decide, were the gaps and errors what they look like; nan where they are decided, inf where no
        number would: a gap lies on its margin, or what lasts of the errors is too large.
    """

    verdict: str
    half: np.ndarray
    worst: int
    paths: float


def judged_throughout(
    gaps: np.ndarray, influence: np.ndarray, margin: np.ndarray | float, confidence: float,
    degrees: float | None = None, paths: int | None = None, lasting: np.ndarray | float = 0.0,
) -> Judgement:  # fmt: skip
    """The verdict at all times at once, by a band that holds with `confidence` at all of them.

    agrees: the band lies within the margin throughout; differs: outside it at some time; undecided: neither.

    Parameters
    ----------
    gaps : (T,) array
        Measured minus predicted.
    influence : (P, T) array
        What each path adds to the errors of the gaps, as of `estimates.mean_and_influence`.
    margin : float or (T,) array
    confidence : float
    degrees : float, optional
        Degrees of freedom of the errors; default: of one mean, P - 1.
    paths : int, optional
        Paths of one of several means that were put together; default: P. What would decide is told in these.
    lasting : float or (T,) array
        Share of the squared errors that more paths do not make smaller.
    """
    paths = len(influence) if paths is None else paths
    errors = np.sqrt(np.square(influence).sum(axis=0))
    half = band_quantile(influence, confidence, max(len(influence) - 1, 1) if degrees is None else degrees) * errors
    margin = np.broadcast_to(np.asarray(margin, dtype=float), gaps.shape)
    each = verdicts_of(gaps - half, gaps + half, margin)
    room, beyond = margin - np.abs(gaps), np.abs(gaps) - half
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [np.where(x == 0, 0.0, x / margin) for x in (np.abs(gaps), beyond)]  # of the margin
    worst = int(np.argmax(np.where(np.isfinite(gaps), shares[0], np.inf)))
    if (each == "differs").any():
        return Judgement("differs", half, int(np.argmax(np.where(each == "differs", shares[1], -np.inf))), np.nan)
    if (each == "agrees").all():
        return Judgement("agrees", half, worst, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        allowed = np.where(half > 0, room / half, np.inf) ** 2 - lasting  # of the squared errors
        needed = np.where(allowed > 0, (1 - lasting) / allowed, np.inf)
    factor = needed[room < 0].min() if (room < 0).any() else needed.max()
    return Judgement("undecided", half, worst, float(np.ceil(paths * factor)))
