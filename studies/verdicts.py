"""Published claims, each with what is found and a verdict that is computed: a record, a table, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgdlimits.compare.text_table import TextTable

HOLDS, FAILS, PART, UNDECIDED = "holds", "fails", "holds in part", "undecided"
COMMON = "a common reading"  # of what was not read in a paper


@dataclass(frozen=True)
class Verdict:
    """A claim, what it says, what is found, and the verdict.

    Attributes
    ----------
    claim, source, said, found, verdict : str
        A source "a common reading" was not read in a paper.
    """

    claim: str
    source: str
    said: str
    found: str
    verdict: str


def table(claims: Sequence[Verdict]) -> TextTable:
    """Claims with verdicts, those of one source together."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for one in claims:
        groups.setdefault(one.source, []).append((one.claim, one.said, one.found, one.verdict))
    heads = ("claim", "it says", "found", "verdict")
    return TextTable(heads, tuple((source, tuple(found)) for source, found in groups.items()), "Claims")


def told(claims: Sequence[Verdict]) -> list[str]:
    """The same as sentences, for a terminal."""
    return [f"{one.claim} ({one.source}): {one.verdict}. It says: {one.said}; found: {one.found}." for one in claims]
