"""The study of exploration at small sizes: exact numbers and intervals, claims that turn with their setting."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import xarray
from scipy.optimize import brentq

from sgdlimits import compare, diffusions, studies
from sgdlimits.discrete.escape import LandscapeDescent, UserWells, basin_law, matched
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.exploration import ExplorationResult, ExplorationStudy, Setting, basins, claims, explore, plots
from sgdlimits.studies.exploration import ladders, tables

SMALL = {"paths": 64, "steps": 400, "quick": True}


@pytest.fixture(scope="module")
def whole():
    """The basins of the default setting, few paths."""
    study = ExplorationStudy(parts="basins", **SMALL)
    return ExplorationResult(study, basins={"wells": explore(study.setting(), 400, 64, threads=1)})


@pytest.fixture(scope="module")
def found():
    """Descents alone, the multiplicative one and an additive one that leaves as often."""
    study = ExplorationStudy(parts="basins", **SMALL)
    setting = study.setting()
    alike = matched(setting.descent(), lambda level: LandscapeDescent(setting.landscape, 0.05, level**2), "rate")
    name = basins.ADDITIVE + basins.ENDINGS[basins.RATE]
    made = {basins.MULTIPLICATIVE: setting.descent(), name: alike.descent}
    matches = [basins.Match(name, "rate", alike.level, alike.law.interquartile_range, alike.law.rate)]
    seen = compare.exploration(made, steps=400, paths=64, threads=1)
    return ExplorationResult(study, basins={"wells": basins.Basins(setting, seen, matches, ())})


@pytest.mark.slow
def test_noise_is_matched_in_spread_and_in_rate(whole):
    """Assert both to 1e-6 for every process with a law, of the process as it is sampled, and the control: the other of
    the two is not."""
    one = whole.basins["wells"]
    law = basin_law(one.setting.descent())
    data = one.exploration.dataset
    for match in one.matches:
        if match.matched not in basins.ENDINGS:
            continue
        other = next(name for name in basins.ENDINGS if name != match.matched)
        assert getattr(match, match.matched) == pytest.approx(getattr(law, match.matched), rel=1e-6)
        assert abs(getattr(match, other) / getattr(law, other) - 1) > 0.05
        assert float(data[match.matched].sel(process=match.process)) == pytest.approx(
            getattr(law, match.matched), rel=1e-4
        )
    assert {match.process for match in one.matches} == set(data["process"].values) and not one.notes


@pytest.mark.slow
def test_intervals_of_paths_hold_most_exact_numbers(whole):
    """Assert it of all that is known, and that stable noise, which jumps, has none."""
    rows = whole.basins["wells"].exploration.table()
    verdicts = [row["verdict"] for row in rows if row["verdict"]]
    assert len(verdicts) == 35 and verdicts.count("covers") >= 28
    assert all(math.isnan(row["exact"]) for row in rows if row["process"] == basins.STABLE)


def test_claims_on_basins_are_computed(found):
    """Assert each verdict from the numbers behind it, and that each turns with two processes exchanged."""
    one = found.basins["wells"]
    sooner, prefers, finds = (claim.verdict for claim in claims.of_basins(one))
    alike = basins.ADDITIVE + basins.ENDINGS[basins.RATE]
    rate = one.long_run(basins.MULTIPLICATIVE, "rate")
    assert rate == pytest.approx(one.long_run(alike, "rate"), rel=1e-6)
    more = one.long_run(basins.MULTIPLICATIVE, "long_time") > one.long_run(alike, "long_time")
    later = one.exact(basins.MULTIPLICATIVE, "passage") > one.exact(alike, "passage")
    assert (prefers == "holds") == more and (finds == "fails") == later
    data = one.exploration.dataset
    turned = {basins.MULTIPLICATIVE: alike, alike: basins.MULTIPLICATIVE}
    names = [turned.get(name, name) for name in data["process"].values.tolist()]
    swapped = basins.Basins(one.setting, compare.Exploration(data.assign_coords(process=names)), one.matches, ())
    _, other_prefers, other_finds = (claim.verdict for claim in claims.of_basins(swapped))
    assert {prefers, other_prefers} == {finds, other_finds} == {"holds", "fails"}
    assert sooner == "undecided"  # no additive noise of equal spread here


@pytest.mark.parametrize(("claim", "right", "wrong"), [
    (claims.ratio_alone, ((4, 4),), ((1, 4),)),
    (claims.ridge_lightens, ((0.0, 0.5, 1.0),), ((2.0, 4.0, 5.0),)),
])  # fmt: skip
def test_claims_on_the_index_turn_with_their_setting(claim, right, wrong):
    """Assert that each holds where it is right and fails where it is not."""
    assert claim(*right).verdict == "holds"
    assert claim(*wrong).verdict == "fails"


@pytest.mark.slow
def test_indices_of_the_fact_sheet():
    """Assert the numbers of the sheet: at one ratio 5.73, 4.33, 2.00 and none, and along a ridge."""
    said = claims.ratio_alone().found
    assert "5.73" in said and "4.325" in said and "no law" in said
    assert claims.ridge_lightens().verdict == "holds in part"
    np.testing.assert_allclose(
        claims._indices([(0.3, 1, ridge) for ridge in (0.0, 1.0, 2.0, 5.0)], 5), [1.515, 3.514, 3.432, 1.444], atol=1e-3
    )


@pytest.mark.slow
def test_a_landscape_of_ones_own_is_explored():
    """Assert a wave on a parabola: widest and start as stated, both matches, and a picture with its title."""
    def value(x):
        return x[:, 0] ** 2 / 20 + 1 - np.cos(x[:, 0])

    def slope(x):
        return x / 10 + np.sin(x)

    side = brentq(lambda x: x / 10 + np.sin(x), 5, 6)
    wave = UserWells(value, slope, [-side, 0.0, side])
    one = explore(Setting("a wave", wave, 0.2, 1.0, 2.5), 300, 64, threads=1)
    assert one.exploration.dataset.attrs["target"] == 1
    rates = [match.rate for match in one.matches if match.matched in ("given", "rate")]
    np.testing.assert_allclose(rates, rates[0], rtol=1e-6)
    assert "A wave" in plots.times(one).get_suptitle()


@pytest.mark.parametrize(("change", "says"), [
    ({"parts": "basin"}, "basins"), ({"parts": 3}, "parts must be a text"),
    ({"widths": "1,x"}, "widths must be numbers"),
    ({"widths": "2,2"}, "no single widest"), ({"widths": "1"}, "two or more"), ({"additive": 0.0}, "additive"),
    ({"step_size": 1.0}, "step_size"), ({"paths": 10}, "paths"), ({"runs": 10}, "runs"), ({"quick": 1}, "quick"),
    ({"stable_index": 2.5}, "stable_index"), ({"datasets": "none"}, "no data file"), ({"target": "y"}, "data file"),
    ({"datasets": "irises"}, "datasets"), ({"updates": 3}, "updates"),
])  # fmt: skip
def test_wrong_settings_give_one_sentence(change, says):
    """Assert what is refused."""
    with pytest.raises(ValueError, match=says) as raised:
        ExplorationStudy(**change)
    assert "\n" not in str(raised.value)


def test_a_landscape_without_basins_is_refused():
    """Assert the sentence."""
    from sgdlimits.discrete.escape import DoubleWell

    with pytest.raises(InvalidInput, match="does not state its basins"):
        explore(Setting("double", DoubleWell(), 0.05, 1.2, 2.0), 300, 64)


def test_a_well_that_no_path_leaves_has_a_bound():
    """Assert three over the total time for multiplicative noise alone, why others are left out, and that finding,
    claims, summary and pictures stand without them."""
    study = ExplorationStudy(parts="basins", multiplicative=0.1, additive=0.05, **SMALL)
    one = explore(study.setting(), 400, 64, threads=1)
    (row,) = [row for row in one.exploration.table() if row["quantity"] == "residence"]
    assert row["process"] == basins.MULTIPLICATIVE and math.isnan(row["value"]) and row["upper"] == math.inf
    assert row["lower"] == pytest.approx(400 * 64 / -math.log(0.05))
    assert "too small for numbers" in one.notes[0] and "paths that stay bound its time" in one.notes[0]
    why = ladders.preference_or_why(study.setting(), 1.0, 3.0, 1.0)
    assert why[0] is None and "too small for numbers" in why[1]
    whole = ExplorationResult(study, basins={"wells": one}, no_preference=why[1])
    assert "more than 8545 steps" in " ".join(whole.finding.split())
    assert {claim.verdict for claim in whole.claims} == {"undecided"} and len(whole.claims) == 4
    assert "inf" not in whole.claims[2].found and "left out" in whole.claims[2].found
    assert str(whole.summary["note"].sel(process=basins.STABLE).item()).startswith("all processes but")
    assert plots.times(one) and plots.occupation(one) and str(whole)


def test_noise_of_no_level_is_left_out_with_what_levels_reach():
    """Assert that an additive noise which nothing makes alike is a note, and that levels tell their range."""
    setting = ExplorationStudy(parts="basins").setting()
    law = basin_law(setting.descent())
    far = dataclasses.replace(law, rate=0.9)
    with pytest.raises(InvalidInput, match=r"no level from .* to .* gives the rate 0.9, but .* to "):
        basins.diffusion_like(
            lambda level: diffusions.LandscapeDiffusion(setting.landscape, 0.05, min(level, 5.0) ** 2, 1), far, "one",
            basins.RATE, 4.0,
        )  # fmt: skip


@pytest.mark.parametrize(("change", "says"), [
    ({"step_size": 0.0}, "step_size"), ({"multiplicative": -1.0}, "multiplicative"), ({"additive": 0.0}, "additive"),
    ({"stable_index": 2.5}, "stable_index"), ({"substeps": 0}, "substeps"), ({"landscape": None}, "landscape"),
])  # fmt: skip
def test_a_wrong_setting_is_refused_before_work(change, says):
    """Assert that the setting itself refuses what a process of it could not use."""
    setting = ExplorationStudy(parts="basins").setting()
    with pytest.raises(InvalidInput, match=says):
        dataclasses.replace(setting, **change)


def test_the_noise_of_a_landscape_below_zero_is_that_of_a_loss():
    """Assert that homogenized SGD does not see a constant that is taken off a landscape, but in its level."""
    wells = ExplorationStudy(parts="basins").setting().landscape
    lower = UserWells(lambda x: wells.potential(x) - 2.0, wells.gradient, wells.minima)
    alike = [
        basins.loss_noise(Setting("wells", landscape, 0.05, 1.2, 2.0), basins.RATE) for landscape in (wells, lower)
    ]
    assert alike[0][0] == alike[1][0] and abs(alike[0][1].level / alike[1][1].level - 1) < 1e-3


def test_every_cell_is_told_in_a_table():
    """Assert the law, the exact index, and that one not looked for is a bound and no number."""
    found = studies.published_grid([0.02, 0.2], [1], dimension=30, runs=0)
    (title, (first, second)), = tables.cells(found).groups
    assert title == "batch size 1" and first[-1] == "a stationary law" and second[-1] == "no stationary law"
    assert second[2] == "–" and (first[2].startswith("above ") or float(first[2]) > 16)


def test_a_guess_is_no_derived_claim():
    """Assert the source of a claim where the predicted exponent is that of a linearised recurrence."""
    row = {"process": "one", "predicted_family": "power", "family": "power", "predicted": 1.2, "guess": True,
           "exponent": 1.1, "exponent_error": 0.01, "residual": 0.01, "control_residual": 1.0, "verdict": "differs"}
    sources = [claims.of_exit_times(SimpleNamespace(summary=lambda: [row | {"guess": guess}]))[0].source
               for guess in (True, False)]  # fmt: skip
    assert sources[0].startswith("a guess") and sources[1] == "derived"


def test_the_finding_and_the_tables_are_of_the_numbers(found):
    """Assert exact numbers in the sentence, and that text and summary are whole."""
    share = found.basins["wells"].long_run(basins.MULTIPLICATIVE, "long_time")
    assert f"{100 * share:.3g} %" in found.finding and "claims" in found.finding
    assert "Noise of each process" in str(found) and found.summary.sizes["process"] == 8
    assert len(found.table()) == 3 and "interquartile range" in found.basins["wells"].matches_table().text()
    assert isinstance(found.basins["wells"].setting.descent(), LandscapeDescent)


@pytest.mark.slow
def test_a_network_of_a_file_is_looked_at(tmp_path):
    """Assert the quick study of a file of one's own: layers with verdicts, the grid, a claim, its picture and report;
    and the same settings back."""
    draw = np.random.Generator(np.random.Philox(3)).standard_normal((90, 4))
    lines = [f"{a:.5f},{b:.5f},{c:.5f},{np.tanh(a) - b + 0.3 * e:.5f}" for a, b, c, e in draw]
    path = tmp_path / "own.csv"
    path.write_text("a,b,c,y\n" + "\n".join(lines))
    settings = {"datasets": "none", "parts": "networks", "width": 4, "runs": 100, "quick": True}
    study = ExplorationStudy(data=str(path), target="y", **settings)
    result = study.run(threads=1)
    (network,) = result.networks.values()
    assert set(network.ends.dataset["layer"].values) == {"all weights", "first layer", "second layer"}
    assert network.grid["failure"].shape == (3, 3)
    (claim,) = result.claims
    assert claim.verdict == ("undecided" if network.correlation is None else network.correlation.verdict)
    assert "own" in result.finding and "heavier tails generalise better" in str(result)
    folder = result.write(tmp_path / "out")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert (folder / "tails-own.png").exists() and "Network: own" in page
    again = ExplorationStudy.from_toml(folder / "study.toml")
    assert again.width == 4 and again.data_sha256 == result.study.data_sha256 is not None


@pytest.mark.slow
def test_runs_that_run_away_are_left_out_and_counted():
    """Assert that a step size past the threshold leaves no number, and that the sentence counts its cells."""
    from sgdlimits.studies.exploration import Size, look
    from sgdlimits.studies.exploration.networks import named_tasks

    (task,) = named_tasks(["diabetes"], 4, 0)
    size = Size(100, 100, 50, 60, 2, (0.02, 4.0), (1, 4, 16, 64))
    found = look(task, size, 0, 1)
    assert np.isnan(found.grid["test_error"].values[1]).all() and np.isfinite(found.grid["test_error"].values[0]).all()
    assert any("of 8 cells of diabetes" in text for text in found.notes) and found.correlation is None


def test_published_cells_and_their_claims():
    """Assert exact verdicts of a small grid, drawn, and one that turns where all cells have a law."""
    mixed = studies.published_grid([0.02, 0.2], [1], dimension=30, runs=0)
    assert claims.of_grid(mixed)[0].verdict == "holds in part"
    light = studies.published_grid([0.02], [1], dimension=30, runs=0)
    assert claims.of_grid(light)[0].verdict == "holds"
    figure = plots.grid(mixed)
    words = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert "\u2013" in words and "Shaded: no stationary law" in figure.get_suptitle()


def test_a_correlation_gives_its_own_verdict():
    """Assert holds for heavier tails with smaller errors, and fails turned round, on 12 cells without resamples."""
    def grid(sign):
        shape = np.linspace(0.1, 1.2, 12)
        return xarray.Dataset(
            {"shape_hill": ("step_size", shape), "test_error": ("step_size", 2 - sign * shape),
             "training_risk": ("step_size", np.cos(7 * shape))}, {"step_size": shape}
        )  # fmt: skip

    for sign, verdict in ((1, "holds"), (-1, "fails")):
        found = compare.rank_correlation(grid(sign))
        assert claims.of_networks({"made": found})[0].verdict == found.verdict == verdict
    assert claims.of_networks({"made": None})[0].verdict == "undecided"


@pytest.mark.parametrize(("classes", "named"), [(2, "mine"), (3, "diabetes (kind of mine is one of 3 classes)")])
def test_the_map_is_of_the_file_if_least_squares_can_learn_its_target(tmp_path, classes, named):
    """Of two classes too; of more it is of the named data set, and says why."""
    rows = [f"{row % 7},{row % 5},{'abc'[row % classes]}" for row in range(60)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["one,other,kind", *rows]) + "\n")
    name, problem = ExplorationStudy(data=str(path), target="kind", parts="map").mapped()
    assert name == named
    assert problem.samples == (60 if classes == 2 else 442)
