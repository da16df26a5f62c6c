"""Tasks on rows of one's own: labels that are classes, scaling by the training rows, what is refused."""

import csv

import numpy as np
import pytest

from sgdlimits import compare, discrete
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import csv_files, losses, sources, tables, tasks

HEADER = ["size", "city", "price", "kind"]


@pytest.fixture
def file(tmp_path):
    generator = np.random.default_rng(3)
    rows = []
    for k in range(40):
        size, city = generator.uniform(1, 9), ("Ulm", "Bern", "Chur")[k % 3]
        kind = "large" if size > 6 else "middling" if size > 3 else "small"
        rows.append([f"{size:.3f}", city, f"{2e5 + 1e4 * size + generator.normal(0, 1e3):.0f}", kind])
    path = tmp_path / "own.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([HEADER, *rows])
    return path


def test_a_regression_is_scaled_by_its_training_rows(file):
    """Assert mean 0 and variance 1 of inputs and target over training rows, and the same map on those held out."""
    task = tasks.from_csv(file, "price", width=3, one_hot="city", drop="kind", seed=5)
    form = csv_files.CsvFormat(one_hot="city", drop="kind")
    train, table = task.problem.source, tables.read_csv(file, "price", form=form)
    for values in (train.inputs, train.labels):
        assert values.mean(axis=0) == pytest.approx(0, abs=1e-12) and values.std(axis=0) == pytest.approx(1)
    rows, test = sources.Rows.from_table(table, test_fraction=0.25, seed=5)
    assert (train.rows, task.test.rows) == (30, 10)
    assert task.test.labels == pytest.approx((test.labels - rows.labels.mean()) / rows.labels.std(), rel=1e-12)
    assert not task.classifier and "so has the target" in task.about


def test_texts_of_the_target_are_classes(file):
    """Assert labels that name the texts in order, as many outputs, and that numbers are a regression unless said."""
    task = tasks.from_csv(file, "kind", width=4, drop="city,price")
    assert task.classifier and isinstance(task.loss, losses.CrossEntropy) and task.problem.predictor.outputs == 3
    table = tables.read_csv(file, "kind", form=csv_files.CsvFormat(drop="city,price"), classes=None)
    assert table.classes == ("large", "middling", "small")
    edges = np.select([table.features[:, 0] > 6, table.features[:, 0] > 3], [0, 1], 2)
    assert (table.targets == edges).all()
    numbers = tables.read_csv(file, "price", form=csv_files.CsvFormat(one_hot="city,kind"), classes=None)
    assert numbers.classes == () and numbers.targets.min() > 1e5


def test_numbers_can_be_classes_in_their_order(tmp_path):
    """Assert classes by size, not by spelling, and one number among texts taken for a slip."""
    path = tmp_path / "digits.csv"
    path.write_text("a,y\n" + "\n".join(f"{k},{(2, 10, 3)[k % 3]}" for k in range(9)))
    table = tables.read_csv(path, "y", classes=True)
    assert table.classes == ("2", "3", "10") and table.targets[:3].tolist() == [0, 2, 1]
    path.write_text("a,y\n1,yes\n2,no\n3,7\n")
    with pytest.raises(InvalidInput, match="read them as classes"):
        tasks.from_csv(path, "y")


def test_a_linear_model_starts_at_zero_and_is_least_squares(file):
    """Assert that the solution of numpy's least squares is where its gradient vanishes, and the start is not."""
    task = tasks.from_csv(file, "price", width=0, one_hot="city", drop="kind")
    assert task.start.fixed and not task.starts(1, 0).any()
    design = np.column_stack([task.problem.source.inputs, np.ones(30)])
    solution = np.linalg.lstsq(design, task.problem.source.labels)[0]
    gradients = task.problem.gradient(np.array([solution, np.zeros(design.shape[1])]))
    assert np.abs(gradients[0]).max() < 1e-12 < 0.1 < np.abs(gradients[1]).max()


@pytest.mark.slow
def test_the_golden_path_of_a_file(file):
    """Assert a table that names file and regime."""
    task = tasks.from_csv(file, "kind", width=4, drop="city,price", name="sizes")
    sgd = discrete.SGD(task.problem, 0.1, batch_size=2)
    said = str(compare.golden_path(task, sgd, 20, batch_size=16, steps=60, seeds=4))
    assert "sizes, offline: the noise drops (batch size 2 to 16)" in said and "4 times over (high)" in said


@pytest.mark.parametrize(
    ("target", "more", "says"),
    [
        ("price", {"drop": "kind"}, "one_hot="),
        ("price", {"one_hot": "city", "drop": "kind", "test_fraction": 0}, "held out"),
        ("price", {"one_hot": "city", "drop": "kind", "width": -1}, "width"),
        ("prise", {"one_hot": "city", "drop": "kind"}, "did you mean 'price'"),
        ("size", {"one_hot": "city,kind", "classes": 3}, "classes"),
    ],
)
def test_what_is_refused_of_a_file(file, target, more, says):
    """Assert one sentence that says what to change."""
    with pytest.raises(InvalidInput, match=says):
        tasks.from_csv(file, target, **more)


def test_a_constant_target_and_parts_of_another_kind_are_refused(tmp_path):
    """Assert the sentence on each, and on a layer that is no pair."""
    path = tmp_path / "constant.csv"
    path.write_text("a,y\n" + "\n".join(f"{k},5" for k in range(9)))
    with pytest.raises(InvalidInput, match="nothing to learn"):
        tasks.from_csv(path, "y")
    with pytest.raises(InvalidInput, match="sources.Rows"):
        tasks.from_rows(np.eye(3), np.eye(3))
    with pytest.raises(InvalidInput, match="a pair"):
        tasks.Starts.of_layers(84, 0.4)


def test_what_holds_arrays_prints_in_a_line(file):
    """Assert short texts of rows, streams, starts and sharpness."""
    task = tasks.from_csv(file, "kind", width=40, drop="city,price")
    online = tasks.relu_classification(inputs=3, width=4, classes=3)
    found = discrete.sharpness(task.problem, task.starts(1, 0)[0])
    for each in (task.test, task.start, online.problem.source, found):
        assert "\n" not in repr(each) and len(repr(each)) < 120, repr(each)
    assert f"{found.value:.7g}" in repr(found)
