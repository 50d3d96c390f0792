"""The worklists that the centre's staff enter for the kits, and the objects in which they travel (R30).

Owns the tables `worklists` (a row for each kit and day: what was entered, by whom) and `worklist_objects` (one for each
kit: the newest object, and how far it has come). May call `server.database`, `server.peers`, the keys. Every change
makes the kit's object anew, in the same transaction: all its days that have not expired, sealed to the kit's link key
and signed by the centre, under a version that is higher than any before (the time in ms, or one more). So a kit that
holds the newest object holds everything, and taking a day back is a newer object without it.

`taken_ms` is set by the kit's own signed word alone; a gateway cannot make it up.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from node.clock import Clock
from node.spool import digest_of
from server import tables as t
from server.database import Database, Event, record, set_setting, setting
from server.keys import Keys
from server.peers import Kit, Peers
from wire import objects
from wire.errors import AuthError, FormatError, UsageError
from wire.objects import Offer
from wire.worklist import (
    DAYS_MAX,
    WORKLIST_SIZE_MAX,
    Day,
    Order,
    SealedDay,
    require_day,
    require_orders,
    require_taken,
    seal_day,
    sign_worklist,
    worklist_id,
)

PRIORITY: Final = 2
LISTED_MAX: Final = 500
CHANGES: Final = "worklist changes"
"""The setting that grows with every change, for those who watch."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One day's list of one kit. `state`: waiting, with a gateway, on the kit, or expired."""

    kit: str
    day: str
    until_ms: int
    orders: tuple[Order, ...]
    actor: str
    updated_ms: int
    state: str


class Worklists:
    """See the module's text."""

    def __init__(
        self, database: Database, keys: Keys, peers: Peers, clock: Clock, entropy: Callable[[int], bytes]
    ) -> None:
        self._database, self._keys, self._peers, self._clock, self._entropy = database, keys, peers, clock, entropy

    def put(self, kit_name: str, day: str, orders: Sequence[Order], until_ms: int, actor: str = "") -> Listed:
        """Enter the list of a day, in the place of what was there. Raises UsageError for what no kit would take."""
        kit = self._living(kit_name)
        now_ms = self._clock.time_ms()
        try:
            require_day(day)
            require_orders(orders)
        except FormatError as error:
            raise UsageError(str(error)) from error
        if not orders:
            raise UsageError("an empty list: to take a day back, withdraw it")
        if until_ms <= now_ms:
            raise UsageError(f"the list of {day} would have expired already")
        text = json.dumps([asdict(one) for one in orders], ensure_ascii=False)
        row = {"orders": text, "until_ms": until_ms, "actor": actor[:64], "updated_ms": now_ms}
        here = (t.worklists.c.kit_id == kit.number) & (t.worklists.c.day == day)
        with self._database.write() as connection:
            if not connection.execute(update(t.worklists).where(here).values(**row)).rowcount:
                connection.execute(insert(t.worklists).values(kit_id=kit.number, day=day, **row))
            self._remake(connection, kit, now_ms)
            self._changed(
                connection, now_ms, Event("worklist set", actor, detail=f"{kit.name} {day}: {len(orders)} lines")
            )
        return next(one for one in self.lists(kit_name) if one.day == day)

    def withdraw(self, kit_name: str, day: str, actor: str = "") -> None:
        """Take the list of a day back: the kit erases it as soon as it hears of it. Raises UsageError."""
        kit = self._living(kit_name)
        now_ms = self._clock.time_ms()
        here = (t.worklists.c.kit_id == kit.number) & (t.worklists.c.day == day)
        with self._database.write() as connection:
            if not connection.execute(delete(t.worklists).where(here)).rowcount:
                raise UsageError(f"kit {kit.name} has no list for {day[:20]!r}")
            self._remake(connection, kit, now_ms)
            self._changed(connection, now_ms, Event("worklist withdraw", actor, detail=f"{kit.name} {day}"))

    def lists(self, kit_name: str = "") -> list[Listed]:
        """Return the lists of one kit or of all, by kit and day: of the newest days, LISTED_MAX at most."""
        if kit_name:
            self._peers.kit(kit_name)
        w, k, o = t.worklists.c, t.kits.c, t.worklist_objects.c
        query = (
            select(k.name, w.day, w.until_ms, w.orders, w.actor, w.updated_ms, o.custody_ms, o.taken_ms)
            .join(t.kits, k.id == w.kit_id)
            .outerjoin(t.worklist_objects, o.kit_id == w.kit_id)
            .order_by(w.day.desc(), k.name)
            .limit(LISTED_MAX)
        )
        with self._database.read() as connection:
            rows = connection.execute(query.where(k.name == kit_name) if kit_name else query).all()
        return sorted((self._listed(row) for row in rows), key=lambda one: (one.kit, one.day))

    def pending(self) -> list[tuple[bytes, Offer, bytes]]:
        """Return (link key of the kit, offer, bytes) of what its kit has not taken; revoked kits have nothing."""
        o, k = t.worklist_objects.c, t.kits.c
        query = select(k.link_public, o.object).join(t.kits, k.id == o.kit_id)
        with self._database.read() as connection:
            rows = connection.execute(query.where(o.taken_ms.is_(None), k.revoked_ms.is_(None))).all()
        return [(bytes(row.link_public), _offer(bytes(row.object)), bytes(row.object)) for row in rows]

    def in_custody(self, object_id: bytes) -> None:
        """A gateway has it."""
        o = t.worklist_objects.c
        here = (o.object_id == object_id.hex()) & o.custody_ms.is_(None)
        with self._database.write() as connection:
            connection.execute(update(t.worklist_objects).where(here).values(custody_ms=self._clock.time_ms()))

    def taken(self, object_id: bytes, receipt: bytes) -> bool:
        """Note that the kit has it, if this is the kit's own word; return whether it is."""
        o, k = t.worklist_objects.c, t.kits.c
        query = select(o.id, k.name, k.sign_public).join(t.kits, k.id == o.kit_id)
        now_ms = self._clock.time_ms()
        with self._database.write() as connection:
            row = connection.execute(query.where(o.object_id == object_id.hex())).one_or_none()
            try:
                require_taken(receipt, object_id, b"" if row is None else bytes(row.sign_public))
            except AuthError:
                return False
            if row is not None:
                connection.execute(update(t.worklist_objects).where(o.id == row.id).values(taken_ms=now_ms))
                record(connection, now_ms, Event("worklist taken", row.name))
        return True

    def changes(self) -> int:
        """Return a number that grows with every change."""
        with self._database.read() as connection:
            return int(setting(connection, CHANGES, "0"))

    # Within

    def _living(self, name: str) -> Kit:
        kit = self._peers.kit(name)
        if kit.revoked:
            raise UsageError(f"kit {kit.name} is revoked: it gets no list")
        return kit

    def _remake(self, connection: Connection, kit: Kit, now_ms: int) -> None:
        """Make the kit's object of all its days that have not expired."""
        w, o = t.worklists.c, t.worklist_objects.c
        rows = connection.execute(
            select(w.day, w.until_ms, w.orders).where(w.kit_id == kit.number, w.until_ms > now_ms).order_by(w.day)
        ).all()
        if len(rows) > DAYS_MAX:
            raise UsageError(f"kit {kit.name}: lists for {len(rows)} days; at most {DAYS_MAX} at a time")
        days = [self._sealed(row, kit) for row in rows]
        if (size := sum(len(one.sealed) for one in days)) > WORKLIST_SIZE_MAX // 2:
            raise UsageError(f"kit {kit.name}: its lists have {size} bytes together; at most {WORKLIST_SIZE_MAX // 2}")
        before = connection.execute(select(o.version).where(o.kit_id == kit.number)).scalar()
        version = now_ms if before is None else max(before + 1, now_ms)
        data = sign_worklist(version, kit.link_public, days, self._keys.sign_secret)
        connection.execute(delete(t.worklist_objects).where(o.kit_id == kit.number))
        row = {"kit_id": kit.number, "version": version, "object_id": worklist_id(data).hex(), "object": data}
        connection.execute(insert(t.worklist_objects).values(**row))

    def _sealed(self, row: Row[*tuple[Any, ...]], kit: Kit) -> SealedDay:
        return seal_day(Day(row.day, _orders(row.orders)), row.until_ms, kit.link_public, self._entropy(32))

    def _changed(self, connection: Connection, now_ms: int, event: Event) -> None:
        set_setting(connection, CHANGES, str(int(setting(connection, CHANGES, "0")) + 1))
        record(connection, now_ms, event)

    def _listed(self, row: Row[*tuple[Any, ...]]) -> Listed:
        state = "on the kit" if row.taken_ms else "with a gateway" if row.custody_ms else "waiting"
        state = "expired" if row.until_ms <= self._clock.time_ms() else state
        return Listed(row.name, row.day, row.until_ms, _orders(row.orders), row.actor, row.updated_ms, state)


def _orders(text: str) -> tuple[Order, ...]:
    return tuple(Order(**(one | {"tests": tuple(one["tests"])})) for one in json.loads(text))


def _offer(data: bytes) -> Offer:
    return Offer(worklist_id(data), objects.WORKLIST, len(data), digest_of(data), PRIORITY)
