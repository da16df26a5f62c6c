"""The stages of a splitting method on one crowd of paths, in groups that share no path."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sgdlimits.exact.errors import OutOfReach

from .crowd import Crowd
from .engine import Simulator
from .random import Noise, Purpose

Scores = Callable[[np.ndarray], np.ndarray]
Pool = dict[str, np.ndarray]  # states of paths, with the importance and the position of each

GROUPS = 8  # of a crowd
LANES = 128  # paths of a group that run at a time
LONGEST = 200_000  # steps of a trial
SHORTEST_BURN_IN = 64
KEPT = 20_000  # points of a law that are kept


@dataclass(eq=False)
class Crowds:
    """What all stages of one block of groups share."""

    simulator: Simulator
    score: Scores
    level: float
    importance: Scores
    start: np.ndarray
    noise: Noise
    groups: int
    period: int = 1  # steps after which all paths are in the same phase again
    spent: float = 0.0
    outside: list[np.ndarray] = field(default_factory=list)
    settled: Crowd | None = None  # the paths that stay inside: they go on from stage to stage
    ready: np.ndarray | None = None  # of these: who has been home since its last excursion began

    def crowd(self, *labels: int | str) -> Crowd:
        """Fresh paths at the start, with random numbers of their own."""
        noise = self.noise.child(*labels)
        return Crowd(self.simulator, np.tile(self.start, (noise.paths.size, 1)), noise)

    def staying(self, burn_in: int) -> Crowd:
        """The paths that stay inside, after so many steps at least."""
        if self.settled is None:
            self.settled = self.crowd("inside")
            advanced(self, self.settled, burn_in)
        return self.settled

    def look(self, crowd: Crowd) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Importance (P,), whether a path has left, and positions; one past the range of numbers has left."""
        x = crowd.positions()
        self.spent += len(x)
        gone = ~np.isfinite(x).all(axis=1) | (crowd.overflow_steps() >= 0)
        safe = np.where(gone[:, None], self.start, x) if gone.any() else x
        left = gone | (self.score(safe) >= self.level)
        return np.where(left, np.inf, self.importance(safe)), left, x


@dataclass(frozen=True, eq=False)
class GroupRates:
    rates: np.ndarray  # of each group
    inside: np.ndarray
    shares: np.ndarray


def crowds_of(
    number: int, simulator: Simulator, score: Scores, level: float, importance: Scores, start: np.ndarray, seed: int,
    quality: str, period: int = 1,
) -> Crowds:  # fmt: skip
    size = GROUPS * LANES
    noise = Noise(seed, np.arange(number * size, (number + 1) * size, dtype=np.int64), quality)
    return Crowds(simulator, score, level, importance, start, noise, GROUPS, period)


def advanced(block: Crowds, crowd: Crowd, steps: int) -> int:
    """Advance; a path that leaves goes on from where another one of its group stands. How many left."""
    exits = 0
    for _ in range(steps):
        crowd.advance_to(crowd.step + 1)
        _, left, x = block.look(crowd)
        if left.any():
            exits += int(left.sum())
            _revive(block, crowd, left)
    return exits


def _revive(block: Crowds, crowd: Crowd, left: np.ndarray) -> np.ndarray:
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


def counted(block: Crowds, burn_in: int, steps: int) -> GroupRates:
    """Escapes as they come, of paths that are kept inside by copying."""
    crowd = block.staying(burn_in)
    exits, size = np.zeros(block.groups), LANES
    inside: list[np.ndarray] = []
    for k in range(steps):
        crowd.advance_to(crowd.step + 1)
        _, left, x = block.look(crowd)
        if left.any():
            block.outside.append(x[left])
            exits += left.reshape(block.groups, size).sum(axis=1)
            _revive(block, crowd, left)
        if k % 64 == 0 and len(inside) * len(x) < KEPT:
            inside.append(crowd.positions())
    return GroupRates(exits / (steps * size), np.concatenate(inside), np.zeros(0))


def merged(pools: list[Pool]) -> Pool:
    return {name: np.concatenate([each[name] for each in pools]) for name in pools[0]}


def _sorted(pool: Pool) -> Pool:
    order = np.argsort(pool["importance"], kind="stable")
    return {name: values[order] for name, values in pool.items()}


def excursions(
    block: Crowds, home: float, first: float, burn_in: int, wanted: int, flux: float
) -> tuple[list[Pool], np.ndarray, np.ndarray]:
    """States in which excursions begin, their flux a step in each group (G,), and positions on the way.

    `flux`: as far as it is known, for the time that so many excursions take; infinite: until there are so many.
    """
    crowd, groups = block.staying(burn_in), block.groups
    ready = block.look(crowd)[0] < home if block.ready is None else block.ready
    steps = LONGEST if math.isinf(flux) else block.period * max(16, math.ceil(wanted / (flux * LANES * block.period)))
    taken: list[list[Pool]] = [[] for _ in range(groups)]
    count, inside = np.zeros(groups, dtype=int), [np.zeros((0, block.start.size))]
    k = -burn_in if block.ready is None else 0
    while k < steps and (math.isfinite(flux) or count.min() < wanted):
        k += 1
        crowd.advance_to(crowd.step + 1)
        importance, left, x = block.look(crowd)
        begun = ready & (importance >= first)
        if k > 0 and begun.any():  # before, it is only kept in mind who has been home since
            _caught(crowd, begun, importance, x, taken)
            count += begun.reshape(groups, LANES).sum(axis=1)
        ready = (ready | (importance < home)) & ~begun
        if left.any():  # an excursion that ends outside is counted by its trials; the path goes on from another's place
            ready = ready[_revive(block, crowd, left)]
        if k > 0 and k % 32 == 1 and len(inside) * len(x) < KEPT:
            inside.append(crowd.positions())
    block.ready = ready
    if not count.all():
        raise OutOfReach("paths hardly leave the middle of the basin, so no excursion begins: pass a longer burn_in")
    return [merged(each) for each in taken], count / (k * LANES), np.concatenate(inside)


def trials(
    block: Crowds, pools: list[Pool], home: float, target: float, count: int, label: str
) -> tuple[np.ndarray, np.ndarray, list[Pool], np.ndarray]:
    """Run so many trials of each group from states of its pool, until each is at the target, out, or back home.

    Returns the importance (G, count) at which each began, the highest that it saw, the states of each group in which
    the target was reached, and the share of trials that reached it (G,).
    """
    crowd, groups = block.crowd(label), block.groups
    draws = -(-count // LANES)
    uniforms = crowd.noise.uniforms(Purpose.RESAMPLING, 0, draws).reshape(groups, -1)[:, :count]
    sizes = np.array([len(pool["importance"]) for pool in pools])
    whole = merged([_sorted(pool) for pool in pools])
    # One number a group places its starts evenly over the pool, in order of importance: the most even sample there is.
    starts = ((np.arange(count) + uniforms[:, :1]) / count * sizes[:, None]).astype(int)
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
    lane_trial = queue[lane_group, np.minimum(lane_seat, count - 1)]
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
    return begun, tops, [merged(each) for each in caught], hits.mean(axis=1)


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


def _placed(crowd: Crowd, pool: Pool, lanes: np.ndarray, rows: np.ndarray) -> None:
    """Put states of the pool on some paths."""
    if not lanes.size:
        return
    arrays = crowd.dump()
    for name, values in arrays.items():
        values[lanes] = pool[name][rows]
    crowd.state.load(arrays)
