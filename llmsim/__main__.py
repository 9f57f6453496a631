"""The command line: read the words, compose, run the task, say what went wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsim.arguments import check_choices, conf_folder, folders_of, is_sweep, normalise
from llmsim.config import composition_error, from_composed, join_search_path, load_config
from llmsim.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

USAGE_ERROR = 2
# As shells report a process that Ctrl-C ended.
_INTERRUPTED = 130
_STOPPED = "The sweep was stopped. What had ended is kept; the same command with resume=true runs the rest."
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
        """What Hydra runs for each job."""
        started.append(True)
        return _job(composed, failures)

    _open_streams()
    # Hydra would print a trimmed traceback and exit; asked for the full error, it raises, and this words it.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        words = _read(sys.argv[1:])
        sys.argv[1:] = words
        join_search_path()
        if is_sweep(words):
            failures += _sweep(words)
        else:
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


def _read(arguments: list[str]) -> list[str]:
    """The words that Hydra is given, checked before it makes a folder."""
    from llmsim.sweeps.command import resumed

    if any(word in _HELP for word in arguments):
        return normalise(arguments)
    words = resumed(normalise(arguments))
    _check(words)
    return words


def _sweep(words: list[str]) -> list[str]:
    """Run a sweep, whole or until something stops it; what to complain of."""
    import hydra
    from hydra.errors import HydraException

    from llmsim.sweeps.command import folder_of
    from llmsim.sweeps.devices import refuse_sharing
    from llmsim.sweeps.finish import finish
    from llmsim.sweeps.job import job
    from llmsim.sweeps.screen import failures
    from llmsim.sweeps.table import FAILED_CSV, failed_of

    refuse_sharing(words)
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(job)()
    except (SystemExit, InputError, HydraException):
        raise
    except BaseException as error:
        folder = folder_of(words)
        if folder is None:
            raise
        print("\n".join(finish(folder)))
        print(f"llmsim: {_STOPPED}", file=sys.stderr)
        if isinstance(error, KeyboardInterrupt):
            sys.exit(_INTERRUPTED)
        raise
    folder = folder_of(words)
    return [] if folder is None else failures(failed_of(folder), str(folder / FAILED_CSV))


def _job(composed: DictConfig, failures: list[str]) -> float:
    """One run; what is wrong with its input is told at the end, when Hydra has put things away."""
    from hydra.core.hydra_config import HydraConfig

    try:
        return _run(composed, Path(HydraConfig.get().runtime.output_dir))
    except InputError as error:
        failures.append(str(error))
    return float("nan")


def _run(composed: DictConfig, folder: Path) -> float:
    """Run the task, save, show, in this order: a run whose table cannot be printed has its files by then.

    Returns:
        What a sweep minimises.
    """
    from rich.console import Console

    from llmsim.report.progress import Bar
    from llmsim.tasks import TASKS
    from llmsim.tasks.objective import Objective

    config = from_composed(composed)
    goal = Objective.from_config(config)
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
    return goal.of(result)


def _check(words: list[str]) -> None:
    """Refuse unknown options and settings before Hydra makes a folder; a sweep by its first values."""
    overrides = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("-") and before not in _FLAGS_WITH_VALUE
    ]
    folders = folders_of(words)
    check_choices(overrides, folders)
    if not is_sweep(words):
        load_config(overrides, *folders[:1])


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
    """Ends the process, as bad usage does."""
    print(f"llmsim: {message}", file=sys.stderr)
    sys.exit(USAGE_ERROR)


if __name__ == "__main__":
    main()
