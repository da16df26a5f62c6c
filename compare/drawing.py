"""Pictures of a report, each drawn once; side by side in copies of this process where those are safe."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from sgdlimits.exact.threads import threads_of

from .html_page import Picture
from .style import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawing = tuple[str, str, Callable[[], "Figure"]]  # file name without ending, caption, what gives the figure
THREADED = {"jax", "torch", "tensorflow", "dask.distributed"}  # libraries that keep threads of their own
_held: Sequence[Drawing] = ()  # in a copy: what the first process had


def drawn(figures: Sequence[Drawing], tell: Callable[[str], None]) -> Iterator[Picture | str]:
    """Each picture in its turn, or the sentence that says why there is none.

    Parameters
    ----------
    figures : sequence of (file name without ending, caption, function that gives the figure)
    tell : callable
        Called with the name of the figure that is waited for.
    """
    workers, first = min(threads_of(), len(figures)), 0
    if workers > 1 and _can_copy():
        try:
            for picture in _side_by_side(figures, workers, tell):
                yield picture
                first += 1
        except (BrokenProcessPool, OSError):
            pass  # a copy was refused or killed, for memory say: the rest one by one
    for figure in figures[first:]:
        tell(f"figure {figure[0]}")
        yield draw(figure)


def draw(figure: Drawing) -> Picture | str:
    """The picture, or why it could not be drawn."""
    name, caption, make = figure
    try:
        return Picture(name, caption, *render(make(), "svg", "png"))
    except MemoryError:
        return f"Figure {name} could not be drawn: not enough memory."
    except Exception as error:  # matplotlib raises of every kind; the numbers are safe already
        return f"Figure {name} could not be drawn ({first_line(error)})."


def first_line(error: Exception) -> str:
    """Kind and message of an error, shortened."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    return text if len(text) <= 160 else f"{text[:160]}..."


def _can_copy() -> bool:
    """Whether a fork is safe: other threads could hold locks that nobody in the copy gives back."""
    return sys.platform == "linux" and threading.active_count() == 1 and not THREADED & set(sys.modules)


def _side_by_side(
    figures: Sequence[Drawing], workers: int, tell: Callable[[str], None]
) -> Iterator[Picture | str]:
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401  # once, before the copies are made

    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _hold, (figures,))
    try:
        with warnings.catch_warnings():  # of threads that wait: those of BLAS, which are stopped for the copy
            warnings.simplefilter("ignore", DeprecationWarning)
            waiting = [pool.submit(_draw_held, place) for place in range(len(figures))]
        for figure, each in zip(figures, waiting):
            tell(f"figure {figure[0]}")
            yield each.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _hold(figures: Sequence[Drawing]) -> None:
    global _held
    _held = figures
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends its copies


def _draw_held(place: int) -> Picture | str:
    return draw(_held[place])
