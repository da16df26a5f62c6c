"""What a plain simulation may not cost: bounds decide stability, tables are formed in blocks and only where asked."""

import numpy as np
import pytest

from sgdlimits.diffusions import ModifiedEquation
from sgdlimits.discrete import SGD
from sgdlimits.exact import mean_square
from sgdlimits.exact.errors import StabilityWarning
from sgdlimits.problems import LeastSquares, least_squares

DRAW = np.random.Generator(np.random.Philox(21))


def drawn(n, d, **options):
    rows = DRAW.standard_normal((n, d)) * DRAW.uniform(0.3, 1.0, d)
    return LeastSquares.from_arrays(rows, rows.sum(axis=1) + DRAW.standard_normal(n), **options)


def test_a_bound_never_claims_what_the_spectral_radius_denies():
    """Assert over 120 problems that "stable" by the bound comes with a radius below one, and that it often decides."""
    decided = 0
    for number in range(120):
        problem = drawn(9, 3, ridge=0.1 * (number % 2))
        sgd = SGD(problem, DRAW.uniform(0.02, 1.2), batch_size=1 + number % 3)
        second = ModifiedEquation.of(sgd, order=1 + number % 2)
        for process in (sgd, second):
            if process.second_moments.equations.proved_stable():
                decided += 1
                assert process.stability().mean_square_stable
    assert decided > 60


def test_many_columns_are_judged_by_products_with_vectors(monkeypatch):
    """Assert that Lanczos and the dense matrix decide alike on both sides."""
    features = DRAW.standard_normal((40, 12))
    kept, weight = np.linspace(0.2, 0.9, 12), 1e-4
    edge = mean_square._largest(features, kept, weight)
    monkeypatch.setattr(mean_square, "DENSE", 3)
    assert abs(mean_square._largest(features, kept, weight) - edge) < 1e-4
    assert mean_square._largest(features, kept, weight) >= edge  # on the safe side


def test_a_plain_simulation_forms_no_table(monkeypatch):
    """Assert that neither the table of fourth moments nor a noise map is touched by a stable run; moments use it."""
    problem = drawn(400, 5)

    def forbidden(self, second, mean):
        raise AssertionError("a noise map was evaluated")

    with monkeypatch.context() as patched:
        patched.setattr(LeastSquares, "noise_covariance_map", forbidden)
        SGD(problem, 0.05).simulate(np.zeros(5), 5, 8)
        with pytest.raises(AssertionError):
            SGD(problem, 0.05).moments(np.zeros(5), 5)
    assert "fourth_moments" not in problem.__dict__


def test_the_table_is_the_same_in_blocks(monkeypatch):
    """Assert that rows taken a few at a time give the whole table, and the map through the rows."""
    problem, mean = drawn(300, 4), DRAW.standard_normal(4)
    second = np.outer(mean, mean) + np.diag([1.0, 2, 3, 4])
    whole = problem.noise_covariance_map(second, mean)
    fresh = LeastSquares.from_arrays(problem.features, problem.targets)
    monkeypatch.setattr(least_squares, "BLOCK", 7 * 15)
    assert np.allclose(fresh.noise_covariance_map(second, mean), whole, rtol=1e-12)
    through_rows = LeastSquares.from_arrays(problem.features, problem.targets)
    monkeypatch.setattr(least_squares, "CHEAP", 0.0)
    assert np.allclose(through_rows.noise_covariance_map(second, mean), whole, rtol=1e-11)
    assert "fourth_moments" not in through_rows.__dict__


def test_past_the_threshold_the_warning_stands():
    """Assert that an unstable run of affordable size still warns."""
    problem = drawn(50, 3)
    threshold = SGD(problem, 0.1).stability().mean_square_threshold
    with pytest.warns(StabilityWarning, match="settles only below"):
        SGD(problem, 1.01 * threshold).simulate(np.zeros(3), 2, 8)


def test_moments_that_do_not_fit_are_refused_before_they_are_begun(monkeypatch):
    """Assert a sentence with the size and what to change, at once; fewer recorded steps pass."""
    from sgdlimits.exact import cost
    from sgdlimits.exact.errors import InvalidInput

    monkeypatch.setattr(cost, "available_bytes", lambda: 50 << 20)
    problem = drawn(70, 60)
    for process in (SGD(problem, 0.001), ModifiedEquation.of(SGD(problem, 0.001))):
        with pytest.raises(InvalidInput, match="1001 recorded steps in dimension 60 needs about .* record fewer"):
            process.moments(np.zeros(60), 1000_0, record=1001)
    assert SGD(problem, 0.001).moments(np.zeros(60), 3, record=[3])["risk"].size == 2


@pytest.mark.parametrize("name", ["sgd", "homogenized"])
def test_moments_hold_what_is_asked(name):
    """Assert that the quantities named are those of the whole result, and that others are left out or refused."""
    from sgdlimits.diffusions import HomogenizedSGD
    from sgdlimits.exact.errors import InvalidInput

    sgd = SGD(drawn(12, 3), 0.05, momentum=0.4 if name == "sgd" else 0.0)
    process = sgd if name == "sgd" else HomogenizedSGD.of(sgd)
    whole = process.moments(np.ones(3), 9)
    for asked in (("risk",), ["mean", "risk"], "mean"):
        part = process.moments(np.ones(3), 9, quantities=asked)
        assert set(part.data_vars) == ({asked} if isinstance(asked, str) else set(asked))
        for key in part.data_vars:  # by another route, maybe, and then to rounding
            np.testing.assert_allclose(part[key], whole[key], rtol=1e-13, atol=1e-15)
    for wrong in ("norm", (), 3):
        with pytest.raises(InvalidInput, match="quantities"):
            process.moments(np.ones(3), 9, quantities=wrong)
