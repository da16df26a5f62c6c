"""compare.bounds: suprema over all steps by brute force, constants by theory, thresholds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare._bounds.constants import largest_constant, power_of
from sgdlimits.compare.predictions import leading_error
from sgdlimits.exact.errors import InvalidInput, OutOfReach

RANDOM = np.random.default_rng(3)
PROBLEM = problems.LeastSquares.from_arrays(RANDOM.standard_normal((12, 3)), RANDOM.standard_normal(12), ridge=0.1)
STREAM = problems.StreamingLeastSquares([1.0, 0.4, 0.1], 0.5, [1.0, -1.0, 0.5], ridge=0.05)
START = np.array([1.5, -0.7, 0.9])
LIMITS = (
    diffusions.HomogenizedSGD.of, diffusions.GradientFlow.of, diffusions.OrnsteinUhlenbeck.of,
    lambda sgd: diffusions.ModifiedEquation.of(sgd, order=2),
)  # fmt: skip


def found_of(result, quantity, place=0):
    return result.dataset.isel(process=place).sel(quantity=quantity)


@pytest.mark.parametrize("problem", [PROBLEM, STREAM], ids=["finite", "stream"])
def test_suprema_by_brute_force(problem):
    """Assert size, step and sign of every supremum against every step of a long run and the stationary end."""
    sgd = discrete.SGD(problem, 0.1, 2)
    limits = [make(sgd) for make in LIMITS]
    result = compare.bounds(sgd, *limits, x0=START)
    own = sgd.moments(START, 900, record=range(901))
    floor = float(problem.least_risk)
    for place, limit in enumerate(limits):
        other = limit.moments(START, 900, record=range(901))
        gap = (other.risk - own.risk).values
        for quantity, values in (("risk", gap), ("risk over excess", gap / (own.risk.values - floor))):
            worst = found_of(result, quantity, place)
            assert float(worst["size"]) == pytest.approx(np.abs(values).max(), rel=1e-9)
            step = int(np.abs(values).argmax())
            if int(worst["step"]) >= 0:
                assert abs(int(worst["step"]) - step) <= 1 and np.sign(worst["signed"]) == np.sign(values[step])
            else:
                assert step > 300  # a curve that only comes up to its end
        means = [each["mean"].values - problem.minimiser for each in (own, other)]
        seconds = [
            each["covariance"].values + m[:, :, None] * m[:, None, :] for each, m in zip((own, other), means)
        ]
        nuclear = np.linalg.svd(seconds[0] - seconds[1], compute_uv=False).sum(axis=1)
        total = 0.5 * nuclear + np.linalg.norm(means[0] - means[1], axis=1)
        assert float(found_of(result, "quadratic observables", place)["size"]) == pytest.approx(total.max(), rel=1e-9)


def test_the_quadratic_supremum_is_reached_and_never_passed():
    """Assert that random observables of unit size stay below it, and that the risk does in its own metric."""
    sgd = discrete.SGD(PROBLEM, 0.1, 2)
    limit = diffusions.HomogenizedSGD.of(sgd)
    result = compare.bounds(sgd, limit, x0=START, origin="start")
    bound, records = float(found_of(result, "quadratic observables")["size"]), range(200)
    sides = [process.moments(START, 200, record=records) for process in (sgd, limit)]
    means = [side["mean"].values - START for side in sides]
    seconds = [side["covariance"].values + m[:, :, None] * m[:, None, :] for side, m in zip(sides, means)]
    largest = 0.0
    for _ in range(200):
        q = RANDOM.standard_normal((3, 3))
        q, v = (q + q.T) / 2, RANDOM.standard_normal(3)
        q, v = q / np.abs(np.linalg.eigvalsh(q)).max(), v / np.linalg.norm(v)
        gap = 0.5 * np.einsum("ij,kij->k", q, seconds[0] - seconds[1]) + (means[0] - means[1]) @ v
        largest = max(largest, np.abs(gap).max())
    assert 0.3 * bound < largest <= bound
    plain = problems.LeastSquares.from_arrays(PROBLEM.features, PROBLEM.targets)
    sgd = discrete.SGD(plain, 0.1, 2)
    result = compare.bounds(sgd, diffusions.HomogenizedSGD.of(sgd), x0=START, metric="risk")
    sizes = result.dataset["size"].isel(process=0).values
    assert sizes[0] <= sizes[2] * (1 + 1e-12)  # without ridge the risk is one of them about the minimiser


def test_the_leading_constant_is_that_of_theory():
    """Assert the limit of sup |error| / step_size^p to three digits against the supremum of the predicted term."""
    sgd = discrete.SGD(PROBLEM, 0.05, 2)
    limits = [make(sgd) for make in LIMITS]
    result = compare.bounds(sgd, *limits, x0=START)
    z, times = PROBLEM.to_modes(START), np.r_[0:3:400j, 3.01:12:200j, np.geomspace(12.1, 400, 60)]
    for place, (limit, power) in enumerate(zip(limits, (1, 1, 1, 2))):
        leading = leading_error(sgd, limit, z, np.zeros((3, 3)), times)
        row = result.dataset.isel(process=place).sel(scaled="risk")
        assert leading.order == power == int(row["power"])
        assert float(row["leading"]) == pytest.approx(np.abs(leading.risk()).max(), rel=1e-3)
        assert float(row["constant"]) >= float(row["leading"]) * (1 - 1e-9)


def test_a_constant_holds_over_its_range():
    """Assert |error| <= C step_size^p, and C within a per cent of the largest, at eleven step sizes inside."""
    sgd = discrete.SGD(STREAM, 0.6)
    result = compare.bounds(sgd, diffusions.HomogenizedSGD.of(sgd), x0=START, step_sizes=(0.1, 0.6), quadratic=False)
    seen = []
    for step_size in np.linspace(0.1, 0.6, 11):
        own = discrete.SGD(STREAM, step_size)
        other = diffusions.HomogenizedSGD.of(own)
        run = [side.moments(START, 400, record=range(401), quantities=("risk",)).risk.values for side in (own, other)]
        seen.append(np.abs(run[0] - run[1]).max() / step_size)
    constant = float(result.dataset.constant.isel(process=0).sel(scaled="risk"))
    assert max(seen) <= constant * 1.001 and max(seen) > 0.99 * constant


@pytest.mark.parametrize("peak", [0.2, 0.37, 0.9])
def test_a_peak_inside_the_range_is_found(peak):
    """Assert the largest value of a smooth curve to 1e-3, its place, and the limit at zero."""

    def scaled(s):
        return 1 + 3 * s / peak * np.exp(1 - s / peak), 3 / peak * np.exp(1 - s / peak) * (1 - s / peak)

    found = largest_constant(scaled, 0.0, 1.0)
    assert found.settled and found.value == pytest.approx(4.0, rel=1e-3)
    assert found.step_size == pytest.approx(peak, abs=0.05) and found.leading == pytest.approx(1.0, rel=1e-4)
    assert power_of(lambda s: 5 * s**2 * (1 + s), 1.0)[0] == 2 and power_of(lambda s: 1 + s, 1.0)[0] == 0


def test_thresholds_make_bounds_infinite_and_say_so():
    """Assert inf for a range that passes SGD's threshold, finite suprema below it, and all inf beyond it."""
    sgd = discrete.SGD(PROBLEM, 0.1)
    limit = diffusions.HomogenizedSGD.of(sgd)
    result = compare.bounds(sgd, limit, x0=START, step_sizes=(0, 5.0), quadratic=False)
    assert np.isinf(result.dataset.constant).all() and np.isfinite(found_of(result, "risk")["size"])
    said = " ".join(str(result).split())
    assert "settles only below step size" in said and "no constant holds" in said
    wild = discrete.SGD(PROBLEM, 4.0)
    result = compare.bounds(wild, diffusions.HomogenizedSGD.of(wild), x0=START)
    assert np.isinf(found_of(result, "risk")["size"]) and "has no bound" in " ".join(str(result).split())


def test_where_the_excess_vanishes_decay_rates_stand_instead():
    """Assert rates 2 log of the slowest factor for gradient descent without ridge, and a sentence on both."""
    plain = problems.LeastSquares.from_arrays(PROBLEM.features, PROBLEM.targets)
    sgd = discrete.SGD(plain, 0.3, 12, "without_replacement")
    result = compare.bounds(sgd, diffusions.GradientFlow.of(sgd), x0=START)
    own, other = result.dataset.rates.isel(process=0).values
    slowest = 0.3 * plain.eigenvalues.min()
    assert own == pytest.approx(-2 * np.log1p(-slowest), rel=2e-2) and other == pytest.approx(2 * slowest, rel=2e-2)
    assert "tends to 0" in str(result) and np.isnan(found_of(result, "risk over excess")["size"])


def test_a_result_is_saved_and_read(tmp_path):
    """Assert that file, CSV, LaTeX and HTML hold the table."""
    sgd = discrete.SGD(PROBLEM, 0.1)
    result = compare.bounds(sgd, diffusions.GradientFlow.of(sgd), x0=START)
    result.save(tmp_path / "b.nc")
    assert str(compare.Bounds.load(tmp_path / "b.nc")) == str(result)
    assert result.to_csv().count("\n") == 4
    assert "gradient flow" in result.to_latex() and "<table" in result._repr_html_()


def _refused():
    sgd = discrete.SGD(PROBLEM, 0.1)
    limit = diffusions.HomogenizedSGD.of(sgd)
    yield "needs a limit beside the reference", InvalidInput, lambda: compare.bounds(sgd, x0=START)
    yield "has no closed moments", InvalidInput, lambda: compare.bounds(
        discrete.SGD(PROBLEM, 0.1, rule="adam"), limit, x0=START
    )
    yield "schedule", InvalidInput, lambda: compare.bounds(
        discrete.SGD(PROBLEM, lambda k: 0.1 / (k + 1)), limit, x0=START
    )
    yield "do not belong together", InvalidInput, lambda: compare.bounds(
        sgd, diffusions.HomogenizedSGD(PROBLEM, 0.2), x0=START
    )
    yield "low < high", InvalidInput, lambda: compare.bounds(sgd, limit, x0=START, step_sizes=(0.2, 0.1))
    yield "origin", InvalidInput, lambda: compare.bounds(sgd, limit, x0=START, origin="middle")
    yield "x0 is missing", InvalidInput, lambda: compare.bounds(sgd, limit)
    slow = problems.LeastSquares.from_arrays(ROWS_WITH_A_SLOW_MODE, np.ones(12))
    sgd_slow = discrete.SGD(slow, 0.1)
    yield "comes? to rest", OutOfReach, lambda: compare.bounds(
        sgd_slow, diffusions.HomogenizedSGD.of(sgd_slow), x0=START, quadratic=False
    )


ROWS_WITH_A_SLOW_MODE = np.column_stack([RANDOM.standard_normal((12, 2)), 1e-7 * RANDOM.standard_normal(12)])


@pytest.mark.parametrize(("sentence", "kind", "call"), list(_refused()))
def test_what_has_no_bounds_is_refused(sentence, kind, call):
    """Assert one sentence each."""
    with pytest.raises(kind, match=sentence):
        call()
