"""One measured run a device: two at once would measure each other."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llmsim.backends import BACKENDS
from llmsim.errors import InputError

_LAUNCHER = "hydra/launcher="
# Runs the jobs of a sweep one after the other.
_SERIAL = "basic"
# Run nothing: the one computes, the other plays whole journals, whatever deployments' own backends are.
_NO_DEVICE = ("simulator", "recorded")


def refuse_sharing(words: Sequence[str]) -> None:
    """Refuse a sweep whose jobs would measure on one device at the same time.

    Args:
        words: in the form that `normalise` gives.

    Raises:
        InputError: a measuring backend under a launcher that runs jobs at once.
    """
    launchers = [word.removeprefix(_LAUNCHER) for word in words if word.startswith(_LAUNCHER)]
    if not launchers or launchers[-1] == _SERIAL:
        return
    options = [word.partition("=")[2] for word in words if word.lstrip("+").startswith("backend=")]
    chosen = ",".join(options).split(",")
    if chosen == ["recorded"]:
        return
    own = [word for word in words if word.lstrip("+").startswith("backends")]
    named = [name for name in re.findall(r"\w+", " ".join(own)) if name in BACKENDS.names()]
    for name in [*chosen, *named]:
        if (
            name
            and name not in _NO_DEVICE
            and getattr(BACKENDS.find(name), "method", "measured") == "measured"
        ):
            raise InputError(
                f"backend={name} measures, and {_LAUNCHER}{launchers[-1]} runs jobs at the same time: on one "
                f"device they would measure each other. Use {_LAUNCHER}{_SERIAL}."
            )
