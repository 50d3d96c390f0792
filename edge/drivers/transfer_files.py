"""What a transfer protocol and the driver around it say to each other: bytes for the sender, files, broken files.

A receiver is a pure object like a driver: bytes and time in, `Say`, `Offer` and `Broken` out. After an `Offer` it waits
for `stored` or `refused`, and tells the sender that the file has arrived only after `stored`.
"""

from dataclasses import dataclass
from typing import Final, Protocol

FILE_SIZE_MAX: Final = (1 << 20) - 4_096
"""A file, bytes: with its head it fits one tag. At 115,200 baud it takes a minute and a half."""
NAME_SIZE_MAX: Final = 255
INPUT_SIZE_MAX: Final = 8_192
"""Bytes kept while the disk is busy. A sender waits then; what is lost, its protocol sends again."""
CAN: Final = b"\x18"
CANCEL: Final = CAN * 8 + b"\b" * 8
"""Ends a transfer in X, Y and ZMODEM (Forsberg); the backspaces clear what a terminal would show."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as received. `size` as the sender declared it; -1 where the protocol does not say, then it is padded."""

    name: bytes = b""
    data: bytes = b""
    size: int = -1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Say:
    """Bytes for the sender."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Offer:
    """A file is whole."""

    file: File


@dataclass(frozen=True, slots=True)
class Broken:
    """A transfer ended before its time; the file is what came of it."""

    file: File
    reason: str


Out = Say | Offer | Broken


class Receiver(Protocol):
    """See the module's text."""

    def feed(self, data: bytes, now: float) -> list[Out]: ...
    def tick(self, now: float) -> list[Out]: ...
    def stored(self, now: float) -> list[Out]: ...
    def refused(self, now: float) -> list[Out]: ...
    def lost(self, now: float) -> list[Out]: ...
    def deadline(self) -> float | None: ...


def field_of(head: bytes) -> tuple[bytes, int]:
    """Return name and size from the head that YMODEM and ZMODEM send: name NUL size SP …; size -1 when it says none."""
    name, _, rest = head.partition(b"\0")
    word = rest.partition(b"\0")[0].split(b" ")[0]
    size = int(word) if word.isdigit() and len(word) <= 12 else -1
    return name[:NAME_SIZE_MAX], size
