"""Taking objects in, exactly once: file first, then one transaction, then the receipt.

Owns what happens between "all bytes are here" and "the receipt may go". May call: `server.files`, `server.database`,
`server.studies`, `server.reading`, the keys. The order makes every crash harmless:

1. The bytes are stored and synced. A crash now leaves a file that nothing points at; the same put finds it again.
2. One transaction writes the object with its receipt, the study's row, what can be searched, and the event. A crash
   inside leaves nothing of it; a crash behind it leaves all, and the next offer gets the receipt that is stored.
3. The receipt is handed out. It is signed before the transaction and stored in it: whoever asks again gets the same
   bytes.

The same id with the same bytes is answered from the table. The same id with other bytes is never mixed in: it is kept
aside, refused and written down; only what a kit signed takes the place of what none did, which is then kept aside: a
gateway sees the ids of all that passes, and must not be able to keep a study out by bringing other bytes first. What is
damaged, or signed by nobody we know, is kept and shown as such; only what a revoked kit signed is set aside unseen.
Nothing is dropped.
"""

import threading
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from node.clock import Clock
from server import studies
from server import tables as t
from server.database import Database, Event, record
from server.files import Chunks, Files, Stored
from server.keys import Keys
from server.peers import Peers
from server.reading import Reading, Signature, read_study
from wire import objects
from wire.errors import DiskFull, FormatError
from wire.objects import Offer, Receipt, Refusal
from wire.receipt import DAMAGED, WHOLE, sign_receipt
from wire.record import Preview

OBJECT_SIZE_MAX: Final = 1 << 30
"""A larger object is refused when it is offered."""
COPIES_ASIDE_MAX: Final = 16
"""So many different copies of one object that a kit signed are kept aside; further ones are refused unread."""
ASIDE_MAX: Final = 10_000
OPENED: Final = frozenset({objects.STUDY, objects.SUMMARY, objects.PREVIEW})
TAKEN: Final = OPENED | {objects.FILE, objects.COMMAND}


class Ingest:
    """The door of the centre. One object at a time comes through it; it may be called from any thread."""

    def __init__(self, database: Database, files: Files, keys: Keys, peers: Peers, clock: Clock) -> None:
        self._database = database
        self._files = files
        self._keys = keys
        self._peers = peers
        self._clock = clock
        self._one_at_a_time = threading.Lock()

    def known(self, offer: Offer) -> Receipt | Refusal | None:
        """Answer an offer without its bytes: the receipt it got before, a refusal, or None: send it."""
        if offer.kind not in TAKEN:
            return Refusal(objects.NOT_WANTED, f"object {offer.object_id.hex()}: kind {offer.kind} is not taken here")
        if offer.size > OBJECT_SIZE_MAX:
            return Refusal(objects.TOO_LARGE, f"{offer.size} bytes; at most {OBJECT_SIZE_MAX}")
        with self._database.read() as connection:
            return _known(connection, offer)

    def accept(self, offer: Offer, chunks: Chunks, sender: str = "") -> Receipt | Refusal:
        """Take in the whole object; `sender` is the name of who handed it over. Raises DiskError."""
        with self._one_at_a_time:
            answer = self.known(offer)
            if answer is not None:
                return answer
            try:
                stored = self._files.put(chunks, offer.digest)
            except FormatError as error:
                return Refusal(objects.BROKEN, str(error))
            except DiskFull as error:
                return Refusal(objects.DISK_FULL, str(error))
            if stored.size != offer.size:
                return Refusal(objects.BROKEN, f"{stored.size} bytes came, {offer.size} were offered")
            return self._take(offer, stored, sender)

    def receipt(self, object_id: bytes) -> bytes | None:
        """Return the receipt that the object got, or None."""
        with self._database.read() as connection:
            row = _object(connection, object_id.hex())
        return None if row is None else bytes(row.receipt)

    def _take(self, offer: Offer, stored: Stored, sender: str) -> Receipt | Refusal:
        reading = self._read(offer, stored)
        if reading is not None and reading.kit is not None and reading.kit.revoked:
            reason = f"kit {reading.kit.name} is revoked"
            return self._set_aside(offer, stored, sender, Refusal(objects.NOT_ALLOWED, reason))
        with self._database.read() as connection:
            before = _object(connection, offer.object_id.hex())
        if before is not None and before.digest == stored.digest:
            return Receipt(before.receipt)
        if before is not None and reading is not None and self._is_better(offer, reading, before):
            return Receipt(self._enter(offer, stored, sender, reading, before))
        if before is not None:
            reason = f"object {offer.object_id.hex()} came before with other bytes: this copy is kept aside"
            return self._set_aside(offer, stored, sender, Refusal(objects.NOT_WANTED, reason))
        try:
            return Receipt(self._enter(offer, stored, sender, reading))
        except IntegrityError:
            # Another process of the centre entered it meanwhile.
            answer = self.known(offer)
            if answer is None:
                raise
            return answer

    def _read(self, offer: Offer, stored: Stored) -> Reading | None:
        if offer.kind not in OPENED:
            return None
        raw = self._files.read(stored.digest)
        return read_study(raw, self._keys.seal_secret, self._peers.kit_by_signer, offer.object_id)

    def _is_better(self, offer: Offer, reading: Reading, before: Row[Any]) -> bool:
        """Tell whether a kit vouches for these bytes, and none for those that came before under the same id."""
        if reading.signature != Signature.GOOD or reading.study != offer.object_id.hex():
            return False
        if before.kind not in OPENED:
            return True
        try:
            raw = self._files.read(before.digest)
        except FormatError:
            return True
        there = read_study(raw, self._keys.seal_secret, self._peers.kit_by_signer, offer.object_id)
        return there.signature != Signature.GOOD or there.study != reading.study

    def _enter(
        self, offer: Offer, stored: Stored, sender: str, reading: Reading | None, before: Row[Any] | None = None
    ) -> bytes:
        """Enter the object, in the place of `before`, which is kept aside then."""
        now_ms = self._clock.time_ms()
        digest = bytes.fromhex(stored.digest)
        result = DAMAGED if reading is not None and reading.damaged else WHOLE
        receipt = sign_receipt(offer.object_id, digest, now_ms, self._keys.sign_secret, result)
        study = "" if reading is None else _study_of(offer, reading)
        row = {"object_id": offer.object_id.hex(), "kind": offer.kind, "digest": stored.digest, "size": stored.size}
        row |= {"study": study, "sender": sender[:64], "received_ms": now_ms, "receipt": receipt}
        with self._database.write() as connection:
            if before is not None:
                _make_way(connection, before, now_ms)
            connection.execute(insert(t.objects).values(**row))
            if reading is not None:
                copy = studies.Copy(study, stored.digest, stored.size, offer.priority, now_ms)
                if offer.kind == objects.STUDY:
                    studies.receive(connection, copy, reading)
                elif offer.kind == objects.SUMMARY:
                    studies.announce(connection, copy, reading)
            detail = f"{objects.KINDS[offer.kind]} {offer.object_id.hex()} {stored.size} bytes"
            record(connection, now_ms, Event("object received", sender, study, detail=detail))
        return receipt

    def _set_aside(self, offer: Offer, stored: Stored, sender: str, refusal: Refusal) -> Refusal:
        now_ms = self._clock.time_ms()
        row = {"object_id": offer.object_id.hex(), "digest": stored.digest, "kind": offer.kind, "size": stored.size}
        row |= {"sender": sender[:64], "refused_ms": now_ms, "reason": _reason(refusal), "kept": 1}
        with self._database.write() as connection:
            connection.execute(insert(t.refused).values(**row))
            record(connection, now_ms, Event("object refused", sender, detail=f"{row['object_id']}: {refusal.text}"))
        return refusal


def _known(connection: Connection, offer: Offer) -> Receipt | Refusal | None:
    object_id, prefix = offer.object_id.hex(), offer.digest.hex()
    row = _object(connection, object_id)
    if row is not None and row.digest.startswith(prefix):
        return Receipt(row.receipt)
    r = t.refused.c
    for copy in connection.execute(select(r.digest, r.reason).where(r.object_id == object_id)):
        if copy.digest.startswith(prefix):
            number, _, text = copy.reason.partition(" ")
            return Refusal(int(number), text)
    count = connection.execute(select(func.count()).select_from(t.refused)).scalar_one()
    of_this = connection.execute(
        select(func.count()).select_from(t.refused).where(r.object_id == object_id)
    ).scalar_one()
    is_over = of_this >= COPIES_ASIDE_MAX or count >= ASIDE_MAX
    if row is not None and is_over and _is_vouched_for(connection, row):
        return Refusal(objects.NOT_WANTED, f"object {object_id} came before, and no more copies of it are kept aside")
    return None


def _is_vouched_for(connection: Connection, row: Row[Any]) -> bool:
    """Tell whether a kit has signed what came under this id: else the kit's own is still to come, and is read."""
    query = select(t.studies.c.signature).where(t.studies.c.study == row.study)
    return connection.execute(query).scalar() == Signature.GOOD


def _make_way(connection: Connection, before: Row[Any], now_ms: int) -> None:
    reason = _reason(Refusal(objects.NOT_WANTED, f"object {before.object_id}: a kit has signed other bytes"))
    row = {name: getattr(before, name) for name in ("object_id", "digest", "kind", "size", "sender")}
    connection.execute(insert(t.refused).values(**row, refused_ms=now_ms, reason=reason, kept=1))
    connection.execute(delete(t.objects).where(t.objects.c.object_id == before.object_id))
    detail = f"{before.object_id} from {before.sender}, {before.digest}: made way for what a kit signed"
    record(connection, now_ms, Event("object displaced", before.sender, before.study, detail=detail))


def _object(connection: Connection, object_id: str) -> Row[Any] | None:
    return connection.execute(select(t.objects).where(t.objects.c.object_id == object_id)).one_or_none()


def _study_of(offer: Offer, reading: Reading) -> str:
    """Return the id of the study: what has lost its own goes by the id of the object that it came in."""
    if offer.kind == objects.SUMMARY and reading.summary is not None:
        return reading.summary.study.hex()
    if offer.kind == objects.PREVIEW:  # it makes no study, nor does it change one
        return next((preview.study.hex() for _, preview in reading.records(Preview)), "")
    return reading.study or offer.object_id.hex()


def _reason(refusal: Refusal) -> str:
    return f"{refusal.reason} {refusal.text}"
