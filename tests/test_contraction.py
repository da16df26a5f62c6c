"""compare.contraction: the constant, the bound, a bound that must fail, and the sampling floor."""

import numpy as np
import pytest

from sgdlimits import compare, discrete
from sgdlimits.compare._contraction.result import Contraction
from sgdlimits.discrete.contraction import contraction_bound
from sgdlimits.exact.contraction import form_bounds
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.monomials import exponents
from sgdlimits.exact.monomials import multinomials
from sgdlimits.problems import LeastSquares, StreamingLeastSquares


def stream(*variances, **options):
    return StreamingLeastSquares(variances, 0.3, np.ones(len(variances)), **options)


ALIKE = discrete.SGD(stream(1.0, 1.0, 1.0), 0.2)
PLANE = discrete.SGD(stream(1.0, 0.36), 0.3)
CASES = (
    PLANE,
    discrete.SGD(stream(1.0, 0.36, 0.1), 0.3),
    discrete.SGD(stream(1.0, 0.36, 0.1, ridge=0.1), 0.3, 2),
    discrete.SGD(LeastSquares.gaussian(8, 3, noise=0.5), 0.1),
    discrete.SGD(LeastSquares.gaussian(8, 2, noise=0.5), 0.1, 2),
)


def without_noise(sgd):
    """The linear part: the same features, labels that a point at 0 fits."""
    problem = sgd.problem
    if isinstance(problem, LeastSquares):
        part = LeastSquares.from_arrays(problem.range_modes, np.zeros(problem.samples), problem.ridge)
    else:
        part = StreamingLeastSquares(problem.eigenvalues, 0.0, np.zeros(problem.dimension), problem.ridge)
    return discrete.SGD(part, sgd.step_size, sgd.batch_size)


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("order", (2, 4))
def test_the_bound_holds_exactly_from_every_direction(case, order):
    """Assert C^-p <= E |A_n ... A_1 v|^p / (k(p)^n |v|^p) <= C^p by exact moments, and not with a smaller k(p)."""
    sgd, generator = CASES[case], np.random.default_rng(1)
    bound, linear = contraction_bound(sgd, order), without_noise(sgd)
    ratios = []
    for v in [*generator.standard_normal((5, sgd.problem.dimension)), *np.eye(sgd.problem.dimension)]:
        v = v / np.linalg.norm(v)
        ratios.append(linear.even_moments(v, 400, order, record=[1, 5, 20, 400])["norm_moment"].values[-1])
    ratios = np.array(ratios) / bound.growth ** np.array([0, 1, 5, 20, 400])
    assert ratios.max() <= bound.constant**order * (1 + 1e-9)
    assert ratios.min() >= bound.constant**-order * (1 - 1e-9)
    smaller = ratios * (1 / 0.97) ** np.array([0, 1, 5, 20, 400])
    assert smaller.max() > bound.constant**order


def test_constants_where_they_are_known():
    """Assert C = 1 for like directions and on a line, at any p, and one constant from a form and from a function."""
    assert contraction_bound(ALIKE, 2).growth == pytest.approx(1 - 2 * 0.2 + 0.04 * 5)
    line = discrete.SGD(LeastSquares.gaussian(6, 1), 0.1)
    for sgd, order in ((ALIKE, 1.5), (ALIKE, 4), (line, 1), (line, 2)):
        assert contraction_bound(sgd, order).constant == 1.0
    form, function = contraction_bound(PLANE, 2), contraction_bound(PLANE, 2 + 1e-9)
    assert function.constant == pytest.approx(form.constant, rel=1e-6)
    assert function.growth == pytest.approx(form.growth, rel=1e-7)
    unknown = contraction_bound(CASES[3], 3.0)
    assert np.isnan(unknown.constant) and not unknown.exact
    low, high = contraction_bound(CASES[3], 2).growth, contraction_bound(CASES[3], 4).growth
    assert unknown.growth == pytest.approx(np.sqrt(low * high))


def test_bounds_of_forms():
    """Assert that they enclose the values on the sphere, and are sharp for |z|^4 and in the plane."""
    generator = np.random.default_rng(0)
    for d, even in ((2, False), (3, False), (3, True)):
        alpha = 2 * exponents(2, d) if even else exponents(4, d)
        z = generator.standard_normal((20_000, d))
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        coefficients = generator.standard_normal(len(alpha)) * multinomials(alpha)
        values = np.prod(z[:, None] ** alpha, axis=2) @ coefficients
        low, high, _ = form_bounds(coefficients, alpha)
        assert low <= values.min() + 1e-12 and high >= values.max() - 1e-12
        if d == 2:
            assert low == pytest.approx(values.min(), abs=1e-4) and high == pytest.approx(values.max(), abs=1e-4)
    half = exponents(2, 3)
    assert form_bounds(multinomials(half), 2 * half)[:2] == pytest.approx((1.0, 1.0))


def test_like_directions_contract_at_just_the_bound():
    """Assert the coupled exponent log k(p) / p within errors, that W_p along a line is faster, and the floor."""
    found = compare.contraction(ALIKE, [3.0, 3.0, 3.0], 40, 2, paths=4096, seed=1)
    coupled, line = found.table()
    assert abs(coupled["exponent"] - 0.5 * np.log(0.8)) < 5 * coupled["exponent_error"]
    assert line["exponent"] < coupled["exponent"] and [row["verdict"] for row in found.table()] == ["holds"] * 2
    # W_2 of two samples of n from one law is of the order of the spread over the root of n.
    spread = np.sqrt(ALIKE.stationary().covariance[0, 0])
    assert 0.3 < line["floor"] / (spread / np.sqrt(found.dataset.attrs["group"])) < 10
    assert line["end"] < 3 * line["floor"] and line["last"] < 40
    assert np.array_equal(found.dataset["distance"], compare.contraction(
        ALIKE, [3.0, 3.0, 3.0], 40, 2, paths=4096, seed=1).dataset["distance"])  # fmt: skip


def test_a_bound_that_is_too_small_is_violated():
    """Assert that the control fails, and by how its heading says that it is one."""
    found = compare.contraction(ALIKE, [3.0, 3.0, 3.0], 40, 2, paths=4096, growth=0.75)
    assert found.table()[0]["verdict"] == "violated" and "number tried" in str(found)


def test_heavy_pairs_are_said_to_be_so():
    """Assert the sentence where |y|^p has no variance, and that no verdict rests on steps that few paths carry."""
    heavy = discrete.SGD(stream(1.0), 0.8)
    found = compare.contraction(heavy, [3.0], 30, 1, paths=1024)
    assert found.dataset.attrs["growth_of_squares"] >= 1 and "no variance" in found.notes()[-1]
    assert found.table()[0]["last"] < 30 and len(compare.contraction(ALIKE, np.ones(3), 3, paths=1024).notes()) == 2


@pytest.mark.slow
def test_unlike_directions_and_finite_data():
    """Assert that bounds hold, their exponents are not passed, and no verdict where no constant is known."""
    for sgd, order in ((PLANE, 3), (PLANE, 2), (CASES[3], 4), (CASES[3], 3)):
        found = compare.contraction(sgd, 3 * np.ones(sgd.problem.dimension), 60, order, seed=2)
        known = not np.isnan(found.dataset.attrs["constant"])
        for row in found.table():
            assert row["verdict"] == ("holds" if known else "constant not known")
            assert row["exponent"] < row["exponent_bound"] + 5 * row["exponent_error"] + 1e-3


def test_what_it_prints_draws_saves_and_refuses(tmp_path):
    """Assert text, picture, file, and sentences for p at the index, below 1, and for momentum."""
    found = compare.contraction(PLANE, [1.0, 0.0], 12, 2, paths=1024)
    assert "floors" in found.plot().axes[0].get_title("left") and "slowest mode" in found.to_csv()
    found.save(tmp_path / "found.nc")
    assert str(Contraction.load(tmp_path / "found.nc")) == str(found)
    for arguments, sentence in (
        ((ALIKE, np.zeros(3), 10, 8), "not below the tail index 7.17283"),
        ((ALIKE, np.zeros(3), 10, 0.5), "at least 1"),
        ((discrete.SGD(stream(1.0), 0.1, momentum=0.5), [1.0], 10), "momentum"),
        (("sgd", [1.0], 10), "must be of the kind SGD"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            compare.contraction(*arguments)
