"""The verb sweep: a study over a grid from the command line; one sentence and code 2 for wrong input."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray

from sgdlimits import ensembles, studies
from sgdlimits.__main__ import main
from sgdlimits.studies.homogenized import HomogenizedStudy

QUICK = ["--steps", "4", "--paths", "16", "--processes", "gradient-flow"]
GRID = ["sweep", "homogenized", "--over", "step_size=0.01:0.04:3log", "--over", "batch_size=1,4", *QUICK]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_sweep_leaves_numbers_table_picture_and_page(place, capsys):
    """Assert the files, that they agree, that running again computes nothing, and that Python finds the same store."""
    assert main([*GRID, "--out", "error map", "--seed", "3"]) == 0
    out, error = capsys.readouterr()
    assert "6 cells, 3 step_size x 2 batch_size: none failed." in out and "report.html" in out
    assert "6 cells (100 %)" in error
    folder = place / "error map"
    found = {entry.name for entry in folder.iterdir()}
    assert found == {"sweep.json", "cells", "sweep.nc", "table.csv", "picture.png", "picture.svg", "report.html"}
    data = ensembles.load(folder / "sweep.nc")
    rows = list(csv.DictReader((folder / "table.csv").read_text().splitlines()))
    assert len(rows) == 6 and float(rows[0]["step_size"]) == 0.01
    worst = data["worst"].sel(process="gradient-flow", observable="risk").values.ravel()
    assert [float(row["worst [gradient-flow, risk]"]) for row in rows] == worst.tolist()
    page = (folder / "report.html").read_text()
    command = shlex.join(["sgdlimits", *GRID, "--out", "error map", "--seed", "3"])
    assert "6 cells" in page and "base64" in page and command.replace("'", "&#x27;") in page
    before = (folder / "sweep.nc").read_bytes()
    assert main([*GRID, "--out", "error map", "--seed", "3", "--quiet"]) == 0
    assert capsys.readouterr().err == "" and (folder / "sweep.nc").read_bytes() == before
    study = HomogenizedStudy(steps=4, paths=16, processes="gradient-flow")
    again = studies.sweep(study, {"step_size": [0.01, 0.02, 0.04], "batch_size": [1, 4]}, folder, seed=3)
    xarray.testing.assert_identical(again.drop_attrs(), data.drop_attrs())


@pytest.mark.slow
def test_stores_are_merged_before_the_run(place, capsys):
    """Assert that cells of another folder are taken, with a word, and are not computed."""
    part = ["sweep", "homogenized", "--over", "step_size=0.01,0.02", *QUICK]
    assert main([*part, "--out", "a"]) == 0
    assert main(["sweep", "homogenized", "--over", "step_size=0.04", *QUICK, "--out", "b"]) == 0
    capsys.readouterr()
    more = ["sweep", "homogenized", "--over", "step_size=0.01,0.02,0.04", *QUICK, "--out", "a", "--merge", "b"]
    assert main(more) == 0
    error = capsys.readouterr().err
    assert "1 cells copied from b" in error and "cells (" not in error


WRONG = {
    "no study": (["sweep", "--over", "ridge=0"], "no study is named after sweep; allowed: homogenized, zero-loss"),
    "study": (["sweep", "homogenised", "--over", "ridge=0"], "did you mean 'homogenized'"),
    "no grid": (["sweep", "homogenized", "--out", "x"], "needs at least one --over NAME=VALUES"),
    "no folder": (["sweep", "homogenized", "--over", "ridge=0"], "needs --out FOLDER"),
    "name": ([*GRID, "--out", "x", "--over", "rigde=0"], "did you mean 'ridge'"),
    "twice": ([*GRID, "--out", "x", "--over", "step-size=0.1"], "step_size is swept twice"),
    "fixed too": ([*GRID, "--out", "x", "--step-size", "0.1"], "step_size is swept, so --step-size cannot be given"),
    "refused value": (["sweep", "homogenized", "--over", "step_size=-1", "--out", "x"], "step_size must be above zero"),
    "empty": (["sweep", "homogenized", "--over", "step_size=", "--out", "x"], "step_size is given no value"),
    "infinite": (["sweep", "homogenized", "--over", "step_size=inf", "--out", "x"], "step_size"),
    "both": ([*GRID, "--out", "x", "--workers", "2", "--dask", "tcp://127.0.0.1:9"], "--workers or --dask, not both"),
    "workers": ([*GRID, "--out", "x", "--workers", "0"], "workers must be between 1 and"),
    "option": ([*GRID, "--out", "x", "--minutes", "3"], "has no option '--minutes'"),
    "file": ([*GRID, "--out", "taken"], "cannot write to the store 'taken'"),
    "foreign": ([*GRID, "--out", "mine"], "holds files, but no sweep.json: it is no store"),
    "merge": ([*GRID, "--out", "x", "--merge", "nothing"], "cannot read the store 'nothing'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_sentence_and_leaves_nothing(case, place, capsys):
    """Assert code 2, the sentence alone, and a folder that is as it was."""
    (place / "taken").touch()
    (place / "mine").mkdir()
    (place / "mine" / "thesis.tex").touch()
    arguments, said = WRONG[case]
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == "" and said in error and error.count("\n") == 1, error
    assert {str(path.relative_to(place)) for path in place.rglob("*")} == {"taken", "mine", "mine/thesis.tex"}


def test_a_grid_of_which_all_cells_fail_is_an_error(place, capsys):
    """Assert code 2 and the first sentence; where some do, code 0 and the number of them."""
    momentum = ["sweep", "homogenized", "--over", "momentum=0.5,0.9", "--steps", "4", "--paths", "16", "--out", "s"]
    assert main(momentum) == 2
    assert "all 2 cells failed, the first with: the SGD has momentum" in capsys.readouterr().err
    momentum[3] = "momentum=0,0.9"
    assert main([*momentum, "--processes", "gradient-flow"]) == 2  # another sweep: the setting is named
    assert "processes" in capsys.readouterr().err
    momentum[-1] = "t"
    assert main([*momentum, "--processes", "gradient-flow"]) == 0
    assert "1 failed" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sweep_says_that_it_can_go_on(signum, code, tmp_path):
    """Assert the code, one sentence, whole cells, and that the same command computes the rest."""
    over = ["--over", "step_size=0.01:0.1:40log", "--steps", "30", "--paths", "100"]
    store = ["--out", str(tmp_path / "s"), "--quiet"]
    command = [sys.executable, "-m", "sgdlimits", "sweep", "homogenized", *over, *store]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    cells = tmp_path / "s" / "cells"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (cells.is_dir() and list(cells.glob("*.npz"))):
        time.sleep(0.1)
    child.send_signal(signum)
    _, error = child.communicate(timeout=60)
    assert child.returncode == code
    assert error.strip().endswith("finished cells are kept, and the same command goes on from there")
    found = studies.read_store(tmp_path / "s")
    assert found.attrs["failed"] == 0 and found.sizes["step_size"] < 40


def test_the_zero_loss_study_and_every_other_says_what_can_be_swept(capsys):
    """Assert that the help of the verb has the options of each study, without those that no number depends on."""
    for name in studies.STUDIES:
        with pytest.raises(SystemExit):
            main(["sweep", name, "--help"])
        out = capsys.readouterr().out
        assert "--over NAME=VALUES" in out and "--minutes" not in out and "--seed" in out
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {study["name"] for study in listed["studies"]} == set(studies.STUDIES)


@pytest.mark.slow
def test_two_workers_write_the_store_of_one(tmp_path):
    """Assert equal numbers from two worker processes, through the command line."""
    for name, more in (("one", []), ("two", ["--workers", "2"])):
        assert main([*GRID, "--out", str(tmp_path / name), "--quiet", *more]) == 0
    one, two = (ensembles.load(tmp_path / name / "sweep.nc") for name in ("one", "two"))
    xarray.testing.assert_identical(one, two)
    assert np.isfinite(one["worst"].sel(process="gradient-flow", observable="risk")).all()
    assert os.listdir(tmp_path / "one" / "cells").sort() == os.listdir(tmp_path / "two" / "cells").sort()
