"""compare.width_preference: a wide well against a sharp one, as the width grows, exact."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.discrete.escape import LandscapeDescent
from sgdlimits.discrete.escape.well_chain import FINE, chain_of
from sgdlimits.exact.errors import InvalidInput, OutOfReach, finite_array, function, instance_of, shown
from sgdlimits.problems.wells import WellLandscape, wells_of

from ..capabilities import one_blas_thread
from ..results import labelled
from .result import AXES, WidthPreference

FEWEST = 3
ROWS = ("wide", "sharp", "ratio_time", "ratio_next", "ratio_visits", "error", "rate")


@one_blas_thread
def width_preference(
    make: Callable[[float], Mapping[str, LandscapeDescent]], widths: Sequence[float]
) -> WidthPreference:
    """The ratio of the shares of a wide well and a sharp one, in time, in visits and in which well is entered next.

    Pass processes that leave the well of the start equally often (`escape.matched(..., by="rate")`), so that what is
    compared is where they go and stay. The wide well is the widest and the sharp one the narrowest of those that hold
    no start, where there are two of them; of two wells the start's is one of the pair, and which is entered next says
    nothing.

    Parameters
    ----------
    make : function of a width with a dict of labels and LandscapeDescents on one landscape with wells
    widths : rising numbers, at least 3

    Returns
    -------
    WidthPreference

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or a landscape does not state its basins.
    """
    function("make", make, "of a width, with a dict of labels and descents")
    ladder = finite_array("widths", widths, ndim=1)
    if ladder.size < FEWEST or not (np.diff(ladder) > 0).all():
        raise InvalidInput(f"widths must be {FEWEST} or more numbers that rise, got {ladder.tolist()}")
    names: list[str] = []
    rows, notes = [], []
    for width in ladder:
        made = make(float(width))
        if not isinstance(made, Mapping) or not made:
            raise InvalidInput(f"make must return a dict of labels and descents, got {shown(made)}")
        names = names or list(made)
        if list(made) != names:
            raise InvalidInput(f"make returned the labels {list(made)} at width {width:g}, and {names} before")
        for name, descent in made.items():
            instance_of(f"process {shown(name)}", descent, LandscapeDescent, "without momentum, on a line")
            try:
                rows.append(_row(descent))
            except OutOfReach as error:
                notes.append(f"{name} at width {width:g}: {error}")
                rows.append((math.nan,) * len(ROWS))
    table = np.array(rows).reshape(ladder.size, len(names), len(ROWS)).transpose(2, 1, 0)
    columns: dict[str, Any] = dict(zip(ROWS, table))
    if (np.diff(columns["wide"] / columns["sharp"], axis=1) <= 0).any():
        raise InvalidInput(
            "the wide well does not grow beside the sharp one from width to width in what make returns: let make take "
            "its argument for the width of one well"
        )
    slopes = [[_slope(columns["wide"][k] / columns["sharp"][k], columns[key][k]) for k in range(len(names))]
              for key in ("ratio_time", "ratio_next")]  # fmt: skip
    record = Record(
        **columns, exponent_time=np.array(slopes[0])[:, 0], exponent_time_error=np.array(slopes[0])[:, 1],
        exponent_next=np.array(slopes[1])[:, 0], exponent_next_error=np.array(slopes[1])[:, 1],
    )  # fmt: skip
    return WidthPreference(labelled(record, AXES, {"process": names, "width": ladder}, {"notes": json.dumps(notes)}))


@dataclass(frozen=True, eq=False)
class Record:
    """Arrays over process and width, as in `WidthPreference`."""

    wide: np.ndarray
    sharp: np.ndarray
    ratio_time: np.ndarray
    ratio_next: np.ndarray
    ratio_visits: np.ndarray
    error: np.ndarray
    rate: np.ndarray
    exponent_time: np.ndarray
    exponent_time_error: np.ndarray
    exponent_next: np.ndarray
    exponent_next_error: np.ndarray


def _row(descent: LandscapeDescent) -> tuple[float, ...]:
    wells: WellLandscape = wells_of(descent.landscape)
    chain, fine = chain_of(descent), chain_of(descent, FINE)
    others = [k for k in range(len(wells.minima)) if k != wells.home]
    pool = others if len(others) > 1 else list(range(len(wells.minima)))
    size = [wells.basins[k].width for k in pool]
    wide, sharp = pool[int(np.argmax(size))], pool[int(np.argmin(size))]
    if wide == sharp:  # equally wide: the last against the first
        wide, sharp = pool[-1], pool[0]
    found, entered = chain.long_run, chain.next_visited
    change = abs(chain.rate / fine.rate - 1) + 1e-12
    error = (found.error + change * found.time[sharp]) / found.time[sharp]
    following = entered[wide] / entered[sharp] if wells.home not in (wide, sharp) and entered[sharp] > 0 else math.nan
    return (
        wells.basins[wide].width, wells.basins[sharp].width, found.time[wide] / found.time[sharp], following,
        found.visits[wide] / found.visits[sharp], error, chain.rate,
    )  # fmt: skip


def _slope(widths: np.ndarray, ratios: np.ndarray) -> tuple[float, float]:
    """Exponent of a ratio in the ratio of widths, over the last two widths, and its change from the two before."""
    known = np.isfinite(ratios) & (ratios > 0)
    if known.sum() < FEWEST:
        return math.nan, math.nan
    slopes = np.diff(np.log(ratios[known])) / np.diff(np.log(widths[known]))
    return float(slopes[-1]), float(abs(slopes[-1] - slopes[-2]))
