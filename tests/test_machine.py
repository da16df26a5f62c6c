"""The machine around a run: damaged caches, thread limits, logs, copies, a debugger's settings."""

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from sgdlimits.ensembles import progress
from sgdlimits.exact import compiling
from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.problems import LeastSquares

ROOT = Path(__file__).resolve().parent.parent
KERNEL = """
from sgdlimits.exact.compiling import compiled

@compiled
def double(x):
    return 2.0 * x
"""


@pytest.fixture
def use(tmp_path, monkeypatch):
    """A function that imports the kernel anew, as another process would, and gives its value and the warnings."""
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "kernel_file.py").write_text(KERNEL)

    def once():
        monkeypatch.setattr(compiling._Guard, "warned", False)
        module = types.ModuleType("kernel_file")
        module.__file__ = str(tmp_path / "kernel_file.py")
        exec(compile(KERNEL, module.__file__, "exec"), module.__dict__)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            value = module.double(4.0)
        return value, [str(warning.message) for warning in said]

    return once


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("harm", ["truncated", "garbled", "empty"])
def test_a_damaged_cache_is_said_once_and_made_anew(tmp_path, use, ending, harm):
    """Assert the right value with one warning, and none in the run after that."""
    assert use() == (8.0, [])
    (path,) = (tmp_path / "cache").rglob(f"*double*{ending}")
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "garbled": b"\x80\x05x" * 50, "empty": b""}[harm])
    value, said = use()
    assert value == 8.0 and len(said) == 1 and "cannot be used" in said[0]
    assert use() == (8.0, [])


def test_a_cache_that_cannot_be_written_is_done_without(use, monkeypatch):
    """Assert it for a full disk, which lets the folder be made but no file be written."""
    from numba.core import caching

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_index", full)
    value, said = use()
    assert value == 8.0 and len(said) == 1 and "compiled in memory" in said[0]


def test_kernels_stay_compiled_under_a_debuggers_setting():
    """Assert that NUMBA_DISABLE_JIT=1 is set aside with a word, and refused in a sentence where it is too late."""
    from sgdlimits.ensembles import Noise, Purpose

    code = "import numpy as np; from sgdlimits.ensembles import Noise, Purpose; "
    code += "print(Noise(0, np.arange(16)).normals(Purpose.BROWNIAN, 3, 4).tolist())"
    setting = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=setting, capture_output=True, text=True)
    assert done.stderr.count("set aside") == 1
    assert done.stdout.strip() == str(Noise(0, np.arange(16)).normals(Purpose.BROWNIAN, 3, 4).tolist()), done.stderr
    code = "import numba, sgdlimits.ensembles"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=setting, capture_output=True, text=True)
    assert "InvalidInput: NUMBA_DISABLE_JIT is set and numba was loaded" in done.stderr


def test_long_compiling_is_announced_once_where_it_is_wanted(monkeypatch, capsys):
    monkeypatch.setattr(compiling, "PATIENCE", 0.01)
    announcement = compiling._Announcement()
    for wanted in (False, True):
        announcement.wanted = wanted
        for _ in range(2):
            announcement.begin()
            time.sleep(0.1)
            announcement.end()
        assert capsys.readouterr().err.count("compiling kernels") == wanted
    announcement.wanted = True
    announcement.begin()
    announcement.end()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def blas_threads():
    return {found["filepath"]: found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


def test_overlapping_runs_restore_the_limits_in_any_order():
    """Assert one thread while either of two overlapping runs lasts, and what was before after the last."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(2, user_api="blas"):
        before, seen = blas_threads(), []
        first_in, first_may_leave = threading.Event(), threading.Event()

        def first():
            with one_blas_thread():
                first_in.set()
                first_may_leave.wait(10)

        thread = threading.Thread(target=first)
        thread.start()
        first_in.wait(10)
        with one_blas_thread():
            first_may_leave.set()
            thread.join()
            seen.append(set(blas_threads().values()))
        assert seen == [{1}]
        assert blas_threads() == before
        with pytest.raises(KeyboardInterrupt), one_blas_thread():
            raise KeyboardInterrupt
        assert blas_threads() == before


def test_a_log_gets_whole_lines_and_few(monkeypatch, capsys):
    """Assert one line at the end, one more for each stretch of time, and no carriage return."""
    bar = progress.open_progress(True, 1000)
    for _ in range(1000):
        bar.update(1)
    bar.close()
    assert capsys.readouterr().err == "1e+03 path-steps (100 %) in 0 s\n"
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    bar = progress.open_progress(True, np.inf)
    for _ in range(3):
        bar.update(5)
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [f"{n} path-steps" for n in (5, 10, 15)]


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda problem: pickle.loads(pickle.dumps(problem))])
def test_a_copy_of_a_problem_is_as_read_only_as_the_problem(copied):
    """Assert that neither data nor what was derived from them can be changed behind the eigenvalues' back."""
    problem = LeastSquares.gaussian(6, 2)
    assert problem.eigenvalues.size == 2
    again = copied(problem)
    for array in (again.features, again.targets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    assert np.array_equal(again.eigenvalues, problem.eigenvalues)
