"""What a meter is: it reads energy from one source over a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Method = Literal["measured", "estimated"]


@dataclass(frozen=True)
class Reading:
    """What one source says of one window.

    Attributes:
        source: the device that was read, such as ``gpu0``.
        scope: what the joules cover, such as ``gpu_boards``.
        method: measured, or estimated from something else.
        how: the way it was had, such as ``energy_counter`` or ``integrated_power``.
        power_w: mean power over the part of the window that the source resolves, W; None: not had.
        energy_j: joules of the whole window, J; None where it could not be had.
        window_s: seconds from start to stop.
        conditions: what else was read at the end of the window: clocks, temperature, why it is throttled.
        warnings: what to know before trusting it; the reason where there is no energy.
    """

    source: str
    scope: str
    method: Method
    how: str
    power_w: float | None
    energy_j: float | None
    window_s: float
    conditions: Mapping[str, float | str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Meter(Protocol):
    """Reads one source. Life cycle: `unavailable` once; then any number of `start`, `stop`; then `close`.

    What happens between `start` and `stop` is the window. Whoever starts a meter has waited for the work
    before it to end (synchronised), and waits for the work within the window before stopping.
    """

    def unavailable(self) -> str | None:
        """Why it cannot be read here and what to do about it; None: it can."""
        ...

    def start(self) -> None:
        """A window begins now."""
        ...

    def stop(self) -> Sequence[Reading]:
        """The window ends now; one reading a device."""
        ...

    def close(self) -> None:
        """Release what was taken."""
        ...
