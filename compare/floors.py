"""Floors: a positive quantity that falls by orders of magnitude ends above its limit by what a ladder takes away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .estimates import student_quantile
from .fits import fit
from .text_table import number
from .verdicts import verdicts_of

FALLS = 0.01  # a limit below this part of its start ends orders of magnitude lower
POWERS = {"step size": 1, "noise level": 2}  # lowest orders in which an error of a limit vanishes
SLOWEST = 0.5  # part of those orders that a fall must show to be called one
MORE = 1.05 ** np.arange(1, 190)  # times the paths that are tried in thought, up to 10^4


@dataclass(frozen=True, eq=False)
class Floor:
    """Whether a measured level is its limit, or a floor above it that vanishes along a ladder.

    Attributes
    ----------
    verdict : {"agrees", "floor", "differs", "undecided"}
        agrees: measured / limit is within the tolerance of 1 at every rung. floor: it is off at some rung, and what
        exceeds the limit falls along the ladder as an error of finite step size and noise does. differs: it is off,
        and does not fall so.
    ratio, half : (R,) arrays
        measured / limit, and the half widths of intervals that hold together.
    level : (R,) array
        measured - limit: the height of the floor.
    order, order_error : dicts
        Variable -> exponent of the level in it, and its standard error; empty where the level is not told from 0.
    sentence : str
    """

    verdict: str
    ratio: np.ndarray
    half: np.ndarray
    level: np.ndarray
    order: dict[str, float]
    order_error: dict[str, float]
    sentence: str


def floor_of(
    measured: np.ndarray, error: np.ndarray, limit: np.ndarray, ladders: Mapping[str, np.ndarray], *, tolerance: float,
    confidence: float, degrees: float = np.inf, limit_error: np.ndarray | float = 0.0,
) -> Floor:  # fmt: skip
    """The verdict on the ratio of a measured level to its limit, over the R rungs of a ladder. Derived.

    Agreement relative to what a limit changes says nothing about an end that is orders of magnitude below the start:
    this verdict is relative to the end.

    Parameters
    ----------
    measured, error, limit : (R,) arrays
        Independent means, their standard errors, and what they are held against (positive), coarsest rung first.
    ladders : mapping from "step size" or "noise level" to (R,) arrays
        What falls along the rungs; one that stays is left out of account.
    tolerance : float
        Of the ratio.
    confidence : float
        Of all intervals of the ratio together.
    degrees : float
        Degrees of freedom of the standard errors: paths - 1.
    limit_error : float or (R,) array
        Standard error of a limit that is sampled too.

    Raises
    ------
    InvalidInput
        If a limit is not positive, or nothing falls along the rungs.
    """
    if not (limit > 0).all():
        raise InvalidInput(f"a floor is relative to a positive limit, got {float(np.min(limit))!r}: compare the change")
    moving = {name: values for name, values in ladders.items() if values[-1] < values[0]}
    if not moving:
        raise InvalidInput("a floor needs a ladder of at least two step sizes or noise levels: add one")
    ratio, level = measured / limit, measured - limit
    errors = np.hypot(error / limit, ratio * limit_error / limit)
    half = student_quantile(confidence ** (1 / len(ratio)), degrees) * errors  # of independent rungs, all at once
    least = max(least_fall(name, values[-1] / values[0]) for name, values in moving.items())
    verdict = _verdict(ratio, half, limit, least, tolerance)
    more = (f for f in MORE if _verdict(ratio, half / np.sqrt(f), limit, least, tolerance) != verdict)
    needed = (degrees + 1) * next(more, np.inf) if verdict == "undecided" else np.nan
    order, spread = _orders(level, limit * errors, moving)
    sentence = _said(verdict, ratio, half, level, moving, order, spread, confidence, needed)
    return Floor(verdict, ratio, half, level, order, spread, sentence)


def least_fall(name: str, share: float) -> float:
    """Part of an excess that may be left where the step size or noise level, by `name`, is down to a share."""
    return float(share ** (POWERS[name] * SLOWEST))


def fall_of(level: np.ndarray, half: np.ndarray, least: float) -> str:
    """Whether the excess (R,) with its intervals falls to part `least` over the rungs: "falls", "stays" or "open"."""
    before, after = (abs(level[at]) + half[at] * np.array([-1, 1]) for at in (0, -1))
    if after[1] <= least * before[0]:
        return "falls"
    return "stays" if after[0] > least * max(before[1], 0.0) else "open"


def _verdict(ratio: np.ndarray, half: np.ndarray, limit: np.ndarray, least: float, tolerance: float) -> str:
    """The verdict on ratios with intervals; `least`: how far what exceeds the limit must fall."""
    each = verdicts_of(ratio - 1 - half, ratio - 1 + half, np.full(ratio.shape, tolerance))
    if (each == "agrees").all():
        return "agrees"
    if not (each == "differs").any():
        return "undecided"
    fall = fall_of((ratio - 1) * limit, half * limit, least)
    return {"falls": "floor", "stays": "differs", "open": "undecided"}[fall]


def _orders(
    level: np.ndarray, errors: np.ndarray, moving: Mapping[str, np.ndarray]
) -> tuple[dict[str, float], dict[str, float]]:
    """Exponents of the level in what moves; none where a level is not told from 0 or the rungs are too few."""
    if len(level) < len(moving) + 1 or not (np.abs(level) > 3 * errors).all() or len(set(np.sign(level))) > 1:
        return {}, {}
    columns = np.stack([*(np.log(values) for values in moving.values()), np.ones(len(level))], axis=1)
    try:
        line = fit(columns, np.log(np.abs(level)), errors / np.abs(level))
    except InvalidInput:  # two variables that fall together
        return {}, {}
    return dict(zip(moving, line.coefficients.tolist())), dict(zip(moving, line.errors.tolist()))


def _said(
    verdict: str, ratio: np.ndarray, half: np.ndarray, level: np.ndarray, moving: Mapping[str, np.ndarray],
    order: Mapping[str, float], spread: Mapping[str, float], confidence: float, needed: float,
) -> str:  # fmt: skip
    """The verdict in words, with the ratio at both ends of the ladder."""

    def at(place: int) -> str:
        where = " and ".join(f"{name} {number(float(values[place]), 3)}" for name, values in moving.items())
        return f"{number(float(ratio[place]), 3)} ±{number(float(half[place]), 1)} times its limit at {where}"

    text = f"{verdict}: measured is {at(0)}, {at(-1)} (± of {100 * confidence:g} % intervals)"
    levels = ", ".join(number(float(value), 2) for value in level)
    falls = " and ".join(f"{name}^({order[name]:.2f} ±{number(spread[name], 1)})" for name in order)
    text += f"; above the limit it lies by {levels} along the ladder"
    if verdict == "floor":
        if falls:
            return f"{text}, which falls as {falls}: the limit is approached."
        return f"{text}, which falls to what these paths do not tell from nothing: the limit is approached."
    if verdict == "differs":
        return text + ", which does not fall as an error of finite step size and noise would."
    if verdict == "undecided":
        return text + (
            f": about {number(needed, 2)} paths would tell." if np.isfinite(needed) else ": a finer rung would tell."
        )
    return text + "."
