"""Pages of the reference: one for each public module, one for each public name, written before Sphinx reads them.

A name has its page under the first module of `MODULES` that lists it; later modules lead there. No list of names is
kept here: what a module exports is what is documented.
"""

from __future__ import annotations

import inspect
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "api"
# module below sgdlimits: heading
MODULES = {
    "problems": "Problems",
    "problems.predictors": "Predictors",
    "problems.losses": "Losses of outputs",
    "problems.sources": "Sources of samples",
    "problems.tasks": "Learning tasks",
    "problems.landscapes": "Landscapes",
    "problems.wells": "Landscapes with several wells",
    "problems.zero_loss": "Models with a set of zero loss",
    "problems.geometry": "Geometry of a set of zero loss",
    "problems.noise": "Noise mechanisms",
    "discrete": "Exact recurrences",
    "discrete.rules": "Update rules",
    "exact.schedules": "Schedules of step sizes, also discrete.schedules",
    "discrete.sources": "Sources of gradients",
    "discrete.fluctuation": "At stationarity",
    "discrete.escape": "Escape from a minimum",
    "diffusions": "Continuous approximations",
    "diffusions.solvers": "Schemes",
    "diffusions.solvers.adapters": "Other libraries",
    "compare": "Comparisons",
    "compare.tail_estimators": "Estimators of a tail index",
    "studies": "Studies and sweeps",
    "studies.homogenized": "Study: homogenized SGD",
    "studies.zero_loss": "Study: sets of zero loss",
    "studies.heavy_tails": "Study: heavy tails",
    "studies.golden_path": "Study: the golden path",
    "studies.finite_step_size": "Study: finite step sizes",
    "studies.exploration": "Study: exploration",
    "studies.validity": "Study: validity",
    "studies.scaling_laws": "Study: scaling laws",
    "ensembles": "Ensembles of paths",
    "ensembles.populations": "Populations",
    "ensembles.results": "Datasets that are returned",
    "exact.output_distances": "Distances of outputs",
    "exact.errors": "Errors that are raised",
}


def exported(module: str) -> dict[str, Any]:
    """Public classes, functions and constants of a module below sgdlimits; its own modules are left out."""
    found = import_module(f"sgdlimits.{module}")
    names = getattr(found, "__all__", None)
    if names is None:
        names = [name for name, thing in vars(found).items() if not name.startswith("_") and is_made_in(thing, found)]
    return {name: getattr(found, name) for name in names if not inspect.ismodule(getattr(found, name))}


def is_made_in(thing: Any, module: Any) -> bool:
    return (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__ == module.__name__


def pages() -> dict[str, dict[str, str]]:
    """{module: {name: the module where the name has its page}}."""
    homes: dict[int, str] = {}
    listed: dict[str, dict[str, str]] = {}
    for module in MODULES:
        things = exported(module)
        listed[module] = {name: homes.setdefault(id(thing), module) for name, thing in things.items()}
    return listed


def first_sentence(thing: Any) -> str:
    """Of the documentation, or what a constant holds."""
    if isinstance(thing, (dict, tuple)):
        return f"Holds {', '.join(getattr(entry, '__name__', str(entry)) for entry in thing)}."
    if not callable(thing):
        return f"{getattr(thing, 'statement', thing)}."
    text = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[^\s.]\.)\s(?=[A-Z`])", text, maxsplit=1)[0]


def write(folder: Path = FOLDER) -> list[str]:
    """Write all pages, those of before removed; returns what lacks documentation, a sentence each."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    missing = []
    listed = pages()
    for module, homes in listed.items():
        things = exported(module)
        for name, home in homes.items():
            if not first_sentence(things[name]):
                missing.append(f"sgdlimits.{module}.{name} has no documentation")
            if home == module:
                (folder / f"{module}.{name}.rst").write_text(name_page(module, name, things[name]), encoding="utf-8")
        (folder / f"{module}.rst").write_text(module_page(module, homes, things), encoding="utf-8")
    (folder / "index.rst").write_text(index_page(), encoding="utf-8")
    return missing


def title(text: str, mark: str = "=") -> str:
    return f"{text}\n{mark * len(text)}\n\n"


def name_page(module: str, name: str, thing: Any) -> str:
    if not callable(thing):
        about = f".. py:data:: {name}\n\n   {escaped(first_sentence(thing))}\n"
        return f"{title(name)}.. currentmodule:: sgdlimits.{module}\n\n{about}"
    kind = "class" if inspect.isclass(thing) else "function"
    members = "   :members:\n   :inherited-members: object\n" if kind == "class" else ""
    return f"{title(name)}.. currentmodule:: sgdlimits.{module}\n\n.. auto{kind}:: {name}\n{members}"


def module_page(module: str, homes: dict[str, str], things: dict[str, Any]) -> str:
    own = [name for name, home in homes.items() if home == module]
    rows = "".join(
        f"   * - :doc:`{name} </api/{home}.{name}>`\n     - {escaped(first_sentence(things[name]))}\n"
        for name, home in homes.items()
    )
    table = f".. list-table::\n   :widths: 30 70\n   :class: names\n\n{rows}\n"
    below = "".join(f"   {module}.{name}\n" for name in own)
    tree = f".. toctree::\n   :hidden:\n\n{below}\n" if own else ""
    about = f".. automodule:: sgdlimits.{module}\n   :no-members:\n\n"
    above, _, last = f"sgdlimits.{module}".rpartition(".")
    return f"{title(MODULES[module])}``from {above} import {last}``\n\n{about}{table}{tree}"


def escaped(text: str) -> str:
    """No emphasis by chance: `*others` and |x| are meant as they stand."""
    parts = re.split(r"`+(.+?)`+", text)
    parts[::2] = [re.sub(r"([*|\\]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)


def index_page() -> str:
    about = "Every public name has a page. Folders are imported by name: ``from sgdlimits import problems, discrete``."
    return title("Reference") + about + "\n\n.. toctree::\n   :maxdepth: 1\n\n" + "".join(f"   {m}\n" for m in MODULES)


def hide(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out members that Python itself brings: those of Exception, tuple and the like."""
    owner = getattr(thing, "__module__", None) or getattr(getattr(thing, "fget", None), "__module__", None)
    plain = type(thing).__name__ in ("method_descriptor", "wrapper_descriptor", "builtin_function_or_method")
    foreign = isinstance(owner, str) and not owner.startswith("sgdlimits") and inspect.isroutine(thing)
    return True if plain or foreign or type(thing).__name__ in ("getset_descriptor",) else None


def on_start(app: Any) -> None:
    from sphinx.util import logging

    for sentence in write():
        logging.getLogger(__name__).warning(sentence)


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", on_start)
    app.connect("autodoc-skip-member", hide)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
