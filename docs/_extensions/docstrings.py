"""What the docstrings mean: plain text, with `names` and ``code``.

Stars and bars stand for themselves. A name that has a page leads there, and so do names of numpy, scipy and xarray of
which inventories/ knows the address.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import api_pages
import inventories
from formulas import MENTION

COLON = "\ue000"  # stands for a colon while napoleon reads
SHOWN = {"tour": "README.md", "contributing": "CONTRIBUTING.md"}
LINKS = {"docs/": "", "CONTRIBUTING.md": "contributing.md", "CITATION.cff": "../CITATION.cff"}
OTHER = re.compile(r"(?<![\w.`])((?:numpy|scipy|xarray)\.[A-Za-z_][\w.]*\w)")


@cache
def targets() -> dict[str, str]:
    """{name as it may be written: its full name}, for public names: `discrete.SGD`, `SGD`, `rules.Adam`."""
    found: dict[str, str] = {}
    twice = set()
    for module, homes in api_pages.pages().items():
        for name, home in homes.items():
            full = f"sgdlimits.{home}.{name}"
            parts = f"sgdlimits.{module}.{name}".split(".")
            for short in (".".join(parts[first:]) for first in range(len(parts))):
                if found.setdefault(short, full) != full:
                    twice.add(short)
    return {short: full for short, full in found.items() if short not in twice}


@cache
def addresses() -> frozenset[str]:
    """Names of other libraries that have an address."""
    return frozenset(inventories.names())


def linked(text: str) -> str:
    """Text between single backticks: a link where it names something public, else code."""
    name, opening, rest = text.partition("(")
    full = targets().get(name)
    if full is None:
        return f"``{text}``"
    return f":py:obj:`{text} <{full}>`" if opening and rest else f":py:obj:`{name} <{full}>`"


def other(match: re.Match[str]) -> str:
    return f":py:obj:`{match[1]}`" if match[1] in addresses() else match[1]


def line_of(line: str) -> str:
    """One line in reStructuredText; what stands between double backticks is left alone."""
    parts = re.split(r"(``.+?``|:[\w:]+:`[^`]+`|`[^`]+`)", line)
    for place, part in enumerate(parts):
        if place % 2 == 0:
            text = OTHER.sub(other, re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", part))
            parts[place] = MENTION.sub(lambda found: f"{found[0][:7]} :eq:`{found[1]}`", text)
        elif part.startswith("`") and not part.startswith("``"):
            parts[place] = linked(part[1:-1])
    return "".join(parts)


def plain_text(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Before napoleon reads the sections: a type that is a public name leads to its page, too."""
    in_code = False
    for place, line in enumerate(lines):
        in_code = line.rstrip().endswith("::") or (in_code and (not line.strip() or line.startswith(" ")))
        if in_code and not line.rstrip().endswith("::"):
            continue
        after_rule = place > 0 and set(lines[place - 1].strip()) == {"-"}
        full = targets().get(line.strip())
        if after_rule and full:  # napoleon makes a link of what is raised, and needs its full name
            raised = lines[place - 2].strip() == "Raises"
            lines[place] = f"~{full}" if raised else f":py:obj:`{line.strip()} <{full}>`"
        else:
            lines[place] = line_of(line)
    if lines and what in ("property", "attribute"):  # napoleon takes what stands before a colon for a type
        lines[0] = lines[0].replace(": ", COLON)


def colons_again(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """After napoleon."""
    lines[:] = [line.replace(COLON, ": ") for line in lines]


def shown(app: Any, page: str, source: list[str]) -> None:
    """Two pages are files of the folder above, with their links as they are seen from here."""
    if page in SHOWN:
        text = (api_pages.FOLDER.parent.parent / SHOWN[page]).read_text(encoding="utf-8")
        for was, now in LINKS.items():
            text = text.replace(f"]({was}", f"]({now}")
        source[0] = text


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", plain_text, priority=400)
    app.connect("autodoc-process-docstring", colons_again, priority=600)
    app.connect("source-read", shown)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
