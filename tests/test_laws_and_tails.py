"""What tail indices take from the rows of compare.laws."""

import numpy as np
import pytest
from scipy import stats

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare._laws import wording
from sgdlimits.compare._laws.growth import growth_of
from sgdlimits.compare.known_tails import KnownTail, known_tail, lost_to_tails
from sgdlimits.ensembles import Maximum
from sgdlimits.exact.errors import MismatchedProcesses, StabilityWarning

PLANE = problems.StreamingLeastSquares([1.0, 0.36], 0.3, [1.0, 1.0])
ALIKE = problems.StreamingLeastSquares([1.0, 1.0], 0.3, [1.0, 1.0])  # its index is one quadrature


def norms(step_size):
    sgd = discrete.SGD(ALIKE, step_size)
    found = compare.laws(sgd, diffusions.HomogenizedSGD.of(sgd), x0=np.zeros(2), steps=10, paths=200)
    return sgd, found, found.dataset.sel(observable="norm", process="homogenized SGD")


def test_a_variance_that_is_infinite_gives_no_interval_and_a_mean_that_is_none():
    sgd, found, row = norms(0.2)  # index above 4: everything is printed
    assert sgd.tail_index().index > 4
    assert np.isfinite(row["worst_lower"]) and "no" not in str(row["caution"].item()).split()
    assert not any(note.startswith("TAILS") for note in found.notes())

    with pytest.warns(StabilityWarning):
        sgd, found, row = norms(0.6)
    assert 1 < sgd.tail_index().index < 2
    assert np.isfinite(row["worst_difference"]) and np.isinf(row["worst_upper"])
    assert "no variance" in str(row["caution"].item()) and str(row["overall"].item()) == "undecided"
    assert np.isfinite(found.dataset["w1"].sel(observable="norm")).all()
    assert any(note.startswith("TAILS") and "is not that of SGD" in note for note in found.notes())

    with pytest.warns(StabilityWarning):
        sgd, found, row = norms(0.75)
    assert sgd.tail_index().index < 1
    assert np.isnan(row["worst_difference"]) and "no mean" in str(row["caution"].item())
    distances = found.dataset.sel(observable="norm", process="homogenized SGD")
    assert np.isnan(distances["w1"]).all() and np.isfinite(distances["ks"]).all()
    risk = found.dataset.sel(observable="risk", process="homogenized SGD")
    assert bool(risk["exact"]) and np.isfinite(risk["worst_difference"])  # what is exact stays


POWERS = {
    "cube": (lambda x: np.abs(x[:, 0]) ** 3, 3),
    "root of the norm": (lambda x: np.linalg.norm(x, axis=1) ** 0.5, 0.5),
    "a cube that shows late": (lambda x: np.abs(x[:, 0]) ** 3 + 1e3 * x[:, 1] ** 2, 3),
    "a difference of squares": (lambda x: (x[:, 0] - 1) ** 2 - x[:, 0] ** 2, 1),
    "a wave": (lambda x: x[:, 1] * np.cos(x[:, 0]), 1),
    "a product with a logarithm": (lambda x: np.abs(x[:, 0]) * np.log1p(np.abs(x[:, 0])), 1),
    "a logarithm": (lambda x: np.log(0.1 + np.square(x).sum(axis=1)), 0),
    "an indicator": (lambda x: np.abs(x[:, 0]) > 2, 0),
    "a bell": (lambda x: np.exp(-np.square(x).sum(axis=1)), 0),
    "an exponential": (lambda x: np.exp(x[:, 0]), np.inf),
    "no number": (lambda x: np.full(len(x), np.nan), None),
}


@pytest.mark.parametrize("name", POWERS)
def test_growth_is_seen_on_rays(name):
    function, power = POWERS[name]
    found = growth_of(function, np.ones(2))
    assert found is None if power is None else found == pytest.approx(power, abs=0.01)


@pytest.mark.filterwarnings("ignore::sgdlimits.exact.errors.StabilityWarning")
def test_a_users_function_is_judged_by_its_growth():
    """Assert no mean of |x|^3 at indices below 3, no error of |x|^0.9 at 1.7, and both of what is bounded."""
    observables = {name: POWERS[name][0] for name in ("cube", "a logarithm", "an indicator")}
    observables |= {"power": lambda x: np.abs(x[:, 0]) ** 0.9, "late": Maximum(lambda x: np.abs(x[:, 0]) ** 3)}
    for step_size in (0.41, 0.54):  # indices 2.9 and 1.7: at the first only the index itself decides
        sgd = discrete.SGD(ALIKE, step_size)
        levy = diffusions.StableOrnsteinUhlenbeck.of(sgd, 1.7)
        found = compare.laws(sgd, levy, x0=np.zeros(2), steps=10, paths=200, observables=observables, record=[10])
        means = found.dataset["estimate"].isel(step=-1)
        assert np.isnan(means.sel(observable=["cube", "late"])).all()
        kept = ["a logarithm", "an indicator", "power"]
        assert np.isfinite(means.sel(observable=kept)).all()
        errors = found.dataset["standard_error"].isel(step=-1).sel(observable=kept).values
        assert np.isfinite(errors[:, :2]).all()
        assert np.isinf(errors[:, 2]).tolist() == [step_size > 0.5, True]
        said = " ".join(found.notes())
        assert "cube grows like |x|^3" in said and "a logarithm grows slower than every power" in said


@pytest.mark.filterwarnings("ignore::sgdlimits.exact.errors.StabilityWarning")
def test_a_scheme_is_judged_by_its_own_moments():
    """Assert no error bar of Euler with increments past its threshold, where the process is stable, and one below."""
    sgd = discrete.SGD(PLANE, 0.5)
    limit = diffusions.HomogenizedSGD(PLANE, 1.2)
    assert limit.stability().mean_square_stable
    assert not limit.scheme_settles("euler") and limit.scheme_settles("euler", 8)
    for substeps in (1, 8):
        with pytest.warns(MismatchedProcesses):
            found = compare.laws(
                sgd, limit, x0=np.zeros(2), steps=10, paths=200, solver="euler", substeps=substeps, record=[10]
            )
        row = found.dataset.sel(process="homogenized SGD by euler", observable="norm").isel(step=-1)
        assert np.isinf(row["standard_error"]) == (substeps == 1)
        caution = str(row["caution"].item())
        assert ("no variance" in caution) == ("unstable" in caution) == (substeps == 1)
        said = " ".join(found.notes())
        assert ("by euler: NOT stable" if substeps == 1 else "by euler: stable") in said
        assert ("by euler at most 2" if substeps == 1 else "by euler at least 2") in said


def test_a_known_law_without_a_mean_is_no_verdict():
    """Assert it of undefined and infinite means, whatever scipy calls them; a law that has one keeps its verdict."""
    sgd = discrete.SGD(problems.StreamingLeastSquares([1.0], 0.3, [0.0]), 0.2)
    observables = {name: lambda x: np.sin(x[:, 0]) for name in "abcd"}
    laws = {"a": stats.cauchy(), "b": stats.t(0.8), "c": stats.pareto(0.5), "d": stats.norm()}
    found = compare.laws(
        sgd, compare.KnownLaw(laws), x0=[0.0], steps=2, record=[2], paths=200, observables=observables
    )
    row = found.dataset.sel(process="known law").isel(step=-1)
    assert row["overall"].values.tolist()[:3] == ["none"] * 3 == row["verdict"].values.tolist()[:3]
    for name in ("estimate", "w1"):
        assert np.isnan(row[name].values.reshape(4)).tolist() == [True, True, True, False]
    assert np.isfinite(row["ks"]).all() and str(row["overall"][3].item()) != "none"
    assert ["no mean" in str(text) for text in row["caution"].values] == [True, True, True, False]
    said = [note for note in found.notes() if note.startswith("LAW")]
    assert len(said) == 3 and "no verdict on known law and SGD in a" in wording.finding(found.dataset)
    assert not any(note.startswith("TAILS") for note in found.notes())


def test_what_is_known_holds_the_index():
    for problem, step_size in ((ALIKE, 0.3), (ALIKE, 0.6), (PLANE, 0.8)):
        sgd = discrete.SGD(problem, step_size)
        for process in (sgd, diffusions.HomogenizedSGD.of(sgd)):
            tail, index = known_tail(process), process.tail_index().index
            assert tail.known and tail.lower * (1 - 1e-9) <= index <= tail.upper * (1 + 1e-9)
    assert not known_tail(diffusions.UserDiffusion(lambda t, x: -x, lambda t, x: x, 1, noise_type="diagonal")).known
    gone = known_tail(discrete.SGD(ALIKE, 5.0))
    assert gone.upper == 0 and "no stationary law" in gone.why


def test_powers():
    tail = KnownTail(1.2, 1.8, "so it is said")
    assert [lost_to_tails(tail, power) for power in (0.5, 1.0, 2.0, None)] == ["", "no variance", "no mean", ""]
    assert lost_to_tails(KnownTail(), 2.0) == ""
    assert str(tail) == "between 1.200 and 1.800" and str(KnownTail(4.0, why="x")) == "at least 4.000"
    assert KnownTail(0, 2, "x").apart_from(KnownTail(2.1, 3, "y")) and not tail.apart_from(KnownTail(0, 1.5, "y"))
