"""The page of a report on laws: its sections, set from the datasets."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from .._bounds import Bounds
from .._orders import Orders
from ..html_page import Picture, bullets, document, figures, note, theory, wide
from ..results import claims_of, fold, paragraphs
from . import tables, wording
from .result import Laws


def laws_page(
    laws: Laws,
    orders: Orders | None,
    bounds: Bounds | None,
    pictures: Sequence[Picture],
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    notes: Sequence[str],
    rerun: str,
) -> str:
    """The whole page. `notes`: sentences on how the study was set up; `rerun`: the command to repeat it."""
    dataset = laws.dataset
    opening = f"<p>{html.escape(wording.setting(dataset))}.</p>" + paragraphs(notes)
    sections = {
        "Verdicts": [
            wide(tables.summary_table(dataset)),
            paragraphs([wording.scales(dataset), *wording.cautions(dataset)]),
            fold(tables.steps_table(dataset)),
            note(f"{wording.reading(dataset)} Every recorded step: table.csv."),
            paragraphs(wording.sampling(dataset)),
            *figures(pictures, "means"),
        ],
        "Where the difference in risk comes from": _budget(laws, pictures),
        "Distance of the laws": [*figures(pictures, "laws"), *_gelbrich(laws)],
    }
    if said := wording.spread(dataset):
        sections["Standard deviation of the risk"] = [paragraphs(said), *figures(pictures, "deviations")]
    if orders is not None:
        sections["Observed weak order"] = [
            *(wide(table) for table in orders.tables()),
            note(" ".join(orders.notes())),
            *figures(pictures, "orders"),
        ]
    if bounds is not None:
        sections["How wrong at worst, ever"] = [
            *(wide(table) for table in bounds.tables()),
            note(" ".join(bounds.notes())),
        ]
    sections["Stability"] = [
        bullets(wording.stability(dataset) or ["No threshold is known for these processes."]),
        paragraphs([text for text in wording.tails(dataset) if not text.startswith("TAILS")]),
    ]
    sections["Data"] = [
        f"<p>{html.escape(str(dataset.attrs.get('preparation') or 'Nothing is recorded.'))}.</p>"
    ]
    sections["Theory"] = theory(claims_of(dataset))
    return document(
        f"How far is {dataset['process'].values[0]} from its continuous limits?",
        wording.finding(dataset),
        wording.marked(dataset),
        opening,
        sections,
        settings,
        versions,
        rerun,
    )


def _budget(laws: Laws, pictures: Sequence[Picture]) -> list[str]:
    dataset = laws.dataset
    grid = tables.budget_table(dataset)
    if not grid.groups:
        return [
            paragraphs(wording.budget(dataset) or ["There is no error budget for these processes."])
        ]
    dominating = [
        f"{part} ({process})"
        for process in dataset["process"].values.tolist()[1:]
        if (part := wording.dominating_part(dataset, process))
    ]
    absent = str(dataset.attrs.get("budget_absent", ""))
    return [
        "<p>At the last step. All parts add up to the simulated difference of expected risk; those without the "
        "simulation add up to the difference in the table, which stands below them. Parts that are "
        f"zero to rounding are left out. Largest: {html.escape('; '.join(dominating))}.</p>",
        wide(grid),
        *figures(pictures, "budget"),
        paragraphs([absent] if absent else []),
    ]


def _gelbrich(laws: Laws) -> list[str]:
    bounds = wording.gelbrich(laws.dataset)
    return [f"<p>{html.escape(bounds)}</p>"] if bounds else []
