"""What drawing rows costs, before it is begun."""

from __future__ import annotations

from typing import Any

from sgdlimits.exact.threads import threads_of
from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import InvalidInput, whole_number

BYTES_A_ROW = 16 * 17  # of the words and normals that a pack of paths draws for one row
NANOSECONDS_A_ROW = 13  # to draw a row and start a product with it
LONGEST_RUN = 1.0  # hours, of batches that are larger than the data


def check_draws(problem: Any, batch_size: int, steps: int, paths: int, threads: int | None) -> None:
    """Refuse batches far larger than the data: drawing with replacement costs as many products as rows."""
    threads = threads_of(threads)
    samples = getattr(problem, "samples", None)
    check_single_pass(problem, batch_size, whole_number("steps", steps, 0))
    check_memory(
        f"drawing batches of {batch_size} rows", BYTES_A_ROW * batch_size * threads,
        "lower batch_size; moments() are exact at any batch size",
    )  # fmt: skip
    if samples is None or batch_size <= samples:
        return
    steps, paths = whole_number("steps", steps, 0), whole_number("paths", paths, 1)
    hours = 1e-9 * paths * steps * batch_size * (NANOSECONDS_A_ROW + 0.3 * problem.dimension) / threads / 3600
    if hours > LONGEST_RUN:
        raise InvalidInput(
            f"batches of {batch_size} rows from {samples}, with replacement, would take about {hours:.2g} hours: lower "
            "batch_size, steps or paths, or take sampling='without_replacement'; moments() are exact at any batch "
            "size where they close"
        )


def check_single_pass(problem: Any, batch_size: int, steps: int) -> None:
    """Refuse a run that needs more samples than there are, of which it meets each once at most."""
    if problem.single_pass and batch_size * steps > problem.samples:
        raise InvalidInput(
            f"the data run out: {steps} steps of batches of {batch_size} need {batch_size * steps} samples that are "
            f"met once, and there are {problem.samples}: give that many, or take fewer steps or smaller batches"
        )
