"""Where a limit on the zero-loss set ends: explosions, changes of rank or regime, the stability limit of the step."""

from types import SimpleNamespace

import numpy as np
import pytest

from sgdlimits.diffusions.manifold.leaving import LeftTheSet
from sgdlimits.diffusions.manifold_limit import ManifoldLimit
from sgdlimits.ensembles import Gaussian
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths, StabilityWarning, Unstable
from sgdlimits.problems import noise, zero_loss
from tests.noisy_loss import NoisyLoss

HYPERBOLA = zero_loss.Hyperbola()
W0 = np.array([2.0, 0.5])


def line(regulariser, slope, steepness=0.0):
    """L = x^steepness y^2 / 2 with a regulariser of x, so that dx/dt = -slope(x) on the set y = 0."""
    p = steepness
    return NoisyLoss(
        loss=lambda x, y: 0.5 * x**p * y**2,
        gradient=lambda x, y: (0.5 * p * x ** (p - 1) * y**2 if p else 0, x**p * y),
        hessian=lambda x, y: (
            0.5 * p * (p - 1) * x ** (p - 2) * y**2 if p else 0, p * x ** (p - 1) * y if p else 0, x**p
        ),
        third=lambda x, y: (0, p * (p - 1) * x ** (p - 2) * y if p else 0, p * x ** (p - 1) if p else 0, 0),
        regulariser=lambda x, y: regulariser(x),
        regulariser_gradient=lambda x, y: (slope(x), 0),
        noise_column=lambda x, y: (0, 0),
    )  # fmt: skip


@pytest.mark.slow
def test_explosion_is_reported_with_time_and_place():
    """Assert that dx/dt = x^2 from 2 stops at time 1/2, far out, in solve; and that simulate loses just that
    path."""
    model = line(lambda x: -(x**3) / 3, lambda x: -(x**2))
    limit = ManifoldLimit(model, noise.LossNoise(0.1), 0.1, start=[2.0, 0.0])
    assert limit.regime == "non-degenerate"
    assert limit.solve([2.0, 0.1], [0.4]).w.values[0, 0] == pytest.approx(10, rel=1e-8)
    with pytest.raises(InvalidInput, match=r"past time 0\.[45]\d*, w = \("):
        limit.solve([2.0, 0.0], [1.0])
    with (
        pytest.warns(OverflowedPaths),
        pytest.warns(LeftTheSet, match=r"1 of 2 paths were lost: path 1 .*time 0\.5"),
    ):
        data = limit.simulate(np.array([[0.5, 0], [2, 0]]), 1000, 2, "state", record=[0, 400, 1000])
    assert np.isinf(data.state.values[1, 2]).all()
    assert data.state.values[0, 2, 0] == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"solver": "rk4", "dt": 0.13}, {"solver": "euler", "dt": 0.13}])
def test_a_rank_change_is_reported_with_time_and_place(options):
    """Assert that dx/dt = -1 from 1 with Hessian x^2 stops at x = 0, whether or not a step meets it
    exactly."""
    model = line(lambda x: x, lambda x: 1.0, steepness=2)
    limit = ManifoldLimit(model, noise.LossNoise(0.1), 0.1, start=[1.0, 0.0])
    assert limit.solve([1.0, 0.0], [0.7], **options).w.values[0, 0] == pytest.approx(0.3, abs=1e-9)
    with pytest.raises(InvalidInput, match=r"past time 0\.[5-9]\d*, w = .*rank"):
        limit.solve([1.0, 0.0], [2.0], **options)


@pytest.mark.slow
def test_a_path_that_diffuses_into_a_rank_change_is_lost_and_reported():
    """Assert that SGLD on L = x^2 y^2 / 2 loses paths at x = 0, and says which, when and where."""
    limit = ManifoldLimit(
        line(lambda x: x, lambda x: 1.0, steepness=2), noise.Langevin(0.2), 0.1, start=[1.0, 0.0]
    )
    steps = round(1.5 * limit.clock)
    with pytest.warns(OverflowedPaths), pytest.warns(LeftTheSet, match=r"path \d+ .*time \d.*, w = \("):
        data = limit.simulate([1.0, 0.0], steps, 32, "state", record=[0, steps], seed=4)
    x = data.state.values[:, 1, 0]
    assert (data.overflow_step.values >= 0).sum() == np.isinf(x).sum() > 3
    assert (x[np.isfinite(x)] > 0).all()


def test_a_regime_that_numbers_decided_is_held_against_the_path():
    """Assert an error with time and place where a regulariser, constant at the start, begins to vary.

    Weight noise moves x as (1 + 4 t)^(1/4) on L = y^2 / (2 x^2), and the user's regulariser varies from x = 3
    on.
    """
    model = line(lambda x: np.maximum(x - 3, 0) ** 4, lambda x: 4 * np.maximum(x - 3, 0) ** 3, -2)
    limit = ManifoldLimit(model, noise.WeightNoise(0.01) + noise.LossNoise(0.01), 0.1, start=[1.0, 0.0])
    assert [term.regime for term in limit.terms][0] == "non-degenerate" != limit.terms[1].regime
    assert limit.solve([1.0, 0.0], [15.0]).w.values[0, 0] == pytest.approx(61**0.25, rel=1e-9)
    with pytest.raises(InvalidInput, match=r"time (19|20)[.\d]*, .*LossNoise was found .* varies .*start="):
        limit.solve([1.0, 0.0], [30.0], solver="rk4", dt=0.1)


THRESHOLD = 2 / 4.25  # 2 over x^2 + y^2 at (2, 1/2)
UNSTABLE = [
    lambda step: ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), step).solve(W0, [0.1]),
    lambda step: ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), step).simulate(W0, 5, 2),
    lambda step: ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), step).simulate(np.array([[1, 1], W0]), 5, 2),
    lambda step: ManifoldLimit(HYPERBOLA, noise.WeightNoise(0.1), step).simulate((W0, np.eye(2) / 1e9), 5, 2),
    lambda step: ManifoldLimit(HYPERBOLA, noise.Dropout(0.1, "bernoulli"), step).solve(W0, [0.1]),
    lambda step: ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), step, start=W0),
    lambda step: ManifoldLimit.of(
        SimpleNamespace(model=HYPERBOLA, noise=noise.WeightNoise(0.1), step_size=step), start=W0
    ),
]


@pytest.mark.parametrize("call", UNSTABLE)
def test_past_the_stability_limit_there_is_no_limit(call):
    """Assert Unstable with the largest stable step size, which is 2 / (x^2 + y^2); just below it the call succeeds."""
    for step_size in (0.6, THRESHOLD * (1 + 1e-6)):
        with pytest.raises(Unstable, match=r"stable only below 0\.47\d* .*lower the step size") as caught:
            call(step_size)
        assert caught.value.threshold == pytest.approx(THRESHOLD, rel=1e-4)
    call(THRESHOLD * (1 - 1e-3))


def test_a_step_size_of_ten_is_refused_on_the_hyperbola():
    """Assert the error that names where, for a step twenty times too long."""
    with pytest.raises(Unstable, match=r"step_size is 10, .* at w = \(2, 0.5\)"):
        ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), 10.0).solve(W0, [1.0])


def test_descent_comes_to_the_set_below_the_threshold_only():
    """Assert, on the recurrence without noise, that a small distance from the set shrinks below and grows past it."""
    threshold = ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), 0.1).stability(W0).mean_threshold
    for factor, shrinks in ((0.98, True), (1.02, False)):
        w = W0 * (1 + 1e-6)
        for _ in range(100):
            w = w - factor * threshold * HYPERBOLA.gradient(w)
        assert (abs(w.prod() - 1) < 1e-6) == shrinks


@pytest.mark.parametrize("options", [{}, {"solver": "rk4", "dt": 0.05}, {"solver": "heun", "project": False}])
def test_a_path_that_passes_the_stability_limit_is_warned_of_with_time_and_place(options):
    """Assert, for dx/dt = 1 with Hessian x^2, a warning at x = 20^(1/2) at step size 0.1, and none before."""
    model = line(lambda x: -x, lambda x: -1.0, steepness=2)
    limit = ManifoldLimit(model, noise.LossNoise(0.1), 0.1, start=[4.0, 0.0])
    assert limit.solve([4.0, 0.0], [0.45], **options).w.values[0, 0] == pytest.approx(4.45)
    place = r"passes the stability limit .* by time 0\.[45]\d*, w = \(4\.[45]"
    with pytest.warns(StabilityWarning, match=place) as seen:
        found = limit.solve([4.0, 0.0], [0.45, 0.5], **options)
    assert len(seen) == 1 and seen[0].filename == __file__
    assert found.w.values[:, 0] == pytest.approx([4.45, 4.5])


@pytest.mark.parametrize("options", [{}, {"solver": "rk4", "dt": 0.05}, {"solver": "heun", "project": False}])
def test_a_finite_step_ends_where_its_path_comes_to_the_stability_limit(options):
    """Assert Unstable with time, place and threshold of `solve`, and a lost path of `simulate`."""
    model = line(lambda x: -x, lambda x: -1.0, steepness=2)
    limit = ManifoldLimit(model, noise.LossNoise(0.1), 0.1, start=[4.0, 0.0], finite_step=True)
    with pytest.raises(Unstable, match=r"followed past time 0\.\d+, w = \(4\.[1-4].*stable below 0\.\d+") as caught:
        limit.solve([4.0, 0.0], [0.6], **options)
    assert 0.09 < caught.value.threshold <= 0.1
    lost = pytest.warns(LeftTheSet, match=r"1 of 2 paths were lost: path 0 .*stable below 0\.")
    with pytest.warns(OverflowedPaths), lost:
        limit.simulate(np.array([[4.0, 0], [3.0, 0]]), 600, 2, "state", record=[600])


def test_simulated_paths_that_pass_the_stability_limit_are_counted():
    """Assert the number of paths, the first one's step, time and place; a Gaussian's draws past it are counted too."""
    model = line(lambda x: -x, lambda x: -1.0, steepness=2)
    limit = ManifoldLimit(model, noise.LossNoise(0.1), 0.1, start=[4.0, 0.0])  # 1000 steps a unit of time
    starts = np.array([[4.0, 0], [4.3, 0], [3.0, 0]])
    limit.simulate(starts, 100, 3)
    place = r"2 of 3 paths pass .*: path 1 by step 18\d .*time 0\.18.*, w = \(4\.4[789]"
    with pytest.warns(StabilityWarning, match=place):
        found = limit.simulate(starts, 500, 3, "state", record=[500])
    assert found.state.values[:, 0, 0] == pytest.approx([4.5, 4.8, 3.5])
    with pytest.warns(StabilityWarning, match=r"\d of 16 paths pass .* by step 1 "):
        limit.simulate(Gaussian([4.2, 0.0], np.diag([0.04, 0.0])), 1, 16, seed=3)
