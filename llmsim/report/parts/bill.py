"""What the fleet cost over the horizon: electricity, carbon, hours of nodes."""

from __future__ import annotations

from collections.abc import Collection

from llmsim.report.account import Account, Found, known_sum
from llmsim.report.figures import ENERGY, Ladder
from llmsim.report.parts.part import Part
from llmsim.report.sheet import NOT_ASKED, Column, Figures, Row, asked
from llmsim.simulation.metrics import Tariff, bill

MONEY: Ladder = ((1.0, "USD"), (1e3, "kUSD"), (1e6, "MUSD"))
MASS: Ladder = ((1.0, "g"), (1e3, "kg"), (1e6, "t"), (1e9, "kt"))


def _beside_others(key: str, rows: Collection[Row], figures: Figures) -> bool:
    """Beside another figure of the bill; alone it would tell all rows the same."""
    others = ("energy_with_pue_j", "cost_energy_usd", "carbon_g")
    return asked(key, rows, figures) and any(row.get(other) is not None for row in rows for other in others)


class BillPart(Part):
    """Energy as the site pays it, and its price; the site's overhead is in these figures only."""

    columns = (
        Column(
            "with the site's overhead", "energy", ("energy_with_pue_j",), ENERGY,
            "total energy times power usage effectiveness", sheet="cost", shown=asked,
        ),
        Column(
            "electricity", "", ("cost_energy_usd",), MONEY, "price of that energy", sheet="cost", shown=asked
        ),
        Column("carbon", "", ("carbon_g",), MASS, "carbon of that energy", sheet="cost", shown=asked),
        Column(
            "nodes", "", ("cost_nodes_usd",), MONEY, "hours of all nodes over the horizon, busy or not",
            sheet="cost", detail=True, shown=_beside_others,
        ),
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """The bill of the whole fleet."""
        terms, deployments = account.terms, account.run.prices.deployments
        active, idle = known_sum(account.run.ledger.energy_j), known_sum(account.idle_j)
        energy_j = None if active is None or idle is None else active + idle
        found = bill(energy_j, deployments, terms.horizon.length_s, terms.tariff)
        unknown = "the fleet's energy is not known"
        absent = {}
        if terms.tariff.pue == 1.0:
            found["energy_with_pue_j"] = None
            absent["energy_with_pue_j"] = f"{NOT_ASKED}set tariff.pue"
        prefix = NOT_ASKED if terms.tariff == Tariff() else ""
        for key, price in (("cost_energy_usd", "usd_per_kwh"), ("carbon_g", "gram_co2_per_kwh")):
            set_ = getattr(terms.tariff, price) is not None
            absent[key] = unknown if set_ else f"{NOT_ASKED}set tariff.{price}"
        without = {
            item.target.hardware.name for item in deployments if item.target.hardware.usd_per_hour is None
        }
        absent["cost_nodes_usd"] = prefix + "; ".join(
            f"set hardware.{name}.usd_per_hour" for name in sorted(without)
        )
        return Found(found, {key: absent.get(key, unknown) for key, value in found.items() if value is None})
