"""The tables of the study in words and as rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sgdlimits.compare import GoldenPath
from sgdlimits.compare._golden_path.wording import past_edge
from sgdlimits.compare.text_table import NOTHING, TextTable, number, percent, wrapped

from .ladders import EXACT, titled

if TYPE_CHECKING:
    import xarray

    from .study import GoldenPathResult

VERDICTS = ("holds", "marginal", "fails", "void")
SAME = "same start, new data"
COLUMNS = {  # column -> criterion of compare.golden_path
    "F1": "F1", "F2": "F2", "F3, new data": f"F3 {SAME}", "F3, other start": "F3 different start",
    "F3, snapped twice": "F3 snapped, snapped", "F4": "F4",
}  # fmt: skip
CLAIMS = {
    "once its noise drops, a run joins the run with little noise (F1)": ("F1",),
    "noise does not help against little noise (F2)": ("F2",),
    "noise does not help against none (F4)": ("F4",),
    "joined runs are one function, as near as new data alone leave them (F3)": ("F3, new data",),
    "joined runs are one function, as near as another start leaves them (F3)": ("F3, other start",),
}
ROW = (
    "setting", "online", "criterion", "verdict", "value", "lower", "upper", "needed", "why", "regime", "seeds",
)  # fmt: skip
DOSE_ROW = ("ladder", "dose", "step", "epochs", "samples", "loss", "noiseless_loss", "relative", "lower", "upper",
            "verdict")  # fmt: skip
ABSENT = "no such baseline"
MARK = " (past)"


def rows(result: GoldenPathResult) -> list[dict[str, Any]]:
    """One dict a setting and criterion; void where a setting lacks a baseline."""
    found = []
    for case in result.study.cases:
        drop = result.drops[case.name]
        by_name = {row["name"] if row["name"] != "F3" else f"F3 {row['against']}".strip(): row for row in drop.table()}
        for column, key in COLUMNS.items():
            row = by_name.get(key, by_name.get("F3") if column.startswith("F3") else None) or {}
            found.append({
                "setting": case.name, "online": case.online, "criterion": column,
                "verdict": row.get("verdict", "void"), "why": row.get("why", ABSENT),
                **{name: row.get(name, math.nan) for name in ("value", "lower", "upper", "needed")},
                "regime": _regime(drop), "seeds": drop.dataset.attrs["seeds"],
            })  # fmt: skip
    return found


def dose_rows(result: GoldenPathResult) -> list[dict[str, Any]]:
    """One dict a ladder, dose and step."""
    return [{"ladder": name} | row for name, dose in result.doses.items() for row in dose.table()]


def grid(result: GoldenPathResult) -> TextTable:
    """A line a setting: the verdict on each criterion, and the regime."""
    groups: dict[str, list[tuple[str, ...]]] = {"online: fresh samples": [], "offline: the same rows again": []}
    every = rows(result)
    for case in result.study.cases:
        mine = {row["criterion"]: row for row in every if row["setting"] == case.name}
        data = result.drops[case.name].dataset
        last = float(data["phi"][-1])
        title = list(groups)[0 if case.online else 1]
        groups[title].append((
            case.name, NOTHING if math.isnan(last) else number(last, 2, sign=True),
            *(mine[column]["verdict"] for column in COLUMNS), _stability(data), str(data.attrs["seeds"]), case.why,
        ))  # fmt: skip
    heads = ("setting", "last phi", *COLUMNS, "sharpness / edge", "seeds", "there to show")
    return TextTable(heads, tuple((title, tuple(found)) for title, found in groups.items() if found), "Verdicts")


def _stability(data: xarray.Dataset) -> str:
    """Step size times sharpness at the drop of the high and the low run over the edge of stability, which is marked."""
    parts = []
    for side in data["side"].values.tolist():
        edge = float(data["edge"].sel(side=side))
        mean = float((data["scaled_sharpness"].sel(side=side) / edge).mean()) if data.sizes["probe"] else math.nan
        parts.append(NOTHING if math.isnan(mean) else number(mean, 2) + MARK * bool(past_edge(data, side)))
    return ", ".join(dict.fromkeys(parts))


def claims(result: GoldenPathResult) -> TextTable:
    """What the hypothesis claims, and in how many settings each part holds."""
    every, groups = rows(result), []
    for where, online in (("online", True), ("offline", False)):
        lines = []
        for claim, columns in CLAIMS.items():
            counts = Counter(
                row["verdict"] for row in every if row["online"] is online and row["criterion"] in columns
            )
            if counts:
                lines.append((*(str(counts[verdict]) for verdict in VERDICTS), claim))
        if lines:
            groups.append((where, tuple(lines)))
    return TextTable((*VERDICTS, "claim"), tuple(groups), "Claims")


def finding(result: GoldenPathResult) -> str:
    """The answer in a few sentences, computed from the data."""
    every, parts = rows(result), []
    for where, online in (("Online", True), ("Offline", False)):
        mine = [row for row in every if row["online"] is online]
        settings = len({row["setting"] for row in mine})
        if not settings:
            continue
        joins = Counter(row["verdict"] for row in mine if row["criterion"] == "F1")
        told = f"noise is surely ahead somewhere in {helped}" if (helped := _helped(mine)) else (
            "nowhere is noise surely ahead"
        )  # fmt: skip
        open_ones = joins["marginal"] + joins["void"]
        parts.append(
            f"{where}, of {settings} setting{'s' * (settings > 1)}, the run whose noise drops joins the one with "
            f"little noise in {joins['holds']}, does not in {joins['fails']}, and {open_ones} "
            f"{'is' if open_ones == 1 else 'are'} not decided; {told}."
        )
    parts += _dose_finding(result)
    return " ".join(parts)


def _dose_finding(result: GoldenPathResult) -> Iterable[str]:
    for name in ("batch sizes, offline", "batch sizes, online"):
        if name not in result.doses:
            continue
        dose = result.doses[name]
        here = [row for row in dose.table() if row["dose"] == float(dose.dataset["dose"][0])]
        last = here[-1]
        change = f"{percent(abs(last['relative']))} % {'below' if last['relative'] < 0 else 'above'}"
        where = "offline" if "offline" in name else "online"
        said = f"On the diagonal network {where} batch size {last['dose']:g} ends {change} the loss without noise"
        first = dose.helps_from.get(last["dose"])
        epochs = next((row["epochs"] for row in here if row["step"] == first), math.nan)
        yield said + (f", ahead from {epochs:.2g} epochs on." if math.isfinite(epochs) else ".")


def reading(result: GoldenPathResult) -> str:
    """How to read the table of verdicts."""
    margin = result.study.margin
    return (
        f"F1: the gap to the low-noise run ends within {margin:g} of that at the drop. F2, F4: the snapped run is at "
        f"no look surely ahead of the low-noise (noiseless) run, by more than {margin:g} of the loss. F3: total "
        "variation of predictions, or the correlation of residuals, at equal loss, against that of two low-noise runs "
        "on new data, from another start, and of two snapped runs. Each wrong with probability 5 % at most; marginal: "
        "not decided; void: not measurable. phi: the gap over that at the drop. Sharpness / edge: step size times "
        "largest Hessian eigenvalue at the drop, of the high and the low run at a few seeds, over the value from which "
        f"descent without noise leaves a parabola;{MARK}: above it at some seed. The criteria are derived, the "
        "hypothesis is that of Vyas et al. (2023)."
    )


def regimes(result: GoldenPathResult) -> list[str]:
    """The regime of each setting, and why its verdicts are what they are."""
    found = []
    for case in result.study.cases:
        drop = result.drops[case.name]
        told = drop.dataset.attrs
        whys = {row["name"]: row["why"] for row in drop.table() if row["name"] in ("F1", "F2")}
        found.append(
            f"{case.name}: {told['high']} to {told['low']}, at step {told['drop_at']} of {told['steps']}. "
            f"{_regime(drop)} F1: {whys['F1']}; F2: {whys['F2']}." + (f" Data: {told['about']}." if case.make else "")
        )
    return found


def cost_rows(result: GoldenPathResult) -> list[str]:
    """Critical batch sizes in a sentence each."""
    found = []
    for name, cost in result.costs.items():
        here = cost.dataset.isel(choice=0)
        value, low, high = (
            float(here[key]) for key in ("critical_batch_size", "critical_low", "critical_high")
        )
        known = name.endswith(EXACT) or math.isnan(low)
        interval = "" if known else f", between {number(low, 3)} and {_end(high)}"
        title = titled(name) if name.endswith(EXACT) else f"{titled(name)}, measured"
        found.append(
            f"{title}: samples to an excess of {number(cost.dataset.attrs['level'], 3)} double at the critical batch "
            f"size {_end(value)}{interval}."
        )
    return found


def _end(value: float) -> str:
    return "beyond all that were tried" if math.isinf(value) else number(value, 3)


def text(result: GoldenPathResult) -> str:
    """The whole result as text."""
    parts = [wrapped(finding(result)), grid(result).text(), wrapped(reading(result)), claims(result).text()]
    for name, dose in result.doses.items():
        parts.append(f"{name}\n{dose.tables()[0].text()}")
    return "\n\n".join([*parts, *map(wrapped, cost_rows(result))])


def _regime(drop: GoldenPath) -> str:
    return drop.heading()[2]


def _helped(rows: list[dict[str, Any]]) -> str:
    """Settings in which noise is ahead, and where by less than the margin."""
    small: dict[str, bool] = {}
    for row in rows:
        if row["criterion"] in ("F2", "F4") and row["verdict"] == "fails":
            small[row["setting"]] = small.get(row["setting"], True) and "less than the margin" in row["why"]
    return "; ".join(name + " (by less than the margin)" * little for name, little in small.items())
