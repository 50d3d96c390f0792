"""What has been spent today on each way, and whether more may be: it survives a power cut without an fsync per frame.

Owns one file of two slots. What may be spent is *reserved* first: fsynced in steps, then spent out of memory.
After a crash all that was reserved counts as spent: never less than what was spent, and at most one step for each way
more. An orderly end (`settle`) writes the exact sums. Nothing is ever sent against a reservation that is not on the
card, so no power cut can make a budget larger.

    file: 2 slots of SLOT_SIZE, written in turn and in place, so that a full card does not stop them
    slot: "FBG1" | u32 size | u32 CRC-32 of the content | content (JSON) | zeros
    content: {"write": n, "counted": ordinal, "seen": ordinal, "spent": {way: [bytes, micros, millijoules]}}

The sound slot with the larger `write` is the state. When none is sound the day begins anew and `damaged` says so: a
damaged card may free one day's budget, and does not lock a kit's only way out. When a day begins: `edge/day.py`.
Raises DiskError; a full card (only the first write needs room) leaves the sums in memory and is told by `is_noted`.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import msgspec

from edge.day import Calendar, Day, to_midnight_s
from edge.tariff import NOTHING, UNBOUNDED, Amount
from node.clock import Clock
from node.disk import Disk, folder_of
from wire.errors import DiskError, DiskFull, Misuse

FILE: Final = "budget"
SLOT_SIZE: Final = 4096
MAGIC: Final = b"FBG1"
HEAD_SIZE: Final = 12
WAYS_MAX: Final = 16
"""Ways whose sums are kept for one day, those that are no longer configured included."""
NAME_SIZE_MAX: Final = 32
PART_MAX: Final = 1 << 59


class _Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a slot."""

    write: int
    counted: int
    seen: int
    spent: dict[str, tuple[int, int, int]]


@dataclass
class _Sum:
    """One way today: `spent` is known here only, `reserved` is on the card, and is never less but for what came in."""

    spent: Amount = NOTHING
    reserved: Amount = NOTHING


class Budget:
    """The purse of all ways of one kit. `limits` by way, `total` for all of them together; see the module's text."""

    def __init__(
        self, disk: Disk, clock: Clock, zone: tzinfo, limits: Mapping[str, Amount], total: Amount = UNBOUNDED
    ) -> None:
        if len(limits) > WAYS_MAX // 2:
            raise Misuse(f"{len(limits)} ways with a budget; at most {WAYS_MAX // 2}")
        self._disk, self._clock, self._zone = disk, clock, zone
        self._limits, self._total = dict(limits), total
        self.damaged = False
        slot = self._load()
        self.is_noted = slot is not None
        self._write = slot.write if slot else 0
        self._calendar = Calendar(Day(slot.counted, slot.seen) if slot else None)
        kept = {name: Amount(*parts) for name, parts in slot.spent.items()} if slot else {}
        self._sums = {name: _Sum(amount, amount) for name, amount in kept.items()}
        for name in limits:
            self._sums.setdefault(name, _Sum())
        while len(self._sums) > WAYS_MAX:
            del self._sums[next(name for name in self._sums if name not in limits)]
        self.look()

    def look(self) -> bool:
        """Take in the time; tell whether a new day has begun. To be called often, and before anything is reserved."""
        before = self._calendar.day
        begins = self._calendar.look(self._clock.time_ms(), self._clock.now(), self._zone)
        if begins:
            self._sums = {name: _Sum() for name in self._limits}
        if self._calendar.day != before:
            self._store()
        return begins

    def spent(self, way: str) -> Amount:
        """Return what the way has cost today."""
        return self._sums[way].spent

    def total_spent(self) -> Amount:
        """Return what all ways have cost today."""
        return sum((one.spent for one in self._sums.values()), NOTHING)

    def limit(self, way: str) -> Amount:
        """Return what the way may cost a day."""
        return self._limits[way]

    @property
    def total(self) -> Amount:
        """What all ways together may cost a day."""
        return self._total

    def left(self, way: str) -> Amount:
        """Return how much more this way may cost today: what others have reserved is not left."""
        others = sum((one.spent.most(one.reserved) for name, one in self._sums.items() if name != way), NOTHING)
        own = self._sums[way].spent
        return (self._limits[way] - own).least(self._total - others - own)

    def is_thin(self, way: str, share: float, beside: Amount = NOTHING) -> bool:
        """Tell whether less than this part of a budget of the way, or of all ways, and so much beside it is left."""
        own = self._limits[way], self._sums[way].spent
        return any(
            limit < UNBOUNDED.size and limit - spent < share * limit + more
            for whole, used in (own, (self._total, self.total_spent()))
            for limit, spent, more in zip(whole.parts(), used.parts(), beside.parts(), strict=True)
        )

    def renews_in_s(self) -> float:
        """Return the seconds until the next day begins."""
        return to_midnight_s(self._clock.time_ms(), self._zone)

    def reserve(self, way: str, amount: Amount) -> bool:
        """Make sure that `amount` more can be spent; it is on the card when this returns True.

        False, and nothing is changed, when it does not fit into what is left.
        """
        if not amount.fits(self.left(way)):
            return False
        one = self._sums[way]
        self._reserve({way: one.spent + amount})
        return True

    def available(self, way: str) -> Amount:
        """Return what is reserved and not spent."""
        one = self._sums[way]
        return one.reserved - one.spent

    def charge(self, way: str, amount: Amount) -> bool:
        """Spend out of what is reserved. False, and nothing is spent, when it does not fit in."""
        one = self._sums[way]
        if not amount.fits(one.reserved - one.spent):
            return False
        one.spent += amount
        return True

    def note(self, way: str, amount: Amount) -> None:
        """Count what could not be asked for beforehand: what arrived, the seconds that passed."""
        one = self._sums[way]
        one.spent = (one.spent + amount).least(UNBOUNDED)

    def settle(self, *ways: str) -> None:
        """Write the exact sums of these ways (of all): nothing is under way there, and nothing stays reserved."""
        settled = [self._sums[name] for name in ways or self._sums]
        if any(one.reserved != one.spent for one in settled):
            for one in settled:
                one.reserved = one.spent
            self._store()

    def is_behind(self, way: str) -> bool:
        """More was counted than the card knows."""
        one = self._sums[way]
        return not one.spent.fits(one.reserved)

    def catch_up(self) -> None:
        """Write down what was counted without having been reserved."""
        self._reserve({name: one.spent for name, one in self._sums.items()})

    def _reserve(self, wanted: Mapping[str, Amount]) -> None:
        """Raise what is reserved: spent only when it is on the card. A disk that fails changes nothing here."""
        before = {name: self._sums[name].reserved for name in wanted}
        after = {name: before[name].most(amount) for name, amount in wanted.items()}
        if after == before:
            return
        for name, amount in after.items():
            self._sums[name].reserved = amount
        try:
            self._store()
        except DiskError:
            for name, amount in before.items():
                self._sums[name].reserved = amount
            raise

    def _store(self) -> None:
        day = self._calendar.day
        assert day is not None  # noqa: S101 - as above
        self._write += 1
        spent = {name: one.reserved.most(one.spent).parts() for name, one in self._sums.items()}
        try:
            self._put(_Slot(self._write, day.counted, day.seen, spent))
            self.is_noted = True
        except DiskFull:
            self.is_noted = False

    def _put(self, slot: _Slot) -> None:
        if not self._disk.exists(FILE) or self._disk.size(FILE) < 2 * SLOT_SIZE:
            self._disk.write_at(FILE, 0, bytes(2 * SLOT_SIZE))
            self._disk.sync(FILE)
            self._disk.sync_folder(folder_of(FILE))
        self._disk.write_at(FILE, slot.write % 2 * SLOT_SIZE, encode_slot(slot))
        self._disk.sync(FILE)

    def _load(self) -> _Slot | None:
        if not self._disk.exists(FILE):
            return None
        raw = self._disk.read(FILE, 0, 2 * SLOT_SIZE)
        slots = [slot for at in (0, SLOT_SIZE) if (slot := parse_slot(raw[at : at + SLOT_SIZE]))]
        self.damaged = not slots and any(raw)
        newest = max(slots, key=lambda slot: slot.write, default=None)
        if newest is not None:  # it may be in the cache only, after a failed sync: the other slot is written next
            self._put(newest)
        return newest


def encode_slot(slot: _Slot) -> bytes:
    """Return the bytes of a slot."""
    content = msgspec.json.encode(slot)
    raw = MAGIC + len(content).to_bytes(4, "big") + zlib.crc32(content).to_bytes(4, "big") + content
    if len(raw) > SLOT_SIZE:
        raise Misuse(f"a slot of {len(raw)} bytes; at most {SLOT_SIZE}")
    return raw.ljust(SLOT_SIZE, b"\0")


def parse_slot(raw: bytes) -> _Slot | None:
    """Return the content of a slot; None when it is not sound."""
    size = int.from_bytes(raw[4:8], "big")
    content = raw[HEAD_SIZE : HEAD_SIZE + size]
    if raw[:4] != MAGIC or len(content) != size or raw[8:HEAD_SIZE] != zlib.crc32(content).to_bytes(4, "big"):
        return None
    try:
        slot = msgspec.json.decode(content, type=_Slot)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    parts = [part for amount in slot.spent.values() for part in amount]
    in_bounds = 0 < slot.write < PART_MAX and min(slot.counted, slot.seen) > 0 and len(slot.spent) <= WAYS_MAX
    return slot if in_bounds and all(0 <= part <= UNBOUNDED.size for part in parts) else None
