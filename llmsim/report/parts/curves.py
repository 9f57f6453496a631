"""How good the curves are that all predictions rest on."""

from __future__ import annotations

from collections.abc import Sequence

from llmsim.report.account import Account, Found
from llmsim.report.figures import PERCENT
from llmsim.report.note import Note
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Column, Row


class CurvesPart(Part):
    """The left-out error of each deployment's curves, from its provenance."""

    deployment_columns = (
        Column(
            "curve error", "energy", ("energy_mape_pct",), PERCENT,
            "mean absolute error of the energy curve on measurements left out of its fit", digits=3,
        ),
        Column(
            "curve error", "runtime", ("runtime_mape_pct",), PERCENT,
            "mean absolute error of the runtime curve on measurements left out of its fit", digits=3,
        ),
    )  # fmt: skip

    def of_deployment(self, account: Account, index: int) -> Found:
        """The error of each of its curves on what was left out of the fit."""
        item = account.run.prices.deployments[index]
        return Found({"left_out_error": dict(item.provenance.get("left_out_error", {}))})

    def notes(self, summary: Row) -> Sequence[Note]:
        """Which hardware named the models, and how queries were served when the curves were measured."""
        return [*_models(summary), *_regime(summary)]


def _models(summary: Row) -> Sequence[Note]:
    """Which hardware named the models that were compared, where one did."""
    chosen = {part.get("model") for part in (summary.get("deployments") or {}).values()}
    return [
        Note(
            "models",
            f"those that conf/hardware/{name}.yaml names, {', '.join(node['models'])}; model= chooses others",
        )
        for name, node in ((summary.get("provenance") or {}).get("hardware") or {}).items()
        if node.get("models") and chosen <= set(node["models"]) and len(chosen) > 1
    ]


def _regime(summary: Row) -> Sequence[Note]:
    """How queries were served when the curves were measured, where serving engines do it otherwise."""
    parts = (summary.get("deployments") or {}).items()
    uncached = [name for name, part in parts if part.get("kv_cache") is False]
    if not uncached:
        return []
    text = (
        f"{', '.join(uncached)}: one query at a time without a KV cache, as measured; serving engines "
        "batch and cache, and use far less energy for a query"
    )
    return [Note("curves", text)]
