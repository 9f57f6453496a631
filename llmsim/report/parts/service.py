"""How long queries took, and how busy the fleet was."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llmsim.report.account import Account, Found
from llmsim.report.drawing import Chart, Drawing
from llmsim.report.figures import PERCENT, TIME
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Column
from llmsim.simulation.metrics import latency_s, spread, ttft_s, wait_s

_WORDS = {"mean": "mean", "p50": "median", "p90": "90th percentile", "p99": "99th percentile"}


def spread_columns(group: str, key: str, what: str, detail: bool = False) -> tuple[Column, ...]:
    """Columns of a spread of seconds."""
    return tuple(
        Column(
            group, part, (key, part), TIME, f"{word} of {what}, over the served queries",
            sheet="time", detail=detail,
        )
        for part, word in _WORDS.items()
    )  # fmt: skip


class ServicePart(Part):
    """Times of queries, over all that were served."""

    columns = (
        *spread_columns("latency", "latency_s", "the time from arrival to the last token"),
        *spread_columns("wait", "wait_s", "the time from arrival to start"),
        *spread_columns("first token", "ttft_s", "the time from arrival to the first token", detail=True),
    )
    deployment_columns = (
        Column("runtime", "mean", ("mean_runtime_s",), TIME, "mean time to serve one query"),
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """Spreads of seconds."""
        ledger = account.run.ledger
        times = {"latency_s": latency_s(ledger), "wait_s": wait_s(ledger), "ttft_s": ttft_s(ledger)}
        return Found({key: spread(values) for key, values in times.items()})

    def of_deployment(self, account: Account, index: int) -> Found:
        """Its queries' runtime and latency."""
        ledger, here = account.run.ledger, account.served_by(index)
        served = (ledger.end_s - ledger.start_s)[here]
        return Found(
            {
                "mean_runtime_s": float(np.mean(served)) if len(served) else None,
                "latency_s": spread(latency_s(ledger)[here]),
            }
        )

    def charts(self, drawing: Drawing) -> Mapping[str, Chart]:
        """Where queries go, and how long they take under every policy."""
        from llmsim.report.charts_queries import latency, placement

        return {
            "placement": lambda figure: placement(figure, drawing.summary, drawing.served, drawing.palette),
            "latency": lambda figure: latency(figure, drawing.summary, drawing.latencies_s, drawing.palette),
        }


class LoadPart(Part):
    """How busy the fleet was, over the common horizon."""

    columns = (
        Column(
            "makespan", "", ("makespan_s",), TIME, "start of the trace to the last query's end", sheet="time"
        ),
        Column(
            "utilisation", "", ("utilisation",), PERCENT,
            "busy time over horizon times instances", factor=100.0, digits=3, sheet="time",
        ),
    )  # fmt: skip
    deployment_columns = (
        Column(
            "utilisation", "", ("utilisation",), PERCENT,
            "busy time over horizon times instances", factor=100.0, digits=3,
        ),
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """Horizon, makespan and utilisation."""
        horizon, busy_s = account.terms.horizon, account.instances.busy_s
        return Found(
            {
                "horizon_s": horizon.length_s,
                "makespan_s": account.run.ledger.end_of_run_s - horizon.start_s,
                "utilisation": float(busy_s.sum() / (horizon.length_s * len(busy_s))),
            }
        )

    def of_deployment(self, account: Account, index: int) -> Found:
        """Utilisation of its instances."""
        busy_s = account.instances.busy_s[account.instances_of(index)]
        return Found({"utilisation": float(busy_s.sum() / (account.terms.horizon.length_s * len(busy_s)))})

    def charts(self, drawing: Drawing) -> Mapping[str, Chart]:
        """What runs when."""
        from llmsim.report.charts_queries import over_time

        return {
            "over_time": lambda figure: over_time(figure, drawing.summary, drawing.served, drawing.palette)
        }
