"""What the study found, as rows, tables and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sgdlimits.compare._scaling.fits import COVERS, FINITE_SIZE, FRONTIER
from sgdlimits.compare.text_table import number, percent, rounded, wrapped

if TYPE_CHECKING:
    from sgdlimits.compare import ScalingLaws

    from .study import ScalingLawsResult


def rows(result: ScalingLawsResult) -> list[dict[str, Any]]:
    """One dict a model and exponent."""
    return [{"model": name, **row} for name, found in result.models.items() for row in found.table()]


def text(result: ScalingLawsResult) -> str:
    """For a terminal."""
    return "\n\n".join([wrapped(finding(result)), *(str(found) for found in result.models.values())])


def finding(result: ScalingLawsResult) -> str:
    """The result in a few sentences, computed from the numbers."""
    told = [sentence for name, found in result.models.items() for sentence in _of_one(name, found)]
    return " ".join([*told, _gap(result)])


def _of_one(name: str, found: ScalingLaws) -> list[str]:
    known = found.exponents()
    frontier = next(each for each in known if each.curve == FRONTIER[0])
    first = f"At {name} the compute-optimal loss"
    if frontier.reached:
        half = (frontier.high - frontier.low) / 2
        first += (
            f" falls as compute to the -{rounded(frontier.measured, half)} ({rounded(frontier.low, half)} to "
            f"{rounded(frontier.high, half)}; derived {number(frontier.derived, 3)}: {frontier.verdict})."
        )
    else:
        first += f" does not reach the regime of its derived exponent, {number(frontier.derived, 3)}, at these sizes."
    others = [each for each in known if each.curve not in FRONTIER]
    reached = [each for each in others if each.reached]
    covered = [each for each in reached if each.verdict == COVERS]
    finite = [each for each in reached if each.verdict == FINITE_SIZE]
    missing = [f"{each.term} in {each.curve}" for each in others if not each.reached]
    worst = max(reached, key=lambda each: abs(each.measured - each.derived), default=None)
    said = "is" if len(reached) == 1 else "are"
    second = f"Of {len(others)} exponents of its terms {len(reached) or 'none'} {said} reached"
    if worst is not None:
        neither = len(reached) - len(covered) - len(finite)
        second += f": intervals of {len(covered)} cover the limit, of {len(finite)} what is derived for these "
        second += f"dimensions instead, of {neither} neither; the farthest, {worst.term} in {worst.curve}, is off the "
        second += f"limit by {number(worst.measured - worst.derived, 2, sign=True)}, and by "
        second += f"{number(worst.measured - worst.here, 2, sign=True)} off what is derived for these dimensions"
    return [first, second + (f". Not reached: {', '.join(missing)}." if missing else ".")]


def _gap(result: ScalingLawsResult) -> str:
    name, found = max(result.models.items(), key=lambda pair: max(abs(gap.continuous) for gap in pair[1].gaps()))
    last = found.gaps()[-1]
    return (
        f"At {name}: {found.early()} Homogenized SGD is {percent(abs(last.homogenized))} % "
        f"{'below' if last.homogenized < 0 else 'above'} at the last step, {last.step}."
    )
