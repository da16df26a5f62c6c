"""Which character comes next in a text: the law is that of a place of the text, so that its expectation is a sum."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number

from ..predictors import Linear, TwoLayer
from ..sources import Rows, Stream
from .drawing import samples_of, supervised
from .task import Starts, Task

ALPHABET = "abcdefghijklmnopqrstuvwxyz ."  # blanks and ends of lines are one blank, all other signs one full stop
LONGEST = 8


def sonnets() -> str:
    """The embedded text: eight sonnets of Shakespeare, 112 lines (`problems/data/sonnets.md`)."""
    return (Path(__file__).parent.parent / "data" / "sonnets.txt").read_text(encoding="utf-8")


def letters(text: str) -> np.ndarray:
    """Places (n,) in `ALPHABET` of a text's characters, capitals as small letters; a run of blanks is one."""
    found = [ALPHABET.find(sign) for sign in " ".join(text.lower().split())]
    return np.array([len(ALPHABET) - 1 if place < 0 else place for place in found])


@numba.njit(nogil=True, error_model="numpy")
def _draw(normals, uniforms, out, codes, alphabet):
    """The characters before a place of the text, the last one first, and the one that stands there."""
    size = int(alphabet[0])
    context = out.size // size
    place = context + int(uniforms[0] * (codes.size - context))
    for back in range(context):
        out[back * size + int(codes[place - 1 - back])] = 1.0
    return codes[place]


def next_character(
    context: int = 3, width: int = 32, rows: int | None = None, seed: int = 0, text: str | None = None
) -> Task:
    """The next character from the last `context` ones, each a vector of 28 noughts and a one; cross-entropy.

    The law is a place of the text drawn at random: online every sample is a fresh place, and the expected loss is the
    mean over all places, which are the test rows as well. Starts as in `relu_classification`, a linear model at 0.

    Parameters
    ----------
    context : int
        1 to 8.
    width : int
        Hidden ReLU units; 0: a linear softmax model.
    rows, seed
        As in `linear_regression`.
    text : str, optional
        By default eight sonnets of Shakespeare. Capitals are small letters, a run of blanks is one, and every other
        sign is a full stop: accented letters and digits too, which `about` counts.
    """
    K, c, h = len(ALPHABET), whole_number("context", context, 1, LONGEST), whole_number("width", width, 0)
    p = K * c
    codes = letters(sonnets() if text is None else text)
    if codes.size < c + 2:
        raise InvalidInput(f"the text has {codes.size} characters; for a context of {c} it needs at least {c + 2}")
    law = Stream(_draw, p, 0, 1, arrays=(codes, [float(K)]))
    everywhere = _all_places(codes, c, K)
    source, _ = samples_of(law, seed, rows, 1)
    start = Starts.of_layers((h * p, (2 / p) ** 0.5), (h, 0.0), (K * h, h**-0.5), (K, 0.0)) if h else Starts(
        np.zeros(K * (p + 1)), np.zeros(K * (p + 1))
    )  # fmt: skip
    predictor = TwoLayer(p, h, K, "relu") if h else Linear(p, K)
    problem = supervised(predictor, "cross_entropy", source, everywhere, "next character")
    population = supervised(predictor, "cross_entropy", everywhere, everywhere, "next character, all places")
    about = f"the character at a place of a text of {codes.size}, from the {c} before it"
    if lost := sum(sign.isalnum() and sign not in ALPHABET for sign in (text or "").lower()):
        about += f"; {lost} letters and digits besides a to z became full stops"
    return Task("next character", problem, everywhere, start, population, about)


def _all_places(codes: np.ndarray, context: int, size: int) -> Rows:
    places = np.arange(context, codes.size)
    inputs = np.zeros((places.size, context, size))
    for back in range(context):
        inputs[np.arange(places.size), back, codes[places - 1 - back]] = 1.0
    return Rows(inputs.reshape(places.size, -1), codes[places].astype(np.float64), "every place of the text")
