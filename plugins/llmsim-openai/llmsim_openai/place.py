"""Whether an address is this host's."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def is_here(url: str) -> bool:
    """Whether the host of an address is this one: its loopback, or one of its own addresses.

    What answers there may be elsewhere all the same, behind a tunnel or a forwarded port.
    """
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None, type=socket.SOCK_DGRAM)
    except OSError:  # a name that is not known is no name of this host
        return False
    return any(_is_own(family, address) for family, _, _, _, address in found)


def _is_own(family: int, address: tuple[object, ...]) -> bool:
    """A socket can be bound to this host's own addresses only."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.bind((address[0], 0, *address[2:]))
    except OSError:
        return False
    return True
