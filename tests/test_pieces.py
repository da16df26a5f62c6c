"""Pieces of one ensemble become what one run gives, to the bit; others are refused by what differs."""

from __future__ import annotations

import functools
import importlib
import warnings

import numba
import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlimits import diffusions, discrete, ensembles, problems
from sgdlimits.ensembles import concatenate
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.fingerprints import fingerprint
from sgdlimits.problems import noise, zero_loss
from tests.optional import optional

rng = np.random.default_rng(0)
A, B = rng.standard_normal((30, 3)), rng.standard_normal(30)
PROBLEM = problems.LeastSquares.from_arrays(A, B, ridge=0.1)
SGD = discrete.SGD(PROBLEM, 0.05, batch_size=2)
START = np.ones(3)


def piece(first, count, process=SGD, x0=START, **options):
    return process.simulate(x0, 12, count, **({"seed": 3} | options), first_path=first)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 59), min_size=1, max_size=4, unique=True), order=st.randoms())
def test_pieces_in_any_order_are_the_whole(cuts, order):
    """Assert identity with one run, attributes and all."""
    ends = [0, *sorted(cuts), 60]
    pieces = [piece(a, b - a, observables=("risk", "state")) for a, b in zip(ends, ends[1:], strict=False)]
    order.shuffle(pieces)
    assert concatenate(*pieces).identical(piece(0, 60, observables=("risk", "state")))


def test_states_overflows_and_files_are_joined(tmp_path):
    """Assert identity where a state is kept, where one piece alone has overflowed paths, and through a file."""
    whole = piece(0, 40, keep_state=True)
    a, b = piece(0, 17, keep_state=True), piece(17, 23, keep_state=True)
    ensembles.save(b, tmp_path / "b.nc")
    joined = concatenate(a, ensembles.load(tmp_path / "b.nc"))
    xarray_states = [ensembles.saved_state(dataset) for dataset in (joined, whole)]
    np.testing.assert_array_equal(xarray_states[0].positions, xarray_states[1].positions)
    assert joined.drop_vars("state: where").equals(whole.drop_vars("state: where"))
    wild = discrete.SGD(PROBLEM, 1.2, batch_size=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [wild.simulate(START, 2700, 16, seed=0, record=[2700], first_path=16 * i) for i in range(8)]
        assert len({"overflow_step" in part for part in parts}) == 2  # some have it, some have not
        assert concatenate(*parts).identical(wild.simulate(START, 2700, 128, seed=0, record=[2700]))


def test_a_diffusion_and_a_limit_are_joined():
    """Assert the same of integrate, whose axis is time, and of paths on a zero-loss set."""
    gbm = diffusions.UserDiffusion(lambda t, x: -x, lambda t, x: 0.3 * x, dimension=2, noise_type="diagonal")
    run = lambda first, count: diffusions.integrate(gbm, np.ones(2), 1.0, 0.1, count, seed=1, first_path=first)  # noqa: E731
    assert concatenate(run(0, 10), run(10, 5)).identical(run(0, 15))
    descent = discrete.NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.2), 0.05)
    run = lambda first, count: descent.simulate(np.array([1.5, 0.7]), 9, count, first_path=first)  # noqa: E731
    assert concatenate(run(0, 10), run(10, 5)).identical(run(0, 15))


def test_the_result_of_until_is_extended_by_what_follows_it():
    """Assert that paths after those of the interval join, and that the interval, which is of the piece, is left out."""
    first = piece(0, 10**5, until=ensembles.Until("risk", relative=0.05))
    more = piece(first.attrs["paths_spent"], 100)
    joined = concatenate(first, more)
    assert joined.attrs["paths"] == first.attrs["paths"] + 100
    assert not any(name.startswith("until") for name in joined.attrs)


OTHERS = {
    "'seed': 3 and 4": {"seed": 4},
    "'step'": {"record": [3, 12]},
    "'step_size': 0.05 and 0.04": {"process": discrete.SGD(PROBLEM, 0.04, batch_size=2)},
    "'momentum'": {"process": discrete.SGD(PROBLEM, 0.05, batch_size=2, momentum=0.1)},
    "'process'|'batch_size'|'clock'": {"process": diffusions.HomogenizedSGD.of(SGD)},
    "their data": {
        "process": discrete.SGD(problems.LeastSquares.from_arrays(A[:, ::-1], B, ridge=0.1), 0.05, batch_size=2)
    },
    "functions or x0 differ": {"x0": np.zeros(3)},
    "only one of the pieces has 'norm'": {"observables": ("risk",)},
    "what the observable 'risk' is": {"observables": {"risk": ensembles.Maximum("risk"), "norm": "norm"}},
}  # fmt: skip


@pytest.mark.parametrize("said", OTHERS)
def test_a_foreign_piece_is_refused_by_what_differs(said):
    """Assert the name of the difference, data and functions included."""
    with pytest.raises(InvalidInput, match=said):
        concatenate(piece(0, 10), piece(10, 5, **OTHERS[said]))


def test_overlaps_gaps_and_what_is_no_piece():
    """Assert what is missing or twice there, with the arguments that mend it."""
    a = piece(0, 10)
    with pytest.raises(InvalidInput, match="paths 8 to 9 are in two pieces: run the second with first_path=10"):
        concatenate(a, piece(8, 5))
    with pytest.raises(InvalidInput, match="paths 10 to 11 are missing .* first_path=10, paths=2"):
        concatenate(piece(12, 5), a)
    with pytest.raises(InvalidInput, match="holds 5 paths, but was run with 10"):
        concatenate(a.isel(path=slice(5)), piece(10, 5))
    with pytest.raises(InvalidInput, match="no attribute 'seed'"):
        concatenate(SGD.moments(START, 3), a)
    with pytest.raises(InvalidInput, match="got int"):
        concatenate(a, 3)
    with pytest.raises(InvalidInput, match="at least one piece"):
        concatenate()
    version = piece(10, 5)
    version.attrs["sgdlimits"] = "0.0.1"
    with pytest.raises(InvalidInput, match="'sgdlimits'"):
        concatenate(a, version)


def test_functions_of_the_users_are_told_apart_by_what_they_do():
    """Assert that code, defaults, closures and globals count, and that what counts for nothing does not."""
    scale = 2.0

    def one(x):
        return scale * x[:, 0]

    before = fingerprint(one)
    assert before == fingerprint(one) and len(before) == 16
    scale = 3.0
    assert fingerprint(one) != before
    a, b = (lambda x: x + 1), (lambda x: x + 2)
    assert fingerprint(a) != fingerprint(b) and fingerprint(a) == fingerprint(lambda x: x + 1)
    names = {"data": np.zeros(3)}
    exec("def reads(x):\n    return x + data", names)
    before = fingerprint(names["reads"])
    names["data"] = np.ones(3)
    assert fingerprint(names["reads"]) != before
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 2, "b": 1})
    assert fingerprint(1.0) != fingerprint(1) and fingerprint([1, 2]) != fingerprint([[1], 2])
    assert fingerprint(np.zeros(3)) != fingerprint(np.zeros((3, 1)))


def test_all_of_a_class_and_of_a_module_of_the_users_counts(tmp_path, monkeypatch):
    """Assert attributes, inherited and static methods, properties, and functions taken from a module beside."""

    def made(scale=1, shift=0, static=0, base=0, prop=0):
        class Base:
            def inherited(self):
                return base

        class Mine(Base):
            level = scale

            @staticmethod
            def fixed():
                return static

            @property
            def shown(self):
                return prop

            def __call__(self, x):
                return x + shift

        return Mine()

    usual = fingerprint(made())
    assert usual == fingerprint(made())
    for change in ("scale", "shift", "static", "base", "prop"):
        assert fingerprint(made(**{change: 7})) != usual, change
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for value in (1, 20):  # of another length: a file of the same size and second is not read again
        (tmp_path / "helper_of_mine.py").write_text(f"def f(x):\n    return x * {value}\n")
        names = {"helper": importlib.reload(importlib.import_module("helper_of_mine"))}
        exec("def cell(x):\n    return helper.f(x)", names)
        found.append(fingerprint(names["cell"]))
    assert found[0] != found[1]


def test_a_large_array_is_read_once_where_it_cannot_change():
    """Assert equal digests for equal arrays, and that one that can be written to is read each time."""
    array = np.zeros(20_000)
    before = fingerprint(array)
    array[7] = 1.0
    assert fingerprint(array) != before
    fixed = array.copy()
    fixed.flags.writeable = False
    assert fingerprint(fixed) == fingerprint(array) == fingerprint(fixed)
    view = array[:]
    view.flags.writeable = False  # its base can still be written to
    one = fingerprint(view)
    array[8] = 1.0
    assert fingerprint(view) != one


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held):
        self.held = held


class Remembering:
    def __init__(self):
        self.a = 1

    @functools.cached_property
    def b(self):
        return self.a + 1


def test_what_is_not_in_attributes_counts_too():
    """Assert tables, masks, names of fields, slots and the end of a long list; and not what an object remembers."""
    table = [pandas.DataFrame({"x": [1, last]}) for last in (2, 3, 2)]
    assert fingerprint(table[0]) == fingerprint(table[2]) != fingerprint(table[1])
    masked = [np.ma.array([1, 2], mask=[False, last]) for last in (True, False)]
    fields = [np.zeros(2, [(name, float)]) for name in "ab"]
    slots = [Slotted(1), Slotted(2)]
    lists = [[*range(300_000), last] for last in (0, 1)]
    for one, other in (masked, fields, slots, lists):
        assert fingerprint(one) != fingerprint(other)
    thing = Remembering()
    before = fingerprint(thing)
    assert thing.b == 2 and fingerprint(thing) == before


@pytest.mark.extras
def test_a_torch_module_counts_with_what_it_computes():
    """Assert numbers that are no parameters, and kinds that NumPy does not have."""
    torch = optional("torch")

    class Net(torch.nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

    assert fingerprint(Net(1)) == fingerprint(Net(1)) != fingerprint(Net(2))
    short = torch.zeros(2, dtype=torch.bfloat16)
    assert fingerprint(short) != fingerprint(torch.zeros(2))


def test_no_address_is_among_the_settings():
    """Assert that pieces of a rule without a repr of its own, made in two processes, say the same."""

    class Halved:
        slots = 0

        def move(self, x, slots, gradient, step_size, k):
            return x - 0.5 * step_size * gradient, slots

    pieces = [piece(first, 4, discrete.SGD(PROBLEM, 0.05, rule=Halved())) for first in (0, 4)]
    assert "0x" not in str(pieces[0].attrs) and concatenate(*pieces).sizes["path"] == 8


class AnswersToAll:
    def __getattr__(self, name):
        return 3

    __dict__ = 3


class NotToBePickled:
    __module__ = property(lambda self: "mine")

    def __init__(self, held):
        self.held = held

    def __getstate__(self):
        raise TypeError("cannot be pickled")


def test_an_object_that_answers_to_every_name_stops_no_run():
    """Assert an end, for such an object, one that refuses to be pickled, and a function compiled for C."""
    compiled = numba.cfunc("float64(float64)")(lambda x: x)
    assert fingerprint(AnswersToAll()) and fingerprint(compiled)
    assert fingerprint(NotToBePickled(1)) != fingerprint(NotToBePickled(2))
    shared = (1, 2)
    assert fingerprint([shared, shared]) == fingerprint([shared, tuple([1, 2])])  # as after it was sent to a worker


def test_what_leads_back_to_itself_ends():
    """Assert an end for a list, a set and an object that hold themselves."""

    class Node:
        pass

    node = Node()
    node.all = {node}
    loop = [node]
    loop.append(loop)
    assert fingerprint(loop) == fingerprint(loop)
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert fingerprint(deep)


def test_running_changes_no_fingerprint():
    """Assert that what a process remembers of a run is not taken for a setting."""
    for process in (SGD, diffusions.HomogenizedSGD.of(SGD)):
        before = fingerprint(process)
        process.simulate(START, 3, 4)
        process.moments(START, 3)
        assert fingerprint(process) == before
    limit = diffusions.ManifoldLimit(zero_loss.Hyperbola(), noise.LabelNoise(0.2), 0.05)
    before = fingerprint(limit)
    limit.solve(np.array([1.5, 0.7]), np.linspace(0, 0.1, 3))
    assert fingerprint(limit) == before
