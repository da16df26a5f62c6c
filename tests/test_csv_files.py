"""Data as people have them: what a file is written with is recognised and said, what cannot be used is one sentence."""

import os

import numpy as np
import pytest

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, Logistic
from sgdlimits.problems.csv_files import CsvFormat
from sgdlimits.problems.tables import read_csv, standardised


@pytest.fixture
def file(tmp_path):
    def write(text, name="data.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,y\n1.5,2,3\n-4e-1,5,6\n", ()),
        ("a;b;y\n1.5;2;3\n-4e-1;5;6\n", ("delimiter recognised: semicolon",)),
        ("a;b;y\n1,5;2;3\n-4e-1;5;6\n", ("delimiter recognised: semicolon", "decimal commas recognised")),
        ("a\tb\ty\n1,5\t2\t3\n-4e-1\t5\t6\n", ("delimiter recognised: tab", "decimal commas recognised")),
        ('\ufeffa|"b"|y\r\n1.5|2|3\r\n\r\n-4e-1|"5"|6\r\n', ("delimiter recognised: bar",)),
        (",a,b,y\n0,1.5,2,3\n1,-4e-1,5,6\n", ("column 1, which has no name and counts the rows, is left out",)),
    ],
)
def test_the_same_numbers_come_out_of_every_form(file, text, said):
    """Assert values, names, and the sentences on what was recognised."""
    table = read_csv(file(text), "y")
    assert table.columns == ("a", "b")
    assert table.features.tolist() == [[1.5, 2.0], [-0.4, 5.0]]
    assert table.targets.tolist() == [3.0, 6.0]
    assert table.said == said


def test_commas_that_may_mark_thousands_are_asked_about(file):
    """Assert a sentence where each comma has three digits behind it, and either reading once it is said."""
    path = file("a\ty\n1\t950\n2\t1,250\n3\t12,500\n")
    with pytest.raises(InvalidInput, match="thousands separators"):
        read_csv(path, "y")
    assert read_csv(path, "y", form=CsvFormat(decimal=",")).targets.tolist() == [950.0, 1.25, 12.5]
    other = file("a\ty\n1\t950\n2\t1,250\n3\t12,5\n")  # one comma that cannot
    assert read_csv(other, "y").targets.tolist() == [950.0, 1.25, 12.5]
    with pytest.raises(InvalidInput, match="field larger"):
        read_csv(file("a" * 140_000 + ",y\n1,2\n2,3\n"), "y")


def test_given_marks_win_over_recognised_ones(file):
    path = file("a:b:y\n1,5:2:3\n4:5:6\n")
    assert read_csv(path, "y", form=CsvFormat(":", ",")).features.tolist() == [[1.5, 2.0], [4.0, 5.0]]
    with pytest.raises(InvalidInput, match="'1,5' on line 2.*--decimal"):
        read_csv(path, "y", form=CsvFormat(":", "."))


def test_texts_become_columns_of_0_and_1_or_are_dropped(file):
    path = file("id,city,area,y\nx,Oslo,1,3\nz,Bergen,2,4\nw,Rome,4,5\nv,Oslo,8,1\n")
    table = read_csv(path, "y", form=CsvFormat(one_hot="city", drop="id"))
    assert table.columns == ("city=Oslo", "city=Rome", "area")
    assert table.features.T.tolist() == [[1, 0, 0, 1], [0, 0, 1, 0], [1, 2, 4, 8]]
    problem = LeastSquares.from_csv(path, "y", one_hot=["city"], drop=["id"])
    assert "its value Bergen being all 0" in problem.preparation and "left out: id" in problem.preparation


WRONG = {
    "text": ("a,y\nOslo,1\n2,3\n", "'Oslo' on line 2.*--drop.*--one-hot"),
    "line after blank and long rows": ('a,b,y\n\n"1\n",2,3\nx,2,3\n', "'x' on line 5"),
    "nameless": (",y\n3,1\n5,2\n", "column 1 of .* has no name"),
    "underscore": ("a,y\n1_000,2\n3,4\n", "'1_000' on line 2"),
    "long cell": (f"a,y\n{'z' * 9999},2\n3,4\n", "^.{0,400}$"),
    "one column": ("a\n1\n", "only one column"),
    "zero byte": ("a,y\n1,\0\n", "on line 2|line contains NUL"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_one_short_sentence(file, name):
    text, sentence = WRONG[name]
    with pytest.raises(InvalidInput, match=sentence) as caught:
        read_csv(file(text), "y")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"one_hot": "cty"}, "did you mean 'city'"),
        ({"drop": "y"}, "is the target"),
        ({"one_hot": "city", "drop": "city"}, "give it once"),
        ({"delimiter": "ab"}, "one character"),
        ({"decimal": ";"}, "decimal must be"),
        ({"delimiter": ",", "decimal": ","}, "two different"),
    ],
)
def test_wrong_options_of_a_file_are_named(file, form, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        read_csv(file("city,a,y\nOslo,1,2\nRome,2,3\n"), "y", form=CsvFormat(**form))


def test_nothing_of_a_file_that_is_no_table_is_repeated(file, tmp_path):
    """Assert it for a file of secrets, and that a pipe is refused rather than waited for."""
    path = file("admin:$6$hidden:19000\ndaemon:*:19001\n")
    with pytest.raises(InvalidInput) as caught:
        read_csv(path, "password")
    assert "hidden" not in str(caught.value) and "admin" not in str(caught.value)
    ragged = file("hidden one, two\nthree\n", "notes.txt")
    with pytest.raises(InvalidInput) as caught:
        read_csv(ragged, "password")
    assert "hidden" not in str(caught.value)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="is not a file"):
        read_csv(tmp_path / "pipe", "y")


@pytest.mark.parametrize("scale", [1.0, 1e160, 1e-160, 1e300, 1e-300])
def test_standardised_columns_have_variance_1_in_every_unit(scale):
    """Assert mean 0, variance 1, and the numbers of unit scale, where squares overflow or vanish."""
    rows = np.arange(6)
    values = np.array([[1.0, -2.0, 0.5, 3.0, 7.0, 2.0], [2.0, 2.5, 2.0, 1.0, 0.0, 4.0]]).T
    found = standardised(values * scale, rows, ("a", "b"))
    assert np.abs(found.mean(axis=0)).max() < 1e-15
    assert np.abs(found.std(axis=0) - 1).max() < 1e-15
    assert np.allclose(found, (values - values.mean(0)) / values.std(0), rtol=1e-14)


def test_small_steps_on_a_large_number_are_a_column_and_one_giant_is_not():
    column = 1e12 + 0.25 * np.arange(4.0)
    found = standardised(column[:, None], np.arange(4), ("a",))[:, 0]
    assert np.allclose(found, (np.arange(4) - 1.5) / np.sqrt(1.25), atol=1e-12)
    giant = np.array([1.0, 2.0, 3.0, 1e154])
    with pytest.raises(InvalidInput, match="one entry of column 'a' is so large"):
        standardised(giant[:, None], np.arange(4), ("a",))
    rare = np.array([0.0, 0.0, 0.0, 1.0])
    assert np.isfinite(standardised(rare[:, None], np.arange(4), ("a",))).all()


def test_classes_are_read_from_the_same_files(file):
    """Assert that Logistic takes the options too, and that a column without variation is only shifted."""
    path = file("id;city;a;same;y\n1;Rome;1,5;7;0\n2;Oslo;2,5;7;1\n3;Rome;6,5;7;1\n")
    problem = Logistic.from_csv(path, "y", one_hot="city", drop="id")
    assert problem.labels.tolist() == [-1.0, 1.0, 1.0]
    a = np.array([1.5, 2.5, 6.5])
    np.testing.assert_allclose(problem.features[:, 1], (a - 3.5) / a.std(), rtol=1e-14)
    np.testing.assert_allclose(problem.features[:, 0], np.array([1, -2, 1]) / 2**0.5, rtol=1e-14)
    assert (problem.features[:, 2] == 0).all()
    with pytest.raises(InvalidInput, match="one entry of column 'a' is so large"):
        Logistic.from_csv(file("a,y\n1e30,0\n1,1\n2,1\n", "far.csv"), "y")


def test_rows_that_lack_a_value_are_left_out_on_request_and_counted(file):
    """Assert the kept rows to the bit, that a dropped column costs none, and messages with the cure."""
    text = "a;kind;junk;y\n1,5;x;;1\n?;x;1;2\n2,5;z;1;3\nNA;z;1;4\n4,5;z;1;5\n5,5;;1;6\n6,5;x;1;nan\n"
    path = file(text)
    form = CsvFormat(one_hot="kind", drop="junk", complete_rows=True)
    table = read_csv(path, "y", form=form)
    whole = read_csv(file("a;kind;y\n1,5;x;1\n2,5;z;3\n4,5;z;5\n", "whole.csv"), "y", form=CsvFormat(one_hot="kind"))
    np.testing.assert_array_equal(table.features, whole.features)
    np.testing.assert_array_equal(table.targets, whole.targets)
    assert "4 of 7 rows, which lack a value, are left out" in table.said and len(whole.targets) == 3
    with pytest.raises(InvalidInput, match=r"'\?' on line 3, and no value in 2 of 7 rows; leave .* out .*--comp"):
        read_csv(path, "y", form=CsvFormat(one_hot="kind", drop="junk"))
    with pytest.raises(InvalidInput, match="every row of .* lacks a value"):
        read_csv(file("a,y\n?,1\n,2\n", "none.csv"), "y", form=CsvFormat(complete_rows=True))
    with pytest.raises(InvalidInput, match="complete_rows"):
        CsvFormat(complete_rows="yes")
