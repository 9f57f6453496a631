"""Which column of a trace is which."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmsim.errors import InputError

ARRIVAL = "arrival_s"
TAU_IN = "tau_in"
TAU_OUT = "tau_out"
ACCURACY_PREFIX = "accuracy_"

# The other names a column goes by: those of the Azure LLM inference traces.
ALIASES: Mapping[str, tuple[str, ...]] = {
    ARRIVAL: ("arrival_s", "TIMESTAMP"),
    TAU_IN: ("tau_in", "ContextTokens"),
    TAU_OUT: ("tau_out", "GeneratedTokens"),
}

EXPECTED = (
    "A trace has the columns tau_in, tau_out and, if queries do not all arrive at once, arrival_s "
    "(or Azure's TIMESTAMP, ContextTokens, GeneratedTokens)."
)

# How alike two names must be for one to be taken as a misspelling of the other, 0 to 1.
ALIKE = 0.6
ALIKE_PREFIX = 0.75


@dataclass(frozen=True)
class Header:
    """Where a trace keeps what.

    Attributes:
        names: the file's column names, as written.
        tau_in, tau_out: position of the column.
        arrival: position of the arrivals, or None: all queries arrive at once.
        accuracy: position of each model's accuracy column, by model name.
    """

    names: tuple[str, ...]
    tau_in: int
    tau_out: int
    arrival: int | None
    accuracy: Mapping[str, int]

    @property
    def used(self) -> tuple[int, ...]:
        """Positions of the columns that are read, each once, in the file's order."""
        arrival = () if self.arrival is None else (self.arrival,)
        return tuple(sorted({self.tau_in, self.tau_out, *arrival, *self.accuracy.values()}))

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the columns that are not read."""
        used = self.used
        return tuple(
            name for position, name in enumerate(self.names) if position not in used and name.strip()
        )


def understand(names: Sequence[str], place: str) -> Header:
    """The header with these column names.

    Args:
        names: column names as the file has them; case and surrounding blanks do not matter.
        place: the file (and line), for errors.

    Raises:
        InputError: a column is missing, misspelt or there twice.
    """
    found = [name.strip() for name in names]
    tau_in = _position(TAU_IN, found, place)
    tau_out = _position(TAU_OUT, found, place)
    if tau_in is None or tau_out is None:
        raise InputError(_missing(TAU_IN if tau_in is None else TAU_OUT, found, place))
    arrival = _position(ARRIVAL, found, place)
    known = {tau_in, tau_out, *(() if arrival is None else (arrival,))}
    accuracy: dict[str, int] = {}
    for position, name in enumerate(found):
        if position in known:
            continue
        if arrival is None and _may_be_arrivals(name):
            raise InputError(
                f"{place}: column '{name}' is not understood. If it holds the arrivals, rename it to "
                "'arrival_s' (seconds) or 'TIMESTAMP' (ISO 8601); if it does not, give it another name."
            )
        model = _model_of(name, place)
        if model in accuracy:
            raise InputError(f"{place}: column '{name}' is there twice.")
        if model is not None:
            accuracy[model] = position
    return Header(tuple(names), tau_in, tau_out, arrival, accuracy)


def _position(wanted: str, found: Sequence[str], place: str) -> int | None:
    """Where a column is, under any of its names; None where it is not."""
    aliases = {alias.casefold() for alias in ALIASES[wanted]}
    hits = [position for position, name in enumerate(found) if name.casefold() in aliases]
    if len(hits) > 1:
        columns = ", ".join(f"'{found[hit]}'" for hit in hits)
        raise InputError(f"{place}: columns {columns} (number {_numbers(hits)}) both say {wanted}; keep one.")
    return hits[0] if hits else None


def _numbers(positions: Sequence[int]) -> str:
    """Positions as people count them."""
    return " and ".join(str(position + 1) for position in positions)


def _missing(wanted: str, found: Sequence[str], place: str) -> str:
    """What to say of a column that is not there: what it may be called instead, or what else is wrong."""
    listed = ", ".join(name[:40] for name in found[:20]) + (", ..." if len(found) > 20 else "")
    guess = _misspelling(wanted, found)
    hint = f" Did you mean '{wanted}' by '{guess}'?" if guess else ""
    if not guess and all(_looks_numeric(name) for name in found):
        hint = " The first line must name the columns; it holds numbers."
    if len(found) == 1 and re.search(r"[;\t|]", found[0]):
        hint = " The columns must be separated by commas."
    return f"{place}: no column '{wanted}'. Found: {listed}.{hint} {EXPECTED}"


def _misspelling(wanted: str, found: Sequence[str]) -> str | None:
    """The column that a missing one may be meant by; None where no name is like it."""
    taken = {alias.casefold() for aliases in ALIASES.values() for alias in aliases}
    folded = {name.casefold(): name for name in found if name.casefold() not in taken}
    for alias in ALIASES[wanted]:
        near = difflib.get_close_matches(alias.casefold(), folded, n=1, cutoff=ALIKE)
        if near:
            return folded[near[0]]
    return None


def _may_be_arrivals(name: str) -> bool:
    """Whether a name is too like one of arrivals to be passed over in silence."""
    folded = name.casefold()
    spellings = [alias.casefold() for alias in ALIASES[ARRIVAL]]
    return "arriv" in folded or bool(difflib.get_close_matches(folded, [*spellings, "time"], 1, ALIKE))


def _model_of(name: str, place: str) -> str | None:
    """The model whose accuracy this column holds; None when it holds something else."""
    folded = name.casefold()
    if folded.startswith(ACCURACY_PREFIX):
        if len(name) == len(ACCURACY_PREFIX):
            raise InputError(f"{place}: column '{name}' names no model; write accuracy_<model>.")
        return name[len(ACCURACY_PREFIX) :]
    start = folded[: len(ACCURACY_PREFIX)]
    if difflib.SequenceMatcher(None, start, ACCURACY_PREFIX).ratio() >= ALIKE_PREFIX:
        raise InputError(f"{place}: column '{name}' is not understood. Did you mean accuracy_<model>?")
    return None


def _looks_numeric(name: str) -> bool:
    """Whether a name is a number or a time: the header is then missing."""
    return re.fullmatch(r"[-+.\d:eETZ ]*\d[-+.\d:eETZ ]*", name) is not None
