"""What a journal knows of the pieces of work that it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from llmsim.errors import InputError
from llmsim.measurement.journal import Journal

T = TypeVar("T")
Record = Mapping[str, Any]
# Of a piece of work: its run, its deployment, and its number in that.
Name = tuple[str, str, int]
# What entries have, by kind.
_NAMED = ("run", "deployment", "number")
_HAS: Mapping[Any, tuple[str, ...]] = {
    "work": (*_NAMED, "asked", "took"),
    "joules": (*_NAMED, "energy_j", "window_s", "members", "idle_s", "warnings", "method", "scope"),
    "set_aside": (*_NAMED, "as"),
    "routes": ("run", "deployments", "chosen"),
}


class Pieces:
    """What a journal knows of each piece of work, by run, deployment and number.

    Deployments on one device share it: a window that one of them closes has joules of the others' work too.

    Attributes:
        work: entries, in the order in which the work was done.
        joules: of each that has been counted; None: the meters had no figure.

    Raises:
        InputError: an entry that lacks what its kind has, or a piece that is there twice.
    """

    def __init__(self, journal: Journal) -> None:
        self.work: dict[Name, Record] = {}
        self.joules: dict[Name, float | None] = {}
        for number, entry in enumerate(journal.entries, 1):
            lacking = [key for key in _HAS.get(entry.get("kind"), ("kind",)) if key not in entry]
            if lacking:
                raise InputError(
                    f"{journal.path}, entry {number}: it has no {' and no '.join(lacking)}; expected the "
                    "journal of a measured run."
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
