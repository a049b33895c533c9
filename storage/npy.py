"""One ``.npy`` file, opened so that nothing in it can hurt: no pickles, no header believed before it fits the file."""

from __future__ import annotations

import math
import tokenize
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib import format as npy_format

from .dataspec import DataError

_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
_BLOCK_BYTES = 16 * 2**20


def open_npy(path: Path) -> np.ndarray:
    """A read-only, memory-mapped array of real numbers.

    Raises:
        DataError: not a ``.npy`` file, objects or text inside, or a header that asks for more bytes than the file has.
    """
    try:
        with path.open("rb") as file:
            version = npy_format.read_magic(file)
            if version not in _HEADERS:
                raise DataError(f"{path.name} is a .npy file of version {version}, which is for records. {_WAY_OUT}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # files of Python 2 are as good as others
                shape, fortran_order, dtype = _HEADERS[version](file)
            offset = file.tell()
            there = path.stat().st_size - offset
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, SyntaxError, tokenize.TokenError) as error:
        raise DataError(f"{path.name} must be a .npy file; its header cannot be read. {_WAY_OUT}") from error
    if dtype.hasobject:
        raise DataError(f"{path.name} must hold numbers; it holds Python objects, which are never loaded. {_WAY_OUT}")
    if dtype.kind not in "fiu":
        raise DataError(f"{path.name} must hold real numbers; it holds {dtype}. {_WAY_OUT}")
    wanted = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or wanted > there:
        raise DataError(
            f"{path.name} is damaged: its header asks for an array of {shape} {dtype}, {wanted} bytes, but {there} "
            "follow. "
            "Copy or write the file again."
        )
    if wanted == 0:
        raise DataError(f"{path.name} must hold at least one number; its shape is {shape}. {_WAY_OUT}")
    order: Literal["C", "F"] = "F" if fortran_order else "C"
    return np.memmap(path, dtype, mode="r", offset=offset, shape=shape, order=order)


def first_not_finite(array: np.ndarray) -> tuple[tuple[int, ...], float] | None:
    """Place and value of the first number that is NaN or infinite, also when taken as float32; reads block by block."""
    if array.dtype.kind != "f" or array.ndim == 0:
        return None
    rows = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        block = np.asarray(array[start : start + rows])
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(block.astype(np.float32, copy=False))
        if bad.any():
            place = tuple(int(axis[0]) for axis in np.nonzero(bad))
            return (place[0] + start, *place[1:]), float(block[place])
    return None


_WAY_OUT = "Write it with numpy.save from an array of floats."
