"""The zero-loss set under minibatches: noise that multiplies the distance from it, batch by batch."""

from itertools import combinations, product

import numpy as np
import pytest

from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.exact.errors import StabilityWarning, Unstable
from sgdlimits.problems import geometry, noise, zero_loss

DRAW = np.random.Generator(np.random.Philox(11))
FEATURES = DRAW.standard_normal((3, 5))
DIAGONAL = zero_loss.DiagonalLinearNetwork(FEATURES, FEATURES @ np.array([1.0, -0.5, 0.0, 0.3, 0.0]))
DIAGONAL_W0 = DRAW.uniform(0.3, 1.2, 10)
BATCHES = [noise.Minibatch(1), noise.Minibatch(2), noise.Minibatch(2, "without_replacement")]


def kept(batch, rows, step_size):
    """What each batch that can be drawn leaves of the distance: matrices (batches, r, r)."""
    chosen = combinations if batch.sampling == "without_replacement" else lambda r, n: product(r, repeat=n)
    return [
        np.eye(rows.shape[1]) - step_size * rows[list(drawn)].T @ rows[list(drawn)] / batch.batch_size
        for drawn in chosen(range(len(rows)), batch.batch_size)
    ]


@pytest.mark.parametrize("batch", BATCHES)
def test_the_mean_square_threshold_of_minibatches_is_where_the_second_moment_stops_settling(batch):
    """Assert spectral radius 1 of the exact map of second moments across the set, from all batches one by one."""
    limit = ManifoldLimit(DIAGONAL, batch + noise.LabelNoise(0.1), 0.01)
    found = limit.stability(DIAGONAL_W0)
    assert found.mean_square_threshold < found.mean_threshold and found.mean_square_stable
    point = geometry.limit_map(DIAGONAL, DIAGONAL_W0)
    rows = DIAGONAL.predict_with_jacobian(point)[1] @ geometry.frame(DIAGONAL, point).normals
    squared = np.mean([np.kron(one, one) for one in kept(batch, rows, found.mean_square_threshold)], axis=0)
    assert np.abs(np.linalg.eigvals(squared)).max() == pytest.approx(1, abs=1e-9)
    whole = ManifoldLimit(DIAGONAL, noise.LabelNoise(0.1), 0.01).stability(DIAGONAL_W0)
    assert whole.mean_square_threshold == whole.mean_threshold == pytest.approx(found.mean_threshold, rel=1e-12)
    between = (found.mean_threshold + found.mean_square_threshold) / 2
    with pytest.warns(StabilityWarning, match="second moment of the distance .* settles only below") as caught:
        ManifoldLimit(DIAGONAL, batch + noise.LabelNoise(0.1), between, start=DIAGONAL_W0)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("batch", BATCHES)
def test_the_drift_at_a_finite_step_is_that_of_all_batches(batch):
    """Assert -P grad <C, Hessian> / 2 for the C that every batch leaves in place on average, and that the C of full
    batches gives another."""
    sigma, step_size = 0.1, 0.05
    limit = ManifoldLimit(DIAGONAL, batch + noise.LabelNoise(sigma), step_size, start=DIAGONAL_W0, finite_step=True)
    point = geometry.limit_map(DIAGONAL, DIAGONAL_W0)
    frame = geometry.frame(DIAGONAL, point)
    rows = DIAGONAL.predict_with_jacobian(point)[1] @ frame.normals
    # Each label has a noise of its own: a batch's is that of a sample over its size.
    added = step_size**2 * sigma**2 * rows.T @ rows / len(rows) / batch.batch_size

    def drift(left):
        squared = np.mean([np.kron(one, one) for one in left], axis=0)
        spread = np.linalg.solve(np.eye(len(squared)) - squared, added.ravel()).reshape(added.shape)
        pushed = DIAGONAL.third_contraction(point, frame.normals @ spread @ frame.normals.T)
        return -0.5 * step_size * frame.projector @ pushed * float(limit.clock)

    right = drift(kept(batch, rows, step_size))
    np.testing.assert_allclose(limit.drift(0.0, point), right, rtol=1e-9, atol=1e-12)
    whole = drift([np.eye(3) - step_size * rows.T @ rows / 3])
    assert np.linalg.norm(whole - right) > 0.02 * np.linalg.norm(right)


def test_a_distance_without_a_second_moment_has_no_drift_at_a_finite_step():
    """Assert Unstable between the thresholds, and that whole batches without replacement change nothing."""
    noisy = noise.Minibatch(1) + noise.LabelNoise(0.1)
    found = ManifoldLimit(DIAGONAL, noisy, 0.01).stability(DIAGONAL_W0)
    between = (found.mean_threshold + found.mean_square_threshold) / 2
    point = geometry.limit_map(DIAGONAL, DIAGONAL_W0)
    with pytest.raises(Unstable, match="without a second moment"), pytest.warns(StabilityWarning):
        ManifoldLimit(DIAGONAL, noisy, between, start=DIAGONAL_W0, finite_step=True).drift(0.0, point)
    whole = noise.Minibatch(3, "without_replacement") + noise.LabelNoise(0.1)
    drifts = [
        ManifoldLimit(DIAGONAL, mechanism, 0.05, start=DIAGONAL_W0, finite_step=True).drift(0.0, point)
        for mechanism in (whole, noise.LabelNoise(0.1))
    ]
    np.testing.assert_allclose(*drifts, rtol=1e-12)
