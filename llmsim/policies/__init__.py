"""Who serves what: offline plans and online routes."""

from llmsim.registry import Registry

POLICIES = Registry(
    kind="policy",
    entry_points="llmsim.policies",
    built_in={
        "dual_price": "llmsim.policies.cost_aware:DualPrice",
        "energy_slo": "llmsim.policies.load_aware:EnergySlo",
        "least_energy": "llmsim.policies.targets:LeastEnergy",
        "least_loaded": "llmsim.policies.load_aware:LeastLoaded",
        "most_accurate": "llmsim.policies.targets:MostAccurate",
        "optimal": "llmsim.policies.optimal:Optimal",
        "power_of_two": "llmsim.policies.load_aware:PowerOfTwo",
        "queue_aware": "llmsim.policies.cost_aware:QueueAware",
        "random": "llmsim.policies.rotation:Random",
        "round_robin": "llmsim.policies.rotation:RoundRobin",
        "single": "llmsim.policies.rotation:Single",
        "zeta_cost": "llmsim.policies.cost_aware:ZetaCost",
        "threshold": "llmsim.policies.threshold:Threshold",
        "weighted": "llmsim.policies.rotation:WeightedRandom",  # short for weighted_random
        "weighted_random": "llmsim.policies.rotation:WeightedRandom",
        "weighted_round_robin": "llmsim.policies.rotation:WeightedRoundRobin",
    },
)
