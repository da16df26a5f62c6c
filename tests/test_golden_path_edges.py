"""compare.golden_path and its kin at the edges: exact fits, losses that turn, few seeds, no noise, other data."""

import numpy as np
import pytest
from matplotlib.markers import CARETUP, CARETUPBASE
from scipy import stats
from sgdlimits import compare
from sgdlimits.compare._golden_path.criteria import does_not_help, joins
from sgdlimits.compare._golden_path.functions import _look
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, StreamingLeastSquares, tasks
from sgdlimits.studies.golden_path.ladders import EXACT
from sgdlimits.studies.golden_path.plots import samples


def test_the_exact_gap_is_that_of_fresh_samples():
    """Assert an exact curve online, and none offline, where moments give the risk on the rows alone."""
    for rows in (None, 30):
        task = tasks.linear_regression(dimension=5, rows=rows)
        result = compare.golden_path(
            task, SGD(task.problem, 0.05, batch_size=4), 20, batch_size=None, steps=60, seeds=4, functions=False
        )
        assert np.isfinite(result.dataset["exact_gap"]).all() == (rows is None)


def test_an_exact_fit_voids_f3_alone():
    """Assert the other verdicts where the loss comes down to zero, and why there is none on functions."""
    task = tasks.linear_regression(dimension=1, noise=0.0)
    result = compare.golden_path(task, SGD(task.problem, 0.5, batch_size=2), 20, batch_size=8, steps=200, seeds=6)
    assert result.verdicts["F3"] == "void" and result.verdicts["F4"] in ("holds", "marginal")
    assert "rounding" in str(result) or "exactly" in str(result)


def test_equal_loss_is_looked_for_late():
    """Assert the later of two looks where a test loss falls and rises again, and the nearest of a falling one."""
    turning = np.array([2.50, 2.40, 2.36, 2.41, 2.47, 2.51, 2.60])
    assert _look(turning, 2.502) == 5 and _look(turning, 2.49) in (4, 5)
    falling = np.array([2.0, 1.5, 1.2, 1.1, 1.05])
    assert [_look(falling, level) for level in (2.0, 1.48, 1.11, 0.5)] == [0, 1, 3, 4]


def test_a_void_drop_says_how_many_seeds_would_show_it():
    """Assert the number of seeds by the formula of a one-sided test of power 0.8."""
    values = np.random.Generator(np.random.Philox(1)).standard_normal(16)
    drop = (values - values.mean()) / values.std(ddof=1) + 0.2
    found = joins(np.tile(drop[:, None], (1, 5)), drop, np.arange(5.0), 0.05, 0.05)
    assert found.verdict == "void"
    assert found.needed == np.ceil(((stats.norm.ppf(0.95) + stats.norm.ppf(0.8)) / 0.2) ** 2)


def test_skewed_seeds_are_said_to_be():
    """Assert a warning on lognormal seeds, whose level is not kept, and next to none on normal ones."""
    noted = {"normal": 0, "lognormal": 0}
    for key in range(200):
        draw = np.random.Generator(np.random.Philox(key))
        for name, law in (("normal", draw.standard_normal), ("lognormal", lambda shape: np.exp(normal(shape)))):
            normal = draw.standard_normal
            found = does_not_help("F2", law((32, 1)), np.ones(1), np.zeros(1), 0.05, 0.05, "low")
            noted[name] += any("skewed" in note for note in found.notes)
    assert noted["lognormal"] > 160 and noted["normal"] < 10


def test_unequal_losses_are_told_in_the_figure():
    """Assert that distances of runs never seen at equal loss are called void where they are drawn."""
    task = tasks.diagonal_network(inputs=20, ones=2)
    result = compare.golden_path(task, SGD(task.problem, 0.03), 300, batch_size=None, steps=600, seeds=4, record=100)
    labels = [label.get_text() for label in result.plot_functions().axes[0].get_yticklabels()]
    assert "void" in labels[0] and not any("void" in label for label in labels if "control" in label)


@pytest.mark.parametrize("features", [[[0.7]], [[0.4, -1.3]], [[1.0, 2.0]] * 3])
def test_one_row_has_no_noise(features):
    """Assert that batches of rows that are all one leave no gap but rounding, which is void and has no times."""
    problem = LeastSquares.from_arrays(np.array(features), np.ones(len(features)))
    found = compare.snapping(SGD(problem, 0.05), np.full(problem.dimension, 0.3), 5, batch_size=None, steps=40)
    assert found.dataset.attrs["void"] and (found.dataset["time_to"] == -1).all()
    assert not found.dataset["floor"].any()


def test_noise_of_another_problem_is_no_effect_of_a_step_size():
    """Assert that SGD must descend the same loss, on the same problem or on fresh samples of it."""
    draw = np.random.Generator(np.random.Philox(2))
    rows, labels = draw.standard_normal((9, 3)), draw.standard_normal(9)
    problem, other = LeastSquares.from_arrays(rows, labels), LeastSquares.from_arrays(rows, -labels)
    with pytest.raises(InvalidInput, match="not that of"):
        compare.step_size_effect(problem, np.ones(3), 0.1, 10, sgd=SGD(other, 0.1))
    task = tasks.linear_regression(dimension=3)
    stream = SGD(task.problem, 0.1, batch_size=4)
    assert isinstance(task.problem, StreamingLeastSquares)
    data = compare.step_size_effect(task.population, np.ones(3), 0.1, 10, sgd=stream, paths=200).dataset
    assert (np.abs(data["noise"]) < 6 * data["noise_error"] + 0.05).all()


def test_intervals_from_few_runs_cover():
    """Assert simultaneous coverage of steps to a level from 6 runs, which a normal quantile misses."""
    sizes, steps = np.array([1.0, 4.0, 16.0]), np.arange(1, 200, 3)
    means = np.array([np.exp(-steps / 40) + 0.02 / size + 0.01 for size in sizes])
    true = compare.noise_cost_of_curves(steps, means, sizes, 0.2).dataset["steps"].values[0]
    covered = {6: 0, None: 0}
    for key in range(300):
        draw = np.random.Generator(np.random.Philox(key))
        runs = means * (1 + 0.1 * draw.standard_normal((6, 3, 1)))
        errors = runs.std(axis=0, ddof=1) / np.sqrt(6)
        for asked in covered:
            found = compare.noise_cost_of_curves(steps, runs.mean(axis=0), sizes, 0.2, errors, runs=asked).dataset
            low, high = found["steps_low"].values[0], found["steps_high"].values[0]
            covered[asked] += bool(((low <= true + 1e-9) & (true <= high + 1e-9)).all())
    assert covered[6] >= stats.binom(300, 0.95).ppf(0.001) > covered[None]


def test_the_undropped_run_is_named_where_it_is_seen():
    """Assert the label of `high` at its height where the axis of sums ends, though its own sums go on."""
    stream = StreamingLeastSquares([1.0, 0.3], 0.5, [1.0, 1.0])
    found = compare.snapping(SGD(stream, 0.2, batch_size=2), np.zeros(2), 20, step_size=0.05, steps=80)
    high = found.dataset.sel(arm="high")
    end = float(found.dataset["time"].sel(arm="snapped")[-1])
    label = next(text for text in found.plot().axes[0].texts if text.get_text() == "high")
    assert float(high["time"][-1]) > 1.5 * end
    assert label.xy[1] == pytest.approx(np.interp(end, high["time"], high["excess"]))


def test_an_interval_without_an_end_is_drawn_as_one():
    """Assert an arrow in the study's figure where the upper curve of a batch size never comes to the level."""
    steps, sizes = np.arange(1, 100, 2), np.array([1.0, 4.0, 16.0])
    means = np.array([np.exp(-steps / 30) + 0.19 / size for size in sizes])
    found = compare.noise_cost_of_curves(steps, means, sizes, 0.23, 0.02 * means + 0.01, runs=8)
    assert np.isinf(found.dataset["steps_high"].values[0, 0]) and np.isfinite(found.dataset["steps_high"][0, -1])
    ax = samples({"relu-regression": found}, EXACT).axes[0]
    arrows = [line for line in ax.lines if line.get_marker() in (CARETUPBASE, CARETUP)]
    assert sum(len(line.get_xdata()) for line in arrows) == 1
    assert found.plot().axes
