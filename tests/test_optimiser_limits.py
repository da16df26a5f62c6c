"""Limits of Adam, RMSProp and sign descent: against one step of the rule, against exact laws, by Monte Carlo."""

from dataclasses import replace

import numba
import numpy as np
import pytest
from scipy.linalg import expm
from sgdlimits import compare, diffusions, ensembles
from sgdlimits.compare import capabilities
from sgdlimits.diffusions import AdamSDE, ModifiedEquation, RMSPropSDE, SignSDE, UnderdampedLangevin, integrate
from sgdlimits.discrete import SGD, rules
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import (
    LeastSquares,
    Logistic,
    SampleLoss,
    StreamingLeastSquares,
    Supervised,
    predictors,
    sources,
)
from tests.parameters import slowly

GENERATOR = np.random.default_rng(0)
A, B = GENERATOR.standard_normal((20, 3)), GENERATOR.standard_normal(20)
LINE = LeastSquares.from_arrays([[1.0]], [0.0])  # f = x^2 / 2; a batch of its one row has Gaussian noise of the label
GAUSSIAN = {"sampling": "without_replacement"}
ADAM, RMSPROP = rules.Adam(betas=(0.5, 0.75), eps=0.05), rules.RMSProp(alpha=0.75, eps=0.05)


@numba.njit
def one_sample(normals, uniforms, out):
    out[0] = normals[0]
    return normals[0]


STREAM = sources.Stream(one_sample, 1, 1)
ORDERS = {"x": lambda x: x[:, 0], "square": lambda x: x[:, 0] ** 2}


def problems():
    return {
        "rows": LeastSquares.from_arrays(A, B, ridge=0.1),
        "table": LeastSquares.gaussian(400, 3, noise=0.3, seed=1),
        "stream": StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]) + 0.1, 0.3, np.ones(3), 0.1),
        "logistic": Logistic.from_arrays(A, np.sign(B), ridge=0.1),
        "loss in NumPy": SampleLoss(
            lambda x, i: ((A[i] * x[:, None]).sum(-1) - B[i]) ** 4 / 4,
            lambda x, i: ((A[i] * x[:, None]).sum(-1) - B[i])[..., None] ** 3 * A[i], samples=20, dimension=3,
        ),
        "tanh network": Supervised(predictors.TwoLayer(3, 2, activation="tanh"), "squares", sources.Rows(A, B)),
    }  # fmt: skip


def limits(problem, **settings):
    """Name -> (SGD, its limit) of every kind."""
    found = {}
    for kind, options in (
        (UnderdampedLangevin, {"momentum": 0.9}), (AdamSDE, {"rule": ADAM}), (RMSPropSDE, {"rule": RMSPROP}),
        (SignSDE, {"rule": rules.SignSGD()}),
    ):  # fmt: skip
        sgd = SGD(problem, 0.02, **{"batch_size": 4} | settings | options)
        found[kind.__name__] = sgd, kind.of(sgd)
    return found


@pytest.mark.parametrize("name", slowly(problems(), lambda name: name in ("logistic", "tanh network")))  # they compile
def test_noise_has_the_covariance_of_the_batch(name):
    """Assert root, product, variances and mean to rounding, with and without replacement; and that limits run."""
    problem = problems()[name]
    x = 0.5 * GENERATOR.standard_normal((5, problem.dimension))
    for sampling, factor in (("with_replacement", 1 / 4), ("without_replacement", (20 - 4) / (4 * 19))):
        if name == "table" and sampling != "with_replacement" or name == "stream" and sampling != "with_replacement":
            continue  # endless, and another number of rows
        gradient = SignSDE(problem, 0.1, 4, sampling=sampling).gradient
        w, roots = GENERATOR.standard_normal((5, gradient.normals)), gradient.root(x)
        expected = factor * np.array([problem.gradient_noise_covariance(point) for point in x])
        found = np.einsum("pim,pjm->pij", roots, roots)
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())
        np.testing.assert_allclose(gradient.noise(x, w), np.einsum("pim,pm->pi", roots, w), atol=1e-12)
        np.testing.assert_allclose(gradient.variances(x), np.einsum("pii->pi", expected), atol=1e-12)
        np.testing.assert_allclose(gradient.mean(x), problem.gradient(x), atol=1e-12)
    for sgd, limit in limits(problem).values():
        run = limit.simulate(x[0], 3, 8, ("risk", "norm", "state"), substeps=2, threads=1)
        assert np.isfinite(run["risk"]).all() and run["state"].shape == (8, 4, problem.dimension)
        np.testing.assert_allclose(run["norm"], np.linalg.norm(run["state"], axis=2))
        assert run["time"][3] == pytest.approx(3 / float(limit.clock)) and limit.batch_size == sgd.batch_size


@pytest.mark.parametrize("name", ["rows", "stream", "table"])
def test_label_noise_is_counted(name):
    """Assert label_noise^2 H over the batch size beside the rows' noise, and alone where every batch holds all rows."""
    problem = problems()[name]
    x, added = GENERATOR.standard_normal((5, 3)), 0.7**2 * problem.hessian / 4
    noisy, plain = (SignSDE(problem, 0.1, 4, label_noise=level).gradient.root(x) for level in (0.7, 0.0))
    gap = np.einsum("pim,pjm->pij", noisy, noisy) - np.einsum("pim,pjm->pij", plain, plain)
    np.testing.assert_allclose(gap, np.broadcast_to(added, gap.shape), atol=1e-12)
    if name == "rows":
        alone = SignSDE(problem, 0.1, 20, label_noise=0.7, **GAUSSIAN).gradient
        np.testing.assert_allclose(alone.root(x)[0] @ alone.root(x)[0].T, added * 4 / 20, atol=1e-14)
        np.testing.assert_allclose(alone.variances(x)[0], np.diag(added) * 4 / 20, atol=1e-14)


def one_step(sgd, limit, z):
    """Mean and covariance that one step of the rule adds to a state (x, slots), by quadrature, and of the equation."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    x, *slots = limit.parts(z[None])
    gradient = x + sgd.label_noise * nodes[:, None]
    count = nodes.size
    kept = np.repeat(np.array(slots).reshape(1, -1, 1), count, axis=0)
    k = round(2 * float(limit.clock))  # at time 2 of the limit, far from where Adam's correction matters
    moved, after = sgd.update_rule.move(np.repeat(x, count, axis=0), kept, gradient, sgd.step_size, k)
    change = np.concatenate([moved, after[:, :, 0]], axis=1) - z
    mean = weights @ change
    unit = 1 / float(limit.clock)
    root = limit.diffusion(2.0, z[None])[0]
    root = np.diag(root) if root.ndim == 1 else root
    covariance = (change - mean).T @ ((change - mean) * weights[:, None])
    return mean, covariance, unit * limit.drift(2.0, z[None])[0], unit * root @ root.T


@pytest.mark.parametrize("name", ["AdamSDE", "RMSPropSDE"])
@pytest.mark.parametrize("squared_gradient", [True, False])
def test_one_step_of_the_rule_has_the_drift_and_noise_of_the_limit(name, squared_gradient):
    """Assert that first and second moments of a step differ by the square of its time; 1.44 times the noise does not.

    In the limit's own size: v in units of the squared noise.
    """
    defects = []
    for rung in range(5):
        time, noise = 0.16 / 4**rung, 2.0**rung
        rule = {
            "AdamSDE": rules.Adam((1 - 3 * time, 1 - 1.5 * time), 0.05 * noise, weight_decay=0.1),
            "RMSPropSDE": rules.RMSProp(1 - 1.5 * time, 0.05 * noise, weight_decay=0.1),
        }[name]
        sgd = SGD(LINE, np.sqrt(time), 1, label_noise=noise, rule=rule, **GAUSSIAN)
        limit = {"AdamSDE": AdamSDE, "RMSPropSDE": RMSPropSDE}[name].of(sgd, squared_gradient=squared_gradient)
        sizes = np.ones(1 + limit.slots)
        sizes[-1] = noise**2
        state = np.array([0.7, 0.3, 1.3] if name == "AdamSDE" else [0.7, 1.3])
        mean, covariance, drift, spread = one_step(sgd, limit, state * sizes)
        outer = np.outer(sizes, sizes)
        defects.append([
            np.abs((mean - drift) / sizes).max(), np.abs((covariance - spread) / outer).max(),
            np.abs((covariance - 1.44 * spread) / outer).max(),
        ])  # fmt: skip
    powers = -np.diff(np.log2(np.array(defects)), axis=0)[-1] / 2
    np.testing.assert_allclose(powers, [2, 2, 1], atol=0.1)


def chebyshev(count, half):
    """Derivative matrix and nodes of Chebyshev's points on [-half, half]."""
    k = np.arange(count + 1)
    x, weights = np.cos(np.pi * k / count), np.r_[2, np.ones(count - 1), 2] * (-1.0) ** k
    gaps = x[:, None] - x + np.eye(count + 1)
    matrix = np.outer(weights, 1 / weights) / gaps
    return (matrix - np.diag(matrix.sum(axis=1))) / half, half * x


def expected(limit, factor, x0, time, function, count=110, half=5.0):
    """E function(X) at a time of a diffusion on the line, to about 1e-9, from drift and diffusion of the limit.

    `factor` multiplies the squared diffusion. It is made to vanish at the ends, where no path comes, so that the
    backward equation needs no condition there.
    """
    derivative, x = chebyshev(count, half)
    squares = factor(x) * limit.diffusion(0.0, x[:, None])[:, 0] ** 2 * np.exp(-((x / (0.9 * half)) ** 40))
    generator = limit.drift(0.0, x[:, None]) * derivative + 0.5 * squares[:, None] * derivative @ derivative
    values = expm(time * generator) @ function(x)
    weights = (-1.0) ** np.arange(count + 1)
    weights[[0, -1]] /= 2
    weights = weights / (x0 - x)
    return (weights * values).sum() / weights.sum()


def exact_sign_descent(limit, x0, count, function):
    """E function(x) after so many steps of x -> x - eta sign(g), P(g > 0) = (1 + b(x)) / 2, on its lattice."""
    x = x0 + limit.step_size * np.arange(-count, count + 1)
    down, values = (1 + limit.mean_sign(x[:, None])[:, 0]) / 2, function(x)
    for _ in range(count):
        values = np.r_[0, down[1:-1] * values[:-2] + (1 - down[1:-1]) * values[2:], 0]
    return values[count]


def test_the_constant_of_sign_descent_tells_the_right_noise_from_a_wrong_one():
    """Assert order 1 and its constant for the right and for the unit diffusion, and order 2 with the corrected drift.

    Both constants by the leading term of the weak error: half the integral of b b' u', and of b^2 u'' more where the
    diffusion is step_size I, along the flow of -b; u is the expectation of x^2 from there on. Derived.
    """
    x0, time, noise = 1.0, 1.0, 1.0
    square = lambda x: x**2  # noqa: E731
    ratios = []
    for count in (20, 40, 80):
        sgd = SGD(LINE, time / count, 1, label_noise=noise, rule=rules.SignSGD(), **GAUSSIAN)
        first, second = SignSDE.of(sgd), SignSDE.of(sgd, order=2)
        origin = exact_sign_descent(first, x0 + 1e-7, count, square)
        unit = lambda x: 1 / np.maximum(1 - first.mean_sign(x[:, None])[:, 0] ** 2, 1e-12)  # noqa: B023, E731
        one = lambda x: np.ones_like(x)  # noqa: E731
        found = [expected(limit, factor, x0 + 1e-7, time, square) for limit, factor in (
            (first, one), (first, unit), (second, one),
        )]  # fmt: skip
        ratios.append([(value - origin) / sgd.step_size for value in found])
    ratios = np.array(ratios)
    constants = 2 * ratios[-1] - ratios[-2]  # Richardson
    right, wrong = leading_constants(x0, time, noise)
    np.testing.assert_allclose(constants, [right, wrong, 0.0], atol=2e-3)
    assert abs(wrong / right) > 2
    orders = 1 + np.log2(np.abs(ratios[-2] / ratios[-1]))
    np.testing.assert_allclose(orders, [1, 1, 2], atol=0.06)


def leading_constants(x0, time, noise):
    """Constants of E x^2 for the diffusions step_size (1 - b^2) and step_size, limit less descent."""
    from scipy.integrate import solve_ivp
    from scipy.special import erf

    b = lambda x: erf(x / (np.sqrt(2) * noise))  # noqa: E731
    slope = lambda x: np.sqrt(2 / np.pi) / noise * np.exp(-((x / noise) ** 2) / 2)  # noqa: E731
    bend = lambda x: -slope(x) * x / noise**2  # noqa: E731
    flow = lambda t, y: [-b(y[0]), -slope(y[0]) * y[1], -slope(y[0]) * y[2] - bend(y[0]) * y[1] ** 2]  # noqa: E731
    times = np.linspace(0, time, 2001)
    x, first, second = solve_ivp(flow, (0, time), [x0, 1, 0], t_eval=times, rtol=1e-10, atol=1e-12).y
    ahead = first[-1] / first
    curved = (second[-1] - ahead * second) / first**2
    u1, u2 = 2 * x[-1] * ahead, 2 * ahead**2 + 2 * x[-1] * curved
    drift = 0.5 * np.trapezoid(b(x) * slope(x) * u1, times)
    return drift, drift + 0.5 * np.trapezoid(b(x) ** 2 * u2, times)


def test_the_first_step_is_the_rules_own():
    """Assert that Adam's and RMSProp's equations begin after a step that the rule takes, whatever the substeps."""
    for rule, kind in ((ADAM, AdamSDE), (RMSPROP, RMSPropSDE), (rules.AdamW((0.5, 0.75), 0.05, 0.3), AdamSDE)):
        sgd = SGD(LINE, 0.3, 1, label_noise=0.8, rule=rule, **GAUSSIAN)
        limit, starts = kind.of(sgd), np.linspace(0.5, 2, 16)[:, None]
        noise = ensembles.Noise(3, np.arange(16))
        gradient = starts + 0.8 * noise.normals(ensembles.Purpose.BROWNIAN, 0, 1)
        moved, _ = rule.move(starts, np.zeros((16, rule.slots, 1)), gradient, 0.3, 0)
        run = limit.simulate(starts, 1, 16, "state", seed=3, threads=1)
        np.testing.assert_allclose(run["state"].values[:, 1], moved, rtol=1e-12)
    half = limit.simulate(starts, 1, 16, "state", seed=3, substeps=2, threads=1)["state"].values[:, 1]
    gradient = starts + 0.8 * ensembles.Noise(3, np.arange(16)).normals(3, 0, 2).sum(axis=1, keepdims=True) / np.sqrt(2)
    first, _ = rule.move(starts, np.zeros((16, 1 + 1, 1)), gradient, 0.3, 0)
    np.testing.assert_allclose(half, first, rtol=1e-12)


def test_without_bias_correction_or_with_a_start_it_holds_from_zero():
    """Assert that nothing is taken from the rule then, and that Adam's drift at time 0 is no nan."""
    sgd = SGD(LINE, 0.3, 1, label_noise=0.8, rule=ADAM, **GAUSSIAN)
    for options in ({"bias_correction": False}, {"second_moment": 0.5}):
        limit = AdamSDE.of(sgd, **options)
        assert limit.first_step(np.ones((1, 1)), np.ones((1, 1))) is None
        run = limit.simulate([1.0], 1, 8, "state", substeps=4, threads=1)["state"].values[:, 1]
        assert np.isfinite(run).all() and (np.abs(run - 1) < 0.3).all()
        assert limit.drift(0.0, limit.initial(np.ones((1, 1))))[0, 0] == 0
    np.testing.assert_array_equal(AdamSDE.of(sgd, second_moment=0.5).start_slots(), [[0.0], [0.5]])
    assert RMSPropSDE.of(replace(sgd, rule=RMSPROP)).start_slots() is None


def test_states_are_kept_and_bits_do_not_depend_on_threads():
    """Assert that a saved state goes on to the same bits, and that chunks and threads change none."""
    for name, (_, limit) in limits(problems()["rows"]).items():
        options = {"observables": "state", "solver": limit.law_solver, "substeps": 2, "seed": 5}
        whole = limit.simulate(np.ones(3), 8, 40, record=[8], threads=1, chunk=8, **options)
        other = limit.simulate(np.ones(3), 8, 40, record=[8], threads=2, **options)
        assert (whole["state"].values == other["state"].values).all(), name
        kept = limit.simulate(np.ones(3), 3, 40, record=[3], keep_state=True, **options)
        on = limit.simulate(ensembles.saved_state(kept), 8, 40, record=[8], **options)
        assert (on["state"].values[:, -1] == whole["state"].values[:, -1]).all(), name


def test_integrate_takes_them_in_their_own_time():
    """Assert the same paths as `simulate`, and sentences on times at which there is no state."""
    for _, limit in limits(problems()["rows"]).values():
        time = 6 / float(limit.clock)
        run = integrate(limit, np.ones(3), time, time / 12, 8, seed=2, record=[time], threads=1)
        same = limit.simulate(np.ones(3), 6, 8, "state", [6], 2, solver="euler", substeps=2, threads=1)
        np.testing.assert_allclose(run["state"].values[:, -1], same["state"].values[:, -1], rtol=1e-10)
        with pytest.raises(InvalidInput, match="begins at time 0"):
            integrate(limit, np.ones(3), time, time / 12, 8, t0=time / 2)
    adam = limits(problems()["rows"])["AdamSDE"][1]
    with pytest.raises(InvalidInput, match="whole number of increments"):
        integrate(adam, np.ones(3), 3 * 0.02**2, 3 * 0.02**2 / 2, 8)


def test_a_limit_that_a_rule_names_is_there_and_takes_it():
    """Assert for every built-in rule that names one."""
    made = {"HeavyBall": rules.HeavyBall(0.9), "Nesterov": rules.Nesterov(0.9)}
    for kind in rules.RULES:
        if kind.limit:
            sgd = SGD(problems()["rows"], 0.02, 4, rule=made[kind.__name__] if kind.__name__ in made else kind())
            limit = getattr(diffusions, kind.limit).of(sgd)
            assert not capabilities.limit_mismatch(limit, sgd) and limit.batch_size == 4
    assert sum(bool(kind.limit) for kind in rules.RULES) >= 6


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        (AdamSDE, {"rule": "rmsprop"}, "the limit of Adam and AdamW; for this rule take diffusions.RMSPropSDE.of"),
        (AdamSDE, {}, "take diffusions.ModifiedEquation.of"),
        (AdamSDE, {"rule": rules.Adam(amsgrad=True)}, "amsgrad=False"),
        (RMSPropSDE, {"rule": rules.RMSProp(centered=True)}, "without both"),
        (RMSPropSDE, {"rule": rules.RMSProp(momentum=0.5)}, "without both"),
        (SignSDE, {"rule": rules.Clipped(1.0, rules.SignSGD())}, "no diffusion with a state of its own"),
        (UnderdampedLangevin, {"rule": "adam"}, "take diffusions.AdamSDE.of"),
        (UnderdampedLangevin, {"momentum": 0.9, "sampling": "reshuffle"}, "not independent"),
        (SignSDE, {"rule": rules.SignSGD(), "step_size": lambda k: 0.1 / (1 + k)}, "schedule"),
        (ModifiedEquation, {"rule": "adam"}, "take diffusions.AdamSDE.of"),
        (ModifiedEquation, {"momentum": 0.9}, "take diffusions.UnderdampedLangevin.of"),
    ],
)
def test_what_is_no_limit_of_a_rule_says_which_is(kind, options, sentence):
    """Assert InvalidInput with the way out."""
    sgd = SGD(problems()["rows"], **{"step_size": 0.1, "batch_size": 2} | options)
    with pytest.raises(InvalidInput, match=sentence):
        kind.of(sgd)


def test_a_state_holds_more_than_the_position():
    """Assert that drift and diffusion ask for the whole state, and say how many numbers that is."""
    for name, (_, limit) in limits(problems()["rows"]).items():
        numbers = {"SignSDE": 3, "AdamSDE": 9}.get(name, 6)
        assert limit.drift(1.0, np.ones((2, numbers))).shape == (2, numbers)
        with pytest.raises(InvalidInput, match=f"must have {numbers} numbers"):
            limit.drift(1.0, np.ones((2, 4)))


def test_bad_settings_get_one_sentence():
    """Assert InvalidInput for what no optimiser has."""
    rows = problems()["rows"]
    stream = Supervised(predictors.Linear(1), "squares", STREAM)
    for make in (
        lambda: AdamSDE(rows, 0.1, betas=(0.9, 1.0)), lambda: AdamSDE(rows, 0.1, eps=0.0),
        lambda: RMSPropSDE(rows, 0.1, alpha=1.0), lambda: RMSPropSDE(rows, 0.1, second_moment=0.0),
        lambda: SignSDE(rows, 0.1, order=3), lambda: SignSDE(rows, 0.1, 21, sampling="without_replacement"),
        lambda: SignSDE(problems()["logistic"], 0.1, label_noise=0.1), lambda: SignSDE(stream, 0.1),
        lambda: AdamSDE.of("adam"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            make()


def test_laws_takes_them_beside_their_optimiser():
    """Assert no mismatch with the right one, sentences with another, and that agreement is seen."""
    rows = problems()["rows"]
    for sgd, limit in limits(rows).values():
        result = compare.laws(sgd, limit, x0=np.zeros(3), steps=4, paths=64, seed=1, threads=1)
        assert "MISMATCH" not in str(result), limit.label
    sgd, limit = limits(rows)["AdamSDE"]
    with pytest.warns(UserWarning, match="betas"):
        compare.laws(sgd, replace(limit, betas=(0.8, 0.9)), x0=np.zeros(3), steps=2, paths=8, threads=1)
    with pytest.warns(UserWarning, match="for this rule take diffusions.AdamSDE.of"):
        compare.laws(sgd, limits(rows)["SignSDE"][1], x0=np.zeros(3), steps=2, paths=8, threads=1)
