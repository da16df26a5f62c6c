"""The levels of multilevel Monte Carlo: coupled pairs of paths, sampled as a pilot first and then afresh."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlimits.ensembles import Brownian, Gaussian, Noise, coarsen, draw_initial
from sgdlimits.ensembles.intervals import bounded_variance
from sgdlimits.ensembles.summaries import Summary, upper_frequency

from ._expectation import Level
from ._sampled_ends import Observable, observed, one_path, refuse_not_finite, sample_paths
from .solvers import Coefficients, Scheme, SchemeSteps, StepNoise, scheme_simulator

LEVEL_SHIFT = 40  # level l uses paths l 2^40, l 2^40 + 1, ...: levels are independent
NUMBERS_AHEAD = 2**14
FEW = 8  # unusual values below which their size is also taken from the level before
PLANNED = 0.2  # the chance that a pilot's frequency is planned too low


@dataclass(frozen=True, eq=False)
class Setting:
    """What all levels share."""

    coefficients: Coefficients
    scheme: Scheme
    observable: Observable
    initial: Any
    t0: float
    horizon: float
    seed: int
    quality: str
    threads: int | None

    def start(self) -> np.ndarray | None:
        """The common start of all paths (d,), None if it is drawn."""
        return None if isinstance(self.initial, Gaussian) else np.reshape(self.initial, -1)


@dataclass(eq=False)
class LevelSampler:
    """Differences observable(fine) - observable(coarse) of one level, seen so far; level 0 has no coarse path."""

    setting: Setting
    coarsest: int
    level: int = 0
    coarser: LevelSampler | None = None
    pilot: Summary | None = None
    fresh: Summary | None = None
    fine: Summary | None = None
    coarse: Summary | None = None
    lost: bool = field(default=False)

    def __post_init__(self) -> None:
        s = self.setting
        self.steps = self.coarsest * 2**self.level
        self.brownian = Brownian(
            s.horizon, self.steps, s.coefficients.noise_dimension, s.seed, s.quality, s.scheme.areas
        )
        self.simulator = scheme_simulator(SchemeSteps(s.coefficients, s.scheme, self.brownian, s.t0))

    def finer(self) -> LevelSampler:
        return LevelSampler(self.setting, self.coarsest, self.level + 1, self)

    @property
    def dt(self) -> float:
        return self.setting.horizon / self.steps

    @property
    def path_cost(self) -> float:
        """Steps of the scheme a path, on both grids."""
        return self.steps * (1.5 if self.level else 1.0)

    @property
    def taken(self) -> int:
        return sum(part.count for part in (self.pilot, self.fresh) if part is not None)

    @property
    def best(self) -> Summary:
        """The fresh sample, and the pilot as long as there is none."""
        found = self.fresh or self.pilot
        assert found is not None
        return found

    @property
    def error(self) -> float:
        """Standard error of the mean, from the bounded variance."""
        return math.sqrt(self.bounded(self.best) / self.best.count)

    @property
    def correlation(self) -> float:
        """Of observable(fine) and observable(coarse), in the pilot."""
        if not self.level or self.fine is None or self.coarse is None or self.pilot is None:
            return math.nan
        product = math.sqrt(self.fine.variance * self.coarse.variance)
        return (self.fine.variance + self.coarse.variance - self.pilot.variance) / 2 / product if product else math.nan

    def size_known(self) -> bool:
        """Whether the observable is an indicator."""
        return self._pair() is not None

    def size(self) -> float:
        """Mean square of an unusual difference: known for an indicator, else the largest that few of them allow."""
        pair = self._pair()
        if pair is not None:
            return (pair[1] - pair[0]) ** 2
        seen = self.best
        own = seen.variance * seen.count / seen.away if seen.away else 0.0
        return own if seen.away >= FEW or self.coarser is None else max(own, self.coarser.size())

    def bounded(self, seen: Summary) -> float:
        return bounded_variance(seen, self.size())

    def expected(self, paths: float) -> float:
        """The bounded variance that a fresh sample of so many paths will have, one time in five more."""
        seen = self.best
        share = seen.away / seen.count
        if share > 0.5:
            spread = 0.84 * math.sqrt(max(seen.excess + 2, 0.0) / seen.count)
            return self.bounded(seen) * (1 + min(spread, 10.0))
        planned = upper_frequency(seen.away, seen.count, PLANNED)
        size = self.size() if seen.away < FEW else seen.variance / share
        return size * upper_frequency(planned * paths, paths)

    def draw(self, paths: int) -> None:
        """Bring the sample in hand, the pilot or the fresh one, to this number of paths."""
        part = self.pilot if self.fresh is None else self.fresh
        self._add(paths - (part.count if part else 0), self.fresh is not None)

    def draw_fresh(self, paths: int) -> None:
        """Begin the fresh sample."""
        self._add(paths, True)

    def outcome(self) -> Level:
        seen = self.best
        return Level(
            self.dt, seen.count, seen.mean, self.bounded(seen), self.correlation, round(self.taken * self.path_cost)
        )

    def one_path(self) -> bool:
        """Whether no noise moves the paths."""
        s = self.setting
        start = s.start()
        if start is None or np.any(s.coefficients.diffusion(s.t0, start[None]) != 0):
            return False
        fine, _ = self._run(np.arange(16, dtype=np.int64))
        return one_path(s.coefficients, s.t0, start, fine)

    def _pair(self) -> tuple[float, float] | None:
        """The values of the observable, if it is an indicator: level 0 tells."""
        first = self
        while first.coarser is not None:
            first = first.coarser
        assert first.pilot is not None
        pair = first.pilot.pair()
        whole = [part for part in (first.pilot, first.fresh) if part is not None]
        return pair if pair is not None and all(part.within(pair) for part in whole) else None

    def _add(self, count: int, fresh: bool) -> None:
        if count <= 0:
            return
        s = self.setting
        ends = sample_paths(self._sample, self.taken, self.taken + count, self.simulator, s.threads)
        if not np.isfinite(ends.astype(np.float64)).all():
            self.lost = True
            return
        values = ends[:, 0] - ends[:, 1] if self.level else ends[:, 0]
        part = self.fresh if fresh else self.pilot
        part = Summary.of(values) if part is None else part.joined(values)
        if fresh:
            self.fresh = part
            return
        self.pilot = part
        if self.level:
            self.fine = Summary.of(ends[:, 0]) if self.fine is None else self.fine.joined(ends[:, 0])
            self.coarse = Summary.of(ends[:, 1]) if self.coarse is None else self.coarse.joined(ends[:, 1])

    def _sample(self, paths: np.ndarray) -> np.ndarray:
        fine, coarse = self._run(paths)
        s = self.setting
        whole = np.isfinite(fine).all(axis=1) & np.isfinite(coarse).all(axis=1)
        if not whole.all():
            if self.level == 0:
                self._replay(paths)
            values = np.full((len(fine), 2), np.nan)
            return values
        first = observed(s.observable, fine)
        if not self.level:
            return np.stack([first, first], axis=1)
        return np.stack([first.astype(np.float64), observed(s.observable, coarse).astype(np.float64)], axis=1)

    def refuse_lost(self) -> None:
        """Say why the paths of this level were lost."""
        fine, _ = self._run(np.arange(64, dtype=np.int64))
        values = np.full(len(fine), np.nan)
        whole = np.isfinite(fine).all(axis=1)
        values[whole] = observed(self.setting.observable, fine[whole]) if whole.any() else np.nan
        refuse_not_finite(values, fine)

    def _replay(self, paths: np.ndarray) -> None:
        """Run lost paths again, looking at every step: a coefficient that is not finite is named."""
        s = self.setting
        paths = paths + (self.level << LEVEL_SHIFT)
        noise = Noise(s.seed, paths, s.quality)
        self.simulator.advance(self.simulator.start(draw_initial(s.initial, noise), noise), 0, self.steps, noise)

    def _run(self, paths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ends (P, d) of the fine and the coarse path."""
        s = self.setting
        paths = paths + (self.level << LEVEL_SHIFT)
        fine = draw_initial(s.initial, Noise(s.seed, paths, s.quality))
        coarse = fine
        ahead = max(1, NUMBERS_AHEAD // (2 * paths.size * s.coefficients.noise_dimension)) * 2
        with np.errstate(all="ignore"):  # what is lost is told by its values
            for first in range(0, self.steps, ahead):
                w, h = self.brownian.increments(paths, first, min(first + ahead, self.steps))
                for k in range(len(w)):
                    noise = StepNoise(w[k], None if h is None else h[k])
                    fine = s.scheme.step(s.coefficients, s.t0 + (first + k) * self.dt, fine, self.dt, noise)
                if self.level:
                    w, h = coarsen(w, h, 2)
                    for k in range(len(w)):
                        noise = StepNoise(w[k], None if h is None else h[k])
                        t = s.t0 + (first + 2 * k) * self.dt
                        coarse = s.scheme.step(s.coefficients, t, coarse, 2 * self.dt, noise)
        return fine, coarse
