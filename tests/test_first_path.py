"""Assert that `first_path` replays a slice of an ensemble to the bit, wherever packs and chunks begin."""

from __future__ import annotations

import numpy as np
import pytest

from sgdlimits import diffusions, discrete, problems
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import noise, zero_loss
from tests.walk import Walk

rng = np.random.default_rng(0)
A, B = rng.standard_normal((30, 3)), rng.standard_normal(30)
LEAST_SQUARES = problems.LeastSquares.from_arrays(A, B, ridge=0.1)
STREAM = problems.StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]), 0.3, np.ones(3))
LOGISTIC = problems.Logistic(A, B > 0, ridge=0.1)
SAMPLE_LOSS = problems.SampleLoss(
    lambda x, rows: 0.5 * ((A[rows] * x[:, None, :]).sum(-1) - B[rows]) ** 2,
    lambda x, rows: ((A[rows] * x[:, None, :]).sum(-1) - B[rows])[..., None] * A[rows],
    samples=30, dimension=3,
)  # fmt: skip
HYPERBOLA = zero_loss.Hyperbola()


def _sgd(problem, **options):
    return discrete.SGD(problem, 0.05, batch_size=2, **options).simulate


GBM = diffusions.UserDiffusion(lambda t, x: -x, lambda t, x: 0.3 * x, dimension=3, noise_type="diagonal")
PLAIN = discrete.SGD(LEAST_SQUARES, 0.05)
RUNS = {
    "least squares, reshuffled, momentum": _sgd(LEAST_SQUARES, sampling="reshuffle", momentum=0.5),
    "streaming": _sgd(STREAM),
    "logistic": _sgd(LOGISTIC),
    "a user's loss": _sgd(SAMPLE_LOSS),
    "homogenized SGD": diffusions.HomogenizedSGD.of(PLAIN).simulate,
    "homogenized SGD, Heun": lambda *a, **k: diffusions.HomogenizedSGD.of(PLAIN).simulate(*a, solver="heun", **k),
    "gradient flow": diffusions.GradientFlow.of(PLAIN).simulate,
    "modified equation": diffusions.ModifiedEquation.of(PLAIN).simulate,
    "a user's recurrence": lambda *a, **k: discrete.simulate(Walk(3), *a, **k),
    "a user's diffusion": lambda x0, steps, paths, **k: diffusions.integrate(GBM, x0, 1.0, 1 / steps, paths, **k),
}
ZERO_LOSS_RUNS = {
    "noisy descent, compiled": discrete.NoisyGradientDescent(HYPERBOLA, noise.LabelNoise(0.2), 0.05).simulate,
    "noisy descent, anti-correlated": discrete.NoisyGradientDescent(
        HYPERBOLA, noise.AntiCorrelated(0.2), 0.05
    ).simulate,
    "limit": diffusions.ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.2), 0.05).simulate,
}


def _same(simulate, x0, paths, first, count, **options):
    whole = simulate(x0, 12, paths, observables=("state", "norm"), seed=3, **options)
    part = simulate(x0, 12, count, observables=("state", "norm"), seed=3, first_path=first, **options)
    for name in ("state", "norm"):
        assert part[name].shape[0] == count
        np.testing.assert_array_equal(part[name].values, whole[name].values[first : first + count])
    assert part.attrs["first_path"] == first


@pytest.mark.parametrize("first, count", [(0, 5), (17, 1), (15, 34), (48, 2)])
@pytest.mark.parametrize("kind", RUNS)
def test_a_slice_has_the_bits_of_the_whole(kind, first, count):
    _same(RUNS[kind], (np.ones(3), np.eye(3)), 50, first, count)


@pytest.mark.parametrize("kind", ZERO_LOSS_RUNS)
def test_a_slice_on_a_zero_loss_set(kind):
    _same(ZERO_LOSS_RUNS[kind], np.array([1.5, 0.7]), 40, 19, 7)


def test_threads_and_chunks_do_not_matter():
    for options in ({"threads": 1, "chunk": 16}, {"threads": 3, "chunk": 32}):
        _same(PLAIN.simulate, (np.ones(3), np.eye(3)), 100, 37, 41, **options)


def test_one_path_out_of_a_million():
    gaussian = np.ones(3), np.eye(3)
    one = PLAIN.simulate(gaussian, 5, 1, observables="state", seed=3, first_path=734_912)
    few = PLAIN.simulate(gaussian, 5, 40, observables="state", seed=3, first_path=734_900)
    np.testing.assert_array_equal(one.state.values[0], few.state.values[12])


def test_rows_of_x0_are_those_of_the_slice_or_of_the_whole_ensemble():
    rows = rng.standard_normal((50, 3))
    whole = PLAIN.simulate(rows, 5, 50, observables="state", seed=1).state.values[20:23]
    for x0 in (rows, rows[20:23]):
        part = PLAIN.simulate(x0, 5, 3, observables="state", seed=1, first_path=20).state.values
        np.testing.assert_array_equal(part, whole)
    with pytest.raises(InvalidInput, match="x0 has shape"):
        PLAIN.simulate(rows[:10], 5, 3, first_path=20)


def test_observables_see_the_paths_asked_for_and_no_other():
    seen = []

    def height(x):
        seen.append(len(x))
        return x[:, 0]

    PLAIN.simulate(np.ones(3), 4, 3, observables={"height": height}, first_path=30, record=[4], threads=1)
    assert sum(seen) == 3


@pytest.mark.parametrize("bad", [-1, 2**60, 1.5, "one"])
def test_what_is_no_path_is_refused(bad):
    with pytest.raises(InvalidInput, match="first_path"):
        PLAIN.simulate(np.ones(3), 4, 3, first_path=bad)
