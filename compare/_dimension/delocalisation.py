"""compare.delocalisation: the resolvent hypothesis of the theorem on homogenized SGD, measured on data.

The theorem on many passes over n rows asks that the resolvent R(z) = (A A^T - z)^-1 be delocalised on a contour about
the spectrum: |e_i^T R b|, |R_ij| off the diagonal and |R_ii - tr R / n| at most n^(theta - 1/2), some theta < 1/4.
Gaussian features of the same size and spectrum are A = U S V^T with U drawn uniformly, and labels with the same parts
along the modes and the same residual: the same problem up to a rotation of its rows. Derived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose, child_seed
from sgdlimits.exact.cost import check_memory, check_time
from sgdlimits.exact.errors import InvalidInput, kind, seed_number, whole_number
from sgdlimits.problems import LeastSquares

from ..capabilities import one_blas_thread
from .delocalisation_result import NUMBERS, Delocalisation

NODES = 17  # of the upper half of the contour; the lower half has the same sizes
CENTRE, RADIUS = 0.5, 1.0  # of the contour, where the largest eigenvalue of A A^T is 1
BLOCK = 512  # rows of the resolvent at a time
HOURS = 0.25
FEWEST_ROWS, FEWEST_DRAWS = 4, 19  # fewer draws cannot tell at 5 %


@one_blas_thread
def delocalisation(problem: LeastSquares, *, draws: int = 20, seed: int = 0, progress: Any = None) -> Delocalisation:
    """Is the theorem behind homogenized SGD about these data? Its hypothesis in numbers, beside Gaussian features.

    Parameters
    ----------
    problem : LeastSquares
        Its features are scaled to a largest singular value of 1, its targets to length 1; the ridge plays no part.
    draws : int
        Of Gaussian features of the same size and spectrum, at least 19: with fewer no test at 5 % can tell.
    seed : int
        Of these.
    progress : True, None, or object with update(n) and close()

    Returns
    -------
    Delocalisation

    Raises
    ------
    InvalidInput
        If the problem has no rows, fewer than 4, or is zero.
    OutOfReach
        If there are so many rows that it takes more than a quarter of an hour.

    Examples
    --------
    >>> from sgdlimits import compare, problems
    >>> found = compare.delocalisation(problems.LeastSquares.gaussian(100, 10))
    >>> [row["number"] for row in found.table()]
    ['vector', 'off-diagonal', 'diagonal']
    """
    from sgdlimits.ensembles.progress import open_progress

    if not isinstance(problem, LeastSquares):
        raise InvalidInput(
            f"problem must be a LeastSquares, whose rows the hypothesis is about, got {kind(problem)}: of a stream "
            "draw rows first"
        )
    draws, seed = whole_number("draws", draws, FEWEST_DRAWS), seed_number(seed)
    rows = Rows.of(problem)
    n, r = rows.frame.shape
    check_memory(f"{BLOCK} rows of a resolvent of {n}", 64.0 * BLOCK * n, "take a subset of the rows")
    check_time(
        f"the resolvent of {n} rows and of {draws} Gaussian draws", 2.0 * NODES * (draws + 1) * n**2 * (r + 8) / 2,
        "take a subset of the rows, or fewer draws", HOURS,
    )  # fmt: skip
    bar = open_progress(progress, draws + 1, "resolvents")
    try:
        own = sizes(rows)
        bar.update(1)
        others = []
        for other in rows.rotated(draws, seed):
            others.append(sizes(other))
            bar.update(1)
    finally:
        bar.close()
    return _result(problem, rows, own, np.array(others), seed)


@dataclass(frozen=True, eq=False)
class Rows:
    """Features U S V^T and targets b, as far as the resolvent sees them.

    Attributes
    ----------
    frame : array (n, r)
        U.
    eigenvalues : array (r,)
        S^2, the largest 1.
    along : array (r,)
        U^T b, of a b of length 1.
    residual : array (n,)
        b - U U^T b.
    """

    frame: np.ndarray
    eigenvalues: np.ndarray
    along: np.ndarray
    residual: np.ndarray

    @classmethod
    def of(cls, problem: LeastSquares) -> Rows:
        """Those of a problem."""
        features, targets = problem.features, problem.targets
        if len(features) < FEWEST_ROWS:
            raise InvalidInput(
                f"the hypothesis is about many rows, and there are {len(features)}: take {FEWEST_ROWS} at least"
            )
        left, singular, _ = np.linalg.svd(features, full_matrices=False)
        length = float(np.linalg.norm(targets))
        if not (singular[0] > 0 and length > 0):
            raise InvalidInput("features or targets are all zero, so there is no resolvent to look at: check the data")
        kept = singular > singular[0] * max(features.shape) * np.finfo(float).eps
        frame, targets = left[:, kept], targets / length
        along = frame.T @ targets
        return cls(frame, np.square(singular[kept] / singular[0]), along, targets - frame @ along)

    def rotated(self, draws: int, seed: int) -> Iterator[Rows]:
        """The same with rows turned at random."""
        n, r = self.frame.shape
        for draw in range(draws):
            noise = Noise(child_seed(seed, "rows", draw), np.arange(n))
            square = min(r + 1, n)
            frame, upper = np.linalg.qr(noise.normals(Purpose.FEATURES, 0, square))
            frame = frame * np.sign(np.diagonal(upper))
            length = float(np.linalg.norm(self.residual))
            beside = length * frame[:, r] if square > r else np.zeros(n)
            yield Rows(np.ascontiguousarray(frame[:, :r]), self.eigenvalues, self.along, beside)


def contour() -> np.ndarray:
    """Points (NODES,) on the upper half of a circle about the spectrum, both real ones among them."""
    return CENTRE + RADIUS * np.exp(1j * np.linspace(0, np.pi, NODES))


def sizes(rows: Rows) -> np.ndarray:
    """The largest |e_i^T R b|, |R_ij| off the diagonal and |R_ii - tr R / n| over the contour (3,)."""
    found = np.zeros(len(NUMBERS))
    frame, n = rows.frame, len(rows.frame)
    squares = np.square(frame)
    for z in contour():
        # R = U diag(1 / (s^2 - z)) U^T - (1 - U U^T) / z
        inner = 1 / (rows.eigenvalues - z)
        found[0] = max(found[0], np.abs(frame @ (inner * rows.along) - rows.residual / z).max())
        weights = inner + 1 / z
        diagonal = squares @ weights
        found[2] = max(found[2], np.abs(diagonal - diagonal.mean()).max())
        for first in range(0, n, BLOCK):
            here = frame[first : first + BLOCK]
            entries = np.square((here * weights.real) @ frame[first:].T)
            entries += np.square((here * weights.imag) @ frame[first:].T)
            np.fill_diagonal(entries, 0.0)
            found[1] = max(found[1], float(np.sqrt(entries.max())))
    return found


def _result(problem: LeastSquares, rows: Rows, own: np.ndarray, others: np.ndarray, seed: int) -> Delocalisation:
    import xarray as xr

    import sgdlimits

    n, r = rows.frame.shape

    def theta(values: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 + np.log(np.maximum(values, np.finfo(float).tiny)) / np.log(n))

    variables = {
        "size": ("number", own), "theta": ("number", theta(own)),
        "gaussian_size": (("draw", "number"), others), "gaussian_theta": (("draw", "number"), theta(others)),
    }  # fmt: skip
    attributes = {
        "name": problem.name, "rows": n, "features": problem.dimension, "rank": r, "draws": len(others), "seed": seed,
        "version": sgdlimits.__version__, "claims": "[]",
    }  # fmt: skip
    return Delocalisation(xr.Dataset(variables, {"number": list(NUMBERS), "draw": np.arange(len(others))}, attributes))
