"""The one-pass reader that recovers: what of a damaged stream is sound, unproven or lost. R8."""

from wire.found import Found, ResumePoint

WINDOW_SIZE_MAX = 3 << 20
"""Bytes not yet decided that a reader keeps (R8: three tags)."""


class StreamReader:
    """Bytes of a stream in, in any chunks; Founds out, in order, tiling every byte. Never raises on any input.

    `stream_id`: give it where it is known (the file's name tells it): nothing of another stream can then be taken
    for this one's, however it is damaged. Without it the reader learns it from START or, with START damaged, from
    the CHECKs of the first three MiB, and says so in `seed`.
    """

    def __init__(self, stream_id: bytes | None = None) -> None:
        self._stream_id = stream_id

    @property
    def seed(self) -> int | None:
        """The seed of the stream, or None while (or if) it is not known."""
        raise NotImplementedError

    def feed(self, data: bytes) -> list[Found]:
        """Return what is decided by now; at most WINDOW_SIZE_MAX bytes stay undecided."""
        raise NotImplementedError

    def finish(self) -> list[Found]:
        """Return the rest: the stream has ended."""
        raise NotImplementedError

    def resume_point(self) -> ResumePoint | None:
        """Return where writing may go on, after `finish`; None when no CHECK was sound."""
        raise NotImplementedError
