"""The command line: read the words, compose, run the task, say what went wrong."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsim.config import check_choices, composition_error, conf_folder, from_composed, load_config, normalise
from llmsim.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger("llmsim")

USAGE_ERROR = 2
# Columns of a table that goes to a file or a pipe.
_WIDTH = 120
# Flags of Hydra's after which the next word is not an override.
_FLAGS_WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--info", "-i", "--config-name", "-cn")
_HELP = ("--help", "-h", "--hydra-help", "--version")


def main() -> None:
    """Run `python -m llmsim`; exits with 2 and a message on bad input, and with a traceback on a bug."""
    import hydra
    from hydra.errors import HydraException

    failures: list[str] = []

    def job(composed: DictConfig) -> float:
        return _job(composed, failures)

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
    except OSError as error:
        if error.filename is None:
            raise
        _complain(f"{error.filename}: {error.strerror}. Choose another folder: hydra.run.dir=FOLDER.")
    if failures:
        _complain("\n".join(failures))


def _job(composed: DictConfig, failures: list[str]) -> float:
    """One run; its failure is noted, so that in a sweep the next goes on, and told at the end."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    try:
        return _run(composed, folder)
    except InputError as error:
        log.info("failed: %s", error)
        swept = hydra_config.mode == RunMode.MULTIRUN
        place = f"run {hydra_config.job.num} ({hydra_config.job.override_dirname}): " if swept else ""
        failures.append(f"{place}{error}")
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
        result.save(folder)
    result.show(screen)
    screen.print(f"Results: {_nearby(folder)}", highlight=False, soft_wrap=True)
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


def _nearby(folder: Path) -> Path:
    """The folder relative to here, where it lies below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _complain(message: str) -> None:
    print(f"llmsim: {message}", file=sys.stderr)
    sys.exit(USAGE_ERROR)


if __name__ == "__main__":
    main()
