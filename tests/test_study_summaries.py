"""The summary of a study's result: one shape for all settings, the numbers of its tables, and no bare nan."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from sgdlimits import compare
from sgdlimits.compare import TimeScale
from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.problems import noise, zero_loss
from sgdlimits.studies.homogenized import HomogenizedStudy, summary
from sgdlimits.studies.zero_loss import ZeroLossStudy, network, path_convergence, sparse_regression, study
from sgdlimits.studies.zero_loss import time_scales, trajectories

NOTES = {  # names of variables -> the text that says why one of them is nan
    "homogenized": {"process": "note", "approximation": "order_note", None: "threshold_note"},
    "zero-loss": {"motion": "exponent_note", "path_row": "path_note"},
}


@pytest.fixture(scope="module")
def first():
    return HomogenizedStudy(step_size=0.02, steps=20, paths=40, processes="homogenized,modified").run(threads=1)


@pytest.fixture(scope="module")
def second():
    """Other numbers in every setting that has one, and a sampling of which neither thresholds nor orders are known."""
    return HomogenizedStudy(
        step_size=0.05, steps=10, paths=30, batch_size=4, ridge=0.1, test_fraction=0.3, seed=7, tolerance=0.1,
        sampling="reshuffle", label_noise=0.1, processes="homogenized,modified",
    ).run(threads=1)  # fmt: skip


def stack(summaries):
    """Summaries as the cells of a grid, which must fit without anything being filled in."""
    one, *others = summaries
    for other in others:
        assert dict(one.sizes) == dict(other.sizes) and set(one.variables) == set(other.variables)
        for name in one.coords:
            assert one[name].identical(other[name])
        for name, variable in one.variables.items():
            assert (variable.dims, variable.attrs) == (other[name].dims, other[name].attrs)
            assert variable.dtype.kind == other[name].dtype.kind != "O"
    found = xr.concat(summaries, "cell", join="exact")
    assert found.sizes["cell"] == len(summaries)
    for place, each in enumerate(summaries):
        here = found.isel(cell=place)
        assert all(here[name].equals(each[name]) for name in each.data_vars)
    return found


def check_words(data, notes):
    """Every variable says what it is, and a note stands wherever a number is missing, and nowhere else."""
    explained = {}
    for name, variable in data.variables.items():
        assert variable.attrs["units"] and len(variable.attrs["long_name"]) > 3, name
        if variable.dtype.kind == "f" and np.isnan(variable.values).any():
            note = data[notes[variable.dims[0] if variable.dims else None]]
            assert (note.values[np.isnan(variable.values)] != "").all(), name
            explained[note.name] = explained.get(note.name, False) | np.isnan(variable.values)
    for name in notes.values():
        assert ((data[name].values != "") == explained.get(name, np.False_)).all(), name


@pytest.mark.slow
def test_the_summaries_of_two_settings_have_one_shape_and_stack(first, second):
    found = stack([first.summary, second.summary])
    assert found["process"].values.tolist() == ["SGD", "homogenized", "modified"]
    assert found["used_step_size"].values.tolist() == [0.02, 0.05] and found["used_steps"].values.tolist() == [20, 10]


def test_no_number_is_missing_without_a_word(first, second):
    for result in (first, second):
        check_words(result.summary, NOTES["homogenized"])
    one, other = first.summary, second.summary
    assert "held out" in one["note"].sel(process="SGD", observable="test_risk").item()
    assert (one["note"].drop_sel(observable="test_risk") == "").all() and (other["note"] == "").all()
    assert (one["order_note"] == "").all() and "reshuffled" in other["order_note"].values[0, 0]
    assert one["threshold_note"].item() == "" and "no threshold" in other["threshold_note"].item()


def test_numbers_of_homogenized_are_those_of_its_tables(first, second):
    """Assert it for every row of the verdicts, of the last step and of the orders."""
    for result in (first, second):
        data, laws = result.summary, result.laws
        names = dict(zip(laws.dataset["process"].values.tolist(), ("SGD", *result.study.others)))
        assert data["label"].values.tolist() == list(names)
        for row in laws.summary():
            here = data.sel(process=names[row["process"]], observable=row["observable"])
            assert float(here["worst"]) == row["difference"] / row["scale"]
            assert float(here["worst_step"]) == row["step"]
            for name, key in (("verdict", "verdict"), ("caution", "caution"), ("mostly", "part")):
                assert here[name].item() == row[key]
            assert not row["exact"] or float(here["worst_error"]) == float(here["difference_error"]) == 0
        for row in laws.table([result.study.steps]):
            here = data.sel(process=names[row["process"]], observable=row["observable"])
            assert float(here["estimate"]) == row["other"] and float(here["difference"]) == row["difference"]
            assert float(here["scale"]) == row["scale"] and bool(here["exact"]) == row["other_exact"]
            assert float(here["standard_error"]) == (0 if row["other_exact"] else row["other_error"])
            if np.isfinite(row["upper"]):
                part = float(laws.dataset["integrator"].sel(process=row["process"], observable=row["observable"])[-1])
                half = 1.959964 * float(here["difference_error"]) + part
                assert half == pytest.approx((row["upper"] - row["lower"]) / 2, rel=1e-6, abs=1e-12)
            else:
                assert np.isinf(float(here["difference_error"]))
    places = [*first.study.others, summary.SECOND]
    labels = first.orders.dataset["process"].values.tolist()
    for row in first.orders.table():
        here = first.summary.sel(approximation=places[labels.index(row["process"])], quantity=row["quantity"])
        for name, key in (("order", "slope"), ("constant", "constant"), ("constant_predicted", "constant_predicted")):
            np.testing.assert_equal(float(here[name]), row[key])


def test_a_process_that_is_left_out_keeps_its_place(first):
    """Assert it of one that was asked for, and that a note says so."""
    one = dataclasses.replace(first, asked=("homogenized", "gradient-flow", "modified"))
    data = one.summary
    check_words(data, NOTES["homogenized"])
    gone = data.sel(process="gradient-flow")
    assert np.isnan(gone["estimate"]).all() and set(gone["verdict"].values) == {summary.ABSENT}
    assert gone["note"].sel(observable="risk").item() == summary.LEFT_OUT
    assert (data["order_note"].sel(approximation="gradient-flow") == summary.LEFT_OUT).all()
    kept = ["SGD", "homogenized", "modified"]
    assert data["worst"].sel(process=kept).equals(first.summary["worst"].sel(process=kept))


@pytest.mark.slow
def test_a_run_past_the_threshold_is_a_cell_too():
    """Assert a summary without bare nan of a run whose paths leave the range of numbers."""
    with pytest.warns(UserWarning):
        wild = HomogenizedStudy(step_size=5.0, steps=500, paths=20, processes="gradient-flow").run(threads=1)
    check_words(wild.summary, NOTES["homogenized"])
    assert wild.summary["threshold_share"] > 1
    assert "No orders" in wild.summary["order_note"].values[0, 0]


def test_no_name_of_a_summary_is_a_setting(first):
    """Assert that a grid over any setting can have it as its axis."""
    assert not set(first.summary.variables) & {entry.name for entry in dataclasses.fields(HomogenizedStudy)}


@pytest.fixture(scope="module")
def small():
    """Two runs of a study on zero-loss sets that has few models, mechanisms and motions."""
    model = zero_loss.Hyperbola()
    scenes, mechanisms = trajectories.scenes(), trajectories.mechanisms()

    def few(of):
        def chosen(*asked):
            found = of(*asked)
            return {name: found[name] for name in ("label noise", "minibatch")}

        return chosen

    def moving():
        label = NoisyGradientDescent(model, noise.LabelNoise(0.5), 0.1)
        diagonal = zero_loss.DiagonalLinearNetwork(np.array([[1.0, 0.5, 0.2]]), np.array([1.0]))
        still = NoisyGradientDescent(diagonal, noise.Minibatch(1), 0.04)
        return [TimeScale(label, np.array([2.2, 0.9]), "relaxation"), TimeScale(still, np.full(6, 0.7))]

    def paths(paths, rungs, settings, judging):
        process = NoisyGradientDescent(model, noise.LabelNoise(0.5), 0.05)
        limit = ManifoldLimit.of(process, start=np.array([2.2, 0.7]))
        options = settings | {"confidence": judging["confidence"], "paths": paths, "rungs": rungs, "looks": 4}
        found = compare.paths(process, limit, [2.2, 0.7], time=0.3, **options)
        return (path_convergence.PathConvergence("hyperbola, label noise", "A question.", found),)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories, "scenes", lambda: scenes[:1])
        kept = {name: mechanisms[name] for name in ("label noise", "minibatch")}
        patch.setattr(trajectories, "mechanisms", lambda: kept)
        for module in (sparse_regression, network):
            patch.setattr(module, "mechanisms", few(module.mechanisms))
        patch.setattr(time_scales, "motions", moving)
        patch.setattr(path_convergence, "run", paths)
        patch.setattr(sparse_regression, "SYNTHETIC", (4, 6, 1))
        patch.setattr(study, "QUICK", study.Sizes(2, 3, 3, 100, 3, 100))
        asked = {"dataset": "airfoil", "quick": True}
        runs = ZeroLossStudy(paths=4, rows=6, **asked), ZeroLossStudy(paths=6, rows=8, seed=3, tolerance=0.1, **asked)
        return [run.run(threads=1) for run in runs]


@pytest.mark.slow
def test_summaries_on_zero_loss_sets_have_one_shape_and_no_bare_nan(small):
    found = stack([result.summary for result in small])
    assert found["task"].values.tolist() == ["synthetic", "real"]
    for result in small:
        check_words(result.summary, NOTES["zero-loss"])
        assert not set(result.summary.variables) & {entry.name for entry in dataclasses.fields(ZeroLossStudy)}


@pytest.mark.slow
def test_numbers_on_zero_loss_sets_are_those_of_the_table(small):
    """Assert it for every row of the study's table."""
    for result in small:
        data, counted = result.summary, 0
        for row in result.table():
            part, kind = row["part"], row["quantity"].partition(",")[0]
            if part == "time scales":
                variable = "step size" if kind == "standstill" else kind.removeprefix("exponent in ")
                here, prefix = data.sel(motion=row["process"], variable=variable), "exponent"
            elif part.startswith("paths: "):
                label = f"{part.removeprefix('paths: ')}: {row['quantity'].removeprefix('order of ')}"
                here, prefix = data.sel(path_row=label), "path"
            elif part in data["model"].values:
                here, prefix = data.sel(model=part, mechanism=row["process"]), "along"
                assert int(here["along_controls"]) == 1 + row["controls"].count(";")
            elif part.startswith("network: "):
                here = data.sel(selector=row["process"])
                assert row["quantity"].endswith("interpolator 1")
                assert here["network_agreement"].item() == row["verdict"]
                assert float(here["network_change"]) == row["measured"]
                assert float(here["network_finite_step"]) == row["predicted"]
                counted += 1
                continue
            else:
                start = float(row["quantity"].split(", start ")[1].split(",")[0])
                task = "synthetic" if part == "synthetic" else "real"
                here = data.sel(task=task, selector=row["process"], start=start)
                if kind.startswith("ratio"):
                    assert here["floor"].item() == row["verdict"]
                    assert float(here["test_error"]) == row["measured"]
                else:
                    here = here.sel(displaced=kind)
                    assert here["selected_verdict"].item() == row["verdict"]
                    assert float(here["selected_gap"]) == pytest.approx(row["gap"], rel=1e-12)
                    assert float(here["selected_gap_error"]) == pytest.approx(row["gap_error"], rel=1e-12)
                counted += 1
                continue
            assert here[f"{prefix}_verdict"].item() == row["verdict"]
            for name in ("measured", "predicted", "gap", "gap_error", "margin"):
                if not np.isnan(float(here[f"{prefix}_{name}"])):
                    assert float(here[f"{prefix}_{name}"]) == row[name]
            counted += 1
        assert counted == len(result.table()) == int(data["predictions"].sum())
