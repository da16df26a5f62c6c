"""The study on zero-loss sets: it runs, repeats to the bit, predicts what it measures, and rejects what is wrong."""

import dataclasses
import re
import tomllib

import numpy as np
import pytest

from sgdlimits.__main__ import main
from sgdlimits.compare.output_folder import written_files
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.zero_loss import ZeroLossStudy, sparse_regression, study, trajectories, tried

JUDGING = {"tolerance": 0.05, "confidence": 0.95}
FEW = JUDGING | {"tolerance": 0.1}  # for runs of few paths
SETTINGS = {"seed": 0, "threads": 1, "progress": None}


@pytest.fixture(scope="module")
def task():
    return sparse_regression.synthetic_task(8, 12, 1, 0)


@pytest.fixture(scope="module")
def regression(task):
    """A small regression, every mechanism from both starts."""
    return sparse_regression.run_task(task, 1500, 5, 8, **FEW, **SETTINGS)


@pytest.mark.slow
def test_label_noise_is_predicted_and_selects_the_sparse_truth(task, regression):
    """Assert a test error within 4 standard errors and the step size of its limit, and coefficients near the sparse
    truth, from which those that minibatch noise ends at are far."""
    here = regression.sel(mechanism="label noise")
    change = here["test_error_limit"][:, 0] - here["test_error_limit"][:, -1]
    gap = np.abs(here["test_error"] - here["test_error_limit"])[:, -1]
    bound = 4 * here["test_error_error"][:, -1] + regression.attrs["step_size"] * change
    assert (gap.values <= bound.values).all()
    assert (change.values > 0).all()
    end = here["coefficients"].isel(start=0).values
    distance = np.linalg.norm(end - task.truth)
    standing = regression["coefficients"].sel(mechanism="minibatch").isel(start=0).values
    assert distance < 0.05
    assert np.linalg.norm(standing - task.truth) > 3 * distance


@pytest.mark.slow
def test_each_regulariser_selects_its_own_interpolator(task, regression):
    """Assert that limits run long reach the solution of the convex programme of their own regulariser."""
    ends = regression["coefficients_limit"].isel(start=0)
    for name, other in (("Dropout", "weight noise"), ("weight noise", "Dropout"), ("input noise", "weight noise")):
        near = np.linalg.norm(ends.sel(mechanism=name) - sparse_regression.selected(name, task))
        far = np.linalg.norm(ends.sel(mechanism=name) - sparse_regression.selected(other, task))
        assert near < 0.1 * far


def test_selected_interpolators_interpolate_and_are_least(task):
    """Assert Z b = y, and that no other interpolator nearby has a smaller regulariser."""
    kernel = np.linalg.svd(task.features)[2][len(task.labels) :]
    weights = np.square(task.features).mean(axis=0)
    costs = {
        "label noise": lambda b: (weights * np.abs(b)).sum(-1),
        "DropConnect": lambda b: (weights * b**2).sum(-1),
        "input noise": lambda b: (b**2).sum(-1),
    }
    moves = np.random.default_rng(0).standard_normal((50, len(kernel))) @ kernel
    for name, cost in costs.items():
        found = sparse_regression.selected(name, task)
        assert np.abs(task.features @ found - task.labels).max() < 1e-9
        assert (cost(found + 0.1 * moves) >= cost(found) - 1e-12).all()
    assert np.isnan(sparse_regression.selected("minibatch", task)).all()


@pytest.mark.slow
def test_own_limits_agree_and_wrong_ones_are_rejected(regression):
    """Assert it of label noise and of what stands still, by the displacement, and how many of the 30 are rejected."""
    verdicts = regression["trial_verdict"].sel(quantity="displacement").isel(start=0)
    for name in ("label noise", "minibatch"):
        against = verdicts.sel(mechanism=name)
        assert against.sel(tried=name).item() == "agrees"
        assert set(against.drop_sel(tried=name).values) == {"differs"}
    count, wrong = tried.rejected(regression)
    assert wrong == 30 and count >= 26  # Dropout and DropConnect have one limit


def test_a_limit_that_stands_still_is_rejected_by_any_motion():
    """Assert that a tiny but lasting motion is told from rest, and that a motion which dies out is not, nor one no
    longer than what is left of a transient that has not relaxed yet."""
    candidate = tried.Candidate(np.zeros((5, 2)), np.array([1.0, 0.0]), True, 0.5, lambda w: w[..., 0])
    steps, paths = np.array([0, 10, 100, 600, 1000]), np.ones((4, 1, 2))
    settled = paths * np.array([0, 0.01, 0.02, 0.02, 0.02])[:, None]
    moving = settled + paths * np.array([0, 0, 0, 0, 1e-5])[:, None]
    assert tried.tried(candidate, settled, steps, "displacement", 0.05, 0.95).verdict == "agrees"
    assert tried.tried(candidate, moving, steps, "displacement", 0.05, 0.95).verdict == "differs"
    slow = dataclasses.replace(candidate, relaxation=0.01)
    assert tried.tried(slow, moving, steps, "displacement", 0.05, 0.95).verdict == "agrees"


@pytest.mark.slow
def test_rows_that_miss_their_limit_have_a_finer_rung(regression):
    """Assert that a second rung was run where and only where the limit was missed or falls by orders of magnitude."""
    own = np.array([
        [regression["trial_verdict"].sel(quantity="displacement", mechanism=name, tried=name, start=start).item()
         for start in regression["start"].values] for name in regression["mechanism"].values
    ])  # fmt: skip
    limit = regression["test_error_limit"].values
    falls = (limit[..., -1] < 0.01 * limit[..., 0]) & (limit[..., -1] > 0)
    run = np.isfinite(regression["finer_gap"].values)
    moving = (regression["regime"].values != "trivial")[:, None]
    assert np.array_equal(run, moving & ((own == "differs") | falls))
    assert np.array_equal(regression["floor"].values != "", moving & falls)


@pytest.mark.slow
@pytest.mark.slow
def test_regressions_do_not_depend_on_threads(task, regression):
    """Assert the same bits on two threads."""
    again = sparse_regression.run_task(task, 1500, 5, 8, **FEW, **(SETTINGS | {"threads": 2}))
    for name, values in regression.items():
        if values.dtype.kind == "f":
            assert np.array_equal(values.values, again[name].values, equal_nan=True), name


def test_real_rows_are_standardised_and_kept_apart():
    """Assert mean 0 and variance 1 of the training columns, that rows are used once, and that too many are refused."""
    task = sparse_regression.real_task("diabetes", 20, 3)
    assert task.features.shape == (20, 64)
    assert len(task.test_labels) == 422
    assert np.abs(task.features.mean(axis=0)).max() < 1e-12
    assert np.abs(task.features.std(axis=0) - 1).max() < 1e-12
    assert not {tuple(row) for row in task.features} & {tuple(row) for row in task.test_features}
    with pytest.raises(InvalidInput, match="64 features .* not more than the 70 rows"):
        sparse_regression.real_task("diabetes", 70, 0)


@pytest.mark.slow
def test_the_label_noise_of_a_scene_agrees_with_its_limit():
    """Assert the verdict on the hyperbola, that of a minibatch, and that every path starts off the set."""
    scene = trajectories.scenes()[0]
    kept = trajectories.mechanisms
    names = ("label noise", "minibatch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories, "mechanisms", lambda: {name: kept()[name] for name in names})
        along = trajectories.run_scene(scene, 5, 300, 3, SETTINGS, JUDGING)
    assert [str(c.dataset["verdict"].values[0]) for c in along.comparisons.values()] == ["agrees", "agrees"]
    assert along.dataset["regime"].values.tolist() == ["degenerate", "trivial"]
    still = along.dataset["limit"].sel(mechanism="minibatch").values
    assert np.ptp(still, axis=0).max() == 0
    assert abs(scene.model.residual(scene.start)[0]) > 0.1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--momentum", "0.5"], "the study 'zero-loss' has no option '--momentum'"),
        (["--rows", "3"], "rows must be at least 4, got 3"),
        (["--rows", "100"], "not more than the 100 rows"),
        (["--dataset", "diabets"], "did you mean 'diabetes'"),
        (["--confidence", "1"], "confidence must be below 1"),
        (["--paths", "3"], "paths must be between 4 and 1000000000, got 3"),
        (["--tolerance", "0.2"], "tolerance is relative to what the limit changes, and at most 0.1, got 0.2"),
    ],
)
def test_wrong_options_give_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    """Assert code 2, one sentence, and an empty folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["study", "zero-loss", "--quiet", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_settings_file_gives_the_same_numbers_to_the_bit(tmp_path):
    """Assert it of every number of a quick study, on another number of threads, and that the report is whole."""
    import xarray as xr

    first, again = tmp_path / "first", tmp_path / "again"
    assert main(["study", "zero-loss", "--quick", "--paths", "40", "--quiet", "--out", str(first)]) == 0
    names = {path.name for path in first.iterdir()}
    assert {"report.html", "table.csv", "table.tex", "time-scales.nc", "regression-diabetes.nc", "study.toml"} <= names
    assert (first / "table.tex").read_text().count(r"\begin{tabular}") >= 5
    assert written_files(first) == names
    assert tomllib.loads((first / "study.toml").read_text())["settings"]["quick"] is True
    assert ZeroLossStudy.from_toml(first / "study.toml") == ZeroLossStudy(paths=40, quick=True)
    assert not re.search(r'(src|href)="(?!data:)', (first / "report.html").read_text())
    settings = str(first / "study.toml")
    assert main(["study", "--from", settings, "--threads", "1", "--quiet", "--out", str(again)]) == 0
    assert (first / "table.csv").read_bytes() == (again / "table.csv").read_bytes()
    for path in first.glob("*.nc"):
        with xr.open_dataset(path) as one, xr.open_dataset(again / path.name) as other:
            for name, values in one.variables.items():
                equal_nan = values.dtype.kind == "f"
                assert np.array_equal(values.values, other.variables[name].values, equal_nan=equal_nan), name


@pytest.mark.slow
def test_on_real_data_wrong_limits_are_rejected():
    """Assert at least 20 of the 30 with the default paths, and that four own limits agree."""
    paths = ZeroLossStudy().paths // study.SHARE
    data = sparse_regression.run_task(
        sparse_regression.real_task("diabetes", 20, 0), 8000, 12, paths, **JUDGING, **(SETTINGS | {"threads": 2})
    )
    assert tried.rejected(data)[0] >= 20
    own = data["trial_verdict"].sel(quantity="displacement").isel(start=0)
    for name in ("label noise", "weight noise", "Dropout", "DropConnect", "minibatch"):
        assert own.sel(mechanism=name, tried=name).item() == "agrees"
    assert own.sel(mechanism="input noise", tried="input noise").item() == "differs"  # finite noise: it falls
    side = data.sel(mechanism="input noise").isel(start=0)
    gap = side["trial_gap"].sel(quantity="displacement", tried="input noise")
    assert abs(float(side["finer_gap"])) < 0.6 * abs(float(gap))


@pytest.mark.slow
@pytest.mark.parametrize("paths", [4, 25])
def test_the_verdict_on_a_limit_keeps_its_level(paths):
    """Assert with 1000 sets of paths that a right limit is called wrong, and a limit off by twice the tolerance right,
    no more often than the level allows: binomial tests at 1 %."""
    from scipy.stats import binomtest

    times = np.linspace(0, 1, 7)
    limit = np.stack([times, 0 * times], axis=1)
    steps, wrong = np.arange(7) * 100, []
    for repetition in range(1000):
        noise = np.random.Generator(np.random.Philox(key=[7, repetition])).standard_normal((paths, 7, 2)).cumsum(axis=1)
        noise -= noise[:, :1]
        right = tried.Candidate(limit, np.array([0.0, 1.0]), False, 0.5, lambda w: w[..., 0])
        edge = limit + 0.1 * noise * paths**0.5 / 5
        on_margin = edge + np.array([0.05, 0.0]) * (times > 0)[:, None]  # the true gap is the tolerance itself
        wrong.append([
            tried.tried(right, points, steps, "displacement", 0.05, 0.95).verdict == bad
            for points, bad in ((edge, "differs"), (on_margin, "differs"), (on_margin, "agrees"))
        ])  # fmt: skip
    for count in np.sum(wrong, axis=0):
        assert binomtest(int(count), 1000, 0.05, "greater").pvalue > 0.01
    control = limit * 1.5 + 0.02 * noise
    assert tried.tried(right, control, steps, "displacement", 0.05, 0.95).verdict == "differs"


@pytest.mark.slow
def test_three_clocks_on_one_axis():
    """Assert both slow motions follow the limit at this finite step size, label noise not the bare limit, that one is
    slower by the step size, and that minibatch noise stops where its loss is gone."""
    from sgdlimits.studies.zero_loss.clocks import STEP_SIZE, run_clocks

    data = run_clocks(24, {"seed": 3, "threads": 1, "progress": None}, 12).dataset
    late = data["step"].values > 10 * data.attrs["relaxation"]
    for place in range(4):
        here = data.isel(curve=place)
        moved, error = here["moved"].values[late], here["moved_error"].values[late]
        allowed = 5 * error + float(here["noise_level"]) ** 2 * 0.15
        assert (np.abs(moved - here["finite_step"].values[late]) < allowed).all()
    label = data.isel(curve=1)
    miss = np.abs(label["moved"] - label["limit"]).values[late]
    assert (miss > 5 * label["moved_error"].values[late]).any()
    units = data["unit_steps"].values
    assert units[2:4] / units[:2] == pytest.approx(STEP_SIZE)
    still = data.isel(curve=4)
    assert float(still["loss"][-1]) < 1e-20
    assert np.ptp(still["moved"].values[late]) < 1e-6
    assert np.isnan(still["finite_step"]).all()
