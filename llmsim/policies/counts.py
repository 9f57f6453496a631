"""Settings that bound the number of queries of each deployment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from llmsim.errors import InputError, did_you_mean
from llmsim.policies.bounds import Bounds, bounds_of

Number = TypeVar("Number", int, float)

# Room for the rounding of a share times a number of queries that is a whole number on paper.
_ROUNDING = 1e-9
# Limits of what is understood; any number beyond them is a slip of the keyboard.
MOST_SHARE = 1e6
MOST_QUERIES = 10**12


@dataclass
class CountBounds:
    """Bounds on each deployment's number of queries.

    Attributes:
        min_share: at least max(min_queries, floor(min_share * gamma_K * queries)) to deployment K.
        max_share: at most ceil(max_share * gamma_K * queries); None: no upper bound.
        min_queries: the least a deployment gets.
        at_least, at_most: for the deployments named, instead of the above. A model's name will do where one
            deployment has it.
    """

    min_share: float = 0.0
    max_share: float | None = None
    min_queries: int = 1
    at_least: dict[str, int] = field(default_factory=dict)
    at_most: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= MOST_SHARE:
            raise InputError(f"policy.min_share={self.min_share}: expected a number from 0 upwards.")
        if self.max_share is not None and not 0 <= self.max_share <= MOST_SHARE:
            raise InputError(f"policy.max_share={self.max_share}: expected a number from 0 upwards, or null.")
        counts = {"min_queries": self.min_queries}
        counts |= {f"at_least.{name}": value for name, value in self.at_least.items()}
        counts |= {f"at_most.{name}": value for name, value in self.at_most.items()}
        for key, value in counts.items():
            if not 0 <= value <= MOST_QUERIES:
                raise InputError(f"policy.{key}={value}: expected a whole number from 0 upwards.")

    def bounds(self, shares: Sequence[float], names: Sequence[str], queries: int) -> Bounds:
        """Least and most queries of each deployment for a number of queries to serve.

        Raises:
            InputError: a bound is set for a deployment that is not there.
        """
        at_least = by_deployment(self.at_least, names, "policy.at_least")
        at_most = by_deployment(self.at_most, names, "policy.at_most")
        lower = [
            at_least.get(
                name, max(self.min_queries, math.floor(self.min_share * share * queries + _ROUNDING))
            )
            for name, share in zip(names, shares, strict=True)
        ]
        upper = [
            at_most.get(
                name,
                None if self.max_share is None else math.ceil(self.max_share * share * queries - _ROUNDING),
            )
            for name, share in zip(names, shares, strict=True)
        ]
        return bounds_of(names, lower, upper, queries)


def by_deployment(values: Mapping[str, Number], names: Sequence[str], where: str) -> dict[str, Number]:
    """Settings by deployment, from settings by deployment or by model.

    Args:
        names: the deployments, ``<model>@<hardware>``.
        where: the setting's key, for errors.

    Raises:
        InputError: no deployment, or several, answer to a name.
    """
    found: dict[str, Number] = {}
    for key, value in values.items():
        meant = [name for name in names if key in (name, name.partition("@")[0])]
        if len(meant) != 1:
            which = "several deployments have that model" if meant else "no such deployment"
            raise InputError(f"{where}.{key}: {which}. {did_you_mean(key, names, 'deployment')}")
        found[meant[0]] = value
    return found
