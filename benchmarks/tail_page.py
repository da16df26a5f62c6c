"""docs/tail_estimators.md from the numbers of tail_coverage.py; every sentence with a number is made from them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

GENERAL = (  # estimators that assume no law of the whole sample
    "corrected_hill", "hill, second_order", "hill, double_bootstrap", "hill, smooth", "hill, kolmogorov_smirnov",
    "hill, k = 0.2 %", "hill, k = 5 %", "moment", "pickands", "power_law",
)  # fmt: skip
AUTOMATIC = ("hill, second_order", "hill, double_bootstrap", "hill, smooth", "hill, kolmogorov_smirnov", "power_law")
OWN = {
    "hill, k = 5 %": ("Pareto",),
    "corrected_hill": ("Pareto",),
    "moment": ("Pareto",),
    "pickands": ("Pareto",),
    "power_law": ("Pareto",),
    "student": ("Student",),
    "skewed_student": ("Student", "skewed"),
    "stable_quantiles": ("stable",),
    "stable_blocks": ("stable",),
    "stable_blocks, centre = mean": ("stable",),
    "stable_blocks, 100": ("stable",),
}
ASKED, GOAL = 0.9, ("Student 2", "Student 3")
SHIFTED = ("Student 4 + 3", "Student 3 + 5")
Numbers = dict[str, dict[str, dict[str, Any]]]


def write_page(
    target: Path, numbers: Numbers, laws: list[str], estimators: list[str], sizes: list[str], held_out: list[str]
) -> None:
    """Write the page."""
    target.write_text(page(numbers, laws, estimators, sizes, held_out), encoding="utf-8")


def page(numbers: Numbers, laws: list[str], estimators: list[str], sizes: list[str], held_out: list[str]) -> str:
    """The page as a text."""
    finite = [law for law in laws if math.isfinite(numbers[law][estimators[0]]["truth"])]
    light = [law for law in laws if law not in finite]
    lines = [
        "# Which estimator of a tail index?",
        "",
        "The index is that of the survival function, P(|X| > t) ~ t^-index; the density's exponent, which other "
        "packages report, is one more. Made by `benchmarks/tail_coverage.py`: independent samples of 10 000; how many, "
        "and to how many points a coverage is known from them: " + _counts(numbers[laws[0]], estimators) + ". An index "
        "is called infinite where a sample does not tell it from a tail lighter than every power.",
        "",
        "## Which to trust",
        "",
        *(f"- {sentence}" for sentence in sentences(numbers, finite, light, sizes)),
        f"- {_held_out(numbers, held_out)}",
        "",
        "## Coverage of the 95 % interval, per cent",
        "",
        f"Bold: below {100 * ASKED:.0f}. A star: the estimator's own law.",
        "",
        *table(finite, estimators, lambda law, name: _coverage(numbers, law, name)),
        "",
        f"The same on samples of other lengths, {_counts(numbers[laws[0]], sizes)}:",
        "",
        *table(finite, sizes, lambda law, name: _coverage(numbers, law, name)),
        "",
        "The range of second-order parameters and the k of `corrected_hill` were chosen with these laws in sight. On "
        f"laws that were not, {_counts(numbers[held_out[0]], list(numbers[held_out[0]]))}:",
        "",
        *table(held_out, list(numbers[held_out[0]]), lambda law, name: _coverage(numbers, law, name)),
        "",
        "## Median estimate less the index, per cent of the index",
        "",
        *table(finite, [*estimators, *sizes], lambda law, name: _bias(numbers[law][name])),
        "",
        "## Median width of the interval, per cent of the estimate",
        "",
        *table(finite, [*estimators, *sizes], lambda law, name: _percent(numbers[law][name]["width"])),
        "",
        "## Laws without an index",
        "",
        "Their tails are lighter than every power. Share of intervals without an upper end (which is right), "
        "median estimate, and share with a warning of any kind.",
        "",
        *table(light, estimators, lambda law, name: _light(numbers[law][name])),
        "",
    ]
    return "\n".join(lines)


def table(laws: list[str], estimators: list[str], cell: Any) -> list[str]:
    """Rows of estimators, columns of laws."""
    return [
        "| | " + " | ".join(laws) + " |",
        "|---|" + "---|" * len(laws),
        *(f"| {name} | " + " | ".join(cell(law, name) for law in laws) + " |" for name in estimators),
    ]


def sentences(numbers: Numbers, finite: list[str], light: list[str], sizes: list[str]) -> list[str]:
    """What the numbers say, in words."""

    def coverage(law: str, name: str) -> float:
        return float(numbers[law][name]["coverage"])

    best = max(GENERAL, key=lambda name: _merit(numbers, finite, name))
    reached = min(coverage(law, best) for law in GOAL)
    verdict = "reaches" if reached >= ASKED else "does not reach"
    weak = [law for law in finite if coverage(law, best) < ASKED]
    where = ", ".join(f"{law} ({100 * coverage(law, best):.0f} %)" for law in weak)
    where = (
        f"It covers less than that on: {where}."
        if where
        else "So it does on all laws of the first table, but see those that it was not chosen on."
    )
    covering = [
        name for name in GENERAL if name != best and all(coverage(law, name) >= ASKED for law in GOAL)
    ]
    widths = ", ".join(
        f"{name} {_percent(numbers['Student 3'][name]['width'])} %".replace("open %", "without an upper end")
        for name in (best, *covering)
    )
    biased = "; ".join(
        f"{name} " + ", ".join(f"{_bias(numbers[law][name])} % ({100 * coverage(law, name):.0f} % covered)"
                               for law in ("Student 3", "Student 5"))
        for name in AUTOMATIC
    )  # fmt: skip
    found = [
        f"**Of no law in particular: `{best}`.** On {GOAL[0]} and {GOAL[1]} it covers "
        f"{' and '.join(f'{100 * coverage(law, best):.1f}' for law in GOAL)} % and {verdict} the "
        f"{100 * ASKED:.0f} % asked of the best general-purpose choice. {where} Its interval holds "
        "the indices of a range of second-order parameters, because no such sample says which is right, and so covers "
        "more than it claims on laws within that range.",
        _beside(numbers, finite, sizes, best),
        _safest(numbers, finite, best),
        "**Where the sample lies.** The index of a law does not depend on the origin, estimates from the largest sizes "
        "do. `corrected_hill` measures two tails from the median, so that shifts change nothing; all others take zero, "
        "unless told centre='median', and warn where zero is not between the tails. On "
        + " and on ".join(
            f"{law} " + ", ".join(f"{name} {100 * coverage(law, name):.0f}" for name in
                                  (best, "hill, second_order", "hill, k = 0.2 %", "moment"))
            + " % cover, and hill, second_order warns in "
            + f"{100 * float(numbers[law]['hill, second_order']['warned']):.0f} %"
            for law in SHIFTED
        )
        + ". One tail is measured from zero: subtract the place where sizes start. A sample ten times its own width "
        "away from zero is refused.",
        "Coverage is bought with width. On Student 3 the intervals of those that cover "
        f"{100 * ASKED:.0f} % on both are, relative to the estimate: {widths}.",
        "**An automatic k is biased**, and its interval does not know it. Bias on Student 3 and on Student 5: "
        f"{biased}. For an index of 2.5 and more take none of them without a Hill plot.",
        "**If the law is known, fit it**: coverage on Student 2, 3 and 5 is "
        + ", ".join(f"{100 * coverage(f'Student {index}', 'student'):.1f}" for index in (2, 3, 5))
        + " % for `student`, whose interval on Student 3 is "
        f"{_percent(numbers['Student 3']['student']['width'])} % wide; on other laws it describes their middle and "
        f"covers {100 * coverage('stable 1.5', 'student'):.0f} % on stable 1.5 and "
        f"{100 * coverage('Pareto 3', 'student'):.0f} % on Pareto 3, and says that it does not fit in "
        f"{100 * float(numbers['Pareto 3']['student']['warned']):.0f} % of samples of Pareto 3.",
        "**Stable methods see indices below 2 only.** Medians on Student 3, whose index is 3: "
        + ", ".join(f"`{name}` {_number(numbers['Student 3'][name]['median'])}" for name in OWN if "stable" in name)
        + ". Where they cover Student's t, it is because their interval has no upper end at 2, not because they see "
        "the index. On stable 1.9, close to that end, they cover "
        + ", ".join(f"{100 * coverage('stable 1.9', name):.0f}" for name in OWN if "stable" in name)
        + f" %; `{best}`, which meets the power of that law only far out, {100 * coverage('stable 1.9', best):.0f} %. "
        "Blocks about the mean, as papers took them, hold the interval of differences too, because the error of the "
        "mean is in none of their own.",
        "**Lognormal and Weibull tails are taken for power laws** by nearly all. "
        + " ".join(
            f"On {law}, {best} leaves the upper end open in {100 * coverage(law, best):.0f} % of samples, its "
            f"median is {_number(numbers[law][best]['median'])}; moment does in {100 * coverage(law, 'moment'):.0f} %."
            for law in light
        )
        + " Compare with `against_lognormal`, and look how the index rises along the Hill plot as k falls.",
    ]
    missed = [
        f"{name} on {law} ({100 * coverage(law, name):.0f} %)"
        for name, own in OWN.items() for law in finite if law.startswith(own) and coverage(law, name) < ASKED
    ]  # fmt: skip
    found.append(
        f"On their own laws all estimators cover at least {100 * ASKED:.0f} %."
        if not missed
        else f"Below {100 * ASKED:.0f} % on its own law: {', '.join(missed)}."
    )
    return found


def _beside(numbers: Numbers, finite: list[str], sizes: list[str], best: str) -> str:
    """The best beside moment, the other that no law is assumed for, on all lengths."""
    lengths = ["", *dict.fromkeys(name[name.index(", n") :] for name in sizes)]

    def missed(name: str) -> str:
        parts = []
        for length in lengths:
            row = {law: float(numbers[law][name + length]["coverage"]) for law in finite}
            low = ", ".join(f"{law} ({100 * share:.1f} %)" for law, share in row.items() if share < ASKED)
            parts.append(f"{length.removeprefix(', ') or 'n = 10000'}: {low or 'none'}")
        return "; ".join(parts)

    return (
        f"**Which holds on which.** Below {100 * ASKED:.0f} %, of {len(finite)} laws with an index: `{best}`, "
        f"{missed(best)}. `moment`, {missed('moment')}. A slowly varying factor (log-gamma), a lighter tail with nine "
        "tenths of the values, and the normal middle of stable 1.9 hide the power, and no interval knows of it."
    )


def _held_out(numbers: Numbers, held_out: list[str]) -> str:
    low = {
        name: ", ".join(f"{law} ({100 * float(numbers[law][name]['coverage']):.0f} %)" for law in held_out
                        if numbers[law][name]["coverage"] < ASKED) or "none"
        for name in numbers[held_out[0]]
    }  # fmt: skip
    return (
        f"On {len(held_out)} laws that no default was chosen on, below {100 * ASKED:.0f} %: "
        + "; ".join(f"{name}: {laws}" for name, laws in low.items())
        + ". Heavy values among many normal ones are a tail that begins beyond the sample; one tail that starts away "
        "from zero is warned of."
    )


def _safest(numbers: Numbers, finite: list[str], best: str) -> str:
    everywhere = [name for name in GENERAL if all(numbers[law][name]["coverage"] >= ASKED for law in finite)]
    if not everywhere:
        return f"No estimator covers {100 * ASKED:.0f} % on all of these laws."
    name = min(everywhere, key=lambda name: float(numbers["Student 3"][name]["width"]))
    if name == best:
        return f"`{best}` is the narrowest that covers {100 * ASKED:.0f} % on all of these laws with an index."
    ratio = numbers["Student 3"][name]["width"] / numbers["Student 3"][best]["width"]
    return (
        f"**If nothing is known of where the tail begins: `{name}`**, the narrowest that covers {100 * ASKED:.0f} % on "
        f"all of these laws with an index, {ratio:.1f} times as wide as `{best}` on Student 3."
    )


def _merit(numbers: Numbers, finite: list[str], name: str) -> tuple[bool, float, float]:
    # As much as asked on the laws asked for; then least missing on all; then narrow.
    goal = min(float(numbers[law][name]["coverage"]) for law in GOAL) >= ASKED
    missing = sum(max(0.0, ASKED - float(numbers[law][name]["coverage"])) for law in finite)
    return goal, -round(missing, 1), -float(numbers["Student 3"][name]["width"])


def _coverage(numbers: Numbers, law: str, name: str) -> str:
    share = numbers[law][name]["coverage"]
    shown = f"{100 * share:.1f}" if share >= ASKED else f"**{100 * share:.1f}**"
    return shown + ("*" if law.startswith(OWN.get(name, ("-",))) else "")


def _bias(row: dict[str, Any]) -> str:
    share = row["median"] / row["truth"] - 1
    return "open" if math.isinf(share) else "refused" if math.isnan(share) else f"{100 * share:+.1f}"


def _light(row: dict[str, Any]) -> str:
    return f"{100 * row['coverage']:.0f} %, {_number(row['median'])}, {100 * row['warned']:.0f} %"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if math.isfinite(share) else "open"


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "infinite"


def _counts(row: dict[str, dict[str, Any]], names: list[str]) -> str:
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(row[name]["repetitions"], []).append(name)
    return "; ".join(
        f"{count} (to {196 * math.sqrt(0.05 * 0.95 / count):.1f}) of {', '.join(each)}"
        for count, each in sorted(groups.items(), reverse=True)
    )
