"""A log of records for small stores: a stream of tags of kind 7 to which one record at a time is appended.

A store that rewrites its file for each change wears the card and, done in place, is broken by a power cut. Here a
change is one append and one fsync. *Committed*: `append` or `rewrite` has returned.

Opening reads what is there: a torn tail is cut and counted (`cut_bytes`); records around a hole are kept, `hole` says
so, and the next `rewrite` keeps the old file as `<path>.broken`. The first write after opening must be a `rewrite`,
into a new file that replaces the old one by rename: what was read after a failed fsync may be on no medium. The owner
knows which records still count, so that is also the moment when the dead ones go.

After a `DiskError` the log refuses all calls until it is opened anew. `DiskFull` leaves it as it was.
"""

import contextlib
from collections.abc import Iterable
from typing import Final

from node.clock import Clock
from node.disk import Disk, folder_of, put_file
from node.entropy import Entropy, new_id
from node.guard import GuardedDisk
from node.sealer import chunks_of, resume_point_of
from wire import kinds
from wire.checks import LOG
from wire.errors import DiskFull, Misuse
from wire.found import Found
from wire.stream import StreamReader, StreamWriter, Verdict
from wire.tag import Tag

RECORD_SIZE_MAX: Final = 256 << 10
LOG_SIZE_MAX: Final = 64 << 20
_RECORD: Final = (kinds.DATABASE, kinds.RECORD)


class RecordLog:
    """The log at `path`. `records` are those found at opening; the owner may drop them after its `rewrite`."""

    def __init__(self, disk: Disk, path: str, clock: Clock, entropy: Entropy, *, size_max: int = LOG_SIZE_MAX) -> None:
        self._disk = GuardedDisk(disk)
        self._path = path
        self._clock = clock
        self._entropy = entropy
        self._size_max = size_max
        self._writer: StreamWriter | None = None
        self.size = 0
        self.records: list[bytes] = []
        self.cut_bytes = 0
        self.hole = False
        if self._disk.exists(path):
            self._read()

    def append(self, *records: bytes) -> None:
        """Commit the records, by one append and one fsync. Raises DiskFull, DiskError.

        A cut before it has returned may leave the first few of them.
        """
        if self._writer is None:
            raise Misuse(f"{self._path}: a log is rewritten once before it is appended to")
        tags = [_tag(record) for record in records]
        raw = b"".join(map(self._writer.put, tags)) + self._writer.check()
        if self.size + len(raw) > self._size_max:
            self._rewind(self._writer)
            raise DiskFull(f"{self._path} is full: {self.size} bytes, at most {self._size_max}")
        try:
            self._disk.append(self._path, raw)
        except DiskFull:
            self._rewind(self._writer)
            raise
        self._disk.sync(self._path)
        self.size += len(raw)

    def rewrite(self, records: Iterable[bytes]) -> None:
        """Replace all by these records, in one step. Raises DiskFull (the old ones stay), DiskError."""
        if self.hole:
            with contextlib.suppress(DiskFull):
                put_file(self._disk, self._path + ".broken", self._disk.read(self._path))
        writer = StreamWriter(new_id(self._entropy), LOG, self._clock.time_ms())
        whole = b"".join([writer.start(), *(writer.put(_tag(record)) for record in records), writer.finish()])
        if len(whole) > self._size_max:
            raise DiskFull(f"{self._path} would have {len(whole)} bytes, at most {self._size_max}")
        self._replace(whole)
        self._writer, self.size, self.hole = writer, len(whole), False

    def _replace(self, whole: bytes) -> None:
        try:
            put_file(self._disk, self._path, whole)
        except DiskFull:
            if self._disk.exists(self._path + ".new"):
                self._disk.remove(self._path + ".new")
                self._disk.sync_folder(folder_of(self._path))
            raise

    def _rewind(self, writer: StreamWriter) -> None:
        point = resume_point_of(writer.stream_id, chunks_of(self._disk, self._path, self.size))
        self._writer = StreamWriter.resume(writer.stream_id, point)

    def _read(self) -> None:
        reader = StreamReader()
        for chunk in chunks_of(self._disk, self._path):
            self._take(reader.feed(chunk))
        self._take(reader.finish())

    def _take(self, founds: Iterable[Found]) -> None:
        for found in founds:
            if found.verdict is not Verdict.SOUND:
                self.cut_bytes += max(1, found.size)
            elif (tag := found.tag) is not None and tag.kind == _RECORD:
                self.hole |= self.cut_bytes > 0
                self.records.append(tag.data)


def _tag(record: bytes) -> Tag:
    if len(record) > RECORD_SIZE_MAX:
        raise Misuse(f"a record of {len(record)} bytes; at most {RECORD_SIZE_MAX}")
    return Tag(*_RECORD, record)
