"""The kit's worklist: takes what the centre sends, keeps it over restarts, says whose and what, erases it.

Owns the file `worklist` of the kit's disk and the folder `worklist-intake`. The file holds the days still sealed to
this kit's link key, so that the card without the enrolment says nothing of who was expected, with the version and the
id of the object that they came in:

    digest 16, BLAKE2b-256 cut | CBOR {"version": n, "object": 16 bytes, "days": [[until_ms, sealed], ...],
                                           "erased": the last until_ms of a day that was erased}

*Committed*: `take` has returned; the file was replaced by rename and fsynced with its folder. A power cut leaves the
old list or the new one. What is not signed by the centre, is for another kit or older than what is held changes
nothing. A day whose `until_ms` has passed by the kit's clock is not looked at, and the file is written anew without it.
Where that clock was wrong, and goes back, what was erased too early is taken again when the gateway offers it next.
A file that the disk has damaged counts as none; the gateway offers the list in every session, so it comes again.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from node.clock import Clock
from node.disk import Disk, put_file
from node.enrolment import KitEnrolment
from node.landing import Landing, Whole
from node.seams import Custody, Damaged, NotOpen, Offer, RangeSet, Receipt, Refusal
from node.spool import digest_of
from wire import objects
from wire.errors import AuthError, DiskError, DiskFull, FormatError, UsageError
from wire.maps import decode_map, encode_map
from wire.objects import DIGEST_SIZE
from wire.seal import SIGNATURE_SIZE, x25519_public
from wire.worklist import (
    WORKLIST_SIZE_MAX,
    Day,
    Order,
    SealedDay,
    sign_taken,
    unseal_day,
    verify_worklist,
    worklist_id,
)

FILE: Final = "worklist"
INTAKE: Final = "worklist-intake"
SIZE_MAX: Final = SIGNATURE_SIZE + WORKLIST_SIZE_MAX


class Worklist:
    """See the module's text. `on_event` is told when a list was taken or erased; it names nobody."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        enrolment: KitEnrolment,
        on_event: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._disk, self._clock, self._enrolment, self._on_event = disk, clock, enrolment, on_event
        self.version = -1
        self.object_id = b""
        self._erased_ms = 0
        self._days: list[tuple[SealedDay, Day]] = []
        self._by_id: dict[str, list[Order]] = {}
        if disk.exists(FILE):
            try:
                self._load(disk.read(FILE))
            except (AuthError, FormatError, DiskError) as error:
                on_event(f"the worklist on the card cannot be read, and comes again: {error}")

    # What capture asks (`edge.binding.Orders`)

    @property
    def is_in_force(self) -> bool:
        return any(day.orders for day in self.days())

    def about(self, ids: Sequence[str]) -> list[Order]:
        if any(self._is_over(sealed) for sealed, _ in self._days):
            days = self.days()
            return [one for day in days for one in day.orders if not ids or one.patient in ids or one.sample in ids]
        if not ids:
            return [one for _, day in self._days for one in day.orders]
        return list(dict.fromkeys(one for text in ids if text for one in self._by_id.get(text, ())))

    # What the kit's owner asks

    def days(self) -> list[Day]:
        """Return the lists that have not expired, by day."""
        return sorted((day for sealed, day in self._days if not self._is_over(sealed)), key=lambda day: day.day)

    def take(self, data: bytes) -> Receipt:
        """Put a newer list in force, durably. Raises AuthError, FormatError, DiskFull; an older one changes nothing."""
        worklist = verify_worklist(data, self._enrolment.server_sign_public)
        if worklist.kit != x25519_public(self._enrolment.link_secret):
            raise AuthError("the worklist is another kit's")
        object_id = worklist_id(data)
        if worklist.version > self.version or (object_id == self.object_id and self.has_lost_days):
            days = [(one, unseal_day(one, self._enrolment.link_secret)) for one in worklist.days]
            over_ms = max((one.until_ms for one, _ in days if self._is_over(one)), default=0)
            days = [pair for pair in days if not self._is_over(pair[0])]
            self._put(worklist.version, object_id, days, over_ms)
            count = sum(len(day.orders) for _, day in days)
            self._on_event(f"a worklist of {len(days)} days with {count} lines was taken, version {worklist.version}")
        return self.word_on(object_id)

    @property
    def has_lost_days(self) -> bool:
        """A day was erased that is not over: the clock has gone back since."""
        return self._erased_ms > self._clock.time_ms()

    def word_on(self, object_id: bytes) -> Receipt:
        """Return the kit's signed word that it holds this list, or a newer one."""
        return Receipt(sign_taken(object_id, self._enrolment.sign_secret))

    def expire(self) -> None:
        """Erase what has expired; without room for the shorter file at the next call. Raises DiskError."""
        kept = [pair for pair in self._days if not self._is_over(pair[0])]
        if len(kept) < len(self._days):
            gone = len(self._days) - len(kept)
            erased_ms = max(sealed.until_ms for sealed, _ in self._days if self._is_over(sealed))
            try:
                self._put(self.version, self.object_id, kept, max(erased_ms, self._erased_ms))
            except DiskFull:
                return
            self._on_event(f"{gone} days of the worklist have expired and were erased")

    # Within

    def _is_over(self, day: SealedDay) -> bool:
        return self._clock.time_ms() >= day.until_ms

    def _put(self, version: int, object_id: bytes, days: list[tuple[SealedDay, Day]], erased_ms: int) -> None:
        rows = [[sealed.until_ms, sealed.sealed] for sealed, _ in days]
        values = {"version": version, "object": object_id, "days": rows, "erased": erased_ms}
        body = encode_map(values, WORKLIST_SIZE_MAX)
        put_file(self._disk, FILE, digest_of(body) + body)
        self._enter(version, object_id, days, erased_ms)

    def _enter(self, version: int, object_id: bytes, days: list[tuple[SealedDay, Day]], erased_ms: int) -> None:
        self.version, self.object_id, self._days, self._erased_ms = version, object_id, days, erased_ms
        self._by_id = {}
        for one in (one for _, day in days for one in day.orders):
            for text in {one.patient, one.sample} - {""}:
                self._by_id.setdefault(text, []).append(one)

    def _load(self, data: bytes) -> None:
        body = data[DIGEST_SIZE:]
        if digest_of(body) != data[:DIGEST_SIZE]:
            raise FormatError("worklist: its digest does not hold")
        values = decode_map(body, "worklist", WORKLIST_SIZE_MAX)
        version, object_id, rows, erased_ms = (values.get(name) for name in ("version", "object", "days", "erased"))
        if type(version) is not int or type(erased_ms) is not int:
            raise FormatError("worklist: version and erased are integers")
        if not isinstance(object_id, bytes) or not isinstance(rows, list):
            raise FormatError("worklist: want object and days")
        sealed = [SealedDay(*row) for row in rows if isinstance(row, list) and len(row) == 2]
        if any(type(one.until_ms) is not int or not isinstance(one.sealed, bytes) for one in sealed):
            raise FormatError("worklist: a day is a time in ms and sealed bytes")
        days = [(one, unseal_day(one, self._enrolment.link_secret)) for one in sealed]
        self._enter(version, object_id, days, erased_ms)


class FromCentre:
    """The inbox of the kit (`node.seams.Inbox`): its own worklist only. `reserve`: bytes that studies need."""

    def __init__(self, disk: Disk, worklist: Worklist, reserve: int = 0) -> None:
        self._disk, self._worklist = disk, worklist
        self._landing = Landing(disk, INTAKE, reserve)
        for whole in self._landing.waiting:
            self._landing.taken(whole)

    def offered(self, peer: bytes, offer: Offer) -> RangeSet | Custody | Receipt | Refusal:
        if offer.kind != objects.WORKLIST:
            return Refusal(objects.NOT_WANTED, f"no {objects.KINDS.get(offer.kind, offer.kind)} is taken here")
        if offer.size > SIZE_MAX:
            return Refusal(objects.TOO_LARGE, f"a worklist of {offer.size} bytes; at most {SIZE_MAX}")
        if offer.object_id == self._worklist.object_id and not self._worklist.has_lost_days:
            return self._worklist.word_on(offer.object_id)
        return self._landing.open(peer, offer)

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        return self._landing.write(peer, object_id, offset, data)

    def finish(self, peer: bytes, object_id: bytes) -> Custody | Receipt | Refusal | Damaged | NotOpen:
        whole = self._landing.finish(peer, object_id)
        if not isinstance(whole, Whole):
            return whole
        try:
            return self._worklist.take(self._disk.read(whole.path))
        except (AuthError, FormatError) as error:
            return Refusal(objects.NOT_ALLOWED, f"worklist: {error}")
        except DiskFull as error:
            return Refusal(objects.DISK_FULL, f"worklist: {error}")
        finally:
            with contextlib.suppress(UsageError):
                self._landing.taken(whole)
