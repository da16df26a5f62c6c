"""What a comparison must not hide: the first steps, other noise, other thresholds, a horizon that is too short."""

import numpy as np
import pytest
from scipy import stats

from sgdlimits import compare
from sgdlimits.compare._laws import tables, wording
from sgdlimits.compare._laws.observables import compared_steps
from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation
from sgdlimits.discrete import SGD
from sgdlimits.problems import LeastSquares
from sgdlimits.studies.homogenized.setting import MOST, WAY, horizon


@pytest.fixture(scope="module")
def heavy():
    """Features whose fourth moment is that of the largest row: 2000 x 20, Student-t with 2.2 degrees of freedom."""
    generator = np.random.default_rng(0)
    features = generator.standard_t(2.2, (2000, 20))
    return LeastSquares.from_arrays(features, features @ np.full(20, 0.2) + generator.standard_normal(2000))


@pytest.fixture(scope="module")
def found(heavy):
    sgd = SGD(heavy, 2e-5)
    sides = [HomogenizedSGD.of(sgd), ModifiedEquation.of(sgd), GradientFlow.of(sgd)]
    return compare.laws(sgd, *sides, x0=np.zeros(20), steps=30, paths=20, observables=["excess"])


class Jump:
    """1 at the first step, 0 at all others."""

    def initial_state(self, x0):
        return x0

    def step(self, k, x, noise):
        return np.full_like(x, float(k == 0))

    def position(self, x):
        return x


def test_a_difference_at_the_first_step_alone_is_the_worst_of_the_first_table():
    """Assert that by default step 1 of 5000 is recorded, printed, and judged."""
    still = compare.KnownLaw({"x": lambda k: stats.norm(0.0 if k else 1.0, 1e-3)})
    result = compare.laws(
        still, Jump(), x0=[1.0], steps=5000, paths=2, observables={"x": lambda x: x[:, 0]}, tolerance=0.1
    )
    row = result.summary()[0]
    assert row["step"] == 1 and row["difference"] == pytest.approx(1.0) and row["verdict"] == "differs"
    assert [row["step"] for row in result.table()][:3] == [1, 2, 5]
    assert {row["step"]: row["difference"] for row in result.table()}[2] == pytest.approx(0.0)


@pytest.mark.parametrize("steps", [1, 2, 7, 40, 1000, 12_345])
def test_default_steps_are_even_ones_and_early_ones(steps):
    """Assert every 1, 2 or 5 times a power of ten, both ends, and the steps that `simulate` records."""
    chosen = compared_steps(None, steps)
    early = {digit * 10**power for digit in (1, 2, 5) for power in range(5)}
    assert {step for step in early if step <= steps} <= set(chosen.tolist())
    assert set(np.rint(np.linspace(0, steps, min(50, steps) + 1)).astype(int)) <= set(chosen.tolist())
    assert chosen[-1] == steps and (np.diff(chosen) > 0).all()
    assert compared_steps([steps], steps).tolist() == [steps]


def test_a_short_table_begins_early_and_ends_at_the_horizon(laws_dataset):
    """Assert 1, 2, 5 where they were recorded, then growing distances, and at most eight steps."""
    import xarray as xr

    for last in (1, 3, 30, 1000, 10**6):
        steps = xr.Dataset(coords={"step": compared_steps(None, last)})
        shown = tables.shown_steps(steps)
        assert shown[-1] == last and len(shown) <= 8
        assert shown[:3] == [step for step in (1, 2, 5) if step <= last] or last == 3 and shown == [1, 2, 3]
        assert (np.diff(shown)[1:] >= np.diff(shown)[:-1]).all()
    assert tables.shown_steps(laws_dataset)[0] == 40  # nothing earlier was recorded


def test_the_share_of_noise_is_that_of_the_samples_gradients(heavy, found):
    """Assert both shares by the gradients of all samples, one by one, against 2 L tr(H)."""
    shares = found.dataset["noise_share"]
    for place, x in (("start", np.zeros(20)), ("minimiser", np.linalg.lstsq(heavy.features, heavy.targets)[0])):
        residuals = heavy.features @ x - heavy.targets
        gradients = residuals[:, None] * heavy.features
        true = np.trace(np.cov(gradients.T, bias=True))
        replaced = np.square(residuals).mean() * np.square(heavy.features).sum(axis=1).mean()
        here = shares.sel(place=place, process="homogenized SGD")
        assert float(here) == pytest.approx(replaced / true, rel=1e-9)
        assert float(shares.sel(place=place, process="modified equation, order 1")) == pytest.approx(1)
        assert float(shares.sel(place=place, process="gradient flow")) == 0
    assert float(shares.sel(place="start", process="homogenized SGD")) < 0.1


def test_other_noise_and_other_thresholds_are_marked_where_the_row_agrees(heavy, found):
    """Assert the two findings in the printed result, in its first sentence, and beside the verdict."""
    text = " ".join(str(found).split())
    share = 100 * float(found.dataset["noise_share"].sel(process="homogenized SGD", place="start"))
    assert f"NOISE: homogenized SGD has, of SGD's noise covariance (traces), {share:.3g} % at the start" in text
    ratio = HomogenizedSGD.of(SGD(heavy, 1.0)).stability().mean_square_threshold
    ratio /= SGD(heavy, 1.0).stability().mean_square_threshold
    assert ratio > 10 and f"THRESHOLD: the mean-square threshold of homogenized SGD is {ratio:.3g} times" in text
    row = found.summary()[0]
    assert row["verdict"] == "agrees" and "other noise" in row["caution"]
    finding = wording.finding(found.dataset)
    assert f"{share:.3g} % at the start" in finding and f"{ratio:.3g} times" in finding
    assert len(wording.marked(found.dataset)) == 2  # nothing of the modified equation, whose noise is SGD's


def test_like_noise_and_like_thresholds_are_not_marked():
    """Assert the share as a plain number where it is within a factor of two (Gaussian features)."""
    problem = LeastSquares.gaussian(400, 4, 1.0, seed=0)
    sgd = SGD(problem, 0.05)
    found = compare.laws(sgd, HomogenizedSGD.of(sgd), x0=np.ones(4), steps=5, paths=20, observables=["risk"])
    assert not wording.marked(found.dataset)
    assert "Noise covariances as parts of SGD's (traces): homogenized SGD" in " ".join(str(found).split())
    assert "other noise" not in found.summary()[0]["caution"]


@pytest.mark.parametrize("step_size", [1e-5, 8e-5])
def test_the_default_horizon_covers_the_way_of_the_mean_risk(heavy, step_size):
    """Assert by gradient descent on the data that its steps cover 95 % of the way, or that the sentence says less."""
    steps, note = horizon(heavy, step_size)
    x, least = np.zeros(20), np.linalg.lstsq(heavy.features, heavy.targets)[0]
    hessian = heavy.features.T @ heavy.features / heavy.samples

    def excess(x):
        return (x - least) @ hessian @ (x - least) / 2

    first = excess(x)
    for _ in range(steps):
        x = x - step_size * hessian @ (x - least)
    covered = 1 - excess(x) / first
    assert covered >= WAY - 1e-3 or steps == MOST
    assert f"{100 * covered:.2g}" in note or f"{100 * covered:.3g}" in note
    relaxations = steps * step_size * np.linalg.eigvalsh(hessian)[0]
    assert f"the slowest direction has relaxed {relaxations:.3g} times" in note
