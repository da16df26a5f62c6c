"""Functions for compiled loops over lanes."""

import mpmath
import numpy as np
from sgdlimits.ensembles.functions import tanh
from sgdlimits.exact.compiling import compiled


@compiled
def _tanh(out, z):
    for i in range(z.size):
        out[i] = tanh(z[i])


def test_tanh_is_right_to_three_units_in_the_last_place():
    """Assert it against 50 digits on every scale, exactly odd, and at zero, infinity and what is no number."""
    draw = np.random.Generator(np.random.Philox(3))
    z = np.concatenate([draw.standard_normal(300) * scale for scale in (1e-300, 1e-8, 0.1, 0.4, 1, 3, 10)])
    special = np.array([0.0, -0.0, 5e-324, 19.1, -1e308, np.inf, -np.inf, np.nan])
    out, mirrored, odd = np.empty_like(z), np.empty_like(z), np.empty_like(special)
    _tanh(out, z)
    _tanh(mirrored, -z)
    _tanh(odd, special)
    with mpmath.workdps(50):
        true = [mpmath.tanh(mpmath.mpf(float(x))) for x in z]
        off = [float(abs(mpmath.mpf(float(a)) - b) / mpmath.mpf(float(np.spacing(abs(a))))) for a, b in zip(out, true)]
    assert max(off) < 3 and max(off) > 0.5  # the error is seen: no comparison of the function with itself
    assert np.array_equal(mirrored, -out)
    assert np.array_equal(odd, np.tanh(special), equal_nan=True) and np.signbit(odd[1])
