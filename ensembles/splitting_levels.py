"""Where the levels of a splitting method are put, and a run over all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, OutOfReach

from .splitting_stages import SHORTEST_BURN_IN, Crowds, GroupRates, advanced, excursions, merged, trials

PILOT = 256  # trials a level and group of the pilot
SHARE = 0.25  # of trials that should reach the next level
SHARES = (0.25, 0.15, 0.1, 0.06, 0.03, 0.015)  # the same where most of those that do began there
HOME, FIRST = 0.5, 0.9  # quantiles of the importance inside: where an excursion ends, and where it begins
MOST_LEVELS = 120
LONGEST_BURN_IN = 50_000
LEAST = 1e-40  # rate that is looked for


@dataclass(frozen=True, eq=False)
class Pilot:
    home: float
    levels: tuple[float, ...]  # of the importance; the last, infinite, is the exit
    flux: float
    shares: tuple[float, ...]


def burn_in_of(block: Crowds) -> int:
    """Steps after which the mean importance of paths stays: twice no change between halves of a doubled time."""
    crowd, steps, calm, before = block.crowd("burn-in"), SHORTEST_BURN_IN, 0, math.nan
    while steps < LONGEST_BURN_IN:
        advanced(block, crowd, steps - crowd.step)
        values = block.look(crowd)[0]
        values = values[np.isfinite(values)]
        if not values.size:
            raise OutOfReach("no path stays in the basin for a burn-in: its rate is near 1 a step, no rare escape")
        mean, error = float(values.mean()), float(values.std()) / math.sqrt(values.size)
        calm = calm + 1 if abs(mean - before) <= 3 * error else 0
        if calm == 2:
            return steps
        before, steps = mean, 2 * steps
    raise OutOfReach(
        f"paths have not settled in the basin after {LONGEST_BURN_IN} steps: pass burn_in, or raise the step size"
    )


def pilot_of(block: Crowds, burn_in: int) -> Pilot:
    """Place home, the first level and the others, each where a quarter of the trials gets from the one before."""
    crowd, values = block.staying(burn_in), []
    for k in range(4 * SHORTEST_BURN_IN):
        advanced(block, crowd, 1)
        if k % 4 == 0:
            values.append(block.look(crowd)[0])
    seen = np.concatenate(values)
    seen = seen[np.isfinite(seen)]
    home, first = np.quantile(seen, HOME), np.quantile(seen, FIRST)
    if not home < first:
        raise InvalidInput(
            "the score has the same value at most places where paths are, so no levels can be put: let it grow with "
            "the distance from the minimum"
        )
    starts, flux, _ = excursions(block, home, first, burn_in, PILOT, math.inf)
    rate, levels = float(flux.mean()), [float(first)]
    shares: list[float] = []
    while len(levels) < MOST_LEVELS and rate > LEAST:
        begun, reached = trials(block, starts, home, math.inf, PILOT, f"pilot {len(levels)}")[:2]
        share = float(np.isinf(reached).mean())
        level = None if share >= SHARE / 2 else _next_level(begun.ravel(), reached.ravel(), levels[-1])
        if level is None and share >= SHARES[-1]:  # the exit itself, where nothing lies between
            return Pilot(float(home), (*levels, math.inf), float(flux.mean()), (*shares, share))
        if level is None:
            break
        starts, got = trials(block, starts, home, level, PILOT, f"pilot pool {len(levels)}")[2:]
        if not all(len(each["importance"]) for each in starts):
            starts = [merged(starts)] * block.groups
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


def split(block: Crowds, burn_in: int, pilot: Pilot, count: int, label: str) -> GroupRates:
    pools, rates, inside = excursions(
        block, pilot.home, pilot.levels[0], burn_in, count, pilot.flux
    )
    shares: list[float] = []
    for number, target in enumerate(pilot.levels[1:]):
        _, _, reached, share = trials(block, pools, pilot.home, target, count, f"{label} level {number}")
        rates, shares = rates * share, [*shares, float(share.mean())]
        if target == pilot.levels[-1]:
            break
        sizes = [len(pool["importance"]) for pool in reached]
        if not any(sizes):
            raise OutOfReach(f"no trial got past level {number + 1} of {len(pilot.levels)}: raise tolerance's effort")
        # A group without a path that got on is worth 0, whatever the later levels say: others lend it theirs.
        pools = [pool if size else merged(reached) for pool, size in zip(reached, sizes, strict=True)]
    return GroupRates(rates, inside, np.array(shares))
