"""A result: one dataset, and all that it prints, writes or draws follows from that. Each comparison has a leaf."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from sgdlimits.exact.claims import Claim, bibliography
from sgdlimits.exact.errors import InvalidInput

from .text_table import TextTable, wrapped

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False, repr=False)
class Result(ABC):
    """What a comparison returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Every number; its attributes hold the settings.
    kind : str
        What a saved file calls itself.
    columns : tuple of str
        Keys of a row, in the order of the CSV file.
    """

    dataset: xarray.Dataset

    kind: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    @abstractmethod
    def heading(self) -> list[str]:
        """What was compared: the first in bold, the rest below it."""

    @abstractmethod
    def tables(self) -> list[TextTable]:
        """The verdicts, then longer tables, which a page folds."""

    @abstractmethod
    def notes(self) -> list[str]:
        """Sentences that are needed to read the tables."""

    @abstractmethod
    def table(self) -> list[dict[str, Any]]:
        """One dict a row."""

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the CSV file."""
        return self.table()

    @property
    def settings(self) -> Mapping[str, Any]:
        """How the comparison was set up."""
        return self.dataset.attrs

    def __str__(self) -> str:
        parts = ["\n".join(wrapped(text) for text in self.heading())]
        parts += [table.text() for table in self.tables()]
        return "\n\n".join([*parts, "\n".join(wrapped(note) for note in self.notes())])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        title, *below = (html.escape(text) for text in self.heading())
        first, *others = self.tables()
        folded = "".join(fold(table) for table in others)
        return (
            f"<p>{'<br>'.join([f'<strong>{title}</strong>', *below])}</p>{first.html()}{folded}"
            + paragraphs(self.notes())
        )

    def to_latex(self) -> str:
        """The tables as tabulars with booktabs rules."""
        return "\n".join(table.latex() for table in self.tables())

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Every row with all digits as CSV text; also written to `path` when given."""
        text = csv_text(self.rows(), self.columns)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def to_dataset(self) -> xarray.Dataset:
        """A copy of the dataset."""
        return self.dataset.copy(deep=True)

    def claims(self) -> str:
        """Statements of theory, their hypotheses and the BibTeX of their sources."""
        found = claims_of(self.dataset)
        if not found:
            return "No claim of theory is attached to these processes."
        parts = [f"{', '.join(processes)}: {claim}" for claim, processes in found]
        return "\n\n".join([*parts, bibliography([claim for claim, _ in found])]).rstrip()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a netCDF file."""
        from sgdlimits.ensembles.results import save

        save(self.dataset.assign_attrs(result=self.kind), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote."""
        from sgdlimits.ensembles.results import load

        dataset = load(path)
        found = dataset.attrs.pop("result", None)
        if found != cls.kind:
            raise InvalidInput(f"{os.fspath(path)!r} holds {json.dumps(found)}, not {cls.kind!r}")
        return cls(dataset)


def labelled(
    record: Any, axes: Mapping[tuple[str, ...], str], coordinates: Mapping[str, Any], attributes: Mapping[str, Any]
) -> xarray.Dataset:
    """The arrays of a frozen record as a dataset; `axes`: dimensions -> names of the fields over them."""
    import xarray as xr

    from sgdlimits import __version__

    variables = {name: (dims, getattr(record, name)) for dims, names in axes.items() for name in names.split()}
    return xr.Dataset(variables, coordinates, {**attributes, "version": __version__})


def claims_of(dataset: xarray.Dataset) -> list[tuple[Claim, list[str]]]:
    """What theory claims, each statement once, with the processes it is claimed of."""
    found: dict[Claim, list[str]] = {}
    for note in json.loads(dataset.attrs.get("claims", "[]")):
        claim = Claim(note["statement"], tuple(note["assumptions"]), note["source"], note["order"])
        found.setdefault(claim, []).append(note["process"])
    return list(found.items())


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as CSV text with every digit; nan is left empty.

    A text that a spreadsheet would take for a formula (it begins with =, +, - or @) is quoted by an apostrophe.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(row[key]) for key in columns} for row in rows)
    return file.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")):
        return "'" + value
    return "" if _is_nan(value) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def paragraphs(texts: Sequence[str]) -> str:
    """Texts as escaped HTML paragraphs."""
    return "".join(f"<p>{html.escape(text)}</p>\n" for text in texts)


def fold(table: TextTable, summary: str = "") -> str:
    """A table that opens on a click."""
    said = html.escape(summary or table.title or "Every row")
    return f'<details><summary>{said}</summary><div class="wide">{table.html()}</div></details>\n'
