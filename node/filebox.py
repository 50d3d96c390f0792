"""The outbox and the inbox of `feldsher link send` and `serve`: files of one folder to a folder elsewhere.

`FileOutbox` holds each object in an unnamed temporary file: it is made anew by the next run, byte for byte the same,
and its id is the digest of its bytes, so that the far side recognises what it has of it.

`FileInbox` keeps its state in `.feldsher/` of the target folder:

    intake/     partial objects (`node/intake.py`)
    whole/ID    arrived and verified, not yet unpacked; taken up again at the next start
    new/        files being unpacked
    done/ID     the names that object ID became

A file gets its name when it is whole, verified and fsynced; its receipt is given after the fsync of the folder. A file
that is there with the same content is left alone; another of the same name is never touched: the new one becomes
`name (2)`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from node.disk import Disk, join, make_durable_folder, put_file
from node.intake import Intake
from node.seams import NotOpen
from wire import bundle, objects, tag
from wire.bundle import FileMeta
from wire.errors import DiskFull, FormatError, UsageError
from wire.objects import Custody, Damaged, Offer, Receipt, Refusal
from wire.ranges import RangeSet
from wire.tag import HEADER_SIZE_MAX, Tag

STATE: Final = ".feldsher"
BUNDLED_SIZE_MAX: Final = 1 << 16
"""Files up to this size share an object."""
OBJECT_FILES_MAX: Final = 256
READ_SIZE: Final = 1 << 20
COPIES_MAX: Final = 1000
MTIME_NS_MAX: Final = 1 << 62

SetTime = Callable[[str, int], None]
"""Sets the time of the last change of a file: path on the disk, nanoseconds since the epoch."""


def describe(path: Path) -> FileMeta:
    """Return the head of the file `path`. Raises UsageError when it cannot be sent."""
    try:
        stat = path.stat()
        if not path.is_file():
            raise UsageError(f"{path} is not a file")
        digest = blake2b(digest_size=32)
        for piece in read_pieces(path):
            digest.update(piece)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return FileMeta(path.name, stat.st_size, stat.st_mtime_ns, digest.digest())


def read_pieces(path: Path) -> Iterator[bytes]:
    """Yield the content of `path`."""
    with path.open("rb") as file:
        while piece := file.read(READ_SIZE):
            yield piece


@dataclass
class Parcel:
    """One object on its way out and the files in it."""

    offer: Offer
    files: list[tuple[Path, FileMeta]]
    content: IO[bytes]
    verdict: Receipt | Refusal | None = None


def _group(files: Iterable[tuple[Path, FileMeta]]) -> Iterator[list[tuple[Path, FileMeta]]]:
    """Yield the files of one object each: small ones together, large ones alone."""
    small: list[tuple[Path, FileMeta]] = []
    for path, meta in files:
        if meta.size > BUNDLED_SIZE_MAX:
            yield [(path, meta)]
            continue
        small.append((path, meta))
        if len(small) == OBJECT_FILES_MAX:
            yield small
            small = []
    if small:
        yield small


class FileOutbox:
    """Files to send, as objects. What is in it is forgotten with the process."""

    def __init__(self, paths: Sequence[Path], *, compress: bool, priority: int) -> None:
        described = [(path, describe(path)) for path in paths]
        self.parcels: dict[bytes, Parcel] = {}
        for group in _group(described):
            parcel = _make_parcel(group, compress, priority)
            self.parcels[parcel.offer.object_id] = parcel

    def pending(self) -> Sequence[Offer]:
        return [parcel.offer for parcel in self.parcels.values() if parcel.verdict is None]

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        content = self.parcels[object_id].content
        content.seek(offset)
        return content.read(size)

    def in_custody(self, object_id: bytes) -> None:
        """A file server gives receipts at once; custody says nothing to us."""

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        parcel = self.parcels[object_id]
        if receipt == parcel.offer.digest:
            parcel.verdict = Receipt(receipt)
        else:
            parcel.verdict = Refusal(
                objects.BROKEN, f"the receipt is for {receipt.hex()}, not {parcel.offer.digest.hex()}"
            )

    def refused(self, object_id: bytes, refusal: Refusal) -> None:
        if refusal.reason != objects.BUSY:
            self.parcels[object_id].verdict = refusal

    def is_settled(self, object_id: bytes) -> bool:
        """Tell whether this outbox had the object and has heard the last word on it."""
        parcel = self.parcels.get(object_id)
        return parcel is not None and parcel.verdict is not None

    @property
    def is_done(self) -> bool:
        return all(parcel.verdict is not None for parcel in self.parcels.values())

    def close(self) -> None:
        for parcel in self.parcels.values():
            parcel.content.close()


def _make_parcel(group: list[tuple[Path, FileMeta]], compress: bool, priority: int) -> Parcel:
    content = TemporaryFile()  # noqa: SIM115 - it lives as long as the parcel
    digest, size = blake2b(digest_size=32), 0
    for raw in bundle.write([(meta, read_pieces(path)) for path, meta in group], compress=compress):
        content.write(raw)
        digest.update(raw)
        size += len(raw)
    whole = digest.digest()
    offer = Offer(whole[16:], objects.FILE, size, whole[: objects.DIGEST_SIZE], priority)
    return Parcel(offer, group, content)


class FileInbox:
    """Files that arrive, into the root of `disk`. `arrived` is called with each name that is new or confirmed."""

    def __init__(self, disk: Disk, set_time: SetTime, arrived: Callable[[str, FileMeta], None]) -> None:
        self._disk, self._set_time, self._arrived = disk, set_time, arrived
        for name in ("whole", "new", "done"):
            make_durable_folder(disk, f"{STATE}/{name}")
        self._intake = Intake(disk, f"{STATE}/intake")
        for name in disk.list(f"{STATE}/new"):
            disk.remove(f"{STATE}/new/{name}")
        for name in disk.list(f"{STATE}/whole"):
            self._unpack(name)

    def offered(self, peer: bytes, offer: Offer) -> RangeSet | Custody | Receipt | Refusal:
        if offer.kind != objects.FILE:
            return Refusal(objects.NOT_WANTED, f"kind {offer.kind}; only files are taken here")
        if self._is_done(offer):
            return Receipt(offer.digest)
        if self._disk.exists(f"{STATE}/whole/{offer.object_id.hex()}"):  # there was no room to unpack it
            return self._unpack(offer.object_id.hex())
        return self._intake.open(peer, offer)

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        return self._intake.write(peer, object_id, offset, data)

    def finish(self, peer: bytes, object_id: bytes) -> Custody | Receipt | Refusal | Damaged | NotOpen:
        try:
            failure = self._intake.finish(peer, object_id, f"{STATE}/whole/{object_id.hex()}")
        except DiskFull as error:  # a rename needs room for a name
            return Refusal(objects.DISK_FULL, str(error))
        return failure or self._unpack(object_id.hex())

    def _is_done(self, offer: Offer) -> bool:
        """The object was unpacked before, and its files are still there."""
        path = f"{STATE}/done/{offer.object_id.hex()}"
        if not self._disk.exists(path):
            return False
        try:
            note = json.loads(self._disk.read(path))
            digest, files = note["digest"], [(str(name), int(size)) for name, size in note["files"]]
        except (ValueError, KeyError, TypeError):  # the disk has damaged it: the object is asked for again
            return False
        if digest != offer.digest.hex():
            return False
        return all(self._disk.exists(name) and self._disk.size(name) == size for name, size in files)

    def _unpack(self, object_id: str) -> Receipt | Refusal:
        """Make files of a whole object. Repeating it after a crash in its middle gives the same files."""
        whole = f"{STATE}/whole/{object_id}"
        digest = blake2b(digest_size=32)
        try:
            for container in self._read_tags(whole):
                digest.update(tag.encode(container))
                for part in bundle.read(container):
                    refusal = self._check(part)
                    if refusal is not None:
                        self._disk.remove(whole)
                        return refusal
            made = self._write_files(object_id, whole)
            receipt = digest.digest()[: objects.DIGEST_SIZE]
            done = {"digest": receipt.hex(), "files": [[name, meta.size] for name, meta in made]}
            put_file(self._disk, f"{STATE}/done/{object_id}", json.dumps(done).encode())
        except FormatError as error:
            self._disk.remove(whole)
            return Refusal(objects.BROKEN, str(error))
        except DiskFull as error:
            self._clear_new()
            return Refusal(objects.DISK_FULL, str(error))
        self._disk.remove(whole)
        for name, meta in made:
            self._arrived(name, meta)
        return Receipt(receipt)

    def _check(self, part: FileMeta | bytes) -> Refusal | None:
        reason = bundle.check_name(part.name) if isinstance(part, FileMeta) else None
        return None if reason is None else Refusal(objects.BAD_NAME, reason)

    def _write_files(self, object_id: str, whole: str) -> list[tuple[str, FileMeta]]:
        made: list[tuple[str, FileMeta]] = []
        meta: FileMeta | None = None
        new = ""
        for container in self._read_tags(whole):
            for part in bundle.read(container):
                if isinstance(part, bytes):
                    if meta is None:
                        raise FormatError("bytes of a file before its head")
                    self._disk.append(new, part)
                    continue
                made += [] if meta is None else [(self._name_file(new, meta), meta)]
                meta, new = part, f"{STATE}/new/{object_id}-{len(made)}"
                if self._disk.exists(new):
                    self._disk.remove(new)
                self._disk.append(new, b"")
        made += [] if meta is None else [(self._name_file(new, meta), meta)]
        self._disk.sync_folder("")
        return made

    def _name_file(self, new: str, meta: FileMeta) -> str:
        """Verify a file, make it durable and give it a name that is free, or find that it is there already."""
        if self._content(new) != (meta.size, meta.digest):
            raise FormatError(f"{meta.name}: its content does not match its digest")
        for name in _candidates(meta.name):
            if not self._disk.exists(name):
                self._set_time(new, min(max(meta.mtime_ns, 0), MTIME_NS_MAX))
                self._disk.sync(new)
                self._disk.rename(new, name)
                return name
            if self._is_same(name, meta):
                self._disk.remove(new)
                return name
        raise FormatError(f"{meta.name}: there are {COPIES_MAX} others of this name")

    def _is_same(self, name: str, meta: FileMeta) -> bool:
        try:
            return self._disk.size(name) == meta.size and self._content(name) == (meta.size, meta.digest)
        except (UsageError, OSError):
            return False  # a folder, or a link to elsewhere

    def _content(self, path: str) -> tuple[int, bytes]:
        digest, at = blake2b(digest_size=32), 0
        while data := self._disk.read(path, at, READ_SIZE):
            digest.update(data)
            at += len(data)
        return at, digest.digest()

    def _read_tags(self, path: str) -> Iterator[Tag]:
        at, end = 0, self._disk.size(path)
        while at < end:
            header = tag.parse_header(self._disk.read(path, at, HEADER_SIZE_MAX))
            if header is None or at + header.total > end:
                raise FormatError(f"the object is cut short at byte {at} of {end}")
            yield tag.decode(self._disk.read(path, at, header.total))
            at += header.total

    def _clear_new(self) -> None:
        for name in self._disk.list(f"{STATE}/new"):
            self._disk.remove(join(f"{STATE}/new", name))


def _candidates(name: str) -> Iterator[str]:
    """Yield `name`, then `name (2)` and so on, with the number before the suffix."""
    yield name
    path = Path(name)
    for number in range(2, COPIES_MAX):
        suffix = f" ({number}){path.suffix}"
        stem = path.stem.encode()[: bundle.NAME_SIZE_MAX - len(suffix.encode())].decode(errors="ignore")
        yield stem + suffix
