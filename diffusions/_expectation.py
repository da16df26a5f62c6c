"""An expectation estimated by sampling: the one form of result of `monte_carlo` and `multilevel`."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """What one level of multilevel Monte Carlo cost and gave.

    Attributes
    ----------
    dt : float
        The fine step; the coarse one of the difference is twice as long (level 0 has none).
    paths : int
        In the estimate; the pilot's are not.
    mean, variance : float
        Of observable(fine) - observable(coarse); the variance is bounded from above where few values differ.
    correlation : float
        Of observable(fine) and observable(coarse): what makes levels cheap (nan where one is
        constant, and on level 0).
    cost : int
        Steps of the scheme, both grids, over all paths, the pilot's included.
    """

    dt: float
    paths: int
    mean: float
    variance: float
    correlation: float
    cost: int


@dataclass(frozen=True)
class ExpectationEstimate:
    """An expectation with its error.

    Attributes
    ----------
    value, standard_error : float
        Of an indicator the standard error is half the exact interval in units of the normal quantile.
    interval : (float, float)
        It holds the expectation with probability `confidence` at least. Of `monte_carlo`: that of the scheme at this
        dt, what dt does to it is not in it. Of `multilevel`: that of the process, `bias` included.
    bias : float
        Estimated distance of the finest level from dt = 0; nan where it is not estimated (`monte_carlo`).
    confidence, tolerance : float
    paths, pilot_paths : int
        All paths that were run, and how many of them only fixed the number of the others.
    cost : int
        Steps of the scheme, over all paths.
    solver : str
    dt : float
        Of the finest level.
    why : str
        Why sampling stopped.
    notes : tuple of str
        What a reader should know before trusting the estimate; empty when there is nothing to say.
    levels : tuple of Level
        Empty for `monte_carlo`.
    variance_rate, mean_rate : float
        Fitted powers of dt by which variance and mean of the levels fall; nan where they cannot be fitted.
    weak_rate : float
        The rate by which the bias was extrapolated: the smaller of the scheme's claim and what the levels show.
    complexity : str
        How the cost grows as the tolerance falls.
    """

    value: float
    standard_error: float
    interval: tuple[float, float]
    bias: float
    confidence: float
    tolerance: float
    paths: int
    pilot_paths: int
    cost: int
    solver: str
    dt: float
    why: str
    notes: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    variance_rate: float = math.nan
    mean_rate: float = math.nan
    weak_rate: float = math.nan
    complexity: str = "tolerance^-2 at a fixed dt"

    def __str__(self) -> str:
        low, high = self.interval
        bias = "" if math.isnan(self.bias) else f", bias about {self.bias:.2g}"
        of = f"{self.solver} with dt = {self.dt:g}" if not self.levels else f"{self.solver}, {len(self.levels)} levels"
        rows = [
            f"{self.value:.6g} in [{low:.6g}, {high:.6g}] ({self.confidence:.4g}), standard error "
            f"{self.standard_error:.2g}{bias}",
            f"{of}: {self.paths} paths, {self.cost} steps; {self.why}",
        ]
        if self.levels:
            rows.append(f"cost grows like {self.complexity} (fitted variance rate {self.variance_rate:.2f})")
            rows.append("level          dt     paths         mean     variance  correlation         cost")
        for number, level in enumerate(self.levels):
            together = "" if math.isnan(level.correlation) else f"{level.correlation:.4f}"
            rows.append(
                f"{number:5d} {level.dt:11.4g} {level.paths:9d} {level.mean:12.4g} {level.variance:12.4g} "
                f"{together:>12s} {level.cost:12d}"
            )
        return "\n".join(rows + [f"note: {note}" for note in self.notes])

    def __repr__(self) -> str:
        return str(self)
