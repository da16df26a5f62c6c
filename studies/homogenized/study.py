"""How far is SGD on least squares from homogenized SGD, and from the other diffusions that approximate it?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import (
    InvalidInput,
    OutOfReach,
    non_negative,
    one_of,
    positive,
    real_number,
    seed_number,
    whole_number,
)
from sgdlimits.studies.data_files import DATA, DataFileSettings
from sgdlimits.studies.options import dataset_names, option, shortened
from sgdlimits.studies.results import ResultOfStudy

from .cost import affordable
from .setting import FEWEST, MOST, check_reach, eigenvalue_notes, horizon

if TYPE_CHECKING:

    from sgdlimits.compare import Bounds, Laws, Orders
    from sgdlimits.problems import LeastSquares

SGD_GROUP, RUN = "SGD", "run"
PROCESSES = ("homogenized", "modified", "ornstein-uhlenbeck", "gradient-flow")
FRACTION = 0.25  # default step size, as a part of SGD's mean-square threshold
RECORDED = 50
MOST_BOUNDED = 60  # directions up to which bounds over all steps take seconds
LADDER_STEPS = 200  # of the largest step size in the ladder of orders, at most
LARGEST = 1e100  # of a number whose square is taken
MOST_BATCH, MOST_PATHS, MOST_STEPS, MOST_SUBSTEPS = 10**7, 10**9, 10**9, 10**6


@dataclass(frozen=True)
class HomogenizedStudy(DataFileSettings):
    """Settings of the study; `run` computes it. What each means stands beside it, and in the help of the command line.

    `step_size` and `steps` are computed where they are None, see `resolved`.
    """

    name: ClassVar[str] = "homogenized"
    dataset: str | None = option(
        None, DATA, lambda: f"named data set: {', '.join(dataset_names())}", shown="diabetes, unless --data is given",
        metavar="NAME", allowed=dataset_names,
    )  # fmt: skip
    standardise: bool = option(
        True, DATA, "use columns as they are; without it each, the target too, gets mean 0 and variance 1",
        flag="--no-standardise",
    )  # fmt: skip
    test_fraction: float = option(0.0, DATA, "part of the rows held out; adds the test risk")
    ridge: float = option(0.0, SGD_GROUP, "adds (ridge / 2) |x|^2 to what is descended")
    step_size: float | None = option(
        None, SGD_GROUP, "step size", shown="a quarter of SGD's exact mean-square threshold, to 3 digits"
    )
    batch_size: int = option(1, SGD_GROUP, "samples in a batch")
    sampling: str = option(
        "with_replacement", SGD_GROUP, "with_replacement, without_replacement or reshuffle", metavar="NAME",
        allowed=lambda: _samplings(),
    )  # fmt: skip
    momentum: float = option(0.0, SGD_GROUP, "heavy ball, from 0 to below 1")
    label_noise: float = option(0.0, SGD_GROUP, "standard deviation of fresh noise on every drawn label")
    processes: str = option(
        ",".join(PROCESSES), RUN, "what SGD is compared with, separated by commas", metavar="NAMES",
        allowed=lambda: PROCESSES, several=True,
    )  # fmt: skip
    steps: int | None = option(
        None, RUN, "SGD steps",
        shown="until the mean risk has made 95 % of its way, or three relaxation times up to 1000 if that is longer; "
        f"at least {FEWEST}, at most {MOST}",
    )  # fmt: skip
    paths: int = option(10_000, RUN, "paths of each process")
    seed: int = option(0, RUN, "of all random numbers: the same seed, the same bits")
    solver: str | None = option(
        None, RUN, lambda: f"scheme that is compared in place of the processes: {', '.join(_solvers())}",
        metavar="NAME", allowed=lambda: _solvers(),
        shown="none: the processes themselves; what sampling them by a scheme adds is measured and kept small, and the "
        "report says where it is more than the Monte Carlo error",
    )  # fmt: skip
    substeps: int | None = option(None, RUN, "increments of that scheme per SGD step", shown="1")
    tolerance: float = option(0.05, RUN, "relative tolerance of the verdicts")
    confidence: float = option(0.95, RUN, "of each interval")
    minutes: float = option(
        30.0, RUN, "refuse, or leave a process out, where the run is estimated to take longer", stored=False
    )

    def __post_init__(self) -> None:
        if self.data is not None and self.dataset is not None:
            raise InvalidInput(
                f"give a data file or a data set, not both: got {shortened(self.data)} and {shortened(self.dataset)}"
            )
        self.check_file()
        if self.data is None and self.dataset is None:
            object.__setattr__(self, "dataset", "diabetes")
        for name in self.others:
            one_of("processes", name, PROCESSES)
        if not self.others or len(set(self.others)) < len(self.others):
            raise InvalidInput(f"processes must name at least one of {', '.join(PROCESSES)}, each once")
        one_of("sampling", self.sampling, _samplings())
        checked: dict[str, Any] = {
            "test_fraction": non_negative("test_fraction", self.test_fraction),
            "ridge": real_number("ridge", self.ridge),
            "batch_size": whole_number("batch_size", self.batch_size, 1, MOST_BATCH),
            "momentum": non_negative("momentum", self.momentum),
            "label_noise": non_negative("label_noise", self.label_noise),
            "paths": whole_number("paths", self.paths, 2, MOST_PATHS),
            "seed": seed_number(self.seed),
            "tolerance": positive("tolerance", self.tolerance),
            "confidence": positive("confidence", self.confidence),
            "minutes": positive("minutes", self.minutes),
        }
        if self.step_size is not None:
            checked["step_size"] = positive("step_size", self.step_size)
        if self.substeps is not None:
            checked["substeps"] = whole_number("substeps", self.substeps, 1, MOST_SUBSTEPS)
        if self.steps is not None:
            checked["steps"] = whole_number("steps", self.steps, 1, MOST_STEPS)
        for name in ("ridge", "label_noise"):
            if abs(checked[name]) > LARGEST:
                raise InvalidInput(f"{name} must be at most {LARGEST:g} in size, got {checked[name]:g}")
        self.settle(checked)
        if self.test_fraction >= 1 or self.confidence >= 1 or self.momentum >= 1:
            name = next(n for n in ("test_fraction", "confidence", "momentum") if getattr(self, n) >= 1)
            raise InvalidInput(f"{name} must be below 1, got {getattr(self, name)!r}")

    def problem(self) -> LeastSquares:
        """The least-squares problem.

        Raises
        ------
        InvalidInput
            If the data cannot be used, or the file is not the one that was meant.
        """
        from sgdlimits.problems import LeastSquares

        options = (self.ridge, self.standardise, self.test_fraction, self.seed)
        if self.data is not None:
            return self.read_file(*options)
        assert self.dataset is not None  # __post_init__ names one
        return LeastSquares.from_dataset(self.dataset, *options)

    @property
    def others(self) -> list[str]:
        """Names of the processes that SGD is compared with."""
        return [name.strip() for name in self.processes.split(",") if name.strip()]

    def resolved(self, problem: LeastSquares) -> tuple[HomogenizedStudy, list[str]]:
        """The same study with every default filled in, and sentences on how that was done."""
        study, notes = self.pinned(), []
        if study.step_size is None:
            study, note = study._with_step_size(problem)
            notes.append(note)
        assert study.step_size is not None
        check_reach(problem, study.step_size)
        if study.steps is None:
            steps, note = horizon(problem, study.step_size)
            study = replace(study, steps=steps)
            notes.append(note)
        notes += eigenvalue_notes(problem)
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
        from sgdlimits.compare._bounds import bounds
        from sgdlimits.compare._laws import laws
        from sgdlimits.compare._orders import orders
        from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
        from sgdlimits.discrete import SGD
        from sgdlimits.ensembles.progress import KeptOpen, open_progress
        from sgdlimits.studies.rehearsal import rehearse

        study, notes = self.resolved(problem)
        assert study.steps is not None and study.step_size is not None
        sgd = SGD(
            problem,
            study.step_size,
            study.batch_size,
            study.sampling,
            study.momentum,
            label_noise=study.label_noise,
        )
        makers: dict[str, Callable[[Any], Any]] = {
            "homogenized": HomogenizedSGD.of,
            "modified": partial(ModifiedEquation.of, order=1),
            "ornstein-uhlenbeck": OrnsteinUhlenbeck.of,
            "gradient-flow": GradientFlow.of,
        }
        made = {name: makers[name](sgd) for name in study.others}
        rehearse(self.name, progress is True, threads)  # wrong settings and data have been reported
        if study.solver is not None:  # a wrong one is found before the long work
            first = next(iter(made.values()))
            first.simulate(np.zeros(problem.dimension), 1, 2, solver=study.solver, substeps=study.substeps or 1)
        start = np.zeros(problem.dimension)
        kept, note = affordable(study, sgd, made, start, threads, progress is True)
        made = {name: made[name] for name in kept}
        if note:
            study = replace(study, processes=",".join(kept))
            notes.append(note)
        assert study.steps is not None and study.step_size is not None
        others = list(made.values())
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
        elif "modified" not in made:
            notes.append("No orders: they are measured where the modified equation is among the processes.")
        else:
            second = ModifiedEquation.of(sgd, order=2)
            relaxation = 1 / (study.step_size * np.abs(problem.curvatures).mean())
            steps = int(np.clip(np.rint(relaxation), 1, min(study.steps, LADDER_STEPS)))
            ladder = orders(sgd, *others, second, x0=start, steps=steps)
            notes.append(
                f"Orders: at the time of step {steps}, where the average direction has relaxed once."
            )
        worst = None
        if study.momentum or study.sampling == "reshuffle":
            notes.append("No bounds over all steps: they need SGD without momentum whose moments close.")
        elif problem.dimension > MOST_BOUNDED:
            notes.append(
                f"No bounds over all steps: in {problem.dimension} directions they take minutes; compare.bounds has "
                "them."
            )
        else:
            try:
                worst = bounds(sgd, *others, x0=start)
            except OutOfReach as error:
                notes.append(f"No bounds over all steps: {error}.")
        return StudyResult(study, compared, ladder, worst, tuple(notes), tuple(self.others))


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult(ResultOfStudy):
    """What a run of the study gave.

    Attributes
    ----------
    study : HomogenizedStudy
        Resolved settings.
    laws : Laws
    orders : Orders or None
    bounds : Bounds or None
    notes : tuple of str
        On the defaults, and on what was left out.
    asked : tuple of str
        Processes that were asked for, where `study` does not name them all: one that takes too long is left out.
    """

    study: HomogenizedStudy
    laws: Laws
    orders: Orders | None
    bounds: Bounds | None
    notes: tuple[str, ...]
    asked: tuple[str, ...] = ()


def _samplings() -> tuple[str, ...]:
    from sgdlimits.ensembles.random import SAMPLINGS

    return SAMPLINGS


def _solvers() -> tuple[str, ...]:
    from sgdlimits.diffusions import HomogenizedSGD

    return tuple(HomogenizedSGD.solvers)
