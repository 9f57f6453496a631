"""How busy the fleet was, and whether its queues settle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmsim.report.account import Account, Found
from llmsim.report.drawing import Chart, Drawing
from llmsim.report.figures import PERCENT, TIME
from llmsim.report.note import Note
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Column, Row
from llmsim.simulation.metrics import spread
from llmsim.simulation.window import take, unsettled


class LoadPart(Part):
    """Busy time over the common horizon."""

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
        """Horizon, makespan, utilisation, and deployments whose queues do not settle."""
        horizon, busy_s = account.terms.horizon, account.instances.busy_s
        ledger = account.run.ledger
        growing = {
            item.name: unsettled(take(ledger, account.served_by(index)))
            for index, item in enumerate(account.run.prices.deployments)
        }
        return Found(
            {
                "horizon_s": horizon.length_s,
                "makespan_s": ledger.end_of_run_s - horizon.start_s,
                "utilisation": float(busy_s.sum() / (horizon.length_s * len(busy_s))),
                "unsettled": {name: why for name, why in growing.items() if why is not None},
            }
        )

    def of_deployment(self, account: Account, index: int) -> Found:
        """Utilisation of its instances: of all, and how it is spread over them."""
        parts = account.instances.busy_s[account.instances_of(index)] / account.terms.horizon.length_s
        return Found({"utilisation": float(parts.mean()), "utilisation_by_instance": spread(parts)})

    def warnings(self, own: Row) -> Sequence[str]:
        """When a queue does not settle."""
        if not own["unsettled"]:
            return ()
        grows = "; ".join(f"{name}: {how}" for name, how in own["unsettled"].items())
        return (
            "The load is above capacity and queues do not settle; figures depend on the run's length: "
            f"{grows}.",
        )

    def notes(self, summary: Row) -> Sequence[Note]:
        """Baselines under which a queue does not settle."""
        found: dict[tuple[str, ...], list[str]] = {}
        for label, row in summary.get("baselines", {}).items():
            if row.get("unsettled"):
                found.setdefault(tuple(row["unsettled"]), []).append(label)
        return [
            Note("load", f"under {', '.join(labels)}, the queue of {', '.join(names)} does not settle")
            for names, labels in found.items()
        ]

    def charts(self, drawing: Drawing) -> Mapping[str, Chart]:
        """What runs when, by the queries; and by the time series, where one was asked for."""
        from llmsim.report.charts_queries import over_time
        from llmsim.report.charts_service import timeline

        found: dict[str, Chart] = {
            "over_time": lambda figure: over_time(figure, drawing.summary, drawing.served, drawing.palette)
        }
        table = drawing.series
        if table is not None:
            found["series"] = lambda figure: timeline(figure, drawing.summary, table, drawing.palette)
        return found
