"""What the suites check with: errors that say what was seen, also where Python strips `assert`."""

from __future__ import annotations

from collections.abc import Callable

from llmsim.api import InputError


def require(true: bool, otherwise: str) -> None:
    """Raises AssertionError, with what was seen, unless it is true."""
    if not true:
        raise AssertionError(otherwise)


def require_refused(call: Callable[[], object], otherwise: str) -> None:
    """The call must raise InputError; any other error is a fault of its own and passes through."""
    try:
        call()
    except InputError:
        return
    raise AssertionError(otherwise)
