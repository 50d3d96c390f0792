"""What a reader of a stream reports, and what a writer needs to go on where a reader ended."""

from dataclasses import dataclass
from enum import StrEnum

from wire.checks import Entry
from wire.tag import Tag, decode


class Verdict(StrEnum):
    """How far a tag is to be trusted."""

    SOUND = "sound"
    """An intact CHECK of this stream lists these very bytes at this ordinal (or it is such a CHECK itself)."""
    UNPROVEN = "unproven"
    """Looks like a tag of this stream, but no intact CHECK says anything about it."""
    LOST = "lost"
    """Bytes that are no tag of this stream as it was written: damaged, inserted, or what is left of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing found in a stream, in the order in which it stands; the Founds of a stream tile all of its bytes.

    `raw` is the tag's bytes, or empty when LOST (only `size` is kept then: what is lost may be of any size, even
    0 when tags were cut out without a trace but in the ordinals). `ordinal` is known for SOUND tags, and for LOST
    ones where a CHECK names them.
    """

    offset: int
    size: int
    verdict: Verdict
    raw: bytes = b""
    ordinal: int | None = None
    note: str = ""

    @property
    def tag(self) -> Tag | None:
        """The tag, decoded anew at each call; None when LOST."""
        return decode(self.raw) if self.raw else None


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a stream may be written on: right after its last sound CHECK.

    `offset`: bytes of the stream up to the end of that CHECK. `entries`: what is known of the tags before
    `next_ordinal`, that CHECK included, oldest first.
    """

    offset: int
    next_ordinal: int
    entries: tuple[Entry, ...]
