"""The two-layer network of the study on zero-loss sets: equal strength, runs that keep to their limits, verdicts."""

import numpy as np
import pytest

from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry
from sgdlimits.problems.noise import Perturbation, noisy_gradient, perturbation
from sgdlimits.problems.zero_loss import ShallowNetwork
from sgdlimits.studies.zero_loss import ZeroLossStudy, network, network_plot, network_tables

DRAW = np.random.Generator(np.random.Philox(3))
SETTINGS = {"seed": 0, "threads": 1, "progress": None}


@pytest.fixture(scope="module")
def task():
    return network.network_task(network.named_table("diabetes"), 6, 1)


def some_mechanisms(kept):
    """The study's mechanisms, those of these names alone."""
    every = network.mechanisms

    def chosen(*arguments):
        return {name: each for name, each in every(*arguments).items() if name in kept}

    return chosen


@pytest.fixture(scope="module")
def learned(task):
    """Label noise, Dropout and minibatches on a small network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "mechanisms", some_mechanisms(("label noise", "Dropout", "minibatch")))
        return network.run_network(task, 130, 1, 2000, 16, **SETTINGS)


def test_the_compiled_network_is_the_definition():
    """Assert a noisy gradient with every kind of noise against NumPy's, of sizes that no block of four divides."""
    model = ShallowNetwork(DRAW.standard_normal((9, 7)), DRAW.standard_normal(9), 13)
    w, rows = DRAW.standard_normal(model.dimension), np.array([3, 0, 8, 3, 5])
    labels, inputs = DRAW.standard_normal(5), DRAW.standard_normal((5, 7))
    units, out = 1 + DRAW.standard_normal((5, 13)), np.empty(model.dimension)
    model.kernel(w, model.kernel_data, rows, labels, units, inputs, None, out, np.empty(model.dimension))
    drawn = Perturbation(rows=rows[None], labels=labels[None], units=units[None], inputs=inputs[None])
    np.testing.assert_allclose(out, noisy_gradient(model, w[None], drawn)[0], rtol=0, atol=1e-12)


def test_every_mechanism_disturbs_the_residuals_as_much(task):
    """Assert by 4000 draws that each moves a residual by the same root mean square to 5 %, and that levels differ."""
    model = ShallowNetwork(task.features, task.labels, 10)
    origin = geometry.limit_map(model, network.draw_start(model, 5))
    noises = network.mechanisms(model, origin, geometry.frame(model, origin), 0.05)
    w = np.tile(origin, (4000, 1))
    for name, mechanism in noises.items():
        drawn = perturbation(mechanism.draws(model), Noise(1, np.arange(4000)), 0)
        place = w if drawn.factor is None else w * drawn.factor
        place = place if drawn.shift is None else place + drawn.shift
        inputs = None if drawn.inputs is None else model.features + drawn.inputs
        residual = model.predict_with_jacobian(place, inputs, drawn.units)[0] - model.labels
        residual = residual if drawn.labels is None else residual - drawn.labels
        found = np.sqrt(np.square(residual).mean())
        assert found < 1e-9 if name == "minibatch" else abs(found / 0.05 - 1) < 0.05, name
    levels = [mechanism.sigma for mechanism in noises.values()]
    assert np.nanmax(levels) > 2 * np.nanmin(levels)


def test_runs_keep_to_their_limits_and_wrong_ones_are_rejected(learned):
    """Assert the change of the test error within 5 % of the limit's at this step size, that the same limit half as
    fast and another mechanism's fail, and that minibatches move nothing."""
    found = {each.name: each for each in network_tables.findings(learned, 0.95, 0.05, 1)}
    assert found["minibatch"].verdict == "stands still" and found["minibatch"].agreement == "agrees"
    for name, other in (("label noise", "Dropout"), ("Dropout", "label noise")):
        here = found[name]
        assert abs(here.change - here.finite_step) <= here.half + 0.05 * abs(here.finite_step), name
        assert here.verdict == ("improves" if here.finite_step < 0 else "worsens")
        assert here.control == "differs"
        assert abs(here.change - found[other].finite_step) > here.half + 0.05 * abs(found[other].finite_step)
    taken = learned["regulariser"].isel(start=0)
    assert (taken.isel(look=-1) < taken.isel(look=0)).sel(mechanism=["label noise", "Dropout"]).all()


@pytest.mark.slow
def test_all_mechanisms_from_two_interpolators_whatever_the_threads(task):
    """Assert agreement of most of ten runs with their limits, none half as fast, and the same bits on two threads."""
    data = network.run_network(task, 130, 2, 1500, 16, **SETTINGS)
    again = network.run_network(task, 130, 2, 1500, 16, **(SETTINGS | {"threads": 2}))
    for name, values in data.items():
        if values.dtype.kind == "f":
            assert np.array_equal(values.values, again[name].values, equal_nan=True), name
    found = [each for start in (1, 2) for each in network_tables.findings(data, 0.95, 0.1, start)]
    moving = [each for each in found if each.verdict != "stands still"]
    assert len(moving) == 10
    assert sum(each.agreement == "agrees" for each in moving) >= 7
    assert not any(each.control == "agrees" for each in moving)
    assert "Of 2 interpolators" in network_tables.network_finding(data, 0.95, 0.1)


def test_verdicts_follow_the_numbers(learned):
    """Assert improves, worsens and undecided, and ratios that are not told, from the same data with other numbers."""
    for shift, error, verdict in ((-0.1, 0.01, "improves"), (0.1, 0.01, "worsens"), (0.01, 0.1, "undecided")):
        data = learned.copy(deep=True)
        origin = float(data["test_error_limit"].isel(start=0, mechanism=0, look=0))
        data["test_error"][..., -1], data["test_error_error"][..., -1] = origin + shift, error
        for each in network_tables.findings(data, 0.95, 0.05, 1):
            assert each.verdict == verdict
            assert each.ratio(0.5 * each.half) == "undecided" and each.ratio(2 * each.half) != "undecided"
    text = network_tables.network_finding(learned, 0.95, 0.05)
    assert "left where it is by minibatch" in text
    rows = network_tables.network_rows(learned, 0.95, 0.05)
    assert [row["process"] for row in rows] == ["label noise", "Dropout", "minibatch"]
    assert "stands still: minibatch" in network_tables.network_grid(learned, 0.95, 0.05).text()


def test_cloud_and_regulariser_carry_their_intervals(learned):
    """Assert that the cloud's error is that of the difference of a path's two errors, and that both are printed."""
    cell = learned.isel(start=0, look=-1)
    np.testing.assert_allclose(cell["cloud"], cell["raw_test_error"] - cell["test_error"], rtol=0, atol=1e-12)
    raw, at_phi = cell["raw_test_error_error"], cell["test_error_error"]
    assert (np.abs(cell["cloud_error"] - raw) <= at_phi + 1e-12).all()  # standard deviations are a norm
    grid = network_tables.network_grid(learned, 0.95, 0.05)
    for row in grid.groups[0][1][:2]:
        assert all("±" in row[grid.columns.index(name)] for name in ("cloud", "regulariser, %")), row


def test_the_finding_names_the_limits_that_are_missed(learned):
    """Assert that a mechanism whose prediction is rejected is named as outside the tolerance, and no other."""
    data = learned.copy(deep=True)
    place = {"mechanism": data["mechanism"].values.tolist().index("Dropout"), "look": -1}
    data["test_error_finite_step"][place | {"start": 0}] += 0.1
    assert "outside of them: Dropout;" in network_tables.network_finding(data, 0.95, 0.05)


def test_the_picture_shows_every_point_and_line(learned):
    """Assert that a run far above both limits, and limits far below every run, lie within the axes."""
    for name, shift in (("test_error", 1.0), ("test_error_limit", -1.0), ("test_error_finite_step", -1.0)):
        data = learned.copy(deep=True)
        data[name][..., -1] += shift
        figure = network_plot.network(data, 0.95)
        low, high = figure.axes[0].get_ylim()
        assert low < float(data[name].min()) and float(data[name].max()) < high, name
    assert "equal strength" in network_tables.network_reading(learned, 0.95).lower()


def test_digits_are_two_and_rows_are_kept_apart():
    """Assert labels of two values, columns that vary, cut off at three, and no test row among the training rows."""
    task = network.network_task(network.named_table("digits"), 20, 0)
    assert len(np.unique(task.labels)) == 2
    assert np.abs(task.features).max() <= 3 and (task.features.std(axis=0) > 0).all()
    assert not {tuple(row) for row in task.features} & {tuple(row) for row in task.test_features}


def test_what_cannot_be_learned_is_refused_before_the_work():
    """Assert sentences on too few weights, too many rows and unknown data."""
    with pytest.raises(InvalidInput, match="needs more than 100 weights; raise network_weights"):
        ZeroLossStudy(network_weights=60).run()
    with pytest.raises(InvalidInput, match="digits has 357 rows, and at least one must be left .* from 4 to 356"):
        ZeroLossStudy(network_rows=357).run()
    with pytest.raises(InvalidInput, match="digitz"):
        ZeroLossStudy(network_dataset="digitz").run()


def written(path, lines):
    """A study of a file of two columns and a target."""
    path.write_text("\n".join(["a,b,y", *lines]))
    return ZeroLossStudy(data=str(path), target="y", network_rows=12, network_weights=60)


def test_data_that_no_network_interpolates_are_refused_before_the_work(tmp_path, monkeypatch):
    """Assert one sentence on contradictory rows, on a target of one value and on a network that is too small."""
    monkeypatch.setattr("sgdlimits.compare.time_scales", None)  # the work: it must not be come to
    values = np.repeat(DRAW.standard_normal((10, 2)), 2, axis=0)
    twice = [f"{a:.3f},{b:.3f},{k}" for k, (a, b) in enumerate(values)]
    with pytest.raises(InvalidInput, match="of the 12 rows drawn from own.csv have the features of another row"):
        written(tmp_path / "own.csv", twice).run(threads=1)
    same = [f"{a:.3f},{b:.3f},{k // 2}" for k, (a, b) in enumerate(values)]
    assert network.network_task(written(tmp_path / "own.csv", same).read_table(), 12, 0).labels.size == 12
    constant = [f"{a:.3f},{b:.3f},5" for a, b in DRAW.standard_normal((20, 2))]
    with pytest.raises(InvalidInput, match="the target 'y' has one value over the 12 rows"):
        written(tmp_path / "own.csv", constant).run(threads=1)
    steep = [f"{a:.3f},1,{(-1) ** k}" for k, a in enumerate(np.sort(DRAW.standard_normal(20)))]
    with pytest.raises(InvalidInput, match="60 weights does not interpolate the 12 rows .* raise network_weights"):
        written(tmp_path / "own.csv", steep).run(threads=1)
    with pytest.raises(InvalidInput, match="take data of more rows"):
        written(tmp_path / "own.csv", twice[:4]).run(threads=1)


def test_a_file_of_the_user_s_is_what_the_network_learns(tmp_path):
    """Assert two classes as labels of two values, more than two refused, and a file without target."""
    path = tmp_path / "own.csv"
    lines = [f"{value:.3f},{-value:.2f},{'no' if value < 0 else 'yes'},{k % 3}a" for k, value in
             enumerate(DRAW.standard_normal(30))]  # fmt: skip
    path.write_text("\n".join(["a,b,answer,kind", *lines]))
    study = ZeroLossStudy(data=str(path), target="answer", drop="kind", network_rows=8)
    task = network.network_task(study.read_table(), 8, 0)
    assert task.features.shape == (8, 2) and len(np.unique(task.labels)) == 2 and task.test_labels.size == 22
    with pytest.raises(InvalidInput, match="3 different texts"):
        ZeroLossStudy(data=str(path), target="kind", drop="answer", network_rows=8).run()
    with pytest.raises(InvalidInput, match="without target"):
        ZeroLossStudy(data=str(path))
