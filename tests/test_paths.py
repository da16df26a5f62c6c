"""compare.paths: paths beside the gradient flow and beside their limit on the set, by independent references."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sgdlimits.compare import Paths, paths
from sgdlimits.compare._paths import predicted, sides
from sgdlimits.compare._paths.control import with_drift
from sgdlimits.compare._paths.errors import Errors, Reference, exit_times, of_means, probabilities
from sgdlimits.compare._paths.statistics import Row, judge
from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry, noise, zero_loss

HYPERBOLA, START = zero_loss.Hyperbola(), np.array([2.2, 0.7])
LABEL, LANGEVIN = noise.LabelNoise(0.5), noise.Langevin(0.5)
ROWS, LABELS = np.array([[1.0, 0.5, -0.3], [0.2, 1.0, 0.6]]), np.array([1.0, 0.5])


def conserved(w):
    return w[..., 0] ** 2 - w[..., 1] ** 2


def compared(model, mechanism, w0, step_size=0.1, **settings):
    descent = NoisyGradientDescent(model, mechanism, step_size)
    return paths(descent, ManifoldLimit.of(descent, start=np.array(w0)), w0, **{"threads": 1, "looks": 8} | settings)


@pytest.fixture(scope="module")
def label():
    return compared(HYPERBOLA, LABEL, START, time=0.6, paths=200, rungs=3, coordinate=conserved)


@pytest.fixture(scope="module")
def langevin():
    return compared(
        HYPERBOLA, LANGEVIN, START, 0.05, time=0.3, paths=200, rungs=2, looks=6, coordinate=conserved,
        exit_interval=(2.0, 7.0),
    )  # fmt: skip


def test_label_noise_on_the_hyperbola_is_a_hand_written_loop(label):
    """Assert E sup and W1 against c_{k+1} = c_k (1 - step^2 r_k^2) and c_0 exp(-t), and order one."""
    generator, sizes, c0 = np.random.default_rng(5), (0.1, 0.05, 0.025), conserved(START)
    for size in sizes:
        steps = int(round(0.6 / (size * 0.5) ** 2))
        w, gaps = np.tile(START, (1000, 1)), []
        for k in range(1, steps + 1):
            miss = w[:, 0] * w[:, 1] - 1 - 0.5 * generator.standard_normal(len(w))
            w = w - size * miss[:, None] * w[:, ::-1]
            if k % (steps // 8) == 0:
                c, right = conserved(w), c0 * np.exp(-k * (size * 0.5) ** 2)
                points = [np.sqrt((x + np.sqrt(x * x + 4)) / 2) for x in (c, right)]
                gaps.append(np.hypot(points[0] - points[1], 1 / points[0] - 1 / points[1]))
        for name, value in (("sup distance", np.max(gaps, axis=0)), ("W1 at the end", gaps[-1])):
            here = label.dataset.sel(row=f"slow: {name}", step_size=size)
            half = (here["upper"] - here["lower"]).item() / 2
            assert abs(here["value"].item() - value.mean()) < 2.5 * half + 4 * value.std() / 31, (name, size)
    slow = label.dataset.isel(row=(label.dataset["phase"] == "slow").values)
    assert (slow["predicted"] == 1).all() and (abs(slow["order"] - 1) < 0.15).all()
    assert (slow["control_verdict"] == "differs").all()


def test_the_exit_time_of_label_noise_is_that_of_its_limit(label):
    """Assert that the note names the time at which half of the way along c_0 exp(-t) is done."""
    c0 = conserved(START)

    def point(c):
        x = np.sqrt((c + np.sqrt(c * c + 4)) / 2)
        return np.array([x, 1 / x])

    far = np.linalg.norm(point(c0 * np.exp(-0.6)) - point(c0)) / 2
    fine = np.linspace(0, 0.6, 6001)
    away = np.array([np.linalg.norm(point(c0 * np.exp(-t)) - point(c0)) for t in fine])
    note = next(text for text in label.notes() if text.startswith("Exit"))
    assert abs(float(note.split("time ")[1].split(";")[0]) - fine[np.argmax(away >= far)]) < 2e-3


def test_laws_of_langevin_are_those_of_a_motion_on_the_line(langevin):
    """Assert end, largest value and exits of both sides against dc = 2 (c^2 + 4)^(1/4) dB, by Euler's scheme."""
    generator, times, fine = np.random.default_rng(2), 0.3 * np.arange(7) / 6, 20
    c = np.full(10_000, conserved(geometry.limit_map(HYPERBOLA, START)))
    looks = [c]
    for _ in range(6):
        for _ in range(fine):
            c = c + 2 * (c * c + 4) ** 0.25 * np.sqrt(0.05 / fine) * generator.standard_normal(len(c))
        looks.append(c)
    right = np.stack(looks, axis=1)
    descent = NoisyGradientDescent(HYPERBOLA, LANGEVIN, 0.05)
    limit = ManifoldLimit.of(descent, start=START)
    for found in (
        sides.descended(descent, limit, START, times, 2000, {"seed": 1, "threads": 1}),
        sides.sampled(limit, START, times, 2000, 2, {"seed": 1, "threads": 1}),
    ):
        values = conserved(found.points)
        for mine, other in ((values[:, -1], right[:, -1]), (values.max(axis=1), right.max(axis=1))):
            grid = np.quantile(other, np.linspace(0.05, 0.95, 19))
            gap = [(mine <= x).mean() - (other <= x).mean() for x in grid]
            assert np.abs(gap).max() < 1.95 / np.sqrt(2000) + 1.95 / np.sqrt(10_000) + 0.01
        exits = [((x <= 2) | (x >= 7)).any(axis=1).mean() for x in (values, right)]
        assert abs(exits[0] - exits[1]) < 5 * np.sqrt(0.25 / 2000) + 0.01
    assert set(langevin.dataset["phase"].values) == {"laws", "exit", "fast"}


def test_exits_are_linear_between_looks():
    """Assert the times of a path that crosses, one that starts outside and one that stays."""
    beyond = np.array([[-1.0, -0.5, 0.5], [0.0, -1.0, 1.0], [-1.0, -1.0, -0.1]])
    np.testing.assert_allclose(exit_times(beyond, np.array([0.0, 1.0, 2.0])), [1.5, 0.0, np.inf])


def test_a_doubled_drift_doubles_the_motion_and_stays_on_the_set():
    """Assert c_0 exp(-2 t) of label noise, and exp(-t) with the factor one."""
    limit = ManifoldLimit(HYPERBOLA, LABEL, 0.1, start=START)
    for factor in (1.0, 2.0, 0.0):
        point = with_drift(limit, factor).solve(START, [0.4])["w"].values[0]
        assert abs(conserved(point) - conserved(START) * np.exp(-0.4 * factor)) < 1e-7
        assert abs(point.prod() - 1) < 1e-10


def test_the_mean_of_noise_has_no_bias():
    """Assert that the error of a mean that vanishes is covered by its interval, where the norm of the mean is not."""
    generator = np.random.default_rng(0)
    found = [of_means([generator.standard_normal((60, 5, 3))] * 2, 0.95) for _ in range(300)]
    covered = sum(x.lower[0] <= 0 <= x.upper[0] for x in found)
    assert binomtest(covered, 300, 0.95, alternative="less").pvalue > 0.01 and covered < 300
    drift = np.zeros((5, 3))
    drift[3] = 1.0
    gaps = [scale * (drift + 0.3 * generator.standard_normal((4000, 5, 3))) for scale in (1.0, 0.5)]
    np.testing.assert_allclose(of_means(gaps, 0.95).value, [3**0.5, 3**0.5 / 2], rtol=0.02)


def test_the_averaged_loss_of_dropout_is_exact_off_the_set():
    """Assert the mean of the gradient over many masks, at a point off the set."""
    model, w = zero_loss.ProductSum(2), np.array([1.2, 0.5, 0.9, 0.4])
    descent = NoisyGradientDescent(model, noise.Dropout(0.4, law="bernoulli"), 0.1)
    steps = predicted._noise(descent, np.tile(w, (40_000, 1))) + model.gradient(w)
    gap = steps.mean(axis=0) - sides.averaged_gradient(model, descent.noise)(w)
    assert (np.abs(gap) < 5 * steps.std(axis=0) / 200).all() and np.abs(gap).max() < 0.02


def test_predicted_orders_are_decided_by_the_noise_off_the_set():
    """Assert order one where every gradient of a prediction keeps Phi (hyperbola, diagonal network), else one half."""
    network = zero_loss.DiagonalLinearNetwork(ROWS, LABELS)
    for model, w0, order in (
        (HYPERBOLA, START, 1.0), (network, np.array([1.2, 0.9, 0.8, 0.5, 0.6, 0.7]), 1.0),
        (zero_loss.ShallowNetwork(ROWS[:, :2], LABELS, 2), np.array([1.2, -0.8, 0.9, 0.4, -0.5, 1.1]), 0.5),
    ):  # fmt: skip
        descent = NoisyGradientDescent(model, LABEL, 0.1)
        found = predicted.slow_orders(descent, ManifoldLimit.of(descent, start=w0), w0)
        assert (found.paths, found.means, found.power) == (order, 1.0, 0.0)


def test_a_wrong_order_differs_and_the_paths_needed_shrink_the_interval():
    """Assert verdicts on exact ladders, and that an interval over the margin asks for more paths."""
    sizes = np.array([0.4, 0.2, 0.1])
    for order, error, verdict in ((0.5, 1e-3, "agrees"), (0.0, 1e-3, "differs"), (0.5, 0.2, "undecided")):
        errors = Errors.of([(size**order, error * size**order) for size in sizes], 0.95, 100)
        found = judge(Row("x", "slow", "order", 0.5, errors, errors), errors, sizes, 0.1, 0.95, 100)
        assert found.verdict == verdict and np.isnan(found.paths) == (verdict != "undecided")
    assert found.paths > 100


def test_the_result_prints_draws_and_comes_back(label, langevin, tmp_path):
    """Assert text, rows, LaTeX, both figures, and a file that is read again."""
    for result in (label, langevin):
        assert "control" in str(result) and result.to_latex() and result.plot().axes
        assert len(result.table()) == result.dataset["value"].size
    label.save(tmp_path / "found.nc")
    assert Paths.load(tmp_path / "found.nc").dataset["value"].equals(label.dataset["value"])


def test_a_start_on_the_set_and_a_limit_that_stands_still_leave_one_phase():
    """Assert which rows there are, and that the notes say why."""
    still = compared(HYPERBOLA, noise.LabelNoise(0.0), START, time=1.0, paths=4, rungs=2)
    assert set(still.dataset["phase"].values) == {"fast"} and "stands still" in str(still)
    on = compared(HYPERBOLA, LABEL, [2.0, 0.5], time=0.3, paths=8, rungs=2)
    assert "fast" not in on.dataset["phase"].values and "no fast phase" in str(on)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"time": None}, "either time"), ({"steps": 40}, "either time"), ({"rungs": 1}, "rungs"),
        ({"step_sizes": [0.1]}, "at least two step sizes"), ({"looks": 7}, "even"),
        ({"exit_radius": 0.0}, "exit_radius"),
        ({"exit_radius": 50.0}, "does not leave"), ({"exit_interval": (5.0, 6.0)}, "widen"),
        ({"control": 1.0}, "control"),
        ({"exit_interval": (0.0, 6.0), "exit_radius": 1.0}, "pass one"), ({"time": 0.01}, "fewer than"),
        ({"fast_time": 0.01}, "fast_time"), ({"paths": 1}, "paths"), ({"tolerance": 0}, "tolerance"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(settings, sentence):
    """Assert the error and what it names."""
    with pytest.raises(InvalidInput, match=sentence):
        compared(HYPERBOLA, LABEL, START, **{"time": 0.3, "paths": 4, "rungs": 2} | settings)


def test_sides_that_do_not_belong_together_are_refused():
    """Assert other models, a rule, a crowd of starts, and a random limit that nobody leaves."""
    descent = NoisyGradientDescent(HYPERBOLA, LABEL, 0.1)
    with pytest.raises(InvalidInput, match="different models"):
        paths(descent, ManifoldLimit(zero_loss.ProductSum(2), LABEL, 0.1), START, time=1.0)
    with pytest.raises(InvalidInput, match="leave the rule out"):
        paths(NoisyGradientDescent(HYPERBOLA, LABEL, 0.1, rule="adam"), ManifoldLimit.of(descent), START, time=1.0)
    with pytest.raises(InvalidInput, match="one point"):
        paths(descent, ManifoldLimit.of(descent), np.ones((3, 2)), time=1.0)
    with pytest.raises(InvalidInput, match="no path of either side"):
        compared(HYPERBOLA, LANGEVIN, START, time=0.1, paths=8, rungs=2, looks=2, exit_radius=100.0)


@pytest.mark.slow
def test_paths_of_a_network_converge_with_order_one_half():
    """Assert the order of E sup of a network whose noise has a part along the set off it, and its control."""
    model = zero_loss.ShallowNetwork(np.array([[1.0, 0.4], [-0.3, 1.0]]), np.array([0.6, -0.3]), 2)
    found = compared(model, LABEL, [1.2, -0.8, 0.9, 0.4, -0.5, 1.1], 0.1, time=0.5, paths=60, looks=4, rungs=3)
    here = found.dataset.sel(row="slow: sup distance")
    assert here["predicted"] == 0.5 and abs(float(here["order"]) - 0.5) < 0.1 + 3 * float(here["order_error"])
    assert here["control_verdict"] != "agrees"


@pytest.mark.slow
def test_verdicts_err_at_their_nominal_level():
    """Assert that "differs" (right limit) and "agrees" (wrong one) come at most as often as said, 1000 times."""
    descent = NoisyGradientDescent(HYPERBOLA, LABEL, 0.05)
    limit = ManifoldLimit.of(descent, start=START)
    wrong: dict[str, int] = {}
    for seed in range(1000):
        found = paths(descent, limit, START, time=0.2, paths=40, rungs=2, looks=2, seed=seed, threads=1).dataset
        for name, verdict, control in zip(
            found["row"].values, found["verdict"].values, found["control_verdict"].values
        ):
            wrong[name] = wrong.get(name, 0) + (verdict == "differs")
            if name.startswith(("slow", "exit")):
                wrong[name + ", control"] = wrong.get(name + ", control", 0) + (control == "agrees")
    assert all(binomtest(count, 1000, 0.05, alternative="greater").pvalue > 0.01 for count in wrong.values()), wrong


@pytest.mark.slow
def test_distances_of_laws_and_probabilities_err_at_their_nominal_level():
    """Assert that bands cover a W1 distance that is the tolerance itself, and a difference of two probabilities."""
    generator = np.random.default_rng(1)
    wrong = {"agrees": 0, "differs": 0}
    for _ in range(1000):
        law = Reference.of(generator.standard_normal((80, 1)), 0.95)
        near, _ = law.distances([generator.standard_normal((40, 1)) + 0.1])
        wrong["agrees"] += near.upper[0] < 0.1 / law.spread.max()
        wrong["differs"] += near.lower[0] > 0.1 / law.spread.min()
    assert all(binomtest(count, 1000, 0.05, alternative="greater").pvalue > 0.01 for count in wrong.values()), wrong
    draws = [(generator.random(300) < 0.3, generator.random(600) < 0.35) for _ in range(1000)]
    ends = [probabilities([x], y, 0.95) for x, y in draws]
    covered = sum(e.lower[0] <= -0.05 <= e.upper[0] for e in ends)
    assert binomtest(covered, 1000, 0.95, alternative="less").pvalue > 0.01


@pytest.mark.parametrize(
    ("locals_", "bound", "verdict"),
    [
        ((0.5, 0.5, 0.5), False, "agrees"),
        ((0.0, 0.0, 0.0), False, "differs"),
        ((0.9, 0.9, 0.9), False, "differs"),
        ((0.9, 0.9, 0.9), True, "agrees"),
        ((0.05, 0.05, 0.05), True, "differs"),
        ((0.0, 0.0, 0.0, 0.0, 0.7), True, "undecided"),  # it bends past the bound
        ((0.0, 0.0, 0.0, 0.0, 0.5), False, "undecided"),
    ],
)
def test_orders_bounds_and_ladders_that_bend(locals_, bound, verdict):
    """Assert the verdict on ladders of known local orders, errors of 1 %, prediction 1/2."""
    sizes = 0.1 * 0.5 ** np.arange(len(locals_) + 1)
    value = np.concatenate([[1.0], np.cumprod(0.5 ** np.array(locals_))])
    errors = Errors.of([(v, 0.01 * v) for v in value], 0.95, 100)
    row = Row("a row", "slow", "order", 0.5, errors, errors, bound)
    assert judge(row, errors, sizes, 0.1, 0.95, 100).verdict == verdict


LINE = zero_loss.LinearRegression(np.array([[1.0, 0.0]]), np.array([1.0]))


@pytest.fixture(scope="module")
def on_a_line():
    """Langevin noise on a line of zero loss: both sides are the same Brownian motion, of unit variance a unit."""
    return compared(LINE, LANGEVIN, [1.0, 0.0], looks=32, time=1.0, paths=1000, rungs=2, exit_radius=0.75)


@pytest.mark.slow
def test_a_limit_without_drift_is_held_against_one_twice_as_fast(on_a_line):
    """Assert that the control is another limit, and rejected by the exits; with a drift it is that drift doubled."""
    assert on_a_line.dataset.attrs["control"] == "the limit at twice the speed"
    assert "no drift along the set" in " ".join(on_a_line.notes())
    rows = on_a_line.dataset.sel(row=["laws: sup W1", "exit time: W1"])
    assert (rows["control_verdict"] == "differs").all() and not (rows["verdict"] == "differs").any()


@pytest.mark.slow
def test_an_exit_between_looks_is_extrapolated(on_a_line):
    """Assert the probability that |B| reaches 3/4 by time 1 within 4 standard errors, which the looks miss by more."""
    n = np.arange(200)
    terms = (-1.0) ** n / (2 * n + 1) * np.exp(-((2 * n + 1) ** 2) * np.pi**2 / 8 / 0.75**2)
    exact = 1 - 4 / np.pi * terms.sum()
    note = next(text for text in on_a_line.notes() if text.startswith("Exit"))
    seen = float(note.split("probability ")[1].split(",")[0])
    value, error = (float(x) for x in note.split("about ")[1].split(". ")[0].split(" ±"))
    assert exact - seen > 4 * error > abs(value - exact)


@pytest.mark.slow
def test_paths_that_would_decide_are_more_than_there_are_and_enough(on_a_line):
    """Assert, where both laws are one, that no row asks for fewer paths than it had, and that what a row asks for
    decides it."""
    asked = on_a_line.dataset["paths_needed"].values
    assert not (asked <= 1000).any() and not np.isinf(asked).any()
    most = int(on_a_line.dataset["paths_needed"].sel(row="exit time: KS"))
    more = compared(LINE, LANGEVIN, [1.0, 0.0], looks=8, time=1.0, paths=2 * most, rungs=2, exit_radius=0.75)
    assert more.dataset["verdict"].sel(row="exit time: KS") == "agrees"


@pytest.mark.slow
def test_an_integrator_step_as_long_as_the_set_is_curved_is_shortened():
    """Assert that Brownian motion on a circle, which never leaves it, is followed from looks a radius apart."""
    circle = zero_loss.UserLoss(
        lambda w: ((w**2).sum(-1) - 1) ** 2 / 8, lambda w: ((w**2).sum(-1) - 1)[:, None] / 2 * w, 2
    )
    limit = ManifoldLimit(circle, LANGEVIN, 0.1, start=np.array([1.0, 0.0]))
    found = sides.sampled(limit, np.array([1.0, 0.0]), np.array([0.0, 0.5, 1.0]), 300, 2, {"seed": 1, "threads": 1})
    assert found.substeps > 2
    np.testing.assert_allclose(np.linalg.norm(found.points, axis=-1), 1, rtol=1e-6)
