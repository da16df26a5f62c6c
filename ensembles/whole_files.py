"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"  # ending of a file that is not yet whole


@contextmanager
def whole_file(path: Path, durable: bool = False, keep_first: bool = False) -> Iterator[BinaryIO]:
    """A file to write to beside `path`, which is renamed to it once all is written, and removed on any failure.

    `durable`: flushed to the disk before, so that not even a power cut loses it. `keep_first`: a file that is there
    already, of a process that was faster, stays.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with open(partial, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if not keep_first:
            os.replace(partial, path)
            return
        try:
            os.link(partial, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
