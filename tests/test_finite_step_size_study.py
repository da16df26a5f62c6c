"""The study of finite step sizes at small sizes: its curves are what closed forms say, its report is whole."""

import math

import numpy as np
import pytest
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.finite_step_size import FiniteStepSizeStudy, claims, one_dimension, tables
from sgdlimits.studies.finite_step_size.curves import Curve, Scale


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The study on a file of one's own, few paths."""
    path = tmp_path_factory.mktemp("data") / "own.csv"
    draw = np.random.Generator(np.random.Philox(3)).standard_normal((60, 3))
    lines = [f"{a:.6f},{b:.6f},{a - b + 0.3 * c:.6f}" for a, b, c in draw]
    path.write_text("first,second,y\n" + "\n".join(lines))
    return FiniteStepSizeStudy(data=str(path), target="y", datasets="none", paths=500, quick=True).run(threads=1)


def test_lines_on_a_line_are_the_closed_forms():
    """Assert each line against its formula, and paths within four standard errors of the exact one alone."""
    scale = Scale(3, 4000, 4, 0, True, 1)
    plain = one_dimension.additive(scale)
    np.testing.assert_allclose(plain.lines["exact"], plain.x / (2 - plain.x), rtol=1e-10)
    np.testing.assert_allclose(plain.lines["Ornstein-Uhlenbeck"], plain.x / 2, rtol=1e-10)
    np.testing.assert_allclose(plain.lines["modified equation, order 2"], plain.x / (2 + plain.x), rtol=1e-10)
    stream = one_dimension.streaming(scale)
    np.testing.assert_allclose(stream.lines["exact"], stream.x / (10 * (2 - 1.2 * stream.x)), rtol=1e-10)
    for curve in (plain, stream):
        assert curve.worst < 4
        wrong = Curve(**(vars(curve) | {"against": "Ornstein-Uhlenbeck"}))
        assert wrong.worst > 10
    assert np.isnan(stream.error[-1]) and np.isfinite(stream.simulated[-1])  # the fourth moment is infinite there


@pytest.mark.slow
def test_verdicts_on_claims_follow_from_numbers(monkeypatch):
    """Assert the verdicts, and that one of them turns where its formula is made right."""
    found = {one.claim: one.verdict for one in claims.verdicts(0, 1)}
    assert sorted(found.values()) == ["fails"] * 5 + ["holds"] * 2 + ["holds in part"] * 2
    (tail,) = [verdict for claim, verdict in found.items() if claim.startswith("tail index")]
    assert tail == "fails" and claims._holds(0.0) == "holds"
    monkeypatch.setattr(claims, "ROUGH", 1.0)
    assert claims._tail().verdict == "holds"


@pytest.mark.slow
def test_paths_agree_with_exact_theory_and_the_finding_says_so(small):
    """Assert every judged curve within four standard errors, and that limits are off."""
    for row in tables.rows(small):
        if row["line"] == "exact" and not math.isnan(row["paths_off"]):
            assert row["paths_off"] < 4, row
    assert "within" in small.finding and "at half of the threshold" in small.finding and "own" in small.finding
    assert small.curves["excess-own"].off("Ornstein-Uhlenbeck") > 0.3
    assert "Newton" in str(small) and "heavy ball" in str(small)


@pytest.mark.slow
def test_the_report_is_whole_and_its_settings_give_the_study_back(small, tmp_path):
    """Assert figures, tables and files, and the same settings from study.toml."""
    import xarray

    folder = small.write(tmp_path / "out")
    page = (folder / "report.html").read_text(encoding="utf-8")
    for word in ("variance", "decay", "data", "general", "ellipses", "shape", "second", "sampling", "escape"):
        assert (folder / f"{word}.png").exists() and (folder / f"{word}.svg").exists()
    assert page.count("<figure>") >= 6 and "Where the law does not close" in page
    with xarray.open_dataset(folder / "additive.nc") as kept:
        np.testing.assert_array_equal(kept["lines"], small.curves["additive"].dataset()["lines"])
    again = FiniteStepSizeStudy.from_toml(folder / "study.toml")
    assert again.paths == 500 and again.data_sha256 == small.study.data_sha256 is not None
    assert small.summary.sizes["curve"] == len(small.curves)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"datasets": "diabets"}, "diabetes"),
        ({"datasets": 3}, "datasets"),
        ({"paths": 10}, "paths"),
        ({"batch_size": 0}, "batch_size"),
        ({"ridge": -1.0}, "ridge"),
        ({"quick": 1}, "quick"),
        ({"target": "y"}, "without a data file"),
    ],
)
def test_wrong_settings_give_one_sentence(change, says):
    """Assert what is refused."""
    with pytest.raises(InvalidInput, match=says):
        FiniteStepSizeStudy(**change)
