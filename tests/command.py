"""The command as a person gives it: in a process of its own, or in this one where none need start."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from llmsim.__main__ import main


def llmsim(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m llmsim` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "llmsim", *words], cwd=folder, capture_output=True, text=True, timeout=120
    )


def llmsim_here(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What `llmsim` gives, without starting a process; what it raises but an exit comes through."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with (
            chdir(folder),
            mock.patch.dict(os.environ),
            mock.patch.object(sys, "argv", ["llmsim", *words]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            main()
    except SystemExit as left:
        code = left.code
    finally:  # Hydra's logging is the process's
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
    return subprocess.CompletedProcess(["llmsim", *words], code, out.getvalue(), err.getvalue())


def result_of(folder: Path) -> Path:
    """The folder of the one run in a folder."""
    (summary,) = folder.glob("outputs/*/*/summary.json")
    return summary.parent


def sweep_in(folder: Path) -> Path:
    """The folder of the one sweep in a folder."""
    (file,) = folder.glob("outputs/sweeps/*/*/sweep.json")
    return file.parent
