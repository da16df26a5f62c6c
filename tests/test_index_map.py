"""Maps of both indices, and the published grid: cells against the indices themselves, counts, resumption, refusals."""

import numpy as np
import pytest
import xarray
from matplotlib.text import Annotation

from sgdlimits import diffusions, discrete, studies
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, StreamingLeastSquares
from sgdlimits.studies.exploration.index_map import IndexMap
from sgdlimits.studies.exploration.published_grid import published_estimate

STREAM = StreamingLeastSquares(np.ones(4), 0.3, np.ones(4))


@pytest.fixture(scope="module")
def mapped():
    return studies.index_map(STREAM, [0.1, 0.3, 0.6], [1, 3])


def both_sides(size, batch):
    sgd = discrete.SGD(STREAM, size, batch)
    return sgd, diffusions.HomogenizedSGD.of(sgd)


def test_cells_are_the_indices(mapped):
    """Assert both sides of every cell, and the regions."""
    cells = mapped.cells
    for batch in (1, 3):
        ends = [one.moment_threshold(0).value for one in both_sides(0.1, batch)]  # at no step size of their own
        for size in (0.1, 0.3, 0.6):
            cell = cells.sel(batch_size=batch, step_size=size)
            sgd, limit = both_sides(size, batch)
            if size < ends[0]:
                assert cell["sgd"].item() == sgd.tail_index().index
                assert cell["sgd_region"].item() == ("heavy" if cell["sgd"].item() <= mapped.highest else "light")
            else:
                assert cell["sgd_region"].item() == "no law" and np.isnan(cell["sgd"].item())
            if size < ends[1]:
                assert cell["homogenized"].item() == pytest.approx(limit.tail_index().index)
    assert {"heavy", "no law"} <= set(cells["sgd_region"].values.ravel())
    assert "no law" in repr(mapped)


def test_lines_part_the_cells(mapped):
    """Assert that cells below a line have an index above its order, and others not."""
    for side in ("sgd", "homogenized"):
        for order in (1.0, 2.0, 4.0):
            edge = mapped.lines[side].sel(order=order)
            above = mapped.cells[side] > order
            assert bool((above == (mapped.cells["step_size"] < edge)).all())


def test_a_map_is_drawn(mapped):
    """Assert its labels."""
    figure = mapped.plot()
    words = " ".join(text.get_text() for ax in figure.axes for text in ax.texts)
    assert "variance infinite (index 2)" in words and "no law above" in words
    assert {ax.get_xlabel() for ax in figure.axes} >= {"batch size (samples)"}


def made_up(regions):
    """A map of two batch sizes and two step sizes."""
    batches, orders = [1, 4], [0.0, 1.0, 2.0, 4.0]
    region = ("batch_size", "step_size"), np.array(regions)
    numbers = ("batch_size", "step_size"), np.full((2, 2), 3.0)
    cells = xarray.Dataset({side + end: kind for side in ("sgd", "homogenized")
                            for end, kind in (("", numbers), ("_region", region))},
                           {"batch_size": batches, "step_size": [0.1, 0.5]})  # fmt: skip
    low = np.array([0.4, 0.3, 0.2, 0.1])
    values = ("batch_size", "order"), np.stack([low, 10 * low])
    errors = ("batch_size", "order"), np.zeros((2, 4))
    lines = xarray.Dataset({side + end: kind for side in ("sgd", "homogenized")
                            for end, kind in (("", values), ("_error", errors))},
                           {"batch_size": batches, "order": orders})  # fmt: skip
    return IndexMap(cells, lines, "made up", 16.0)


@pytest.mark.parametrize(("count", "beside"), [(1, True), (2, True), (4, False)])
def test_every_colour_of_a_region_has_a_name(count, beside):
    """Assert that "not known" is written once, of few cells beside the frame on the colour that they have."""
    regions = np.full(4, "not known")
    regions[count:] = "heavy"
    ax = made_up(regions.reshape(2, 2)).plot().axes[0]
    (name,) = [text for text in ax.texts if text.get_text() == "not known"]
    assert (name.get_position()[0] > 1 and name.get_transform() is ax.transAxes) == beside
    if beside:
        colours = [tuple(mesh.cmap(0.5)) for mesh in ax.collections if hasattr(mesh, "get_coordinates")]
        assert name.get_bbox_patch().get_facecolor() in colours


def test_names_of_lines_cross_no_line():
    """Assert that lines which leave through the top are named above it, the one that leaves first highest."""
    ax = made_up(np.full((2, 2), "heavy")).plot().axes[0]
    names = [text for text in ax.texts if isinstance(text, Annotation) and text.arrow_patch is not None]
    named = {text.get_text(): (text.xy[0], text.xyann[1]) for text in names}
    above = sorted(place for place in named.values() if place[1] > 1)
    assert len(above) == 3 and len(named) == 4
    assert [height for _, height in above] == sorted((height for _, height in above), reverse=True)


def test_a_map_goes_on_where_it_was(tmp_path):
    """Assert the same numbers from a store."""
    first = studies.index_map(STREAM, [0.2], [1], tmp_path)
    again = studies.index_map(STREAM, [0.2, 0.3], [1], tmp_path)
    assert (again.cells["sgd"].sel(step_size=0.2) == first.cells["sgd"].sel(step_size=0.2)).all()
    assert (again.cells["seconds"].sel(step_size=0.2) == first.cells["seconds"].sel(step_size=0.2)).all()


def test_a_grid_without_a_law_is_refused():
    """Assert the sentence, and those of bad grids."""
    with pytest.raises(InvalidInput, match="no cell of this grid has a stationary law: its smallest step size is 5"):
        studies.index_map(STREAM, [5.0, 6.0], [1])
    with pytest.raises(InvalidInput, match="above zero"):
        studies.index_map(STREAM, [0.0], [1])
    with pytest.raises(InvalidInput, match="batch_sizes"):
        studies.index_map(STREAM, [0.1], [])
    for call in (lambda: studies.index_map(STREAM, [0.1], [1.5]), lambda: studies.published_grid([0.1], [1.5], runs=0)):
        with pytest.raises(InvalidInput, match="batch_sizes must be a whole number"):
            call()


def test_the_published_grid_is_mostly_without_a_law():
    """Assert the fact sheet's counts, and the one cell between, by quadrature."""
    found = studies.published_grid(runs=0)
    assert list(found.counts.values()) == [70, 41, 28, 1, 0]
    cell = found.cells.sel(batch_size=10, step_size=0.18)
    assert abs(cell["index"].item() - 2.51) < 5e-3 and cell["lyapunov_exponent"].item() < 0
    assert abs(found.cells.sel(batch_size=1, step_size=0.04)["lyapunov_exponent"].item() - 0.037) < 5e-4
    assert "41 of 70 cells have no stationary law" in found.finding


def test_the_published_estimate_shows_no_index_above_two():
    """Assert it of laws of index 2.5 and above, and that it is right for one stable law."""
    generator = np.random.Generator(np.random.Philox(3))
    shape = 1600, 20
    for values in (generator.standard_normal(shape), generator.standard_t(2.5, shape), generator.standard_t(4, shape)):
        assert 1.6 < published_estimate(values) < 2.1
    assert abs(published_estimate(generator.standard_cauchy((1600, 1))) - 1) < 0.15


def test_a_grid_of_ones_own_is_simulated():
    """Assert that where paths run away the estimate is below 2, and where the law is light at 2."""
    found = studies.published_grid([0.02, 0.2], [1], dimension=30, samples=500, runs=200)
    light, lost = found.cells["published"].values[0]
    assert abs(light - 2) < 0.25 and lost < 1.6
    assert found.cells["stationary"].values.tolist() == [[1.0, 0.0]]
    assert found.cells["log_distance"].values[0, 1] > 5
    with pytest.raises(InvalidInput, match="at least 100"):
        studies.published_grid(runs=50)


def test_a_published_grid_of_data_that_cannot_be_is_refused():
    """Assert too few samples, batches of more than all, and runs that have come to the solution."""
    with pytest.raises(InvalidInput, match="no one least-squares solution"):
        studies.published_grid([0.1], [1], dimension=30, samples=30, runs=100)
    with pytest.raises(InvalidInput, match="between 1 and 50"):
        studies.published_grid([0.1], [51], dimension=3, samples=50, runs=100)
    found = studies.published_grid([0.3], [50], dimension=3, samples=50, runs=100)
    assert np.isnan(found.cells["published"].item()) and "rounding" in found.cells["hill_notes"].item()


@pytest.mark.slow
def test_a_map_of_data_has_exact_lines_and_intervals():
    """Assert a few cells of diabetes: index inside the lines' orders, and against the slow index."""
    diabetes = LeastSquares.from_dataset("diabetes", ridge=0.1)
    found = studies.index_map(diabetes, [0.0749, 0.11, 0.16], [1, 8], highest=8.0)
    cells = found.cells.sel(batch_size=1)
    assert abs(cells["sgd"].sel(step_size=0.0749).item() - 5.527) < 0.1
    assert 2 < cells["sgd"].sel(step_size=0.11).item() < 4 and 1 < cells["sgd"].sel(step_size=0.16).item() < 2
    assert abs(found.lines["sgd"].sel(batch_size=1, order=2.0).item() - 0.149856) < 1e-6
