"""Figures of the steady state: without the warm-up from an empty fleet and the cool-down to one."""

from __future__ import annotations

from dataclasses import replace

from llmsim.report.account import Account, Found, known_sum
from llmsim.report.figures import COUNT, ENERGY
from llmsim.report.parts.part import Part
from llmsim.report.parts.service import SPREAD, spread_columns
from llmsim.report.sheet import NOT_ASKED, Column, known
from llmsim.simulation.metrics import service
from llmsim.simulation.window import take

_NOT_ASKED = f"{NOT_ASKED}window cuts nothing: set window.warm_up_s or window.cool_down_s"


class SteadyPart(Part):
    """Service over the queries that arrive in the window, under `steady`."""

    columns = (
        Column("steady", "queries", ("steady", "queries"), COUNT, "queries that arrive in it", digits=9,
               sheet="steady", shown=known),
        *(
            replace(column, path=("steady", *column.path))
            for group, key in (("steady latency", "latency_s"), ("steady wait", "wait_s"))
            for column in spread_columns(group, key, SPREAD, "steady", shown=known)
        ),
        Column("steady active per query", "", ("steady", "energy_active_per_query_j"), ENERGY,
               "energy while serving over queries", digits=4, sheet="steady", shown=known),
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """Service in the window; none where nothing is cut."""
        terms, ledger = account.terms, account.run.ledger
        if not terms.window.cuts:
            return Found({"steady": None}, {"steady": _NOT_ASKED})
        inside = take(ledger, terms.window.inside(ledger.arrival_s, terms.arrivals_s))
        active = known_sum(inside.energy_j)
        queries = len(inside.arrival_s)
        found = {
            "queries": queries,
            "energy_active_per_query_j": None if active is None else active / queries,
            **service(inside, terms.slo),
        }
        return Found({"steady": found})
