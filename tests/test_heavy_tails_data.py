"""The study of heavy tails on the user's own file, and at the user's own step size."""

import csv
from pathlib import Path

import numpy as np
import pytest

from sgdlimits import discrete, problems
from sgdlimits.__main__ import main
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.heavy_tails import HeavyTailsStudy, paper_table, study, sweeps
from sgdlimits.studies.heavy_tails import optimisers

TINY = {"paths": 64, "generations": 40, "groups": 2}


@pytest.fixture
def houses(tmp_path):
    """Semicolons, decimal commas, a column of texts and one to leave out."""
    generator = np.random.default_rng(0)
    path = tmp_path / "houses.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["id", "size", "city", "price"])
        for place, (size, noise) in enumerate(generator.standard_normal((80, 2))):
            numbers = [f"{value:.6f}".replace(".", ",") for value in (size, 2 * size + noise)]
            writer.writerow([place, numbers[0], "Rome" if place % 3 else "Oslo", numbers[1]])
    return path


def asked(path, **others):
    return HeavyTailsStudy(
        data=str(path), target="price", one_hot="city", drop="id", delimiter=";", decimal=",",
        **{"datasets": "none", "batch_sizes": "2", "paths": 500, "resamples": 19, "quick": True, **others},
    )  # fmt: skip


def test_the_file_is_the_first_of_the_data(houses):
    """Assert rows, columns and features as LeastSquares reads them, and that random features are of the file."""
    wanted = problems.LeastSquares.from_csv(
        houses, "price", 0.1, one_hot="city", drop="id", delimiter=";", decimal=","
    )  # fmt: skip
    chosen = asked(houses, datasets="airfoil").chosen()
    assert list(chosen) == ["houses.csv", "airfoil"]
    assert np.array_equal(chosen["houses.csv"].features, wanted.features) and chosen["houses.csv"].ridge == 0.1
    every = paper_table.data_sets(0, 0.1, chosen)
    assert list(every) == ["Gaussian rows", "houses.csv", "airfoil", "random features of houses.csv"]
    said = paper_table.described(every)
    assert said[1].startswith("houses.csv: n = 80, d = 2; ") and "left out: id" in said[1]
    assert "n = 80, d = 8; 8 random features sqrt(2) cos(W x + b) of its 2 columns" in said[3]


def test_settings_of_the_file_survive_and_another_file_is_refused(houses, tmp_path):
    """Assert the way to the file from another folder, and its checksum."""
    pinned = asked(houses).pinned()
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "study.toml").write_text(pinned.to_toml(folder=folder), encoding="utf-8")
    again = HeavyTailsStudy.from_toml(folder / "study.toml").pinned()
    assert again == pinned and len(pinned.data_sha256) == 64
    houses.write_text(houses.read_text(encoding="utf-8") + "99;1,0;Rome;2,0\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="is not the file that this study was run with"):
        HeavyTailsStudy.from_toml(folder / "study.toml").chosen()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "houses.csv"], "is given without target"),
        (["--target", "price"], "is given without a data file"),
        (["--drop", "id"], "drop is given without a data file"),
        (["--datasets", "none"], "datasets is 'none' and no data file is given"),
        (["--data", "houses.csv", "--target", "cost", "--drop", "id", "--one-hot", "city"], "no such column"),
        (["--data", "houses.csv", "--target", "price", "--decimal", "x"], "decimal must be"),
        (["--step-size", "0.1", "--fraction", "0.5"], "give a fraction of the threshold or a step size, not both"),
        (["--step-size", "-1"], "step_size must be above zero"),
    ],
)
def test_wrong_files_and_step_sizes_give_one_sentence(houses, monkeypatch, capsys, arguments, sentence):
    """Assert code 2 and no folder of results."""
    monkeypatch.chdir(houses.parent)
    assert main(["study", "heavy-tails", "--quiet", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert [path.name for path in houses.parent.iterdir()] == ["houses.csv"]


def test_a_fraction_or_a_step_size():
    """Assert the default, and that a step size replaces it in study.toml too."""
    assert HeavyTailsStudy().fraction == 0.9 and HeavyTailsStudy().step_size_of(0.2) == pytest.approx(0.18)
    fixed = HeavyTailsStudy(step_size=0.05)
    assert fixed.fraction is None and fixed.step_size_of(0.2) == 0.05 and "fraction" not in fixed.to_toml()
    assert "step size 0.05" in fixed.step_size_in_words and "0.9 of" in HeavyTailsStudy().step_size_in_words


@pytest.mark.slow
def test_the_command_line_puts_the_file_into_the_table(houses, monkeypatch):
    """Assert its row at the step size asked for, with the exact threshold, and that the folder gives the study back."""
    monkeypatch.chdir(houses.parent)
    monkeypatch.setattr(study, "QUICK", TINY)
    monkeypatch.setattr(sweeps, "axes", lambda kept=sweeps.axes: {"dimension": kept()["dimension"]})
    monkeypatch.setattr(paper_table, "COLUMNS", 2)
    monkeypatch.setattr(optimisers, "_cases", lambda kept=optimisers._cases: iter([next(iter(kept()))]))
    words = "--data houses.csv --target price --one-hot city --drop id --batch-sizes 2 --step-size 0.2 --quick"
    words += " --datasets none --paths 500 --resamples 19 --out out --threads 1"
    assert main(["study", "heavy-tails", "--quiet", *words.split()]) == 0
    with open("out/table.csv", newline="", encoding="utf-8") as file:
        rows = {row["data"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["Gaussian rows", "houses.csv", "random features of houses.csv"]
    read = HeavyTailsStudy.from_toml("out/study.toml")
    sgd = discrete.SGD(read.chosen()["houses.csv"], 0.2, 2)
    mine = rows["houses.csv"]
    assert float(mine["step_size"]) == 0.2 and (mine["rows"], mine["columns"]) == ("80", "2")
    assert float(mine["threshold_share"]) == pytest.approx(0.2 / sgd.stability().mean_square_threshold)
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "houses.csv: n = 80, d = 2" in page and "step size 0.2" in page
