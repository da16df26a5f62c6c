"""Ways in which the golden path may fail: each fires on a case built to violate it, and else at its level."""

import math

import numpy as np
import pytest
from scipy import stats
from sgdlimits.compare._golden_path.criteria import does_not_help, joins, same_functions, seeds_for
from sgdlimits.compare.estimates import fieller

SEEDS, STEPS, TRIALS, LEVEL, MARGIN = 16, 12, 200, 0.05, 0.05
steps = np.arange(STEPS) * 10.0


def wrong(count, level=LEVEL, trials=TRIALS):
    """Whether so many wrong verdicts are more than the level allows, at 0.1 %."""
    return count > stats.binom(trials, level).ppf(0.999)


def walks(draw, size=0.02):
    """Errors (R, K) of a seed that last over steps, as those of paths do."""
    kept = draw.standard_normal((SEEDS, STEPS))
    for k in range(1, STEPS):
        kept[:, k] = 0.8 * kept[:, k - 1] + 0.6 * kept[:, k]
    return size * kept


def draws():
    return (np.random.Generator(np.random.Philox(key)) for key in range(TRIALS))


def test_a_fork_is_seen_and_a_join_is_not_taken_for_one():
    """Assert F1 on a gap that stays at 0.3 of the drop, one that vanishes, and at the margin's edge at its level."""
    verdicts = {"fork": [], "join": [], "edge": []}
    for draw in draws():
        drop = 1 + 0.2 * draw.standard_normal(SEEDS)
        for name, left in (("fork", 0.3), ("join", 0.0), ("edge", MARGIN)):
            gaps = left + (1 - left) * np.exp(-steps / 12) + walks(draw)
            verdicts[name].append(joins(gaps, drop, steps, MARGIN, LEVEL).verdict)
    assert verdicts["fork"].count("fails") >= 180 and verdicts["join"].count("holds") >= 180
    assert not wrong(verdicts["edge"].count("holds")) and not wrong(verdicts["edge"].count("fails"))
    assert verdicts["edge"].count("marginal") > 0.8 * TRIALS


def test_a_gap_that_still_falls_is_no_fork():
    """Assert a marginal verdict that asks for a longer run."""
    draw = np.random.Generator(np.random.Philox(7))
    found = joins(np.exp(-steps / 60) + walks(draw, 0.005), np.ones(SEEDS), steps, MARGIN, LEVEL)
    assert found.verdict == "marginal" and "run longer" in found.why


def test_a_gap_whose_step_size_has_run_out_is_a_fork():
    """Assert a failure where the gap falls, surely but too slowly to vanish: a schedule that ends."""
    draw = np.random.Generator(np.random.Philox(7))
    gaps = 0.65 + 0.01 * (1 - steps / steps[-1]) + walks(draw, 0.001)
    found = joins(gaps, np.ones(SEEDS), steps, MARGIN, LEVEL)
    assert found.verdict == "fails" and "plateau" in found.why


def test_a_gap_of_which_it_is_not_known_whether_it_falls_is_no_fork():
    """Assert a marginal verdict where errors hide the fall."""
    draw = np.random.Generator(np.random.Philox(9))
    found = joins(0.4 + walks(draw, 0.3), np.ones(SEEDS), steps, MARGIN, LEVEL)
    assert found.verdict == "marginal" and "not known" in found.why


def test_without_a_drop_there_is_no_part_of_it():
    """Assert void, not a number, where the runs are the same at the drop."""
    draw = np.random.Generator(np.random.Philox(8))
    found = joins(walks(draw), 0.01 * draw.standard_normal(SEEDS), steps, MARGIN, LEVEL)
    assert found.verdict == "void" and math.isnan(found.value)


@pytest.mark.parametrize("name", ["F2", "F4"])
def test_help_is_seen_at_one_step_of_many(name):
    """Assert F2 and F4 on a run ahead by 8 % for a while, on none, and the level at zero over all steps at once."""
    verdicts = {"ahead": [], "same": [], "behind": []}
    scale = np.full(STEPS, 0.5)
    for draw in draws():
        noise = walks(draw)
        ahead = -0.04 * np.exp(-((steps - 60) ** 2) / 400) + noise
        for kind, gaps in (("ahead", ahead), ("same", noise), ("behind", 0.05 + noise)):
            verdicts[kind].append(does_not_help(name, gaps, scale, steps, MARGIN, LEVEL, "low").verdict)
    assert verdicts["ahead"].count("fails") >= 180
    assert not wrong(verdicts["same"].count("fails")) and verdicts["behind"].count("holds") >= 180


def test_one_step_at_a_time_would_cry_wolf():
    """Assert that a test without the band would break its level: the control of the one above."""
    cried = sum((stats.ttest_1samp(walks(draw), 0, alternative="less").pvalue < LEVEL).any() for draw in draws())
    assert wrong(cried)


def test_another_function_is_seen():
    """Assert F3 on distances 30 % above the baseline, on the same law, and that all baselines are judged."""
    verdicts = {"far": [], "same": [], "near": []}
    for draw in draws():
        base = 0.1 * np.exp(0.15 * draw.standard_normal(SEEDS))
        for kind, size in (("far", 0.13), ("same", 0.1), ("near", 0.08)):
            mine = size * np.exp(0.15 * draw.standard_normal(SEEDS))
            found = same_functions(mine, {"same start, new data": base, "different start": 2 * base}, MARGIN, LEVEL)
            assert [each.against for each in found] == ["same start, new data", "different start"]
            verdicts[kind].append(found[0].verdict)
    assert verdicts["far"].count("fails") >= 180 and verdicts["near"].count("holds") >= 180
    assert not wrong(verdicts["same"].count("fails"))


def test_the_interval_of_a_ratio_covers():
    """Assert Fieller's interval, which counts the denominator's error, where dividing by the mean does not."""
    hits, naive, trials = 0, 0, 2000
    draw = np.random.Generator(np.random.Philox(4))
    for _ in range(trials):
        shared = draw.standard_normal(8)
        drop = 1 + 0.8 * shared
        gap = 0.5 + 0.1 * draw.standard_normal(8)
        _, low, high = fieller(gap, drop, 0.025)
        hits += low <= 0.5 <= high
        error = stats.t(7).ppf(0.975) * gap.std(ddof=1) / math.sqrt(8) / drop.mean()
        naive += abs(gap.mean() / drop.mean() - 0.5) <= error
    assert hits / trials > 0.935 and naive / trials < 0.6


def test_the_seeds_that_are_told_decide():
    """Assert that with the number of seeds it names, a test finds the sign about as often as it says."""
    draw = np.random.Generator(np.random.Philox(5))
    needed = int(np.median([seeds_for(0.3 + draw.standard_normal(30), LEVEL) for _ in range(200)]))
    found = np.mean([stats.ttest_1samp(0.3 + draw.standard_normal(69), 0, alternative="greater").pvalue < LEVEL
                     for _ in range(1000)])  # fmt: skip
    assert 50 < needed < 95 and 0.75 < found < 0.85
