"""The data sets that ship with the package, against numbers that were published with them."""

from pathlib import Path

import numpy as np
import pytest
from tests.optional import optional

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, datasets

# rows, columns that vary, mean, smallest and largest target; digits: images of each digit
PUBLISHED = {
    "diabetes": (442, 10, 152.133, 25, 346),
    "concrete": (1030, 8, 35.818, 2.33, 82.6),
    "airfoil": (1503, 5, 124.836, 103.38, 140.987),
    "digits": (1797, 61, None, 0, 9),
}
IMAGES = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


@pytest.mark.parametrize("name", datasets.EMBEDDED)
def test_embedded_sets_have_their_published_size_and_range(name):
    """Rows, columns, range and mean of the target; nothing but finite numbers."""
    table = datasets.dataset(name)
    rows, columns, mean, smallest, largest = PUBLISHED[name]
    assert table.features.shape == (rows, columns) and len(table.columns) == columns
    assert (table.targets.min(), table.targets.max()) == (smallest, largest)
    if mean is None:
        np.testing.assert_array_equal(np.bincount(table.targets.astype(int)), IMAGES)
        assert set(np.unique(table.features)) == set(range(17))
    else:
        assert table.targets.mean() == pytest.approx(mean, abs=5e-4)


@pytest.mark.parametrize("name", datasets.EMBEDDED)
def test_embedded_sets_state_source_and_licence(name):
    """Beside each table stands a page; least squares is built from each, standardised."""
    page = (Path(datasets.__file__).parent / "data" / f"{name}.md").read_text()
    assert "Source:" in page and ("Licence: CC BY 4.0" in page or name == "diabetes")
    problem = LeastSquares.from_dataset(name)
    np.testing.assert_allclose(problem.features.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(problem.features.std(axis=0), 1, rtol=1e-12)


@pytest.mark.extras
def test_the_digits_are_those_of_scikit_learn():
    """Entry by entry."""
    found = optional("sklearn.datasets").load_digits()
    table = datasets.dataset("digits")
    np.testing.assert_array_equal(table.features, found.data[:, found.data.std(axis=0) > 0])
    np.testing.assert_array_equal(table.targets, found.target)


@pytest.mark.parametrize(
    "name,answer", [("concret", "did you mean 'concrete'"), (3, "allowed"), ("z" * 10_000, "allowed")]
)
def test_an_unknown_name_is_a_short_sentence(name, answer):
    """The nearest name, or the list."""
    with pytest.raises(InvalidInput, match=answer) as caught:
        LeastSquares.from_dataset(name)
    assert len(str(caught.value)) < 400


@pytest.mark.extras
def test_a_download_that_fails_is_a_sentence(monkeypatch):
    """Assert it of what urllib raises without a network."""
    from urllib.error import URLError

    def fails():
        raise URLError("name resolution")

    monkeypatch.setattr(optional("sklearn.datasets"), "fetch_california_housing", fails)
    with pytest.raises(InvalidInput, match="connect to the network") as caught:
        LeastSquares.from_dataset("california_housing")
    assert "name resolution" in str(caught.value) and "diabetes" in str(caught.value)
