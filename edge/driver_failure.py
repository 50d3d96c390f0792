"""A driver that fails: where, and what the port had said that no entry holds yet, which is kept as it came.

A driver is a third party's, or has a mistake that nobody has met. It is started anew and stops no other device; but
what it had taken and not committed would be gone, and a device that waits for no answer does not say it again. Of a
reading within which an entry was made all is kept: which of its bytes are in the entry nobody knows.
Bounded; nothing of it survives a crash, as nothing of a driver does.
"""

from pathlib import Path
from typing import Final

UNREAD_SIZE_MAX: Final = 64 * 1024
"""Bytes; the last of them."""
KEEP_S: Final = 60.0
"""A driver that fails at each reading makes one such study in so long, not a flood of them."""


class Unread:
    """The bytes of one port."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._current = 0
        self._kept_at = float("-inf")

    def heard(self, data: bytes) -> None:
        """The driver is about to be given `data`."""
        self._bytes += data
        del self._bytes[:-UNREAD_SIZE_MAX]
        self._current = min(len(data), UNREAD_SIZE_MAX)

    def committed(self) -> None:
        """An entry is durable: what came before the present reading is in it, or was left out on purpose."""
        del self._bytes[: len(self._bytes) - self._current]

    def take(self, now: float) -> bytes:
        """The driver failed: return what is to be kept, b"" when too little time has passed since the last time."""
        data = bytes(self._bytes)
        self._bytes.clear()
        if now < self._kept_at + KEEP_S:
            return b""
        self._kept_at = now
        return data


def place_of(error: Exception) -> str:
    """Return what failed and where, without the error's own text: that may hold what a device said of a person."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place is not None else "?"
    return f"{type(error).__name__} at {where}"
