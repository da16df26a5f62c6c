"""Noisy descent by other update rules: both forms, the recurrence by hand, saved states, and no limit but plain's."""

import numba
import numpy as np
import pytest

from sgdlimits import compare, diffusions, ensembles
from sgdlimits.discrete import NoisyGradientDescent, rules
from sgdlimits.ensembles import Noise, saved_state
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import noise, zero_loss
from tests.parameters import slowly

RNG = np.random.default_rng(2)
NETWORK = zero_loss.ShallowNetwork(RNG.normal(size=(5, 2)), RNG.normal(size=5), width=2)
W0 = 0.5 * RNG.normal(size=NETWORK.dimension)
MIXED = noise.LabelNoise(0.2) + noise.AntiCorrelated(0.05) + noise.Minibatch(2)


@numba.njit
def kicked(x, slots, gradient, step_size, k, settings):
    for j in range(x.size):
        slots[0, j] = settings[0] * slots[0, j] + gradient[j]
        x[j] -= step_size * slots[0, j] / (1 + k)


def kicked_in_numpy(x, slots, gradient, step_size, k):
    slots = 0.4 * slots + gradient[:, None]
    return x - step_size * slots[:, 0] / (1 + k), slots


COMPILED = {
    "heavy ball": rules.HeavyBall(0.8), "Nesterov": rules.Nesterov(0.7), "Adam": rules.Adam(), "sign": rules.SignSGD(),
    "clipped": rules.Clipped(0.05, rules.HeavyBall(0.5)), "a user's": rules.UserRule(kicked, 1, (0.4,)),
}  # fmt: skip


def in_numpy(process, w0, steps, seed):
    state, stream = process.initial_state(w0), Noise(seed, np.arange(len(w0)))
    for k in range(steps):
        state = process.step(k, state, stream)
    return process.position(state)


@pytest.mark.parametrize("name", slowly(COMPILED, lambda name: name == "a user's"))
def test_the_compiled_loop_takes_the_rules_own_steps(name):
    """Assert equal paths of the compiled loop and of the NumPy definition, and others by plain descent."""
    process = NoisyGradientDescent(NETWORK, MIXED, 0.05, rule=COMPILED[name])
    w0 = np.tile(W0, (16, 1))
    paths = process.simulate(w0, 25, 16, "state", record=[25], seed=3)["state"].values[:, 0]
    np.testing.assert_allclose(paths, in_numpy(process, w0, 25, 3), rtol=1e-10, atol=1e-12)
    plain = NoisyGradientDescent(NETWORK, MIXED, 0.05).simulate(w0, 25, 16, "state", record=[25], seed=3)
    assert np.abs(plain["state"].values[:, 0] - paths).max() > 1e-3


@pytest.mark.slow
def test_a_rule_in_numpy_gives_the_paths_of_its_compiled_form():
    """Assert equal paths of a user's rule written twice."""
    both = [rules.UserRule(kicked, 1, (0.4,)), rules.UserRule(kicked_in_numpy, 1)]
    paths = [NoisyGradientDescent(NETWORK, MIXED, 0.05, r).simulate(W0, 20, 16, "state", seed=1)["state"] for r in both]
    np.testing.assert_allclose(*paths, rtol=1e-10, atol=1e-12)


def test_the_plain_rule_is_the_recurrence_without_one():
    """Assert equal bits on a model of two parameters, whose own loop only plain descent has, and on a network."""
    cases = ((zero_loss.Hyperbola(), noise.LabelNoise(0.3), np.array([1.5, 0.6])), (NETWORK, MIXED, W0))
    for model, mechanism, w0 in cases:
        runs = [NoisyGradientDescent(model, mechanism, 0.05, r) for r in (None, "plain")]
        paths = [process.simulate(w0, 30, 16, "state", seed=4)["state"].values for process in runs]
        assert (paths[0] == paths[1]).all()


@pytest.mark.slow
def test_heavy_ball_on_the_hyperbola_by_hand():
    """Assert v <- mu v + (xy - 1 - sigma xi)(y, x), w <- w - eta v with the package's own normals, drawn apart."""
    process = NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.3), 0.05, rules.HeavyBall(0.6))
    found = process.simulate(np.array([1.5, 0.6]), 40, 16, "state", record=[40], seed=9)["state"].values[:, 0]
    stream = Noise(9, np.arange(16))
    w, v = np.tile([1.5, 0.6], (16, 1)), np.zeros((16, 2))
    for k in range(40):
        xi = stream.normals(ensembles.Purpose.LABEL_NOISE, k, 1)[:, 0]
        v = 0.6 * v + ((w[:, 0] * w[:, 1] - 1 - 0.3 * xi)[:, None]) * w[:, ::-1]
        w = w - 0.05 * v
    np.testing.assert_allclose(found, w, rtol=1e-11)


@pytest.mark.parametrize("rule", [rules.Adam(), rules.UserRule(kicked_in_numpy, 1)], ids=["compiled", "NumPy"])
def test_a_saved_state_keeps_the_slots(rule):
    """Assert that two pieces give the bits of an unbroken run, slots and carried noise included."""
    process = NoisyGradientDescent(NETWORK, MIXED, 0.05, rule)
    whole = process.simulate(W0, 20, 16, "state", record=[20], seed=3)["state"].values
    first = process.simulate(W0, 8, 16, "state", seed=3, keep_state=True)
    assert (process.simulate(saved_state(first), 20, 16, "state", record=[20], seed=3)["state"].values == whole).all()


def test_limits_are_those_of_plain_descent():
    """Assert a sentence that names the rule, and one for a rule that is none."""
    process = NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.1), 0.05, "adam")
    assert process.label.endswith("Adam")
    with pytest.raises(InvalidInput, match="Adam, and the limits are those of plain descent"):
        diffusions.ManifoldLimit.of(process)
    limit = diffusions.ManifoldLimit(zero_loss.Hyperbola(), noise.LabelNoise(0.1), 0.05)
    with pytest.raises(InvalidInput, match="takes steps of Adam"):
        compare.manifold(process, limit, [1.5, 0.7], steps=10)
    for rule in ("plain", rules.HeavyBall(0.0)):  # plain descent by another name
        named = NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.1), 0.05, rule)
        assert named.rule is None and diffusions.ManifoldLimit.of(named).clock == limit.clock
    with pytest.raises(InvalidInput, match="rule must be one of"):
        NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.1), 0.05, rule=3)
