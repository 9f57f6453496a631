"""Checks that every description shares."""

from __future__ import annotations

import math

from llmsim.errors import InputError


def require_positive(value: float | None, where: str) -> None:
    """Raises InputError unless `value` is a finite number above 0, or None (not known)."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise InputError(f"{where}: {value} must be a number above 0 (null where it is not known).")
