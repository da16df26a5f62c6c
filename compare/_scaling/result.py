"""The result of compare.scaling_laws."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number, percent, rounded
from .fits import FINITE_SIZE, FRONTIER, LATE, RULES, Exponent, exponents, frontier_of, laws_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL = 0.01  # relative error of continuous time below which it no longer matters
SHOWN = (1, 3, 10, 30, 100, 1000, 10_000)  # steps of the table of the gap


@dataclass(frozen=True)
class Gap:
    """How far continuous time, and then homogenized SGD, are from the loss of SGD at a step, over it."""

    step: int
    continuous: float
    homogenized: float
    closure: float


@dataclass(frozen=True, eq=False, repr=False)
class ScalingLaws(Result):
    """Losses over steps and dimension, and their exponents: what `compare.scaling_laws` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (dimension, redraw, step), exact given the features: `risk` of SGD, `poisson` (its steps at the times of a
        Poisson process: continuous time), `homogenized`, `noiseless` (descent without noise, above the floor) and the
        `kernel`. Over (dimension, redraw): `floor`, the least loss, and `threshold`, of SGD's mean square.
    """

    kind: ClassVar[str] = "scaling laws"
    columns: ClassVar[tuple[str, ...]] = (
        "curve", "term", "derived", "here", "measured", "low", "high", "first", "last", "verdict",
    )  # fmt: skip

    def heading(self) -> list[str]:
        told, sizes = self.dataset.attrs, self.dataset["dimension"].values
        return [
            f"Power-law random features, alpha = {told['alpha']:g}, beta = {told['beta']:g}: exponents of the loss",
            f"Dimensions {sizes[0]} to {sizes[-1]}, {told['redraws']} draws of the features each; step size "
            f"{told['step_size']:.4g}, {told['fraction']:g} of the mean-square threshold; batch size "
            f"{told['batch_size']}",
        ]

    def exponents(self) -> list[Exponent]:
        """Every exponent: measured with its interval, derived, and whether its phase is reached."""
        return list(self._exponents)

    @cached_property
    def _exponents(self) -> list[Exponent]:
        return exponents(self.dataset)

    def table(self) -> list[dict[str, Any]]:
        """One dict an exponent."""
        return [{**asdict(found), "verdict": found.verdict} for found in self._exponents]

    def gaps(self, dimension: int | None = None) -> list[Gap]:
        """The gap at every recorded step after the start, means over draws; at the largest dimension by default."""
        size = int(self.dataset["dimension"].values[-1]) if dimension is None else dimension
        means = self.dataset.sel(dimension=size).mean("redraw")
        own, between, limit = (means[name].values for name in ("risk", "poisson", "homogenized"))
        steps = means["step"].values
        return [
            Gap(int(steps[i]), between[i] / own[i] - 1, limit[i] / own[i] - 1, (limit[i] - between[i]) / own[i])
            for i in range(len(steps))
            if steps[i] > 0
        ]

    def tables(self) -> list[TextTable]:
        """Exponents; then the gap split at some steps."""
        heads = ("measured", "95 %", "derived", "derived here", "from", "to", "verdict")
        groups: dict[str, list[tuple[str, ...]]] = {}
        for found in self._exponents:
            groups.setdefault(found.curve, []).append(_cells(found))
        first = TextTable(heads, tuple((title, tuple(rows)) for title, rows in groups.items()))
        return [first, self.gap_table()]

    def gap_table(self) -> TextTable:
        """SGD, in continuous time, homogenized, at some steps."""
        known = self.gaps()
        steps = np.array([gap.step for gap in known])
        wanted = [step for step in SHOWN if step <= steps[-1]]
        places = sorted({int(np.abs(np.log(steps / step)).argmin()) for step in wanted})
        rows = tuple(
            (str(known[i].step), f"{percent(known[i].continuous)} %", f"{percent(known[i].closure)} %",
             f"{percent(known[i].homogenized)} %", "exact")
            for i in places
        )  # fmt: skip
        size = self.dataset["dimension"].values[-1]
        heads = ("step", "continuous time", "then homogenized", "together", "")
        return TextTable(heads, ((f"of the loss of SGD, dimension {size}", rows),), "The gap, part by part")

    def early(self) -> str:
        """What continuous time does to early steps, in a sentence."""
        known = self.gaps()
        worst = max(known, key=lambda gap: abs(gap.continuous))
        small = next(
            (gap.step for i, gap in enumerate(known) if all(abs(g.continuous) < SMALL for g in known[i:])), None
        )
        way = "raises" if worst.continuous > 0 else "lowers"
        end = f"and less than {percent(SMALL)} % from step {small} on" if small else "and it stays to the last step"
        return (
            f"Continuous time instead of steps {way} the expected loss by up to {percent(abs(worst.continuous))} %, at "
            f"step {worst.step}, {end}; no finer time grid takes that away."
        )

    def frontiers(self) -> str:
        """Whether the compute-optimal exponent knows of continuous time, in a sentence; "" where it is not reached."""
        own = next(found for found in self._exponents if found.curve == FRONTIER[0])
        others = [frontier_of(self.dataset, name) for name in ("poisson", "homogenized")]
        if not (own.reached and all(each.reached for each in others)):
            return ""
        told = [f"{rounded(e.measured, (e.high - e.low) / 2)} ± {number((e.high - e.low) / 2, 2)}" for e in others]
        return (
            f"The compute-optimal loss falls with the exponent {told[0]} in continuous time and {told[1]} in "
            f"homogenized SGD, and {rounded(own.measured, (own.high - own.low) / 2)} in SGD."
        )

    def notes(self) -> list[str]:
        missing = [found for found in self._exponents if not found.reached]
        laws = laws_of(self.dataset)
        found = [
            "Losses are exact given the features; the interval is over draws of the features, and knows nothing of "
            "finite sizes. derived: the exponent in the limit. derived here: means over draws in these dimensions, by "
            "deterministic equivalents of the resolvent (of the loss with the terms of noise added), put through the "
            f"same fit. A term is fitted where it is {RULES:g} times the others together over a decade, from 2 step "
            f"size k = {LATE:g} on, and before the smallest eigenvalues act. covers: the interval covers the limit; "
            f"{FINITE_SIZE}: not the limit, but what is derived here.",
            f"Exponents of the terms: {', '.join(f'{name} {e:.3g}' for name, e in laws.exponents.items())}; "
            f"compute-optimal: loss {laws.frontier[0]:.3g}, dimension {laws.frontier[1]:.3g}, where "
            f"{' and '.join(laws.balanced)} are alike. All derived; compute is steps times dimension.",
            " ".join(words for words in (self.early(), self.frontiers()) if words),
        ]
        if missing:
            told = ", ".join(f"{each.term} in {each.curve}" for each in missing)
            found.append(f"Not reached at these sizes, so not fitted: {told}.")
        return found

    def plot(self, ax: Axes | None = None) -> Figure:
        """Loss against steps times dimension, with the frontier."""
        from .plots import frontier

        return frontier(self, ax)

    def plot_terms(self, ax: Axes | None = None) -> Figure:
        """Loss, noiseless descent and kernel at the largest dimension, beside the derived terms."""
        from .plots import terms

        return terms(self, ax)

    def plot_gap(self, ax: Axes | None = None) -> Figure:
        """The gap of continuous time and of homogenized SGD against steps."""
        from .plots import gap

        return gap(self, ax)


def _cells(found: Exponent) -> tuple[str, ...]:
    if not found.reached:
        return (NOTHING, NOTHING, number(found.derived), NOTHING, NOTHING, NOTHING, f"{found.verdict}: {found.term}")
    half = (found.high - found.low) / 2
    return (
        rounded(found.measured, half), f"{rounded(found.low, half)} to {rounded(found.high, half)}",
        number(found.derived), number(found.here), number(found.first, 3), number(found.last, 3),
        f"{found.verdict}: {found.term}",
    )  # fmt: skip
