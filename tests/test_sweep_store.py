"""A store of cells: a kill at any instant leaves each cell whole or absent, and nothing foreign is mixed in."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sgdlimits import discrete, problems, studies
from sgdlimits.exact.errors import FailedCells, InvalidInput
from sgdlimits.studies._sweep.store import StoreError

PROBLEM = problems.LeastSquares.from_dataset("diabetes", ridge=0.1)
OVER = {"a": list(range(20)), "b": [0.5, 1.5]}


def cell(a, b, seed):
    time.sleep(0.002)
    return {"product": a * b, "numbers": np.random.default_rng(seed).random(1000)}


def kills(folder, count, seed, longest):
    """How many of so many kills hit a running sweep, and how many sweeps were finished between them."""
    script = Path(__file__).with_name("killed_sweeps.py")
    command = [sys.executable, script, folder, str(count), str(seed), str(longest)]
    found = os.environ | {"PYTHONPATH": str(script.parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=found)
    assert done.returncode == 0, done.stderr
    return map(int, done.stdout.split())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_kills_at_random_instants_lose_no_finished_cell(tmp_path):
    """Assert 15 kills: no damaged file, no cell lost, and the numbers of a run that was never killed."""
    stopped, _ = kills(tmp_path / "s", 15, 0, 0.06)
    assert stopped > 5


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_a_hundred_kills(tmp_path):
    """Assert the same of a hundred, over several sweeps."""
    stopped, rounds = kills(tmp_path / "s", 100, 1, 0.15)
    assert stopped > 50 and rounds > 2


def test_a_cell_that_is_half_written_is_never_read(tmp_path, monkeypatch):
    """Assert that a kill between writing and renaming leaves nothing that counts, and that it is cleared away later."""
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        studies.sweep(cell, OVER, tmp_path / "s")
    monkeypatch.setattr(os, "replace", replace)
    half = tmp_path / "s" / "cells" / ".0123456789abcdef.partial"
    half.parent.mkdir(parents=True, exist_ok=True)
    half.write_bytes(b"PK half a cell")
    os.utime(half, (0, 0))
    assert studies.sweep(cell, OVER, tmp_path / "s").attrs["failed"] == 0
    assert not half.exists()


def test_a_damaged_cell_is_computed_again_with_a_word(tmp_path):
    """Assert a warning, and the numbers of the undamaged run, for bytes that were cut and bytes that were changed."""
    truth = studies.sweep(cell, OVER, tmp_path / "s")
    files = sorted((tmp_path / "s" / "cells").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:500])
    content = bytearray(files[1].read_bytes())
    content[len(content) // 2] ^= 1
    files[1].write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged .* and left aside") as warned:
        again = studies.sweep(cell, OVER, tmp_path / "s")
    assert len(warned) == 2 and again.identical(truth)


def test_what_is_whole_or_done_elsewhere_replaces_what_is_not(tmp_path):
    """Assert that a merge mends damaged and failed cells, and makes a folder that is not there."""
    wanted = tmp_path / "licence"

    def needs(a):
        return a if wanted.exists() else 1 / 0

    with pytest.warns(FailedCells):
        studies.sweep(needs, {"a": [1, 2]}, tmp_path / "one")
    wanted.touch()
    good = studies.sweep(needs, {"a": [1, 2]}, tmp_path / "two")
    assert studies.merge_stores(tmp_path / "one", tmp_path / "two") == 2
    assert studies.read_store(tmp_path / "one").equals(good)
    file = next((tmp_path / "one" / "cells").iterdir())
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="left aside"):
        assert studies.merge_stores(tmp_path / "one", tmp_path / "two") == 1
    assert studies.merge_stores(tmp_path / "new", tmp_path / "one", tmp_path / "two") == 2
    assert studies.read_store(tmp_path / "new").equals(good)
    shutil.rmtree(tmp_path / "new" / "cells")
    with pytest.raises(InvalidInput, match="holds no cell yet"):
        studies.read_store(tmp_path / "new")


def test_a_full_disk_loses_nothing_and_says_how_to_go_on(tmp_path, monkeypatch):
    """Assert the sentence, that finished cells are whole, and that the same command then goes on."""
    fsync, left = os.fsync, [5]

    def full(file):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="the disk is full; the 4 finished cells in it are whole: make room"):
        studies.sweep(cell, OVER, tmp_path / "s")
    assert not list((tmp_path / "s" / "cells").glob(".*"))
    monkeypatch.setattr(os, "fsync", fsync)
    assert studies.sweep(cell, OVER, tmp_path / "s").identical(studies.sweep(cell, OVER))


def other_cell(a, b, seed):
    return a + b


DATA = np.zeros(3)


def reads_data(a, b):
    return DATA.sum()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 6}, "holds a sweep with seed = 5; this one has seed = 6: name another store"),
        ({"over": {"a": [1], "c": [1]}, "cell": lambda a, c, seed: 1}, "over = .*'a', 'b'.*'a', 'c'|cell = 'cell'"),
        ({"cell": other_cell}, "cell = 'cell'; this one has cell = 'other_cell'"),
        ({"cell": "version"}, "sgdlimits = '0.0.1'; this one has"),
    ],
)
def test_another_sweep_is_refused_by_what_differs(tmp_path, change, said):
    """Assert the name of the difference; and nothing on disk has changed."""
    arguments = {"cell": cell, "over": OVER, "store": tmp_path / "s", "seed": 5}
    studies.sweep(**arguments)
    if change.get("cell") == "version":
        file = tmp_path / "s" / "sweep.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"sgdlimits": "0.0.1"}))
        change = {}
    before = {file: file.read_bytes() for file in (tmp_path / "s").rglob("*") if file.is_file()}
    with pytest.raises(InvalidInput, match=said):
        studies.sweep(**(arguments | change))
    assert {file: file.read_bytes() for file in (tmp_path / "s").rglob("*") if file.is_file()} == before


def test_data_that_a_cell_reads_are_part_of_what_it_is(tmp_path, monkeypatch):
    """Assert that the same function over other data is refused, not answered with the old numbers."""
    studies.sweep(reads_data, OVER, tmp_path / "s")
    monkeypatch.setitem(globals(), "DATA", np.ones(3))
    with pytest.raises(InvalidInput, match="a cell that computes something else"):
        studies.sweep(reads_data, OVER, tmp_path / "s")


@pytest.mark.slow
def test_settings_of_a_study_are_named(tmp_path):
    """Assert that the setting that differs is said, and a swept one is no difference."""
    study = studies.find_study("homogenized")(paths=100, steps=5)
    studies.sweep(study, {"batch_size": [442]}, tmp_path / "s")
    with pytest.raises(InvalidInput, match="holds a sweep with paths = 100; this one has paths = 200"):
        studies.sweep(studies.find_study("homogenized")(paths=200, steps=5), {"batch_size": [442]}, tmp_path / "s")


def test_what_is_no_store_or_cannot_be_written(tmp_path):
    """Assert one sentence each."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(InvalidInput, match="holds files, but no sweep.json: it is no store"):
        studies.sweep(cell, OVER, tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="cannot write to the store .*; name another folder"):
        studies.sweep(cell, OVER, tmp_path / "file" / "s")
    with pytest.raises(InvalidInput, match="cannot read the store"):
        studies.read_store(tmp_path / "nothing")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "sweep.json").write_text("[1]")
    with pytest.raises(InvalidInput, match="it is no description of a sweep"):
        studies.sweep(cell, OVER, tmp_path / "s")
    if os.name == "posix" and os.getuid():  # root may write everywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(InvalidInput, match="Permission denied"):
            studies.sweep(cell, OVER, tmp_path / "locked" / "s")


@pytest.mark.slow
def test_a_thousand_short_cells_cost_little_more_than_themselves(tmp_path):
    """Assert that keeping cells costs under a twentieth of 0.1 s each: processor time of a sweep, with a store."""
    began = time.process_time()
    studies.sweep(lambda a: {"x": a, "y": np.zeros(50)}, {"a": list(range(1000))}, tmp_path / "s")
    assert time.process_time() - began < 0.05 * 1000 * 0.1


def test_a_state_of_a_cell_is_kept_to_the_bit(tmp_path):
    """Assert that arrays of every kind come back as they were: texts, whole numbers, booleans, nan."""
    made = {"t": np.array(["a", "béta"]), "n": np.array([2**53 + 1, -1]), "b": np.array([True]), "x": [np.nan, np.inf]}
    first = studies.sweep(lambda a: made, {"a": [1]}, tmp_path / "s")
    again = studies.sweep(lambda a: made, {"a": [1]}, tmp_path / "s")
    assert again.identical(first)
    for name, values in made.items():
        np.testing.assert_array_equal(again[name].values[0], values)
        assert again[name].dtype.kind == np.asarray(values).dtype.kind


def test_moments_of_a_process_fit_into_a_store(tmp_path):
    """Assert datasets with coordinates and attributes."""
    run = lambda step_size: discrete.SGD(PROBLEM, step_size).moments(np.zeros(10), 5)  # noqa: E731
    stored = studies.sweep(run, {"step_size": [0.01, 0.02]}, tmp_path / "s")
    assert stored.identical(studies.sweep(run, {"step_size": [0.01, 0.02]}))
    assert studies.read_store(tmp_path / "s").identical(stored)


def test_two_processes_that_make_one_store_agree_on_what_it_is(tmp_path, monkeypatch):
    """Assert that the slower one of two sweeps is refused, although it saw an empty folder."""
    link = os.link

    def slower(partial, target):
        if not os.path.exists(target):
            studies.sweep(cell, {"a": [1], "b": [2]}, tmp_path / "s", seed=1)  # someone else, in between
        link(partial, target)

    with monkeypatch.context() as patched, pytest.raises(InvalidInput, match="seed = 1; this one has seed = 2"):
        calls = iter([slower])
        patched.setattr(os, "link", lambda *names: next(calls, link)(*names))
        studies.sweep(cell, {"a": [1], "b": [2]}, tmp_path / "s", seed=2)


def test_a_file_that_cannot_be_read_now_is_not_taken_for_damaged(tmp_path, monkeypatch):
    """Assert a sentence, and that the cell is still there."""
    studies.sweep(cell, {"a": [1], "b": [2]}, tmp_path / "s")
    (file,) = (tmp_path / "s" / "cells").iterdir()

    def busy(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("sgdlimits.studies._sweep.store.read_cell", busy)
        with pytest.raises(StoreError, match="cannot read .*: Too many open files"):
            studies.sweep(cell, {"a": [1], "b": [2]}, tmp_path / "s")
    assert file.is_file() and studies.sweep(cell, {"a": [1], "b": [2]}, tmp_path / "s").attrs["failed"] == 0
