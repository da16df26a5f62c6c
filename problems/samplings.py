"""How a batch is drawn from n samples."""

from __future__ import annotations

from sgdlimits.ensembles.random import SAMPLINGS
from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import InvalidInput, one_of, whole_number


def check_sampling(batch_size: int, sampling: str, samples: int) -> int:
    """Return the batch size if it can be drawn from `samples` under this sampling."""
    batch = whole_number("batch_size", batch_size, 1)
    if one_of("sampling", sampling, SAMPLINGS) != "with_replacement" and batch > samples:
        raise InvalidInput(
            f"batch_size is {batch}, over the {samples} samples that there are; without replacement it can "
            "be at most that"
        )
    check_memory("the rows of one batch", 64.0 * batch, "lower batch_size")
    return batch
