"""The command line: read the words, compose, run the task, say what went wrong."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsim.arguments import check_choices, conf_folder, normalise
from llmsim.config import composition_error, from_composed, load_config
from llmsim.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger("llmsim")

USAGE_ERROR = 2
# Columns of a table that goes to a file or a pipe.
_WIDTH = 120
# Flags of Hydra's after which the next word is not an override.
_FLAGS_WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--info", "-i", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--config-path", "-cp", "--experimental-rerun"),
)
_HELP = ("--help", "-h", "--hydra-help", "--version")


def main() -> None:
    """Run `python -m llmsim`; exits with 2 and a message on bad input, and with a traceback on a bug."""
    import hydra
    from hydra.errors import HydraException

    failures: list[str] = []
    started: list[bool] = []

    def job(composed: DictConfig) -> float:
        started.append(True)
        return _job(composed, failures)

    _open_streams()

    # Hydra would print a trimmed traceback and exit; asked for the full error, it raises, and this words it.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        words = normalise(sys.argv[1:])
        _check(words)
        sys.argv[1:] = words
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(job)()
    except InputError as error:
        _complain(str(error))
    except HydraException as error:
        _complain(str(composition_error(error)))
    except BrokenPipeError:  # the reader of our output has seen enough, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  # what is still buffered has nowhere to go
    except (OSError, ValueError) as error:
        if started:
            raise
        _complain(_cannot_start(error))
    if failures:
        _complain("\n".join(failures))


def _job(composed: DictConfig, failures: list[str]) -> float:
    """One run; its failure is noted, so that in a sweep the next goes on, and told at the end."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    swept = hydra_config.mode == RunMode.MULTIRUN
    place = f"run {hydra_config.job.num} ({hydra_config.job.override_dirname}): " if swept else ""
    try:
        return _run(composed, folder)
    except InputError as error:
        log.info("failed: %s", error)
        failures.append(f"{place}{error}")
    except Exception as error:
        if not swept:
            raise
        log.exception("failed unexpectedly")
        failures.append(
            f"{place}a bug in llmsim: {type(error).__name__}: {error}. Its traceback is in the log."
        )
    return float("nan")


def _run(composed: DictConfig, folder: Path) -> float:
    from rich.console import Console

    from llmsim.report.progress import Bar
    from llmsim.tasks import TASKS

    config = from_composed(composed)
    task = TASKS.build(config.task)
    screen = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH)
    with Bar(sys.stderr) as bar:
        result: Any = task.run(config, bar.update)
        bar.update("files", 0, 1)
        try:
            result.save(folder)
        except OSError as error:
            raise InputError(f"{error.filename or folder}: cannot be written ({error.strerror}).") from error
    try:
        result.show(screen)
        screen.print(f"Results: {_nearby(folder)}", highlight=False, soft_wrap=True)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"The table cannot be printed ({error.strerror}). Results: {folder}") from error
    objective: float = result.objective
    return objective


def _check(words: list[str]) -> None:
    """Refuse unknown options and settings before Hydra makes a folder; a sweep by its first values."""
    if any(word in _HELP for word in words):
        return
    overrides = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("-") and before not in _FLAGS_WITH_VALUE
    ]
    check_choices(overrides)
    if not {"-m", "--multirun"} & set(words):
        load_config(overrides)


def _open_streams() -> None:
    """A closed output stream must not lose a run: what would be printed there goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  # open until the process ends


def _cannot_start(error: OSError | ValueError) -> str:
    """Why a run could not begin: its folder cannot be made, or a flag of Hydra's was refused."""
    if isinstance(error, ValueError):
        return str(error)
    place = error.filename or "the current folder"
    return f"{place}: {error.strerror}. Choose another folder: hydra.run.dir=FOLDER."


def _nearby(folder: Path) -> Path:
    """The folder relative to here, where it lies below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _complain(message: str) -> None:
    print(f"llmsim: {message}", file=sys.stderr)
    sys.exit(USAGE_ERROR)


if __name__ == "__main__":
    main()
