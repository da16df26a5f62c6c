"""Crowds of paths: a run in two pieces, paths copied by parent, branches."""

import warnings

import numpy as np
import pytest

from sgdlimits import diffusions, discrete, ensembles
from sgdlimits.ensembles import Crowd, Noise, saved_state
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, Logistic, SampleLoss, StreamingLeastSquares, noise, zero_loss

DRAW = np.random.Generator(np.random.Philox(8))
ROWS, TARGETS = DRAW.standard_normal((11, 3)), DRAW.standard_normal(11)
FINITE = LeastSquares.from_arrays(ROWS, TARGETS, ridge=0.1)
STREAM = StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]), 0.3, np.ones(3))
NUMPY = SampleLoss(
    lambda x, i: 0.25 * ((ROWS[i] * x[:, None, :]).sum(-1) - TARGETS[i]) ** 4,
    lambda x, i: (((ROWS[i] * x[:, None, :]).sum(-1) - TARGETS[i]) ** 3)[..., None] * ROWS[i],
    samples=11, dimension=3,
)  # fmt: skip
PLAIN = discrete.SGD(FINITE, 0.1)


class Pair:
    """A recurrence whose state is a tuple and a dict."""

    label = "pair"

    def initial_state(self, x0):
        return x0.copy(), {"speed": np.zeros_like(x0)}

    def step(self, k, state, noise):
        x, rest = state
        speed = 0.5 * rest["speed"] - x + noise.normals(64, k, x.shape[1])
        return x + 0.1 * speed, {"speed": speed}

    def position(self, state):
        return state[0]


def simulated(process):
    """The process's simulate, whatever it is called."""
    if isinstance(process, Pair):
        return lambda *args, **options: discrete.simulate(process, *args, **options)
    return process.simulate


PROCESSES = {
    "plain": PLAIN,
    "momentum": discrete.SGD(FINITE, 0.05, momentum=0.8, batch_size=2),
    "nesterov stream": discrete.SGD(STREAM, 0.05, momentum=0.8, nesterov=True),
    "reshuffled": discrete.SGD(FINITE, 0.05, batch_size=3, sampling="reshuffle", momentum=0.3),
    "compiled loss, reshuffled": discrete.SGD(Logistic.from_arrays(ROWS, np.sign(TARGETS)), 0.1, 2, "reshuffle"),
    "Adam, stream": discrete.SGD(STREAM, 0.05, rule="adam"),
    "clipped RMSProp": discrete.SGD(FINITE, 0.05, rule=discrete.rules.Clipped(1.0, discrete.rules.RMSProp())),
    "NumPy loss": discrete.SGD(NUMPY, 0.01, momentum=0.5),
    "a user's": Pair(),
    "descent": discrete.NoisyGradientDescent(zero_loss.ProductSum(2), noise.AntiCorrelated(0.1), 0.05),
    "homogenized": diffusions.HomogenizedSGD.of(PLAIN),
    "modified": diffusions.ModifiedEquation.of(PLAIN, order=2),
    "flow": diffusions.GradientFlow.of(discrete.SGD(NUMPY, 0.01)),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_two_pieces_are_one_run_to_the_bit(name, tmp_path):
    """Assert that a run saved to disk at step 7 and taken up again gives the unbroken run's bits."""
    process = PROCESSES[name]
    start = np.linspace(-0.4, 0.9, 4 if name == "descent" else 3)
    options = {"observables": ("state", "norm"), "seed": 3}
    whole = simulated(process)(start, 19, 21, record=[7, 12, 19], **options)
    first = simulated(process)(start, 7, 21, record=[7], keep_state=True, **options)
    ensembles.save(first, tmp_path / "first.nc")
    state = saved_state(ensembles.load(tmp_path / "first.nc"))
    second = simulated(process)(state, 19, 21, record=[12, 19], **options)
    assert (second["state"].values == whole["state"].values[:, 1:]).all()
    assert (first["state"].values == whole["state"].values[:, :1]).all()
    fresh = simulated(process)(first["state"].values[:, 0], 12, 21, record=[12], **options)
    if name != "flow":  # control: without the state's step, other numbers are drawn
        assert (fresh["state"].values[:, 0] != whole["state"].values[:, 2]).any()


def test_two_pieces_by_a_scheme_in_numpy():
    """Assert the same of a scheme that steps in NumPy, two increments a step, and of one path alone."""
    process = diffusions.HomogenizedSGD.of(PLAIN)
    options = {"observables": "state", "seed": 3, "solver": "ri6", "substeps": 2}
    whole = process.simulate(np.ones(3), 16, 20, record=[16], **options)["state"].values
    first = process.simulate(np.ones(3), 6, 20, keep_state=True, **options)
    alone = process.simulate(saved_state(first), 16, 1, record=[16], first_path=13, **options)["state"].values
    assert np.allclose(alone[0], whole[13], rtol=1e-13, atol=0)


def test_a_saved_state_with_a_path_that_overflowed_goes_on():
    """Assert the bits of an unbroken run where some paths are past 1e150 when the state is put away."""
    process = discrete.SGD(LeastSquares.from_arrays([[1.0], [3.0]], [1.0, 2.0]), 1.5)
    run = {"observables": "norm", "seed": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = process.simulate([1.0], 320, 256, record=[320], **run)["norm"].values
        first = process.simulate([1.0], 300, 256, keep_state=True, **run)
        rest = process.simulate(saved_state(first), 320, 256, record=[320], **run)["norm"].values
    assert (rest == whole).all() and np.isinf(whole).any()


def test_a_saved_state_that_does_not_fit_is_refused():
    """Assert a sentence for another process, seed, path or step."""
    state = saved_state(PLAIN.simulate(np.ones(3), 5, 9, seed=2, keep_state=True))
    for wrong, change in (
        (dict(steps=4, paths=9, seed=2), "raise steps"), (dict(steps=9, paths=9, seed=1), "same ones"),
        (dict(steps=9, paths=10, seed=2), "first_path"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=change):
            PLAIN.simulate(state, **wrong)
    with pytest.raises(InvalidInput, match="another process"):
        diffusions.HomogenizedSGD.of(PLAIN).simulate(state, 9, 9, seed=2)
    with pytest.raises(InvalidInput, match="keep_state"):
        saved_state(PLAIN.simulate(np.ones(3), 5, 9))
    with pytest.raises(InvalidInput, match="moments start at step 0"):
        PLAIN.moments(state, 9)
    with pytest.raises(InvalidInput, match="steps from 5 on"):
        PLAIN.simulate(state, 9, 9, seed=2, record=[3])
    limit = diffusions.ManifoldLimit(zero_loss.Hyperbola(), noise.Langevin(0.1), 0.02)
    assert "keep_state" not in limit.simulate.__code__.co_varnames


def test_means_do_not_reach_back_before_a_saved_state():
    """Assert equal bits where a mean lies within the run, and a sentence where it does not."""
    observables = {"m": ensembles.Mean("risk", since=6), "w": ensembles.WindowMean("risk", 3)}
    whole = PLAIN.simulate(np.ones(3), 12, 5, observables, record=[8, 12], seed=2)
    state = saved_state(PLAIN.simulate(np.ones(3), 6, 5, seed=2, keep_state=True))
    rest = PLAIN.simulate(state, 12, 5, observables, record=[8, 12], seed=2)
    for name in observables:
        assert (rest[name].values == whole[name].values).all()
    for bad, change in ((ensembles.Mean("risk"), "since=6"), (ensembles.WindowMean("risk", 4), "steps from 9 on")):
        with pytest.raises(InvalidInput, match=change):
            PLAIN.simulate(state, 12, 5, {"bad": bad}, record=[8, 12], seed=2)


def test_a_state_of_another_rule_is_refused():
    """Assert a sentence, not a kernel that reads past its arrays, where the slots differ."""
    state = saved_state(PLAIN.simulate(np.ones(3), 6, 5, seed=2, keep_state=True))
    with pytest.raises(InvalidInput, match="another process"):
        discrete.SGD(FINITE, 0.1, rule="adam").simulate(state, 12, 5, seed=2)


@pytest.mark.parametrize("name", ["momentum", "nesterov stream", "homogenized", "a user's"])
def test_children_stand_where_their_parents_stood(name):
    """Assert that every array of a path is its parent's, and that a branch moves without the other."""
    process = PROCESSES[name]
    simulator = ensembles.RecurrenceSimulator(process, 3) if name == "a user's" else process.simulator()
    crowd = Crowd(simulator, np.tile([1.0, 0.5, -0.2], (16, 1)), Noise(4, np.arange(16)))
    crowd.advance_to(9)
    before, other = crowd.dump(), crowd.branch()
    parents = np.array([3] * 5 + list(range(5, 16)))
    crowd.take(parents)
    for key, values in crowd.dump().items():
        assert (values == before[key][parents]).all()
    assert (crowd.positions()[:5] == other.positions()[3]).all()
    other.advance_to(12)
    assert crowd.step == 9 and (crowd.positions()[3] != other.positions()[3]).any()
    crowd.advance_to(12)
    assert (crowd.positions()[3] == other.positions()[3]).all()  # same place, same numbers
    assert (crowd.positions()[0] != crowd.positions()[3]).any()  # same place, numbers of its own
