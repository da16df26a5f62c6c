"""Runs that end when an interval is narrow: they cover, say what they took, and refuse what cannot be reached."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from sgdlimits import diffusions, discrete, ensembles, problems
from sgdlimits.ensembles import Until
from sgdlimits.exact.errors import InvalidInput, OutOfReach, StabilityWarning
from sgdlimits.problems import noise, zero_loss
from tests.walk import Walk

LEAST_SQUARES = problems.LeastSquares.from_dataset("diabetes", ridge=0.1)
START = np.zeros(10)
SGD = discrete.SGD(LEAST_SQUARES, 0.02)
STEPS = 10
EXACT = float(SGD.moments(START, STEPS, quantities=("risk",)).risk[-1])


def naive(process, absolute, seed, first=64):
    """The interval of a user who adds paths until the standard error that he sees is small."""
    quantile = stats.norm.ppf(0.975)
    paths = first
    while True:
        risk = process.simulate(START, STEPS, paths, "risk", record=[STEPS], seed=seed).risk.values[:, 0]
        error = risk.std(ddof=1) / np.sqrt(paths)
        if quantile * error <= absolute:
            return risk.mean() - quantile * error, risk.mean() + quantile * error
        paths += max(8, paths // 8)


@pytest.mark.slow
def test_the_interval_covers_in_1000_repetitions():
    """Assert 95 % against the exact expected risk, whatever the seed; each interval is as narrow as asked."""
    held = 0
    for seed in range(1000):
        run = SGD.simulate(START, STEPS, 10**6, "risk", seed=seed, until=Until("risk", absolute=0.004, first=64))
        assert run.attrs["until_high"] - run.attrs["until_low"] <= 2 * 0.004
        held += run.attrs["until_low"] <= EXACT <= run.attrs["until_high"]
    assert stats.binom.cdf(held, 1000, 0.95) > 0.005


@pytest.mark.slow
def test_the_naive_rule_does_not_cover():
    """Assert that stopping where the interval looks narrow is rejected, on a step size at which the risk is skewed."""
    process = discrete.SGD(LEAST_SQUARES, 0.05)
    exact = float(process.moments(START, STEPS, quantities=("risk",)).risk[-1])
    held, plain = 0, 0
    for seed in range(1000):
        low, high = naive(process, 0.05, seed, first=8)
        plain += low <= exact <= high
        run = process.simulate(START, STEPS, 10**6, "risk", seed=seed, until=Until("risk", absolute=0.05, first=64))
        held += run.attrs["until_low"] <= exact <= run.attrs["until_high"]
    assert stats.binom.cdf(held, 1000, 0.95) > 0.005
    assert stats.binom.cdf(plain, 1000, 0.95) < 1e-4


def test_the_result_is_a_window_of_the_ensemble_and_says_why_it_ended():
    """Assert that paths, mean and interval belong together, and that the window has the bits of the whole."""
    run = SGD.simulate(START, STEPS, 10**5, seed=3, until={"observable": "risk", "relative": 0.02})
    told = run.attrs
    assert told["until_reached"] == 1 and "as narrow as asked" in told["until_why"]
    assert told["first_path"] + told["paths"] == told["paths_spent"] and run.sizes["path"] == told["paths"]
    assert run.risk[:, -1].mean() == pytest.approx(told["until_mean"], rel=1e-12)
    assert told["until_low"] <= EXACT <= told["until_high"]
    assert told["until_high"] - told["until_low"] <= 2 * 0.02 * told["until_mean"] * (1 + 1e-12)
    whole = SGD.simulate(START, STEPS, told["paths_spent"], seed=3)
    np.testing.assert_array_equal(whole.norm[told["first_path"] :], run.norm)


def test_threads_and_chunks_change_nothing():
    """Assert equal datasets, pilot and all."""
    until = Until("norm", step=5, absolute=0.005)
    one, other = (
        SGD.simulate(START, STEPS, 10**5, "norm", record=[5, STEPS], seed=4, until=until, threads=threads, chunk=chunk)
        for threads, chunk in ((1, None), (3, 48))
    )
    assert one.identical(other)


HYPERBOLA = zero_loss.Hyperbola()
DOORS = {
    "SGD": lambda **k: SGD.simulate(START, STEPS, **k),
    "homogenized SGD": lambda **k: diffusions.HomogenizedSGD.of(SGD).simulate(START, STEPS, **k),
    "recurrence": lambda **k: discrete.simulate(Walk(2), np.zeros(2), STEPS, **k),
    "user's diffusion": lambda **k: diffusions.integrate(
        diffusions.UserDiffusion(lambda t, x: -x, lambda t, x: 0.3 * x, dimension=2, noise_type="diagonal"),
        np.ones(2), 1.0, 0.1, **k,
    ),
    "noisy descent": lambda **k: discrete.NoisyGradientDescent(HYPERBOLA, noise.LabelNoise(0.2), 0.05).simulate(
        np.array([1.5, 0.7]), STEPS, **k
    ),
    "limit on the set": lambda **k: diffusions.ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.2), 0.05).simulate(
        (np.array([1.5, 0.7]), 0.01 * np.eye(2)), STEPS, **k
    ),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_every_simulation_takes_it(door):
    """Assert that it is reached, and the interval as narrow as asked, wherever there is a `paths`."""
    run = DOORS[door](paths=10**5, observables=("norm",), seed=1, until=Until("norm", absolute=0.05))
    assert run.attrs["until_reached"] == 1 and run.attrs["until_high"] - run.attrs["until_low"] <= 0.1


def test_a_run_that_goes_on_takes_it_too():
    """Assert that a saved state is taken up in pieces, with the state at the end of the paths that are kept."""
    first = SGD.simulate(START, 5, 4000, seed=2, keep_state=True)
    state = ensembles.saved_state(first)
    run = SGD.simulate(state, STEPS, 4000, seed=2, until=Until("risk", absolute=0.02), keep_state=True)
    whole = SGD.simulate(START, STEPS, 4000, seed=2)
    window = slice(run.attrs["first_path"], run.attrs["first_path"] + run.attrs["paths"])
    np.testing.assert_array_equal(run.risk[:, -1], whole.risk[window, -1])
    assert ensembles.saved_state(run).paths == run.attrs["paths"]


@pytest.mark.parametrize("door", ["SGD", "recurrence"])
def test_a_row_of_x0_for_each_path_is_refused(door):
    """Assert a sentence: of sorted rows the first are not like the others, and the interval would be theirs."""
    width = 10 if door == "SGD" else 2
    rows = np.sort(np.random.default_rng(0).standard_normal((4000, width)), axis=0)
    call = {
        "SGD": lambda **k: SGD.simulate(rows, STEPS, **k),
        "recurrence": lambda **k: discrete.simulate(Walk(2), rows, STEPS, **k),
    }[door]
    with pytest.raises(InvalidInput, match="x0 has a row for each of 4000 paths.* pass one x0 for all"):
        call(paths=4000, observables="norm", until=Until("norm", absolute=0.2))


def test_an_indicator_that_never_hits_has_a_bound_where_it_is_said_to_be_one():
    """Assert the exact interval with indicator=True, a refusal without, and one of values that are not 0 or 1."""
    far = {"far": lambda x: x[:, 0] > 100}
    run = SGD.simulate(START, STEPS, 10**5, far, until=Until("far", absolute=0.01, indicator=True))
    assert run.attrs["until_mean"] == run.attrs["until_low"] == 0 < run.attrs["until_high"] < 0.01
    with pytest.raises(OutOfReach, match="all 16384 values are 0, .* pass indicator=True if it is an indicator"):
        SGD.simulate(START, STEPS, 10**5, far, until=Until("far", absolute=0.01))
    with pytest.raises(InvalidInput, match="says that 'risk' is an indicator, but it is .* on a path"):
        SGD.simulate(START, STEPS, 10**5, until=Until("risk", absolute=0.01, indicator=True))


def test_a_mean_of_zero_has_no_relative_width():
    """Assert that not more paths are asked for, but an absolute width."""
    process = diffusions.UserDiffusion(lambda t, x: -x, lambda t, x: 0.3 + 0 * x, dimension=1, noise_type="diagonal")
    with pytest.raises(OutOfReach, match="the mean is 0 within its error .* pass absolute= as well"):
        diffusions.integrate(
            process, np.zeros(1), 1.0, 0.1, paths=10**5, observables={"x": lambda x: x[:, 0]},
            until=Until("x", relative=0.1),
        )  # fmt: skip


def test_what_cannot_be_reached_is_said_after_a_first_look():
    """Assert the number that would do, with few paths spent; and a word on a tail that allows no interval."""
    spent = []

    def height(x):
        spent.append(len(x))
        return x[:, 0]

    with pytest.raises(OutOfReach, match=r"needs about \d+, judging by the first 1024 .*raise paths, or the width"):
        SGD.simulate(START, STEPS, 5000, {"height": height}, [STEPS], until=Until("height", absolute=1e-4))
    assert sum(spent) == 1024
    with warnings.catch_warnings(), pytest.raises(OutOfReach, match="heavy tail of index about .* infinite"):
        warnings.simplefilter("ignore", StabilityWarning)
        discrete.SGD(LEAST_SQUARES, 0.2).simulate(START, 300, 10**6, until=Until("risk", relative=0.1))


def test_paths_that_overflow_have_no_interval():
    """Assert a refusal that counts them."""
    said = "'risk' is infinite on .* which overflowed: lower the step size"
    with warnings.catch_warnings(), pytest.raises(OutOfReach, match=said):
        warnings.simplefilter("ignore")
        discrete.SGD(LEAST_SQUARES, 5.0).simulate(START, 300, 10**4, until=Until("risk", relative=0.1))


def test_a_first_passage_has_no_step_and_must_come():
    """Assert the words of the result, and a refusal that counts the paths that never came to the level."""
    passage = {"fall": ensembles.FirstPassage("risk", below=0.45)}
    run = SGD.simulate(START, 500, 10**5, passage, until=Until("fall", relative=0.05))
    assert run.attrs["until"] == "the mean of 'fall' to +- 0.05 of the mean at 0.95"
    with pytest.raises(OutOfReach, match="'fall' is infinite on .* never came to the level: run longer"):
        SGD.simulate(START, 1, 10**5, passage, until=Until("fall", relative=0.05))


def test_a_value_that_is_infinite_by_itself_is_no_passage():
    """Assert other words than those of a passage that never came."""
    with pytest.raises(OutOfReach, match="'log' is infinite on .* did not overflow: let it be finite"):
        SGD.simulate(
            START, STEPS, 1000, {"log": lambda x: np.where(x[:, 0] > 0, 1.0, -np.inf)}, [0, STEPS],
            until=Until("log", step=0, absolute=1.0),
        )  # fmt: skip


def test_too_few_paths_and_paths_that_are_all_one_are_said():
    """Assert that ten paths are not judged by, and what is said where nothing is random."""
    with pytest.raises(OutOfReach, match="needs 64 paths at least to judge by, got paths = 10"):
        SGD.simulate(START, STEPS, 10, until=Until("risk", absolute=1.0))
    with pytest.raises(OutOfReach, match="where nothing is random one path is enough, without until"):
        diffusions.GradientFlow.of(SGD).simulate(START, STEPS, 10**5, until=Until("risk", absolute=0.1))


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (0.01, "must be an ensembles.Until, such as Until"),
        ({"observable": "risk", "relativ": 0.1}, "no setting 'relativ'; did you mean 'relative'"),
        ({"relative": 0.1}, "names no observable"),
        ({"observable": "risk"}, "absolute and relative are both 0"),
        ({"observable": "rsk", "relative": 0.1}, "'rsk', which is not known; did you mean 'risk'"),
        ({"observable": "risk", "step": 7, "relative": 0.1}, "step 7, which is not recorded.*take step 5"),
        ({"observable": "state", "relative": 0.1}, "10 numbers a path, and until names none"),
        ({"observable": "state", "relative": 0.1, "component": 10}, "until names 10: pass component=0 to 9"),
        ({"observable": "risk", "relative": 0.1, "component": 0}, "leave component out"),
        ({"observable": "risk", "relative": -0.1}, "relative must"),
        ({"observable": "risk", "relative": 0.1, "first": 63}, "first must be at least 64"),
        ({"observable": "risk", "relative": 0.1, "indicator": 2}, "indicator must"),
    ],
)
def test_what_cannot_be_used_is_named(until, said):
    """Assert one clear sentence each."""
    with pytest.raises(InvalidInput, match=said):
        SGD.simulate(START, STEPS, 10**4, ("risk", "state"), record=[0, 5, STEPS], until=until)
