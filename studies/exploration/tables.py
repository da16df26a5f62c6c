"""What the study found, as rows, tables and sentences."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from sgdlimits.compare.text_table import NOTHING, TextTable, number, wrapped
from sgdlimits.studies import verdicts
from sgdlimits.studies.verdicts import FAILS, HOLDS

from .basins import ADDITIVE, ENDINGS, MULTIPLICATIVE, RATE
from .networks import lognormal

if TYPE_CHECKING:
    from .basins import Basins
    from .networks import Network
    from .study import ExplorationResult



def rows(result: ExplorationResult) -> list[dict[str, Any]]:
    """One dict a claim."""
    return [
        {"claim": one.claim, "source": one.source, "said": one.said, "found": one.found, "verdict": one.verdict}
        for one in result.claims
    ]


def claims(result: ExplorationResult) -> TextTable:
    """Claims with verdicts."""
    return verdicts.table(result.claims)


def matches(found: Basins) -> TextTable:
    """How each noise was chosen, with its exact spread and rate of leaving in the well of the start."""
    lines = tuple(
        (number(one.level, 5), number(one.interquartile_range, 5), number(one.rate, 5),
         f"{one.process}: {one.matched.replace('_', ' ')}") for one in found.matches
    )  # fmt: skip
    heads = ("level", "interquartile range", "rate of leaving", "matched in")
    return TextTable(heads, ((f"Noise of each process on {found.setting.name}", lines),), "Noise")


def tails(network: Network) -> TextTable:
    """A row a layer and sample: the corrected Hill estimate, and the verdict of the lognormal alternative."""
    lines = []
    for row in network.ends.table():
        if row["estimator"] != "corrected_hill":
            continue
        index = "infinite" if math.isinf(row["index"]) else number(row["index"], 3)
        upper = "open" if math.isinf(row["upper"]) else number(row["upper"], 3)
        lines.append((index, f"{number(row['lower'], 3)} to {upper}", row["verdict"],
                      f"{row['lognormal']}: {row['layer']}, {row['sample']}"))  # fmt: skip
    heads = ("index", "95 % interval", "variance: index", "lognormal alternative")
    title = f"{network.task.name}: last iterates of {network.ends.dataset.attrs['paths']} runs, corrected Hill"
    return TextTable(heads, ((title, tuple(lines)),), "Tails")


def text(result: ExplorationResult) -> str:
    """For a terminal."""
    parts = [wrapped(result.finding)]
    for found in result.basins.values():
        parts += [matches(found).text(), *(table.text() for table in found.exploration.tables())]
        parts += [wrapped(sentence) for sentence in found.notes]
    if result.scaling is not None:
        parts += [result.scaling.tables()[0].text(), *(wrapped(sentence) for sentence in result.notes)]
    if result.preference is not None:
        parts.append(result.preference.tables()[0].text())
    for network in result.networks.values():
        parts.append(tails(network).text())
        if network.correlation is not None:
            parts.append(network.correlation.tables()[0].text())
        parts += [wrapped(sentence) for sentence in network.notes]
    if result.grid is not None:
        parts.append(wrapped(result.grid.finding))
    if result.map is not None:
        parts.append(wrapped(repr(result.map[1])))
    parts.append("\n".join(wrapped(sentence) for sentence in verdicts.told(result.claims)))
    return "\n\n".join(parts)


def finding(result: ExplorationResult) -> str:
    """The result in a few sentences, computed from the data."""
    said = [_of_basins(found) for found in result.basins.values()]
    if result.scaling is not None:
        said.append(_of_exit_times(result.scaling))
    said += [_of_network(name, network) for name, network in result.networks.items()]
    if result.grid is not None:
        said.append(f"Of the published grid {result.grid.finding}")
    if result.map is not None:
        said.append(_of_map(*result.map))
    counts = Counter(one.verdict for one in result.claims)
    listed = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    return " ".join([*said, f"Of {len(result.claims)} claims: {listed}."])


def _of_basins(found: Basins) -> str:
    alike = ADDITIVE + ENDINGS[RATE]
    shares = [found.long_run(name, "long_time") for name in (MULTIPLICATIVE, alike)]
    times = [_passage(found, name) for name in (MULTIPLICATIVE, alike)]
    verdict_words = [row["verdict"] for row in found.exploration.table() if row["verdict"]]
    held = verdict_words.count("covers")
    return (
        f"On {found.setting.name}, at equal rates of leaving the well of the start, multiplicative noise is in the "
        f"widest well {number(100 * shares[0], 3)} % of the time in the long run and additive noise "
        f"{number(100 * shares[1], 3)} %; until it is found the one takes {times[0]} steps in the mean and the other "
        f"{times[1]} ({held} of {len(verdict_words)} intervals of paths hold the exact number)."
    )


def _passage(found: Basins, process: str) -> str:
    """Exact where it is known, else what paths show."""
    exact = found.exact(process, "passage")
    if not math.isnan(exact):
        return number(exact, 4)
    here = found.exploration.dataset.sel(process=process, quantity="passage")
    low, high = float(here["lower"]), float(here["upper"])
    return f"more than {number(low, 3)}" if math.isinf(high) else f"{number(low, 3)} to {number(high, 3)}"


def _of_exit_times(scaling: Any) -> str:
    said = []
    for row in scaling.summary():
        law = {"power": "a power of the radius", "exponential": "exponential in the barrier"}.get(row["family"], "?")
        predicted = number(row["predicted"], 4)
        said.append(f"{row['process']} {law}, exponent {number(row['exponent'], 4)} beside {predicted} predicted "
                    f"({row['verdict']})")  # fmt: skip
    return f"The exact time to leave grows as follows: {'; '.join(said)}."


def _of_network(name: str, network: Network) -> str:
    counts = Counter(lognormal(network).values())
    layers = ", ".join(f"{word} in {count}" for word, count in counts.most_common())
    row = network.ends.row("corrected_hill")
    correlation = network.correlation
    verdict = "undecided, as too few cells have numbers" if correlation is None else correlation.verdict
    index = "infinite" if math.isinf(row["index"]) else number(row["index"], 3)
    return (
        f"Weights in which runs of a network on {name} end have index {index} ({row['verdict']}); power law against "
        f"lognormal: {layers} of {sum(counts.values())} samples. That heavier tails generalise better there: {verdict}."
    )


def _of_map(name: str, found: Any) -> str:
    data, counts = found.cells, []
    for side, words in (("sgd", "SGD"), ("homogenized", "homogenized SGD")):
        regions = Counter(data[f"{side}_region"].values.ravel().tolist())
        counts.append(f"{words} {', '.join(f'{regions[key]} {key}' for key in sorted(regions))}")
    return f"On {name}, {data['sgd'].size} pairs of step size and batch size: {'; '.join(counts)}."


def judged(result: ExplorationResult) -> tuple[int, int]:
    """How many claims hold, and how many fail."""
    found = [one.verdict for one in result.claims]
    return found.count(HOLDS), found.count(FAILS)


def value(number_or_nan: float) -> str:
    """As a table shows it."""
    return NOTHING if math.isnan(number_or_nan) else number(number_or_nan)
