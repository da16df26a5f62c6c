"""compare.tails: indices of processes side by side."""

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.tail_index import TailIndex

PLANE = problems.StreamingLeastSquares([1.0, 0.36], 0.3, [1.0, 1.0])


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
    same = compare.tails(discrete.SGD(PLANE, 0.5), discrete.SGD(PLANE, 0.5), sample=False)
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


def test_no_stationary_law_and_no_noise_are_named():
    gone = compare.tails(discrete.SGD(PLANE, 5.0), paths=100)
    (row,) = gone.table()
    assert "no stationary law" in row["notes"] and row["lyapunov_exponent"] > 0 and np.isnan(row["index"])
    assert not np.isfinite(gone.dataset["sample"]).any()
    still = problems.StreamingLeastSquares([1.0, 0.36], 0.0, [1.0, 1.0])
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
    ],
)
def test_bad_input(options, word):
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
