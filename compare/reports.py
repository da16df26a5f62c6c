"""A report written to a folder: numbers and settings first, then figures, then the page that shows them."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


import sgdlimits

from .drawing import Drawing, drawn, first_line
from .html_page import Picture
from .output_folder import SETTINGS, check_folder, write_folder

LIBRARIES = ("numpy", "scipy", "numba", "xarray", "h5netcdf", "matplotlib")
PAGE = "report.html"


@dataclass(frozen=True, eq=False)
class Report:
    """What goes into a folder.

    Attributes
    ----------
    files : mapping of names to functions that write to a path
        Numbers and tables: written before any figure is drawn.
    settings : function of (names of all files, folder)
        Gives the text of study.toml; the folder stands beside the final one.
    figures : sequence of (file name without ending, caption, function that gives the figure)
    page : function of (pictures, sentences on figures that failed, versions)
        Gives the text of report.html.
    """

    files: Mapping[str, Callable[[Path], Any]]
    settings: Callable[[Sequence[str], Path], str]
    figures: Sequence[Drawing]
    page: Callable[[Sequence[Picture], Sequence[str], Mapping[str, str]], str]

    @property
    def names(self) -> list[str]:
        """Every file of the folder."""
        pictures = [f"{name}.{kind}" for name, _, _ in self.figures for kind in ("svg", "png")]
        return [PAGE, SETTINGS, *self.files, *pictures]


def write(
    folder: str | os.PathLike[str] | None,
    report: Report,
    stem: str,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a report; the folder appears complete or not at all.

    A figure that cannot be drawn is a sentence on the page: it never costs the numbers.

    Parameters
    ----------
    folder : path or None
        None: results/`stem`-001, -002, ... An existing folder is refused unless `overwrite`.
    report : Report
    stem : str
    overwrite : bool
    progress : callable, optional
        Called with what is being written.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InvalidInput
        If the folder exists or cannot be written.
    """
    tell = progress or (lambda _: None)
    check_folder(folder, overwrite)

    def fill(partial: Path) -> None:
        for name, put in report.files.items():
            put(partial / name)
        (partial / SETTINGS).write_text(report.settings(report.names, partial), encoding="utf-8")
        pictures, failed = [], []
        for picture in drawn(report.figures, tell):
            if isinstance(picture, str):
                failed.append(picture)
                continue
            (partial / f"{picture.name}.svg").write_bytes(picture.svg)
            (partial / f"{picture.name}.png").write_bytes(picture.png)
            pictures.append(picture)
        tell("report")
        (partial / PAGE).write_text(report.page(pictures, failed, versions()), encoding="utf-8")

    return write_folder(folder, stem, fill, overwrite)


def check_figures() -> None:
    """Raise, before any work is done, if matplotlib cannot be used.

    Raises
    ------
    InvalidInput
        If it refuses its own settings, an MPLBACKEND that it does not know for example.
    """
    from sgdlimits.exact.errors import InvalidInput

    try:
        import matplotlib.figure  # noqa: F401
    except Exception as error:
        hint = f"; MPLBACKEND is {os.environ['MPLBACKEND'][:60]!r}" if "MPLBACKEND" in os.environ else ""
        raise InvalidInput(f"matplotlib cannot be used ({first_line(error)}){hint}") from None


def file_names(names: Sequence[str]) -> dict[str, str]:
    """Each name as part of a file name: short, of letters, digits, - and _, and different from the others."""
    found: dict[str, str] = {}
    for name in names:
        candidate = file_name(name)
        if candidate.lower() in {other.lower() for other in found.values()}:  # some systems do not tell A from a
            candidate = f"{candidate[:60]}-{_checksum(name)}"
        found[name] = candidate
    return found


def file_name(name: str) -> str:
    """One name as part of a file name; what had to be changed is told apart by a checksum."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)[:60]
    return plain if plain == name and plain else f"{plain or '-'}-{_checksum(name)}"


def _checksum(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries, and the processor that kernels are compiled for."""
    import llvmlite.binding
    import numba

    found = {"sgdlimits": sgdlimits.__version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "unknown"
    found["processor"] = str(getattr(numba.config, "CPU_NAME") or llvmlite.binding.get_host_cpu_name())
    return found
