"""Tables of numbers: CSV files, standardisation, held-out rows."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sgdlimits.exact.errors import InvalidInput, nearest, real_number, whole_number


@dataclass(frozen=True, eq=False)
class Table:
    """Features (n, d) with their column names, and the target column (n,)."""

    name: str
    columns: tuple[str, ...]
    features: np.ndarray
    targets: np.ndarray
    target: str

    def prepare(
        self, standardise: bool, test_fraction: float, seed: int
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], str]:
        """Training rows, held-out rows and a sentence that says what was done.

        Held-out rows are drawn first; means and standard deviations come from the training rows alone.
        """
        rows = self.targets.size
        fraction = real_number("test_fraction", test_fraction)
        if not 0 <= fraction < 1:
            raise InvalidInput(f"test_fraction must be at least 0 and below 1, got {test_fraction!r}")
        held_out = round(fraction * rows)
        if fraction and not 0 < held_out < rows:
            raise InvalidInput(f"test_fraction {fraction:g} of {rows} rows leaves no training or no test row")
        shuffled = np.random.Generator(np.random.Philox(whole_number("seed", seed))).permutation(rows)
        order = np.sort(shuffled[held_out:]), np.sort(shuffled[:held_out])
        values = np.column_stack([self.features, self.targets])
        done = f"{rows} rows"
        if held_out:
            done = f"{rows - held_out} training rows, {held_out} held out (seed {seed})"
        if standardise:
            training = values[order[0]]
            centre, scale = training.mean(axis=0), training.std(axis=0)
            constant = np.flatnonzero(scale <= 1e-12 * np.abs(training).max(axis=0))
            if constant.size:
                column = (*self.columns, self.target)[constant[0]]
                raise InvalidInput(
                    f"column {column!r} is constant over the training rows and cannot be scaled to variance 1; "
                    "remove it, or do not standardise"
                )
            values = (values - centre) / scale
            done += "; every column, the target too, has mean 0 and variance 1 over the training rows"
        else:
            done += "; columns used as they are, no intercept"
        training, test = (values[rows] for rows in order)
        return (training[:, :-1], training[:, -1]), (test[:, :-1], test[:, -1]), f"{self.name}: {done}"


def read_csv(path: str | Path, target: str, name: str = "") -> Table:
    """Read a CSV file with a header line; every other column becomes a feature."""
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except OSError as error:
        raise InvalidInput(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{str(path)!r} is not a CSV text file: {error}") from None
    if len(lines) < 2:
        raise InvalidInput(f"{str(path)!r} has {len(lines)} line(s); a header line and at least one row are needed")
    header, *rows = lines
    header = [column.strip() for column in header]
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise InvalidInput(f"{str(path)!r} names the column {repeated[0]!r} more than once; give each its own name")
    if target not in header:
        raise InvalidInput(f"target is {target!r}, but {str(path)!r} has no such column; {nearest(target, header)}")
    if len(header) == 1:
        raise InvalidInput(f"{str(path)!r} has only the target column; at least one feature is needed")
    values = np.empty((len(rows), len(header)))
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InvalidInput(f"line {number} of {str(path)!r} has {len(row)} fields, the header has {len(header)}")
        for column, text in enumerate(row):
            values[number - 2, column] = _number(text, header[column], number, path)
    place = header.index(target)
    names = tuple(header[:place] + header[place + 1 :])
    return Table(name or path.name, names, np.delete(values, place, axis=1), values[:, place], target)


def _number(text: str, column: str, line: int, path: Path) -> float:
    try:
        value = float(text)
    except ValueError:
        found = f"the text {text!r}" if text.strip() else "an empty field"
        raise InvalidInput(
            f"column {column!r} of {str(path)!r} holds {found} on line {line}; every column must be numbers: remove "
            "or encode it first"
        ) from None
    if not np.isfinite(value):
        raise InvalidInput(f"column {column!r} of {str(path)!r} holds {text!r} on line {line}; it must be finite")
    return value
