"""Tables of numbers: CSV files, standardisation, held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, flag, real_number, whole_number

from .csv_files import CsvFormat, columns_of, cut, read_sheet, with_classes

OUTLYING = 1e-9  # spread of all entries but one, over that with it: below this the column holds one number


@dataclass(frozen=True, eq=False)
class Table:
    """Features (n, d) with their column names, the target column (n,), and what was recognised on reading them.

    Targets that are classes are their numbers, from 0; `classes` has their values.
    """

    name: str
    columns: tuple[str, ...]
    features: np.ndarray
    targets: np.ndarray
    target: str
    said: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def prepare(
        self, standardise: bool, test_fraction: float, seed: int, target: bool = True
    ) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], str]:
        """Training rows, held-out rows and a sentence that says what was done.

        Held-out rows are drawn first; means and standard deviations come from the training rows alone. Without
        `target` that column stays as it is, and a column that is constant over the training rows becomes 0 there.
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
        count = f"{rows - held_out} training rows, {held_out} held out (seed {seed})" if held_out else f"{rows} rows"
        done = "; ".join([*self.said, count])
        standardise = flag("standardise", standardise)
        if standardise and target:
            values = standardised(values, order[0], (*self.columns, self.target))
            done += "; every column, the target too, has mean 0 and variance 1 over the training rows"
        elif standardise:
            values[:, :-1] = standardised(values[:, :-1], order[0], self.columns, constant=True)
            done += "; inputs have mean 0 and variance 1"
        else:
            done += "; columns used as they are, no intercept"
        training, test = (values[rows] for rows in order)
        return (training[:, :-1], training[:, -1]), (test[:, :-1], test[:, -1]), f"{self.name}: {done}"


def standardised(
    values: np.ndarray, training: np.ndarray, names: Sequence[str], constant: bool = False
) -> np.ndarray:
    """Columns (n, d) shifted and scaled to mean 0 and variance 1 over the training rows.

    With `constant`, a column that is constant over them is shifted only.

    Raises
    ------
    InvalidInput
        If a column is constant over them otherwise, or one entry is so large that scaling leaves nothing of the others.
    """
    sizes = np.abs(values[training]).max(axis=0)
    # Squares of the entries must neither overflow nor underflow; a power of two changes no digit.
    exponents = np.frexp(sizes)[1]
    scaled = values = np.ldexp(values, -exponents)
    centre, scale = values[training].mean(axis=0), values[training].std(axis=0)
    values = values - centre
    for column, name in enumerate(names):
        entries = values[training, column]
        largest = np.abs(entries + centre[column]).max()
        if np.ptp(entries) <= 8 * np.finfo(float).eps * largest:
            if constant:
                values[training, column], scale[column] = 0.0, np.ldexp(1.0, -exponents[column])
                continue
            raise InvalidInput(
                f"column {cut(name)} is constant over the training rows and cannot be scaled to variance 1; "
                "leave it out (drop=..., --drop on the command line), or do not standardise"
            )
        if scale[column] < 1e-6 * largest:  # the mean's own rounding shows: centre what is left once more
            values[:, column] -= entries.mean()
            scale[column] = entries.std()
        farthest = int(np.abs(entries).argmax())
        others = np.delete(scaled[training, column], farthest)
        if 0 < np.ptp(others) < OUTLYING * scale[column]:
            entry = np.ldexp(scaled[training[farthest], column], exponents[column])
            raise InvalidInput(
                f"one entry of column {cut(name)} is so large ({entry:.3g}) that nothing would be left of the others "
                "once it has variance 1; correct or remove that row"
            )
    return values / scale


def read_csv(
    path: str | Path, target: str, name: str = "", form: CsvFormat = CsvFormat(), classes: bool | None = False
) -> Table:
    """Read a CSV file with a header line; every other column becomes a feature.

    With `classes` the target's values are classes, numbered in order; None: where all of them are texts.
    """
    sheet = read_sheet(path, form)
    levels: tuple[str, ...] = ()
    if classes is None or flag("classes", classes):
        sheet, levels = with_classes(sheet, target, classes is None)
    names, features, targets, said = columns_of(sheet, target, form)
    return Table(name or Path(path).name, tuple(names), features, targets, target, tuple(said), levels)


def checked_rows(
    features: Any, labels: Any, names: tuple[str, str] = ("features", "labels")
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, p) and labels (n,) as read-only arrays of their own; `names` are what messages call them."""
    features = np.array(finite_array(names[0], features, ndim=2), order="C")
    if 0 in features.shape:
        raise InvalidInput(f"{names[0]} must have at least one row and one column, got shape {features.shape}")
    labels = np.array(finite_array(names[1], labels, shape=(len(features),)))
    features.flags.writeable = labels.flags.writeable = False
    return features, labels
