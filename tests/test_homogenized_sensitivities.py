"""Derivatives of the index of homogenized SGD: differences of roots, closed forms, and what scales leave as it is."""

import numpy as np
import pytest

from sgdlimits import diffusions
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

CASES = {
    "a line": ([2.0], 0.3, 0.4, 2, 1), "a line, drift of order 2": ([2.0], 0.3, 0.4, 2, 2),
    "the plane": ([1.0, 0.36], 0.1, 0.6, 1, 1), "past the threshold": ([1.0, 0.36], 0.1, 2.0, 1, 1),
    "scales apart": ([1.0, 0.01], 0.01, 0.6, 1, 1), "space, drift of order 2": ([1.0, 0.6, 0.2], 0.05, 0.5, 2, 2),
}  # fmt: skip


def process(h, ridge, size, batch, drift):
    problem = StreamingLeastSquares(h, 0.3, np.ones(len(h)), ridge)
    return diffusions.HomogenizedSGD(problem, size, batch, drift_order=drift)


def moved(found, at, step):
    """Difference of fourth order of the index."""
    index = [found(at + q * step).tail_index().index for q in (-2, -1, 1, 2)]
    return (index[0] - 8 * index[1] + 8 * index[2] - index[3]) / (12 * step)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_those_of_the_index(name):
    """Assert differences of roots in step size, ridge and each eigenvalue, and that a wrong one is far off."""
    h, ridge, size, batch, drift = CASES[name]
    found = process(*CASES[name]).tail_index_sensitivities()
    by_size = moved(lambda t: process(h, ridge, t, batch, drift), size, 2e-3 * size)
    by_ridge = moved(lambda t: process(h, t, size, batch, drift), ridge, 1e-3)
    assert found.step_size.value == pytest.approx(by_size, rel=1e-6)
    assert found.ridge.value == pytest.approx(by_ridge, rel=2e-5)
    for place, value in enumerate(h):
        others = np.array(h)

        def stretched(t, place=place, others=others):
            return process(np.where(np.arange(others.size) == place, t, others), ridge, size, batch, drift)

        known = moved(stretched, value, 1e-2 * value)
        assert abs(found.eigenvalue[place].value - known) < 1e-4 * abs(known) + 10 * found.eigenvalue[place].error
        assert abs(found.eigenvalue[place].value - 1.02 * known) > 3 * found.eigenvalue[place].error
    assert found.step_size.error < 1e-4 * abs(by_size) and found.smaller_batch is None and not found.sampled


@pytest.mark.parametrize("name", [*CASES, "alike"])
def test_scales_leave_the_index_as_it_is(name):
    """Assert that eigenvalues and ridge against step size cancel, and step size against batch size where it must."""
    h, ridge, size, batch, drift = CASES.get(name, ([1.0, 1.0, 1.0], 0.1, 0.3, 2, 1))
    found = process(h, ridge, size, batch, drift).tail_index_sensitivities()
    by_size = size * found.step_size.value
    scaled = sum(value * each.value for value, each in zip(h, found.eigenvalue)) + ridge * found.ridge.value
    assert scaled == pytest.approx(by_size, rel=1e-6)
    together = batch * found.batch_size.value
    assert (together == pytest.approx(-by_size, rel=1e-6)) == (drift == 1)


def test_the_closed_form_where_directions_are_alike():
    """Assert index = 2 - d + 2 B (lambda + delta) / (eta lambda^2) differentiated by hand."""
    d, lam, delta, eta, batch = 3, 1.5, 0.2, 0.3, 2
    found = process([lam] * d, delta, eta, batch, 1).tail_index_sensitivities()
    assert found.step_size.value == pytest.approx(-2 * batch * (lam + delta) / (eta * lam) ** 2, rel=1e-12)
    assert found.ridge.value == pytest.approx(2 * batch / (eta * lam**2), rel=1e-12)
    assert found.batch_size.value == pytest.approx(2 * (lam + delta) / (eta * lam**2), rel=1e-12)
    together = 2 * batch / eta * (1 / lam**2 - 2 * (lam + delta) / lam**3)
    assert [each.value for each in found.eigenvalue] == pytest.approx([together / d] * d, rel=1e-12)


def test_one_parameter_alone_and_what_has_no_derivative():
    """Assert what is left out, and sentences."""
    limit = process(*CASES["the plane"])
    found = limit.tail_index_sensitivities(["ridge"])
    assert found.step_size is None and found.eigenvalue == () and found.batch_size is None
    assert found.ridge == limit.tail_index_sensitivities().ridge
    with pytest.raises(InvalidInput, match="parameters"):
        limit.tail_index_sensitivities(["momentum"])
    exact = LeastSquares.from_arrays(np.eye(2), np.ones(2))
    with pytest.raises(InvalidInput, match="add label noise"):
        diffusions.HomogenizedSGD(exact, 0.1).tail_index_sensitivities()
