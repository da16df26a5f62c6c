"""What a computation costs before it is begun: memory is estimated, and refused where it is not there."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from .callers import callers_level
from .errors import InvalidInput, LongRun, OutOfReach

SMALL = 64 << 20  # bytes that are not worth a look at the machine
UNKNOWN = 8 << 30  # where the system does not say
MINUTE = 1 / 60  # of an hour
HOURS, SPEED = 3.0, 7e12  # that a computation may take, multiplications in an hour
CALLS = 3e4  # multiplications that Python's calls of one step, or of one product, cost


def check_memory(what: str, size: float, advice: str) -> None:
    """Raise if `size` bytes for `what` are not to be had; `advice` says what to change.

    Raises
    ------
    InvalidInput
        If the machine, the process's limit or its container has less.
    """
    if size <= SMALL:
        return
    free = available_bytes()
    if size > free:
        raise InvalidInput(f"{what} needs about {_bytes(size)} of memory, but {_bytes(free)} are free: {advice}")


def check_time(what: str, multiplications: float, advice: str, hours: float = HOURS, warn: bool = False) -> None:
    """Raise if these multiplications take longer; `advice` says what to ask for instead.

    With `warn`, one that takes over a minute warns.

    Raises
    ------
    OutOfReach
        If they do.
    """
    found = multiplications / SPEED
    if found > hours:
        raise OutOfReach(f"{what} takes about {found:.2g} hours, over {hours:.2g}: {advice}")
    if warn and found > MINUTE:
        warnings.warn(f"{what} takes about {found / MINUTE:.2g} minutes: {advice}", LongRun, stacklevel=callers_level())


def available_bytes() -> int:
    """Free memory of this machine, or of what this process may use of it, whichever is less."""
    found = [_of_machine(), _of_process(), _of_group()]
    return min((value for value in found if value is not None), default=UNKNOWN)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"


def _of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def _of_process() -> int | None:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return None
    return None if limit == resource.RLIM_INFINITY else max(0, limit - used)


def _of_group() -> int | None:
    """What a container leaves (control groups, version 2)."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        return None if limit == "max" else max(0, int(limit) - used)
    except (OSError, ValueError):
        return None
