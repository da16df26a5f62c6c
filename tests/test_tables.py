"""Tables and sentences of a comparison: aligned, escaped, complete, and no number without its error."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdlimits.compare import Laws, Orders
from sgdlimits.compare._laws import tables, wording
from sgdlimits.compare.results import csv_text
from sgdlimits.compare.text_table import TextTable, latex_text, number, with_error
from sgdlimits.exact.errors import InvalidInput

AWKWARD = r"a&b%c$d#e_f{g}h~i^j\k<l>"


@pytest.fixture(scope="module")
def laws(laws_dataset):
    return Laws(laws_dataset)


@given(st.floats(-1e300, 1e300, allow_subnormal=False), st.booleans())
def test_a_number_is_printed_to_four_digits(value, sign):
    """Reading the text back gives the value to half a unit of its fourth digit, and no text is long."""
    text = number(value, sign=sign)
    assert math.isclose(float(text), value, rel_tol=5.0001e-4)
    assert len(text) <= 11
    assert not sign or value == 0 or text[0] in "+-"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.26123, "0.2612"), (9.8314e-5, "9.831e-5"), (1e10, "1.000e10"), (0, "0"), (math.inf, "inf"),
     (math.nan, "–"), (9999.96, "10000"), (0.99996, "1.000"), (1234.5, "1234"), (-2.0, "-2.000")],
)  # fmt: skip
def test_numbers_look_as_they_should(value, text):
    assert number(value) == text


def test_a_value_carries_its_error_or_the_word_exact():
    assert with_error(0.26123, 0.0, True) == "0.2612 exact"
    assert with_error(0.26123, 3.14e-4, False) == "0.26123 ±3.1e-4"
    assert with_error(math.nan, 0.0, False) == "–"


def test_text_fits_in_100_columns_and_prints_no_nan(laws):
    lines = str(laws).splitlines()
    assert max(map(len, lines)) <= 100
    assert not re.search(r"\bnan\b", str(laws), re.IGNORECASE)


def test_decimal_points_of_a_column_stand_below_each_other():
    rows = tuple(
        (text, "agrees") for text in ("0.2612 exact", "-12.34 ±0.1", "9.831e-5 exact", "1000 exact", "inf")
    )
    lines = TextTable(("value", "verdict"), (("title", rows),)).text().splitlines()[3:]
    points = {line.index(".") for line in lines if re.search(r"\d\.\d+(e-\d+)? |\.34", line)}
    assert len(points) == 1
    assert {line.index("agrees") for line in lines} == {lines[0].index("agrees")}


def test_the_table_shows_a_few_recorded_steps_with_the_first_and_the_last(laws):
    steps = sorted({row["step"] for row in laws.table()})
    assert steps == [40, 120, 440, 2000]  # spread in the logarithm
    assert steps[-1] == 2000
    assert {row["step"] for row in laws.table(steps=[40])} == {40}
    with pytest.raises(InvalidInput, match="step 41 was not recorded"):
        laws.table(steps=[41])


def test_exact_differences_have_no_interval_and_sampled_ones_have(laws):
    """Rows of an exact observable say exact; the others print both ends of the interval."""
    grid = tables.steps_table(laws.dataset)
    for title, rows in grid.groups:
        for row in rows:
            assert (row[4] == "exact") == title.startswith("risk")
            assert title.startswith("risk") or re.fullmatch(r"\[\S+, \S+\]", row[4])


def test_csv_gives_every_recorded_step_back_bit_for_bit(laws):
    dataset = laws.dataset
    found = list(csv.DictReader(io.StringIO(laws.to_csv())))
    assert len(found) == 2 * 4 * dataset.sizes["step"]
    for row in found[::17]:
        here = dataset.sel(observable=row["observable"], process=row["process"], step=int(row["step"]))
        assert float(row["difference"]) == float(here["difference"])
        assert float(row["upper"]) == float(here["difference_upper"])
        assert (row["predicted"] == "") == bool(np.isnan(here["predicted"]))


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@sum", " =1", "\t@x"])
def test_a_name_that_a_spreadsheet_would_run_is_quoted_in_csv(laws_dataset, orders_dataset, name):
    """Assert an apostrophe before such names in every CSV text, and none before numbers or other names."""
    laws = laws_dataset.assign_coords(process=["SGD", name, "b-c", "d=e", "f"], observable=[name, "norm"])
    orders = orders_dataset.assign_coords(process=[name, *"abc"])
    for result, column in ((Laws(laws), "observable"), (Orders(orders), "process")):
        rows = list(csv.DictReader(io.StringIO(result.to_csv())))
        assert {row["process"] for row in rows} >= {"'" + name} and name not in {row[column] for row in rows}
        values = [value for row in rows for value in row.values()]
        assert not any(value.startswith(("=", "@", "'-0")) for value in values)
    negative = [row for row in Laws(laws).rows() if row["difference"] < 0]
    assert negative and f",{negative[0]['difference']!r}," in Laws(laws).to_csv()
    assert "b-c" in {row["process"] for row in csv.DictReader(io.StringIO(Laws(laws).to_csv()))}
    study = csv_text([{"part": name, "gap": -1.0}], ("part", "gap"))  # what the other study writes its table by
    assert next(csv.DictReader(io.StringIO(study))) == {"part": "'" + name, "gap": "-1.0"}


def test_latex_escapes_its_own_characters_and_has_equal_rows(laws_dataset):
    """A label made of LaTeX's special characters leaves no bare one, and all rows have seven cells."""
    dataset = laws_dataset.assign_coords(process=["SGD", AWKWARD, "b", "c", "d"])
    text = Laws(dataset).to_latex()
    assert r"a\&b\%c\$d\#e\_f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k$<$l$>$" in text
    assert latex_text("0.5") == "0.5"
    for table, ends in zip(text.split(r"\begin{tabular}")[1:], (7, 6)):
        rows = [line for line in table.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {ends}
    for rule in ("toprule", "midrule", "bottomrule"):
        assert rf"\{rule}" in text
    for row in rows:
        assert len(re.findall(r"(?<!\\)\$", row)) % 2 == 0


def natural_size(tabular, points=8, gap=3):
    """Width in points and number of rows of a LaTeX tabular, set in Computer Modern."""
    from pathlib import Path

    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(fname=str(Path(matplotlib.get_data_path()) / "fonts/ttf/cmr10.ttf"))

    def width(text):
        text = re.sub(r"\\times 10\^\{(-?\d+)\}", r" x 10\1", text.replace(r"$\pm$", "+").replace("$-$", "-"))
        text = re.sub(r"[$\\]", "", text).strip()
        return TextPath((0, 0), text, size=points, prop=font).get_extents().width if text else 0.0

    rows = [line[:-2] for line in tabular.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    cells = [re.split(r"(?<!\\)&", row) for row in rows]
    columns = [max(width(row[place]) for row in cells) for place in range(len(cells[0]))]
    return sum(columns) + 2 * gap * len(columns), tabular.count(r"\\")


@pytest.mark.slow
def test_latex_fits_the_page_of_an_article(laws_dataset, orders_dataset):
    """Assert that no tabular is shrunk below 7 points by a line of 345 points, and none is longer than the page."""
    dense = laws_dataset.assign_coords(step=np.unique(np.geomspace(1, 2000, 80).astype(int))[-51:])
    text = Laws(laws_dataset).to_latex() + Laws(dense).to_latex() + Orders(orders_dataset).to_latex()
    tabulars = text.split(r"\begin{tabular}")[1:]
    assert len(tabulars) >= 5 and text.count(r"\resizebox") == text.count(r"\footnotesize") == len(tabulars)
    for width, rows in map(natural_size, tabulars):
        assert 8 * min(1.0, 345 / width) > 7 - 0.3 and 9.5 * rows < 550
    many = TextTable(("a", "b"), tuple((f"group {i}", (("1", "x"),) * 9) for i in range(13)))
    parts = many.latex().split(r"\begin{tabular}")[1:]
    assert [part.count("emph") for part in parts] == [4, 4, 4, 1]
    assert all(part.count("toprule") == part.count("bottomrule") == 1 for part in parts)
    assert many.latex().count("{") == many.latex().count("}")


@pytest.mark.parametrize("value", [0.25, -3.0, 1e-9, 0.0])
def test_nothing_is_printed_with_an_error_of_zero(value):
    """Assert that a number without error says why: exact, or paths that do not differ."""
    for exact, word in ((True, "exact"), (False, "no spread")):
        text = with_error(value, 0.0, exact)
        assert word in text and "±" not in text
    assert wording.error_of_part(0.0) == "exact"
    assert wording.error_of_part(0.0, 2e-3, 1.0) == "±0.002 (rounding)" and wording.error_of_part(0.0, 1e-9) == "exact"


class _Balanced(HTMLParser):
    """Collects the texts of cells, and fails on tags that do not close."""

    def __init__(self):
        super().__init__()
        self.open, self.texts = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("br", "meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_is_balanced_and_escaped(laws_dataset, orders_dataset):
    dataset = laws_dataset.assign_coords(process=["SGD", AWKWARD, "b", "c", "d"])
    for result in (Laws(dataset), Orders(orders_dataset)):
        parser = _Balanced()
        parser.feed(result._repr_html_())
        assert parser.open == []
    assert any(AWKWARD in text for text in _fed(Laws(dataset)._repr_html_()))


def _fed(text):
    parser = _Balanced()
    parser.feed(text)
    return parser.texts


def test_the_notes_name_dominating_part_stability_mismatch_and_overflow(laws):
    text = " ".join(str(laws).split())
    assert "homogenized SGD: closure +0.0140 exact (the largest)" in text
    assert wording.dominating_part(laws.dataset, "homogenized SGD") == "closure"
    assert "0.25 of the threshold 0.2" in text
    assert "MISMATCH: gradient flow has step_size 0.06, SGD has 0.05." in text
    assert "OVERFLOW: 3 of 10000 paths of SGD" in text
    assert "the first at step 1200" in text


def test_the_finding_follows_the_data(laws_dataset):
    """Turning the last verdict around turns the sentence around."""
    assert wording.finding(laws_dataset).startswith("homogenized SGD agrees with SGD")
    changed = laws_dataset.copy(deep=True)
    changed["verdict"].loc[{"process": "homogenized SGD", "observable": "risk", "step": 2000}] = "differs"
    changed["overall"].loc[{"process": "homogenized SGD", "observable": "risk"}] = "differs"
    assert wording.finding(changed).startswith("homogenized SGD differs from SGD")
    assert "agrees at 49, differs at 1" in wording.finding(changed)


def test_a_dataset_without_budget_says_why(laws_dataset):
    bare = laws_dataset.drop_vars(["budget", "budget_error", "gelbrich"])
    bare.attrs["budget_absent"] = "The error budget needs least squares."
    assert "The error budget needs least squares." in str(Laws(bare))
    assert wording.gelbrich(bare) == ""


def test_overflowed_means_print_as_infinite(laws_dataset):
    broken = laws_dataset.copy(deep=True)
    place = {"process": "homogenized SGD", "observable": "norm", "step": 2000}
    for name, value in (("estimate", np.inf), ("standard_error", np.inf), ("difference", np.inf),
                        ("difference_lower", -np.inf), ("difference_upper", np.inf)):  # fmt: skip
        broken[name].loc[place] = value
    text = str(Laws(broken))
    assert "inf" in text
    assert "nan" not in text.lower().split()


def test_save_and_load_give_the_same_object(laws, orders_dataset, tmp_path):
    """Dataset, printed table and CSV survive a round trip; a file of the other kind is refused."""
    laws.save(tmp_path / "laws.nc")
    Orders(orders_dataset).save(tmp_path / "orders.nc")
    again = Laws.load(tmp_path / "laws.nc")
    assert again.dataset.identical(laws.dataset)
    assert str(again) == str(laws)
    assert str(Orders.load(tmp_path / "orders.nc")) == str(Orders(orders_dataset))
    with pytest.raises(InvalidInput, match="orders"):
        Laws.load(tmp_path / "orders.nc")


def test_claims_give_statement_hypotheses_and_bibtex_once(laws_dataset):
    dataset = laws_dataset.copy()
    dataset.attrs["claims"] = json.dumps(2 * json.loads(dataset.attrs["claims"]))
    text = Laws(dataset).claims()
    assert text.count("@article{li2019") == 1
    assert "assumes: smooth loss; x < y & finite time" in text


def test_orders_table_compares_slope_and_constant_with_theory(orders_dataset):
    orders = Orders(orders_dataset)
    row = next(r for r in orders.table() if r["process"] == "gradient flow" and r["quantity"] == "risk")
    assert row["constant_predicted"] == -0.28
    assert max(map(len, str(orders).splitlines())) <= 100
    assert "2.004 ±0.002" in str(orders)
    assert r"\begin{tabular}" in orders.to_latex()


def test_a_group_without_a_title_has_no_line_for_it():
    """In text, HTML and LaTeX; the control has one."""
    def table(title):
        return TextTable(("a", "verdict"), ((title, (("1.5", "agrees"),)),))

    assert table("").text().splitlines()[2].split() == ["1.5", "agrees"]
    for kind, mark in (("html", "rowgroup"), ("latex", "emph")):
        assert mark in getattr(table("of it"), kind)() and mark not in getattr(table(""), kind)()
