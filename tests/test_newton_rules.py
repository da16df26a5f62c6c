"""Newton, stochastic Newton, natural gradient and proximal steps: definitions, exact laws, refusals."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sgdlimits.discrete import SGD, NoisyGradientDescent, rules
from sgdlimits.ensembles import Noise
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw
from sgdlimits.exact.path_matrices import Dense, DiagonalPlusRankOne, LowRank
from sgdlimits.problems import (
    LeastSquares, Logistic, NoisyQuadratic, SampleLoss, StreamingLeastSquares, Supervised, noise, predictors, sources,
    zero_loss,
)  # fmt: skip

generator = np.random.default_rng(5)
A, B = generator.standard_normal((24, 3)), generator.standard_normal(24)
ROOT = generator.standard_normal((3, 3))
COVARIANCE = ROOT @ ROOT.T + 0.3 * np.eye(3)
NETWORK = Supervised(predictors.TwoLayer(3, 2, 1), "squares", sources.Rows(A, B), ridge=0.1)
PROBLEMS = {
    "rows": LeastSquares.from_arrays(A, B, ridge=0.1),
    "stream": StreamingLeastSquares(COVARIANCE, 0.3, np.ones(3), ridge=0.1),
    "additive": NoisyQuadratic(COVARIANCE, np.eye(3) + 0.3, np.ones(3), ridge=0.1),
    "logistic": Logistic(A, B > 0, ridge=0.1),
    "network": NETWORK,
}


def test_three_forms_of_a_matrix_solve_alike():
    """Assert that dense, low-rank and diagonal plus rank-one matrices are divided by as NumPy does, to rounding."""
    f, v = generator.standard_normal((4, 2, 5)), generator.standard_normal((4, 5))
    basis = np.linalg.qr(generator.standard_normal((5, 5)))[0]
    diagonals, u = generator.uniform(1, 2, (4, 5)), generator.standard_normal((4, 5))
    for matrices in (LowRank(f, 0.2), LowRank(f[:, :1], 0.2), DiagonalPlusRankOne(basis, diagonals, u)):
        dense = matrices.dense() + 0.3 * np.eye(5)
        expected = np.linalg.solve(dense, v[..., None])[..., 0]
        np.testing.assert_allclose(matrices.solve(v, 0.3), expected, rtol=1e-11)
        np.testing.assert_allclose(Dense(matrices.dense()).solve(v, 0.3), expected, rtol=1e-11)
    v[1] = np.inf
    assert np.isnan(LowRank(f, 0.2).solve(v)[1]).all() and np.isfinite(LowRank(f, 0.2).solve(v)[0]).all()


def sampled_fisher(problem, x, rows, matrix):
    """Of gradients of one sample each, one by one."""
    if isinstance(problem, LeastSquares):
        g = np.array([A[i] * (A[i] @ x - B[i]) + problem.ridge * x for i in rows])
    else:
        g = problem.sample_gradients(x[None], np.asarray(rows)[None])[0]
    g = g - g.mean(axis=0) if matrix == "centred" else g
    return g.T @ g / len(g)


@pytest.mark.parametrize("name", ["rows", "logistic", "network"])
def test_matrices_of_finite_data_are_sums_over_samples(name):
    """Assert Hessian and Fisher matrices of all samples and of a batch against one sample at a time."""
    problem = PROBLEMS[name]
    d = problem.dimension
    x, noise_ = generator.standard_normal((2, d)), Noise(3, np.arange(2))
    source = SGD(problem, 0.1, batch_size=4).source
    drawn = SGD(problem, 0.1, batch_size=4).batch(7, noise_)
    for matrix in ("empirical", "centred"):
        for samples, rows in (("all", [np.arange(24)] * 2), ("batch", drawn)):
            found = source.curvature(rules.Curvature(matrix, samples), 7, x, noise_).dense()
            for place in range(2):
                expected = sampled_fisher(problem, x[place], rows[place], matrix)
                np.testing.assert_allclose(found[place], expected, atol=1e-12)
    whole = source.curvature(rules.Curvature("hessian", "all"), 7, x, noise_).dense()
    here = problem.hessian if name == "rows" else problem.hessian(x[0])
    np.testing.assert_allclose(whole[0], here + 0.1 * np.eye(d), atol=1e-12)
    moved, move = source.curvature(rules.Curvature("hessian", "batch"), 7, x, noise_).dense(), 1e-6 * np.eye(d)
    slope = np.stack([source.gradient(7, x + e, noise_) - source.gradient(7, x - e, noise_) for e in move], -1) / 2e-6
    np.testing.assert_allclose(moved, slope, atol=1e-7)
    apart = source.curvature(rules.Curvature("hessian", "independent"), 7, x, noise_).dense()
    assert np.abs(apart - moved).max() > 1e-3
    if name == "network":  # Gauss-Newton: the Hessian less what bends the outputs
        expected = source.curvature(rules.Curvature("expected", "all"), 7, x, noise_).dense()
        assert np.linalg.eigvalsh(expected).min() > 0.09 > np.linalg.eigvalsh(whole).min()
    elif name == "logistic":
        np.testing.assert_allclose(source.curvature(rules.Curvature("expected", "all"), 7, x, noise_).dense(), whole)


def test_matrices_of_a_stream_are_means_over_its_samples():
    """Assert the closed Fisher matrices against a large batch, within four standard errors; a ridge is in the mean."""
    problem = replace_ridge(PROBLEMS["stream"], 0.4)
    source = SGD(problem, 0.1, batch_size=60_000).source
    x = np.array([[0.3, -0.5, 2.0]])
    for matrix in ("empirical", "centred"):
        found = source.curvature(rules.Curvature(matrix, "all"), 0, x, Noise(1, np.arange(1))).dense()[0]
        drawn = source.curvature(rules.Curvature(matrix, "batch"), 0, x, Noise(1, np.arange(1))).factors[0]
        products = 60_000 * drawn[:, :, None] * drawn[:, None, :]
        assert (np.abs(products.mean(0) - found) < 4 * products.std(0) / np.sqrt(60_000)).all()


def replace_ridge(problem, ridge):
    return StreamingLeastSquares(problem.given, problem.noise, problem.truth, ridge)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_proximal_step_minimises_the_batch_near_x(name):
    """Assert that the batch's gradient at the next position is (x - next) / step_size, of every problem."""
    sgd = SGD(PROBLEMS[name], 0.2, batch_size=3, rule=rules.Proximal())
    noise_, x = Noise(3, np.arange(6)), 0.5 * generator.standard_normal((6, PROBLEMS[name].dimension))
    after = sgd.position(sgd.step(4, sgd.initial_state(x), noise_))
    np.testing.assert_allclose(sgd.source.gradient(4, after, noise_), (x - after) / 0.2, atol=1e-9)


def by_definition(sgd, x0, steps, paths, seed):
    noise_, state = Noise(seed, np.arange(paths)), sgd.initial_state(np.tile(x0, (paths, 1)))
    for k in range(steps):
        state = sgd.step(k, state, noise_)
    return sgd.position(state)


@pytest.mark.parametrize(
    ("name", "rule", "sampling"),
    [
        ("rows", rules.DampedNewton(0.2, 0.5), "without_replacement"),
        ("stream", rules.DampedNewton(0.2, 0.5), "with_replacement"),
        ("additive", rules.StochasticNewton(0.2), "with_replacement"),
        ("rows", rules.StochasticNewton(0.2), "reshuffle"),
        ("rows", rules.Proximal(), "with_replacement"),
    ],
)
def test_the_compiled_loop_takes_the_same_steps(name, rule, sampling):
    """Assert positions to rounding against the array form where a descent of other rows or a matrix stands for it."""
    sgd = SGD(PROBLEMS[name], 0.3, rule=rule, sampling=sampling)
    x0 = np.array([1.0, -1.0, 0.5])
    loop = sgd.simulate(x0, 31, 20, ("state", "risk"), record=[31], seed=5, threads=1)
    assert sgd.simulator().compiled
    np.testing.assert_allclose(loop["state"].values[:, -1], by_definition(sgd, x0, 31, 20, 5), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(loop["risk"].values[:, -1], sgd.problem.risk(loop["state"].values[:, -1]), rtol=1e-10)


def enumerated(features, labels, ridge, rule, eta, size, replace_, steps, x0, label_noise=0.0):
    """Mean, covariance and risk after each step, over all orders of all batches, label noise by two points."""
    n, d = features.shape
    sets = list(itertools.product(range(n), repeat=size) if replace_ else itertools.permutations(range(n), size))
    signs = list(itertools.product((-1.0, 1.0), repeat=size)) if label_noise else [(0.0,) * size]

    def hessian(rows):
        a = features[list(rows)]
        return a.T @ a / size + ridge * np.eye(d)

    points, found = np.array([x0]), []
    for _ in range(steps):
        moved = []
        for x, rows, sign in itertools.product(points, sets, signs):
            a, y = features[list(rows)], labels[list(rows)] + label_noise * np.array(sign)
            g = a.T @ (a @ x - y) / size + ridge * x
            if isinstance(rule, rules.Proximal):
                moved.append(x - np.linalg.solve(hessian(rows) + np.eye(d) / eta, g))
            else:
                others = [rows] if rule.hessian == "same" else sets
                moved += [x - eta * np.linalg.solve(hessian(o) + rule.damping * np.eye(d), g) for o in others]
        points = np.array(moved)
        risk = np.square(points @ features.T - labels).mean() / 2
        found.append((points.mean(0), np.cov(points.T, bias=True), risk))
    return found


RULES = (rules.StochasticNewton(0.3), rules.StochasticNewton(0.3, "independent"), rules.Proximal())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.label)
@pytest.mark.parametrize("ridge", [0.0, 0.2, -0.05])
@pytest.mark.parametrize(
    ("size", "sampling", "n", "steps"), [(1, "with_replacement", 4, 3), (2, "with_replacement", 3, 2),
                                         (2, "without_replacement", 4, 2)],
)  # fmt: skip
def test_moments_are_those_of_all_batches(rule, ridge, size, sampling, n, steps):
    """Assert moments and risk against enumeration, and the stationary law as their limit where it settles."""
    draws = np.random.default_rng(8)
    features, labels, x0 = draws.standard_normal((n, 2)), draws.standard_normal(n), np.array([1.0, -0.5])
    sgd = SGD(LeastSquares.from_arrays(features, labels, ridge=ridge), 0.2, size, sampling, rule=rule)
    found = sgd.moments(x0, steps)
    expected = enumerated(features, labels, ridge, rule, 0.2, size, sampling == "with_replacement", steps, x0)
    for k, (mean, covariance, risk) in enumerate(expected, 1):
        np.testing.assert_allclose(found["mean"][k], mean, atol=1e-12)
        np.testing.assert_allclose(found["covariance"][k], covariance, atol=1e-12)
        np.testing.assert_allclose(found["risk"][k], risk, rtol=1e-12)
    try:
        law = sgd.stationary()
    except (NoStationaryLaw, InfiniteVariance):
        assert ridge < 0 or rule.label.endswith("independent batch")
        return
    far = sgd.moments(x0, 20_000, record=[20_000])
    np.testing.assert_allclose(far["covariance"][-1], law.covariance, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(far["risk"][-1], law.risk, rtol=1e-9)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.label)
@pytest.mark.parametrize("size", [1, 2])
def test_label_noise_is_exact_too(rule, size):
    """Assert moments with noise on labels against enumeration of two points of the same variance."""
    draws = np.random.default_rng(9)
    features, labels, x0 = draws.standard_normal((3, 2)), draws.standard_normal(3), np.array([1.0, -0.5])
    sgd = SGD(LeastSquares.from_arrays(features, labels, ridge=0.2), 0.3, size, label_noise=0.7, rule=rule)
    steps = 3 - size
    expected = enumerated(features, labels, 0.2, rule, 0.3, size, True, steps, x0, 0.7)
    found = sgd.moments(x0, steps)
    for k, (mean, covariance, _) in enumerate(expected, 1):
        np.testing.assert_allclose(found["mean"][k], mean, atol=1e-12)
        np.testing.assert_allclose(found["covariance"][k], covariance, atol=1e-12)


def test_single_rows_by_a_list_and_by_their_lengths_agree():
    """Assert that the two exact routes of batch size 1 give one law, threshold and risk, with label noise and ridge."""
    from sgdlimits.discrete.listed_batches import ListedBatches

    for ridge in (0.0, 0.3):
        problem = LeastSquares.from_arrays(A, B, ridge=ridge)
        for rule in (rules.StochasticNewton(0.4), rules.Proximal()):
            sgd = SGD(problem, 0.7, label_noise=0.2, rule=rule)
            form = sgd._exact_form
            other = ListedBatches(sgd, form.newton)
            first, second = form.stationary(False), other.stationary(False)
            np.testing.assert_allclose(first.covariance, second.covariance, rtol=1e-10)
            assert first.risk == pytest.approx(second.risk, rel=1e-11)
            one, two = (each.stability().mean_square_threshold for each in (form, other))
            assert one == pytest.approx(two, rel=1e-10) or one == two == np.inf


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("size", [1, 4])
def test_newton_with_label_noise_is_the_published_law(mu, size):
    """Assert sigma^2 eta / (g S - eta d) A^-1 and where it ends, g = 2 (1 - mu) - ((1 - mu) / (1 + mu) + 1 / S) eta."""
    problem = StreamingLeastSquares(COVARIANCE, 0.7, np.ones(3))
    threshold = 2 * (1 - mu) / ((1 - mu) / (1 + mu) + (1 + 3) / size)
    eta = 0.8 * threshold
    sgd = SGD(problem, eta, size, rule=rules.DampedNewton(momentum=mu))
    g = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / size) * eta
    expected = eta * 0.49 / (g * size - eta * 3) * np.linalg.inv(COVARIANCE)
    np.testing.assert_allclose(sgd.stationary().covariance, expected, rtol=1e-10)
    assert sgd.stability().mean_square_threshold == pytest.approx(threshold, rel=1e-10)
    with pytest.raises(InfiniteVariance):
        replace(sgd, step_size=1.01 * threshold).stationary()


@pytest.mark.parametrize(
    ("rule", "size", "eta"),
    [(rules.StochasticNewton(), 9, 0.4), (rules.StochasticNewton(0.0, "independent", 14), 4, 0.15)],
)
def test_stochastic_newton_on_a_stream_is_exact(rule, size, eta):
    """Assert stationary and transient covariance against paths, within four standard errors."""
    sgd = SGD(StreamingLeastSquares(COVARIANCE, 0.7, np.ones(3)), eta, size, rule=rule)
    exact = sgd.moments(np.zeros(3), 25)
    run = sgd.simulate(np.zeros(3), 25, 4000, "state", record=[2, 25], seed=4, threads=1)
    for step in (2, 25):
        x = run["state"].sel(step=step).values
        apart = x - exact["mean"].values[step]
        assert (np.abs(apart.mean(0)) < 4 * x.std(0) / np.sqrt(len(x))).all()
        products = apart[:, :, None] * apart[:, None, :]
        error = products.std(0) / np.sqrt(len(x))
        assert (np.abs(products.mean(0) - exact["covariance"].values[step]) < 4 * error).all()
    far = sgd.moments(np.zeros(3), 400, record=[400])["covariance"][-1]
    np.testing.assert_allclose(far, sgd.stationary().covariance, rtol=1e-9)


@pytest.mark.parametrize("rule", [rules.StochasticNewton(0.5), rules.Proximal()], ids=lambda rule: rule.label)
@pytest.mark.parametrize("d", [1, 3])
def test_single_samples_whose_features_are_alike_are_exact(rule, d):
    """Assert mean and covariance against those over many drawn rows at each step, within four standard errors."""
    problem, x0 = StreamingLeastSquares(np.full(d, 1.3), 0.7, np.ones(d)), np.zeros(d)
    sgd = SGD(problem, 0.6, rule=rule)
    exact, far = sgd.moments(x0, 12), sgd.moments(x0, 4000, record=[4000])
    run = sgd.simulate(x0, 12, 20_000, "state", record=[3, 12], seed=4, threads=1)
    for step in (3, 12):
        x = run["state"].sel(step=step).values
        apart = x - exact["mean"].values[step]
        assert (np.abs(apart.mean(0)) < 4 * x.std(0) / np.sqrt(len(x))).all()
        products = apart[:, :, None] * apart[:, None, :]
        error = products.std(0) / np.sqrt(len(x))
        assert (np.abs(products.mean(0) - exact["covariance"].values[step]) < 4 * error).all()
    np.testing.assert_allclose(far["covariance"][-1], sgd.stationary().covariance, rtol=1e-9, atol=1e-14)
    if d == 1:  # E x'^2 = E (1 - c)^2 E x^2 + noise^2 E c^2 / a^2, c = size a^2 / (damping + a^2)
        law, size = stats.chi2(1, scale=1.3), 1.0 if isinstance(rule, rules.Proximal) else 0.6
        damping = 1 / 0.6 if isinstance(rule, rules.Proximal) else 0.5
        kept = law.expect(lambda u: (1 - size * u / (damping + u)) ** 2, epsabs=1e-13)
        pushed = size**2 * 0.49 * law.expect(lambda u: u / (damping + u) ** 2, epsabs=1e-13)
        assert sgd.stationary().covariance[0, 0] == pytest.approx(pushed / (1 - kept), rel=1e-8)


def test_a_noisy_quadratic_has_one_law_under_four_rules():
    """Assert that rules whose matrix is constant are preconditioned descents, with the same law."""
    problem = NoisyQuadratic(COVARIANCE, np.eye(3) + 0.3, np.ones(3))
    newton = SGD(problem, 0.3, rule=rules.DampedNewton(0.2)).stationary()
    same = SGD(problem, 0.3, rule=rules.StochasticNewton(0.2, "independent")).stationary()
    np.testing.assert_allclose(newton.covariance, same.covariance, rtol=1e-12)
    matrix = np.linalg.inv(COVARIANCE + 0.2 * np.eye(3))
    np.testing.assert_allclose(
        newton.covariance, SGD(problem, 0.3, preconditioner=matrix).stationary().covariance, rtol=1e-10
    )
    proximal = SGD(problem, 0.3, rule=rules.Proximal())
    kept = np.linalg.inv(np.eye(3) + 0.3 * COVARIANCE)
    s = proximal.stationary().covariance
    noise_ = 0.09 * kept @ (np.eye(3) + 0.3) @ kept
    np.testing.assert_allclose(s, kept @ s @ kept + noise_, rtol=1e-10)
    assert proximal.stability().mean_threshold == np.inf
    fisher = SGD(problem, 0.3, rule=rules.NaturalGradient(fisher="centred")).stationary().covariance
    step = np.eye(3) - 0.3 * np.linalg.inv(np.eye(3) + 0.3) @ COVARIANCE
    np.testing.assert_allclose(
        fisher, step @ fisher @ step.T + 0.09 * np.linalg.inv(np.eye(3) + 0.3), rtol=1e-9, atol=1e-12
    )


STREAM, ROWS = StreamingLeastSquares(COVARIANCE, 0.3, np.ones(3)), LeastSquares.from_arrays(A, B)
LOSS = SampleLoss(lambda x, i: (x[:, :1] - B[i]) ** 2 / 2, lambda x, i: x[:, None, :] - B[i][..., None], 24, 1)


@pytest.mark.parametrize(
    ("problem", "size", "rule", "message"),
    [
        (ROWS, 2, rules.StochasticNewton(), "rank 2 at most in 3 parameters"),
        (ROWS, 4, rules.StochasticNewton(), "one row again and again"),
        (STREAM, 2, rules.StochasticNewton(), "rank 2 at most"),
        (STREAM, 3, rules.NaturalGradient(fisher="centred", samples="batch"), "rank 2 at most"),
        (PROBLEMS["rows"], 1, rules.NaturalGradient(0.1, "centred", "batch"), "one sample has no covariance"),
        (ROWS, 4, rules.NaturalGradient(fisher="empirical"), "state a damping above 0"),
        (NoisyQuadratic([1.0, -0.5], [1.0, 1.0]), 1, rules.DampedNewton(0.2), "damping above 0.5"),
        (PROBLEMS["additive"], 1, rules.NaturalGradient(), "no model of labels"),
        (PROBLEMS["additive"], 2, rules.NaturalGradient(0.1, "empirical", "batch"), "not drawn one by one"),
        (LOSS, 2, rules.NaturalGradient(0.1), "no model of labels"),
        (NETWORK, 2, rules.DampedNewton(), "state a damping above 0"),
        (StreamingLeastSquares(COVARIANCE, 0.3, np.ones(3), -0.5), 1, rules.StochasticNewton(0.3), "add up to -0.2"),
    ],
)
def test_a_matrix_that_is_lacking_or_may_be_singular_is_refused(problem, size, rule, message):
    """Assert one sentence that says why, when the descent is made."""
    with pytest.raises(InvalidInput, match=message) as caught:
        SGD(problem, 0.1, size, rule=rule)
    assert len(str(caught.value)) < 300


def test_what_does_not_close_says_so():
    """Assert sentences of open laws, of batches without number, of rules inside others, and of schedules."""
    natural = SGD(STREAM, 0.1, 4, rule=rules.NaturalGradient(fisher="centred"))
    for ask in (natural.stationary, natural.stability, lambda: natural.moments(np.zeros(3), 3)):
        with pytest.raises(InvalidInput, match="does not close, because its matrix depends on the position"):
            ask()
    with pytest.raises(InvalidInput, match="go through all batches"):
        SGD(ROWS, 0.1, 5, rule=rules.StochasticNewton(0.1)).stationary()
    with pytest.raises(InvalidInput, match="on a stream are known without damping"):
        SGD(STREAM, 0.1, 5, rule=rules.Proximal()).stationary()
    with pytest.raises(InvalidInput, match="reshuffled epochs"):
        SGD(ROWS, 0.1, 2, "reshuffle", rule=rules.Proximal()).stationary()
    with pytest.raises(InfiniteVariance, match="no variance that .* could settle to"):
        SGD(STREAM, 0.1, 4, rule=rules.StochasticNewton()).stationary()
    with pytest.raises(InvalidInput, match="clipping the gradient does not bound"):
        rules.Clipped(1.0, rules.DampedNewton())
    with pytest.raises(InvalidInput, match="which no model with a noise mechanism gives"):
        NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.1), 0.1, rule=rules.Proximal())
    with pytest.raises(InvalidInput, match="is the schedule"):
        SGD(ROWS, lambda k: 0.1, rule=rules.Proximal()).stationary()
    with pytest.raises(InvalidInput, match="hessian='independent'"):
        rules.StochasticNewton(0.1, hessian_batch_size=3)
