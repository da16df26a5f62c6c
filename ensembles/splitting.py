"""Rates of rare escapes from paths: fixed-effort splitting over levels of a score, from the quasi-stationary law on.

A path that climbs from `home` past the first level starts an excursion; from each level's first states, drawn anew,
trials run until they reach the next level or are back home. The flux of excursions times the product of the shares that
get on is the rate (Kahn and Harris 1951; Glasserman et al. 1999; forward flux sampling, Allen et al. 2005). Groups
that share no path give the interval. Levels come from a pilot whose paths are not used again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.exact.threads import thread_pool, threads_of

from .blas_threads import one_blas_thread
from .crowd import Crowd
from .engine import Simulator
from .random import Noise, Purpose

Scores = Callable[[np.ndarray], np.ndarray]

GROUPS, BLOCKS = 16, 4  # groups, and crowds that hold four of them each
LANES = 256  # paths of a group that run at a time
PILOT = 512  # trials a level and group of the pilot
SHARE = 0.25  # of trials that should reach the next level
SHARES = (0.25, 0.15, 0.1, 0.06, 0.03, 0.015)  # the same where most of those that do began there
HOME, FIRST = 0.5, 0.9  # quantiles of the score inside, of the two ends of an excursion's start
OFTEN = 1e-4  # rate from which escapes are counted as they come
SPREAD = 2.5  # by which trials that share ancestors spread more than independent ones
RERUNS = 3
MOST_PATH_STEPS = 4e8  # after which no longer run is begun
MOST_LEVELS = 120
LONGEST = 200_000  # steps of a trial
SHORTEST_BURN_IN, LONGEST_BURN_IN = 64, 50_000
KEPT = 20_000  # points of a law that are kept
LEAST = 1e-40  # rate that is looked for


@dataclass(frozen=True, eq=False)
class SplitRate:
    """A rate of escape, measured.

    Attributes
    ----------
    rate, half_width : float
        Per step, and half of the interval at `confidence` (Student's t over groups).
    confidence : float
    levels : tuple of float
        Of the importance; empty where escapes were counted as they came.
    shares : tuple of float
        Of trials that got on from each level.
    inside : (n, d) array
        Paths that have not left for a long time.
    outside : (m, d) array
        Where paths were when they had left.
    groups : (G,) array
        Each group's own rate.
    path_steps : float
        Steps of all paths.
    """

    rate: float
    half_width: float
    confidence: float
    levels: tuple[float, ...]
    shares: tuple[float, ...]
    inside: np.ndarray
    outside: np.ndarray
    groups: np.ndarray
    path_steps: float


@dataclass(eq=False)
class _Crowds:
    """What all stages of one block of groups share."""

    simulator: Simulator
    score: Scores
    level: float
    importance: Scores
    start: np.ndarray
    noise: Noise
    groups: int
    spent: float = 0.0
    outside: list[np.ndarray] = field(default_factory=list)

    def crowd(self, *labels: int | str) -> Crowd:
        """Fresh paths at the start, with random numbers of their own."""
        noise = self.noise.child(*labels)
        return Crowd(self.simulator, np.tile(self.start, (noise.paths.size, 1)), noise)

    def look(self, crowd: Crowd) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Importance (P,), whether a path has left, and positions; one past the range of numbers has left."""
        x = crowd.positions()
        self.spent += len(x)
        gone = ~np.isfinite(x).all(axis=1) | (crowd.overflow_steps() >= 0)
        safe = np.where(gone[:, None], self.start, x) if gone.any() else x
        left = gone | (self.score(safe) >= self.level)
        return np.where(left, np.inf, self.importance(safe)), left, x


def splitting_rate(
    simulator: Simulator, start: np.ndarray, score: Scores, level: float, importance: Scores | None = None,
    tolerance: float = 0.1, seed: int = 0, confidence: float = 0.95, burn_in: int | None = None,
    threads: int | None = None, quality: str = "float32",
) -> SplitRate:  # fmt: skip
    """Rate at which paths leave {score < level}, per step, once those that stay have forgotten their start.

    Parameters
    ----------
    simulator : Simulator
        Of a process whose steps do not depend on their number.
    start : array (d,)
        Inside.
    score, importance : functions of positions (P, d) with values (P,)
        Levels are taken of the importance, by default the score: any function gives the right rate, one that grows
        towards the exit gives it soon.
    tolerance : float
        Half of the interval, over the rate, that is asked for.
    seed, threads, quality
        As in `run`; results do not depend on `threads`.
    burn_in : int, optional
        Steps before anything is counted; default: until the mean of the importance stays.

    Raises
    ------
    InvalidInput
        If the process cannot be copied from path to path.
    OutOfReach
        If the rate is below what can be seen, or trials neither come back nor get on.
    """
    importance = score if importance is None else importance
    blocks = [
        _block(number, simulator, score, level, importance, start, seed, quality) for number in range(BLOCKS)
    ]
    with one_blas_thread(), thread_pool(min(threads_of(threads), BLOCKS)) as pool:
        burn_in = _burn_in(blocks[0]) if burn_in is None else burn_in
        counted = list(pool.map(lambda one: _counted(one, burn_in, 4 * SHORTEST_BURN_IN, "look"), blocks))
        often = float(np.mean([each.rates for each in counted]))
        pilot = None if often > OFTEN else _pilot(blocks[0], burn_in)
        wanted = _first_size(tolerance, often, pilot)
        for run in range(RERUNS):
            for one in blocks:
                one.outside.clear()
            if pilot is None:
                size = max(wanted / (often * GROUPS * LANES), 4.0 * SHORTEST_BURN_IN)
                found = list(pool.map(lambda one: _counted(one, burn_in, math.ceil(size), f"count {run}"), blocks))
            else:
                size = max(wanted / GROUPS, PILOT)
                found = list(pool.map(lambda one: _split(one, burn_in, pilot, math.ceil(size), f"split {run}"), blocks))
            rates = np.concatenate([each.rates for each in found])
            rate, half = _interval(rates, confidence)
            if half <= tolerance * rate:
                break
            spent = sum(one.spent for one in blocks)
            factor = min(max(1.3 * (half / (tolerance * rate)) ** 2, 1.3), 30.0) if rate else 4.0
            if spent * (1 + factor) > MOST_PATH_STEPS:
                break
            wanted *= factor
    if not rate > LEAST:
        raise OutOfReach(f"the rate is below {LEAST:g} a step, where it cannot be seen: raise the noise", about=rate)
    inside = np.concatenate([each.inside for each in found])[:KEPT]
    outside = np.concatenate([np.zeros((0, start.size)), *(x for one in blocks for x in one.outside)])
    outside = outside[np.isfinite(outside).all(axis=1)][:KEPT]
    shares = np.mean([each.shares for each in found], axis=0) if pilot else np.zeros(0)
    return SplitRate(
        rate, half, confidence, () if pilot is None else pilot.levels, tuple(map(float, shares)), inside, outside, rates,
        sum(one.spent for one in blocks),
    )  # fmt: skip


def escapes_often(
    simulator: Simulator, start: np.ndarray, score: Scores, level: float, burn_in: int, seed: int
) -> bool:
    """Whether escapes are so frequent that they can be counted as they come, by a look at some paths."""
    block = _block(0, simulator, score, level, score, start, seed, "float32")
    with one_blas_thread():
        return float(_counted(block, burn_in, 4 * SHORTEST_BURN_IN, "look").rates.mean()) > OFTEN


def _block(
    number: int, simulator: Simulator, score: Scores, level: float, importance: Scores, start: np.ndarray, seed: int,
    quality: str,
) -> _Crowds:  # fmt: skip
    size = GROUPS // BLOCKS * LANES
    noise = Noise(seed, np.arange(number * size, (number + 1) * size, dtype=np.int64), quality)
    return _Crowds(simulator, score, level, importance, start, noise, GROUPS // BLOCKS)


@dataclass(frozen=True, eq=False)
class _Pilot:
    home: float
    levels: tuple[float, ...]  # of the importance; the last, infinite, is the exit
    flux: float
    shares: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Found:
    rates: np.ndarray  # of each group
    inside: np.ndarray
    shares: np.ndarray


def _interval(rates: np.ndarray, confidence: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    error = rates.std(ddof=1) / math.sqrt(rates.size)
    return float(rates.mean()), float(stdtrit(rates.size - 1, (1 + confidence) / 2) * error)


def _first_size(tolerance: float, often: float, pilot: _Pilot | None) -> float:
    """Escapes, or trials a level, that the tolerance asks for."""
    once = (2.1 / tolerance) ** 2
    return 1.5 * once if pilot is None else SPREAD * once * sum((1 - p) / p for p in pilot.shares)


def _burn_in(block: _Crowds) -> int:
    """Steps after which the mean importance of paths stays: twice no change between halves of a doubled time."""
    crowd, steps, calm, before = block.crowd("burn-in"), SHORTEST_BURN_IN, 0, math.nan
    while steps < LONGEST_BURN_IN:
        _advanced(block, crowd, steps - crowd.step)
        values = block.look(crowd)[0]
        values = values[np.isfinite(values)]
        if not values.size:
            raise OutOfReach("no path stays in the basin for a burn-in: the rate is near 1 a step, so measure it directly")
        mean, error = float(values.mean()), float(values.std()) / math.sqrt(values.size)
        calm = calm + 1 if abs(mean - before) <= 3 * error else 0
        if calm == 2:
            return steps
        before, steps = mean, 2 * steps
    raise OutOfReach(
        f"paths have not settled in the basin after {LONGEST_BURN_IN} steps: pass burn_in, or raise the step size"
    )


def _advanced(block: _Crowds, crowd: Crowd, steps: int) -> int:
    """Advance; a path that leaves goes on from where another one of its group stands. How many left."""
    exits = 0
    for _ in range(steps):
        crowd.advance_to(crowd.step + 1)
        _, left, x = block.look(crowd)
        if left.any():
            exits += int(left.sum())
            _revive(block, crowd, left)
    return exits


def _revive(block: _Crowds, crowd: Crowd, left: np.ndarray) -> np.ndarray:
    """Parents (P,) of all paths, after those that left took the place of others of their group."""
    size = left.size // block.groups
    parents = np.arange(left.size)
    marks = crowd.noise.uniforms(Purpose.RESAMPLING, crowd.step, 1)[:, 0]
    for group in range(block.groups):
        mine = np.arange(group * size, (group + 1) * size)
        living = mine[~left[mine]]
        if not living.size:
            raise OutOfReach("all paths left the basin in one step: the rate is near 1, so measure it directly")
        dead = mine[left[mine]]
        parents[dead] = living[(marks[dead] * living.size).astype(int)]
    crowd.take(parents)
    return parents


def _counted(block: _Crowds, burn_in: int, steps: int, label: str) -> _Found:
    """Escapes as they come, of paths that are kept inside by copying."""
    crowd = block.crowd(label)
    _advanced(block, crowd, burn_in)
    exits, size, inside = np.zeros(block.groups), LANES, []
    for k in range(steps):
        crowd.advance_to(crowd.step + 1)
        _, left, x = block.look(crowd)
        if left.any():
            block.outside.append(x[left])
            exits += left.reshape(block.groups, size).sum(axis=1)
            _revive(block, crowd, left)
        if k % 64 == 0 and len(inside) * len(x) < KEPT:
            inside.append(crowd.positions())
    return _Found(exits / (steps * size), np.concatenate(inside), np.zeros(0))


def _pilot(block: _Crowds, burn_in: int) -> _Pilot:
    """Place home, the first level and the others, each where a quarter of the trials gets from the one before."""
    crowd, values = block.crowd("pilot"), []
    _advanced(block, crowd, burn_in)
    for k in range(4 * SHORTEST_BURN_IN):
        _advanced(block, crowd, 1)
        if k % 4 == 0:
            values.append(block.look(crowd)[0])
    seen = np.concatenate(values)
    seen = seen[np.isfinite(seen)]
    home, first = np.quantile(seen, HOME), np.quantile(seen, FIRST)
    if not home < first:
        raise InvalidInput(
            "the score has the same value at most places where paths are, so no levels can be put: let it grow with the "
            "distance from the minimum"
        )
    starts, flux, _ = _excursions(block, home, first, burn_in, PILOT, "pilot flux", math.inf)
    rate, levels, shares = float(flux.mean()), [float(first)], []
    while len(levels) < MOST_LEVELS and rate > LEAST:
        begun, reached = _trials(block, starts, home, math.inf, PILOT, f"pilot {len(levels)}")[:2]
        share = float(np.isinf(reached).mean())
        if share >= SHARE / 2:
            return _Pilot(float(home), (*levels, math.inf), float(flux.mean()), (*shares, share))
        level = _next_level(begun.ravel(), reached.ravel(), levels[-1])
        if level is None:
            break
        starts, got = _trials(block, starts, home, level, PILOT, f"pilot pool {len(levels)}")[2:]
        if not all(len(each["importance"]) for each in starts):
            starts = [_merged(starts)] * block.groups
        rate *= float(got.mean())
        shares.append(float(got.mean()))
        levels.append(level)
    raise OutOfReach(
        f"the rate is below about {rate:.2g} a step, where it cannot be seen: no path got past {levels[-1]:.6g} on its "
        "way out. Either no path can leave, or single steps are so large beside the basin that nothing is gained by "
        'going on from where some paths came: pass method="transfer" where it is known, or raise the noise', about=rate,
    )  # fmt: skip


def _next_level(begun: np.ndarray, reached: np.ndarray, last: float) -> float | None:
    """Where a quarter of the trials get, or fewer, until half of these have climbed; None where none has."""
    finite = reached[np.isfinite(reached)]
    for share in SHARES:
        level = float(np.quantile(finite, 1 - share, method="higher"))
        there = reached >= level
        if level > last and (reached > begun)[there].mean() >= 0.5:
            return level
    return level if level > last and (reached > begun)[there].any() else None


def _merged(pools: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([each[name] for each in pools]) for name in pools[0]}


def _excursions(
    block: _Crowds, home: float, first: float, burn_in: int, wanted: int, label: str, flux: float
) -> tuple[list[dict[str, np.ndarray]], np.ndarray, np.ndarray]:
    """States in which excursions begin, their flux a step in each group (G,), and positions on the way.

    `flux`: as far as it is known, for the time that so many excursions take; infinite: until there are so many.
    """
    crowd, groups = block.crowd(label), block.groups
    _advanced(block, crowd, burn_in)
    importance, _, _ = block.look(crowd)
    ready = importance < home
    steps = LONGEST if math.isinf(flux) else max(16, math.ceil(wanted / (flux * LANES)))
    taken: list[list[dict[str, np.ndarray]]] = [[] for _ in range(groups)]
    count, inside, k = np.zeros(groups, dtype=int), [crowd.positions()], 0
    while k < steps and (math.isfinite(flux) or count.min() < wanted):
        k += 1
        crowd.advance_to(crowd.step + 1)
        importance, left, x = block.look(crowd)
        begun = ready & (importance >= first)
        if begun.any():
            _caught(crowd, begun, importance, x, taken)
            count += begun.reshape(groups, LANES).sum(axis=1)
        ready = (ready | (importance < home)) & ~begun
        if left.any():  # an excursion that ends outside is counted by its trials; the path goes on from another's place
            ready = ready[_revive(block, crowd, left)]
        if k % 32 == 0 and len(inside) * len(x) < KEPT:
            inside.append(crowd.positions())
    if not count.all():
        raise OutOfReach("paths hardly ever leave the middle of the basin, so no excursion begins: pass a longer burn_in")
    return [_merged(each) for each in taken], count / (k * LANES), np.concatenate(inside)


def _trials(
    block: _Crowds, pools: list[dict[str, np.ndarray]], home: float, target: float, trials: int, label: str
) -> tuple[np.ndarray, np.ndarray, list[dict[str, np.ndarray]], np.ndarray]:
    """Run so many trials of each group from states of its pool, until each is at the target, out, or back home.

    Returns the importance (G, trials) at which each began, the highest that it saw, the states of each group in which
    the target was reached, and the share of trials that reached it (G,).
    """
    crowd, groups = block.crowd(label), block.groups
    draws = -(-trials // LANES)
    uniforms = crowd.noise.uniforms(Purpose.RESAMPLING, 0, draws).reshape(groups, -1)[:, :trials]
    sizes = np.array([len(pool["importance"]) for pool in pools])
    whole = _merged(pools)
    # One number a group places its starts evenly over the pool: the most even sample there is.
    starts = ((np.arange(trials) + uniforms[:, :1]) / trials * sizes[:, None]).astype(int)
    starts += (np.cumsum(sizes) - sizes)[:, None]
    begun = whole["importance"][starts]
    tops = begun.copy()
    hits = tops >= target  # a step may have led past several levels at once
    caught = [[{name: values[starts[group, hits[group]]] for name, values in whole.items()}] for group in range(groups)]
    if math.isinf(target):
        block.outside.extend(each[0]["position"] for each in caught)
    queue = np.argsort(hits, axis=1, kind="stable")  # those that must run come first
    ahead = (~hits).sum(axis=1)
    lane_group = np.repeat(np.arange(groups), LANES)
    lane_seat = np.tile(np.arange(LANES), groups)
    running = lane_seat < ahead[lane_group]
    lane_trial = queue[lane_group, np.minimum(lane_seat, trials - 1)]
    _placed(crowd, whole, np.flatnonzero(running), starts[lane_group[running], lane_trial[running]])
    waiting = np.full(groups, LANES)
    for _ in range(LONGEST):
        if not running.any():
            break
        crowd.advance_to(crowd.step + 1)
        importance, left, x = block.look(crowd)
        live = np.flatnonzero(running)
        seats = lane_group[live], lane_trial[live]
        tops[seats] = np.maximum(tops[seats], importance[live])
        hit = running & (importance >= target)
        done = hit | running & (importance < home)
        if not done.any():
            continue
        if hit.any():
            hits[lane_group[hit], lane_trial[hit]] = True
            if math.isinf(target):
                block.outside.append(x[hit])
            else:
                _caught(crowd, hit, importance, x, caught)
        running &= ~done
        ended = np.flatnonzero(done)
        seat = waiting[lane_group[ended]] + _ranks(lane_group[ended])
        waiting += np.bincount(lane_group[ended], minlength=groups)
        more = seat < ahead[lane_group[ended]]
        again = ended[more]
        lane_trial[again] = queue[lane_group[again], seat[more]]
        running[again] = True
        _placed(crowd, whole, again, starts[lane_group[again], lane_trial[again]])
    else:
        raise OutOfReach(
            f"some trials are neither back home nor out after {LONGEST} steps: they sit in another well inside the "
            "basin; draw the basin more narrowly"
        )
    return begun, tops, [_merged(each) for each in caught], hits.mean(axis=1)


def _caught(crowd: Crowd, which: np.ndarray, importance: np.ndarray, x: np.ndarray, pools: list) -> None:
    """Add the states of some paths to the pools of their groups."""
    arrays = crowd.dump() | {"importance": importance, "position": x}
    for group in np.unique(np.flatnonzero(which) // LANES):
        mine = np.flatnonzero(which[group * LANES : (group + 1) * LANES]) + group * LANES
        pools[group].append({name: values[mine] for name, values in arrays.items()})


def _ranks(groups: np.ndarray) -> np.ndarray:
    """How many before it are of the same group, of sorted groups (n,)."""
    first = np.r_[True, np.diff(groups) > 0]
    begin = np.maximum.accumulate(np.where(first, np.arange(groups.size), 0))
    return np.arange(groups.size) - begin


def _placed(crowd: Crowd, pool: dict[str, np.ndarray], lanes: np.ndarray, rows: np.ndarray) -> None:
    """Put states of the pool on some paths."""
    if not lanes.size:
        return
    arrays = crowd.dump()
    for name, values in arrays.items():
        values[lanes] = pool[name][rows]
    crowd.state.load(arrays)


def _split(block: _Crowds, burn_in: int, pilot: _Pilot, trials: int, label: str) -> _Found:
    pools, rates, inside = _excursions(
        block, pilot.home, pilot.levels[0], burn_in, trials, f"{label} flux", pilot.flux
    )
    shares = []
    for number, target in enumerate(pilot.levels[1:]):
        _, _, reached, share = _trials(block, pools, pilot.home, target, trials, f"{label} level {number}")
        rates, shares = rates * share, [*shares, float(share.mean())]
        if target == pilot.levels[-1]:
            break
        sizes = [len(pool["importance"]) for pool in reached]
        if not any(sizes):
            raise OutOfReach(f"no trial got past level {number + 1} of {len(pilot.levels)}: raise tolerance's effort")
        # A group without a path that got on is worth 0, whatever the later levels say: others lend it theirs.
        pools = [pool if size else _merged(reached) for pool, size in zip(reached, sizes, strict=True)]
    return _Found(rates, inside, np.array(shares))
