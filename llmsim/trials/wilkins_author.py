"""The trials that the thesis' own tables were made from, warm-ups and unrecorded rows included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsim.trials.read import FOLDER
from llmsim.trials.shipped import read_columns

SEVEN_B = ("falcon-7b", "llama2-7b", "mistral-7b")  # the models that Table 5.1 pools


@dataclass(frozen=True)
class AuthorRows:
    """The independence experiment on Swing as the author aggregated it, one entry a trial.

    Attributes:
        model: its name.
        tau_in: the author's rounding of the prompt to a power of two, tokens.
        tau_out: tokens requested.
        energy_j, runtime_s: GPU joules and seconds, three first calls as he edited them.
        unrecorded: True for rows that no raw file supports.
    """

    model: NDArray[np.str_]
    tau_in: NDArray[np.int64]
    tau_out: NDArray[np.int64]
    energy_j: NDArray[np.float64]
    runtime_s: NDArray[np.float64]
    unrecorded: NDArray[np.bool_]

    def take(self, rows: NDArray[np.bool_]) -> AuthorRows:
        """The chosen rows."""
        return AuthorRows(
            self.model[rows],
            self.tau_in[rows],
            self.tau_out[rows],
            self.energy_j[rows],
            self.runtime_s[rows],
            self.unrecorded[rows],
        )


def author_rows() -> AuthorRows:
    """The rows behind Tables 5.1 to 5.3: 81 a model, 80 for Llama-2-70B."""
    raw = read_columns(FOLDER / "wilkins2024.csv")
    kept = (
        (raw["system"] == "swing-a100") & (raw["experiment"] == "independence") & raw["in_author_aggregate"]
    )
    extra = read_columns(FOLDER / "author_rows_not_measured.csv")
    grid = np.char.find(extra["aggregate_file"], "independence-test") >= 0

    def both(measured: str, author: str) -> Any:
        """A column of the measured rows, and then of those that no raw file supports."""
        return np.concatenate([raw[measured][kept], extra[author][grid]])

    return AuthorRows(
        both("model", "model"),
        both("tau_in_nominal", "tau_in_nominal").astype(np.int64),
        both("tau_out", "tau_out").astype(np.int64),
        both("gpu_energy_j", "author_gpu_energy_j"),
        both("runtime_s", "author_runtime_s"),
        np.concatenate([np.zeros(int(kept.sum()), np.bool_), np.ones(int(grid.sum()), np.bool_)]),
    )


def printed() -> list[dict[str, str]]:
    """Tables 5.2 and 5.3 as printed: model, target, c0, c1, c2 (coefficients), r2, f; digits kept as text."""
    import csv

    with (FOLDER / "wilkins2024_printed.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
