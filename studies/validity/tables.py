"""What the study found, as rows, tables and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.text_table import number, wrapped

from .sampled import ends_notes, ends_table

if TYPE_CHECKING:
    from sgdlimits.compare import Validity

    from .study import ValidityResult


def rows(result: ValidityResult) -> list[dict[str, Any]]:
    """One dict a data set, batch size and limit."""
    return [{"data": name, **row} for name, found in result.maps.items() for row in found.table()]


def text(result: ValidityResult) -> str:
    """For a terminal."""
    parts = [wrapped(finding(result))]
    for name, found in result.maps.items():
        parts += [name, str(found)]
        if result.ends[name]:
            parts += [ends_table(result.ends[name]).text(), *map(wrapped, ends_notes(result.ends[name]))]
        parts.append(str(result.resolvents[name]))
    return "\n\n".join(parts)


def finding(result: ValidityResult) -> str:
    """The result in a few sentences, computed from the maps."""
    told = [sentence for name, found in result.maps.items() for sentence in _of_one(name, found)]
    for name, ends in result.ends.items():
        known = [end for end in ends if not end.missing]
        if known:
            missed = [f"{end.process} at batch size {end.batch_size}" for end in known if end.verdict != "covers"]
            words = f"; not that of {' and of '.join(missed)}" if missed else ""
            told.append(
                f"By sampling SGD on {name}, 95 % intervals of {len(known) - len(missed)} of {len(known)} ends cover "
                f"the exact ones{words}."
            )
    for name, resolvent in result.resolvents.items():
        if not isinstance(resolvent, str):
            told.append(f"Is the theorem on homogenized SGD in high dimension about {name}? {resolvent.sentence()}")
    return " ".join(told)


def _of_one(name: str, found: Validity) -> list[str]:
    data, percent = found.dataset, f"{100 * found.dataset.attrs['within']:g} %"
    sizes, ends = data["batch_size"].values, data["boundary"]
    threshold = data["mean_square_threshold"].values
    first = []

    def below(process: str, place: int) -> bool:
        return str(data["status"].sel(process=process).values[place]) == "at most"

    for place in dict.fromkeys((0, len(sizes) - 1)):
        best = max(found.order(), key=lambda process: float(ends.sel(process=process)[place]))
        told = [
            f"{process} up to {number(float(ends.sel(process=process)[place]), 2)}"
            if float(data["low"].sel(process=process)[place]) > 0
            else f"{process} at no step size"
            + (f" from {number(float(ends.sel(process=process)[place]), 2)} on" if below(process, place) else "")
            for process in found.order()
        ]
        share = float(ends.sel(process=best)[place]) / threshold[place]
        first.append(
            f"At batch size {sizes[place]} on {name} the expected risk of SGD is met within {percent} by "
            f"{', '.join(told)}; the farthest of these is {number(100 * share, 2)} % of the mean-square threshold."
        )
    terms = data["term"].values.astype(str)
    counts = {str(term): int((terms == term).sum()) for term in np.unique(terms) if term}
    first.append(
        "What breaks first, over all limits and batch sizes: "
        + ", ".join(f"{term} ({count} of {terms.size})" for term, count in sorted(counts.items(), key=lambda e: -e[1]))
        + "."
    )
    return first
