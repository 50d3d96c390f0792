"""What the kit writes under its own name: summaries, endings and signatures, for `node.journal` and `node.recovery`.

Bytes and identifiers only; the two callers own the files.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from node.clock import Clock
from node.disk import Disk
from node.entropy import Entropy
from node.spool import PRIORITY_MIN
from wire import checks, kinds, objects
from wire.errors import DiskError, Misuse
from wire.maps import encode_map
from wire.record import Preview
from wire.seal import ed25519_public
from wire.stream import ResumePoint, StreamReader
from wire.study import StudyWriter
from wire.tag import Tag

CHUNK_SIZE: Final = 256 << 10
BLOCK_SIZE: Final = 4096
"""What is given up around one bad sector."""
SUMMARY_LEAD: Final = 3
"""By so much a summary is more urgent than its study: routine summaries (2) overtake routine studies (5)."""


def summary_id_of(study_id: bytes) -> bytes:
    """Return the object id of a study's summary; the same at every try."""
    return hashlib.blake2b(study_id, digest_size=objects.ID_SIZE, person=b"feldsher summary").digest()


def preview_id_of(study_id: bytes, number: int, stage: int) -> bytes:
    """Return the object id of one preview of a picture; the same at every try."""
    named = study_id + number.to_bytes(4, "big") + stage.to_bytes(1, "big")
    return hashlib.blake2b(named, digest_size=objects.ID_SIZE, person=b"feldsher preview").digest()


def summary_tag(summary: Mapping[str, Any]) -> Tag:
    """Return the SUMMARY tag that holds this map."""
    return Tag(kinds.CAPTURE, kinds.SUMMARY, encode_map(dict(summary)))


def summary_priority(priority: int) -> int:
    """Return the priority of the summary of a study of this priority."""
    return max(PRIORITY_MIN, priority - SUMMARY_LEAD)


def preview_priority(priority: int, stage: int) -> int:
    """Return the priority of a preview of a study of this priority: the first right behind summaries, and so on."""
    return max(PRIORITY_MIN, priority - max(SUMMARY_LEAD - stage, 1))


class Sealer:
    """Clock, entropy and keys of one kit. `sign_secret` signs what it closes; only the server opens what it seals."""

    def __init__(self, clock: Clock, entropy: Entropy, seal_public: bytes, sign_secret: bytes) -> None:
        self.clock = clock
        self.entropy = entropy
        self.seal_public = seal_public
        self.sign_public = ed25519_public(sign_secret)
        self._sign_secret = sign_secret

    def summary(self, study_id: bytes, opened_ms: int, tag: Tag) -> bytes:
        """Return the bytes of a whole summary stream."""
        return self._alone(summary_id_of(study_id), opened_ms, checks.SUMMARY, tag)

    def preview(self, preview: Preview, opened_ms: int) -> bytes:
        """Return the bytes of a whole preview stream."""
        stream_id = preview_id_of(preview.study, preview.number, preview.stage)
        return self._alone(stream_id, opened_ms, checks.PREVIEW, preview.to_tag())

    def _alone(self, stream_id: bytes, opened_ms: int, kind: int, tag: Tag) -> bytes:
        writer = StudyWriter(stream_id, opened_ms, self.seal_public, kind)
        return writer.start() + writer.entry([tag], self.entropy) + self.closing(writer)

    def closing(self, writer: StudyWriter, *, recovered: bool = False) -> bytes:
        """Return END and signature."""
        return writer.end(self.clock.time_ms(), recovered=recovered) + writer.signature(self._sign_secret)


def chunks_of(disk: Disk, path: str, size: int | None = None) -> Iterator[bytes]:
    """Yield the first `size` bytes (or all) of a file, piece by piece."""
    end = disk.size(path) if size is None else size
    for offset in range(0, end, CHUNK_SIZE):
        yield disk.read(path, offset, min(CHUNK_SIZE, end - offset))


def salvaged(disk: Disk, path: str) -> Iterator[bytes]:
    """Yield all of a file; where the disk cannot read, zeros stand in for each block, and no tag is made of zeros."""
    end = disk.size(path)
    for offset in range(0, end, CHUNK_SIZE):
        size = min(CHUNK_SIZE, end - offset)
        try:
            yield disk.read(path, offset, size)
        except DiskError:
            yield b"".join(_block(disk, path, at, end) for at in range(offset, offset + size, BLOCK_SIZE))


def _block(disk: Disk, path: str, offset: int, end: int) -> bytes:
    size = min(BLOCK_SIZE, end - offset)
    try:
        return disk.read(path, offset, size)
    except DiskError:
        return bytes(size)


def resume_point_of(stream_id: bytes, chunks: Iterable[bytes]) -> ResumePoint:
    """Return where a stream that we have written ourselves may be written on."""
    reader = StreamReader(stream_id)
    for chunk in chunks:
        reader.feed(chunk)
    reader.finish()
    if (point := reader.resume_point()) is None:
        raise Misuse(f"stream {stream_id.hex()} has no sound CHECK to go on from")
    return point
