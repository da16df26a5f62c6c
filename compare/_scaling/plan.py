"""What is computed for one pair of power laws: dimensions, draws, steps; and the dataset of it all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.diffusions import HomogenizedSGD
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput, OutOfReach, positive, seed_number, several, whole_number
from sgdlimits.problems import StreamingLeastSquares

from .._bounds.curves import LONGEST
from ..capabilities import claim_notes
from .draws import CURVES, Draw, one_draw
from .theory import PowerLaws

if TYPE_CHECKING:
    import xarray

DIMENSIONS = (32, 64, 125, 250, 500, 1000)
AMBIENT = 4  # times the dimension of the features
PER_DECADE = 10  # recorded steps
LAST = 10.0  # 2 eta k times the smallest eigenvalue at the last step: the floor is reached
TRIAL = 1e-12  # a step size at which SGD can be asked for its threshold
FEWEST = 3  # draws


@dataclass(frozen=True)
class Plan:
    """Settings that have been checked; see `compare.scaling_laws`."""

    laws: PowerLaws
    dimensions: tuple[int, ...]
    redraws: int
    fraction: float
    batch_size: int
    ambient: int
    last: int
    step_size: float
    seed: int

    @classmethod
    def of(
        cls, alpha: float, beta: float, dimensions: Iterable[int] = DIMENSIONS, redraws: int = 20,
        fraction: float = 0.5, batch_size: int = 1, ambient: int = AMBIENT, steps: int | None = None, seed: int = 0,
    ) -> Plan:  # fmt: skip
        """Check the arguments, and choose what is left open."""
        laws = PowerLaws(alpha, beta)
        sizes = tuple(whole_number("a dimension", size, 2) for size in several("dimensions", dimensions))
        if not sizes or any(after <= before for before, after in zip(sizes, sizes[1:])):
            raise InvalidInput(f"dimensions must be ascending whole numbers, at least one, got {list(sizes)}")
        fraction = positive("fraction", fraction)
        if not fraction < 1:
            raise InvalidInput(f"fraction must lie in (0, 1), as a part of the mean-square threshold, got {fraction:g}")
        batch_size, ambient = whole_number("batch_size", batch_size, 1), whole_number("ambient", ambient, 2)
        j = np.arange(1, ambient * sizes[-1] + 1, dtype=float)
        data = StreamingLeastSquares(j ** (-2 * laws.alpha), 0.0, np.zeros(j.size))
        step_size = fraction * float(SGD(data, TRIAL, batch_size).stability().mean_square_threshold)
        if steps is None:
            slowest = laws.at(sizes[-1], ambient * sizes[-1], step_size, batch_size).kappa
            last = LAST / (2 * step_size * slowest)
            if last > LONGEST:
                raise OutOfReach(
                    f"the floor is reached after {last:.1e} steps, and {LONGEST:.0e} can be counted: take a smaller "
                    "alpha or dimension, or give steps"
                )
            steps = math.ceil(last)
        return cls(
            laws, sizes, whole_number("redraws", redraws, FEWEST), fraction, batch_size, ambient,
            whole_number("steps", steps, 1), step_size, seed_number(seed),
        )  # fmt: skip

    @property
    def steps(self) -> np.ndarray:
        """Recorded steps: 0, then evenly in their logarithms."""
        count = max(2, int(PER_DECADE * math.log10(max(self.last, 10))) + 1)
        return np.unique(np.concatenate([[0], np.rint(np.geomspace(1, self.last, count))]).astype(np.int64))

    @property
    def cells(self) -> list[tuple[int, int]]:
        """(dimension, draw), the largest first, which take longest."""
        return [(dimension, redraw) for dimension in self.dimensions[::-1] for redraw in range(self.redraws)]

    def draw(self, dimension: int, redraw: int) -> Draw:
        """The curves of one draw."""
        return one_draw(
            self.laws, dimension, self.ambient * dimension, redraw, self.step_size, self.batch_size, self.steps,
            self.seed,
        )  # fmt: skip

    def dataset(self, draws: Mapping[tuple[int, int], Draw]) -> xarray.Dataset:
        """All draws, labelled."""
        import xarray as xr

        import sgdlimits

        def gathered(name: str) -> np.ndarray:
            return np.array(
                [[getattr(draws[size, redraw], name) for redraw in range(self.redraws)] for size in self.dimensions]
            )

        axes = ("dimension", "redraw", "step")
        variables: dict[str, Any] = {name: (axes, gathered(name)) for name in CURVES}
        variables |= {name: (axes[:2], gathered(name)) for name in ("floor", "threshold")}
        coordinates = {
            "dimension": np.array(self.dimensions), "redraw": np.arange(self.redraws), "step": self.steps,
            "ambient": ("dimension", self.ambient * np.array(self.dimensions)),
        }  # fmt: skip
        settings = {name: value for name, value in asdict(self).items() if name in _KEPT}
        claims = claim_notes([SGD, HomogenizedSGD], ["SGD", "homogenized SGD"])
        attributes = {**asdict(self.laws), **settings, "version": sgdlimits.__version__, "claims": claims}
        return xr.Dataset(variables, coordinates, attributes)


_KEPT = ("redraws", "fraction", "batch_size", "step_size", "seed")
