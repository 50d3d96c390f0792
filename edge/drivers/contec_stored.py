"""A segment of a Contec oximeter's memory as a study: seconds of saturation and pulse, measured elsewhere and earlier.

It is a study of its own. Nothing is erased in the oximeter, so what breaks off can be read again. When it was measured
only the oximeter knows: its date stands in the RESULT as received, and the waves are dated as if the recording had
ended when it was read, which the RESULT says. Its records have no numbers: where bytes were lost, how many seconds went
with them cannot be told, only that they did.
"""

from typing import Final

from edge.driver import Commit, Note, StudyBegins
from edge.entries import EntryQueue
from edge.oximetry import CHUNK_SIZE_MAX, Chunk, Numbers, Shape, Tally, conclude

SECONDS_MAX: Final = 86_400
"""Of one segment: a day, which is what these oximeters hold."""
ENTRY_S: Final = 1_800
DATED: Final = "the waves are dated as if the recording had ended when it was read: only the oximeter knows its time"


class Recording:
    """One segment on its way. `length_s`: how long it is, as announced."""

    def __init__(self, queue: EntryQueue, shape: Shape, length_s: int, time: str, now: float) -> None:
        self.length_s = min(length_s, SECONDS_MAX)
        self._queue, self._shape, self._time = queue, shape, time
        self._tally, self._seconds, self._skipped = Tally(), 0, 0
        self._began = now - self.length_s
        self._chunk = Chunk(shape, self._began)
        self._notes = [DATED]
        if length_s > SECONDS_MAX:
            self._notes.append(f"{length_s} seconds were announced; {SECONDS_MAX} are read")
        queue.put(StudyBegins(shape.form, is_earlier=True))
        queue.put(Note("read from the oximeter's memory: whose it is only the oximeter's owner knows"))

    @property
    def is_whole(self) -> bool:
        """All that was announced is here."""
        return self._seconds >= self.length_s

    def add(self, raw: bytes, seconds: list[Numbers]) -> None:
        """Take one packet and the seconds in it; those beyond the announced length are padding."""
        self._chunk.raw += raw
        for one in seconds[: self.length_s - self._seconds]:
            self._chunk.last.seconds.append(self._tally.second([one]))
            self._seconds += 1
        if len(self._chunk.last.seconds) >= ENTRY_S:
            self._commit()

    def skip(self, raw: bytes) -> None:
        """Take bytes that make no packet: one at least was lost, and seconds with it."""
        self._skipped += len(raw)
        self._chunk.raw += raw
        if len(self._chunk.raw) >= CHUNK_SIZE_MAX:
            self._commit()

    def end(self, reason: str = "") -> None:
        """End the study: whole, or as far as it came."""
        self._commit()
        if self._skipped:
            self._notes.append(f"{self._skipped} bytes skipped: the seconds after them stand too early in the wave")
        if not self.is_whole:
            self._notes.append(f"{self._seconds} of {self.length_s} seconds; the oximeter still has them all")
        conclude(self._queue, self._tally, self._notes, self._time, "" if self.is_whole else reason)

    def _commit(self) -> None:
        chunk, self._chunk = self._chunk, Chunk(self._shape, self._began + self._seconds)
        commit: Commit = chunk.commit()
        if commit.raw:
            self._queue.put(commit)
