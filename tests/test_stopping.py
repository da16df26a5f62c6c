"""The stopping rule: it covers where a naive one does not, knows when it has seen too little, says what it needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sgdlimits.ensembles.intervals import mean_interval
from sgdlimits.ensembles.stopping import StoppingRule
from sgdlimits.ensembles.summaries import Summary, clopper_pearson, upper_frequency
from sgdlimits.exact.errors import InvalidInput

Z = stats.norm.ppf(0.975)


def sampled(rule, draw):
    sample = rule.start()
    while sample.outcome is None:
        sample = rule.seen(sample, draw(sample.wanted - sample.taken))
    return sample


def naive(draw, error, first=1024):
    """The rule that this one replaces: more values until the standard error that is seen is small."""
    values = draw(first)
    while (seen := values.std(ddof=1) / np.sqrt(values.size)) > error:
        wanted = min(max(int(1.02 * values.size * (seen / error) ** 2), values.size + 16), 10 * values.size)
        values = np.concatenate([values, draw(wanted - values.size)])
    return values.mean() - Z * seen, values.mean() + Z * seen


def indicator(p, kind=float):
    return lambda generator, n: (generator.random(n, dtype=np.float32) < p).astype(kind)


def payoff(p):
    """Zero, or with probability p an exponential: an option out of the money."""
    return lambda generator, n: np.where(generator.random(n) < p, generator.exponential(size=n), 0.0)


def lognormal(generator, n):
    return np.exp(generator.standard_normal(n))


def coverage(draw, truth, error, repetitions):
    """How many intervals hold the truth: of the rule, of the naive rule; and the rule's root mean square error."""
    generator, held, plain, errors = np.random.default_rng(7), 0, 0, []
    rule = StoppingRule(absolute=Z * error)
    for _ in range(repetitions):
        outcome = sampled(rule, lambda n: draw(generator, n)).outcome
        assert outcome.reached and outcome.interval.half_width <= Z * error
        held += outcome.interval.low <= truth <= outcome.interval.high
        low, high = naive(lambda n: draw(generator, n), error)
        plain += low <= truth <= high
        errors.append(outcome.interval.value - truth)
    return held, plain, np.sqrt(np.mean(np.square(errors)))


def rejected(held, repetitions, level=0.95):
    """Whether a binomial test at 1 % (0.5 % on the lower side) rejects that the coverage is at least `level`."""
    return stats.binom.cdf(held, repetitions, level) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "truth", "error", "naive_fails", "repetitions"),
    [
        (indicator(1.35e-3), 1.35e-3, 1.35e-4, True, 300),
        (indicator(1.35e-3, bool), 1.35e-3, 1.35e-4, True, 300),
        (indicator(3.2e-4, bool), 3.2e-4, 3.2e-4 / 3, True, 1000),
        (indicator(5.9e-4, bool), 5.9e-4, 5.9e-4 / 3, True, 1000),
        (indicator(3e-5, bool), 3e-5, 3e-5, True, 300),
        (indicator(0.3), 0.3, 0.015, False, 1000),
        (payoff(0.01), 0.01, 1e-3, False, 1000),
        (payoff(1e-3), 1e-3, 3e-4, True, 300),
        (lognormal, np.exp(0.5), 0.1, False, 1000),
        (lognormal, np.exp(0.5), 0.02, False, 1000),
        (lambda generator, n: generator.standard_normal(n), 0.0, 0.02, False, 1000),
    ],
    ids=lambda value: str(value) if isinstance(value, float) else "",
)
def test_intervals_cover_where_those_of_the_naive_rule_do_not(draw, truth, error, naive_fails, repetitions):
    """Assert 95 % over many repetitions and an error below the tolerance; the naive rule is rejected where marked.

    1000 repetitions see a coverage below 93.1 %, 300, where each is long, one below 91.4 %.
    """
    held, plain, rms = coverage(draw, truth, error, repetitions)
    assert not rejected(held, repetitions)
    assert rms < 1.05 * error
    assert rejected(plain, repetitions) or not naive_fails


def test_a_rare_event_is_covered_and_the_naive_rule_misses_it():
    """Assert coverage at tolerance p / 3 over 200 repetitions, where the naive rule holds the truth in under 80 %."""
    held, plain, rms = coverage(indicator(1.35e-3), 1.35e-3, 4.5e-4, 200)
    assert not rejected(held, 200) and plain < 160
    assert 0.4 * 4.5e-4 < rms < 4.5e-4


def test_intervals_hold_their_level_from_above_too():
    """Assert that over-coverage of a smooth law is slight: the binomial test does not reject 97 % from above."""
    held, _, rms = coverage(lambda generator, n: generator.standard_normal(n), 0.0, 0.02, 400)
    assert stats.binom.sf(held - 1, 400, 0.97) > 0.005
    assert 0.85 * 0.02 < rms < 1.05 * 0.02


def test_no_hit_leaves_an_upper_bound():
    """Assert 0 with [0, 1 - 0.025^(1 / n)] and a positive standard error, from booleans at the first look."""
    sample = sampled(StoppingRule(absolute=0.01), lambda n: np.zeros(n, dtype=bool))
    interval = sample.outcome.interval
    assert sample.taken == 1024 and (interval.value, interval.low) == (0.0, 0.0)
    assert interval.high == pytest.approx(1 - (0.05 / 60) ** (1 / 1024)) and interval.standard_error > 0
    fixed = mean_interval(Summary.of(np.zeros(1000, dtype=bool)), 0.05, (0.0, 1.0))
    assert fixed.high == pytest.approx(3.69 / 1000, rel=5e-3)


@pytest.mark.parametrize("value", [0.0, 1.0, 2.5, 7e-250])
def test_numbers_that_are_all_equal_go_on_and_are_then_refused(value):
    """Assert sixteen first looks and no bounds: a constant with a rare, large exception is no indicator."""
    sample = sampled(StoppingRule(absolute=0.01), lambda n: np.full(n, value))
    assert sample.taken == 16 * 1024 and not sample.outcome.reached
    assert f"all 16384 values are {value:g}" in sample.outcome.why
    assert np.isinf([sample.outcome.interval.low, sample.outcome.interval.high]).all()


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-150, 1e-31, 1e80, 1e140])
def test_the_size_of_the_values_changes_nothing(size):
    """Assert the interval of values of size 1, scaled, to rounding: powers neither vanish nor overflow."""
    plain, scaled = (
        sampled(
            StoppingRule(relative=0.02, absolute=0.001 * unit),
            lambda n, generator=np.random.default_rng(4), unit=unit: unit * (1 + 0.3 * generator.standard_normal(n)),
        )
        for unit in (1.0, size)
    )
    assert plain.outcome.reached and scaled.outcome.reached and plain.taken == scaled.taken
    for name in ("value", "low", "high", "standard_error"):
        assert getattr(scaled.outcome.interval, name) / size == pytest.approx(
            getattr(plain.outcome.interval, name), rel=1e-12
        )
    generator = np.random.default_rng(5)
    huge = sampled(StoppingRule(relative=0.02), lambda n: 1e290 * (1 + 0.3 * generator.random(n))).outcome
    assert huge.reached and 0 < huge.interval.half_width < 0.02 * 1.3e290
    hopeless = sampled(StoppingRule(relative=1e-300), np.random.default_rng(4).standard_normal).outcome
    assert not hopeless.reached and hopeless.needed > 10**12


def test_a_small_mean_is_looked_at_again_before_it_is_refused():
    """Assert that a mean of a tenth of the spread gets its tenth, whatever the first 64 values show."""
    generator = np.random.default_rng(9)
    for _ in range(300):
        outcome = sampled(
            StoppingRule(relative=0.1, first=64), lambda n: 0.1 + generator.standard_normal(n)
        ).outcome
        assert outcome.reached and outcome.interval.half_width <= 0.1 * abs(outcome.interval.value)


def test_a_law_that_spreads_over_decades_but_ends_is_let_through():
    """Assert that a gamma law of shape 1/100, whose large values look heavy until far out, is not refused, but for a
    few, and covered.
    """
    generator, held, reached = np.random.default_rng(10), 0, 0
    for _ in range(60):
        outcome = sampled(StoppingRule(absolute=1e-3), lambda n: generator.gamma(0.01, 1.0, n)).outcome
        reached += outcome.reached
        held += outcome.interval.low <= 0.01 <= outcome.interval.high
    assert reached >= 56 and not rejected(held, 60)


@pytest.mark.parametrize(("law", "least"), [("cauchy", 20), ("pareto", 19)])
def test_an_infinite_variance_is_not_vouched_for(law, least):
    """Assert a refusal with a word on the tail, however coarse the tolerance; the naive rule stops every time."""
    generator, refused = np.random.default_rng(0), 0
    draw = {"cauchy": generator.standard_cauchy, "pareto": lambda n: generator.pareto(1.5, n)}[law]
    for _ in range(20):
        outcome = sampled(StoppingRule(absolute=10.0, most=200_000), draw).outcome
        refused += not outcome.reached
        assert outcome.reached or ("heavy tail" in outcome.why and np.isinf(outcome.interval.high))
    assert refused >= least


def test_a_finite_variance_is_not_taken_for_an_infinite_one():
    """Assert that skewed and heavy laws of finite variance (Pareto of index 3.5, lognormal) are let through."""
    generator = np.random.default_rng(5)
    for draw in (lambda n: generator.pareto(3.5, n), lambda n: lognormal(generator, n)):
        reached = [sampled(StoppingRule(absolute=0.1, most=10**6), draw).outcome.reached for _ in range(40)]
        assert all(reached)


def test_a_rare_mode_far_out_is_no_heavy_tail():
    """Assert that one value in a hundred at a distance of a hundred spreads is let through, and covered."""
    generator, held = np.random.default_rng(8), 0
    for _ in range(100):
        outcome = sampled(
            StoppingRule(absolute=0.2),
            lambda n: generator.standard_normal(n) + np.where(generator.random(n) < 0.01, 100.0, 0.0),
        ).outcome
        assert outcome.reached
        held += outcome.interval.low <= 1.0 <= outcome.interval.high
    assert not rejected(held, 100)


def test_hills_index_is_that_of_a_pareto_law():
    """Assert 1.5 within three of its errors, from values in blocks, and none of a few values or of equal ones.

    Distances are from the middle: of a light tail that makes the index smaller, never larger.
    """
    generator = np.random.default_rng(6)
    for index, least in ((1.5, 1.3), (4.0, 2.4)):
        values = generator.pareto(index, 40_000) + 1
        found, error = Summary.of(values[:1000]).joined(values[1000:]).tail_index()
        assert least < found < index + 3 * error < 1.3 * index
    assert Summary.of(generator.random(100)).tail_index() is None and Summary.of(np.ones(5000)).tail_index() is None


def test_a_target_that_cannot_be_reached_is_said_after_the_first_look():
    """Assert the figure that would do, to 20 %, with 1024 values drawn."""
    generator = np.random.default_rng(1)
    sample = sampled(StoppingRule(absolute=1e-3 * Z, most=10**5), generator.standard_normal)
    assert not sample.outcome.reached and sample.taken == 1024
    assert sample.outcome.needed == pytest.approx(1.05e6, rel=0.2)
    assert "more than the 100000 allowed" in sample.outcome.why


def test_a_relative_width_is_reached():
    """Assert half widths of at most a twentieth of the estimate, of a mean and of a probability."""
    generator = np.random.default_rng(2)
    for draw in (lambda n: lognormal(generator, n), lambda n: generator.random(n) < 0.003):
        interval = sampled(StoppingRule(relative=0.05), draw).outcome.interval
        assert 0.025 * interval.value < interval.half_width <= 0.05 * interval.value


def test_how_values_are_cut_changes_nothing_but_rounding():
    """Assert moments of joined blocks against those of the whole, skewed and shifted far from zero."""
    values = 1e3 + np.random.default_rng(3).exponential(size=1001)
    whole, joined = Summary.of(values), Summary.of(values[:10]).joined(values[10:500]).joined(values[500:])
    for name in ("count", "mean", "variance", "skewness", "excess", "low", "high"):
        assert getattr(joined, name) == pytest.approx(getattr(whole, name), rel=1e-9), name
    assert whole.mean == pytest.approx(values.mean(), rel=1e-14) and whole.variance == pytest.approx(values.var(ddof=1))
    assert whole.skewness == pytest.approx(stats.skew(values)) and whole.excess == pytest.approx(stats.kurtosis(values))


def test_an_indicator_is_told_from_a_payoff():
    """Assert that two values that repeat, booleans, and 0 with 1 are one; a single other value is not."""
    assert Summary.of(np.array([0.0, 5.0, 0.0, 5.0])).pair() == (0.0, 5.0)
    assert Summary.of(np.array([0.0, 0.0, 1.0])).pair() == (0.0, 1.0)
    assert Summary.of(np.zeros(3, dtype=bool)).pair() == (0.0, 1.0)
    for values in ([0.0, 0.0, 3.7], [0.0, 0.0, 0.0], [0.0, 3.7, 3.8]):
        assert Summary.of(np.array(values)).pair() is None


def test_clopper_pearson_is_scipys():
    """Assert the exact interval for several counts."""
    for hits, count in ((0, 10), (3, 1000), (999, 1000), (10, 10)):
        theirs = stats.binomtest(hits, count).proportion_ci(0.9)
        assert clopper_pearson(hits, count, 0.1) == pytest.approx((theirs.low, theirs.high), rel=1e-10)
        one_sided = stats.binomtest(hits, count, alternative="less").proportion_ci(0.975)
        assert upper_frequency(hits, count) == pytest.approx(one_sided.high, rel=1e-10)
    assert upper_frequency(0, 1000) == pytest.approx(3.7 / 1000, rel=5e-3)


def test_input_that_cannot_be_used_is_named():
    """Assert one clear sentence for each."""
    with pytest.raises(InvalidInput, match="no interval is that narrow"):
        StoppingRule()
    with pytest.raises(InvalidInput, match="confidence must lie between 0 and 1, got 95"):
        StoppingRule(absolute=1.0, confidence=95)
    rule = StoppingRule(absolute=1.0)
    with pytest.raises(InvalidInput, match="the rule waits for 1024 values, got 3"):
        rule.seen(rule.start(), np.ones(3))
    with pytest.raises(InvalidInput, match="not empty"):
        Summary.of(np.empty(0))
