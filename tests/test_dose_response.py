"""compare.dose_response: exact responses where moments close, the benefit of noise offline, what is refused."""

import numpy as np
import pytest
from sgdlimits import compare
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import tasks


@pytest.fixture(scope="module")
def linear():
    task = tasks.linear_regression(dimension=10, seed=1)
    sgd = SGD(task.problem, 0.05)
    return task, sgd, compare.dose_response(task, sgd, 100, batch_sizes=[4, 8, 16], record=[25, 50], seeds=400)


def test_the_response_of_least_squares_is_the_exact_one(linear):
    """Assert every interval around the exact ratio of risks, and not around twice the excess."""
    task, _, result = linear
    for place, size in enumerate((4, 8, 16)):
        exact = SGD(task.problem, 0.05, batch_size=size).moments(np.zeros(10), 100, record=[25, 50, 100])["risk"][1:]
        here = result.dataset.isel(dose=place)
        true = exact.values / here["noiseless_loss"].mean("seed").values - 1
        assert (here["relative_lower"].values <= true).all() and (true <= here["relative_upper"].values).all()
        assert not (2 * true <= here["relative_upper"].values).all()
    assert set(result.verdicts.values()) == {"costs"}  # theory: noise never helps here


def test_step_sizes_are_compared_at_equal_sums(linear):
    """Assert the noiseless run of each step size at its own steps, and the sentence where sums never meet."""
    task, sgd, _ = linear
    result = compare.dose_response(task, sgd, 40, step_sizes=[0.025, 0.05, 0.1], record=[20], seeds=4)
    for place, (size, steps) in enumerate(((0.025, 80), (0.05, 40), (0.1, 20))):
        exact = SGD(task.problem, size).moments(np.zeros(10), steps, quantities=("mean",))["mean"][-1].values
        np.testing.assert_allclose(
            result.dataset["noiseless_loss"][place, 0, -1], task.population.risk(exact[None])[0], rtol=1e-12
        )
        assert result.dataset["samples"][place, -1] == steps
    with pytest.raises(InvalidInput, match="multiples of 2"):
        compare.dose_response(task, sgd, 41, step_sizes=[0.05, 0.1])
    with pytest.raises(InvalidInput, match="sums of step sizes never meet"):
        compare.dose_response(task, sgd, 40, step_sizes=[0.05, 0.05 * np.sqrt(2)])


def test_noise_helps_offline_once_rows_are_repeated():
    """Assert no benefit before rows are repeated, a larger one the smaller the batch at the end, and none online."""
    offline, online = (tasks.diagonal_network(inputs=40, ones=2, noise=0.1, rows=rows) for rows in (20, None))
    found = {}
    for task in (offline, online):
        found[task.online] = compare.dose_response(
            task, SGD(task.problem, 0.03), 800, batch_sizes=[1, 4], record=[10, 20, 100], seeds=16
        )
    response = found[False].dataset["relative"].values[:, -1]
    assert set(found[False].verdicts.values()) == {"helps"} and response[0] < 2 * response[1]
    early = [row for row in found[False].table() if row["epochs"] <= 1]
    assert early and all(row["verdict"] != "helps" for row in early)
    assert "helps" not in found[True].verdicts.values() and not found[True].helps_from
    begins = found[False].helps_from
    for row in found[False].table():
        assert row["step"] < begins[row["dose"]] or row["verdict"] == "helps"
    assert set(begins) == {1.0, 4.0} and min(begins.values()) > 20  # after the first epoch
    assert f"1 from step {begins[1.0]} on (epoch" in str(found[False])


def test_samples_to_a_loss_come_from_the_same_curves(linear):
    """Assert the steps to a level within their interval of the exact ones, and the result in print and in pictures."""
    task, sgd, _ = linear
    result = compare.dose_response(task, sgd, 200, batch_sizes=[2, 8, 32], record=range(10, 200, 10), seeds=64)
    cost = result.noise_cost(level=0.2, least=0.125).dataset
    exact = compare.noise_cost(sgd, np.zeros(10), excess=0.075, batch_sizes=[2, 8, 32]).dataset
    for size in (2, 8, 32):
        true = float(exact["steps"].sel(batch_size=size)[0])
        here = cost.sel(batch_size=size, choice="measured")
        assert float(here["steps_low"]) - 1 <= true <= float(here["steps_high"]) + 1
    assert "critical batch size" in str(result.noise_cost(level=0.2, least=0.125))
    assert "loss relative to that without noise" in str(result)
    for figure in (result.plot(), result.plot_epochs()):
        assert figure.axes[0].get_xlabel()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "give one ladder"),
        ({"batch_sizes": [1, 2], "step_sizes": [0.1]}, "give one ladder"),
        ({"batch_sizes": [2, 1]}, "must rise"),
        ({"batch_sizes": 4}, "list of rising numbers"),
        ({"batch_sizes": [1, 2], "seeds": 3}, "seeds is 3"),
        ({"batch_sizes": [1, 2], "confidence": 1.5}, "confidence"),
        ({"batch_sizes": [1, 2], "record": [50]}, "record"),
    ],
)
def test_what_is_refused(linear, change, says):
    """Assert one sentence that names what was got."""
    task, sgd, _ = linear
    with pytest.raises(InvalidInput, match=says):
        compare.dose_response(task, sgd, 40, **change)
