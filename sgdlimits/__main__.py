"""Command line: sgdlimits study NAME [options], sgdlimits list, sgdlimits completion SHELL."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any


class Terminated(BaseException):
    """A polite request to end (SIGTERM): like Ctrl-C, it leaves nothing half done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 (wrong input, one sentence), 130 or 143 (interrupted)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ± must not end a long run
    before = _on_termination()
    try:
        from . import command_line

        return command_line.run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        return fail(f"interrupted; {_left(arguments)}", 130)
    except Terminated:
        return fail(f"terminated; {_left(arguments)}", 143)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _left(arguments: Sequence[str] | None) -> str:
    """What is on the disk after an interruption."""
    if list(sys.argv[1:] if arguments is None else arguments)[:1] == ["sweep"]:
        return "finished cells are kept, and the same command goes on from there"
    return "nothing was written"


def fail(message: str, code: int) -> int:
    """Say one sentence on standard error."""
    try:
        print("sgdlimits: " + " ".join(message.split()), file=sys.stderr)
    except OSError:
        pass  # nobody listens; the code still tells
    return code


def _on_termination() -> Any:
    """Let SIGTERM raise, in the main thread; the handler that was there before."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def stop(*_: Any) -> None:
        raise Terminated

    return signal.signal(signal.SIGTERM, stop)


def script() -> int:
    """Entry point of the installed command: nothing is left to fail once the interpreter ends."""
    code = main()
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or fail("standard output was closed", 2)
    return code


if __name__ == "__main__":
    raise SystemExit(script())
