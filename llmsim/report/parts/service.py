"""How long queries took, how many were served well, and how evenly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from llmsim.report.account import Account, Found
from llmsim.report.drawing import Chart, Drawing
from llmsim.report.figures import COUNT, ENERGY, PERCENT, TIME
from llmsim.report.parts.part import Part
from llmsim.report.sheet import NOT_ASKED, Column, Shown, always, asked, cached, nonzero
from llmsim.simulation.metrics import service
from llmsim.simulation.window import take

_WORDS = {
    "mean": "mean",
    "p50": "median",
    "p90": "90th percentile",
    "p95": "95th percentile",
    "p99": "99th percentile",
}
SPREAD = tuple(_WORDS)
_NOT_ASKED = f"{NOT_ASKED}set slo.ttft_s, slo.tpot_s or slo.latency_s"


def spread_columns(
    group: str, key: str, parts: Iterable[str], sheet: str, detail: bool = False, shown: Shown = always
) -> tuple[Column, ...]:
    """Columns of a spread of seconds; the 95th percentile is on the page only."""
    meaning = MEANINGS[key]
    return tuple(
        Column(
            group, part, (key, part), TIME, f"{_WORDS[part]} of {meaning}", sheet=sheet, shown=shown,
            detail=detail or part == "p95",
        )
        for part in parts
    )  # fmt: skip


MEANINGS = {
    "latency_s": "the time from arrival to the last token",
    "wait_s": "the time from arrival to start",
    "ttft_s": "the time from arrival to the first token",
    "tpot_s": "the time for each token after the first",
}


class ServicePart(Part):
    """Times of queries, over all that were served; rates; what met the objective; fairness."""

    columns = (
        *spread_columns("latency", "latency_s", SPREAD, "time"),
        *spread_columns("wait", "wait_s", SPREAD, "time"),
        *spread_columns("first token", "ttft_s", SPREAD, "service", shown=cached),
        *spread_columns("a token", "tpot_s", SPREAD, "service", shown=cached),
        Column(
            "in SLO", "", ("slo_attainment_pct",), PERCENT,
            "served queries that met every part of slo", digits=4, sheet="service", shown=asked,
        ),
        Column(
            "active per query in SLO", "", ("energy_active_per_query_in_slo_j",), ENERGY,
            "active energy of all queries over those that met slo", digits=4, sheet="service", shown=asked,
        ),
        Column(
            "throughput", "queries/s", ("throughput_queries_per_s",), COUNT,
            "served queries over first arrival to last end", sheet="service", detail=True, whole=False,
        ),
        Column(
            "output", "tokens/s", ("throughput_tokens_per_s",), COUNT,
            "generated tokens over first arrival to last end", sheet="service", detail=True, whole=False,
        ),
        Column(
            "fairness", "short to long", ("fairness", "short_to_long"), COUNT,
            "latency a token of the quarter of queries with the fewest tokens over that of the most",
            sheet="service", detail=True, digits=4, whole=False,
        ),
        Column(
            "fairness", "Jain", ("fairness", "jain"), COUNT,
            "Jain's index of latency a token: 1 where all are served alike", sheet="service", detail=True,
            digits=4, whole=False,
        ),
        Column(
            "preemptions", "", ("preemptions",), COUNT, "places lost for want of KV memory", sheet="service",
            shown=nonzero, digits=9,
        ),
    )  # fmt: skip
    deployment_columns = (
        *spread_columns("latency", "latency_s", ("p50", "p99"), "deployments", detail=True),
        *spread_columns("wait", "wait_s", ("p50", "p99"), "deployments", detail=True),
        Column("runtime", "mean", ("mean_runtime_s",), TIME, "mean time to serve one query"),
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """Over all served queries."""
        found = service(account.run.ledger, account.terms.slo)
        return Found(found, why_absent(found))

    def of_deployment(self, account: Account, index: int) -> Found:
        """Over its queries, where it served any."""
        here = take(account.run.ledger, account.served_by(index))
        found = service(here, account.terms.slo)
        runtime_s = here.end_s - here.start_s
        found["mean_runtime_s"] = float(np.mean(runtime_s)) if len(runtime_s) else None
        return Found(found, why_absent(found) if len(runtime_s) else {})

    def charts(self, drawing: Drawing) -> Mapping[str, Chart]:
        """Where queries go, how long they take under every policy, and on each deployment."""
        from llmsim.report.charts_queries import latency, placement
        from llmsim.report.charts_service import times_by_deployment

        return {
            "placement": lambda figure: placement(figure, drawing.summary, drawing.served, drawing.palette),
            "latency": lambda figure: latency(figure, drawing.summary, drawing.latencies_s, drawing.palette),
            "latency_deployments": lambda figure: times_by_deployment(
                figure, drawing.summary, drawing.served, drawing.palette
            ),
        }


def why_absent(found: Mapping[str, Any]) -> dict[str, str]:
    """Why figures of service are absent, for those that are."""
    absent = {}
    if found["tpot_s"]["mean"] is None:
        absent["tpot_s"] = "every answer has one token"
    if found["slo_attainment_pct"] is None:
        absent |= dict.fromkeys(("slo_attainment_pct", "energy_active_per_query_in_slo_j"), _NOT_ASKED)
    elif found["energy_active_per_query_in_slo_j"] is None:
        none = not found["slo_attainment_pct"]
        why = "no query met the objective" if none else "the energy of some query is not known"
        absent["energy_active_per_query_in_slo_j"] = why
    return absent
