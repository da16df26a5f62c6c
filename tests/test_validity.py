"""Ends of validity: against closed forms, against brute force, and against paths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare._validity.crossings import components
from sgdlimits.compare._validity.curves import Horizon
from sgdlimits.compare._validity.sampled import SampledCell
from sgdlimits.exact.errors import InvalidInput, OutOfReach

LINE = problems.LeastSquares.from_arrays(
    np.array([[1.0], [1.0]]), np.array([1.0, 1.0])
)  # interpolated: no noise at rest


def diabetes():
    """The data with which most tests work."""
    return problems.LeastSquares.from_dataset("diabetes", ridge=0.1)


def largest(problem, limit, step_size, batch_size, horizon, x0=None):
    """The error at every single step, by moments alone; the last one where the horizon falls between two steps."""
    sgd = discrete.SGD(problem, step_size, batch_size)
    length = horizon / problem.curvatures.min() / step_size
    steps = int(np.ceil(length))
    x0 = np.zeros(problem.dimension) if x0 is None else x0
    own, other = (
        process.moments(x0, steps, record=range(steps + 1), quantities=("risk",))["risk"].values
        for process in (sgd, limit(sgd))
    )
    found = (other - own) / (own - problem.least_risk)
    found[-1] = found[-2] + (length - steps + 1) * (found[-1] - found[-2])
    return np.abs(found)


def test_on_a_line_without_noise_the_end_is_that_of_a_closed_form():
    """Gradient descent against its flow: (1 - s)^2k against exp(-2 s k) is worst at the last step of the horizon."""
    found = compare.validity(LINE, over={"batch_size": [2]}, within=0.1, horizon=2.0, x0=np.zeros(1))
    row = next(row for row in found.table() if row["process"] == "gradient flow")

    def errors(size):
        """Up to the horizon, and there: linear between two steps."""
        last = int(np.ceil(2.0 / size))
        found = np.expm1(2 * np.arange(last + 1) * (-size - np.log1p(-size)))
        return np.append(found[:-1], found[-2] + (2.0 / size - last + 1) * (found[-1] - found[-2]))

    end = brentq(lambda size: errors(size).max() - 0.1, 1e-3, 0.5, xtol=1e-12)
    assert row["boundary"] == pytest.approx(end, rel=1e-6)
    for size in np.geomspace(1e-3, row["boundary"] * (1 - 1e-6), 500):  # no step up to the horizon fails below the end
        assert errors(size)[: int(2.0 / size) + 1].max() <= 0.1


@pytest.mark.parametrize("limit", [diffusions.GradientFlow, diffusions.OrnsteinUhlenbeck, diffusions.HomogenizedSGD])
def test_at_the_end_the_error_of_some_step_is_the_allowance(limit):
    """Assert by moments at every single step, and that no smaller step size of the scan is off."""
    problem = diabetes()
    found = compare.validity(
        lambda step_size, batch_size: (sgd := discrete.SGD(problem, step_size, batch_size), limit.of(sgd)),
        over={"batch_size": [16]}, within=0.05,
    )  # fmt: skip
    (row,) = found.table()
    error = largest(problem, limit.of, row["boundary"], 16, 3.0)
    assert error.max() == pytest.approx(0.05, rel=1e-5)
    assert abs(int(error.argmax()) - row["step"]) <= 1
    assert largest(problem, limit.of, row["boundary"] * 0.99, 16, 3.0).max() < 0.05
    assert largest(problem, limit.of, row["boundary"] * 1.01, 16, 3.0).max() > 0.05


def test_a_limit_whose_noise_is_another_at_rest_serves_at_no_step_size():
    """Residuals that grow with the features: the noise at rest is not that of homogenized SGD, at any step size."""
    generator = np.random.default_rng(3)
    features = generator.standard_normal((300, 2)) * np.exp(generator.standard_normal((300, 1)))
    labels = features.sum(axis=1) + generator.standard_normal(300) * np.abs(features[:, 0])
    problem = problems.LeastSquares.from_arrays(features, labels)
    at_rest = {"x0": problem.minimiser, "over": {"batch_size": [1]}}
    found = compare.validity(problem, horizon=40.0, within=0.05, **at_rest)
    rows = {row["process"]: row for row in found.table()}
    assert rows["homogenized SGD"]["status"] == "none" and rows["homogenized SGD"]["term"] == "closure"
    assert rows["gradient flow"]["status"] == "none"
    assert rows["modified equation, order 1"]["boundary"] > 0  # the control: with the true covariance it serves
    assert "closure" in "".join(found.notes()) and "down to" in "".join(found.notes())


def test_an_end_far_below_the_scan_is_found_and_never_called_none():
    """Assert it of a scan that begins where a limit serves again, of a long horizon and of a tiny allowance."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((20, 2))
    labels = features.sum(axis=1) + 0.3 * generator.standard_normal(20)
    problem = problems.LeastSquares.from_arrays(features, labels)
    usual = {row["process"]: row["boundary"] for row in compare.validity(problem).table()}
    for row in compare.validity(problem, values=[0.29, 0.3]).table():  # homogenized SGD serves there, and at 0.01 not
        assert row["boundary"] == pytest.approx(usual[row["process"]], rel=1e-6)
    long = {row["process"]: row for row in compare.validity(problem, horizon=10.0).table()}
    noise = 0.5 * 0.5 * (features.T @ features / 20).trace() * 2 * problem.least_risk  # of gradient flow, a step size
    excess = problem.risk(np.zeros((1, 2)))[0] - problem.least_risk
    assert long["gradient flow"]["status"] == "" and 0 < noise * long["gradient flow"]["boundary"] < excess * 1e-8
    tiny = {row["process"]: row for row in compare.validity(problem, within=1e-9).table()}
    assert all(row["status"] == "" and row["boundary"] > 0 for row in tiny.values())
    small = {row["process"]: row["boundary"] for row in compare.validity(problem, within=1e-6).table()}
    orders = {"homogenized SGD": 1, "modified equation, order 1": 1, "modified equation, order 2": 2}
    for process, order in orders.items():
        power = np.log(1e-6 / 1e-9) / np.log(small[process] / tiny[process]["boundary"])
        assert power == pytest.approx(order, abs=0.05)


def test_rounding_at_a_minimiser_decides_nothing():
    """SGD that rests there rests: every limit that has no noise there serves."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((20, 2))
    problem = problems.LeastSquares.from_arrays(features, features.sum(axis=1))
    found = compare.validity(problem, x0=problem.minimiser, over={"batch_size": [1, 20]})
    assert all(row["of_threshold"] > 1 for row in found.table())  # beyond it rounding grows
    noisy = problems.LeastSquares.from_arrays(features, features.sum(axis=1) + generator.standard_normal(20))
    over = {"batch_size": [20], "sampling": ["without_replacement"]}  # gradient descent: noise makes nothing
    for options in ({}, {"scale": "noise"}):
        rows = compare.validity(noisy, x0=noisy.minimiser, over=over, **options).table()
        ends = {row["process"]: (row["boundary"], row["status"]) for row in rows}
        assert ends["gradient flow"][1] == "at least" and ends["homogenized SGD"][0] < 1e-12


def test_what_lies_between_two_places_of_the_scan_is_looked_into():
    """A narrow rise below the end, and a narrow dip beyond it; the control: without them there is one component."""
    scan = np.geomspace(1e-3, 1.0, 13)

    def error(size, rise, dip):
        found = 0.03 * min(size / 0.03, 1.0) if size < 0.2 else 0.3
        found += rise * np.exp(-np.square(np.log(size / 0.05) / 0.2))
        sign = np.sign(size - 0.52) if dip else 1.0
        return sign * (found if not dip else min(found, np.abs(size - 0.52)))

    risen = components(lambda size: error(size, 0.03, False), scan, 0.05)
    assert risen.first.high < 0.05 < risen.others[0].low and risen.others[0].high == pytest.approx(0.2, rel=1e-5)
    dipped = components(lambda size: error(size, 0.0, True), scan, 0.05)
    assert dipped.first.high == pytest.approx(0.2, rel=1e-5)
    assert (dipped.others[0].low, dipped.others[0].high) == pytest.approx((0.47, 0.57), rel=1e-5)
    plain = components(lambda size: error(size, 0.0, False), scan, 0.05)
    assert plain.first.high == pytest.approx(0.2, rel=1e-5) and not plain.others


def test_nothing_is_looked_into_where_one_side_alone_has_blown_up_or_a_sign_jumps():
    """An error that stays 1, then jumps between two extremes: a few looks beyond the scan and the root."""
    scan, looks = np.geomspace(1e-3, 1.0, 25), []

    def error(size):
        looks.append(size)
        return size if size < 0.2 else 0.3 * (-1) ** int(10 * size) if size < 0.5 else 1.0

    found = components(error, scan, 0.05)
    assert found.first.high == pytest.approx(0.05, rel=1e-6) and not found.others
    assert len(looks) < scan.size + 1 + 5 * 4 + 12, len(looks)


@given(st.lists(st.floats(0.02, 0.9), min_size=1, max_size=4, unique=True), st.floats(0.01, 0.3))
def test_components_of_a_known_set_are_found(places, within):
    """An error that crosses its allowance at known step sizes."""
    ends = np.sort(places)
    if np.diff(np.log(ends), prepend=np.log(0.01)).min() < 0.1:
        return  # nearer than the scan can tell
    scan = np.geomspace(1e-3, 1.0, 200)

    def error(size):
        inside = np.searchsorted(ends, size) % 2 == 0
        near = np.abs(np.log(size / ends)).min() if size < 1 else 1.0
        return within * np.exp((-1 if inside else 1) * min(near, 1.0)) * min(1.0, 1e3 * size)

    found = components(error, scan, within)
    assert found.first is not None and found.first.high == pytest.approx(ends[0], rel=1e-6)
    lows, highs = ends[1::2], list(ends[2::2])
    assert [each.low for each in found.others] == pytest.approx(lows, rel=1e-6)
    assert [each.high for each in found.others if not each.open] == pytest.approx(highs, rel=1e-6)


def test_threads_and_the_order_of_cells_change_nothing():
    """Assert equal bits."""
    problem = diabetes()
    one = compare.validity(problem, over={"batch_size": [1, 8]}, threads=1)
    two = compare.validity(problem, over={"batch_size": [8, 1]}, threads=2)
    assert np.array_equal(one.dataset["boundary"].values, two.dataset["boundary"].values[:, ::-1])


def test_regions_and_figures_follow_from_the_errors(tmp_path):
    """The first limit in the order that serves names the region; a saved result is the same."""
    found = compare.validity(diabetes(), over={"batch_size": [1, 64]}, values=np.geomspace(1e-4, 0.4, 12))
    regions = found.regions()
    assert regions[0, 0] == 0 and regions.max() == len(found.order())
    inside = found.dataset["error"].sel(process="gradient flow").values <= 0.05
    assert ((regions == 0) == inside).all()
    found.plot(), found.plot_errors(cell=1)
    found.save(tmp_path / "validity.nc")
    assert str(compare.Validity.load(tmp_path / "validity.nc")) == str(found)


def test_scale_and_unit_are_what_they_say():
    """The part that noise makes vanishes with it; a horizon in gradient-flow time is the same horizon."""
    problem = diabetes()
    length = 3.0 / problem.curvatures.min()
    by_time = compare.validity(problem, over={"batch_size": [16]}, horizon=length, unit="gradient-flow time")
    by_modes = compare.validity(problem, over={"batch_size": [16]})
    assert np.array_equal(by_time.dataset["boundary"].values, by_modes.dataset["boundary"].values)
    noise = compare.validity(problem, over={"batch_size": [16]}, scale="noise", within=0.2)
    rows = {row["process"]: row for row in noise.table()}
    assert rows["gradient flow"]["status"] == "none"  # it has no noise at all


def noisy_line_up():
    """A small problem whose horizon is short, and its gradient flow."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((60, 3))
    problem = problems.LeastSquares.from_arrays(features, features.sum(axis=1) + 0.5 * generator.standard_normal(60))

    def make(step_size):
        sgd = discrete.SGD(problem, step_size, 4)
        return sgd, diffusions.GradientFlow.of(sgd)

    return make, {"values": np.geomspace(1e-3, 0.3, 14), "within": 0.3}


def test_paths_find_the_exact_end_within_their_interval():
    """One seed; the control: an end that is twice as large lies outside."""
    make, options = noisy_line_up()
    exact = compare.validity(make, **options).table()[0]["boundary"]
    row = compare.validity(make, paths=2000, seed=2, **options).table()[0]
    assert row["low"] <= exact <= row["high"]
    assert not row["low"] <= 2 * exact <= row["high"]
    assert row["low"] < row["boundary"] < row["high"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "batch_size", "within"),
    [(diffusions.GradientFlow, 4, 0.3), (diffusions.OrnsteinUhlenbeck, 1, 0.2), (diffusions.HomogenizedSGD, 8, 0.2)],
)
def test_intervals_of_ends_cover(limit, batch_size, within):
    """At least 36 of 40 seeds: 38 are expected; also where many steps are nearly as bad as the worst one.

    There intervals by a jackknife of the largest error, whose noise is of one sign, cover 33.
    """
    (sgd, _), options = (line := noisy_line_up())[0](0.1), line[1] | {"within": within}

    def make(step_size):
        one = discrete.SGD(sgd.problem, step_size, batch_size)
        return one, limit.of(one)

    exact = compare.validity(make, **options).table()[0]["boundary"]
    rows = [compare.validity(make, paths=1000, seed=seed, **options).table()[0] for seed in range(40)]
    assert sum(row["low"] <= exact <= row["high"] for row in rows) >= 36
    assert np.median([row["high"] / row["low"] for row in rows]) < 2.5


def test_steps_at_which_paths_are_looked_at_miss_little_of_the_largest_error():
    """Where the worst step is an early one and the error grows slowly with the step size, a miss would move the end."""
    problem = diabetes()
    end = 0.046751634096300204  # of homogenized SGD at batch size 3

    def make(step_size):
        sgd = discrete.SGD(problem, step_size, 3)
        return sgd, {"limit": diffusions.HomogenizedSGD.of(sgd)}

    horizon = Horizon.of(problem, 3.0, "relaxation times")
    cell = SampledCell(make, horizon, np.zeros(10), "excess", 1000, 0, 4, 1)
    for part in (0.35, 0.7, 1.0, 1.05, 1.4):
        at, every = cell.recorded(part * end), largest(problem, diffusions.HomogenizedSGD.of, part * end, 3, 3.0)
        assert every[at].max() >= 0.997 * every.max() and at.size < 60


def test_too_few_paths_for_the_allowance_are_refused():
    """The sentence says how many would do."""
    make, options = noisy_line_up()
    with pytest.raises(OutOfReach, match="take some"):
        compare.validity(make, paths=200, seed=0, **{**options, "within": 0.1})


def test_noise_of_few_paths_is_not_called_an_end_below_the_scan():
    """Where noise alone puts every error above the allowance, more paths are asked for: the exact end lies higher."""
    make, options = noisy_line_up()
    exact = compare.validity(make, **options | {"within": 0.05}).table()[0]["boundary"]
    with pytest.raises(OutOfReach, match="take some"):
        compare.validity(make, paths=200, within=0.05, values=exact * np.array([0.5, 0.7]))


def test_a_scan_that_ends_above_says_so():
    """What lies below the scan is not called never."""
    make, options = noisy_line_up()
    row = compare.validity(make, paths=2000, within=0.3, values=[0.1, 0.2, 0.3]).table()[0]
    assert row["status"] == "at most" and row["high"] == 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"within": 1.2}, r"within must lie in \(0, 1\)"),
        ({"within": 0.0}, "within"),
        ({"over": {"batch_size": []}}, "no values"),
        ({"over": {"batch": [1]}}, "batch"),
        ({"over": [1]}, "mapping"),
        ({"over": {"batch_size": 3}}, "list of values"),
        ({"over": {"batch_size": [500], "sampling": ["without_replacement"]}}, "442 samples"),
        ({"over": {"momentum": [0.9]}}, "limit of plain SGD"),
        ({"values": [0.1, 0.01]}, "ascending"),
        ({"scale": "size"}, "scale"),
        ({"unit": "steps"}, "unit"),
        ({"quantity": "norm"}, "quantity"),
        ({"paths": 333}, "multiple of 20"),
    ],
)
def test_bad_input_gets_one_sentence(options, words):
    """Assert what is said."""
    with pytest.raises(InvalidInput, match=words):
        compare.validity(diabetes(), **{"over": {"batch_size": [1]}, **options})


def test_a_horizon_beyond_counting_is_refused():
    """A mode of tiny curvature is none of rounding, and takes more steps than can be counted."""
    problem = problems.LeastSquares.from_arrays(np.diag([1.0, 1e-5]), np.ones(2))
    with pytest.raises(OutOfReach, match="horizon"):
        compare.validity(problem, horizon=1e6)


def test_a_rule_without_moments_asks_for_paths():
    """Adam has none."""
    with pytest.raises(InvalidInput, match="paths="):
        compare.validity(
            lambda step_size: (sgd := discrete.SGD(diabetes(), step_size, rule="adam"), diffusions.AdamSDE.of(sgd)),
            values=[1e-3, 1e-2],
        )
