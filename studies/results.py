"""What a run of every study gives: a report that can be written, and the page that most of them have."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .settings import RERUN, StudySettings

if TYPE_CHECKING:
    from sgdlimits.compare.reports import Report
    from sgdlimits.exact.claims import Claim


class ResultOfStudy(ABC):
    """What `run` of a study returns; a leaf is a frozen dataclass.

    Attributes
    ----------
    study : StudySettings
        What was run.
    """

    study: StudySettings

    def __repr__(self) -> str:
        return str(self)

    @abstractmethod
    def report(self) -> Report:
        """Everything that goes into the folder."""

    def write(
        self,
        folder: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> Path:
        """Write the report; see `compare.reports.write`. None: results/NAME-001, -002, ... with the study's name."""
        from sgdlimits.compare.reports import write

        return write(folder, self.report(), self.study.name, overwrite, progress)


def study_page(
    result: Any, title: str, opening: str, sections: Mapping[str, Sequence[str]], claims: Mapping[str, Sequence[Claim]],
    failed: Sequence[str], versions: Mapping[str, str],
) -> str:  # fmt: skip
    """The page of a result that states its `finding`.

    Parameters
    ----------
    result : ResultOfStudy
    title, opening : str
        The question, and the sentences above the first section.
    sections : mapping of titles to pieces of HTML
    claims : mapping from labels to claims
        What is listed as theory, and of which process.
    failed, versions
        As `compare.reports.Report.page` gets them.
    """
    from sgdlimits.compare.html_page import document, theory
    from sgdlimits.compare.results import paragraphs

    listed = [(claim, [label]) for label, known in claims.items() for claim in known]
    every = {**sections, "Theory": theory(listed)}
    shown = {name: value for name, value in asdict(result.study).items() if value is not None}
    return document(title, result.finding, failed, paragraphs([opening]), every, shown, versions, RERUN)
