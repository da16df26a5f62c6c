"""Labelled results: dims, coordinates, attributes; saved files are whole and come back bit for bit."""

import numpy as np
import pytest
import xarray

import sgdlimits
from sgdlimits.ensembles import (
    Ensemble,
    FirstPassage,
    Recorded,
    ensemble_dataset,
    load,
    moments_dataset,
    save,
)
from sgdlimits.exact.errors import InvalidInput

RECORD = np.array([0, 5, 10])


def ensemble(overflow=-1):
    rng = np.random.default_rng(3)
    values = {
        "risk": rng.random((4, 3)),
        "state": rng.standard_normal((4, 3, 2)),
        "features": rng.standard_normal((4, 3, 5)),
        "passage": np.array([3.0, np.inf, 0.0, -0.0]),
    }
    reducers = {
        "risk": Recorded("risk"),
        "state": Recorded("state"),
        "features": Recorded(np.sin),
        "passage": FirstPassage("risk", below=1.0),
    }
    steps = np.array([-1, overflow, -1, -1])
    return Ensemble(values, RECORD, steps, reducers, seed=2**64 - 1, paths=4, steps=10, quality="float64")


RATES = np.array([0.1, 0.3])
ATTRIBUTES = {"process": "SGD", "step_size": 0.05, "solver": None, "nesterov": True, "rates": RATES}


def moments(time=None):
    mean = np.arange(6.0).reshape(3, 2)
    return moments_dataset(RECORD, mean, np.ones((3, 2, 2)), mean[:, 0], ["u", "v"], ATTRIBUTES, time)


def test_an_ensemble_is_labelled_by_path_and_step():
    """Dims, the step coordinate, the clock's time, and who made it."""
    dataset = ensemble_dataset(ensemble(), ATTRIBUTES, time=RECORD / 20)
    assert dataset["risk"].dims == ("path", "step") and dataset["passage"].dims == ("path",)
    assert dataset["state"].dims == ("path", "step", "coordinate")
    assert dataset["features"].dims == ("path", "step", "features_component")
    assert dataset["step"].dtype == np.int64 and np.array_equal(dataset["step"], RECORD)
    assert dataset["time"].dims == ("step",) and np.array_equal(dataset["time"], RECORD / 20)
    expected = {"process": "SGD", "seed": 2**64 - 1, "paths": 4, "steps": 10, "quality": "float64"}
    assert {name: dataset.attrs[name] for name in expected} == expected
    assert dataset.attrs["sgdlimits"] == sgdlimits.__version__ and "solver" not in dataset.attrs


def test_overflow_steps_appear_only_when_a_path_overflowed():
    """`overflow_step(path)` is there if and only if there is something to say."""
    assert "overflow_step" not in ensemble_dataset(ensemble(), ATTRIBUTES)
    got = ensemble_dataset(ensemble(overflow=7), ATTRIBUTES)["overflow_step"]
    assert got.dims == ("path",) and np.array_equal(got, [-1, 7, -1, -1])


def test_moments_are_labelled_by_step_and_coordinate():
    """Mean, covariance and risk carry step and both coordinates."""
    dataset = moments()
    assert dataset["mean"].dims == ("step", "coordinate") and dataset["risk"].dims == ("step",)
    assert dataset["covariance"].dims == ("step", "coordinate", "coordinate_2")
    assert list(dataset["coordinate_2"].values) == ["u", "v"] and "time" not in dataset
    bare = moments_dataset(RECORD, np.zeros((3, 2)), np.zeros((3, 2, 2)), None, None, {})
    assert "risk" not in bare and np.array_equal(bare["coordinate"], [0, 1])


@pytest.mark.parametrize(
    "dataset",
    [ensemble_dataset(ensemble(overflow=7), ATTRIBUTES, time=RECORD / 20), moments(time=RECORD * 0.1)],
    ids=["ensemble", "moments"],
)
def test_a_saved_result_comes_back_bit_for_bit(dataset, tmp_path):
    """Values, types, coordinates, attributes, infinities and the sign of zero survive."""
    file = tmp_path / "result.nc"
    save(dataset, file)
    back = load(file)
    xarray.testing.assert_identical(back, dataset)
    for name in dataset.variables:
        assert back[name].dtype == dataset[name].dtype or dataset[name].dtype.kind == "U"
        if dataset[name].dtype.kind != "U":
            assert back[name].values.tobytes() == dataset[name].values.tobytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.nc"]
    save(dataset.isel(step=[0]), file)
    assert load(file).sizes["step"] == 1


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    """What cannot be written is not half written."""
    file = tmp_path / "result.nc"
    save(moments(), file)
    before = file.read_bytes()
    unwritable = moments().assign(thing=("step", np.array([object()] * 3)))
    with pytest.raises((TypeError, ValueError)):
        save(unwritable, file)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(moments(), file)
    assert file.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["result.nc"]


def test_missing_places_are_named(tmp_path):
    """A missing folder or file gives InvalidInput that names it."""
    with pytest.raises(InvalidInput, match="nowhere does not exist"):
        save(moments(), tmp_path / "nowhere" / "result.nc")
    with pytest.raises(InvalidInput, match="absent.nc"):
        load(tmp_path / "absent.nc")
