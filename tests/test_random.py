"""Philox streams: known answers, laws of the numbers drawn from them, and the same numbers by every route."""

import hashlib

import numpy as np
import pytest
from scipy import stats
from sgdlimits.exact.compiling import compiled
from sgdlimits.ensembles.normals import ahead, box_muller32, box_muller64, pack_normals, rows_of_normals, scratch
from sgdlimits.ensembles.philox import PACK, pack_words, path_words, philox
from sgdlimits.ensembles.random import QUALITIES, Noise, Purpose, bounded, child_seed
from sgdlimits.ensembles.weak_increments import path_three_point
from sgdlimits.exact.errors import InvalidInput

SEED = 2**63 + 12345


@compiled
def _block(c0, c1, c2, c3, key_0, key_1):
    return philox(c0, c1, c2, c3, key_0, key_1)


@compiled
def _stream_block(seed, purpose, path, block):
    return path_words(seed, purpose, path, block)


@compiled
def _bounded(word, bound):
    return bounded(word, bound)


@compiled
def _polar32(first, second, radius_words, angle_words):
    for i in range(first.size):
        first[i], second[i] = box_muller32(radius_words[i], angle_words[i])


@compiled
def _polar64(first, second, radius_words, angle_words):
    for i in range(first.size):
        first[i], second[i] = box_muller64(radius_words[i], angle_words[i])


def polar(quality, radius_words, angle_words):
    """Box-Muller of given words, as two float64 arrays."""
    kernel, dtype = (_polar32, np.uint32) if quality == "float32" else (_polar64, np.uint64)
    first, second = np.empty((2, len(radius_words)))
    kernel(first, second, radius_words.astype(dtype), angle_words.astype(dtype))
    return first, second


def width(quality):
    return 32 if quality == "float32" else 64


def angle_grid(quality, count):
    """Midpoints of `count` equal cells of all angle words (count a power of two)."""
    return (np.arange(count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)) * np.uint64(
        2 ** (width(quality) - 1) // count
    )


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([2**32 - 1] * 4, [2**32 - 1] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, answer):
    words = _block(*np.array(counter + key, dtype=np.uint64))
    assert " ".join(f"{int(w):08x}" for w in words) == answer


def test_the_counter_holds_block_path_and_purpose_whole():
    """Assert that no part of (seed, purpose, path, block) is dropped or overlaps another, by the documented
    layout."""
    path, block = 0xABCDEF_12345678, 0x11111111_22222222
    expected = _block(
        *np.array([0x22222222, 0x11111111, 0x12345678, (5 << 24) | 0xABCDEF, 12345, 2**31], dtype=np.uint64)
    )
    assert _stream_block(np.uint64(SEED), 5, path, block) == expected


def test_a_pack_of_words_is_the_words_of_its_paths():
    path, first_block = 2**33 + 7 * PACK, 2**32 - 2  # the blocks carry into the high word
    words = np.empty((4 * 5, PACK), np.uint32)
    pack_words(words, np.uint64(SEED), Purpose.BROWNIAN, path, first_block)
    expected = [
        _stream_block(np.uint64(SEED), Purpose.BROWNIAN, path + lane, first_block + b)
        for b in range(5)
        for lane in range(PACK)
    ]
    assert np.array_equal(words.reshape(5, 4, PACK).swapaxes(1, 2).reshape(-1, 4), np.array(expected))


@pytest.mark.parametrize("quality", QUALITIES)
def test_box_muller_equals_numpy_to_rounding(quality):
    """Assert both normals of chosen words, up to the largest radius, against float64 formulas."""
    bits, rng = width(quality), np.random.default_rng(0)
    radius = rng.integers(0, 2**bits, 200_000, dtype=np.uint64)
    radius[:bits] = np.uint64(1) << np.arange(bits, dtype=np.uint64)  # the far tail
    radius[bits], radius[bits + 1] = 0, 2**bits - 1
    angle = rng.integers(0, 2**bits, radius.size, dtype=np.uint64)
    first, second = polar(quality, radius, angle)
    if quality == "float32":
        u = (radius >> np.uint64(1)) * 2.0**-31 + 2.0**-32
        turn = (angle & np.uint64(2**30 - 1)).astype(float) / 2**30
    else:
        u = (radius >> np.uint64(12)) * 2.0**-52 + 2.0**-53
        turn = (((angle & np.uint64(2**62 - 1)) >> np.uint64(10)) + 0.5) / 2.0**52 + 0.5
    turn = (turn + 0.5) % 1.0 - 0.5 if quality == "float32" else turn - 1.0
    theta = turn * np.pi / 2
    r = np.sqrt(-2 * np.log(u))
    sine, cosine = r * np.sin(theta), r * np.cos(theta)
    cosine = np.where(angle >> np.uint64(bits - 2) & np.uint64(1), -cosine, cosine)
    swap = (angle >> np.uint64(bits - 1)).astype(bool)
    expected = np.where(swap, [sine, cosine], [cosine, sine])
    unit = 2.0 ** (-24 if quality == "float32" else -53)
    near_one = unit / np.maximum(r, unit)  # u itself is rounded: it moves the radius by unit / r
    assert np.all(np.abs(np.array([first, second]) - expected) <= 8 * unit * r + near_one)


@pytest.mark.parametrize(
    ("quality", "tolerance"), [("float32", [1e-6, 1e-6, 1e-6, 1e-5, 1e-3, 0.05]), ("float64", 1e-8)]
)
def test_tails_are_exact_out_to_six_sigma(quality, tolerance):
    """Assert P(X > x), counted over all radius words by bisection and averaged over the circle, against the
    normal law."""
    angle = angle_grid(quality, 4096)
    for which in (0, 1):
        probabilities = []
        for x in range(1, 7):
            low = np.zeros(angle.size, np.uint64)  # how many of the smallest words give more than x
            high = np.full(angle.size, 2 ** width(quality) - 1, np.uint64)
            while np.any(low < high):
                middle = low + (high - low) // np.uint64(2)
                above = polar(quality, middle, angle)[which] > x
                low, high = np.where(above, middle + np.uint64(1), low), np.where(above, high, middle)
            probabilities.append(low.astype(float).mean() / 2.0 ** width(quality))
        assert np.all(np.abs(probabilities / stats.norm.sf(np.arange(1, 7)) - 1) < tolerance)


@pytest.mark.parametrize("quality", QUALITIES)
def test_normals_have_normal_moments_and_law(quality):
    """Assert moments 1 to 6 within five standard errors and the Kolmogorov-Smirnov distance within its 1e-4
    level."""
    sample = Noise(1, np.arange(2000), quality).normals(Purpose.USER, 3, 500).ravel()
    for power, moment, variance in [
        (1, 0, 1),
        (2, 1, 2),
        (3, 0, 15),
        (4, 3, 96),
        (5, 0, 945),
        (6, 15, 10170),
    ]:
        assert abs((sample**power).mean() - moment) < 5 * np.sqrt(variance / sample.size)
    assert stats.kstest(sample, "norm").pvalue > 1e-4
    assert stats.kstest(sample * 1.01, "norm").pvalue < 1e-4  # the control: one per cent too wide is seen


@pytest.mark.parametrize("quality", QUALITIES)
def test_streams_of_other_seed_purpose_path_or_step_are_independent(quality):
    """Assert vanishing correlation, also of squares, and no shared number, between all streams that differ
    in one name."""
    paths = np.arange(64)

    def draw(seed=1, purpose=Purpose.BROWNIAN, first=0, k=0):
        return Noise(seed, paths + first, quality).normals(purpose, k, 1000).ravel()

    base = draw()
    others = [
        draw(seed=2),
        draw(seed=1 + 2**32),
        draw(purpose=Purpose.LABEL_NOISE),
        draw(first=64),
        draw(k=1),
        draw(k=2**40),
    ]
    inside = base.reshape(64, 250, 4)
    pairs = [(base, other) for other in others] + [
        (inside[..., i], inside[..., j]) for i in range(4) for j in range(i)
    ]
    for x, y in pairs:
        bound = 5 / np.sqrt(x.size)
        assert abs(np.mean(x * y)) < bound
        assert abs(np.mean((x**2 - 1) * (y**2 - 1))) < 2 * bound
        assert not np.array_equal(x, y)


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_number_depends_on_path_and_position_alone(quality):
    """Assert equal bits by any grouping of paths, by steps of another size, and by the pack kernel of other
    kernels."""
    whole = Noise(SEED, np.arange(40), quality).normals(Purpose.BROWNIAN, 0, 3001)
    assert np.array_equal(
        Noise(SEED, np.array([33, 5, 6, 39]), quality).normals(Purpose.BROWNIAN, 0, 3001),
        whole[[33, 5, 6, 39]],
    )
    steps = [Noise(SEED, np.arange(40), quality).normals(Purpose.BROWNIAN, k, 7) for k in range(428)]
    assert np.array_equal(np.concatenate(steps, axis=1), whole[:, : 428 * 7])
    normals, words = scratch(quality, blocks=3)
    for position, count in [(0, 1), (5, 64), (1001, 2000)]:
        out = np.empty((count, PACK))
        pack_normals(out, normals, words, np.uint64(SEED), Purpose.BROWNIAN, PACK, position)
        assert np.array_equal(out.T, whole[PACK : 2 * PACK, position : position + count])


def test_uniforms_and_signs_have_their_laws_and_positions():
    """Assert uniform and fair-sign laws, and that a step's numbers are a window of one sequence."""
    noise = Noise(4, np.arange(500))
    uniforms, signs = noise.uniforms(Purpose.USER, 0, 600), noise.two_point(Purpose.USER, 0, 600)
    assert stats.kstest(uniforms.ravel(), "uniform").pvalue > 1e-4
    assert 0 < uniforms.min() and uniforms.max() < 1
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    assert abs((signs[:, 1:] * signs[:, :-1]).mean()) < 5 / np.sqrt(signs.size)
    assert np.array_equal(noise.uniforms(Purpose.USER, 3, 150), uniforms[:, 450:])
    assert np.array_equal(noise.two_point(Purpose.USER, 3, 150), signs[:, 450:])


def test_bounded_index_is_the_exact_multiply_high():
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**64, 500, dtype=np.uint64)
    for bound in (1, 2, 3, 1000, 2**31 + 11, 2**32):
        assert [_bounded(w, bound) for w in words] == [int(w) * bound >> 64 for w in words]


def test_rows_with_replacement_are_uniform_and_independent():
    """Assert a uniform joint law of the two rows of a batch (chi-squared over all 49 pairs)."""
    rows = Noise(5, np.arange(20_000)).rows(3, 2, 7)
    counts = np.bincount(rows[:, 0] * 7 + rows[:, 1], minlength=49)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_rows_without_replacement_are_uniform_over_subsets():
    """Assert distinct rows, all 35 subsets equally likely, no memory from path to path, and the whole set
    at B = n."""
    noise = Noise(6, np.arange(20_000))
    rows = noise.rows(3, 3, 7, "without_replacement")
    codes = np.sort((1 << rows).sum(axis=1))
    subsets, counts = np.unique(codes, return_counts=True)
    assert len(subsets) == 35 and stats.chisquare(counts).pvalue > 1e-4
    assert stats.chisquare(np.bincount(rows[:, 0], minlength=7)).pvalue > 1e-4
    alone = Noise(6, np.array([17])).rows(3, 3, 7, "without_replacement")
    assert np.array_equal(alone[0], rows[17])
    assert np.array_equal(
        np.sort(noise.rows(0, 7, 7, "without_replacement")[:5], axis=1), np.tile(np.arange(7), (5, 1))
    )


def test_permutations_are_uniform_and_fresh_each_epoch():
    """Assert all 24 permutations of four rows equally likely, and those of two epochs independent."""
    noise = Noise(7, np.arange(24_000))
    first, second = (noise.permutation(epoch, 4) @ [64, 16, 4, 1] for epoch in (0, 1))
    _, index, counts = np.unique(first, return_inverse=True, return_counts=True)
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 1e-4
    joint = np.bincount(index * 24 + np.unique(second, return_inverse=True)[1], minlength=576)
    assert stats.chisquare(joint).pvalue > 1e-4


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Noise(-1, np.arange(3)),
        lambda: Noise(2**64, np.arange(3)),
        lambda: Noise(0, np.array([-1])),
        lambda: Noise(0, np.array([2**56])),
        lambda: Noise(0, np.zeros(3)),
        lambda: Noise(0, np.arange(3), "float16"),
        lambda: Noise(0, np.arange(3)).rows(0, 5, 4, "without_replacement"),
        lambda: Noise(0, np.arange(3)).rows(0, 5, 4, "bootstrap"),
    ],
)
def test_bad_input_is_refused(bad):
    with pytest.raises(InvalidInput):
        bad()


def test_children_share_no_numbers_with_their_neighbours():
    """Assert that seeds derived from neighbouring seeds and labels all differ, from each other and from seed + i."""
    seeds = {child_seed(seed, "rung", i) for seed in range(50) for i in range(50)}
    assert len(seeds) == 2500 and not seeds & set(range(2**20))
    assert child_seed(0, 1) != child_seed(0, "1") and child_seed(0, "a", "b") != child_seed(0, "ab")


def test_a_child_keeps_the_paths_and_is_recorded_for_ever():
    """Assert the derived seed itself: it is part of every result that uses it."""
    noise = Noise(7, np.arange(3), "float64").child("rung", 3)
    text = b"seed 7\0text 4 rung\0number 1 3"
    digest = hashlib.blake2b(text, digest_size=8).digest()
    assert noise.seed == int.from_bytes(digest, "little") == child_seed(7, "rung", 3)
    assert noise.quality == "float64" and list(noise.paths) == [0, 1, 2]


def test_numbers_of_a_child_are_uncorrelated_with_the_parents():
    """Assert independence of parent and child at five standard errors."""
    parent = Noise(3, np.arange(2000))
    a, b = (noise.normals(Purpose.BROWNIAN, 0, 50).ravel() for noise in (parent, parent.child("part")))
    assert abs(np.mean(a * b)) < 5 / np.sqrt(a.size)


@pytest.mark.parametrize("labels", [(), (1.5,), (None,), (True,), (-1,)])
def test_what_is_no_label_is_refused(labels):
    with pytest.raises(InvalidInput):
        child_seed(0, *labels)


def test_three_point_numbers_have_the_first_five_moments_of_a_normal():
    """Assert -sqrt 3, 0 and sqrt 3 with shares 1/6, 2/3 and 1/6 within five binomial errors of 60 000 draws."""
    out = np.empty((20, 3000))
    path_three_point(out, np.uint64(5), int(Purpose.WEAK), np.arange(20), 3)
    values, counts = np.unique(np.round(out, 12), return_counts=True)
    np.testing.assert_allclose(values, [-np.sqrt(3), 0, np.sqrt(3)], atol=1e-11)
    shares = np.array([1, 4, 1]) / 6
    assert (np.abs(counts / out.size - shares) < 5 * np.sqrt(shares * (1 - shares) / out.size)).all()


@compiled
def _rows(out, normals, words, seed, path, position, count):
    return rows_of_normals(out, normals, words, seed, Purpose.USER, path, position, count)


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("position", "count"), [(0, 16), (5, 1), (37, 300), (2**34 + 15, 90)])
def test_rows_of_normals_are_those_of_each_path(quality, position, count):
    """Assert the turned squares against a path's own numbers, wherever they start; one place further is another."""
    normals, words = scratch(quality, 32)
    out = np.empty((PACK, ahead(count) + 3), normals.dtype)
    path = 5 * PACK
    skipped = _rows(out, normals, words, np.uint64(SEED), path, position, count)
    expected = np.empty((count + 1, PACK))
    pack_normals(expected, *scratch(quality), np.uint64(SEED), int(Purpose.USER), path, position)
    assert np.array_equal(out[:, skipped : skipped + count], expected[:-1].T)
    assert not np.array_equal(out[:, skipped : skipped + count], expected[1:].T)
