"""How far a plan may be from the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from llmsim.report import figures
from llmsim.report.account import Account, Found
from llmsim.report.note import Note
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Row


class ProofPart(Part):
    """The certificate of a plan."""

    def of_run(self, account: Account) -> Found:
        """The certificate; none of a policy that proves nothing."""
        plan = account.run.plan
        if plan is None or plan.certificate is None:
            return Found(
                {"certificate": None}, {"certificate": "the policy proves nothing about its choices"}
            )
        return Found({"certificate": asdict(plan.certificate)})

    def notes(self, summary: Row) -> Sequence[Note]:
        """The certificate in words."""
        return [Note("certificate", told(summary))]


def told(summary: Row) -> str:
    """How far the plan may be from the best one, and what that bounds."""
    proof = summary.get("certificate")
    if not proof:
        return (
            f"none: {summary.get('policy', 'this policy')} does not prove how far its plan is from the best."
        )
    gap = proof.get("gap")
    scope = str(proof.get("scope") or "").strip()
    if gap is None:
        return f"no bound was proved by {proof.get('solver', 'the solver')}. {scope}".strip()
    return (
        f"proved within {figures.within(gap)} of optimal on the priced cost "
        f"(objective {figures.number(proof.get('objective'), 6)}, "
        f"lower bound {figures.number(proof.get('lower_bound'), 6)}; "
        f"{proof.get('solver', 'solver not named')}). {scope}"
    ).strip()
