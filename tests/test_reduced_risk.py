"""Risks from a small space: they are those of the whole spectrum, and their bound holds wherever the space ends."""

from dataclasses import replace

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare._bounds.curves import grid
from sgdlimits.compare._validity import reduced
from sgdlimits.compare._validity.reduced import Reduction
from sgdlimits.exact import mean_square
from sgdlimits.exact.noise_feedback import threshold_below
from sgdlimits.exact.spectral_sums import SpectralSums

HORIZON = 60.0  # gradient-flow time


def problem(ridge=0.05, rows=60):
    """Twenty-two modes, residuals that grow with the features: 253 numbers of a second moment."""
    generator = np.random.default_rng(5)
    features = generator.standard_normal((rows, 22)) * np.linspace(1, 0.2, 22) * np.exp(
        0.4 * generator.standard_normal((rows, 1))
    )
    labels = features[:, :5].sum(axis=1) + 0.5 * features[:, 0] * generator.standard_normal(rows)
    return problems.LeastSquares.from_arrays(features, labels, ridge=ridge)


def processes(step_size, batch_size=2, ridge=0.05, label_noise=0.0):
    """SGD and the limits that couple all modes."""
    sgd = discrete.SGD(problem(ridge), step_size, batch_size, label_noise=label_noise)
    return [sgd, diffusions.ModifiedEquation.of(sgd), diffusions.ModifiedEquation.of(sgd, order=2)]


def dense(process, x0, steps):
    """By the eigenproblem of all second moments."""
    floor = process.problem.least_risk
    return process.second_moments.risk_curve(x0, steps, floor)(steps)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(("ridge", "label_noise"), [(0.05, 0.0), (0.0, 0.3)])
def test_the_whole_space_gives_the_whole_spectrum(place, ridge, label_noise):
    """Assert 1e-9 of each excess, once the space does not grow any more; the control: at first it is far off."""
    process, x0 = processes(0.02, ridge=ridge, label_noise=label_noise)[place], np.full(22, 0.5)
    made, steps = Reduction.of(process.problem, x0, HORIZON), grid(int(HORIZON / 0.02))
    first, exact = made.curve(process)(steps), dense(process, x0, steps)
    assert np.abs(first / exact - 1).max() > 1e-6
    while not made.risk.whole:
        if not made.grow([made.curve(process)], int(steps[-1])):
            break  # what is left over is rounding
    assert made.curve(process)(steps) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("step_size", [0.002, 0.02, 0.05])
def test_the_bound_holds_at_every_size_of_the_space(step_size):
    """Assert it of all processes at all steps while the space grows; the control: a bound 1e5 times as small fails."""
    everyone, x0 = processes(step_size), np.linspace(-1, 1, 22)
    made, steps = Reduction.of(everyone[0].problem, x0, HORIZON), grid(int(HORIZON / step_size))
    everyone = [replace(process, problem=everyone[0].problem) for process in everyone]
    exact = [dense(process, x0, steps) for process in everyone]
    first = last = np.nan
    for round_ in range(6):
        curves = [made.curve(process) for process in everyone]
        for curve, right in zip(curves, exact):
            off, bound = np.abs(curve(steps) - right), curve.error(steps)
            assert (off <= bound + 1e-12 * right).all()
            assert not (off <= 1e-5 * bound).all()
        last = float(np.max(curves[0].error(steps) / exact[0]))
        first = last if round_ == 0 else first
        assert made.grow(curves, int(steps[-1]))
    assert last < 1e-2 * first


def test_ends_lie_where_the_whole_spectrum_has_them(monkeypatch):
    """Assert the intervals of all limits, under 1 % wide, and 1e-4 of the ends; the control: a tenth farther off."""
    data, options = problem(), {"over": {"batch_size": [2]}, "horizon": HORIZON, "unit": "gradient-flow time"}
    options["values"] = np.geomspace(1e-4, 0.5, 12)
    fast = compare.validity(data, **options).dataset
    monkeypatch.setattr(reduced.Reduction, "of", classmethod(lambda *arguments: None))
    slow = compare.validity(data, **options).dataset
    ends = slow["boundary"].values
    assert (ends > 0).all()
    assert ((fast["low"] <= ends) & (ends <= fast["high"])).all()
    assert not ((fast["low"] <= 1.1 * ends) & (1.1 * ends <= fast["high"])).any()
    assert ((fast["high"] - fast["low"]) < 0.01 * ends).all()
    assert fast["boundary"].values == pytest.approx(ends, rel=1e-4)
    assert fast["term"].values.tolist() == slow["term"].values.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1])
def test_a_hundred_columns_agree_with_the_krylov_space_of_one_step_size(place):
    """Assert, of 5050 numbers of a second moment, the bound, and 1e-6 of each excess from fewer than 60 directions."""
    data, x0 = problems.LeastSquares.gaussian(2000, 100, 1.0, noise=0.5, ridge=0.1), np.zeros(100)
    sgd = discrete.SGD(data, 0.08, 1)
    process = [sgd, diffusions.ModifiedEquation.of(sgd)][place]
    made, steps = Reduction.of(data, x0, 28.0), grid(350)
    while float(np.max(made.curve(process).error(steps) / made.curve(process)(steps))) > 1e-4:
        assert made.grow([made.curve(process)], 350)
    found, right = made.curve(process), process.second_moments.risk_curve(x0, steps, data.least_risk)(steps)
    assert len(made.risk.space) < 60
    assert (np.abs(found(steps) - right) <= found.error(steps)).all()
    assert found(steps) == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_the_threshold_of_one_eigenproblem_is_that_of_a_root(batch_size):
    """Assert 1e-11; the control: another batch size."""
    sgd = discrete.SGD(problem(), 1e-3, batch_size)
    moments = sgd.second_moments
    root = threshold_below(lambda size: moments.equations_at(size).feedback.spectral_radius(), moments.mean_threshold)
    assert sgd.stability().mean_square_threshold == pytest.approx(root, rel=1e-11)
    data = sgd.problem
    other = mean_square.threshold(data.range_modes, data.curvatures, 1 / (batch_size + 1))
    assert abs(other / root - 1) > 1e-4


@pytest.mark.parametrize("discrete_time", [True, False])
def test_divided_differences_taken_apart_are_the_same(discrete_time):
    """Assert it of decays that coincide, nearly coincide and do not; the control: all pairs taken apart lose digits."""
    generator = np.random.default_rng(0)
    decays = np.sort(generator.uniform(1e-4, 0.3, 40))
    fadings = np.concatenate([decays[:5], decays[5:15] * (1 + 1e-9), generator.uniform(1e-4, 0.3, 30)])
    weights = generator.standard_normal((40, fadings.size))
    start, constant = generator.standard_normal((2, 40))
    whole = SpectralSums(decays, discrete_time, start, constant, fadings, weights)
    times = np.array([0.0, 1.0, 7.0, 100.0, 1e4])
    exact, apart = whole.totals(times), replace(whole, apart=True).totals(times)
    size = np.abs(exact).max()
    assert apart == pytest.approx(exact, abs=1e-10 * size)
    gaps = fadings[5:15] - decays[5:15]
    lost = ((1 - decays[5:15]) ** 7 - (1 - fadings[5:15]) ** 7) / gaps
    assert np.abs(lost / (7 * (1 - decays[5:15]) ** 6) - 1).max() > 1e-10
