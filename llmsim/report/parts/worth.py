"""What choices are worth by the curves' prices: what no less accuracy could have cost, and regret.

These joules are predicted: each query alone, as a policy prices it. They are never mixed with simulated ones.
"""

from __future__ import annotations

from llmsim.errors import InputError
from llmsim.report.account import Account, Found
from llmsim.report.figures import PERCENT, Scale
from llmsim.report.parts.part import Part
from llmsim.report.sheet import NOT_MEANT, Column, Row, asked

NO_LESS_ACCURACY = "saving_at_no_less_accuracy_pct"
_SCALE = Scale(1.0, "%", 1)


class NoLessAccuracyPart(Part):
    """The least predicted energy at no less accuracy than a row, as a saving."""

    columns = (
        Column(
            "at no less accuracy", "predicted saving", (NO_LESS_ACCURACY,), PERCENT,
            "predicted active energy that the best plan without bounds saves against this row, "
            "at no less accuracy than this row has",
            digits=3, strong=True,
        ),
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """The saving, percent of the row's own predicted energy."""
        try:
            return Found({NO_LESS_ACCURACY: account.terms.judge.saving_pct(account.run)})
        except InputError as reason:
            return Found({NO_LESS_ACCURACY: None}, {NO_LESS_ACCURACY: str(reason)})


def told(summary: Row) -> str:
    """The honest headline: what each baseline could have saved at no less accuracy; empty for none."""
    savings = {
        label: row[NO_LESS_ACCURACY]
        for label, row in summary.get("baselines", {}).items()
        if row.get(NO_LESS_ACCURACY) is not None
    }
    if not savings:
        return ""
    said = ", ".join(f"{_SCALE.text(max(saved, 0.0))} % ({label})" for label, saved in savings.items())
    return (
        "At no less accuracy than each baseline, the best plan without bounds takes less active energy, as "
        f"the curves predict it: by {said}."
    )


class RegretPart(Part):
    """How far an online policy's choices are from the best with its number of queries on each deployment."""

    columns = (
        Column(
            "regret", "predicted", ("regret", "regret_relative"), PERCENT,
            "priced objective of an online policy's choices above the offline optimum with its number of "
            "queries on each deployment, of that optimum's size",
            factor=100.0, digits=3, shown=asked,
        ),
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """The regret; none of an offline policy."""
        if account.run.plan is not None:
            return Found(
                {"regret": None}, {"regret": f"{NOT_MEANT}the policy plans offline, see its certificate"}
            )
        try:
            return Found({"regret": account.terms.judge.regret(account.run)})
        except InputError as reason:
            return Found({"regret": None}, {"regret": str(reason)})
