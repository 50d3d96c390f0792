"""Whole tags out of a session's bytes. The session has authenticated them, so nothing is searched or guessed."""

from typing import Final

from wire.tag import SIZE_MAX, Tag, decode_at

BUFFER_SIZE_MAX: Final = SIZE_MAX
"""Bytes of an unfinished tag that are kept."""


class TagAssembler:
    """Bytes in, in any chunks; whole tags out. Unlawful bytes are a FormatError and end the assembler's use."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending_size(self) -> int:
        """Bytes of the tag that is not yet whole; at most BUFFER_SIZE_MAX. 0 where a stream may lawfully end."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Tag]:
        """Return the tags that `data` makes whole. Raises FormatError when a header is not lawful."""
        self._buffer += data
        tags: list[Tag] = []
        at = 0
        with memoryview(self._buffer) as view:
            while (whole := decode_at(view, at)) is not None:
                tags.append(whole[0])
                at = whole[1]
        del self._buffer[:at]
        return tags
