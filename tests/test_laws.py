"""compare.laws: exact rows, verdicts, intervals, distances and what it refuses."""

import json
import warnings

import numpy as np
import pytest
from scipy.stats import binomtest
from sgdlimits import compare
from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.ensembles import Gaussian
from sgdlimits.ensembles.observables import Recorded
from sgdlimits.exact.errors import InvalidInput, MismatchedProcesses, OverflowedPaths, StabilityWarning
from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares


@pytest.fixture(scope="module")
def problem():
    return LeastSquares.gaussian(60, 4, spectrum=0.5, noise=0.5, seed=3, ridge=0.05)


@pytest.fixture(scope="module")
def sgd(problem):
    return SGD(problem, 0.1, 4)


@pytest.fixture(scope="module")
def result(sgd):
    others = [kind.of(sgd) for kind in (HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck, GradientFlow)]
    return compare.laws(
        sgd, *others, np.ones(4), steps=40, paths=2000, seed=2, observables=("risk", "norm"), record=[0, 10, 40]
    )


def test_exact_rows_are_the_exact_moments(sgd, result):
    """Assert that E risk and its differences are those of `moments`, without an interval."""
    data = result.dataset
    first = sgd.moments(np.ones(4), 40, record=[10, 40])["risk"].values
    second = HomogenizedSGD.of(sgd).moments(np.ones(4), 40, record=[10, 40])["risk"].values
    np.testing.assert_array_equal(data["estimate"].sel(process="SGD", observable="risk"), first)
    difference = data["difference"].sel(process="homogenized SGD", observable="risk")
    np.testing.assert_array_equal(difference, second - first)
    assert (data["standard_error"].sel(observable="risk") == 0).all() and data["exact"].sel(observable="risk").all()
    assert not data["exact"].sel(observable="norm").any()
    assert (data["difference_lower"] == data["difference_upper"]).sel(observable="risk").all()


def test_budget_of_every_side_adds_up_to_what_was_simulated(sgd, result):
    """Assert that the parts sum to the difference of the plain Monte Carlo means."""
    runs = {"SGD": sgd, "homogenized SGD": HomogenizedSGD.of(sgd)}
    solver, substeps = json.loads(result.dataset.attrs["sampled_by"])["homogenized SGD"]
    scheme = {"SGD": {}, "homogenized SGD": {"solver": solver, "substeps": substeps}}
    means = {
        name: process.simulate(np.ones(4), 40, 2000, seed=2, record=[0, 10, 40], **scheme[name])["risk"].values.mean(0)
        for name, process in runs.items()
    }
    data = result.dataset.sel(process="homogenized SGD")
    np.testing.assert_allclose(
        data["budget"].sum("part"), means["homogenized SGD"] - means["SGD"], rtol=1e-10, atol=1e-14
    )
    np.testing.assert_allclose(data["budget_sum"], data["difference"].sel(observable="risk"), rtol=1e-10, atol=1e-14)


def test_prediction_is_the_limit_of_the_difference(problem):
    """Assert that difference / predicted - 1 halves with the step size, for each kind of diffusion."""
    for kind in (HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck, GradientFlow):
        gaps = []
        for steps in (200, 400, 800):
            sgd = SGD(problem, 4 / steps, 4)
            found = compare.laws(sgd, kind.of(sgd), x0=np.ones(4), steps=steps, paths=2, observables="risk", record=2)
            row = found.dataset.isel(process=1, observable=0, step=-1)
            gaps.append(abs(float(row["difference"] / row["predicted"]) - 1))
        assert 1.7 < gaps[0] / gaps[1] < 2.4 and 1.7 < gaps[1] / gaps[2] < 2.4, kind


def test_verdicts_follow_the_tolerance(sgd):
    """Assert agrees / differs / undecided at tolerances around an exact and around a sampled difference."""
    flow = GradientFlow.of(sgd)

    def verdict(tolerance, observable):
        found = compare.laws(
            sgd, flow, x0=np.ones(4), steps=30, paths=500, observables=[observable], record=1, tolerance=tolerance
        )
        row = found.dataset.isel(process=1, observable=0, step=0)
        return str(row["verdict"].values), row

    _, row = verdict(0.05, "risk")
    free = LeastSquares.from_arrays(sgd.problem.features, sgd.problem.targets)  # its least risk has no ridge
    excess = float(sgd.moments(np.ones(4), 30, record=[30])["risk"][-1]) - free.risk_at_minimiser
    relative = abs(float(row["difference"])) / excess
    assert verdict(relative * 1.001, "risk")[0] == "agrees" and verdict(relative * 0.999, "risk")[0] == "differs"
    _, row = verdict(0.05, "norm")
    reference = float(row["estimate"] - row["difference"])
    assert verdict(abs(float(row["difference"])) / reference, "norm")[0] == "undecided"


def test_a_wrong_law_is_told_apart(problem, sgd):
    """Assert that a diffusion of another batch size fails where the right one does not, and that it is said."""
    wrong = HomogenizedSGD(problem, 0.1, 1)
    with pytest.warns(MismatchedProcesses, match="batch_size 1, SGD has 4"):
        found = compare.laws(
            sgd, HomogenizedSGD.of(sgd), wrong, x0=np.ones(4), steps=60, paths=4000, observables=["risk"], record=1,
            tolerance=0.5,
        )
    right, other = (found.dataset.isel(process=i, observable=0) for i in (1, 2))
    assert right["verdict"].item() == "agrees" and other["verdict"].item() == "differs"
    assert float(other["ks_lower"][-1]) > 0.2 and float(right["ks"][-1]) < 0.1
    assert float(other["w1_lower"][-1]) > 0 and float(other["gelbrich"][-1]) > 3 * float(right["gelbrich"][-1])
    assert json.loads(found.dataset.attrs["mismatches"]) and "budget" in found.dataset


def test_bits_do_not_depend_on_threads(sgd):
    """Assert equal results with one thread and with two."""
    hsgd = HomogenizedSGD.of(sgd)
    options = {"x0": Gaussian(np.zeros(4), np.eye(4)), "steps": 12, "paths": 300, "seed": 5}
    first, second = (compare.laws(sgd, hsgd, threads=threads, **options).dataset for threads in (1, 2))
    assert first.identical(second)


def test_save_and_load_give_the_same_object(result, tmp_path):
    """Assert that everything printed survives the file."""
    result.save(tmp_path / "result.nc")
    again = compare.Laws.load(tmp_path / "result.nc")
    assert str(again) == str(result) and again.to_latex() == result.to_latex() and again.claims() == result.claims()


def test_losses_without_moments_are_compared_by_sampling():
    """Assert a logistic problem: no exact rows, intervals around a known difference, and why there is no budget."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((40, 2))
    problem = Logistic(features, (features[:, 0] > 0).astype(int), ridge=0.1)
    sgd = SGD(problem, 0.05, 4)
    found = compare.laws(sgd, GradientFlow.of(sgd), x0=np.ones(2), steps=20, paths=400, record=[20])
    assert not found.dataset["exact"].any() and "budget" not in found.dataset
    assert "least squares" in found.dataset.attrs["budget_absent"]
    assert (found.dataset["difference_lower"] < found.dataset["difference_upper"]).isel(process=1).all()


def test_overflow_is_counted_not_hidden(problem):
    """Assert that a run past its threshold reports the paths lost, and prints no nan."""
    sgd = SGD(problem, 60.0, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (StabilityWarning, OverflowedPaths))
        found = compare.laws(sgd, HomogenizedSGD.of(sgd), x0=np.ones(4), steps=400, paths=32, record=[2, 400])
    counted = json.loads(found.dataset.attrs["overflowed"])
    assert counted["SGD"][0] == 32 and "nan" not in str(found)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"x0": None}, "x0 is missing"),
        ({"x0": np.ones(3)}, "x0 has shape"),
        ({"paths": 1}, "paths must be at least 2"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"record": [50]}, "record asks for step 50"),
        ({"solver": "strnag"}, "did you mean 'strang'"),
        ({"observables": ["rsk"]}, "did you mean 'risk'"),
        ({"observables": {"all": "state"}}, "not a number"),
        ({"observables": ["test_risk"]}, "held out"),
        ({"confidence": 1.0}, "confidence must be"),
        ({"tolerance": 0}, "tolerance must be above zero"),
    ],
)
def test_bad_input_gets_one_sentence(sgd, change, sentence):
    """Assert InvalidInput with the offending value."""
    options = {"x0": np.ones(4), "steps": 10, "paths": 10, **change}
    with pytest.raises(InvalidInput, match=sentence):
        compare.laws(sgd, HomogenizedSGD.of(sgd), **options)


def test_it_needs_two_processes(sgd):
    """Assert a sentence for one process, for something that is none, and for different dimensions."""
    with pytest.raises(InvalidInput, match="nothing to compare"):
        compare.laws(sgd, x0=np.ones(4), steps=3)
    with pytest.raises(InvalidInput, match="a process is needed"):
        compare.laws(sgd, 3.0, x0=np.ones(4), steps=3)
    other = SGD(LeastSquares.gaussian(5, 3), 0.1)
    with pytest.raises(InvalidInput, match="different dimensions"):
        compare.laws(sgd, other, x0=np.ones(4), steps=3)


@pytest.mark.slow
def test_printed_intervals_cover():
    """Assert 95 % coverage of differences and estimates over 1000 seeds, judged by the binomial error.

    The means of SGD and of Euler's homogenized SGD are both gradient descent's, so the true difference of a
    coordinate is zero. The interval shrunk by a fifth must fail.
    """
    problem = LeastSquares.gaussian(30, 3, noise=0.5, seed=1)
    sgd = SGD(problem, 0.15, 2)
    hsgd = HomogenizedSGD.of(sgd)
    truth = sgd.moments(np.ones(3), 12, record=[12])["mean"].values[-1, 0]
    inside = shrunk = alone = 0
    for seed in range(1000):
        found = compare.laws(
            sgd, hsgd, x0=np.ones(3), steps=12, paths=300, record=1, seed=seed, threads=1, solver="euler",
            observables={"first": Recorded(lambda x: x[:, 0])},  # a reducer's expectation is sampled
        ).dataset  # fmt: skip
        row = found.isel(process=1, observable=0, step=0)
        half = float(row["difference_upper"] - row["difference_lower"]) / 2
        inside += abs(float(row["difference"])) <= half
        shrunk += abs(float(row["difference"])) <= 0.8 * half
        gap = abs(float(found["estimate"].isel(process=0, observable=0, step=0)) - truth)
        alone += gap <= 1.96 * float(found["standard_error"].isel(process=0, observable=0, step=0))
    assert binomtest(inside, 1000, 0.95).pvalue > 0.01 and binomtest(alone, 1000, 0.95).pvalue > 0.01
    assert shrunk < 930


@pytest.mark.filterwarnings("ignore::sgdlimits.exact.errors.StabilityWarning")
def test_the_worst_of_steps_alike_on_the_scale_is_the_largest():
    """Assert it where SGD grows away, so that all late differences are 100 % of the scale to rounding."""
    sgd = SGD(StreamingLeastSquares([1.0], 0.3, [1.0]), 1.2)
    found = compare.laws(sgd, HomogenizedSGD.of(sgd), x0=[0.0], steps=200, paths=2, observables=("risk",))
    row = found.dataset.isel(process=1, observable=0)
    assert int(row["worst_step"]) == 200
    assert float(row["worst_difference"]) == float(row["difference"][-1])
    assert np.abs(row["difference"] / row["scale"])[1:].max() == pytest.approx(1, rel=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_infinite_value_at_the_start_is_no_overflow():
    """Assert that log |x| from the origin is not said to overflow, and what is infinite later is named as such."""
    sgd = SGD(StreamingLeastSquares([1.0], 0.3, [1.0]), 0.1)

    def log(x):
        with np.errstate(divide="ignore"):
            return np.log(np.abs(x[:, 0]))

    def later(x):
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(x[:, 0], 0.0))

    found = compare.laws(
        sgd, HomogenizedSGD.of(sgd), x0=[0.0], steps=2, paths=200, observables={"log": log, "later": later}
    )
    cautions = [str(text) for text in found.dataset["caution"].values[1]]
    assert "overflow" not in cautions[0] and "infinite value" not in cautions[0]
    assert "infinite value" in cautions[1] and "overflow" not in cautions[1]
    means = found.dataset["estimate"].sel(observable="later").values
    assert np.isneginf(means).all()
