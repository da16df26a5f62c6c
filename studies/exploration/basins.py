"""Sharp and wide wells under additive and multiplicative noise that is alike in spread or in rate of leaving.

A landscape of one's own, with its minima stated:

    wells = UserWells(value, slope, minima=[-1.0, 0.0, 2.0])
    print(explore(Setting("mine", wells, step_size=0.05, multiplicative=1.2, additive=2.0)).exploration)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits import compare, diffusions
from sgdlimits.compare._exploration.driver import FEWEST_PATHS
from sgdlimits.compare._exploration.exact import one_step
from sgdlimits.compare.text_table import TextTable, number, wrapped
from sgdlimits.discrete.escape import (
    BasinLaw, LandscapeDescent, LossNoise, MultiplicativeNoise, NoiseMatch, basin_law, matched,
)  # fmt: skip
from sgdlimits.discrete.escape.well_chain import WellChain
from sgdlimits.exact.errors import (
    InvalidInput, NoStationaryLaw, OutOfReach, instance_of, non_negative, positive, real_number, text, whole_number,
)  # fmt: skip
from sgdlimits.exact.stable_law import StableLaw
from sgdlimits.problems.wells import CosineValley, WellLandscape, Wells, wells_of

SPREAD, RATE = "interquartile_range", "rate"
MULTIPLICATIVE, STABLE = "multiplicative", "stable Langevin"
ENDINGS = {SPREAD: ", equal spread", RATE: ", equal rate"}
ADDITIVE, HOMOGENIZED, LANGEVIN = "additive", "homogenized SGD", "Langevin"
TOLERANCE, CLOSE = 1e-8, 1e-7  # relative, of levels of descents, and of diffusions, whose chain takes longer
ALONE = (
    "all processes but the multiplicative descent are left out, as their noise is matched to its exact law in the well "
    "of the start, which is not known; paths that stay bound its time"
)
FACTOR, REACH = 1.5, 12  # of a search for a level, and how many such to either side
BATCHES = (1, 2, 4, 8, 16, 32, 64)  # of homogenized SGD: the first whose noise can be made so small


def stable_index_of(value: Any) -> float:
    """Of stable Langevin, which has a mean and no variance."""
    if not 1 < real_number("stable_index", value) < 2:
        raise InvalidInput(f"stable_index must be above 1 and below 2, got {value:g}")
    return float(value)


@dataclass(frozen=True, eq=False)
class Setting:
    """A landscape and the multiplicative noise that others are matched to.

    Attributes
    ----------
    name : str
    landscape : WellLandscape
        CosineValley, Wells, or UserWells with minima of one's own.
    step_size : float
    multiplicative, additive : float
        Of the gradient noise: its slope's factor, and what is left where the slope is 0.
    stable_index : float
        Of the noise of stable Langevin.
    substeps : int
        Increments of diffusions in a step: the more, the larger step_size times curvature.

    Raises
    ------
    InvalidInput
        If the landscape does not state its basins, or a number cannot be used.
    """

    name: str
    landscape: WellLandscape
    step_size: float
    multiplicative: float
    additive: float
    stable_index: float = 1.7
    substeps: int = 4

    def __post_init__(self) -> None:
        wells_of(self.landscape)
        checked: dict[str, Any] = {
            "name": text("name", self.name), "step_size": positive("step_size", self.step_size),
            "multiplicative": non_negative("multiplicative", self.multiplicative),
            "additive": positive("additive", self.additive), "stable_index": stable_index_of(self.stable_index),
            "substeps": whole_number("substeps", self.substeps, 1),
        }  # fmt: skip
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def descent(self) -> LandscapeDescent:
        """SGD with multiplicative noise."""
        noise = MultiplicativeNoise(self.multiplicative, self.additive)
        return LandscapeDescent(self.landscape, self.step_size, noise)


@dataclass(frozen=True)
class Match:
    """How the noise of a process was chosen, and its exact law in the well of the start.

    Attributes
    ----------
    process, matched : str
        "interquartile_range", "rate", or words.
    level : float
        Standard deviation of additive noise; of homogenized SGD what is added to the loss; of stable noise its scale.
    interquartile_range, rate : float
        Of the descent whose noise it is; nan where no law is known.
    """

    process: str
    matched: str
    level: float
    interquartile_range: float
    rate: float


@dataclass(frozen=True, eq=False, repr=False)
class Basins:
    """What `explore` found.

    Attributes
    ----------
    setting : Setting
    exploration : compare.Exploration
    matches : sequence of Match
    notes : sequence of str
        Processes that are left out, and why.
    """

    setting: Setting
    exploration: Any
    matches: Sequence[Match]
    notes: Sequence[str]

    def __repr__(self) -> str:
        return "\n\n".join([self.matches_table().text(), str(self.exploration), *map(wrapped, self.notes)])

    def matches_table(self) -> TextTable:
        """How each noise was chosen, with its exact spread and rate of leaving in the well of the start."""
        lines = tuple(
            (number(one.level, 5), number(one.interquartile_range, 5), number(one.rate, 5),
             f"{one.process}: {one.matched.replace('_', ' ')}") for one in self.matches
        )  # fmt: skip
        heads = ("level", "interquartile range", "rate of leaving", "matched in")
        return TextTable(heads, ((f"Noise of each process on {self.setting.name}", lines),), "Noise")

    def has(self, process: str) -> bool:
        """Whether it was not left out."""
        return process in self.exploration.dataset["process"].values

    def exact(self, process: str, quantity: str) -> float:
        """nan where it is not known, or the process was left out."""
        data = self.exploration.dataset["exact"]
        return float(data.sel(process=process, quantity=quantity)) if self.has(process) else math.nan

    def long_run(self, process: str, name: str) -> float:
        """Of the long run and of the quasi-stationary law, as `exact`."""
        return float(self.exploration.dataset[name].sel(process=process)) if self.has(process) else math.nan


def side_by_side(
    widths: Sequence[float], barrier: float, step_size: float, multiplicative: float, additive: float,
    stable_index: float,
) -> Setting:  # fmt: skip
    """Wells behind equal barriers, from the narrowest.

    Raises
    ------
    InvalidInput
        If two wells are equally wide and the widest, a number cannot be used, or descent has no law at a minimum.
    """
    size = np.asarray(widths, dtype=float)
    plain = Wells(size, barrier)
    wells = Wells(size, barrier, start=float(plain.minima[int(size.argmin())]))
    if (size > (1 - 1e-9) * size.max()).sum() > 1:
        raise InvalidInput(f"widths {size.tolist()} have no single widest well, which is the target: widen one of them")
    named = f"wells of widths {', '.join(f'{width:g}' for width in size)}"
    found = Setting(named, wells, step_size, multiplicative, additive, stable_index)
    found.descent()
    return found


def valley(stable_index: float) -> Setting:
    """The cosine valley from -4.75, ten sharp wells about a wide one; noise by which paths move in thousands of steps.

    The parameters are placeholders: those of the published experiment were not to be read.
    """
    return Setting("the cosine valley", CosineValley(wells=5), 0.005, 2.0, 9.0, stable_index, 2)


def explore(
    setting: Setting, steps: int = 10_000, paths: int = 256, seed: int = 0, threads: int | None = None,
    progress: Any = None,
) -> Basins:  # fmt: skip
    """All processes from the start of the landscape, measured and exact.

    Parameters
    ----------
    setting : Setting
    steps, paths : int
        Of each process.
    seed : int
    threads, progress
        As in `simulate`.

    Raises
    ------
    InvalidInput
        If the landscape does not state its basins, or an argument cannot be used.

    Notes
    -----
    Where multiplicative noise leaves the well of the start too rarely for an exact law nothing can be matched to it:
    it is followed alone, and paths that stay bound the time (`Basins.notes` say so). A process that no noise makes like
    it is left out.
    """
    instance_of("setting", setting, Setting, "a landscape with its noise")
    steps, paths = whole_number("steps", steps, 1), whole_number("paths", paths, FEWEST_PATHS)
    made, matches, notes = processes(setting)
    found = compare.exploration(made, steps=steps, paths=paths, seed=seed, threads=threads, progress=progress)
    return Basins(setting, found, matches, notes)


def processes(setting: Setting) -> tuple[dict[str, Any], list[Match], list[str]]:
    """Labels and processes, how their noise was chosen, and what is left out."""
    wells, step = wells_of(setting.landscape), setting.step_size
    sgd = setting.descent()
    made: dict[str, Any] = {MULTIPLICATIVE: sgd}
    try:
        law = basin_law(sgd)
    except OutOfReach as error:
        return made, [Match(MULTIPLICATIVE, "given", setting.additive, np.nan, np.nan)], [f"{ALONE}: {error}"]
    matches = [Match(MULTIPLICATIVE, "given", setting.additive, law.interquartile_range, law.rate)]
    notes: list[str] = []
    for by, ending in ENDINGS.items():
        for label, find in ((ADDITIVE, _additive), (HOMOGENIZED, _homogenized), (LANGEVIN, _langevin)):
            try:
                process, match = find(setting, law, label + ending, by)
            except (InvalidInput, OutOfReach, NoStationaryLaw) as error:
                notes.append(f"{label}{ending} is left out: {error}")
                continue
            made[label + ending] = process
            matches.append(match)
    scale = stable_scale(setting, law)
    made[STABLE] = diffusions.StableLangevin(
        wells, scale, setting.stable_index, step_size=step, substeps=setting.substeps
    )
    matches.append(Match(STABLE, "interquartile range of the harmonic well", scale, np.nan, np.nan))
    return made, matches, notes


def _additive(setting: Setting, law: BasinLaw, label: str, by: str) -> tuple[Any, Match]:
    def make(level: float) -> LandscapeDescent:
        return LandscapeDescent(setting.landscape, setting.step_size, level**2)

    wanted, near = getattr(law, by), max(setting.additive, 1e-3)
    found = matched(wanted, make, by=by, near=near, tolerance=TOLERANCE)
    return found.descent, Match(label, by, found.level, found.law.interquartile_range, found.law.rate)


def _homogenized(setting: Setting, law: BasinLaw, label: str, by: str) -> tuple[Any, Match]:
    batch, near = loss_noise(setting, by)
    wells, step, substeps, base = setting.landscape, setting.step_size, setting.substeps, _base(setting)

    def make(floor: float) -> diffusions.LandscapeDiffusion:
        return diffusions.LandscapeDiffusion.homogenized(wells, step, batch, base + floor, substeps)

    process, match = diffusion_like(make, law, label, by, near.level)
    return process, replace(match, level=base + match.level)


def _base(setting: Setting) -> float:
    """What makes a loss of a landscape whose deepest minimum lies below 0."""
    return max(0.0, -min(well.value for well in setting.landscape.basins))


def _langevin(setting: Setting, law: BasinLaw, label: str, by: str) -> tuple[Any, Match]:
    def make(level: float) -> diffusions.LandscapeDiffusion:
        return diffusions.LandscapeDiffusion(setting.landscape, setting.step_size, level**2, setting.substeps, LANGEVIN)

    return diffusion_like(make, law, label, by, 2 * setting.additive)


def diffusion_like(
    make: Callable[[float], diffusions.LandscapeDiffusion], law: BasinLaw, label: str, by: str, near: float
) -> tuple[diffusions.LandscapeDiffusion, Match]:
    """The diffusion whose law in the well of the start, as it is sampled, has that spread or rate of leaving.

    Raises
    ------
    InvalidInput
        If no level within some hundred times `near` does it.
    """
    from scipy.optimize import brentq

    wanted, seen = getattr(law, by), dict[float, WellChain]()

    def gap(log_level: float) -> float:
        process = make(math.exp(log_level))
        steps, substeps, _ = one_step(process)
        assert steps is not None  # of a LandscapeDiffusion it is known
        seen[log_level] = WellChain(steps, process.landscape, substeps)
        return math.log(getattr(seen[log_level], by) / wanted)

    low = high = math.log(near)
    here = there = gap(low)
    for _ in range(REACH):
        if here * there <= 0 and here != there:
            break
        if here > 0:
            high, there, low = low, here, low - math.log(FACTOR)
            here = gap(low)
        else:
            low, here, high = high, there, high + math.log(FACTOR)
            there = gap(high)
    else:
        reached = [float(getattr(chain, by)) for chain in seen.values()]
        raise InvalidInput(
            f"no level from {math.exp(min(seen)):.3g} to {math.exp(max(seen)):.3g} gives the {by.replace('_', ' ')} "
            f"{wanted:.4g}, but {min(reached):.4g} to {max(reached):.4g}: change step size or noise"
        )
    root = brentq(gap, low, high, xtol=CLOSE)
    if root not in seen:
        gap(root)
    chain = seen[root]
    return make(math.exp(root)), Match(label, by, math.exp(root), chain.interquartile_range, chain.rate)


def loss_noise(setting: Setting, by: str) -> tuple[int, NoiseMatch]:
    """Batch size and floor at which noise of covariance 2 (U + floor) H / batch_size is like the multiplicative one.

    Raises
    ------
    InvalidInput, OutOfReach, NoStationaryLaw
        Of the last batch size, if none serves.
    """
    sgd, refused = setting.descent(), ValueError()
    for batch in BATCHES:
        try:
            return batch, matched(sgd, _with_loss_noise(setting, batch), by=by, near=0.3, tolerance=TOLERANCE)
        except (InvalidInput, OutOfReach, NoStationaryLaw) as error:
            refused = error
    raise refused


def _with_loss_noise(setting: Setting, batch: int) -> Callable[[float], LandscapeDescent]:
    base = _base(setting)
    return lambda floor: LandscapeDescent(setting.landscape, setting.step_size, LossNoise(batch, base + floor))


def stable_scale(setting: Setting, law: BasinLaw) -> float:
    """Scale of stable noise of which the linear force of the well makes a law of that interquartile range."""
    index = setting.stable_index
    curvature = setting.landscape.basins[setting.landscape.home].curvature
    unit = 2 * float(StableLaw(index, 1.0).ppf(np.array([0.75]))[0])
    return float(law.interquartile_range / unit * (index * curvature) ** (1 / index))
