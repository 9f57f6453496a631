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
        "fit": "llmsim.tasks.fit:Fit",
        "pareto": "llmsim.tasks.pareto:Pareto",
    },
)
