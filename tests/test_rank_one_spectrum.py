"""Diagonal less rank one: eigenvalues to relative rounding against mpmath, orthogonal eigenvectors, hard spectra."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlimits.exact.rank_one_spectrum import RankOneSpectrum
from sgdlimits.exact.spectral_sums import Factors, SpectralSums


def sgd(eigenvalues, step_size):
    """The matrix of SGD on a stream, batch 1, without ridge: decays of the variances."""
    return 2 * step_size * eigenvalues - 2 * step_size**2 * eigenvalues**2, step_size * eigenvalues


def exact_eigenvalues(g, w):
    with mpmath.workdps(60):
        matrix = mpmath.diag([mpmath.mpf(x) for x in g]) - mpmath.matrix(w) * mpmath.matrix(w).T
        return sorted(mpmath.eigsy(matrix, eigvals_only=True))


POWER = np.arange(1, 51) ** -1.5
RANDOM = np.random.default_rng(0).random(40)
SPECTRA = {
    "power law": sgd(POWER, 0.1), "condition 1e12": sgd(np.geomspace(1, 1e-12, 50), 0.1),
    "a cluster": sgd(1 + 1e-13 * RANDOM, 0.02), "few, equal": sgd(np.repeat([1.0, 0.5, 0.25], 8), 0.02),
    "zeros": sgd(np.r_[np.zeros(5), POWER[:20]], 0.1), "unstable": sgd(RANDOM, 4.0), "one": sgd(np.ones(1), 0.3),
    "tiny weights": (RANDOM, 1e-200 * np.ones(40)), "near the threshold": sgd(RANDOM, 2 / RANDOM.sum() * 0.93),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECTRA)
def test_eigenpairs(name):
    """Assert eigenvalues to 1e-14 of themselves (of the matrix where one nearly vanishes by cancelling), orthogonality
    and residuals to rounding.
    """
    g, w = SPECTRA[name]
    spectrum = RankOneSpectrum(g, w)
    values, vectors = spectrum.eigenpairs()
    scale = max(np.abs(g).max(), w @ w)
    assert np.abs(vectors.T @ vectors - np.eye(g.size)).max() < 1e-13
    assert np.abs(g[:, None] * vectors - np.outer(w, w @ vectors) - vectors * values).max() < 1e-13 * scale
    expected = exact_eigenvalues(g, w)
    exact = np.array([float(x) for x in expected])
    room = 1e-14 * np.abs(exact) + (1e-15 * scale if name == "near the threshold" else 0)
    if name == "few, equal":
        room = room + 1e-30
    assert (np.abs(np.sort(values) - exact) <= room).all()
    x = np.random.default_rng(1).standard_normal((2, g.size))
    held = spectrum.project(x)
    inner = vectors[:, : spectrum.decays.size]
    np.testing.assert_allclose(held, x @ inner, atol=1e-13 * np.abs(x).max() * g.size)
    np.testing.assert_allclose(held @ spectrum.vectors().T, held @ inner.T, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(1e-8, 2.0), min_size=1, max_size=12), st.lists(st.floats(1e-6, 1.0), min_size=12, max_size=12)
)
def test_sums_and_traces_hold_for_any_spectrum(g, w):
    """Assert interlacing, the trace and the determinant's sign, whatever the poles and weights."""
    g, w = np.sort(g), np.array(w[: len(g)])
    spectrum = RankOneSpectrum(g, w)
    values, vectors = spectrum.eigenpairs()
    assert values.sum() == pytest.approx(g.sum() - w @ w, rel=1e-12, abs=1e-12 * (g.sum() + w @ w))
    ordered = np.sort(values)
    assert (ordered <= g + 1e-15).all() and (ordered[1:] >= g[:-1] - 1e-15).all()
    assert np.abs(vectors.T @ vectors - np.eye(g.size)).max() < 1e-12


PAIRS = [
    (0.3, 0.2), (0.3, 0.3), (0.3, 0.3 + 1e-15), (1e-12, 1e-12 + 1e-24), (1e-12, 2e-12), (1.5, 1.5), (1.5, 1.5 + 1e-14),
    (1.7, 0.4), (0.4, 1.7), (1.0, 0.5), (0.5, 1.0), (-0.01, 0.2), (0.0, 1e-9), (0.0, 0.0), (1.0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("decay", "fading"), PAIRS)
@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("time", [0, 1, 2, 7, 1000, 10**12])
def test_divided_differences(decay, fading, discrete, time):
    """Assert start, constant and driven parts against 60 digits, to 1e-12 of each: factors that coincide, negative
    ones, 0 and 1, and 1e12 steps.
    """
    sums = [
        SpectralSums(np.array([decay]), discrete, np.array([s]), np.array([c]), np.array([fading]), np.array([[f]]))
        for s, c, f in ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))
    ]
    found = [float(each.at(time)[0]) for each in sums]
    with mpmath.workdps(80):
        a, b, n = mpmath.mpf(decay), mpmath.mpf(fading), mpmath.mpf(time)
        if discrete:
            p, r = 1 - a, 1 - b
            power = lambda x: mpmath.mpf(1) if time == 0 else x ** time  # noqa: E731
            ones = n if p == 1 else (1 - power(p)) / (1 - p)
            both = (n * r ** (time - 1) if time else 0) if p == r else (power(p) - power(r)) / (p - r)
            exact = power(p), ones, both
        else:
            exact = (
                mpmath.exp(-a * n), n if a == 0 else (1 - mpmath.exp(-a * n)) / a,
                n * mpmath.exp(-b * n) if a == b else (mpmath.exp(-a * n) - mpmath.exp(-b * n)) / (b - a),
            )  # fmt: skip
        for got, wanted in zip(found, exact):
            if abs(wanted) > 1e300:
                assert np.isinf(got)
            else:
                assert got == pytest.approx(float(wanted), rel=2e-12 + 1e-15 * min(float(n * abs(a)), 1e3), abs=1e-280)


def test_factors_have_signs():
    """Assert powers of a negative factor, even and odd."""
    factors = Factors(np.array([1.5]), True)
    assert factors.powers(3)[0] == pytest.approx(-0.125) and factors.powers(2)[0] == pytest.approx(0.25)
