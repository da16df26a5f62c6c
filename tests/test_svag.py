"""SVAG: its loops against the definition, its exact moments, and its way from SGD to the modified equation."""

import numpy as np
import pytest

from sgdlimits import diffusions
from sgdlimits.discrete import SGD, SVAG, NoisyGradientDescent, rules, schedules, simulate
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput
from sgdlimits.problems import LeastSquares, SampleLoss, StreamingLeastSquares, noise, zero_loss

DRAW = np.random.Generator(np.random.Philox(23))
ROWS = DRAW.standard_normal((10, 3))
LABELS = ROWS @ [1.0, -1.0, 0.5] + 0.4 * DRAW.standard_normal(10)
SQUARES = LeastSquares.from_arrays(ROWS, LABELS, ridge=0.05)
STREAM = StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]), 0.4, [1.0, 0.0, -1.0], ridge=0.05)
LOSS = SampleLoss(
    lambda x, rows: np.logaddexp(0, np.einsum("pbj,pj->pb", ROWS[rows], x)),
    lambda x, rows: ROWS[rows] / (1 + np.exp(-np.einsum("pbj,pj->pb", ROWS[rows], x)))[..., None], 10, 3,
)  # fmt: skip
X0 = np.array([1.0, -0.5, 2.0])


class Definition:
    """x <- x - (step_size / l) (c+ g1 + c- g2) from gradients of single samples, written once more."""

    def __init__(self, sgd, l):  # noqa: E741
        self.sgd, self.l = sgd, l

    def initial_state(self, x0):
        return np.array(x0)

    def step(self, k, x, noise):
        root = np.sqrt(2 * self.l - 1)
        for place in range(k * self.l, (k + 1) * self.l):
            one, two = (self.sgd.source.gradient(2 * place + which, x, noise) for which in (0, 1))
            x = x - self.sgd.step_size / self.l * ((1 + root) / 2 * one + (1 - root) / 2 * two)
        return x

    def position(self, x):
        return x


@pytest.mark.parametrize("sgd", [
    SGD(SQUARES, 0.2, 2), SGD(SQUARES, 0.2, 1, label_noise=0.3), SGD(STREAM, 0.2, 3), SGD(LOSS, 0.2, 2),
    SGD(SQUARES, 0.2, 4, "without_replacement"), SGD(LOSS, 0.2, 4, "without_replacement"),
], ids=["rows", "label noise", "stream", "loss", "rows without replacement", "loss without replacement"])  # fmt: skip
def test_every_loop_is_the_definition(sgd):
    """Assert positions to rounding at matched times, and that without weights they would be others."""
    run = SVAG(sgd, 3).simulate(X0, 7, 19, "state", [2, 7], seed=5, quality="float64")["state"].values
    twin = simulate(Definition(sgd, 3), X0, 7, 19, "state", [2, 7], seed=5, quality="float64")["state"].values
    np.testing.assert_allclose(run, twin, rtol=1e-10, atol=1e-12)
    other = simulate(Definition(sgd, 2), X0, 7, 19, "state", [2, 7], seed=5, quality="float64")["state"].values
    assert np.abs(run - other).max() > 1e-3


def test_with_l_one_it_is_sgd_to_the_bit():
    """Assert the same paths and the same moments."""
    for problem in (SQUARES, STREAM):
        sgd = SGD(problem, 0.2, 2)
        runs = [process.simulate(X0, 9, 8, "state", seed=3)["state"].values for process in (sgd, SVAG(sgd, 1))]
        assert (runs[0] == runs[1]).all()
        moments = [process.moments(X0, 9) for process in (sgd, SVAG(sgd, 1))]
        for name in ("mean", "covariance", "risk"):
            np.testing.assert_allclose(moments[1][name], moments[0][name], rtol=1e-13)


def test_one_increment_has_the_mean_and_covariance_of_its_formula():
    """Assert, from all pairs of samples, the mean x - step_size / l grad f and the covariance step_size^2 / l Sigma."""
    sgd, l, eta = SGD(SQUARES, 0.2, 1), 5, 0.2  # noqa: E741
    gradients = (ROWS @ X0 - LABELS)[:, None] * ROWS + 0.05 * X0
    plus, minus = SVAG(sgd, l).coefficients
    ends = X0 - eta / l * (plus * gradients[:, None] + minus * gradients[None])
    flat = ends.reshape(-1, 3)
    np.testing.assert_allclose(flat.mean(0), X0 - eta / l * SQUARES.gradient(X0), rtol=1e-12)
    covariance = np.cov(flat.T, bias=True)
    np.testing.assert_allclose(covariance, eta**2 / l * SQUARES.gradient_noise_covariance(X0), rtol=1e-11)
    map_ = SVAG(sgd, l).moment_map()
    modes = SQUARES.to_modes(X0)
    exact = (eta / l) ** 2 * map_.weights[0, 0] * map_.noise(np.outer(modes, modes), modes)
    turned = SQUARES.eigenvectors.T @ covariance @ SQUARES.eigenvectors
    np.testing.assert_allclose(exact, turned, rtol=1e-10, atol=1e-15)


def test_the_mean_is_that_of_small_steps_and_moments_are_those_of_a_batch_of_b_over_l():
    """Assert both exactly: with step size eta / l, l times the steps, and a batch of 6 / 3."""
    process = SVAG(SGD(SQUARES, 0.3, 6), 3)
    mine = process.moments(X0, 8, [3, 8])
    small = SGD(SQUARES, 0.1, 2).moments(X0, 24, [9, 24])
    for name in ("mean", "covariance", "risk"):
        np.testing.assert_allclose(mine[name], small[name], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(process.stationary().covariance, SGD(SQUARES, 0.1, 2).stationary().covariance, rtol=1e-9)
    curve = process.second_moments.risk_curve(X0, np.array([3, 8]))
    np.testing.assert_allclose(curve(np.array([3, 8])), mine["risk"].values[1:], rtol=1e-12)
    threshold = process.stability().mean_square_threshold
    assert abs(threshold / (3 * SGD(SQUARES, 0.1, 2).stability().mean_square_threshold) - 1) < 1e-9
    with pytest.raises(InfiniteVariance):
        SVAG(SGD(SQUARES, 1.01 * threshold, 6), 3).stationary()


@pytest.mark.parametrize("problem", [SQUARES, STREAM], ids=["rows", "stream"])
def test_it_comes_to_the_modified_equation_as_one_over_l(problem):
    """Assert slope -1 in l of the distance of risks to the SDE, and no such limit for the one of order 2 (control)."""
    sgd, sizes = SGD(problem, 0.2, 2), np.array([8, 16, 32, 64])
    risks = np.array([SVAG(sgd, int(l)).moments(X0, 10, [10], ("risk",))["risk"][-1] for l in sizes])  # noqa: E741
    limits = [diffusions.ModifiedEquation.of(sgd, order=order).moments(X0, 10, [10])["risk"].values[-1] for order in
              (1, 2)]  # fmt: skip
    slopes = [np.polyfit(np.log(sizes), np.log(np.abs(risks - limit)), 1)[0] for limit in limits]
    assert abs(slopes[0] + 1) < 0.03 and slopes[1] > -0.5
    assert np.abs(risks[-1] - limits[0]) < 0.02 * np.abs(sgd.moments(X0, 10, [10])["risk"].values[-1] - limits[0])


def test_simulated_risks_are_the_exact_ones():
    """Assert 4 standard errors at every recorded step, and that SGD's own lie outside (control)."""
    sgd = SGD(SQUARES, 0.35, 4)
    process, record = SVAG(sgd, 4), [1, 3, 8, 20]
    run = process.simulate(X0, 20, 20_000, "risk", record, seed=1)["risk"]
    error = run.std("path", ddof=1).values / np.sqrt(20_000)
    mean, exact = run.mean("path").values, process.moments(X0, 20, record, ("risk",))["risk"].values[1:]
    plain = sgd.moments(X0, 20, record, ("risk",))["risk"].values[1:]
    assert (np.abs(mean - exact) < 4 * error).all() and (np.abs(mean - plain) > 4 * error).any()


def test_what_does_not_fit_gets_a_sentence():
    """Assert one for momentum, a rule, a schedule, reshuffling, l below 1, another process, and what is not known."""
    for make, match in (
        (lambda: SVAG(SGD(SQUARES, 0.1, momentum=0.5), 2), "plain SGD"),
        (lambda: SVAG(SGD(SQUARES, 0.1, rule=rules.Adam()), 2), "plain SGD"),
        (lambda: SVAG(SGD(SQUARES, schedules.WarmUp(0.1, 5)), 2), "schedule"),
        (lambda: SVAG(SGD(SQUARES, 0.1, sampling="reshuffle"), 2), "two independent batches"),
        (lambda: SVAG(SGD(SQUARES, 0.1), 0), "l must be"), (lambda: SVAG(SGD(SQUARES, 0.1), 1.5), "l must be"),
        (lambda: SVAG(NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.1), 0.1), 2), "discrete.SGD"),
        (lambda: SVAG(SGD(LOSS, 0.1), 2).moments(X0, 3), "no closed moments"),
        (lambda: SVAG(SGD(SQUARES, 0.1), 2).moments(X0, 3, quantities=("risk_second_moment",)), "quantities"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=match):
            make()
