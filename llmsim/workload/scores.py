"""The accuracies that a workload brings along, against the models of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmsim.errors import InputError, did_you_mean
from llmsim.workload.header import ACCURACY_PREFIX
from llmsim.workload.queries import Queries


def check_scored(queries: Queries, chosen: Sequence[str], known: Sequence[str]) -> list[str]:
    """What is to be said of a workload's accuracy columns, one sentence each; empty where all is well.

    Args:
        queries: the workload.
        chosen: names of the models of the run.
        known: names of all models that can be chosen; `chosen` are known in any case.

    Returns:
        A note for each column whose model is not chosen, and for each that holds fractions by its looks.

    Raises:
        InputError: a column whose model is not known, which would never be read.
    """
    names = {*known, *chosen}
    notes: list[str] = []
    for model, accuracy_pct in queries.accuracy_pct.items():
        column = f"{ACCURACY_PREFIX}{model}"
        if model not in names:
            place = queries.source or queries.name or "workload"
            # Names of models are told apart by case, but a wrong case should not hide the right name.
            folded = {name.casefold(): name for name in sorted(names)}
            hint = did_you_mean(folded.get(model.casefold(), model.casefold()), names, "model")
            raise InputError(f"{place}: column '{column}': no such model. {hint}")
        if model not in chosen:
            notes.append(f"Column {column} is not used: {model} is not among the chosen models.")
        if len(accuracy_pct) and float(np.max(accuracy_pct)) <= 1:
            notes.append(f"Column {column} looks like fractions (all at most 1); percent is expected.")
    return notes
