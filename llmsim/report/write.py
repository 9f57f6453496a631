"""The files of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def write_json(value: Any, path: Path) -> None:
    """Indented JSON with sorted keys and a final newline; refuses NaN, which no JSON reader must accept."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_tables(
    folder: Path, queries: pa.Table, instances: pa.Table, plan: pa.Table, series: pa.Table | None = None
) -> None:
    """`queries.parquet`, `instances.parquet`, `plan.csv`, and `series.parquet` where there is one."""
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.parquet.write_table(queries, folder / "queries.parquet", compression="zstd")
    pyarrow.parquet.write_table(instances, folder / "instances.parquet", compression="zstd")
    if series is not None:
        pyarrow.parquet.write_table(series, folder / "series.parquet", compression="zstd")
    pyarrow.csv.write_csv(plan, folder / "plan.csv", pyarrow.csv.WriteOptions(quoting_style="needed"))
