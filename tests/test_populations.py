"""Growth by cloning: products of random matrices against their exact growth rates."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from sgdlimits.discrete import SGD
from sgdlimits.ensembles import PACK, populations
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import StreamingLeastSquares

ROOTS, STEP = np.array([1.0, 0.6]), 0.9


@dataclass(frozen=True)
class Product:
    """x <- (1 - eta a a^T) x with Gaussian a."""

    def initial_state(self, x0):
        return x0.copy()

    def step(self, k, x, noise):
        a = ROOTS * noise.normals(64, k, 2)
        return x - STEP * a * (a * x).sum(axis=1, keepdims=True)

    def position(self, x):
        return x


def second_moment_growth():
    """log of the spectral radius of E A (x) A, A = 1 - eta a a^T; fourth moments of Gaussians by Isserlis."""
    h, eye = np.diag(ROOTS**2), np.eye(2)
    fourth = np.einsum("ij,kl->ikjl", h, h) + np.einsum("ik,jl->ikjl", h, h) + np.einsum("il,kj->ikjl", h, h)
    square = np.kron(eye, eye) - STEP * (np.kron(h, eye) + np.kron(eye, h)) + STEP**2 * fourth.reshape(4, 4)
    return float(np.log(np.abs(np.linalg.eigvals(square)).max()))


def log_square(before, after):
    """log |after|^2 / |before|^2."""
    return np.log(np.square(after).sum(axis=1) / np.square(before).sum(axis=1))


def unit(x):
    """Back to norm 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def found(process=Product(), **options):
    settings = {"generations": 300, "paths": 512, "log_weight": log_square, "project": unit, "seed": 1} | options
    return populations.grow(process, np.array([1.0, 1.0]), **settings)


def test_growth_of_the_second_moment_of_a_product_of_matrices():
    """Assert the exact rate within the interval; paths without cloning, each of weight 1, fail by many errors."""
    exact, growth = second_moment_growth(), found()
    assert growth.lower < exact < growth.upper
    assert growth.upper - growth.lower < 0.1 * abs(exact)
    draws = populations.grow(
        Product(), np.array([1.0, 1.0]), generations=300, paths=512, seed=1, project=unit,
        log_weight=lambda before, after: 0 * after[:, 0],
    )  # fmt: skip
    assert draws.rate == 0  # a weight of one neither grows nor shrinks
    typical = plain_rate()
    assert abs(typical - exact) > 5 * (growth.upper - growth.lower)


def plain_rate():
    """Mean of log |x|^2 a step without cloning: twice the Lyapunov exponent, below the rate of the mean square."""
    from sgdlimits.discrete import simulate

    run = simulate(Product(), np.array([1.0, 1.0]), 100, 512, observables={"log": lambda x: np.log((x * x).sum(1))})
    return float(run["log"][:, -1].mean() - np.log(2)) / 100


@pytest.mark.slow
def test_a_compiled_process_grows_at_the_same_rate():
    """Assert it for streaming SGD in its kernel: the recurrence of the same matrices about its minimiser."""
    problem = StreamingLeastSquares(np.diag(ROOTS**2), 0.0, np.zeros(2))
    growth = found(SGD(problem, STEP))
    assert growth.lower < second_moment_growth() < growth.upper


@pytest.mark.parametrize("process", [Product(), SGD(StreamingLeastSquares(np.diag(ROOTS**2), 0.0, np.zeros(2)), STEP)])
def test_the_same_seed_gives_the_same_bits_for_any_threads(process):
    """Assert equality to the bit for one, two and five threads, and another seed as control."""
    one, two, five = (found(process, generations=20, paths=64, threads=threads) for threads in (1, 2, 5))
    assert one == two == five
    assert one.rate != found(process, generations=20, paths=64, seed=2).rate


@pytest.mark.slow
def test_intervals_cover_in_a_thousand_runs():
    """Assert that a two-sided binomial test at 1 % does not reject 90 %, and that half the width is rejected."""
    exact = second_moment_growth()
    runs = [found(generations=60, paths=64, confidence=0.9, seed=s, groups=6, threads=1) for s in range(1000)]
    held = sum(run.lower < exact < run.upper for run in runs)
    half = sum(abs(run.rate - exact) < (run.upper - run.lower) / 4 for run in runs)
    law = stats.binom(1000, 0.9)
    assert law.cdf(held) > 0.005 and law.sf(held - 1) > 0.005 and law.cdf(half) < 0.005


def test_resampling_is_in_proportion_to_the_weights():
    """Assert within one child of the expected number for every weight, none for a dead path, the last included."""
    weights = np.array([0.0, 3.0, 1.0, 0.5, 5.5, 0.0])
    with np.errstate(divide="ignore"):
        logs = np.log(weights) + 700
    for uniform in (0.0, 0.3, 1 - 2**-53):
        children = np.bincount(populations.resample(logs, uniform), minlength=6)
        assert (np.abs(children - 6 * weights / weights.sum()) < 1).all() and not children[weights == 0].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log_weight": lambda a, b: np.full(len(a), -np.inf)}, "died out in generation 0"),
        ({"log_weight": lambda a, b: np.full(len(a), np.nan)}, "nan in generation 0"),
        ({"log_weight": lambda a, b: a}, "one number below infinity for each"),
        ({"paths": PACK}, "at least"),
        ({"groups": 1}, "at least 2"),
        ({"confidence": 1.0}, "below 1"),
    ],
)
def test_bad_input_is_one_sentence(options, message):
    """Assert that each is refused by a sentence that says what was got."""
    with pytest.raises(InvalidInput, match=message):
        found(**{"generations": 5, "paths": 32} | options)


def test_a_process_with_momentum_is_not_projected():
    """Assert a sentence: projecting the position alone would leave the momentum behind."""
    problem = StreamingLeastSquares(np.diag(ROOTS**2), 0.0, np.zeros(2))
    with pytest.raises(InvalidInput, match="also holds"):
        found(SGD(problem, 0.1, momentum=0.5), generations=5)
