"""A row of compare.laws is about the process that it names: closed forms, and the scheme as the control."""

import json
import warnings

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.linalg import expm
from sgdlimits import compare
from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck, UserDiffusion
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.problems import LeastSquares, SampleLoss
from tests.parameters import slowly


def row(result, process=1, observable=0, step=-1):
    return result.dataset.isel(process=process, observable=observable, step=step)


@pytest.fixture(scope="module")
def column_of_ones():
    return LeastSquares.from_arrays(np.ones((20, 1)), np.linspace(-1, 1, 20))


def folded_normal(mean, deviation):
    return stats.foldnorm(abs(mean) / deviation, scale=deviation).mean()


def test_ornstein_uhlenbeck_at_a_long_step_is_itself_and_not_eulers_recursion(column_of_ones):
    """Assert E|X_k| of OU by its closed law (0.39 at step size 1.3, where SGD has 0.66), and the KS distance."""
    problem, steps, step_size = column_of_ones, 3, 1.3
    sgd = SGD(problem, step_size)
    absolute = {"absolute": lambda x: np.abs(x[:, 0])}
    options = {"x0": np.array([2.0]), "steps": steps, "record": [steps], "observables": absolute, "paths": 20_000}
    result = compare.laws(sgd, OrnsteinUhlenbeck.of(sgd), **options)
    noise = np.var(np.linspace(-1, 1, 20))  # gradient covariance at the minimiser, at 0
    variance = step_size * noise / 2 * (1 - np.exp(-2 * step_size * steps))
    exact = folded_normal(2 * np.exp(-step_size * steps), np.sqrt(variance))
    here = row(result)
    assert result.dataset["process"].values[1] == "Ornstein-Uhlenbeck"
    assert abs(float(here["estimate"]) - exact) < 4 * float(here["standard_error"])
    assert float(here["verdict"].item() == "differs") and float(here["difference"]) < -0.2
    assert float(result.dataset["ks_lower"].isel(process=1, observable=0, distance_step=-1)) > 0.05

    scheme = compare.laws(sgd, OrnsteinUhlenbeck.of(sgd), solver="euler", **options)
    assert scheme.dataset["process"].values[1] == "Ornstein-Uhlenbeck by euler"
    mean, variance = 2 * (1 - step_size) ** steps, 0.0
    for _ in range(steps):
        variance = (1 - step_size) ** 2 * variance + step_size**2 * noise
    there = row(scheme)
    assert abs(float(there["estimate"]) - folded_normal(mean, np.sqrt(variance))) < 4 * float(there["standard_error"])
    assert abs(float(there["difference"])) < 0.06  # Euler's recursion is SGD's with Gaussian noise


def test_a_coordinate_on_diabetes_is_exact_and_differs_from_eulers():
    """Assert E x_0 by matrix exponential and power; Euler's mean is SGD's, the process's is not."""
    problem = LeastSquares.from_dataset("diabetes")
    sgd = SGD(problem, 0.05)
    options = {"x0": np.ones(10), "steps": 5, "record": [5], "observables": {"first": lambda x: x[:, 0]}, "paths": 200}
    others = [HomogenizedSGD.of(sgd), ModifiedEquation.of(sgd, order=2)]
    result = compare.laws(sgd, *others, **options)
    offset, hessian = np.ones(10) - problem.minimiser, problem.hessian
    discrete = np.linalg.matrix_power(np.eye(10) - 0.05 * hessian, 5) @ offset
    flow = expm(-0.05 * 5 * hessian) @ offset
    corrected = expm(-0.05 * 5 * (hessian + 0.025 * hessian @ hessian)) @ offset
    for process, mean in ((1, flow), (2, corrected)):
        here = row(result, process)
        assert here["exact"] and float(here["difference"]) == pytest.approx((mean - discrete)[0], abs=1e-12)
    control = row(compare.laws(sgd, HomogenizedSGD.of(sgd), solver="euler", **options))
    assert abs(float(control["difference"])) < 1e-12  # Euler's mean is gradient descent's


def test_risk_of_a_process_is_exact_although_the_reference_is_reshuffled():
    """Assert each side decides for itself: the reference sampled, homogenized SGD's risk exact by its moments."""
    problem = LeastSquares.from_dataset("diabetes")
    sgd = SGD(problem, 0.3, 8, sampling="reshuffle")
    hsgd = HomogenizedSGD.of(sgd)
    result = compare.laws(sgd, hsgd, x0=np.ones(10), steps=20, record=[20], paths=2000, observables=["risk"])
    # One linear equation for (variances and squares of the modes), by an exponential of its own.
    curvatures, start = problem.eigenvalues, problem.to_modes(np.ones(10))
    generator = -2 * np.diag(0.3 * curvatures) + 0.3**2 / 8 * np.outer(curvatures, curvatures)
    level = 0.3**2 / 8 * curvatures * 2 * problem.risk_at_minimiser
    augmented = np.zeros((11, 11))
    augmented[:10, :10], augmented[:10, 10] = generator, level
    squares = (expm(20 * augmented) @ np.append(start**2, 1.0))[:10]
    exact = problem.risk_at_minimiser + 0.5 * curvatures @ squares
    here = row(result)
    assert float(here["estimate"]) == pytest.approx(exact, rel=1e-9) and float(here["standard_error"]) == 0
    assert float(row(result, 0)["standard_error"]) > 0 and here["verdict"].item() == "differs"
    assert abs(float(here["difference"]) + 0.06) < 0.03


def test_a_squared_norm_of_the_users_is_exact():
    """Assert E|x|^2 from moments, found in a user's lambda; a function that is no quadratic elsewhere is sampled."""
    problem = LeastSquares.from_dataset("diabetes")
    sgd = SGD(problem, 0.0357)
    square = {"square": lambda x: np.square(x).sum(axis=1), "clipped": lambda x: np.minimum(x[:, 0], 1e3)}
    hsgd = HomogenizedSGD.of(sgd)
    result = compare.laws(sgd, hsgd, x0=np.zeros(10), steps=20, record=[20], observables=square, paths=300)
    values = []
    for process in (sgd, hsgd):
        moments = process.moments(np.zeros(10), 20, record=[20]).isel(step=-1)
        values.append(float(np.square(moments["mean"]).sum() + np.trace(moments["covariance"])))
    here = row(result)
    assert float(here["difference"]) == pytest.approx(values[1] - values[0], rel=1e-9)
    assert float(here["difference"]) == pytest.approx(-6.22e-3, rel=0.01)
    assert not row(result, observable=1)["exact"]


def test_the_modified_equation_of_a_users_loss_is_not_its_euler_scheme():
    """Assert the mean of |x| against a fine scheme on a logistic loss; the interval holds the integrator's part."""
    generator = np.random.default_rng(1)
    data = generator.standard_normal((40, 2))
    labels = np.where(generator.random(40) < 0.7, 1.0, -1.0) * np.sign(data[:, 0])
    signed = data * labels[:, None]

    def value(x, rows):
        return np.logaddexp(0, -np.einsum("pbj,pj->pb", signed[rows], x))

    def gradient(x, rows):
        chosen = signed[rows]
        return -chosen / (1 + np.exp(np.einsum("pbj,pj->pb", chosen, x)))[..., None]

    problem = SampleLoss(value, gradient, samples=40, dimension=2)
    sgd = SGD(problem, 2.0, 2)
    process = ModifiedEquation.of(sgd)
    options = {"x0": np.ones(2), "steps": 5, "record": [5], "observables": ["norm"], "paths": 2000}
    result = compare.laws(sgd, process, **options)
    fine = process.simulate(np.ones(2), 5, 3000, record=[5], seed=77, substeps=32)["norm"].values[:, -1]
    here, reference = row(result), float(row(result, 0)["estimate"])
    truth = fine.mean() - reference
    slack = 3 * fine.std() / np.sqrt(len(fine))
    assert float(here["difference_lower"]) - slack < truth < float(here["difference_upper"]) + slack
    assert json.loads(result.dataset.attrs["sampled_by"])["modified equation, order 1"][1] > 1


def test_any_scheme_can_be_asked_for_and_names_its_row(column_of_ones):
    """Assert rows by Heun and by a weak scheme; one that no diffusion takes is refused, one that some take is said."""
    sgd = SGD(column_of_ones, 0.3)
    sides = [HomogenizedSGD.of(sgd), ModifiedEquation.of(sgd)]
    options = {"x0": np.ones(1), "steps": 4, "record": [4], "paths": 50}
    for solver in ("heun", "ri6"):
        found = compare.laws(sgd, *sides, solver=solver, **options)
        assert found.dataset["process"].values[1] == f"homogenized SGD by {solver}"
    found = compare.laws(sgd, OrnsteinUhlenbeck.of(sgd), sides[0], solver="sra1", **options)
    assert list(found.dataset["process"].values[1:]) == ["Ornstein-Uhlenbeck by sra1", "homogenized SGD"]
    assert "does not take 'sra1'" in str(found) and "scheme replaced" in str(found)
    with pytest.raises(InvalidInput, match="sra1"):
        compare.laws(sgd, *sides, solver="sra1", **options)
    with pytest.raises(InvalidInput, match="did you mean 'strang'"):
        compare.laws(sgd, *sides, solver="strnag", **options)


class Walk:
    """x <- 0.5 x + xi: an autoregression of any dimension, in the protocol of a recurrence."""

    label = "autoregression"

    def initial_state(self, x0):
        return np.array(x0)

    def step(self, k, state, noise):
        from sgdlimits.ensembles import Purpose

        return 0.5 * state + noise.normals(Purpose.LABEL_NOISE, k, state.shape[1])

    def position(self, state):
        return state


@pytest.mark.parametrize("d", [1, 2, 10])
def test_two_processes_without_a_problem_and_with_different_clocks(d):
    """Assert E cos of the first coordinate of a user's recurrence and diffusion, both Gaussian, by closed forms."""
    rate, clock = np.log(2) * 4, 4.0  # contracts by 1/2 a step, 4 steps a unit of time
    spread = np.sqrt(2 * rate * 4 / 3)  # the same stationary variance 4/3
    diffusion = UserDiffusion(
        lambda t, x: -rate * x, lambda t, x: spread * np.ones(d), d, noise_type="additive", label="its limit"
    )
    options = {"x0": np.ones(d), "steps": 6, "record": [1, 6], "paths": 3000}
    cosine = {"cosine": lambda x: np.cos(x[:, 0])}
    result = compare.laws(Walk(), diffusion, observables=cosine, clock=clock, **options)
    for place, steps in enumerate((1, 6)):
        exact = np.cos(0.5**steps) * np.exp(-(4 / 3) * (1 - 0.25**steps) / 2)
        for process in (0, 1):
            here = row(result, process, step=place)
            assert abs(float(here["estimate"]) - exact) < 4 * float(here["standard_error"]) + 1e-3
    assert list(result.dataset["process"].values) == ["autoregression", "its limit"]
    with pytest.raises(InvalidInput, match="states no clock"):
        compare.laws(Walk(), diffusion, observables=cosine, **options)


def test_a_law_in_closed_form_needs_no_paths():
    """Assert mean exact, KS and W1 to a normal; a wrong normal is told apart at the size of its shift."""
    scale = np.sqrt(4 / 3)
    right = compare.KnownLaw({"first": lambda k: stats.norm(0.5**k, scale * np.sqrt(1 - 0.25**k))}, "AR(1) law")
    wrong = compare.KnownLaw({"first": stats.norm(0.4, scale)}, "shifted")
    result = compare.laws(
        Walk(), right, wrong, x0=np.ones(2), steps=8, record=[8], paths=4000, observables={"first": lambda x: x[:, 0]}
    )
    assert row(result, 1)["exact"] and float(row(result, 1)["estimate"]) == pytest.approx(0.5**8)
    data = result.dataset.isel(observable=0, distance_step=0)
    assert float(data["ks"][1]) < 0.03 and float(data["w1_lower"][1]) == 0
    shift = 0.4 - 0.5**8
    assert float(data["w1_lower"][2]) < shift < float(data["w1_upper"][2]) and float(data["w1_lower"][2]) > 0.2
    assert row(result, 2)["verdict"].item() == "differs"
    assert float(data["quantiles"][1, 0, 2]) == pytest.approx(0.5**8)
    with pytest.raises(InvalidInput, match="no law of 'second'"):
        compare.laws(Walk(), right, x0=np.ones(2), steps=8, paths=10, observables={"second": lambda x: x[:, 1]})


def test_wasserstein_to_a_known_law_is_its_integral():
    """Assert W1 of a sample to a normal against quadrature of |F_n - F|."""
    from sgdlimits.compare.distances import EmpiricalLaw, ExactLaw, kolmogorov_smirnov, wasserstein

    sample = np.random.default_rng(0).standard_normal(60) * 1.3 + 0.2
    law, exact = EmpiricalLaw(sample), ExactLaw(stats.norm())
    gap = lambda x: np.abs(law.cdf(np.atleast_1d(x)) - stats.norm.cdf(x))  # noqa: E731
    knots = np.concatenate([[-12.0], np.sort(sample), [12.0]])
    truth = sum(integrate.quad(lambda x: gap(x)[0], a, b)[0] for a, b in zip(knots[:-1], knots[1:]))
    assert wasserstein(law, exact).value == pytest.approx(truth, rel=0.01)
    assert kolmogorov_smirnov(law, exact).value == pytest.approx(stats.kstest(sample, "norm").statistic, abs=1e-12)


def test_the_integrators_part_is_taken_off_the_mean_and_put_into_the_distances():
    """Assert geometric Brownian motion by Euler at h = 0.1, 5 % off its mean, against its lognormal law; the scheme's
    own row keeps the error."""
    process = UserDiffusion(lambda t, x: -x, lambda t, x: 0.3 * x, 1, noise_type="diagonal", label="geometric")
    law = compare.KnownLaw({"first": lambda k: stats.lognorm(0.3 * np.sqrt(k / 5), scale=np.exp(-1.045 * k / 5))})
    options = {
        "x0": np.ones(1), "steps": 5, "record": [5], "paths": 20_000, "clock": 5.0, "substeps": 2,
        "observables": {"first": lambda x: x[:, 0]},
    }  # fmt: skip
    found = compare.laws(law, process, **options)
    here, distance = row(found), found.dataset.isel(process=1, observable=0, distance_step=-1)
    error = 0.3 * np.exp(-1.0) / np.sqrt(20_000)
    assert abs(float(here["estimate"]) - np.exp(-1.0)) < 4 * error
    assert float(distance["ks_lower"]) == 0 and float(distance["w1_lower"]) == 0
    scheme = compare.laws(law, process, solver="euler", **options)
    there, distance = row(scheme), scheme.dataset.isel(process=1, observable=0, distance_step=-1)
    assert abs(float(there["estimate"]) - 0.9**10) < 4 * error < abs(0.9**10 - np.exp(-1.0))
    assert float(distance["ks_lower"]) > 0.02 and float(distance["w1_lower"]) > 0.005


def test_an_infinite_side_differs_and_two_are_undecided(column_of_ones):
    """Assert F1: past its threshold SGD's risk is infinite; finite gradient flow differs, with the right sign."""
    problem = LeastSquares.gaussian(30, 3, noise=0.5, seed=0)
    sgd = SGD(problem, 8.0)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = HomogenizedSGD(problem, 40.0)
        sides = sgd, GradientFlow.of(sgd), other
        found = compare.laws(*sides, x0=np.zeros(3), steps=1500, paths=16, observables=["risk"])
    flow = row(found)
    assert np.isinf(float(row(found, 0)["estimate"])) and float(flow["difference"]) == -np.inf
    assert flow["verdict"].item() == "differs" and flow["overall"].item() == "differs"
    both = row(found, 2)
    assert both["verdict"].item() == "undecided" and np.isnan(float(both["difference"]))
    text = str(found)
    assert "nan" not in text.split() and "unstable" in text
    from sgdlimits.compare._laws.wording import finding

    assert "unstable" in finding(found.dataset) and "closest" not in finding(found.dataset)


def test_verdicts_on_a_risk_are_given_on_its_excess():
    """Assert G4: near its floor a risk within 5 % of the risk, but 20 % off in excess, differs; the scale is named."""
    problem = LeastSquares.from_dataset("diabetes")
    sgd = SGD(problem, 0.0357)
    found = compare.laws(sgd, OrnsteinUhlenbeck.of(sgd), x0=np.zeros(10), steps=105, record=[105], paths=100)
    here = found.dataset.sel(observable="risk").isel(process=1, step=-1)
    reference = float(here["estimate"] - here["difference"])
    assert abs(float(here["difference"])) < 0.05 * reference and here["verdict"].item() == "differs"
    floor = 0.5 * np.square(problem.features @ problem.minimiser - problem.targets).mean()
    assert float(here["scale"]) == pytest.approx(reference - floor, rel=1e-9)
    excess = found.dataset.sel(observable="excess").isel(process=1, step=-1)
    assert float(excess["difference"]) == pytest.approx(float(here["difference"]), rel=1e-9)
    assert "the excess of SGD over the least risk" in str(found)


def test_cancelling_errors_are_said():
    """Assert G3: on diabetes closure and step size cancel for homogenized SGD, and the finding says so."""
    sgd = SGD(LeastSquares.from_dataset("diabetes"), 0.0357)
    found = compare.laws(sgd, HomogenizedSGD.of(sgd), x0=np.zeros(10), steps=105, record=[105], paths=100)
    parts = found.dataset["budget"].isel(process=1, step=-1).values[:3]
    cancel = abs(parts.sum()) < 0.5 * np.abs(parts).max()
    assert cancel and "two errors cancel" in str(found)
    assert float(found.dataset["budget_sum"].isel(process=1, step=-1)) == pytest.approx(parts.sum())


@pytest.mark.parametrize(
    "observable, sentence",
    [
        (lambda x: 1 / 0, "raised ZeroDivisionError"),
        (lambda: 1.0, "raised TypeError"),
        (lambda x: x[:, 9], "raised IndexError"),
        (lambda x: x, "shape"),
        (lambda x: 1j * x[:, 0], "complex"),
        (lambda x: np.array(["a"] * len(x)), "no numbers"),
    ],
)
def test_a_bad_observable_is_named(column_of_ones, observable, sentence):
    sgd = SGD(column_of_ones, 0.3)
    with pytest.raises(InvalidInput, match=f"'mine'.*{sentence}"):
        compare.laws(sgd, GradientFlow.of(sgd), x0=np.ones(1), steps=2, paths=5, observables={"mine": observable})


def test_a_first_passage_is_refused(column_of_ones):
    from sgdlimits.ensembles import FirstPassage

    sgd = SGD(column_of_ones, 0.3)
    passage = {"when": FirstPassage("norm", below=0.1)}
    with pytest.raises(InvalidInput, match="'when' is a first passage"):
        compare.laws(sgd, GradientFlow.of(sgd), x0=np.ones(1), steps=2, paths=5, observables=passage)


class Cauchy(Walk):
    label = "Cauchy steps"

    def step(self, k, state, noise):
        from sgdlimits.ensembles import Purpose

        return np.tan(np.pi * (noise.uniforms(Purpose.LABEL_NOISE, k, state.shape[1]) - 0.5))


def test_an_interval_that_tails_make_meaningless_is_a_sentence():
    """Assert no interval for the mean of a Cauchy law, nor for an event that no path has seen."""
    seen = {"first": lambda x: x[:, 0], "rare": lambda x: (x[:, 0] > 1e9).astype(float)}
    zero = compare.KnownLaw({"first": stats.norm(), "rare": stats.bernoulli(1e-10)}, "light tails")
    found = compare.laws(Cauchy(), zero, x0=np.zeros(1), steps=2, record=[2], paths=2000, observables=seen)
    for place in range(2):
        here = row(found, observable=place)
        assert here["verdict"].item() == "undecided" and "tails" in here["caution"].item()
        assert np.isinf(float(here["difference_upper"]))
    assert "none: see notes" in str(found) and "tails" in str(found)


@pytest.mark.parametrize("noise", ["additive", "diagonal"])
@pytest.mark.parametrize("stiffness", slowly([4.0, 20.0, 400.0], lambda stiffness: stiffness == 400))
def test_a_stiff_diffusion_of_ones_own_is_never_extrapolated_from_unstable_increments(noise, stiffness):
    """Assert that equal laws never differ: E x^2 = 1 / (2 lambda) lies in the interval, or nothing is decided."""
    rate, clock = 20 * stiffness, 20.0
    decay, variance = np.exp(-stiffness), 1 / (40 * stiffness)

    class Exact:
        def initial_state(self, x0):
            return x0

        def step(self, k, x, stream):
            return decay * x + np.sqrt((1 - decay**2) * variance) * stream.normals(64, k, 1)

        def position(self, x):
            return x

    root = {"additive": lambda t, x: np.ones((1, 1)), "diagonal": lambda t, x: np.ones_like(x)}[noise]
    made = UserDiffusion(lambda t, x: -rate * x, root, dimension=1, noise_type=noise)
    options = {"x0": [1.0], "steps": 40, "record": [1, 40], "paths": 500}
    options["observables"] = {"square": lambda x: x[:, 0] ** 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OverflowedPaths)
        found = compare.laws(Exact(), made, clock=clock, **options).dataset.isel(process=1, observable=0, step=-1)
    assert found["verdict"].item() != "differs" and found["estimate"].item() > 0
    assert found["difference_lower"].item() <= 0 <= found["difference_upper"].item()
    if stiffness < 400:
        assert abs(found["estimate"].item() - variance) < 0.3 * variance
