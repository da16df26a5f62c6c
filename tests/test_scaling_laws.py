"""Scaling laws: curves against their definitions, derived terms against exact means, fits against known powers."""

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare._scaling import Draw, fits, one_draw
from sgdlimits.compare._scaling.equivalent import Equivalent
from sgdlimits.compare._scaling.plan import Plan
from sgdlimits.compare._scaling.theory import PowerLaws
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput, OutOfReach

STEPS = np.array([0, 1, 2, 5, 20, 100])


@pytest.fixture(scope="module")
def small():
    return compare.scaling_laws(1.0, 0.3, dimensions=(16, 32, 64, 125), redraws=6, threads=1)


def test_the_curves_of_a_draw_are_what_they_say():
    """Assert SGD and homogenized SGD by moments step by step, descent without noise and the kernel by sums."""
    laws, d, size = PowerLaws(0.8, 0.4), 12, 0.2
    found = one_draw(laws, d, 40, 3, size, 2, STEPS, seed=5)
    problem = problems.StreamingLeastSquares.power_law(0.8, 0.4, d, 40, seed=child_seed(5, "features", d, 3))
    sgd = discrete.SGD(problem, size, 2)
    for process, curve in ((sgd, found.risk), (diffusions.HomogenizedSGD.of(sgd), found.homogenized)):
        risk = process.moments(np.zeros(d), 100, record=STEPS, quantities=("risk", "covariance"))["risk"].values
        np.testing.assert_allclose(curve, risk, rtol=1e-10)
    values, modes = problem.eigenvalues, problem.to_modes(np.zeros(d))
    direct = [0.5 * (values * (1 - size * values) ** (2 * k)) @ modes**2 for k in STEPS]
    np.testing.assert_allclose(found.noiseless, direct, rtol=1e-10)
    kernel = [size**2 / 2 * (values**2 * (1 - size * values) ** (2 * k)).sum() for k in STEPS]
    np.testing.assert_allclose(found.kernel, kernel, rtol=1e-10)
    assert found.floor == problem.least_risk and (found.poisson[1:] != found.risk[1:]).all()


def test_the_floor_is_the_mean_of_least_losses_over_draws():
    """By 60 draws; the control: the same term of another beta is off by many standard errors."""
    d, v = 40, 160
    least = np.array([problems.StreamingLeastSquares.power_law(1.0, 0.75, d, v, seed=s).least_risk for s in range(60)])
    right, wrong = (PowerLaws(1.0, beta).at(d, v, 0.3, 1).floor for beta in (0.75, 0.4))
    error = least.std(ddof=1) / np.sqrt(60)
    assert abs(least.mean() - right) < 4 * error + 0.03 * right  # the derivation holds up to 1/d
    assert abs(least.mean() - wrong) > 8 * error


def test_the_distortion_has_the_derived_constant():
    """What the spectrum leaves of descent without noise, by 40 draws in 250 dimensions, where the term alone rules."""
    laws, d, steps = PowerLaws(1.0, 1.3), 250, np.array([300, 600, 1200])
    found = np.array([one_draw(laws, d, 4 * d, draw, 0.3, 1, steps, 0).noiseless for draw in range(40)])
    parts = laws.at(d, 4 * d, 0.3, 1).noiseless(steps)
    left, error = found.mean(axis=0) - parts["spectrum"], found.std(axis=0, ddof=1) / np.sqrt(40)
    j_of_step = np.sqrt(2 * 0.3 * steps)  # corrections are of its size over d
    assert (np.abs(left / parts["distortion"] - 1) < 4 * error / parts["distortion"] + 2 * j_of_step / d).all()
    assert (parts["distortion"] > 5 * parts["spectrum"]).all()


def test_the_kernel_has_the_derived_constant():
    """Against the sum over the data's own spectrum, to a per cent."""
    size, steps = 0.3, np.array([100, 1000])
    values = np.arange(1, 100_001.0) ** -1.6
    direct = [size**2 * (values**2 * (1 - size * values) ** (2 * k)).sum() for k in steps]
    np.testing.assert_allclose(PowerLaws(0.8, 0.5).at(1000, 4000, size, 1).kernel(steps), direct, rtol=0.01)


@pytest.mark.parametrize("alpha", [0.6, 0.8, 1.0, 1.5])
@pytest.mark.parametrize("beta", [-0.05, 0.3, 0.7, 0.95, 1.4])
def test_the_frontier_is_the_best_share_of_the_dimension(alpha, beta):
    """Assert it by brute force over shares, and by the closed form of each phase."""
    laws = PowerLaws(alpha, beta)
    e, x = laws.exponents, np.linspace(0, 1, 200_001)
    lines = [e["spectrum"] * (1 - x), e["kernel"] * (1 - x), e["floor"] * x]
    if 2 * beta > 1:
        lines.append(x + e["distortion"] * (1 - x))
    worst = np.min(lines, axis=0)
    assert laws.frontier[0] == pytest.approx(worst.max(), abs=1e-4)
    assert laws.frontier[1] == pytest.approx(x[worst.argmax()], abs=1e-4)
    if 2 * beta < 1:
        form = (2 * alpha + 2 * beta - 1) / (2 * alpha + 1), ("spectrum", "floor")
    elif beta < alpha:
        form = (2 * alpha + 2 * beta - 1) / (2 * (alpha + beta)), ("spectrum", "distortion")
    else:
        form = (4 * alpha - 1) / (4 * alpha), ("distortion", "kernel")
    assert laws.frontier[0] == pytest.approx(form[0]) and laws.balanced == form[1]


def test_derived_means_are_those_of_draws():
    """Rank and trace to rounding; descent without noise and the kernel by 60 draws; another beta must fail."""
    laws, d, size, steps = PowerLaws(1.0, 0.75), 60, 0.3, np.array([0, 5, 50, 500])
    terms = laws.at(d, 4 * d, size, 1)
    mean = Equivalent(terms._data[0], d, terms.kappa).mean
    assert mean(np.ones(4 * d), lambda z: np.ones_like(z)) == pytest.approx(d, rel=1e-10)
    assert mean(np.ones(4 * d), lambda z: z) == pytest.approx(terms._data[0].sum(), rel=1e-10)
    draws = [one_draw(laws, d, 4 * d, draw, size, 1, steps, 0) for draw in range(60)]
    for name, theory in (("noiseless", terms.mean_noiseless(steps)), ("kernel", terms.mean_kernel(steps))):
        found = np.array([getattr(draw, name) for draw in draws])
        error = found.std(axis=0, ddof=1) / np.sqrt(60)
        assert (np.abs(found.mean(axis=0) - theory) < 4 * error + 0.5 / d * theory).all(), name
    found = np.array([draw.noiseless for draw in draws])
    wrong = PowerLaws(1.0, 0.4).at(d, 4 * d, size, 1).mean_noiseless(steps)
    assert (np.abs(found.mean(axis=0) - wrong) > 8 * found.std(axis=0, ddof=1) / np.sqrt(60)).all()


def test_crossings_of_known_curves():
    """Losses 1/k + 1/d of d and 2 d are alike at 2 d^2 steps times dimension, where they are 3 / (2 d)."""
    steps, sizes = np.unique(np.geomspace(1, 1e5, 400).astype(int)), np.array([8, 16, 32])
    found = fits.crossings(1 / steps + 1 / sizes[:, None], steps, sizes)
    np.testing.assert_allclose(found, [(2 * d**2, 1.5 / d) for d in sizes[:2]], rtol=0.01)
    assert fits.crossings(1 / steps + 0 * sizes[:, None], steps, sizes) == [None, None]


def test_fits_give_back_the_exponents_of_the_terms_they_are_fed():
    """Assert it of draws made of the derived terms with noise; with the powers of another model they must not."""
    plan, generator = Plan.of(1.0, 0.3, (64, 125, 250, 500, 1000), 6), np.random.default_rng(0)
    steps, draws = np.maximum(plan.steps, 1), {}
    for size, redraw in plan.cells:
        terms = plan.laws.at(size, 4 * size, plan.step_size, 1)
        wobble = np.exp(0.02 * generator.standard_normal()) * steps ** (0.002 * generator.standard_normal())
        loss = sum(terms.loss(steps).values()) * wobble
        draws[size, redraw] = Draw(
            loss, loss, loss, terms.noiseless(steps)["spectrum"] * wobble, terms.kernel(steps), terms.floor * wobble[0],
            1.0,
        )  # fmt: skip
    data = plan.dataset(draws)
    found = {(each.curve, each.term): each for each in compare.ScalingLaws(data).exponents()}
    clean = found["noiseless descent", "spectrum"]
    assert clean.verdict == "covers" and clean.high - clean.low < 0.02
    assert found["noise", "kernel"].measured == pytest.approx(1.5, abs=1e-9)
    frontier = [found[name, "spectrum = floor"] for name in ("frontier: loss", "frontier: dimension")]
    for each in (found["least loss", "floor"], *frontier):
        assert each.low - 0.02 < each.here < each.high + 0.02 and each.high - each.low < 0.1
    assert ("loss of SGD", "kernel") not in found  # the spectrum falls more slowly
    wrong = compare.ScalingLaws(data.assign_attrs(beta=0.45)).exponents()
    told = [each.verdict for each in wrong if each.term == "spectrum"]
    assert told and all("off by" in verdict for verdict in told)


def test_a_phase_that_is_not_reached_is_not_fitted(small):
    """Assert no number and a sentence: the spectrum rules no decade in 125 dimensions."""
    (row,) = [row for row in small.table() if row["curve"] == "loss of SGD"]
    assert row["verdict"] == "not reached" and np.isnan([row["measured"], row["low"], row["here"]]).all()
    assert any("Not reached" in note and "spectrum in loss of SGD" in note for note in small.notes())


def test_the_parts_of_the_gap_add_up_and_fade_where_the_sentence_says(small):
    """Assert the sum, the largest part, and the step from which continuous time no longer matters."""
    gaps = small.gaps()
    assert all(gap.homogenized == pytest.approx(gap.continuous + gap.closure, abs=1e-12) for gap in gaps)
    worst = max(gaps, key=lambda gap: abs(gap.continuous))
    faded = int(small.early().split("from step ")[1].split()[0])
    assert f"at step {worst.step}," in small.early() and worst.continuous > 0.05
    assert all(abs(gap.continuous) < 0.01 for gap in gaps if gap.step >= faded)
    assert not all(abs(gap.continuous) < 0.01 for gap in gaps if gap.step < faded)


def test_a_result_can_be_saved_and_printed(small, tmp_path):
    """Assert the same table from the file, the interval in the text, and rows in the CSV."""
    small.save(tmp_path / "laws.nc")
    assert repr(compare.ScalingLaws.load(tmp_path / "laws.nc").table()) == repr(small.table())
    assert "derived" in str(small) and small.to_csv().count("\n") == len(small.table()) + 1
    for figure in (small.plot(), small.plot_terms(), small.plot_gap()):
        assert figure.axes


def test_bits_do_not_depend_on_threads(small):
    """Assert equal curves."""
    other = compare.scaling_laws(1.0, 0.3, dimensions=(16, 32, 64, 125), redraws=6, threads=2)
    assert other.dataset.equals(small.dataset)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"alpha": 0.5}, "alpha must be above 1/2"), ({"beta": -0.6}, "2 alpha"), ({"redraws": 2}, "redraws"),
     ({"dimensions": (8, 8)}, "ascending"), ({"dimensions": 8}, "list of values"),
     ({"dimensions": ()}, "ascending"), ({"fraction": 1.0}, r"\(0, 1\)"),
     ({"ambient": 1}, "ambient"), ({"batch_size": 0}, "batch_size"), ({"seed": -1}, "seed")],
)  # fmt: skip
def test_bad_input_gets_one_sentence(arguments, words):
    """Assert what is said."""
    given = {"alpha": 1.0, "beta": 0.5, "dimensions": (4, 8), "redraws": 3} | arguments
    with pytest.raises(InvalidInput, match=words):
        compare.scaling_laws(**given)


def test_what_cannot_be_computed_is_said():
    """A horizon past counting, eigenvalues below rounding, and a draw that is unstable."""
    with pytest.raises(OutOfReach, match="steps"):
        Plan.of(3.0, 0.5, (4, 1000))
    with pytest.raises(InvalidInput, match="rounding"):
        compare.scaling_laws(4.0, 0.5, dimensions=(64,), redraws=3, steps=10)
    with pytest.raises(InvalidInput, match="threshold .* of draw"):
        compare.scaling_laws(1.0, 0.5, dimensions=(4,), redraws=20, fraction=0.95)
