"""Pictures of sweeps: each number at its place, whatever the order of the values, and marks where there is none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray

from sgdlimits import studies
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies._sweep.scales import edges_of


def swept(cell, **over):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return studies.sweep(cell, over)


def panels_of(figure):
    return [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]


def shown_at(figure, a, b):
    """The number that a heat map shows at a place."""
    mesh = panels_of(figure)[0].collections[0]
    x, y = mesh.get_coordinates()[0, :, 0], mesh.get_coordinates()[:, 0, 1]
    return mesh.get_array()[np.searchsorted(y, b) - 1, np.searchsorted(x, a) - 1]


@pytest.mark.parametrize(("a", "b"), [([5, 1, 3, 2], [3, 1, 2]), ([1, 2, 3, 5], [1, 2, 3]), ([0.1, 10, 1], [8, 1, 2])])
def test_a_heat_map_shows_each_number_where_its_cell_is(a, b):
    """Assert it for values in any order, on even and logarithmic axes."""
    figure = studies.plot_sweep(swept(lambda a, b: a + 10 * b, a=a, b=b))
    for one in a:
        for other in b:
            assert shown_at(figure, one, other) == one + 10 * other


def test_a_line_runs_along_its_axis():
    """Assert rising values on the axis, and the numbers that belong to them."""
    (ax,) = panels_of(studies.plot_sweep(swept(lambda a: 2 * a, a=[5, 1, 3, 2])))
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 2], [2, 4], [3, 6], [5, 10]])


def test_cells_that_failed_or_are_not_finite_are_marked_at_their_places():
    """Assert crosses, circles, and the words for both."""

    def cell(a, b):
        if a == 3 and b == 1:
            raise ZeroDivisionError
        return np.inf if a == 1 and b == 2 else a * b

    figure = studies.plot_sweep(swept(cell, a=[3, 1, 2], b=[2, 1]))
    crosses, circles = panels_of(figure)[0].lines[-2:]
    assert crosses.get_xydata().tolist() == [[3, 1]] and circles.get_xydata().tolist() == [[1, 2]]
    assert "×: failed (1 of 6 cells)" in figure.get_supxlabel() and "○: not a finite number" in figure.get_supxlabel()
    line = studies.plot_sweep(swept(lambda a: 1 / (a - 2), a=[1, 2, 3]))
    assert panels_of(line)[0].lines[1].get_xdata().tolist() == [2]
    assert "failed (1 of 3)" in panels_of(line)[0].get_title(loc="left")


def test_every_swept_value_has_its_panel_and_a_quantity_that_none_has_has_none():
    """Assert a panel of zeros for a swept value, none for a reference's zeros or what no cell has."""
    figure = studies.plot_sweep(swept(lambda a, b, c: a * b * c, a=[1, 2], b=[1, 2], c=[0, 1, 2]))
    assert [ax.get_title(loc="left") for ax in panels_of(figure)] == ["c 0", "c 1", "c 2"]

    def cell(a, b):
        return xarray.Dataset({"v": ("process", [0.0, a, np.nan])}, {"process": ["SGD", "limit", "other"]})

    figure = studies.plot_sweep(swept(cell, a=[1, 2], b=[1, 2]))
    assert [ax.get_title(loc="left") for ax in panels_of(figure)] == ["limit"]


def test_what_is_drawn_is_what_the_cells_say_or_what_is_asked():
    """Assert the attribute `picture`, a choice by value, and the nearest number."""

    def cell(a, b):
        data = {"x": ("kind", [1.0 * a, 2.0 * a]), "y": ("kind", [b, 3.0 * b])}
        return xarray.Dataset(data, {"kind": ["p", "q"]}, {"picture": "y kind=q"})

    result = swept(cell, a=[1, 2], b=[1, 2])
    assert shown_at(studies.plot_sweep(result), 1, 2) == 6
    assert shown_at(studies.plot_sweep(result, "x", kind="p"), 2, 1) == 2
    (ax,) = panels_of(studies.plot_sweep(result, "x", kind="p", b=1.9))
    assert ax.lines[0].get_ydata().tolist() == [1, 2]


def test_labels_of_lines_of_equal_value_differ():
    """Assert enough digits for values that differ in their eighth."""
    (ax,) = panels_of(studies.plot_sweep(swept(lambda a, b: 1e6 + 1e-1 * a * b, a=range(1, 6), b=range(1, 6))))
    texts = {text.get_text() for text in ax.texts}
    assert len(texts) > 1


def test_edges_lie_half_way_between_neighbours():
    """Assert them on both scales."""
    np.testing.assert_allclose(edges_of(np.array([1.0, 2, 4]), np.array([1, 2, 4])), [0.5, 1.5, 3, 5])
    places = np.array([0.01, 0.1, 1.0])
    np.testing.assert_allclose(edges_of(places, places), 10.0 ** np.array([-2.5, -1.5, -0.5, 0.5]))


def test_standard_errors_make_intervals():
    """Assert 95 % intervals on a line, from the variable beside it."""
    (ax,) = panels_of(studies.plot_sweep(swept(lambda a: {"m": a, "m_standard_error": 0.1}, a=[1, 2]), "m"))
    (bars,) = ax.containers
    np.testing.assert_allclose(np.ptp(bars[2][0].get_segments()[0][:, 1]), 2 * 1.96 * 0.1, rtol=1e-3)


def test_yes_and_no_have_two_colours_and_no_contours():
    """Assert a key of two words where a quantity is true or false."""
    figure = studies.plot_sweep(swept(lambda a, b: bool(a * b > 3), a=range(1, 6), b=range(1, 6)))
    (ax,) = panels_of(figure)
    (bar,) = [each for each in figure.axes if each.get_label() == "<colorbar>"]
    assert len(ax.collections) == 1 and [text.get_text() for text in bar.get_yticklabels()] == ["no", "yes"]


@pytest.mark.parametrize("many", [True, False])
def test_yes_and_no_are_told_beside_cells_that_failed(many):
    """Assert the words although nan stands where a cell failed, on a line too, and that 0.0 and 1.0 are numbers."""

    def cell(a, b=1):
        if a == 5:
            raise ZeroDivisionError
        return bool(a * b > 3)

    over = {"a": range(1, 6)} | ({"b": range(1, 6)} if many else {})
    found = [swept(each, **over) for each in (cell, lambda a, b=1: float(cell(a, b)))]
    assert [dataset["cell" if dataset is found[0] else "value"].dtype.kind for dataset in found] == ["f", "f"]
    words = []
    for dataset in found:
        axis = studies.plot_sweep(dataset).axes[-1].yaxis  # the key of a map, or a line's own
        words.append([text.get_text() for text in axis.get_ticklabels()])
    assert words[0] == ["no", "yes"] and "yes" not in words[1]


def test_labels_of_contours_lie_inside_and_names_on_an_axis_apart():
    """Assert that no label comes near a panel's edge, and that 25 names leave each other their place."""
    figure = studies.plot_sweep(swept(lambda a, b: a * np.exp(b), a=np.geomspace(0.01, 1, 9), b=np.linspace(0, 2, 9)))
    (ax,) = panels_of(figure)
    assert ax.texts
    for text in ax.texts:
        place = ax.transAxes.inverted().transform(ax.transData.transform(text.get_position()))
        assert (place > 0.05).all() and (place < 0.95).all()
    figure = studies.plot_sweep(swept(lambda name: float(name[-2:]), name=[f"method-{i:02d}" for i in range(25)]))
    (ax,) = panels_of(figure)
    figure.draw_without_rendering()
    # Turned texts are as far apart as their ends, which must exceed the height of a letter.
    ends = [label.get_transform().transform(label.get_position())[0] for label in ax.get_xticklabels()]
    size = ax.get_xticklabels()[0].get_fontsize() * figure.dpi / 72
    assert np.diff(ends).min() * np.sin(np.deg2rad(ax.get_xticklabels()[0].get_rotation())) > size


@pytest.mark.parametrize("upright", [False, True])
def test_long_names_on_an_axis_keep_their_last_letters_in_one_line(upright):
    """Assert that 25 names of two lines' length are cut in the middle, and that their boxes do not meet upright."""
    names = [f"a rather long name of number {i:02d}" for i in range(25)]
    over = {"k": [1, 2], "name": names} if upright else {"name": names}
    figure = studies.plot_sweep(swept(lambda name, k=1: k * float(name[-2:]), **over))
    (ax,) = panels_of(figure)
    labels = (ax.get_yticklabels if upright else ax.get_xticklabels)()
    texts = [label.get_text() for label in labels]
    assert all("\n" not in text and len(text) <= 24 and text[-2:] == name[-2:] for text, name in zip(texts, names))
    if upright:
        figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in labels]
        assert all(low.y1 <= high.y0 for low, high in zip(boxes[:-1], boxes[1:]))


def test_numbers_at_even_distances_have_an_even_axis():
    """Assert it however much they span, a logarithmic one where ratios are even, and whole numbers in full."""
    even = panels_of(studies.plot_sweep(swept(lambda a: a, a=[1, 201, 401, 601])))[0]
    assert even.get_xscale() == "linear"
    ratios = panels_of(studies.plot_sweep(swept(lambda a: a, a=[16, 128, 1024, 8192])))[0]
    assert ratios.get_xscale() == "log" and [t.get_text() for t in ratios.get_xticklabels()][2:] == ["1024", "8192"]


@pytest.mark.parametrize("high", [-1.0, 1.0])
def test_values_that_span_decades_below_zero_have_their_decades(high):
    """Assert an axis, and colours, that tell the decades apart; of both signs too."""
    sizes = lambda a: -(10.0**a) if a < 6 else high * 10.0**a  # noqa: E731
    dataset = swept(lambda a, b: sizes(a), a=range(7), b=[1, 2, 3])
    mesh = panels_of(studies.plot_sweep(dataset))[0].collections[0]
    shares = np.asarray(mesh.norm([-1e3, -1e4, -1e5]))
    assert (np.diff(shares) < -0.05).all()
    if high < 0:
        (ax,) = panels_of(studies.plot_sweep(dataset, b=1))
        heights = ax.yaxis.get_transform().transform([-1e2, -1e3, -1e4])
        assert ax.get_yscale() == "symlog" and np.isclose(*np.diff(heights))


def test_an_interval_through_zero_goes_to_the_foot_of_a_logarithmic_axis():
    """Assert that the axis ends within a decade of the least value, which it shows, with a mark that is told."""
    values = {"m": lambda a: 10.0**-a, "m_standard_error": lambda a: 10.0**-a}
    figure = studies.plot_sweep(swept(lambda a: {name: of(a) for name, of in values.items()}, a=[0, 1, 2, 3]), "m")
    (ax,) = panels_of(figure)
    assert ax.get_yscale() == "log" and 1e-4 < ax.get_ylim()[0] < 1e-3
    marks = [line.get_xydata()[0].tolist() for line in ax.lines if line.get_marker() == "v"]
    assert marks == [[a, 0] for a in range(4)]
    assert ax.get_title(loc="left") == "▼ on an interval: it goes on below"
    values["m_standard_error"] = lambda a: 1e9 if a == 0 else 0.1 * 10.0**-a
    figure = studies.plot_sweep(swept(lambda a: {name: of(a) for name, of in values.items()}, a=[0, 1, 2, 3]), "m")
    (ax,) = panels_of(figure)
    assert 1 < ax.get_ylim()[1] < 10 and [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "^"] == [0]


@pytest.mark.parametrize(
    ("cell", "over", "chosen", "said"),
    [
        (lambda a: a, {"a": [1]}, {}, "one cell here: nothing varies"),
        (lambda a: "text", {"a": [1, 2]}, {}, "no real number in this sweep"),
        (lambda a: 1j * a, {"a": [1, 2]}, {}, "no real number in this sweep"),
        (lambda a: np.nan, {"a": [1, 2]}, {}, "nowhere a finite number"),
        (lambda a: np.zeros(40), {"a": [1, 2]}, {}, "40 entries beside the axes, more than one figure shows"),
        (lambda a: a, {"a": [1, 2]}, {"variable": "valu"}, "did you mean 'value'"),
        (lambda a: a, {"a": [1, 2]}, {"c": 3}, "'value' has no dimension 'c'"),
    ],
)
def test_what_cannot_be_drawn_is_said(cell, over, chosen, said):
    """Assert one sentence each."""
    with pytest.raises(InvalidInput, match=said):
        studies.plot_sweep(swept(cell, **over), **chosen)
    with pytest.raises(InvalidInput, match="draws what sweep gave, got int"):
        studies.plot_sweep(3)
