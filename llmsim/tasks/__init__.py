"""The verbs: what a run does."""

from llmsim.registry import Registry

TASKS = Registry(
    kind="task",
    entry_points="llmsim.tasks",
    built_in={
        "characterize": "llmsim.tasks.characterize:Characterize",
        "compare": "llmsim.tasks.compare:Compare",
        "doctor": "llmsim.tasks.doctor:Doctor",
        "evaluate": "llmsim.tasks.evaluate:Evaluate",
        "fidelity": "llmsim.tasks.fidelity:Fidelity",
        "fit": "llmsim.tasks.fit:Fit",
        "pareto": "llmsim.tasks.pareto:Pareto",
        "wilkins_hybrid": "llmsim.tasks.wilkins_hybrid:WilkinsHybrid",
        "wilkins_offline": "llmsim.tasks.wilkins_offline:WilkinsOffline",
        "wilkins_online": "llmsim.tasks.wilkins_online:WilkinsOnline",
    },
)
