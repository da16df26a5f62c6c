"""The study of scaling laws: settings, and what a run gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sgdlimits.exact.errors import InvalidInput, positive, seed_number, whole_number
from sgdlimits.studies.options import option
from sgdlimits.studies.results import ResultOfStudy
from sgdlimits.studies.settings import StudySettings

if TYPE_CHECKING:
    from sgdlimits.compare import ScalingLaws

LARGEST_QUICK = 250  # dimension
FEWEST, QUICK = 3, 5  # draws


@dataclass(frozen=True)
class ScalingLawsStudy(StudySettings):
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    laws : str
        Pairs alpha:beta, separated by commas.
    dimensions : str
        Whole numbers, separated by commas.
    redraws : int
        Draws of the features in each dimension.
    fraction : float
        Of the mean-square threshold of the data.
    batch_size : int
    seed : int
    workers : int
        Processes that share the draws; never changes a number.
    quick : bool
        Dimensions to 250 and 5 draws alone.
    """

    name: ClassVar[str] = "scaling-laws"
    laws: str = option(
        "1:0.3,1:0.75,1:1.3", "model",
        "pairs alpha:beta, separated by commas: standard deviations j^-alpha, target j^-beta", metavar="PAIRS",
    )  # fmt: skip
    dimensions: str = option(
        "32,64,125,250,500,1000", "model", "of the features; a draw of 1000 takes a second, one of 4000 a minute",
        metavar="SIZES",
    )  # fmt: skip
    redraws: int = option(20, "model", "draws of the features in each dimension, at least 3")
    fraction: float = option(0.5, "SGD", "step size over the mean-square threshold of the data, in (0, 1)")
    batch_size: int = option(1, "SGD", "samples of a step")
    seed: int = option(0, "run", "of the features")
    workers: int = option(1, "run", "processes that share the draws", stored=False)
    quick: bool = option(False, "run", f"dimensions to {LARGEST_QUICK} and {QUICK} draws alone")

    def __post_init__(self) -> None:
        from sgdlimits.compare._scaling.theory import PowerLaws

        self.check_kinds()
        pairs = [PowerLaws(*pair) for pair in self.pairs]
        if len(set(pairs)) < len(pairs):
            raise InvalidInput(f"laws has a pair twice: {self.laws}")
        sizes = self.sizes
        if any(after <= before for before, after in zip(sizes, sizes[1:])):
            raise InvalidInput(f"dimensions must be ascending, got {self.dimensions}")
        checked: dict[str, Any] = {
            "redraws": whole_number("redraws", self.redraws, FEWEST),
            "fraction": positive("fraction", self.fraction),
            "batch_size": whole_number("batch_size", self.batch_size, 1),
            "seed": seed_number(self.seed),
            "workers": whole_number("workers", self.workers, 1),
        }
        if checked["fraction"] >= 1:
            raise InvalidInput(f"fraction must lie in (0, 1), got {self.fraction:g}")
        self.settle(checked)

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """(alpha, beta) of each model."""
        found = []
        for text in self.laws.split(","):
            alpha, colon, beta = text.partition(":")
            try:
                found.append((float(alpha), float(beta)))
            except ValueError:
                raise InvalidInput(f"laws must be pairs alpha:beta, such as 1:0.75,1:1.3, got {text!r}") from None
        return found

    @property
    def sizes(self) -> list[int]:
        """Dimensions that are run."""
        try:
            found = [int(text) for text in self.dimensions.split(",")]
        except ValueError:
            raise InvalidInput(f"dimensions must be whole numbers such as 32,64,125, got {self.dimensions!r}") from None
        found = [whole_number("a dimension", size, 2) for size in found]
        if not self.quick:
            return found
        return [size for size in found if size <= LARGEST_QUICK] or found[:1]

    def run(self, progress: Any = None, threads: int | None = None) -> ScalingLawsResult:
        """Compute the losses of each model.

        Parameters
        ----------
        progress : True, None, or object with update(n) and close()
        threads : int, optional
            Never changes a number.

        Raises
        ------
        InvalidInput
            If the step size is past the threshold of a draw, or eigenvalues drown in rounding.
        """
        from sgdlimits.ensembles.progress import open_progress

        from .grids import scaling_laws

        bar = open_progress(progress, math.inf, "models")
        redraws = min(self.redraws, QUICK) if self.quick else self.redraws
        models: dict[str, ScalingLaws] = {}
        try:
            for alpha, beta in self.pairs:
                models[f"alpha = {alpha:g}, beta = {beta:g}"] = scaling_laws(
                    alpha, beta, dimensions=self.sizes, redraws=redraws, fraction=self.fraction,
                    batch_size=self.batch_size, seed=self.seed, workers=None if self.workers == 1 else self.workers,
                )  # fmt: skip
                bar.update(1)
        finally:
            bar.close()
        return ScalingLawsResult(self, models)


@dataclass(frozen=True, eq=False, repr=False)
class ScalingLawsResult(ResultOfStudy):
    """What a run of the study gave.

    Attributes
    ----------
    study : ScalingLawsStudy
    models : mapping from names to compare.ScalingLaws
    """

    study: ScalingLawsStudy
    models: Mapping[str, ScalingLaws]
