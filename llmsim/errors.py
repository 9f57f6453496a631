"""Errors for the person at the keyboard: what was wrong, where it came from, what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave cannot be used; shown as a message, without a traceback.

    The message says what was wrong, where (file, line, column, or configuration key) and what would be
    right. Anything else that escapes llmsim is a bug in llmsim and keeps its traceback.
    """


# More known names than this are not listed in full.
_MOST_LISTED = 24


def did_you_mean(name: str, known: Iterable[str], what: str = "name") -> str:
    """The sentence that ends an «unknown name» error: the nearest known name, or else all of them.

    >>> did_you_mean("optimum", ["optimal", "random"], "policy")
    "Did you mean 'optimal'? Known: optimal, random."
    >>> did_you_mean("x", [], "policy")
    'There is no policy to choose from.'

    Of very many known names only the nearest are listed.
    """
    names = sorted(set(known))
    if not names:
        return f"There is no {what} to choose from."
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f"Did you mean '{near[0]}'?" if near else ""
    if len(names) > _MOST_LISTED:
        others = f" Also near: {', '.join(near[1:])}." if len(near) > 1 else ""
        return f"{guess}{others}" or f"{len(names)} are known."
    return f"{guess} Known: {', '.join(names)}.".strip()
