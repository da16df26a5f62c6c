"""Processes among wells: intervals against exact numbers, censored paths, times that grow, and preference for width."""

import json
import math

import numpy as np
import pytest
from scipy.stats import norm

from sgdlimits import compare, diffusions, discrete
from sgdlimits.compare._exploration.estimates import estimates, mean_time, times_of_wells
from sgdlimits.compare._exploration.visits import Seen
from sgdlimits.discrete import escape
from sgdlimits.discrete.escape import CosineValley, HarmonicWell, LandscapeDescent, MultiplicativeNoise, Wells
from sgdlimits.exact.errors import InvalidInput

WELLS = Wells([1, 2, 1.5], start=0.0)
SGD = LandscapeDescent(WELLS, 0.05, 9.0)
QUICK = {"steps": 1500, "paths": 200, "threads": 1}


@pytest.fixture(scope="module")
def found():
    return compare.exploration(
        {
            "additive": SGD,
            "multiplicative": LandscapeDescent(WELLS, 0.05, MultiplicativeNoise(0.8, 2.0)),
            "diffusion": diffusions.LandscapeDiffusion(WELLS, 0.05, 9.0, substeps=2),
            "stable": diffusions.StableLangevin(WELLS, 0.4, 1.7, step_size=0.05, substeps=2),
        },
        confidence=0.999, **QUICK,
    )  # fmt: skip


def test_intervals_hold_the_exact_numbers(found):
    """Assert every verdict at 99.9 %, three processes with exact numbers, and one whose noise jumps without."""
    rows = found.table()
    assert {row["verdict"] for row in rows if row["process"] != "stable"} == {"covers"}
    assert all(row["verdict"] == "" and math.isnan(row["exact"]) for row in rows if row["process"] == "stable")
    assert "15 of 15 intervals" in str(found) and "its noise jumps" in str(found)
    diffusion = found.dataset.sel(process="diffusion", quantity="residence")
    assert 1 < float(diffusion["diffusion"]) / float(diffusion["exact"]) < 1.3  # long increments leave sooner


def test_a_control_with_other_noise_is_missed(found):
    """Assert that the exact residence of half the noise lies outside the interval of the whole."""
    here = found.dataset.sel(process="additive", quantity="residence")
    other = escape.well_chain.chain_of(LandscapeDescent(WELLS, 0.05, 4.5)).mean_residence(0.0)[0]
    assert not float(here["lower"]) <= other <= float(here["upper"])


def test_a_result_is_kept_and_drawn(found, tmp_path):
    """Assert a round trip through a file, both pictures, every row in the CSV text, and that sentences are computed."""
    found.save(tmp_path / "wells.nc")
    again = compare.Exploration.load(tmp_path / "wells.nc")
    assert str(again) == str(found) and len(found.to_csv().splitlines()) == 21
    assert found.plot() and found.plot_wells() and "<table>" in found._repr_html_()
    shares = found.dataset["time"].sum("well").values
    np.testing.assert_allclose(shares, 1)
    first = found.findings()[0]
    more = "multiplicative" if found.dataset["long_time"][1] > found.dataset["long_time"][0] else "additive"
    assert f"in the long run {more} is in the target more" in first


def test_one_seed_gives_the_same_bits():
    """Assert it on one thread and two, and other bits for another seed."""
    runs = [
        compare.exploration([SGD], exact=False, paths=96, steps=300, seed=seed, threads=threads).dataset
        for seed, threads in ((1, 1), (1, 2), (2, 1))
    ]
    assert runs[0]["visits"].equals(runs[1]["visits"]) and not runs[0]["visits"].equals(runs[2]["visits"])


def test_paths_that_never_leave_bound_the_rate():
    """Assert the rule of three over the total time, no number, and that the exact time obeys the bound."""
    quiet = LandscapeDescent(WELLS, 0.05, 2.0)
    result = compare.exploration({"quiet": quiet}, steps=200, paths=64, threads=1)
    row = result.table()[0]
    assert math.isnan(row["value"]) and row["upper"] == math.inf and row["events"] == 0
    assert row["lower"] == pytest.approx(200 * 64 / -math.log(0.05)) and row["lower"] < row["exact"]
    assert row["verdict"] == "covers" and "no path of 64 left the well of the start" in str(result)
    assert f"below {-math.log(0.05) / 12800:.2g} a step" in row["note"]


def test_waiting_times_that_are_cut_off():
    """Assert the exponential mean and its interval, the sample mean where all came, and a bound alone where times are
    unlike an exponential law."""
    times = -1000 * np.log(np.linspace(1, 0, 402)[1:-1])
    cut = mean_time(np.where(times > 500, np.inf, times), 500, 0.95, "left")
    assert cut.value == pytest.approx(1000, rel=0.02) and cut.lower < 1000 < cut.upper < 1300
    whole = mean_time(times, 10**6, 0.95, "left")
    assert whole.value == pytest.approx(times.mean()) and whole.note == ""
    unlike = mean_time(np.r_[np.full(150, 490.0) + np.arange(150) / 20, np.full(50, np.inf)], 500, 0.95, "left")
    assert math.isnan(unlike.value) and 480 < unlike.lower < 500 and unlike.upper == math.inf
    assert "unlike an exponential law" in unlike.note


def test_a_bound_where_all_that_left_did_so_at_once():
    """Assert that it obeys the mean in all but a few of 300 samples, is no sentence on shapes, and says more than the
    length of the run."""
    rng = np.random.default_rng(3)
    far = wrong = seen = 0
    for _ in range(300):
        times = np.ceil(rng.exponential(np.where(rng.random(64) < 0.1, 3, 3000)))
        found = mean_time(np.where(times > 50, np.inf, times), 50, 0.95, "left")
        if "none after the first 12" in found.note:
            seen += 1
            far += found.lower > 5 * 50
            wrong += found.lower > 0.1 * 3.5 + 0.9 * 3000.5
            assert math.isnan(found.value) and "unlike" not in found.note
    assert seen > 100 and wrong <= 0.05 * 300 and far == seen


@pytest.mark.parametrize("steps", [60, 200, 600, 3000])
def test_a_passage_through_another_well_is_no_exponential_wait(steps):
    """Assert, where two waits of mean 1000 follow each other, that bounds of a cut passage obey the mean and that the
    mean of an exponential law does not."""
    rng = np.random.default_rng(1)
    held = wrong = 0
    for _ in range(60):
        times = np.ceil(rng.exponential(1000, 256) + rng.exponential(1000, 256))
        cut = np.where(times > steps, np.inf, times)
        passage, control = (mean_time(cut, steps, 0.95, "entered the target", settles) for settles in (False, True))
        held += passage.lower <= 2001 and math.isinf(passage.upper)
        wrong += not control.lower <= 2001 <= control.upper
    assert held >= 56 and (steps == 3000 or wrong >= 50)


def test_what_leaves_at_once_is_not_taken_for_the_rate():
    """Assert coverage of the mean where two of five paths leave in a few steps, as from near a top, and the others at a
    constant rate; as of one exponential law it would be 200 steps instead of 600."""
    rng = np.random.default_rng(2)
    held = said = 0
    for _ in range(100):
        times = np.ceil(rng.exponential(np.where(rng.random(256) < 0.4, 5, 1000)))
        found = mean_time(np.where(times > 600, np.inf, times), 600, 0.95, "left")
        held += found.lower <= 0.4 * 5.5 + 0.6 * 1000.5 <= found.upper
        said += not math.isnan(found.value)
    assert held >= 89 and said >= 95


def test_a_passage_next_door_is_the_residence():
    """Assert a number, not a bound, where the target is the only neighbour; a bound where a well lies between."""
    def rows(wells):
        sgd = LandscapeDescent(wells, 0.05, 9.0)
        found = compare.exploration([sgd], steps=300, paths=64, exact=False, threads=1)
        return {row["quantity"]: row for row in found.table()}

    near, far = rows(Wells([1, 2, 1.5], start=0.0)), rows(Wells([1, 1.5, 2], start=0.0))
    assert near["passage"]["value"] == near["residence"]["value"] and near["passage"]["upper"] < math.inf
    assert math.isnan(far["passage"]["value"]) and far["passage"]["events"] < 64
    assert "is not known: a lower bound" in far["passage"]["note"]


@pytest.mark.parametrize("process", [
    diffusions.LandscapeDiffusion.homogenized(WELLS, 0.05, batch_size=2),
    LandscapeDescent(WELLS, 0.05, MultiplicativeNoise(1.0)),
], ids=["homogenized", "multiplicative"])  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_noise_that_dies_out_at_the_minimum_is_the_reason(process):
    """Assert the sentence on the noise, not one on nodes or shapes."""
    found = compare.exploration([process], steps=20, paths=16, threads=1)
    assert "the noise dies out at the minimum" in " ".join(str(found).split())


def test_homogenized_sgd_names_the_floor_that_it_lacks():
    """Assert it where the landscape is below zero."""
    wells = escape.UserWells(
        lambda x: (x[:, 0] ** 2 - 1) ** 2 / 4 - 0.5, lambda x: x**3 - x, [-1, 1]
    )
    with pytest.raises(InvalidInput, match="raise floor above 0.5"):
        diffusions.LandscapeDiffusion.homogenized(wells, 0.05, 2, floor=0.1)


def test_one_process_alone_leaves_no_rates_to_compare():
    """Assert that no sentence says of one process that rates are equal."""
    found = compare.width_preference(lambda w: {"a": LandscapeDescent(Wells([1, w]), 0.05, 9.0)}, [1, 2, 3])
    assert "equally often" not in str(found)


def test_shares_where_nothing_happened_have_bounds():
    """Assert that no visit and no time in the target are bounded, not numbers without an interval."""
    nobody = np.full(40, np.inf)
    seen = Seen(nobody, nobody, np.zeros((40, 3)), np.tile([100.0, 0, 0], (40, 1)))
    result = estimates(seen, 100, 1, 0.95)
    assert result["time"].lower == 0 and 0 < result["time"].upper == result["reached"].upper < 0.1
    assert math.isnan(result["visits"].value) and (result["visits"].lower, result["visits"].upper) == (0, 1)


def test_the_time_in_each_well_has_an_interval():
    """Assert that shares add up to 1, the target's interval is that of its row, and a well nobody saw has a bound."""
    generator = np.random.Generator(np.random.Philox(5))
    time = np.c_[generator.integers(20, 80, 40), np.zeros((40, 2))]
    time[:, 1] = 100 - time[:, 0]
    seen = Seen(np.ones(40), np.ones(40), np.ones((40, 3)), time)
    found = times_of_wells(seen, 100, 0.95)
    assert abs(sum(well.value for well in found) - 1) < 1e-12
    row = estimates(seen, 100, 1, 0.95)["time"]
    assert (found[1].value, found[1].lower, found[1].upper) == (row.value, row.lower, row.upper)
    assert found[2].value == found[2].lower == 0 < found[2].upper < 0.1


@pytest.mark.parametrize(("call", "match"), [
    (lambda: compare.exploration([LandscapeDescent(escape.DoubleWell(), 0.05, 1.0)]), "does not state its basins"),
    (lambda: compare.exploration([SGD], start=0.5), "start 0.5 lies in none of the stated basins"),
    (lambda: compare.exploration([SGD], start=1.5), "lies in the widest well itself"),
    (lambda: compare.exploration([SGD], target=7), "target"),
    (lambda: compare.exploration({}), "processes is empty"),
    (lambda: compare.exploration(SGD), "processes must be a dict"),
    (lambda: compare.width_preference(lambda w: {"a": SGD}, [1, 2, 3]), "does not grow beside the sharp one"),
    (lambda: compare.exploration([SGD, LandscapeDescent(Wells([1, 2]), 0.05, 1.0)]), "on another landscape"),
    (lambda: compare.exploration([diffusions.OrnsteinUhlenbeck]), "no process states a landscape"),
    (lambda: compare.exploration([object()], landscape=WELLS), "cannot follow"),
    (lambda: compare.exit_scaling(lambda r: LandscapeDescent(HarmonicWell(1.0, r), 0.1, 1.0), [1, 2]), "2 of 2 rungs"),
    (lambda: compare.exit_scaling(lambda r: LandscapeDescent(HarmonicWell(1.0, 1.0), 0.1, 1.0), [1, 2, 3, 4]),
     "does not rise in its barrier"),
    (lambda: compare.exit_scaling(lambda r: r, [1, 2, 3, 4]), "what make returns must be"),
    (lambda: compare.width_preference(lambda w: {"a": LandscapeDescent(escape.DoubleWell(), 0.05, 1.0)}, [1, 2, 3]),
     "does not state its basins"),
    (lambda: compare.width_preference(lambda w: {}, [1, 2, 3]), "make must return a dict"),
    (lambda: compare.width_preference(lambda w: {}, [1, 2]), "3 or more"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused(call, match):
    """Assert one sentence that says what to change."""
    with pytest.raises(InvalidInput, match=match):
        call()


def test_the_cosine_valley_and_a_recurrence_of_ones_own():
    """Assert that a recurrence without a known law is followed beside SGD, from -4.75, and says what is lacking."""
    valley = CosineValley(wells=5)
    sgd = LandscapeDescent(valley, 0.005, 150.0)

    class Own:
        label = "my own"

        def initial_state(self, x0):
            return x0

        def step(self, k, state, noise):
            return sgd.step(k, (state, 0.0), noise)[0]

        def position(self, state):
            return state

    result = compare.exploration([sgd, Own()], steps=300, paths=64, threads=1)
    one, two = (result.dataset["visits"].sel(process=name).values for name in result.dataset["process"].values)
    np.testing.assert_array_equal(one, two)
    assert "its law of one step is not known" in str(result) and result.dataset.attrs["start"] == -4.75
    assert json.loads(str(result.dataset["exact_notes"][0].item())) == []


@pytest.mark.slow
def test_momentum_has_its_exact_rate_alone():
    """Assert residence as the inverse of the transfer operator's rate, without a verdict, as paths start elsewhere."""
    sgd = LandscapeDescent(Wells([1.5, 2]), 0.05, 9.0, 0.3)
    result = compare.exploration([sgd], steps=100, paths=32, threads=1)
    row = result.table()[0]
    assert row["exact"] == pytest.approx(1 / escape.rate(sgd).rate, rel=1e-6) and row["verdict"] == ""


def test_times_grow_as_a_power_of_the_radius_with_the_exact_index():
    """Assert Kesten's index to 1e-5 for both multiplicative noises of one law, and the control's misfit; additive noise
    the other way round."""
    radii = np.geomspace(4, 128, 6)
    index = discrete.kesten_index(norm(1 - 0.1, 0.1 * 2.5)).index
    found = compare.exit_scaling(
        {
            "multiplicative": lambda r: LandscapeDescent(HarmonicWell(1.0, r), 0.1, MultiplicativeNoise(2.5, 1.0)),
            "additive": lambda r: LandscapeDescent(HarmonicWell(1.0, r), 0.1, 1.0),
        },
        {"multiplicative": radii, "additive": np.linspace(0.8, 2, 5)},
    )
    power, exponential = found.summary()
    assert power["exponent"] == pytest.approx(index, abs=1e-5) and power["exponent_error"] < 1e-5
    assert power["predicted"] == pytest.approx(index) and power["family"] == "power"
    assert power["control_residual"] > 50 * power["residual"]
    assert exponential["predicted"] == pytest.approx(1 - 0.1 / 2, rel=1e-6) and exponential["family"] == "exponential"
    assert exponential["control_residual"] > 20 * exponential["residual"]
    assert [row["verdict"] for row in found.summary()] == ["agrees", "agrees"]
    assert "a power of the radius" in str(found) and found.plot() and len(found.table()) == 11


def test_the_exponent_of_the_wrong_noise_differs():
    """Assert that the verdict is computed: an additive part that grows with the wall lowers the slope."""
    found = compare.exit_scaling(
        lambda r: LandscapeDescent(HarmonicWell(1.0, r), 0.1, MultiplicativeNoise(2.5, 0.2 * r**0.8)),
        np.geomspace(2, 64, 6),
    )
    assert found.summary()[0]["verdict"] == "differs"


@pytest.mark.parametrize(("step_size", "sigma", "additive", "radii"), [
    (0.3, 2.5, 1.0, np.geomspace(1.2, 3, 4)), (0.6, 2.5, 1.0, np.geomspace(4, 128, 6)), (0.3, 4.0, 0.3, [2, 4, 6, 8]),
    (0.6, 1.0, 1.0, np.geomspace(1.2, 3, 4)),
])  # fmt: skip
def test_exponents_that_settle_slowly_say_so(step_size, sigma, additive, radii):
    """Assert that the error holds Kesten's index on short ladders and of indices below 2, far off as they are."""
    found = compare.exit_scaling(
        lambda r: LandscapeDescent(HarmonicWell(1.0, r), step_size, MultiplicativeNoise(sigma, additive)), radii
    ).summary()[0]
    assert abs(found["exponent"] - found["predicted"]) < found["exponent_error"] and found["verdict"] != "differs"


def test_an_error_as_wide_as_the_exponent_agrees_with_nothing():
    """Assert that the verdict is left open, in a sentence too, and is not on a ladder that is long enough."""
    def make(r):
        return LandscapeDescent(HarmonicWell(1.0, r), 0.6, MultiplicativeNoise(2.5, 1.0))

    found = compare.exit_scaling(make, np.geomspace(2, 8, 4))
    row = found.summary()[0]
    assert row["exponent_error"] > 0.5 * row["predicted"] and row["verdict"] == "undecided"
    assert "within so wide an error: lengthen the ladder" in str(found.notes())


def test_multiplicative_noise_prefers_width_more_at_equal_rates():
    """Assert ratio 1 at equal widths, growth with the width, Gibbs' order of size for additive noise, and the sentence.
    """

    def make(width):
        wells = Wells([1, 2, width], start=1.5)
        sgd = LandscapeDescent(wells, 0.05, MultiplicativeNoise(1.0, additive=1.5))
        alike = escape.matched(
            sgd, lambda level: LandscapeDescent(wells, 0.05, level**2), by="rate", near=3.0, tolerance=1e-8
        )
        return {"multiplicative": sgd, "additive": alike.descent}

    found = compare.width_preference(make, [1.0, 1.5, 2.0])
    ratios = found.dataset["ratio_time"].values
    np.testing.assert_allclose(ratios[:, 0], 1, rtol=1e-6)
    assert (np.diff(ratios, axis=1) > 0).all() and ratios[0, 2] > 100 * ratios[1, 2] and 1.5 < ratios[1, 1] < 10
    assert "equally often at every width" in str(found) and "multiplicative prefers width more" in str(found)
    assert found.plot()


def test_multiplicative_noise_of_size_zero_is_additive():
    """Assert the exponential law and its exponent, not a power that is looked for in vain."""
    found = compare.exit_scaling(
        lambda r: LandscapeDescent(HarmonicWell(1.0, r), 0.1, MultiplicativeNoise(0.0, 1.0)), np.linspace(0.8, 1.6, 5)
    )
    assert found.summary()[0]["verdict"] == "agrees" and found.summary()[0]["predicted_family"] == "exponential"


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_say():
    """Assert, over 40 seeds, that 95 % intervals of all quantities hold the exact numbers as often as they should."""
    target = WELLS.widest
    chain = escape.well_chain.chain_of(SGD)
    run = chain.expected(0.0, 600, target)
    exact = {
        "residence": chain.mean_residence(0.0)[0], "passage": chain.mean_passage(0.0, target)[0],
        "reached": run.reached, "visits": run.visits[target] / run.visits.sum(), "time": run.time[target] / 600,
    }  # fmt: skip
    held = dict.fromkeys(exact, 0)
    for seed in range(40):
        found = compare.exploration([SGD], steps=600, paths=96, exact=False, seed=seed, threads=1)
        for row in found.table():
            held[row["quantity"]] += row["lower"] <= exact[row["quantity"]] <= row["upper"]
    assert all(33 <= count <= 40 for count in held.values()), held
    assert sum(held.values()) >= 180
