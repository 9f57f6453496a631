"""Trials as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsim.trials.schema import COLUMNS, NAMES, USABLE


@dataclass(frozen=True)
class Trials:
    """Measured executions, one entry a trial in each column of `llmsim.trials.schema.COLUMNS`.

    Attributes:
        columns: column name to array, all of shape (n,); text columns are Unicode arrays.
    """

    columns: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        missing = [name for name in NAMES if name not in self.columns]
        if missing:
            raise ValueError(f"trials lack the columns {', '.join(missing)}")

    def __len__(self) -> int:
        return len(self.columns["system"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The column `name`, shape (n,)."""
        return self.columns[name]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Trials:
        """The chosen rows, by mask or by index."""
        return Trials({name: column[rows] for name, column in self.columns.items()})

    def where(self, **conditions: Any) -> Trials:
        """The rows whose columns equal the given values."""
        mask = np.ones(len(self), dtype=np.bool_)
        for name, value in conditions.items():
            mask &= self.columns[name] == value
        return self.take(mask)

    def usable(self) -> Trials:
        """The rows fit for a curve: sound, complete, no warm-up."""
        return self.take(self.is_usable())

    def is_usable(self) -> NDArray[np.bool_]:
        """Which rows are fit for a curve, shape (n,)."""
        sound = np.isin(self["quality"], USABLE) & ~self["warmup"] & (self["outcome"] == "completed")
        return np.asarray(sound, dtype=np.bool_)

    def distinct(self, name: str) -> list[Any]:
        """The sorted distinct values of a column, as Python values."""
        return [value.item() for value in np.unique(self.columns[name])]

    @cached_property
    def sha256(self) -> str:
        """Hash of every column's content, in the schema's order; equal tables have equal hashes."""
        digest = hashlib.sha256()
        for column in COLUMNS:
            values = self.columns[column.name]
            digest.update(f"{column.name}:{column.kind}:{len(values)}\n".encode())
            if column.kind == "text":
                digest.update("\n".join(values.tolist()).encode())
            else:
                kinds = {"int": "<i8", "float": "<f8", "bool": "?"}
                digest.update(np.ascontiguousarray(values, dtype=kinds[column.kind]).tobytes())
        return digest.hexdigest()

    @staticmethod
    def concatenate(tables: list[Trials]) -> Trials:
        """The rows of all tables, one after the other."""
        return Trials({name: np.concatenate([table[name] for table in tables]) for name in NAMES})
