"""Where a function, a class or a module was written, and what of an object is its own: what fingerprints ask."""

from __future__ import annotations

import functools
import site
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

OWN = "sgdlimits"
HEAP_TYPE = 1 << 9  # flag of CPython on every class that was not built into a library in C
SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType)
OF_EVERY_CLASS = frozenset((  # not what a user wrote, or said again elsewhere
    "__module__", "__qualname__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__dataclass_fields__",
    "__dataclass_params__", "__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl",
    "__parameters__", "__orig_bases__", "__match_args__", "__hash__", "__annotate_func__", "__annotations_cache__",
))  # fmt: skip


def of_a_library(thing: Any) -> bool:
    """Whether a function, class or module is Python's own, installed, or of this package: its code counts by its name.

    A name alone does not tell: scripts that nobody imported, and wrappers, bear the names of others.
    """
    return _is_library(*_home(thing))


def of_this_package(thing: Any) -> bool:
    """Whether it is of sgdlimits, whose objects are read by their attributes."""
    return (_home(thing)[0] or "").partition(".")[0] == OWN


def module_of(thing: Any) -> str:
    """Name of its module; empty where it has none, or a class makes a property of it."""
    module = getattr(thing, "__module__", None)
    return module if isinstance(module, str) else ""


def name_of(thing: Any) -> str:
    """Module and qualified name; the same in a process that was spawned, where a script bears another name."""
    module = module_of(thing)
    return f"{'__main__' if module == '__mp_main__' else module}.{thing.__qualname__}"


def attributes(thing: Any) -> dict[str, Any]:
    """What an object holds: attributes and slots, without what it computed of these and remembers."""
    kind = type(thing)
    stated = getattr(kind, "__getstate__", None)
    if isinstance(stated, types.FunctionType):  # the user's own, not that of every object
        try:
            state = stated(thing)
            return state if isinstance(state, dict) else {"state": state}
        except Exception:  # which often says that it cannot be pickled: no reason to lose a run
            pass
    slots = [_mangled(base, name) for base in kind.__mro__ for name in _listed(vars(base).get("__slots__", ()))]
    found = {name: getattr(thing, name) for name in slots if hasattr(thing, name) and name not in OF_EVERY_CLASS}
    held = getattr(thing, "__dict__", {})
    if not isinstance(held, dict):  # an object that answers to every name
        return found
    return found | {name: value for name, value in held.items() if not _is_cached(kind, name)}


def behind(entry: Any) -> Any:
    """The functions behind what a class holds: of a property, a method of the class, and the like."""
    if isinstance(entry, (staticmethod, classmethod)):
        return entry.__func__
    if isinstance(entry, property):
        return [entry.fget, entry.fset]
    if isinstance(entry, functools.cached_property):
        return entry.func
    return None if isinstance(entry, SLOTS) else entry


def names_in(code: types.CodeType) -> set[str]:
    """Global names, and names of attributes, of a function and of the functions inside it."""
    inner = [names_in(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*inner)


def content(cell: types.CellType) -> Any:
    """What a variable of a closure holds."""
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _mangled(base: type, name: str) -> str:
    private = name.startswith("__") and not name.endswith("__")
    return f"_{base.__name__.lstrip('_')}{name}" if private else name


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), functools.cached_property)


def _listed(slots: Any) -> tuple[str, ...]:
    if isinstance(slots, str):
        return (slots,)
    return tuple(slots) if isinstance(slots, (tuple, list, dict, set)) else ()


def _home(thing: Any) -> tuple[str | None, str | None]:
    """Module of a function, a class or a module itself, and its file: None where it is built in, "" if unknown."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__, getattr(thing, "__file__", None)
    if isinstance(thing, types.FunctionType):  # its `__module__` may be that of a function that it wraps
        names = thing.__globals__
        return names.get("__name__"), names.get("__file__") or thing.__code__.co_filename
    name = module_of(thing)
    module = sys.modules.get(name)
    if _found(module, thing.__qualname__) is thing or not thing.__flags__ & HEAP_TYPE:
        return name, getattr(module, "__file__", None)
    for entry in vars(thing).values():
        function = behind(entry)
        if isinstance(function, types.FunctionType) and function.__module__ == name:
            return _home(function)
    return name, ""


def _found(module: types.ModuleType | None, qualname: str) -> Any:
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(part)  # a module that imports late is not to import now
    return found


@functools.cache
def _is_library(module: str | None, file: str | None) -> bool:
    if module is None or module in ("__main__", "__mp_main__"):
        return False
    top = module.partition(".")[0]
    if top == OWN:
        return True
    if file is None or file.startswith("<frozen "):
        return top == "builtins" or top in sys.stdlib_module_names
    return any(Path(file).is_relative_to(folder) for folder in _installed())


@functools.cache
def _installed() -> tuple[str, ...]:
    folders = {sysconfig.get_paths()[key] for key in ("purelib", "platlib", "stdlib", "platstdlib")}
    return tuple(folders | set(site.getsitepackages()) | {site.getusersitepackages()})
