"""The figures of a run: what `summary.json` holds.

The schema is documented in `docs/summary.md`. Units are in the keys. A figure that could not be had is null,
and `absent` says why; it is never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmsim.report.account import Account, Found, Terms
from llmsim.report.parts import PARTS
from llmsim.simulation.run import Run

SCHEMA_VERSION = 2


def compare(runs: Sequence[Run], terms: Terms) -> dict[str, Any]:
    """The figures of the policy's run, the first, with those of the baselines under `baselines`."""
    account, *others = (Account(run, terms) for run in runs)
    own = row(account)
    baselines = {}
    for baseline in others:
        other = row(baseline)
        found = [part.against(own, account, other, baseline) for part in PARTS]
        baselines[baseline.run.label] = _merged([Found(other, other["absent"]), *found])
    return {
        **own,
        "baselines": baselines,
        "warnings": [text for part in PARTS for text in part.warnings(own)],
    }


def row(account: Account) -> dict[str, Any]:
    """Every figure of one policy: the keys that the run and each baseline share."""
    found = _merged([part.of_run(account) for part in PARTS])
    found["deployments"] = {
        item.name: _merged([part.of_deployment(account, index) for part in PARTS])
        for index, item in enumerate(account.run.prices.deployments)
    }
    return found


def _merged(found: Sequence[Found]) -> dict[str, Any]:
    """The figures of all parts, with the reasons of all under `absent`."""
    figures = {key: value for part in found for key, value in part.figures.items()}
    return {**figures, "absent": {key: why for part in found for key, why in part.absent.items()}}
