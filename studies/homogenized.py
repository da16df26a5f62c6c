"""How far is SGD on least squares from homogenized SGD, and from the other diffusions that approximate it?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import (
    InvalidInput,
    non_negative,
    one_of,
    positive,
    real_number,
    whole_number,
)

from . import settings as files

if TYPE_CHECKING:
    from sgdlimits.compare import Laws, Orders
    from sgdlimits.problems import LeastSquares

FRACTION = 0.25  # default step size, as a part of SGD's mean-square threshold
RELAXATIONS = 3  # default number of steps, in relaxation times of the slowest direction
FEWEST, MOST = 20, 1000  # bounds on the default number of steps
RECORDED = 50
LADDER_STEPS = 200  # of the largest step size in the ladder of orders, at most


@dataclass(frozen=True)
class HomogenizedStudy:
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    dataset : str, optional
        Named data set; "diabetes" when no data file is given either.
    data, target : str, optional
        CSV file with a header line, and the column to predict.
    data_sha256 : str, optional
        Checksum that the file must have.
    standardise : bool
        Shift and scale every column to mean 0 and variance 1.
    test_fraction : float
        Part of the rows held out; adds the test risk.
    ridge : float
    step_size : float, optional
        Default: a quarter of SGD's exact mean-square threshold, to 3 digits.
    batch_size : int
    sampling : str
        "with_replacement", "without_replacement" or "reshuffle".
    momentum, label_noise : float
    steps : int, optional
        Default: three relaxation times of the slowest direction, between 20 and 1000.
    paths : int
        Of each process.
    seed : int
    solver, substeps : str, int, optional
        Scheme that is compared in place of the diffusions, and its increments per step. Default: the processes
        themselves, by schemes whose part is below the Monte Carlo error.
    tolerance, confidence : float
        Relative tolerance of the verdicts; confidence of each interval.
    """

    dataset: str | None = None
    data: str | None = None
    target: str | None = None
    data_sha256: str | None = None
    standardise: bool = True
    test_fraction: float = 0.0
    ridge: float = 0.0
    step_size: float | None = None
    batch_size: int = 1
    sampling: str = "with_replacement"
    momentum: float = 0.0
    label_noise: float = 0.0
    steps: int | None = None
    paths: int = 10_000
    seed: int = 0
    solver: str | None = None
    substeps: int | None = None
    tolerance: float = 0.05
    confidence: float = 0.95

    def __post_init__(self) -> None:
        from sgdlimits.ensembles.random import SAMPLINGS

        if self.data is not None and self.dataset is not None:
            raise InvalidInput(
                f"give a data file or a data set, not both: got {self.data!r} and {self.dataset!r}"
            )
        if self.data is not None and self.target is None:
            raise InvalidInput(f"data file {self.data!r} is given without target; name the column to predict")
        if self.data is None and self.target is not None:
            raise InvalidInput(f"target {self.target!r} is given without a data file; give data too")
        if self.data is None and self.dataset is None:
            object.__setattr__(self, "dataset", "diabetes")
        for name in ("dataset", "data", "target", "data_sha256"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InvalidInput(f"{name} must be a text, got {value!r}")
        if not isinstance(self.standardise, bool):
            raise InvalidInput(f"standardise must be true or false, got {self.standardise!r}")
        one_of("sampling", self.sampling, SAMPLINGS)
        checked: dict[str, Any] = {
            "test_fraction": non_negative("test_fraction", self.test_fraction),
            "ridge": real_number("ridge", self.ridge),
            "batch_size": whole_number("batch_size", self.batch_size, 1),
            "momentum": non_negative("momentum", self.momentum),
            "label_noise": non_negative("label_noise", self.label_noise),
            "paths": whole_number("paths", self.paths, 2),
            "seed": whole_number("seed", self.seed, 0, 2**64 - 1),
            "tolerance": positive("tolerance", self.tolerance),
            "confidence": positive("confidence", self.confidence),
        }
        if self.step_size is not None:
            checked["step_size"] = positive("step_size", self.step_size)
        if self.substeps is not None:
            checked["substeps"] = whole_number("substeps", self.substeps, 1)
        if self.steps is not None:
            checked["steps"] = whole_number("steps", self.steps, 1)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.test_fraction >= 1 or self.confidence >= 1 or self.momentum >= 1:
            name = next(n for n in ("test_fraction", "confidence", "momentum") if getattr(self, n) >= 1)
            raise InvalidInput(f"{name} must be below 1, got {getattr(self, name)!r}")

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> HomogenizedStudy:
        """Read study.toml; a data file that has moved is looked for beside it.

        Raises
        ------
        InvalidInput
            If the file is no settings file of this study, or a setting is not known or not allowed.
        """
        from sgdlimits.compare.reports import versions

        found, then = files.read_study(path, NAME, [field.name for field in fields(cls)])
        data = found.get("data")
        if isinstance(data, str) and not os.path.exists(data):
            beside = Path(path).parent / Path(data).name
            found["data"] = str(beside) if beside.exists() else data
        files.warn_of_versions(then, versions())
        return cls(**found)

    def to_toml(self) -> str:
        """Text of study.toml."""
        from sgdlimits.compare.reports import versions

        return files.to_toml(NAME, asdict(self), versions())

    def problem(self) -> LeastSquares:
        """The least-squares problem.

        Raises
        ------
        InvalidInput
            If the data cannot be used, or the file is not the one that was meant.
        """
        from sgdlimits.problems import LeastSquares

        options = (self.ridge, self.standardise, self.test_fraction, self.seed)
        if self.data is None:
            return LeastSquares.from_dataset(self.dataset, *options)
        if self.data_sha256 is not None and (found := files.file_sha256(self.data)) != self.data_sha256:
            raise InvalidInput(
                f"{self.data!r} is not the file that this study was run with: its SHA-256 is "
                f"{found[:12]}..., "
                f"expected {self.data_sha256[:12]}...; restore the file, or start a new study with it"
            )
        return LeastSquares.from_csv(self.data, self.target, *options)

    def resolved(self, problem: LeastSquares) -> tuple[HomogenizedStudy, list[str]]:
        """The same study with every default filled in, and sentences on how that was done."""
        study, notes = self, []
        if study.data is not None:
            data = os.path.abspath(study.data)
            study = replace(study, data=data, data_sha256=files.file_sha256(data))
        if study.step_size is None:
            study, note = study._with_step_size(problem)
            notes.append(note)
        if study.steps is None:
            moving = problem.curvatures[problem.curvatures > 0]
            relaxation = 1 / (study.step_size * moving.min()) if moving.size else FEWEST / RELAXATIONS
            steps = int(np.clip(np.ceil(RELAXATIONS * relaxation), FEWEST, MOST))
            study = replace(study, steps=steps)
            notes.append(
                f"Steps: {RELAXATIONS} relaxation times of the slowest direction ({relaxation:.4g} "
                "steps each), "
                f"between {FEWEST} and {MOST}, which gives {steps}."
            )
        return study, notes

    def _with_step_size(self, problem: LeastSquares) -> tuple[HomogenizedStudy, str]:
        from sgdlimits.discrete import SGD

        sampling, said = self.sampling, ""
        if sampling == "reshuffle":
            sampling, said = "with_replacement", " with replacement (none is known for reshuffled epochs)"
        sgd = SGD(problem, 1.0, self.batch_size, sampling, self.momentum, label_noise=self.label_noise)
        threshold = sgd.stability().mean_square_threshold
        if not 0 < threshold < np.inf:
            raise InvalidInput(
                f"SGD's mean-square threshold is {threshold}, so step_size has no default; give one"
            )
        step_size = float(f"{FRACTION * threshold:.3g}")
        note = f"Step size: {FRACTION:g} of SGD's exact mean-square threshold {threshold:.4g}{said}"
        return replace(self, step_size=step_size), f"{note}, to 3 digits."

    def run(self, progress: Any = None, threads: int | None = None) -> StudyResult:
        """Compute the comparison and the orders.

        Parameters
        ----------
        progress : True, None, or object with update(n) and close()
        threads : int, optional

        Raises
        ------
        InvalidInput
            If a setting or the data cannot be used.
        """
        problem = self.problem()  # before the heavy imports: wrong data are reported at once
        from sgdlimits.compare.capabilities import one_blas_thread

        return one_blas_thread(self._run)(problem, progress, threads)

    def _run(self, problem: LeastSquares, progress: Any, threads: int | None) -> StudyResult:
        from sgdlimits.compare._laws import laws
        from sgdlimits.compare._orders import orders
        from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
        from sgdlimits.discrete import SGD
        from sgdlimits.ensembles.progress import open_progress

        study, notes = self.resolved(problem)
        sgd = SGD(
            problem,
            study.step_size,
            study.batch_size,
            study.sampling,
            study.momentum,
            label_noise=study.label_noise,
        )
        homogenized, modified = HomogenizedSGD.of(sgd), ModifiedEquation.of(sgd, order=1)
        if study.solver is not None:  # a wrong one is found before the long work
            homogenized.simulate(np.zeros(problem.dimension), 1, 2, solver=study.solver, substeps=study.substeps or 1)
        others = [homogenized, modified, OrnsteinUhlenbeck.of(sgd), GradientFlow.of(sgd)]
        start = np.zeros(problem.dimension)
        recorded = np.unique(np.rint(np.geomspace(1, study.steps, RECORDED)).astype(int))
        bar = open_progress(progress, (1 + len(others)) * study.paths * study.steps)
        try:
            compared = laws(
                sgd, *others, x0=start, steps=study.steps, paths=study.paths,
                observables=("risk", "excess", "norm", *(["test_risk"] if study.test_fraction else [])),
                record=[0, *recorded.tolist()], seed=study.seed, solver=study.solver, substeps=study.substeps,
                tolerance=study.tolerance, confidence=study.confidence, threads=threads,
                progress=KeptOpen(bar),
            )  # fmt: skip
        finally:
            bar.close()
        ladder = None
        if study.momentum or study.sampling == "reshuffle":
            notes.append("No orders: they need SGD without momentum whose moments close (not reshuffled).")
        else:
            second = ModifiedEquation.of(sgd, order=2)
            relaxation = 1 / (study.step_size * np.abs(problem.curvatures).mean())
            steps = int(np.clip(np.rint(relaxation), 1, min(study.steps, LADDER_STEPS)))
            ladder = orders(sgd, *others, second, x0=start, steps=steps)
            notes.append(
                f"Orders: at the time of step {steps}, where the average direction has relaxed once."
            )
        return StudyResult(study, compared, ladder, tuple(notes))


@dataclass(frozen=True, eq=False)
class KeptOpen:
    """One bar for several simulations: each closes it, and it stays open."""

    inner: Any

    def update(self, n: int, /) -> None:
        self.inner.update(n)

    def close(self) -> None:
        pass


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult:
    """What a run of the study gave: resolved settings, laws, orders (or None), notes on the defaults."""

    study: HomogenizedStudy
    laws: Laws
    orders: Orders | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        from sgdlimits.compare._laws.wording import finding

        tables = [str(self.laws)] + ([str(self.orders)] if self.orders is not None else [])
        return "\n\n".join([*tables, finding(self.laws.dataset)])

    def write(
        self,
        folder: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> Path:
        """Write the report; see `compare.reports.write_report`. None: results/homogenized-001, -002, ..."""
        from sgdlimits.compare.reports import write_report

        shown = {name: value for name, value in asdict(self.study).items() if value is not None}
        return write_report(
            folder, self.laws, self.orders, shown, self.notes, NAME, overwrite, self.study.to_toml(), progress
        )


NAME = "homogenized"
Study = HomogenizedStudy
