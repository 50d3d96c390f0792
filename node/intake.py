"""The partial store: objects that are still arriving. It survives kill -9 and a power cut at any instant (R11, R14).

For each object a `.part` file with its bytes where they belong, and a `.log`, a stream of tags:

    INTAKE_OFFER    the offer, as it came                         CRC-32C
    INTAKE_RANGE    offset u64, size u32, CRC-32C of the bytes     CRC-32C
    INTAKE_SYNCED   everything above was fsynced in the .part     CRC-32C

Nothing is fsynced for a single segment. A RANGE that no SYNCED follows is believed after a restart only if its bytes
have their CRC; so a killed process loses nothing, and a power cut only what the disk really lost. Bytes that are there
are never written over. *Committed*: `finish` returned None; the file was verified whole, fsynced, and renamed.

A torn tail of a log is cut; a log without its .part, or a .part without its log, is removed.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import crc32c

from node.disk import Disk, folder_of, join, make_durable_folder
from node.seams import NotOpen
from wire import kinds, objects, tag
from wire.errors import DiskFull, FormatError
from wire.objects import Damaged, Offer, Refusal, decode_message, encode_message
from wire.ranges import RangeSet
from wire.tag import Tag

STALE_USES: Final = 4096
"""An object not heard of while others were so often may be thrown away for the next one of its own sender."""
SYNC_SIZE: Final = 32768
"""Bytes of one object that a power cut may take: so many are written between two fsyncs."""
LOG_SIZE_MAX: Final = 65536
"""A log that is longer is written anew, with one RANGE for each run."""
OBJECTS_MAX: Final = 256
"""Objects that may be arriving at a time. For a new one, one that nobody sent since the start gives way."""
OBJECTS_SIZE_MAX: Final = 1 << 34
"""Bytes that they may have together when they are whole."""
READ_SIZE: Final = 1 << 20
CRC_SIZE: Final = 4
_RANGE: Final = struct.Struct(">QII")


@dataclass
class _Partial:
    """One object on its way in."""

    name: str
    offer: Offer
    have: RangeSet = field(default_factory=RangeSet)
    unsynced: int = 0
    log_size: int = 0
    peer: bytes | None = None
    """Who sends it; None: nobody in this process life."""
    used_at: int = 0


class Intake:
    """Partial objects in one folder. One object of one peer is one partial, whatever sessions it comes over."""

    def __init__(
        self,
        disk: Disk,
        folder: str,
        *,
        objects_max: int = OBJECTS_MAX,
        size_max: int = OBJECTS_SIZE_MAX,
        reserve: int = 1 << 20,
    ) -> None:
        self._disk, self._folder = disk, folder
        self._objects_max, self._size_max, self._reserve = objects_max, size_max, reserve
        self._partials: dict[str, _Partial] = {}
        self._uses = 0
        make_durable_folder(disk, folder)
        self._recover()

    def open(self, key: bytes, offer: Offer) -> RangeSet | Refusal:
        """Return what is there of an offered object; a new one begins empty."""
        name = _name(key, offer.object_id)
        partial = self._partials.get(name)
        if partial is not None and _identity(partial.offer) != _identity(offer):
            self._remove(name)  # the sender is the authority: what it offers now is what counts
            partial = None
        if partial is None:
            made = self._make(key, name, offer)
            if isinstance(made, Refusal):
                return made
            partial = made
        partial.peer, partial.offer = key, offer
        self._use(partial)
        return partial.have.copy()

    def offer(self, key: bytes, object_id: bytes) -> Offer | None:
        """Return what was offered under this id, or None when it is not open."""
        partial = self._partials.get(_name(key, object_id))
        return None if partial is None else partial.offer

    def write(self, key: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        """Take bytes. They are in the next `open`, also after kill -9; a full disk refuses and loses nothing."""
        partial = self._partials.get(_name(key, object_id))
        end = offset + len(data)
        if partial is None or end > partial.offer.size:
            return NotOpen()  # or begun anew by another session, as a smaller object
        self._use(partial)
        new = RangeSet([(offset, end)])
        for low, high in partial.have:
            new.remove(low, high)
        try:
            for low, high in new:
                self._write(partial, low, data[low - offset : high - offset])
            if partial.unsynced >= SYNC_SIZE:
                self._sync(partial)
        except DiskFull as error:
            return Refusal(objects.DISK_FULL, str(error))
        return None

    def finish(self, key: bytes, object_id: bytes, path: str) -> Damaged | Refusal | NotOpen | None:
        """Verify the whole and make it the file `path`, durably. Damaged: it is thrown away."""
        partial = self._partials.get(_name(key, object_id))
        if partial is None or not partial.have.covers(0, partial.offer.size):
            return NotOpen()  # finished by another session, or thrown away there and begun anew
        part = self._path(partial.name, "part")
        if not self._disk.exists(part):
            self._disk.append(part, b"")
        if self._digest(part) != partial.offer.digest:
            self._remove(partial.name)
            return Damaged()
        try:
            self._disk.sync(part)
        except DiskFull as error:
            return Refusal(objects.DISK_FULL, str(error))
        self._disk.rename(part, path)
        self._disk.sync_folder(folder_of(path))
        self._remove(partial.name)
        self._disk.sync_folder(self._folder)
        return None

    def discard(self, key: bytes, object_id: bytes) -> None:
        """Throw a partial object away, if there is one."""
        self._remove(_name(key, object_id))

    @property
    def used(self) -> int:
        """Bytes that the open objects will take when they are whole."""
        return sum(partial.offer.size for partial in self._partials.values())

    def _use(self, partial: _Partial) -> None:
        self._uses += 1
        partial.used_at = self._uses

    def _expendable(self, key: bytes, size: int) -> str | None:
        """Return the partial that gives way to an object of `size` bytes from `key`, or None when none does.

        One of an earlier life first; then the one not heard of for longest, of the peer that takes most with what it
        asks for now. So no peer can fill the intake for the others, and what was given up lies there not for ever.
        """
        idle = next((name for name, partial in self._partials.items() if partial.peer is None), None)
        if idle is not None:
            return idle
        share = self._size_max // self._objects_max
        taken: Counter[bytes | None] = Counter({key: max(share, size)})
        for partial in self._partials.values():
            taken[partial.peer] += max(share, partial.offer.size)
        greediest = max(taken, key=lambda peer: (taken[peer], peer == key))
        theirs = [name for name, partial in self._partials.items() if partial.peer == greediest]
        oldest = min(theirs, key=lambda name: self._partials[name].used_at, default=None)
        if oldest is None:
            return None
        is_stale = self._uses - self._partials[oldest].used_at > STALE_USES
        return oldest if is_stale or greediest != key else None

    def _make(self, key: bytes, name: str, offer: Offer) -> _Partial | Refusal:
        if offer.size > self._size_max:
            return Refusal(objects.TOO_LARGE, f"{offer.size} bytes; at most {self._size_max}")
        if self._disk.free() < offer.size + self._reserve:
            return Refusal(objects.DISK_FULL, f"{offer.size} bytes do not fit; {self._disk.free()} are free")
        while len(self._partials) >= self._objects_max or self.used + offer.size > self._size_max:
            idle = self._expendable(key, offer.size)
            if idle is None:
                return Refusal(objects.BUSY, f"{len(self._partials)} objects of {self.used} bytes are still arriving")
            self._remove(idle)
        partial = _Partial(name, offer)
        try:
            self._log(partial, _sealed(encode_message(0, offer), kinds.INTAKE_OFFER))
            self._disk.append(self._path(name, "part"), b"")
            self._disk.sync(self._path(name, "log"))
            self._disk.sync_folder(self._folder)
        except DiskFull as error:
            self._remove(name)
            return Refusal(objects.DISK_FULL, str(error))
        self._partials[name] = partial
        return partial

    def _write(self, partial: _Partial, offset: int, data: bytes) -> None:
        self._disk.write_at(self._path(partial.name, "part"), offset, data)
        body = _RANGE.pack(offset, len(data), crc32c.crc32c(data))
        self._log(partial, _sealed(Tag(kinds.NETWORK, kinds.INTAKE_RANGE, body), kinds.INTAKE_RANGE))
        partial.have.add(offset, offset + len(data))
        partial.unsynced += len(data)

    def _sync(self, partial: _Partial) -> None:
        self._disk.sync(self._path(partial.name, "part"))
        partial.unsynced = 0
        if partial.log_size > LOG_SIZE_MAX:
            return self._rewrite(partial)
        self._log(partial, _sealed(Tag(kinds.NETWORK, kinds.INTAKE_SYNCED), kinds.INTAKE_SYNCED))
        self._disk.sync(self._path(partial.name, "log"))
        return None

    def _rewrite(self, partial: _Partial) -> None:
        """Put a shorter log in place of the old one; what it claims is synced."""
        raw = _sealed(encode_message(0, partial.offer), kinds.INTAKE_OFFER)
        for start, end in partial.have:
            for at in range(start, end, 1 << 31):
                body = _RANGE.pack(at, min(end - at, 1 << 31), 0)
                raw += _sealed(Tag(kinds.NETWORK, kinds.INTAKE_RANGE, body), kinds.INTAKE_RANGE)
        raw += _sealed(Tag(kinds.NETWORK, kinds.INTAKE_SYNCED), kinds.INTAKE_SYNCED)
        new, log = self._path(partial.name, "new"), self._path(partial.name, "log")
        if self._disk.exists(new):
            self._disk.remove(new)
        self._disk.append(new, raw)
        self._disk.sync(new)
        self._disk.rename(new, log)
        self._disk.sync_folder(self._folder)
        partial.log_size = len(raw)

    def _log(self, partial: _Partial, raw: bytes) -> None:
        self._disk.append(self._path(partial.name, "log"), raw)
        partial.log_size += len(raw)

    def _digest(self, path: str) -> bytes:
        digest, at = blake2b(digest_size=32), 0
        while data := self._disk.read(path, at, READ_SIZE):
            digest.update(data)
            at += len(data)
        return digest.digest()[: objects.DIGEST_SIZE]

    def _remove(self, name: str) -> None:
        self._partials.pop(name, None)
        for suffix in ("log", "part", "new"):
            if self._disk.exists(self._path(name, suffix)):
                self._disk.remove(self._path(name, suffix))

    def _path(self, name: str, suffix: str) -> str:
        return join(self._folder, f"{name}.{suffix}")

    def _recover(self) -> None:
        names = {name.partition(".")[0] for name in self._disk.list(self._folder)}
        for name in sorted(names):
            partial = self._read_log(name)
            if partial is None:
                self._remove(name)
            else:
                self._partials[name] = partial

    def _read_log(self, name: str) -> _Partial | None:
        log, part = self._path(name, "log"), self._path(name, "part")
        if not (self._disk.exists(log) and self._disk.exists(part)):
            return None
        raw = self._disk.read(log)
        found = _replay(name, raw)
        if found is None:
            return None
        partial, unproven = found
        if partial.log_size < len(raw):
            self._disk.truncate(log, partial.log_size)
        for offset, size, crc in unproven:
            if size <= READ_SIZE and crc32c.crc32c(self._disk.read(part, offset, size)) == crc:
                partial.have.add(offset, offset + size)
        if unproven:  # a SYNCED behind a RANGE that was lost would prove it
            self._disk.sync(part)
            self._rewrite(partial)
        return partial


def _replay(name: str, raw: bytes) -> tuple[_Partial, list[tuple[int, int, int]]] | None:
    """Return what a log says, and its ranges (offset, size, CRC) that no SYNCED follows; None without an offer."""
    partial: _Partial | None = None
    unproven: list[tuple[int, int, int]] = []
    for end, number, body in _read_tags(raw):
        if partial is None:
            offer = _read_offer(number, body)
            if offer is None:
                return None
            partial = _Partial(name, offer)
        elif number == kinds.INTAKE_RANGE:
            unproven.append(_RANGE.unpack(body))
        elif number == kinds.INTAKE_SYNCED:
            for offset, size, _ in unproven:
                partial.have.add(offset, offset + size)
            unproven.clear()
        partial.log_size = end
    return None if partial is None else (partial, unproven)


def _name(key: bytes, object_id: bytes) -> str:
    return blake2b(key + object_id, digest_size=16).hexdigest()


def _identity(offer: Offer) -> tuple[bytes, int, bytes, int]:
    return offer.object_id, offer.size, offer.digest, offer.kind


def _sealed(plain: Tag, number: int) -> bytes:
    """Return the tag's bytes with a CRC over kind and data at their end."""
    crc = crc32c.crc32c(bytes((number,)) + plain.data)
    return tag.encode(Tag(kinds.NETWORK, number, plain.data + crc.to_bytes(CRC_SIZE, "big")))


def _read_tags(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset behind it, number, data) of the sound tags at the beginning of a log."""
    at = 0
    try:
        while (header := tag.parse_header(raw, at)) is not None and at + header.total <= len(raw):
            data = raw[at + header.size : at + header.total]
            body, crc = data[:-CRC_SIZE], data[-CRC_SIZE:]
            if crc32c.crc32c(bytes((header.tag.number,)) + body).to_bytes(CRC_SIZE, "big") != crc:
                return
            at += header.total
            yield at, header.tag.number, body
    except FormatError:
        return


def _read_offer(number: int, body: bytes) -> Offer | None:
    found = decode_message(Tag(kinds.NETWORK, kinds.OFFER, body)) if number == kinds.INTAKE_OFFER else None
    return found[1] if found is not None and isinstance(found[1], Offer) else None
