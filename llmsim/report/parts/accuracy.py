"""How good the answers are."""

from __future__ import annotations

from llmsim.report.account import Account, Found, weighted_mean
from llmsim.report.figures import PERCENT
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Column


class AccuracyPart(Part):
    """Mean of the models' accuracy, weighted by tokens."""

    columns = (
        Column(
            "accuracy", "", ("accuracy_pct",), PERCENT, "token-weighted mean over served queries", digits=4
        ),
    )
    deployment_columns = (
        Column("accuracy", "", ("accuracy_pct",), PERCENT, "token-weighted mean over its queries", digits=4),
    )

    def of_run(self, account: Account) -> Found:
        """Over all served queries."""
        mean = weighted_mean(account.accuracy_pct, account.tokens)
        deployments = range(len(account.run.prices.deployments))
        parts = [self.of_deployment(account, i).absent.get("accuracy_pct") for i in deployments]
        why = "; ".join(dict.fromkeys(part for part in parts if part))
        return Found({"accuracy_pct": mean}, {} if mean is not None else {"accuracy_pct": why})

    def of_deployment(self, account: Account, index: int) -> Found:
        """Over its queries."""
        here = account.served_by(index)
        mean = weighted_mean(account.accuracy_pct[here], account.tokens[here])
        model = account.run.prices.deployments[index].target.model
        why = f"no accuracy score is known for {model.name}"
        absent = {"accuracy_pct": why} if mean is None and model.accuracy_pct is None else {}
        return Found({"accuracy_pct": mean}, absent)
