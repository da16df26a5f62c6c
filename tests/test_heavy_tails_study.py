"""The study of heavy tails: its claims at tiny sizes, tests of fitted laws that keep their level, and its report."""

import html
import math
from functools import partial
from itertools import islice

import numpy as np
import pytest
from scipy.stats import kstest, kstwo, levy_stable

from sgdlimits import problems
from sgdlimits.__main__ import main
from sgdlimits.compare.output_folder import written_files
from sgdlimits.compare.tail_estimators import against_lognormal, goodness, goodness_of_fit, stable_law, student
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.heavy_tails import HeavyTailsStudy, optimisers, paper_table, study, summary, sweeps, tables

TINY = {"paths": 128, "generations": 60, "groups": 4}


def generator(*key):
    return np.random.Generator(np.random.Philox(key=list(key)))


def p_values(law, draw, count, resamples=19):
    """Of `count` samples; spread over the steps of a bootstrap, so that they are uniform if the test is right."""
    found = [goodness_of_fit(draw(generator(3, i)), law, resamples, seed=i).p_value for i in range(count)]
    return np.array(found) - generator(4, 0).random(count) / (resamples + 1)


def test_the_stable_distribution_is_that_of_scipy():
    """Assert it at several indices and skewnesses, far out as the power of theory, and that draws follow it."""
    x = np.array([-30.0, -2.0, -0.1, 0.0, 0.3, 1.0, 7.0, 200.0])
    for index, skewness in ((0.6, 0.3), (0.93, 0.0), (1.51, 0.0), (1.3, -0.9), (1.9, 0.7)):
        found = 1 - stable_law.survival(x, index, skewness)
        assert np.abs(found - levy_stable.cdf(x, index, skewness)).max() < 2e-4
        drawn = stable_law.draw_stable(index, skewness, 4000, generator(1, 1))
        cdf = partial(_stable_cdf, index=index, skewness=skewness)
        assert kstest(drawn, cdf).pvalue > 1e-3
        other = partial(_stable_cdf, index=index, skewness=skewness - 0.3)
        assert index > 1.7 or kstest(drawn, other).pvalue < 1e-2  # near two the skewness moves nothing
        levels = np.array([0.1, 0.5, 0.99])
        assert _stable_cdf(stable_law.quantiles(index, skewness, levels), index, skewness) == pytest.approx(levels)
    power = math.gamma(1.5) * math.sin(0.75 * math.pi) / math.pi * 1.5
    assert stable_law.survival(np.array([1e4]), 1.5, 0.5)[0] * 1e6 == pytest.approx(power, rel=1e-3)


def test_a_one_sided_stable_law_is_fitted():
    """Assert index and skewness of a law on the positive axis, a small distance, no probability below zero."""
    x = np.sort(stable_law.draw_stable(0.6, 1.0, 4000, generator(1, 5)))
    found = stable_law.fit_stable(x)
    assert found.index == pytest.approx(0.6, abs=0.05) and found.skewness > 0.9
    assert goodness.distance(found.below) < 0.06  # quantiles place the end of a one-sided law badly
    assert stable_law.survival(np.array([-1.0, 0.0]), 0.6, 1.0) == pytest.approx([1, 1])


def _stable_cdf(x, index, skewness):
    return 1 - stable_law.survival(x, index, skewness)


def test_the_skewed_stable_law_is_fitted_and_ties_and_clusters_are_said():
    """Assert that skewness is no reason to reject, that the symmetric law is, and what is warned of."""
    skewed = stable_law.draw_stable(1.6, 0.9, 2000, generator(1, 2))
    found = goodness_of_fit(skewed, "stable", 39)
    assert found.p_value > 0.05 >= goodness_of_fit(skewed, "symmetric stable", 39).p_value
    assert found.skewness > 0.5 and not found.warnings and found.law == "stable"
    rounded = goodness_of_fit(np.round(generator(1, 3).standard_t(3, 500), 1), "student", 19)
    assert any("repeat another" in text for text in rounded.warnings)
    noise, chain = generator(1, 4).standard_t(3, 2000), np.zeros(2000)
    for k in range(1, 2000):
        chain[k] = 0.95 * chain[k - 1] + noise[k]
    assert any("dependent" in text for text in goodness_of_fit(chain, "student", 19).warnings)
    assert any("dependent" in text for text in against_lognormal(chain).warnings)
    assert not against_lognormal(noise).warnings


@pytest.mark.slow
def test_p_values_are_uniform_under_the_true_stable_law():
    """Assert it of 60 samples."""
    found = p_values("stable", lambda rng: stable_law.draw_stable(1.5, 0.5, 100, rng), 60)
    assert kstest(found, "uniform").pvalue > 1e-3


@pytest.mark.slow
def test_p_values_are_uniform_under_the_true_student_law():
    """Assert it of 150 samples; the control, which forgets the fit, accepts nearly all of them."""
    found = p_values("student", lambda rng: rng.standard_t(3, 200), 150)
    assert kstest(found, "uniform").pvalue > 1e-3
    forgotten = [kstwo.sf(student(generator(3, i).standard_t(3, 200)).details["ks"], 200) for i in range(150)]
    assert kstest(forgotten, "uniform").pvalue < 1e-6


def test_other_laws_are_rejected():
    """Assert that a skewed and a two-sided exponential sample reject both laws, and a uniform one the stable law."""
    for values in (generator(5, 0).exponential(size=3000), generator(5, 1).laplace(size=6000)):
        for law in goodness.LAWS:
            assert goodness_of_fit(values, law, 19).p_value == 0.05
    uniform = generator(5, 2).random(2000)
    assert goodness_of_fit(uniform, "stable", 19).p_value == 0.05


def test_a_law_of_fixed_index_is_rejected_by_another_sample():
    """Assert that a normal sample is far from every t with two degrees of freedom: the fit is needed."""
    values = generator(6, 0).standard_normal(2000)
    assert kstest(values / 1.2, "t", args=(2,)).pvalue < 1e-6
    assert goodness_of_fit(values, "student", 39).p_value > 0.05


@pytest.mark.slow
def test_a_long_student_sample_rejects_the_stable_law_and_a_stable_sample_rejects_student():
    """Assert it at 60 000 values of t with 3 degrees of freedom; some thousands do not tell the laws apart."""
    values = generator(8, 0).standard_t(3, 60_000)
    assert goodness_of_fit(values, "stable", 39).p_value <= 0.05 < goodness_of_fit(values, "student", 39).p_value
    stable = stable_law.draw_stable(1.5, 0.0, 60_000, generator(8, 1))
    assert goodness_of_fit(stable, "student", 39).p_value <= 0.05 < goodness_of_fit(stable, "stable", 39).p_value


@pytest.mark.parametrize(
    ("options", "word"),
    [({"law": "studnt"}, "student"), ({"resamples": 5}, "resamples must be at least 19"), ({"seed": -1}, "seed")],
)
def test_bad_arguments_of_the_test_are_refused(options, word):
    """Assert the sentence."""
    with pytest.raises(InvalidInput, match=word):
        goodness_of_fit(generator(7, 0).standard_normal(100), **options)


def test_the_limit_has_another_index_along_every_parameter():
    """Assert it where both are exact, in the plane and of isotropic data, and that the bounds hold for the limit."""
    for name, value in (("step_size", 0.5), ("dimension", 4)):
        found = sweeps.sweep_axis(sweeps.axes()[name], 500, 0, (value,))
        sgd, limit = float(found["sgd"][0]), float(found["homogenized"][0])
        assert limit > 1.05 * sgd
        assert float(found["lower"][0]) - 1e-6 <= limit <= float(found["upper"][0]) + 1e-6
        for side in sweeps.SIDES:
            assert float(found[f"{side}_error"][0]) < 1e-3
            assert float(found[f"{side}_estimate_lower"][0]) < float(found[f"{side}_estimate_upper"][0])


def test_the_level_of_a_sweep_is_the_one_asked_for():
    """Assert that at half the confidence the estimates are the same and their intervals lie inside."""
    axis = sweeps.axes()["step_size"]
    wide, narrow = (sweeps.sweep_axis(axis, 1000, 0, (0.7,), level)[{"step_size": 0}] for level in (0.95, 0.5))
    for side in sweeps.SIDES:
        low, estimate, high = (f"{side}_estimate{end}" for end in ("_lower", "", "_upper"))
        assert float(wide[estimate]) == float(narrow[estimate])
        assert float(wide[low]) < float(narrow[low]) < float(narrow[high]) < float(wide[high])


def test_random_features_repeat():
    """Assert the same bits for one seed, others for another, and rows and targets of the data set."""
    diabetes = problems.LeastSquares.from_dataset("diabetes", 0.1)
    one, same, other = (paper_table.random_features(diabetes, seed) for seed in (0, 0, 1))
    assert one.features.shape == (442, paper_table.FEATURES)
    assert np.array_equal(one.features, same.features) and not np.array_equal(one.features, other.features)
    assert np.array_equal(one.targets, diabetes.targets) and one.ridge == 0.1


@pytest.fixture(scope="module")
def small():
    """The study with one data set, tiny populations, and few sweeps and optimisers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "QUICK", TINY)
        patch.setattr(sweeps, "axes", lambda kept=sweeps.axes: {"dimension": kept()["dimension"]})
        patch.setattr(paper_table, "COLUMNS", 3)
        patch.setattr(optimisers, "_cases", lambda kept=optimisers._cases: islice(kept(), 3, 5))
        return HeavyTailsStudy(
            datasets="airfoil", batch_sizes="4", paths=500, resamples=19, confidence=0.9, quick=True
        ).run(threads=1)  # fmt: skip


@pytest.mark.slow
def test_the_table_says_what_its_numbers_say(small):
    """Assert verdicts against the numbers, the finding's counts, and one shape of the summary."""
    listed = tables.rows(small)
    assert [row["data"] for row in listed] == ["Gaussian rows", "airfoil", "random features of airfoil"]
    for row in listed:
        assert row["lower"] <= row["homogenized"] <= row["upper"]
        inside = row["lower"] <= row["nu_lower"] and row["nu_upper"] <= row["upper"]
        assert ("fitted nu: inside" in row["verdict"]) == inside
        assert ("; t rejected" in row["verdict"]) == (row["student_p"] <= 0.05)
    told = [cells[-1] for _, group in tables.grid(small).groups for cells in group]
    words = {True: "agrees", False: "differs", None: "undecided"}
    assert told == [words[row.one_index] for row in small.rows] and "differs" in told
    assert "agrees in 0 of 3" in small.finding and small.finding in " ".join(str(small).split())
    assert np.array_equal(small.summary["sgd"], [row["sgd"] for row in listed])


@pytest.mark.slow
def test_the_summary_holds_every_table(small):
    """Assert its shape, the numbers of sweeps and optimisers, and a word where a number is missing."""
    data = small.summary
    every, run = sum(len(axis.values) for axis in sweeps.axes().values()), small.sweeps["dimension"]
    assert data.sizes == {"row": 3, "sweep_row": every, "optimiser_row": 2}
    for name, axis in sweeps.axes().items():
        for value in axis.values:
            here = data.sel(sweep_row=f"{name.replace('_', ' ')} {value:g}")
            if name == "dimension" and value in run["dimension"]:
                assert here["sweep_note"] == "" and here["sweep_value"] == value
                assert all(here[f"sweep_{each}"] == run[each].sel(dimension=value) for each in sweeps.NUMBERS)
            else:
                assert here["sweep_note"] == summary.LEFT_OUT and np.isnan(here["sweep_sgd"])
    assert all(tail.whole.confidence == 0.9 for tail in small.optimisers)
    for tail, row in zip(small.optimisers, tables.optimiser_rows(small)):
        here = data.sel(optimiser_row=f"{tail.optimiser}, {tail.setting}")
        assert here["optimiser_theory"] == row["theory"] == tail.theory.index
        ends = [here[f"optimiser_hill_1{end}"].item() for end in ("_lower", "", "_upper")]
        assert tuple(ends) == tail.along[0]
        assert here["optimiser_verdict"] == tail.verdict


@pytest.mark.slow
def test_the_report_is_whole_and_its_settings_give_the_study_back(small, tmp_path):
    """Assert the files of the folder, and the settings read from it."""
    folder = small.write(tmp_path / "report")
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "study.toml", "table.csv", "table.tex", "sweeps.csv", "sweeps.svg"} <= names
    assert {"optimisers.csv", "optimisers.tex", "optimisers.png"} <= names
    assert written_files(folder) == names
    assert HeavyTailsStudy.from_toml(folder / "study.toml") == small.study
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "could not be drawn" not in page and page.count("<figure>") == 3
    assert all(html.escape(tail.derivation) in page for tail in small.optimisers)
    for told in ("kesten1973", "gurbuzbalaban2021", "jiao2024", "eta_* &lt;= index", "The data and the samples",
                 "airfoil: n = 1503, d = 5", "8 random features", "500 independent paths", "largest eigenvalue",
                 "both are proved in 3 of 3 rows"):  # fmt: skip
        assert told in page, told
    assert "90 %" in page and len((folder / "sweeps.csv").read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--datasets", "diabets"], "did you mean 'diabetes'"),
        (["--batch-sizes", "1,x"], "batch_sizes must be whole numbers from 1, separated by commas, got '1,x'"),
        (["--fraction", "1"], "fraction must be below 1"),
        (["--paths", "10"], "paths must be at least 500"),
        (["--resamples", "5"], "resamples must be at least 19"),
        (["--ridge", "-1"], "ridge"),
        (["--momentum", "0.5"], "the study 'heavy-tails' has no option '--momentum'"),
    ],
)
def test_wrong_options_give_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    """Assert code 2, one sentence, and an empty folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["study", "heavy-tails", "--quiet", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
