"""Joules: active and idle, per query and token, by deployment; what they cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmsim.fleet.deployment import Deployment
from llmsim.report import figures
from llmsim.report.account import Account, Found, known_sum
from llmsim.report.drawing import Chart, Drawing
from llmsim.report.figures import ENERGY
from llmsim.report.note import Note
from llmsim.report.parts.part import Part
from llmsim.report.sheet import Column, Row, nonzero
from llmsim.simulation.metrics import states

_SUMS = ("energy_active_j", "energy_idle_j", "energy_j")


class EnergyPart(Part):
    """Simulated (or measured) joules over the common horizon."""

    columns = (
        Column("energy", "active", ("energy_active_j",), ENERGY, "energy while serving queries"),
        Column("energy", "idle", ("energy_idle_j",), ENERGY, "idle power times idle time"),
        Column("energy", "total", ("energy_j",), ENERGY, "active and idle energy over the common horizon"),
        Column("per query", "", ("energy_per_query_j",), ENERGY, "total energy per query served", digits=4),
        Column(
            "per output token", "", ("energy_per_output_token_j",), ENERGY, "total energy over tokens made",
            detail=True,
        ),
    )  # fmt: skip
    deployment_columns = (
        Column("energy", "active", ("energy_active_j",), ENERGY, "energy while serving queries"),
        Column("energy", "idle", ("energy_idle_j",), ENERGY, "idle power times idle time"),
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """Sums, and per query and token; a sum is absent for the reasons of its deployments."""
        run = account.run
        active, idle = known_sum(run.ledger.energy_j), known_sum(account.idle_j)
        total = None if active is None or idle is None else active + idle
        served, tokens_out = len(run.served), int(run.prices.queries.tau_out.sum())
        found = {
            "energy_j": total,
            "energy_active_j": active,
            "energy_idle_j": idle,
            "energy_per_query_j": None if total is None else total / served,
            "energy_per_output_token_j": None if total is None else total / tokens_out,
            "energy_active_per_query_j": None if active is None else active / served,
        }
        parts = [self.of_deployment(account, i).absent for i in range(len(run.prices.deployments))]
        why = {key: "; ".join(dict.fromkeys(part[key] for part in parts if key in part)) for key in _SUMS}
        why |= dict.fromkeys(("energy_per_query_j", "energy_per_output_token_j"), why["energy_j"])
        why["energy_active_per_query_j"] = why["energy_active_j"]
        return Found(found, {key: why[key] for key, value in found.items() if value is None})

    def of_deployment(self, account: Account, index: int) -> Found:
        """Its sums."""
        run = account.run
        active = known_sum(run.ledger.energy_j[account.served_by(index)])
        idle = known_sum(account.idle_j[account.instances_of(index)])
        found = {
            "energy_j": None if active is None or idle is None else active + idle,
            "energy_active_j": active,
            "energy_idle_j": idle,
        }
        unmeasured = run.prices.costs[index].energy_j is None
        reasons = _reasons(run.prices.deployments[index], unmeasured, unmeasured or active is not None)
        return Found(found, {key: reason for key, reason in reasons.items() if found.get(key) is None})

    def notes(self, summary: Row) -> Sequence[Note]:
        """How the joules were had, what they cover, over which time; idle power of each hardware."""
        method = summary.get("energy_method") or "method not stated"
        scope = summary.get("energy_scope") or "scope not stated"
        text = f"{method}; counts {scope}."
        if method == "measured" and all(row.get("energy_active_j") is None for row in _rows(summary)):
            text = "that of serving was not measured."
        horizon = summary.get("horizon_s")
        if horizon is not None:
            text += f" Idle energy is over the same {figures.seconds(horizon)} for all rows."
        return [Note("energy", text), *_idle_power(summary)]

    def charts(self, drawing: Drawing) -> Mapping[str, Chart]:
        """Energy against accuracy, and by deployment."""
        from llmsim.report.charts_energy import by_deployment, trade_off

        return {
            "energy_accuracy": lambda figure: trade_off(figure, drawing.summary, drawing.palette),
            "energy_deployments": lambda figure: by_deployment(figure, drawing.summary, drawing.palette),
        }


class StatesPart(Part):
    """What instances did, in seconds and joules; `serve` is work of which phases are not told apart."""

    deployment_columns = tuple(
        Column(
            "energy by state", state, ("states", state, "energy_j"), ENERGY, f"energy of instances, {what}",
            detail=True, shown=nonzero,
        )
        for state, what in (
            ("serve", "serving whole queries"),
            ("prefill", "reading prompts"),
            ("decode", "making tokens"),
            ("idle", "on, with nothing to do"),
            ("asleep", "asleep"),
            ("wake", "waking"),
        )
    )  # fmt: skip

    def of_run(self, account: Account) -> Found:
        """Of the whole fleet."""
        return Found({"states": states(account.instances, account.terms.horizon.length_s)})

    def of_deployment(self, account: Account, index: int) -> Found:
        """Of its instances."""
        chosen = account.instances_of(index)
        return Found({"states": states(account.instances, account.terms.horizon.length_s, chosen)})


def _rows(summary: Row) -> list[Row]:
    """A run's own figures, and those of its deployments."""
    return [summary, *(summary.get("deployments") or {}).values()]


def _reasons(item: Deployment, unmeasured: bool, as_priced: bool) -> dict[str, str]:
    """Why joules of one deployment are absent, whatever it served.

    Args:
        unmeasured: its curve has no energy.
        as_priced: its joules are there where its curve's are; a backend that measures may have none.
    """
    reasons: dict[str, str] = {}
    name = item.target.hardware.name
    if unmeasured:
        reasons |= dict.fromkeys(("energy_active_j", "energy_mape_pct"), "no measurement of its energy")
    if not as_priced:
        reasons["energy_active_j"] = "not all joules of what was served were measured"
    if item.idle_power_w is None:
        reasons["energy_idle_j"] = (
            f"no source states the idle power of {name}; set hardware.{name}.idle_power_w"
        )
    sums = [reasons[key] for key in ("energy_active_j", "energy_idle_j") if key in reasons]
    return {**reasons, "energy_j": "; ".join(sums)} if sums else reasons


def _idle_power(summary: Row) -> list[Note]:
    """Idle power of each hardware, where it is from, and whether a model was loaded."""
    lines = []
    for name, idle in (summary.get("idle_power") or {}).items():
        if idle.get("power_w") is None:
            lines.append(f"{name} {figures.ABSENT} ({idle.get('source') or 'no source states it'})")
            continue
        loaded = {True: "model loaded", False: "no model loaded"}.get(
            idle.get("model_loaded"), "model loaded or not: unknown"
        )
        watts = figures.power(idle.get("power_w"))
        source = str(idle.get("source") or "no source stated").rstrip(". ")
        lines.append(f"{name} {watts} ({source}; {loaded})")
    return [Note("idle power", line) for line in lines]
