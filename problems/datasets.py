"""The named data sets: one registry of those that ship with the package and those that come through scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sgdlimits.exact.errors import InvalidInput, MissingLibrary, finite_array, nearest

from .tables import Table, read_csv

EMBEDDED = {  # name: target column of data/name.csv; data/name.md states source, licence and citation
    "diabetes": "progression",
    "concrete": "strength",
    "airfoil": "sound_pressure",
    "digits": "digit",
}
SCIKIT_LEARN = {  # name: loader; the last one downloads
    "breast_cancer": "load_breast_cancer",
    "iris": "load_iris",
    "wine": "load_wine",
    "california_housing": "fetch_california_housing",
}
DATASETS = (*EMBEDDED, *SCIKIT_LEARN)


def dataset(name: str) -> Table:
    """Return a named data set, raw values; columns that never vary (blank pixels) are left out.

    Raises
    ------
    InvalidInput
        If the name is not known, or the set has to be downloaded and cannot be.
    MissingLibrary
        If the set comes through scikit-learn, which is not installed.
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise InvalidInput(f"data set is {str(name)[:60]!r}, which is not known; {nearest(str(name)[:60], DATASETS)}")
    if name in EMBEDDED:
        target = EMBEDDED[name]
        raw = embedded(name)
        columns, features, targets = raw.columns, raw.features, raw.targets
    else:
        target = "target"
        columns, features, targets = _from_scikit_learn(name)
    varying = features.std(axis=0) > 0
    kept = tuple(column for column, keep in zip(columns, varying) if keep)
    return Table(name, kept, features[:, varying], targets, target)


def embedded(name: str) -> Table:
    """Return a data set of `EMBEDDED` with all its columns, blank ones too."""
    return read_csv(Path(__file__).parent / "data" / f"{name}.csv", EMBEDDED[name], name)


def _from_scikit_learn(name: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    try:
        from sklearn import datasets
    except ImportError:
        raise MissingLibrary(
            f"data set {name!r} comes through scikit-learn, which is not installed: pip install '.[datasets]'"
        ) from None
    try:
        bunch = getattr(datasets, SCIKIT_LEARN[name])()
    except OSError as error:  # also what urllib raises without a network
        raise InvalidInput(
            f"data set {name!r} is downloaded by scikit-learn, and that failed ({' '.join(str(error).split())[:100]}): "
            f"connect to the network once, or take one that ships with the package, {', '.join(map(repr, EMBEDDED))}"
        ) from error
    features = finite_array(name, bunch.data)
    return tuple(map(str, bunch.feature_names)), features, finite_array("target", bunch.target)
