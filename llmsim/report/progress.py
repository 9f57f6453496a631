"""Progress of long steps, on a terminal only."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO


class Bar:
    """One line that shows the stage and how far it is; silent when the stream is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(file=self._stream),
            transient=True,
            disable=not self._stream.isatty(),
        )
        self._task = self._bar.add_task("", total=None)
        self._bar.start()
        return self

    def update(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` of a stage is done."""
        self._bar.update(self._task, description=stage, completed=done, total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
