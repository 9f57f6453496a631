"""The columns of the measurement table: names, units, types and what each means.

One row is one measured execution: a query or a batch from its prompts to its last token, or one phase of it.
A row of one phase states `prefill_s` (tau_out is 1: the prompt gives a token) or `decode_step_s` (tau_out - 1
steps of queries whose caches hold tau_in tokens), and its runtime and joules are of that phase alone. A row
that states both, or neither, is of the whole. A number that was not measured is NaN, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "int", "float", "bool"]


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: the column's name, with its unit where it has one.
        kind: text, int, float or bool.
        meaning: what a value says.
        required: a user's file must have it.
        default: the value of a row whose file lacks the column; a float column's is NaN (not measured).
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    default: str | int | float | bool = float("nan")


COLUMNS: tuple[Column, ...] = (
    Column("system", "text", "the machine, one name for everything measured on it", required=True),
    Column("model", "text", "the language model", required=True),
    Column("n_devices", "int", "devices the instance used, at least 1", required=True),
    Column("precision", "text", "number format of the weights, such as bf16", required=True),
    Column("power_cap", "text", "'none' (the stock limit), watts, or 'unstated'", default="none"),
    Column("kv_cache", "bool", "true where keys and values of earlier tokens were kept", required=True),
    Column("batch", "int", "queries served together, at least 1", required=True),
    Column("tau_in", "int", "prompt tokens of each query, at least 1", required=True),
    Column("tau_out", "int", "tokens requested of each query, at least 1", required=True),
    Column("tau_out_generated", "float", "tokens generated where they were counted, else NaN"),
    Column("outcome", "text", "completed, or ended_early (stopped before tau_out)", default="completed"),
    Column("quality", "text", "ok, or why the row is not fitted (check: kept for that)", default="ok"),
    Column("warmup", "bool", "true for a first call, which is never fitted", default=False),
    Column("method", "text", "how joules were had: measured or estimated", required=True),
    Column("scope", "text", "what the joules cover, such as gpu_boards", required=True),
    Column("experiment", "text", "design the row belongs to, such as independence", default="independence"),
    Column("repeat", "int", "number of the repeat of this setting", default=0),
    Column("prompt", "text", "which prompt was used", default=""),
    Column("runtime_s", "float", "seconds from the call to its last token, s", required=True),
    Column("energy_j", "float", "joules within `scope` over the runtime, J; NaN where not measured"),
    Column("cpu_energy_j", "float", "joules of the CPU packages where they were measured apart, J"),
    Column("prefill_s", "float", "seconds of one pass over the prompts of the whole batch, s"),
    Column("decode_step_s", "float", "mean seconds of one generated token of the batch, s"),
    Column("source", "text", "the publication or file the row is from", default=""),
)

NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)

# Rows that differ in one of these were measured under other conditions and never share a curve.
CONDITIONS: tuple[str, ...] = ("precision", "power_cap", "kv_cache", "method", "scope")

# The joules and seconds of these rows are sound; what the flag is about lies in another column.
USABLE: tuple[str, ...] = ("ok", "negative_cpu_energy")
