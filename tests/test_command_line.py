"""The command line: one sentence and code 2 for wrong input, nothing left behind, the same bits again."""

import os
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import sgdlimits
from sgdlimits.__main__ import main
from sgdlimits.studies import STUDIES, find_study
from sgdlimits.studies.homogenized import HomogenizedStudy
from sgdlimits.studies.options import flag_of, options_of

QUICK = ["--steps", "12", "--paths", "64", "--threads", "1", "--quiet"]
FEW = ["--processes", "homogenized,modified"]  # with orders, and a third of the figures' work


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
    (tmp_path / "taken" / "study.toml").write_text('[written]\nfiles = ["report.html", "study.toml"]\n')
    (tmp_path / "bad.toml").write_text("study = ")
    (tmp_path / "typo.toml").write_text('study = "homogenized"\n[settings]\nstep_sise = 0.1\n')
    return tmp_path


@pytest.fixture
def plain(monkeypatch):
    """Reports without figures, which take most of the time of a quick run."""
    from sgdlimits.studies.homogenized import report

    monkeypatch.setattr(report, "figures", lambda laws, orders: [])


def files(folder):
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


WRONG = {
    "study": (["study", "homogenised"], "did you mean 'homogenized'"),
    "no study": (["study"], "no study is named; allowed: homogenized"),
    "command": (["stduy"], "stduy"),
    "of another study": (["study", "zero-loss", "--momentum", "1"], "it belongs to 'homogenized'"),
    "option": (["study", "homogenized", "--step-siz", "1"], "did you mean '--step-size'"),
    "not a number": (["study", "homogenized", "--step-size", "big"], "must be a number, got 'big'"),
    "not whole": (["study", "homogenized", "--paths", "1.5"], "must be a whole number, got '1.5'"),
    "zero step size": (["study", "homogenized", "--step-size", "0"], "step_size must be above zero, got 0.0"),
    "negative step size": (["study", "homogenized", "--step-size", "-0.1"], "got -0.1"),
    "infinite ridge": (["study", "homogenized", "--ridge", "inf"], "ridge must be finite, got inf"),
    "zero paths": (["study", "homogenized", "--paths", "0"], "paths must be between 2 and 1000000000, got 0"),
    "zero steps": (["study", "homogenized", "--steps", "0"], "steps must be between 1 and 1000000000, got 0"),
    "zero batch": (["study", "homogenized", "--batch-size", "0"], "batch_size must be between 1 and 10000000, got 0"),
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
    "list": (["list", "all"], "'all' is not understood: list takes --json or nothing"),
    "list, twice": (["list", "--json", "--jsn"], "'--jsn' is not understood"),
    "completion": (["completion"], "completion takes the name of one shell, bash, zsh, tcsh; got 0 words"),
    "shell": (["completion", "bsh"], "did you mean 'bash'"),
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
    assert main(["study", "homogenized", *QUICK, "--test-fraction", "0.2", *FEW, "--out", str(folder)]) == 0
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


@pytest.mark.slow
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
    one, other = ((folder / "study.toml").read_text().partition("# --overwrite")[0] for folder in (first, again))
    assert one == other
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


@pytest.mark.slow
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
    assert content["data"] == "../good.csv"
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


@pytest.mark.slow
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
    assert main(["study", "homogenized", *QUICK, *FEW, "--out", "new/first"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "sgdlimits: interrupted; nothing was written"
    assert files(place) == before


@pytest.mark.slow
def test_the_verdict_table_and_the_finding_are_printed(place, plain, capsys):
    assert main(["study", "homogenized", *QUICK[:-1], "--out", "shown"]) == 0
    output, error = capsys.readouterr()
    assert output.splitlines()[-1] == os.path.join("shown", "report.html")
    assert "risk (expected risk): homogenized SGD against SGD" in output
    assert "over all recorded steps" in output
    assert max(map(len, output.splitlines()[:-4])) <= 100
    assert "path-steps" in error


@pytest.mark.slow
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
        assert name.replace("-", "_") in find_study(name).__module__.split(".")


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert sgdlimits.__version__ in capsys.readouterr().out


def test_the_command_line_starts_without_heavy_libraries():
    """Listing the studies imports neither numba nor scipy, xarray, matplotlib or tqdm."""
    heavy = ("numba", "scipy", "xarray", "matplotlib", "tqdm")
    code = "import sys; from sgdlimits.__main__ import main; main(['list']); "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


ABSURD = ("1e400", "-1e308", "nan", "", "a\0b", "x" * 10_000, "-" + "9" * 500)
WAYS = [
    (name, entry.name, flag_of(entry))
    for name in STUDIES
    for entry, _ in options_of(find_study(name))
    if entry.type != "bool" and entry.name not in ("processes",)
]


@pytest.mark.parametrize(("study", "setting", "flag"), WAYS)
def test_an_absurd_value_of_any_option_is_one_short_sentence(place, capsys, study, setting, flag):
    """Assert code 2, one sentence of at most 900 characters and an unchanged disk, for every option of every study."""
    beside = ["--data", "good.csv", "--target", "price"]
    if setting in ("dataset", "data") or study == "zero-loss":
        beside = ["--target", "price"] if setting == "data" else []
    before = files(place)
    for value in ABSURD:
        if setting in ("target", "one_hot", "drop", "solver", "delimiter", "decimal") and value == "":
            continue  # as good as not given, or refused: no number is in it
        assert main(["study", study, *QUICK[4:], *beside, flag, value]) == 2
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sgdlimits: ")]
        assert len(said) == 1 and len(said[0]) <= 900, said
    assert files(place) == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("study = 'homogenized'\n[settings]\nx = " + "[" * 100_000 + "]" * 100_000, "not a TOML file"),
        ("study = 'homogenized'\n[settings]\nsteps = " + "9" * 6000, "not a TOML file"),
        ("study = 'homogenized'\n[settings]\nsteps = " + "9" * 400, "steps must be between"),
        ("study = 'homo\0genized'\n[settings]\n", "not a TOML file"),
        (f"study = '{'x' * 10_000}'\n[settings]\n", "did you mean|allowed"),
        (f"study = 'homogenized'\n[settings]\n{'k' * 10_000} = 1\n", "is not known"),
        ("study = 'homogenized'\n[settings]\nsteps = [1, 2]\n", "steps must be a whole number"),
        ("study = 'homogenized'\n[settings]\nridge = nan\n", "ridge must be finite"),
        ("study = 'homogenized'\n[settings]\ndata = \"a\\u0000b\"\ntarget = 'y'\n", "zero byte"),
        ("#" * 2_000_000, "at most 1000000 are read"),
    ],
)
def test_an_absurd_settings_file_is_one_short_sentence(place, capsys, content, sentence):
    (place / "odd.toml").write_text(content)
    before = files(place)
    assert main(["study", "--from", "odd.toml", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert re.search(sentence, error) and error.count("\n") == 1 and len(error) < 1000
    assert files(place) == before


def test_a_pipe_is_refused_rather_than_waited_for(place, capsys):
    os.mkfifo(place / "pipe")
    assert main(["study", "--from", "pipe"]) == 2
    assert main(["study", "homogenized", "--data", "pipe", "--target", "y"]) == 2
    assert capsys.readouterr().err.count("is not a file") == 2


@pytest.mark.slow
def test_a_long_run_is_refused_with_what_to_change_and_a_costly_process_left_out(place, capsys):
    """Assert it for a batch of ten million with replacement, and for one process too many in the time allowed."""
    from sgdlimits.studies.homogenized import cost

    assert main(["study", "homogenized", "--batch-size", "1e6", "--quiet"]) == 2
    assert re.search(r"estimated to take .* hours, over the --minutes 30; SGD alone", capsys.readouterr().err)
    assert not (place / "results").exists()
    study = HomogenizedStudy(steps=10_000, paths=10_000, minutes=1.0)
    seconds = {"a": 10.0, "homogenized": 10.0, "modified": 600.0, "SGD": 10.0}

    class Process:
        problem = study.problem()
        solvers = ("euler",)

        def __init__(self, name):
            self.name = name

        def simulator(self, *_):
            return self.name

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "_seconds", lambda study, name, start: seconds[name])
        patch.setattr(cost, "_process_seconds", lambda study, process, start, cores: seconds[process.name])
        patch.setattr(cost, "_moment_seconds", lambda sgd, start: 0.0)
        others = {name: Process(name) for name in ("homogenized", "modified", "a")}
        kept, note = cost.affordable(study, Process("SGD"), others, np.zeros(10), 1, False)
    assert kept == ["homogenized", "a"]
    assert "modified" in note and "--minutes" in note


def test_the_estimate_counts_the_pilot_of_processes_that_are_integrated(monkeypatch):
    """Assert three pilots' worth of integrator steps for homogenized SGD and the modified equation, none elsewhere."""
    from sgdlimits import diffusions
    from sgdlimits.discrete import SGD
    from sgdlimits.studies.homogenized import cost

    monkeypatch.setattr(cost, "_integration_seconds", lambda process, solver, substeps, start, paths: 1e-3 * paths)
    monkeypatch.setattr(cost, "_seconds", lambda study, simulator, start: 8.0)
    study = HomogenizedStudy(steps=100, paths=2000)
    sgd = SGD(study.problem(), 0.01)
    pilots = {"HomogenizedSGD": 3 * 2, "ModifiedEquation": 3 * 4, "OrnsteinUhlenbeck": 0, "GradientFlow": 0}
    for name, pieces in pilots.items():
        process = getattr(diffusions, name).of(sgd)
        assert cost._process_seconds(study, process, np.zeros(10), 2) == pytest.approx(4.0 + 0.5 * pieces * 100)
        fixed = HomogenizedStudy(steps=100, paths=2000, solver="euler")
        assert cost._process_seconds(fixed, process, np.zeros(10), 2) == 4.0


def test_terminating_leaves_nothing(place, plain, capsys, monkeypatch):
    """Assert that SIGTERM ends a run like Ctrl-C does, with its own code."""
    import signal

    monkeypatch.setattr(HomogenizedStudy, "run", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    before, handler = files(place), signal.getsignal(signal.SIGTERM)
    assert main(["study", "homogenized", *QUICK, "--out", "new/first"]) == 143
    assert "terminated; nothing was written" in capsys.readouterr().err
    assert files(place) == before and signal.getsignal(signal.SIGTERM) is handler


def test_a_full_standard_output_is_said_and_the_report_is_whole(place, plain):
    """Assert it for /dev/full, which takes no byte."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sgdlimits", "list"], cwd=root, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == "sgdlimits: cannot write to standard output (No space left on device)\n"
