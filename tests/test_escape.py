"""Escape from a basin: exact rates against closed forms, exponents against rates, and claims that must fail."""

import math

import numpy as np
import pytest
from scipy import stats

from sgdlimits.discrete import SGD, AdditiveRecurrence, escape
from sgdlimits.discrete.escape import (
    Basin,
    DoubleWell,
    HarmonicWell,
    LandscapeDescent,
    LossNoise,
    PlanarDoubleWell,
    UserLandscape,
)
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach
from sgdlimits.problems import LeastSquares, NoisyQuadratic, StreamingLeastSquares


def cusp(product, z=6.0, momentum=0.0):
    """A harmonic well of curvature 1 whose walls lie z stationary deviations away."""
    variance = product / ((1 - momentum) * (2 - product / (1 + momentum)))
    return LandscapeDescent(HarmonicWell(1.0, z * math.sqrt(variance)), product, 1.0, momentum)


def quartic(product, exponent):
    """The double well with step_size * curvature = product, at the noise that makes Kramers' exponent this one."""
    return LandscapeDescent(DoubleWell(1.0), product / 2, 0.5 / (product / 2 * exponent))


@pytest.mark.parametrize(("product", "ratio"), [(0.2, 1.0442), (1.0, 1.0), (1.6, 1.0022)])
def test_a_cusp_is_left_at_the_rate_of_the_stationary_tail(product, ratio):
    """Assert 2 Q(6) over the exact rate; at product 1 steps are independent, so that the two are one number."""
    descent = cusp(product)
    exact, tail = escape.rate(descent), escape.rate(descent, method="walls")
    assert exact.method == "transfer" and exact.error < 1e-11 * exact.rate
    assert tail.rate == pytest.approx(2 * stats.norm.sf(6), rel=1e-12)
    assert tail.rate / exact.rate == pytest.approx(ratio, abs=6e-5)


def test_the_diffusion_misses_a_cusp_by_a_factor_of_a_million():
    """Assert that Kramers' rate at the wall is 1e-6 of the exact one at step_size * curvature = 1."""
    assert escape.kramers(cusp(1.0)).rate < 3e-6 * escape.rate(cusp(1.0)).rate


@pytest.mark.parametrize(("product", "ratio"), [(0.2, 1.024), (0.4, 1.125), (0.6, 1.321), (0.9, 2.670)])
def test_a_smooth_barrier_against_kramers(product, ratio):
    """Assert exact over Kramers at exact exponent 18 - the correction is of second order - and that rates to 1e-15 keep
    their digits."""
    descent = quartic(product, 18 / (1 - product**2 / 48))
    exact = escape.rate(descent)
    assert exact.rate / escape.kramers(descent).rate == pytest.approx(ratio, abs=2e-3)
    tiny = escape.rate(quartic(product, 30.0))
    assert tiny.rate < 1e-12 and tiny.error < 1e-9 * tiny.rate


def test_the_exponent_of_a_smooth_barrier_has_no_first_order():
    """Assert 1 - exponent / Kramers = (step_size height)^2 / 12 + ..., and the overshoot beyond curvature 1."""
    found = [(1 - escape.exponent(LandscapeDescent(DoubleWell(1.0), s, 1.0)).in_kramers) / s**2 for s in (0.04, 0.08)]
    assert found[0] == pytest.approx(1 / 12, abs=1e-3) and found[1] == pytest.approx(1 / 12, abs=2e-3)
    overshoot = [escape.exponent(LandscapeDescent(DoubleWell(1.0), s, 1.0)) for s in (0.6, 0.8)]
    assert [one.in_kramers for one in overshoot] == pytest.approx([0.5508, 0.2454], abs=1e-4)
    assert overshoot[1].path.min() < -1.4  # it leaves by the far side


@pytest.mark.slow
def test_exponents_are_slopes_of_rates():
    """Assert that the exact rate falls with the noise by the exponent: smooth, overshoot, momentum, minibatch."""
    for product, momentum in ((0.6, 0.0), (1.6, 0.0), (0.4, 0.5)):
        noises = [0.5 * (1 - momentum) / (product / 2 * e) for e in (60.0, 66.0)]
        pair = [LandscapeDescent(DoubleWell(1.0), product / 2, c, momentum) for c in noises]
        if momentum:
            pair = [LandscapeDescent(HarmonicWell(1.0, 1.0), 0.5, c, momentum) for c in (0.03, 0.024)]
        fall = math.log(escape.rate(pair[0]).rate / escape.rate(pair[1]).rate)
        exponents = [escape.exponent(one).exponent for one in pair]
        assert fall == pytest.approx(exponents[1] - exponents[0], rel=0.05)
    streams = [SGD(StreamingLeastSquares([1.0], 1.0, [0.0]), 0.3, batch) for batch in (8, 9)]
    rates = [escape.rate(one, (-2.0, 2.0)).rate for one in streams]
    exponents = [escape.exponent(one, (-2.0, 2.0)).exponent for one in streams]
    assert math.log(rates[0] / rates[1]) == pytest.approx(exponents[1] - exponents[0], rel=0.03)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_exponents_at_walls_are_those_of_the_stationary_law(momentum):
    """Assert b^2 / (2 variance) to 1e-8, and in the plane for noise that does not commute with the Hessian."""
    assert escape.exponent(cusp(0.7, 5.0, momentum)).exponent == pytest.approx(12.5, rel=1e-8)
    well = HarmonicWell([[2.0, 0.3], [0.3, 1.0]], [3.0, 4.0])
    descent = LandscapeDescent(well, 0.6, np.array([[1.0, 0.2], [0.2, 2.0]]))
    a, c = np.eye(2) - 0.6 * well.curvature, 0.36 * descent.noise
    variance = np.linalg.solve(np.eye(4) - np.kron(a, a), c.ravel()).reshape(2, 2)
    found = escape.exponent(descent)
    assert found.exponent == pytest.approx(min(9 / (2 * variance[0, 0]), 16 / (2 * variance[1, 1])), rel=1e-8)
    assert found.direction @ variance[1] > 0.9 * np.linalg.norm(variance[1]) or found.path[-1, 1] == pytest.approx(-4)


def test_the_quasi_potential_of_small_steps():
    """Assert 2 U / step_size - (grad U)^2 / 2 to first order in the step size."""
    well, w, gaps = DoubleWell(1.0), np.array([-0.6, -0.35, -1.2]), []
    for size in (0.05, 0.025):
        found = escape.quasi_potential(LandscapeDescent(well, size, 1.0), w)
        gaps.append(found - 2 * well.potential(w[:, None]) / size + well.gradient(w[:, None])[:, 0] ** 2 / 2)
    assert np.abs(gaps[0]).max() < 3e-3 and gaps[0] / gaps[1] == pytest.approx(2, abs=0.2)


def test_the_substitution_into_kramers_holds_at_cusps_and_fails_over_saddles():
    """Assert both verdicts, the size of the failure, and that the claim says that the paper was not seen."""
    at_cusp, over_saddle = escape.substitution(cusp(0.5)), escape.substitution(quartic(0.2, 18.015))
    assert at_cusp.verdict == "holds" and escape.substitution(cusp(1.5, 5.0, 0.5)).verdict == "holds"
    assert over_saddle.verdict == "fails" and over_saddle.too_fast == pytest.approx(5.9, abs=0.1)
    assert escape.substitution(quartic(0.9, 18.31)).too_fast > 1000
    assert "not seen" in str(over_saddle)


def test_noise_of_the_loss_makes_a_power_of_the_loss_ratio():
    """Assert the power law for small steps, and that Kramers with the noise of the minimum is far off."""
    descent = LandscapeDescent(DoubleWell(1.0), 0.05, LossNoise(4, floor=0.1))
    exact, power = escape.rate(descent), escape.kramers(descent)
    assert power.exponent == pytest.approx(4 / (0.05 * 2) * math.log(0.35 / 0.1), rel=1e-12)
    assert exact.rate / power.rate == pytest.approx(1, abs=0.6)
    constant = LandscapeDescent(DoubleWell(1.0), 0.05, 2 * 0.1 * 2 / 4)
    assert escape.kramers(constant).rate < 1e-12 * exact.rate


@pytest.mark.slow
def test_the_plane_agrees_with_the_line_and_with_itself_turned():
    """Assert that a separable well has the line's rate to 1e-7, and that a turned box has the rate of the box."""
    line = escape.rate(quartic(0.8, 12.0))
    plane = escape.rate(LandscapeDescent(PlanarDoubleWell(1.0, 2.0), 0.4, 0.5 / (0.4 * 12)))
    assert plane.rate == pytest.approx(line.rate, rel=1e-7) and plane.error < 1e-6 * plane.rate
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    box = LandscapeDescent(HarmonicWell(np.diag([1.0, 0.5]), [2.0, 2.0]), 0.8, 0.9)
    turned = HarmonicWell(turn @ np.diag([1.0, 0.5]) @ turn.T, [2.0, 2.0], turn.T)
    rates = [escape.rate(one) for one in (box, LandscapeDescent(turned, 0.8, 0.9))]
    assert rates[1].rate == pytest.approx(rates[0].rate, rel=1e-3)
    single = [escape.rate(LandscapeDescent(HarmonicWell(k, 2.0), 0.8, 0.9)).rate for k in (1.0, 0.5)]
    assert rates[0].rate == pytest.approx(1 - (1 - single[0]) * (1 - single[1]), rel=1e-9)


def test_laws_that_are_handed_out():
    """Assert the quasi-stationary moments of a far cusp, and that a symmetric well is left on both sides alike."""
    found = escape.rate(cusp(0.5))
    assert found.quasi_stationary.covariance[0, 0] == pytest.approx(0.5 / 1.5, rel=1e-6)
    assert found.exits.masses == pytest.approx([0.5, 0.5]) and found.mean_steps == 1 / found.rate


def test_other_noises_on_a_line():
    """Assert that normal noise given as a law, on rows with label noise and as a variance, is one thing."""
    variance = escape.rate(LandscapeDescent(HarmonicWell(1.0, 2.0), 0.5, 1.0))
    law = escape.rate(LandscapeDescent(HarmonicWell(1.0, 2.0), 0.5, stats.norm()))
    additive = escape.rate(AdditiveRecurrence(0.5, 1.0, stats.norm()), (-2.0, 2.0))
    rows = LeastSquares.from_arrays(np.ones((3, 1)), np.zeros(3))
    labels = escape.rate(SGD(rows, 0.5, label_noise=1.0), (-2.0, 2.0))
    assert [one.rate for one in (law, additive, labels)] == pytest.approx([variance.rate] * 3, rel=1e-9)
    heavy = escape.rate(LandscapeDescent(HarmonicWell(1.0, 2.0), 0.5, stats.t(5, scale=math.sqrt(0.6))))
    assert heavy.rate > 1.5 * variance.rate


@pytest.mark.parametrize(("product", "momentum"), [(0.5, 0.5), (1.2, 0.3)])
def test_nesterov_on_a_line(product, momentum):
    """Assert the exact stationary variance of the iterate that torch holds at a far wall, twice its tail as the rate,
    an error beyond the tenth digit, and that the heavy ball leaves at another rate."""
    mu, a = momentum, product
    variance = SGD(NoisyQuadratic([1.0], [1.0]), a, momentum=mu, nesterov=True).stationary().covariance[0, 0]
    wall = HarmonicWell(1.0, 6 * math.sqrt(variance))
    found = escape.rate(LandscapeDescent(wall, a, 1.0, mu, nesterov=True))
    assert found.method == "transfer" and found.error < 1e-9 * found.rate
    assert found.quasi_stationary.covariance[0, 0] == pytest.approx(variance, rel=1e-6)
    assert 1 < 2 * stats.norm.sf(6) / found.rate < 1.01
    assert not 0.5 < escape.rate(LandscapeDescent(wall, a, 1.0, mu)).rate / found.rate < 2
    sgd = escape.rate(SGD(NoisyQuadratic([1.0], [1.0]), a, momentum=mu, nesterov=True), (-wall.wall[0], wall.wall[0]))
    assert sgd.rate == pytest.approx(found.rate, rel=1e-9)


def test_nesterov_against_paths():
    """Assert the exact rate of about 1e-3 within twice the interval of counted escapes, which the heavy ball misses."""
    descent = LandscapeDescent(HarmonicWell(1.0, 3.3 * math.sqrt(2 / 3)), 0.5, 1.0, 0.5, nesterov=True)
    exact, found = escape.rate(descent), escape.rate(descent, method="splitting", tolerance=0.1)
    assert 5e-4 < exact.rate < 2e-3 and abs(found.rate - exact.rate) < 2 * found.error
    heavy = escape.rate(LandscapeDescent(descent.landscape, 0.5, 1.0, 0.5))
    assert abs(found.rate - heavy.rate) > 4 * found.error


@pytest.mark.slow
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_on_a_stream(nesterov):
    """Assert the exact rate of streaming least squares with momentum within twice the interval of paths."""
    sgd = SGD(StreamingLeastSquares([1.0], 1.0, [0.0]), 0.2, 4, momentum=0.5, nesterov=nesterov)
    exact = escape.rate(sgd, (-1.0, 1.0), method="transfer")
    found = escape.rate(sgd, (-1.0, 1.0), method="splitting", tolerance=0.2)
    assert exact.error < 1e-3 * exact.rate and abs(found.rate - exact.rate) < 2 * found.error


def test_finite_data_without_label_noise_is_left_to_paths():
    """Assert the sentence that says why there is no operator, and paths within both intervals of plain counting."""
    random = np.random.Generator(np.random.Philox(1))
    rows = random.standard_normal((50, 1))
    sgd = SGD(LeastSquares.from_arrays(rows, rows[:, 0] + 0.7 * random.standard_normal(50)), 0.2, 4)
    basin = (float(sgd.problem.minimiser[0]) - 0.4, float(sgd.problem.minimiser[0]) + 0.4)
    with pytest.raises(InvalidInput, match="with finite data and no label noise a step has no density"):
        escape.rate(sgd, basin, method="transfer")
    found = escape.rate(sgd, basin, tolerance=0.2)
    seen = {"record": range(50, 151), "observables": {"x": lambda x: x[:, 0]}}
    x = sgd.simulate(sgd.problem.minimiser, 150, 4000, seed=9, **seen)
    inside = ((x["x"] > basin[0]) & (x["x"] < basin[1])).transpose("path", "step").values
    stayed = np.logical_and.accumulate(inside, axis=1).sum(axis=0)
    counted, left = math.log(stayed[0] / stayed[-1]) / 100, stayed[0] - stayed[-1]
    assert found.method == "splitting"
    assert abs(found.rate / counted - 1) < 2 * found.error / found.rate + 2 * 1.96 / math.sqrt(left)


def test_bad_input_is_named():
    """Assert one sentence each."""
    with pytest.raises(NoStationaryLaw, match="past the threshold 1 of the minimum") as error:
        LandscapeDescent(DoubleWell(1.0), 1.2, 0.1)
    assert error.value.threshold == pytest.approx(1.0)
    with pytest.raises(NoStationaryLaw, match="past the threshold"):
        escape.rate(SGD(StreamingLeastSquares([1.0], 1.0, [0.0]), 2.5, 4), (-2.0, 2.0))
    with pytest.raises(InvalidInput, match="lies outside the basin"):
        Basin(lambda x: x[:, 0], 1.0, [2.0])
    with pytest.raises(InvalidInput, match="no barrier|no saddle"):
        parabola = UserLandscape(lambda x: x[:, 0] ** 2 / 2, lambda x: x, [0.0], (-1, 1))
        escape.kramers(LandscapeDescent(parabola, 0.1, 1.0))
    with pytest.raises(InvalidInput, match="dies out at the minimum"):
        escape.rate(LandscapeDescent(DoubleWell(1.0), 0.1, LossNoise(4)))
    with pytest.raises(OutOfReach, match="below 1e-280"):
        escape.rate(cusp(0.6, 60.0))
    with pytest.raises(InvalidInput, match="basin is missing"):
        escape.rate(SGD(StreamingLeastSquares([1.0], 1.0, [0.0]), 0.5, 4))
    with pytest.raises(InvalidInput, match='pass method="splitting"'):
        escape.rate(SGD(LeastSquares.from_arrays([[1.0], [2.0]], [0.0, 1.0]), 0.1), (-2.0, 2.0), method="transfer")
    with pytest.raises(InvalidInput, match="one variance in all directions|one variance"):
        escape.kramers(LandscapeDescent(PlanarDoubleWell(), 0.1, np.diag([1.0, 2.0])))
    with pytest.raises(InvalidInput, match="momentum"):
        LandscapeDescent(DoubleWell(1.0), 0.1, 0.1, momentum=1.0)
    with pytest.raises(InvalidInput, match="nesterov needs a momentum"):
        LandscapeDescent(DoubleWell(1.0), 0.1, 0.1, nesterov=True)
    with pytest.raises(NoStationaryLaw) as error:
        LandscapeDescent(HarmonicWell(1.0, 1.0), 1.6, 1.0, 0.5, nesterov=True)
    assert error.value.threshold == pytest.approx(1.5)
    for silent in (StreamingLeastSquares([1.0], 0.0, [0.0]), LeastSquares.from_arrays([[1.0], [2.0]], [1.0, 2.0])):
        with pytest.raises(InvalidInput, match="all noise dies out at the minimum"):
            escape.rate(SGD(silent, 0.1), (-2.0, 2.0))
    with pytest.raises(InvalidInput, match="not known with Nesterov"):
        escape.exponent(LandscapeDescent(HarmonicWell(1.0, 1.0), 0.5, 1.0, 0.5, nesterov=True))


def test_descent_with_additive_noise_has_a_transfer_operator():
    """Assert it against the descent of the same well on a line, with momentum, in the plane by splitting."""
    quadratic = NoisyQuadratic([1.0], [4.0], ridge=0.5)
    for momentum in (0.0, 0.5):
        found = escape.rate(SGD(quadratic, 0.5, 2, momentum=momentum), (-2.0, 2.0))
        well = LandscapeDescent(HarmonicWell(curvature=1.5, wall=2.0), 0.5, 2.0, momentum=momentum)
        assert found.method == "transfer" and found.rate == pytest.approx(escape.rate(well).rate, rel=1e-9)
    sgd = SGD(NoisyQuadratic([[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.5], [0.5, 1.0]]), 0.3)
    box = Basin(lambda w: np.abs(w).max(axis=1), 1.2, np.zeros(2))
    exact, drawn = escape.rate(sgd, box), escape.rate(sgd, box, method="splitting", tolerance=0.2)
    assert exact.method == "transfer" and drawn.rate == pytest.approx(exact.rate, rel=0.1)
    assert escape.exponent(SGD(NoisyQuadratic([1.0], [1.0]), 0.5), (-2.0, 2.0)).exponent == pytest.approx(6, rel=1e-8)
    with pytest.raises(InvalidInput, match="has no noise"):
        escape.rate(SGD(NoisyQuadratic([1.0], [0.0]), 0.5), (-2.0, 2.0))


@pytest.mark.parametrize(("settings", "message"), [
    ({"step_size": 1e-12, "noise": 0.1}, "forget their start in about 6e.12 steps"),
    ({"step_size": 0.3, "noise": 0.1, "momentum": 0.999999}, "forget their start in about 2.4e.07 steps"),
    ({"step_size": 0.3, "noise": 1e-150}, "so small beside the basin"),
    ({"step_size": 0.3, "noise": 1e150}, "all paths left the basin in one step"),
    ({"step_size": 0.3, "noise": 1e-3}, "where numbers end"),
])  # fmt: skip
def test_what_no_path_reaches_is_refused_at_once(settings, message):
    """Assert one sentence each where relaxation or noise is out of all reach."""
    with pytest.raises(OutOfReach, match=message):
        escape.rate(LandscapeDescent(DoubleWell(), **settings))


def test_what_a_method_does_not_use_is_checked_too():
    """Assert that a tolerance below zero and a basin with its ends exchanged are refused before any work."""
    descent = escape.LandscapeDescent(escape.DoubleWell(), 0.3, 0.12)
    with pytest.raises(InvalidInput, match="tolerance must be above zero"):
        escape.rate(descent, tolerance=-1.0)
    with pytest.raises(InvalidInput, match=r"\(1.5, -1.5\) is empty: give the lower end first"):
        escape.rate(descent, (1.5, -1.5))
