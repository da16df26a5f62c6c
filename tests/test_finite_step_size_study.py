"""The study of finite step sizes at small sizes: its curves are what closed forms say, its report is whole."""

import math

import numpy as np
import pytest
from sgdlimits.discrete import SGD, rules
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, NoisyQuadratic
from sgdlimits.studies.finite_step_size import (
    FiniteStepSizeStudy,
    claims,
    general_losses,
    many_dimensions,
    one_dimension,
    plots,
    second_order,
    tables,
)
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


def test_titles_stay_whole_and_say_which_line_paths_are_judged_by():
    """Assert no line break inside a percentage, as few lines as letters allow, and no judgement without paths."""
    words = "quadratic theory is about 10 % off from there on, and says so"
    lines = plots.even(words, 28)
    assert max(map(len, lines)) <= 28 and any("10\u00a0%" in line for line in lines)
    assert " ".join(lines).replace("\u00a0", " ") == words and plots.even("short", 40) == ["short"]
    x = np.array([1.0, 2.0])
    curve = Curve("a", "a", "x", "y", x, {"closure": x}, x + 0.3, np.full(2, 0.1), against="closure")
    assert plots.judged(curve) == 'paths off "closure" by at most 3.0 s.e.'
    assert plots.judged(Curve("a", "a", "x", "y", x, {"exact": x})) == ""
    assert "without interval" in plots.judged(Curve("a", "a", "x", "y", x, {"exact": x}, x, np.full(2, np.nan)))


@pytest.mark.parametrize(("off", "says"), [
    ([0.01, 0.05, 0.15], "from 0.75 of"), ([0.2, 0.3, 0.4], "from below 0 of"), ([0.01, 0.02, 0.03], "never"),
])  # fmt: skip
def test_where_theory_breaks_is_put_between_two_points(off, says):
    """Assert the place of a tenth by interpolation, with places without paths between."""
    places = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    known = np.full(5, np.nan)
    known[::2] = off
    assert says in general_losses._breaks(places, known)


def test_a_target_of_two_texts_is_learned_by_squares_and_by_logistic_regression(tmp_path):
    """Assert the same numbers as from 0 and 1, and a refusal of three texts."""
    draw = np.random.Generator(np.random.Philox(4)).standard_normal((80, 3))
    texts, numbers = tmp_path / "texts.csv", tmp_path / "numbers.csv"
    for path, names in ((texts, ("benign", "malignant")), (numbers, ("0", "1"))):
        path.write_text("a,b,y\n" + "\n".join(f"{a:.5f},{b:.5f},{names[int(a + c > 0)]}" for a, b, c in draw))
    problems = [
        next(FiniteStepSizeStudy(data=str(path), target="y", datasets="none").problems())[1]
        for path in (texts, numbers)
    ]
    np.testing.assert_array_equal(problems[0].targets, problems[1].targets)
    texts.write_text("a,y\n1,x\n2,y\n3,z\n")
    with pytest.raises(InvalidInput, match="3 different texts"):
        next(FiniteStepSizeStudy(data=str(texts), target="y", datasets="none").problems())


@pytest.mark.slow
def test_a_data_set_of_two_classes_has_a_curve_of_logistic_regression():
    """Assert theory at a small step size, its failure near the threshold, and no curve of a regression."""
    scale = Scale(2, 500, 4, 0, True, 1)
    rows = np.random.Generator(np.random.Philox(4)).standard_normal((80, 3))
    problem = LeastSquares.from_arrays(rows, (rows[:, 0] + rows[:, 2] > 0).astype(float), ridge=0.1)
    curve = general_losses.classes(scale, "own", problem)
    assert curve.name == "logistic regression on own" and curve.against == general_losses.EXPANDED
    ratios = curve.simulated[[0, -1]] / curve.lines[curve.against][[0, -1]]
    assert abs(ratios[0] - 1) < 0.2 < abs(ratios[1] - 1)
    regression = LeastSquares.from_arrays(rows, rows[:, 0], ridge=0.1)
    assert general_losses.classes(scale, "own", regression) is None


def test_each_picture_of_exact_theory_has_paths_that_agree_with_it():
    """Assert that test loss and divergence are simulated, near theory and far from the limit."""
    scale = Scale(3, 2000, 4, 0, True, 1)
    problem = LeastSquares.from_dataset("airfoil", ridge=0.1, test_fraction=0.2, seed=0)
    for curve, limit in (
        (many_dimensions.decay_on_data(scale, "airfoil", problem), "gradient flow"),
        (many_dimensions.sampling(scale), "Ornstein-Uhlenbeck"),
    ):
        assert curve.worst < 4
        assert Curve(**(vars(curve) | {"against": limit})).worst > 8
