"""Who was served where: counts, refusals, extrapolations, and the fleet that did it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmsim.report import figures
from llmsim.report.account import Account, Found
from llmsim.report.figures import COUNT, PERCENT
from llmsim.report.note import Note
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Column, Row, differs

# A share of refused queries above which the screen says so.
REFUSED_WARNING = 0.05


class QueriesPart(Part):
    """The policy, and what became of the queries."""

    columns = (Column("served", "", ("served",), COUNT, "queries that were served", digits=9, shown=differs),)
    deployment_columns = (
        Column("queries", "", ("queries",), COUNT, "queries served", digits=9),
        Column("share", "", ("queries_pct",), PERCENT, "part of the served queries", digits=3),
        Column("instances", "", ("instances",), COUNT, "running copies", digits=9),
        Column("devices", "each", ("devices_per_instance",), COUNT, "devices of one instance", digits=9),
    )

    def of_run(self, account: Account) -> Found:
        """The policy's name and settings; queries served, refused and extrapolated."""
        run = account.run
        prices = run.prices
        outside = prices.extrapolated[prices.pair_of, run.ledger.deployment]
        return Found(
            {
                "policy": run.policy["name"],
                "policy_settings": {key: value for key, value in run.policy.items() if key != "name"},
                "served": len(run.served),
                "refused": sum(len(numbers) for numbers in run.refused.values()),
                "refused_reasons": {reason: len(numbers) for reason, numbers in run.refused.items()},
                "extrapolated": int(outside.sum()),
            }
        )

    def of_deployment(self, account: Account, index: int) -> Found:
        """What it is, and how many queries it served."""
        item = account.run.prices.deployments[index]
        queries, served = int(account.served_by(index).sum()), len(account.run.served)
        found: dict[str, Any] = {
            "model": item.target.model.name,
            "hardware": item.target.hardware.name,
            "queries": queries,
            "queries_pct": 100.0 * queries / served if served else None,
            "instances": item.instances,
            "devices_per_instance": item.target.n_devices,
            "discipline": item.discipline,
            "dispatcher": item.dispatcher,
            "max_batch": item.max_batch,
            "pricing_batch": item.pricing_batch,
            "kv_cache": item.target.kv_cache,
            "share": item.share,
        }
        return Found(found)

    def warnings(self, own: Row) -> Sequence[str]:
        """When many queries are refused."""
        total = own["served"] + own["refused"]
        if own["refused"] <= REFUSED_WARNING * total:
            return ()
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in own["refused_reasons"].items())
        return (f"{own['refused']:,} of {total:,} queries are refused ({reasons}).",)

    def notes(self, summary: Row) -> Sequence[Note]:
        """How many were refused, and how many extrapolated."""
        return [*_refused(summary), *_extrapolated(summary)]


def _refused(summary: Row) -> list[Note]:
    """How many queries were refused, for each reason."""
    total = summary.get("refused")
    if not total:
        return []
    part = figures.percent(figures.share(total, summary.get("queries")))
    reasons = summary.get("refused_reasons") or {"no reason recorded": total}
    several = len(reasons) > 1
    told = "; ".join(f"{figures.count(n)}: {why}" if several else why for why, n in reasons.items())
    text = f"{figures.count(total)} of {figures.count(summary.get('queries'))} queries ({part}): {told}"
    return [Note("refused", text)]


def _extrapolated(summary: Row) -> list[Note]:
    """How many predictions lie outside what was measured."""
    n = summary.get("extrapolated")
    if not n:
        return []
    part = figures.percent(figures.share(n, summary.get("served")))
    text = f"{figures.count(n)} served queries ({part}) lie outside the measured range of tokens"
    return [Note("extrapolated", text)]
