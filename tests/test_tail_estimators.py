"""Estimators of tail indices: slow formulas, coverage with controls that must fail, and what is refused."""

import math

import numpy as np
import pytest

from sgdlimits.compare.tail_estimators import TailEstimate, corrected_hill, hill, moment, pickands
from sgdlimits.exact.errors import InvalidInput, SgdlimitsError
from tests.heavy_samples import generator, pareto, student_sample

ORDER = {"hill": hill, "corrected_hill": corrected_hill, "moment": moment, "pickands": pickands}


@pytest.mark.parametrize("side", ("both", "right", "left"))
def test_hill_is_the_mean_of_log_ratios(side):
    """Assert the sum written out, on each side, and that the interval is the chi-square one."""
    from scipy.stats import chi2

    x = student_sample(3, 500, 1)
    sizes = {"both": np.abs(x), "right": x[x > 0], "left": -x[x < 0]}[side]
    top = sorted(sizes, reverse=True)
    gamma = sum(math.log(top[i] / top[40]) for i in range(40)) / 40
    found = hill(x, 40, side=side)
    assert found.index == pytest.approx(1 / gamma, rel=1e-12)
    assert found.k == 40 and found.details["threshold"] == pytest.approx(top[40])
    ends = chi2.ppf([0.025, 0.975], 80) / 80 / gamma
    assert found.lower == pytest.approx(ends[0]) and found.upper in (pytest.approx(ends[1]), math.inf)


def test_the_moment_estimate_is_that_of_its_paper():
    """Assert xi, and its error on both branches, from sums written out."""
    top = sorted(np.abs(student_sample(3, 500, 2)), reverse=True)
    logs = [math.log(top[i] / top[60]) for i in range(60)]
    one, two = sum(logs) / 60, sum(value**2 for value in logs) / 60
    xi = one + 1 - 0.5 / (1 - one**2 / two)
    found = moment(top, 60)
    assert found.details["shape"] == pytest.approx(xi) and found.index == pytest.approx(1 / xi)
    assert found.details["shape_error"] == pytest.approx(math.sqrt((1 + xi**2) / 60))
    light = moment(generator(3).random(2000), 200)
    xi = light.details["shape"]
    square = (1 - xi) ** 2 * (1 - 2 * xi) * (
        4 - 8 * (1 - 2 * xi) / (1 - 3 * xi) + (5 - 11 * xi) * (1 - 2 * xi) / ((1 - 3 * xi) * (1 - 4 * xi))
    )
    assert light.details["shape_error"] == pytest.approx(math.sqrt(square / 200))
    assert xi == pytest.approx(-1, abs=0.5) and light.index == math.inf and "lighter" in light.warnings[0]


def test_pickands_is_a_ratio_of_three_gaps():
    """Assert the formula, and that a shift of one side changes nothing."""
    x = pareto(1.5, 2000, 4)
    top = sorted(x, reverse=True)
    xi = math.log((top[49] - top[99]) / (top[99] - top[199])) / math.log(2)
    error = xi * math.sqrt(2 ** (2 * xi + 1) + 1) / (2 * (2**xi - 1) * math.log(2)) / math.sqrt(50)
    for found in (pickands(x, 50), pickands(x + 7, 50, side="right")):
        assert found.details["shape"] == pytest.approx(xi, rel=1e-9)
        assert found.details["shape_error"] == pytest.approx(error, rel=1e-9)


def test_the_corrected_estimate_is_a_straight_line_at_zero():
    """Assert least squares by numpy's own routine, and its error by propagation through it."""
    x = np.abs(student_sample(3, 3000, 5))
    top, k = np.sort(x)[::-1], 200
    scaled = np.array([j * math.log(top[j - 1] / top[j]) for j in range(1, k + 1)])
    columns = np.column_stack([np.ones(k), (np.arange(1, k + 1) / (k + 1)) ** (2 / 3)])
    solution = np.linalg.lstsq(columns, scaled, rcond=None)[0]
    found = corrected_hill(x, k, rho=-2 / 3)
    assert 1 / found.index == pytest.approx(solution[0], rel=1e-10)
    inverse = np.linalg.inv(columns.T @ columns)
    spread = np.diag((columns @ solution) ** 2)
    error = math.sqrt((inverse @ columns.T @ spread @ columns @ inverse)[0, 0])
    assert 1 / found.lower - 1 / found.index == pytest.approx(1.959964 * error, rel=1e-5)


def test_kolmogorov_smirnov_distances_are_scipys():
    """Assert the distance and gamma of several k against scipy.stats.kstest."""
    from scipy.stats import kstest, pareto as law

    from sgdlimits.compare.tail_estimators.choices_of_k import distances

    top = np.sort(np.abs(student_sample(2, 400, 6)))[::-1]
    grid = np.array([20, 70, 150])
    found, gammas = distances(np.log(top)[None], grid)
    for k, distance, gamma in zip(grid, found[0], gammas[0], strict=True):
        assert distance == pytest.approx(kstest(top[:k] / top[k], law(1 / gamma).cdf).statistic, rel=1e-10)


def test_sorted_resamples_have_the_law_of_sorted_draws():
    """Assert means of the top places against those of drawing with replacement and sorting."""
    from sgdlimits.compare.tail_estimators.choices_of_k import top_places

    quick = top_places(generator(7), 4000, 300, 20, 1000)
    slow = np.sort(generator(8).integers(0, 1000, (4000, 300)), axis=1)[:, :20]
    error = np.sqrt((quick.var(axis=0) + slow.var(axis=0)) / 4000)
    assert (np.abs(quick.mean(axis=0) - slow.mean(axis=0)) < 4.5 * error).all()


@pytest.mark.parametrize("rule", ("kolmogorov_smirnov", "double_bootstrap", "smooth", "second_order"))
def test_a_rule_for_k_takes_much_of_a_pareto_law_and_little_of_a_student(rule):
    """Assert that k follows the law, that the index is near, and that the same seed gives the same numbers."""
    straight, bent = hill(pareto(1.5, 10_000, 9), rule), hill(student_sample(2, 10_000, 9), rule)
    assert straight.k > 1.5 * bent.k and bent.k < 2000
    assert straight.index == pytest.approx(1.5, abs=0.2) and bent.index == pytest.approx(2, abs=0.3)
    assert hill(student_sample(2, 10_000, 9), rule, seed=0) == bent


@pytest.mark.parametrize("name", ORDER)
def test_indices_do_not_change_with_the_unit(name):
    """Assert the same index from 1000 x, a list and a column of float32 alike."""
    x = student_sample(2, 2000, 10)
    found = ORDER[name](x)
    assert ORDER[name](1000 * x).index == pytest.approx(found.index, rel=1e-9)
    assert ORDER[name](x.tolist()) == found
    assert ORDER[name](x.astype(np.float32)).index == pytest.approx(found.index, rel=1e-2)
    assert isinstance(found, TailEstimate) and found.index in found and found.lower / 2 not in found
    assert repr(found).startswith("TailEstimate(index ")


def coverage(estimate, draw, index, repetitions, seed=100):
    """Share of repetitions whose interval holds the index."""
    return np.mean([index in estimate(draw(index, 10_000, seed + r)) for r in range(repetitions)])


def test_coverage_is_seen_and_its_lack_too():
    """Assert 95 % on Pareto and corrected on Student's t, and that Hill at a tenth of Student's t, biased, fails."""
    assert coverage(lambda x: hill(x, 500), pareto, 3, 100) > 0.87
    assert coverage(corrected_hill, student_sample, 3, 100) > 0.87
    assert coverage(lambda x: hill(x, 1000), student_sample, 3, 30) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("index", (2, 3, 5))
def test_the_corrected_estimate_covers_on_students_t(index):
    """Assert at least 90 % on samples of 10^4, asked of the best general-purpose choice."""
    assert coverage(corrected_hill, student_sample, index, 400) >= 0.91


def chain(correlation, n, seed):
    """A Gaussian autoregression turned into a heavy tail."""
    from scipy.signal import lfilter

    noise = generator(seed).standard_normal(n)
    walk = lfilter([math.sqrt(1 - correlation**2)], [1, -correlation], noise)
    return np.sign(walk) * np.expm1(walk**2 / 4)


@pytest.mark.parametrize("name", ORDER)
def test_dependent_samples_are_warned_of(name):
    """Assert a warning for each of several correlated chains, and none for the same values in random order."""
    for seed in range(10):
        x = chain(0.9, 10_000, seed)
        assert any("dependent" in text for text in ORDER[name](x).warnings)
        assert not any("dependent" in text for text in ORDER[name](generator(seed).permutation(x)).warnings)


@pytest.mark.slow
def test_independent_samples_are_not_warned_of():
    """Assert at most 1 % at several sizes and shares, and that nearly every weakly correlated chain is seen."""
    from sgdlimits.compare.tail_estimators.doubts import clustered

    for n, share in ((200, 0.1), (1000, 0.05), (10_000, 0.005), (10_000, 0.3)):
        samples = generator(n).random((3000, n))
        assert np.mean([bool(clustered(row, 1 - share)) for row in samples]) < 0.01
    assert np.mean([bool(clustered(np.abs(chain(0.7, 10_000, s)), 2.0)) for s in range(100)]) > 0.95


def test_the_number_of_runs_has_the_law_of_random_orders():
    """Assert probabilities against scipy's hypergeometric law, and against counting orders."""
    from itertools import combinations

    from scipy.stats import hypergeom

    from sgdlimits.compare.tail_estimators.doubts import runs_probability

    orders = [np.array(each) for each in combinations(range(9), 4)]
    runs = np.array([1 + np.count_nonzero(np.diff(each) > 1) for each in orders])
    for order, count in zip(orders[::10], runs[::10], strict=True):
        assert runs_probability(order, 9) == pytest.approx(np.mean(runs <= count))
    places = np.flatnonzero(generator(20).random(5000) < 0.1)
    k, count = len(places), 1 + np.count_nonzero(np.diff(places) > 1)
    assert runs_probability(places, 5000) == pytest.approx(hypergeom(5000, 5001 - k, k).cdf(count), rel=1e-6)


def kesten(step_size, chains, steps, seed):
    """w <- (1 - step_size a^2) w + step_size a e, the SGD of one parameter: paths (steps, chains)."""
    noise = generator(seed)
    paths = np.zeros((steps + 1, chains))
    for k in range(steps):
        a, e = noise.standard_normal((2, chains))
        paths[k + 1] = (1 - step_size * a**2) * paths[k] + step_size * a * e
    return paths[1:]


@pytest.mark.parametrize(("step_size", "index"), ((1.0, 1.0908), (0.5, 2.9040)))
def test_sgd_of_one_parameter_has_its_exact_index(step_size, index):
    """Assert the root of E |1 - step_size a^2|^index = 1 in the intervals of independent chains, no clusters in them.

    A single path of one chain clusters, and is warned of.
    """
    found = [corrected_hill(kesten(step_size, 10_000, 200, seed)[-1]) for seed in range(10)]
    assert sum(index in each for each in found) >= 8
    assert not any("dependent" in text for each in found for text in each.warnings)
    path = kesten(step_size, 1, 10_000, 21)[:, 0]
    assert any("dependent" in text for text in hill(path, 500).warnings)


def test_the_extremal_index_of_a_moving_maximum():
    """Assert 1/2 for max(z_i, z_(i+1)) and 1 for independent values."""
    from sgdlimits.compare.tail_estimators.doubts import extremal_index

    z = pareto(1, 200_001, 11)
    for x, theta in ((np.maximum(z[1:], z[:-1]), 0.5), (z, 1.0)):
        assert extremal_index(np.flatnonzero(x > np.quantile(x, 0.99))) == pytest.approx(theta, abs=0.05)


BAD = {
    "an infinite value": (np.r_[np.ones(99), np.inf], "finite, got inf at index"),
    "nan": (np.r_[np.ones(99), np.nan], "finite, got nan"),
    "two axes": (np.ones((100, 2)), "one axis"),
    "texts": (["a"] * 100, "texts"),
    "too short": (np.arange(20.0), "20 values, at least 50"),
    "empty": ([], "0 values"),
    "zeros": (np.zeros(1000), "0 nonzero values"),
    "one value": (np.full(1000, 3.0), "are 3 in size"),
    "heavy ties": (np.r_[np.repeat([4.0, 5.0], 5000), generator(1).random(50)], "different values"),
}


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("case", BAD)
def test_a_sample_that_shows_nothing_is_refused_in_a_sentence(name, case):
    """Assert one line that says what was got."""
    sample, words = BAD[case]
    with pytest.raises(SgdlimitsError, match=words) as raised:
        ORDER[name](sample)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ORDER)
def test_wrong_settings_are_refused(name):
    """Assert sentences about side, confidence and k."""
    x = pareto(2, 1000, 12)
    for wrong in (
        {"side": "top"}, {"confidence": 1.0}, {"confidence": 95}, {"k": 0}, {"k": 1000}, {"k": -0.1}, {"k": 1.5},
        {"k": "best"}, {"k": True}, {"k": 1e-9}, {"k": float("nan")},
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            ORDER[name](x, **wrong)
    with pytest.raises(InvalidInput, match="negative"):
        ORDER[name](x, side="left")


def test_an_index_out_of_sight_is_no_number():
    """Assert an infinite index with a sentence for bounded samples, and an open interval for Gaussian ones."""
    uniform, normal = generator(13).random(10_000), generator(14).standard_normal(10_000)
    for name, estimate in ORDER.items():
        found = estimate(uniform)
        assert found.index == found.upper == math.inf and found.warnings, name
        assert estimate(normal).upper == math.inf, name
        assert "infinite" in str(found)


def test_rounded_samples_are_warned_of():
    """Assert a warning where ties reach the tail, and the same index within its error."""
    x = pareto(2, 10_000, 15)
    found = hill(np.round(x, 2), 1000)
    assert "repeat another" in found.warnings[0] and 2 in found


def test_the_page_of_coverage_is_made_from_its_numbers():
    """Assert that every sentence and number of the page follows from the numbers that are kept beside it."""
    import json
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    root = Path(__file__).resolve().parent.parent
    spec = spec_from_file_location("tail_page", root / "benchmarks/tail_page.py")
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    numbers = json.loads((root / "docs/tail_estimators.json").read_text(encoding="utf-8"))
    names = list(numbers["Student 3"])
    sizes = [name for name in names if ", n = " in name]
    held_out = [law for law in numbers if "student" not in numbers[law]]
    laws = [law for law in numbers if law not in held_out]
    lists = laws, [name for name in names if name not in sizes], sizes, held_out
    page = (root / "docs/tail_estimators.md").read_text(encoding="utf-8")
    assert page == made.page(numbers, *lists)
    for law in ("Student 2", "Student 3"):
        best = numbers[law]["corrected_hill"]
        assert best["coverage"] >= 0.9 and best["repetitions"] >= 1000
    numbers["Student 3"]["corrected_hill"]["coverage"] = 0.5
    assert page != made.page(numbers, *lists)
