"""compare.manifold over a ladder: unstable rungs, one clock where the leading mechanism changes, sets of one trace."""

import numpy as np
import pytest
from sgdlimits.compare import manifold
from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.exact.errors import StabilityWarning, Unstable
from sgdlimits.problems import noise, predictors, zero_loss

HYPERBOLA, PRODUCTS = zero_loss.Hyperbola(), zero_loss.ProductSum(2)
START, THRESHOLD = np.array([2.0, 0.5]), 2 / 4.25  # curvature x^2 + y^2 on x y = 1
LABEL = noise.LabelNoise(0.1)
PRODUCT_START = np.sqrt([0.9, 0.1, 0.9, 0.1])


def laddered(step_size, step_sizes=None, **settings):
    descent, limit = NoisyGradientDescent(HYPERBOLA, LABEL, step_size), ManifoldLimit(HYPERBOLA, LABEL, step_size)
    given = {"steps": 200, "paths": 8, "rungs": 2, "times": 2, "threads": 1} | settings
    return manifold(descent, limit, START, step_sizes=step_sizes, **given)


def test_unstable_rungs_are_left_out_with_a_warning_and_a_note():
    """Assert the rungs that are left, the warning in the caller's name and the note; a stable ladder says nothing."""
    with pytest.warns(StabilityWarning, match="step sizes 0.6, 0.48 are past the stability limit 0.470588") as caught:
        found = laddered(0.1, [0.6, 0.48, 0.4, 0.2])
    assert caught[0].filename == __file__
    assert found.dataset["step_size"].values.tolist() == [0.4, 0.2]
    assert np.isfinite(found.dataset["error"].values).all()
    assert any("0.6, 0.48" in note and "left out" in note for note in found.notes())
    calm = laddered(0.4)  # warnings are errors here
    assert calm.dataset.attrs["dropped"] == "" and not any("left out" in note for note in calm.notes())


@pytest.mark.parametrize(
    ("step_size", "step_sizes", "sentence"),
    [
        (0.6, None, r"step_size is 0.6, .*stable only below 0.470588.*lower the step size"),
        (0.2, [0.6, 0.4], "0.6 of the ladder are past .*fewer than two rungs"),
        (0.2, [0.9, 0.6], "0.9, 0.6 of the ladder are past .*at least two"),
    ],
)
def test_too_few_stable_rungs_are_an_error_with_the_threshold(step_size, step_sizes, sentence):
    """Assert Unstable and the largest stable step size."""
    with pytest.raises(Unstable, match=sentence) as caught:
        laddered(step_size, step_sizes)
    assert caught.value.threshold == pytest.approx(THRESHOLD, rel=1e-12)


def test_stable_rungs_are_compared_though_the_recurrence_as_given_is_not_stable():
    """Assert that explicit step sizes below the limit need no stable recurrence, also for the default observable."""
    assert laddered(0.6, [0.4, 0.2]).dataset["step_size"].values.tolist() == [0.4, 0.2]


def mixture(model, start, faster, step_size=0.05, **settings):
    descent = NoisyGradientDescent(model, faster + noise.LabelNoise(0.5), step_size)
    limit = ManifoldLimit.of(descent, start=start)
    given = {"paths": 40, "rungs": 3, "times": 2, "threads": 1, "noise_levels": [0.5]} | settings
    return limit, manifold(descent, limit, start, **given)


@pytest.mark.parametrize(
    ("model", "start", "faster"),
    [
        (HYPERBOLA, START, noise.WeightNoise(0.1)),
        pytest.param(PRODUCTS, PRODUCT_START, noise.Dropout(0.1), marks=pytest.mark.slow),
    ],
)
def test_every_rung_runs_on_the_clock_of_the_mechanism_that_leads_as_given(model, start, faster):
    """Assert equal ends k step_size^2 sigma^2 of label noise, where the other mechanism leads below step size 0.04.

    By the clock that leads in each rung they would end at 0.05, 0.031 and 0.016.
    """
    limit, found = mixture(model, start, faster, time=0.05)
    dataset = found.dataset
    assert limit.leading.label == "LabelNoise"
    ends = dataset["steps"].values[:, 0, -1] * dataset["step_size"].values ** 2 * 0.5**2
    assert np.abs(ends - 0.05).max() < 1e-6
    said = next(note for note in found.notes() if "leads changes along the ladder" in note)
    other = f"{type(faster).__name__} (non-degenerate) at step size 0.025, 0.0125"
    assert f"LabelNoise (degenerate) at step size 0.05; {other}" in said
    # The limit of each rung is followed for the same number of steps, on the clock of its own.
    for size, step, point in zip(*(dataset[name].values for name in ("step_size", "steps", "limit_point"))):
        own = ManifoldLimit(model, limit.noise, size, start=start)
        expected = own.solve(start, step[0] / float(own.clock)).w.values
        assert np.abs(point[0] - expected).max() < 1e-9


def test_a_ladder_that_one_mechanism_leads_has_no_note_on_clocks():
    """Assert the note's absence where weight noise leads throughout."""
    limit, found = mixture(HYPERBOLA, START, noise.WeightNoise(0.1), 0.03, steps=60)
    assert limit.leading.label == "WeightNoise" and found.dataset.attrs["regimes"] == ""


def sphere(centre, radius):
    """f = |w - centre|^2 / radius^2 with label 1: the Hessian's trace is constant on its zero-loss set."""
    made = predictors.UserPredictor(
        lambda w, x: ((w - centre) ** 2).sum(-1)[:, None, None] / radius**2 * np.ones((*x.shape[:2], 1)),
        lambda w, x, slopes: 2 / radius**2 * slopes * (w - centre)[:, None, :], 1, 1, len(centre),
    )  # fmt: skip
    return zero_loss.PredictorRegression(made, np.zeros((1, 1)), np.ones(1))


def user_sphere(centre, radius):
    """The same set by a loss of its own, with a label's noise in it; derivatives by differences."""

    def miss(w, eta):
        return ((w - centre) ** 2).sum(-1) / radius**2 - 1 - eta[..., 0]

    return zero_loss.UserLoss(
        lambda w, eta: miss(w, eta) ** 2 / 2,
        lambda w, eta: 2 / radius**2 * miss(w, eta)[..., None] * (w - centre), len(centre), noise_size=1,
    )  # fmt: skip


@pytest.mark.parametrize(("centre", "radius"), [((0.5, -1.0), 1.7), ((1.0, 0.0, -1.0), 2.0)])
def test_noise_on_a_sphere_stands_still_wherever_it_is(centre, radius):
    """Assert trivial limits, with the reason, for circles and spheres; masks move along them."""
    model, centre = sphere(np.array(centre), radius), np.array(centre)
    mixture = noise.LabelNoise(0.3) + noise.WeightNoise(0.1) + noise.AntiCorrelated(0.1) + noise.DropConnect(0.1)
    limit = ManifoldLimit(model, mixture, 0.05, start=centre + 1.1 * radius * np.eye(len(centre))[0])
    assert [term.regime for term in limit.terms] == ["trivial"] * 3 + ["non-degenerate"]
    assert all("constant along the set" in term.sentence for term in limit.terms[:3])
    assert "stands still at that rate; a slower motion is not" in limit.terms[0].sentence
    # Weight noise does diffuse along a sphere, by step_size^2 sigma^4 a step: no sentence may exclude it.
    said = "at either rate that is looked at, step_size sigma^2 and step_size^2 sigma^2; a slower motion"
    assert said in limit.terms[1].sentence and "moves nothing" in limit.terms[1].sentence


@pytest.mark.slow
@pytest.mark.parametrize(("centre", "radius"), [((0.0, 0.0), 1.0), ((0.5, -1.0), 1.7), ((1.0, 0.0, -1.0), 2.0)])
def test_a_users_loss_with_its_own_label_noise_stands_still_on_a_sphere(centre, radius):
    """Assert the trivial regime where every derivative is a difference."""
    limit = ManifoldLimit(user_sphere(np.array(centre), radius), noise.LossNoise(0.2), 0.05)
    assert limit.regime == "trivial" and "constant along the set" in limit.explanation
