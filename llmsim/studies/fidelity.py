"""Simulated runs held against measured ones: figures, gaps, and the parts that the gaps are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsim.curves.cost import BoolArray
from llmsim.simulation.ledger import Ledger
from llmsim.simulation.metrics import PERCENTILES, latency_s, spread, tpot_s, ttft_s
from llmsim.simulation.pieces import Piece
from llmsim.simulation.run import Run

Figures = dict[str, Any]
# What has a gap, by dotted key.
FIGURES = (
    *("makespan_s", "energy_active_j", "serving_s"),
    *(
        f"{time}.{of}"
        for time in ("ttft_s", "tpot_s", "latency_s")
        for of in ("mean", *(f"p{rank}" for rank in PERCENTILES))
    ),
)
NOT_MEASURED = "not all joules of what was served were measured"
NOT_PREDICTED = "no energy was measured for the curve of some deployment"
NOT_SENT = "no query was sent there"
ONE_TOKEN = "no answer has more than one token"
NOTHING = "the measured figure is 0"
SEVERAL = "a deployment has several instances, and a whole batch's is not known"
# Clock times nearer than this are one: sums of the same seconds in another order differ by rounding.
SAME_S = 1e-9


@dataclass(frozen=True)
class Row:
    """One policy, measured and simulated.

    Attributes:
        measured: its run on the engines.
        pieces: by deployment, what the engines did, beside what the simulator's costs say of it.
        routed: the simulator's run, every query sent where the measured run sent it.
        simulated: the simulator's run, the policy choosing for itself.
        start_s: when the first query of the workload arrives.
    """

    measured: Run
    pieces: Sequence[Sequence[Piece]]
    routed: Ledger
    simulated: Run
    start_s: float

    @property
    def label(self) -> str:
        """The row's name."""
        return self.measured.label


def held(row: Row) -> Figures:
    """All figures of a row: each side's, the gap in per cent, and its parts."""
    measured, simulated = side(row.measured.ledger, row.start_s), side(row.simulated.ledger, row.start_s)
    parts, each, absent = parts_of(row)
    absent |= why_absent(measured, simulated)
    names = [item.name for item in row.measured.prices.deployments]
    ours, theirs = (list(_by_deployment(ledger)) for ledger in (row.measured.ledger, row.simulated.ledger))
    for name, one, other, own in zip(names, ours, theirs, each, strict=True):
        prefix = f"deployments.{name}."
        absent |= why_absent(one, other, prefix)
        if own["energy_active_j"] is None:
            unmetered = one["energy_active_j"] is None
            absent[f"{prefix}parts.energy_active_j"] = NOT_MEASURED if unmetered else NOT_PREDICTED
    return {
        "policy": row.measured.policy["name"],
        "policy_settings": {key: value for key, value in row.measured.policy.items() if key != "name"},
        "same_choices_pct": same_choices_pct(row),
        "measured": measured,
        "simulated": simulated,
        "gap_pct": gap_pct(measured, simulated),
        "parts": parts,
        "deployments": {
            name: {"measured": one, "simulated": other, "gap_pct": gap_pct(one, other), "parts": own}
            for name, one, other, own in zip(names, ours, theirs, each, strict=True)
        },
        "pieces": sum(map(len, row.pieces)),
        "absent": absent,
    }


def side(ledger: Ledger, start_s: float) -> Figures:
    """The figures of one run that are held against the other's."""
    here = np.ones(len(ledger.arrival_s), dtype=bool)
    return {"makespan_s": ledger.end_of_run_s - start_s, **_figures(ledger, here, _serving_s(ledger))}


def _by_deployment(ledger: Ledger) -> Iterator[Figures]:
    for index in range(len(ledger.deployments)):
        yield _figures(ledger, ledger.deployment == index, _serving_s(ledger, index))


def _figures(ledger: Ledger, here: BoolArray, serving_s: float) -> Figures:
    """Figures of the queries that are chosen, shape (n,)."""
    return {
        "served": int(here.sum()),
        "energy_active_j": _known(float(ledger.energy_j[here].sum())),
        "serving_s": serving_s,
        "ttft_s": spread(ttft_s(ledger)[here]),
        "tpot_s": spread(tpot_s(ledger)[here]),
        "latency_s": spread(latency_s(ledger)[here]),
    }


def gap_pct(measured: Mapping[str, Any], simulated: Mapping[str, Any]) -> dict[str, float | None]:
    """(simulated - measured) / measured in per cent of each figure, by dotted key; None where it has none."""
    ours, theirs = dict(numbers(measured)), dict(numbers(simulated))
    return {
        key: None if one is None or other is None or one == 0 else 100.0 * (other - one) / one
        for key, one in ours.items()
        if key != "served"
        for other in (theirs[key],)
    }


def why_absent(measured: Figures, simulated: Figures, prefix: str = "") -> dict[str, str]:
    """Why figures of either side, or their gaps, are None; a key stands for all that are below it."""
    absent = {}
    for name, figures in (("measured", measured), ("simulated", simulated)):
        if not figures["served"]:
            absent[f"{prefix}{name}"] = NOT_SENT
            continue
        if figures["energy_active_j"] is None:
            absent[f"{prefix}{name}.energy_active_j"] = NOT_MEASURED if name == "measured" else NOT_PREDICTED
        if figures["tpot_s"]["mean"] is None:
            absent[f"{prefix}{name}.tpot_s"] = ONE_TOKEN
    if measured["served"]:
        absent |= {f"{prefix}gap_pct.{key}": NOTHING for key, value in numbers(measured) if value == 0}
    return absent


def numbers(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """Every figure of a side, by dotted key."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def same_choices_pct(row: Row) -> float:
    """Queries that the simulated run sends where the measured one did, of those that both serve, percent."""
    _, ours, theirs = np.intersect1d(row.measured.served, row.simulated.served, return_indices=True)
    same = row.measured.ledger.deployment[ours] == row.simulated.ledger.deployment[theirs]
    return 100.0 * float(same.mean()) if len(same) else 100.0


def parts_of(row: Row) -> tuple[Figures, list[Figures], dict[str, str]]:
    """What the gaps of active energy, serving time and makespan are made of, and why some is absent.

    Each is exact: `simulated - measured = curve + overhead + scheduling + choices`.

    Returns:
        The row's; of energy and serving each deployment's; reasons.
    """
    absent: dict[str, str] = {}
    each: list[Figures] = [
        {"energy_active_j": _energy(row, index), "serving_s": _serving(row, index)}
        for index in range(len(row.pieces))
    ]
    parts: Figures = {key: _summed([one[key] for one in each]) for key in each[0]}
    parts["makespan_s"] = _makespan(row)
    if parts["energy_active_j"] is None:
        unmetered = math.isnan(float(row.measured.ledger.energy_j.sum()))
        absent["parts.energy_active_j"] = NOT_MEASURED if unmetered else NOT_PREDICTED
    if parts["makespan_s"] is None:
        absent["parts.makespan_s"] = SEVERAL
    return parts, each, absent


def _telescoped(measured: float, busy: float, predicted: float, routed: float, own: float) -> Figures:
    """The parts of one gap."""
    return {
        "measured": measured,
        "curve": predicted - busy,
        "overhead": busy - measured,
        "scheduling": routed - predicted,
        "choices": own - routed,
        "simulated": own,
    }


def _energy(row: Row, index: int) -> Figures | None:
    """Joules of a deployment; meters count none as overhead."""
    measured, routed, own = (
        float(ledger.energy_j[ledger.deployment == index].sum())
        for ledger in (row.measured.ledger, row.routed, row.simulated.ledger)
    )
    predicted = math.fsum(piece.predicted_j for piece in row.pieces[index])
    parts = _telescoped(measured, measured, predicted, routed, own)
    del parts["overhead"]
    return None if any(math.isnan(value) for value in parts.values()) else parts


def _summed(parts: Sequence[Figures | None]) -> Figures | None:
    """The parts of all deployments; None where some are not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return {key: math.fsum(part[key] for part in known) for key in known[0]}


def _serving(row: Row, index: int) -> Figures:
    """Seconds that a deployment's instances serve; what curves err in prefill and in decode also apart."""
    pieces = row.pieces[index]
    measured, routed, own = (
        _serving_s(ledger, index) for ledger in (row.measured.ledger, row.routed, row.simulated.ledger)
    )
    overhead = math.fsum(piece.measured_s - piece.busy_s for piece in pieces)
    predicted = math.fsum(piece.predicted_s for piece in pieces)
    parts = _telescoped(measured, measured - overhead, predicted, routed, own)
    first = math.fsum(piece.predicted_first_s - piece.measured_first_s for piece in pieces)
    first += math.fsum(piece.measured_s - piece.busy_s for piece in pieces if piece.phase == "prefill")
    return {**parts, "curve_prefill": first, "curve_decode": parts["curve"] - first}


def _serving_s(ledger: Ledger, index: int | None = None) -> float:
    """Seconds that instances served: of all, or of a deployment."""
    instances = ledger.instances()
    busy_s = instances.busy_s
    return float(busy_s.sum() if index is None else busy_s[instances.deployment == index].sum())


def _makespan(row: Row) -> Figures | None:
    """Seconds from the first arrival to the last end; None where it is not known whose pieces are whose.

    The pieces of a deployment are laid end to end once more with their own working seconds, and once with the
    predicted ones: a piece begins when the one before it ends, and one that an arrival began no earlier than
    it did.
    """
    ledger = row.measured.ledger
    if any(
        pieces and item.instances > 1 for item, pieces in zip(ledger.deployments, row.pieces, strict=True)
    ):
        return None
    ends: list[tuple[float, float]] = [(row.start_s, row.start_s)]
    ends += [_laid(pieces) for pieces in row.pieces]
    busy_s, predicted_s = (max(end[way] for end in ends) - row.start_s for way in (0, 1))
    routed_s, own_s = (one.end_of_run_s - row.start_s for one in (row.routed, row.simulated.ledger))
    return _telescoped(ledger.end_of_run_s - row.start_s, busy_s, predicted_s, routed_s, own_s)


def _laid(pieces: Sequence[Piece]) -> tuple[float, float]:
    """When the last of one instance's pieces ends, by its working seconds and by the predicted ones."""
    clock_s = busy_s = predicted_s = -math.inf
    for piece in pieces:
        if piece.begin_s > clock_s + SAME_S:  # nothing ran, and an arrival began this one
            clock_s = piece.begin_s
            busy_s, predicted_s = max(busy_s, clock_s), max(predicted_s, clock_s)
        clock_s += piece.measured_s
        busy_s += piece.busy_s
        predicted_s += piece.predicted_s
    return busy_s, predicted_s


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
