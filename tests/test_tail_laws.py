"""Tail indices from fits of whole laws and of thresholds: slow rivals, coverage, plots, and what is refused."""

import math

import numpy as np
import pytest

from sgdlimits.compare import tail_estimators as tails
from sgdlimits.exact.errors import InvalidInput, SgdlimitsError
from tests.heavy_samples import generator, pareto, stable_sample, student_sample

WHOLE = {
    "student": tails.student,
    "skewed_student": tails.skewed_student,
    "stable_quantiles": tails.stable_quantiles,
    "stable_blocks": tails.stable_blocks,
}
TAIL = {
    "power_law": lambda x, **more: tails.power_law(x, resamples=100, **more),
    "against_lognormal": tails.against_lognormal,
}


def skewed_sample(a, b, n, seed):
    share = generator(seed).beta(a, b, n)
    return math.sqrt(a + b) * (2 * share - 1) / (2 * np.sqrt(share * (1 - share)))


# Student's t and its skewed form


def test_likelihoods_are_scipys_and_gradients_their_slopes():
    """Assert both log densities against scipy.stats, and gradients against differences."""
    from scipy.optimize import check_grad
    from scipy.stats import jf_skew_t, t

    from sgdlimits.compare.tail_estimators.student_fits import skewed_likelihood, student_likelihood

    x = np.r_[student_sample(2, 300, 1), 1e6, -1e6]
    for likelihood, point, density in (
        (student_likelihood, [0.7, 0.2, -0.1], t(math.exp(0.7), 0.2, math.exp(-0.1))),
        (skewed_likelihood, [0.6, 0.1, 0.2, -0.1], jf_skew_t(math.exp(0.6), math.exp(0.1), 0.2, math.exp(-0.1))),
    ):
        assert likelihood(x[:-2], np.array(point))[0] == pytest.approx(-density.logpdf(x[:-2]).mean(), rel=1e-12)
        slopes = [lambda p, part=part: likelihood(x, p)[part] for part in (0, 1)]
        assert check_grad(*slopes, np.array(point)) < 1e-5


def test_the_interval_of_student_is_that_of_the_profile():
    """Assert that likelihoods maximised by another method fall by half a chi-square quantile at both ends."""
    from scipy.optimize import minimize
    from scipy.stats import chi2, kstest, t

    x = student_sample(3, 2000, 2)

    def profile(nu):
        start = np.array([0.0, 0.0])
        return minimize(lambda p: -t.logpdf(x, nu, p[0], math.exp(p[1])).sum(), start, method="Nelder-Mead",
                        options={"xatol": 1e-7, "fatol": 1e-7}).fun  # fmt: skip

    found = tails.student(x)
    best = profile(found.index)
    assert profile(found.index * 1.01) > best < profile(found.index / 1.01)
    for end in (found.lower, found.upper):
        assert 2 * (profile(end) - best) == pytest.approx(chi2.ppf(0.95, 1), rel=0.01)
    law = t(found.index, found.details["location"], found.details["scale"])
    assert found.details["ks"] == pytest.approx(kstest(x, law.cdf).statistic, rel=1e-6)


def test_the_skewed_law_knows_its_sides():
    """Assert 2a on the left, 2b on the right and the smaller for both, mirrored by -x, with scipy's distance."""
    from scipy.stats import jf_skew_t, kstest

    x = 5 + 0.1 * skewed_sample(1, 2, 4000, 3)
    left, right, both = (tails.skewed_student(x, side=side) for side in ("left", "right", "both"))
    assert 2 in left and 4 in right and both.index == pytest.approx(left.index)
    assert left.index == pytest.approx(2 * left.details["a"]) and right.index == pytest.approx(2 * left.details["b"])
    mirrored = tails.skewed_student(-x, side="right")
    assert [mirrored.index, mirrored.lower, mirrored.upper] == pytest.approx(
        [left.index, left.lower, left.upper], rel=2e-3
    )
    law = jf_skew_t(*(left.details[name] for name in ("a", "b", "location", "scale")))
    assert left.details["ks"] == pytest.approx(kstest(x, law.cdf).statistic, rel=1e-6)


def test_a_normal_sample_has_no_index():
    """Assert an interval without upper end and a warning that says so."""
    x = generator(4).standard_normal(3000)
    for fit in (tails.student, tails.skewed_student):
        found = fit(x)
        assert found.upper == math.inf and "infinite" in found.warnings[0]


def test_a_law_that_does_not_fit_is_warned_of():
    """Assert the warning on a lognormal sample, and none on the law's own."""
    wrong = np.exp(generator(5).standard_normal(3000))
    assert "not that of the sample" in tails.student(wrong).warnings[0]
    assert not tails.student(student_sample(3, 3000, 5)).warnings


def test_a_tail_unlike_the_fitted_one_is_warned_of():
    """Assert it of Student's t on stable samples and of stable laws on t and exponential ones; seldom on their own."""

    def misfit(estimate, samples):
        return sum(any("not its tail" in text for text in estimate(x).warnings) for x in samples)

    seeds = range(20)
    own, foreign = [student_sample(3, 3000, s) for s in seeds], [stable_sample(1.8, 3000, s) for s in seeds]
    assert misfit(tails.student, foreign) >= 16 and misfit(tails.student, own) <= 1
    for estimate in (tails.stable_quantiles, tails.stable_blocks):
        assert misfit(estimate, [stable_sample(1.5, 3000, s, 0.5) for s in seeds]) <= 1
    assert misfit(tails.stable_quantiles, [generator(s).standard_exponential(1000) for s in seeds]) >= 8
    warned = [tails.stable_quantiles(student_sample(nu, 3000, s)).warnings for nu in (8, 20) for s in seeds]
    assert sum(bool(each) for each in warned) >= 34
    silent = [tails.stable_quantiles(stable_sample(1.5, 3000, s)).warnings for s in seeds]
    assert sum(bool(each) for each in silent) <= 2


# stable laws


def test_the_table_of_quantiles_is_that_of_scipys_law():
    """Assert entries against levy_stable's own cdf, and the way back from exact ratios between the entries."""
    from scipy.optimize import brentq
    from scipy.stats import levy_stable

    from sgdlimits.compare.tail_estimators import stable_table

    def exact(index, skewness):
        def quantile(level):
            return brentq(lambda x: levy_stable.cdf(x, index, skewness) - level, -1e4, 1e4, xtol=1e-8)

        return stable_table.ratios(np.array([quantile(level) for level in (0.05, 0.25, 0.5, 0.75, 0.95)]))

    for row, column in ((5, 0), (7, 4), (12, 8)):
        spread, leaning = exact(stable_table.INDICES[row], stable_table.SKEWNESSES[column])
        assert stable_table.SPREADS[row, column] == pytest.approx(spread, rel=3e-5)
        assert abs(stable_table.LEANINGS[row, column]) == pytest.approx(abs(leaning), abs=6e-5)
    for index, skewness in ((1.37, -0.3), (1.83, 0.9), (0.76, 0.55)):
        found = stable_table.index_of(*(np.atleast_1d(ratio) for ratio in exact(index, skewness)))
        assert found[0][0] == pytest.approx(index, abs=1e-3) and found[1][0] == pytest.approx(skewness, abs=5e-3)


def test_blocks_are_means_of_logarithms():
    """Assert Mohammadi's formula by loops, and that one block more than the sample holds is refused."""
    x = student_sample(2, 400, 6)
    centred = x - x.mean()
    sums = [math.log(abs(sum(centred[4 * i : 4 * i + 4]))) for i in range(100)]
    shape = (np.mean(sums) - np.mean([math.log(abs(value)) for value in centred])) / math.log(4)
    assert tails.stable_blocks(x, 4, centre="mean").index == pytest.approx(1 / shape)
    with pytest.raises(InvalidInput, match="block"):
        tails.stable_blocks(x, 400)


def test_blocks_about_the_mean_hold_the_index_and_a_wrong_centre_is_seen():
    """Assert coverage with skewness, where the mean's own error is large, and a warning where no centre is taken."""
    found = [tails.stable_blocks(stable_sample(1.2, 3000, seed, 0.5), centre="mean") for seed in range(60)]
    assert np.mean([1.2 in each for each in found]) > 0.9
    moved = tails.stable_blocks(5 + stable_sample(1.5, 3000, 1), centre="none")
    assert any("does not take the location out" in text for text in moved.warnings)
    assert not tails.stable_blocks(stable_sample(1.5, 3000, 1), centre="median").warnings


@pytest.mark.parametrize("estimate", (tails.stable_quantiles, tails.stable_blocks))
def test_stable_methods_say_that_they_end_at_two(estimate):
    """Assert an infinite index for normal samples, whatever is above 2 left open, and a warning for Student's t."""
    x = generator(7).standard_normal(20_000)
    found = estimate(x)
    assert found.upper == math.inf and found.lower <= 2
    assert any("2" in text for text in found.warnings)
    assert any("not stable" in text for text in estimate(student_sample(3, 100_000, 7)).warnings)
    assert not any("not stable" in text for text in estimate(stable_sample(1.5, 100_000, 8)).warnings)
    assert 1.5 in estimate(7 + 3 * stable_sample(1.5, 10_000, 9))


def test_an_index_below_mccullochs_range_is_refused():
    """Assert a sentence that names another method, which then finds it."""
    x = stable_sample(0.3, 5000, 10)
    with pytest.raises(InvalidInput, match="use stable_blocks"):
        tails.stable_quantiles(x)
    assert 0.3 in tails.stable_blocks(x)


# thresholds


def slow_power_law(x, counts):
    """(distance, k, gamma) of the best Pareto fit among these k, by loops."""
    top = np.sort(np.abs(x))[::-1]
    found = []
    for k in counts:
        logs = [math.log(top[i] / top[k]) for i in range(k)]
        gamma = sum(logs) / k
        gaps = [max(abs(math.exp(-y / gamma) - i / k), abs(math.exp(-y / gamma) - (i + 1) / k))
                for i, y in enumerate(logs)]  # fmt: skip
        found.append((max(gaps), k, gamma))
    return min(found)


def test_power_law_is_the_search_by_loops():
    """Assert threshold, index and distance, and the p-value against a slow bootstrap within its error."""
    from sgdlimits.compare.tail_estimators.choices_of_k import grid_of

    x = np.abs(student_sample(2, 300, 11))
    grid = grid_of(299)
    ks, k, gamma = slow_power_law(x, grid)
    found = tails.power_law(x, resamples=400)
    assert found.k == k and found.index == pytest.approx(1 / gamma) and found.details["ks"] == pytest.approx(ks)
    noise, body = generator(12), np.sort(x)[: 300 - k]
    worse = 0
    for _ in range(60):
        count = noise.binomial(300, k / 300)
        heavy = np.sort(x)[299 - k] * noise.random(count) ** -gamma
        worse += slow_power_law(np.r_[heavy, noise.choice(body, 300 - count)], grid)[0] >= ks
    assert abs(worse / 60 - found.details["p_value"]) < 4 * 0.5 / math.sqrt(60)


def test_a_power_law_that_does_not_hold_is_said_so():
    """Assert a small p-value and a sentence on exponential samples at a threshold given, and none on Pareto's."""
    wrong = tails.power_law(generator(13).standard_exponential(5000), 0.3)
    assert wrong.details["p_value"] < 0.05 and any("does not hold" in text for text in wrong.warnings)
    right = tails.power_law(pareto(2, 5000, 13), 0.3)
    assert right.details["p_value"] > 0.05 and not right.warnings and 2 in right


def test_the_lognormal_rival_is_a_truncated_normal_of_logarithms():
    """Assert log-likelihoods by scipy.stats.truncnorm, that no other mu and sigma are better, and Vuong by hand."""
    from scipy.stats import norm, truncnorm

    x = np.exp(2 * generator(14).standard_normal(5000))
    found = tails.against_lognormal(x, 2500)
    logs = np.sort(np.log(x))[::-1]
    edge, logs = logs[2500], logs[:2500]

    def each(mu, sigma):
        return truncnorm.logpdf(logs, (edge - mu) / sigma, np.inf, mu, sigma)

    best = each(found.mu, found.sigma).sum()
    for mu, sigma in ((1.01, 1), (0.99, 1), (1, 1.01), (1, 0.99)):
        assert each(found.mu * mu, found.sigma * sigma).sum() < best + 1e-9
    ratios = math.log(found.index) - found.index * (logs - edge) - each(found.mu, found.sigma)
    assert found.log_ratio == pytest.approx(ratios.sum())
    assert found.vuong == pytest.approx(ratios.sum() / (math.sqrt(2500) * ratios.std()))
    assert found.vuong_p == pytest.approx(2 * norm.sf(abs(found.vuong)))
    assert found.preferred == "lognormal" and "better" in found.sentence
    assert found.sigma == pytest.approx(2, rel=0.3)


def test_the_lognormal_rival_is_rarely_preferred_to_a_true_power_law():
    """Assert the level of the nested test, at most one half in front of it, on Pareto samples."""
    found = [tails.against_lognormal(pareto(2, 2000, seed), 500) for seed in range(200)]
    assert np.mean([each.nested_p < 0.1 for each in found]) == pytest.approx(0.1, abs=0.07)
    assert np.mean([each.preferred == "lognormal" for each in found]) < 0.1
    assert any(each.sigma == math.inf and each.log_ratio == 0 for each in found)


@pytest.mark.parametrize("n", [200, 2000])
def test_few_values_do_not_speak_for_a_power_law(n):
    """Assert that laws without a power tail are seldom called one, and that Pareto samples still are where they are
    many; without a bound on the curvature over half of the small samples would be."""
    laws = [np.random.default_rng(seed) for seed in range(100)]
    light = [tails.against_lognormal(np.abs(law.standard_normal(n))) for law in laws]
    bent = [tails.against_lognormal(law.lognormal(0, 1, n)) for law in laws]
    shares = [np.mean([each.preferred == "power law" for each in found]) for found in (light, bent)]
    assert shares[0] <= 0.1 and shares[1] <= (0.1 if n == 200 else 0.35)  # that one bends by 0.8 over 2000 values
    assert n > 200 or np.mean([each.nested_p >= 0.1 for each in light]) > 0.5
    found = [tails.against_lognormal(pareto(2, 10 * n, seed), n) for seed in range(50)]
    assert n < 2000 or np.mean([each.preferred == "power law" for each in found]) > 0.8


# all of them


OWN = {
    "student": (tails.student, lambda seed: student_sample(3, 2000, seed), 3),
    "skewed_student": (tails.skewed_student, lambda seed: skewed_sample(1, 2, 2000, seed), 2),
    "stable_quantiles": (tails.stable_quantiles, lambda seed: stable_sample(1.5, 2000, seed), 1.5),
    "stable_blocks": (tails.stable_blocks, lambda seed: stable_sample(1.5, 2000, seed), 1.5),
    "power_law": (lambda x: tails.power_law(x, goodness=False), lambda seed: pareto(2, 2000, seed), 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_intervals_cover_on_the_methods_own_law(name):
    """Assert at least 90 % of 300 on 2000 values, and that a tenth of the width would fail."""
    estimate, draw, index = OWN[name]
    found = [estimate(draw(seed)) for seed in range(300)]
    assert np.mean([index in each for each in found]) > 0.91
    narrow = [abs(each.index - index) <= 0.05 * (min(each.upper, 1e3) - each.lower) for each in found]
    assert np.mean(narrow) < 0.5


@pytest.mark.parametrize("name", OWN)
def test_the_same_seed_gives_the_same_numbers(name):
    """Assert equal results, repr of one line and a string that holds each warning."""
    estimate, draw, _ = OWN[name]
    found = estimate(draw(1))
    assert found == estimate(draw(1)) and "\n" not in repr(found)
    assert all(text in str(found) for text in found.warnings)
    assert found.lower <= found.index <= found.upper


BAD = {
    "an infinite value": (np.r_[student_sample(2, 99, 1), np.inf], "finite, got inf at index"),
    "nan": (np.r_[student_sample(2, 99, 1), np.nan], "finite, got nan"),
    "two axes": (np.ones((100, 2)), "one axis"),
    "texts": (["a"] * 100, "texts"),
    "too short": (np.arange(20.0), "20 values, at least 50"),
    "zeros": (np.zeros(1000), "0 nonzero values|holds 0 1000 times"),
    "heavy ties": (np.repeat([4.0, 5.0], 500), "different values|holds 4 500 times"),
}


@pytest.mark.parametrize("name", [*WHOLE, *TAIL])
@pytest.mark.parametrize("case", BAD)
def test_a_sample_that_shows_nothing_is_refused_in_a_sentence(name, case):
    """Assert one line that says what was got."""
    sample, words = BAD[case]
    with pytest.raises(SgdlimitsError, match=words) as raised:
        {**WHOLE, **TAIL}[name](sample)
    assert "\n" not in str(raised.value)


def test_wrong_settings_are_refused():
    """Assert sentences that name the setting."""
    x = student_sample(2, 1000, 15)
    for call, words in (
        (lambda: tails.student(x, confidence=2), "confidence"),
        (lambda: tails.skewed_student(x, side="up"), "side"),
        (lambda: tails.stable_quantiles(x, seed=-1), "seed"),
        (lambda: tails.stable_blocks(x, 1), "block"),
        (lambda: tails.stable_blocks(x, centre="mode"), "centre"),
        (lambda: tails.power_law(x, resamples=3), "resamples"),
        (lambda: tails.power_law(x, goodness="yes"), "goodness"),
        (lambda: tails.power_law(x, 1e-5), "k = 1e-05"),
        (lambda: tails.corrected_hill(x, rho=-9), "rho"),
        (lambda: tails.student(np.r_[x, 1e120]), "times its middle half"),
        (lambda: tails.student(np.r_[x, 1e200]), "change its unit"),
        (lambda: tails.stable_blocks(np.round(x)), "zero once centred|may be one value"),
        (lambda: tails.survival_plot(x, 3.0), "estimates"),
        (lambda: tails.hill_plot(x, estimate=3.0), "estimate"),
    ):
        with pytest.raises(InvalidInput, match=words):
            call()


@pytest.mark.parametrize("name", WHOLE)
def test_dependent_samples_are_warned_of(name):
    """Assert a warning for an autoregression and none for the same values in random order."""
    from scipy.signal import lfilter

    walk = lfilter([1.0], [1.0, -0.95], student_sample(3, 5000, 16))
    assert any("dependent" in text for text in WHOLE[name](walk).warnings)
    assert not any("dependent" in text for text in WHOLE[name](generator(17).permutation(walk)).warnings)


# plots


def curves(ax):
    return {curve.get_label(): curve.get_xydata() for curve in ax.get_lines()}


def test_hill_plots_show_the_estimates_with_their_intervals():
    """Assert the curve against hill at a k, the band against its interval, and the same heights on the other axis."""
    from scipy.stats import chi2

    x = student_sample(2, 2000, 18)
    figure = tails.hill_plot(x, estimate=tails.corrected_hill(x))
    (ax,) = figure.axes
    path = curves(ax)["Hill"]
    k, height = path[150]
    found = tails.hill(x, int(k))
    assert height == pytest.approx(found.index)
    band = ax.collections[0].get_paths()[0].vertices
    here = band[np.isclose(band[:, 0], k), 1]
    assert [here.min(), here.max()] == pytest.approx(chi2.ppf([0.025, 0.975], 2 * k) / (2 * k) * found.index)
    other = curves(tails.alt_hill_plot(x).axes[0])["Hill"]
    np.testing.assert_allclose(other[:, 1], path[:, 1])
    np.testing.assert_allclose(other[:, 0], np.log(path[:, 0]) / math.log(2000))
    assert figure._repr_png_()[:4] == b"\x89PNG"


def test_quantile_and_survival_plots_show_the_sample():
    """Assert points, that a Pareto sample lies within the quantile plot's band nearly everywhere, and a normal not."""
    straight, bent = pareto(2, 5000, 19), generator(19).standard_normal(5000)

    def outside(x):
        ax = tails.qq_plot(x, 500).axes[0]
        band = ax.collections[0].get_paths()[0].vertices
        points = ax.get_lines()[1].get_xydata()
        ends = [np.sort(band[np.isclose(band[:, 0], place), 1])[[0, -1]] for place, _ in points]
        return np.mean([not low <= height <= high for (_, height), (low, high) in zip(points, ends, strict=True)])

    assert outside(straight) < 0.2 < outside(bent)
    ax = tails.survival_plot(straight, tails.hill(straight), tails.student(straight)).axes[0]
    points = ax.get_lines()[0].get_xydata()
    assert points[0] == pytest.approx([straight.max(), 1 / 5000])
    assert len(ax.get_lines()) == 3
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_survival_lines_are_those_of_the_laws_fitted():
    """Assert each at the sample's own quantiles, within the sample's interval, and Student's by scipy."""
    from scipy.stats import t as law

    x = student_sample(3, 20_000, 21)
    whole = tails.student(x), tails.skewed_student(x)
    fits = (tails.corrected_hill(x), tails.moment(x), tails.pickands(x, 1000), *whole)
    ax = tails.survival_plot(x, *fits).axes[0]
    sizes = np.sort(np.abs(x))[::-1]
    for estimate in fits:
        t, level = curves(ax)[f"{estimate.method}: {estimate.index:.3g}"].T
        seen = np.searchsorted(-sizes, -t) / len(x)
        inside = (seen > 10 / len(x)) & (level < 0.5)
        # Four binomial errors: a line through the threshold that ran below the data would leave them.
        assert (np.abs(level - seen)[inside] < 4 * np.sqrt(seen * 20_000)[inside] / 20_000).all(), estimate.method
    found = whole[0]
    t, level = curves(ax)[f"{found.method}: {found.index:.3g}"].T
    fitted = law(found.index, found.details["location"], found.details["scale"])
    origin = np.median(x)
    assert level == pytest.approx(fitted.sf(origin + t) + fitted.cdf(origin - t), rel=1e-9)


def test_what_cannot_be_drawn_is_said_in_the_legend():
    """Assert names without lines for no index, no law, and another origin, and the origin on the axis."""
    x = 3 + student_sample(3, 2000, 22)
    light = tails.moment(generator(22).standard_exponential(2000))
    ax = tails.survival_plot(x, tails.stable_blocks(x), tails.hill(x, 100), light).axes[0]
    said = [name for name in curves(ax) if "not drawn" in name]
    assert len(said) == 3 and all(not len(curves(ax)[name]) for name in said)
    assert f"X - {np.median(x):.4g}" in ax.get_ylabel()
