"""The database of the centre: engine, transactions, migrations, and the append-only record of who did what.

Owns: the engine and how a transaction begins. May call: SQLAlchemy, alembic; `server.tables`. Committed means what the
database says it means; for SQLite that is WAL with `synchronous=FULL`, so a commit is an fsync. A crash between
two transactions loses nothing, a crash inside one leaves nothing of it. One writer at a time: `write()` takes the write
lock when it begins, so that a transaction never fails half-way because another one wrote first.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from server import tables as t
from wire.errors import ConfigError, DiskError

BUSY_TIMEOUT_MS: Final = 10_000
"""How long a transaction waits for another writer."""
DETAIL_SIZE_MAX: Final = 2000
"""Longer details of an event are cut, characters."""
WRITES: Final = "feldsher_writes"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the record: who (`actor`) did what (`kind`) to which study, from which address."""

    kind: str
    actor: str = ""
    study: str = ""
    address: str = ""
    detail: str = ""


class UnavailableError(DiskError):
    """The database takes nothing now: another process holds it, its server is away, or its disk is full."""


class Database:
    """The engine and its transactions. `url` is SQLAlchemy's; `sqlite://` alone lives in memory (tests, simulation)."""

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
            self.engine = _engine(self.url)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise ConfigError(f"database URL: {error}") from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the database."""
        with _as_disk_error(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, nothing of it when the block raises."""
        with _as_disk_error(), self.engine.connect() as connection:
            writer = connection.execution_options(**{WRITES: True})
            with writer.begin():
                yield writer

    def migrate(self) -> str:
        """Bring the schema to the newest revision and return its name. Running it again changes nothing."""
        logging.getLogger("alembic").setLevel(logging.WARNING)  # its words at each start tell nobody anything
        have, want = self.revision()
        if have != want:
            with self.write() as connection:
                command.upgrade(alembic_config(connection), "head")
        return want

    def revision(self) -> tuple[str, str]:
        """Return the schema's revision (empty when none) and the one that this program wants."""
        with self.read() as connection:
            have = MigrationContext.configure(connection).get_current_revision() or ""
        return have, ScriptDirectory.from_config(alembic_config(None)).get_current_head() or ""

    def close(self) -> None:
        self.engine.dispose()


def record(connection: Connection, time_ms: int, happened: Event) -> None:
    """Append `happened` to the record, within the caller's transaction."""
    connection.execute(
        insert(t.events).values(
            time_ms=time_ms,
            kind=happened.kind,
            actor=happened.actor[:64],
            study=happened.study[:32],
            address=happened.address[:64],
            detail=happened.detail[:DETAIL_SIZE_MAX],
        )
    )


def setting(connection: Connection, name: str, default: str = "") -> str:
    """Return the setting `name`."""
    value = connection.execute(select(t.settings.c.value).where(t.settings.c.name == name)).scalar()
    return default if value is None else str(value)


def set_setting(connection: Connection, name: str, value: str) -> None:
    """Set `name`, within the caller's transaction."""
    changed = connection.execute(t.settings.update().where(t.settings.c.name == name).values(value=value))
    if not changed.rowcount:
        connection.execute(insert(t.settings).values(name=name, value=value))


@contextmanager
def _as_disk_error() -> Iterator[None]:
    """A database that cannot be written is a disk's fault; a broken rule of the schema stays what it is."""
    try:
        yield
    except DBAPIError as error:
        if type(error).__name__ != "OperationalError":
            raise
        kind = UnavailableError if _is_passing(error) else DiskError
        raise kind(f"database: {error.orig}") from error


def _is_passing(error: DBAPIError) -> bool:
    """Tell whether waiting may help. A server is away until it is back; SQLite says which it is."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is None or code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, isolation_level="SERIALIZABLE")
    if url.database in {None, "", ":memory:"}:
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own type
    """SQLite's driver begins transactions late by itself: take that over, and ask for durability."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def alembic_config(connection: Connection | None) -> Config:
    """Return what alembic needs to run our steps on `connection`; None only to read which steps there are."""
    config = Config()
    config.set_main_option("script_location", "server:migrations")
    config.attributes["connection"] = connection
    return config
