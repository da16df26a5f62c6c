"""Learning tasks: laws of samples and starts, risks by formula, the same bits however a run is cut, a figure."""

import numpy as np
import pytest
from tests.parameters import slowly

from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.output_distances import residual_correlation, total_variation
from sgdlimits.problems import predictors, sources, tasks
from sgdlimits.problems.tasks import TASKS, characters, pixels
from sgdlimits.problems.user_predictors import _over_samples

SMALL = {
    "linear-regression": {"dimension": 6, "spread": 0.3},
    "random-features": {"inputs": 2, "features": 8, "teacher": 3},
    "logistic-regression": {"dimension": 5, "spread": 0.5},
    "diagonal-network": {"inputs": 6, "ones": 2, "noise": 0.2, "spread": 0.1},
    "relu-regression": {"inputs": 3, "width": 4, "noise": 0.2},
    "relu-classification": {"inputs": 3, "width": 4, "classes": 3},
    "digits": {"width": 4},
    "next-character": {"context": 2, "width": 4},
}
FORMULAS = ("linear-regression", "random-features", "logistic-regression", "diagonal-network", "relu-regression")


def task_of(name, **more):
    return TASKS[name](**SMALL[name], **more)


def stream_of(name, rows, **more):
    """Fresh rows of a task's law: what its offline form of so many rows stores."""
    problem = task_of(name, rows=rows, **more).problem
    parts = (problem.source.inputs, problem.source.labels) if hasattr(problem, "source") else (
        problem.features, problem.targets
    )  # fmt: skip
    return parts


@pytest.mark.parametrize(
    "predictor", [predictors.DiagonalNetwork(5), predictors.TwoLayer(5, 3, 2, "relu"),
                  predictors.TwoLayer(5, 3, 2, "tanh", bias=False)], ids=repr,
)  # fmt: skip
def test_compiled_predictors_are_the_array_ones(predictor):
    """Outputs and pullback of the compiled twin and of NumPy, to rounding."""
    draw = np.random.Generator(np.random.Philox(3))
    x, inputs = draw.standard_normal((2, predictor.dimension)), draw.standard_normal((2, 7, 5))
    slopes = draw.standard_normal((2, 7, predictor.outputs))
    outputs, gradients = np.zeros(slopes.shape), np.zeros((2, 7, predictor.dimension))
    loop = _over_samples(predictor.compiled_outputs, predictor.compiled_pullback)
    loop(x, inputs, slopes, np.zeros(predictor.work_size), outputs, gradients)
    np.testing.assert_allclose(outputs, predictor.predict(x, inputs), atol=1e-13)
    np.testing.assert_allclose(gradients, predictor.pullback(x, inputs, slopes), atol=1e-13)


@pytest.mark.parametrize("name", slowly(FORMULAS, lambda name: name not in ("diagonal-network", "relu-regression")))
def test_a_population_is_the_mean_over_fresh_samples(name):
    """The formula against 40 000 rows of the law, within 4.5 standard errors; its gradient against differences.

    The control moves the risk by 10 %, which must be seen.
    """
    task = task_of(name)
    x = task.starts(3, 7) + 0.3
    inputs, labels = stream_of(name, 40_000)
    values = task.loss.value(task.problem.outputs(x, inputs), labels[None])
    error = values.std(axis=1) / 200
    assert np.abs(values.mean(axis=1) - task.population.risk(x)).max() < 4.5 * error.max()
    assert (np.abs(values.mean(axis=1) - 1.1 * task.population.risk(x)) > 4.5 * error).any()
    assert (task.risk(x) == task.population.risk(x)).all() and not task.risk_error(x).any()
    v = np.random.Generator(np.random.Philox(5)).standard_normal(task.dimension)
    quotient = (task.population.risk(x + 1e-5 * v) - task.population.risk(x - 1e-5 * v)) / 2e-5
    np.testing.assert_allclose(task.population.gradient(x) @ v, quotient, rtol=1e-7, atol=1e-8)


def test_populations_know_their_minimisers():
    """Noise alone is left at the teacher; the streams' own exact risk and the quadratic formula are one."""
    linear = task_of("linear-regression")
    x = linear.starts(4, 1)
    np.testing.assert_allclose(linear.population.risk(x), linear.problem.risk(x), rtol=1e-13)
    np.testing.assert_allclose(linear.population.gradient(x), linear.problem.gradient(x), atol=1e-14)
    logistic = task_of("logistic-regression")
    truth = logistic.population.arrays[1]
    assert np.abs(logistic.population.gradient(truth)).max() < 1e-15
    relu = tasks.relu_regression(inputs=3, width=3, noise=0.2)
    units = relu.population.arrays[0]
    at_teacher = np.concatenate([units[:, :-1].ravel(), units[:, -1]])
    assert float(relu.population.risk(at_teacher)) == pytest.approx(0.02, abs=1e-14)
    assert np.abs(relu.population.gradient(at_teacher)).max() < 1e-7
    diagonal = task_of("diagonal-network")
    exact = np.concatenate([[1.0, 1.0], np.zeros(10)])
    assert float(diagonal.population.risk(exact)) == pytest.approx(0.02, abs=1e-15)


@pytest.mark.parametrize("name", slowly(TASKS, lambda name: name not in ("diagonal-network", "relu-classification")))
def test_the_three_streams_of_a_task_share_no_row(name):
    """Training rows, stored or fresh, and test rows are different draws; more rows keep the first; seeds differ."""
    online, offline, more = (task_of(name, rows=rows) for rows in (None, 40, 50))
    assert online.online and not offline.online and offline.problem.samples == 40
    np.testing.assert_array_equal(online.test.inputs, offline.test.inputs)
    stored, other = stream_of(name, 40)[0], stream_of(name, 40, seed=1)[0]
    np.testing.assert_array_equal(stream_of(name, 50)[0][:40], stored)
    assert not (stored == other).all(axis=1).all()
    if name == "next-character":
        return
    fresh = online.test.inputs if name == "linear-regression" else online.problem.source.sample(np.arange(500))[0]
    for first, second in ((fresh, stored), (stored, online.test.inputs[:500])):
        assert not (first[:, None, 0] == second[None, :, 0]).any()
    assert more.dimension == online.dimension


def test_starts_depend_on_seed_and_path_alone():
    """Pieces of an ensemble are its rows; the law has its spread; a spread of 0 is no chance."""
    task = task_of("relu-classification")
    whole = task.starts(200, 3)
    np.testing.assert_array_equal(np.concatenate([task.starts(70, 3), task.starts(130, 3, first_path=70)]), whole)
    assert not (task.starts(200, 4) == whole)[:, :12].any() and np.unique(whole[:, 0]).size == 200
    z = whole[:, :12] / np.sqrt(2 / 3)
    assert abs(z.mean()) < 4 / np.sqrt(z.size) and abs(z.std() - 1) < 4 / np.sqrt(2 * z.size)
    assert not whole[:, 12:16].any()  # biases
    uniform = tasks.Starts(np.ones(2), np.array([0.5, 0.0]), "uniform").draw(1000, 0)
    assert np.abs(uniform[:, 0] - 1).max() < 0.5 and uniform[:, 0].std() == pytest.approx(0.5 / np.sqrt(3), rel=0.1)
    assert (uniform[:, 1] == 1).all()
    assert tasks.diagonal_network(inputs=8).start.fixed and not task.start.fixed


def test_starts_by_a_function_see_the_noise_of_one_path():
    """Pieces are rows of the whole, seeds differ, and a wrong shape is refused."""
    law = tasks.UserStarts(lambda noise: np.exp(noise.normals(64, 0, 3)[0]), 3)
    whole = law.draw(40, 5)
    np.testing.assert_array_equal(np.concatenate([law.draw(7, 5), law.draw(33, 5, first_path=7)]), whole)
    assert whole.min() > 0 and np.unique(whole).size == 120 and not (law.draw(40, 6) == whole).any()
    with pytest.raises(InvalidInput, match=r"what function gives"):
        tasks.UserStarts(lambda noise: np.zeros(2), 3).draw(1, 0)
    with pytest.raises(InvalidInput, match="the starts have 4 parameters, and the problem has 6"):
        linear = task_of("linear-regression")
        tasks.Task("mine", linear.problem, linear.test, tasks.UserStarts(lambda noise: np.zeros(4), 4))


@pytest.mark.parametrize(
    ("name", "rows"), slowly([(name, rows) for name in TASKS for rows in (None, 40)],
                             lambda case: case != ("diagonal-network", None)),
)  # fmt: skip
def test_pieces_of_a_run_have_the_bits_of_the_whole(name, rows):
    """SGD on a task, all paths at once and in two pieces; another seed of the run is another run of the same task."""
    task = task_of(name, rows=rows)
    sgd = SGD(task.problem, 0.05, 3)
    run = lambda count, first, seed=5: sgd.simulate(  # noqa: E731
        task.starts(count, 2, first), 15, count, "state", [15], seed=seed, first_path=first, threads=1
    )["state"].values
    whole = run(11, 0)
    np.testing.assert_array_equal(np.concatenate([run(4, 0), run(7, 4)]), whole)
    assert not (run(11, 0, seed=6) == whole).all() and np.isfinite(whole).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["diagonal-network", "relu-regression"])
def test_the_noiseless_arm_is_gradient_descent(name):
    """Online on the population, offline on all rows: ten steps are x - eta gradient, to rounding."""
    for rows in (None, 20):
        task = task_of(name, rows=rows)
        settings = task.noiseless()
        x = start = task.starts(3, 1)
        for _ in range(10):
            x = x - 0.05 * settings["problem"].gradient(x)
        found = SGD(**settings, step_size=0.05).simulate(start, 10, 3, "state", [10])["state"].values[:, 0]
        np.testing.assert_allclose(found, x, atol=1e-13)
    assert tasks.digits().noiseless(256)["batch_size"] == 256


def test_classes_are_drawn_from_the_teachers_softmax():
    """Frequencies of labels given the teacher's probabilities (chi-square), and argmax never errs."""
    settings = {"inputs": 2, "teacher": 3, "classes": 3, "width": 2, "sharpness": 2.0}
    for labels in ("softmax", "argmax"):
        problem = tasks.relu_classification(**settings, labels=labels, rows=20_000).problem
        inner, outer, _ = tasks.relu_classification(**settings, labels=labels).problem.source.arrays
        outputs = np.maximum(problem.source.inputs @ inner.T, 0) @ outer.T
        found = problem.source.labels.astype(int)
        if labels == "argmax":
            assert (found == outputs.argmax(axis=1)).all()
            continue
        chances = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        gaps = (np.eye(3)[found] - chances) / np.sqrt((chances * (1 - chances)).sum(axis=0))
        assert np.abs(gaps.sum(axis=0)).max() < 4
        by_size = np.argsort(chances[:, 0]).reshape(20, -1)  # calibrated in every twentieth of the inputs
        spread = np.sqrt((chances * (1 - chances))[:, 0][by_size].sum(axis=1))
        assert np.abs(((found == 0) - chances[:, 0])[by_size].sum(axis=1) / spread).max() < 4


def test_changed_digits_have_the_stated_law():
    """Mean picture: the average over nine shifts times the mean contrast; noise on pixels; a tenth of labels wrong."""
    task = tasks.digits(width=2, test_rows=1)
    law = task.problem.source
    assert law.base.columns == 64 and law.base.rows == 1797 and law.base.inputs.max() == 1
    count = 20 * 1797
    inputs, labels = law.sample(np.arange(count))
    wrong = (labels != np.tile(law.base.labels, 20)).mean()
    assert abs(wrong - pixels.LABEL_NOISE) < 4 * np.sqrt(0.09 / count) and set(labels) == set(range(10))
    padded = np.zeros((10, 10))
    padded[1:9, 1:9] = law.base.inputs.mean(axis=0).reshape(8, 8)
    expected = sum(padded[1 + i : 9 + i, 1 + j : 9 + j] for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    gap = inputs.mean(axis=0).reshape(8, 8) - expected
    assert np.abs(gap).max() < 5 * inputs.std(axis=0).max() / np.sqrt(count)
    corner = law.base.inputs[:, 0].max() == 0 and inputs[:, 0]  # blank in every digit but for what is shifted there
    assert np.median(np.abs(corner)) == pytest.approx(0.6745 * pixels.PIXEL_NOISE, rel=0.05)


def test_the_text_is_read_back_from_its_samples():
    """112 lines; inputs and label of each place are the characters that stand there; fresh places are places of it."""
    lines = [line for line in characters.sonnets().split("\n") if line]
    assert len(lines) == 112 and max(map(len, lines)) < 60
    codes = characters.letters(characters.sonnets())
    assert "".join(characters.ALPHABET[code] for code in codes[:39]) == "shall i compare thee to a summer.s day."
    task = tasks.next_character(context=3, width=0)
    rows = task.test
    assert rows.rows == codes.size - 3 and (rows.inputs.sum(axis=1) == 3).all()
    places = rows.inputs.reshape(-1, 3, 28).argmax(axis=2)
    np.testing.assert_array_equal(np.column_stack([places[:, ::-1], rows.labels]),
                                  np.lib.stride_tricks.sliding_window_view(codes, 4))  # fmt: skip
    inputs, labels = task.problem.source.sample(np.arange(3000))
    known = {tuple(row) for row in np.column_stack([places, rows.labels]).astype(int)}
    drawn = np.column_stack([inputs.reshape(-1, 3, 28).argmax(axis=2), labels]).astype(int)
    assert {tuple(row) for row in drawn} <= known and len({tuple(row) for row in drawn}) > 1000
    assert float(task.risk(np.zeros(task.dimension))) == pytest.approx(np.log(28))


def test_functional_distances_are_what_they_should_be():
    """A metric between 0 and 1, 1 for disjoint classes, blind to the order of classes; the cosine of residuals."""
    draw = np.random.Generator(np.random.Philox(2))
    p, q, r = (each / each.sum(axis=-1, keepdims=True) for each in draw.random((3, 4, 30, 5)))
    one = total_variation(p, q)
    assert one.shape == (4,) and (one > 0).all() and (one < 1).all() and not total_variation(p, p).any()
    np.testing.assert_array_equal(one, total_variation(q, p))
    assert (total_variation(p, r) <= one + total_variation(q, r)).all()
    order = draw.permutation(5)
    np.testing.assert_allclose(total_variation(p[..., order], q[..., order]), one, rtol=1e-14)
    two = np.stack([p[..., 0], 1 - p[..., 0]], axis=-1), np.stack([q[..., 0], 1 - q[..., 0]], axis=-1)
    np.testing.assert_allclose(total_variation(*two), np.abs(p - q)[..., 0].mean(axis=-1), rtol=1e-13)
    sure = np.eye(5)[np.zeros(30, int)], np.eye(5)[np.ones(30, int)]
    assert total_variation(*sure) == 1
    first, second = draw.standard_normal((2, 4, 50))
    losses = [0.5 * (each**2).mean(axis=-1) for each in (first, second)]
    expected = (first * second).mean(axis=-1) / (2 * np.sqrt(losses[0] * losses[1]))
    np.testing.assert_allclose(residual_correlation(first, second), expected, rtol=1e-13)
    np.testing.assert_allclose(residual_correlation(1e-200 * first, -3 * first), -1, rtol=1e-13)
    for bad, words in (
        (lambda: total_variation(p - 0.1, q), "softmax"), (lambda: total_variation(p, q[:2]), "same inputs"),
        (lambda: residual_correlation(first, 0 * first), "fits every label"),
        (lambda: residual_correlation(first, second[:, :4]), "same inputs"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            bad()


def test_outputs_become_probabilities_or_residuals():
    """Softmax and sigmoid; residuals of least squares on the test rows; each is refused where it makes no sense."""
    names = "relu-classification", "logistic-regression", "linear-regression"
    classes, signs, squares = (task_of(name) for name in names)
    for task in (classes, signs):
        x = task.starts(3, 1)
        found = task.probabilities(x)
        np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-14)
        labels = task.test.labels.astype(int) if task is classes else (task.test.labels > 0).astype(int)
        picked = np.take_along_axis(found, np.broadcast_to(labels, found.shape[:2])[..., None], -1)[..., 0]
        np.testing.assert_allclose(-np.log(picked).mean(axis=1), task.test_risk(x), rtol=1e-12)
        right = found.argmax(axis=-1) == labels
        np.testing.assert_allclose(task.test_accuracy(x), right.mean(axis=1), rtol=1e-14)
        assert not total_variation(found, found).any()
    x = squares.starts(3, 1)
    np.testing.assert_allclose(0.5 * (squares.residuals(x) ** 2).mean(axis=1), squares.test_risk(x), rtol=1e-13)
    offline = task_of("linear-regression", rows=30)
    np.testing.assert_allclose(offline.problem.test_risk(x), offline.test_risk(x), rtol=1e-13)
    for bad, words in (
        (lambda: squares.probabilities(x), "no probabilities"),
        (lambda: classes.residuals(classes.starts(3, 1)), "no residuals"),
        (lambda: tasks.diagonal_network(inputs=3, ones=4), "at most"),
        (lambda: tasks.relu_classification(labels="hard"), "softmax"),
        (lambda: tasks.next_character(text="abc"), "characters"),
        (lambda: tasks.Task("mine", squares.problem, squares.test, classes.start), "the starts have"),
        (lambda: tasks.Task("mine", squares.problem, None, squares.start), "Rows"),
        (lambda: tasks.Starts(np.zeros(2), -np.ones(2)), "negative"),
        (lambda: tasks.Starts(np.zeros(2), np.ones(2), "cauchy"), "allowed|mean"),
        (lambda: sources.Augmented(pixels_base(), pixels._change, 64, 5, relabel=len), "not compiled"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=words):
            bad()


def pixels_base():
    return sources.Rows(np.zeros((2, 64)), np.zeros(2))


@pytest.mark.slow
def test_noise_helps_the_diagonal_network_offline_and_only_there():
    """Batch 1, then gradient descent from step 1000 on, 20 seeds: the gap stays offline and is gone online."""
    gaps = {}
    for rows in (40, None):
        task = tasks.diagonal_network(rows=rows)
        x0, quiet = task.starts(20, 1), SGD(**task.noiseless(), step_size=0.02)
        noisy = SGD(task.problem, 0.02, 1).simulate(x0, 1000, 20, "state", [1000], seed=1)["state"].values[:, 0]
        low = quiet.simulate(x0[:1], 4000, 1, "state", [1000, 4000])["state"].values
        snapped = quiet.simulate(noisy, 3000, 20, "state", [0, 3000])["state"].values
        gaps[rows] = task.risk(snapped) - task.risk(low)
    offline, online = (gaps[rows].mean(axis=0) for rows in (40, None))
    errors = gaps[40].std(axis=0, ddof=1) / np.sqrt(20)
    assert offline[1] < offline[0] < -10 * errors[0] and offline[1] / offline[0] > 1
    assert 0 < online[1] < 0.02 * online[0] and online[1] < 1e-5


def test_letters_that_the_alphabet_lacks_are_counted():
    """Assert that a text with accents and digits says how many became full stops, and the embedded one nothing."""
    mine = tasks.next_character(context=1, width=0, text="Für alle; schön! 12")
    assert "4 letters and digits besides a to z" in mine.about
    assert "besides" not in tasks.next_character(context=1, width=0).about
