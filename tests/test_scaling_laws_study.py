"""The study of scaling laws at a small size: its numbers are those of compare.scaling_laws, its report is whole."""

import numpy as np
import pytest

from sgdlimits import compare
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.scaling_laws import ScalingLawsStudy, scaling_laws

SMALL = {"dimensions": "8,16,32", "redraws": 3}


@pytest.fixture(scope="module")
def small():
    return ScalingLawsStudy(laws="1:0.3,1:0.8", **SMALL).run()


def test_the_report_is_whole_and_its_settings_give_the_study_back(small, tmp_path):
    """Assert three figures a model, the saved losses, and the same settings from study.toml."""
    folder = small.write(tmp_path / "out")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 6 and (folder / "gap-alpha-1-beta-0.8.png").exists()
    found = compare.ScalingLaws.load(folder / "losses-alpha-1-beta-0.3.nc")
    assert repr(found.table()) == repr(small.models["alpha = 1, beta = 0.3"].table())
    assert ScalingLawsStudy.from_toml(folder / "study.toml") == small.study
    assert "compute-optimal" in small.finding and "Continuous time" in small.finding


def test_losses_are_those_of_the_comparison_and_can_be_resumed(tmp_path):
    """Assert equal bits through a sweep, at once and after one of fewer draws."""
    alone = compare.scaling_laws(1.0, 0.3, dimensions=(8, 16), redraws=4, steps=1000, threads=1)
    options = {"dimensions": (8, 16), "steps": 1000, "store": tmp_path / "losses"}
    scaling_laws(1.0, 0.3, redraws=3, **options)
    more = scaling_laws(1.0, 0.3, redraws=4, **options)
    assert more.dataset.equals(alone.dataset) and repr(more.table()) == repr(alone.table())


def test_the_summary_has_one_shape_and_a_word_wherever_a_number_is_missing(small):
    """Assert it against a study of other models."""
    other = ScalingLawsStudy(laws="0.8:1.2,1:0.4", fraction=0.3, **SMALL).run().summary
    here = small.summary
    assert dict(here.sizes) == dict(other.sizes) and set(here.variables) == set(other.variables)
    for data in (here, other):
        missing = np.isnan(data["measured"].values)
        assert ((data["missing"].values != "") == missing).all()
        assert (data["low"].values[~missing] <= data["high"].values[~missing]).all()
    assert not np.isnan(here["measured"].sel(exponent="floor in least loss").values).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"laws": "1"}, "pairs"), ({"laws": "0.4:1"}, "alpha"), ({"laws": "1:1,1:1"}, "twice"),
     ({"dimensions": "8,x"}, "whole numbers"), ({"dimensions": "16,8"}, "ascending"), ({"redraws": 1}, "redraws"),
     ({"fraction": 1}, "fraction"), ({"workers": 0}, "workers"), ({"quick": 1}, "quick"), ({"laws": 3}, "text")],
)  # fmt: skip
def test_bad_settings_get_one_sentence(options, words):
    """Assert what is said."""
    with pytest.raises(InvalidInput, match=words):
        ScalingLawsStudy(**options)


def test_a_draw_that_fails_fails_the_study_with_its_sentence():
    """Assert the sentence of the draw, not that of the sweep."""
    with pytest.raises(InvalidInput, match="threshold .* of draw"), pytest.warns(UserWarning):
        scaling_laws(1.0, 0.5, dimensions=(4,), redraws=20, fraction=0.95)
