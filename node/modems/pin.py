"""The guard of a SIM's PIN: after three wrong tries a SIM is locked for good, so we never make the third.

What was tried outlives the process: it is noted *before* a try, by `Notes` handed in, and bound to the SIM and the PIN
by a digest. A PIN is tried once of itself. Only where that try's outcome was never heard (a power cut in the middle)
and the SIM says that no try was wrong, it is tried again. Another PIN in the settings begins anew, up to two wrong
tries in all; then a person must enter the PIN in a telephone, which sets the SIM's own counter back.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Protocol

from node.modems.faults import Locked

WRONG_MAX: Final = 2
TRIES_OF_SIM: Final = 3
PIN_PATTERN: Final = re.compile(r"\d{4,8}", re.ASCII)


class Notes(Protocol):
    """Where the guard's note outlives the process: a small text."""

    def read(self) -> str:
        """Return what was written last, "" at first. Raises OSError when it cannot be known."""

    def write(self, text: str) -> None:
        """Keep it. When this returns it is on the disk. Raises OSError."""


class NoNotes:
    """Nowhere to note: no PIN is ever tried."""

    def read(self) -> str:
        raise OSError("no place to keep a note")

    def write(self, text: str) -> None:
        raise OSError("no place to keep a note")


@dataclass(frozen=True, slots=True)
class _Note:
    """`tries` of the PIN with this digest; `wrong` tries of any PIN with this SIM since one was right."""

    digest: str = ""
    tries: int = 0
    wrong: int = 0


class PinGuard:
    """Asked before a try, told after it. `pin` is "" where none is set."""

    def __init__(self, pin: str, notes: Notes) -> None:
        self._pin, self._notes = pin, notes

    def permit(self, iccid: str, left: int | None) -> str:
        """Note a try and return the PIN for it. `left`: how many tries the SIM says are left; None: it does not say.

        Raises Locked, which says why not and what a person can do.
        """
        if not PIN_PATTERN.fullmatch(self._pin):
            raise Locked("the SIM asks for its PIN", "set pin=… (4 to 8 digits) for this modem")
        digest = hashlib.blake2b(f"{iccid}|{self._pin}".encode(), digest_size=16).hexdigest()
        note = self._read()
        wrong = 0 if left == TRIES_OF_SIM else note.wrong
        tries = note.tries if note.digest == digest else 0
        if tries and left != TRIES_OF_SIM:
            raise Locked("the SIM PIN was tried and not accepted", "set the right pin=… for this modem")
        if wrong >= WRONG_MAX or (left is not None and left < TRIES_OF_SIM - WRONG_MAX + 1):
            raise Locked("one more wrong PIN would lock the SIM", "enter its PIN in a telephone, then set it here")
        if tries > WRONG_MAX:
            raise Locked("the SIM never says whether its PIN is right", "switch the PIN off in a telephone")
        self._write(_Note(digest, tries + 1, wrong + 1))
        return self._pin

    def accepted(self) -> None:
        """The SIM is open: whatever was tried was right, or no PIN is asked."""
        try:
            if self._read() != _Note():
                self._write(_Note())
        except Locked:
            return

    def _read(self) -> _Note:
        try:
            words = self._notes.read().split()
        except OSError as error:
            raise self._unknown(error) from error
        if not words:
            return _Note()
        if len(words) != 3 or not (words[1] + words[2]).isdecimal():
            return _Note(words[0], WRONG_MAX, WRONG_MAX)
        return _Note(words[0], int(words[1]), int(words[2]))

    def _write(self, note: _Note) -> None:
        text = "" if note == _Note() else f"{note.digest} {note.tries} {note.wrong}"
        try:
            self._notes.write(text)
        except OSError as error:
            raise self._unknown(error) from error

    def _unknown(self, error: OSError) -> Locked:
        return Locked(
            f"the SIM asks for its PIN, and it cannot be noted that it was tried ({error})",
            "give the kit a folder that it may write, or switch the PIN off in a telephone",
        )


__all__ = ["PIN_PATTERN", "WRONG_MAX", "NoNotes", "Notes", "PinGuard"]
