"""Frames that nothing is measured by: messages, and what was under way when a link took to messages.

A message takes minutes and arrives in its turn. There is no round trip to learn from it, no window that it fills, and
one simple rule of loss: it is lost when a later frame has arrived and it has not. Kept apart from the ledger
(`wire/loss.py`), whose round trips and rates belong to bearers that answer at once; `wire/flow.py` asks both about each
ACK. Pure; nothing survives the session.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from wire.loss import Outcome, Piece, Sent
from wire.records import Ack

LETTERS_MAX: Final = 8192
"""Beyond, the oldest count as lost: twice what a ledger holds, and a message bearer carries a few hundred a day."""


class Letters:
    """Letters under way, oldest first."""

    def __init__(self) -> None:
        self._letters: dict[int, Sent] = {}

    @property
    def is_empty(self) -> bool:
        return not self._letters

    @property
    def floor(self) -> int | None:
        """The oldest counter under way, None when nothing is."""
        return next(iter(self._letters), None)

    def note(self, letter: Sent) -> list[Sent]:
        """A frame was sent as a message. Returns what is too old to be waited for."""
        self._letters[letter.counter] = letter
        excess = list(islice(self._letters, max(len(self._letters) - LETTERS_MAX, 0)))
        return [self._letters.pop(counter) for counter in excess]

    def adopt(self, frames: Iterable[Sent]) -> list[Sent]:
        """Frames of a bearer that was left. Returns what is too old to be waited for."""
        excess = [old for frame in frames for old in self.note(frame)]
        self._letters = dict(sorted(self._letters.items()))
        return excess

    def acknowledge(self, ack: Ack) -> Outcome:
        """Take in an ACK: what it covers has arrived, what is older than its newest frame and not covered is lost."""
        newest = ack.frames.end - 1
        outcome = Outcome()
        for counter in [counter for counter in self._letters if counter <= newest]:
            letter = self._letters.pop(counter)
            (outcome.arrived if ack.frames.covers(counter, counter + 1) else outcome.lost).append(letter)
        return outcome

    def settle(self, counter: int) -> Sent | None:
        """Take out one letter that is known to have arrived."""
        return self._letters.pop(counter, None)

    def give_up(self, is_wanted: Callable[[Piece], bool]) -> list[Sent]:
        """Take out the letters with a piece that is wanted: it shall go again, whatever became of it."""
        given_up = [letter for letter in self._letters.values() if any(map(is_wanted, letter.pieces))]
        for letter in given_up:
            del self._letters[letter.counter]
        return given_up
