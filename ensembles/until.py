"""Runs that end when an interval is narrow enough: the package's one stopping rule, over pieces of one ensemble."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from sgdlimits.exact.errors import (
    IntervalNotReached,
    InvalidInput,
    OutOfReach,
    flag,
    kind,
    nearest,
    non_negative,
    one_of,
    shown,
    text,
    whole_number,
)

from .ensemble import Ending, Ensemble, joined
from .observables import Reducer
from .passages import FirstPassage
from .stopping import FEWEST, Outcome, StoppingRule


@dataclass(frozen=True)
class Until:
    """Add paths until the interval of an observable's mean is narrow enough.

    The number of paths is fixed by a pilot that is not in the result (`ensembles.stopping` says why), so the paths of
    the result are a sample of fixed size: its mean is unbiased, and the interval holds at least what it says. It knows
    nothing of what no path shows: raise `first` where values far out are rarer than about four in `first` paths. Where
    the tail index is just above 2 the interval holds less often than it says (0.91 at 2.1, 0.94 at 2.2, of 0.95), and
    just below, an infinite variance may pass (at 1.9 in about one run of ten).

    Parameters
    ----------
    observable : str
        Name of one of the run's observables. Where two values alone are seen, as of an indicator, the interval is
        exact.
    step : int, optional
        A recorded step; default the last one.
    absolute, relative : float
        Half the width that the interval may have is the larger of `absolute` and `relative` times |mean|.
    confidence : float
    component : int, optional
        Which entry, where the observable has several a path.
    first : int
        Paths of the first look, at least 64.
    indicator : bool
        Whether the observable is 0 or 1 on every path: it then has an interval even where no path has hit.

    Raises
    ------
    InvalidInput
        If a setting cannot be used.

    Examples
    --------
    >>> from sgdlimits.ensembles import Until
    >>> Until("risk", step=400, relative=0.01).said(400)
    "the mean of 'risk' at step 400 to +- 0.01 of the mean at 0.95"
    """

    observable: str
    step: int | None = None
    absolute: float = 0.0
    relative: float = 0.0
    confidence: float = 0.95
    component: int | None = None
    first: int = 1024
    indicator: bool = False

    def __post_init__(self) -> None:
        text("observable", self.observable)
        for name in ("step", "component"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole_number(name, getattr(self, name), 0))
        for name in ("absolute", "relative"):
            object.__setattr__(self, name, non_negative(name, getattr(self, name)))
        object.__setattr__(self, "first", whole_number("first", self.first, FEWEST))
        object.__setattr__(self, "indicator", flag("indicator", self.indicator))
        self.rule(1)

    def rule(self, most: int) -> StoppingRule:
        """The stopping rule that may spend `most` paths."""
        return StoppingRule(self.absolute, self.relative, self.confidence, self.first, most)

    @property
    def width(self) -> str:
        """The width asked, in words."""
        widths = {f"{self.absolute:g}": self.absolute, f"{self.relative:.3g} of the mean": self.relative}
        return f"+- {' or '.join(name for name, width in widths.items() if width)} at {self.confidence:g}"

    def said(self, step: int | None) -> str:
        """What is asked, in words; no step of an observable that has one number a run."""
        entry = "" if self.component is None else f", component {self.component},"
        place = "" if step is None else f" at step {step}"
        return f"the mean of {self.observable!r}{entry}{place} to {self.width}"

    def placed(self, reducers: Mapping[str, Reducer], record: np.ndarray) -> int:
        """Where its step stands among the recorded ones.

        Raises
        ------
        InvalidInput
            If the run has no such observable, or does not record the step.
        """
        one_of("until: observable", self.observable, reducers)
        if self.step is None:
            return len(record) - 1
        place = int(np.searchsorted(record, self.step))
        if place == len(record) or record[place] != self.step:
            near = int(record[np.abs(record - self.step).argmin()])
            raise InvalidInput(
                f"until asks for step {self.step}, which is not recorded: name it in record, or take step {near}"
            )
        return place

    def values(self, piece: Ensemble, place: int) -> np.ndarray:
        """The values (paths,) of a piece that count.

        Raises
        ------
        InvalidInput
            If there are several a path and none is named, one is infinite, or an indicator is not 0 or 1.
        """
        values = piece.values[self.observable]
        values = values[:, place] if values.ndim > 1 else values
        if values.ndim > 1:
            count = values.shape[1]
            if self.component is None or self.component >= count:
                got = "names none" if self.component is None else f"names {self.component}"
                raise InvalidInput(
                    f"observable {self.observable!r} has {count} numbers a path, and until {got}: pass component=0 to "
                    f"{count - 1}"
                )
            values = values[:, self.component]
        elif self.component is not None:
            raise InvalidInput(f"observable {self.observable!r} has one number a path: leave component out of until")
        lost = ~np.isfinite(values)
        if lost.any():
            raise OutOfReach(
                f"until cannot be reached: {self.observable!r} is infinite on {lost.sum()} of {len(values)} paths, "
                f"{self._lost(piece, lost)}, or look at a bounded observable, such as an indicator"
            )
        if not self.indicator:
            return values
        others = values[(values != 0) & (values != 1)]
        if others.size:
            raise InvalidInput(
                f"until says that {self.observable!r} is an indicator, but it is {others[0]:g} on a path: leave "
                "indicator out, or return 0 or 1"
            )
        return values == 1

    def _lost(self, piece: Ensemble, lost: np.ndarray) -> str:
        """Why values are infinite, and what to do about it."""
        if (piece.overflow_steps[lost] >= 0).all():
            return "which overflowed: lower the step size"
        if isinstance(piece.observables[self.observable], FirstPassage):
            return "which never came to the level: run longer"
        return "which did not overflow: let it be finite wherever a path can be"


def until_of(value: Any) -> Until:
    """Bring the `until` argument to its form.

    Raises
    ------
    InvalidInput
        If it is neither an `Until` nor a mapping of its settings.
    """
    if isinstance(value, Until):
        return value
    if not isinstance(value, Mapping):
        raise InvalidInput(
            "until must be an ensembles.Until, such as Until('risk', relative=0.01), or a mapping of its settings, "
            f"got {kind(value)}"
        )
    allowed = [field.name for field in fields(Until)]
    for name in value:
        if name not in allowed:
            raise InvalidInput(f"until has no setting {shown(name)}; {nearest(name, allowed)}")
    if "observable" not in value:
        raise InvalidInput("until names no observable: pass one of the run's, such as {'observable': 'risk', ...}")
    return Until(**value)


def sampled_until(
    piece: Callable[[int, int], Ensemble], until: Until, reducers: Mapping[str, Reducer], record: np.ndarray, paths: int
) -> Ensemble:
    """Run pieces until the interval is narrow; `piece` runs a number of paths from a place on.

    Raises
    ------
    OutOfReach
        If a pilot shows that `paths` are too few, or that the values' tail allows no interval.

    Warns
    -----
    IntervalNotReached
        If this shows only once the sample is drawn, which is then the result.
    """
    place = until.placed(reducers, record)
    step = int(record[place]) if reducers[until.observable].shape(len(record), ()) else None
    if paths < FEWEST:
        raise OutOfReach(f"until needs {FEWEST} paths at least to judge by, got paths = {paths}: raise paths")
    rule = until.rule(paths)
    sample, kept = rule.start(), list[Ensemble]()
    while sample.outcome is None:
        if sample.sized and sample.fresh is None:
            kept = []  # the pilot has done its work
        kept.append(piece(sample.taken, sample.wanted - sample.taken))
        sample = rule.seen(sample, until.values(kept[-1], place))
    outcome = sample.outcome
    if not outcome.reached:
        if sample.fresh is None:
            raise OutOfReach(_refusal(outcome, until, step, sample.taken, paths))
        warnings.warn(f"{until.said(step)}: {outcome.why}", IntervalNotReached, stacklevel=4)
    ending = Ending(until.said(step), outcome, until.confidence, sample.taken)
    return replace(joined(kept), ending=ending)


def _refusal(outcome: Outcome, until: Until, step: int | None, taken: int, paths: int) -> str:
    asked = f"{until.said(step)} cannot be reached"
    if not outcome.too_many:
        return (
            f"{asked}: {outcome.why}: pass indicator=True if it is an indicator, or look at an observable that varies; "
            "where nothing is random one path is enough, without until"
        )
    if outcome.tail:
        return (
            f"{asked}{outcome.tail}: lower the step size, or look at a quantile or an indicator, whose intervals need "
            "no variance"
        )
    seen, error = outcome.interval, outcome.interval.half_width
    if until.relative and abs(seen.value) <= error:
        return (
            f"{asked}: after {taken} paths the mean is 0 within its error ({seen.value:.4g} +- {error:.2g}), and no "
            "width is a part of it: pass absolute= as well"
        )
    return (
        f"{asked} with paths = {paths}: it needs about {outcome.needed}, judging by the first {taken} (mean "
        f"{seen.value:.4g} +- {error:.2g}); raise paths, or the width"
    )
