"""The page of a report: one HTML file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from sgdlimits.exact.claims import Claim, bibliography

from .text_table import TextTable


@dataclass(frozen=True)
class Picture:
    """A figure with its file name (no ending), caption, and its bytes as SVG and PNG."""

    name: str
    caption: str
    svg: bytes
    png: bytes


def document(
    title: str,
    finding: str,
    warnings: Sequence[str],
    opening: str,
    sections: Mapping[str, Sequence[str]],
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    rerun: str,
    again: str = "",
) -> str:
    """The whole page.

    Parameters
    ----------
    title, finding : str
        The question, and the answer in a sentence or two.
    warnings : sequence of str
        Shown in colour below the finding.
    opening : str
        HTML above the first section.
    sections : mapping of titles to pieces of HTML
    settings, versions : mappings
        Listed under "To run it again".
    rerun : str
        The command to repeat it.
    again : str
        HTML that says how, where it is not by a study.toml in the folder.
    """
    title = html.escape(title)
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="finding">{html.escape(finding)}</p>',
        *(f'<p class="warning">{html.escape(warning)}</p>' for warning in warnings),
        opening,
    ]
    for heading, pieces in sections.items():
        parts += [f"<h2>{html.escape(heading)}</h2>", *pieces]
    parts += [
        "<h2>To run it again</h2>",
        again or f"<p>study.toml in this folder holds every setting: <code>{html.escape(rerun)}</code></p>",
        _pairs(settings),
        _pairs(versions),
    ]
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def figure(picture: Picture) -> str:
    """A picture inside the page, with its caption."""
    data = base64.b64encode(picture.svg).decode("ascii")
    caption = html.escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/svg+xml;base64,{data}">\n'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def figures(pictures: Sequence[Picture], *starts: str) -> list[str]:
    """Those pictures whose names begin so."""
    return [figure(picture) for picture in pictures if picture.name.startswith(starts)]


def note(text: str) -> str:
    """A sentence on how to read what stands above it."""
    return f'<p class="note">{html.escape(text)}</p>'


def theory(found: Sequence[tuple[Claim, Sequence[str]]]) -> list[str]:
    """Claims, each with the processes it is made of, and the BibTeX of their sources."""
    if not found:
        return ["<p>No claim of theory is attached to these processes.</p>"]
    items = []
    for claim, processes in found:
        assumptions = "; ".join(claim.assumptions) or "none"
        items.append(
            f"{', '.join(processes)}: {claim.statement}. Assumes: {assumptions}. Source: {claim.source}."
        )
    bibtex = bibliography([claim for claim, _ in found])
    return [bullets(items), f"<pre>{html.escape(bibtex)}</pre>" if bibtex else ""]


def wide(grid: TextTable) -> str:
    """A table that scrolls by itself where the page is narrow."""
    return f'<div class="wide">{grid.html()}</div>'


def bullets(texts: Sequence[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"


def _pairs(values: Mapping[str, Any]) -> str:
    rows = "".join(f"<dt>{html.escape(str(k))}</dt><dd>{html.escape(str(v))}</dd>" for k, v in values.items())
    return f"<dl>{rows}</dl>"
