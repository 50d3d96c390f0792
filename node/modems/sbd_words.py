"""What an Iridium SBD modem says and how to take it: session results, checksums, the network's time, waits. Pure.

Sources: Iridium ISU AT Command Reference (SBD commands), 9601 and 9602 Developers Guides; status numbers from 37 on as
drivers in the field have them. Statuses are judged by what the modem's message can hope for, not by whose fault it is.
"""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.modems.faults import Garbled

MO_SIZE_MAX: Final = 340
MT_SIZE_MAX: Final = 270
"""Of a 9602 or 9603."""
MT_READ_MAX: Final = 1960
"""Of any SBD modem."""
CHECKSUM_SIZE: Final = 2
CREDIT_SIZE: Final = 50
"""Airtime is sold by started 50 bytes; a look into an empty mailbox costs as much."""
TICK_S: Final = 0.09
SPAN_S: Final = (1 << 32) * TICK_S
EPOCHS_S: Final = (1_399_818_235, 1_739_556_857)
"""2014-05-11 14:23:55 and 2025-02-14 18:14:17 UTC. The manuals have the first; that the network has gone over to the
second is seen in drivers only. A count does not say from which it is."""
PLAUSIBLE_S_MIN: Final = 1_767_225_600
"""2026-01-01: this program is younger, so a clock that says less is wrong, or counts from elsewhere."""


class Fate(enum.Enum):
    """What becomes of the message in the modem."""

    GONE = "it is at the network"
    AGAIN = "the session is tried again, soon and then less soon"
    WAIT = "again after WAIT_S: the network asked for a pause"
    BAD = "this message will never go"
    BARRED = "this modem may not send at all"


WAIT_S: Final = 180.0
STATUSES: Final[dict[int, tuple[Fate, str]]] = {
    0: (Fate.GONE, ""),
    1: (Fate.GONE, "the message that waits is too large for this modem"),
    2: (Fate.GONE, "the network did not take our location"),
    3: (Fate.GONE, ""),
    4: (Fate.GONE, ""),
    10: (Fate.AGAIN, "the network did not end the session in time"),
    11: (Fate.WAIT, "the network's queue is full"),
    12: (Fate.BAD, "the message has too many segments"),
    13: (Fate.AGAIN, "the session did not complete"),
    14: (Fate.BAD, "a segment has a wrong size"),
    15: (Fate.BARRED, "the network refuses this modem; is it registered with a provider?"),
    16: (Fate.BARRED, "the modem is locked; its unlock code must be given"),
    17: (Fate.AGAIN, "the network did not answer"),
    18: (Fate.AGAIN, "the radio connection was lost"),
    19: (Fate.AGAIN, "the link broke the protocol"),
    32: (Fate.AGAIN, "no network; the antenna must see the sky"),
    33: (Fate.AGAIN, "the antenna is at fault"),
    34: (Fate.AGAIN, "the radio is switched off"),
    35: (Fate.AGAIN, "the modem is busy"),
    36: (Fate.WAIT, "the network asks for three minutes since the last registration"),
    37: (Fate.WAIT, "the service is switched off for now"),
    38: (Fate.WAIT, "the network has too much traffic"),
    64: (Fate.AGAIN, "a band violation"),
    65: (Fate.AGAIN, "the modem's oscillator is not locked; is it too cold?"),
}
_UNKNOWN: Final = (Fate.AGAIN, "a status that is not in our table")

UNREACHED: Final = frozenset({15, 16, 32, 33, 34, 35, 36, 37, 38, 64, 65})
"""Statuses of sessions in which nothing can have gone."""

RETRIES_S: Final = ((0.0, 5.0), (0.0, 5.0), (25.0, 35.0), (25.0, 35.0), (240.0, 360.0), (480.0, 720.0), (900.0, 1200.0))
"""After the first failed session and so on; the last again and again. Drawn, so that a car park is not in step."""


@dataclass(frozen=True, slots=True)
class Session:
    """`+SBDIX:` in words."""

    mo_status: int
    momsn: int
    mt_status: int
    mtmsn: int
    mt_size: int
    queued: int

    @property
    def fate(self) -> Fate:
        """What became of our message."""
        return STATUSES.get(self.mo_status, _UNKNOWN)[0]

    @property
    def is_free(self) -> bool:
        """Tell whether it certainly cost nothing: no network was reached. Else it may have our message, and bill it."""
        return self.mo_status in UNREACHED

    @property
    def trouble(self) -> str:
        """Why not, for people."""
        return f"{STATUSES.get(self.mo_status, _UNKNOWN)[1]} (SBD status {self.mo_status})"

    @property
    def has_message(self) -> bool:
        return self.mt_status == 1


def parse_session(line: str) -> Session:
    """Return what a `+SBDIX:` line says; spaces after commas vary. Raises Garbled."""
    numbers = _numbers(line, "+SBDIX:", 6)
    return Session(*numbers)


def has_unread(line: str) -> bool:
    """Tell from a `+SBDSX:` line whether a message lies in the modem. Raises Garbled."""
    return _numbers(line, "+SBDSX:", 6)[2] == 1


def _numbers(line: str, prefix: str, count: int) -> list[int]:
    words = [word.strip() for word in line.removeprefix(prefix).split(",")]
    if (
        not line.startswith(prefix)
        or len(words) != count
        or not all(re.fullmatch(r"-?\d{1,6}", word) for word in words)
    ):
        raise Garbled(f"want {prefix} and {count} numbers, not {line!r}")
    return [int(word) for word in words]


def with_checksum(message: bytes) -> bytes:
    """Return what AT+SBDWB wants: the bytes, and the low 16 bits of their sum."""
    return message + (sum(message) & 0xFFFF).to_bytes(CHECKSUM_SIZE, "big")


def size_of_answer(begin: bytes) -> int | None:
    """Return how many bytes the answer of AT+SBDRB has; None: more are needed; 0: this is a line, not an answer.

    A line begins with CR, or with a letter: as a length that is more than any modem keeps.
    """
    if begin[:1] >= b"\x08":
        return 0
    if len(begin) < 2:
        return None
    size = int.from_bytes(begin[:2], "big")
    return 0 if size > MT_READ_MAX else 2 + size + CHECKSUM_SIZE


def read_message(raw: bytes) -> bytes:
    """Return the message in an answer of AT+SBDRB, b"" when there is none. Raises Garbled."""
    message, said = raw[2:-CHECKSUM_SIZE], int.from_bytes(raw[-CHECKSUM_SIZE:], "big")
    if sum(message) & 0xFFFF != said:
        raise Garbled(f"AT+SBDRB: {len(message)} bytes have the checksum {sum(message) & 0xFFFF:04x}, not {said:04x}")
    return message


def network_time_ms(line: str) -> int | None:
    """Return Unix time from `-MSSTM:`; None without network. The count begins anew every twelve years.

    Of the times that a count may mean the earliest that is plausible: right by either epoch until 2027-06-26, and after
    that 18 months early if the network still counts from 2014. So it is shown, and no clock is set by it.
    """
    match = re.fullmatch(r"-MSSTM: ?([0-9a-fA-F]{1,8})", line)
    if match is None:
        return None
    since_s = int(match[1], 16) * TICK_S
    times = [epoch + since_s + turn * SPAN_S for epoch in EPOCHS_S for turn in range(2)]
    return round(min(at for at in times if at >= PLAUSIBLE_S_MIN) * 1000) if max(times) >= PLAUSIBLE_S_MIN else None


def credits_of(size: int) -> int:
    """Return what a message of so many bytes costs."""
    return -(-size // CREDIT_SIZE)


def retry_wait_s(failures: int, entropy: Callable[[int], bytes]) -> float:
    """Return how long to wait after the `failures`th failed session in a row, counted from 1."""
    low, high = RETRIES_S[min(max(failures, 1), len(RETRIES_S)) - 1]
    return low + (high - low) * int.from_bytes(entropy(2), "big") / 65_535


__all__ = [
    "CREDIT_SIZE",
    "MO_SIZE_MAX",
    "MT_SIZE_MAX",
    "RETRIES_S",
    "STATUSES",
    "WAIT_S",
    "Fate",
    "Session",
    "credits_of",
    "has_unread",
    "network_time_ms",
    "parse_session",
    "read_message",
    "retry_wait_s",
    "size_of_answer",
    "with_checksum",
]
