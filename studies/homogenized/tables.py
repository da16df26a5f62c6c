"""The result of the study as text and rows: its comparisons speak for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sgdlimits.compare._laws import wording

if TYPE_CHECKING:
    from .study import StudyResult


def text(result: StudyResult) -> str:
    """Every table, and the finding."""
    found = [str(table) for table in (result.laws, result.orders, result.bounds) if table is not None]
    return "\n\n".join([*found, finding(result)])


def finding(result: StudyResult) -> str:
    """What the laws show, in a sentence."""
    return wording.finding(result.laws.dataset)


def rows(result: StudyResult) -> list[dict[str, Any]]:
    """Those of the laws."""
    return result.laws.table()
