"""Online learning from stored samples: no run meets one twice, and one that needs more than there are is refused."""

import numpy as np
import pytest

from sgdlimits import compare
from sgdlimits.discrete import SGD
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import Supervised, predictors, sources, tasks

GENERATOR = np.random.Generator(np.random.Philox(4))
INPUTS = GENERATOR.standard_normal((60, 3))
LABELS = INPUTS @ [1.0, -1.0, 0.5] + 0.1 * GENERATOR.standard_normal(60)
TEST = sources.Rows(INPUTS[40:], LABELS[40:])
LINE = predictors.Linear(3, bias=False)
USER = predictors.UserPredictor(LINE.predict, LINE.pullback, 3, 1, 3)  # nothing to compile


def task_of(predictor=USER, single_pass=True):
    rows = sources.Rows(INPUTS[:40], LABELS[:40], single_pass=single_pass)
    problem = Supervised(predictor, "squares", rows, test=TEST)
    return tasks.Task("stored", problem, TEST, tasks.Starts.of_layers((3, 1.0)))


def sgd_of(task, batch_size):
    return SGD(task.problem, 0.1, batch_size, sampling="reshuffle")


def test_no_sample_is_met_twice_after_a_drop_too():
    """Rows of all steps of a path are distinct, whichever batch size they have from the drop on; paths differ."""
    task = task_of()
    assert task.online and not task_of(single_pass=False).online
    high, low, noise = sgd_of(task, 2), sgd_of(task, 4), Noise(9, np.arange(16))
    met = np.concatenate([high.batch(k, noise) for k in range(5)] + [low.batch(k, noise) for k in range(5, 10)], axis=1)
    assert met.shape == (16, 30) and all(np.unique(row).size == 30 for row in met)
    assert np.unique(met[:, 0]).size > 4
    again = [high.batch(k, noise)[:, 0] for k in (0, 20)]  # control: beyond the data a new epoch begins
    assert np.isin(again[1], np.arange(40)).all() and not (again[0] == again[1]).all()


def test_the_noiseless_run_takes_batches_as_large_as_the_data_last():
    """Verdicts online; two batches of the low run at least, and never more than there are."""
    task = task_of()
    found = compare.golden_path(task, sgd_of(task, 1), 3, batch_size=2, steps=6, seeds=4)
    assert "batch size 6," in found.dataset.attrs["noiseless"] and found.dataset.attrs["online"]
    assert compare.dose_response(task, sgd_of(task, 1), 8, batch_sizes=[1, 2], seeds=4).dataset.attrs["online"]


@pytest.mark.slow
def test_the_compiled_loop_meets_the_same_samples():
    """Ends of ten steps, to rounding."""
    task = task_of()
    ends = [
        sgd_of(each, 4).simulate(task.starts(3, 0), 10, 3, "state", record=[10], seed=2, threads=1)["state"].values
        for each in (task, task_of(LINE))
    ]
    np.testing.assert_allclose(*ends, atol=1e-13)


def test_what_needs_more_samples_than_there_are_is_refused():
    """Every door says how many are needed; other samplings and falling batch sizes meet samples again."""
    task = task_of()
    high = sgd_of(task, 2)
    with pytest.raises(InvalidInput, match="20 steps of batches of 4 need 80 samples .* there are 40"):
        sgd_of(task, 4).simulate(task.starts(4, 0), 20, 4)
    with pytest.raises(InvalidInput, match="meets each sample of this problem once at most: take 'reshuffle'"):
        SGD(task.problem, 0.1)
    with pytest.raises(InvalidInput, match=r"10 steps need 80 \(batches of 4, .* there are 40"):
        compare.golden_path(task, high, 5, batch_size=4, steps=10, seeds=4)
    with pytest.raises(InvalidInput, match="which is more noise"):
        compare.golden_path(task, high, 5, batch_size=1, steps=10, seeds=4)
    with pytest.raises(InvalidInput, match=r"12 steps need 48 \("):
        compare.dose_response(task, high, 12, batch_sizes=[1, 2], seeds=4)
    with pytest.raises(InvalidInput, match="single_pass"):
        sources.Rows(INPUTS, LABELS, single_pass="yes")
