"""Ends of validity where modes are unlike, few, or where noise is lost in rounding."""

import time

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare._validity.curves import Horizon
from sgdlimits.compare._validity.plots import _fine_regions
from sgdlimits.compare._validity.reduced import Reduction
from sgdlimits.compare._validity.result import _interval
from sgdlimits.exact.errors import InvalidInput

LONG = np.longdouble


def unlike(rows, columns, condition, seed=0):
    """Least squares whose Hessian has this condition number, its minimiser far out in the slow modes."""
    generator = np.random.default_rng(seed)
    left, _ = np.linalg.qr(generator.standard_normal((rows, columns)))
    right, _ = np.linalg.qr(generator.standard_normal((columns, columns)))
    features = (left * np.geomspace(1, condition**-0.5, columns) * rows**0.5) @ right.T
    targets = features @ generator.standard_normal(columns) + 0.3 * generator.standard_normal(rows)
    return problems.LeastSquares(features, targets)


def excess_in_80_bits(problem, step_size, batch_size, steps):
    """E risk above the least one after `steps` steps from the origin: squarings of (map - 1), in whitened modes."""
    n, d = problem.features.shape
    h, vectors = (np.asarray(part, LONG) for part in np.linalg.eigh(problem.features.T @ problem.features / n))
    inverse = vectors.T
    for _ in range(3):  # orthogonal to the last of 64 bits
        inverse = inverse @ (2 * np.eye(d, dtype=LONG) - vectors @ inverse)
    rows = problem.features.astype(LONG) @ (vectors / np.sqrt(h))
    pull = (inverse * np.sqrt(h)[:, None]) @ (inverse * np.sqrt(h)[:, None]).T
    hessian, minimiser = rows.T @ rows / n, np.zeros(d, dtype=LONG)
    for _ in range(4):
        minimiser = minimiser + rows.T @ (problem.targets - rows @ minimiser) / n
    residuals = problem.targets - rows @ minimiser
    steps_of, (i, j) = rows @ pull.T, np.triu_indices(d)
    fade, weight, size = -step_size * pull @ hessian, LONG(step_size) ** 2 / batch_size, len(i)
    moved = np.zeros((size + d + 1, size + d + 1), dtype=LONG)
    for place in range(size):
        unit = np.zeros((d, d), dtype=LONG)
        unit[i[place], j[place]] = unit[j[place], i[place]] = 1
        half = fade @ unit
        moved[:size, place] = (half + half.T + (1 - LONG(1) / batch_size) * half @ fade.T)[i, j]
    products = (steps_of[:, i] * steps_of[:, j]).T * weight / n
    moved[:size, :size] += products @ (rows[:, i] * rows[:, j] * np.where(i == j, 1, 2))
    moved[:size, size:-1] = products @ (-2 * rows * residuals[:, None])
    moved[:size, -1] = products @ residuals**2
    moved[size:-1, size:-1] = fade
    state = np.concatenate([np.outer(minimiser, minimiser)[i, j], -minimiser, [LONG(1)]])
    while steps:
        if steps % 2:
            state = state + moved @ state
        moved, steps = 2 * moved + moved @ moved, steps // 2
    return float((hessian[i, j] * np.where(i == j, 1, 2)) @ state[:size] / 2)


@pytest.mark.skipif(np.finfo(LONG).eps > 1e-18, reason="numbers of 80 bits are not to be had here")
@pytest.mark.parametrize("condition", [1e5, 1e8, 1e11])
def test_an_end_at_any_condition_number_is_that_of_80_bit_arithmetic(condition):
    """Gradient flow at the horizon: there its error uses up the allowance; 1 % farther it does not."""
    problem = unlike(30, 4, condition)
    row = compare.validity(problem, over={"batch_size": [30]}, horizon=0.5).table()[0]
    assert row["process"] == "gradient flow" and row["status"] == "" and row["step"] == row["steps"]
    length = Horizon.of(problem, 0.5, "relaxation times").length

    def error(steps):
        step_size = length / steps
        own = excess_in_80_bits(problem, step_size, 30, steps)
        start = problem.to_modes(np.zeros(4))
        flow = 0.5 * problem.eigenvalues @ (start * np.exp(-length * problem.curvatures)) ** 2
        return abs(flow - own) / own

    assert error(round(length / row["boundary"])) == pytest.approx(0.05, rel=1e-4)
    assert error(round(0.99 * length / row["boundary"])) != pytest.approx(0.05, rel=1e-3)


def test_a_whole_space_gives_the_usual_curves_of_sgd():
    """To rounding, at a condition number at which the usual way takes an eigenproblem a curve."""
    problem, x0 = unlike(60, 6, 1e6), np.zeros(6)
    sgd, steps = discrete.SGD(problem, 0.1, 4), np.array([0, 1, 10, 10**5, 10**8])
    reduction = Reduction.of(problem, x0, 1e7)
    usual = sgd.second_moments.risk_curve(x0, steps, problem.least_risk)(steps)
    assert reduction.risk.whole and reduction.curve(sgd)(steps) == pytest.approx(usual, rel=1e-7, abs=0)


@pytest.mark.slow
def test_a_condition_number_of_1e8_in_thirty_columns_takes_seconds_a_cell():
    """Every curve by an eigenproblem of its own would take half a minute a cell and more."""
    problem, begun = unlike(300, 30, 1e8), time.process_time()
    found = compare.validity(problem, over={"batch_size": [4]}, threads=1)
    assert time.process_time() - begun < 25
    assert set(found.dataset["status"].values.ravel()) == {""} and (found.dataset["low"].values > 0).all()


def test_over_the_noise_nothing_serves_that_rounding_alone_makes_serve():
    """Noise and the error of gradient flow are both of first order, so that their ratio stays: no end near 1e-14."""
    generator = np.random.default_rng(1)
    features = generator.standard_normal((15, 3))
    targets = features.sum(axis=1) + generator.standard_normal(15)
    problem = problems.LeastSquares(features, targets, ridge=0.2)
    rows = compare.validity(problem, over={"batch_size": [5]}, scale="noise", horizon=2.0).table()
    named = {name: [row for row in rows if row["process"] == name] for name in {row["process"] for row in rows}}
    assert {row["status"] for name in ("gradient flow", "homogenized SGD") for row in named[name]} == {"none"}
    assert all(row["boundary"] > 1e-4 for row in named["modified equation, order 2"])  # of second order: it serves


def test_a_map_from_ridge_0_on_is_drawn_evenly_and_one_of_texts_refused():
    """A logarithm of 0 is no place on an axis, and a name is none either."""
    generator = np.random.default_rng(3)
    features = generator.standard_normal((20, 2))
    targets = features.sum(axis=1) + generator.standard_normal(20)

    def make(step_size, ridge):
        sgd = discrete.SGD(problems.LeastSquares(features, targets, ridge=ridge), step_size, 4)
        return sgd, diffusions.GradientFlow.of(sgd)

    found = compare.validity(make, over={"ridge": [0.0, 0.1, 1.0]}, horizon=1.0, unit="gradient-flow time")
    (axes, *_) = found.plot().axes
    assert axes.get_xscale() == "linear" and axes.get_xlim() == (0.0, 1.0)
    assert "up to gradient-flow time 1:" in str(found)
    texts = compare.validity(
        problems.LeastSquares(features, targets), over={"sampling": ["with_replacement"]}, horizon=1.0
    )
    with pytest.raises(InvalidInput, match="an axis of numbers"):
        texts.plot()


def test_a_limit_that_knows_no_problem_is_refused():
    """It has no risk; with paths too."""
    problem = unlike(20, 2, 10.0)
    limit = diffusions.UserDiffusion(lambda t, x: -x, lambda t, x: np.zeros((2, 1)), dimension=2)
    for options in ({}, {"paths": 400}):
        with pytest.raises(InvalidInput, match="does not know its problem"):
            compare.validity(lambda step_size: (discrete.SGD(problem, step_size), limit), **options)


def test_an_interval_is_printed_with_the_digits_that_tell_its_ends_apart():
    """Three digits would say 0.00121 to 0.00121."""
    row = {"status": "", "boundary": 0.0012098, "low": 0.0012086, "high": 0.0012111}
    assert _interval(row) == "0.001210 (0.001209 to 0.001211)"
    assert _interval(row | {"low": 0.0011, "high": 0.0013}) == "0.001210 (0.00110 to 0.00130)"


def test_regions_of_a_map_end_at_the_lines_of_ends():
    """Errors interpolated between cells would put another limit's colour below a line that is drawn."""
    problem = problems.LeastSquares.from_dataset("diabetes", ridge=0.1)
    found = compare.validity(problem, over={"batch_size": [1, 16]}, threads=1)
    sizes, scan = found.dataset["batch_size"].values.astype(float), found.dataset["scanned"].values
    across, along, map_ = _fine_regions(found, found.order(), sizes, scan)
    for place, name in enumerate(found.order()):
        ends = np.log(found.dataset["boundary"].sel(process=name).values)
        line = np.exp(np.interp(np.log(across), np.log(sizes), ends))
        assert (map_[along[:, None] <= line] <= place).all()
    spans = found.dataset.copy(deep=True)
    spans["others"][:] = "[]"
    highest = np.log(found.dataset["boundary"].max("process").values)
    _, _, alone = _fine_regions(compare.Validity(spans), found.order(), sizes, scan)
    line = np.exp(np.interp(np.log(across), np.log(sizes), highest))
    assert (alone[along[:, None] > 1.5 * line] == len(found.order())).all()
