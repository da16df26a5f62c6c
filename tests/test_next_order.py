"""The next order of noise on the zero-loss set: averages by quadrature and enumeration, drifts by brute force."""

from functools import reduce
from itertools import product

import numpy as np
import pytest

from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.diffusions.manifold.checks import NeglectedDrift
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.problems import noise
from sgdlimits.problems.noise import Perturbation, noisy_gradient
from sgdlimits.problems.noise.averages import mean_gradient, second_mean_gradient
from sgdlimits.problems.predictors import UserPredictor
from sgdlimits.problems.zero_loss import Hyperbola, PredictorRegression, ShallowNetwork, UserLoss

NODES = 7  # of Gauss-Hermite: exact up to degree 13
GENERATOR = np.random.default_rng(5)
NETWORK = ShallowNetwork(GENERATOR.standard_normal((2, 1)), GENERATOR.standard_normal(2), 2)
POINT = np.array([0.6, -0.8, 0.5, 1.1])


def gaussian(size, sigma):
    """Points (K, size) and weights (K,) of a normal law."""
    x, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    joint = [np.prod(each) for each in product(weights, repeat=size)]
    return sigma * np.array(list(product(x, repeat=size))), np.array(joint)


def law(part, size):
    """Points and weights of a mechanism's noise of `size` variables."""
    if getattr(part, "law", "gaussian") == "gaussian":
        return gaussian(size, part.sigma)
    keep = 1 / (1 + part.sigma**2)
    masks = np.array(list(product((0.0, 1.0), repeat=size)))
    return masks / keep - 1, (keep**masks * (1 - keep) ** (1 - masks)).prod(-1)


SLOTS = {
    noise.WeightNoise: ("shift", 4), noise.DropConnect: ("factor", 4), noise.Dropout: ("units", 2),
    noise.InputNoise: ("inputs", 2),
}  # fmt: skip


def averaged(parts, w):
    """E of the noisy gradient at w: every combination of the nodes of every mechanism's noise."""
    grids = [law(part, SLOTS[type(part)][1]) for part in parts]
    total = 0.0
    for picked in product(*(range(len(points)) for points, _ in grids[:-1])):
        slots, weight = {}, 1.0
        for part, (points, weights), place in zip(parts, grids, picked):
            slots[SLOTS[type(part)][0]], weight = points[place][None], weight * weights[place]
        points, weights = grids[-1]
        slots = {name: np.broadcast_to(value, (len(points), value.shape[-1])) for name, value in slots.items()}
        slots[SLOTS[type(parts[-1])][0]] = points
        shaped = {
            name: {"units": value[:, None, :] + 1, "inputs": value[:, :, None], "factor": value + 1}.get(name, value)
            for name, value in slots.items()
        }
        gradients = noisy_gradient(NETWORK, np.broadcast_to(w, (len(points), 4)), Perturbation(**shaped))
        total = total + weight * (weights @ gradients)
    return total


def with_sigma(part, sigma):
    """The same mechanism at another noise level."""
    return type(part)(sigma, **({"law": part.law} if hasattr(part, "law") else {}))


CASES = [
    [noise.WeightNoise(1.0)], [noise.DropConnect(1.0)], [noise.DropConnect(1.0, "bernoulli")], [noise.InputNoise(1.0)],
    [noise.Dropout(1.0)], [noise.InputNoise(1.0), noise.Dropout(1.0)], [noise.WeightNoise(1.0), noise.Dropout(1.0)],
    [noise.DropConnect(1.0, "bernoulli"), noise.InputNoise(1.0)], [noise.DropConnect(1.0), noise.Dropout(1.0)],
    [noise.DropConnect(1.0, "bernoulli"), noise.WeightNoise(1.0)],
]  # fmt: skip


@pytest.mark.parametrize("parts", CASES, ids=lambda parts: "+".join(type(part).__name__ for part in parts))
def test_averages_to_second_order_are_those_of_quadrature(parts):
    """Assert what is left of the mean gradient beyond sigma^4 falls like sigma^6, anywhere; without R_4 it does not."""
    left, bare = [], []
    for sigma in (0.06, 0.03):
        made = [with_sigma(part, sigma) for part in parts]
        rest = averaged(made, POINT) - NETWORK.gradient(POINT) - mean_gradient(NETWORK, made, POINT)
        bare.append(np.linalg.norm(rest) / sigma**4)
        left.append(np.linalg.norm(rest - second_mean_gradient(NETWORK, made, POINT)) / sigma**4)
    if bare[0] < 1e-6:  # Dropout alone: exact
        assert max(left) < 1e-6
        return
    assert left[1] < 0.27 * left[0] < 0.1 * bare[1]


def test_carried_noise_acts_outside_the_mask():
    """Assert the mixed second order of DropConnect and anti-correlated noise is that of L(F (z + xi)), xi outermost."""
    left = []
    for sigma in (0.06, 0.03):
        parts = [noise.DropConnect(sigma, "bernoulli"), noise.AntiCorrelated(sigma)]
        points, weights = gaussian(4, sigma)
        whole = sum(w * averaged(parts[:1], POINT + shift) for shift, w in zip(points, weights))
        rest = whole - NETWORK.gradient(POINT) - mean_gradient(NETWORK, parts, POINT)
        left.append(np.linalg.norm(rest - second_mean_gradient(NETWORK, parts, POINT)) / sigma**4)
        shifted = [parts[0], noise.WeightNoise(sigma)]
        wrong = np.linalg.norm(rest - second_mean_gradient(NETWORK, shifted, POINT)) / sigma**4
    assert left[1] < 0.27 * left[0]
    assert wrong > 20 * left[1]


def regression(outputs, slopes, dimension, features=((1.0,),)):
    """(f(w, x) - 1)^2 / 2 on one row; slopes: derivatives of f in each weight."""

    def parts(w, inputs):
        return (*np.moveaxis(w, -1, 0)[:, :, None], inputs[..., 0])

    predictor = UserPredictor(
        lambda w, inputs: outputs(*parts(w, inputs))[..., None],
        lambda w, inputs, slope: slope * np.stack(np.broadcast_arrays(*slopes(*parts(w, inputs))), axis=-1),
        1, 1, dimension,
    )  # fmt: skip
    return PredictorRegression(predictor, np.array(features), np.ones(1))


def bent():
    """f = u + 1 + u^2 z with u = x - 1: the set is x = 1, the trace of the Hessian constant on it."""
    return regression(
        lambda x, z, a: x + (x - 1) ** 2 * z, lambda x, z, a: (1 + 2 * (x - 1) * z, (x - 1) ** 2 + 0 * z), 2
    )


def tilted():
    """f(a) = x a + z (a - 1)^2 at a = 1: the gradient in the input is x, constant on the set x = 1."""
    return regression(lambda x, z, a: x * a + z * (a - 1) ** 2, lambda x, z, a: (a + 0 * x, (a - 1) ** 2 + 0 * x), 2)


def masked():
    """u^2 / 2 + v^2 / 2 + u v^2 z, u = x - 1, v = y - 1: a zeroed y pulls x by z, and no single zero leaves a loss
    that changes with z."""

    def parts(w):
        return w[..., 0] - 1, w[..., 1] - 1, w[..., 2]

    def loss(w):
        u, v, z = parts(w)
        return (u**2 + v**2) / 2 + u * v**2 * z

    def gradient(w):
        u, v, z = parts(w)
        return np.stack([u + v**2 * z, v + 2 * u * v * z, u * v**2], axis=-1)

    return UserLoss(loss, gradient, 3, label="a loss whose second coordinate pulls")


DRIFTS = {
    "WeightNoise": (bent, noise.WeightNoise(0.1), [1.0, 0.3], lambda z, t: z * np.exp(6 * t)),
    "AntiCorrelated": (bent, noise.AntiCorrelated(0.1), [1.0, 0.3], lambda z, t: z * np.exp(6 * t)),
    "both": (bent, noise.WeightNoise(0.08) + noise.AntiCorrelated(0.06), [1.0, 0.3], lambda z, t: z * np.exp(6 * t)),
    "InputNoise": (tilted, noise.InputNoise(0.1), [1.0, -0.5], lambda z, t: 0.5 + (z - 0.5) * np.exp(-2 * t)),
    "Bernoulli": (masked, noise.DropConnect(0.1, "bernoulli"), [1.0, 1.0, 0.1], lambda z, t: (1 + z) * np.exp(t) - 1),
}  # fmt: skip


@pytest.mark.parametrize("name", DRIFTS)
def test_the_next_order_moves_what_stands_still(name):
    """Assert closed forms, on a clock of 1 / (step_size sigma^4) steps; without correction nothing moves."""
    make, mechanism, start, closed = DRIFTS[name]
    model, square = make(), sum(part.sigma**2 for part in mechanism.components)
    limit = ManifoldLimit(model, mechanism, 0.1, start=np.array(start), correction=True)
    assert limit.regime == "next-order"
    assert limit.clock.unit == "step_size sigma^4"
    assert float(limit.clock) == pytest.approx(1 / (0.1 * square**2))
    found = limit.solve(np.array(start), [0.0, 0.1]).w.values[-1, -1]
    assert found == pytest.approx(closed(start[-1], 0.1), rel=1e-6)
    still = ManifoldLimit(model, mechanism, 0.1, start=np.array(start))
    assert still.solve(np.array(start), [0.0, 0.1]).w.values[-1, -1] == pytest.approx(start[-1], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIFTS)
def test_the_recurrence_goes_where_the_next_order_says(name):
    """Assert the mean over paths comes to the closed form, its error in proportion to step size and sigma^2."""
    make, mechanism, start, closed = DRIFTS[name]
    model, misses, errors, time = make(), [], [], 0.1
    for scale in (2.0, 1.0):
        parts = [type(part)(part.sigma * scale**0.5, *([part.law] if hasattr(part, "law") else [])) for part in
                 mechanism.components]  # fmt: skip
        noisy, step_size = reduce(lambda one, other: one + other, parts), 0.1 * scale
        square = sum(part.sigma**2 for part in parts)
        steps = round(time / (step_size * square**2))
        paths = NoisyGradientDescent(model, noisy, step_size).simulate(
            np.array(start), steps, 200, observables={"z": lambda w: w[:, -1]}, record=[steps]
        )  # fmt: skip
        z, target = paths.z.values[:, -1], closed(start[-1], time) - start[-1]
        misses.append((z.mean() - start[-1]) / target - 1)
        errors.append(z.std() / np.sqrt(len(z)) / abs(target))
    assert abs(2 * misses[1] - misses[0]) < 0.03 + 4 * np.hypot(2 * errors[1], errors[0])
    assert abs(misses[1]) < 0.7 * abs(misses[0]) + 4 * errors[1]


def test_the_warning_of_a_neglected_drift_is_no_false_alarm():
    """Assert silence on the hyperbola, where the next order moves nothing, and no term for it."""
    import warnings

    hyperbola, mechanism = Hyperbola(), noise.DropConnect(0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ManifoldLimit(hyperbola, mechanism, 0.02).solve([2.0, 0.7], [0.0, 0.1])
    limit = ManifoldLimit(hyperbola, mechanism, 0.02, correction=True)
    assert [term.regime for term in limit.terms] == ["degenerate"]


@pytest.mark.slow
def test_drop_connect_on_a_bent_product():
    """Assert z = 4.519 at t = 0.3, where the naive limit stays at 0.3, and brute force climbs towards it."""
    model = regression(
        lambda x, y, z, a: x * y + (x * y - 1) ** 2 * z,
        lambda x, y, z, a: (y + 2 * (x * y - 1) * y * z, x + 2 * (x * y - 1) * x * z, (x * y - 1) ** 2 + 0 * z), 3,
    )  # fmt: skip
    start, means = np.array([1.5, 1 / 1.5, 0.3]), []
    for size in (0.08, 0.04):
        mechanism = noise.DropConnect((0.3 * size) ** 0.5)
        limit = ManifoldLimit(model, mechanism, size, start=start, correction=True)
        steps = round(0.3 * float(limit.terms[0].clock))
        paths = NoisyGradientDescent(model, mechanism, size).simulate(
            start, steps, 200, observables={"z": lambda w: w[:, 2]}, record=[steps]
        )  # fmt: skip
        means.append(float(paths.z.mean()))
    found = limit.solve(start, [0.0, 0.3]).w.values[-1]
    assert found[2] == pytest.approx(4.51912, abs=1e-4)
    assert found[0] * found[1] == pytest.approx(1, abs=1e-9)
    assert 0.6 < means[0] < means[1] < found[2]
    naive = ManifoldLimit(model, mechanism, size, start=start)
    with pytest.warns(NeglectedDrift, match="correction=True"):
        assert naive.solve(start, [0.0, 0.3]).w.values[-1, 2] == pytest.approx(0.3, abs=1e-6)
