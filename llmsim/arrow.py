"""NumPy arrays as Arrow columns and back, by their memory.

pyarrow's own conversions import pandas where it is installed, which takes longer than a short run's own work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


def array(values: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """A column of numbers or truth values.

    Args:
        values: shape (n,).
        missing: which are null, shape (n,); None: none is.
    """
    import pyarrow as pa

    kind = pa.from_numpy_dtype(values.dtype)
    data = (
        np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)
    )
    valid = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(data)])


def texts(values: Sequence[str | None]) -> pa.Array:
    """A column of texts; None is null."""
    import pyarrow as pa

    encoded = [b"" if value is None else value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    valid = np.packbits(np.array([value is not None for value in values], dtype=bool), bitorder="little")
    buffers = [pa.py_buffer(valid), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """The values of a column of numbers without nulls, shape (n,); not to be written to."""
    dtype = np.dtype(column.type.to_pandas_dtype())
    parts = []
    for chunk in column.chunks:
        values = np.frombuffer(chunk.buffers()[1], dtype, len(chunk), chunk.offset * dtype.itemsize)
        parts.append(values)
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype), *parts])
