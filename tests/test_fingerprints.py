"""Fingerprints: what counts as a setting, where it was written, and in which process it is read."""

from __future__ import annotations

import collections
import functools
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
import xarray

from sgdlimits import diffusions, discrete, problems
from sgdlimits.ensembles import FirstPassage, concatenate, saved_state
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.fingerprints import fingerprint

SGD = discrete.SGD(problems.LeastSquares.from_dataset("diabetes"), 0.05)
START = np.zeros(10)


def test_a_script_that_nobody_imported_counts_by_what_it_does(tmp_path):
    """Assert that functions and classes of two scripts of one name are told apart, and the same ones are not."""
    found = []
    for value in (1, 2, 1):
        folder = tmp_path / str(value)
        folder.mkdir(exist_ok=True)
        script = folder / "experiment.py"
        script.write_text(f"def f(x):\n    return x * {value}\nclass C:\n    def g(self):\n        return {value}\n")
        names = runpy.run_path(str(script), run_name="experiment")
        found.append((fingerprint(names["f"]), fingerprint(names["C"]())))
    for place in (0, 1):
        assert found[0][place] == found[2][place] != found[1][place]


def test_a_script_says_the_same_of_itself_in_a_worker_that_was_spawned(tmp_path):
    """Assert equal fingerprints of a class and a function of a script, there and in its worker process."""
    script = tmp_path / "mine.py"
    script.write_text(
        "import multiprocessing\n"
        "from sgdlimits.exact.fingerprints import fingerprint\n"
        "class R:\n    def move(self):\n        return 3\n"
        "def both(_):\n    return fingerprint(R()), fingerprint(R), fingerprint(both)\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        assert pool.map(both, [0])[0] == both(0)\n"
        "    print('same')\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd=os.getcwd())
    assert ended.stdout.strip() == "same", ended.stderr


def test_sets_have_no_order_in_any_process():
    """Assert one fingerprint whatever the seed of Python's hashes: of sets, alone, in a deque and in an object."""
    code = (
        "import collections, datetime, types\n"
        "from sgdlimits.exact.fingerprints import fingerprint\n"
        "words = {'one', 'two', 'three', 'four', 'five', 'six'}\n"
        "print(fingerprint(words, collections.deque([words]), types.SimpleNamespace(a=words), "
        "collections.OrderedDict(a=frozenset(words)), slice(None, frozenset(words))))"
    )
    found = set()
    for seed in ("0", "1", "2"):
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        found.add(ended.stdout)
    assert len(found) == 1


def remembering(factor):
    @functools.cache
    def function(x):
        return factor * x

    return function


class Bag(dict):
    scale = 1


class Counting:
    def __init__(self, scale):
        self.scale, self.calls = scale, 0

    def __call__(self, x):
        self.calls += 1
        return self.scale * x[:, 0]

    def __getstate__(self):
        return {"scale": self.scale}


def test_functions_that_remember_and_containers_of_the_users_are_read():
    """Assert that what stands behind functools.cache, and beside the entries of a container, counts."""
    one, other, same = remembering(1), remembering(2), remembering(1)
    one(5)
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    plain, scaled = Bag(a=1), Bag(a=1)
    scaled.scale = 2
    assert fingerprint(plain) == fingerprint(Bag(a=1)) != fingerprint(scaled)
    queues = [collections.deque([1, 2], maxlen=size) for size in (2, 3)]
    assert fingerprint(queues[0]) != fingerprint(queues[1])


def test_what_getstate_leaves_out_is_no_setting():
    """Assert that pieces of an observable that counts its calls join, and that its scale still tells it apart."""
    count = Counting(2.0)
    pieces = [SGD.simulate(START, 3, 4, {"x": count}, seed=1, first_path=first) for first in (0, 4)]
    assert count.calls > 0 and concatenate(*pieces).sizes["path"] == 8
    other = SGD.simulate(START, 3, 4, {"x": Counting(3.0)}, seed=1, first_path=4)
    with pytest.raises(InvalidInput, match="what the observable 'x' is"):
        concatenate(pieces[0], other)


def test_states_with_different_pasts_do_not_join():
    """Assert a refusal where two runs go on from states that other starts led to, and none where they are pieces."""
    def onward(x0, first):
        state = saved_state(SGD.simulate(x0, 5, 4, seed=1, first_path=first, keep_state=True))
        return SGD.simulate(state, 9, 4, seed=1, first_path=first)

    assert concatenate(onward(START, 0), onward(START, 4)).sizes["path"] == 8
    with pytest.raises(InvalidInput, match="different processes or starts"):
        concatenate(onward(START, 0), onward(START + 1, 4))


def test_continuous_passages_join_in_one_order_only():
    """Assert a refusal: their numbers are drawn by their order among the observables."""
    process = diffusions.HomogenizedSGD.of(SGD)
    passages = {
        "low": FirstPassage("risk", below=0.4, sense="continuous"),
        "far": FirstPassage("norm", above=0.5, sense="continuous"),
    }
    one = process.simulate(START, 4, 4, passages, seed=1)
    other = process.simulate(START, 4, 4, dict(reversed(passages.items())), seed=1, first_path=4)
    with pytest.raises(InvalidInput, match="in another order .low, far and far, low.*run them in one order"):
        concatenate(one, other)


def test_attributes_survive_a_file(tmp_path):
    """Assert that nan, and an array of one entry that a file reads as a number, are equal to themselves."""
    pieces = [SGD.simulate(START, 3, 4, seed=1, first_path=first) for first in (0, 4)]
    for piece in pieces:
        piece.attrs |= {"mine": np.nan, "one": np.array([2.5])}
    pieces[1].to_netcdf(tmp_path / "piece.nc")
    with xarray.open_dataset(tmp_path / "piece.nc") as read:
        assert concatenate(pieces[0], read.load()).sizes["path"] == 8
    pieces[1].attrs["one"] = np.array([2.5, 3.0])
    with pytest.raises(InvalidInput, match="differ in 'one'"):
        concatenate(*pieces)
