"""The study of validity: settings, and what a run gives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sgdlimits.exact.errors import InvalidInput, non_negative, one_of, positive, seed_number, whole_number
from sgdlimits.studies.data_files import NamedDataSettings
from sgdlimits.studies.options import option
from sgdlimits.studies.results import ResultOfStudy

if TYPE_CHECKING:
    from sgdlimits.compare import Delocalisation, Validity
    from sgdlimits.problems import LeastSquares

    from .sampled import SampledEnd

SIZES, QUICK = 14, 5  # batch sizes of a map
DRAWS = 20  # of Gaussian features beside the data
SCALES = ("excess", "noise")


@dataclass(frozen=True)
class ValidityStudy(NamedDataSettings):
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    data, target, one_hot, drop, delimiter, decimal, data_sha256 : str, optional
        A CSV file as one more data set, before the named ones; see `studies.data_files`.
    datasets : str
        Names of data sets, separated by commas; "none": no other than the file.
    ridge : float
    within : float
        The allowance, in (0, 1).
    scale : str
        What errors are relative to.
    horizon : float
        Relaxation times of the slowest mode.
    seed : int
        Of Gaussian features that stand beside the data, and of sampled ends.
    workers : int
        Processes that share the batch sizes; never changes a number.
    quick : bool
        Fewer batch sizes.
    """

    name: ClassVar[str] = "validity"
    ridge: float = option(0.1, "data sets", "of the objective, at least 0")
    within: float = option(0.05, "question", "the error that is allowed, in (0, 1)")
    scale: str = option("excess", "question", "what errors are relative to", allowed=lambda: SCALES)
    horizon: float = option(3.0, "question", "up to when errors count, in relaxation times of the slowest mode")
    seed: int = option(0, "run", "of Gaussian features beside the data, and of sampled ends")
    workers: int = option(1, "run", "processes that share the batch sizes", stored=False)
    quick: bool = option(False, "run", "fewer batch sizes")

    def __post_init__(self) -> None:
        self.check_data()
        one_of("scale", self.scale, SCALES)
        checked: dict[str, Any] = {
            "ridge": non_negative("ridge", self.ridge),
            "within": positive("within", self.within),
            "horizon": positive("horizon", self.horizon),
            "seed": seed_number(self.seed),
            "workers": whole_number("workers", self.workers, 1),
        }
        if checked["within"] >= 1:
            raise InvalidInput(f"within must lie in (0, 1), as a part of the {self.scale}, got {self.within:g}")
        self.settle(checked)

    def problems(self) -> Iterator[tuple[str, LeastSquares]]:
        """Names and data sets, the file first."""
        from sgdlimits.problems import LeastSquares

        if self.data is not None:
            yield Path(self.data).stem, self.read_file(self.ridge)
        for name in self.names:
            yield name, LeastSquares.from_dataset(name, ridge=self.ridge)

    def run(self, progress: Any = None, threads: int | None = None) -> ValidityResult:
        """Compute a map for each data set.

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
        from sgdlimits.compare import delocalisation
        from sgdlimits.ensembles.progress import open_progress

        from .maps import batch_sizes, validity_map
        from .sampled import sampled_ends

        study = self.pinned()
        data = list(study.problems())
        bar = open_progress(progress, math.inf, "maps")
        maps: dict[str, Validity] = {}
        resolvents: dict[str, Delocalisation | str] = {}
        ends: dict[str, list[SampledEnd]] = {}
        try:
            for name, problem in data:
                sizes = batch_sizes(problem.samples, QUICK if self.quick else SIZES)
                maps[name] = validity_map(
                    problem, sizes, workers=None if self.workers == 1 else self.workers, within=self.within,
                    scale=self.scale, horizon=self.horizon,
                )  # fmt: skip
                ends[name] = sampled_ends(problem, maps[name], self.seed, threads)
                try:
                    resolvents[name] = delocalisation(problem, draws=DRAWS, seed=self.seed)
                except InvalidInput as error:  # too few rows, or too many: the map stands without it
                    resolvents[name] = str(error)
                bar.update(1)
        finally:
            bar.close()
        return ValidityResult(study, maps, resolvents, ends)


@dataclass(frozen=True, eq=False, repr=False)
class ValidityResult(ResultOfStudy):
    """What a run of the study gave.

    Attributes
    ----------
    study : ValidityStudy
    maps : mapping from data sets to compare.Validity
        Over batch sizes.
    resolvents : mapping from data sets to compare.Delocalisation, or the sentence why there is none
        Whether the theorem on high dimension is about them.
    ends : mapping from data sets to sequences of SampledEnd
        Ends by sampling SGD beside the exact ones; empty where errors are relative to the part that noise makes.
    """

    study: ValidityStudy
    maps: Mapping[str, Validity]
    resolvents: Mapping[str, Delocalisation | str]
    ends: Mapping[str, Sequence[SampledEnd]]
