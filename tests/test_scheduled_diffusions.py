"""Diffusions whose step size follows a schedule: the moments and bits of their pieces, and the clock that is a sum."""

import json
import warnings

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.discrete import schedules
from sgdlimits.ensembles import Gaussian, saved_state
from sgdlimits.exact.errors import InvalidInput, MismatchedProcesses

RNG = np.random.default_rng(5)
FINITE = problems.LeastSquares.from_arrays(RNG.normal(size=(30, 3)), RNG.normal(size=30), ridge=0.05)
STREAM = problems.StreamingLeastSquares(np.diag([1.0, 0.4, 0.1]), 0.3, np.array([1.0, -1.0, 2.0]))
LOGISTIC = problems.Logistic(RNG.normal(size=(25, 3)), np.sign(RNG.normal(size=25)), ridge=0.1)
KINDS = {
    "flow": diffusions.GradientFlow.of,
    "OU": diffusions.OrnsteinUhlenbeck.of,
    "homogenized": diffusions.HomogenizedSGD.of,
    "modified": diffusions.ModifiedEquation.of,
    "modified, order 2": lambda sgd: diffusions.ModifiedEquation.of(sgd, order=2),
}
X0 = np.array([1.0, -2.0, 0.5])
DROP, COSINE = schedules.Drop(0.2, [4, 9], 0.3), schedules.Cosine(0.2, 12)
SCHEMES = [(kind, solver) for kind in KINDS for solver in KINDS[kind](discrete.SGD(FINITE, 0.1)).solvers]


def made(kind, step_size, problem=FINITE):
    return KINDS[kind](discrete.SGD(problem, step_size, batch_size=2))


@pytest.mark.parametrize("problem", [FINITE, STREAM], ids=["finite", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_those_of_the_pieces_one_after_the_other(kind, problem):
    """Assert that each piece, started from the law at the end of the one before, gives mean, covariance and risk."""
    found = made(kind, DROP, problem).moments(X0, 15, record=[2, 4, 9, 15])
    mean, covariance, before = X0, np.zeros((3, 3)), 0
    for size, end in ((0.2, 4), (0.06, 9), (0.018, 15)):
        piece = made(kind, size, problem).moments(Gaussian(mean, covariance), end - before, record=[end - before])
        mean, covariance = piece["mean"].values[-1], piece["covariance"].values[-1]
        here = found.sel(step=end)
        np.testing.assert_allclose(here["mean"], mean, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(here["covariance"], covariance, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(here["risk"], piece["risk"].values[-1], rtol=1e-12)
        before = end
    constant = made(kind, 0.2, problem).moments(X0, 15, record=[15])
    assert abs(constant["risk"].values[-1] - found["risk"].values[-1]) > 1e-3  # control


def test_the_flow_and_its_clock_are_sums_of_the_step_sizes():
    """Assert exp(-H sum of step sizes) for the mean of gradient flow, and times that are that sum."""
    process = made("flow", COSINE)
    found = process.moments(X0, 20, record=[7, 20])
    sums = np.array([sum(COSINE(k) for k in range(n)) for n in (7, 20)])
    modes = np.exp(-np.outer(sums, FINITE.curvatures)) * FINITE.to_modes(X0)
    np.testing.assert_allclose(found["mean"].sel(step=[7, 20]), FINITE.from_modes(modes), rtol=1e-12)
    np.testing.assert_allclose(found["time"].sel(step=[7, 20]), sums, rtol=1e-14)
    with pytest.raises(InvalidInput, match="one number is needed"):
        float(process.clock)


@pytest.mark.parametrize("kind, solver", SCHEMES)
def test_a_schedule_that_never_changes_gives_the_bits_of_the_number(kind, solver):
    """Assert equal bits and equal moments of a constant function and a number, whatever the scheme."""
    run = {"record": [3, 8], "seed": 2, "solver": solver, "substeps": 2, "observables": ("state", "risk")}
    number, function = made(kind, 0.1), made(kind, lambda k: 0.1)
    one, other = number.simulate(X0, 8, 20, **run), function.simulate(X0, 8, 20, **run)
    for name in ("state", "risk"):
        assert (one[name].values == other[name].values).all()
    scheme = {"solver": solver, "substeps": 2}
    exact = [p.moments(X0, 8, **scheme)["covariance"].values for p in (number, function)]
    np.testing.assert_allclose(*exact, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind, solver", SCHEMES)
def test_paths_have_the_exact_moments_of_their_scheme(kind, solver):
    """Assert mean risks within four standard errors of the scheme's exact ones, and far from a constant step size's."""
    process, scheme = made(kind, COSINE), {"solver": solver, "substeps": 2}
    found = process.simulate(X0, 14, 4000, "risk", record=[4, 14], seed=1, **scheme)["risk"].values
    exact = process.moments(X0, 14, **scheme)["risk"].sel(step=[4, 14]).values
    error = found.std(axis=0) / np.sqrt(len(found)) + 1e-12
    assert (np.abs(found.mean(axis=0) - exact) < 4 * error).all()
    constant = made(kind, 0.2).moments(X0, 14, **scheme)["risk"].sel(step=[14]).values
    assert np.abs(found.mean(axis=0)[1] - constant) > 8 * error[1]


@pytest.mark.parametrize("kind, solver", SCHEMES)
def test_bits_do_not_depend_on_how_a_run_is_cut(kind, solver):
    """Assert equal bits whatever is recorded, whatever the chunk, and across a saved state."""
    process, run = made(kind, COSINE), {"seed": 4, "solver": solver, "substeps": 2, "observables": "state"}
    whole = process.simulate(X0, 14, 40, record=[14], **run)["state"].values
    often = process.simulate(X0, 14, 40, record=range(15), chunk=16, threads=2, **run)["state"].values
    first = process.simulate(X0, 6, 40, keep_state=True, **run)
    rest = process.simulate(saved_state(first), 14, 40, record=[14], **run)["state"].values
    assert (often[:, -1:] == whole).all() and (rest == whole).all()


def test_losses_that_are_not_quadratic_follow_too():
    """Assert that gradient flow runs for the sum of the step sizes, and that a constant function changes no bit."""
    flow = diffusions.GradientFlow(LOGISTIC, COSINE).simulate(X0, 9, 1, "state", record=[9])["state"].values[0, 0]
    total = sum(COSINE(k) for k in range(9))
    once = diffusions.GradientFlow(LOGISTIC, total).simulate(X0, 1, 1, "state", record=[1])["state"].values[0, 0]
    np.testing.assert_allclose(flow, once, rtol=1e-8)
    run = {"observables": "state", "seed": 3, "record": [5]}
    paths = [diffusions.ModifiedEquation(LOGISTIC, size).simulate(X0, 5, 20, **run) for size in (0.1, lambda k: 0.1)]
    assert (paths[0]["state"].values == paths[1]["state"].values).all()
    stopped = diffusions.ModifiedEquation(LOGISTIC, schedules.Drop(0.1, 2, 0.0))
    ends = stopped.simulate(X0, 5, 20, "state", record=[2, 5])["state"].values
    assert (ends[:, 0] == ends[:, 1]).all()  # at step size zero nothing moves


def test_what_needs_one_step_size_says_so():
    """Assert one sentence from stationary laws, thresholds, other schemes, `integrate` and other libraries."""
    process = made("homogenized", DROP)
    for asked in (process.stationary, process.stability, process.to_sdeint):
        with pytest.raises(InvalidInput, match="one number is needed"):
            asked()
    with pytest.raises(InvalidInput, match="one number is needed"):
        diffusions.integrate(process, X0, 5.0, 0.1, 5)
    with pytest.raises(InvalidInput, match="'strang'"):
        process.simulate(X0, 5, 5, solver="ri6")
    with pytest.raises(InvalidInput, match=r"step_size = step_size / \(1 - momentum\)"):
        diffusions.HomogenizedSGD.of(discrete.SGD(FINITE, DROP, momentum=0.5))


@pytest.mark.parametrize(
    ("sgd", "step_size", "sentence"),
    [
        (discrete.SGD(FINITE, COSINE), 0.2, "has step_size 0.2, SGD has Cosine"),
        (discrete.SGD(FINITE, COSINE), DROP, "has step_size Drop"),
        (discrete.SGD(FINITE, 0.1, rule="adam"), 0.1, "takes steps of Adam"),
    ],
)
def test_sides_that_do_not_match_are_said(sgd, step_size, sentence):
    """Assert the warning where a schedule or a rule is another, and none for two schedules of one function."""
    with pytest.warns(MismatchedProcesses, match=sentence):
        compare.laws(sgd, diffusions.HomogenizedSGD(FINITE, step_size), x0=X0, steps=3, paths=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MismatchedProcesses)
        sgd = discrete.SGD(FINITE, COSINE)
        compare.laws(sgd, diffusions.HomogenizedSGD(FINITE, schedules.Cosine(0.2, 12)), x0=X0, steps=3, paths=20)


@pytest.mark.parametrize("kind", KINDS)
def test_step_sizes_too_small_to_be_squared_stand_still(kind):
    """Assert the start's own moments, not infinity, at a number and under a schedule."""
    for step_size in (1e-163, lambda k: 1e-163):
        risks = made(kind, step_size).moments(X0, 5)["risk"].values
        np.testing.assert_allclose(risks, FINITE.risk(X0), rtol=1e-12)


def test_a_comparison_under_a_schedule_is_about_the_process():
    """Assert exact risks on both sides, and the largest step size's part in the interval of what is sampled."""
    sgd = discrete.SGD(FINITE, COSINE, batch_size=2)
    process = diffusions.HomogenizedSGD.of(sgd)
    found = compare.laws(sgd, process, x0=X0, steps=14, paths=400, record=[5, 14]).dataset
    for side, label in ((sgd, "SGD"), (process, "homogenized SGD")):
        exact = side.moments(X0, 14)["risk"].sel(step=[5, 14])
        np.testing.assert_allclose(found.estimate.sel(process=label, observable="risk"), exact, rtol=1e-12)
    assert json.loads(found.attrs["sampled_by"])["homogenized SGD"][2]
