"""Ready-made studies: one folder per question, run by the command line and by the notebooks; and sweeps over them."""

from typing import TYPE_CHECKING, Any

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

if TYPE_CHECKING:
    from ._sweep.driver import sweep
    from ._sweep.merging import merge_stores, read_store
    from ._sweep.plots import plot_sweep
    from .exploration.index_map import index_map
    from .exploration.published_grid import published_grid

__all__ = [
    "STUDIES", "find_study", "index_map", "merge_stores", "plot_sweep", "published_grid", "read_store", "sweep",
]  # fmt: skip

# name -> what it asks; the folder of that name (with _ for -) holds the class `Study`
STUDIES = {
    "homogenized": "SGD on least squares against homogenized SGD and other diffusions that approximate it",
    "zero-loss": "noisy gradient descent along a set of zero loss: limits, time scales, and what each noise selects",
    "heavy-tails": "how heavy the tails of SGD are, exactly, and whether they are those of homogenized SGD",
    "golden-path": "whether SGD follows the path of its noiseless counterpart, online and offline, tested to fail",
    "finite-step-size": "what a finite step size does: exact stationary laws of SGD and its variants, and limits",
    "exploration": "what multiplicative noise does: basins, tails of networks, a published grid, index maps",
    "validity": "up to which step size each limit of SGD serves: maps over step size and batch size, exact",
    "scaling-laws": "exponents of SGD's loss on power-law random features, and what continuous time does to it, exact",
}
_LATE = {
    "sweep": "_sweep.driver", "plot_sweep": "_sweep.plots", "merge_stores": "_sweep.merging",
    "read_store": "_sweep.merging", "index_map": "exploration.index_map",
    "published_grid": "exploration.published_grid",
}  # fmt: skip


def find_study(name: str) -> type[Any]:
    """The settings class of a study.

    Raises
    ------
    InvalidInput
        If there is no such study; the message names the nearest.
    """
    from importlib import import_module

    from sgdlimits.exact.errors import one_of

    module = one_of("study", name, STUDIES).replace("-", "_")
    return import_module(f".{module}", __name__).Study


def __getattr__(name: str) -> Any:
    """Sweeps and maps, when they are asked for: naming the studies needs none of the libraries behind them."""
    from importlib import import_module

    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATE[name]}", __name__), name)
