"""What the study found, as rows, tables and sentences."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from sgdlimits.compare.text_table import NOTHING, TextTable, number, with_error, wrapped
from sgdlimits.studies import verdicts
from sgdlimits.studies.verdicts import FAILS, HOLDS, PART, UNDECIDED

from .basins import ADDITIVE, ENDINGS, MULTIPLICATIVE, RATE
from .claims import bounds
from .networks import lognormal
from .published_grid import ESTIMATORS

if TYPE_CHECKING:
    from .basins import Basins
    from .index_map import IndexMap
    from .networks import Network
    from .published_grid import PublishedGrid
    from .study import ExplorationResult

DIGITS = 1e-7  # relative error below which a number needs none beside it
SIDES = {"sgd": "SGD", "homogenized": "homogenized SGD"}
SAID = {HOLDS: (HOLDS, "hold"), FAILS: (FAILS, "fail"), PART: (PART, "hold in part"),
        UNDECIDED: ("is undecided", "are undecided")}  # fmt: skip


def rows(result: ExplorationResult) -> list[dict[str, Any]]:
    """One dict a claim."""
    return [
        {"claim": one.claim, "source": one.source, "said": one.said, "found": one.found, "verdict": one.verdict}
        for one in result.claims
    ]


def claims(result: ExplorationResult) -> TextTable:
    """Claims with verdicts."""
    return verdicts.table(result.claims)


def tails(network: Network) -> TextTable:
    """A row a layer and sample: the corrected Hill estimate, and the verdict of the lognormal alternative."""
    lines = []
    for row in network.ends.table():
        if row["estimator"] != "corrected_hill":
            continue
        index = "infinite" if math.isinf(row["index"]) else number(row["index"], 3)
        lines.append((index, between(row), row["verdict"] or NOTHING,
                      f"{row['lognormal']}: {row['layer']}, {row['sample']}"))  # fmt: skip
    heads = ("index", "95 % interval", "variance: index", "lognormal alternative")
    title = f"{network.task.name}: last iterates of {network.ends.dataset.attrs['paths']} runs, corrected Hill"
    return TextTable(heads, ((title, tuple(lines)),), "Tails")


def between(row: dict[str, Any]) -> str:
    """The interval of an index, which may be open above."""
    if math.isnan(row["lower"]):
        return NOTHING
    return f"{number(row['lower'], 3)} to {'open' if math.isinf(row['upper']) else number(row['upper'], 3)}"


def thresholds(found: IndexMap) -> TextTable:
    """Step sizes from which on moments are infinite, a group a side and a row a batch size."""
    groups = []
    for side, words in SIDES.items():
        rows = [
            (*(_threshold(float(here[side]), float(here[f"{side}_error"])) for here in
               (found.lines.sel(batch_size=batch, order=order) for order in found.lines["order"].values)),
             f"batch size {batch}") for batch in found.lines["batch_size"].values.tolist()
        ]  # fmt: skip
        groups.append((words, tuple(rows)))
    heads = ("no law above", "mean infinite", "variance infinite", "fourth moment infinite", "step sizes")
    return TextTable(heads, tuple(groups), "Thresholds")


def cells(found: PublishedGrid) -> TextTable:
    """Every cell: whether there is a law, the exact index, and what each estimator would have reported."""
    groups, shown = [], ESTIMATORS if found.runs else ()
    for batch in found.cells["batch_size"].values.tolist():
        rows = []
        for size in found.cells["step_size"].values.tolist():
            here = {str(name): values.item() for name, values in found.cells.sel(
                batch_size=batch, step_size=size).data_vars.items()}  # fmt: skip
            law = here["stationary"] == 1
            above = f"above {here['index_above']:.3g}" if here["index_above"] > 0 else "infinite"
            index = NOTHING if not law else above if math.isinf(here["index"]) else number(here["index"])
            said = [_estimate(here, name) for name in shown]
            published = [number(here["published"], 3)] if found.runs else []
            rows.append((f"{size:g}", number(here["lyapunov_exponent"], 3), index, *published, *said,
                         "a stationary law" if law else "no stationary law"))  # fmt: skip
        groups.append((f"batch size {batch}", tuple(rows)))
    names = [name.replace("_", " ") for name in shown]
    heads = ("step size", "Lyapunov exponent", "exact index", *(["published"] if found.runs else []), *names, "verdict")
    return TextTable(heads, tuple(groups), "Cells")


def _threshold(value: float, error: float) -> str:
    if math.isinf(value):
        return "none"
    return number(value, 6) if error <= DIGITS * abs(value) else with_error(value, error, False)


def _estimate(cell: dict[str, Any], name: str) -> str:
    """With its interval; light where the estimator says that there is no power."""
    index, lower, upper = (cell[f"{name}{end}"] for end in ("", "_lower", "_upper"))
    if not math.isfinite(index):
        return "light" if math.isinf(index) else NOTHING
    return f"{number(index, 3)} [{number(lower, 3)}, {'open' if math.isinf(upper) else number(upper, 3)}]"


def text(result: ExplorationResult) -> str:
    """For a terminal."""
    parts = [wrapped(result.finding)]
    for found in result.basins.values():
        parts += [found.matches_table().text(), *(table.text() for table in found.exploration.tables())]
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
        parts += [wrapped(of_map(*result.map)), thresholds(result.map[1]).text()]
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
        said.append(of_map(*result.map))
    counts = Counter(one.verdict for one in result.claims)
    listed = ", ".join(f"{count} {SAID[word][count > 1]}" for word, count in counts.most_common())
    said.append(f"Of {len(result.claims)} claim{'s' if len(result.claims) > 1 else ''}: {listed}.")
    return " ".join(said)


def _of_basins(found: Basins) -> str:
    alike = ADDITIVE + ENDINGS[RATE]
    if not found.has(alike):
        stays = found.exploration.dataset.sel(process=MULTIPLICATIVE, quantity="residence")
        return (
            f"On {found.setting.name} no additive noise is matched to the multiplicative one, which stays in the well "
            f"of the start {bounds(float(stays['lower']), float(stays['upper']))} steps in the mean."
        )
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
    return bounds(float(here["lower"]), float(here["upper"]))


def _of_exit_times(scaling: Any) -> str:
    said = []
    for row in scaling.summary():
        law = {"power": "a power of the radius", "exponential": "exponential in the barrier"}.get(row["family"], "?")
        predicted = number(row["predicted"], 4)
        said.append(f"{row['process']} {law}, exponent {number(row['exponent'], 4)} beside {predicted} "
                    f"{'guessed' if row['guess'] else 'predicted'} ({row['verdict']})")  # fmt: skip
    return f"The exact time to leave grows as follows: {'; '.join(said)}."


def _of_network(name: str, network: Network) -> str:
    counts = Counter(lognormal(network).values())
    layers = ", ".join(f"{word} in {count}" for word, count in counts.most_common())
    row = network.ends.row("corrected_hill")
    correlation = network.correlation
    verdict = "undecided, as too few cells have numbers" if correlation is None else correlation.verdict
    index = "infinite" if math.isinf(row["index"]) else number(row["index"], 3)
    moving = str(network.ends.dataset["unsettled"].sel(layer=row["layer"]).item())
    transient = ", of a law that has not settled" if moving else ""
    return (
        f"Weights in which runs of a network on {name} end have index {index} ({between(row)}; {row['verdict']})"
        f"{transient}; "
        f"power law against lognormal: {layers} of {sum(counts.values())} samples. That heavier tails generalise "
        f"better there: {verdict}."
    )


def of_map(name: str, found: IndexMap) -> str:
    """How many cells are in each region."""
    data, counts = found.cells, []
    for side, words in SIDES.items():
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
