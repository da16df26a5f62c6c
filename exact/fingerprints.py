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
import sys
import types
import weakref
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np

from .origins import (
    OF_EVERY_CLASS, attributes, behind, content, module_of, name_of, names_in, of_a_library, of_this_package,
)  # fmt: skip

DIGITS = 16
MOST = 2_000_000  # parts of a thing that are looked at: an object that leads everywhere ends somewhere
DEEPEST = 100
MANY = 100  # numbers and texts of a list from which on they are read at once
PLAIN = (bool, int, float, str)
LARGE = 1 << 16  # bytes
GLOBAL_RANDOM = getattr(np.random.rand, "__self__", None)  # what any draw moves is no setting
LRU = type(functools.cache(len))
UNADORNED = ("builtins", "collections", "numpy")  # libraries whose containers have nothing beside their entries


def fingerprint(*things: Any) -> str:
    """16 hexadecimal digits for these things, the same in every process of one version of Python.

    Numbers, texts, arrays, dataclasses, containers, functions (their code, defaults, attributes, closures and the
    global values that they name), tensors and modules of torch, and objects by their attributes, or by what their
    class's `__getstate__` leaves of these: a counter or a memory that is no setting is left out there. Derived.
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
        if isinstance(thing, np.generic):  # a date has a unit, and a record the names of its fields
            thing = np.asarray(thing) if thing.dtype.kind in "mMV" else thing.item()
        if thing is None or type(thing) in (bool, int, float, complex, str):
            self.add(type(thing).__name__, repr(thing))
        elif type(thing) is bytes:
            self.add("bytes", thing)
        elif type(thing) is tuple and all(type(part) in PLAIN for part in thing):
            self._compound(thing)  # equal ones are one, whichever objects they are
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
        known = len(self.seen)
        reader = _Reader(self.seen, self.alive, self.depth)
        reader.read(thing)
        while len(self.seen) > known:  # its parts are met again later
            self.seen.popitem()
        return reader.digest.hexdigest()

    def _compound(self, thing: Any) -> None:
        if isinstance(thing, np.ndarray):
            self._array(thing)
            self._beside(thing)
        elif isinstance(thing, Enum):
            self.add("enum", f"{name_of(type(thing))}.{thing.name}")
            self._own_code(type(thing))  # the values of all members among it
        elif isinstance(thing, types.ModuleType):
            self._module(thing)
        elif isinstance(thing, type):
            self._class(thing)
        elif isinstance(thing, types.FunctionType):
            self._function(thing)
        elif isinstance(thing, types.CodeType):
            self._code(thing)
        elif isinstance(thing, LRU):  # functools.cache
            self._parts("remembering", thing.__wrapped__)
        elif isinstance(thing, functools.partial):
            self._parts("partial", thing.func, thing.args, thing.keywords)
        elif isinstance(thing, types.MethodType):
            self._parts("method", thing.__func__, thing.__self__)
        elif module_of(type(thing)).startswith("numba.") and hasattr(thing, "__wrapped__"):
            kinds = thing.types if getattr(thing, "_frozen", False) else None  # else it adds them when it is called
            told = [str(getattr(thing, name, None)) for name in ("targetoptions", "_sig", "signature")]
            self._parts("compiled", name_of(type(thing)), thing.__wrapped__, kinds, *told)
        elif isinstance(thing, Mapping) and not (_kept_by_a_library(thing) and self._pickled(thing)):
            pairs = sorted(thing.items(), key=lambda pair: self._alone(pair[0]))  # the order is no setting
            self._parts("mapping", *(part for pair in pairs for part in pair))
            if isinstance(thing, collections.defaultdict):
                self.read(thing.default_factory)
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
        elif isinstance(thing, (int, float, complex, str, bytes)):  # of a class of the user's
            kind = next(kind for kind in (int, float, complex, str, bytes) if isinstance(thing, kind))
            self.add(name_of(type(thing)), kind.__repr__(thing))
            self._beside(thing)
        elif dataclasses.is_dataclass(thing) and of_a_library(type(thing)):  # a user's may hold more than its fields
            values = (getattr(thing, field.name, None) for field in dataclasses.fields(thing))
            self._parts(name_of(type(thing)), *values)
        else:
            self._object(thing)

    def _parts(self, kind: str, *parts: Any) -> None:
        self.add(kind, str(len(parts)))
        for part in parts:
            self.read(part)

    def _beside(self, thing: Any) -> None:
        """What a container has beside its entries, and its class's code."""
        if module_of(type(thing)).partition(".")[0] not in UNADORNED or not of_a_library(type(thing)):
            self._own_code(type(thing))
            self._parts("beside", attributes(thing))

    def _array(self, array: np.ndarray) -> None:
        self.add("array", f"{_described(array.dtype)}{array.shape}")
        if isinstance(array, np.ma.MaskedArray):
            self._parts("masked", np.ma.getmaskarray(array), array.fill_value)
            array = np.asarray(array.filled())
        if array.dtype.hasobject:
            self._parts("objects", *array.ravel().tolist())
        else:
            self.digest.update(_digest_of(array))

    def _function(self, function: types.FunctionType) -> None:
        code, known = function.__code__, function.__globals__
        if of_a_library(function):
            # Not by a name that it took over from a function that it wraps.
            self.add("function", f"{known['__name__']}.{code.co_qualname}")
            if known is vars(functools) and "registry" in vars(function):  # it remembers what it dispatched
                self._parts("dispatching", vars(function)["registry"])
                return
            if function.__closure__ is None and "<locals>" not in code.co_qualname:
                return
        else:
            self.add("function")
            self.read(code)
            named = {name: known[name] for name in names_in(code) & known.keys()}
            self._parts("own", {name: value for name, value in vars(function).items() if name != "__wrapped__"})
            self._taken(named, names_in(code))
        cells = dict(zip(code.co_freevars, map(content, function.__closure__ or ())))
        self._parts("bound", function.__defaults__, function.__kwdefaults__)
        self._taken(cells, names_in(code))

    def _taken(self, values: Mapping[str, Any], names: set[str]) -> None:
        """Values that a function refers to; of the user's modules among them what it may take from there."""
        todo, entered = [values], set()
        for found in todo:
            for name in sorted(found):
                value = found[name]
                self.add("taken", name)
                if not isinstance(value, types.ModuleType):
                    self.read(value)
                    continue
                self.add("module", value.__name__)
                if id(value) not in entered and not of_a_library(value):
                    entered.add(id(value))
                    todo.append({part: vars(value)[part] for part in names & vars(value).keys()})

    def _module(self, module: types.ModuleType) -> None:
        """A module that an object holds; one of the user's counts whole, a table of settings it may be."""
        self.add("module", "__main__" if module.__name__ == "__mp_main__" else module.__name__)
        if not of_a_library(module):
            self._parts("holds", {name: value for name, value in vars(module).items() if not name.startswith("__")})

    def _code(self, code: types.CodeType) -> None:
        self.add("code", code.co_code)
        arguments = code.co_argcount + code.co_kwonlyargcount
        self._parts("names", code.co_names, code.co_varnames[:arguments], code.co_consts)
        self._parts("form", code.co_argcount, code.co_posonlyargcount, code.co_flags, code.co_exceptiontable)

    def _class(self, cls: type) -> None:
        self.add("class", name_of(cls))
        self._own_code(cls)

    def _own_code(self, cls: type) -> None:
        for base in cls.__mro__:
            if of_a_library(base):
                continue
            for name, entry in sorted(vars(base).items()):
                if name not in OF_EVERY_CLASS:
                    self.add("entry", name)
                    self.read(behind(entry))

    def _object(self, thing: Any) -> None:
        kind = type(thing)
        self.add("object", name_of(kind))
        self._own_code(kind)
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(thing, torch.Tensor):
            values = thing.detach().cpu()
            plain = values if values.dtype != torch.bfloat16 else values.float()  # which NumPy does not have
            self.add("tensor", str(values.dtype))
            self._array(plain.numpy())
        elif torch is not None and isinstance(thing, torch.nn.Module):
            self._parts("state", dict(thing.state_dict()), dict(thing.named_buffers()))
            inner = vars(torch.nn.Module()).keys()
            for name, part in thing.named_modules():
                self.add("part", f"{name} {name_of(type(part))}")
                self._own_code(type(part))
                self.read({key: value for key, value in vars(part).items() if key not in inner or key == "training"})
        elif of_a_library(kind) and not of_this_package(kind) and self._pickled(thing):
            pass  # what a library's object holds need not be in its attributes
        else:
            wrapped = getattr(thing, "__wrapped__", None) if of_a_library(kind) else None
            self._parts("attributes", attributes(thing), wrapped)

    def _pickled(self, thing: Any) -> bool:
        raw = io.BytesIO()
        try:
            _Pickler(raw, self._alone).dump(thing)
        except Exception:  # what cannot be pickled raises what it likes
            return False
        self.add("pickled", raw.getvalue())
        return True


class _Pickler(pickle.Pickler):
    """Writes what a library's object holds, by what it is and not by the accidents of a process.

    Sets have no order, equal texts are one, arrays have no layout, and what the user wrote counts by its code.
    """

    def __init__(self, file: io.BytesIO, alone: Callable[[Any], str]) -> None:
        super().__init__(file, protocol=5)
        self._alone = alone
        self._texts: dict[Any, Any] = {}
        self._foreign: dict[type, bool] = {}

    def persistent_id(self, thing: Any) -> Any:
        kind = type(thing)
        if kind is str or kind is bytes:
            return self._texts.setdefault(thing, thing)
        if kind in PLAIN:
            return None
        if thing is GLOBAL_RANDOM:
            return ("random",)
        if kind is set or kind is frozenset:
            return "set", sorted(map(self._alone, thing))
        if kind not in self._foreign:
            self._foreign[kind] = not of_a_library(kind) or of_this_package(kind)
        if isinstance(thing, types.FunctionType):
            alone = thing.__closure__ is not None or not of_a_library(thing)
        elif isinstance(thing, type):
            alone = not of_a_library(thing)
        else:
            alone = self._foreign[kind] or (kind is np.ndarray and not thing.dtype.hasobject)
        return ("read", self._alone(thing)) if alone else None


def _kept_by_a_library(thing: Any) -> bool:
    """Whether it is a library's object with entries, such as a data set: no dict."""
    kind = type(thing)
    return not isinstance(thing, (dict, types.MappingProxyType)) and of_a_library(kind) and not of_this_package(kind)


def _described(dtype: np.dtype) -> str:
    try:
        return str(dtype.descr)
    except ValueError:  # fields out of order
        return repr(dtype)


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
