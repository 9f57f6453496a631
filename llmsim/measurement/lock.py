"""One campaign a device: two at once would measure each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from llmsim.errors import InputError


@contextmanager
def device_lock(device: str, folder: Path | None = None) -> Iterator[None]:
    """Hold a device while the block runs. The system drops the lock with the process, however that ends.

    Args:
        device: its name, such as ``cuda`` or ``cpu``.
        folder: of the lock files; the system's temporary folder unless given.

    Raises:
        InputError: another campaign holds it, with its process number; or its file cannot be opened.
    """
    path = (
        folder or Path(tempfile.gettempdir())
    ) / f"llmsim-{device.replace('/', '-').replace(':', '-')}.lock"
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise InputError(
                f"{device} is being measured by process {holder} ({path}): two campaigns would measure each "
                "other. Wait for it, or end it."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def backend_locks(backends: Iterable[tuple[str, Any]]) -> Iterator[None]:
    """Hold what backends run on while the block runs: by their names of it, and each GPU by its identity too.

    One GPU may have several names, such as ``cuda`` and ``cuda:0``.

    Args:
        backends: each with the name of its device.

    Raises:
        InputError: as `device_lock`.
    """
    names = set()
    for device, backend in backends:
        names.add(device)
        names.update(backend.gpu_uuids() if hasattr(backend, "gpu_uuids") else ())
    with ExitStack() as stack:
        for name in sorted(names):
            stack.enter_context(device_lock(name))
        yield


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a+")
    except OSError as error:
        raise InputError(
            f"{path}: the lock of the device cannot be opened ({error.strerror}). Is it another user's? "
            "Remove it when they measure no more, or set TMPDIR to a folder of your own."
        ) from error
