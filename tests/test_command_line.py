"""The command line: one sentence and code 2 for wrong input, nothing left behind, the same bits again."""

import os
import re
import subprocess
import sys
import tomllib
import warnings

import numpy as np
import pytest

import sgdlimits
from sgdlimits.__main__ import main
from sgdlimits.exact.errors import InvalidInput, StabilityWarning
from sgdlimits.studies import STUDIES, find_study
from sgdlimits.studies.homogenized import HomogenizedStudy

QUICK = ["--steps", "12", "--paths", "64", "--threads", "1", "--quiet"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder with a few data files."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.Generator(np.random.Philox(1))
    rows = noise.standard_normal((30, 3))
    lines = ["area,rooms,price", *(",".join(map(repr, row)) for row in rows.tolist())]
    (tmp_path / "good.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "text.csv").write_text("area,city,price\n1,Oslo,3\n2,Bergen,4\n")
    (tmp_path / "hole.csv").write_text("area,price\n1,2\nnan,4\n")
    (tmp_path / "short.csv").write_text("area,price\n1\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "report.html").write_text("old")
    (tmp_path / "bad.toml").write_text("study = ")
    (tmp_path / "typo.toml").write_text('study = "homogenized"\n[settings]\nstep_sise = 0.1\n')
    return tmp_path


@pytest.fixture
def plain(monkeypatch):
    """Reports without figures, which take most of the time of a quick run."""
    from sgdlimits.compare import reports

    monkeypatch.setattr(reports, "figures", lambda laws, orders: [])


def files(folder):
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


WRONG = {
    "study": (["study", "homogenised"], "did you mean 'homogenized'"),
    "no study": (["study"], "no study is named; allowed: homogenized"),
    "command": (["stduy"], "stduy"),
    "no command": ([], "COMMAND"),
    "option": (["study", "homogenized", "--step-siz", "1"], "did you mean '--step-size'"),
    "not a number": (["study", "homogenized", "--step-size", "big"], "must be a number, got 'big'"),
    "not whole": (["study", "homogenized", "--paths", "1.5"], "must be a whole number, got '1.5'"),
    "zero step size": (["study", "homogenized", "--step-size", "0"], "step_size must be above zero, got 0.0"),
    "negative step size": (["study", "homogenized", "--step-size", "-0.1"], "got -0.1"),
    "infinite ridge": (["study", "homogenized", "--ridge", "inf"], "ridge must be finite, got inf"),
    "zero paths": (["study", "homogenized", "--paths", "0"], "paths must be at least 2, got 0"),
    "zero steps": (["study", "homogenized", "--steps", "0"], "steps must be at least 1, got 0"),
    "zero batch": (["study", "homogenized", "--batch-size", "0"], "batch_size must be at least 1, got 0"),
    "momentum": (["study", "homogenized", "--momentum", "1"], "momentum must be below 1, got 1.0"),
    "test fraction": (
        ["study", "homogenized", "--test-fraction", "1.5"],
        "test_fraction must be below 1, got 1.5",
    ),
    "sampling": (["study", "homogenized", "--sampling", "reshufle"], "did you mean 'reshuffle'"),
    "solver": (["study", "homogenized", "--solver", "eular"], "did you mean 'euler'"),
    "data set": (["study", "homogenized", "--dataset", "diabets"], "did you mean 'diabetes'"),
    "both data": (["study", "homogenized", "--data", "good.csv", "--dataset", "diabetes"], "not both"),
    "no target": (["study", "homogenized", "--data", "good.csv"], "without target"),
    "target alone": (["study", "homogenized", "--target", "price"], "without a data file"),
    "missing target": (
        ["study", "homogenized", "--data", "good.csv", "--target", "prize"],
        "did you mean 'price'",
    ),
    "missing file": (
        ["study", "homogenized", "--data", "none.csv", "--target", "price"],
        "cannot read 'none.csv'",
    ),
    "text column": (["study", "homogenized", "--data", "text.csv", "--target", "price"], "'Oslo' on line 2"),
    "non-finite": (["study", "homogenized", "--data", "hole.csv", "--target", "price"], "'nan' on line 3"),
    "wrong shape": (["study", "homogenized", "--data", "short.csv", "--target", "price"], "line 2"),
    "empty file": (["study", "homogenized", "--data", "empty.csv", "--target", "price"], "0 line"),
    "batch over n": (
        ["study", "homogenized", "--batch-size", "443", "--sampling", "without_replacement"],
        "batch_size is 443, over the 442 samples",
    ),
    "existing folder": (["study", "homogenized", "--out", "taken"], "'taken' exists already"),
    "unwritable folder": (
        ["study", "homogenized", "--out", "good.csv/first"],
        "cannot write to 'good.csv/first'",
    ),
    "file as folder": (
        ["study", "homogenized", "--out", "good.csv", "--overwrite"],
        "a file of that name exists",
    ),
    "threads": (["study", "homogenized", "--threads", "0", "--paths", "64", "--steps", "2"], "threads"),
    "missing toml": (["study", "--from", "none.toml"], "cannot read 'none.toml'"),
    "bad toml": (["study", "--from", "bad.toml"], "is not a TOML file"),
    "setting": (["study", "--from", "typo.toml"], "did you mean 'step_size'"),
    "from and option": (["study", "--from", "typo.toml", "--paths", "9"], "--paths cannot be given"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_code_2_one_sentence_and_changes_nothing(place, capsys, name):
    arguments, sentence = WRONG[name]
    before = files(place)
    assert main(arguments) == 2
    output, error = capsys.readouterr()
    assert output == ""
    said = [line for line in re.split(r"[\r\n]", error) if line.startswith("sgdlimits: ")]
    assert len(said) == 1
    assert sentence in said[0]
    assert "Traceback" not in error
    assert files(place) == before


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A quick run on the embedded data, with every kind of output."""
    folder = tmp_path_factory.mktemp("study") / "deep" / "first"
    assert main(["study", "homogenized", *QUICK, "--test-fraction", "0.2", "--out", str(folder)]) == 0
    return folder


def same_numbers(one, other):
    """Whether two result folders hold the same bits in every variable."""
    import xarray as xr

    for name in ("result.nc", "orders.nc"):
        with xr.open_dataset(one / name) as a, xr.open_dataset(other / name) as b:
            assert set(a.variables) == set(b.variables)
            for variable in a.variables:
                first, second = a[variable].values, b[variable].values
                equal_nan = first.dtype.kind == "f"
                assert np.array_equal(first, second, equal_nan=equal_nan), variable


def test_a_study_writes_its_folder_and_names_the_report(first):
    names = {path.name for path in first.iterdir()}
    assert {"report.html", "table.csv", "table.tex", "result.nc", "orders.nc", "study.toml"} <= names
    assert "means-test_risk.png" in names
    assert [path.name for path in first.parent.iterdir()] == ["first"]


def test_the_settings_file_gives_the_same_numbers_to_the_bit(first, plain, tmp_path):
    """Another number of threads changes nothing either, and the new study.toml holds the same settings."""
    again = tmp_path / "again"
    arguments = [
        "study",
        "--from",
        str(first / "study.toml"),
        "--threads",
        "2",
        "--quiet",
        "--out",
        str(again),
    ]
    assert main(arguments) == 0
    same_numbers(first, again)
    assert (first / "study.toml").read_text() == (again / "study.toml").read_text()
    assert (first / "table.csv").read_text() == (again / "table.csv").read_text()


def test_the_settings_file_holds_everything_needed(first):
    content = tomllib.loads((first / "study.toml").read_text())
    assert content["study"] == "homogenized"
    assert content["settings"]["dataset"] == "diabetes"
    for name in (
        "step_size",
        "steps",
        "paths",
        "seed",
        "batch_size",
        "ridge",
        "tolerance",
    ):
        assert name in content["settings"]
    assert content["versions"]["sgdlimits"] == sgdlimits.__version__
    assert HomogenizedStudy.from_toml(first / "study.toml").steps == 12


def test_a_csv_file_is_found_again_by_its_checksum(place, plain, capsys):
    """The same file beside a moved study.toml gives the same bits; a changed file is refused."""
    data = [
        "--data",
        "good.csv",
        "--target",
        "price",
        "--step-size",
        "0.05",
        "--batch-size",
        "4",
        "--ridge",
        "0.1",
    ]
    assert main(["study", "homogenized", *data, *QUICK, "--seed", "1", "--out", "first"]) == 0
    content = tomllib.loads((place / "first" / "study.toml").read_text())["settings"]
    assert content["data"] == str(place / "good.csv")
    assert len(content["data_sha256"]) == 64
    os.rename("good.csv", "first/good.csv")
    assert main(["study", "--from", "first/study.toml", "--quiet", "--out", "second"]) == 0
    same_numbers(place / "first", place / "second")
    with open("first/good.csv", "a") as file:
        file.write("1,2,3\n")
    capsys.readouterr()
    assert main(["study", "--from", "first/study.toml", "--quiet", "--out", "third"]) == 2
    assert "is not the file that this study was run with" in capsys.readouterr().err
    assert not (place / "third").exists()


def test_runs_without_out_are_numbered_and_a_named_folder_needs_overwrite(place, plain):
    arguments = ["study", "homogenized", *QUICK]
    assert main(arguments) == main(arguments) == 0
    assert sorted(os.listdir("results")) == ["homogenized-001", "homogenized-002"]
    assert main([*arguments, "--out", "taken"]) == 2
    assert main([*arguments, "--out", "taken", "--overwrite"]) == 0
    assert (place / "taken" / "report.html").read_text() != "old"


@pytest.mark.parametrize("moment", ["computing", "writing"])
def test_interrupting_leaves_nothing(place, plain, capsys, monkeypatch, moment):
    """Ctrl-C while paths run, or between two files, gives code 130 and the folder as it was."""
    from sgdlimits.compare import Laws

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    target = (Laws, "save") if moment == "writing" else (HomogenizedStudy, "run")
    monkeypatch.setattr(*target, interrupt)
    before = files(place)
    assert main(["study", "homogenized", *QUICK, "--out", "new/first"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "sgdlimits: interrupted; nothing was written"
    assert files(place) == before


def test_the_verdict_table_and_the_finding_are_printed(place, plain, capsys):
    assert main(["study", "homogenized", *QUICK[:-1], "--out", "shown"]) == 0
    output, error = capsys.readouterr()
    assert output.splitlines()[-1] == os.path.join("shown", "report.html")
    assert "risk (expected risk): homogenized SGD against SGD" in output
    assert "over all recorded steps" in output
    assert max(map(len, output.splitlines()[:-4])) <= 100
    assert "path-steps" in error


def test_a_step_size_past_the_threshold_warns_in_one_line(place, plain, capsys):
    """The run goes on, and the warning names the threshold without any Python source."""
    assert main(["study", "homogenized", *QUICK, "--step-size", "0.45", "--out", "wild"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert any("step_size is 0.45" in line and "below 0.1429" in line for line in lines)
    assert all(line.startswith("warning: ") for line in lines)
    assert "warnings.warn" not in "".join(lines)
    assert "NOT stable" in (place / "wild" / "report.html").read_text(encoding="utf-8")


def test_other_versions_are_warned_about(first, tmp_path):
    text = (first / "study.toml").read_text().replace('numpy = "', 'numpy = "0.')
    (tmp_path / "old.toml").write_text(text)
    with pytest.warns(UserWarning, match="numpy 0.*last digits"):
        HomogenizedStudy.from_toml(tmp_path / "old.toml")


def test_list_names_every_study_in_a_line(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STUDIES)
    for name in STUDIES:
        assert find_study(name).__module__.endswith(name.replace("-", "_"))


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert sgdlimits.__version__ in capsys.readouterr().out


def test_the_command_line_starts_without_heavy_libraries():
    """Listing the studies imports neither numba nor scipy, xarray, matplotlib or tqdm."""
    heavy = ("numba", "scipy", "xarray", "matplotlib", "tqdm")
    code = "import sys; from sgdlimits.__main__ import main; main(['list']); "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_settings_survive_toml(tmp_path):
    """Awkward texts and numbers come back as they were."""
    study = HomogenizedStudy(
        data='odd "name"\\ü\t.csv', target="price\n2", step_size=0.1 + 0.2, ridge=-1e-300, seed=2**63
    )
    (tmp_path / "study.toml").write_text(study.to_toml(), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error", StabilityWarning)
        assert HomogenizedStudy.from_toml(tmp_path / "study.toml") == study


def test_a_toml_of_another_study_or_type_is_refused(tmp_path):
    path = tmp_path / "study.toml"
    for text, sentence in (
        ('study = "other"\n[settings]\n', "holds the study 'other'"),
        ('study = "homogenized"\n', "needs study"),
        ('study = "homogenized"\n[settings]\nstandardise = 1\n', "standardise must be true or false"),
        ('study = "homogenized"\n[settings]\npaths = "many"\n', "paths must be a whole number"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidInput, match=sentence):
            HomogenizedStudy.from_toml(path)
