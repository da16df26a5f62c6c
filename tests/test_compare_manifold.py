"""compare.manifold: Phi(w_k) against the limit on the zero-loss set, with the parts of the error apart."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sgdlimits.compare import Manifold, manifold
from sgdlimits.compare._manifold import candidates, error_expansion
from sgdlimits.compare.rescaling import at_noise_level, noise_level
from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry, noise, predictors, zero_loss

HYPERBOLA, PRODUCTS = zero_loss.Hyperbola(), zero_loss.ProductSum(2)
START = np.array([2.0, 0.5])
S = np.array([0.9, 0.1])
PRODUCT_START = np.concatenate([np.sqrt(S), np.sqrt(S)])
LABEL = noise.LabelNoise(0.5)


def conserved(w):
    return w[:, 0] ** 2 - w[:, 1] ** 2


def difference(w):
    return w[:, 0] * w[:, 2] - w[:, 1] * w[:, 3]


def compared(model, mechanism, w0, limit_mechanism=None, step_size=0.05, **settings):
    limit = ManifoldLimit(model, limit_mechanism or mechanism, step_size)
    return manifold(NoisyGradientDescent(model, mechanism, step_size), limit, w0, **{"threads": 1} | settings)


@pytest.fixture(scope="module")
def label():
    sizes = 0.1 * 0.5 ** np.arange(5)
    return compared(
        HYPERBOLA, LABEL, START, time=1.0, paths=1000, step_sizes=sizes,
        observables={"c": conserved, "x": lambda w: w[:, 0]},
    )  # fmt: skip


@pytest.fixture(scope="module")
def dropout():
    return compared(
        PRODUCTS, noise.Dropout(0.4), PRODUCT_START, time=1.0, paths=600, step_sizes=[0.1, 0.05, 0.025],
        noise_levels=[0.4, 0.2, 0.1], observables={"y": difference},
    )  # fmt: skip


def test_label_noise_is_within_two_percent_of_its_limit_at_step_size_00625(label):
    """Assert the relative error of E c at time 1 on the hyperbola, whose limit is c_0 exp(-t)."""
    last = label.dataset.sel(observable="c", step_size=0.00625).isel(time=-1, noise_level=0)
    assert abs(float(last["limit"]) - 3.75 * np.exp(-1)) < 1e-8
    assert abs(float(last["error"])) + 2 * float(last["error_error"]) < 0.02 * float(last["limit"])


def test_the_error_of_label_noise_halves_with_the_step_size(label):
    """Assert ratios of one half, an order of one, and the constant -1.57 step_size of the relative error."""
    for row in label.table():
        if row["observable"] == "c" and row["step_size"] < 0.1:
            half = 0.5 * row["error_error"] / abs(row["error"])
            assert abs(row["ratio"] - 0.5) < 0.03 + 4 * half
    here = label.dataset.sel(observable="c")
    assert abs(float(here["order"]) - 1) < 0.05
    slope, error = (float(here[name].sel(part="step size")) for name in ("coefficient", "coefficient_error"))
    scale = 3.75 * np.exp(-1)
    assert abs(slope / scale + 1.57) < 4 * error / scale


def test_nothing_remains_of_the_error_where_the_limit_is_right(label, dropout):
    """Assert the verdict and that what remains is zero within four standard errors."""
    for result, names in ((label, ("c", "x")), (dropout, ("y",))):
        for name in names:
            here = result.dataset.sel(observable=name, part="what remains")
            assert here["verdict"].item() == "agrees"
            assert abs(float(here["coefficient"])) < 4 * float(here["coefficient_error"])


def test_a_wrong_limit_differs():
    """Assert that the limit of weight noise is refuted as the limit of label noise."""
    wrong = compared(
        HYPERBOLA, LABEL, START, noise.WeightNoise(0.5), time=0.3, paths=200, observables={"c": conserved},
        noise_levels=[0.5],
    )  # fmt: skip
    assert wrong.dataset["verdict"].item() == "differs"
    assert "c differs" in str(wrong)


def test_every_verdict_has_controls_that_fail(label, dropout):
    """Assert that a limit that stands still and one twice as fast are rejected, with their gaps at all times."""
    for result, name in ((label, "c"), (label, "x"), (dropout, "y")):
        rows = {row["against"]: row for row in result.judgements(name)}
        assert rows["the limit"]["verdict"] == "agrees"
        for control in ("a limit that stands still", "a limit twice as fast"):
            assert rows[control]["verdict"] == "differs" and np.isnan(rows[control]["paths"])
            assert abs(rows[control]["gap"]) - rows[control]["band"] > rows[control]["margin"]
        change = float(result.dataset["change"].sel(observable=name))
        assert rows["the limit"]["margin"] == 0.05 * change
    here = label.dataset.sel(observable="c")
    times = here["time"].values
    fast = here["against_gap"].sel(against="a limit twice as fast").values
    expected = 3.75 * (np.exp(-times) - np.exp(-2 * times))
    band = here["against_band"].sel(against="a limit twice as fast").values
    assert (np.abs(fast - expected) < band).all() and (band < 0.2 * expected).all()


def test_a_control_that_is_not_rejected_says_so():
    """Assert that few paths are undecided against the limit and its controls, with the paths that would decide."""
    found = compared(HYPERBOLA, LABEL, START, time=0.02, paths=2, rungs=3, times=1, step_size=0.2)
    first, still, fast = found.judgements("displacement")
    assert first["verdict"] == "undecided" and first["paths"] > 2
    assert fast["verdict"] == "undecided" and fast["paths"] > 2
    text = " ".join(str(found).split())
    assert "paths of each rung would decide" in text and "no power against a limit twice as fast (undecided)" in text


def test_dropout_errs_by_the_noise_level_squared(dropout):
    """Assert a part in the squared noise level that the step size does not remove, and the closed form of the limit."""
    here = dropout.dataset.sel(observable="y")
    assert dropout.dataset.attrs["regime"] == "non-degenerate"
    odds = 0.64 / 0.36 * np.exp(-2)  # y^2 / (1 - y^2) at time 1, a whole step of the finest rung
    assert abs(float(here["limit"][-1, -1, -1]) - np.sqrt(odds / (1 + odds))) < 1e-8
    part = here.sel(part="noise level^2")
    assert abs(float(part["coefficient"])) > 3 * float(part["coefficient_error"])
    assert np.isnan(here["order"])


def test_spread_is_of_the_root_of_the_step_size(label):
    """Assert exponents 1/2 across the set, and at least 1/2 along it."""
    found = label.dataset["spread_exponent"].sel(variable="step size")
    assert abs(float(found.sel(kind="normal")) - 0.5) < 0.06
    assert float(found.sel(kind="tangential")) > 0.44
    spread = label.dataset["spread"].isel(time=-1, noise_level=0)
    assert np.all(np.diff(spread.values, axis=0) < 0)


def test_bernoulli_masks_spread_along_the_set_whatever_the_noise_level():
    """Assert exponents 1/2 in the step size and 0 in the noise level, where Gaussian masks would have 1."""
    u = np.sqrt((1 + 5**0.5) / 2)  # u v = 1
    result = compared(
        zero_loss.QuadraticDifference(), noise.DropConnect(0.1, "bernoulli"), [u, 1 / u],
        time=0.05, step_sizes=[0.02, 0.01, 0.005], noise_levels=[0.1, 0.07, 0.05], paths=1000, times=1,
    )  # fmt: skip
    found, predicted = result.dataset["spread_exponent"], result.dataset["spread_exponent_predicted"]
    assert predicted.sel(kind="tangential", variable="noise level") == 0
    for variable in ("step size", "noise level"):
        sides = (table.sel(kind="tangential", variable=variable) for table in (found, predicted))
        assert abs(float(next(sides)) - float(next(sides))) < 0.15


def test_a_limit_that_does_not_move_is_held_against_no_motion():
    """Assert a displacement of exactly zero for minibatch noise that starts on the set."""
    result = compared(HYPERBOLA, noise.Minibatch(1), START, steps=50, paths=16, rungs=2, times=2)
    assert result.dataset.attrs["regime"] == "trivial"
    assert not result.dataset["error"].values.any() and not result.dataset["spread"].values.any()
    assert result.dataset["verdict"].item() == "agrees" and "it stands still" in str(result)
    assert result.judgements("squared displacement")[1]["verdict"] == "differs"


@pytest.mark.parametrize("start", [(2.2, 0.7), (2.0, 0.5)])
def test_what_moves_differs_from_a_limit_that_stands_still(start):
    """Assert it of label noise against the limit of Bernoulli masks, from off the set and on it; minibatches agree."""
    settings = {"steps": 300, "paths": 300, "step_sizes": [0.1, 0.08, 0.06], "step_size": 0.1}
    masks = noise.DropConnect(0.2, law="bernoulli")
    moving = compared(HYPERBOLA, noise.LabelNoise(0.2), np.array(start), masks, **settings)
    assert moving.dataset.attrs["regime"] == "trivial" and moving.dataset["verdict"].item() == "differs"
    gap, band, margin = moving.dataset["late"].values
    assert gap - band > 5 * margin and moving.dataset["motion"] > 0.01
    for mechanism in (noise.Minibatch(1), masks):
        still = compared(HYPERBOLA, mechanism, np.array(start), **settings)
        assert still.dataset["verdict"].item() == "agrees" and still.dataset["motion"] < 1e-9
    transient = np.sum((np.array(start) - geometry.limit_map(HYPERBOLA, start)) ** 2)
    assert start == (2.0, 0.5) or abs(float(still.dataset["change"].item()) / transient - 1) < 1e-9


def test_a_slow_motion_far_from_the_start_is_found_in_the_last_half():
    """Assert "differs" where the motion is below the tolerance of the transient: the last half is held to the noise."""
    moving = compared(
        HYPERBOLA, noise.LabelNoise(0.1), np.array([3.0, 1.5]), noise.DropConnect(0.1, law="bernoulli"), steps=400,
        paths=300, step_sizes=[0.1, 0.08, 0.06], step_size=0.1,
    )  # fmt: skip
    here = moving.dataset.sel(against="the limit", observable="squared displacement")
    assert (np.abs(here["against_gap"]) + here["against_band"] < here["margin"]).all()
    assert here["verdict"].item() == "differs" and np.isnan(moving.judgements("squared displacement")[0]["time"])


def test_a_floor_above_a_small_limit_is_named():
    """Assert the word floor where the limit falls to 1e-5 of its start, with the order in the step size; it agrees."""
    found = compared(
        HYPERBOLA, noise.WeightNoise(0.2), START, step_size=0.1, time=2.5, paths=200, step_sizes=[0.1, 0.05, 0.025],
        noise_levels=[0.2], observables={"c^2": lambda w: conserved(w) ** 2},
    )  # fmt: skip
    assert found.dataset["verdict"].item() == "agrees" and found.dataset["floor"].item() == "floor"
    assert "times its limit at step size 0.100" in " ".join(str(found).split())
    short = compared(HYPERBOLA, LABEL, START, time=0.1, paths=8, rungs=2, times=1, observables={"c": conserved})
    assert short.dataset["floor"].item() == ""


@pytest.mark.slow
def test_a_random_limit_is_sampled():
    """Assert that Langevin noise agrees in the squared displacement, both sides with standard errors."""
    result = compared(
        HYPERBOLA, noise.Langevin(0.5), START, time=0.2, step_sizes=[0.04, 0.02, 0.01], paths=4000, times=1,
    )  # fmt: skip
    last = result.dataset.isel(time=-1, noise_level=0)
    assert np.all(last["limit_error"].values > 0)
    assert np.all(np.abs(last["error"].values) < 4 * last["error_error"].values + 0.1 * last["limit"].values)
    assert result.dataset["spread_exponent_predicted"].sel(kind="tangential").values.tolist() == [0, 0]


def parts_of(noise_generator, sizes, levels, truth, error):
    terms = error_expansion.columns_of(sizes, levels)
    exact = np.tensordot(truth, np.stack(list(terms.values())), axes=1)
    sampled = exact + error * noise_generator.standard_normal(exact.shape)
    errors = np.full((*exact.shape, 1), error)
    columns = error_expansion.matrix_of(terms)
    return error_expansion.expanded(columns, sizes, sampled[:, :, None], errors, sampled[:, :, None], True)


def test_terms_are_added_where_the_ladder_bends():
    """Assert a line through two rungs, and a further term where one rung to spare shows that the first ones misfit."""
    sizes, level = np.array([0.1, 0.05, 0.025]), np.array([np.nan])
    gaps, errors = (0.3 * sizes + 4 * sizes**2)[:, None, None, None], np.full((3, 1, 1, 1), 1e-4)
    short = error_expansion.fitting_columns(sizes[:2], level, gaps[:2], errors[:2])
    assert list(short) == ["what remains", "step size"]
    bent = error_expansion.fitting_columns(sizes, level, gaps, errors)
    assert list(bent) == ["what remains", "step size", "step size^2"]
    straight = error_expansion.fitting_columns(sizes, level, 0.3 * sizes[:, None, None, None], errors)
    assert list(straight) == ["what remains", "step size"]


def test_one_step_size_and_several_noise_levels_are_a_ladder():
    """Assert that a term in the noise level alone is fitted, where one in the step size could not be told apart."""
    found = compared(
        HYPERBOLA, noise.WeightNoise(0.1), START, time=0.1, step_sizes=[0.05], noise_levels=[0.1, 0.05], paths=8
    )
    assert found.dataset["part"].values.tolist() == ["what remains", "noise level^2"]


def test_what_remains_goes_to_zero_with_many_paths_on_a_short_ladder():
    """Assert it of label noise, whose limit is right: two rungs leave the square of the step size, and three that
    bend do not; their bands hold zero."""
    few, many = (
        compared(HYPERBOLA, LABEL, START, time=0.5, step_size=0.1, paths=paths, rungs=rungs, seed=3)
        for rungs, paths in ((2, 1000), (3, 10_000))
    )
    for found in (few, many):
        assert found.dataset["against_verdict"].sel(against=candidates.LIMIT).item() == "agrees"
    gap, band = (many.dataset[f"against_{name}"].sel(against=candidates.LIMIT).values for name in ("gap", "band"))
    assert (np.abs(gap) < 1.5 * band).all() and "step size^2" in many.dataset["part"].values


def test_parts_are_told_apart_with_intervals_that_cover():
    """Assert that 95 % intervals of each part hold the truth over 1000 trials.

    Two-sided at 1 % with the errors that were put in; from below as reported, where a misfit only ever enlarges them.
    """
    sizes, levels = np.array([0.1, 0.05, 0.025, 0.0125]), np.array([0.2, 0.1])
    truth = np.array([0.0, -1.5, 0.7, 0.3, 2.0])
    rng, held, reported = np.random.default_rng(0), np.zeros(5, dtype=int), np.zeros(5, dtype=int)
    for _ in range(1000):
        parts = parts_of(rng, sizes, levels, truth, 1e-3)
        gap = np.abs(parts["coefficient"][:, 0] - truth) / parts["coefficient_error"][:, 0]
        reported += gap < 1.96
        held += gap * np.sqrt(max(1.0, float(parts["reduced_chi2"][0]))) < 1.96
    assert min(binomtest(count, 1000, 0.95).pvalue for count in held.tolist()) > 0.01 / 5
    assert (reported >= held).all() and (reported < 1000).all()


def test_results_print_plot_and_persist(label, dropout, tmp_path):
    """Assert that tables hold the numbers, and that a file gives the same result back."""
    from matplotlib.figure import Figure

    for result in (label, dropout):
        text = str(result)
        assert "what remains" in text and max(map(len, text.splitlines())) <= 118
        assert "<table>" in result._repr_html_() and r"\begin{tabular}" in result.to_latex()
        assert isinstance(result.plot(), Figure) and isinstance(result.plot_spread(), Figure)
        result.save(tmp_path / "result.nc")
        assert str(Manifold.load(tmp_path / "result.nc")) == text
    rows = label.table()
    assert len(rows) == 10 and {row["step"] for row in rows} == {400, 1600, 6400, 25600, 102400}


def test_noise_levels_scale_every_part_of_a_mixture():
    """Assert that the largest standard deviation takes the level, the others go along, and minibatches stay."""
    mixture = noise.Minibatch(1) + noise.LabelNoise(0.4) + noise.WeightNoise(0.1)
    assert noise_level(mixture) == 0.4 and np.isnan(noise_level(noise.Minibatch(1)))
    half = at_noise_level(mixture, 0.2)
    assert [type(part).__name__ for part in half.components] == ["Minibatch", "LabelNoise", "WeightNoise"]
    assert np.allclose([part.sigma for part in half.components[1:]], [0.2, 0.05], rtol=1e-15)


def test_bad_input_is_named():
    """Assert one clear sentence for each wrong argument."""
    process, limit = NoisyGradientDescent(HYPERBOLA, LABEL, 0.05), ManifoldLimit(HYPERBOLA, LABEL, 0.05)
    with pytest.raises(InvalidInput, match="built on different models"):
        manifold(NoisyGradientDescent(PRODUCTS, LABEL, 0.05), limit, START, time=1.0)
    with pytest.raises(InvalidInput, match="either time, on the limit's clock, or steps"):
        manifold(process, limit, START)
    with pytest.raises(InvalidInput, match="either time, on the limit's clock, or steps"):
        manifold(process, limit, START, time=1.0, steps=10)
    with pytest.raises(InvalidInput, match="w0 must be one point"):
        manifold(process, limit, np.tile(START, (3, 1)), time=1.0)
    with pytest.raises(InvalidInput, match="at most 0.1, got 0.2: lower it"):
        manifold(process, limit, START, time=1.0, tolerance=0.2)
    with pytest.raises(InvalidInput, match="less than a step apart"):
        manifold(process, limit, START, time=1e-4, paths=4)
    with pytest.raises(InvalidInput, match="decreasing positive numbers"):
        manifold(process, limit, START, time=0.1, step_sizes=[0.01, 0.02])
    with pytest.raises(InvalidInput, match="no standard deviation"):
        compared(HYPERBOLA, noise.Minibatch(1), START, steps=20, noise_levels=[0.1])
    with pytest.raises(InvalidInput, match="mapping from names to functions"):
        manifold(process, limit, START, time=0.1, observables=["c"])
    with pytest.raises(InvalidInput, match="returned shape"):
        manifold(process, limit, START, time=0.1, paths=4, observables={"w": lambda w: w})
    with pytest.raises(InvalidInput, match="observable 'w' raised IndexError"):
        manifold(process, limit, START, time=0.1, paths=4, observables={"w": lambda w: w["c"]})
    with pytest.raises(InvalidInput, match="must have a model and a noise, got float"):
        manifold(process, 0.1, START, time=0.1)


def circle():
    """f = |w|^2 with label 1: the Hessian's trace is constant on its zero-loss set."""
    made = predictors.UserPredictor(
        lambda w, x: (w * w).sum(-1)[:, None, None] * np.ones((*x.shape[:2], 1)),
        lambda w, x, slopes: 2 * slopes * w[:, None, :], 1, 1, 2,
    )  # fmt: skip
    return zero_loss.PredictorRegression(made, np.zeros((1, 1)), np.ones(1))


@pytest.mark.slow
def test_label_noise_on_a_circle_stands_still_and_no_order_of_rounding_is_printed():
    """Assert the trivial regime, an error of exactly 0 and no order; on the hyperbola the same noise moves."""
    descent = NoisyGradientDescent(circle(), noise.LabelNoise(0.3), 0.05)
    limit = ManifoldLimit.of(descent, start=[1.2, 0.4])
    assert limit.regime == "trivial" and "vanishes" in limit.explanation
    found = manifold(descent, limit, [1.2, 0.4], steps=100, paths=20, rungs=3, threads=1).dataset
    assert found["verdict"].item() == "agrees" and found["against_verdict"].values[-1] == "differs"
    assert (found["error"].values == 0).all() and np.isnan(found["order"].values).all()
    assert np.isnan(found["spread_exponent"].sel(kind="tangential")).all()
    assert ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.3), 0.05).regime == "degenerate"


@pytest.mark.slow
def test_standing_still_has_no_exponent():
    """Assert that the order of a displacement of rounding is not given."""
    from sgdlimits.compare import time_scales

    descent = NoisyGradientDescent(circle(), noise.LabelNoise(0.3), 0.05)
    found = time_scales([descent], [1.2, 0.4], paths=16, steps=200, rungs=2).dataset
    assert np.isnan(found["displacement_order"].values).all() and found["verdict"].values[0, 0] == "trivial"


def test_a_long_comparison_is_announced_before_it_starts(monkeypatch):
    """Assert a warning with the minutes and what fewer rungs save, when the work is far beyond a minute."""
    from sgdlimits.compare._manifold import driver
    from sgdlimits.exact.errors import LongRun

    class Started(Exception):
        pass

    def start(*args):
        raise Started

    monkeypatch.setattr(driver, "measured", start)
    limit = ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.3), 0.05)
    descent = NoisyGradientDescent(HYPERBOLA, noise.LabelNoise(0.3), 0.05)
    with pytest.warns(LongRun, match="minutes.*one rung less takes 25 %") as caught, pytest.raises(Started):
        manifold(descent, limit, START, steps=3_000_000, paths=1000, threads=1)
    assert caught[0].filename == __file__
    with pytest.raises(Started):  # control: a short one says nothing
        manifold(descent, limit, START, steps=300, paths=100, threads=1)
