"""Fingerprints: what counts as a setting, where it was written, and in which process it is read."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import importlib.util
import os
import runpy
import subprocess
import sys
import types

import numba
import numpy as np
import pytest
import xarray

from sgdlimits import diffusions, discrete, problems
from sgdlimits.ensembles import FirstPassage, concatenate, saved_state
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.fingerprints import fingerprint
from tests.optional import optional

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


def test_continuous_passages_join_where_they_draw_the_same_numbers():
    """Assert a refusal where functions come in another order or are shared otherwise; two levels have no order."""
    passage = functools.partial(FirstPassage, sense="continuous")
    one, same = ((lambda x: np.square(x).sum(axis=1)) for _ in range(2))
    low, near, far, other = (
        passage("risk", below=0.4), passage(one, above=0.1), passage(one, above=0.5), passage(same, above=0.5)
    )  # fmt: skip
    process = diffusions.HomogenizedSGD.of(SGD)

    def piece(passages, first, count=4):
        return process.simulate(START, 4, count, passages, seed=1, first_path=first)

    usual = {"low": low, "near": near, "far": far}
    whole = piece(usual, 0, 8)
    assert concatenate(piece(usual, 0), piece({"low": low, "far": far, "near": near}, 4)).equals(whole)
    for foreign in ({"near": near, "far": far, "low": low}, {"low": low, "near": near, "far": other}):
        with pytest.raises(InvalidInput, match="draws other random numbers in each piece"):
            concatenate(piece(usual, 0), piece(foreign, 4))


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


def from_file(folder, name, text):
    """A module that stands in no list of modules, whatever its name says."""
    folder.mkdir()
    (folder / "m.py").write_text(text)
    spec = importlib.util.spec_from_file_location(name, folder / "m.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["profile", "numpy", "sgdlimits_of_mine"])
def test_the_name_of_a_library_makes_none(tmp_path, name):
    """Assert that functions, methods and values of a file are read, though its name is that of a library."""
    text = "def f(x):\n    return x * {0}\nclass C:\n    def g(self):\n        return {0}\nclass V:\n    level = {0}\n"
    found = [from_file(tmp_path / str(value), name, text.format(value)) for value in (1, 2)]
    for part in (lambda m: m.f, lambda m: m.C(), lambda m: m.V()):
        assert fingerprint(part(found[0])) != fingerprint(part(found[1]))


def test_a_wrapper_counts_by_its_own_code():
    """Assert that it does, though it took the name of a library's function."""

    def plus(shift):
        @functools.wraps(os.path.join)
        def wrapper(x):
            return x + shift

        return wrapper

    assert fingerprint(plus(1)) == fingerprint(plus(1)) != fingerprint(plus(2))


def test_a_module_is_read_where_it_is_used(tmp_path, monkeypatch):
    """Assert that functions inside a package count, by its name, in a closure and as an attribute."""
    package = tmp_path / "package_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("def f(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    outer, inner = importlib.import_module("package_of_mine"), importlib.import_module("package_of_mine.inner")

    def by_closure(x):
        return inner.f(x)

    names = {"outer": outer}
    exec("def by_name(x):\n    return outer.inner.f(x)", names)
    users = (names["by_name"], by_closure, types.SimpleNamespace(module=inner), Bag(module=inner))
    before = [fingerprint(user) for user in users]
    assert before == [fingerprint(user) for user in users]
    exec("def f(x):\n    return 2 * x\n", vars(inner))
    for user, then in zip(users, before):
        assert fingerprint(user) != then


def scaled(factor):
    """Things of every kind that differ in this number alone."""

    def function():
        return function.factor

    function.factor = factor

    class Level(enum.Enum):
        LOW = factor

    @dataclasses.dataclass
    class Table:
        entry: dataclasses.InitVar[int]

        def __post_init__(self, entry):
            self.table = entry

    class Hidden:
        __slots__ = ("__factor",)

        def __init__(self):
            self.__factor = factor

    class Number(float):
        def __call__(self, x):
            return factor * x

    class Array(np.ndarray):
        pass

    array = np.zeros(2).view(Array)
    array.factor = factor
    dispatching = functools.singledispatch(lambda x: x)
    dispatching.register(int, lambda x: x + factor)
    return {
        "attribute of a function": function, "value of an enum": Level.LOW, "no field": Table(factor),
        "private slot": Hidden(), "number": Number(1.0), "array": array, "dispatching": dispatching,
        "default": collections.defaultdict([int, float, str][factor]), "inside": np.vectorize(lambda x: x + factor),
        "data set": xarray.Dataset({"a": ("x", [1.0])}, attrs={"factor": factor}),
        "remembering": functools.cache(functools.partial(pow, factor)), "C": numba.vectorize(lambda x: x + factor),
        "date": np.datetime64(1, ["s", "ms", "ns"][factor]), "record": np.zeros(1, [("abc"[factor], int)])[0],
        "options": numba.njit(lambda x: x * x + x, fastmath=bool(factor)),
    }  # fmt: skip


def test_what_things_of_every_kind_hold_counts():
    """Assert a fingerprint that is the same for the same number and another for another."""
    ones, same, others = scaled(0), scaled(0), scaled(1)
    for kind in ones:
        assert fingerprint(ones[kind]) == fingerprint(same[kind]) != fingerprint(others[kind]), kind


def test_names_and_ends_of_a_function_count():
    """Assert that what differs in no instruction, but in names of arguments or in what is caught, is told apart."""

    def first(*, a, b):
        return a - b

    def second(*, b, a):
        return b - a

    def within(a, b):
        try:
            a()
            b()
        except ValueError:
            pass

    def beside(a, b):
        try:
            a()
        except ValueError:
            pass
        else:
            b()

    assert fingerprint(first) != fingerprint(second)
    assert fingerprint(within) != fingerprint(beside)


@dataclasses.dataclass
class CountingFields:
    scale: float
    calls: int = 0

    def __getstate__(self):
        return {"scale": self.scale}


def test_use_changes_nothing_and_equal_texts_are_one():
    """Assert it of a data class that counts, of what dispatched and compiled, and of a library's object with texts."""
    counting, compiled = CountingFields(2.0), numba.njit(lambda x: x + 1)
    dispatching = scaled(1)["dispatching"]
    things = (counting, compiled, dispatching)
    before = [fingerprint(thing) for thing in things]
    counting.calls += 1
    assert compiled(1) == 2 and dispatching(3) == 4 and dispatching("x") == "x"
    assert [fingerprint(thing) for thing in things] == before
    one, other = ("".join(["a long ", "text"]) for _ in range(2))
    assert one is not other
    assert fingerprint(types.SimpleNamespace(a=one, b=one)) == fingerprint(types.SimpleNamespace(a=one, b=other))


@pytest.mark.extras
def test_what_a_torch_module_keeps_to_itself_counts():
    """Assert it of a private attribute, and of a buffer that no file keeps."""
    torch = optional("torch")

    class Net(torch.nn.Module):
        def __init__(self, scale, shift):
            super().__init__()
            self._scale = scale
            self.register_buffer("shift", torch.tensor(shift), persistent=False)

    usual = fingerprint(Net(1, 0.0))
    assert usual == fingerprint(Net(1, 0.0)) and usual not in (fingerprint(Net(2, 0.0)), fingerprint(Net(1, 1.0)))
