"""What a journal knows of the pieces of work that it has."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from llmsim.errors import InputError
from llmsim.measurement.journal import Journal

T = TypeVar("T")
Record = Mapping[str, Any]
# Of a piece of work: its run, its deployment, and its number in that.
Name = tuple[str, str, int]
Check = tuple[Callable[[Any], bool], str]


def _is_amount(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_TEXT: Check = lambda value: isinstance(value, str), "a text"
_AMOUNT: Check = _is_amount, "a number of at least 0"
_KNOWN: Check = lambda value: value is None or _is_amount(value), "a number of at least 0, or null"
_COUNT: Check = _is_count, "a whole number of at least 0"
_MEMBERS: Check = lambda value: _is_count(value) and value > 0, "a whole number of at least 1"
_NODE: Check = lambda value: isinstance(value, Mapping), "an object"
_TEXTS: Check = (
    lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "a list of texts",
)
_COUNTS: Check = (
    lambda value: isinstance(value, list) and all(map(_is_count, value)),
    "a list of whole numbers of at least 0",
)
_PIECE: Mapping[str, Check] = {"run": _TEXT, "deployment": _TEXT, "number": _COUNT}
# What entries have, by kind; one of another kind says nothing here.
_HAS: Mapping[str, Mapping[str, Check]] = {
    "work": {**_PIECE, "asked": _NODE, "took": _NODE},
    "joules": {
        **_PIECE, "energy_j": _KNOWN, "window_s": _AMOUNT, "members": _MEMBERS, "idle_s": _AMOUNT,
        "warnings": _TEXTS, "method": _TEXT, "scope": _TEXT,
    },
    "set_aside": {**_PIECE, "as": _TEXT},
    "routes": {"run": _TEXT, "deployments": _TEXTS, "chosen": _COUNTS},
}  # fmt: skip
# What a piece of work took, by what it was.
_TOOK: Mapping[Any, Mapping[str, Check]] = {
    "serve": {"runtime_s": _AMOUNT, "first_token_s": _AMOUNT},
    "prefill": {"runtime_s": _AMOUNT},
    "decode": {"runtime_s": _AMOUNT, "steps": _MEMBERS},
}


class Pieces:
    """What a journal knows of each piece of work, by run, deployment and number.

    Deployments on one device share it: a window that one of them closes has joules of the others' work too.

    Attributes:
        work: entries, in the order in which the work was done.
        joules: of each that has been counted; None: the meters had no figure.

    Raises:
        InputError: an entry that lacks what its kind has or has something else there, or a piece that is
            there twice.
    """

    def __init__(self, journal: Journal) -> None:
        self.work: dict[Name, Record] = {}
        self.joules: dict[Name, float | None] = {}
        for number, entry in enumerate(journal.entries, 1):
            for wrong in _faults(entry):
                raise InputError(
                    f"{journal.path}, entry {number}: {wrong}; expected the journal of a measured run."
                )
            if entry["kind"] == "work" and name_of(entry) in self.work:
                raise InputError(
                    f"{journal.path}, entry {number}: piece {entry['number']} of '{entry['run']}' on "
                    f"{entry['deployment']} is there twice; journals can be joined where their runs differ."
                )
            self.note(entry)

    def note(self, entry: Record) -> None:
        """One more entry of the journal; one of a kind that is not known says nothing of any piece."""
        if entry["kind"] == "work":
            self.work[name_of(entry)] = entry
        elif entry["kind"] == "joules":
            self.joules[name_of(entry)] = entry["energy_j"]
        elif entry["kind"] == "set_aside":
            _rename(self.work, name_of(entry), entry["as"])
            _rename(self.joules, name_of(entry), entry["as"])

    def uncounted(self, run: str, deployment: str) -> Name | None:
        """The first piece of a run's last ones whose joules were never counted; None: all were."""
        count = sum(name[:2] == (run, deployment) for name in self.work)
        first = count
        while first and (run, deployment, first - 1) not in self.joules:
            first -= 1
        return (run, deployment, first) if first < count else None

    def from_on(self, first: Name, deployments: Collection[str]) -> list[Name]:
        """The first piece of each deployment among those that its run did from one piece on."""
        done = [name for name in self.work if name[0] == first[0] and name[1] in deployments]
        found: dict[str, Name] = {}
        for name in done[done.index(first) :]:
            found.setdefault(name[1], name)
        return list(found.values())

    def free_name(self, run: str) -> str:
        """What to call those pieces of a run that are done anew."""
        taken = {name[0] for name in self.work}
        number = 1
        while f"{run}, broken off {number}" in taken:
            number += 1
        return f"{run}, broken off {number}"


def _faults(entry: Record) -> Iterator[str]:
    """What is wrong with an entry, in words."""
    kind = entry.get("kind")
    if not isinstance(kind, str):
        yield "it has no kind" if kind is None else f"kind={kind} is no text"
        return
    yield from _against(entry, _HAS.get(kind, {}), "")
    if kind == "work":
        asked, took = entry["asked"], entry["took"]
        doing = asked.get("do")
        yield from _against(took, _TOOK.get(doing, {}) if isinstance(doing, str) else {}, "took.")
        if doing == "decode" and took["steps"] > (most := asked.get("most_steps", took["steps"])):
            yield f"took.steps={took['steps']}, of {most} that were asked for"
    elif kind == "routes" and max(entry["chosen"], default=-1) >= len(entry["deployments"]):
        yield f"chosen has {max(entry['chosen'])}, and there are {len(entry['deployments'])} deployments"


def _against(node: Record, checks: Mapping[str, Check], prefix: str) -> Iterator[str]:
    lacking = [f"{prefix}{key}" for key in checks if key not in node]
    if lacking:
        yield f"it has no {' and no '.join(lacking)}"
    for key, (holds, what) in checks.items():
        if not holds(node[key]):
            yield f"{prefix}{key}={str(node[key])[:60]} is not {what}"


def named(name: Name) -> dict[str, Any]:
    """A piece's name as an entry has it."""
    return {"run": name[0], "deployment": name[1], "number": name[2]}


def name_of(entry: Record) -> Name:
    """The piece that an entry is of."""
    return entry["run"], entry["deployment"], entry["number"]


def _rename(known: dict[Name, T], first: Name, run: str) -> None:
    """Pieces of a run on a deployment, from the first on, belong to another run."""
    for name in [name for name in known if name[:2] == first[:2] and name[2] >= first[2]]:
        known[run, name[1], name[2]] = known.pop(name)
