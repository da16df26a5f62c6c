"""A search of unknown length says that it goes on, and ends: the flow to zero loss, and the regimes decided by it."""

import re

import numpy as np
import pytest

from sgdlimits.diffusions import ManifoldLimit, limit_map
from sgdlimits.diffusions.manifold import terms
from sgdlimits.ensembles import progress
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import noise, zero_loss


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second at every look."""
    now = [0.0]

    def monotonic():
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(progress.time, "monotonic", monotonic)
    return now


def test_a_long_flow_says_so_and_a_short_one_is_silent(clock, capsys, monkeypatch):
    """Assert lines with the step, the most steps and the loss after ten seconds; none of a search that ends before."""
    valley = zero_loss.UserLoss(
        lambda w: (w[:, 0] ** 2 + w[:, 1] - 1) ** 2 / 2,
        lambda w: (w[:, 0] ** 2 + w[:, 1] - 1)[:, None] * np.stack([2 * w[:, 0], np.ones(len(w))], axis=-1),
        dimension=2,
    )
    arrived = limit_map(valley, [2.0, 1.0])
    lines = capsys.readouterr().err.splitlines()
    said = r"gradient flow to zero loss: step \d+ of at most 20000, 1 of 1 points .* loss \S+, \d+ s so far"
    assert re.fullmatch(said, lines[0])
    monkeypatch.setattr(progress, "FIRST_WORD", 1e9)
    np.testing.assert_array_equal(limit_map(valley, [2.0, 1.0]), arrived)
    assert capsys.readouterr().err == ""


def test_a_regime_that_cannot_be_decided_says_so_and_ends_early(clock, monkeypatch, capsys):
    """Assert that three failing starts are enough once a minute is over, and all are tried before."""
    tried = []

    def stuck(*arguments):
        tried.append(arguments)
        raise InvalidInput("the gradient flow does not reach zero loss")

    monkeypatch.setattr(terms.geometry, "limit_map", stuck)
    monkeypatch.setattr(terms, "_FOUND", {})
    for longest, count in ((1e9, terms.ATTEMPTS), (1.0, terms.PROBES)):
        tried.clear()
        monkeypatch.setattr(terms, "LONGEST_SEARCH", longest)
        with pytest.raises(InvalidInput, match=f"found from {count} random starts.*does not reach zero loss"):
            ManifoldLimit(zero_loss.Hyperbola(), noise.WeightNoise(0.1), 0.1).regime
        assert len(tried) == count
    assert "regime on the zero-loss set: start" in capsys.readouterr().err
