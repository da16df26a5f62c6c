"""One row of the page of benchmarks."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One claim: what was asked and what was reached; `unit` is "x" for a ratio."""

    claim: str
    asked: str
    reached: str
    detail: str = ""

    @property
    def missed(self) -> bool:
        """Whether what was reached falls short of what was asked."""
        asked, reached = (re.search(r"\d+(\.\d+)?", text) for text in (self.asked, self.reached))
        if asked is None or reached is None:
            return False
        most = self.asked.startswith(("at most", "under"))
        return float(reached[0]) > float(asked[0]) if most else float(reached[0]) < float(asked[0])

    def line(self) -> str:
        """As a row of the page."""
        reached = f"**missed:** {self.reached}" if self.missed else self.reached
        return f"| {self.claim} | {self.asked} | {reached} | {self.detail} |"

    def text(self) -> str:
        """As a line of a terminal."""
        return f"{self.claim:70} asked {self.asked:14} reached {self.reached:12} {self.detail}"
