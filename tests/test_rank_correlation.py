"""Rank correlations with intervals over cells and over runs: their coverage, and the claim on a sweep."""

from functools import partial
from itertools import permutations

import numpy as np
import pytest
import xarray as xr

from sgdlimits import compare, studies
from sgdlimits.compare._rank_correlation.correlations import KENDALL, SPEARMAN, correlation, with_intervals
from sgdlimits.compare._rank_correlation.correlations import kendall_by_chance as by_chance
from sgdlimits.exact.errors import FailedCells, InvalidInput
from sgdlimits.problems import sources, tasks

DRAW = np.random.Generator(np.random.Philox(10))
NOISE = 0.3  # of runs, beside cells of variance 1


@pytest.mark.parametrize("method", (SPEARMAN, KENDALL))
def test_correlations_are_those_of_scipy(method):
    """Assert both, with ties, to rounding."""
    from scipy import stats

    one, other = np.round(2 * DRAW.standard_normal((2, 4, 15))) / 2
    known = stats.spearmanr if method == SPEARMAN else stats.kendalltau
    right = [known(a, b).statistic for a, b in zip(one, other)]
    np.testing.assert_allclose(correlation(one, other, method), right, atol=1e-12)
    assert np.isnan(correlation(np.ones(5), np.arange(5.0), method))


def pairs(n, rho):
    """Index and error of n cells seen with the noise of runs, and resamples of them."""
    cells = DRAW.standard_normal(n)
    sides = np.array([cells, rho * cells + np.sqrt(1 - rho**2) * DRAW.standard_normal(n)])
    seen = sides + NOISE * DRAW.standard_normal((2, n))
    return *seen, *(seen[..., None] + NOISE * DRAW.standard_normal((2, n, 60)))


@pytest.mark.parametrize("method", (SPEARMAN, KENDALL))
@pytest.mark.parametrize("n", (12, 25))
def test_intervals_cover_nothing_and_verdicts_are_seldom_wrong(method, n):
    """Assert 0 in at least 92 % of 250 independent grids; intervals half as wide, the control, in less than 85 %."""
    found = [with_intervals(*pairs(n, 0.0)[:2], None, method, 0.95, 100, 1) for _ in range(250)]
    hits = np.mean([each.lower <= 0 <= each.upper for each in found])
    halved = np.mean([abs(each.value) <= (each.upper - each.lower) / 4 for each in found])
    assert hits >= 0.92 and halved < 0.85


@pytest.mark.parametrize("n", [8, 12])
def test_taus_interval_knows_ties(n):
    """Assert coverage of independence where the index takes one of two values, seldom the other, and the error by
    chance against the exact variance of permutations."""
    generator, held = np.random.default_rng(0), 0
    for seed in range(300):
        one, other = (generator.random(n) < 0.2) * 1.0, generator.random(n)
        found = with_intervals(one, other, None, KENDALL, 0.95, 100, seed)
        held += found.lower <= 0 <= found.upper
    assert held >= 280
    one, other = np.array([0.0, 0, 1, 1, 2]), np.array([0.0, 1, 1, 1, 3])
    every = [correlation(one, other[list(order)], KENDALL) for order in permutations(range(5))]
    assert by_chance(one, other) == pytest.approx(np.std(every), rel=1e-12)


def test_an_association_is_seen_and_runs_alone_are_not_enough():
    """Assert the verdict of 40 grids of 25 cells, and that with equal true indices runs do not make one."""
    seen, chance = 0, 0
    for seed in range(40):
        one, other, one_runs, other_runs = pairs(25, 0.9)
        seen += with_intervals(one, other, None, SPEARMAN, 0.95, 200, seed, one_runs, other_runs).lower > 0
        error = DRAW.standard_normal(25)
        index = DRAW.standard_normal(25)
        runs = index[:, None] + DRAW.standard_normal((25, 60)), error[:, None] + np.zeros((25, 60))
        chance += with_intervals(index, error, None, SPEARMAN, 0.95, 200, seed, *runs).lower > 0
    assert seen >= 36 and chance <= 4


def grid(shape, error, **more):
    over = ("step_size", "batch_size")
    n, m = shape.shape
    variables = {"shape_hill": (over, shape), "test_error": (over, error), **{k: (over, v) for k, v in more.items()}}
    return xr.Dataset(variables, {"step_size": np.arange(1.0, n + 1), "batch_size": np.arange(1.0, m + 1)})


def test_what_a_third_quantity_explains_is_told_apart():
    """Assert that heavier tails and larger errors that both follow training fail plainly and are undecided at equal."""
    training = DRAW.standard_normal((6, 5))
    shape, error = (training + 0.4 * DRAW.standard_normal((6, 5)) for _ in range(2))
    found = compare.rank_correlation(grid(shape, error, training_risk=training))
    assert found.verdicts["hill", "spearman", ""] == "fails"
    assert found.verdicts["hill", "spearman", "training_risk"] == "undecided" and found.verdict == "undecided"
    turned = compare.rank_correlation(grid(-shape, error), given=())
    assert turned.verdict == "holds" and "generalise better: holds" in str(turned) and turned.plot()
    same = compare.rank_correlation(grid(np.ones((6, 5)), error), given=("step_size",))
    assert same.verdict == "undecided"


def test_cells_without_numbers_are_left_out_and_too_few_are_refused():
    """Assert the count in the result, and one sentence each."""
    shape, error = DRAW.standard_normal((2, 4, 4))
    shape[0] = np.nan
    found = compare.rank_correlation(grid(shape, error), given=())
    assert {row["cells"] for row in found.table()} == {12} and "4 of 16 cells" in str(found)
    shape[:3] = np.nan
    with pytest.raises(InvalidInput, match="4 of 16 cells"):
        compare.rank_correlation(grid(shape, error), given=())
    with pytest.raises(InvalidInput, match="shape_NAME"):
        compare.rank_correlation(xr.Dataset({"test_error": ("cell", np.arange(9.0))}))
    with pytest.raises(InvalidInput, match="given"):
        compare.rank_correlation(grid(*DRAW.standard_normal((2, 4, 4))), given=("training",))


@pytest.fixture(scope="module")
def regression():
    """A linear model on 60 rows."""
    return tasks.linear_regression(dimension=6, rows=60, test_rows=40)


def test_a_sweep_of_cells_is_judged(regression):
    """Assert both sides of each cell, the same bits again, a failed cell left out, and resamples over runs in use."""
    cell = partial(compare.index_and_test_error, regression, epochs=2, runs=100, resamples=20, estimators=("hill",))
    over = {"step_size": [0.01, 0.03, 0.06, 0.1, 1e9], "batch_size": [2, 4]}
    with pytest.warns(FailedCells, match="left the range"):
        found = studies.sweep(cell, over, seed=3)
    again = studies.sweep(cell, {"step_size": [0.03], "batch_size": [4]}, seed=3)
    for name in ("shape_hill", "test_error", "shape_hill_resampled"):
        same = again[name].sel(step_size=0.03, batch_size=4).values
        np.testing.assert_array_equal(found[name].sel(step_size=0.03, batch_size=4).values, same)
    assert found["steps"].sel(step_size=0.01).values.tolist() == [60, 30]
    spread = found["test_error_resampled"].std("test_error_resampled_0") / found["test_error_error"]
    assert 0.5 < float(spread.mean()) < 1.5  # resamples vary as their standard error says
    judged = compare.rank_correlation(found, given=())
    assert {row["cells"] for row in judged.table()} == {8} and "2 of 10 cells" in str(judged)
    assert not any(np.isnan(row["runs_lower"]) for row in judged.table())
    d = judged.dataset
    for low, value, high in (("shape_lower", "shape", "shape_upper"), ("error_lower", "error_of_cell", "error_upper")):
        assert (d[low] <= d[value]).all() and (d[value] <= d[high]).all() and (d[low] < d[high]).all()


@pytest.mark.slow
def test_a_sweep_of_networks_is_judged():
    """Assert the share of wrong classes, layers, and a verdict, of a network on a CSV file's worth of rows."""
    inputs, labels = DRAW.standard_normal((200, 6)), DRAW.integers(0, 3, 200)
    task = tasks.from_rows(sources.Rows(inputs[:150], labels[:150]), sources.Rows(inputs[150:], labels[150:]), 5, 3)
    cell = partial(compare.index_and_test_error, task, steps=60, runs=50, resamples=20, layer="second layer")
    found = studies.sweep(cell, {"step_size": [0.03, 0.1, 0.3, 0.6], "batch_size": [1, 2, 4]})
    assert (found["failure"] == "").all() and ((found["test_error"] > 0.3) & (found["test_error"] < 1)).all()
    assert compare.rank_correlation(found).verdict in ("holds", "fails", "undecided")


def test_a_cell_says_what_it_cannot_use(regression):
    """Assert one sentence each."""
    for options, words in (
        ({}, "one of steps and epochs"), ({"steps": 5, "epochs": 1}, "one of"), ({"steps": 5, "runs": 9}, "runs"),
        ({"steps": 5, "layer": "third"}, "third"),
    ):
        with pytest.raises(InvalidInput, match=words):
            compare.index_and_test_error(regression, 0.1, 2, **options)
    with pytest.raises(InvalidInput, match="fresh samples"):
        compare.index_and_test_error(tasks.diagonal_network(inputs=4, ones=1), 0.01, 1, epochs=2)
