"""The NetCDF file of ``Coefficients``, written block after block: of many events only one block is in memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5netcdf
import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from bmem.likelihood.coefficients import Coefficients

_MARGIN = 1 << 16
"""Bytes that the file may need beyond its arrays; so many are written at once."""


def write_blocks(path: Path, n_events: int, blocks: Iterable[tuple[int, Coefficients]]) -> None:
    """Write the coefficients of ``n_events`` events, which come as (number of the first event, some events) in any order.

    Room on the disk is taken first: HDF5 does not survive a full disk, it crashes when the program ends.

    Raises:
        OSError: the disk is too full.
    """
    stream = iter(blocks)
    first = next(stream)
    layout = first[1].to_dataset()
    _reserve(path, layout, n_events)
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {str(name): n_events if name == "event" else n for name, n in layout.sizes.items()}
        file.attrs.update(layout.attrs)
        for name, variable in layout.data_vars.items():
            _declare(file, str(name), variable)
        for start, part in chain([first], stream):
            for name, variable in part.to_dataset().data_vars.items():
                stop = start + part.n_events
                where = tuple(slice(start, stop) if axis == "event" else slice(None) for axis in variable.dims)
                file.variables[name][where] = variable.to_numpy()


def _reserve(path: Path, layout: xr.Dataset, n_events: int) -> None:
    """Fill the file once, without HDF5."""
    scale = {name: n_events / layout.sizes["event"] if "event" in v.dims else 1.0 for name, v in layout.data_vars.items()}
    size = sum(int(variable.nbytes * scale[name]) for name, variable in layout.data_vars.items())
    with path.open("wb") as stream:
        for begin in range(0, size + _MARGIN, _MARGIN):
            stream.write(bytes(min(_MARGIN, size + _MARGIN - begin)))


def _declare(file: Any, name: str, variable: xr.DataArray) -> None:
    """A variable of the file; NetCDF knows no bool, and xarray reads this attribute."""
    kind = np.dtype(np.int8) if variable.dtype == bool else variable.dtype
    declared = file.create_variable(name, variable.dims, kind)
    if variable.dtype == bool:
        declared.attrs["dtype"] = "bool"
