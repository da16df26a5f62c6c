"""Results as netCDF files: written whole or not at all, read only where nothing but numbers and texts can come in."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.cost import available_bytes
from sgdlimits.exact.errors import InvalidInput

from .whole_files import whole_file

if TYPE_CHECKING:
    import xarray


def save(dataset: xarray.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a result to a netCDF file: whole, or not at all.

    The bytes are made in memory first: the HDF5 library does not survive a disk that fills up under it.

    Raises
    ------
    InvalidInput
        If `dataset` is no xarray.Dataset, or the folder does not exist.
    OSError
        If the disk is full; the old file, if there was one, is as it was.
    """
    import xarray

    if not isinstance(dataset, xarray.Dataset):
        raise InvalidInput(f"cannot save {type(dataset).__name__}: an xarray.Dataset is needed")
    path = Path(path)
    if not path.parent.is_dir():
        raise InvalidInput(f"cannot save to {path}: the folder {path.parent} does not exist")
    content = _bytes(dataset)
    with whole_file(path) as file:
        file.write(content)


def _bytes(dataset: xarray.Dataset) -> bytes:
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    texts = {  # older xarray knows no arrays of Python's texts
        name: variable.astype(np.str_)
        for name, variable in dataset.variables.items()
        if variable.dtype == object and all(isinstance(entry, str) for entry in variable.values.flat)
    }
    dataset = dataset.assign(texts)
    memory = io.BytesIO()
    with h5netcdf.File(memory, mode="w") as file:
        dataset.dump_to_store(H5NetCDFStore(file))
    return memory.getvalue()


def load(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Read a result that `save` wrote, into memory, bit for bit.

    Raises
    ------
    InvalidInput
        If there is no such file, it is damaged, it names data in other files, or it does not fit into memory.
    """
    import xarray

    path = Path(path)
    shown = repr(str(path))
    if len(shown) > 200:
        shown = shown[:100] + "..." + shown[-90:]
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise InvalidInput(f"cannot load {shown}: there is no such file")
        _check(path, shown)
        with xarray.open_dataset(path, engine="h5netcdf", decode_times=False) as dataset:
            return dataset.load()
    except InvalidInput:
        raise
    except OSError as error:
        reason = error.strerror if error.errno else None
        raise InvalidInput(f"cannot load {shown}: {reason or 'it is no result, or it is damaged'}") from None
    except Exception as error:  # h5py, h5netcdf and xarray answer a damaged file with many kinds
        raise InvalidInput(
            f"cannot load {shown}: it is no result that save wrote, or it is damaged ({type(error).__name__})"
        ) from None


def _check(path: Path, shown: str) -> None:
    """Raise if the file leads elsewhere, or holds more than fits."""
    import h5py

    size = 0

    def visit(group: Any) -> None:
        nonlocal size
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise InvalidInput(f"will not load {shown}: {name!r} in it is a link, which no result has")
            entry = group[name]
            if isinstance(entry, h5py.Group):
                visit(entry)
            elif isinstance(entry, h5py.Dataset):
                if entry.external or entry.is_virtual:
                    raise InvalidInput(f"will not load {shown}: {name!r} in it takes its data from another file")
                size += entry.size * entry.dtype.itemsize

    with h5py.File(path, "r") as file:
        visit(file)
    available = available_bytes()
    if size > available:
        raise InvalidInput(
            f"will not load {shown}: its variables take {size / 1e9:.3g} GB, of {available / 1e9:.3g} GB of memory free"
        )
