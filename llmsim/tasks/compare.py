"""task=compare: runs side by side, with paired differences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsim.arguments import Value, overrides_of
from llmsim.config import Config
from llmsim.errors import InputError
from llmsim.report.compare_page import NOTE, Compared, render, table
from llmsim.report.main_figures import figures_of
from llmsim.report.paired import Difference, differences, same_queries
from llmsim.report.sweep_chart import RunPoint, draw_sweep
from llmsim.report.sweep_page import RunRow
from llmsim.tasks.inputs import Progress

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1  # of compare.json
# Runs without a result that a sentence names.
_MOST_NAMED = 20


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        compared: the runs and their differences.
        summary: the content of `compare.json`.
    """

    compared: Compared
    summary: dict[str, Any]

    @property
    def objective(self) -> float:
        """Nothing to minimise."""
        return float("nan")

    def save(self, folder: Path) -> None:
        """Write `compare.json`, the plot and the page."""
        from llmsim.report.write import write_json

        write_json(self.summary, folder / "compare.json")
        plots = draw_sweep(_points(self.compared), folder / "plots")
        (folder / "report.html").write_text(render(self.compared, plots), encoding="utf-8", newline="\n")

    def show(self, console: Any) -> None:
        """Print the differences."""
        table(self.compared).show(console)
        for sentence in (*self.compared.left_out, NOTE):
            console.print(sentence, highlight=False, soft_wrap=True)


@dataclass
class Compare:
    """Hold runs against the first, query by query.

    Attributes:
        runs: their folders; a sweep's folder stands for all its runs.
    """

    runs: list[str] = field(default_factory=list)

    def run(self, config: Config, progress: Progress | None = None) -> Comparison:
        """Read the runs and compare them.

        Raises:
            InputError: fewer than two runs, or a folder that is none of a run.
        """
        folders = [folder for name in self.runs for folder in _runs_in(Path(name))]
        if len(folders) < 2:
            raise InputError(
                f"runs={self.runs}: expected two runs or more, such as runs=[outputs/A,outputs/B]; a sweep's "
                "folder stands for all its runs."
            )
        names = _names(folders)
        summaries = [json.loads((folder / "summary.json").read_text(encoding="utf-8")) for folder in folders]
        first = _queries(folders[0])
        found: dict[str, dict[str, Difference] | str] = {}
        for place, (name, folder) in enumerate(zip(names, folders, strict=True)):
            if progress is not None:
                progress(name, place, len(folders))
            if place:
                other = _queries(folder)
                found[name] = (
                    differences(first, other) if same_queries(first, other) else "not the same queries"
                )
        settings = [_settings(folder, summary) for folder, summary in zip(folders, summaries, strict=True)]
        rows = [
            RunRow(place, own, figures_of(summary), False)
            for place, (own, summary) in enumerate(zip(_varied(settings), summaries, strict=True))
        ]
        left_out = [said for name in self.runs if (said := _left_out(Path(name)))]
        places = [str(folder) for folder in folders]
        compared = Compared(names, places, rows, found, left_out)
        return Comparison(compared, _summary(compared))


def _runs_in(folder: Path) -> list[Path]:
    """A run's folder itself, or those of a sweep's runs, in order."""
    if (folder / "summary.json").is_file():
        return [folder]
    found = sorted(
        (file.parent for file in folder.glob("*/summary.json")),
        key=lambda place: (
            not place.name.isdigit(),
            int(place.name) if place.name.isdigit() else 0,
            place.name,
        ),
    )
    if not found and (folder / ".hydra").is_dir():
        raise InputError(f"{folder}: this run did not end well: no summary.json. See its llmsim.log.")
    if not found:
        raise InputError(f"{folder}: no run (a folder with summary.json), nor a sweep's folder.")
    return found


def _left_out(folder: Path) -> str:
    """Which runs of a sweep have no result; empty where all have, or for a run's own folder."""
    begun = [file.parent.name for file in folder.glob("*/.hydra")]
    lost = [name for name in begun if not (folder / name / "summary.json").is_file()]
    if not lost:
        return ""
    named = ", ".join(sorted(lost, key=lambda name: (len(name), name))[:_MOST_NAMED])
    more = f" and {len(lost) - _MOST_NAMED} more" if len(lost) > _MOST_NAMED else ""
    return f"Left out, as they have no summary.json, runs of {folder}: {named}{more}."


def _points(compared: Compared) -> list[RunPoint]:
    """Where each run stands that has an energy and a latency."""
    found = []
    for name, row in zip(compared.names, compared.rows, strict=True):
        energy, latency = (row.figures.get(key) for key in ("energy_active_per_query_j", "latency_p99_s"))
        if energy is not None and latency is not None:
            found.append(RunPoint(row.run, name, energy, row.figures.get("accuracy_pct"), latency))
    return found


def _names(folders: Sequence[Path]) -> list[str]:
    """The ends of the folders' paths, as long as they must be to differ."""
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise InputError("runs: a run is named twice.")
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    return ["/".join(part[-length:]) for part in parts]


def _queries(folder: Path) -> pa.Table:
    """A run's queries, one row each; raises InputError where the file cannot be read."""
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(folder / "queries.parquet")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'queries.parquet'}: cannot be read ({error}).") from error


def _settings(folder: Path, summary: dict[str, Any]) -> dict[str, Value]:
    """What was asked of a run, by its policy and its words."""
    own: dict[str, Value] = {"policy": str(summary.get("policy"))}
    try:
        lines = (folder / ".hydra" / "overrides.yaml").read_text(encoding="utf-8").splitlines()
    except OSError:
        return own
    words = [line.removeprefix("- ").strip("'\"") for line in lines if line.startswith("- ")]
    return own | overrides_of(words) | own


def _varied(settings: Sequence[dict[str, Value]]) -> list[dict[str, Value]]:
    """The settings that are not the same in all runs."""
    keys = dict.fromkeys(key for own in settings for key in own)
    kept = [key for key in keys if len({str(own.get(key)) for own in settings}) > 1]
    return [{key: own.get(key) for key in kept} for own in settings]


def _summary(compared: Compared) -> dict[str, Any]:
    """The content of `compare.json`."""
    parts = zip(compared.names, compared.folders, compared.rows, strict=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "note": NOTE,
        "runs": [
            {
                "name": name,
                "folder": folder,
                "settings": dict(row.settings),
                "figures": dict(row.figures),
            }
            for name, folder, row in parts
        ],
        "left_out": list(compared.left_out),
        "differences": {
            name: item
            if isinstance(item, str)
            else {key: asdict(apart) | {"percent": apart.percent} for key, apart in item.items()}
            for name, item in compared.differences.items()
        },
    }
