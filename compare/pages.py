"""The page of a report: one HTML file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from sgdlimits.exact.claims import bibliography

from . import sentences, tables
from .outcomes import Laws, Orders


@dataclass(frozen=True)
class Picture:
    """A figure with its file name (no ending), caption, and its bytes as SVG and PNG."""

    name: str
    caption: str
    svg: bytes
    png: bytes


def page(
    laws: Laws,
    orders: Orders | None,
    pictures: Sequence[Picture],
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    notes: Sequence[str],
    rerun: str,
) -> str:
    """The whole page. `notes`: sentences on how the study was set up; `rerun`: the command to repeat it."""
    dataset = laws.dataset
    reference = str(dataset["process"].values[0])
    title = html.escape(f"How far is {reference} from its continuous limits?")
    alarms = sentences.mismatches(dataset) + sentences.overflowed(dataset)
    by_name = {picture.name: picture for picture in pictures}
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="finding">{html.escape(sentences.finding(dataset))}</p>',
        *(f'<p class="warning">{html.escape(alarm)}</p>' for alarm in alarms),
        f"<p>{html.escape(sentences.setting(dataset))}.</p>",
        tables.paragraphs(notes),
        "<h2>Verdicts</h2>",
        _wide(tables.laws_grid(dataset).html()),
        f'<p class="note">{html.escape(sentences.reading(dataset))} Every recorded step: table.csv.</p>',
        *(_figure(picture) for name, picture in by_name.items() if name.startswith("means")),
        "<h2>Where the difference in risk comes from</h2>",
        *_budget(laws, by_name),
        "<h2>Distance of the laws</h2>",
        *(_figure(picture) for name, picture in by_name.items() if name.startswith("laws")),
        *_gelbrich(laws),
    ]
    if orders is not None:
        parts += [
            "<h2>Observed weak order</h2>",
            _wide(tables.orders_grid(orders.dataset).html()),
            f'<p class="note">{html.escape(sentences.orders_reading(orders.dataset))}</p>',
            *(_figure(picture) for name, picture in by_name.items() if name.startswith("orders")),
        ]
    parts += [
        "<h2>Stability</h2>",
        _list(sentences.stability(dataset) or ["No threshold is known for these processes."]),
        "<h2>Data</h2>",
        f"<p>{html.escape(str(dataset.attrs.get('preparation') or 'Nothing is recorded.'))}.</p>",
        "<h2>Theory</h2>",
        *_theory(laws),
        "<h2>To run it again</h2>",
        f"<p>study.toml in this folder holds every setting: <code>{html.escape(rerun)}</code></p>",
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


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.svg).decode("ascii")
    caption = html.escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/svg+xml;base64,{data}">\n'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _budget(laws: Laws, pictures: Mapping[str, Picture]) -> list[str]:
    dataset = laws.dataset
    grid = tables.budget_grid(dataset)
    if not grid.groups:
        return [
            tables.paragraphs(sentences.budget(dataset) or ["There is no error budget for these processes."])
        ]
    dominating = [
        f"{part} ({process})"
        for process in dataset["process"].values.tolist()[1:]
        if (part := sentences.dominating_part(dataset, process))
    ]
    absent = str(dataset.attrs.get("budget_absent", ""))
    return [
        "<p>At the last step; the parts add up to the simulated difference of expected risk. Parts that are "
        f"zero to rounding are left out. Largest: {html.escape('; '.join(dominating))}.</p>",
        _wide(grid.html()),
        *(_figure(picture) for name, picture in pictures.items() if name.startswith("budget")),
        tables.paragraphs([absent] if absent else []),
    ]


def _gelbrich(laws: Laws) -> list[str]:
    bounds = sentences.gelbrich(laws.dataset)
    return [f"<p>{html.escape(bounds)}</p>"] if bounds else []


def _theory(laws: Laws) -> list[str]:
    found = sentences.claims(laws.dataset)
    if not found:
        return ["<p>No claim of theory is attached to these processes.</p>"]
    items = []
    for claim, processes in found:
        assumptions = "; ".join(claim.assumptions) or "none"
        items.append(
            f"{', '.join(processes)}: {claim.statement}. Assumes: {assumptions}. Source: {claim.source}."
        )
    bibtex = bibliography([claim for claim, _ in found])
    return [_list(items), f"<pre>{html.escape(bibtex)}</pre>" if bibtex else ""]


def _wide(table: str) -> str:
    return f'<div class="wide">{table}</div>'


def _list(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"


def _pairs(values: Mapping[str, Any]) -> str:
    rows = "".join(f"<dt>{html.escape(str(k))}</dt><dd>{html.escape(str(v))}</dd>" for k, v in values.items())
    return f"<dl>{rows}</dl>"
