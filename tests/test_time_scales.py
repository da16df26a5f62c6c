"""compare.time_scales: measured times and their exponents, beside the predicted ones."""

import numpy as np
import pytest
from scipy.optimize import brentq, curve_fit
from scipy.stats import binomtest
from sgdlimits.compare import TimeScale, TimeScales, time_scales
from sgdlimits.compare._time_scales.crossings import crossing
from sgdlimits.compare.fits import exponent, fit
from sgdlimits.compare.verdicts import judged
from sgdlimits.diffusions import GradientFlow, ManifoldLimit
from sgdlimits.discrete import SGD, NoisyGradientDescent
from sgdlimits.exact.errors import InvalidInput, StabilityWarning, Unstable
from sgdlimits.problems import LeastSquares, geometry, noise, zero_loss

HYPERBOLA, PRODUCTS = zero_loss.Hyperbola(), zero_loss.ProductSum(2)
START = np.array([2.0, 0.5])
PRODUCT_START = np.sqrt([0.9, 0.1, 0.9, 0.1])
SIZES = 0.1 * 0.5 ** np.arange(5)


def conserved(w):
    return w[:, 0] ** 2 - w[:, 1] ** 2


def difference(w):
    return w[:, 0] * w[:, 2] - w[:, 1] * w[:, 3]


def descent(model, mechanism, step_size=0.1):
    return NoisyGradientDescent(model, mechanism, step_size)


LABEL = TimeScale(
    descent(HYPERBOLA, noise.LabelNoise(0.5)), START, quantity=conserved, level=3.75 / 2, step_sizes=SIZES,
    noise_levels=[0.5, 0.35, 0.25, 0.18],
)  # fmt: skip
DROPOUT = TimeScale(
    descent(PRODUCTS, noise.Dropout(0.1)), PRODUCT_START, quantity=difference, level=0.4, step_sizes=SIZES,
    noise_levels=[0.4, 0.3, 0.2, 0.1],
)  # fmt: skip
ON_SET = TimeScale(descent(HYPERBOLA, noise.Minibatch(1)), START, label="minibatch, on the set")
OFF_SET = TimeScale(descent(HYPERBOLA, noise.Minibatch(1)), [2.2, 0.6], label="minibatch, off the set")


def quadratic():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40, 3)) * np.array([1, 0.7, 0.5])
    return LeastSquares.from_arrays(features, rng.standard_normal(40))


@pytest.fixture(scope="module")
def drifts():
    return time_scales([LABEL, DROPOUT], paths=300, threads=1)


@pytest.fixture(scope="module")
def others():
    problem = quadratic()
    x0 = problem.minimiser + 1
    still = [
        TimeScale(descent(HYPERBOLA, noise.LabelNoise(0.0), 0.025), [2.2, 0.3], kind="relaxation", label="relaxation"),
        ON_SET, OFF_SET, TimeScale(SGD(problem, 0.1), x0), TimeScale(SGD(problem, 0.1, momentum=0.5), x0),
        TimeScale(GradientFlow(problem, 0.1), x0),
    ]  # fmt: skip
    return time_scales(still, paths=64, steps=20_000, threads=1)


def cell(result, label, variable, name="exponent"):
    return float(result.dataset[name].sel(time_scale=label, variable=variable))


@pytest.mark.slow
def test_dropout_takes_time_as_one_over_step_size_and_noise_level_squared(drifts):
    """Assert exponents -1.00 and -2.00 within 0.02."""
    assert abs(cell(drifts, "Dropout", "step size") + 1) < 0.02
    assert abs(cell(drifts, "Dropout", "noise level") + 2) < 0.02


@pytest.mark.slow
def test_label_noise_takes_time_as_one_over_step_size_squared(drifts):
    """Assert exponents -2.00 within 0.05 with the bias extrapolated; the plain slope is off by more than that."""
    assert abs(cell(drifts, "label noise", "step size") + 2) < 0.05
    assert abs(cell(drifts, "label noise", "noise level") + 2) < 0.05
    bias, error = (cell(drifts, "label noise", "step size", name) for name in ("bias", "bias_error"))
    assert bias < -3 * error
    data = drifts.dataset
    first = (data["time_scale_index"].values == 0) & (data["ladder"].values == "step size")
    coarse = np.log(data["time"].values[first][:3])
    assert abs(np.polyfit(np.log(SIZES[:3]), coarse, 1)[0] + 2) > 0.05


@pytest.mark.slow
def test_predicted_times_and_exponents_are_those_of_the_limit(drifts):
    """Assert the limit's times log(2) / (step_size^2 sigma^2), and 1117 steps of Dropout at step size and sigma 0.1."""
    rows = {row["time_scale"]: row for row in drifts.table()}
    assert abs(rows["label noise"]["predicted"] - np.log(2) / 0.01 / 0.25) < 1e-3
    growth = lambda y: np.log(y**2 / (1 - y**2))  # noqa: E731
    assert abs(rows["Dropout"]["predicted"] - 0.5 * (growth(0.8) - growth(0.4)) / 0.1 / 0.01) < 1e-2
    assert drifts.dataset["exponent_predicted"].values.tolist() == [[-2, -2], [-1, -2]]
    assert drifts.dataset["regime"].values.tolist() == ["degenerate", "non-degenerate"]
    assert set(drifts.dataset["verdict"].values.ravel()) <= {"agrees", "undecided"}


def test_minibatch_noise_is_trivial_with_a_number(others):
    """Assert displacement exactly 0 from the set; O(step size) from off it, then no motion beyond 1e-9."""
    data = others.dataset
    on, off = (data.sel(time_scale=scale.label) for scale in (ON_SET, OFF_SET))
    assert on["displacement"] == 0 and on["motion"] == 0
    assert on["verdict"].values[0] == off["verdict"].values[0] == "trivial"
    assert off["displacement"] > 1e-4 and off["motion"] < 1e-9
    assert abs(float(off["displacement_order"]) - 1) < 0.15
    text = " ".join(str(others).split())
    assert "moved by exactly 0 in 20000 steps" in text and "order 1." in text


@pytest.mark.slow
def test_minibatch_noise_of_many_samples_freezes_too():
    """Assert the same on a diagonal network with batches of one, where rows do differ; at most O(step size)."""
    rng = np.random.default_rng(3)
    model = zero_loss.DiagonalLinearNetwork(rng.standard_normal((3, 5)), rng.standard_normal(3))
    start = 0.8 + 0.2 * rng.standard_normal(10)
    entry = TimeScale(descent(model, noise.Minibatch(1), 0.02), start, step_sizes=[0.02, 0.01], label="diagonal")
    data = time_scales([entry], paths=16, steps=60_000, threads=1).dataset.isel(time_scale=0)
    assert data["motion"] < 1e-9 and data["verdict"].values[0] == "trivial"
    assert float(data["displacement_order"]) > 0.8 and data["displacement"] > 1e-4


def test_a_relaxation_takes_time_as_one_over_step_size(others):
    """Assert exponent -1."""
    assert abs(cell(others, "relaxation", "step size") + 1) < 0.02


def equilibration(model, start, mechanism, step_size=0.02, **settings):
    entry = TimeScale(descent(model, mechanism, step_size), start, kind="equilibration")
    data = time_scales([entry], rungs=2, threads=1, **settings).dataset
    return (data[name].values for name in ("time", "time_error", "predicted", "step_size"))


def test_an_equilibration_is_that_of_the_recursion():
    """Assert 1 - (1 - step_size H)^(2k) = 1 - 1/e with H = 4.25, exactly, and paths of a batch of all rows beside it.

    The error of the paths is small enough to tell them from 1 / (2 step_size H) of the flow, which is predicted.
    """
    times, errors, predicted, sizes = equilibration(HYPERBOLA, START, noise.LabelNoise(0.1))
    exact = -0.5 / np.log(1 - 4.25 * sizes)
    np.testing.assert_allclose(times, exact, rtol=1e-10)
    assert not errors.any()
    np.testing.assert_allclose(predicted, 0.5 / 4.25 / sizes, rtol=1e-9)
    assert np.isfinite(next(equilibration(HYPERBOLA, START, noise.LabelNoise(0.1), 1 / 4.25))).all()
    both = noise.LabelNoise(0.1) + noise.Minibatch(1)
    times, errors, _, _ = equilibration(HYPERBOLA, START, both, paths=2000)
    assert (errors < 0.02 * exact).all() and (errors > 0).all() and (np.abs(times - exact) < 4 * errors).all()
    assert abs(times[0] - predicted[0]) > 3 * errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", (noise.WeightNoise(0.01), noise.DropConnect(0.01), noise.Langevin(0.01)))
def test_an_equilibration_of_several_modes_is_that_of_paths(mechanism):
    """Assert the mean square distance of paths from the set at the exact time of three modes; a third more is off."""
    rng = np.random.default_rng(4)
    model = zero_loss.DiagonalLinearNetwork(rng.standard_normal((3, 5)), rng.standard_normal(3))
    process, start = descent(model, mechanism, 0.01), 0.8 + 0.2 * rng.standard_normal(10)
    point = geometry.limit_map(model, start)
    time = next(equilibration(model, start, mechanism, 0.01))[0]
    record = [0, int(time), int(time) + 1, 2400]
    found = np.square(process.simulate(point, 2400, 4000, "distance", record=record, threads=1)["distance"].values)
    share = time - record[1]
    looked = (1 - share) * found[:, 1] + share * found[:, 2] - (1 - np.exp(-1)) * found[:, 3]
    error = looked.std() / np.sqrt(len(looked))
    assert abs(looked.mean()) < 4 * error < (found[:, 2] - found[:, 1]).mean() * time / 3


def test_least_squares_relaxes_in_the_time_of_its_slowest_mode(others):
    """Assert exponent -1, and that momentum mu shortens the time by 1 - mu; from exact moments."""
    rows = {row["time_scale"]: row for row in others.table()}
    plain, momentum = rows["SGD, relaxation"], rows["SGD, momentum 0.5, relaxation"]
    for row in (plain, momentum, rows["gradient flow, relaxation"]):
        assert row["time_error"] == 0 and abs(row["step_size_exponent"] + 1) < 0.02
    assert abs(momentum["predicted"] / plain["predicted"] - 0.5) < 1e-12
    assert abs(momentum["time"] / plain["time"] - 0.5) < 0.05


@pytest.mark.slow
def test_exponents_on_the_full_ladders():
    """Assert the tolerances 0.02 and 0.05 as whole 95 % intervals, and the exponent -1 of anti-correlated noise."""
    anti = TimeScale(
        descent(HYPERBOLA, noise.AntiCorrelated(0.1)), START, quantity=conserved, level=3.75 / 2, step_sizes=SIZES,
        noise_levels=[0.2, 0.14, 0.1, 0.07], label="anti",
    )  # fmt: skip
    others = time_scales([LABEL, anti], paths=8000, tolerance=0.05)
    dropout = time_scales([DROPOUT], paths=16_000, tolerance=0.02)
    for result, label, allowed in ((others, "label noise", 0.05), (dropout, "Dropout", 0.02), (others, "anti", 0.05)):
        for variable in ("step size", "noise level"):
            gap = abs(cell(result, label, variable) - cell(result, label, variable, "exponent_predicted"))
            assert gap + 1.96 * cell(result, label, variable, "exponent_error") < allowed, (label, variable)


def test_the_default_quantity_is_the_displacement_along_the_limits_way():
    """Assert the time of a displacement of 0.1 by the closed form of the limit, to which both rungs extrapolate."""
    data = time_scales([descent(HYPERBOLA, noise.LabelNoise(0.5), 0.05)], START, rungs=2, paths=400, threads=1).dataset

    def moved(time):
        c = 3.75 * np.exp(-time)
        x = np.sqrt((c + np.sqrt(c**2 + 4)) / 2)
        return np.hypot(x - 2, 1 / x - 0.5)

    steps = brentq(lambda time: moved(time) - 0.1, 0, 1) / (data["step_size"] * data["noise_level"]) ** 2
    np.testing.assert_allclose(data["predicted"], steps, rtol=1e-7)
    share, error = (data["time"] / steps).values[:2], (data["time_error"] / steps).values[:2]
    assert (share < 1 - 4 * error).all()
    assert abs(2 * share[1] - share[0] - 1) < 4 * np.hypot(2 * error[1], error[0]) < 0.04


def test_crossings_of_a_known_curve():
    """Assert the place where a logarithmic curve passes a level, exactly, with the error of value over slope."""
    steps = np.unique(np.geomspace(1, 1000, 60).astype(int))
    found, error = crossing(steps, np.log(steps), np.full(steps.size, 0.01), np.log(77.7))
    assert abs(found - 77.7) < 1e-10 and abs(error / 0.777 - 1) < 0.1
    assert crossing(steps, np.log(steps), np.zeros(steps.size), 9.0)[0] == np.inf
    down, _ = crossing(np.arange(9), 1.0 - np.arange(9) / 4, np.zeros(9), 0.5)
    assert abs(down - 2) < 1e-12


def test_exponents_are_told_from_their_bias_with_intervals_that_cover():
    """Assert that 95 % intervals of the exponent hold -2 over 1000 trials with the bias, and not without it.

    Two-sided at 1 % with the errors that were put in; from below as reported, where a misfit only ever enlarges them.
    """
    rng, truth = np.random.default_rng(0), 50 * SIZES**-2.0 * np.exp(-1.5 * SIZES)
    held, reported, plain = 0, 0, 0
    for _ in range(1000):
        times = truth * (1 + 0.01 * rng.standard_normal(5))
        found = exponent(SIZES, times, 0.01 * times, 1.0)
        gap = abs(found.coefficients[0] + 2) / found.errors[0]
        reported += gap < 1.96
        held += gap * np.sqrt(max(1.0, found.reduced_chi2)) < 1.96
        line = exponent(SIZES, times, 0.01 * times)
        plain += abs(line.coefficients[0] + 2) < 1.96 * line.errors[0]
    assert binomtest(held, 1000, 0.95).pvalue > 0.01 and reported >= held and plain < 100


def test_errors_of_a_fit_are_enlarged_by_its_misfit_and_by_nothing_else():
    """Assert scipy's errors: scaled by the root of the reduced chi-square where that exceeds one, else as given."""
    x = np.linspace(0.0, 1.0, 6)
    columns, values = np.stack([x, np.ones(6)], axis=1), 1 + 2 * x + x**2
    for error, scaled in ((0.01, True), (10.0, False)):
        errors = np.full(6, error)
        found = fit(columns, values, errors)
        best, covariance = curve_fit(lambda x, a, b: a * x + b, x, values, sigma=errors, absolute_sigma=not scaled)
        np.testing.assert_allclose(found.coefficients, best, rtol=1e-6)
        np.testing.assert_allclose(found.errors, np.sqrt(np.diag(covariance)), rtol=1e-6)
        assert (found.reduced_chi2 > 1) == scaled


def test_verdicts_are_equivalence_tests():
    """Assert agrees inside, differs outside, undecided across the tolerance."""
    assert judged(-1.99, 0.01, -2.0, 0.05, 1.96) == "agrees"
    assert judged(-1.9, 0.01, -2.0, 0.05, 1.96) == "differs"
    assert judged(-1.95, 0.01, -2.0, 0.05, 1.96) == "undecided"
    assert judged(np.nan, 0.01, -2.0, 0.05, 1.96) == "undecided"
    assert judged(-2.0, np.inf, -2.0, 0.05, 1.96) == "undecided"
    assert judged(np.inf, 0.01, -2.0, 0.05, 1.96) == "differs"  # as in compare.laws


@pytest.mark.slow
def test_results_print_plot_and_persist(drifts, others, tmp_path):
    """Assert table, picture and file of drifts and of the rest."""
    from matplotlib.figure import Figure

    for result in (drifts, others):
        text = str(result)
        assert max(map(len, text.splitlines())) <= 118
        assert "<table>" in result._repr_html_() and r"\begin{tabular}" in result.to_latex()
        assert isinstance(result.plot(), Figure)
        result.save(tmp_path / "times.nc")
        assert str(TimeScales.load(tmp_path / "times.nc")) == text


def test_removed_axes_are_named(others):
    """Assert one sentence where the axes to draw in belong to no figure."""
    from matplotlib.figure import Figure

    axes = Figure().subplots(2)
    axes[0].remove()
    with pytest.raises(InvalidInput, match="removed from their figure"):
        others.plot(axes)


def test_every_number_of_a_record_is_labelled_once():
    """Assert that the axes of both results name the fields of their records, and nothing else."""
    from dataclasses import fields

    from sgdlimits.compare._manifold import result as manifold_result
    from sgdlimits.compare._manifold.statistics import ManifoldStatistics
    from sgdlimits.compare._time_scales import result as times_result
    from sgdlimits.compare._time_scales.statistics import TimeStatistics

    for record, axes in ((ManifoldStatistics, manifold_result.AXES), (TimeStatistics, times_result.AXES)):
        named = " ".join(axes.values()).split()
        assert sorted(named) == sorted(field.name for field in fields(record))


def unstable_cases():
    problem = quadratic()
    for kind in ("drift", "relaxation", "equilibration"):
        yield lambda step_size, kind=kind: TimeScale(
            descent(HYPERBOLA, noise.LabelNoise(0.1), step_size), [2.2, 0.7], kind
        )
    yield lambda step_size: TimeScale(SGD(problem, step_size), problem.minimiser + 1)


@pytest.mark.parametrize("made", list(unstable_cases()), ids=["drift", "relaxation", "equilibration", "least squares"])
def test_unstable_step_sizes_are_refused_or_left_out(made):
    """Assert Unstable with the threshold at a step size past it; of a ladder, that such rungs are dropped and said."""
    process = made(0.02).process
    stable = process.stability() if hasattr(process, "stability") else ManifoldLimit.of(process).stability([2.2, 0.7])
    threshold = stable.mean_threshold
    with pytest.raises(Unstable, match="step_size is .*lower the step size") as caught:
        time_scales([made(1.2 * threshold)], paths=4, rungs=2)
    assert caught.value.threshold == pytest.approx(threshold, rel=1e-9)
    with pytest.raises(Unstable, match="fewer than two rungs") as caught:
        time_scales([made(0.02)], paths=4, step_sizes=[1.2 * threshold, 0.02])
    assert caught.value.threshold == pytest.approx(threshold, rel=1e-9)
    with pytest.warns(StabilityWarning, match="past the stability limit .*left out") as said:
        found = time_scales([made(0.02)], paths=8, rungs=2, step_sizes=[1.2 * threshold, 0.02, 0.01])
    assert [warning.filename for warning in said] == [__file__]
    data = found.dataset.isel(measurement=found.dataset["ladder"].values == "step size")
    assert data["step_size"].values.tolist() == [0.02, 0.01] and np.isfinite(data["time"].values).all()
    assert f"{float(1.2 * threshold):g} are past the stability limit" in found.notes()[0]


def test_bad_input_is_named():
    """Assert one clear sentence for each wrong argument."""
    process = descent(HYPERBOLA, noise.LabelNoise(0.5))
    with pytest.raises(InvalidInput, match="needs a list of processes"):
        time_scales([])
    with pytest.raises(InvalidInput, match="comes without a start"):
        time_scales([process])
    with pytest.raises(InvalidInput, match="no time can be measured for float"):
        TimeScale(0.1, START)
    with pytest.raises(InvalidInput, match="kind is 'drifting'"):
        TimeScale(process, START, kind="drifting")
    with pytest.raises(InvalidInput, match="level must be above 0 and below 1 for a relaxation"):
        TimeScale(process, START, kind="relaxation", level=2.0)
    with pytest.raises(InvalidInput, match="only the relaxation is measured"):
        TimeScale(SGD(quadratic(), 0.1), np.zeros(3), kind="drift")
    with pytest.raises(InvalidInput, match="does not pass the level"):
        time_scales([TimeScale(process, START, quantity=conserved, level=-1.0)], paths=4)
    with pytest.raises(InvalidInput, match="starts on the zero-loss set"):
        time_scales([TimeScale(process, START, kind="relaxation")], paths=4)
    for quantity, said in ((lambda w: w["c"], "raised IndexError"), (lambda w: w, r"returned shape \(1, 2\)")):
        with pytest.raises(InvalidInput, match=f"the quantity of label noise {said}"):
            time_scales([TimeScale(process, START, quantity=quantity)], paths=4)
    with pytest.raises(InvalidInput, match="steps must be at least 2"):
        time_scales([process], START, steps=1)
    with pytest.raises(InvalidInput, match="confidence must be above 0 and below 1"):
        time_scales([process], START, confidence=1.0)
    with pytest.raises(InvalidInput, match="starts at the minimiser"):
        problem = quadratic()
        time_scales([TimeScale(SGD(problem, 0.1), problem.minimiser)])
