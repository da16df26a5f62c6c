"""compare.golden_path: what it says of cases built to hold and to fail, against exact gaps, and what it refuses."""

import numpy as np
import pytest
from sgdlimits import compare
from sgdlimits.compare._golden_path.arms import branch
from sgdlimits.compare._golden_path.plan import larger
from sgdlimits.discrete import SGD, rules, schedules, sharpness
from sgdlimits.ensembles import progress, saved_state
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.problems import StreamingLeastSquares, tasks


@pytest.fixture(scope="module")
def linear():
    task = tasks.linear_regression(dimension=20, seed=1)
    return task, compare.golden_path(
        task, SGD(task.problem, 0.05, batch_size=4), 60, batch_size=32, steps=240, seeds=256, functions=False
    )


def test_linear_gaps_are_the_exact_ones(linear):
    """Assert the mean gap within 4 standard errors of the moment equations at every recorded step."""
    data = linear[1].dataset
    error = data["gap"].std("seed", ddof=1) / np.sqrt(data.sizes["seed"])
    assert (np.abs(data["gap"].mean("seed") - data["exact_gap"]) < 4 * error).all()
    assert not (np.abs(data["gap"].mean("seed") - 3 * data["exact_gap"]) < 4 * error).all()  # there is something to see


def test_a_linear_run_joins_and_is_not_ahead(linear):
    """Assert the verdicts where theory proves them, and that F3 is void where functions were not asked for."""
    verdicts = linear[1].verdicts
    assert verdicts["F2"] in ("holds", "marginal") and verdicts["F4"] in ("holds", "marginal")
    assert verdicts["F3"] == "void" and verdicts["F1"] != "fails"


def test_the_sharpness_at_the_drop_is_that_of_the_least_squares(linear):
    """Assert step size times largest eigenvalue, the rule's edge, and that the regime says both."""
    task, result = linear
    data = result.dataset
    np.testing.assert_allclose(data["scaled_sharpness"], 0.05 * task.problem.eigenvalues[0], rtol=1e-6)
    assert data.attrs["sharpness"] == data["scaled_sharpness"].sel(side="high").mean()
    assert (data["edge"] == 2).all() and "the edge of stability is 2.00" in result.heading()[-1]
    assert "past the edge" not in result.heading()[-1]


@pytest.mark.parametrize(
    ("rule", "step_size", "edge", "says"),
    [
        (None, 0.05, 2.0, "(high, past the edge of stability)"),
        (rules.HeavyBall(0.5), 0.05, 3.0, "the edge of stability is 3.00"),
        (rules.Nesterov(0.5), 0.05, 1.5, "the edge of stability is 1.50"),
        ("adam", 0.05, np.nan, "Adam divides by what it keeps"),
    ],
)
@pytest.mark.filterwarnings("ignore::sgdlimits.exact.errors.StabilityWarning")
def test_each_rule_has_its_own_edge(rule, step_size, edge, says):
    """Assert the edge that descent without noise has under a rule, against its own threshold, or a word."""
    task = tasks.linear_regression(dimension=3, seed=1)
    size = 2.2 / task.problem.eigenvalues[0] if rule is None else step_size
    sgd = SGD(task.problem, size, batch_size=64, rule=rule)
    result = compare.golden_path(task, sgd, 2, batch_size=256, steps=4, seeds=4, functions=False)
    assert says in result.heading()[-1]
    np.testing.assert_allclose(result.dataset["edge"], edge)
    if np.isfinite(edge):
        assert sgd.stability().mean_threshold * task.problem.eigenvalues[0] == pytest.approx(edge)


def test_the_sharpness_of_a_network_follows_the_step_size():
    """Assert eigenvalues of the rows' Hessian at the saved positions, under the schedule's step size at the drop."""
    task = tasks.diagonal_network(inputs=12, ones=1, rows=6, test_rows=10)
    falling = schedules.Cosine(0.08, 60)
    sgd = SGD(task.problem, falling, batch_size=2)
    asked = {"batch_size": None, "steps": 40, "seeds": 4, "functions": False}
    data = compare.golden_path(task, sgd, 30, sharpness_seeds=2, **asked).dataset
    found = sgd.simulate(task.starts(4, 0), 30, 4, record=[30], observables=("state",), seed=_seed_of("high"))
    right = [falling(30) * float(sharpness(task.problem, x)) for x in found["state"].values[:2, 0]]
    np.testing.assert_allclose(data["scaled_sharpness"].sel(side="high"), right, rtol=2e-2)
    assert np.ptp(right) > 0.05 * right[0]
    assert "eigenvalue" not in compare.golden_path(task, sgd, 30, sharpness_seeds=0, **asked).heading()[-1]


def _seed_of(name):
    return int(Noise(0, np.arange(1)).child(name).seed)


@pytest.mark.parametrize("rows", [None, 40])
def test_the_diagonal_network_snaps_online_and_forks_offline(rows):
    """Assert phi below 0.02 online; offline F1, F2 and F4 fail with phi above 1 at the end."""
    task = tasks.diagonal_network(rows=rows)
    result = compare.golden_path(
        task, SGD(task.problem, 0.02), 1000, batch_size=None, steps=4000, seeds=8, record=[2000, 3000, 4000],
        functions=False,
    )  # fmt: skip
    phi = result.dataset["phi"].values[-1]
    if rows is None:
        assert 0 <= phi < 0.02 and result.verdicts["F1"] == "holds"
        assert "fails" not in result.verdicts.values()
    else:
        assert phi > 1
        assert [result.verdicts[key] for key in ("F1", "F2", "F4")] == ["fails"] * 3


def test_a_step_size_drop_is_matched_at_equal_sums():
    """Assert which step of the low run is met, the noiseless gap taken off, and the shorter step where none is."""
    task = tasks.linear_regression(dimension=5, seed=2)
    sgd = SGD(task.problem, 0.05, batch_size=8)
    result = compare.golden_path(task, sgd, 40, step_size=0.02, steps=120, seeds=64, functions=False)
    data = result.dataset
    assert data.attrs["met_at"] == 100 and data.attrs["matched"] == "equal sums of step sizes"
    assert np.abs(data["noiseless_gap"]).max() > 0
    error = data["gap"].std("seed", ddof=1) / np.sqrt(64)
    assert (np.abs(data["gap"].mean("seed") - data["exact_gap"]) < 4 * error).all()
    cut = compare.golden_path(task, sgd, 41, step_size=0.02, steps=60, seeds=4, functions=False).dataset
    assert cut.attrs["met_at"] == 103 and "one shorter step" in cut.attrs["matched"]
    np.testing.assert_allclose(cut["time"], 41 * 0.05 + 0.02 * cut["after"])


@pytest.mark.parametrize(
    ("before", "then"),
    [
        (0.05, 0.03), (0.05, schedules.Cosine(0.04, 200)),
        (schedules.WarmUp(0.06, 20), schedules.WarmUp(0.03, 10, then=schedules.Cosine(0.03, 150))),
        (schedules.Cosine(0.06, 100), 0.02),
    ],
)  # fmt: skip
def test_schedules_are_arms(before, then):
    """Assert the exact gap within 4 standard errors where sums of step sizes do not meet by themselves."""
    task = tasks.linear_regression(dimension=5, seed=2)
    sgd = SGD(task.problem, before, batch_size=8)
    result = compare.golden_path(task, sgd, 37, step_size=then, steps=90, seeds=128, record=6, functions=False)
    data = result.dataset
    error = data["gap"].std("seed", ddof=1) / np.sqrt(128)
    assert (np.abs(data["gap"].mean("seed") - data["exact_gap"]) < 4 * error).all()  # false where unknown
    noiseless = data["loss"].sel(arm="noiseless")
    exact = compare.snapping(sgd, task.start.centre, 37, step_size=then, steps=90).dataset
    there = exact[["risk", "time"]].sel(step=37 + data["after"].values)
    np.testing.assert_allclose(noiseless.mean("seed"), there["risk"].sel(arm="noiseless"), rtol=1e-10)
    np.testing.assert_allclose(data["time"], there["time"].sel(arm="low"), rtol=1e-12)
    assert "sum of step sizes" in result.plot().axes[0].get_xlabel() and "Matched" not in str(result)


def test_the_same_seed_gives_the_same_bits_and_more_seeds_extend_it():
    """Assert reproducible losses, whatever the threads, and that the first seeds stay when more are run."""
    task = tasks.diagonal_network(inputs=20, ones=2, spread=0.1, seed=1)
    sgd = SGD(task.problem, 0.02, batch_size=4)
    few, more = (
        compare.golden_path(task, sgd, 20, batch_size=32, steps=40, seeds=seeds, record=10, threads=threads,
                            sharpness_seeds=0)  # fmt: skip
        for seeds, threads in ((8, 1), (16, 2))
    )
    for arm in ("snapped", "low"):
        one, other = (each.dataset["loss"].sel(arm=arm).values for each in (few, more))
        np.testing.assert_array_equal(one, other[:8])
    assert np.ptp(few.dataset["loss"].sel(arm="low").values[:, 0]) > 0


def test_a_branch_keeps_what_it_may():
    """Assert slots carried between rules of one type, zero for another, and positions always."""
    task = tasks.diagonal_network(inputs=20, ones=2, spread=0.1, seed=1)
    before = SGD(task.problem, 0.005, batch_size=4, rule=rules.HeavyBall(0.9))
    state = saved_state(before.simulate(task.starts(8, 0), 10, 8, keep_state=True))
    same = branch(state, before, SGD(task.problem, 0.005, batch_size=16, rule=rules.HeavyBall(0.5)))
    other = branch(state, before, SGD(task.problem, 0.005, batch_size=4, rule="adam"))
    np.testing.assert_array_equal(same.arrays["slots"], state.arrays["slots"])
    assert np.abs(state.arrays["slots"]).max() > 0 and not other.arrays["slots"].any()
    np.testing.assert_array_equal(other.positions, state.positions)
    unbroken = before.simulate(task.starts(8, 0), 20, 8, observables=("state",), record=[20])
    resumed = before.simulate(branch(state, before, before), 20, 8, observables=("state",), record=[20])
    np.testing.assert_array_equal(unbroken["state"].values, resumed["state"].values)


def test_momentum_is_carried_into_other_coordinates():
    """Assert the step after the drop by hand: a stream keeps momentum along the eigenvectors, a formula does not."""
    turn = np.linalg.qr(np.random.Generator(np.random.Philox(3)).standard_normal((5, 5)))[0]
    hessian, truth = turn @ np.diag([1.0, 0.6, 0.4, 0.3, 0.1]) @ turn.T, np.ones(5)
    problem = StreamingLeastSquares(hessian, 0.5, truth)
    flat = tasks.linear_regression(dimension=5, seed=1)
    formula = tasks.population.quadratic("turned", hessian, truth, 0.125)
    task = tasks.Task("turned", problem, flat.test, flat.start, formula)
    before = SGD(problem, 0.05, batch_size=4, rule=rules.HeavyBall(0.9))
    state = saved_state(before.simulate(task.starts(6, 0), 30, 6, keep_state=True))
    after = SGD(step_size=0.05, rule=rules.HeavyBall(0.9), **task.noiseless())
    branched = branch(state, before, after)
    momentum = state.arrays["slots"][:, 0] @ problem.eigenvectors.T
    np.testing.assert_allclose(branched.arrays["slots"][:, 0], momentum, rtol=1e-13, atol=1e-14)
    assert np.abs(momentum - state.arrays["slots"][:, 0]).max() > 0.01
    found = after.simulate(branched, 31, 6, observables=("state",), record=[31])["state"].values[:, 0]
    moved = 0.9 * momentum + (state.positions - truth) @ hessian
    np.testing.assert_allclose(found, state.positions - 0.05 * moved, rtol=1e-12)


def test_momentum_joins_the_run_without_noise():
    """Assert the exact gap within 4 standard errors where a momentum run becomes one without noise."""
    task = tasks.linear_regression(dimension=10, seed=1)
    sgd = SGD(task.problem, 0.02, batch_size=8, rule=rules.HeavyBall(0.8))
    result = compare.golden_path(task, sgd, 60, batch_size=None, steps=120, seeds=256, record=20)
    data = result.dataset
    error = data["gap"].std("seed", ddof=1) / 16
    assert (np.abs(data["gap"].mean("seed") - data["exact_gap"]) < 4 * error).all()  # false where unknown
    assert "F4 repeats F2" in str(result) and "F3 same start, new data" not in result.verdicts


def test_functions_are_judged_at_equal_loss_only():
    """Assert F3 void, and why, where the low run was never seen near the snapped one's loss; the regime is said."""
    task = tasks.diagonal_network(inputs=20, ones=2)
    result = compare.golden_path(task, SGD(task.problem, 0.03), 300, batch_size=None, steps=600, seeds=4, record=100)
    assert result.verdicts["F3"] == "void" and "equal loss" in str(result)
    assert "Regime: fresh samples; gap at the drop" in str(result)


def test_the_result_prints_draws_and_is_saved(linear, tmp_path):
    """Assert the table, the figures and a netCDF file that gives the same verdicts."""
    result = linear[1]
    assert "F1: the snapped run joins the low-noise run" in str(result) and "<table" in result._repr_html_()
    assert "the noise drops (batch size 4 to 32) at step 60 of 240" in str(result)
    assert "the noise drops (batch size 4 to 32)" in result.plot().axes[0].get_title(loc="left")
    for figure in (result.plot(), result.plot_gap(), result.plot_gap(log=True)):
        assert figure.axes[0].get_xlabel()
    result.save(tmp_path / "golden.nc")
    assert type(result).load(tmp_path / "golden.nc").verdicts == result.verdicts


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "nothing changes"),
        ({"batch_size": 8, "step_size": 0.01}, "change one"),
        ({"batch_size": 8, "seeds": 3}, "seeds is 3"),
        ({"batch_size": 8, "steps": 20}, "before the last step"),
        ({"batch_size": 8, "level": 0.5}, "below 0.5"),
        ({"batch_size": 8, "margin": 0.0}, "margin"),
        ({"batch_size": 2**20, "steps": 5000}, "before it repeats"),
        ({"batch_size": 8, "record": [10, 30]}, "record"),
        ({"batch_size": 2}, "4 before the drop and 2 after it, which is more noise"),
        ({"step_size": 0.1}, "0.05 before the drop and 0.1 after it, which is more noise"),
    ],
)
def test_what_is_refused(change, says):
    """Assert one sentence that names what was got."""
    task = tasks.linear_regression(dimension=5, seed=2)
    with pytest.raises(InvalidInput, match=says):
        compare.golden_path(task, SGD(task.problem, 0.05, batch_size=4), 20, **({"steps": 40} | change))


def test_another_problem_is_refused():
    """Assert that the run must be on the task's problem."""
    task, other = tasks.linear_regression(dimension=5, seed=2), tasks.linear_regression(dimension=5, seed=3)
    with pytest.raises(InvalidInput, match="another problem"):
        compare.golden_path(task, SGD(other.problem, 0.05), 20, batch_size=8, steps=40)


def test_a_long_run_says_by_itself_that_it_goes_on(capsys, monkeypatch):
    """Assert a line on standard error once patience ends, and none where none was wanted."""
    task = tasks.linear_regression(dimension=5, seed=2)
    sgd = SGD(task.problem, 0.05, batch_size=4)
    for patience, wanted, said in ((0.0, None, True), (0.0, False, False), (1e9, None, False)):
        monkeypatch.setattr(progress, "FIRST_WORD", patience)
        compare.golden_path(task, sgd, 20, batch_size=32, steps=40, seeds=4, functions=False, progress=wanted)
        assert ("golden path: " in capsys.readouterr().err) is said


def test_a_run_that_overflows_before_the_drop_is_named_by_its_settings():
    """Assert that the run with much noise is named, with its settings in a few words."""
    task = tasks.relu_regression(inputs=2, width=3)
    with pytest.warns(OverflowedPaths), pytest.raises(InvalidInput, match="'high' overflow with batch size 2, step"):
        compare.golden_path(task, SGD(task.problem, 50.0, batch_size=2), 40, batch_size=8, steps=60, seeds=4)


def test_batches_that_stand_for_no_noise_are_large():
    """Assert eight times the low run's, at least 64 and at most 1024, and never fewer than the low run's."""
    stream = tasks.linear_regression(dimension=2)
    assert [larger(stream, size, 10) for size in (1, 4, 16, 64, 512, 4096)] == [64, 64, 128, 512, 1024, 4096]
