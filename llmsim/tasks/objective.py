"""What a sweep minimises: a figure of a run, within limits on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsim.config import Config, parse
from llmsim.errors import InputError, did_you_mean

# Above every figure that a run within its limits can have, so that the order of runs is right.
BEYOND = 1e30


@dataclass
class Objective:
    """The `objective` part of a configuration.

    Attributes:
        minimise: the key of a figure in `summary.json`, such as ``energy_j`` or ``latency_s.p99``; None: what
            the task says itself.
        at_least, at_most: limits on figures, by their keys. A run that breaks one is worse than all that keep
            them, the more so the more it breaks, so that a search is led back.
    """

    minimise: str | None = None
    at_least: dict[str, Any] = field(default_factory=dict)
    at_most: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: Config) -> Objective:
        """Checked: the limits are numbers.

        Raises:
            InputError: an unknown setting, or a limit that is not a number.
        """
        goal = parse(cls, config.objective, "objective")
        for name in ("at_least", "at_most"):
            limits = dict(flat(getattr(goal, name)))
            for key, limit in limits.items():
                if isinstance(limit, bool) or not isinstance(limit, int | float):
                    raise InputError(f"objective.{name}.{key}={limit}: expected a number.")
            setattr(goal, name, limits)
        return goal

    def of(self, result: Any) -> float:
        """What a run comes to.

        Raises:
            InputError: a figure that the run does not have.
        """
        if self.minimise is None and not self.at_least and not self.at_most:
            return float(result.objective)
        summary = getattr(result, "summary", {})
        value = result.objective if self.minimise is None else _figure(summary, self.minimise)
        broken = [(limit - _figure(summary, key)) / abs(limit or 1) for key, limit in self.at_least.items()]
        broken += [(_figure(summary, key) - limit) / abs(limit or 1) for key, limit in self.at_most.items()]
        beyond = sum(part for part in broken if part > 0)
        return BEYOND * (1 + beyond) if beyond > 0 else float(value)


def _figure(summary: Mapping[str, Any], key: str) -> float:
    """A figure of a summary by its dotted key; raises InputError where it is none, or no number."""
    value: Any = summary
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = [name for name, number in flat(summary) if isinstance(number, int | float)]
            raise InputError(f"objective: no figure '{key}'. {did_you_mean(key, known, 'figure')}")
        value = value[part]
    if value is None or isinstance(value, bool | str | Mapping | list):
        raise InputError(f"objective: '{key}' is not a number in this run ({value}).")
    return float(value)


def flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A mapping's values, however deep, by dotted key."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
