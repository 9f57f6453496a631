"""Which command a sweep's folder belongs to, and how the same command finds it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import llmsim
from llmsim.arguments import is_sweep, with_word
from llmsim.errors import InputError

FILE = "sweep.json"
# Where sweeps lie unless `hydra.sweep.dir` says otherwise; as in conf/config.yaml.
ROOT = Path("outputs/sweeps")
_KEY = "resume="
_FOLDER_KEY = "hydra.sweep.dir="


@dataclass(frozen=True)
class Command:
    """The words of a sweep, in the form that `llmsim.arguments.normalise` gives.

    Attributes:
        task: those that make the runs what they are.
        hydra: those that say how they are run: launcher, sweeper, folders.
    """

    task: list[str]
    hydra: list[str]

    @classmethod
    def of(cls, words: Sequence[str]) -> Command:
        """The command in words, flags left out."""
        given = [word for word in words if not word.startswith("-") and not word.startswith(_KEY)]
        hydra = [word for word in given if word.lstrip("+").startswith(("hydra.", "hydra/"))]
        return cls([word for word in given if word not in hydra], hydra)

    @classmethod
    def read(cls, folder: Path) -> Command | None:
        """The command of a sweep's folder; None where it is no such folder."""
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(list(data["task"]), list(data["hydra"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def note(task: list[str], hydra: list[str], folder: Path) -> None:
    """Write the command into the sweep's folder; a folder that has one keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    if Command.read(folder) is None:
        content = {"llmsim_version": llmsim.__version__, **asdict(Command(task, hydra))}
        (folder / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def folder_of(words: Sequence[str], root: Path = ROOT) -> Path | None:
    """The newest folder of the same command, or the one that the words name."""
    named = [word.removeprefix(_FOLDER_KEY) for word in words if word.startswith(_FOLDER_KEY)]
    if named:
        return Path(named[-1])
    wanted = Command.of(words).task
    for file in sorted(root.rglob(FILE), reverse=True):
        found = Command.read(file.parent)
        if found is not None and found.task == wanted:
            return file.parent
    return None


def resumed(words: Sequence[str]) -> list[str]:
    """The words with `resume=true` or `resume=FOLDER` turned into the folder that it means.

    Args:
        words: in the form that `normalise` gives; with `resume=FOLDER` and no others, the folder's own.

    Raises:
        InputError: not a sweep, no folder of this command, or a folder of another.
    """
    asked = [word.removeprefix(_KEY) for word in words if word.startswith(_KEY)]
    rest = [word for word in words if not word.startswith(_KEY)]
    if not asked or asked[-1].lower() == "false":
        return rest
    if not is_sweep(rest):
        raise InputError(f"resume={asked[-1]}: only a sweep is gone on with; add -m.")
    folder = folder_of(rest) if asked[-1].lower() == "true" else Path(asked[-1])
    earlier = None if folder is None else Command.read(folder)
    if folder is None or earlier is None:
        where = f"no sweep in {folder}" if folder else f"no sweep of this command under {ROOT}"
        raise InputError(f"resume={asked[-1]}: {where}. Name its folder: resume=FOLDER.")
    own = Command.of(rest).task
    if own != earlier.task:
        raise InputError(
            f"resume={asked[-1]}: {folder} is of another command: {' '.join(earlier.task)}. Give the same "
            "words, in the same order."
        )
    return with_word([word for word in rest if not word.startswith(_FOLDER_KEY)], f"{_FOLDER_KEY}{folder}")
