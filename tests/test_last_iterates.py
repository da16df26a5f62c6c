"""Tails of the last iterate: intervals that count runs, not weights; laws known beforehand; what is refused."""

import numpy as np
import pytest

from sgdlimits import compare, discrete
from sgdlimits.compare._last_iterates.driver import estimator_of
from sgdlimits.compare._last_iterates.rows import groups_of, row_of
from sgdlimits.compare._last_iterates.samples import NORM, WEIGHTS, centre_and_scale, samples_of
from sgdlimits.compare.tail_estimators import against_lognormal
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import StreamingLeastSquares, Supervised, predictors, sources

DRAW = np.random.Generator(np.random.Philox(9))
ROWS = sources.Rows(DRAW.standard_normal((60, 6)), DRAW.integers(0, 3, 60))


def network(activation="tanh", ridge=0.0, loss="cross_entropy"):
    labels = ROWS.labels if loss == "cross_entropy" else DRAW.standard_normal(60)
    outputs = 3 if loss == "cross_entropy" else 1
    return Supervised(predictors.TwoLayer(6, 5, outputs, activation), loss, sources.Rows(ROWS.inputs, labels), ridge)


def student(runs, weights, index, common):
    """Weights with Student's law of one run each: its scale is that of the whole run, or of each weight."""
    scales = DRAW.chisquare(index, (runs, 1 if common else weights)) / index
    return DRAW.standard_normal((runs, weights)) / np.sqrt(scales)


def covered(name, index, common, repeats, runs=200, weights=60):
    """How often the interval over runs, and the one for independent weights, hold the index."""
    hits = np.zeros(2)
    for _ in range(repeats):
        ends = student(runs, weights, index, common)
        found, _ = samples_of(ends, *centre_and_scale(ends), slice(0, weights), 20_000)
        row = row_of("all", WEIGHTS, name, estimator_of(name), found[WEIGHTS], groups_of(runs, 20), 0.95, index)
        assert row.lower <= row.alone_lower and row.upper >= row.alone_upper
        hits += [row.lower <= index <= row.upper, row.alone_lower <= index <= row.alone_upper]
    return hits / repeats


def test_intervals_cover_where_the_weights_of_a_run_share_their_scale():
    """Assert at least 80 % of 40 samples; intervals for independent weights, the control, cover less than 60 %."""
    over_runs, alone = covered("hill", 1.5, True, 40)
    assert over_runs >= 0.8 and alone < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("name", ("corrected_hill", "moment", "hill", "student"))
@pytest.mark.parametrize("index", (1.5, 3.0))
def test_intervals_over_runs_cover_in_long(name, index):
    """Assert 83 % of 60 samples with a common scale, 5 errors below 95 %, where intervals for weights do not."""
    over_runs, alone = covered(name, index, True, 60)
    assert over_runs >= 0.83 and alone < 0.65


def test_far_values_of_independent_weights_lose_little():
    """Assert that independent weights keep an interval at most twice as wide, that covers."""
    ends = student(200, 60, 3.0, False)
    found, _ = samples_of(ends, *centre_and_scale(ends), slice(0, 60), 20_000)
    row = row_of("all", WEIGHTS, "hill", estimator_of("hill"), found[WEIGHTS], groups_of(200, 20), 0.95, 3.0)
    width, alone = 1 / row.lower - 1 / row.upper, 1 / row.alone_lower - 1 / row.alone_upper
    assert width < 2 * alone and row.runs_above > 50 and row.weights_above > 40


def test_p_values_against_the_lognormal_count_runs():
    """Assert that of Pareto runs 5 % to 15 % are told from a power law at 5 %; weights as if independent, over 40 %."""
    rejected, runs = np.zeros(2), np.repeat(np.arange(200), 30)
    for _ in range(100):
        sizes = (DRAW.random((200, 1)) ** -0.5 * np.exp(0.01 * DRAW.random((200, 30)))).ravel()
        for place, clusters in enumerate((runs, None)):
            rejected[place] += against_lognormal(sizes, clusters=clusters).nested_p < 0.05
    assert rejected[0] <= 15 and rejected[1] > 40
    alone = [against_lognormal(DRAW.random(2000) ** -0.5, clusters=each) for each in (np.arange(2000), None)]
    assert alone[0].k == alone[1].k == 100


def test_a_mixture_of_unlike_weights_is_said_to_be_one():
    """Assert the note where a few weights have another law, and none where all are alike."""
    alike = DRAW.standard_normal((200, 60))
    unlike = alike.copy()
    unlike[:, :10] = student(200, 10, 0.8, False)
    said = []
    for ends in (alike, unlike):
        found, _ = samples_of(ends, *centre_and_scale(ends), slice(0, 60), 20_000)
        row = row_of("all", WEIGHTS, "hill", estimator_of("hill"), found[WEIGHTS], groups_of(200, 20), 0.95, np.nan)
        said.append(any("laws of weights differ" in text for text in row.notes))
    assert said == [False, True]


def test_weights_that_do_not_move_are_left_out_and_scales_are_taken_out():
    """Assert the count, unit spread of every weight, and that the norm is one number a run."""
    ends = DRAW.standard_normal((100, 6)) * np.array([1e-3, 1.0, 50.0, 0.0, 1.0, 1.0]) + 7.0
    found, left_out = samples_of(ends, *centre_and_scale(ends), slice(0, 6), 20_000)
    assert left_out == 1 and found[NORM].values.size == 100
    spread = np.median(np.abs(found[WEIGHTS].values.reshape(100, 5)), axis=0)
    np.testing.assert_allclose(spread, 0.6744897501960817, rtol=1e-12)


def test_a_known_index_is_covered_and_a_light_tail_is_not_called_heavy():
    """Assert it on streams: an index of 1.09 is covered, with the verdict below 2; that of a small step is above it."""
    stream = StreamingLeastSquares([1.0], 1.0, [0.0])
    heavy = compare.last_iterates(discrete.SGD(stream, 1.0), [0.0], 60, 4000, estimators=("corrected_hill", "hill"))
    assert abs(heavy.dataset.attrs["exact"] - 1.09) < 0.01 and heavy.row("hill")["verdict"] == "below 2"
    assert {heavy.row(name)["beside_exact"] for name in ("corrected_hill", "hill")} == {"covers"}
    light = compare.last_iterates(discrete.SGD(stream, 0.05), [0.0], 200, 4000, estimators=("corrected_hill",))
    assert light.row("corrected_hill")["verdict"] == "above 2" and light.dataset["unsettled"][0] == ""


def test_bounded_networks_have_no_tail_and_paths_stay_in_the_ball():
    """Assert an infinite index, proved, and that runs from far out come within its radii; others have no proof."""
    problem = network(ridge=0.5)
    sgd = discrete.SGD(problem, 0.4, batch_size=2)
    found = sgd.tail_index()
    assert found.index == np.inf and found.proved and found.method == "bounded support"
    second, first = (float(word.split(" in ")[0]) for word in found.note.replace(", nor", "").split("beyond ")[1:])
    start = 50 * np.ones(problem.dimension)
    ends = sgd.simulate(start, 400, 32, {"x": "state"}, [400])["x"].values[:, 0]
    layers = problem.predictor.layers
    assert np.linalg.norm(ends[:, layers["second layer"]], axis=1).max() <= second
    assert np.linalg.norm(ends[:, layers["first layer"]], axis=1).max() <= first
    assert np.linalg.norm(start[layers["second layer"]]) > second  # they came from outside
    for other in (network("relu", 0.5), network(ridge=0.5, loss="squares"), network()):
        with pytest.raises(InvalidInput, match="not known"):
            discrete.SGD(other, 0.4).tail_index()


def test_a_transient_law_is_said_to_be_one():
    """Assert the sentences without a ridge, none with one; whose law it is; layers, bits, saving, pictures."""
    sgd = discrete.SGD(network(), 0.5, batch_size=4)
    options = {"estimators": ("corrected_hill", "hill")}
    found = compare.last_iterates(sgd, sgd.problem.predictor.start(1)[0], 400, 64, 1, **options)
    again = compare.last_iterates(sgd, sgd.problem.predictor.start(1)[0], 400, 64, 1, **options)
    assert found.dataset.equals(again.dataset) and "from one start" in found.heading()[0]
    assert "transient" in str(found) and "no Kesten tail" in str(found) and "not settled" in str(found)
    assert found.dataset["layer"].values.tolist() == ["all weights", "first layer", "second layer"]
    assert found.plot() and found.plot_intervals() and found.to_csv() and found.to_latex()
    held = discrete.SGD(network(ridge=0.5), 0.5, batch_size=4)
    other = compare.last_iterates(held, held.problem.predictor.start(64), 400, 64, **options)
    assert "transient" not in str(other) and "a start of each run" in other.heading()[0]
    assert other.dataset.attrs["exact"] == np.inf


def test_a_result_is_saved_and_read(tmp_path):
    """Assert the same table after the way through a file."""
    stream = StreamingLeastSquares([1.0], 1.0, [0.0])
    found = compare.last_iterates(discrete.SGD(stream, 0.5), [0.0], 20, 100, estimators=("hill",), exact=False)
    found.save(tmp_path / "ends.nc")
    read = compare.LastIterates.load(tmp_path / "ends.nc")
    assert str(read.table()) == str(found.table()) and str(read) == str(found)


def test_few_runs_have_a_lognormal_verdict_too():
    """Assert one for the norm of 64 runs, of which a tenth would be too few values."""
    sgd = discrete.SGD(StreamingLeastSquares([1.0, 0.5], 1.0, [0.0, 0.0]), 0.5)
    found = compare.last_iterates(sgd, [0.0, 0.0], 20, 64, estimators=("hill",), exact=False)
    assert "none" not in found.dataset["lognormal"].values and "the 10 largest" in str(found)


def test_what_shows_nothing_is_refused():
    """Assert one sentence each."""
    sgd = discrete.SGD(StreamingLeastSquares([1.0], 1.0, [0.0]), 0.5)
    for options, words in (
        ({"paths": 20}, "paths"), ({"estimators": ()}, "empty"), ({"estimators": ("hils",)}, "hill"),
        ({"layers": {"far": slice(0, 9)}}, "far"), ({"layers": {"all": 3}}, "slice"),
    ):
        with pytest.raises(InvalidInput, match=words):
            compare.last_iterates(sgd, [0.0], 10, **{"paths": 64, **options})
    with pytest.raises(InvalidInput, match="left the range"):
        compare.last_iterates(discrete.SGD(StreamingLeastSquares([1.0], 1.0, [0.0]), 90.0), [0.0], 400, 64)


def test_a_layer_with_too_few_weights_for_the_jackknife_has_a_sentence_and_no_number():
    """Assert it where the whole sample has just enough values: 100 runs of 5 weights, and 500 are needed."""
    values = np.random.Generator(np.random.Philox(2)).standard_t(3, (100, 5))
    found, _ = samples_of(values, np.zeros(5), np.ones(5), slice(0, 5), 20_000)
    row = row_of("few", WEIGHTS, "moment", estimator_of("moment"), found[WEIGHTS], groups_of(100, 20), 0.95, np.nan)
    assert np.isnan(row.index) and "no interval over runs, as without some of them the tail has 475" in row.notes[0]
