"""Assert that step sizes may follow a schedule: in loops, in exact moments, on every clock, as torch has them."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from sgdlimits import diffusions, problems
from sgdlimits.discrete import SGD, NoisyGradientDescent, rules, schedules
from sgdlimits.ensembles import Noise, saved_state
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import noise, zero_loss

generator = np.random.default_rng(3)
A, B = generator.standard_normal((20, 3)), generator.standard_normal(20)
FINITE = problems.LeastSquares.from_arrays(A, B, ridge=0.1)
STREAM = problems.StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]), 0.3, np.ones(3))
LOGISTIC = problems.Logistic(A, B > 0, ridge=0.1)
SCHEDULES = {
    "drop": schedules.Drop(0.1, (4, 9), 0.5),
    "warm-up, cosine": schedules.WarmUp(0.1, 5, schedules.Cosine(0.1, 10, 0.01)),
    "a user's": lambda k: 0.1 / (1 + k),
}


def by_definition(process, x0, steps, paths, seed):
    stream, state = Noise(seed, np.arange(paths)), process.initial_state(np.tile(x0, (paths, 1)))
    for k in range(steps):
        state = process.step(k, state, stream)
    return process.position(state)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("options", [{}, {"momentum": 0.5}, {"rule": rules.Adam()}], ids=["plain", "momentum", "Adam"])
@pytest.mark.parametrize("problem", [FINITE, STREAM, LOGISTIC], ids=["finite", "stream", "logistic"])
def test_the_loop_equals_the_array_form(problem, options, schedule):
    """Assert the same positions to rounding, and the same bits however the run is cut into calls."""
    sgd = SGD(problem, SCHEDULES[schedule], **options)
    x0 = np.linspace(-1, 1, 3)
    once = sgd.simulate(x0, 17, 20, "state", record=[17], seed=5)
    np.testing.assert_allclose(once.state.values[:, 0], by_definition(sgd, x0, 17, 20, 5), rtol=1e-10, atol=1e-12)
    every = sgd.simulate(x0, 17, 20, "state", record=list(range(18)), seed=5)
    np.testing.assert_array_equal(every.state.values[:, -1], once.state.values[:, 0])


@pytest.mark.slow
def test_noisy_descent_follows_a_schedule():
    """Assert both compiled loops of noisy descent against the array form."""
    for model, w0 in ((zero_loss.Hyperbola(), np.array([1.5, 0.7])), (zero_loss.ProductSum(2), np.full(4, 0.8))):
        w0 = w0[: model.dimension] if len(w0) >= model.dimension else np.full(model.dimension, 0.8)
        process = NoisyGradientDescent(model, noise.LabelNoise(0.1), SCHEDULES["drop"])
        run = process.simulate(w0, 15, 18, {"w": "state"}, record=[15], seed=2)
        np.testing.assert_allclose(run["w"].values[:, 0], by_definition(process, w0, 15, 18, 2), rtol=1e-10)
        np.testing.assert_allclose(run.time.values[-1], sum(SCHEDULES["drop"](k) for k in range(15)))


def test_a_constant_schedule_is_the_number():
    """Assert the same bits, and that the dataset carries the sum of the step sizes as its time otherwise."""
    runs = [SGD(FINITE, size).simulate(np.ones(3), 9, 5, "state", seed=1) for size in (0.1, schedules.Constant(0.1))]
    np.testing.assert_array_equal(runs[0].state.values, runs[1].state.values)
    scheduled = SGD(FINITE, lambda k: 0.1)
    run = scheduled.simulate(np.ones(3), 9, 5, "state", record=[0, 4, 9], seed=1)
    np.testing.assert_allclose(run.state.values, runs[0].state.values[:, [0, 4, 9]], rtol=1e-12)
    np.testing.assert_allclose(run.time.values, [0, 0.4, 0.9])


@pytest.mark.parametrize("options", [{}, {"momentum": 0.6}, {"momentum": 0.6, "nesterov": True}, {"batch_size": 3}])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_moments_follow_the_schedule(options, schedule):
    """Assert mean and second moment against full enumeration of three steps over four rows."""
    small = problems.LeastSquares.from_arrays(A[:4], B[:4], ridge=0.1)
    sgd = SGD(small, SCHEDULES[schedule], **options)
    batch, steps = sgd.batch_size, 2 if "batch_size" in options else 4
    draws = np.array(np.meshgrid(*[range(4)] * (batch * steps))).reshape(batch * steps, -1).T.reshape(-1, steps, batch)
    x, slots = np.tile([1.0, -1.0, 0.5], (len(draws), 1)), np.zeros((len(draws), sgd.update_rule.slots, 3))
    for k in range(steps):
        features, labels = small.features[draws[:, k]], small.targets[draws[:, k]]
        error = np.einsum("pbj,pj->pb", features, x) - labels
        gradient = np.einsum("pb,pbj->pj", error, features) / batch + 0.1 * x
        x, slots = sgd.update_rule.move(x, slots, gradient, SCHEDULES[schedule](k), k)
    exact = sgd.moments([1.0, -1.0, 0.5], steps).isel(step=-1)
    np.testing.assert_allclose(exact["mean"], x.mean(axis=0), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(exact["covariance"], np.cov(x.T, bias=True), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(exact["risk"], small.risk(x).mean(), rtol=1e-11)
    np.testing.assert_allclose(exact["time"], sum(SCHEDULES[schedule](k) for k in range(steps)))


def test_a_saved_run_goes_on_along_the_schedule():
    """Assert equal bits of one run and of two halves, momentum included."""
    sgd = SGD(FINITE, SCHEDULES["warm-up, cosine"], momentum=0.5, batch_size=3, sampling="reshuffle")
    whole = sgd.simulate(np.ones(3), 20, 9, "state", record=[20], seed=3)
    half = sgd.simulate(np.ones(3), 8, 9, "state", seed=3, keep_state=True)
    rest = sgd.simulate(saved_state(half), 20, 9, "state", record=[20], seed=3)
    np.testing.assert_array_equal(rest.state.values, whole.state.values)


def test_what_needs_one_step_size_refuses_with_a_sentence():
    """Assert stationary laws, thresholds and limits, each naming the schedule."""
    sgd = SGD(FINITE, SCHEDULES["drop"])
    descent = NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.1), SCHEDULES["drop"])
    asks = [sgd.stationary, sgd.stability, sgd.moment_map, lambda: diffusions.ManifoldLimit.of(descent)]
    asks += [diffusions.HomogenizedSGD.of(sgd).stationary, diffusions.GradientFlow.of(sgd).stability]
    for ask in asks:
        with pytest.raises(InvalidInput, match="Drop"):
            ask()
    with pytest.raises(InvalidInput, match="no stationary law"):
        sgd.stationary()
    for arithmetic in (lambda s: 2 * s, lambda s: np.ones(2) * s, lambda s: s**2, lambda s: s < 1, float):
        with pytest.raises(InvalidInput, match="one number is needed"):
            arithmetic(sgd.step_size)


@pytest.mark.parametrize(
    ("step_size", "message"),
    [
        (lambda k: -1.0, "step 0 must be at least zero"),
        (lambda k: "much", "step_size at step 0 must be a number"),
        (lambda: 1.0, "at step 0 raised TypeError"),
        (schedules.Cosine, "is the class Cosine"),
        (0.0, "above zero"),
        ("fast", "must be a number"),
    ],
)
def test_bad_step_sizes_are_refused_in_a_sentence(step_size, message):
    with pytest.raises(InvalidInput, match=message):
        SGD(FINITE, step_size)


def test_a_bad_value_later_on_names_its_step():
    """Assert the step at which a schedule turns out bad."""
    with pytest.raises(InvalidInput, match="step_size at step 7"):
        SGD(FINITE, lambda k: 0.1 if k < 7 else np.nan).simulate(np.ones(3), 20, 3)


def test_a_scheduled_process_can_be_copied():
    """Assert copies, pickles and replaced fields."""
    sgd = SGD(FINITE, SCHEDULES["drop"])
    for other in (copy.deepcopy(sgd), pickle.loads(pickle.dumps(sgd)), dataclasses.replace(sgd, batch_size=2)):
        assert other.step_size(5) == sgd.step_size(5) == 0.05


def test_given_schedules_have_their_values():
    """Assert the values by hand: ends of each piece."""
    warm = schedules.WarmUp(1.0, 4, schedules.Drop(1.0, 2, 0.5))
    assert [warm(k) for k in range(8)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.5, 0.5]
    cosine = schedules.Cosine(1.0, 4, 0.2)
    np.testing.assert_allclose([cosine(k) for k in (0, 2, 4, 9)], [1.0, 0.6, 0.2, 0.2])


@pytest.mark.extras
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_schedule_is_outside_the_momentum_as_in_torch(momentum):
    """Assert equality with torch's SGD under MultiStepLR and CosineAnnealingLR to 1e-12."""
    torch = pytest.importorskip("torch")
    pairs = [
        (schedules.Drop(0.05, (10, 30), 0.3), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [10, 30], 0.3)),
        (schedules.Cosine(0.05, 60, 0.001), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 60, 0.001)),
    ]
    for schedule, make in pairs:
        x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.SGD([x], lr=0.05, momentum=momentum)
        scheduler = make(optimiser)
        rule = rules.HeavyBall(momentum)
        ours, slots = np.array([[1.0, -2.0]]), np.zeros((1, 1, 2))
        for k in range(60):
            x.grad = 0.7 * x.detach() + 0.1 * k
            optimiser.step()
            scheduler.step()
            ours, slots = rule.move(ours, slots, 0.7 * ours + 0.1 * k, schedule(k), k)
        np.testing.assert_allclose(ours[0], x.detach().numpy(), rtol=1e-12)
