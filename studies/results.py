"""What a run of every study gives: text, numbers, a report that can be written, and the page most of them have."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .settings import RERUN, StudySettings

if TYPE_CHECKING:
    import xarray

    from sgdlimits.compare.reports import Report
    from sgdlimits.exact.claims import Claim


class ResultOfStudy:
    """What `run` of a study returns; a leaf is a frozen dataclass.

    Attributes
    ----------
    study : StudySettings
        What was run.
    """

    study: StudySettings

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return str(self._made("tables", "text"))

    @property
    def finding(self) -> str:
        """The result in a few sentences, computed from the data."""
        return str(self._made("tables", "finding"))

    @property
    def summary(self) -> xarray.Dataset:
        """The numbers as one dataset, of the same shape for settings that differ in numbers alone."""
        return cast("xarray.Dataset", self._made("summary", "summary"))

    def table(self) -> list[dict[str, Any]]:
        """One dict a row of the table."""
        return cast("list[dict[str, Any]]", self._made("tables", "rows"))

    def report(self) -> Report:
        """Everything that goes into the folder."""
        return cast("Report", self._made("report", "report"))

    def _made(self, module: str, name: str) -> object:
        """What a function of the study's own folder makes of the result; read when asked for, as pictures are slow."""
        folder = type(self).__module__.rpartition(".")[0]
        return getattr(import_module(f"{folder}.{module}"), name)(self)

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
