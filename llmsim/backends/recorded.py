"""The backend that answers from a journal of measured work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NoReturn

from llmsim.errors import InputError
from llmsim.fleet.deployment import Deployment


@dataclass
class RecordedWork:
    """Plays what another backend measured; runs nothing.

    Attributes:
        path: the journal, one JSON object a line, plain or compressed by gzip.
    """

    path: str | None = None
    method: ClassVar[Literal["measured"]] = "measured"

    @property
    def journal(self) -> Path:
        """The file.

        Raises:
            InputError: none is named.
        """
        if self.path is None:
            raise InputError(
                "backend.path: backend=recorded plays the journal of a measured run; name it, such as "
                "backend.path=outputs/served/0123456789ab.jsonl."
            )
        return Path(self.path)

    def open(self, deployment: Deployment) -> NoReturn:
        """Never: there is no device.

        Raises:
            InputError: always.
        """
        raise InputError(f"backend=recorded: nothing can be run on {deployment.name}; it plays a journal.")
