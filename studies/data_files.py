"""Data among the settings of a study: a CSV file of the user's, its checks and checksum, and named data sets."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from sgdlimits.exact.errors import InvalidInput, one_of

from .options import dataset_names, option, shortened
from .settings import StudySettings, file_sha256

if TYPE_CHECKING:
    from sgdlimits.problems import LeastSquares
    from sgdlimits.problems.tables import Table

NONE = "none"  # of the named data sets
DATA = "data"
FORM = ("one_hot", "drop", "delimiter", "decimal")


@dataclass(frozen=True)
class DataFileSettings(StudySettings):
    """Settings of a study that reads a file; each is explained in the help of the command line.

    `data_sha256` is the checksum that the file must have.
    """

    data: str | None = option(None, DATA, "CSV file with a header line", metavar="CSV", file=True)
    target: str | None = option(None, DATA, "column of the CSV file to predict", metavar="COLUMN")
    one_hot: str | None = option(
        None, DATA, "columns of texts, separated by commas: each becomes columns of 0 and 1", metavar="COLUMNS"
    )
    drop: str | None = option(None, DATA, "columns to leave out, separated by commas", metavar="COLUMNS")
    delimiter: str | None = option(
        None, DATA, "of the CSV file: one character, or tab", shown="recognised, and said", metavar="MARK"
    )
    decimal: str | None = option(
        None, DATA, "decimal mark of the CSV file, . or ,", shown="recognised, and said", metavar="MARK",
        allowed=lambda: (".", ","),
    )  # fmt: skip
    complete_rows: bool = option(
        False, DATA, "leave out rows that lack a value: an empty cell, NA, N/A, NaN, null or ?"
    )
    data_sha256: str | None = None

    def check_file(self) -> None:
        """Refuse settings of a file that do not go together, and what `check_kinds` refuses.

        Raises
        ------
        InvalidInput
        """
        from sgdlimits.problems.csv_files import CsvFormat

        self.check_kinds()
        if self.data is not None and self.target is None:
            raise InvalidInput(f"data file {shortened(self.data)} is given without target; name the column to predict")
        if self.data is None and self.target is not None:
            raise InvalidInput(f"target {shortened(self.target)} is given without a data file; give data too")
        if not (self.data_sha256 is None or isinstance(self.data_sha256, str)):
            raise InvalidInput(f"data_sha256 must be a text, got {shortened(self.data_sha256)}")
        for name in FORM:
            if self.data is None and getattr(self, name) is not None:
                raise InvalidInput(f"{name} is given without a data file; give data too")
        if self.complete_rows and self.data is None:
            raise InvalidInput("complete_rows is given without a data file; give data too")
        CsvFormat(self.delimiter, self.decimal, self.one_hot or (), self.drop or ())

    def pinned(self) -> Self:
        """The same settings with the whole way to the file and its checksum; themselves without a file."""
        if self.data is None:
            return self
        data = os.path.abspath(self.data)
        return replace(self, data=data, data_sha256=file_sha256(data))

    def read_table(self) -> Table:
        """What is in the file; a target of texts alone as classes.

        Raises
        ------
        InvalidInput
            If the data cannot be used, or the file is not the one that was meant.
        """
        from sgdlimits.problems.csv_files import CsvFormat
        from sgdlimits.problems.tables import read_csv

        path, target, form = self.checked_file()
        return read_csv(path, target, form=CsvFormat(**form), classes=None)

    def read_file(self, *options: Any) -> LeastSquares:
        """Least squares on the file; `options` (ridge, standardise, test_fraction, seed) of `LeastSquares.from_table`.

        Raises
        ------
        InvalidInput
            If the data cannot be used: a target of more than two texts neither; or the file is not the one that was
            meant.
        """
        from sgdlimits.problems import LeastSquares

        table = self.read_table()
        if len(table.classes) > 2:
            raise InvalidInput(
                f"the target {self.target!r} has {len(table.classes)} different texts, and least squares take numbers "
                "or two classes: take another column, or study golden-path"
            )
        return LeastSquares.from_table(table, *options)

    def checked_file(self) -> tuple[str, str, dict[str, Any]]:
        """Path, target and form of the file, once it is the one that was meant.

        Raises
        ------
        InvalidInput
            If it is another.
        """
        assert self.data is not None and self.target is not None  # check_file lets neither in alone
        if self.data_sha256 is not None and (found := file_sha256(self.data)) != self.data_sha256:
            raise InvalidInput(
                f"{shortened(self.data, 200)} is not the file that this study was run with: its SHA-256 is "
                f"{found[:12]}..., expected {self.data_sha256[:12]}...; restore the file, or start a new study with it"
            )
        form: dict[str, Any] = {"one_hot": self.one_hot or (), "drop": self.drop or ()}
        form |= {"delimiter": self.delimiter, "decimal": self.decimal, "complete_rows": self.complete_rows}
        return self.data, self.target, form


def named_data(default: str, group: str = "data sets", what: str = "named data sets") -> Any:
    """The option for named data sets, several or none of them."""
    return option(
        default, group,
        lambda: f"{what}, separated by commas: {', '.join(dataset_names())}; {NONE}: no other than --data",
        metavar="NAMES", allowed=dataset_names, several=True,
    )  # fmt: skip


@dataclass(frozen=True)
class NamedDataSettings(DataFileSettings):
    """Settings of a study that reads a file, named data sets, or both."""

    datasets: str = named_data("diabetes")

    def check_data(self, needed: bool = True) -> None:
        """What `check_file` does, and refuse data sets that are not known; where data are needed, none at all.

        Raises
        ------
        InvalidInput
        """
        self.check_file()
        for name in self.names:
            one_of("datasets", name, list(dataset_names()))
        if needed and self.data is None and not self.names:
            raise InvalidInput(f"datasets is {NONE!r} and no data file is given: name a data set, or give data")

    @property
    def names(self) -> list[str]:
        """The named data sets."""
        return [] if self.datasets == NONE else [name.strip() for name in self.datasets.split(",")]
