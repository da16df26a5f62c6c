"""Cells in other processes: a killed worker costs at most its own cell, and a cluster is an executor like others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sgdlimits import studies
from sgdlimits.exact.errors import InvalidInput, MissingLibrary
from sgdlimits.studies._sweep.executors import dask_executor

from tests.optional import optional

OVER = {"a": list(range(24))}


def square(a):
    import time

    time.sleep(0.05)
    return a * a


def test_a_lost_worker_leaves_a_sentence_and_the_finished_cells(tmp_path):
    """Assert that the error says how to go on, and that what was finished is not computed again."""

    class Broken(ThreadPoolExecutor):
        def submit(self, function, /, *arguments, **options):
            future = super().submit(function, *arguments, **options)
            if arguments[0].place["a"][0] == 5:
                future.cancel()
                raise RuntimeError("the worker is gone")
            return future

    with Broken(2) as pool, pytest.raises(InvalidInput, match="1 of 24 cells were lost .* a=5 .*others are in the"):
        studies.sweep(square, OVER, tmp_path / "s", executor=pool)
    assert len(list((tmp_path / "s" / "cells").glob("*.npz"))) == 23
    assert studies.sweep(square, OVER, tmp_path / "s")["square"].values[5] == 25


def nested(a):
    from sgdlimits import studies

    return a * float(studies.sweep(square, {"a": [1, 2, 3]}, workers=2)["square"].sum())


@pytest.mark.slow
def test_a_sweep_in_a_cell_of_a_sweep_stays_in_its_worker(capfd):
    """Assert the numbers, and that no worker of a worker leaves a traceback at its end."""
    found = studies.sweep(nested, {"a": [1, 2, 3, 4]}, workers=2)
    assert found["nested"].values.tolist() == [14.0, 28.0, 42.0, 56.0]
    assert "Traceback" not in capfd.readouterr().err


def test_what_cannot_be_sent_is_said():
    """Assert a sentence for a cell that holds a lock."""
    lock = threading.Lock()
    with ThreadPoolExecutor(2) as pool, pytest.raises(InvalidInput, match="cannot be sent to other processes"):
        studies.sweep(lambda a: (lock, a)[1], OVER, executor=pool)


def test_warnings_of_threads_side_by_side_go_to_their_cells():
    """Assert that each cell has its own, and that the filters are what they were."""

    def cell(a):
        time.sleep(0.01)
        warnings.warn(f"of {a}", UserWarning, stacklevel=2)
        return a

    before = list(warnings.filters), warnings.showwarning
    with ThreadPoolExecutor(4) as pool:
        result = studies.sweep(cell, OVER, executor=pool)
    assert result.warned.values.tolist() == [f"of {a}" for a in OVER["a"]]
    assert (list(warnings.filters), warnings.showwarning) == before


@pytest.mark.slow
def test_workers_end_with_a_killed_run_and_lose_what_was_running_alone(tmp_path):
    """Assert that SIGKILL of the parent leaves no worker behind, and whole cells."""
    code = (
        "from sgdlimits import studies\n"
        "def cell(a):\n"
        "    import os, time\n"
        "    time.sleep(0.2)\n"
        "    return {'a2': a * a, 'pid': os.getpid()}\n"
        f"studies.sweep(cell, {{'a': list(range(200))}}, {str(tmp_path / 's')!r}, workers=2)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    cells = tmp_path / "s" / "cells"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (cells.is_dir() and len(list(cells.glob("*.npz"))) > 3):
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    found = studies.read_store(tmp_path / "s")
    known = found["a2"].values[~np.isnan(found["a2"].values)]
    assert known.size > 3 and found.attrs["failed"] == 0
    workers = {int(pid) for pid in found["pid"].values}
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and any(map(_alive, workers)):
        time.sleep(0.2)
    assert not any(map(_alive, workers))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_killed_worker_process_is_a_sentence(tmp_path):
    """Assert that a worker that dies (of memory, say) ends in a sentence, and the rest is done by the next run."""
    with pytest.raises(InvalidInput, match="cells were lost with their workers, the first at a=.* goes on without it"):
        studies.sweep(lambda a: (time.sleep(0.5), os._exit(1) if a == 20 else a), OVER, tmp_path / "s", workers=2)
    assert not [thread for thread in threading.enumerate() if "QueueManager" in thread.name]


@pytest.mark.extras
@pytest.mark.filterwarnings("default")  # of the cluster's own libraries
def test_a_cluster_of_which_a_worker_is_killed_gives_the_same_numbers(tmp_path):
    """Assert the numbers, through the address of a scheduler, with one of two worker processes killed on the way."""
    optional("distributed")
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=60
    ) as cluster:

        def kill():
            time.sleep(0.5)
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with dask_executor(cluster.scheduler_address) as executor:
            result = studies.sweep(square, OVER, tmp_path / "s", executor=executor)
        killer.join()
    np.testing.assert_array_equal(result["square"], np.square(OVER["a"]))
    assert result.attrs["failed"] == 0


@pytest.mark.extras
def test_a_cluster_that_is_not_there_is_a_sentence(monkeypatch):
    """Assert what is said of an address where nobody answers, and of a library that is missing."""
    optional("distributed")
    with pytest.raises(InvalidInput, match="no Dask scheduler answers"), dask_executor("tcp://127.0.0.1:9"):
        pass
    with pytest.raises(InvalidInput, match="address is like tcp://host:8786, got 'nonsense://x'"):
        with dask_executor("nonsense://x"):
            pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingLibrary, match="needs dask.distributed: install it"), dask_executor("tcp://127.0.0.1:9"):
        pass
