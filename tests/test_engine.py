"""The engine: bits that no chunk or thread changes, reducers, overflow, interruption, clear refusals."""

import _thread
import importlib.util
import signal
import threading
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlimits.ensembles import (
    PACK,
    FirstPassage,
    Gaussian,
    Maximum,
    Mean,
    Noise,
    Purpose,
    Recorded,
    PathArrays,
    RecurrenceSimulator,
    WindowMean,
    initial_moments,
    recorded_steps,
    run,
)
from sgdlimits.ensembles import engine as engine_module
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths

GAUSSIAN = Gaussian([1.0, -2.0, 0.5], np.diag([1.0, 4.0, 0.25]) + 0.1)


class Linear:
    """x_{k+1} = factor x_k + scale xi_k, elementwise, as a compiled process would present it."""

    name, compiled, substeps, whole, alone = "linear", True, 1, "", False

    def __init__(self, dimension=3, factor=0.9, scale=0.3):
        self.dimension, self.factor, self.scale = dimension, factor, scale
        self.calls = []

    def start(self, positions, noise):
        assert len(positions) % PACK == 0 and noise.paths[0] % PACK == 0
        return PathArrays(int(noise.paths[0]), positions, np.full(len(positions), -1), {})

    def advance(self, state, first, last, noise):
        self.calls.append((int(noise.paths[0]), first, last))
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(first, last):
                xi = noise.normals(Purpose.BROWNIAN, k, self.dimension)
                state.x = self.factor * state.x + self.scale * xi
                beyond = ~(np.abs(state.x).max(axis=1) <= 1e150)
                state.overflow[beyond & (state.overflow < 0)] = k + 1

    def positions(self, state):
        return state.x.copy()

    def measure(self, name, state):
        return (state.x ** 2).sum(axis=1) / 2 if name == "risk" else None


class Momentum:
    """A user's recurrence whose state is more than the position."""

    def __init__(self, act=lambda k: None):
        self.act = act

    def initial_state(self, x0):
        return x0, np.zeros_like(x0)

    def step(self, k, state, noise):
        self.act(k)
        x, v = state
        v = 0.5 * v - 0.1 * np.sin(x) + 0.2 * noise.normals(Purpose.USER, k, x.shape[1])
        return x + v, v

    def position(self, state):
        return state[0]


def simulate(simulator, x0=(1.0, 2.0, 3.0), **options):
    settings = {"paths": 40, "steps": 30, "seed": 5, "observables": ("risk", "norm", "state"), "threads": 1}
    return run(simulator, x0, **{**settings, **options})


@pytest.mark.parametrize(("threads", "chunk"), [(1, 16), (2, 16), (3, 48), (2, 1), (1, 1000), (2, None)])
@pytest.mark.parametrize("kind", ["compiled", "recurrence"])
def test_bits_do_not_depend_on_chunk_or_threads(kind, threads, chunk):
    """The same seed gives the same bits whatever the chunk and the number of threads."""
    simulator = Linear() if kind == "compiled" else RecurrenceSimulator(Momentum(), 3)
    observables = {"x": "state", "norm": "norm", "sine": lambda x: np.sin(x).sum(axis=1), "m": Mean("norm")}
    options = {"x0": GAUSSIAN, "paths": 75, "observables": observables}
    one = simulate(simulator, **options)
    other = simulate(simulator, **options, threads=threads, chunk=chunk)
    for name in observables:
        assert one.values[name].tobytes() == other.values[name].tobytes()


def test_fewer_paths_are_the_first_paths_and_another_seed_differs():
    """Path p is the same however many paths are run; a second seed gives other paths."""
    many, few, other = (
        simulate(Linear(), GAUSSIAN, paths=paths, seed=seed) for paths, seed in [(50, 5), (20, 5), (50, 6)]
    )
    assert np.array_equal(many.values["state"][:20], few.values["state"])
    assert not np.isclose(many.values["state"], other.values["state"]).any()


def test_advance_is_called_on_adjoining_steps_up_to_the_end():
    """The calls of one chunk cover steps 0..steps once, in order, and stop at recorded steps."""
    simulator = Linear()
    simulate(simulator, steps=500, record=[0, 7, 300], paths=33, chunk=16)
    for path in (0, 16, 32):
        calls = [(first, last) for start, first, last in simulator.calls if start == path]
        assert calls[0][0] == 0 and calls[-1][1] == 500
        assert all(before[1] == after[0] for before, after in zip(calls[:-1], calls[1:], strict=True))
        assert {7, 300} <= {last for _, last in calls}


def brute_force(steps=30, **options):
    return simulate(Linear(), GAUSSIAN, steps=steps, record=range(steps + 1), **options).values


def test_reducers_equal_brute_force_over_all_steps():
    """Running mean, window mean, maximum and first passage agree with the stored paths."""
    full = brute_force()
    x, norm, record = full["state"], full["norm"], [4, 5, 17, 30]
    observables = {
        "recorded": Recorded(lambda x: x[:, :2]),
        "mean": Mean("norm"),
        "late": Mean("state", since=3),
        "window": WindowMean("norm", 6),
        "wide": WindowMean("state", 100),
        "maximum": Maximum("state"),
        "below": FirstPassage("norm", below=0.8),
        "above": FirstPassage(lambda x: x[:, 0], above=1.2),
    }
    got = simulate(Linear(), GAUSSIAN, observables=observables, record=record).values
    mean = np.stack([norm[:, : k + 1].mean(axis=1) for k in record], axis=1)
    late = np.stack([x[:, 3 : k + 1].mean(axis=1) for k in record], axis=1)
    window = np.stack([norm[:, max(0, k - 5) : k + 1].mean(axis=1) for k in record], axis=1)
    wide = np.stack([x[:, : k + 1].mean(axis=1) for k in record], axis=1)
    maximum = np.stack([x[:, : k + 1].max(axis=1) for k in record], axis=1)
    for name, expected in {"mean": mean, "late": late, "window": window, "wide": wide}.items():
        np.testing.assert_allclose(got[name], expected, rtol=1e-12, atol=1e-14)
    assert np.array_equal(got["recorded"], x[:, record, :2])
    assert np.array_equal(got["maximum"], maximum)
    for name, hit in {"below": norm <= 0.8, "above": x[:, :, 0] >= 1.2}.items():
        assert np.array_equal(got[name], np.where(hit.any(axis=1), hit.argmax(axis=1), np.inf))
        assert np.isfinite(got[name]).any() and (got[name] > 0).any()


def test_built_in_norm_and_risk_equal_functions_of_the_position():
    """The fast routes agree with the same functions written by a user."""
    functions = {"norm": lambda x: np.linalg.norm(x, axis=1), "risk": lambda x: (x * x).sum(axis=1) / 2}
    fast, slow = simulate(Linear()).values, simulate(Linear(), observables=functions).values
    for name in functions:
        np.testing.assert_allclose(fast[name], slow[name], rtol=1e-14)


def test_a_function_that_writes_into_its_argument_harms_no_other_observable():
    """Each user's function gets positions of its own."""

    def spoil(x):
        x[:] = 7.0
        return x[:, 0]

    got = simulate(Linear(), observables={"spoilt": spoil, "x": "state", "first": lambda x: x[:, 0]})
    assert np.array_equal(got.values["x"], simulate(Linear()).values["state"])
    assert np.array_equal(got.values["first"], got.values["x"][:, :, 0])


def test_retiring_stops_a_chunk_and_changes_no_passage():
    """With retire the passages stay the same, fewer steps are run and the progress is still complete."""
    passage = {"observables": {"t": FirstPassage("norm", below=1.0)}, "steps": 400, "chunk": 16}
    retire = {"t": FirstPassage("norm", below=1.0, retire=True)}
    patient, hasty, bar = Linear(), Linear(), Counter()
    expected = simulate(patient, **passage)
    got = simulate(hasty, **{**passage, "observables": retire}, progress=bar)
    assert np.array_equal(got.values["t"], expected.values["t"]) and np.isfinite(got.values["t"]).all()
    assert max(last for *_, last in hasty.calls) == got.values["t"].max() < 400
    assert bar.total == 40 * 400


@pytest.mark.parametrize("chunk", [16, 64])
def test_retired_paths_do_not_report_a_later_overflow(chunk):
    """A path that overflows after its passage is not reported, whatever the chunk."""
    x0 = np.geomspace(1e-3, 1e3, 40)[:, None] * np.ones(3)
    options = {"x0": x0, "steps": 200, "chunk": chunk, "record": [200]}
    explosive = Linear(factor=10.0, scale=0.0)
    got = simulate(explosive, observables={"t": FirstPassage("norm", above=1e4, retire=True)}, **options)
    assert (got.overflow_steps == -1).all() and np.isfinite(got.values["t"]).all()
    with pytest.warns(OverflowedPaths, match="40 of 40"):
        simulate(explosive, observables={"t": FirstPassage("norm", above=1e4)}, **options)


def test_memory_does_not_grow_with_the_steps():
    """Three recorded numbers a path are all that is kept, whatever the steps and the window."""
    observables = {
        "risk": "risk", "m": Mean("risk"), "w": WindowMean("norm", 450), "t": FirstPassage("risk", below=0)
    }  # fmt: skip
    peaks = []
    simulate(Linear(50), np.ones(50), steps=2, observables=observables)
    for steps in (20, 600):
        tracemalloc.start()
        got = simulate(Linear(50), np.ones(50), paths=64, steps=steps, record=3, observables=observables)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert {name: values.shape for name, values in got.values.items()} == {
        "risk": (64, 3), "m": (64, 3), "w": (64, 3), "t": (64,)
    }  # fmt: skip
    assert peaks[1] < peaks[0] + 200_000 < 64 * 50 * 600 * 8 / 10


def test_overflow_is_reported_once_with_count_and_step_and_leaves_no_nan():
    """One warning names how many paths, of how many, and the first step; lost values are inf."""
    x0 = np.where(np.arange(40) < 7, 1e140, 0.0)[:, None] * np.array([1.0, -1.0, 1.0])
    observables = {
        "risk": "risk",
        "norm": "norm",
        "x": "state",
        "gap": lambda x: x[:, 0] + x[:, 1],
        "m": Mean("risk"),
        "w": WindowMean(lambda x: x[:, 1], 5),
    }
    explosive = Linear(factor=10.0, scale=0.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got = simulate(explosive, x0, steps=400, chunk=16, threads=2, observables=observables)
    assert [w.category for w in caught] == [OverflowedPaths]
    assert "7 of 40 paths" in str(caught[0].message) and "step 11" in str(caught[0].message)
    assert np.array_equal(got.overflow_steps, np.where(np.arange(40) < 7, 11, -1))
    for name, values in got.values.items():
        assert not np.isnan(values).any()
        assert (values[7:] == 0).all()
        assert name in ("x", "gap", "w") or (values[:7, got.record >= 11] == np.inf).all()
    assert (got.values["gap"][:7, -1] == np.inf).all() and (got.values["x"][:7, -1] == np.inf).all()


def test_a_recurrence_is_watched_for_overflow_at_every_step():
    """A nan that a user's recurrence makes between recorded steps is dated to its step."""

    class Spike(Momentum):
        def step(self, k, state, noise):
            x, v = state
            return (np.full_like(x, np.nan) if k == 12 else x), v

    with pytest.warns(OverflowedPaths, match="40 of 40 paths overflowed, the first at step 13"):
        got = simulate(RecurrenceSimulator(Spike(), 3), record=[30], observables="norm")
    assert (got.values["norm"] == np.inf).all()


def our_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("sgdlimits")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_in_a_worker_stops_the_others_and_leaves_no_thread(error):
    """What one worker raises reaches the caller; the rest stop long before their end."""
    last, lock = [0], threading.Lock()

    def act(k):
        with lock:
            last[0] += 1
            if last[0] == 20:
                raise error
        time.sleep(1e-4)

    bar = Counter()
    options = {"steps": 10**6, "record": 2, "observables": "norm", "progress": bar}
    with pytest.raises(error):
        simulate(RecurrenceSimulator(Momentum(act), 3), chunk=16, threads=2, **options)
    assert our_threads() == [] and bar.closed and bar.total < 40 * 10**5


def test_ctrl_c_in_the_main_thread_stops_promptly(request):
    """An interrupt that reaches the waiting main thread ends a run of a million steps within seconds."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores interrupts
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    began = time.perf_counter()

    def act(k):
        if k == 5:
            _thread.interrupt_main()
        time.sleep(1e-4)

    with pytest.raises(KeyboardInterrupt):
        simulate(RecurrenceSimulator(Momentum(act), 3), steps=10**6, record=2, observables="norm")
    assert our_threads() == [] and time.perf_counter() - began < 20


def test_ctrl_c_while_a_thread_is_started_leaves_none_behind(request, monkeypatch):
    """An interrupt inside Thread.start, of which the pool does not learn that the thread runs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    start = threading.Thread.start

    def slowly_started(thread):
        start(thread)
        for _ in range(300 if thread.name.startswith("sgdlimits") else 0):
            time.sleep(1e-3)

    def act(k):
        if k == 5:
            _thread.interrupt_main()
        time.sleep(1e-4)

    monkeypatch.setattr(threading.Thread, "start", slowly_started)
    with pytest.raises(KeyboardInterrupt):
        simulate(RecurrenceSimulator(Momentum(act), 3), steps=10**6, record=2, observables="norm")
    assert our_threads() == []


class Counter:
    def __init__(self):
        self.total, self.closed = 0, False

    def update(self, n):
        self.total += n

    def close(self):
        self.closed = True


def test_progress_counts_path_steps(capsys):
    """The reports add up to paths x steps, then the object is closed; True draws a bar on standard error."""
    bar = Counter()
    simulate(Linear(), progress=bar, threads=2, chunk=16)
    assert bar.total == 40 * 30 and bar.closed
    before = threading.active_count()
    simulate(Linear(), progress=True)
    assert "1.2e+03 path-steps (100 %)" in capsys.readouterr().err and threading.active_count() == before


BAD = [
    ({"paths": 0}, "paths must be at least 1, got 0"),
    ({"steps": -3}, "steps must be at least 0, got -3"),
    ({"steps": 2.5}, "2.5"),
    ({"record": [3, 31]}, "step 31, but the run has 30 steps"),
    ({"record": [3, 9, 5]}, "step 5 after step 9"),
    ({"record": [-2, 9]}, "got -2"),
    ({"record": [1.5]}, "whole steps, got 1.5"),
    ({"record": []}, "record is empty"),
    ({"record": 32}, "32 steps, but a run from step 0 to 30 has 31"),
    ({"x0": np.ones(4)}, r"\(4,\).*\(3,\) or \(40, 3\)"),
    ({"x0": np.ones((39, 3))}, r"\(39, 3\)"),
    ({"x0": [1.0, np.nan, 0.0]}, "nan"),
    ({"x0": Gaussian(np.zeros(2), np.eye(2))}, "dimension 2"),
    ({"x0": (np.zeros(3), np.diag([1.0, -2.0, 1.0]))}, "semidefinite.*-2"),
    ({"x0": (np.zeros(3), np.eye(3) + np.eye(3, k=1))}, "symmetric"),
    ({"x0": (np.zeros(3), np.eye(2))}, r"\(2, 2\)"),
    ({"observables": ["rsk"]}, "'rsk'.*'risk'"),
    ({"observables": {"y": "stat"}}, "'stat'.*'state'"),
    ({"observables": []}, "observables is empty"),
    ({"observables": 3}, "int"),
    ({"observables": {"step": "risk"}}, "'step' cannot be used"),
    ({"observables": {"late": Mean("risk", since=9)}}, "'late' is a mean since step 9.*step 0"),
    ({"observables": {"t": FirstPassage("state", below=1.0)}}, r"one number a path.*\(3,\)"),
    ({"observables": {"y": lambda x: x[:5]}}, r"'y' returned shape \(5, 3\) for 40 paths"),
    ({"observables": {"y": lambda x: np.zeros((40, 3, 3))}}, r"\(40, 3, 3\)"),
    ({"observables": {"y": lambda x: None}}, "'y'"),
    ({"observables": {"y": lambda x: "text"}}, "observable 'y' returns .* got texts"),
    ({"observables": {"y": lambda x: np.full(40, np.nan)}}, "'y' is nan at step 0 on path 0"),
    ({"observables": {"y": lambda x: np.zeros((40, 1 + int(x[0, 0] > 0.9)))}}, "'y' changes its shape"),
    ({"seed": -1}, "-1"),
    ({"seed": 2**64}, str(2**64)),
    ({"quality": "float46"}, "'float46'.*'float64'"),
    ({"threads": 0}, "threads must be at least 1, got 0"),
    ({"chunk": 0}, "chunk must be at least 1, got 0"),
    ({"progress": "yes"}, "str"),
]


@pytest.mark.parametrize(("options", "message"), [pytest.param(*bad, id=str(i)) for i, bad in enumerate(BAD)])
def test_bad_input_is_refused_with_the_offending_value(options, message):
    """Each bad argument gives InvalidInput whose sentence holds what was got."""
    with pytest.raises(InvalidInput, match=message):
        simulate(Linear(scale=0.0), **options)
    assert our_threads() == []


def test_bad_recurrences_and_reducers_are_refused():
    """A missing method, a step without a result, a wrong shape, a missing risk and a bad level are named."""

    class Silent(Momentum):
        def step(self, k, state, noise):
            pass

    class Wide(Momentum):
        def position(self, state):
            return np.ones((48, 3))

    with pytest.raises(InvalidInput, match="'initial_state'"):
        RecurrenceSimulator(object(), 3)
    with pytest.raises(InvalidInput, match="Silent.step returned None at step 0"):
        simulate(RecurrenceSimulator(Silent(), 3), observables="norm")
    with pytest.raises(InvalidInput, match=r"\(48, 3\), but must return \(48, 2\)"):
        simulate(RecurrenceSimulator(Wide(), 2), (1.0, 2.0))
    with pytest.raises(InvalidInput, match="no built-in 'risk'"):
        simulate(RecurrenceSimulator(Momentum(), 3), observables="risk")
    with pytest.raises(InvalidInput, match="exactly one of below and above"):
        FirstPassage("risk")
    with pytest.raises(InvalidInput, match="window must be at least 1, got 0"):
        WindowMean("risk", 0)


@given(st.integers(1, 10**6), st.integers(1, 10**7), st.integers(1, 64), st.sampled_from([0.0, 1e-4, 0.1, 1.0]))
@settings(derandomize=True)
def test_default_chunk_fits_the_cache_and_occupies_the_threads(dimension, paths, threads, in_numpy):
    """A chunk is whole packs that fit in cache; with NumPy functions it depends on neither paths nor threads, and is
    the larger the more often they are called."""
    chunk = engine_module.default_chunk(dimension, paths, threads, in_numpy)
    assert chunk > 0 and chunk % PACK == 0
    assert chunk == PACK or chunk * dimension * 8 <= engine_module.CACHE_BYTES
    if in_numpy:
        assert chunk == engine_module.default_chunk(dimension, 1, 1, in_numpy)
        assert chunk <= engine_module.default_chunk(dimension, 1, 1, 1.0)
    elif paths >= PACK * threads:
        assert -(-paths // chunk) >= threads / 2


def test_gaussian_start_has_its_law_and_singular_covariances_stay_on_their_range():
    """Sample mean and covariance lie within five standard errors; a rank-one law stays on its line."""
    law = Gaussian([1.0, -1.0], [[2.0, 0.8], [0.8, 0.5]])
    x = simulate(Linear(2), law, paths=4000, steps=0, observables="state").values["state"][:, 0]
    assert (np.abs(x.mean(axis=0) - law.mean) < 5 * np.sqrt(np.diag(law.covariance) / 4000)).all()
    products = (x - law.mean)[:, :, None] * (x - law.mean)[:, None, :]
    error = products.std(axis=0) / np.sqrt(4000)
    assert (np.abs(products.mean(axis=0) - law.covariance) < 5 * error).all()
    assert (np.abs(products.mean(axis=0) - 1.5 * law.covariance) > 5 * error).any()
    line = Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 4.0]])
    x = simulate(Linear(2), line, steps=0, observables="state").values["state"][:, 0]
    np.testing.assert_allclose(x[:, 1], 2 * x[:, 0], rtol=1e-6, atol=1e-7)


def test_initial_moments_of_each_form_of_x0():
    """A point has no covariance, an array of paths its empirical law, a Gaussian its own."""
    rows = np.array([[1.0, 2.0], [3.0, 2.0], [2.0, 5.0]])
    assert np.array_equal(initial_moments([1.0, 2.0], 2)[1], np.zeros((2, 2)))
    np.testing.assert_allclose(initial_moments(rows, 2)[1], np.cov(rows.T, ddof=0), atol=1e-15)
    mean, covariance = initial_moments([[1.0, 0.0], np.eye(2)], 2)
    assert np.array_equal(mean, [1.0, 0.0]) and np.array_equal(covariance, np.eye(2))


def test_recorded_steps_of_each_form_of_record():
    """None gives about 50 even steps with both ends, an int that many, a sequence itself."""
    assert np.array_equal(recorded_steps(None, 1000), np.arange(0, 1001, 20))
    assert np.array_equal(recorded_steps(None, 7), np.arange(8))
    assert np.array_equal(recorded_steps(4, 30), [0, 10, 20, 30])
    assert np.array_equal(recorded_steps(1, 30), [30])
    assert recorded_steps((0, 4.0, 9), 9).dtype == np.int64


def test_the_bare_name_is_refused():
    """Importing the folder as `ensembles` says which name to use."""
    file = Path(engine_module.__file__).with_name("__init__.py")
    spec = importlib.util.spec_from_file_location("ensembles", file)
    with pytest.raises(ImportError, match="import sgdlimits.ensembles, not ensembles"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_noise_of_a_path_is_what_the_recurrence_was_given():
    """The engine hands each chunk the noise of its own paths: a path can be redone alone."""
    x = np.ones((PACK, 3))
    noise = Noise(5, np.arange(2 * PACK, 3 * PACK))
    for k in range(30):
        x = 0.9 * x + 0.3 * noise.normals(Purpose.BROWNIAN, k, 3)
    got = simulate(Linear(), np.ones(3), observables="state", chunk=16)
    assert np.array_equal(got.values["state"][32:, -1], x[:8])
