"""Steps at the times of a Poisson process: the generator of SGD's own moments, against its definition."""

import numpy as np
import pytest
from scipy.stats import poisson

from sgdlimits import diffusions, discrete, problems
from sgdlimits.exact.errors import InvalidInput

TIMES = np.array([0, 1, 3, 10, 40])
CASES = {
    "stream": problems.StreamingLeastSquares([1.0, 0.5, 0.2], 0.3, [1.0, -1.0, 2.0]),
    "stream with a ridge": problems.StreamingLeastSquares([1.0, 0.5, 0.2], 0.3, [1.0, -1.0, 2.0], ridge=0.2),
    "rows": problems.LeastSquares.gaussian(12, 3, seed=1, ridge=0.1),
}


@pytest.mark.parametrize("name", CASES)
def test_the_curve_is_the_mean_over_poisson_numbers_of_steps(name):
    """Assert E L(x_N) with N Poisson of mean t, from the discrete curve; the control: L(x_t) itself is another one."""
    sgd = discrete.SGD(CASES[name], 0.3, batch_size=2)
    steps = np.arange(200)
    risk = sgd.second_moments.risk_curve(np.zeros(3), steps)(steps)
    found = sgd.second_moments.risk_curve(np.zeros(3), TIMES, poisson=True)(TIMES)
    expected = np.array([poisson.pmf(steps, time) @ risk if time else risk[0] for time in TIMES])
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    assert abs(found[2] / risk[3] - 1) > 0.01


def test_it_is_asked_of_plain_sgd_alone():
    """Assert what is said of others."""
    plain = discrete.SGD(CASES["stream"], 0.3)
    for process in (
        diffusions.HomogenizedSGD.of(plain), discrete.SGD(CASES["stream"], 0.1, momentum=0.5),
        discrete.SGD(CASES["stream"], lambda k: 0.1),
    ):
        with pytest.raises(InvalidInput, match="Poisson"):
            process.second_moments.risk_curve(np.zeros(3), TIMES, poisson=True)
