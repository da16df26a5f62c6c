"""compare.tails: indices of processes side by side."""

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare._tails.driver import ESTIMATORS
from sgdlimits.compare._tails.rows import Known, estimate_row
from sgdlimits.compare.known_tails import known_tail
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.exact.tail_index import TailIndex

PLANE = problems.StreamingLeastSquares([1.0, 0.36], 0.3, [1.0, 1.0])
ALIKE = problems.StreamingLeastSquares([1.0, 1.0], 0.3, [1.0, 1.0])  # its index is one quadrature


def of_kind(found, process, kind):
    return [row for row in found.table() if row["process"] == process and row["kind"] == kind]


@pytest.fixture(scope="module")
def both():
    sgd = discrete.SGD(PLANE, 0.5)
    limit = diffusions.HomogenizedSGD.of(sgd)
    return sgd, limit, compare.tails(sgd, limit, paths=4000, estimators=("corrected_hill", "stable_quantiles"))


def test_exact_indices_bounds_and_estimates_stand_side_by_side(both):
    sgd, limit, found = both
    assert found.index() == sgd.tail_index().index and found.index("homogenized SGD") == limit.tail_index().index
    (bounds,) = of_kind(found, "homogenized SGD", "bounds")
    assert (bounds["lower"], bounds["upper"]) == tuple(limit.tail_index_bounds()) and bounds["verdict"] == "holds"
    for process in (sgd, limit):
        hill, stable = of_kind(found, process.label, "estimate")
        assert hill["verdict"] == "covers" and hill["k"] > 0
        assert stable["verdict"] == "misses" and stable["upper"] <= 2  # a control: no index above 2 can be seen by it


def test_the_limit_has_another_index_and_that_is_said(both):
    _, _, found = both
    assert of_kind(found, "homogenized SGD", "exact")[0]["beside_reference"] == "other"
    assert "not the same" in found.findings()[0] and found.findings()[0] in found.notes()
    same = compare.tails(discrete.SGD(ALIKE, 0.4), discrete.SGD(ALIKE, 0.4), sample=False)
    assert same.table()[1]["beside_reference"] == "same" and "same" in same.findings()[0]


def test_the_ends_are_of_the_stationary_law(both):
    sgd, limit, found = both
    for process in (sgd, limit):
        values = found.dataset["sample"].sel(process=process.label).values
        variance = process.stationary().covariance[0, 0]
        assert np.median(np.abs(values)) < np.sqrt(variance)
        assert abs(np.quantile(values, 0.5)) < 5 * np.sqrt(variance / len(values))
    early = compare.tails(sgd, x0=np.array([30.0, 30.0]), steps=12, paths=2000)
    assert any("not settled" in row["notes"] for row in early.table())


def test_each_process_is_seen_from_its_own_centre_and_named_with_its_own_settings():
    """Assert it of two ridges, whose minimisers lie ten deviations apart, and of what states no minimiser."""
    on = [problems.StreamingLeastSquares([1.0], 0.3, [10.0], ridge=ridge) for ridge in (1, 0)]
    ridged = [discrete.SGD(problem, size) for problem, size in zip(on, (0.3, 0.4))]
    levy = diffusions.StableOrnsteinUhlenbeck(1.0, 0.1, 1.7, centre=[-50.0])
    found = compare.tails(*ridged, levy, Recurrence(), paths=400, estimators=("corrected_hill",), steps=150)
    for sample in found.dataset["sample"].values[:3]:
        assert abs(np.median(sample)) < 5 * np.median(np.abs(sample)) / np.sqrt(400)
    first, second, own = (of_kind(found, n, "estimate")[0] for n in ("SGD (1)", "SGD (2)", "two factors"))
    assert "origin" in own["notes"] and "origin" not in first["notes"] + second["notes"]
    (text,) = found.heading()[1:]
    assert "ridge=1" in text and "(SGD (1))" in text and "ridge=0" in text and "step size 0.3 (SGD (1))" in text
    alike = compare.tails(ridged[0], diffusions.HomogenizedSGD.of(ridged[0]), sample=False).heading()[1]
    assert "(SGD" not in alike and alike.count("StreamingLeastSquares") == 1


def test_a_gaussian_law_and_a_point_have_an_infinite_index_that_is_not_sgds():
    sgd = discrete.SGD(ALIKE, 0.4)
    others = diffusions.OrnsteinUhlenbeck.of(sgd), diffusions.GradientFlow.of(sgd)
    found = compare.tails(sgd, *others, sample=False)
    for process, sentence in zip(others, found.findings(), strict=True):
        (row,) = of_kind(found, process.label, "exact")
        assert np.isinf(row["index"]) and row["beside_reference"] == "other" and "not SGD's" in row["notes"]
        assert row["lyapunov_exponent"] == pytest.approx(-0.4)
        assert "infinite tail index" in sentence and f"p above {sgd.tail_index().index:.7g}" in sentence
    assert known_tail(others[0]).lower == np.inf
    away = diffusions.OrnsteinUhlenbeck(problems.StreamingLeastSquares([1.0, 0.36], 0.3, [1.0, 1.0], ridge=-0.5), 0.1)
    with pytest.raises(NoStationaryLaw, match="ridge"):
        away.tail_index()
    with pytest.raises(InvalidInput, match="schedule"):
        diffusions.OrnsteinUhlenbeck(PLANE, lambda k: 0.1).tail_index()
    assert known_tail(away).upper == 0


def test_a_limit_that_settles_where_sgd_does_not_is_another():
    """Assert it at step size 3, and that two processes without a stationary law are said to be so."""
    sgd = discrete.SGD(ALIKE, 3.0)
    found = compare.tails(sgd, diffusions.HomogenizedSGD.of(sgd), sgd, sample=False)
    assert found.dataset["beside_reference"].values.tolist() == ["reference", "other", "neither"]
    one, other = found.findings()
    assert "has no stationary law: not the same" in one and other.startswith("Neither SGD (2) nor SGD (1)")


def test_no_stationary_law_and_no_noise_are_named():
    gone = compare.tails(discrete.SGD(ALIKE, 5.0), paths=100)
    (row,) = gone.table()
    assert "no stationary law" in row["notes"] and row["lyapunov_exponent"] > 0 and np.isnan(row["index"])
    assert not np.isfinite(gone.dataset["sample"]).any()
    still = problems.StreamingLeastSquares([1.0, 1.0], 0.0, [1.0, 1.0])
    dying = compare.tails(discrete.SGD(still, 0.5), paths=100, estimators=("hill",))
    assert np.isinf(dying.index()) and "all values" in str(dying) or "nonzero" in str(dying)


class Recurrence:
    """x <- A x + noise with A = 0.5 or 2: the index is the root of E A^s = 1."""

    label = "two factors"

    def initial_state(self, x0):
        return x0.copy()

    def step(self, k, x, noise):
        big = noise.uniforms(70, k, 1) < 0.2
        return np.where(big, 2.0, 0.5) * x + noise.normals(71, k, 1)

    def position(self, x):
        return x


def test_a_recurrence_of_the_users_own_with_its_index():
    index = discrete.kesten_index(([2.0, 0.5], [0.2, 0.8]))
    assert 0.2 * 2**index.index + 0.8 * 0.5**index.index == pytest.approx(1)
    found = compare.tails(
        Recurrence(), x0=[1.0], steps=150, paths=4000, estimators=("corrected_hill",), indices={"two factors": index}
    )
    assert found.index() == index.index
    assert "lattice" in str(found)
    bare = compare.tails(Recurrence(), x0=[1.0], steps=20, paths=100, estimators=())
    assert "no tail_index()" in str(bare)


def test_a_footnote_with_a_semicolon_is_one_footnote():
    """Assert that as many notes are numbered as there are, none beginning in the middle of another."""
    found = compare.tails(discrete.SGD(ALIKE, 5.0), sample=False)
    row = found.table()[0]
    assert "; lower the step size" in row["notes"]
    numbered = [note for note in found.notes() if note.startswith("(")]
    assert numbered[0] == f"(1) {row['notes']}." and not any(note[4:].startswith("lower") for note in numbered)


def test_independent_ends_are_not_called_dependent():
    """Assert that every estimator leaves out the note on clusters where it is told so, and keeps it otherwise."""
    walk = np.cumsum(np.random.default_rng(3).standard_t(3, 2000))
    for name in ESTIMATORS:
        estimator = getattr(compare.tail_estimators, name)
        more = {"resamples": 100} if name == "power_law" else {}
        told, alone = (estimator(walk, **more, **known).warnings for known in ({"independent": True}, {}))
        assert any("dependent" in text for text in alone) and not any("dependent" in text for text in told)
    row = estimate_row("student", compare.tail_estimators.student, walk, Known(None), 0.95)
    assert row.notes and not any("dependent" in text for text in row.notes)


def test_saved_and_drawn(both, tmp_path):
    found = both[2]
    found.save(tmp_path / "tails.nc")
    again = compare.Tails.load(tmp_path / "tails.nc")
    assert str(again) == str(found)
    assert len(found.to_csv().splitlines()) == 1 + len(found.table())
    figure = found.plot()
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()][0] == "SGD, exact"
    assert found.plot_survival().axes[0].get_xscale() == "log"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"estimators": ("hil",)}, "hill"),
        ({"direction": np.zeros(2)}, "direction"),
        ({"paths": 3}, "paths"),
        ({"indices": {"nobody": TailIndex(1.0, 0.0, "x")}}, "nobody"),
        ({"indices": {"SGD": 2.0}}, "tail_index"),
        ({"confidence": 95}, "confidence"),
        ({"seed": -1}, "seed"),
        ({"sample": 2}, "sample"),
        ({"steps": 1}, "steps"),
        ({"x0": np.zeros(3)}, "x0"),
    ],
)
def test_bad_input(options, word, monkeypatch):
    """Assert the refusal, before any index is sought."""
    monkeypatch.setattr(discrete.SGD, "tail_index", None)
    with pytest.raises(InvalidInput, match=word):
        compare.tails(discrete.SGD(PLANE, 0.5), **options)


def test_claims_name_the_sources_of_tails():
    """Assert Kesten's theorem and both papers in the claims of a comparison, and that every source has its BibTeX."""
    from sgdlimits.exact.claims import BIBTEX
    from sgdlimits.exact.tail_claims import HOMOGENIZED_TAILS, OPTIMISER_TAILS, SGD_TAILS

    sgd = discrete.SGD(problems.StreamingLeastSquares([[1.0]], 0.3, [1.0]), 0.5)
    said = compare.tails(sgd, diffusions.HomogenizedSGD.of(sgd), sample=False).claims()
    for word in ("@article{kesten1973", "{gurbuzbalaban2021", "{jiao2024", "eta_* <= index <= eta^*"):
        assert word in said, word
    for claim in (*SGD_TAILS, *HOMOGENIZED_TAILS, *OPTIMISER_TAILS):
        assert claim.source in BIBTEX or claim.source == "derived"
        assert ("the paper states" in claim.statement) == (claim.source not in ("derived", "kesten1973"))
