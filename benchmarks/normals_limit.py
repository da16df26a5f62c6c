"""The yardstick: the package's own float32 normals by hand in AVX2, where a compiler and such a processor are there."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sgdlimits.ensembles.normals import pack_normals, scratch
from sgdlimits.ensembles.random import PACK, Purpose

SOURCE = Path(__file__).with_suffix(".c")
FLAGS = ("-O3", "-mavx2", "-mfma", "-ffp-contract=off")
BLOCKS = 32  # of scratch, which stays in cache


@dataclass(frozen=True)
class Yardstick:
    """The compiled program: `compiler` says by what and how; `run(numbers)` draws at least so many normals."""

    library: ctypes.CDLL
    compiler: str

    def run(self, numbers: float) -> Callable[[], object]:
        """A contender that draws `numbers` normals, rounded up to whole calls."""
        out = np.empty((4 * BLOCKS, PACK), np.float32)
        blocks, times_over = ctypes.c_int64(BLOCKS), ctypes.c_int64(-(-int(numbers) // out.size))
        return lambda: self.library.many(_pointer(out), blocks, times_over)

    def normals(self, blocks: int, seed: int, path: int, first: int) -> np.ndarray:
        """Normals (4 blocks, PACK), to be compared with the package's."""
        out = np.empty((4 * blocks, PACK), np.float32)
        numbers = ctypes.c_int64(blocks), ctypes.c_uint64(seed), ctypes.c_uint32(Purpose.BROWNIAN)
        self.library.normals(_pointer(out), *numbers, ctypes.c_uint64(path), ctypes.c_uint64(first))
        return out


def _pointer(out: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(out.ctypes.data)


def yardstick() -> Yardstick | str:
    """Compile it and compare its normals with the package's to the bit; where that cannot be done, why."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return "no C compiler"
    target = Path(tempfile.mkdtemp()) / "normals_limit.so"
    command = [compiler, *FLAGS, "-shared", "-fPIC", str(SOURCE), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return "not compiled: " + done.stderr.strip().splitlines()[0][:80]
    if not _has_avx2():
        return "the processor has no AVX2"
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    found = Yardstick(ctypes.CDLL(str(target)), f"{version}, {' '.join(FLAGS)}")
    seed, path, blocks = 2**63 + 12345, 2**33 + 7 * PACK, 50
    ours = np.empty((4 * blocks, PACK), np.float32)
    pack_normals(ours, *scratch("float32"), np.uint64(seed), int(Purpose.BROWNIAN), path, 4 * (2**32 - 2))
    if not np.array_equal(ours, found.normals(blocks, seed, path, 2**32 - 2)):
        return "its normals are not the package's"
    return found


def _has_avx2() -> bool:
    from llvmlite import binding

    return bool(binding.get_host_cpu_features().get("avx2"))
