"""Rows of the study of heavy tails whose indices are infinite or not known: kept, worded, and drawn."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare._tails.rows import Known, known_index
from sgdlimits.compare.tail_estimators import GoodnessOfFit, TailEstimate
from sgdlimits.exact.errors import LongRun, OutOfReach, PositiveLyapunovExponent
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.studies.heavy_tails import HeavyTailsStudy, findings, optimisers, paper_table, plots, summary
from sgdlimits.studies.heavy_tails import sweeps, tables
from sgdlimits.studies.heavy_tails.study import HeavyTailsResult
from sgdlimits.studies.heavy_tails.table_row import Bounds, TableRow
from sgdlimits.studies.heavy_tails.verdicts import counted, index_of, within

TINY = {"paths": 64, "generations": 40, "groups": 2}


def known(index, error=0.01):
    return Known(TailIndex(index, error, "made up"))


def row(sgd=None, limit=None, nu=(3.0, 2.5, 4.0), bounds=(8.97, 12.3), proved=True, p_value=0.5):
    """A row of made-up numbers."""
    index, lower, upper = nu
    return TableRow(
        "made up", 100, 3, 1, 0.1, 0.05, 0.9, Bounds(*bounds, proved, proved, "below the threshold"),
        known(10.0) if limit is None else limit, known(3.0) if sgd is None else sgd, 500, 200,
        TailEstimate(index, lower, upper, 0.95, None, "made up", 500),
        GoodnessOfFit("student", index, 0.01, p_value, 19), GoodnessOfFit("stable", 1.9, 0.01, p_value, 19),
    )  # fmt: skip


def result(*rows):
    return HeavyTailsResult(HeavyTailsStudy(paths=500, resamples=19), rows, {}, ())


def words(*rows):
    """The finding, and the lines of the table."""
    return findings.finding(result(*rows)), tables.grid(result(*rows)).text()


UNSEEN = Known(None, why_not="the tail index of SGD is over 64", above=64.0)
GUESSED = Known(None, why_not="the tail index of SGD is about 8.43", about=8.43)
GONE = Known(None, why_not="paths run away", settles=False)


def test_an_interval_is_inside_outside_or_neither():
    """Assert the one rule of all verdicts, at open ends too."""
    assert within((3, 4), (2, 5)) is True and within((6, 7), (2, 5)) is False
    assert within((4, 6), (2, 5)) is None and within((1, 6), (2, 5)) is None and within((math.nan, 4), (2, 5)) is None
    assert within((math.inf, math.inf), (7, math.inf)) is True and within((math.inf, math.inf), (7, 9)) is False
    assert counted([True, None, None], "inside", "outside") == "inside in 1 of 3, undecided in 2"
    assert counted([True, False], "inside", "outside") == "inside in 1 of 2, outside in 1"


def test_one_criterion_serves_every_verdict():
    """Assert that nu 16.77 in [6.877, inf] beside bounds [8.97, 12.3] is neither in nor out, whatever its point."""
    wide = row(nu=(16.77, 6.877, math.inf))
    assert wide.fitted_inside is None and "undecided whether in the bounds" in wide.verdict
    assert wide.fitted_is_index is False and "not SGD's index" in wide.verdict
    assert row(nu=(10.0, 9.0, 12.0)).fitted_inside is True and row(nu=(7.0, 6.0, 8.0)).fitted_inside is False
    assert row(nu=(12.0, 9.0, 13.0)).fitted_inside is None  # its point lies inside
    finding, grid = words(wide, row())
    assert "inside in 0 of 2, outside in 1, undecided in 1" in finding and "?, not SGD's" in grid


def test_both_sides_agree_only_where_one_interval_holds_the_other():
    assert row(known(3.0, 0.1), known(3.05, 0.001)).one_index is True
    assert row(known(3.0, 0.1), known(3.15, 0.1)).one_index is None
    assert row(known(3.0, 0.1), known(3.5, 0.1)).one_index is False
    assert row(known(math.inf, 0.0), known(math.inf, 0.0)).one_index is True
    assert row(known(math.inf, 0.0), known(10.0)).one_index is False


def test_no_name_of_the_summary_is_a_setting():
    """Assert that a grid over any setting, step sizes and paths too, can have it as its axis."""
    data = summary.summary(result(row(), row(GONE)))
    assert not set(data.variables) & {entry.name for entry in fields(HeavyTailsStudy)}
    assert data["used_step_size"].values.tolist() == [0.05, 0.05] and data["used_paths"].values.tolist() == [500, 500]


def test_what_is_not_known_decides_nothing_but_proved_bounds_do():
    """Assert it of each side."""
    for side, text in ((UNSEEN, "> 64"), (GUESSED, "about 8.4, no interval"), (GONE, "no law")):
        one = row(sgd=side)
        assert one.one_index is None and one.sgd_inside is None and one.fitted_is_index is None
        assert f"the index of SGD is not known ({text})" in one.verdict
        finding, grid = words(one, row())
        assert f"No interval is known of that of SGD in 1 ({text})" in finding and text in grid
        assert math.isnan(tables.rows(result(one))[0]["sgd"]) and tables.rows(result(one))[0]["sgd_known"] == text
    assert row(limit=UNSEEN).one_index is False  # SGD's 3 lies below the proved bounds
    assert row(limit=UNSEEN, proved=False).one_index is None and row(sgd=known(9.0), limit=UNSEEN).one_index is None


def test_infinite_indices_are_words_and_no_ratios():
    """Assert it of both sides and of the fit."""
    light = row(known(math.inf, 0.0), nu=(math.inf, 14.0, math.inf), bounds=(40.0, 42.0), limit=known(41.0))
    finding, grid = words(light, row())
    assert not any(wrong in grid for wrong in ("inf ", "inf]", "±0 ", "±0\n"))
    assert "infinite" in grid and "infinite [14.0, infinite]" in grid
    assert "That of SGD is infinite in 1." in finding and "0 to 0" not in finding
    assert "its index 3.3 times SGD's" in finding  # of the other row alone
    assert light.fitted_is_index is True and light.fitted_inside is None
    assert "times SGD's" not in words(light)[0]


def test_a_row_without_a_law_or_a_fit_is_a_row():
    empty = row(GONE, GONE, (math.nan,) * 3, (math.nan,) * 2, p_value=math.nan)
    finding, grid = words(empty)
    assert "undecided in 1" in finding and "nan" not in grid + finding + empty.verdict
    assert "t undecided, symmetric stable undecided" in empty.verdict


def test_arrows_stand_for_what_the_picture_cannot_hold():
    """Assert one for each infinite end, the control without any, and open markers where there is no interval."""
    def arrows(*rows):
        (ax,) = plots.plot_rows(result(*rows)).axes
        lines = [line for line in ax.lines if line.get_gid() == "beyond"]
        right = ax.get_xlim()[1]
        assert all(np.isclose(float(line.get_xdata()[0]), right) for line in lines)
        hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
        dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
        return len(lines), len(hollow), len(dashed)

    assert arrows(row()) == (0, 0, 0)
    assert arrows(row(known(math.inf, 0.0), nu=(math.inf, 9.0, math.inf))) == (2, 0, 0)
    assert arrows(row(nu=(9.0, 6.0, math.inf))) == (1, 0, 0)
    assert arrows(row(UNSEEN)) == (1, 0, 0) and arrows(row(GUESSED)) == (0, 1, 0)
    assert arrows(row(proved=False)) == (0, 0, 2)
    assert arrows(row(GONE, GONE, (math.nan,) * 3, (math.nan,) * 2)) == (0, 0, 0)


def test_infinite_indices_have_an_arrow_in_the_picture_of_tails():
    """Assert it of steps that never expand, which were left out."""
    still = discrete.SGD(problems.LeastSquares.gaussian(30, 2), 0.01)
    found = compare.tails(still, sample=False)
    assert math.isinf(found.index())
    assert [line.get_gid() for line in found.plot().axes[0].lines].count("beyond") == 1


def test_refusals_carry_what_was_seen():
    """Assert the search's end, and a guess with advice that the one who asked can follow."""
    isotropic = problems.LeastSquares.gaussian(400, 6, seed=1)
    threshold = paper_table.threshold_of(isotropic, 4)
    low = known_index(discrete.SGD(isotropic, 0.3 * threshold, 4), **TINY)
    assert low.index is None and (low.above == 64 or low.about > 3) and "raise paths" not in low.why_not
    assert str(OutOfReach("a")) == "a" and math.isnan(OutOfReach("a").above)


def test_a_long_run_is_left_out_with_its_sentence():
    class Slow:
        def tail_index(self):
            import warnings

            warnings.warn("the tail index takes about 7 minutes", LongRun)
            return TailIndex(3.0, 0.1, "never")

    class Wild:
        def tail_index(self):
            raise PositiveLyapunovExponent("paths run away", lyapunov_exponent=0.2)

    slow, wild = index_of(Slow()), index_of(Wild())
    assert slow.index is None and "7 minutes" in slow.why_not and slow.settles
    assert wild.text == "no law" and not wild.settles


@pytest.mark.parametrize("share", [0.02, 0.5, 3.0])
def test_every_step_size_gives_a_row(share):
    """Assert notes wherever a number is missing: light tails, indices that populations cannot resolve, no law."""
    problem = problems.LeastSquares.gaussian(100, 3, 0.5, 1.0, 0, 0.1)
    threshold = paper_table.threshold_of(problem, 2)
    found = paper_table.table_row("rows", problem, 2, share * threshold, threshold, 500, 19, TINY, threads=1)
    assert found.threshold_share == pytest.approx(share) and (found.rows, found.columns) == (100, 3)
    for name, side in (("SGD", found.sgd), ("homogenized SGD", found.homogenized)):
        assert (side.index is None) == any(note.startswith(f"the index of {name}:") for note in found.notes)
    assert math.isnan(found.student.index) == any(note.startswith("no law is fitted") for note in found.notes)
    assert found.sgd.settles == (share < 3)
    text = " ".join([*words(found), found.verdict])
    assert "nan" not in text and found.verdict
    assert np.isnan(summary.summary(result(found))["sgd"]).all() == (found.sgd.index is None)


def test_an_index_given_as_none_is_not_asked_for(monkeypatch):
    """Assert that compare.tails samples without it."""
    monkeypatch.setattr(discrete.SGD, "tail_index", lambda *_, **__: pytest.fail("asked"))
    sgd = discrete.SGD(problems.LeastSquares.gaussian(30, 2), 0.1)
    found = compare.tails(sgd, indices={"SGD": None}, paths=200, steps=20)
    assert math.isnan(found.index()) and np.isfinite(found.dataset["sample"]).all()


def test_an_optimiser_whose_theory_is_out_of_reach_stays_in_the_table():
    """Assert its group, verdict, and that a sample that shows nothing decides nothing."""
    heavy = optimisers.OptimiserTail(
        "SGD", "step size 0.5", TailIndex(3.0, 0.0, "exact"), "Kesten",
        tuple(TailEstimate(math.nan, math.nan, math.nan, 0.95, None, "none", 9) for _ in optimisers.DEPTHS),
        TailEstimate(math.nan, math.nan, math.nan, 0.95, None, "none", 9, ("too short",)),
    )  # fmt: skip
    lost = replace(heavy, theory=TailIndex(math.nan, math.nan, "not known", note="too far", proved=False))
    assert heavy.agrees is None and lost.agrees is None and not (lost.heavy or lost.light)
    shown = HeavyTailsResult(HeavyTailsStudy(), (row(),), {}, (heavy, lost))
    text = tables.optimiser_grid(shown).text() + lost.verdict + findings.finding(shown)
    assert "theory out of reach" in text and "nan" not in tables.optimiser_grid(shown).text()
    assert "Of 2 optimisers" in text
    plots.plot_optimisers(shown)


def test_a_limit_that_is_not_stable_has_no_bounds():
    wild = diffusions.HomogenizedSGD(problems.LeastSquares.gaussian(50, 6, seed=2), 50.0)
    assert "no bounds: " in paper_table.bounds_of(wild).why_not


def panel(**changes):
    """The axes of a sweep over three step sizes with made-up numbers."""
    import xarray as xr

    numbers = dict.fromkeys(sweeps.NUMBERS, np.array([3.0, 2.5, 2.0])) | {"lower": np.full(3, 1.0)}
    numbers |= {"lower_proved": np.ones(3), "upper_proved": np.ones(3), "upper": np.full(3, 3.5)} | changes
    words = dict.fromkeys(sweeps.WARNINGS, np.full(3, ""))
    data = {name: ("step_size", values) for name, values in (numbers | words).items()}
    figure = sweeps.plot({"step_size": xr.Dataset(data, {"step_size": [0.1, 0.2, 0.3]})})
    return figure.axes[0]


def test_a_sweep_marks_where_it_was_computed_and_what_is_not_proved():
    """Assert a marker at each value on both lines, no dashed line where all is proved, and one for each that is not."""
    exact = [line for line in panel().lines if line.get_gid() == "exact"]
    assert len(exact) == 2 and all(line.get_marker() == "." and len(line.get_xdata()) == 3 for line in exact)

    def dashed(ax):
        found = [line for line in ax.lines if line.get_linestyle() == "--" and line.get_gid() != "exact"]
        return sum(np.isfinite(np.asarray(line.get_ydata(), float)).any() for line in found)

    assert dashed(panel()) == 0 and dashed(panel(upper_proved=np.array([1.0, 0.0, 0.0]))) == 1
    assert dashed(panel(upper_proved=np.zeros(3), lower_proved=np.zeros(3))) == 2


def test_a_sweep_without_numbers_or_with_infinite_ones_is_drawn():
    """Assert arrowheads above the panel, and no failure where nothing is known."""
    def arrows(ax):
        return sum(line.get_gid() == "beyond" for line in ax.lines)

    assert arrows(panel()) == 0
    assert arrows(panel(sgd=np.array([np.inf, 3.0, 2.0]))) == 1
    assert arrows(panel(sgd_estimate_upper=np.array([np.inf, 4.0, 2.0]))) == 2  # 4 is above the panel too
    assert arrows(panel(**dict.fromkeys(sweeps.SIDES, np.full(3, np.nan)))) == 0
