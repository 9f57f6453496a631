"""What choices are worth by the curves' prices: what no less accuracy could have cost, and regret.

These joules are predicted: each query alone, as a policy prices it. They are never mixed with simulated ones.
"""

from __future__ import annotations

from llmsim.errors import InputError
from llmsim.report.account import Account, Found
from llmsim.report.parts.part import Part


class NoLessAccuracyPart(Part):
    """The least predicted energy at no less accuracy than a row, as a saving."""

    def of_run(self, account: Account) -> Found:
        """The saving, percent of the row's own predicted energy."""
        key = "saving_at_no_less_accuracy_pct"
        try:
            return Found({key: account.terms.judge.saving_pct(account.run)})
        except InputError as reason:
            return Found({key: None}, {key: str(reason)})


class RegretPart(Part):
    """How far an online policy's choices are from the best with its number of queries on each deployment."""

    def of_run(self, account: Account) -> Found:
        """The regret; none of an offline policy."""
        if account.run.plan is not None:
            return Found({"regret": None}, {"regret": "the policy plans offline: see its certificate"})
        try:
            return Found({"regret": account.terms.judge.regret(account.run)})
        except InputError as reason:
            return Found({"regret": None}, {"regret": str(reason)})
