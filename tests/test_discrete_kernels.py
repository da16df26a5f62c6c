"""Compiled steps of least-squares SGD against the plain NumPy recursion with the same random numbers."""

import numpy as np
import pytest
from sgdlimits.discrete import kernels
from sgdlimits.discrete.single_rows import AHEAD, MOMENTUM, PLAIN
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.packs import pack, unpack
from sgdlimits.ensembles.random import PACK, QUALITIES, SAMPLINGS, Noise, Purpose

SEED, PATHS, STEPS, SAMPLES = 2**40 + 3, 2 * PACK, 23, 13
VELOCITIES = [(0.0, False), (0.9, False), (0.9, True)]  # momentum, nesterov


def data(d):
    rng = np.random.default_rng(d)
    rows, targets = rng.standard_normal((SAMPLES, d)) / np.sqrt(d), rng.standard_normal(SAMPLES)
    rows.flags.writeable = targets.flags.writeable = False  # as a problem's are: the kernel is compiled for that alone
    return rows, targets, rng.standard_normal((PATHS, d))


def run_minibatch(
    x, rows, targets, *, momentum=0.0, nesterov=False, batch_size=1, sampling="with_replacement",
    step_size=0.3, ridge=0.1, label_noise=0.2, quality="float32", pieces=((0, STEPS),), path=0,
):  # fmt: skip
    x, reshuffle = x.copy(), sampling == "reshuffle"
    slots, overflow = np.zeros((len(x), int(momentum > 0), x.shape[1])), np.full(len(x), -1)
    orders = np.zeros((len(x) if reshuffle else 0, len(rows)), np.int64)
    epochs = np.full(len(orders), -1)
    for first, last in pieces:
        kernels.minibatch(
            x, slots, overflow, orders, epochs, rows, targets, np.array([step_size]), ridge, label_noise,
            *rule(momentum, nesterov), np.ones(batch_size), SAMPLINGS.index(sampling), np.uint64(SEED), path, first,
            last, *scratch(quality),
        )  # fmt: skip
    return x, overflow


def rule(momentum, nesterov):
    place = 2 if nesterov else 1 if momentum else 0
    return place, np.array([momentum, np.inf]), (PLAIN, MOMENTUM, AHEAD)[place]


def move(x, velocity, gradient, step_size, momentum, nesterov):
    velocity = momentum * velocity + gradient
    return x - step_size * (gradient + momentum * velocity if nesterov else velocity), velocity


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("momentum", "nesterov"), VELOCITIES)
@pytest.mark.parametrize(
    ("d", "batch_size", "quality"), [(1, 1, "float32"), (10, 1, "float64"), (37, 6, "float32")]
)
def test_minibatch_equals_the_numpy_recursion(d, batch_size, quality, momentum, nesterov, sampling):
    """Assert equality to rounding with ridge and label noise; the steps span several epochs with a
    remainder."""
    rows, targets, x = data(d)
    got, overflow = run_minibatch(
        x,
        rows,
        targets,
        momentum=momentum,
        nesterov=nesterov,
        batch_size=batch_size,
        sampling=sampling,
        quality=quality,
    )
    noise, velocity, per_epoch = Noise(SEED, np.arange(PATHS), quality), 0.0, SAMPLES // batch_size
    for k in range(STEPS):
        if sampling == "reshuffle":
            place = k % per_epoch * batch_size
            chosen = noise.permutation(k // per_epoch, SAMPLES)[:, place : place + batch_size]
        else:
            chosen = noise.rows(k, batch_size, SAMPLES, sampling)
        a, eps = rows[chosen], noise.normals(Purpose.LABEL_NOISE, k, batch_size)
        residual = np.einsum("pbd,pd->pb", a, x) - targets[chosen] - 0.2 * eps
        gradient = np.einsum("pb,pbd->pd", residual, a) / batch_size + 0.1 * x
        x, velocity = move(x, velocity, gradient, 0.3, momentum, nesterov)
    np.testing.assert_allclose(got, x, rtol=1e-11, atol=1e-12)
    assert np.all(overflow == -1)


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("momentum", "nesterov"), VELOCITIES)
@pytest.mark.parametrize(("d", "batch_size"), [(1, 1), (7, 1), (30, 5)])
def test_streaming_equals_the_numpy_recursion(d, batch_size, quality, momentum, nesterov):
    rng = np.random.default_rng(d)
    roots, minimiser, x = (
        rng.uniform(0.2, 1, d) / np.sqrt(d),
        rng.standard_normal(d),
        rng.standard_normal((PATHS, d)),
    )
    state, overflow = pack(x), np.full((2, PACK), -1)
    slots, still = np.zeros((2, int(momentum > 0), d, PACK)), 0.0
    settings = (
        roots, minimiser, np.zeros((0, 0)), np.array([0.3]), 0.1, 0.2, *rule(momentum, nesterov)[:2],
        not momentum, np.ones(batch_size), np.uint64(SEED), 0,
    )  # fmt: skip
    kernels.streaming(state, slots, overflow, *settings, 0, 9, *scratch(quality))
    kernels.streaming(state, slots, overflow, *settings, 9, STEPS, *scratch(quality, blocks=2))
    noise = Noise(SEED, np.arange(PATHS), quality)
    for k in range(STEPS):
        a = roots * noise.normals(Purpose.FEATURES, k, batch_size * d).reshape(PATHS, batch_size, d)
        eps = noise.normals(Purpose.LABEL_NOISE, k, batch_size)
        residual = np.einsum("pbd,pd->pb", a, x - minimiser) - 0.2 * eps
        gradient = np.einsum("pb,pbd->pd", residual, a) / batch_size + 0.1 * x
        x, still = move(x, still, gradient, 0.3, momentum, nesterov)
    np.testing.assert_allclose(unpack(state), x, rtol=1e-11, atol=1e-12)
    assert np.all(overflow == -1)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_bits_do_not_depend_on_how_steps_and_paths_are_grouped(batch_size, sampling):
    """Assert equal bits for whole runs, runs in pieces, and the second pack alone; reshuffle starts in
    mid-epoch."""
    rows, targets, x = data(21)
    for momentum, nesterov in VELOCITIES:
        settings = dict(momentum=momentum, nesterov=nesterov, batch_size=batch_size, sampling=sampling)
        whole, _ = run_minibatch(x, rows, targets, **settings)
        parts, _ = run_minibatch(x, rows, targets, **settings, pieces=[(0, 1), (1, 8), (8, 8), (8, STEPS)])
        alone, _ = run_minibatch(x[PACK:], rows, targets, **settings, path=PACK)
        assert np.array_equal(whole, parts)
        assert np.array_equal(whole[PACK:], alone)


@pytest.mark.parametrize(("momentum", "nesterov"), VELOCITIES)
def test_overflow_is_recorded_at_its_step(momentum, nesterov):
    """Assert that paths pass 1e150 at the step at which the NumPy recursion does, in whatever pieces, and
    stay recorded."""
    rows, targets, x = data(4)
    settings = dict(
        momentum=momentum, nesterov=nesterov, step_size=1e20, label_noise=0.0, ridge=0.0, batch_size=2
    )
    _, whole = run_minibatch(x, rows, targets, **settings)
    _, parts = run_minibatch(x, rows, targets, **settings, pieces=[(0, 3), (3, 9), (9, STEPS)])
    noise, velocity = Noise(SEED, np.arange(PATHS)), 0.0
    expected = np.full(PATHS, -1)
    for k in range(10):
        a, y = rows[noise.rows(k, 2, SAMPLES)], targets[noise.rows(k, 2, SAMPLES)]
        gradient = np.einsum("pb,pbd->pd", np.einsum("pbd,pd->pb", a, x) - y, a) / 2
        x, velocity = move(x, velocity, gradient, 1e20, momentum, nesterov)
        large = ~(np.abs(x).max(axis=1) <= 1e149)
        expected[(expected < 0) & large] = k + 1
        x, velocity = np.where(large[:, None], 0.0, x), np.where(large[:, None], 0.0, velocity)
    assert np.all(expected > 0)
    assert np.array_equal(whole, parts)
    assert np.array_equal(whole, expected)


def test_streaming_records_overflow_and_keeps_finite_paths_apart():
    x = np.zeros((PACK, 3))
    x[4] = 1e137
    state, overflow = pack(x), np.full((1, PACK), -1)
    kernels.streaming(
        state, np.zeros((1, 0, 3, PACK)), overflow, np.ones(3), np.zeros(3), np.zeros((0, 0)), np.array([0.1]), -1e6,
        0.1, *rule(0.0, False)[:2], True, np.ones(1), np.uint64(SEED), 0, 0, 4, *scratch("float32"),
    )  # fmt: skip
    assert overflow[0, 4] == 3  # 1e137 grows by about 1e5 a step: past 1e150 with the third
    assert np.all(np.delete(overflow[0], 4) == -1)
