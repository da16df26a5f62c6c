"""Tail indices of Newton, proximal and natural gradient steps: closed forms, quadrature, laws that are not."""

import math

import numpy as np
import pytest
from scipy import stats

from sgdlimits.discrete import SGD, kesten_index, rules
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.exact.newton_growth import newton_growth
from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares

STREAM = StreamingLeastSquares(np.diag([1.0, 2.0]), 1.0, np.ones(2))
draws = np.random.default_rng(3)
ROWS = LeastSquares.from_arrays(draws.standard_normal((12, 2)), draws.standard_normal(12))
LINE = LeastSquares.from_arrays(draws.standard_normal((9, 1)), draws.standard_normal(9))


@pytest.mark.parametrize(("size", "index"), [(5, 4.0), (3, 2.0), (2, 1.0)])
def test_the_additive_part_decides_with_the_batch_s_own_hessian(size, index):
    """Assert batch size - d + 1, said to be the additive part's, and light tails under a ridge or a damping."""
    found = SGD(STREAM, 0.5, size, rule=rules.StochasticNewton()).tail_index()
    assert found.index == index and "the additive part decides" in found.method
    ridge = StreamingLeastSquares(np.diag([1.0, 2.0]), 1.0, np.ones(2), ridge=0.1)
    assert math.isinf(SGD(ridge, 0.5, size, rule=rules.StochasticNewton()).tail_index().index)
    assert math.isinf(SGD(STREAM, 0.5, size, rule=rules.StochasticNewton(0.1)).tail_index().index)
    silent = StreamingLeastSquares(np.diag([1.0, 2.0]), 0.0, np.ones(2))
    assert "dies out" in SGD(silent, 0.5, size, rule=rules.StochasticNewton()).tail_index().method


@pytest.mark.slow
@pytest.mark.parametrize(("size", "index"), [(5, 4.0), (3, 2.0)])
def test_paths_show_the_index_of_the_additive_part(size, index):
    """Assert Hill's estimate within 15 %, and outside 15 % of that of one sample more or less."""
    sgd = SGD(STREAM, 0.8, size, rule=rules.StochasticNewton())
    run = sgd.simulate(np.ones(2), 12, 60_000, {"far": lambda x: np.abs(x[:, 0] - 1)}, record=[12], seed=2, threads=1)
    far = np.sort(run["far"].values[:, -1])[::-1]
    hill = 200 / np.log(far[:200] / far[200]).sum()
    assert abs(hill / index - 1) < 0.15 < min(abs(hill / (index + 1) - 1), abs(hill / (index - 1) - 1))


def test_another_batch_s_hessian_on_a_line_is_a_quotient_of_chi_squared_numbers():
    """Assert the root of E |1 - eta F|^s by its own quadrature, below what F has of moments."""
    problem = StreamingLeastSquares([1.5], 0.7, [1.0])
    found = SGD(problem, 0.5, 4, rule=rules.StochasticNewton(0.0, "independent", 7)).tail_index()
    law = stats.f(4, 7)
    assert 0 < found.index < 3.5 and "the linear part decides" in found.method
    mean = law.expect(lambda f: abs(1 - 0.5 * f) ** found.index, epsabs=1e-11, epsrel=1e-11, limit=400)
    assert mean == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize(
    ("d", "other", "size"), [(2, 9, 3), (3, 12, 1), pytest.param(4, 14, 6, marks=pytest.mark.slow)]
)
def test_the_index_is_two_where_the_variance_ends(d, other, size):
    """Assert that quadrature of |A e| meets the threshold from moments of inverse Wishart matrices, and is monotone."""
    problem, rule = StreamingLeastSquares(np.linspace(1, 2, d), 0.7, np.ones(d)), rules.StochasticNewton(
        0.0, "independent", other
    )
    threshold = SGD(problem, 0.01, size, rule=rule).stability().mean_square_threshold
    found = SGD(problem, threshold, size, rule=rule).tail_index()
    assert found.index == pytest.approx(2, abs=1e-8) and found.error < 1e-6
    assert SGD(problem, 0.8 * threshold, size, rule=rule).tail_index().index > 2.05
    with pytest.raises(NoStationaryLaw):
        SGD(problem, 12 * threshold, size, rule=rule).tail_index()


def test_quadrature_of_a_newton_step_is_its_mean_over_samples():
    """Assert log E |A e|^s and the mean of log |A e| against draws of both matrices, within four standard errors."""
    d, batch, other, size, s = 3, 4, 14, 0.5, 1.5
    z, v = draws.standard_normal((60_000, batch, d)), draws.standard_normal((60_000, other, d))
    pull = np.einsum("nbi,nb->ni", z, z[:, :, 0]) / batch
    moved = -size * np.linalg.solve(np.einsum("nbi,nbj->nij", v, v) / other, pull[..., None])[..., 0]
    moved[:, 0] += 1
    norm = np.linalg.norm(moved, axis=1)
    for values, found in (
        (norm**s, math.exp(newton_growth(d, batch, other, size, s, 20))),
        (np.log(norm), newton_growth(d, batch, other, size, 0.0, 20)),
    ):
        assert abs(values.mean() - found) < 4 * values.std() / np.sqrt(values.size) + 2e-3 * abs(found)


def test_on_finite_data_the_list_of_batches_decides():
    """Assert factors on a line against their sum, light tails up to step size 2, and indices past it."""
    a, y = LINE.features[:, 0], LINE.targets
    same = SGD(LINE, 2.4, rule=rules.StochasticNewton(0.3))
    assert same.tail_index().index == pytest.approx(kesten_index(1 - 2.4 * a**2 / (0.3 + a**2)).index, rel=1e-9)
    other = SGD(LINE, 0.4, rule=rules.StochasticNewton(0.3, "independent")).tail_index()
    factors = (1 - 0.4 * a[:, None] ** 2 / (0.3 + a**2)).ravel()
    assert other.index == pytest.approx(kesten_index(factors).index, rel=1e-9)
    for rule in (rules.StochasticNewton(0.3), rules.Proximal()):
        for size in (1, 2, 7):
            found = SGD(ROWS, 1.5, size, rule=rule).tail_index()
            assert math.isinf(found.index) and found.proved
    assert not np.isnan(y).any()


@pytest.mark.slow
def test_populations_of_listed_batches_agree_with_rows_of_other_lengths():
    """Assert that two ways of drawing one linear part give one index, and even moments lie on the right side of it."""
    from sgdlimits.discrete.curved_tails import listed_index
    from sgdlimits.discrete.listed_batches import ListedBatches

    sgd = SGD(ROWS, 2.3, rule=rules.StochasticNewton(0.3))
    one = sgd.tail_index()
    form = ListedBatches(sgd, sgd._exact_form.newton)
    two = listed_index(sgd, form.moving, 2.3)
    assert abs(one.index - two.index) < 2 * (one.error + two.error)
    assert (one.index > 2) == sgd.stability().mean_square_stable


def test_proximal_steps_of_a_bounded_slope_are_light():
    """Assert bounded support under a ridge, a proof without one, and that separable labels have no law."""
    features, labels = draws.standard_normal((20, 2)), draws.standard_normal(20) > 0
    ridge = SGD(Logistic(features, labels, 0.1), 0.4, rule=rules.Proximal()).tail_index()
    assert ridge.method == "bounded support" and math.isinf(ridge.index)
    free = SGD(Logistic(features, labels), 0.4, rule=rules.Proximal()).tail_index()
    assert "proved" in free.method and free.proved
    with pytest.raises(NoStationaryLaw, match="can be separated"):
        SGD(Logistic(features, features[:, 0] > 0), 0.4, rule=rules.Proximal()).tail_index()
    bound = float(ridge.note.rsplit(" ", 1)[1])
    run = SGD(Logistic(features, labels, 0.1), 0.4, rule=rules.Proximal()).simulate(
        np.zeros(2), 200, 32, record=[200], seed=1, threads=1
    )
    assert run["norm"].values.max() < bound


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_natural_gradient_without_noise_is_heavy(d):
    """Assert d - 2, that there is no law up to d = 2, and that damping or noise on labels makes every moment finite."""
    rule = rules.NaturalGradient(fisher="centred")
    sgd = SGD(StreamingLeastSquares(np.ones(d), 0.0, np.ones(d)), 0.1, 4, rule=rule)
    if d <= 2:
        with pytest.raises(NoStationaryLaw, match="has no stationary law in"):
            sgd.tail_index()
    else:
        assert sgd.tail_index().index == d - 2 and not sgd.tail_index().proved
    noisy = SGD(StreamingLeastSquares(np.ones(d), 0.1, np.ones(d)), 0.1, 4, rule=rule)
    assert math.isinf(noisy.tail_index().index)
    with pytest.raises(InvalidInput, match="not known"):
        SGD(sgd.problem, 0.1, 4, rule=rules.NaturalGradient(0.1, "empirical", "batch")).tail_index()


@pytest.mark.slow
def test_paths_of_natural_gradient_show_its_index():
    """Assert Hill's estimate at d = 5 within 0.8 of 3, and at d = 8 above 5: the index falls with d."""
    found = []
    for d in (5, 8):
        rule = rules.NaturalGradient(fisher="centred")
        sgd = SGD(StreamingLeastSquares(np.ones(d), 0.0, np.zeros(d)), 1.0, 4, rule=rule)
        run = sgd.simulate(np.ones(d), 600, 6000, "norm", record=[300, 400, 500, 600], seed=3, threads=1)
        far = np.sort(run["norm"].values.ravel())[::-1]
        found.append(200 / np.log(far[:200] / far[200]).sum())
    assert abs(found[0] - 3) < 0.8 and found[1] > 5
