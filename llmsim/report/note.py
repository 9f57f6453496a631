"""What a reader of the figures must know, in a sentence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A sentence and what it is about; `grave` ones are shown so that nobody misses them."""

    about: str
    text: str
    grave: bool = False
