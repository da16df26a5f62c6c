"""A short text that tells settings apart: two runs of which it differs are not runs of the same thing.

It reaches into data, closures and the global values that a function of the user's refers to. What belongs to an
installed library counts by its name: versions are compared on their own.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import io
import pickle
import site
import sys
import sysconfig
import types
import weakref
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

DIGITS = 16
MOST = 2_000_000  # parts of a thing that are looked at: an object that leads everywhere ends somewhere
DEEPEST = 100
MANY = 100  # numbers and texts of a list from which on they are read at once
PLAIN = (bool, int, float, str)
LARGE = 1 << 16  # bytes
OWN = "sgdlimits"
LRU = type(functools.cache(len))
SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType)
OF_EVERY_CLASS = frozenset((  # not what a user wrote, or said again elsewhere
    "__module__", "__qualname__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__dataclass_fields__",
    "__dataclass_params__", "__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl",
    "__parameters__", "__orig_bases__", "__match_args__", "__hash__", "__annotate_func__", "__annotations_cache__",
))  # fmt: skip


def fingerprint(*things: Any) -> str:
    """16 hexadecimal digits for these things, the same in every process of one version of Python.

    Numbers, texts, arrays, dataclasses, containers, functions (their code, defaults, closures and the global values
    that they name), tensors and modules of torch, and objects by their attributes, or by what their class's
    `__getstate__` leaves of these: a counter or a memory that is no setting is left out there. Derived.
    """
    reader = _Reader()
    for thing in things:
        reader.read(thing)
    return reader.digest.hexdigest()[:DIGITS]


class _Reader:
    def __init__(self, seen: dict[int, int] | None = None, alive: list[Any] | None = None, depth: int = 0) -> None:
        self.digest = hashlib.sha256()
        self.seen: dict[int, int] = {} if seen is None else seen
        self.alive: list[Any] = [] if alive is None else alive  # an id is unique only while its object lives
        self.count, self.depth = 0, depth

    def add(self, kind: str, content: bytes | str = b"") -> None:
        raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        self.digest.update(f"{kind}:{len(raw)}:".encode())
        self.digest.update(raw)

    def read(self, thing: Any) -> None:
        self.count += 1
        if self.count > MOST or self.depth > DEEPEST:
            return
        if isinstance(thing, np.generic):
            thing = thing.item()
        if isinstance(thing, (type(None), bool, int, float, complex, str)) and not isinstance(thing, Enum):
            self.add(type(thing).__name__, repr(thing))
        elif isinstance(thing, bytes):
            self.add("bytes", thing)
        elif id(thing) in self.seen:
            self.add("again", str(self.seen[id(thing)]))
        else:
            self.seen[id(thing)] = len(self.seen)
            self.alive.append(thing)
            self.depth += 1
            self._compound(thing)
            self.depth -= 1

    def _alone(self, thing: Any) -> str:
        """A digest of a part by itself, to put parts without an order into one."""
        reader = _Reader(dict(self.seen), self.alive, self.depth)
        reader.read(thing)
        return reader.digest.hexdigest()

    def _compound(self, thing: Any) -> None:
        if isinstance(thing, np.ndarray):
            self._array(thing)
        elif isinstance(thing, Enum):
            self.add("enum", f"{_name(type(thing))}.{thing.name}")
        elif isinstance(thing, types.ModuleType):
            self.add("module", thing.__name__)
        elif isinstance(thing, type):
            self._class(thing)
        elif isinstance(thing, types.FunctionType):
            self._function(thing)
        elif isinstance(thing, types.CodeType):
            self._code(thing)
        elif isinstance(thing, LRU) and isinstance(thing.__wrapped__, types.FunctionType):  # functools.cache
            self._parts("remembering", thing.__wrapped__)
        elif isinstance(thing, functools.partial):
            self._parts("partial", thing.func, thing.args, thing.keywords)
        elif isinstance(thing, types.MethodType):
            self._parts("method", thing.__func__, thing.__self__)
        elif isinstance(getattr(thing, "py_func", None), types.FunctionType):  # compiled by numba
            self._parts("compiled", thing.py_func)
        elif isinstance(thing, Mapping):
            pairs = sorted(thing.items(), key=lambda pair: self._alone(pair[0]))  # the order is no setting
            self._parts("mapping", *(part for pair in pairs for part in pair))
            self._beside(thing)
        elif isinstance(thing, collections.deque):
            self._parts("deque", thing.maxlen, *thing)
            self._beside(thing)
        elif isinstance(thing, (list, tuple)):
            if len(thing) > MANY and all(type(part) in PLAIN for part in thing):
                self.add(type(thing).__name__, repr(thing))
            else:
                self._parts(type(thing).__name__, *thing)
            self._beside(thing)
        elif isinstance(thing, (set, frozenset)):
            self._parts("set", *sorted(map(self._alone, thing)))
            self._beside(thing)
        elif dataclasses.is_dataclass(thing):
            self._parts(_name(type(thing)), *(getattr(thing, field.name, None) for field in dataclasses.fields(thing)))
            self._own_code(type(thing))
        else:
            self._object(thing)

    def _parts(self, kind: str, *parts: Any) -> None:
        self.add(kind, str(len(parts)))
        for part in parts:
            self.read(part)

    def _beside(self, thing: Any) -> None:
        """What a container of the user's has beside its entries."""
        if not _of_a_library(*_home(type(thing))):
            self._own_code(type(thing))
            self._parts("beside", _attributes(thing))

    def _array(self, array: np.ndarray) -> None:
        self.add("array", f"{array.dtype.descr}{array.shape}")
        if isinstance(array, np.ma.MaskedArray):
            self._parts("masked", np.ma.getmaskarray(array), array.fill_value)
            array = np.asarray(array.filled())
        if array.dtype.hasobject:
            self._parts("objects", *array.ravel().tolist())
        else:
            self.digest.update(_digest_of(array))

    def _function(self, function: types.FunctionType) -> None:
        # Code that is run by `exec` says that it belongs to builtins, whose own functions are none of Python's.
        library = function.__module__ != "builtins" and _of_a_library(*_home(function))
        self.add("function", _name(function) if library else "")
        if library and function.__closure__ is None:
            return
        if not library:
            self.read(function.__code__)
            known = function.__globals__
            names = set(_names(function.__code__))
            for name in sorted(names & known.keys()):
                self.add("global", name)
                self.read(known[name])
                if isinstance(known[name], types.ModuleType) and not _of_a_library(*_home(known[name])):
                    inside = vars(known[name])  # a module of the user's: what is taken from it
                    self._parts("from it", *(inside[part] for part in sorted(names & inside.keys())))
        cells = function.__closure__ or ()
        self._parts("bound", function.__defaults__, function.__kwdefaults__, *(_content(cell) for cell in cells))

    def _code(self, code: types.CodeType) -> None:
        self.add("code", code.co_code)
        self._parts("names", code.co_names, code.co_varnames[: code.co_argcount], code.co_consts)

    def _class(self, cls: type) -> None:
        self.add("class", _name(cls))
        self._own_code(cls)

    def _own_code(self, cls: type) -> None:
        for base in cls.__mro__:
            if _of_a_library(*_home(base)):
                continue
            for name, entry in sorted(vars(base).items()):
                if name not in OF_EVERY_CLASS:
                    self.add("entry", name)
                    self.read(_behind(entry))

    def _object(self, thing: Any) -> None:
        kind = type(thing)
        self.add("object", _name(kind))
        self._own_code(kind)
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(thing, torch.Tensor):
            values = thing.detach().cpu()
            plain = values if values.dtype != torch.bfloat16 else values.float()  # which NumPy does not have
            self.add("tensor", str(values.dtype))
            self._array(plain.numpy())
        elif torch is not None and isinstance(thing, torch.nn.Module):
            self._parts("state", dict(thing.state_dict()))
            for name, part in thing.named_modules():
                self.add("part", f"{name} {_name(type(part))}")
                self._own_code(type(part))
                self.read({key: value for key, value in vars(part).items() if not key.startswith("_")})
        elif _of_a_library(*_home(kind)) and kind.__module__.partition(".")[0] != OWN and self._pickled(thing):
            pass  # what a library's object holds need not be in its attributes
        else:
            self._parts("attributes", _attributes(thing))

    def _pickled(self, thing: Any) -> bool:
        raw = io.BytesIO()
        try:
            _Pickler(raw, self._alone).dump(thing)
        except Exception:  # what cannot be pickled raises what it likes
            return False
        self.add("pickled", raw.getvalue())
        return True


class _Pickler(pickle.Pickler):
    """Writes sets in an order that is not the accident of a process."""

    def __init__(self, file: io.BytesIO, alone: Callable[[Any], str]) -> None:
        super().__init__(file, protocol=5)
        self._alone = alone

    def persistent_id(self, thing: Any) -> Any:
        return ("set", sorted(map(self._alone, thing))) if type(thing) in (set, frozenset) else None


_digests: dict[int, tuple[weakref.ref[np.ndarray], bytes]] = {}  # of large arrays that nobody may write to


def _digest_of(array: np.ndarray) -> bytes:
    """SHA-256 of an array's bytes, once for each that cannot change."""
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    fixed = array.nbytes > LARGE and not array.flags.writeable and not base.flags.writeable
    if fixed and id(array) in _digests and _digests[id(array)][0]() is array:
        return _digests[id(array)][1]
    # As bytes: not every kind of entry can be lent to the hash as it is.
    digest = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).digest()
    if fixed:
        place = id(array)
        _digests[place] = weakref.ref(array, lambda _: _digests.pop(place, None)), digest
    return digest


def _behind(entry: Any) -> Any:
    """The functions behind what a class holds: of a property, a method of the class, and the like."""
    if isinstance(entry, (staticmethod, classmethod)):
        return entry.__func__
    if isinstance(entry, property):
        return [entry.fget, entry.fset]
    if isinstance(entry, functools.cached_property):
        return entry.func
    return None if isinstance(entry, SLOTS) else entry


def _attributes(thing: Any) -> dict[str, Any]:
    """What an object holds: attributes and slots, without what it computed of these and remembers."""
    kind = type(thing)
    stated = getattr(kind, "__getstate__", None)
    if isinstance(stated, types.FunctionType):  # the user's own, not that of every object
        state = stated(thing)
        return state if isinstance(state, dict) else {"state": state}
    slots = [name for base in kind.__mro__ for name in _listed(vars(base).get("__slots__", ()))]
    found = {name: getattr(thing, name) for name in slots if hasattr(thing, name) and name not in OF_EVERY_CLASS}
    held = getattr(thing, "__dict__", {})
    if not isinstance(held, dict):  # an object that answers to every name
        return found
    return found | {name: value for name, value in held.items() if not _is_cached(kind, name)}


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), functools.cached_property)


def _listed(slots: Any) -> tuple[str, ...]:
    if isinstance(slots, str):
        return (slots,)
    return tuple(slots) if isinstance(slots, (tuple, list, dict, set)) else ()


def _name(thing: Any) -> str:
    module = "__main__" if thing.__module__ == "__mp_main__" else thing.__module__  # in a process that was spawned
    return f"{module}.{thing.__qualname__}"


def _home(thing: Any) -> tuple[str | None, str | None]:
    """Module of a function, a class or a module itself, and its file, also where nobody imported it by its name."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__, getattr(thing, "__file__", None)
    if isinstance(thing, types.FunctionType):
        return thing.__module__, thing.__globals__.get("__file__")
    return thing.__module__, getattr(sys.modules.get(thing.__module__), "__file__", None)


def _names(code: types.CodeType) -> list[str]:
    """Global names of a function and of the functions inside it."""
    inner = [name for part in code.co_consts if isinstance(part, types.CodeType) for name in _names(part)]
    return [*code.co_names, *inner]


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


@functools.cache
def _of_a_library(module: str | None, file: str | None) -> bool:
    """Whether a module is Python's own, installed, or of this package: its code counts by its name."""
    if module is None or module in ("__main__", "__mp_main__"):
        return False
    top = module.partition(".")[0]
    if top in (OWN, "builtins") or top in sys.stdlib_module_names:
        return True
    return file is not None and any(Path(file).is_relative_to(folder) for folder in _installed())


@functools.cache
def _installed() -> tuple[str, ...]:
    folders = {sysconfig.get_paths()[key] for key in ("purelib", "platlib", "stdlib", "platstdlib")}
    return tuple(folders | set(site.getsitepackages()) | {site.getusersitepackages()})
