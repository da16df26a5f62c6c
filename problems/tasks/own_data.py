"""Learning tasks on stored rows of one's own: from arrays, or from a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, instance_of, whole_number

from ..csv_files import CsvFormat
from ..predictors import Linear, TwoLayer
from ..sources import Rows
from ..tables import read_csv
from .drawing import supervised
from .task import Starts, Task


def from_rows(
    rows: Rows, test: Rows, width: int = 32, classes: int | None = None, name: str = "own rows", about: str = ""
) -> Task:
    """Offline: a two-layer ReLU network, or a linear model, on stored rows, tested on others.

    It starts from weights N(0, 2 / p) in the first layer and N(0, 1 / width) in the second, biases 0; a linear model
    at 0. Inputs and real labels are used as they are: bring them to about mean 0 and variance 1 first.

    Parameters
    ----------
    rows, test : sources.Rows
        To learn from, and to test on.
    width : int
        Hidden units; 0: a linear model.
    classes : int, optional
        K: labels are 0 to K - 1, the loss is the cross-entropy. None: real labels, squares.
    name, about : str
        What it is called, and the law of the samples in words.

    Raises
    ------
    InvalidInput
        If the parts do not fit.
    """
    for word, part in (("rows", rows), ("test", test)):
        instance_of(word, part, Rows, "build it with sources.Rows(inputs, labels), or take tasks.from_csv")
    K = 1 if classes is None else whole_number("classes", classes, 2)
    h, p = whole_number("width", width, 0), rows.columns
    predictor = TwoLayer(p, h, K, "relu") if h else Linear(p, K)
    start = Starts.of_layers((h * p, (2 / p) ** 0.5), (h, 0.0), (K * h, h**-0.5), (K, 0.0)) if h else (
        Starts.of_layers((K * (p + 1), 0.0))
    )  # fmt: skip
    problem = supervised(predictor, "squares" if classes is None else "cross_entropy", rows, test, name)
    return Task(name, problem, test, start, None, about or rows.description)


def from_csv(
    path: str | Path, target: str, width: int = 32, classes: bool | None = None, test_fraction: float = 0.25,
    seed: int = 0, name: str | None = None, **form: Any,
) -> Task:  # fmt: skip
    """Offline, on a CSV file with a header line: `from_rows` of its training rows, tested on rows held out.

    Inputs, and the target of a regression, get mean 0 and variance 1 over the training rows.

    Parameters
    ----------
    path : str or Path
    target : str
        Column to predict.
    width : int
        Hidden units; 0: a linear model.
    classes : bool, optional
        Whether the target's values are classes, numbered in order; by default where all of them are texts.
    test_fraction : float
        Of the rows, held out; above 0.
    seed : int
        Of the choice of these.
    name : str, optional
        The file's by default.
    form
        Settings of `csv_files.CsvFormat`: one_hot, drop, delimiter, decimal, complete_rows.

    Raises
    ------
    InvalidInput
        If the file cannot be used.
    """
    table = read_csv(path, target, form=CsvFormat(**form), classes=classes)
    rows, test = Rows.from_table(table, test_fraction=test_fraction, seed=seed)
    if test is None:
        raise InvalidInput("test_fraction is 0, and a task is judged on rows that are held out: take 0.25, say")
    about = rows.description
    if not table.classes:
        centre, scale = rows.labels.mean(), rows.labels.std()
        if not scale > 1e-9 * np.abs(rows.labels).max():
            raise InvalidInput(f"the target {target!r} is constant over the training rows: there is nothing to learn")
        rows, test = (Rows(part.inputs, (part.labels - centre) / scale, part.description) for part in (rows, test))
        about += "; so has the target"
    return from_rows(rows, test, width, len(table.classes) or None, name or table.name, about)
