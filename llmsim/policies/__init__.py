"""Who serves what: offline plans and online routes."""

from llmsim.registry import Registry

POLICIES = Registry(
    kind="policy",
    entry_points="llmsim.policies",
    built_in={
        "optimal": "llmsim.policies.optimal:Optimal",
        "random": "llmsim.policies.rotation:Random",
        "round_robin": "llmsim.policies.rotation:RoundRobin",
        "single": "llmsim.policies.rotation:Single",
        "weighted_random": "llmsim.policies.rotation:WeightedRandom",
        "weighted_round_robin": "llmsim.policies.rotation:WeightedRoundRobin",
    },
)
