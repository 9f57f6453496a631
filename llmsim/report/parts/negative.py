"""Negative predictions: joules and seconds below zero, of a form that can give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmsim.curves.negative import negative
from llmsim.report.account import Account, Found
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Row


class NegativePart(Part):
    """Queries for which a curve predicts less than nothing. Negative seconds are played as none."""

    def of_run(self, account: Account) -> Found:
        """By deployment and kind: how many queries, and their sum."""
        prices, result = account.run.prices, dict[str, Any]()
        for index, (item, cost) in enumerate(zip(prices.deployments, prices.costs, strict=True)):
            here = account.served_by(index)
            fits = prices.eligible[prices.pair_of, index]
            for what, unit, values in (("energy", "j", cost.energy_j), ("runtime", "s", cost.runtime_s)):
                if values is None or not negative(values).count:
                    continue
                per_query = values[prices.pair_of]
                priced, served = negative(per_query[fits]), negative(per_query[fits & here])
                if priced.count:
                    result.setdefault(item.name, {})[what] = {
                        "queries_priced": priced.count,
                        f"priced_{unit}": priced.total,
                        "queries_served": served.count,
                        f"served_{unit}": served.total,
                    }
        return Found({"negative_predictions": result})

    def warnings(self, own: Row) -> Sequence[str]:
        """One for each deployment and kind."""
        found = []
        for name, kinds in own["negative_predictions"].items():
            for what, told in kinds.items():
                amount = f"{told['priced_j']:.4g} J" if what == "energy" else f"{told['priced_s']:.4g} s"
                played = "" if what == "energy" else ", where they take no time"
                found.append(
                    f"The curve of {name} predicts negative {what} for {told['queries_priced']:,} queries "
                    f"({amount} in sum); {told['queries_served']:,} of them are served there{played}. "
                    "Choose curve=auto for one that cannot."
                )
        return found
