"""Tensors in a file beside the graph: a graph itself can hold 2 GB only."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import StringStringEntryProto, TensorProto, helper

# Tensors begin on a page, so that the file can be mapped; those below this many bytes stay in the graph.
PAGE = 4096
SMALL = 1024


class ExternalData:
    """Writes tensors one after the other.

    Args:
        path: the file; made anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> ExternalData:
        self._file = self._path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def tensor(self, name: str, array: NDArray[Any]) -> Any:
        """The tensor as the graph lists it; its bytes are in the file by then, unless they are few."""
        if self._file is None:
            raise ValueError("the file of weights is not open")
        dense = np.ascontiguousarray(array)
        kind = helper.np_dtype_to_tensor_dtype(dense.dtype)
        if dense.nbytes < SMALL:
            return helper.make_tensor(name, kind, dense.shape, dense.tobytes(), raw=True)
        self._file.write(bytes(-self._file.tell() % PAGE))
        begin = self._file.tell()
        dense.tofile(self._file)
        listed = TensorProto(name=name, data_type=kind, dims=dense.shape)
        listed.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._path.name), ("offset", begin), ("length", dense.nbytes)):
            listed.external_data.append(StringStringEntryProto(key=key, value=str(value)))
        return listed
