"""Where other libraries document their names: lists kept here, so that building needs no network.

The first line of inventories/NAME.txt is the address below which the pages lie, a later one is `name role page`.
"""

from __future__ import annotations

import zlib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "inventories"
LIBRARIES = ("numpy", "scipy", "xarray")


def listed(library: str) -> tuple[str, list[list[str]]]:
    """The address, and name, role, page of each name."""
    source = FOLDER / f"{library}.txt"
    if not source.is_file():
        raise FileNotFoundError(f"docs/inventories/{library}.txt is missing: names of {library} have no address")
    address, *lines = source.read_text(encoding="utf-8").split("\n")
    rows = [line.split() for line in lines if line.strip()]
    for number, row in enumerate(rows, start=2):
        if len(row) != 3:
            raise ValueError(f"docs/inventories/{library}.txt:{number}: {' '.join(row)!r} is not 'name role page'")
    return address.strip(), rows


def names() -> list[str]:
    return [name for library in LIBRARIES for name, _, _ in listed(library)[1]]


def mapping(target: Path) -> dict[str, tuple[str, str]]:
    """What intersphinx_mapping takes; the lists are written into `target` in Sphinx's own format."""
    target.mkdir(parents=True, exist_ok=True)
    found = {}
    for library in LIBRARIES:
        address, rows = listed(library)
        head = f"# Sphinx inventory version 2\n# Project: {library}\n# Version: stable\n"
        head += "# The remainder of this file is compressed using zlib.\n"
        body = "".join(f"{name} py:{role} 1 {page}#$ -\n" for name, role, page in rows)
        (target / f"{library}.inv").write_bytes(head.encode() + zlib.compress(body.encode()))
        found[library] = (address, str(target / f"{library}.inv"))
    return found
