"""A tag file on disk, read through the recovering reader and written anew: what `feldsher tags` does.

Files are read in pieces and never held whole. A file is only ever written as a new one: nothing here overwrites, and
a damaged file stays as it is.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from wire import codec, kinds
from wire.assembler import TagAssembler
from wire.checks import STREAM_ID_SIZE, STUDY, parse_start
from wire.errors import DiskError, FormatError, UsageError
from wire.stream import Found, ResumePoint, StreamReader, StreamWriter, Verdict
from wire.tag import CONTINUED, SEALED, TAGS, Tag, parse_header

READ_SIZE: Final = 1 << 16
DEPTH_MAX: Final = 8
UNPACKED_SIZE_MAX: Final = 64 << 20
"""Bytes of a tag's data after unpacking."""


@dataclass
class Totals:
    """Counts over a file."""

    size: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    bytes_lost: int = 0
    seed: int | None = None
    signed: bool = False
    """Whether the file ends in a SIGNATURE right after a sound tag."""
    _last: Verdict | None = None

    @property
    def sound(self) -> bool:
        """Whether there are tags and all of them are sound, but for a SIGNATURE at the end: its key proves it."""
        unproven = self.verdicts[Verdict.UNPROVEN] - self.signed
        return self.verdicts[Verdict.SOUND] > 0 and not unproven and not self.verdicts[Verdict.LOST]

    def add(self, found: Found) -> None:
        self.size += found.size
        self.verdicts[found.verdict] += 1
        self.bytes_lost += found.size if found.verdict is Verdict.LOST else 0
        tag = found.tag if found.verdict is Verdict.UNPROVEN else None
        self.signed = tag is not None and tag.kind == (kinds.SERVICE, kinds.SIGNATURE) and self._last is Verdict.SOUND
        self._last = found.verdict

    def as_json(self) -> dict[str, Any]:
        counts = {str(verdict): self.verdicts[verdict] for verdict in Verdict}
        seed = None if self.seed is None else f"{self.seed:08x}"
        totals = {"size": self.size, **counts, "bytes_lost": self.bytes_lost, "seed": seed}
        return totals | {"all_sound": self.sound and not self.signed, "signature_unchecked": self.signed}


class TagFile:
    """The Founds of one file, in order, with the totals gathered on the way."""

    def __init__(self, path: Path, stream_id: bytes | None = None) -> None:
        self.path = path
        self.totals = Totals()
        self._stream_id = stream_id
        self._head = b""

    def __iter__(self) -> Iterator[Found]:
        reader = StreamReader(self._stream_id)
        with open_file(self.path) as file:
            while piece := file.read(READ_SIZE):
                self._head = self._head or piece[:4]
                yield from self._counted(reader.feed(piece))
        yield from self._counted(reader.finish())
        self.totals.seed = reader.seed

    def _counted(self, founds: list[Found]) -> Iterator[Found]:
        for found in founds:
            self.totals.add(found)
            yield found

    def must_have_tags(self) -> None:
        """Raise FormatError when what was read holds no tag at all."""
        if self.totals.verdicts[Verdict.SOUND] + self.totals.verdicts[Verdict.UNPROVEN]:
            return
        if not self.totals.size:
            raise FormatError(f"{self.path}: empty; a tag file begins with a START tag")
        raise FormatError(
            f"{self.path}: not a tag file: no tag in {self.totals.size} bytes; it begins with {self._head.hex(' ')},"
            " where the fourth byte of a tag is a7"
        )


def open_file(path: Path) -> BinaryIO:
    """Open for reading; what cannot be opened is the caller's mistake, with the reason."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def create_file(path: Path) -> BinaryIO:
    """Open a new file for writing; refuse one that exists."""
    try:
        return path.open("xb")
    except FileExistsError as error:
        raise UsageError(f"{path}: exists; a file is never overwritten") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def sync_file(file: BinaryIO) -> None:
    """Put what was written on the disk."""
    try:
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise DiskError(f"{file.name}: {error.strerror}") from error


def describe(number: int, found: Found) -> dict[str, Any]:
    """Return one entry of `check --json`."""
    entry: dict[str, Any] = {"number": number, "offset": found.offset, "type": None, "name": None}
    header = parse_header(found.raw) if found.raw else None
    if header:
        entry["type"] = f"{header.tag.group:04x}:{header.tag.number:04x}"
        entry["name"] = kinds.NAMES.get(header.tag.kind)
    entry |= {"length": found.size, "verdict": str(found.verdict), "ordinal": found.ordinal}
    return entry | ({"note": found.note} if found.note else {})


def inner_tags(tag: Tag) -> list[Tag]:
    """Return the tags within a container; none where it is sealed or holds none. Raises FormatError."""
    if not tag.state & TAGS or tag.state & SEALED:
        return []
    assembler = TagAssembler()
    tags = assembler.feed(plain_data(tag))
    if assembler.pending_size:
        raise FormatError(f"{assembler.pending_size} bytes of a tag that is not whole at the end of a container")
    return tags


def plain_data(tag: Tag) -> bytes:
    """Return the data as they were before packing; as they are where they are sealed."""
    if not tag.codec or tag.state & SEALED:
        return tag.data
    return codec.unpack(tag.data, tag.codec, UNPACKED_SIZE_MAX)


@dataclass
class Repair:
    """Writes the tags that can be kept as a new stream with new CHECKs; each kept tag byte for byte.

    CHECKs are written anew, where they stood, because the ordinals are new: a sound file is repaired to itself. A
    START that is lost is written anew, with the id that is given or else with what is known of it, the seed, and zeros.
    """

    out: BinaryIO
    stream_id: bytes | None = None
    unproven: bool = False
    kept: int = 0
    size: int = 0
    given_up: int = 0
    """Bytes of the damaged file that are not in the new one; old CHECKs do not count."""
    _closed: bool = False
    _writer: StreamWriter | None = None

    def take(self, found: Found, seed: int | None) -> None:
        """Keep this tag, or not."""
        tag = found.tag
        if tag is None or not (found.verdict is Verdict.SOUND or self.unproven):
            self.given_up += found.size
            return
        if tag.kind == (kinds.SERVICE, kinds.CHECK):
            if self._writer:
                self._write(self._writer.check(), closed=True)
            return
        start = parse_start(tag)
        if self._writer is None:
            self._writer = self._begin(start.stream_id if start else None, seed)
            if start is None:
                self._write(self._writer.start())
        self._write(self._writer.put_raw(found.raw))
        self.kept += 1

    def _begin(self, own: bytes | None, seed: int | None) -> StreamWriter:
        known = own or self.stream_id
        if known:
            writer = StreamWriter(known, STUDY, 0)
            return StreamWriter.resume(known, ResumePoint(0, 0, ())) if own else writer
        if seed is None:
            raise FormatError("neither START nor a CHECK tells which stream this is: give its id with --id")
        return StreamWriter(seed.to_bytes(4, "big") + bytes(STREAM_ID_SIZE - 4), STUDY, 0)

    def finish(self) -> None:
        """Close the new stream."""
        if self._writer is None:
            raise FormatError("no tag can be kept; with --unproven, those that no CHECK proves would be too")
        if not self._closed:
            self._write(self._writer.finish())
        sync_file(self.out)

    def _write(self, data: bytes, *, closed: bool = False) -> None:
        self._closed = closed
        try:
            self.out.write(data)
        except OSError as error:
            raise DiskError(f"{self.out.name}: {error.strerror}") from error
        self.size += len(data)


class Exporter:
    """Writes the data of tags as files of a folder; the pieces of a datum that was split go into one file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.paths: list[Path] = []
        self._goes_on: tuple[int, int] | None = None

    def take(self, number: int, tag: Tag) -> None:
        if self._goes_on == tag.kind:
            with self.paths[-1].open("ab") as file:
                file.write(plain_data(tag))
        else:
            self._create(number, tag)
        self._goes_on = tag.kind if tag.state & CONTINUED else None

    def _create(self, number: int, tag: Tag) -> None:
        name = kinds.NAMES.get(tag.kind, "tag").lower()
        ending = ".sealed" if tag.state & SEALED else ".bin"
        path = self._folder / f"{number:06}-{tag.group:04x}-{tag.number:04x}-{name}{ending}"
        with create_file(path) as file:
            file.write(plain_data(tag))
            sync_file(file)
        self.paths.append(path)
