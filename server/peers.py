"""Who may speak on the link: the kits and the gateways, their keys, and since when one is revoked.

Owns the tables `kits` and `gateways` and the roster's version in `settings`. May call: `server.database`. Every change
raises the version in the same transaction, so that a gateway that holds a lower version knows it is behind. A
revocation holds from its commit on: every lookup here reads the database anew. Nothing is ever removed: a name stays
taken, so that an old study still names the kit that made it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from node.clock import Clock
from server import tables as t
from server.database import Database, Event, record, set_setting, setting
from wire.errors import UsageError
from wire.seal import key_id

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
KITS_MAX: Final = 10_000
GATEWAYS_MAX: Final = 1000
URLS_MAX: Final = 16
VERSION: Final = "roster version"


@dataclass(frozen=True, slots=True)
class Kit:
    """An enrolled kit as the centre knows it."""

    number: int
    name: str
    link_public: bytes
    psk: bytes = field(repr=False)
    sign_public: bytes
    created_ms: int
    revoked_ms: int | None

    @property
    def revoked(self) -> bool:
        return self.revoked_ms is not None


@dataclass(frozen=True, slots=True)
class Gateway:
    """An enrolled gateway; `urls` are where kits reach it."""

    number: int
    name: str
    link_public: bytes
    psk: bytes = field(repr=False)
    urls: tuple[str, ...]
    created_ms: int
    revoked_ms: int | None

    @property
    def revoked(self) -> bool:
        return self.revoked_ms is not None


class Peers:
    """Kits and gateways in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add_kit(self, name: str, link_public: bytes, psk: bytes, sign_public: bytes, actor: str = "") -> Kit:
        """Enrol a kit. Raises UsageError when the name is taken or not a name."""
        row = {"psk": psk, "link_public": link_public, "sign_public": sign_public, "signer": key_id(sign_public)}
        self._add(t.kits, name, row, actor)
        return self.kit(name)

    def add_gateway(self, name: str, link_public: bytes, psk: bytes, urls: Sequence[str], actor: str = "") -> Gateway:
        """Enrol a gateway that kits reach at `urls`."""
        if not 0 < len(urls) <= URLS_MAX or any(set(url) & set(" \t\r\n") for url in urls):
            raise UsageError(f"gateway {name}: give 1 to {URLS_MAX} URLs without blanks")
        self._add(t.gateways, name, {"psk": psk, "link_public": link_public, "urls": "\n".join(urls)}, actor)
        return self.gateway(name)

    def revoke_kit(self, name: str, actor: str = "") -> Kit:
        """Refuse the kit from now on. Revoking it again changes nothing."""
        self._revoke(t.kits, name, actor)
        return self.kit(name)

    def revoke_gateway(self, name: str, actor: str = "") -> Gateway:
        """Refuse the gateway from now on. Revoking it again changes nothing."""
        self._revoke(t.gateways, name, actor)
        return self.gateway(name)

    def kits(self) -> list[Kit]:
        """Return every kit, revoked ones too, by name."""
        with self._database.read() as connection:
            return [_kit(row) for row in connection.execute(select(t.kits).order_by(t.kits.c.name))]

    def gateways(self) -> list[Gateway]:
        """Return every gateway, revoked ones too, by name."""
        with self._database.read() as connection:
            return [_gateway(row) for row in connection.execute(select(t.gateways).order_by(t.gateways.c.name))]

    def kit(self, name: str) -> Kit:
        """Return the kit called `name`. Raises UsageError when there is none."""
        return _kit(self._one(t.kits, name))

    def gateway(self, name: str) -> Gateway:
        """Return the gateway called `name`. Raises UsageError when there is none."""
        return _gateway(self._one(t.gateways, name))

    def kit_by_signer(self, signer: bytes) -> Kit | None:
        """Return the kit whose sign key has the id `signer`, revoked or not."""
        with self._database.read() as connection:
            row = connection.execute(select(t.kits).where(t.kits.c.signer == signer)).one_or_none()
        return None if row is None else _kit(row)

    def by_link_key(self, link_public: bytes) -> Kit | Gateway | None:
        """Return who holds the secret of `link_public`, or None for a stranger and for one who is revoked."""
        with self._database.read() as connection:
            kit = connection.execute(_living(t.kits, link_public)).one_or_none()
            gateway = connection.execute(_living(t.gateways, link_public)).one_or_none()
        if kit is not None:
            return _kit(kit)
        return None if gateway is None else _gateway(gateway)

    def version(self) -> int:
        """Return the roster's version: it grows with every change and never falls."""
        with self._database.read() as connection:
            return int(setting(connection, VERSION, "0"))

    def _add(self, table: Table, name: str, row: dict[str, Any], actor: str) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(f"not a name: {name[:80]!r}: letters, digits, '.', '_' and '-', at most 64")
        now_ms = self._clock.time_ms()
        try:
            with self._database.write() as connection:
                limit = KITS_MAX if table is t.kits else GATEWAYS_MAX
                if len(connection.execute(select(table.c.id).limit(limit)).all()) == limit:
                    raise UsageError(f"there are {limit} {table.name} already: no more fit")
                connection.execute(insert(table).values(name=name, created_ms=now_ms, **row))
                self._changed(connection, Event(f"{table.name} add", actor, detail=name))
        except IntegrityError as error:
            raise UsageError(f"{name}: the name or a key is taken already; revoked names stay taken") from error

    def _revoke(self, table: Table, name: str, actor: str) -> None:
        self._one(table, name)
        with self._database.write() as connection:
            living = (table.c.name == name) & table.c.revoked_ms.is_(None)
            done = connection.execute(update(table).where(living).values(revoked_ms=self._clock.time_ms()))
            if done.rowcount:
                self._changed(connection, Event(f"{table.name} revoke", actor, detail=name))

    def _changed(self, connection: Connection, event: Event) -> None:
        set_setting(connection, VERSION, str(int(setting(connection, VERSION, "0")) + 1))
        record(connection, self._clock.time_ms(), event)

    def _one(self, table: Table, name: str) -> Row[Any]:
        with self._database.read() as connection:
            row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
        if row is None:
            raise UsageError(f"no {table.name[:-1]} is called {name[:80]!r}")
        return row


def _living(table: Table, link_public: bytes) -> Any:  # noqa: ANN401 - SQLAlchemy's Select[Any]
    return select(table).where(table.c.link_public == link_public, table.c.revoked_ms.is_(None))


def _kit(row: Row[Any]) -> Kit:
    return Kit(row.id, row.name, row.link_public, row.psk, row.sign_public, row.created_ms, row.revoked_ms)


def _gateway(row: Row[Any]) -> Gateway:
    urls = tuple(row.urls.split("\n"))
    return Gateway(row.id, row.name, row.link_public, row.psk, urls, row.created_ms, row.revoked_ms)
