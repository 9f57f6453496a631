"""Numbers as a person reads them: four significant digits, SI prefixes, absent never shown as zero."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

ABSENT = "—"
"""What stands in a cell whose figure could not be had."""

Ladder = tuple[tuple[float, str], ...]
"""Units of one kind, smallest first: how many base units each is, and its sign."""

ENERGY: Ladder = (
    (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (1e6, "MJ"), (1e9, "GJ"), (1e12, "TJ"), (1e15, "PJ"),
)  # fmt: skip
POWER: Ladder = ((1e-3, "mW"), (1.0, "W"), (1e3, "kW"), (1e6, "MW"), (1e9, "GW"))
TIME: Ladder = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
PERCENT: Ladder = ((1.0, "%"),)
POINTS: Ladder = ((1.0, "points"),)  # of per cent
COUNT: Ladder = ((1.0, ""),)

SIGNIFICANT = 4


def is_absent(value: float | None) -> bool:
    """Whether a figure could not be had: None, or not a finite number."""
    return value is None or not math.isfinite(value)


def number(value: float | None, significant: int = SIGNIFICANT) -> str:
    """A bare number rounded to `significant` digits, thousands apart; very large or small ones as powers.

    >>> number(1234567.0), number(0.012345), number(3.2e-13), number(None)
    ('1,235,000', '0.01235', '3.200e-13', '—')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    rounded = float(f"{value:.{significant - 1}e}")
    exponent = math.floor(math.log10(abs(rounded)))
    if not -4 <= exponent < 15:
        return _signed(f"{rounded:.{significant - 1}e}")
    return _signed(f"{rounded:,.{max(0, significant - 1 - exponent)}f}")


def quantity(value: float | None, ladder: Ladder, significant: int = SIGNIFICANT) -> str:
    """A number with the unit of `ladder` in which it has one to three digits before the point.

    >>> quantity(123456.0, ENERGY), quantity(0.00123, TIME), quantity(None, ENERGY), quantity(0.0, TIME)
    ('123.5 kJ', '1.230 ms', '—', '0 s')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    factor, unit = _rung(float(f"{value:.{significant - 1}e}"), ladder)
    return f"{number(value / factor, significant)} {unit}".rstrip()


def energy(joules: float | None) -> str:
    """Joules with their SI prefix."""
    return quantity(joules, ENERGY)


def power(watts: float | None) -> str:
    """Watts with their SI prefix."""
    return quantity(watts, POWER, 3)


def seconds(value: float | None) -> str:
    """Seconds, or their thousandths and millionths."""
    return quantity(value, TIME)


def percent(value: float | None, significant: int = 3) -> str:
    """Per cent, from a figure in per cent."""
    return quantity(value, PERCENT, significant)


def share(part: float | None, whole: float | None) -> float | None:
    """`part` of `whole` in per cent; None when either is missing or the whole is nothing."""
    if part is None or whole is None or whole == 0:
        return None
    return 100.0 * part / whole


def count(value: int | float | None) -> str:
    """A whole number, thousands apart.

    >>> count(19366), count(0), count(None)
    ('19,366', '0', '—')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    return _signed(f"{round(value):,}")


def within(gap: float | None) -> str:
    """A gap as a bound that it keeps: rounded up, and no finer than double precision can tell.

    >>> within(3e-16), within(-2e-17), within(2.21e-7), within(0.0312)
    ('1e-12', '1e-12', '2.3e-07', '3.2 %')
    """
    if gap is None or not math.isfinite(gap):
        return ABSENT
    gap = max(abs(gap), 1e-12)
    exponent = math.floor(math.log10(gap))
    mantissa = math.ceil(round(gap / 10.0**exponent * 10, 9)) / 10
    if gap >= 1e-3:
        return f"{float(f'{mantissa}e{exponent + 2}'):g} %"
    return f"{float(f'{mantissa}e{exponent}'):.1e}".replace(".0e", "e")


@dataclass(frozen=True)
class Scale:
    """One unit and one number of decimals for all cells of a column.

    Attributes:
        factor: base units in one `unit`.
        unit: sign for the column's header; empty for bare numbers.
        places: decimals shown.
    """

    factor: float
    unit: str
    places: int

    def text(self, value: float | None) -> str:
        """The cell: absent as a dash, nothing as 0, and something too small to show as «<0.01»."""
        if value is None or not math.isfinite(value):
            return ABSENT
        if value == 0:
            return "0"
        scaled = value / self.factor
        smallest = 10.0**-self.places
        if abs(round(scaled, self.places)) < smallest / 2:
            return ("<" if scaled > 0 else ">−") + f"{smallest:.{self.places}f}"
        return _signed(f"{scaled:,.{self.places}f}")


def common_scale(values: Iterable[float | None], ladder: Ladder, digits: int = 5) -> Scale:
    """One unit and precision for `values`, chosen so that the least is readable and the most is short.

    That is the largest unit in which the least is 1 or more and the most has fewer than `digits` digits;
    else the smallest unit in which the most has.

    Args:
        values: figures in the ladder's base unit; absent ones and zeros do not count.
        ladder: units to choose from.
        digits: digits that the largest cell may have.
    """
    sizes = sorted(abs(v) for v in values if v is not None and math.isfinite(v) and v != 0)
    if not sizes:
        factor, unit = next(rung for rung in ladder if rung[0] == 1.0)
        return Scale(factor, unit, 0)
    least, most = sizes[0], sizes[-1]
    rungs = [rung for rung in ladder if most / rung[0] < 10.0 ** (digits - 1)] or [ladder[-1]]
    fitting = [rung for rung in rungs if least / rung[0] >= 1.0]
    factor, unit = fitting[-1] if fitting else rungs[0]
    wanted = 2 - math.floor(math.log10(least / factor))
    room = max(1, digits - 1 - max(0, math.floor(math.log10(most / factor))))
    return Scale(factor, unit, max(0, min(wanted, room, 3)))


def _rung(value: float, ladder: Ladder) -> tuple[float, str]:
    """The largest unit that `value` has at least one of, else the smallest."""
    if value == 0:
        return next(rung for rung in ladder if rung[0] == 1.0)
    fitting = [rung for rung in ladder if abs(value) >= rung[0]]
    return fitting[-1] if fitting else ladder[0]


def _signed(text: str) -> str:
    """`text` with the minus sign of typography before the digits; exponents keep theirs."""
    return "−" + text[1:] if text.startswith("-") else text
