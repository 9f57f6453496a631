"""Shipped comparisons: journals of measured runs with the configuration that made them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import llmsim
from llmsim.config import Config, load_config, parse
from llmsim.errors import InputError, did_you_mean

# Words that a comparison says for itself.
OTHERS = ("task=", "backend=", "trials.path=", "report=", "hydra.", "-")


@dataclass
class CaseFile:
    """`<name>.yaml` beside the journal `<name>.jsonl.gz`.

    Attributes:
        words: of the command line that measured; its task, backend, trials and report are passed over.
        card: which device, by name and number.
        dates: when.
        provenance: how it was made, with which versions.
        trials: the table, in the same folder, of the trials of that card; None: the shipped ones.
        energy_interval_pct, energy_interval_source, seeds, targets: as in `conf/task/fidelity.yaml`; the
            comparison is held to its targets.
        misses: figures whose gap is known to be beyond its target, and why; the others are held.
    """

    words: list[str]
    card: str
    dates: str
    provenance: str
    trials: str | None = None
    energy_interval_pct: float | None = None
    energy_interval_source: str | None = None
    seeds: list[int] = field(default_factory=list)
    targets: dict[str, Any] = field(default_factory=dict)
    misses: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A shipped comparison, ready to run.

    Attributes:
        name: of its files.
        file: what its description says.
        config: what to run: the journal is its backend.
    """

    name: str
    file: CaseFile
    config: Config

    def record(self) -> dict[str, str]:
        """For JSON."""
        return {
            "name": self.name,
            "card": self.file.card,
            "dates": self.file.dates,
            "provenance": self.file.provenance,
        }


def folder() -> Path:
    """Where shipped comparisons lie."""
    return Path(llmsim.__file__).parent / "data" / "fidelity"


def names(where: Path | None = None) -> list[str]:
    """Of all comparisons in a folder; None: the shipped ones."""
    return sorted(path.stem for path in (where or folder()).glob("*.yaml"))


def case_of(name: str, config: Config | None = None, where: Path | None = None) -> Case:
    """A comparison by name.

    Args:
        config: that of the run that asks for it, of which `report` is kept; None: a full one.
        where: its folder; None: that of the shipped ones.

    Raises:
        InputError: no such comparison, a description that cannot be used, or a configuration that asks for
            more than the comparison by name.
    """
    place = where or folder()
    if name not in names(place):
        raise InputError(f"task.case={name}: {did_you_mean(name, names(place), 'shipped comparison')}")
    if config is not None and config.sha256() not in _named_only(name):
        raise InputError(
            f"task.case={name}: a shipped comparison is run as it was measured; leave out the other words "
            f"(they are in {place / name}.yaml, to be changed with backend=recorded)."
        )
    file = _read(place / f"{name}.yaml")
    try:
        words = [word for word in file.words if not word.lstrip("+").startswith(OTHERS)]
        loaded = load_config(["task=fidelity", "backend=recorded", *words])
    except InputError as error:
        raise InputError(f"{place / name}.yaml: {error}") from error
    task = {
        **loaded.task,
        "energy_interval_pct": file.energy_interval_pct,
        "energy_interval_source": file.energy_interval_source,
        "seeds": file.seeds,
        "targets": file.targets,
    }
    trials = loaded.trials if file.trials is None else {**loaded.trials, "path": str(place / file.trials)}
    backend = {"name": "recorded", "path": str(place / f"{name}.jsonl.gz")}
    report = loaded.report if config is None else config.report
    return Case(name, file, replace(loaded, task=task, trials=trials, backend=backend, report=report))


def _named_only(name: str) -> list[str]:
    """Hashes of the configurations that name a comparison and no more; a sweep leaves out the baselines."""
    plain = load_config(["task=fidelity", f"task.case={name}"])
    return [plain.sha256(), replace(plain, baselines=[]).sha256()]


def _read(path: Path) -> CaseFile:
    from omegaconf import OmegaConf
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        node = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    if not isinstance(node, dict):
        raise InputError(f"{path}: expected a mapping of {', '.join(CaseFile.__annotations__)}.")
    return parse(CaseFile, {str(key): value for key, value in node.items()}, str(path))
