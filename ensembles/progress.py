"""Progress of a long run: an object with `update(n)` and `close()`, silent unless asked for."""

from __future__ import annotations

import sys
import threading
from typing import Any, Protocol

from sgdlimits.exact.errors import InvalidInput


class Progress(Protocol):
    """What a run reports to: `update(n)` after n more path-steps, `close()` once at the end."""

    def update(self, n: int, /) -> Any: ...

    def close(self) -> Any: ...


class Silent:
    """Reports nothing."""

    def update(self, n: int, /) -> None:
        pass

    def close(self) -> None:
        pass


class Locked:
    """Passes reports on, one thread at a time."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self._lock = threading.Lock()

    def update(self, n: int, /) -> None:
        with self._lock:
            self._inner.update(n)

    def close(self) -> None:
        with self._lock:
            self._inner.close()


def open_progress(progress: bool | Progress | None, total: int) -> Progress:
    """The object that a run of `total` path-steps reports to; safe to call from several threads.

    Parameters
    ----------
    progress : None or False, True, or an object with `update(n)` and `close()`
        True: a tqdm bar on standard error.
    total : int
        Number of path-steps.

    Raises
    ------
    InvalidInput
        If `progress` is none of these.
    """
    if progress is None or progress is False:
        return Silent()
    if progress is True:
        return Locked(_bar(total))
    if callable(getattr(progress, "update", None)) and callable(getattr(progress, "close", None)):
        return Locked(progress)
    raise InvalidInput(
        f"progress must be True, None or an object with update(n) and close(), got {type(progress).__name__}"
    )


def _bar(total: int) -> Progress:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        monitor_interval = 0  # tqdm's monitor thread would outlive the run

    return Bar(total=total, unit=" path-steps", unit_scale=True, file=sys.stderr)
