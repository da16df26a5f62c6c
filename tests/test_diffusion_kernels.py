"""Compiled steps of linear-drift diffusions against the plain NumPy recursion with the same noise."""

import numpy as np
import pytest
from sgdlimits.diffusions import kernels
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.packs import norm, pack, quadratic, rotate, unpack
from sgdlimits.ensembles.random import PACK, QUALITIES, Noise, Purpose

SEED, PATHS, STEPS = 11, 3 * PACK, 7
NONE = np.zeros(0)


def problem(d):
    """Random coefficients of an Euler step of size 0.1 and random positions (P, d)."""
    rng = np.random.default_rng(d)
    spectrum = 1.0 / np.arange(1, d + 1)
    return {
        "x": rng.standard_normal((PATHS, d)),
        "a": 1 - 0.1 * spectrum,
        "b": 0.3 * np.sqrt(spectrum),
        "w0": 0.2,
        "w1": 0.1 * rng.standard_normal(d),
        "w2": spectrum,
        "slope": 0.3 * spectrum,
        "shift": rng.standard_normal(d) / d,
    }


def run(kernel, x, *coefficients, quality="float32", blocks=64, pieces=((0, STEPS),), path=0):
    """Positions and overflow steps after the pieces of steps, drawn through windows of `blocks` blocks."""
    state, overflow = pack(x), np.full((len(x) // PACK, PACK), -1)
    for first, last in pieces:
        kernel(state, overflow, *coefficients, np.uint64(SEED), path, first, last, *scratch(quality, blocks))
    return unpack(state), overflow.ravel()


def numpy_diagonal(x, a, b, w0, w1, w2, slope, shift, quality):
    common = len(slope) > 0
    noise = Noise(SEED, np.arange(len(x)), quality)
    for k in range(STEPS):
        xi = noise.normals(Purpose.BROWNIAN, k, x.shape[1] + common)
        added = (x * slope + shift) * xi[:, :1] if common else 0.0
        amplitude = np.sqrt(np.maximum(w0 + x @ w1 + x**2 @ w2, 0))
        x = a * x + amplitude[:, None] * b * xi[:, common:] + added
    return x


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("d", [1, 2, 3, 5, 10, 64, 101, 1000])
@pytest.mark.parametrize("common", [False, True])
def test_diagonal_noise_equals_the_numpy_recursion(d, quality, common):
    p = problem(d)
    coefficients = [
        p["a"],
        p["b"],
        p["w0"],
        p["w1"],
        p["w2"],
        *((p["slope"], p["shift"]) if common else (NONE, NONE)),
    ]
    got, overflow = run(kernels.diagonal_noise, p["x"], *coefficients, quality=quality)
    expected = numpy_diagonal(p["x"], *coefficients, quality)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)
    assert np.all(overflow == -1)


@pytest.mark.parametrize("quality", QUALITIES)
def test_dense_and_sample_noise_equal_the_numpy_recursion(quality):
    """Assert both, with numbers of normals a step that are odd and larger than a window of the scratch."""
    rng, d, n = np.random.default_rng(0), 7, 301
    p = problem(d)
    matrix, rows, offsets = (
        rng.standard_normal((d, n)) / n,
        rng.standard_normal((n, d)),
        rng.standard_normal(n),
    )
    columns, x, y, own = np.ascontiguousarray(rows.T), p["x"], p["x"], rng.standard_normal(d) / n
    for k in range(STEPS):
        w = Noise(SEED, np.arange(PATHS), quality).normals(Purpose.BROWNIAN, k, n)
        x = p["a"] * x + w @ matrix.T
        both = Noise(SEED, np.arange(PATHS), quality).normals(Purpose.BROWNIAN, k, n + d)
        w, v = both[:, :n], both[:, n:]
        r = y @ rows.T + offsets
        y = p["a"] * y + 0.05 / np.sqrt(n) * ((r * w) @ rows - w.sum(axis=1, keepdims=True) * (r @ rows) / n)
        y += own * v
    got, _ = run(kernels.dense_noise, p["x"], p["a"], matrix, quality=quality)
    np.testing.assert_allclose(got, x, rtol=1e-11, atol=1e-13)
    got, _ = run(kernels.sample_noise, p["x"], p["a"], 0.05, rows, columns, offsets, own, quality=quality)
    np.testing.assert_allclose(got, y, rtol=1e-11, atol=1e-13)


def test_sample_noise_has_the_gradient_covariance():
    """Assert the sample covariance of one step against scale^2 C(x), within five standard errors of each
    entry."""
    rng, d, n, paths = np.random.default_rng(1), 3, 20, 20_000
    rows, offsets, x = rng.standard_normal((n, d)), rng.standard_normal(n), rng.standard_normal(d)
    start = np.tile(x, (paths, 1))
    columns = np.ascontiguousarray(rows.T)
    got, _ = run(kernels.sample_noise, start, np.ones(d), 0.5, rows, columns, offsets, NONE, pieces=[(0, 1)])
    gradients = rows * (rows @ x + offsets)[:, None]
    covariance = 0.25 * np.cov(gradients.T, bias=True)
    increments = got - x
    variance = np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2
    assert np.all(np.abs(increments.T @ increments / paths - covariance) < 5 * np.sqrt(variance / paths))


@pytest.mark.parametrize("d", [1, 4])
def test_covariance_noise_takes_the_cholesky_root(d):
    """Assert one step against NumPy's factor of sum_s b_s b_s^T, b_s affine in the position."""
    rng = np.random.default_rng(4)
    affine = rng.standard_normal((10, d, d + 1))
    (rows, columns), (first, second) = np.triu_indices(d), np.triu_indices(d + 1)
    full = np.einsum("sia,sjb->ijab", affine, affine)
    full = (full + full.transpose(0, 1, 3, 2)) / np.where(np.eye(d + 1, dtype=bool), 2.0, 1.0)
    table = np.ascontiguousarray(full[rows, columns][:, first, second])
    x = rng.standard_normal((PATHS, d))
    got, _ = run(kernels.covariance_noise, x, np.ones(d), 0.1, table, pieces=[(0, 1)])
    roots = affine @ np.column_stack([x, np.ones(PATHS)]).T
    factors = np.linalg.cholesky(np.einsum("sip,sjp->pij", roots, roots))
    xi = Noise(SEED, np.arange(PATHS)).normals(Purpose.BROWNIAN, 0, d)
    np.testing.assert_allclose(got, x + 0.1 * np.einsum("pij,pj->pi", factors, xi), rtol=1e-9, atol=1e-12)


def test_covariance_noise_of_a_singular_covariance_is_its_own():
    """Assert that rank one moves along its direction alone, by the first normal, and rank zero not at all."""
    direction = np.array([1.0, -2.0, 0.5])
    rows, columns = np.triu_indices(3)
    table = np.zeros((6, 10))
    table[:, -1] = direction[rows] * direction[columns]
    x = np.zeros((PATHS, 3))
    xi = Noise(SEED, np.arange(PATHS)).normals(Purpose.BROWNIAN, 0, 3)
    got, _ = run(kernels.covariance_noise, x, np.ones(3), 0.1, table, pieces=[(0, 1)])
    np.testing.assert_allclose(got, 0.1 * xi[:, :1] * direction, rtol=1e-12, atol=1e-12)
    got, _ = run(kernels.covariance_noise, x, np.ones(3), 0.1, 0 * table, pieces=[(0, 1)])
    assert not got.any()


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("d", [3, 70])
def test_bits_do_not_depend_on_how_steps_paths_and_windows_are_grouped(d, quality):
    p, rng = problem(d), np.random.default_rng(2)
    rows = rng.standard_normal((9, d))
    cases = [
        (kernels.diagonal_noise, [p["a"], p["b"], p["w0"], p["w1"], p["w2"], NONE, NONE]),
        (kernels.diagonal_noise, [p["a"], p["b"], p["w0"], p["w1"], p["w2"], p["slope"], p["shift"]]),
        (kernels.dense_noise, [p["a"], rng.standard_normal((d, 5))]),
        (kernels.sample_noise, [p["a"], 0.1, rows, np.ascontiguousarray(rows.T), rng.standard_normal(9), np.ones(d)]),
    ]
    for kernel, coefficients in cases:
        whole, _ = run(kernel, p["x"], *coefficients, quality=quality)
        pieces = [(0, 1), (1, 4), (4, 4), (4, STEPS)]
        parts, _ = run(kernel, p["x"], *coefficients, quality=quality, pieces=pieces, blocks=3)
        tail, _ = run(kernel, p["x"][2 * PACK :], *coefficients, quality=quality, path=2 * PACK)
        assert np.array_equal(whole, parts)
        assert np.array_equal(whole[2 * PACK :], tail)


def test_overflow_is_recorded_at_its_step_and_path():
    """Assert the step after which a norm first passed 1e150, kept afterwards, and -1 for every path that
    stays finite."""
    x = np.zeros((2 * PACK, 2))
    x[5], x[20] = 1e101, np.nan
    growth = np.full(2, 1e10)
    for kernel, coefficients in [
        (kernels.diagonal_noise, [np.zeros(2), 0.0, np.zeros(2), np.zeros(2), NONE, NONE]),
        (kernels.dense_noise, [np.zeros((2, 3))]),
    ]:
        _, overflow = run(kernel, x, growth, *coefficients, pieces=[(3, 8), (8, 12)])
        assert overflow[5] == 8 and overflow[20] == 4
        overflow[[5, 20]] = -1
        assert np.all(overflow == -1)


def test_pack_helpers_equal_numpy_and_do_not_depend_on_the_number_of_paths():
    rng = np.random.default_rng(3)
    x, matrix, w1, w2 = (
        rng.standard_normal((PATHS, 13)),
        rng.standard_normal((5, 13)),
        *rng.standard_normal((2, 13)),
    )
    assert np.array_equal(unpack(pack(x)), x)
    np.testing.assert_allclose(unpack(rotate(pack(x), matrix)), x @ matrix.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        quadratic(pack(x), 0.5, w1, w2), 0.5 + x @ w1 + x**2 @ w2, rtol=1e-12, atol=1e-13
    )
    np.testing.assert_allclose(norm(pack(x)), np.linalg.norm(x, axis=1), rtol=1e-14)
    assert np.array_equal(rotate(pack(x), matrix)[2:], rotate(pack(x[2 * PACK :]), matrix))
