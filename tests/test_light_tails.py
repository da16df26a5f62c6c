"""Tails of rules with bounded steps and of losses with bounded slopes: the bounds, the drift inward, and refusals."""

import math

import numpy as np
import pytest

from sgdlimits.discrete import SGD, rules
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach
from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares, Supervised, predictors, sources

DRAW = np.random.Generator(np.random.Philox(12))
ROWS, NOISE = DRAW.standard_normal((30, 2)), DRAW.standard_normal(30)
TARGETS = ROWS.sum(axis=1) + NOISE
LEAST = LeastSquares.from_arrays(ROWS, TARGETS)
STREAM = StreamingLeastSquares(np.array([[1.0, 0.5], [0.5, 0.8]]), 0.3, np.ones(2))
MIXED = Logistic.from_arrays(ROWS, np.sign(TARGETS))
# signs of both coordinates always oppose each other: sign descent never moves their sum
OPPOSED = LeastSquares.from_arrays(np.array([[1, -10], [10, -1.0], [-3, 2], [-2, 7]]), NOISE[:4])


def moves(rule, gradients):
    """Moves over the step size, (steps, d), under gradients (steps, d)."""
    x, slots = np.zeros((1, gradients.shape[1])), np.zeros((1, rule.slots, gradients.shape[1]))
    found = []
    for k, gradient in enumerate(gradients):
        after, slots = rule.move(x, slots, gradient[None], 1.0, k)
        found.append((after - x)[0])
        x = after
    return np.array(found)


RULES = [
    rules.Adam(), rules.Adam((0.9, 0.95)), rules.Adam((0.0, 0.9)), rules.Adam(amsgrad=True), rules.RMSProp(),
    rules.RMSProp(0.9, momentum=0.8), rules.SignSGD(), rules.Clipped(2.0), rules.Clipped(2.0, rules.HeavyBall(0.8)),
    rules.Clipped(2.0, rules.Nesterov(0.8)), rules.Clipped(0.5, rules.Adam()),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_no_gradients_move_farther_than_the_bound(rule):
    """Assert the bound for gradients of very different sizes, and that signs, clipping and RMSProp come up to it."""
    bound, norm = rule.move_bound(), np.abs if rule.move_bound().of == "coordinate" else np.linalg.norm
    sizes = np.exp(4 * DRAW.standard_normal((400, 1)))
    for gradients in (sizes * DRAW.standard_normal((400, 3)), sizes, np.exp(np.arange(400.0)[:, None] / 9)):
        for move in moves(rule, gradients):
            assert np.max(norm(move)) <= bound.size * (1 + 1e-12)
    spike = np.full((400, 1), 1e-30)
    spike[-1] = 1e10
    farthest = max(np.abs(moves(rule, gradients)).max() for gradients in (spike, np.full((400, 1), 1e9)))
    summed = getattr(rule, "momentum", 0) or hasattr(getattr(rule, "rule", rule), "betas")
    assert summed or farthest > 0.999 * bound.size


def test_the_bound_of_adam_is_attained():
    """Assert it by gradients in proportion to (b1 / b2)^age, 7.27 by default, and none where b1^2 >= b2 or centred."""
    for betas in ((0.9, 0.999), (0.8, 0.9), (0.9, 0.82)):
        b1, b2 = betas
        age = np.arange(2500.0)[::-1]
        gradients = np.exp(np.maximum(age * np.log(b1 / b2), -300))[:, None]
        farthest = np.abs(moves(rules.Adam(betas, eps=1e-300), gradients)).max()
        bound = rules.Adam(betas).move_bound().size
        assert farthest == pytest.approx(bound * math.sqrt(1 - b2**2500), rel=0.005), betas
        assert farthest <= bound * (1 + 1e-9), betas
    assert rules.Adam().move_bound().size == pytest.approx(7.27, abs=0.005)
    assert rules.Adam((0.9, 0.81)).move_bound() is None and rules.RMSProp(centered=True).move_bound() is None
    grown = [np.abs(moves(rules.Adam((0.9, 0.5), 1e-300), 1.8 ** -np.arange(n)[:, None])).max() for n in (50.0, 400.0)]
    assert grown[1] > 1e3 * grown[0]


def test_what_is_proved():
    """Assert an infinite index with its reason for each proof, by the words that it rests on."""
    clipped = (rules.Clipped(1.0), rules.Clipped(1.0, rules.HeavyBall(0.9)), rules.Clipped(1.0, rules.Nesterov(0.9)))
    cases = [(LEAST, rule, "clipped gradient c H u") for rule in clipped]
    cases += [(STREAM, rules.SignSGD(), "sqrt(u . S u) falls"), (MIXED, None, "cannot be separated")]
    cases += [(LeastSquares.from_arrays(ROWS[:, :1], TARGETS), "signsgd", "sign of x - minimiser")]
    for problem, rule, words in cases:
        found = SGD(problem, 0.05, rule=rule).tail_index()
        assert math.isinf(found.index) and found.proved and "proved" in found.method and words in found.note
        assert "Hajek" in found.note


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_bounded_supports(momentum):
    """Assert radii that paths from far out end up in, and come near to where every sample pulls the same way."""
    alike = Logistic.from_arrays(np.array([[1.0, 0.0], [2.0, 0.0]]), [1, 1], ridge=0.5)
    sgd = SGD(alike, 0.2, momentum=momentum)
    found = sgd.tail_index()
    limit = float(found.note.rsplit(" ", 1)[1])
    assert found.method == "bounded support" and limit >= 2 / 0.5 - 1e-9
    assert limit == pytest.approx(4.0) if not momentum else limit > 4.0
    ends = sgd.simulate([300.0, -300.0], 400, 50, observables=("norm",), record=[400], threads=1)["norm"][:, -1]
    assert (ends <= limit).all()
    for problem, rule in ((MIXED, rules.AdamW(weight_decay=0.5)), (alike, rules.SignSGD())):
        sgd = SGD(problem, 0.2, rule=rule)
        found = sgd.tail_index()
        limit = float(found.note.rsplit(" ", 1)[1])
        ends = sgd.simulate([100.0, -100.0], 1000, 50, observables=("state",), record=[1000], threads=1)["state"]
        assert found.method == "bounded support" and (np.abs(ends[:, -1]) <= limit).all()


@pytest.mark.slow
def test_what_is_only_seen():
    """Assert that Adam and RMSProp are light by bounded steps and a simulation, and say that this is no proof."""
    for problem, rule in ((LEAST, "adam"), (STREAM, "rmsprop"), (LEAST, "signsgd")):
        found = SGD(problem, 0.01, rule=rule).tail_index()
        assert math.isinf(found.index) and not found.proved and "seen" in found.method
        assert "halve it" in found.note and "no proof" in found.note


@pytest.mark.slow
def test_bounded_steps_alone_are_not_light():
    """Assert a refusal where sign descent cannot move one direction, and where Adam runs away with separated labels."""
    with pytest.raises(OutOfReach, match="do not come in"):
        SGD(OPPOSED, 0.01, rule="signsgd").tail_index()
    assert SGD(OPPOSED, 0.01, rule=rules.Clipped(1.0)).tail_index().proved  # which clipping does move
    start = np.array([50.0, 50.0])
    run = SGD(OPPOSED, 0.01, rule="signsgd").simulate(start, 5000, 8, observables=("state",), record=[5000], threads=1)
    np.testing.assert_allclose(run["state"].values.sum(axis=-1), 100.0, rtol=1e-9)
    with pytest.raises(OutOfReach, match="do not come in"):
        SGD(Logistic.from_arrays(ROWS, np.sign(ROWS[:, 0])), 0.01, rule="adam").tail_index()


def test_refusals():
    """Assert a sentence where paths run away, batches depend on each other, or nothing is known."""
    separated = Logistic.from_arrays(ROWS, np.sign(ROWS[:, 0]))
    with pytest.raises(NoStationaryLaw, match="separated"):
        SGD(separated, 0.1).tail_index()
    with pytest.raises(NoStationaryLaw, match="Lyapunov"):
        SGD(Logistic.from_arrays(ROWS, np.sign(TARGETS), ridge=5.0), 0.5).tail_index()
    with pytest.raises(NoStationaryLaw, match="Lyapunov"):
        SGD(LEAST, 0.5, rule=rules.AdamW(weight_decay=5.0)).tail_index()
    network = Supervised(predictors.TwoLayer(2, 3), "squares", sources.Rows(ROWS, TARGETS))
    for sgd, words in (
        (SGD(LEAST, 0.1, rule=rules.RMSProp(centered=True)), "not known"),
        (SGD(LEAST, 0.1, rule=rules.Adam((0.9, 0.5))), "b1.2 < b2"),
        (SGD(network, 0.1), "lipschitz_factors"),
        (SGD(LEAST, 0.1, rule=rules.Clipped(1.0), sampling="reshuffle"), "depend on each other"),
        (SGD(MIXED, lambda k: 0.1), "schedule"),
    ):
        with pytest.raises(InvalidInput, match=words):
            sgd.tail_index()
