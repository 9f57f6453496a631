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
        """The left-out error of its curves, and of each phase."""
        error = account.run.prices.deployments[index].provenance.get("left_out_error", {})
        return Found({"left_out_error": dict(error)})

    def notes(self, summary: Row) -> Sequence[Note]:
        """Which models were compared, and how queries were served when their curves were measured."""
        return [*_models(summary), *_regime(summary)]


def _models(summary: Row) -> Sequence[Note]:
    """Which hardware named the models that were compared, where one did."""
    chosen = {part.get("model") for part in (summary.get("deployments") or {}).values()}
    hardware = (summary.get("provenance") or {}).get("hardware") or {}
    return [
        Note("models", f"as hardware={name} names them: {', '.join(node['models'])}; model= chooses others")
        for name, node in hardware.items()
        if chosen and chosen == set(node.get("models") or ())
    ]


def _regime(summary: Row) -> Sequence[Note]:
    """What was served one query at a time, where serving engines do it otherwise."""
    parts = (summary.get("deployments") or {}).items()
    uncached = [name for name, part in parts if part.get("kv_cache") is False]
    if not uncached:
        return []
    text = (
        f"{', '.join(uncached)}: one query at a time without a KV cache, as measured; serving engines "
        "batch and cache, and use far less energy for a query"
    )
    return [Note("curves", text)]
