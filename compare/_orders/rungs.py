"""The rungs of a ladder: processes rebuilt at other step sizes, with what the limit holds fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, positive, whole_number
from sgdlimits.exact.ladders import NOISE, STEP_SIZE, Held, Ladder

LONGEST = 10**8  # steps


@dataclass(frozen=True, eq=False)
class Rungs:
    """Settings of every rung, coarsest first.

    Attributes
    ----------
    ladder : Ladder
    sizes : (rungs,) array
        Step sizes.
    batches : (rungs,) array of int, or None
        Batch sizes, where they scale the noise.
    counts : (rungs,) array of int
        Steps to the end.
    time : float
        The end, on the clock of which one step is step_size^power; nearly, where counts had to be rounded.
    """

    ladder: Ladder
    sizes: np.ndarray
    batches: np.ndarray | None
    counts: np.ndarray
    time: float

    @property
    def parameters(self) -> np.ndarray:
        """The small parameter (rungs,)."""
        return self.sizes**self.ladder.power

    def at(self, process: Any, rung: int) -> Any:
        """SGD, or a limit of it, on a rung."""
        batch = None if self.batches is None else int(self.batches[rung])
        return rebuilt(process, self.ladder, float(self.sizes[rung]), batch)


def ladder_of(others: Sequence[Any]) -> Ladder:
    """The ladder that all limits share.

    Raises
    ------
    InvalidInput
        If they do not share one.
    """
    found = {type(process).__name__: getattr(process, "ladder", STEP_SIZE) for process in others}
    if len(set(found.values())) > 1:
        listed = "; ".join(f"{name}: {ladder}" for name, ladder in found.items())
        raise InvalidInput(f"these limits are approached on different ladders ({listed}): compare one kind at a time")
    return next(iter(found.values()))


def rungs_of(
    sgd: Any, ladder: Ladder, steps: int | None, time: float | None, step_sizes: Sequence[float] | None,
    batch_sizes: Sequence[int] | None, rungs: int,
) -> Rungs:  # fmt: skip
    """The rungs from what a user gives, by default `rungs` of them from the SGD as it is."""
    if (steps is None) == (time is None):
        raise InvalidInput("give either steps, counted at the reference's step size, or time, and not both")
    count, first = whole_number("rungs", rungs, 3), float(sgd.step_size)
    by_batches = ladder.scales_noise and not _label_noise_alone(sgd)
    if batch_sizes is not None and not by_batches:
        raise InvalidInput(
            f"batch_sizes are given, but on this ladder ({ladder}) "
            + ("the label noise is scaled, as every batch holds all rows" if ladder.scales_noise else "they stay")
        )
    batches = None
    if by_batches:
        if step_sizes is not None:
            raise InvalidInput(
                f"on this ladder ({ladder}) batch sizes set the step sizes: pass batch_sizes, each a quarter of the "
                "one before for example"
            )
        batches = _batches(sgd, batch_sizes, count)
        noises = np.array([noise_of(sgd, int(batch)) for batch in batches])
        sizes: Any = first * noise_of(sgd, sgd.batch_size) / noises
    elif step_sizes is not None:
        sizes = finite_array("step_sizes", step_sizes, ndim=1)
        if sizes.size < 3 or (sizes <= 0).any() or (np.diff(sizes) >= 0).any():
            raise InvalidInput(f"step_sizes must be at least 3 decreasing positive numbers, got {list(sizes)}")
    else:
        sizes = first * ladder.ratio ** np.arange(count)
    unit = sizes**ladder.power
    horizon = positive("time", time) if steps is None else whole_number("steps", steps, 1) * first**ladder.power
    if horizon / unit[-1] > LONGEST:
        raise InvalidInput(f"time {horizon:g} is more than {LONGEST:g} steps of size {sizes[-1]:g}: shorten it")
    counts = np.rint(horizon / unit)
    off = np.abs(counts * unit / horizon - 1)
    # Without replacement batch sizes give no halves of a step size: the ends then differ a little, on both sides alike.
    allowed = 1e-9 if batches is None or sgd.sampling == "with_replacement" else 0.5 / counts.min()
    if counts.min() < 1 or off.max() > max(allowed, 1e-9):
        worst = sizes[off.argmax()]
        raise InvalidInput(f"time {horizon:g} is no whole number of steps of size {worst:g}; change one of them")
    return Rungs(ladder, sizes, batches, counts.astype(int), float(horizon))


def _batches(sgd: Any, batch_sizes: Sequence[int] | None, rungs: int) -> np.ndarray:
    """Batch sizes, decreasing by 4 by default."""
    if batch_sizes is None:
        found = [sgd.batch_size]
        while len(found) < rungs and found[-1] % 4 == 0:
            found.append(found[-1] // 4)
        if len(found) < 3:
            raise InvalidInput(
                f"batch_size is {sgd.batch_size}, and each rung of this ladder has a quarter of the one before: take a "
                "multiple of 16, 64 or more, pass batch_sizes, or batches of all rows without replacement under label "
                "noise, whose size is scaled instead"
            )
        return np.array(found)
    found = [whole_number("batch_sizes", batch, 1) for batch in batch_sizes]
    if len(found) < 3 or any(b >= a for a, b in zip(found, found[1:])):
        raise InvalidInput(f"batch_sizes must be at least 3 decreasing whole numbers, got {found}")
    return np.array(found)


def _label_noise_alone(sgd: Any) -> bool:
    """Whether every batch holds all rows, so that only the labels are random."""
    samples = getattr(sgd.problem, "samples", None)
    return sgd.sampling == "without_replacement" and samples == sgd.batch_size


def noise_of(sgd: Any, batch_size: int) -> float:
    """Standard deviation of the batch's gradient over that of one sample's."""
    n = getattr(sgd.problem, "samples", None)
    if sgd.sampling == "without_replacement" and n is not None:
        if sgd.label_noise:
            raise InvalidInput(
                "without replacement a batch size scales the noise of rows and of labels by different factors: take "
                "label_noise=0, batches of all rows, or sampling='with_replacement'"
            )
        return float(np.sqrt((n - batch_size) / (batch_size * (n - 1))))
    return float(batch_size**-0.5)


def rebuilt(process: Any, ladder: Ladder, step_size: float, batch_size: int | None) -> Any:
    """The process at another step size, with what the ladder holds fixed; fields of its rule among them."""
    ratio = step_size / process.step_size
    own: set[str] = {field.name for field in fields(process)}
    rule: Any = getattr(process, "rule", None)
    ruled = set() if rule is None else {field.name for field in fields(rule)}
    changes: dict[str, Any] = {"step_size": step_size}
    in_rule: dict[str, Any] = {}
    for held in ladder.held:
        if held.setting == NOISE:
            if batch_size is None:
                changes["label_noise"] = held.at(process.label_noise, ratio)
            else:
                changes["batch_size"] = int(batch_size)
        elif held.setting in own:
            changes[held.setting] = _scaled(held, getattr(process, held.setting), ratio)
        elif held.setting in ruled:
            in_rule[held.setting] = _scaled(held, getattr(rule, held.setting), ratio)
    if in_rule:
        changes["rule"] = replace(rule, **in_rule)
    return replace(process, **changes)


def _scaled(held: Held, value: Any, ratio: float) -> Any:
    if value is None:
        return None
    if isinstance(value, tuple):
        return tuple(held.at(one, ratio) for one in value)
    return held.at(value, ratio)
