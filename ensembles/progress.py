"""Progress of a long run: an object with `update(n)` and `close()`, silent unless asked for."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from sgdlimits.exact.errors import InvalidInput

FIRST_WORD = 10.0  # seconds after which a search that nobody asked to report says that it goes on
LINE_EVERY = 30.0  # seconds between the lines of a run whose standard error is no terminal


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


class Lines:
    """Whole lines now and then and one at the end, for a log file: a moving bar would fill it."""

    def __init__(self, total: float, unit: str = "path-steps") -> None:
        self._total, self._done, self._unit = total, 0, unit
        self._last = -1  # what the last line said
        self._began = self._said = time.monotonic()

    def update(self, n: int, /) -> None:
        self._done += n
        now = time.monotonic()
        if now - self._said >= LINE_EVERY:
            self._said = now
            self._say(now)

    def close(self) -> None:
        if self._done != self._last:
            self._say(time.monotonic())

    def _say(self, now: float) -> None:
        known = math.isfinite(self._total) and self._total > 0
        share = f" ({100 * self._done / self._total:.0f} %)" if known else ""
        took = now - self._began
        left = took / self._done * (self._total - self._done) if known and self._done else 0.0
        coming = f", about {left:.0f} s left" if left >= 1 else ""
        self._last, unit = self._done, self._unit.removesuffix("s") if self._done == 1 else self._unit
        print(f"{self._done:.3g} {unit}{share} in {took:.0f} s{coming}", file=sys.stderr, flush=True)


class Patience:
    """Says on standard error how a search of unknown length stands, once it takes long."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._next = self._began + FIRST_WORD

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def look(self, standing: Callable[[], str]) -> None:
        """Called now and then; `standing` is asked only where something is said."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + LINE_EVERY
            if sys.stderr is not None:
                print(f"{self._what}: {standing()}, {now - self._began:.0f} s so far", file=sys.stderr, flush=True)


class Patient:
    """A report for a run that nobody asked to report: a line on standard error, once it takes long."""

    def __init__(self, what: str, unit: str) -> None:
        self._patience, self._done, self._unit = Patience(what), 0, unit

    def update(self, n: int, /) -> None:
        self._done += n
        self._patience.look(lambda: f"{self._done:.3g} {self._unit}")

    def close(self) -> None:
        pass


class KeptOpen:
    """One report for several runs: each of them closes it, and it stays open."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner

    def update(self, n: int, /) -> None:
        self._inner.update(n)

    def close(self) -> None:
        pass


def open_progress(
    progress: bool | Progress | None, total: float, unit: str = "path-steps", patient: str = ""
) -> Progress:
    """The object that a run of `total` path-steps, or other units, reports to; safe to call from several threads.

    Parameters
    ----------
    progress : None or False, True, or an object with `update(n)` and `close()`
        True: a tqdm bar with the time left on standard error, a notebook's too; whole lines now and then where that is
        neither.
    total : int, or inf where it is not known
    patient : str
        What is run, where it says after a while by itself that it goes on: with `progress` None, not with False.

    Raises
    ------
    InvalidInput
        If `progress` is none of these.
    """
    if progress is None and patient:
        return Locked(Patient(patient, unit))
    if progress is None or progress is False:
        return Silent()
    if progress is True:
        shown = sys.stderr is not None and (sys.stderr.isatty() or _in_notebook())
        return Locked(_bar(total, unit) if shown else Lines(total, unit))
    if callable(getattr(progress, "update", None)) and callable(getattr(progress, "close", None)):
        return Locked(progress)
    raise InvalidInput(
        f"progress must be True, None or an object with update(n) and close(), got {type(progress).__name__}"
    )


def _in_notebook() -> bool:
    """Whether a notebook's kernel runs this: it shows a moving bar, though its standard error is no terminal."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None and hasattr(shell, "get_ipython") else None
    return type(found).__name__ == "ZMQInteractiveShell"


def _bar(total: float, unit: str) -> Progress:
    from tqdm import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # tqdm's monitor thread would outlive the run

    return Bar(total=total, unit=f" {unit}", unit_scale=True, file=sys.stderr)
