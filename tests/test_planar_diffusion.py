"""Indices of diffusions whose modes lie far apart: panels in two modes, and proved bounds in any number."""

import numpy as np
import pytest
from scipy.optimize import brentq
from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation
from sgdlimits.diffusions.tails import linear_noise
from sgdlimits.discrete import SGD
from sgdlimits.exact.diffusion_index import polynomial_index
from sgdlimits.exact.planar_diffusion import planar_root
from sgdlimits.problems import StreamingLeastSquares


def process(kind, eigenvalues, ridge, step_size, batch_size=1):
    d = len(eigenvalues)
    return kind.of(SGD(StreamingLeastSquares(eigenvalues, 0.3, np.ones(d), ridge=ridge), step_size, batch_size))


@pytest.mark.parametrize("kind", [HomogenizedSGD, ModifiedEquation])
@pytest.mark.parametrize(("ridge", "step_size"), [(0.1, 0.8), (0.0, 1.2)])
def test_panels_agree_with_polynomials_where_these_converge(kind, ridge, step_size):
    """Assert index and Lyapunov exponent of two methods that share neither functions nor coordinates."""
    noise = linear_noise(process(kind, [1.0, 0.4], ridge, step_size))
    panels, known = planar_root(noise), polynomial_index(noise)
    assert panels.index == pytest.approx(known.index, abs=1e-8)
    assert abs(panels.index - known.index) < panels.error
    assert abs(panels.lyapunov_exponent - known.lyapunov_exponent) < 1e-8 + known.lyapunov_error


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("kind", [HomogenizedSGD, ModifiedEquation])
def test_panels_where_even_moments_make_the_index_whole(kind, order):
    """Assert 2 and 4 with eigenvalues 1 and 1e-4, where polynomials do not converge."""

    def rate(step_size):
        found = process(kind, [1.0, 1e-4], 1e-3, step_size).even_moments(np.ones(2), 1, order=order)
        return float(np.log(found["rate"].sel(order=order)))

    step_size = brentq(rate, 0.05, 2.5, xtol=1e-14)
    found = process(kind, [1.0, 1e-4], 1e-3, step_size).tail_index()
    assert abs(found.index - order) <= found.error < 1e-3
    assert -0.01 < found.lyapunov_exponent < 0  # the slow mode's, not the fast one's


def test_the_lyapunov_exponent_against_a_long_path():
    """Assert it within four standard errors of log |z| of 200 paths, by the exact scheme of one increment."""
    noise = linear_noise(process(HomogenizedSGD, [1.0, 0.01], 0.0, 1.8))
    known, draw = planar_root(noise).lyapunov_exponent, np.random.Generator(np.random.Philox(1))
    z, logs, dt, steps = np.ones((200, 2)), np.zeros(200), 0.005, 40_000
    for k in range(steps):
        level = noise.spread * (z**2 @ noise.coupling)[:, None]
        z = z * (1 - noise.rates * dt) + np.sqrt(level * dt) * draw.standard_normal(z.shape)
        size = np.linalg.norm(z, axis=1, keepdims=True)
        z /= size
        if k >= steps // 4:
            logs += np.log(size[:, 0])
    rates = logs / (dt * (steps - steps // 4))
    assert abs(rates.mean() - known) < 4 * rates.std(ddof=1) / np.sqrt(200) + 0.01 * abs(known)


@pytest.mark.parametrize("seed", range(12))
def test_no_index_lies_outside_proved_bounds(seed):
    """Assert bounds around the index with eigenvalues over four decades, or the middle of narrow bounds itself."""
    draw = np.random.Generator(np.random.Philox(seed))
    d, batch_size = int(draw.integers(2, 4)), int(draw.choice([1, 8]))
    h = 10.0 ** draw.uniform(-4, 0, d)
    ridge, share = float(draw.choice([0.0, 1e-3, 0.1])), draw.uniform(0.3, 0.95)
    first = process(HomogenizedSGD, h, ridge, 1e-3, batch_size)
    limit = process(HomogenizedSGD, h, ridge, share * first.stability().mean_square_threshold, batch_size)
    found, bounds = limit.tail_index(), limit.tail_index_bounds()
    assert bounds.lower - 1e-9 <= found.index <= bounds.upper + 1e-9
    assert found.error < 0.05 * found.index
