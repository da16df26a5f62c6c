"""The study of finite step sizes at small sizes: its curves are what closed forms say, its report is whole."""

import math

import numpy as np
import pytest
from sgdlimits.discrete import SGD, rules
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import NoisyQuadratic
from sgdlimits.studies.finite_step_size import FiniteStepSizeStudy, claims, one_dimension, second_order, tables
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
    newton = second_order.newton(scale)
    assert newton.worst < 4
    for curve in (stream, newton):
        assert np.isnan(curve.error[-1]) and np.isfinite(curve.simulated[-1])  # the fourth moment is infinite there


@pytest.mark.slow
def test_verdicts_on_claims_follow_from_numbers(monkeypatch):
    """Assert the verdicts, what the closure's row says, and that tolerances decide."""
    rows = claims.verdicts(0, 1)
    found = {one.claim: one.verdict for one in rows}
    assert len(found) == len(rows) == 10
    assert sorted(found.values()) == ["fails"] * 5 + ["holds"] * 2 + ["holds in part"] * 3
    (closure,) = [one for one in rows if one.claim.startswith("variance of natural gradient")]
    assert "multiplied by 1 a step" in closure.said and closure.found.endswith("d = 3: inf")
    monkeypatch.setattr(claims, "ROUGH", 1.0)
    assert claims.tail_index().verdict == "holds"


@pytest.mark.parametrize(
    ("claim", "right", "wrong"),
    [
        (claims.momentum_equation, (False,), (True,)),
        (claims.newton_covariance, (0.0,), (0.1,)),
        (claims.decayed_covariance, ((0.0, 2.0),), ((0.3, -2.0),)),
        (claims.tail_index, ((4,), 4 / 3), ((4,), 1.2)),
        (claims.noise_sign, (5, 10), (5, 1)),
        (claims.kramers_exponent, (("cusp",),), (("smooth barrier",),)),
        (claims.best_decay, (((0.5, 1.2),),), (((0.0, 1.7),),)),
        (claims.best_decay, (((0.5, 1.2),),), (((0.5, 0.7),),)),
        (claims.second_order, (("finite time",),), (("stationary",),)),
        (claims.other_inputs, ((-1.0, 0.0, 0.0, 0.0, 0.0, 1.0),), ((-2.0, -1.0, 0.0, 1.0, 2.0),)),
    ],
)
def test_each_verdict_turns_with_its_setting(claim, right, wrong):
    """Assert that a claim holds where its formula is right, and fails in a setting where it is not."""
    assert claim(*right).verdict == "holds"
    assert claim(*wrong).verdict == "fails"


@pytest.mark.slow
def test_the_verdict_on_closures_turns_with_the_rule():
    """Assert that a closure whose limit is near agrees with paths."""
    noisy = NoisyQuadratic([1.0, 0.3], [1.0, 0.5])
    averaged = SGD(noisy, 0.05, rule=rules.RMSProp(alpha=0.99))
    assert claims.natural_gradient_closure(0, 1, averaged).verdict == "holds"


def test_the_covariance_under_decay_is_not_that_of_the_theorem():
    """Assert the row's numbers against a sum over powers of the recurrence, written out here."""
    a, ridge, batch, size = np.diag([1.0, 0.3]), 0.2, 4, 0.5
    k, truth = a + ridge * np.eye(2), np.ones(2)
    shift, kept = np.linalg.solve(k, a @ truth) - truth, np.eye(2) - size * k
    s = np.zeros((2, 2))
    for _ in range(400):
        away = s + np.outer(shift, shift)
        s = kept @ s @ kept.T + size**2 / batch * (a @ away @ a + np.trace(a @ away) * a)
    exact, said, right = claims._decayed(truth)
    np.testing.assert_allclose(exact, s, rtol=1e-10)
    np.testing.assert_allclose(right, s, rtol=1e-10)
    assert 0.2 < np.abs(said - s).max() / np.abs(s).max() < 0.3 and np.abs(said - said.T).max() > 0.3 * np.abs(s).max()
    np.testing.assert_allclose(np.diagonal(said), np.diagonal(s), rtol=1e-10)


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
