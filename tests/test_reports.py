"""Figures and reports: readable, self-contained, and on disk whole or not at all."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from sgdlimits.compare import Laws, Orders, reports, style
from sgdlimits.compare._laws import plots
from sgdlimits.compare.output_folder import check_folder, write_folder, written_files
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.homogenized import HomogenizedStudy, StudyResult
from sgdlimits.studies.homogenized import report as homogenized


@pytest.fixture(scope="module")
def report(laws_dataset, orders_dataset, tmp_path_factory):
    """A whole report, written once."""
    folder = tmp_path_factory.mktemp("reports") / "first"
    study = HomogenizedStudy(data="x<y>.csv", target="y", steps=2000)
    result = StudyResult(study, Laws(laws_dataset), Orders(orders_dataset), None, ("A <note>.",))
    return result.write(folder)


@pytest.fixture
def quick(monkeypatch):
    """Reports without figures, for tests of the folder alone."""
    monkeypatch.setattr(homogenized, "figures", lambda laws, orders: [])


@pytest.fixture
def result(laws_dataset):
    return StudyResult(HomogenizedStudy(steps=2000), Laws(laws_dataset), None, None, ())


def test_a_report_holds_page_figures_tables_numbers_and_settings(report, laws_dataset):
    import xarray as xr

    names = {path.name for path in report.iterdir()}
    for name in ("report.html", "table.csv", "table.tex", "result.nc", "orders.nc", "orders.tex", "study.toml"):
        assert name in names
    for figure in ("means-risk", "means-norm", "laws-risk", "laws-norm", "budget", "orders"):
        assert {f"{figure}.png", f"{figure}.svg"} <= names
    assert written_files(report) == names
    with xr.open_dataset(report / "result.nc") as found:
        assert np.array_equal(found["difference"].values, laws_dataset["difference"].values)
    assert [path.name for path in report.parent.iterdir()] == ["first"]


class _References(HTMLParser):
    """Every place from which a browser would load something."""

    def __init__(self):
        super().__init__()
        self.found, self.tags = [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.found += [
            value for name, value in attributes if name in ("src", "href", "srcset", "data", "poster")
        ]


def test_the_page_loads_nothing_from_outside_and_needs_no_script(report):
    text = (report / "report.html").read_text(encoding="utf-8")
    parser = _References()
    parser.feed(text)
    assert parser.found
    assert all(value.startswith("data:image/svg+xml;base64,") for value in parser.found)
    assert not parser.tags & {"script", "link", "iframe", "object", "base"}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_says_finding_verdicts_budget_theory_and_settings_and_escapes_them(report):
    text = (report / "report.html").read_text(encoding="utf-8")
    for piece in (
        "homogenized SGD agrees with SGD",
        "MISMATCH",
        "OVERFLOW",
        "Largest: closure (homogenized SGD)",
        "every column &lt;b&gt; &amp; target",
        "@article{li2019",
        "x &lt; y &amp; finite time",
        "x&lt;y&gt;.csv",
        "A &lt;note&gt;.",
        "Gelbrich",
        "sgdlimits study --from study.toml",
        "<dt>numba</dt>",
        "within 5 % of the scale",
    ):
        assert piece in text


def test_svg_files_name_no_outside_file(report):
    for path in report.glob("*.svg"):
        references = re.findall(r'(?:xlink:)?href="([^"]+)"', path.read_text(encoding="utf-8"))
        assert all(reference.startswith("#") for reference in references)


@pytest.mark.slow
def test_labels_of_a_figure_do_not_overlap_and_are_large_enough(laws_dataset, orders_dataset):
    """Boxes of direct labels are disjoint and every text is at least 8 points."""
    from matplotlib.text import Text

    made = [draw() for _, _, draw in homogenized.figures(Laws(laws_dataset), Orders(orders_dataset))]
    for figure in made:
        assert figure.get_figwidth() == 6
        figure.canvas.draw()
        for ax in figure.axes:
            assert ax.get_xlabel() and ax.get_ylabel()
            boxes = [Text.get_window_extent(text).padded(-1) for text in ax.texts]  # without their arrows
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
            ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()]
            shown = [text for text in (*ax.texts, ax.xaxis.label, ax.yaxis.label, *ticks) if text.get_text()]
            assert min(text.get_fontsize() for text in shown) >= 8


def uneven_budget(dataset):
    """Parts of the first process range over five decades, those of the others over less than a factor of 20."""
    changed = dataset.copy(deep=True)
    changed["budget"][1, 3] *= 1e-4
    changed["budget"][2:, :4] = 1e-3
    changed["budget"][:, 4:], changed["budget_error"][:] = 0, 0
    return changed


def test_panels_of_one_figure_have_one_kind_of_axis(laws_dataset):
    """Assert that the budgets of all processes are drawn on axes with one linear range, and that ticks stand apart."""
    dataset = uneven_budget(laws_dataset)
    alone = {plots.budget(dataset, name).axes[0].get_yscale() for name in plots.with_budget(dataset)}
    assert alone == {"linear", "symlog"}
    figure = plots.budgets(dataset)
    figure.canvas.draw()
    assert {ax.get_yscale() for ax in figure.axes} == {"symlog"}
    assert len({ax.yaxis.get_transform().linthresh for ax in figure.axes}) == 1
    for ax in figure.axes:
        low, high = ax.get_ylim()
        shown = [tick for tick in ax.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        boxes = sorted((tick.label1.get_window_extent() for tick in shown), key=lambda box: box.y0)
        assert len(boxes) > 2 and all(a.y1 <= b.y0 + 1 for a, b in zip(boxes, boxes[1:]))


def bare(laws, orders):
    """Nothing is predicted, and every error is positive."""
    laws["predicted"][:] = np.nan
    orders["constant_predicted"][:] = 0
    orders["error"][:] = np.abs(orders["error"])


def exact(laws, orders):
    laws["exact"][:], laws["budget_error"][:] = True, 0


def sampled(laws, orders):
    laws["exact"][:] = False
    laws["predicted"][:, 0] = np.nan


@pytest.mark.parametrize("change", [lambda laws, orders: None, bare, exact, sampled])
def test_a_caption_promises_what_is_drawn_and_no_more(laws_dataset, orders_dataset, change):
    """Assert dots, markers, lines and open markers of each caption by what the axes hold."""
    laws, orders = laws_dataset.copy(deep=True), orders_dataset.copy(deep=True)
    change(laws, orders)
    for name, caption, draw in homogenized.figures(Laws(laws), Orders(orders)):
        axes, said = draw().axes, caption.lower()
        lines = [line for ax in axes for line in ax.lines if len(line.get_xdata()) > 2]
        dotted = any(line.get_linestyle() == ":" and line.get_linewidth() > 2 for line in lines)
        assert ("thick dots" in said) == dotted, name
        if name.startswith(("means", "budget")):
            assert ("markers are" in said) == any(ax.containers for ax in axes), name
        if name.startswith("means"):
            of_one = laws["exact"].sel(observable=name.removeprefix("means-")).values
            assert ("every line is exact" in said) == of_one.all()
            assert ("lines without markers" in said) == (0 < of_one.sum() < 5)
        if name == "budget":
            assert ("logarithmic" in said) == (axes[0].get_yscale() == "symlog")
        if name == "orders":
            marks = [line for line in lines if line.get_marker() not in ("None", "")]
            assert ("open marker" in said) == any(line.get_markerfacecolor() == "white" for line in marks)
            for ax in axes:
                there = any(line.get_linestyle() == ":" for line in ax.lines)
                assert ("thick dots" in ax.get_title(loc="left")) == there


def test_labels_that_nearly_coincide_are_spread():
    """The spread keeps order and distance, and moves nothing that has room."""
    sizes = np.full(4, 0.1)
    assert np.diff(style._spread(np.array([0.5, 0.5, 0.5, 0.52]), sizes)).min() >= 0.1 - 1e-12
    free = np.array([0.1, 0.4, 0.6, 0.9])
    assert np.allclose(style._spread(free, sizes), free)


def test_a_plot_draws_into_given_axes(laws_dataset):
    figure, (ax, _) = style.panels(2)
    assert Laws(laws_dataset).plot(ax=ax, observable="norm") is figure
    assert ax.get_ylabel() == "mean norm of x"
    with pytest.raises(InvalidInput, match="did you mean 'norm'"):
        Laws(laws_dataset).plot(observable="nrm")


def test_each_process_has_its_own_colour_line_and_marker():
    names = [f"process {i}" for i in range(3)] + list(style.USUAL[:3])
    looks = list(style.styles(names).values())
    for part in ("color", "marker"):
        assert len({look[part] for look in looks}) == len(names)
    assert style.styles(["SGD"])["SGD"] == style.styles(names)["SGD"]


def test_a_budget_that_is_absent_is_said_in_the_figure(laws_dataset):
    bare = laws_dataset.drop_vars(["budget", "budget_error"])
    bare.attrs["budget_absent"] = "It needs least squares."
    figure = Laws(bare).plot_budget()
    assert figure.axes[0].texts[0].get_text() == "It needs least squares."
    assert plots.budgets(bare) is None


def test_plotting_leaves_pyplot_alone():
    """No figure enters pyplot's global state, because pyplot is not even imported."""
    code = (
        "import sys; from sgdlimits.compare import style; f, _ = style.panels(); style.render(f, "
        "'png'); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=os.path.dirname(os.path.dirname(__file__))
        ).returncode
        == 0
    )


def test_an_existing_folder_is_refused_then_replaced_whole(quick, result, tmp_path):
    target = tmp_path / "first"
    result.write(target)
    before = (target / "study.toml").stat().st_ino
    with pytest.raises(InvalidInput, match="exists already.*--overwrite"):
        result.write(target)
    assert (target / "study.toml").stat().st_ino == before
    result.write(target, overwrite=True)
    assert (target / "study.toml").stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


MINE = {
    "a foreign file": lambda folder: (folder / "thesis.tex").write_text("years of work"),
    "a folder of our name": lambda folder: ((folder / "report.html").unlink(), (folder / "report.html").mkdir()),
    "a link of our name": lambda folder: ((folder / "table.csv").unlink(), (folder / "table.csv").symlink_to("/")),
    "no settings": lambda folder: (folder / "study.toml").unlink(),
    "settings without a list": lambda folder: (folder / "study.toml").write_text('study = "homogenized"'),
    "a damaged list": lambda folder: (folder / "study.toml").write_text('[written]\nfiles = 3'),
}


@pytest.mark.parametrize("what", MINE)
def test_a_folder_that_a_person_keeps_is_never_replaced(quick, result, tmp_path, what):
    """Assert that --overwrite refuses, and leaves every entry as it was."""
    folder = tmp_path / "mine"
    result.write(folder)
    MINE[what](folder)
    before = {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InvalidInput, match="will not replace"):
        result.write(folder, overwrite=True)
    assert {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_current_folder_and_a_file_are_never_replaced(quick, result, tmp_path, monkeypatch):
    result.write(tmp_path / "here" / "deep")
    (tmp_path / "file").write_text("text")
    monkeypatch.chdir(tmp_path / "here" / "deep")
    for name in (".", "..", tmp_path / "here"):
        with pytest.raises(InvalidInput, match="current folder"):
            result.write(name, overwrite=True)
    with pytest.raises(InvalidInput, match="a file of that name exists"):
        result.write(tmp_path / "file", overwrite=True)
    assert (tmp_path / "here" / "deep" / "result.nc").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_failure_while_writing_leaves_the_disk_as_it_was(quick, result, tmp_path, monkeypatch, error):
    """Neither a half-written folder nor made parents stay; an old folder keeps its files."""
    old = tmp_path / "old"
    result.write(old)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def fail(self, path):
        raise error

    monkeypatch.setattr(Laws, "save", fail)
    for target, overwrite in ((tmp_path / "new" / "deep" / "first", False), (old, True)):
        with pytest.raises(error):
            result.write(target, overwrite=overwrite)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_figure_that_fails_is_a_sentence_and_costs_no_number(result, tmp_path, monkeypatch):
    """Assert that numbers, table and settings lie on the disk before the first figure, and stay."""
    seen = []

    def fail():
        seen.extend(path.name for path in next(tmp_path.glob(".*.partial")).iterdir())
        raise np.linalg.LinAlgError("Singular <matrix>")

    monkeypatch.setattr(homogenized, "figures", lambda laws, orders: [("means-risk", "caption", fail)])
    folder = result.write(tmp_path / "first")
    assert {"result.nc", "table.csv", "table.tex", "study.toml"} <= set(seen)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "Figure means-risk could not be drawn (LinAlgError: Singular &lt;matrix&gt;)." in text
    assert Laws.load(folder / "result.nc").dataset["difference"].shape == result.laws.dataset["difference"].shape


@pytest.mark.slow
def test_the_same_result_gives_the_same_bytes(report, laws_dataset, orders_dataset, tmp_path):
    """Assert it of the page and every figure; and that one changed number changes them."""
    study = HomogenizedStudy(data="x<y>.csv", target="y", steps=2000)
    whole = StudyResult(study, Laws(laws_dataset), Orders(orders_dataset), None, ("A <note>.",))
    again = whole.write(tmp_path / "again")
    for path in report.iterdir():
        if path.suffix in (".html", ".svg", ".png", ".csv", ".tex"):
            assert path.read_bytes() == (again / path.name).read_bytes(), path.name
    other = laws_dataset.copy(deep=True)
    other["estimate"][1, 0, -1] += 0.01
    draws = dict((name, draw) for name, _, draw in homogenized.figures(Laws(other)))
    assert style.render(draws["means-risk"](), "svg")[0] != (report / "means-risk.svg").read_bytes()


def test_observables_that_look_alike_have_files_of_their_own():
    names = reports.file_names(["a b", "a-b", "A b", "x" * 300, "", "\0", "../up"])
    assert len({name.lower() for name in names.values()}) == 7
    assert all(re.fullmatch(r"[\w-]{1,70}", name) for name in names.values())


def test_numbered_folders_count_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [str(write_folder(None, "homogenized", lambda folder: None)) for _ in range(2)]
    (tmp_path / "results" / "homogenized-007").mkdir()
    names.append(str(write_folder(None, "homogenized", lambda folder: None)))
    assert names == [os.path.join("results", f"homogenized-{number}") for number in ("001", "002", "008")]


@pytest.mark.parametrize(
    "name", ["/proc/none/first", os.path.join(__file__, "first"), "x" * 300, "deep/" * 1200 + "x", "a\0b", ""]
)
def test_a_place_that_cannot_be_written_is_named(name):
    with pytest.raises(InvalidInput, match="cannot write to|too long|cannot be the name|is empty"):
        check_folder(name, False)


@pytest.mark.extras
def test_chromium_shows_the_report_with_its_figures(report, tmp_path):
    """A screenshot without network holds the colours of the figures."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        if os.environ.get("SGDLIMITS_REQUIRE_ALL") == "1":
            pytest.fail("SGDLIMITS_REQUIRE_ALL=1, but no Chromium is installed")
        pytest.skip("no Chromium is installed")
    from matplotlib.image import imread

    picture = tmp_path / "page.png"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", f"--screenshot={picture}",
        "--hide-scrollbars", "--window-size=1000,3000", f"--user-data-dir={tmp_path / 'profile'}",
        (report / "report.html").as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    pixels = np.round(255 * imread(picture)[..., :3]).astype(int)
    assert pixels.shape[:2] == (3000, 1000)
    for colour in ("#D55E00", "#0072B2", "#009E73"):
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - wanted).max(axis=2) <= 3).sum() > 50


def test_observables_whose_names_differ_in_signs_have_files_of_their_own():
    names = [reports.file_name(name) for name in ("a b", "a-b", "a/b", "risk", "x" * 300, "x" * 301)]
    assert len(set(names)) == 6 and names[3] == "risk" and max(map(len, names)) < 80
