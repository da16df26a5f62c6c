"""The study of validity at a small size: its map is that of compare.validity, its report is whole."""

import numpy as np
import pytest

from sgdlimits import compare, problems
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.validity import ValidityStudy, validity_map


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The study on a file of one's own."""
    path = tmp_path_factory.mktemp("data") / "own.csv"
    draw = np.random.Generator(np.random.Philox(3)).standard_normal((40, 3))
    lines = [f"{a:.6f},{b:.6f},{a - b + 0.3 * c:.6f}" for a, b, c in draw]
    path.write_text("first,second,y\n" + "\n".join(lines))
    return ValidityStudy(data=str(path), target="y", datasets="none", quick=True).run()


def test_the_report_is_whole_and_its_settings_give_the_study_back(small, tmp_path):
    """Assert figures, the saved map and the same settings from study.toml; the finding has the numbers of the map."""
    folder = small.write(tmp_path / "out")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2 and (folder / "map-own.png").exists() and (folder / "errors-own.svg").exists()
    found = compare.Validity.load(folder / "own.nc")
    assert found.table() == small.maps["own"].table()
    again = ValidityStudy.from_toml(folder / "study.toml")
    assert again.within == 0.05 and again.data_sha256 == small.study.data_sha256 is not None
    assert f"about own? {small.resolvents['own'].sentence()}" in small.finding
    assert (folder / "resolvent-own.csv").exists() and "High dimension: own" in page
    assert "At batch size 1 on own" in small.finding and "At batch size 40 on own" in small.finding
    ends = small.ends["own"]
    assert [end.process for end in ends] == ["gradient flow", "Ornstein-Uhlenbeck", "homogenized SGD"]
    exact = {(row["process"], row["cell"]): row["boundary"] for row in found.table()}
    for end in ends:  # the exact ones of the map, and what is sampled of them beside
        assert end.exact == exact[end.process, f"batch size {end.batch_size}"]
        assert end.missing or end.low < end.sampled < end.high
        assert end.verdict == (end.missing or ("covers" if end.low <= end.exact <= end.high else "does not cover"))
    assert sum(end.verdict == "covers" for end in ends) >= 2
    assert "By sampling" in page and "95 % intervals" in small.finding
    assert len((folder / "sampled-own.csv").read_text().splitlines()) == 4
    assert small.summary.sizes["row"] == len(small.table()) == 5 * found.dataset.sizes["cell"]


def test_ends_that_cost_too_much_say_so_and_a_wrong_exact_end_is_not_covered(small, monkeypatch):
    """The words of a refusal in the table; the control of the verdict: twice the exact end."""
    from dataclasses import replace

    from sgdlimits.studies.validity import sampled

    known = next(end for end in small.ends["own"] if end.verdict == "covers")
    assert replace(known, exact=3 * known.high).verdict == "does not cover"
    monkeypatch.setattr(sampled, "DEAREST", 1.0)
    (_, problem), = small.study.problems()
    ends = sampled.sampled_ends(problem, small.maps["own"], 0, 1)
    assert ends and all("minutes" in end.verdict and np.isnan(end.sampled) for end in ends)
    assert all(end.missing in "".join(sampled.ends_notes(ends)) for end in ends)


def test_a_map_is_that_of_single_cells_and_can_be_resumed(tmp_path):
    """Assert equal bits cell by cell, and that a second call adds what is missing."""
    problem = problems.LeastSquares.from_dataset("diabetes", ridge=0.1)
    values = np.geomspace(1e-3, 0.1, 8)
    first = validity_map(problem, [1, 8], values=values, store=tmp_path / "map")
    more = validity_map(problem, [1, 8, 64], values=values, store=tmp_path / "map")
    alone = compare.validity(problem, over={"batch_size": [8]}, values=values)
    assert np.array_equal(first.dataset["boundary"].values, more.dataset["boundary"].values[:, :2])
    assert np.array_equal(alone.dataset["boundary"].values[:, 0], first.dataset["boundary"].values[:, 1])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"within": 1.0}, "within"), ({"scale": "norm"}, "scale"), ({"horizon": 0}, "horizon"),
     ({"workers": 0}, "workers"), ({"datasets": "diabets"}, "diabetes"), ({"quick": 1}, "quick")],
)  # fmt: skip
def test_bad_settings_get_one_sentence(options, words):
    """Assert what is said."""
    with pytest.raises(InvalidInput, match=words):
        ValidityStudy(**options)


def test_an_empty_map_and_no_data_are_refused():
    """Assert what is said."""
    with pytest.raises(InvalidInput, match="empty"):
        validity_map(problems.LeastSquares.from_dataset("diabetes"), [])
    with pytest.raises(InvalidInput, match="no data file"):
        ValidityStudy(datasets="none").run()
