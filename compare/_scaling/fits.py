"""Exponents of curves over many draws of the features, where a term of the theory rules; elsewhere none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..estimates import half_width, jackknife_error, student_quantile
from .theory import FLOOR, KERNEL, SPECTRUM, PowerLaws, Terms

if TYPE_CHECKING:
    import xarray

RULES = 3.0  # times the sum of the other terms, from which on a term rules a curve
DECADE = 10.0  # last over first step that a window has at least
LATE, SOON = 10.0, 0.01  # 2 eta k from which on powers hold; the same times the smallest eigenvalue up to which
LEVEL = 0.95
FEWEST = 3  # dimensions, crossings
FINE = 400  # places at which two curves are compared
NOISELESS, MEMORY, LOSS, OVER_DIMENSION = "noiseless descent", "noise", "loss of SGD", "least loss"
FRONTIER = ("frontier: loss", "frontier: dimension")
NOT_REACHED, COVERS, FINITE_SIZE = "not reached", "covers", "finite size"


@dataclass(frozen=True)
class Exponent:
    """One exponent: measured, derived, and what the derivation gives in these dimensions by the same fit.

    Attributes
    ----------
    curve, term : str
        Of which, and the term that rules it.
    derived : float
    here : float
        From derived means over draws in these dimensions, by the same fit; nan where nothing is fitted.
    measured, low, high : float
        With a 95 % interval over draws of the features; nan where the phase is not reached.
    first, last : float
        Where it is fitted: steps, dimensions, or steps times dimension.
    """

    curve: str
    term: str
    derived: float
    here: float = math.nan
    measured: float = math.nan
    low: float = math.nan
    high: float = math.nan
    first: float = math.nan
    last: float = math.nan

    @property
    def reached(self) -> bool:
        """Whether there is anything to fit."""
        return math.isfinite(self.measured)

    @property
    def verdict(self) -> str:
        """What the numbers say of the derived exponent."""
        if not self.reached:
            return NOT_REACHED
        if self.low <= self.derived <= self.high:
            return COVERS
        if self.low <= self.here <= self.high:
            return FINITE_SIZE
        return f"off by {self.measured - self.derived:+.2g}"


def exponents(dataset: xarray.Dataset) -> list[Exponent]:
    """All exponents of one pair of power laws: of curves at the largest dimension, of the floor, of the frontier."""
    laws, steps = laws_of(dataset), dataset["step"].values
    dimension = int(dataset["dimension"].values[-1])
    terms, largest = terms_of(dataset, dimension), dataset.sel(dimension=dimension)
    late = np.maximum(steps, 1)
    found = []
    curves: tuple[tuple[str, str, Mapping[str, np.ndarray], np.ndarray], ...] = (
        (NOISELESS, "noiseless", terms.noiseless(late), terms.mean_noiseless(late)),
        (MEMORY, "kernel", {KERNEL: terms.kernel(late)}, terms.mean_kernel(late)),
        (LOSS, "risk", terms.loss(late), terms.mean_loss(late)),
    )
    steep = laws.exponents[KERNEL] >= laws.exponents[SPECTRUM]  # then the kernel never rules a loss
    for curve, name, parts, theory in curves:
        for term in parts:
            if term == FLOOR or (curve == LOSS and term == KERNEL and steep):
                continue
            window = _window(term, parts, terms, steps)
            derived = laws.exponents[term]
            found.append(_along(curve, term, derived, largest[name].values, theory, steps, window))
    found.append(_floor(dataset, laws))
    return found + _frontier(dataset, laws)


def laws_of(dataset: xarray.Dataset) -> PowerLaws:
    """The power laws that the dataset is about."""
    return PowerLaws(dataset.attrs["alpha"], dataset.attrs["beta"])


def terms_of(dataset: xarray.Dataset, dimension: int) -> Terms:
    """The terms at one of its dimensions."""
    told = dataset.attrs
    ambient = int(dataset["ambient"].sel(dimension=dimension))
    return laws_of(dataset).at(dimension, ambient, told["step_size"], told["batch_size"])


def _window(term: str, parts: Mapping[str, np.ndarray], terms: Terms, steps: np.ndarray) -> np.ndarray:
    """Places of the longest run of steps at which the term rules; empty if that is no decade."""
    others = sum(values for name, values in parts.items() if name != term)
    time = 2 * terms.step_size * steps
    rules = (parts[term] >= RULES * others) & (time >= LATE) & (time * terms.kappa <= SOON)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rules.astype(int), [0]])))
    runs = sorted(edges.reshape(-1, 2).tolist(), key=lambda run: run[0] - run[1])
    for first, last in runs[:1]:
        if steps[last - 1] >= DECADE * steps[first]:
            return np.arange(first, last)
    return np.arange(0)


def _along(
    curve: str, term: str, derived: float, values: np.ndarray, theory: np.ndarray, steps: np.ndarray,
    window: np.ndarray,
) -> Exponent:  # fmt: skip
    if not window.size:
        return Exponent(curve, term, derived)
    x = np.log(steps[window])
    slopes = -_slopes(x, np.log(values[:, window]))
    here = -float(_slopes(x, np.log(theory[window])[None])[0])
    return Exponent(curve, term, derived, here, *_mean(slopes), float(steps[window[0]]), float(steps[window[-1]]))


def _floor(dataset: xarray.Dataset, laws: PowerLaws) -> Exponent:
    """Of the floor over dimensions, draw by draw."""
    dimensions, derived = dataset["dimension"].values, laws.exponents[FLOOR]
    if dimensions.size < FEWEST:
        return Exponent(OVER_DIMENSION, FLOOR, derived)
    x = np.log(dimensions)
    slopes = -_slopes(x, np.log(dataset["floor"].transpose("redraw", "dimension").values))
    expected = np.array([terms_of(dataset, int(dimension)).floor for dimension in dimensions])
    here = -float(_slopes(x, np.log(expected)[None])[0])
    return Exponent(
        OVER_DIMENSION, FLOOR, derived, here, *_mean(slopes), float(dimensions[0]), float(dimensions[-1])
    )


def frontier_of(dataset: xarray.Dataset, curve: str) -> Exponent:
    """The exponent of the compute-optimal loss of another curve of the dataset: "poisson", "homogenized"."""
    return _frontier(dataset.assign(risk=dataset[curve]), laws_of(dataset))[0]


def _frontier(dataset: xarray.Dataset, laws: PowerLaws) -> list[Exponent]:
    """Of the compute-optimal loss and dimension, over steps times dimension; the interval by a jackknife over draws."""
    names, words = FRONTIER, " = ".join(laws.balanced)
    balanced, steps = laws.balanced, dataset["step"].values
    dimensions = dataset["dimension"].values
    every = [terms_of(dataset, int(dimension)) for dimension in dimensions]
    parts = [terms.loss(np.maximum(steps, 1)) for terms in every]
    whole = np.stack([np.sum(list(part.values()), axis=0) for part in parts])
    theory = np.stack([terms.mean_loss(np.maximum(steps, 1)) for terms in every])
    ruled = np.stack([np.sum([part[name] for name in balanced], axis=0) for part in parts])
    ruled = (ruled >= RULES * (whole - ruled)) & (2 * dataset.attrs["step_size"] * steps >= LATE)
    values = dataset["risk"].transpose("redraw", "dimension", "step").values
    mean = crossings(values.mean(axis=0), steps, dimensions)
    kept = [
        place
        for place, crossing in enumerate(mean)
        if crossing is not None and all(
            ruled[side, np.searchsorted(steps, min(crossing[0] / dimensions[side], steps[-1]))]
            for side in (place, place + 1)
        )
    ]  # fmt: skip
    derived = laws.frontier
    if len(kept) < FEWEST:
        return [Exponent(name, words, exponent) for name, exponent in zip(names, derived)]

    def fitted(curves: np.ndarray) -> np.ndarray:
        found = crossings(curves, steps, dimensions)
        points = [(place, found[place]) for place in kept]
        flops = np.log([point[0] for _, point in points if point is not None])
        loss = np.log([point[1] for _, point in points if point is not None])
        middle = np.log([math.sqrt(dimensions[i] * dimensions[i + 1]) for i, point in points if point is not None])
        return np.array([-_slopes(flops, loss[None])[0], _slopes(flops, middle[None])[0]])

    count = len(values)
    whole_fit, here = fitted(values.mean(axis=0)), fitted(theory)
    parts_fit = np.array([fitted(np.delete(values, draw, axis=0).mean(axis=0)) for draw in range(count)])
    half = student_quantile(LEVEL, count - 1) * jackknife_error(parts_fit)
    ends = [mean[kept[0]], mean[kept[-1]]]
    first, last = (end[0] if end is not None else math.nan for end in ends)
    return [
        Exponent(name, words, derived[i], here[i], whole_fit[i], whole_fit[i] - half[i], whole_fit[i] + half[i], first,
                 last)
        for i, name in enumerate(names)
    ]  # fmt: skip


def crossings(
    losses: np.ndarray, steps: np.ndarray, dimensions: np.ndarray
) -> list[tuple[float, float] | None]:
    """Where the larger of two neighbouring dimensions becomes the better one: (steps times dimension, loss).

    Parameters
    ----------
    losses : array (dimensions, steps)
    """
    moved = steps > 0
    logs = np.log(steps[moved])
    found: list[tuple[float, float] | None] = []
    for place in range(len(dimensions) - 1):
        small, large = np.log(dimensions[place]), np.log(dimensions[place + 1])
        flops = np.linspace(logs[0] + large, logs[-1] + small, FINE)
        one, other = (
            np.interp(flops, logs + size, np.log(losses[place + side, moved]))
            for side, size in enumerate((small, large))
        )
        turns = np.flatnonzero((one[:-1] <= other[:-1]) & (one[1:] > other[1:]))
        if not turns.size:
            found.append(None)
            continue
        at = int(turns[-1])
        gap = other - one
        part = gap[at] / (gap[at] - gap[at + 1])
        here, level = (float(line[at] + part * (line[at + 1] - line[at])) for line in (flops, one))
        found.append((math.exp(here), math.exp(level)))
    return found


def _slopes(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Slopes (R,) of lines through values (R, n) at x (n,)."""
    centred = x - x.mean()
    return np.asarray(values @ centred / (centred @ centred))


def _mean(slopes: np.ndarray) -> tuple[float, float, float]:
    """Mean and interval over draws."""
    mean = float(slopes.mean())
    half = float(half_width(slopes, LEVEL))
    return mean, mean - half, mean + half
