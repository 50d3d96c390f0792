"""The schema and its steps: from nothing, again, back and forth; transactions; the record that nobody changes."""

import sqlite3
import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from server import tables as t
from server.database import (
    DETAIL_SIZE_MAX,
    Database,
    Event,
    UnavailableError,
    alembic_config,
    record,
    set_setting,
    setting,
)
from wire.errors import ConfigError, DiskError


@pytest.fixture
def database(tmp_path):
    made = Database(f"sqlite:///{tmp_path}/test.db")
    made.migrate()
    yield made
    made.close()


def test_migrating_from_nothing_makes_the_tables_that_the_program_describes(database):
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), t.metadata) == []


def test_migrating_again_changes_nothing(database):
    assert database.migrate() == database.migrate() == database.revision()[1]


def test_migrating_down_and_up_again(database):
    with database.write() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert database.revision()[0] == ""
    database.migrate()
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), t.metadata) == []


def test_crash_in_the_middle_of_a_migration_leaves_the_schema_as_it_was(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/test.db")

    def upgrade_and_crash():
        with database.write() as connection:
            command.upgrade(alembic_config(connection), "head")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        upgrade_and_crash()
    assert database.revision()[0] == ""
    database.migrate()
    database.close()


def test_every_table_can_be_made_in_postgresql():
    dialect = postgresql.dialect()
    for table in t.metadata.sorted_tables:
        made = str(CreateTable(table).compile(dialect=dialect))
        assert ("id BIGSERIAL NOT NULL" in made) == ("id" in table.c)


def test_there_are_ten_form_pages_of_twenty_integers():
    assert len(t.pages) == 10
    for page in t.pages:
        assert [f"f{n:02d}" for n in range(1, 21)] == [c.name for c in page.c if c.name.startswith("f")]


def test_sqlite_is_durable_and_keeps_references(database):
    with database.read() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_nothing_of_a_failed_transaction_stays(database):
    def set_and_crash():
        with database.write() as connection:
            set_setting(connection, "a", "1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        set_and_crash()
    with database.read() as connection:
        assert setting(connection, "a", "none") == "none"


def test_writers_wait_for_each_other(database):
    def count():
        for _ in range(20):
            with database.write() as connection:
                set_setting(connection, "n", str(int(setting(connection, "n", "0")) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert setting(connection, "n") == "80"


@pytest.mark.parametrize("sql", ["UPDATE events SET kind = 'x'", "DELETE FROM events"])
def test_the_record_of_events_cannot_be_rewritten(database, sql):
    with database.write() as connection:
        record(connection, 1, Event("look", "olena", "ab" * 16))
    with pytest.raises(DBAPIError, match="append-only"), database.write() as connection:
        connection.execute(text(sql))
    with database.read() as connection:
        assert connection.execute(select(t.events.c.kind)).scalars().all() == ["look"]


def test_a_long_detail_is_cut(database):
    with database.write() as connection:
        record(connection, 1, Event("x", detail="y" * (DETAIL_SIZE_MAX + 1)))
    with database.read() as connection:
        row = connection.execute(select(t.events)).one()
    assert len(row.detail) == DETAIL_SIZE_MAX


def test_a_database_url_that_makes_no_sense():
    for url in ("nonsense", "nosuchdatabase://x"):
        with pytest.raises(ConfigError, match="database URL"):
            Database(url)


def test_a_folder_that_is_gone_is_a_disk_error(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/gone/test.db")
    with pytest.raises(DiskError, match="database"):
        database.migrate()


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "test.db").write_bytes(b"not a database at all" * 100)
    database = Database(f"sqlite:///{tmp_path}/test.db")
    with pytest.raises((DiskError, DBAPIError)):
        database.migrate()
    database.close()


def test_an_unknown_kit_cannot_be_pointed_at(database):
    with pytest.raises(DBAPIError, match="FOREIGN KEY"), database.write() as connection:
        connection.execute(insert(t.studies).values(study="a", kit_id=99, form="x", state=0, updated_ms=0, priority=5))


def test_the_file_is_an_ordinary_sqlite_file(database, tmp_path):
    with sqlite3.connect(tmp_path / "test.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_full_disk_is_no_reason_to_end(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()

    def fill():
        with database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for number in range(1000):
                set_setting(connection, f"name {number}", "x" * 1000)

    with pytest.raises(UnavailableError, match="full"):
        fill()
    database.close()
