"""The `workload` part of the configuration, and the queries it stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import llmsim
from llmsim.config import parse
from llmsim.errors import InputError, did_you_mean
from llmsim.workload import arrivals, reshape
from llmsim.workload.queries import Queries
from llmsim.workload.synthetic import Lengths, synthetic
from llmsim.workload.trace import read_trace, take_first

KINDS = ("file", "shipped", "synthetic")


@dataclass(frozen=True)
class Workload:
    """Where a run's queries come from, one YAML in `conf/workload`.

    Attributes:
        name: the name in `conf/workload` and in every table.
        kind: `shipped` (a trace of this package), `file` (one of the user's own), or `synthetic`.
        path: the trace; a bare file name where it is shipped.
        limit: take the first `limit` queries in order of arrival; None takes all.
        source: where the queries are from and under which licence, in words.
        window_s: keep the queries that arrive in this part of the trace, [from, to].
        speed: arrivals so many times as fast.
        repeat: the trace so many times, end to end; each arrival moved by about `repeat_jitter_s`.
        resample: replace the queries by so many, whose lengths are drawn from them in pairs; needs
            `arrivals`.
        arrivals: new arrival times: the `process` of workload/arrivals.py, and its settings.
        queries: synthetic: number of queries.
        rate_per_s: synthetic: mean arrivals per second.
        tau_in_mean, tau_in_cv: synthetic: prompt tokens, mean, coefficient of variation.
        tau_out_mean, tau_out_cv: synthetic: generated tokens, the same.
        tau_in_max, tau_out_max: most tokens of a prompt and of an answer; those of a trace that are longer
            are cut to it.
    """

    name: str
    kind: str
    path: str | None = None
    limit: int | None = None
    source: str = ""
    window_s: list[float] | None = None
    speed: float = 1.0
    repeat: int = 1
    repeat_jitter_s: float = 0.0
    resample: int | None = None
    arrivals: dict[str, Any] | None = None
    queries: int | None = None
    rate_per_s: float | None = None
    tau_in_mean: float | None = None
    tau_in_cv: float | None = None
    tau_in_max: int | None = None
    tau_out_mean: float | None = None
    tau_out_cv: float | None = None
    tau_out_max: int | None = None


# What a synthetic workload needs, and of this, what a trace has as well.
NEEDED = tuple(
    field.name
    for field in dataclasses.fields(Workload)
    if field.name.startswith(("queries", "rate_", "tau_"))
)
CAPS = ("tau_in_max", "tau_out_max")


def load(node: Mapping[str, Any], rng: np.random.Generator, where: str = "workload") -> Queries:
    """The queries of a run.

    Args:
        node: the `workload` part of the configuration.
        rng: what a synthetic workload, new arrivals, jitter and new lengths are drawn from; a trace as it is
            draws nothing.
        where: the node's place in the configuration, for errors.

    Raises:
        InputError: an unknown or impossible setting, or a file that is not a trace.
    """
    settings = parse(Workload, node, where)
    _check(settings, where)
    if settings.kind == "synthetic":
        queries = _draw(settings, rng, where)
    elif settings.kind == "shipped":
        queries = read_trace(shipped_path(str(settings.path), where))
    else:
        queries = read_trace(str(settings.path))
    named = dataclasses.replace(queries, name=settings.name, source=settings.source or queries.source)
    taken = take_first(_reshape(named, settings, rng, where), settings.limit, f"{where}.limit")
    if settings.kind == "synthetic":
        return taken
    return reshape.shorten(taken, settings.tau_in_max, settings.tau_out_max, where)


def _reshape(queries: Queries, settings: Workload, rng: np.random.Generator, where: str) -> Queries:
    """The part, speed, repeats, lengths and arrivals that the settings ask for, in this order."""
    if settings.window_s is not None:
        if len(settings.window_s) != 2:
            raise InputError(f"{where}.window_s={settings.window_s}: expected two numbers, [from, to].")
        from_s, to_s = settings.window_s
        queries = reshape.window(queries, from_s, to_s, f"{where}.window_s")
    if settings.speed != 1.0:
        queries = reshape.faster(queries, settings.speed, f"{where}.speed")
    if settings.repeat != 1:
        queries = reshape.repeat(queries, settings.repeat, settings.repeat_jitter_s, rng, f"{where}.repeat")
    if settings.arrivals is None:
        if settings.resample is not None:
            raise InputError(f"{where}.resample={settings.resample}: needs {where}.arrivals as well.")
        return queries
    process = arrivals.from_config(settings.arrivals, f"{where}.arrivals")
    count = len(queries) if settings.resample is None else settings.resample
    if count < 1:
        raise InputError(f"{where}.resample={count}: at least 1.")
    arrival_s = arrivals.draw(process, count, rng, f"{where}.arrivals")
    said = ", ".join(f"{key} {value}" for key, value in settings.arrivals.items() if key != "process")
    note = f"Arrivals are drawn: {settings.arrivals['process']}{f' ({said})' if said else ''}."
    if settings.resample is None:
        drawn = dataclasses.replace(queries, arrival_s=arrival_s)
    else:
        drawn = reshape.resample(queries, arrival_s, rng)
    return dataclasses.replace(drawn, notes=(*drawn.notes, note))


def shipped_folder() -> Path:
    """The folder of the traces that come with llmsim."""
    return Path(llmsim.__file__).parent / "data" / "workloads"


def shipped_path(name: str, where: str = "workload") -> Path:
    """The file of a shipped trace; raises InputError with the nearest when there is none of that name."""
    path = shipped_folder() / name
    if path.parent != shipped_folder() or not path.is_file():
        known = [file.name for file in shipped_folder().glob("*.csv")]
        hint = did_you_mean(name, known, "shipped trace")
        raise InputError(
            f"{where}.path={name}: no such shipped trace. {hint} For a file of your own: "
            "workload=csv workload.path=FILE."
        )
    return path


def _check(settings: Workload, where: str) -> None:
    """Raises InputError for settings that do not go together, or that a kind of workload lacks."""
    if settings.kind not in KINDS:
        raise InputError(f"{where}.kind: '{settings.kind}'. {did_you_mean(settings.kind, KINDS, 'kind')}")
    if settings.limit is not None and settings.limit < 1:
        raise InputError(f"{where}.limit={settings.limit}: at least 1 query is needed (null takes all).")
    given = [name for name in NEEDED if getattr(settings, name) is not None]
    if settings.kind == "synthetic":
        missing = [name for name in NEEDED if name not in given]
        if missing:
            raise InputError(f"{where}.{missing[0]}: a synthetic workload needs a value.")
        if settings.path is not None:
            raise InputError(
                f"{where}.path={settings.path}: a synthetic workload has no file; use workload=csv."
            )
        return
    if others := [name for name in given if name not in CAPS]:
        raise InputError(
            f"{where}.{others[0]}: only workload=synthetic has this; '{settings.name}' is a trace."
        )
    if not settings.path:
        raise InputError(
            f"workload={settings.name} needs workload.path=FILE: a CSV or Parquet file with the columns "
            "tau_in, tau_out and, if queries do not all arrive at once, arrival_s."
        )


def _draw(settings: Workload, rng: np.random.Generator, where: str) -> Queries:
    """The queries of a synthetic workload."""

    def given(value: float | None) -> float:
        """A setting that `_check` has required."""
        if value is None:
            raise InputError(f"{where}: a synthetic workload needs a value for every setting.")
        return value

    return synthetic(
        int(given(settings.queries)),
        given(settings.rate_per_s),
        Lengths(given(settings.tau_in_mean), given(settings.tau_in_cv), int(given(settings.tau_in_max))),
        Lengths(given(settings.tau_out_mean), given(settings.tau_out_cv), int(given(settings.tau_out_max))),
        rng,
        where,
    )
