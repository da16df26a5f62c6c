"""What SGD does at stationarity, against companion matrices, enumeration and the closed forms of the papers."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov

from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck, UnderdampedLangevin
from sgdlimits.discrete import SGD, fluctuation, rules
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.problems import LeastSquares, LocalQuadratic, Logistic, NoisyQuadratic, StreamingLeastSquares


def positive(seed, d, floor=0.2):
    """A random positive definite matrix."""
    m = np.random.Generator(np.random.Philox(seed)).standard_normal((d, d))
    return m @ m.T / d + floor * np.eye(d)


def companion(k, c, eta, mu, nesterov):
    """Transition and noise covariance of (x, m), written out as one matrix."""
    d = len(k)
    eye, lost = np.eye(d), eta * k * (1 + mu if nesterov else 1)
    kept = np.block([[eye - lost, -eta * mu**(2 if nesterov else 1) * eye], [k, mu * eye]])
    enters = np.vstack([-eta * (1 + mu if nesterov else 1) * eye, eye])
    return kept, enters @ c @ enters.T


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0.05, 0.9), st.booleans(), st.floats(0.05, 0.8))
def test_autocovariances_and_windows_are_those_of_the_companion_matrix(seed, d, mu, nesterov, part):
    """Assert both against the stationary law of (x, m) as one vector, which knows nothing of modes."""
    k, c = positive(seed, d), positive(seed + 1, d)
    eta = part * 2 * (1 + mu) / ((1 + 2 * mu if nesterov else 1) * np.linalg.eigvalsh(k)[-1])
    sgd = SGD(NoisyQuadratic(k, c), eta, momentum=mu, nesterov=nesterov)
    kept, noise = companion(k, c, eta, mu, nesterov)
    whole = solve_discrete_lyapunov(kept, noise)
    lagged = [(np.linalg.matrix_power(kept, n) @ whole)[:d, :d] for n in range(8)]
    scale = np.abs(lagged[0]).max()
    found = fluctuation.autocovariance(sgd, 8).autocovariance.values
    np.testing.assert_allclose(found, lagged, rtol=0, atol=1e-9 * scale)
    for window in (1, 2, 8):
        total = window * lagged[0] + sum((window - n) * (lagged[n] + lagged[n].T) for n in range(1, window))
        average = fluctuation.average(sgd, window).covariance.values
        np.testing.assert_allclose(average, total / window**2, rtol=0, atol=1e-9 * scale)


def test_a_long_window_is_summed_as_a_short_one():
    """Assert the geometric series against steps of the sum from the stationary law, and the limit of long windows."""
    k, c = positive(3, 2), positive(4, 2)
    sgd = SGD(NoisyQuadratic(k, c), 0.3)
    law = sgd.stationary()
    for window in (64, 65, 300):
        stepped = fluctuation.average(sgd, window, (law.mean, law.covariance)).covariance
        np.testing.assert_allclose(fluctuation.average(sgd, window).covariance, stepped, rtol=1e-9)
    long = fluctuation.average(sgd, 10**6)
    np.testing.assert_allclose(long.covariance, np.linalg.inv(k) @ c @ np.linalg.inv(k) / 10**6, rtol=1e-4)
    np.testing.assert_allclose(long.limit, np.linalg.inv(k) @ c @ np.linalg.inv(k) / 10**6, rtol=1e-10)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_an_average_from_a_start_is_that_of_all_batches(momentum):
    """Assert mean and covariance of the mean of x_2, x_3, x_4 against enumeration, noise that sees the place."""
    generator = np.random.Generator(np.random.Philox(6))
    features, targets = generator.standard_normal((3, 2)), generator.standard_normal(3)
    sgd, x0 = SGD(LeastSquares.from_arrays(features, targets, ridge=0.1), 0.2, momentum=momentum), np.array([1.0, 2.0])
    averages = []
    for batch in itertools.product(range(3), repeat=4):
        x, m, kept = x0, np.zeros(2), []
        for row in batch:
            m = momentum * m + features[row] * (features[row] @ x - targets[row]) + 0.1 * x
            x = x - 0.2 * m
            kept.append(x)
        averages.append(np.mean(kept[1:], axis=0))
    found = fluctuation.average(sgd, 3, x0, burn_in=1)
    np.testing.assert_allclose(found["mean"], np.mean(averages, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["covariance"], np.cov(np.transpose(averages), bias=True), rtol=1e-10)
    np.testing.assert_allclose(found["risk"], sgd.problem.risk(np.array(averages)).mean(), rtol=1e-11)


@pytest.mark.parametrize("make", [
    lambda: SGD(LeastSquares.from_dataset("diabetes", ridge=0.1), 0.05, 4, sampling="without_replacement"),
    lambda: SGD(StreamingLeastSquares(positive(1, 3), 0.4, np.ones(3), 0.1), 0.1, 2, momentum=0.7),
    lambda: SGD(NoisyQuadratic(positive(1, 3), positive(2, 3)), 0.3, momentum=0.9),
])  # fmt: skip
def test_what_fluctuates_dissipates(make):
    """Assert the relation to rounding, and that a wrong factor breaks it."""
    found = fluctuation.dissipation(make())
    assert found.holds and found.exact
    assert not replace(found, fluctuating=found.fluctuating * (1 - 1e-6)).holds


def test_paths_of_any_loss_dissipate_at_stationarity_and_only_there():
    """Assert the sampled relation on a loss whose moments do not close, and that young paths are seen to differ."""
    generator = np.random.Generator(np.random.Philox(9))
    rows = generator.standard_normal((60, 2))
    sgd = SGD(Logistic.from_arrays(rows, np.sign(rows[:, 0] + generator.standard_normal(60)), ridge=0.1), 0.5, 4)
    old = fluctuation.dissipation(sgd, np.zeros(2), 300, 4000)
    assert old.holds and old.difference_error < 0.05 * old.fluctuating
    assert not fluctuation.dissipation(sgd, np.full(2, 20.0), 3, 4000).holds
    with pytest.raises(InvalidInput, match="pass x0 and steps"):
        fluctuation.dissipation(sgd)


def test_on_a_line_the_best_step_size_is_known():
    """Assert 2 / (N c + k), that continuous time says 2 / (N c), and the divergence of closed form."""
    k, c, n = 1.7, 0.4, 10
    found = fluctuation.posterior(SGD(NoisyQuadratic([k], [c]), 0.1), n)
    assert found.step_size == pytest.approx(2 / (n * c + k), rel=1e-6)
    assert found.continuous_step_size == pytest.approx(2 / (n * c), rel=1e-12)
    u = n * 0.2 * c / (2 - 0.2 * k)
    assert found.divergence(0.2) == pytest.approx((u - math.log(u) - 1) / 2, rel=1e-10)
    assert found.divergence(found.step_size) < 1e-9 < found.divergence(found.continuous_step_size)
    curve = found.divergences([0.2, 2.0]).divergence.values
    assert curve[1, 0] == math.inf and math.isfinite(curve[1, 1])


@pytest.mark.parametrize("mu", [0.0, 0.8])
def test_minibatches_sample_a_posterior_exactly_with_the_right_preconditioner(mu):
    """Assert a divergence of zero on finite data, whose noise sees the place, and not without the Hessian's term."""
    found = fluctuation.posterior(SGD(LeastSquares.from_dataset("diabetes", ridge=0.1), 0.1, 20, momentum=mu), 442)
    assert found.divergence(preconditioner=found.exact_preconditioner) < 1e-12
    assert found.divergence(preconditioner=found.continuous_preconditioner) > 1e-4
    np.testing.assert_allclose(found.covariance @ (442 * (found.sgd.problem.hessian + 0.1 * np.eye(10))), np.eye(10),
                               atol=1e-9)  # fmt: skip


@pytest.mark.parametrize(("size", "sign"), [(0.5, 1), (0.9, 1), (1.1, -1), (1.3, -1)])
def test_the_best_weight_decay_changes_sign_where_step_size_times_curvature_is_one(size, sign):
    """Assert sign(best) = sign(1 - a step_size) on a line with label noise."""
    sgd = SGD(StreamingLeastSquares([1.0], 0.5, [1.0]), size, 8)
    found = fluctuation.weight_decay(sgd, np.linspace(-0.5, 0.4, 19))
    assert np.sign(found.best) == sign and not found.best_at_edge


def test_the_test_loss_under_weight_decay_is_the_published_one():
    """Assert the theorem of the sheet (Thm 4) for ridges of either sign, without label noise."""
    a, u, size, batch = np.array([1.0, 0.6, 0.2]), np.array([1.0, -0.5, 2.0]), 0.4, 3
    ridges = np.array([-0.1, 0.05, 0.3])
    found = fluctuation.weight_decay(SGD(StreamingLeastSquares(a, 0.0, u), size, batch), ridges).dataset.risk.values
    for value, ridge in zip(found, ridges):
        k = a + ridge
        g = 2 - size * (k + a**2 / k / batch)
        tau = (a * ridge**2 / k**2 * u**2).sum()
        bottom = 1 - size / batch * (a**2 / k / g).sum()
        kappa, r = (a**2 / k / g).sum() / bottom, (a**3 / k**3 * ridge**2 / g * u**2).sum() / bottom
        assert value == pytest.approx(size / (2 * batch) * (tau * kappa + r) + tau / 2, rel=1e-10)


def test_ridges_without_a_law_are_found_to_their_edges():
    """Assert both edges against the roots of E (1 - size (h + ridge))^2 = 1, h chi-squared over the batch."""
    size, batch = 1.2, 6
    sgd = SGD(StreamingLeastSquares([1.0], 0.5, [1.0]), size, batch)
    found = fluctuation.weight_decay(sgd, np.linspace(-0.9, 1, 20))
    # (1 - size (1 + ridge))^2 + 2 size^2 / batch = 1
    root = math.sqrt(1 - 2 * size**2 / batch)
    low, high = (1 - root) / size - 1, (1 + root) / size - 1
    assert [edge for pair in found.unstable for edge in pair] == pytest.approx([-0.9, low, high, 1.0], abs=1e-8)
    assert np.isinf(found.dataset.risk.values[found.dataset.ridge.values > high]).all()


def test_held_out_samples_decide_where_there_are_any():
    """Assert the expected test loss against the mean over draws of the stationary law."""
    problem = LeastSquares.from_dataset("diabetes", ridge=0.1, test_fraction=0.2, seed=1)
    found = fluctuation.weight_decay(SGD(problem, 0.05, 4), [0.05, 0.1, 0.2])
    law = SGD(problem, 0.05, 4).stationary()
    draws = np.random.Generator(np.random.Philox(1)).multivariate_normal(law.mean, law.covariance, 40_000)
    losses = 0.5 * np.square(draws @ problem.test_features.T - problem.test_targets).mean(axis=1)
    expected = float(found.dataset.test_risk.sel(ridge=0.1))
    assert abs(losses.mean() - expected) < 4 * losses.std() / 200


def test_the_table_says_how_far_limits_are():
    """Assert the errors of closed form on a line, of a limit in continuous time and of the second-order equation."""
    k, eta, mu = 1.5, 0.4, 0.6
    problem = NoisyQuadratic([k], [1.0])
    methods = {"plain": SGD(problem, eta), "heavy ball": SGD(problem, eta, momentum=mu), "too long": SGD(problem, 2.0)}
    found = fluctuation.table(methods, [ModifiedEquation.of, lambda sgd: ModifiedEquation.of(sgd, order=2)])
    errors = found.dataset.relative_error
    assert float(errors.sel(process="plain", limit="Ornstein-Uhlenbeck")) == pytest.approx(-eta * k / 2)
    assert float(errors.sel(process="heavy ball", limit="Ornstein-Uhlenbeck")) == pytest.approx(-eta * k / 2 / (1 + mu))
    second = float(errors.sel(process="plain", limit="modified equation, order 2"))
    assert second == pytest.approx((1 - eta * k / 2) / (1 + eta * k / 2) - 1) and abs(second) > eta * k / 2
    assert np.isinf(found.dataset.excess.sel(process="too long"))
    assert any("settles only below" in note for note in found.notes) and "heavy ball" in repr(found)
    with pytest.raises(InvalidInput, match="different names"):
        fluctuation.table([methods["plain"], methods["plain"]])


def test_a_limit_with_other_batches_has_a_column_of_its_own():
    """Assert both columns against n (n - B) / (B (n - 1)) times the gradients' covariance, and 2.5 times that."""
    generator = np.random.Generator(np.random.Philox(12))
    features, targets = generator.standard_normal((6, 2)), generator.standard_normal(6)
    problem = LeastSquares.from_arrays(features, targets)
    sgd = SGD(problem, 0.1, 4, sampling="without_replacement")
    limits = [OrnsteinUhlenbeck.of, lambda one: UnderdampedLangevin.of(replace(one, momentum=0.5))]
    found = fluctuation.table([sgd], limits).dataset.excess_of_limit[0]
    gradients = features * (features @ problem.minimiser - targets)[:, None]
    noise = 0.1 * (6 - 4) / (4 * 5) * np.cov(gradients.T, bias=True)
    excess = np.trace(noise) / 4  # tr(H S) / 2 with H S + S H = noise
    assert found.limit.values.tolist() == [
        "Ornstein-Uhlenbeck", "Ornstein-Uhlenbeck, with replacement", "underdamped Langevin"
    ]  # fmt: skip
    np.testing.assert_allclose(found[:2], [excess, 2.5 * excess], rtol=1e-10)
    with_replacement = fluctuation.table([replace(sgd, sampling="with_replacement")], limits).dataset
    assert "Ornstein-Uhlenbeck, with replacement" not in with_replacement.limit


def test_second_order_methods_and_all_sources_have_rows():
    """Assert a table over real data, Newton among its methods, every limit below and homogenized SGD near."""
    problem = LeastSquares.from_dataset("diabetes", ridge=0.1)
    newton = np.linalg.inv(problem.hessian + 0.1 * np.eye(10))
    found = fluctuation.table(
        {"SGD": SGD(problem, 0.05, 4), "Nesterov": SGD(problem, 0.02, 4, momentum=0.5, nesterov=True),
         "Newton": SGD(problem, 0.05, 20, preconditioner=newton)}, [HomogenizedSGD.of],
    ).dataset  # fmt: skip
    assert np.isfinite(found.excess).all() and (found.excess > 0).all()
    assert np.isfinite(found.relative_error.sel(process="SGD")).all()
    assert np.isnan(found.relative_error.sel(process="Newton", limit="homogenized SGD"))


def test_ellipses_turn_and_stretch():
    """Assert axes, angle and outline of a known covariance, and curves that meet at small step sizes."""
    turn = np.array([[math.cos(0.3), -math.sin(0.3)], [math.sin(0.3), math.cos(0.3)]])
    k = np.diag([1.0, 1.0])
    c = turn @ np.diag([4.0, 1.0]) @ turn.T
    found = fluctuation.ellipse(SGD(NoisyQuadratic(k, c, [1.0, 2.0]), 0.2), level=1 - math.exp(-0.5))
    scale = 0.04 / (2 * 0.2 - 0.04)
    np.testing.assert_allclose(found.half_axes, np.sqrt(scale * np.array([4.0, 1.0])), rtol=1e-12)
    assert found.angle == pytest.approx(0.3) and found.anisotropy == pytest.approx(4)
    inverse = np.linalg.inv(found.covariance)
    centred = found.outline(30) - [1.0, 2.0]
    np.testing.assert_allclose(np.einsum("pi,ij,pj->p", centred, inverse, centred), 1, rtol=1e-10)
    curves = fluctuation.shapes(
        SGD(NoisyQuadratic(positive(1, 2), positive(2, 2)), 0.1), [1e-4, 0.5, 9.0], paths=8000, steps=200
    )
    values = curves.anisotropy.values
    assert values[0, 0] == pytest.approx(values[0, 1], rel=1e-3) and abs(values[1, 0] / values[1, 1] - 1) > 0.01
    assert values[1, 2] == pytest.approx(values[1, 0], rel=0.1)
    assert np.isinf(values[2, [0, 2]]).all() and curves.without_law == [9.0]
    assert values[2, 1] == pytest.approx(values[0, 1], rel=1e-9)  # the limit has a law at every step size


@pytest.mark.parametrize(("make", "message"), [
    (lambda s: fluctuation.autocovariance(s, [-1]), "lags"),
    (lambda s: fluctuation.average(s, 0), "window"),
    (lambda s: fluctuation.average(s, 3, burn_in=2), "pass x0"),
    (lambda s: fluctuation.ellipse(s, (0, 0)), "two different"),
    (lambda s: fluctuation.ellipse(s, level=1.0), "between 0 and 1"),
    (lambda s: fluctuation.weight_decay(s, [0.1, 0.2]), "at least three"),
    (lambda s: fluctuation.posterior(s, 0), "samples"),
    (lambda s: fluctuation.posterior(replace(s, problem=NoisyQuadratic(np.eye(2), np.zeros(2))), 5), "no noise"),
    (lambda s: fluctuation.dissipation(replace(s, rule=rules.Adam())), "leave the rule out"),
    (lambda s: fluctuation.autocovariance(replace(s, rule=rules.Adam())), "no closed moments"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused(make, message):
    """Assert one sentence each."""
    with pytest.raises(InvalidInput, match=message):
        make(SGD(NoisyQuadratic(positive(1, 2), positive(2, 2)), 0.1))


def test_flat_directions_have_no_posterior_and_no_covariance():
    """Assert a refusal, and zero autocovariances where nothing acts."""
    sgd = SGD(NoisyQuadratic([1.0, 0.0], [1.0, 0.0]), 0.1)
    with pytest.raises(NoStationaryLaw, match="no posterior"):
        fluctuation.posterior(sgd, 10)
    assert not fluctuation.autocovariance(sgd, 4).autocovariance.values[:, 1].any()
    assert not fluctuation.average(sgd, 200).covariance.values[1].any()


def test_the_quadratic_about_a_minimum_has_all_of_it():
    """Assert that a loss whose moments do not close is looked at through its minimum."""
    generator = np.random.Generator(np.random.Philox(4))
    rows = generator.standard_normal((50, 2))
    local = LocalQuadratic(Logistic.from_arrays(rows, np.sign(rows[:, 0] + generator.standard_normal(50)), ridge=0.1))
    sgd = SGD(local, 0.3, 5)
    assert fluctuation.dissipation(sgd).holds
    assert fluctuation.table({"logistic": sgd}).dataset.excess.values[0] > 0
    with pytest.raises(InvalidInput, match="moves the minimum"):
        local.with_ridge(0.2)


def test_windows_keep_their_digits_at_tiny_step_sizes_and_of_any_length():
    """Assert the geometric sums in exact arithmetic; sums of powers of 1 - a lose all digits there."""
    from fractions import Fraction

    for eta in (1e-12, 1e-6, 0.3):
        kept = 1 - Fraction(eta)
        variance = Fraction(eta) ** 2 / (1 - kept**2)
        for window in (64, 65, 200):
            total = window + 2 * sum((window - n) * kept**n for n in range(1, window))
            found = fluctuation.average(SGD(NoisyQuadratic([1.0], [1.0]), eta), window).covariance.item()
            assert found == pytest.approx(float(total * variance / window**2), rel=1e-13)
    long = fluctuation.average(SGD(NoisyQuadratic([1.0], [1.0]), 0.3), 10**9)
    assert long.covariance.item() == pytest.approx(long.limit.item(), rel=1e-8)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_dissipation_holds_at_tiny_step_sizes(momentum):
    """Assert it where the covariance has lost digits, and that a law which is not stationary still fails."""
    sgd = SGD(NoisyQuadratic(positive(1, 2), positive(2, 2)), 1e-11, momentum=momentum)
    found = fluctuation.dissipation(sgd)
    assert found.holds and not replace(found, dissipated=1.1 * found.dissipated).holds
    exact = SGD(NoisyQuadratic([1.0], [1.0]), 1e-11).stationary().covariance.item()
    assert exact == pytest.approx(1e-11 / 2 / (1 - 0.5e-11), rel=1e-14)


@pytest.mark.parametrize("samples", [1e-2, 1e2, 1e9])
def test_the_best_step_size_of_a_sampler_is_found_for_any_number_of_samples(samples):
    """Assert 2 / (N c + k) on a line, however far below the threshold."""
    found = fluctuation.posterior(SGD(NoisyQuadratic([2.0], [3.0]), 0.1), samples)
    assert found.step_size == pytest.approx(2 / (samples * 3 + 2), rel=1e-6)


def test_methods_with_an_affine_step_have_their_limit_in_the_table():
    """Assert their excess loss, and a limit near to it."""
    rows = LeastSquares.gaussian(30, 3, noise=0.4, seed=1, ridge=0.1)
    methods = [SGD(rows, 0.1), SGD(rows, 0.1, rule=rules.Proximal()), SGD(rows, 0.1, rule=rules.StochasticNewton(0.5))]
    table = fluctuation.table(methods)
    np.testing.assert_array_equal(table.dataset.excess, [one.stationary().risk - rows.least_risk for one in methods])
    assert (np.abs(table.dataset.relative_error.values) < 0.2).all() and not table.notes
    still = fluctuation.table([SGD(NoisyQuadratic(positive(1, 2), np.zeros(2)), 0.1)])
    assert still.dataset.relative_error.item() == 0


@pytest.mark.parametrize(("make", "message"), [
    (lambda rows, flat: fluctuation.weight_decay(SGD(rows, 0.1, rule="adam"), [0, 0.1, 0.2]), "no closed moments"),
    (lambda rows, flat: fluctuation.weight_decay(SGD(rows, 0.1, sampling="reshuffle"), [0, 0.1, 0.2]), "reshuffled"),
    (lambda rows, flat: fluctuation.weight_decay(SGD(rows, 9.0), [0, 0.1, 0.2]), "no ridge from 0 to 0.2 has a law.*9"),
    (lambda rows, flat: fluctuation.weight_decay(SGD(flat, 0.1), [0.6, 1.0, 2.0]), "no least value"),
    (lambda rows, flat: fluctuation.table([SGD(flat.with_ridge(1.0), 0.1)]), "no least value"),
    (lambda rows, flat: fluctuation.autocovariance(SGD(rows, 0.1), [[1, 2]]), "lags must be one number"),
    (lambda rows, flat: fluctuation.autocovariance(SGD(rows, 0.1, 30, "without_replacement")), "nothing fluctuates"),
    (lambda rows, flat: fluctuation.ellipse(SGD(rows, 0.1), 3), "coordinates must be two"),
    (lambda rows, flat: fluctuation.shapes(SGD(rows, 0.1), [0.1], paths=1, steps=3), "one path has no covariance"),
    (lambda rows, flat: fluctuation.dissipation(SGD(rows, 0.1), np.zeros(3), 5, paths=1), "paths"),
])  # fmt: skip
def test_a_refusal_has_the_right_reason(make, message):
    """Assert one sentence each, which names what is in the way."""
    rows = LeastSquares.gaussian(30, 3, noise=0.4, seed=1, ridge=0.1)
    with pytest.raises(InvalidInput, match=message):
        make(rows, NoisyQuadratic([1.0, -0.5], [1.0, 1.0], minimiser=[1.0, 1.0]))


def test_a_limit_may_be_its_class_and_a_method_without_a_law_is_named():
    """Assert the same column either way, and that the refusal says which method."""
    problem = LeastSquares.from_dataset("diabetes", ridge=0.1)
    sgd = SGD(problem, 0.05, 4)
    by_class, by_function = (fluctuation.table({"SGD": sgd}, [limit]) for limit in (HomogenizedSGD, HomogenizedSGD.of))
    np.testing.assert_array_equal(by_class.dataset.excess_of_limit, by_function.dataset.excess_of_limit)
    with pytest.raises(InvalidInput, match="method 'Adam' cannot stand in the table: Adam has no closed .* closure"):
        fluctuation.table({"SGD": sgd, "Adam": SGD(problem, 0.05, rule="adam")})
