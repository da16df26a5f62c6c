"""CSV files as people have them: delimiters and decimal commas recognised, texts turned into columns of 0 and 1."""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, flag, kind, nearest

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MOST_LEVELS = 100  # of a column that becomes columns of 0 and 1
LONGEST = 60  # characters of a cell or name that a message repeats
_COMMA_NUMBER = re.compile(r"\s*[+-]?\d+(,\d+)?([eE][+-]?\d+)?\s*")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
MISSING = ("", "na", "n/a", "nan", "null", "?")  # in any case: a cell without a value
INCOMPLETE = "leave such rows out (complete_rows=True, --complete-rows), or fill them first"
LONGEST_HEADER = 100_000  # characters that are looked at for the delimiter


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written, and which columns are used.

    Attributes
    ----------
    delimiter : str, optional
        One character, or "tab"; None: recognised from the header line.
    decimal : str, optional
        "." or ","; None: recognised from the numbers.
    one_hot : sequence of str, or names separated by commas
        Columns of texts; each becomes a column of 0 and 1 for every value but the first in order.
    drop : sequence of str, or names separated by commas
        Columns to leave out.
    complete_rows : bool
        Leave out rows that lack a value in a column that is used: an empty cell, NA, N/A, NaN, null or ?.
    """

    delimiter: str | None = None
    decimal: str | None = None
    one_hot: str | Sequence[str] = ()
    drop: str | Sequence[str] = ()
    complete_rows: bool = False

    def __post_init__(self) -> None:
        delimiter: Any = self.delimiter
        if isinstance(delimiter, str):
            delimiter = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
        if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0'):
            raise InvalidInput(f"delimiter must be one character or 'tab', got {cut(self.delimiter)}")
        if self.decimal is not None and not (isinstance(self.decimal, str) and self.decimal in (".", ",")):
            raise InvalidInput(f"decimal must be '.' or ',', got {cut(self.decimal)}")
        if delimiter is not None and delimiter == self.decimal:
            raise InvalidInput(f"delimiter and decimal are both {delimiter!r}; give two different ones")
        object.__setattr__(self, "delimiter", delimiter)
        object.__setattr__(self, "complete_rows", flag("complete_rows", self.complete_rows))
        for name in ("one_hot", "drop"):
            value = getattr(self, name)
            if not (isinstance(value, Iterable) and all(isinstance(column, str) for column in value)):
                raise InvalidInput(f"{name} must be names of columns, in a list or by commas, got {cut(value)}")
            columns = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else tuple(value)
            object.__setattr__(self, name, tuple(column for column in columns if column))
        both = sorted(set(self.one_hot) & set(self.drop))
        if both:
            raise InvalidInput(f"column {cut(both[0])} is in one_hot and in drop; give it once")


def cut(value: object) -> str:
    """The value as a message shows it, cut short."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 3 :]}"


@dataclass(frozen=True)
class Sheet:
    """The cells of a file: header, rows with the line each begins on, and what was recognised."""

    shown: str
    header: list[str]
    rows: list[tuple[int, list[str]]]
    decimal: str
    said: tuple[str, ...]


def read_sheet(path: str | os.PathLike[str], form: CsvFormat) -> Sheet:
    """Read the cells; a message repeats nothing of a file that is no table.

    Raises
    ------
    InvalidInput
        If the file cannot be read, or its rows do not all have as many cells as its header.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidInput(f"a CSV file must be given by its path, got {kind(path)}")
    shown = cut(os.fspath(path))
    text = _text(path, shown)
    delimiter, said = _delimiter(text, form, shown)
    try:
        header, rows = _cells(text, delimiter)
    except csv.Error as error:
        raise InvalidInput(f"{shown} is not a CSV text file: {error}") from None
    if not rows:
        count = 0 if header is None else 1
        raise InvalidInput(f"{shown} has {count} line(s); a header line and at least one row are needed")
    assert header is not None
    for line, row in rows:
        if len(row) != len(header):
            raise InvalidInput(f"line {line} of {shown} has {len(row)} fields, the header has {len(header)}")
    if form.complete_rows:
        rows = _complete(header, rows, form, shown, said)
    decimal = form.decimal or _decimal(rows, delimiter)
    if decimal == "," and form.decimal is None:
        said.append("decimal commas recognised")
    return Sheet(shown, header, rows, decimal, tuple(said))


def _complete(
    header: list[str], rows: list[tuple[int, list[str]]], form: CsvFormat, shown: str, said: list[str]
) -> list[tuple[int, list[str]]]:
    """The rows with a value in every column that is used, and a word on the others."""
    used = [place for place, column in enumerate(header) if column not in form.drop]
    kept = [(line, row) for line, row in rows if not any(lacking(row[place]) for place in used)]
    if not kept:
        raise InvalidInput(f"every row of {shown} lacks a value: leave columns out (drop=, --drop)")
    if len(kept) < len(rows):
        said.append(f"{len(rows) - len(kept)} of {len(rows)} rows, which lack a value, are left out")
    return kept


def lacking(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.strip().lower() in MISSING


def _text(path: str | os.PathLike[str], shown: str) -> str:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for ever
            raise InvalidInput(f"cannot read {shown}: it is not a file")
        return Path(path).read_text(encoding="utf-8-sig")
    except InvalidInput:
        raise
    except OSError as error:
        raise InvalidInput(f"cannot read {shown}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{shown} is not a CSV text file in UTF-8: byte {error.start} is not") from None
    except ValueError:
        raise InvalidInput(f"cannot read {shown}: a file name holds no zero byte") from None


def _delimiter(text: str, form: CsvFormat, shown: str) -> tuple[str, list[str]]:
    """The given delimiter, or the one that cuts the header into most cells; a comma needs no word."""
    if form.delimiter is not None:
        return form.delimiter, []
    first = next((line for line in text.splitlines() if line.strip()), "")[:LONGEST_HEADER]
    counts = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in DELIMITERS}
    best = max(counts, key=lambda mark: counts[mark])
    if counts[best] < 2 or counts[","] == counts[best]:
        return ",", []
    return best, [f"delimiter recognised: {DELIMITERS[best]}"]


def _cells(text: str, delimiter: str) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header, rows, before = None, [], 0
    for row in reader:
        line, before = before + 1, reader.line_num
        if not any(cell.strip() for cell in row) and len(row) < 2:
            continue
        if header is None:
            header = [cell.strip() for cell in row]
        else:
            rows.append((line, row))
    return header, rows


def _decimal(rows: list[tuple[int, list[str]]], delimiter: str) -> str:
    """A comma where some cell is a number only with it, and none is a number only with a point.

    Raises
    ------
    InvalidInput
        If each comma may as well mark thousands.
    """
    if delimiter == ",":
        return "."
    commas, thousands = False, ""
    for _, row in rows:
        for cell in row:
            if "," in cell and _COMMA_NUMBER.fullmatch(cell):
                grouped = _THOUSANDS.fullmatch(cell.strip()) is not None
                commas, thousands = commas or not grouped, thousands or (cell.strip() if grouped else "")
            elif "." in cell and _is_number(cell):
                return "."
    if thousands and not commas:
        raise InvalidInput(
            f"{cut(thousands)} is a decimal number with a comma, or one with thousands separators, and every comma of "
            "the file has three digits behind it: say decimal=',' (--decimal ,) if they are decimals, or remove them"
        )
    return "," if commas else "."


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def columns_of(sheet: Sheet, target: str, form: CsvFormat) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """Feature names (d), features (n, d), targets (n,) and sentences on what was done with the columns."""
    said = list(sheet.said)
    header = sheet.header
    if len(header) == 1:
        raise InvalidInput(f"{sheet.shown} has only one column; a target and at least one feature are needed")
    repeated = sorted({column for column in header if column and header.count(column) > 1})
    if repeated:
        raise InvalidInput(f"{sheet.shown} names the column {cut(repeated[0])} more than once; give each its own name")
    if not isinstance(target, str) or target not in header:
        raise InvalidInput(
            f"target is {cut(target)}, but {sheet.shown} has no such column; {nearest(cut_name(target), header)}"
        )
    for option, named in (("one_hot", form.one_hot), ("drop", form.drop)):
        for name in named:
            if name not in header:
                raise InvalidInput(f"{option} names {cut(name)}, which is no column; {nearest(cut_name(name), header)}")
            if name == target:
                raise InvalidInput(f"{option} names {cut(name)}, which is the target")
    names: list[str] = []
    features: list[np.ndarray] = []
    targets = np.empty(0)
    for place, column in enumerate(header):
        cells = [(line, row[place]) for line, row in sheet.rows]
        if column in form.drop:
            continue
        if not column:
            if _counts(cells):
                said.append(f"column {place + 1}, which has no name and counts the rows, is left out")
                continue
            raise InvalidInput(f"column {place + 1} of {sheet.shown} has no name; name it in the header line")
        if column in form.one_hot:
            made, values, words = _one_hot(column, cells, sheet.shown)
            names += made
            features += values
            said.append(words)
        elif column == target:
            targets = _numbers(column, cells, sheet, True)
        else:
            names.append(column)
            features.append(_numbers(column, cells, sheet, False))
    if form.drop:
        said.append(f"left out: {', '.join(form.drop)}")
    if not features:
        raise InvalidInput(f"{sheet.shown} has no column left but the target; at least one feature is needed")
    return names, np.column_stack(features), targets, said


def with_classes(sheet: Sheet, target: str, texts_only: bool) -> tuple[Sheet, tuple[str, ...]]:
    """The sheet with the target's values numbered in order, and these values; itself where they are no classes.

    With `texts_only` they are classes where none is a number: with a number among them one is taken for a slip.
    """
    if target not in sheet.header:
        return sheet, ()  # columns_of says so
    place = sheet.header.index(target)
    cells = [row[place].strip() for _, row in sheet.rows]
    numbers = [_is_number(cell) or _COMMA_NUMBER.fullmatch(cell) is not None for cell in cells]
    if texts_only and (any(numbers) or not all(cells)):
        return sheet, ()
    empty = next((line for (line, _), cell in zip(sheet.rows, cells) if not cell), None)
    if empty is not None:
        raise InvalidInput(
            f"column {cut(target)} of {sheet.shown} holds an empty field on line {empty}; {INCOMPLETE}"
        )
    levels = sorted(set(cells), key=(lambda cell: float(cell.replace(",", "."))) if all(numbers) else None)
    if not 2 <= len(levels) <= MOST_LEVELS:
        raise InvalidInput(
            f"column {cut(target)} of {sheet.shown} has {len(levels)} different values; classes are 2 to {MOST_LEVELS}"
        )
    rows = [(line, [*row[:place], str(levels.index(cell)), *row[place + 1 :]])
            for (line, row), cell in zip(sheet.rows, cells)]  # fmt: skip
    said = f"target {target} became the classes 0 to {len(levels) - 1}: {cut(', '.join(levels))[1:-1]}"
    return replace(sheet, rows=rows, said=(*sheet.said, said)), tuple(levels)


def cut_name(value: object) -> str:
    """A misspelt name, short enough to be compared."""
    return str(value)[:LONGEST]


def _counts(cells: Sequence[tuple[int, str]]) -> bool:
    return any([cell.strip() for _, cell in cells] == [str(k + first) for k in range(len(cells))] for first in (0, 1))


def _one_hot(
    column: str, cells: Sequence[tuple[int, str]], shown: str
) -> tuple[list[str], list[np.ndarray], str]:
    texts = np.array([cell.strip() for _, cell in cells], dtype=object)
    for (line, _), text in zip(cells, texts):
        if not text:
            raise InvalidInput(f"column {cut(column)} of {shown} holds an empty field on line {line}; {INCOMPLETE}")
    levels = sorted(set(texts))
    if not 2 <= len(levels) <= MOST_LEVELS:
        raise InvalidInput(
            f"column {cut(column)} of {shown} has {len(levels)} different values; one_hot takes 2 to {MOST_LEVELS}: "
            "drop it instead"
        )
    kept = levels[1:]
    words = f"column {column} became {len(kept)} columns of 0 and 1, its value {levels[0]} being all 0"
    return [f"{column}={level}" for level in kept], [(texts == level).astype(float) for level in kept], words


def _numbers(column: str, cells: Sequence[tuple[int, str]], sheet: Sheet, target: bool) -> np.ndarray:
    try:  # quick where nothing is wrong; else cell by cell, to name the first that is
        texts = np.array([cell for _, cell in cells], dtype=np.str_)
        if sheet.decimal == ".":
            values = texts.astype(np.float64)
            if np.isfinite(values).all() and not (np.char.find(texts, "_") >= 0).any():
                return values
    except ValueError:
        pass
    values = np.empty(len(cells))
    for k, (line, cell) in enumerate(cells):
        if lacking(cell):
            lack = sum(lacking(other) for _, other in cells)
            cure = INCOMPLETE if target else f"{INCOMPLETE}, or drop the column"
            raise InvalidInput(
                f"column {cut(column)} of {sheet.shown} holds {cut(cell) if cell.strip() else 'an empty field'} on "
                f"line {line}, and no value in {lack} of {len(cells)} rows; {cure}"
            )
        text = cell.replace(",", ".") if sheet.decimal == "," and _COMMA_NUMBER.fullmatch(cell) else cell
        try:
            if "_" in text:
                raise ValueError  # Python's own 1_000
            values[k] = float(text)
        except ValueError:
            cure = "number its values first, or read them as classes (tasks.from_csv)" if target else (
                "drop it (drop=, --drop), or make columns of 0 and 1 of it (one_hot=, --one-hot)"
            )
            if "," in cell and re.fullmatch(r"[\s\d.,+-]+", cell):
                cure = "write numbers without thousands separators, or say --decimal ,"
            raise InvalidInput(
                f"column {cut(column)} of {sheet.shown} holds the text {cut(cell)} on line {line}; every column must "
                f"be numbers: {cure}"
            ) from None
        if not np.isfinite(values[k]):
            raise InvalidInput(
                f"column {cut(column)} of {sheet.shown} holds {cut(cell)} on line {line}; it must be finite"
            )
    return values
