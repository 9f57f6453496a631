"""One campaign a device: two at once would measure each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmsim.errors import InputError


@contextmanager
def device_lock(device: str, folder: Path | None = None) -> Iterator[None]:
    """Hold a device while the block runs. The system drops the lock with the process, however that ends.

    Args:
        device: its name, such as ``cuda`` or ``cpu``.
        folder: of the lock files; the system's temporary folder unless given.

    Raises:
        InputError: another campaign holds it; with its process number.
    """
    path = (
        folder or Path(tempfile.gettempdir())
    ) / f"llmsim-{device.replace('/', '-').replace(':', '-')}.lock"
    with path.open("a+") as file:
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
