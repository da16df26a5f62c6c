"""Sweeps: every cell once, whatever runs it and in whatever order; what fails is said and stops nothing."""

from __future__ import annotations

import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlimits import diffusions, discrete, problems, studies
from sgdlimits.discrete import rules
from sgdlimits.exact.errors import FailedCells, InvalidInput
from sgdlimits.problems import noise
from sgdlimits.studies._sweep.driver import gaps
from sgdlimits.studies._sweep.store import Piece

PROBLEM = problems.LeastSquares.from_dataset("diabetes", ridge=0.1)
START = np.zeros(10)
OVER = {"step_size": [0.01, 0.02, 0.05], "batch_size": [1, 4]}


def risk(step_size, batch_size, seed):
    """Mean risk of a few sampled paths."""
    run = discrete.SGD(PROBLEM, step_size, batch_size).simulate(START, 10, 20, "risk", record=[10], seed=seed)
    return run.risk.mean().item()


def simulated(step_size, paths, first_path, seed):
    return discrete.SGD(PROBLEM, step_size).simulate(
        START, 10, paths, seed=seed, first_path=first_path, record=[5, 10]
    )  # fmt: skip


def test_a_lambda_makes_a_dataset_with_a_dimension_a_name():
    """Assert numbers, labels and places."""
    result = studies.sweep(lambda a, b: a * b, over={"a": [1, 2, 3], "b": [10, 20]})
    assert dict(result.sizes) == {"a": 3, "b": 2}
    np.testing.assert_array_equal(result["value"], np.outer([1, 2, 3], [10, 20]))
    assert not result.failure.values.astype(bool).any() and result.attrs["failed"] == 0
    assert "Linux" in str(result.platform.values[0, 0]) or result.platform.values[0, 0]


def test_bits_depend_on_settings_and_seed_alone(tmp_path):
    """Assert identity of this process, threads, a store, an interruption, and another order; another seed differs."""
    plain = studies.sweep(risk, OVER, seed=1)
    with ThreadPoolExecutor(3) as pool:
        assert studies.sweep(risk, OVER, seed=1, executor=pool).identical(plain)
    assert studies.sweep(risk, OVER, store=tmp_path / "a", seed=1).identical(plain)
    assert studies.sweep(risk, OVER, store=tmp_path / "a", seed=1).identical(plain)
    few = {"step_size": [0.05, 0.01], "batch_size": [4]}
    studies.sweep(risk, few, store=tmp_path / "b", seed=1)
    assert studies.sweep(risk, OVER, store=tmp_path / "b", seed=1).identical(plain)
    turned = studies.sweep(risk, dict(reversed(OVER.items())), seed=1)
    np.testing.assert_array_equal(turned["risk"].transpose(*OVER), plain["risk"])
    assert (studies.sweep(risk, OVER, seed=2)["risk"] != plain["risk"]).all()
    assert np.unique(plain["risk"]).size == 6  # each cell has a seed of its own


def test_a_seed_that_is_swept_is_handed_on():
    """Assert that the cell gets the values as they are."""
    result = studies.sweep(lambda seed: seed, {"seed": [0, 7]})
    np.testing.assert_array_equal(result["value"], [0, 7])


@pytest.mark.slow
def test_worker_processes_give_the_bits_of_this_one():
    """Assert identity with two workers, a closure and a lambda included."""
    scale = np.arange(3.0)
    cell = lambda step_size, batch_size: scale * step_size / batch_size  # noqa: E731
    assert studies.sweep(cell, OVER, workers=2).identical(studies.sweep(cell, OVER))
    assert studies.sweep(risk, OVER, workers=2).equals(studies.sweep(risk, OVER))


def test_only_what_is_missing_is_computed(tmp_path):
    """Assert the calls: none for what is there, one for each new value; the cell's attributes and units are kept."""
    calls = []

    def cell(a, b=1):
        calls.append(a)
        variables = {"c": ("x", [a, 2.0 * a], {"units": "m"})}
        return xarray.Dataset(variables, {"x": ("x", [3, 4], {"units": "s"})}, {"k": 5})

    def run(values):
        calls.clear()
        return studies.sweep(cell, {"a": xarray.DataArray(values, dims="a", attrs={"units": "kg"})}, tmp_path / "s")

    run([1.0, 2.0])
    result = run([1.0, 3.0, 2.0])
    assert calls == [3.0]
    assert (result.c.attrs, result.x.attrs, result.a.attrs) == ({"units": "m"}, {"units": "s"}, {"units": "kg"})
    assert result.attrs["k"] == 5 and result.c.dims == ("a", "x")


def test_cells_that_fail_are_kept_with_their_sentence(tmp_path):
    """Assert sentence, nan, warning; not run again unless asked; the others are there."""
    broken = [True]

    def cell(a):
        if a == 2 and broken:
            raise ZeroDivisionError("a is two")
        warnings.warn(f"a note on {a}", UserWarning, stacklevel=2)
        return a

    def run(**options):
        return studies.sweep(cell, {"a": [1, 2, 3]}, tmp_path / "s", **options)

    before = warnings.showwarning
    with pytest.warns(FailedCells, match="1 of 3 cells failed, the first with: ZeroDivisionError: a is two"):
        result = run()
    assert warnings.showwarning is before
    assert result.failure.values.tolist() == ["", "ZeroDivisionError: a is two", ""]
    assert result.warned.values.tolist() == ["a note on 1", "", "a note on 3"]
    np.testing.assert_array_equal(result["cell"], [1, np.nan, 3])
    assert result.attrs["failed"] == 1


def test_failed_cells_are_run_again_where_that_is_asked(tmp_path):
    """Assert that a cell that failed for want of something outside is done, and by `retry` alone."""
    wanted = tmp_path / "wanted"

    def cell(a):
        return a if a == 1 or wanted.exists() else 1 / 0

    for _ in range(2):
        with pytest.warns(FailedCells, match="division by zero"):
            studies.sweep(cell, {"a": [1, 2]}, tmp_path / "s")
        wanted.touch()
    result = studies.sweep(cell, {"a": [1, 2]}, tmp_path / "s", retry=True)
    assert result["cell"].values.tolist() == [1, 2]


def test_a_cell_of_another_shape_is_named():
    """Assert that most cells decide, and the odd one is told what it gave."""
    with pytest.warns(FailedCells, match=r"numbers of shape \(3,\) where others have numbers of shape \(2,\)"):
        result = studies.sweep(lambda a: np.zeros(3 if a == 1 else 2), {"a": [1, 2, 3]})
    assert result["value"].shape == (3, 2) and np.isnan(result["value"].values[0]).all()
    with pytest.warns(FailedCells, match="it returned 'x', unlike the other cells|it returned no 'value'"):
        studies.sweep(lambda a: {"x": 1} if a == 1 else 2.0, {"a": [1, 2, 3]})


def test_coordinates_that_differ_become_variables():
    """Assert that recorded steps that depend on the cell are kept, beside what all cells share."""
    moments = lambda step_size: discrete.SGD(PROBLEM, step_size).moments(  # noqa: E731
        START, round(1 / step_size), record=[round(0.5 / step_size), round(1 / step_size)], quantities=("risk", "mean")
    )
    result = studies.sweep(moments, {"step_size": [0.1, 0.01]})
    np.testing.assert_array_equal(result["step_in_cell"], [[0, 5, 10], [0, 50, 100]])
    assert "step" not in result.coords and result.coordinate.size == 10
    assert result.attrs["process"] == "SGD" and "step_size" not in result.attrs


def test_objects_are_swept_by_what_they_hold(tmp_path):
    """Assert mechanisms along an axis, labels that tell them apart, and that another amount is another cell."""

    def cell(mechanism):
        return mechanism.sigma

    studies.sweep(cell, {"mechanism": [noise.LabelNoise(0.1), noise.WeightNoise(0.3)]}, tmp_path / "s")
    result = studies.sweep(cell, {"mechanism": [noise.LabelNoise(0.1), noise.LabelNoise(0.2)]}, tmp_path / "s")
    assert len(list((tmp_path / "s" / "cells").iterdir())) == 3
    np.testing.assert_array_equal(result["cell"], [0.1, 0.2])
    assert result.mechanism.dtype.kind == "U"


def test_more_paths_that_fail_leave_those_that_were_there(tmp_path):
    """Assert that a piece that fails counts only where its paths are asked."""

    def cell(a, paths, first_path):
        if first_path >= 100:
            raise MemoryError("no more")
        return discrete.SGD(PROBLEM, a).simulate(START, 5, paths, first_path=first_path)

    over = {"a": [0.01]}
    good = studies.sweep(cell, over, tmp_path / "s", paths=100)
    with pytest.warns(FailedCells, match="MemoryError: no more"):
        studies.sweep(cell, over, tmp_path / "s", paths=200)
    assert studies.sweep(cell, over, tmp_path / "s", paths=100).identical(good)
    assert studies.read_store(tmp_path / "s").identical(good)


def test_a_store_is_read_whatever_stood_beside_a_value(tmp_path):
    """Assert that the label of a value in one grid does not hide it in another; rules differ by what they hold."""
    cell = lambda a: 1.0  # noqa: E731
    studies.sweep(cell, {"a": [1, "x"]}, tmp_path / "s")
    studies.sweep(cell, {"a": [1, 2]}, tmp_path / "s")
    studies.sweep(cell, {"a": ["1"]}, tmp_path / "s")
    found = studies.read_store(tmp_path / "s")
    assert found.sizes["a"] == 4 and found.attrs["failed"] == 0
    adams = [rules.Adam((0.9, 0.99)), rules.Adam((0.9, 0.999))]
    labels = studies.sweep(lambda rule: 1.0, {"rule": adams})["rule"].values
    assert len(set(labels)) == 2


class Rule:
    """An object without a repr of its own."""

    def __init__(self, x):
        self.x = x


def test_what_tells_objects_apart_is_the_same_in_every_process():
    """Assert keys without addresses, labels that differ where names do not, and numbers that an array keeps apart."""
    from sgdlimits.studies._sweep.grid import grid_of

    objects = [Rule(1), Rule(2), lambda x: x, lambda x: 2 * x, 1, "1", True]
    one, other = (grid_of({"a": values}) for values in (objects, [Rule(1), Rule(2), *objects[2:]]))
    assert one.axes[0].keys == other.axes[0].keys
    labels = one.axes[0].labels
    assert len(set(labels)) == 7 and not any("0x" in label for label in labels)
    large = grid_of({"a": [2**60, 2**60 + 1, 0.5]}).axes[0].labels
    assert len(set(large)) == 3


class Odd(Exception):
    def __str__(self):
        return None


def test_a_cell_that_asks_to_exit_is_one_that_failed():
    """Assert that the program goes on."""
    with pytest.warns(FailedCells, match="SystemExit: 3"):
        result = studies.sweep(lambda a: a if a == 1 else sys.exit(3), {"a": [1, 2]})
    assert result["value"].values[0] == 1


def test_an_exception_that_says_nothing_stops_nothing():
    """Assert a sentence of ours in its place."""

    def cell(a):
        if a == 1:
            raise Odd
        return a

    with pytest.warns(FailedCells, match="Odd: it gave no reason"):
        assert studies.sweep(cell, {"a": [1, 2]})["cell"].values[1] == 2


def test_more_paths_extend_a_simulation(tmp_path):
    """Assert that only new paths are run, cut into pieces, and that the result has the bits of one run."""
    over = {"step_size": [0.01, 0.02]}
    whole = studies.sweep(simulated, over, seed=3, paths=150)
    assert whole.risk.dims == ("step_size", "path", "step")
    studies.sweep(simulated, over, tmp_path / "s", seed=3, paths=70, block=30)
    seen = []

    class Count:
        def update(self, n):
            seen.append(n)

        def close(self):
            pass

    more = studies.sweep(simulated, over, tmp_path / "s", seed=3, paths=150, block=50, progress=Count())
    assert sum(seen) == 4  # two pieces a cell for the 80 new paths
    assert more.identical(whole)
    fewer = studies.sweep(simulated, over, tmp_path / "s", seed=3, paths=20)
    np.testing.assert_array_equal(fewer.risk, whole.risk[:, :20])


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=6), paths=st.integers(1, 40))
def test_gaps_are_what_the_pieces_leave_open(cuts, paths):
    """Assert the open windows against a set of numbers, overlapping pieces included."""
    there = {number for first, count in cuts for number in range(first, first + count)}
    found = {number for first, end in gaps([Piece(*cut) for cut in cuts], paths) for number in range(first, end)}
    assert found == set(range(paths)) - there


def test_stores_of_two_machines_are_merged_and_read(tmp_path):
    """Assert that cells are copied once, that what is there is kept, and that a store is read without its sweep."""
    low = studies.sweep(risk, {"step_size": [0.01, 0.02], "batch_size": [1]}, tmp_path / "a", seed=1)
    studies.sweep(risk, {"step_size": [0.02, 0.05], "batch_size": [1]}, tmp_path / "b", seed=1)
    assert studies.merge_stores(tmp_path / "a", tmp_path / "b") == 1
    both = studies.read_store(tmp_path / "a")
    np.testing.assert_array_equal(both.step_size, [0.01, 0.02, 0.05])
    np.testing.assert_array_equal(both["risk"].squeeze()[:2], low["risk"].squeeze())
    studies.sweep(risk, {"step_size": [0.05], "batch_size": [2]}, tmp_path / "a", seed=1)
    with_holes = studies.read_store(tmp_path / "a")
    assert (with_holes.failure == "it was not computed").sum() == 2
    studies.sweep(risk, {"step_size": [0.01], "batch_size": [1]}, tmp_path / "c", seed=2)
    with pytest.raises(InvalidInput, match="holds a sweep with seed = 1; the store .* has seed = 2"):
        studies.merge_stores(tmp_path / "a", tmp_path / "c")


def test_overlapping_pieces_of_two_machines_are_one_ensemble(tmp_path):
    """Assert the bits where one store has paths 0 to 99 and the other 0 to 49 and 50 to 149."""
    over = {"step_size": [0.01]}
    studies.sweep(simulated, over, tmp_path / "a", paths=100)
    studies.sweep(simulated, over, tmp_path / "b", paths=150, block=50)
    studies.merge_stores(tmp_path / "a", tmp_path / "b")
    merged = studies.sweep(simulated, over, tmp_path / "a", paths=150)
    assert merged.identical(studies.sweep(simulated, over, paths=150))
    assert studies.read_store(tmp_path / "a").sizes["path"] == 150


def test_the_threads_of_a_cell_are_one_beside_others():
    """Assert what a cell finds as its default, in this process and among workers, and that it is restored."""
    from sgdlimits.exact.threads import threads_of

    before = threads_of()
    with ThreadPoolExecutor(2) as pool:
        beside = studies.sweep(lambda a: threads_of(), {"a": [1, 2]}, executor=pool)
    assert beside["value"].values.tolist() == [1, 1]
    assert studies.sweep(lambda a: threads_of(), {"a": [1]})["value"].item() == before == threads_of()
    assert threading.active_count() < 10


class Quiet:
    """Something that cannot be called."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cell": 3}, "cell must be a function of the swept names, a study or its name, got"),
        ({"cell": "homogenised"}, "did you mean 'homogenized'"),
        ({"cell": lambda step_siz: 1}, "the cell takes no 'step_size'; did you mean 'step_siz'"),
        ({"cell": lambda step_size, other: 1}, "the cell needs 'other', which is not swept"),
        ({"over": {}}, "over must be a mapping"),
        ({"over": {"step_size": []}}, "over gives step_size no value"),
        ({"over": {"step_size": 0.1}}, r"a list of values is needed, \[0.1\] for one"),
        ({"over": {"step_size": [0.1, np.nan]}}, "step_size the value nan: values must be finite"),
        ({"over": {"step_size": [0.1, 1.0, 0.1]}}, "the value 0.1 twice"),
        ({"cell": "homogenized", "over": {"data": ["a.csv", "b.csv"]}}, "data cannot be swept"),
        ({"cell": "homogenized", "over": {"stepsize": [1]}}, "did you mean 'step_size'"),
        ({"over": {"step_size": np.zeros((2, 2))}}, r"an array of shape \(2, 2\)"),
        ({"over": {"step size": [1]}}, "'step size' cannot be swept"),
        ({"over": {"failure": [1]}}, "'failure' cannot be swept"),
        ({"over": {"step_size": [[1, 2]]}}, "a value that is a list"),
        ({"over": {"step_size": range(2000), "b": range(2000)}}, "4000000 cells, more than 1000000"),
        ({"paths": 5}, "needs a cell that takes paths and first_path"),
        ({"workers": 0}, "workers must"),
        ({"executor": Quiet()}, "executor must be one of concurrent.futures"),
        ({"seed": -1}, "seed must"),
        ({"retry": "no"}, "retry must"),
    ],
)
def test_what_cannot_be_used_is_named(arguments, said):
    """Assert one clear sentence each, before any cell is run."""
    with pytest.raises(InvalidInput, match=said):
        studies.sweep(**({"cell": lambda step_size: 1, "over": {"step_size": [0.1]}} | arguments))


def test_what_a_cell_may_not_return_is_its_failure():
    """Assert a sentence for each."""
    returned = [None, {}, {"failure": 1}, [[1], [2, 3]], object(), {"k": {1, 2}}, xarray.Dataset()]
    with pytest.warns(FailedCells, match="8 of 8|7 of 7"):
        result = studies.sweep(lambda k: returned[k], {"k": range(len(returned))})
    for sentence in result.failure.values.tolist():
        assert "return" in sentence


def test_attributes_of_every_kind_and_dates_among_numbers(tmp_path):
    """Assert that what JSON does not hold is kept as text, and that a date where others give numbers is said."""

    def cell(a):
        return xarray.Dataset({"v": 1.0 * a}, attrs={"n": [np.int64(3)], "z": 1j, "t": (1, 2)})

    result = studies.sweep(cell, {"a": [1, 2]}, tmp_path / "s")
    assert list(result.attrs["n"]) == [3] and result.attrs["z"] == "1j" and list(result.attrs["t"]) == [1, 2]
    with pytest.warns(FailedCells, match="as dates of shape .* where others have numbers of shape"):
        studies.sweep(lambda a: np.datetime64("2020-01-01") if a == 1 else 1.0, {"a": [1, 2, 3]})


def test_truth_values_are_labels_that_can_be_selected():
    """Assert a selection by True, in the result and in its file."""
    result = studies.sweep(lambda a: int(a), {"a": [True, False]})
    assert result["value"].sel(a=True).item() == 1


def test_what_a_cell_returns_may_be_a_labelled_array_or_a_mapping():
    """Assert variables and coordinates."""
    array = xarray.DataArray([1.0, 2.0], {"x": [5, 6]}, "x", name="f")
    result = studies.sweep(lambda a: a * array, {"a": [1, 2]})
    assert result.f.dims == ("a", "x") and result.x.values.tolist() == [5, 6]
    result = studies.sweep(lambda a: {"n": a, "t": "text", "v": [a, a], "d": a * array}, {"a": [1, 2]})
    assert result.v.dims == ("a", "v_0") and result.t.values.tolist() == ["text", "text"] and result.d.shape == (2, 2)


def test_exact_and_simulated_sides_meet_in_one_grid():
    """Assert the ten lines that a user writes first: a relative difference of stationary risks over a grid."""

    def difference(step_size, batch_size):
        sgd = discrete.SGD(PROBLEM, step_size, batch_size)
        hsgd = diffusions.HomogenizedSGD.of(sgd)
        return hsgd.stationary().risk / sgd.stationary().risk - 1

    with pytest.warns(FailedCells, match="variance of homogenized SGD is finite only below"):
        result = studies.sweep(difference, {"step_size": [0.01, 0.1, 0.3], "batch_size": [1, 8]})
    known = result["difference"].values
    assert np.isnan(known[2, 0]) and np.isfinite(known[:, 1]).all()
    assert abs(known[0, 0]) < abs(known[1, 0])
