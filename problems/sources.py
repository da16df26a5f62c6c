"""Where samples come from: stored rows, fresh draws, augmented rows. Each maps a number to a sample.

A stream is a table of 2^32 rows that are computed when they are looked up: row i is drawn by Philox under (seed, i), so
the same number is the same sample in NumPy and in compiled loops, on any thread, and nothing is stored.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.ensembles.normals import unit_interval
from sgdlimits.ensembles.philox import path_words
from sgdlimits.ensembles.random import Purpose, path_word64
from sgdlimits.exact.errors import InvalidInput, finite_array, flag, non_negative, whole_number

from .csv_files import CsvFormat
from .datasets import dataset
from .problem import ReadOnlyFields
from .tables import Table, checked_rows, read_csv
from sgdlimits.exact.user_functions import user_function

ENDLESS = 2**32  # rows of a stream: as many as a row number may have
_32 = np.uint64(32)
EVALUATED = 4096  # rows of a stream that stand for its risk, unless said otherwise


class Source(ReadOnlyFields):
    """Samples by number.

    Attributes
    ----------
    rows : int
        Samples that there are; `ENDLESS` for fresh ones.
    evaluated : int
        The first so many stand for the mean over all: all stored rows; of fresh draws the risk has the
        standard error of a mean over so many.
    columns : int
        p, numbers of an input.
    endless : bool
        Fresh samples, drawn with replacement only.
    single_pass : bool
        Stored samples of which a run meets each once at most, and is refused where they would run out.
    data : tuple of arrays
        What `compiled_sample` takes behind its own arguments.
    """

    endless: bool = False
    single_pass: bool = False

    if TYPE_CHECKING:  # read only: a leaf has a field or a property

        @property
        def rows(self) -> int: ...

        @property
        def evaluated(self) -> int: ...

        @property
        def columns(self) -> int: ...

    @property
    @abstractmethod
    def data(self) -> tuple[np.ndarray, ...]:
        """Arrays that the compiled sample reads."""

    @property
    @abstractmethod
    def compiled_sample(self) -> Callable[..., float]:
        """Compiled (i, input (p,), *data) -> label; writes the input of sample i."""

    @abstractmethod
    def sample(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (..., p) and labels (...) of the samples `rows` (...)."""


@compiled
def stored_sample(i, out, inputs, labels):
    """Row i."""
    for j in range(out.size):
        out[j] = inputs[i, j]
    return labels[i]


@dataclass(frozen=True, eq=False, repr=False)
class Rows(Source):
    """Stored samples.

    Parameters
    ----------
    inputs : array (n, p)
    labels : array (n,)
    single_pass : bool
        A run meets each row once at most: online learning from stored samples.

    Raises
    ------
    InvalidInput
        If a shape is wrong, or a number is not finite.
    """

    inputs: np.ndarray
    labels: np.ndarray
    description: str = "rows used as given"
    single_pass: bool = False

    compiled_sample = staticmethod(stored_sample)

    def __post_init__(self) -> None:
        names = "inputs", "labels"
        for name, array in zip(names, checked_rows(self.inputs, self.labels, names)):
            object.__setattr__(self, name, array)
        object.__setattr__(self, "single_pass", flag("single_pass", self.single_pass))

    @classmethod
    def from_table(
        cls, table: Table, standardise: bool = True, test_fraction: float = 0.0, seed: int = 0
    ) -> tuple[Rows, Rows | None]:
        """Training rows, and held-out rows or None; inputs are standardised by the training rows, labels never."""
        (training, labels), (test, test_labels), done = table.prepare(standardise, test_fraction, seed, target=False)
        held_out = cls(test, test_labels, f"held out of {table.name}") if len(test) else None
        return cls(training, labels, done), held_out

    @classmethod
    def from_csv(cls, path: str | Path, target: str, standardise: bool = True, **form: Any) -> Rows:
        """All rows of a CSV file; `target` names the column of the labels, which stay as they are.

        `form` are settings of `csv_files.CsvFormat`: one_hot, drop, delimiter, decimal, complete_rows.
        """
        return cls.from_table(read_csv(path, target, form=CsvFormat(**form)), standardise)[0]

    @classmethod
    def from_dataset(cls, name: str, standardise: bool = True) -> Rows:
        """All rows of a named data set (`problems.datasets.DATASETS`); the labels stay as they are."""
        return cls.from_table(dataset(name), standardise)[0]

    def __repr__(self) -> str:
        return f"Rows(n={self.rows}, p={self.columns}; {self.description})"

    @property
    def data(self):
        """Inputs and labels."""
        return self.inputs, self.labels

    @property
    def rows(self) -> int:
        """n."""
        return len(self.labels)

    @property
    def evaluated(self) -> int:
        """All."""
        return len(self.labels)

    @property
    def columns(self) -> int:
        """p."""
        return self.inputs.shape[1]

    def sample(self, rows):
        """The rows."""
        return self.inputs[rows], self.labels[rows]


def stored(source: Source, rows: int, description: str = "") -> Rows:
    """The first so many rows of a source, drawn once and kept."""
    count = whole_number("rows", rows, 1, source.rows)
    return Rows(*source.sample(np.arange(count)), description or f"the first {count} rows of a {type(source).__name__}")


@compiled
def row_numbers(seed, row, normals, uniforms):
    """The normals (Box-Muller) and uniforms of one row of a stream, from its own words."""
    for j in range(0, normals.size, 2):
        w0, w1, w2, w3 = path_words(seed, Purpose.FEATURES, row, j >> 1)  # words j and j + 1 of path_word64
        radius = math.sqrt(-2.0 * math.log(unit_interval(w0 | (w1 << _32))))
        angle = 2.0 * math.pi * unit_interval(w2 | (w3 << _32))
        normals[j] = radius * math.cos(angle)
        if j + 1 < normals.size:
            normals[j + 1] = radius * math.sin(angle)
    first = normals.size + normals.size % 2
    for j in range(uniforms.size):
        uniforms[j] = unit_interval(path_word64(seed, Purpose.FEATURES, row, first + j))


class DrawnSource(Source):
    """Fresh samples: row i has random numbers of its own, drawn when it is looked up.

    Attributes
    ----------
    normals, uniforms : int
        How many random numbers a sample takes.
    seed : int
    """

    normals: int
    uniforms: int
    seed: int
    endless = True

    def _check_numbers(self) -> None:
        for name, most in (("normals", None), ("uniforms", None), ("seed", 2**64 - 1)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 0, most))

    def sample(self, rows):
        """Draws the rows, by the same compiled code."""
        flat = np.ascontiguousarray(rows, dtype=np.int64).ravel()
        inputs, labels = np.empty((flat.size, self.columns)), np.empty(flat.size)
        _over_rows(self.compiled_sample)(flat, inputs, labels, *self.data)
        return inputs.reshape(*np.shape(rows), -1), labels.reshape(np.shape(rows))


@lru_cache(maxsize=None)
def _over_rows(sample: Callable[..., float]) -> Callable[..., None]:
    """A compiled sample as a loop over rows."""

    @numba.njit(nogil=True, error_model="numpy")
    def loop(rows, inputs, labels, *data):
        for q in range(rows.size):
            labels[q] = sample(rows[q], inputs[q], *data)

    return loop


@lru_cache(maxsize=None)
def _drawing(draw: Callable[..., float]) -> Callable[..., float]:
    """A compiled draw as a sample of a stream."""

    @numba.njit(nogil=True, error_model="numpy")
    def sample(i, out, seed, sizes, *arrays):
        normals, uniforms = np.empty(sizes[0]), np.empty(sizes[1])
        row_numbers(seed[0], i, normals, uniforms)
        for j in range(out.size):
            out[j] = 0.0
        return draw(normals, uniforms, out, *arrays)

    return sample


@dataclass(frozen=True, eq=False)
class Stream(DrawnSource):
    """Fresh samples from a user's law.

    Parameters
    ----------
    draw : numba-compiled function (normals (normals,), uniforms (uniforms,), out (p,), *arrays) -> label
        Writes an input, zero on entry, and returns its label, from independent standard normals and uniforms on (0, 1).
    columns : int
        p.
    normals, uniforms : int
        How many random numbers a sample takes.
    seed : int
        Of the stream; the seed of a simulation chooses which of its rows are met.
    evaluated : int
        Rows that stand for the risk.
    arrays : tuple of arrays
        What the law depends on, a teacher's weights for example: handed to `draw`, so that another teacher is nothing
        to compile.

    Raises
    ------
    InvalidInput
        If `draw` is not compiled, or a size is not a whole number.
    """

    draw: Callable[..., float] = field(repr=False)
    columns: int
    normals: int
    uniforms: int = 0
    seed: int = 0
    evaluated: int = EVALUATED
    rows: int = field(default=ENDLESS, repr=False)
    endless: bool = field(default=True, repr=False)
    arrays: tuple[Any, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        user_function("draw", self.draw, True, "draw(normals, uniforms, out, *arrays) -> label")
        self._check_numbers()
        arrays = tuple(np.array(finite_array("arrays", each), order="C") for each in self.arrays)
        for each in arrays:
            each.flags.writeable = False
        object.__setattr__(self, "arrays", arrays)
        for name, most in (("columns", None), ("evaluated", ENDLESS)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1, most))

    @classmethod
    def gaussian_classes(cls, centres: np.ndarray, noise: float = 1.0, seed: int = 0, **options: Any) -> Stream:
        """Classes 0 ... C - 1, equally likely; the inputs of class c are centres[c] + noise * N(0, 1)."""
        centres = np.array(finite_array("centres", centres, ndim=2))
        return cls(_gaussian_draw(centres.tobytes(), centres.shape, non_negative("noise", noise)), centres.shape[1],
                   centres.shape[1], 1, seed, **options)  # fmt: skip

    @property
    def data(self):
        """Seed, sizes and the arrays."""
        return np.array([self.seed], dtype=np.uint64), np.array([self.normals, self.uniforms]), *self.arrays

    @property
    def compiled_sample(self):
        """Draws row i."""
        return _drawing(self.draw)


@lru_cache(maxsize=None)
def _gaussian_draw(centres: bytes, shape: tuple[int, int], noise: float) -> Callable[..., float]:
    table = np.frombuffer(centres).reshape(shape)
    classes = shape[0]

    @numba.njit(nogil=True, error_model="numpy")
    def draw(normals, uniforms, out):
        label = min(int(uniforms[0] * classes), classes - 1)
        for j in range(out.size):
            out[j] = table[label, j] + noise * normals[j]
        return float(label)

    return draw


@compiled
def same_label(label, normals, uniforms):
    """The stored label."""
    return label


@lru_cache(maxsize=None)
def _augmenting(
    sample: Callable[..., float], change: Callable[..., None], relabel: Callable[..., float]
) -> Callable[..., float]:
    @numba.njit(nogil=True, error_model="numpy")
    def augmented(i, out, seed, sizes, *data):
        label = sample(i % sizes[2], out, *data)
        normals, uniforms = np.empty(sizes[0]), np.empty(sizes[1])
        row_numbers(seed[0], i, normals, uniforms)
        change(out, normals, uniforms)
        return relabel(label, normals, uniforms)

    return augmented


@dataclass(frozen=True, eq=False)
class Augmented(DrawnSource):
    """Stored rows, each time changed at random: row i is the stored row i mod n under the change number i.

    Parameters
    ----------
    base : Rows
    change : numba-compiled function (input (p,), normals (normals,), uniforms (uniforms,)) -> None
        Changes the input in place.
    normals, uniforms : int
        How many random numbers a change takes.
    seed : int
    evaluated : int or None
        Rows that stand for the risk; None: every stored row once.
    relabel : numba-compiled function (label, normals (normals,), uniforms (uniforms,)) -> label
        Changes the label too; by default it stays.
    """

    base: Rows
    change: Callable[..., None]
    normals: int
    uniforms: int = 0
    seed: int = 0
    evaluated: int = None  # type: ignore[assignment]  # None is taken, and __post_init__ puts the number
    endless: bool = True
    relabel: Callable[..., float] = same_label

    def __post_init__(self) -> None:
        if not isinstance(self.base, Rows):
            raise InvalidInput(f"base must be stored Rows, got {type(self.base).__name__}")
        user_function("change", self.change, True, "change(input, normals, uniforms)")
        user_function("relabel", self.relabel, True, "relabel(label, normals, uniforms) -> label")
        self._check_numbers()
        count = self.base.rows if self.evaluated is None else self.evaluated
        object.__setattr__(self, "evaluated", whole_number("evaluated", count, 1, ENDLESS))

    @property
    def data(self):
        """Seed, sizes and the stored rows."""
        sizes = np.array([self.normals, self.uniforms, self.base.rows])
        return np.array([self.seed], dtype=np.uint64), sizes, *self.base.data

    @property
    def rows(self) -> int:
        """A whole number of rounds over the stored rows, so that each is equally likely."""
        return ENDLESS // self.base.rows * self.base.rows

    @property
    def columns(self) -> int:
        """p."""
        return self.base.columns

    @property
    def compiled_sample(self):
        """The stored row, changed."""
        return _augmenting(self.base.compiled_sample, self.change, self.relabel)
