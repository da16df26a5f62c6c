"""The result of the study in a few sentences, computed from its rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sgdlimits.compare.text_table import number

from .table_row import LIMIT, SGD
from .verdicts import counted

if TYPE_CHECKING:
    from .optimisers import OptimiserTail
    from .study import HeavyTailsResult
    from .table_row import TableRow


def finding(result: HeavyTailsResult) -> str:
    """The result in a few sentences, computed from the data."""
    found, inside = result.rows, ("inside", "outside")
    holds = ("holds SGD's index", "misses it")
    kept = ("not rejected", "rejected")
    sentences = [
        f"At {result.study.step_size_in_words} the tail index of homogenized SGD beside that of SGD "
        f"{_counts(found, 'one_index', 'agrees', 'differs')}.{_gaps(found)}{_missing(found)}",
        "Beside the bounds on the index of homogenized SGD that of SGD lies "
        f"{_counts(found, 'sgd_inside', *inside)}, and the interval of the degrees of freedom of a Student's t fitted "
        f"to SGD {_counts(found, 'fitted_inside', *inside)}; that interval "
        f"{_counts(found, 'fitted_is_index', *holds)}.",
        f"By Kolmogorov and Smirnov's test t is {_counts(found, 'student_accepted', *kept)}, the symmetric stable law "
        f"{_counts(found, 'stable_accepted', *kept)}{_stable_is_wrong(found)}.",
        _optimisers_found(result.optimisers),
    ]
    return " ".join(sentences)


def _gaps(found: Sequence[TableRow]) -> str:
    """How the indices of rows that differ compare, where both are finite."""
    gaps = [row.ratio for row in found if row.one_index is False and math.isfinite(row.ratio)]
    if not gaps:
        return ""
    lighter, ends = sum(gap > 1 for gap in gaps), [number(end, 2) for end in (min(gaps), max(gaps))]
    span = " to ".join(dict.fromkeys(ends))
    return (
        f" Of the {len(gaps)} that differ with finite indices its tail is lighter in {lighter}, its index {span} times "
        "SGD's."
    )


def _missing(found: Sequence[TableRow]) -> str:
    """Infinite indices, and those of which no interval is known."""
    said = ""
    for name, sides in ((SGD, [row.sgd for row in found]), (LIMIT, [row.homogenized for row in found])):
        endless = sum(side.index is not None and math.isinf(side.index.index) for side in sides)
        unknown = [side.text for side in sides if side.index is None]
        said += f" That of {name} is infinite in {endless}." if endless else ""
        words = "; ".join(dict.fromkeys(text for text in unknown if text != "not known"))
        words = f" ({words})" if words else ""
        said += f" No interval is known of that of {name} in {len(unknown)}{words}." if unknown else ""
    return said


def _stable_is_wrong(found: Sequence[TableRow]) -> str:
    """What the exact indices say of the stable law."""
    known = [row.sgd for row in found if row.sgd.index is not None]
    if known and all(side.interval[0] > 2 for side in known):
        return (
            f", although each of the {len(known)} known indices of SGD is above 2, where no law is stable but the "
            "normal one: such a test says little of tails"
        )
    return ": such a test says little of tails"


def _counts(found: Sequence[TableRow], name: str, yes: str, no: str) -> str:
    return counted([getattr(row, name) for row in found], yes, no)


def _optimisers_found(rows: Sequence[OptimiserTail]) -> str:
    heavy = [row for row in rows if row.heavy]
    light = [row for row in rows if row.light]
    borne_out = [sum(row.agrees is True for row in each) for each in (heavy, light)]
    return (
        f"Of {len(rows)} optimisers on a line theory gives {len(heavy)} a power tail, and paths bear it out in "
        f"{borne_out[0]}; a lighter one to {len(light)} with bounded or contracting steps "
        f"({sum(row.theory.proved for row in light)} proved), and paths bear it out in {borne_out[1]}."
    )
