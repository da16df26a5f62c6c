"""Stationary laws where data are few, flat, silent or of odd size, and next to thresholds: right, or refused."""

import math
import warnings

import numpy as np
import pytest

from sgdlimits.discrete import SGD, fluctuation, rules
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw, StabilityWarning
from sgdlimits.problems import LeastSquares, NoisyQuadratic, StreamingLeastSquares
from tests import second_moment_reference as reference

pytestmark = pytest.mark.filterwarnings("error")
DRAWS = np.random.Generator(np.random.Philox(5)).standard_normal((6, 4))
SHAPES = {
    "n < d": (DRAWS[:2, :3], DRAWS[:2, 3]), "one sample": ([[1.0, 2.0]], [3.0]), "one sample, d=1": ([[2.0]], [3.0]),
    "two samples": (DRAWS[:2, :2], DRAWS[:2, 3]), "two samples, d=1": ([[2.0], [1.0]], [3.0, 0.0]),
    "rank one": (np.outer(DRAWS[:3, 0], [1.0, 2.0, 3.0]), DRAWS[:3, 3]),
    "a column of zeros": (DRAWS[:, :2] * [1, 0], DRAWS[:, 3]),
    "interpolation": (DRAWS[:, :2], DRAWS[:, :2] @ [1.0, 2.0]), "zeros": (np.zeros((3, 2)), DRAWS[:3, 3]),
}  # fmt: skip
RULES = [(0.0, False), (0.6, False), (0.6, True), (0.999999, False)]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("mu", "nesterov"), RULES)
@pytest.mark.parametrize("batch", ["one", "all"])
def test_few_flat_or_silent_data_have_the_law_of_their_range(name, mu, nesterov, batch):
    """Assert mean and covariance against the recurrence over all batches in the range, frozen directions elsewhere."""
    features, labels = (np.asarray(part, dtype=float) for part in SHAPES[name])
    n, d = features.shape
    size, sampling = (1, "with_replacement") if batch == "one" else (n, "without_replacement")
    problem = LeastSquares.from_arrays(features, labels)
    kind = {"momentum": mu, "nesterov": nesterov, "label_noise": 0.3}
    threshold = SGD(problem, 1e-3, size, sampling, **kind).stability().mean_square_threshold
    eta = min(0.5 * threshold, 1.0)
    law = SGD(problem, eta, size, sampling, **kind).stationary()
    _, singular, right = np.linalg.svd(features)
    rank = int((singular > 1e-12).sum())
    span, rest = right[:rank].T, right[rank:].T
    assert law.frozen_directions.shape == (d, d - rank)
    np.testing.assert_allclose(law.covariance @ rest, 0, atol=1e-14 * max(1.0, np.abs(law.covariance).max()))
    if rank:
        one = eta * np.eye(rank)
        mean, fixed = reference.listed(features @ span, labels, size, batch == "one", one, mu, nesterov, 0, 0.09)
        np.testing.assert_allclose(law.mean, span @ mean, rtol=1e-9, atol=1e-12)
        expected = span @ fixed[:rank, :rank] @ span.T
        room = 1e-9 if mu < 0.99 else 1e-4  # the recurrence of floats loses digits there, as the other test shows
        np.testing.assert_allclose(law.covariance, expected, rtol=0, atol=room * np.abs(expected).max())


@pytest.mark.parametrize(("mu", "nesterov"), RULES)
@pytest.mark.parametrize("problem", [
    NoisyQuadratic([1.0, 0.5], [[1.0, 0.2], [0.2, 0.5]]), StreamingLeastSquares([1.0, 0.5], 0.3, [1.0, 2.0]),
    LeastSquares.from_arrays(DRAWS[:, :2], DRAWS[:, 3]),
])  # fmt: skip
def test_next_to_a_threshold_the_law_grows_as_it_must_or_is_refused(problem, mu, nesterov):
    """Assert that variance times distance settles, and that the threshold itself and above are refused."""
    kind = {"momentum": mu, "nesterov": nesterov}
    threshold = SGD(problem, 1e-3, **kind).stability().mean_square_threshold
    near, far = (
        distance * np.trace(SGD(problem, threshold * (1 - distance), **kind).stationary().covariance)
        for distance in (1e-8, 1e-6)
    )
    assert near == pytest.approx(far, rel=1e-4)
    for part in (1, 1 + 1e-9, 1 - 1e-13):
        with pytest.raises((NoStationaryLaw, InfiniteVariance), match="only below") as raised:
            SGD(problem, threshold * part, **kind).stationary()
        assert raised.value.threshold == pytest.approx(threshold, rel=1e-12)


@pytest.mark.parametrize("unit", [1e-150, 1e-75, 1e-30, 1e30, 1e75, 1e150])
def test_units_change_nothing_or_are_refused(unit):
    """Assert that covariances scale with the units of place, gradient and step, or one sentence about the unit."""
    k, c, rule = np.array([1.0, 0.5]), np.array([[1.0, 0.2], [0.2, 0.5]]), {"momentum": 0.9}
    law = SGD(NoisyQuadratic(k, c), 0.01, **rule).stationary().covariance
    stream = SGD(StreamingLeastSquares(k, 0.3, [1.0, 2.0]), 0.01, **rule).stationary().covariance
    rows = SGD(LeastSquares.from_arrays(DRAWS[:, :2], DRAWS[:, 3]), 0.01, **rule).stationary().covariance
    for make, size, covariance, by in (
        (lambda: NoisyQuadratic(k, unit * c), 0.01, law, (unit,)),
        (lambda: NoisyQuadratic(unit * k, c), 0.01 / unit, law, (1 / unit, 1 / unit)),
        (lambda: StreamingLeastSquares(unit * k, 0.3, [1.0, 2.0]), 0.01 / unit, stream, (1 / unit,)),
        (lambda: StreamingLeastSquares(k, 0.3 * unit, [1.0, 2.0]), 0.01, stream, (unit, unit)),
        (lambda: LeastSquares.from_arrays(math.sqrt(unit) * DRAWS[:, :2], DRAWS[:, 3]), 0.01 / unit, rows, (1 / unit,)),
        (lambda: LeastSquares.from_arrays(DRAWS[:, :2], unit * DRAWS[:, 3]), 0.01, rows, (unit, unit)),
    ):
        try:
            found = SGD(make(), size, **rule).stationary().covariance
        except InvalidInput as error:
            assert "change the unit" in str(error) and not 1e-70 < unit < 1e70
            continue
        for scale in by:
            found = found / scale
        np.testing.assert_allclose(found, covariance, rtol=1e-11)


def test_a_law_that_leaves_the_range_of_numbers_is_refused():
    """Assert a sentence where noise beside curvature, or a curvature, is too far from 1."""
    for mu in (0.0, 0.5):
        with pytest.raises(InvalidInput, match="leaves the range of numbers"):
            SGD(NoisyQuadratic([1e-150], [1e150]), 1e12, momentum=mu).stationary()
    with pytest.raises(InvalidInput, match="between 0 and 1e-150"):
        StreamingLeastSquares([1.0, 1e-320], 0.3, [1.0, 2.0])


def test_noise_of_other_coordinates_takes_long_runs_with_momentum():
    """Assert that a billion steps end at the stationary law of a descent with preconditioner and ridge."""
    ridged = LeastSquares.from_arrays(DRAWS[:, :2], DRAWS[:, 3], ridge=0.1)
    sgd = SGD(ridged, 0.05, momentum=0.5, preconditioner=np.diag([1.0, 2.0]))
    end = sgd.moments(np.ones(2), 10**9, record=[10**9]).isel(step=-1)
    np.testing.assert_allclose(end["covariance"], sgd.stationary().covariance, rtol=1e-9)
    assert float(end["risk"]) == pytest.approx(sgd.stationary().risk, rel=1e-9)


def test_a_damping_that_cancels_the_ridge_is_no_division_by_zero():
    """Assert Newton's law by single rows and by all where only the data's own curvature is left."""
    features, labels = np.array([[2.0], [1.0]]), np.array([3.0, 0.5])
    line = LeastSquares.from_arrays(features, labels, ridge=-0.1)
    same, whole = (lambda hessian: 1 / hessian), (lambda hessian: np.array([[1 / 2.5]]))
    for rule, newton in ((rules.StochasticNewton(0.1), same), (rules.DampedNewton(0.1), whole)):
        _, fixed = reference.listed(features, labels, 1, True, np.array([[0.3]]), ridge=-0.1, newton=newton)
        np.testing.assert_allclose(SGD(line, 0.3, rule=rule).stationary().covariance, fixed[:1, :1], rtol=1e-10)


def test_values_past_the_range_of_numbers_are_infinite_in_any_coordinates():
    """Assert inf and no NaN of a preconditioned descent that runs away, without a warning but the one of stability."""
    sgd = SGD(LeastSquares.from_arrays(1e30 * DRAWS[:, :2], DRAWS[:, 3]), 0.05, preconditioner=np.diag([1.0, 2.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)
        found = sgd.moments(np.ones(2), 20)
    for name in ("mean", "covariance", "risk"):
        assert np.isinf(found[name].values[-1]).all() and not np.isnan(found[name].values).any()


@pytest.mark.parametrize("mu", [0.0, 0.9])
@pytest.mark.parametrize("samples", [1e-6, 1e-8, 1e-9, 1e-10])
def test_a_sampler_of_few_samples_steps_next_to_the_threshold(samples, mu):
    """Assert the root of N Var k = 1 on a line, by its distance from the threshold, and divergences of zero there."""
    found = fluctuation.posterior(SGD(NoisyQuadratic([1.0], [1.0]), 0.1, momentum=mu), samples)
    # N step_size = (1 - mu) (2 - step_size / (1 + mu))
    gap = 1 - found.step_size / (2 * (1 + mu))
    assert gap == pytest.approx(samples / (samples + (1 - mu) / (1 + mu)), rel=1e-5)
    assert found.divergence() < 1e-9 and found.divergence(preconditioner=found.exact_preconditioner) < 1e-9


def test_what_cannot_be_sampled_is_refused():
    """Assert sentences where the best step is lost next to the threshold, or noise is singular; and no NaN."""
    few = fluctuation.posterior(SGD(NoisyQuadratic([1.0], [1.0]), 0.1), 1e-13)
    flat = fluctuation.posterior(SGD(NoisyQuadratic([1.0, 0.5], [1.0, 0.0]), 0.1), 5)
    rows = fluctuation.posterior(SGD(LeastSquares.from_arrays(DRAWS[:2, :3], DRAWS[:2, 3], ridge=0.1), 0.1), 5)
    with pytest.raises(InvalidInput, match="raise samples"):
        few.step_size
    for one in (few, flat, rows):
        with pytest.raises(InvalidInput, match="lies at the threshold"):
            one.exact_preconditioner
        assert "continuous time says" in repr(one)
    for one in (flat, rows):
        with pytest.raises(InvalidInput, match="no variance in some direction"):
            one.step_size
        assert one.divergence(0.1) == math.inf
        assert "least_at" not in one.divergences([0.1]).attrs


def test_weight_decay_knows_its_edges_where_the_law_is_lost_in_rounding():
    """Assert minus the least curvature as an edge, a law refused next to it, and infinite losses of unstable ridges."""
    sgd = SGD(NoisyQuadratic([1.0, 0.5], [1.0, 0.5], [1.0, 2.0]), 1.5, momentum=0.9)
    found = fluctuation.weight_decay(sgd, np.linspace(-0.8, 3, 20))
    edges = [edge for pair in found.unstable for edge in pair]
    assert edges == pytest.approx([-0.8, -0.5, 2 * 1.9 / 1.5 - 1, 3.0], abs=4e-10)
    with pytest.raises(InvalidInput, match="moments lose their digits"):
        fluctuation.weight_decay(sgd, [-0.5 + 1e-7, -0.4, 0.0])
    exactly = fluctuation.weight_decay(sgd, [-0.5, -0.4, 0.0])
    assert exactly.dataset.risk.values[0] == math.inf and np.isfinite(exactly.dataset.risk.values[1:]).all()
    few = SGD(LeastSquares.from_arrays(DRAWS[:2, :3], DRAWS[:2, 3]), 0.05)
    assert fluctuation.weight_decay(few, np.linspace(-0.5, 1, 7)).unstable[0] == pytest.approx((-0.5, 0), abs=1e-9)
