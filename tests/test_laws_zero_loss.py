"""compare.laws on sets of zero loss: rows of noisy gradient descent and of its limits, by closed forms and a loop."""

import numpy as np
import pytest
from sgdlimits import compare, diffusions, discrete
from sgdlimits.problems import noise, zero_loss

HYPERBOLA = zero_loss.Hyperbola()


def conserved(w):
    """x^2 - y^2, which the gradient flow keeps."""
    return w[:, 0] ** 2 - w[:, 1] ** 2


C = {"c": conserved, "c squared": lambda w: conserved(w) ** 2}


def row(result, process, observable=0):
    return result.dataset.isel(process=process, observable=observable, step=-1)


def descended(start, step_size, steps, paths, push):
    """Label or gradient noise by hand: w <- w - step_size (xy - 1 - label, times (y, x), + gradient noise)."""
    draw = np.random.default_rng(0)
    w = np.tile(start, (paths, 1))
    for _ in range(steps):
        label, gradient = push(draw, paths)
        w = w - step_size * ((w.prod(axis=1) - 1 - label)[:, None] * w[:, ::-1] + gradient)
    return w


def test_label_noise_and_its_limit_have_their_own_rows():
    """Assert E c of the descent by a loop of the test's own, and c_0 exp(-t) of the limit; at this step size they
    agree, and the limit of weight noise, the control, differs."""
    start, size, sigma, steps = np.array([2.2, 0.7]), 0.05, 0.5, 400
    descent = discrete.NoisyGradientDescent(HYPERBOLA, noise.LabelNoise(sigma), size)
    weights = discrete.NoisyGradientDescent(HYPERBOLA, noise.WeightNoise(0.2), size)
    limits = [diffusions.ManifoldLimit.of(process, start=start) for process in (descent, weights)]
    found = compare.laws(
        descent, *limits, x0=start, steps=steps, record=[steps], paths=1000, observables={"c": conserved}, threads=1
    )
    end = descended(start, size, steps, 4000, lambda draw, paths: (sigma * draw.standard_normal(paths), 0.0))
    by_hand, error = conserved(end).mean(), conserved(end).std() / np.sqrt(4000)
    here = row(found, 0)
    assert abs(float(here["estimate"]) - by_hand) < 4 * np.hypot(float(here["standard_error"]), error)
    assert error < 0.003 < abs(by_hand - conserved(start[None])[0])
    time = steps * size**2 * sigma**2
    limit = row(found, 1)
    assert float(limit["estimate"]) == pytest.approx((start[0] ** 2 - start[1] ** 2) * np.exp(-time), rel=1e-6)
    assert limit["verdict"].item() == "agrees" and row(found, 2)["verdict"].item() == "differs"
    assert abs(float(limit["difference"])) > 4 * float(here["standard_error"])  # they are two laws, not one


def test_a_random_limit_has_the_moments_of_its_own_equation():
    """Assert E c and E c^2 under gradient noise: on the limit dc = 2 (c^2 + 4)^(1/4) dB; half the time is the control.

    So c is a martingale and E c^2 = c_0^2 + 4 f t + 16 t^2 / f^2 to third order, f = (c_0^2 + 4)^(1/2) (derived).
    """
    start, size, sigma, steps = np.array([2.0, 0.5]), 0.05, 0.3, 100
    descent = discrete.NoisyGradientDescent(HYPERBOLA, noise.Langevin(sigma), size)
    limit = diffusions.ManifoldLimit.of(descent, start=start)
    found = compare.laws(
        descent, limit, x0=start, steps=steps, record=[steps], paths=1500, observables=C, threads=1
    )
    time, root = steps * size**2 * sigma**2, np.sqrt(3.75**2 + 4)
    square = 3.75**2 + 4 * root * time + 16 / root**2 * time**2
    mean, squared = row(found, 1), row(found, 1, 1)
    assert abs(float(mean["estimate"]) - 3.75) < 4 * float(mean["standard_error"])
    assert abs(float(squared["estimate"]) - square) < 4 * float(squared["standard_error"])
    spread = float(squared["estimate"]) - float(mean["estimate"]) ** 2
    assert spread == pytest.approx(4 * root * time, rel=0.15) and spread != pytest.approx(2 * root * time, rel=0.5)
    end = descended(start, size, steps, 4000, lambda draw, paths: (0.0, sigma * draw.standard_normal((paths, 2))))
    here = row(found, 0)
    error = np.hypot(float(here["standard_error"]), conserved(end).std() / np.sqrt(4000))
    assert abs(float(here["estimate"]) - conserved(end).mean()) < 4 * error
    assert row(found, 1)["verdict"].item() == "agrees"
