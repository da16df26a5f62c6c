"""The study of finite step sizes: exact laws of the recurrence beside paths and beside what limits say in its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import non_negative, whole_number
from sgdlimits.studies.data_files import NamedDataSettings, named_data
from sgdlimits.studies.options import option
from sgdlimits.studies.results import ResultOfStudy

if TYPE_CHECKING:

    from sgdlimits.discrete.fluctuation import Ellipse, LossTable
    from sgdlimits.problems import LeastSquares

    from sgdlimits.studies.verdicts import Verdict
    from .curves import Curve

FEWEST = 500  # paths
HELD_OUT = 0.2  # of the rows of a data set
FULL, QUICK = 9, 5  # points of a curve


@dataclass(frozen=True)
class FiniteStepSizeStudy(NamedDataSettings):
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    data, target, one_hot, drop, delimiter, decimal, complete_rows, data_sha256 : optional
        A CSV file as one more data set, before the named ones; see `studies.data_files`. Where the target has two
        values, texts or numbers, least squares takes them as 0 and 1, and logistic regression learns them too.
    datasets : str
        Names of data sets, separated by commas; "none": no other than the file.
    batch_size : int
        On the data sets.
    ridge : float
    paths : int
        Of each simulated point.
    seed : int
    quick : bool
        Fewer points of each curve.
    """

    name: ClassVar[str] = "finite-step-size"
    datasets: str = named_data("diabetes,airfoil")
    batch_size: int = option(4, "data sets", "batch size on the data sets")
    ridge: float = option(0.1, "data sets", "of the objective, at least 0")
    paths: int = option(10_000, "run", "of each simulated point")
    seed: int = option(0, "run", "of all random numbers: the same seed, the same bits")
    quick: bool = option(False, "run", "fewer points of each curve")

    def __post_init__(self) -> None:
        self.check_data(needed=False)
        checked: dict[str, Any] = {
            "batch_size": whole_number("batch_size", self.batch_size, 1),
            "ridge": non_negative("ridge", self.ridge),
            "paths": whole_number("paths", self.paths, FEWEST),
            "seed": whole_number("seed", self.seed, 0, 2**32 - 1),
        }
        self.settle(checked)

    def problems(self) -> Iterator[tuple[str, LeastSquares]]:
        """Names and data sets, the file first."""
        from sgdlimits.problems import LeastSquares

        if self.data is not None:
            yield Path(self.data).stem, self.read_file(self.ridge, True, HELD_OUT, self.seed)
        for name in self.names:
            yield name, LeastSquares.from_dataset(name, ridge=self.ridge, test_fraction=HELD_OUT, seed=self.seed)

    def run(self, progress: Any = None, threads: int | None = None) -> FiniteStepSizeResult:
        """Compute every curve and table.

        Parameters
        ----------
        progress : True, None, or object with update(n) and close()
        threads : int, optional
            Never changes a number.

        Raises
        ------
        InvalidInput
            If the data cannot be used.
        """
        from sgdlimits.ensembles.blas_threads import one_blas_thread
        from sgdlimits.ensembles.progress import open_progress

        from . import claims, escapes, general_losses, many_dimensions, one_dimension, second_order
        from .curves import Scale

        points = QUICK if self.quick else FULL
        here = Scale(points, self.paths, self.batch_size, self.seed, self.quick, threads)
        study = self.pinned()
        data = list(study.problems())
        bar = open_progress(progress, math.inf, "parts")
        curves: dict[str, Curve] = {}
        tables: dict[str, tuple[LossTable, float]] = {}

        def add(found: Any) -> None:
            for curve in found if isinstance(found, list) else [found]:
                if curve is not None:
                    curves[curve.name] = curve
            bar.update(1)

        try:
            with one_blas_thread():  # the same bits on any number of cores
                for make in (one_dimension.additive, one_dimension.momentum, one_dimension.streaming,
                             one_dimension.finite):  # fmt: skip
                    add(make(here))
                curve, ellipses = many_dimensions.shape(here)
                add([curve])
                add(many_dimensions.decay_on_a_line(here))
                for second in (second_order.newton, second_order.natural_gradient):
                    add(second(here))
                add(many_dimensions.sampling(here))
                add(escapes.double_well(here))
                judged = claims.verdicts(self.seed, threads)
                bar.update(1)
                for name, problem in data:
                    curve, table, size = many_dimensions.on_data(here, name, problem)
                    add([curve, many_dimensions.decay_on_data(here, name, problem)])
                    tables[name] = table, size
                    add(general_losses.classes(here, name, problem))
                for make_loss in (general_losses.logistic, general_losses.network, general_losses.widths):
                    add(make_loss(here))
        finally:
            bar.close()
        return FiniteStepSizeResult(study, curves, ellipses, tables, judged)


@dataclass(frozen=True, eq=False, repr=False)
class FiniteStepSizeResult(ResultOfStudy):
    """What a run of the study gave.

    Attributes
    ----------
    study : FiniteStepSizeStudy
    curves : mapping from names to Curve
    ellipses : mapping from titles to (discrete, limit, positions (P, 2))
    tables : mapping from data sets to (LossTable, step size of plain descent)
    claims : sequence of Verdict
        Published claims, each with what is found.
    """

    study: FiniteStepSizeStudy
    curves: Mapping[str, Curve]
    ellipses: Mapping[str, tuple[Ellipse, Ellipse, np.ndarray]]
    tables: Mapping[str, tuple[LossTable, float]]
    claims: Sequence[Verdict]
