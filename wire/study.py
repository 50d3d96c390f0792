"""A study: the stream of sealed entries that a kit writes and the server reads. `docs/formats/study.md` is normative.

`StudyWriter` turns entries into the bytes of the file, each call one append of one commit; `StudyReader` (and
`open_study` around it) reads them back, sound or damaged; `verify_signature` is for a gateway, which has no key to open
anything. Nothing here owns a file: what survives a crash is what the caller made durable, and since entries are
sealed one by one, what is durable stays readable whatever becomes of the rest.

Reading promises: an entry is given once, as it was written, or not at all. Whatever is changed, renumbered, repeated,
brought from another study, cut off or missing is reported, by bytes or by ordinals, and marks the study damaged.
The signature is another matter than damage: `signature_ok` tells whether the kit that the server knows has written
exactly these bytes.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from wire import kinds
from wire.checks import STUDY, Start, parse_start, seed_of
from wire.entry import INFO, TAG_COUNT_MAX, Assembly, Entry, open_piece, seal_entry
from wire.errors import AuthError, FormatError, Misuse
from wire.maps import decode_map, encode_map
from wire.seal import (
    DIGEST_SIZE,
    KEY_ID_SIZE,
    SIGNATURE_SIZE,
    Entropy,
    ed25519_public,
    key_id,
    sign,
    verify,
)
from wire.stream import Found, ResumePoint, StreamReader, StreamWriter, Verdict
from wire.tag import CONTINUED, Tag, decode, encode

__all__ = ["End", "Entry", "Loss", "Study", "StudyReader", "StudyWriter", "open_study", "verify_signature"]

LOSS_COUNT_MAX: Final = 4096
"""Losses reported one by one; those after them are counted in the last."""
ENTRY_COUNT_MAX: Final = 1 << 32
OPENED_SIZE_MAX: Final = 512 << 20
"""What one reader opens, bytes of unpacked data with the two costs below. A hostile kit seals 32 MiB in 200 bytes."""
PIECE_COST: Final = 4096
"""What each SEALED tag counts for, whether it opens or not: opening one takes as long as reading so many bytes."""
TAG_COST: Final = 1024
"""What each inner tag counts for beside its data."""
MAP_BYTE_COST: Final = 64
"""What a byte counts for that a record is read from: half a megabyte of empty lists takes a third of a second."""
_BULK: Final = frozenset({(kinds.CAPTURE, kinds.RAW), (kinds.CAPTURE, kinds.WAVEFORM), (kinds.IMAGE, kinds.PICTURE)})
SIGNATURE_TAG_SIZE: Final = 6 + KEY_ID_SIZE + SIGNATURE_SIZE


@dataclass(frozen=True, slots=True)
class End:
    """What the END of a study says."""

    entries: int
    closed_ms: int
    recovered: bool = False

    def to_tag(self) -> Tag:
        """Return the END tag."""
        values = {"entries": self.entries, "closed_ms": self.closed_ms, "recovered": self.recovered}
        return Tag(kinds.SERVICE, kinds.END, encode_map(values))

    @classmethod
    def from_tag(cls, tag: Tag) -> Self:
        """Return what `tag` says. Raises FormatError."""
        values = decode_map(tag.data, "END")
        entries, closed_ms, recovered = (values.get(name) for name in ("entries", "closed_ms", "recovered"))
        if not (type(entries) is int and type(closed_ms) is int and type(recovered) is bool):
            raise FormatError("END: want entries (integer), closed_ms (integer) and recovered (true or false)")
        if not 0 <= entries <= ENTRY_COUNT_MAX:
            raise FormatError(f"END: {entries} entries; at most {ENTRY_COUNT_MAX}")
        return cls(entries, closed_ms, recovered)


class SignedDigest:
    """BLAKE2b-256 of a file as it goes by, without the signature that may be its last bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=DIGEST_SIZE)
        self._tail = b""

    def update(self, data: bytes) -> None:
        """Take the next bytes of the file; keeps back what may be the signature."""
        held = self._tail + data
        cut = max(0, len(held) - SIGNATURE_TAG_SIZE)
        self._hash.update(held[:cut])
        self._tail = held[cut:]

    def signature_tag(self, sign_secret: bytes) -> Tag:
        """Return the SIGNATURE over all bytes up to now; they end with no signature yet."""
        whole = self._hash.copy()
        whole.update(self._tail)
        signature = sign(INFO + whole.digest(), sign_secret)
        return Tag(kinds.SERVICE, kinds.SIGNATURE, key_id(ed25519_public(sign_secret)) + signature)

    @property
    def signer(self) -> bytes | None:
        """The key id in the SIGNATURE that ends the file, or None when none stands there. Not a proof by itself."""
        try:
            tag = decode(self._tail)
        except FormatError:
            return None
        is_signature = tag.kind == (kinds.SERVICE, kinds.SIGNATURE) and len(self._tail) == SIGNATURE_TAG_SIZE
        return tag.data[:KEY_ID_SIZE] if is_signature else None

    def holds(self, sign_public: bytes) -> bool:
        """Tell whether the file ends with a signature, over all before it, by the holder of this key."""
        signed = INFO + self._hash.digest()
        return self.signer == key_id(sign_public) and verify(signed, self._tail[-SIGNATURE_SIZE:], sign_public)


def verify_signature(chunks: Iterable[bytes], sign_public: bytes) -> bool:
    """Tell whether the file in `chunks` is signed by this key. Needs no seal key and next to no memory."""
    digest = SignedDigest()
    for chunk in chunks:
        digest.update(chunk)
    return digest.holds(sign_public)


# What may be called when: state, call -> next state.
_NEW, _OPEN, _ENDED, _SIGNED = "new", "open", "ended", "signed"
_WRITER: Final[Mapping[tuple[str, str], str]] = {
    (_NEW, "start"): _OPEN,
    (_OPEN, "entry"): _OPEN,
    (_OPEN, "adopt"): _OPEN,
    (_OPEN, "end"): _ENDED,
    (_ENDED, "signature"): _SIGNED,
}


class StudyWriter:
    """The bytes of a study file, call by call. What a call returns is appended, and is one commit.

    start -> (entry | adopt)* -> end -> signature; anything else is Misuse.
    """

    def __init__(self, study_id: bytes, opened_ms: int, recipient_public: bytes, kind: int = STUDY) -> None:
        self.study_id = study_id
        self.entries = 0
        """Entries written, so also the ordinal of the next."""
        self._stream = StreamWriter(study_id, kind, opened_ms)
        self._seed = seed_of(study_id).to_bytes(4, "big")
        self._recipient_public = recipient_public
        self._digest = SignedDigest()
        self._state = _NEW

    @classmethod
    def resume(
        cls, study_id: bytes, recipient_public: bytes, point: ResumePoint, entries: int, chunks: Iterable[bytes]
    ) -> Self:
        """Return a writer that goes on after `point` (of a StreamReader that found no loss before it).

        `entries`: how many stand before it. `chunks`: the `point.offset` bytes of the file before it.
        """
        writer = cls(study_id, 0, recipient_public)
        writer._stream = StreamWriter.resume(study_id, point)
        writer.entries, writer._state = entries, _OPEN
        for chunk in chunks:
            writer._digest.update(chunk)
        return writer

    def start(self) -> bytes:
        """Return START and its CHECK."""
        self._step("start")
        return self._signed(self._stream.start() + self._stream.check())

    def entry(self, tags: Sequence[Tag], entropy: Entropy) -> bytes:
        """Return `tags` as one sealed entry with its CHECK. `entropy` is asked for 32 bytes for each piece."""
        return self._put("entry", seal_entry(self.entries, tags, self._seed, self._recipient_public, entropy))

    def adopt(self, pieces: Sequence[Tag]) -> bytes:
        """Return the SEALED tags of an entry of this same study, sealed before: recovery writes a new file so.

        The ordinal is under the seal and stays what it was; entries after it go on from there.
        """
        ordinal = pieces[0].sequence if pieces else None
        if ordinal is None or ordinal < self.entries or any(piece.sequence != ordinal for piece in pieces):
            raise Misuse(f"entry {ordinal} cannot follow {self.entries} entries")
        self.entries = ordinal
        return self._put("adopt", pieces)

    def end(self, closed_ms: int, *, recovered: bool = False) -> bytes:
        """Return END and its CHECK: no entry follows."""
        self._step("end")
        tag = End(self.entries, closed_ms, recovered).to_tag()
        return self._signed(self._stream.put(tag) + self._stream.check())

    def signature(self, sign_secret: bytes) -> bytes:
        """Return the SIGNATURE over everything before it, the last bytes of the file."""
        self._step("signature")
        return encode(self._digest.signature_tag(sign_secret))

    def _put(self, call: str, pieces: Sequence[Tag]) -> bytes:
        self._step(call)
        self.entries += 1
        return self._signed(b"".join(map(self._stream.put, pieces)) + self._stream.check())

    def _step(self, call: str) -> None:
        after = _WRITER.get((self._state, call))
        if after is None:
            raise Misuse(f"{call} of a study that is {self._state}")
        self._state = after

    def _signed(self, raw: bytes) -> bytes:
        self._digest.update(raw)
        return raw


@dataclass(frozen=True, slots=True)
class Loss:
    """What of a file could not be had: bytes at an offset, or the entry `ordinal`, and why."""

    offset: int
    size: int
    reason: str
    ordinal: int | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """A study as far as it could be read. Entries stand in the order in which they were written."""

    study_id: bytes | None
    """None only when START is damaged."""
    kind: int | None
    opened_ms: int | None
    entries: tuple[Entry, ...]
    end: End | None
    """None when the file breaks off before its END, or END is damaged."""
    signer: bytes | None
    signature_ok: bool
    lost: tuple[Loss, ...]
    missing: tuple[range, ...]
    """Ordinals of entries that were written and are not in `entries`."""
    damaged: bool
    """Anything is lost, missing or not where it was written. False for a whole study, whoever signed it."""


class StudyReader:
    """Bytes of a study in, in any chunks; entries out as they become readable; the report at the end.

    Memory: the stream reader's window and one entry. `sign_publics` maps key ids to the public keys of known kits.
    Work: `room`, see OPENED_SIZE_MAX; what stands behind its end is reported as lost, and is still in the file.
    """

    def __init__(
        self,
        seal_secret: bytes,
        sign_publics: Mapping[bytes, bytes] | None = None,
        study_id: bytes | None = None,
        *,
        room: int = OPENED_SIZE_MAX,
    ) -> None:
        self._seal_secret = seal_secret
        self._room = room
        self._sign_publics = sign_publics or {}
        self._reader = StreamReader(study_id)
        self._digest = SignedDigest()
        self._assembly = Assembly()
        self._start: tuple[bool, Tag] | None = None
        self._end: tuple[bool, Tag] | None = None
        self._opened: set[int] = set()
        self._highest = -1
        self._refused: AuthError | None = None
        self._lost: list[Loss] = []

    def feed(self, data: bytes) -> list[Entry]:
        """Return the entries that `data` made readable."""
        self._digest.update(data)
        return self._take(self._reader.feed(data))

    def finish(self) -> tuple[list[Entry], Study]:
        """Return the last entries, and the report (whose own `entries` is empty: they were given out).

        Raises AuthError when sound entries are there and the key opens none, FormatError when there is no study at all.
        """
        entries = self._take(self._reader.finish())
        self._drop()
        if self._refused and not self._opened:
            raise self._refused
        if self._reader.seed is None:
            raise FormatError("not a study: no START, and no CHECK to tell which stream it is")
        return entries, self._report()

    def _report(self) -> Study:
        signer = self._digest.signer
        public = self._sign_publics.get(signer or b"")
        signature_ok = public is not None and self._digest.holds(public)
        start, end = self._start_said(signature_ok), self._end_said(signature_ok)
        missing = _gaps(self._opened, end.entries if end else 0)
        if end and signer is None:
            self._lose(0, 0, "no SIGNATURE ends the file")
        if end and any(ordinal >= end.entries for ordinal in self._opened):
            self._lose(0, 0, f"entries beyond the {end.entries} that END counts")
        return Study(
            study_id=start.stream_id if start else None,
            kind=start.kind if start else None,
            opened_ms=self._start[1].time_ms if start and self._start else None,
            entries=(),
            end=end,
            signer=signer,
            signature_ok=signature_ok,
            lost=tuple(self._lost),
            missing=missing,
            damaged=bool(self._lost or missing or start is None or end is None),
        )

    def _start_said(self, proven: bool) -> Start | None:
        held = self._start
        return parse_start(held[1]) if held and (held[0] or proven) else None

    def _end_said(self, proven: bool) -> End | None:
        held = self._end
        if held is None or not (held[0] or proven):
            return None
        try:
            return End.from_tag(held[1])
        except FormatError as error:
            self._lose(0, 0, str(error))
            return None

    def _take(self, founds: Iterable[Found]) -> list[Entry]:
        entries = []
        for found in founds:
            if found.verdict is Verdict.LOST:
                self._lose(found.offset, found.size, found.note or "damaged")
            elif (entry := self._take_tag(found)) is not None:
                entries.append(entry)
        return entries

    def _take_tag(self, found: Found) -> Entry | None:
        tag = decode(found.raw)
        sound = found.verdict is Verdict.SOUND
        if tag.kind == (kinds.SERVICE, kinds.SEALED):
            return self._take_sealed(found, tag)
        if tag.kind == (kinds.SERVICE, kinds.START):
            self._start = self._start or (sound, tag)
        elif tag.kind == (kinds.SERVICE, kinds.END):
            self._end = self._end or (sound, tag)
        elif not sound and tag.kind != (kinds.SERVICE, kinds.SIGNATURE):
            self._lose(found.offset, found.size, "unproven, and not sealed")
        return None

    def _take_sealed(self, found: Found, tag: Tag) -> Entry | None:
        """Open a piece. Its own seal proves it, also where no CHECK does; what does not open disturbs nothing."""
        if tag.sequence in self._opened:
            self._lose(found.offset, found.size, f"entry {tag.sequence} stands here again")
            return None
        self._room -= PIECE_COST
        try:
            container = self._open_piece(tag)
            if not tag.target and tag.sequence != self._assembly.ordinal:
                self._drop()
            entry = self._assembly.add(tag, container)
        except (AuthError, FormatError) as error:
            self._room -= len(tag.data)
            if isinstance(error, FormatError) and not tag.state & CONTINUED:  # an entry may have been read to its end
                self._room -= TAG_COST * TAG_COUNT_MAX
            self._lose(found.offset, found.size, str(error), tag.sequence)
            return None
        if entry is not None:
            self._room -= sum(map(_cost, entry.tags))
            self._note_order(found, entry.ordinal)
        return entry

    def _open_piece(self, tag: Tag) -> bytes:
        if self._reader.seed is None:
            raise FormatError("sealed, and the stream it belongs to is not known")
        if self._room < 0:
            raise FormatError("not opened: what stands before it fills all the room that one study gets")
        try:
            return open_piece(tag, self._reader.seed.to_bytes(4, "big"), self._seal_secret)
        except AuthError as error:
            self._refused = self._refused or error
            raise

    def _note_order(self, found: Found, ordinal: int) -> None:
        if ordinal < self._highest:
            self._lose(found.offset, 0, f"entry {ordinal} stands after entry {self._highest}")
        self._highest = max(self._highest, ordinal)
        self._opened.add(ordinal)

    def _drop(self) -> None:
        ordinal = self._assembly.drop()
        if ordinal is not None:
            self._lose(0, 0, f"entry {ordinal} is not whole", ordinal)

    def _lose(self, offset: int, size: int, reason: str, ordinal: int | None = None) -> None:
        if len(self._lost) < LOSS_COUNT_MAX:
            self._lost.append(Loss(offset, size, reason, ordinal))
        else:
            last = self._lost[-1]
            self._lost[-1] = Loss(last.offset, last.size + size, f"from here on {LOSS_COUNT_MAX} losses and more")


def _cost(inner: Tag) -> int:
    return TAG_COST + len(inner.data) * (1 if inner.kind in _BULK else MAP_BYTE_COST)


def _gaps(opened: Iterable[int], count: int) -> tuple[range, ...]:
    """Return the runs of ordinals below `count`, or below the highest opened, that are not in `opened`."""
    gaps, at = [], 0
    for ordinal in sorted(opened):
        if ordinal > at:
            gaps.append(range(at, ordinal))
        at = ordinal + 1
    return (*gaps, range(at, count)) if count > at else tuple(gaps)


def open_study(
    chunks: bytes | Iterable[bytes],
    seal_secret: bytes,
    sign_publics: Mapping[bytes, bytes] | None = None,
    study_id: bytes | None = None,
) -> Study:
    """Return the study in `chunks`, as far as it can be read; all its entries are held at once.

    `sign_publics`: key id -> public key of the kits that may have signed. `study_id`: give it where it is known; then
    even a file without a sound START is read. Raises AuthError for a wrong key and FormatError for what is no study.
    """
    reader = StudyReader(seal_secret, sign_publics, study_id)
    entries: list[Entry] = []
    for chunk in (chunks,) if isinstance(chunks, bytes) else chunks:
        entries += reader.feed(chunk)
    rest, study = reader.finish()
    return replace(study, entries=tuple(sorted(entries + rest, key=lambda entry: entry.ordinal)))
