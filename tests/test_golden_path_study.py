"""The study of the golden path at tiny sizes: its tables say what its numbers say, and its report is whole."""

import math

import numpy as np
import pytest
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.golden_path import CASES, GoldenPathStudy, tables

TASKS = "linear-regression,diagonal-network"


@pytest.fixture(scope="module")
def small():
    return GoldenPathStudy(tasks=TASKS, seeds=4, quick=True).run(threads=1)


@pytest.mark.slow
def test_every_case_can_be_built_and_has_a_name_of_its_own():
    """Assert tasks online and offline as named, drops inside the runs, and that only one thing drops."""
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        for quick in (False, True):
            task, sgd, asked = case.build(0, quick)
            assert task.online is case.online and sgd.problem is task.problem
            assert 0 < asked["drop_at"] < asked["steps"] and len(case.low) == 1
    assert {case.online for case in CASES} == {True, False}


@pytest.mark.slow
def test_the_table_says_what_the_verdicts_are(small):
    """Assert each verdict in rows, table and claims, whose counts add up to the settings."""
    rows = tables.rows(small)
    for row in rows:
        verdicts = small.drops[row["setting"]].verdicts
        key = tables.COLUMNS[row["criterion"]]
        assert row["verdict"] == verdicts.get(key, "void") and row["why"]
    for where, lines in tables.claims(small).groups:
        count = sum(case.online is (where == "online") for case in small.study.cases)
        assert all(sum(map(int, line[:-1])) == count for line in lines)
    assert "diagonal network" in str(small) and "critical batch size" in str(small)


@pytest.mark.slow
def test_offline_the_diagonal_network_keeps_its_lead_and_online_noise_costs(small):
    """Assert the contrast in verdicts, doses and the finding."""
    rows = {(row["setting"], row["criterion"]): row for row in tables.rows(small)}
    assert rows["diagonal network, 40 rows", "F2"]["verdict"] == "fails"
    assert rows["diagonal network, online", "F2"]["verdict"] == "holds"
    assert set(small.doses["batch sizes, online"].verdicts.values()) <= {"costs", "neither"}
    assert small.doses["batch sizes, offline"].verdicts[1.0] == "helps"
    assert "surely ahead somewhere in diagonal network, 40 rows" in small.finding


@pytest.mark.slow
def test_measured_costs_hold_the_exact_ones(small):
    """Assert the exact steps to the level within the measured interval, a step aside."""
    names = ("linear-regression", "linear-regression, exact")
    measured, exact = (small.costs[name].dataset.isel(choice=0) for name in names)
    for size in exact["batch_size"].values:
        low, high = (float(measured[key].sel(batch_size=size)) for key in ("steps_low", "steps_high"))
        assert low - 1 <= float(exact["steps"].sel(batch_size=size)) <= high + 1


@pytest.mark.slow
def test_the_summary_has_one_shape(small):
    """Assert its axes, and a word wherever a number is missing."""
    data = small.summary
    assert data.sizes["setting"] == 3 and data.sizes["criterion"] == len(tables.COLUMNS)
    missing = np.isnan(data["value"].values)
    assert (data["why"].values[missing] != "").all() and (data["verdict"].values[missing] == "void").all()


@pytest.mark.slow
def test_the_report_is_whole_and_its_settings_give_the_study_back(small, tmp_path):
    """Assert figures, tables and files, and the same settings from study.toml."""
    folder = small.write(tmp_path / "out")
    page = (folder / "report.html").read_text(encoding="utf-8")
    for word in ("losses", "gaps", "functions", "contrast", "doses", "samples"):
        assert (folder / f"{word}.png").exists() and (folder / f"{word}.svg").exists()
    assert page.count("<figure>") == 6 and "Dose and response" in page and "Regime:" in page
    assert (folder / "verdicts.csv").read_text().count("\n") == 1 + 3 * len(tables.COLUMNS)
    assert GoldenPathStudy.from_toml(folder / "study.toml") == small.study


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tasks": "diagonal-netwrok"}, "diagonal-network"),
        ({"seeds": 3}, "seeds"),
        ({"margin": 1.5}, "margin"),
        ({"margin": math.nan}, "margin"),
        ({"quick": 1}, "quick"),
        ({"tasks": 3}, "tasks"),
    ],
)
def test_wrong_settings_give_one_sentence(change, says):
    """Assert what is refused."""
    with pytest.raises(InvalidInput, match=says):
        GoldenPathStudy(**change)


def test_a_file_is_the_only_setting_unless_tasks_are_named(tmp_path):
    """Assert the settings with and without a file, its checksum in the pinned ones, and what is refused."""
    path = tmp_path / "own.csv"
    path.write_text("a,b,y\n" + "\n".join(f"{k},{k * k % 7},{'yes' if k % 3 else 'no'}" for k in range(24)))
    study = GoldenPathStudy(data=str(path), target="y", width=3, steps=40)
    assert [case.name for case in study.cases] == ["own.csv"] and not study.cases[0].online
    both = GoldenPathStudy(data=str(path), target="y", tasks="digits")
    assert [case.name for case in both.cases][0] == "own.csv" and len(both.cases) == 3
    assert len(GoldenPathStudy().cases) == len(CASES)
    task, sgd, asked = study.cases[0].build(0, False)
    assert task.classifier and (task.problem.samples, task.test.rows) == (18, 6) and sgd.batch_size == 4
    assert asked == {"drop_at": 10, "steps": 40, "batch_size": 64}
    pinned = study.pinned()
    path.write_text(path.read_text() + "1,2,no\n")
    with pytest.raises(InvalidInput, match="is not the file"):
        pinned.cases[0].build(0, False)
    for wrong, says in (({"target": None}, "without target"), ({"low_batch_size": 2}, "so that the noise drops"),
                        ({"steps": 3}, "steps"), ({"width": -1}, "width")):  # fmt: skip
        with pytest.raises(InvalidInput, match=says):
            GoldenPathStudy(**({"data": str(path), "target": "y"} | wrong))


@pytest.mark.slow
def test_the_study_of_a_file_says_how_it_was_prepared(tmp_path):
    """Assert verdicts of the file alone, and a word on its classes and rows held out."""
    path = tmp_path / "own.csv"
    path.write_text("a,b,y\n" + "\n".join(f"{k},{k * k % 7},{'yes' if k % 3 else 'no'}" for k in range(24)))
    result = GoldenPathStudy(data=str(path), target="y", width=3, steps=40, seeds=4).run(threads=1)
    (said,) = tables.regimes(result)
    assert "18 training rows, 6 held out" in said and "classes 0 to 1: no, yes" in said
    assert "own.csv" in str(result) and not result.doses and not result.costs and result.report().figures
