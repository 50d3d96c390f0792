"""The tables of the centre (R19 to R21): what can be searched. Everything else stays in the study files.

Identifiers of studies and objects are 32 lower-case hex digits, digests 64; times are integer milliseconds since
the Unix epoch. Every record that is replicated later carries `status` and `updated_ms` (R20). Yes-or-no columns and
the twenty fields of a form page are integers, because searches work on integers. Only portable SQL: the same
tables are made in SQLite and in PostgreSQL. The migrations build them; a test holds both descriptions equal.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

FIELDS: Final = 20
"""Searchable integer fields of a form page (R19)."""
PAGES: Final = 10
"""Form-page tables (R19). A new form uses one of them: no change of the schema."""

BIG = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit integer; SQLite numbers rows by itself only when the column is called INTEGER."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _number() -> Column[int]:
    return Column("id", BIG, primary_key=True, autoincrement=True)


def _flag(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _record() -> tuple[Column[int], Column[int]]:
    """Every replicated record has a status and its time of update (R20)."""
    return _flag("status"), Column("updated_ms", BIG, nullable=False)


settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

kits = Table(
    "kits",
    metadata,
    _number(),
    Column("name", String(64), nullable=False, unique=True),
    Column("link_public", LargeBinary(32), nullable=False, unique=True),
    Column("psk", LargeBinary(32), nullable=False),
    Column("sign_public", LargeBinary(32), nullable=False, unique=True),
    Column("signer", LargeBinary(8), nullable=False, unique=True),
    Column("created_ms", BIG, nullable=False),
    Column("revoked_ms", BIG),
)

gateways = Table(
    "gateways",
    metadata,
    _number(),
    Column("name", String(64), nullable=False, unique=True),
    Column("link_public", LargeBinary(32), nullable=False, unique=True),
    Column("psk", LargeBinary(32), nullable=False),
    Column("urls", Text, nullable=False),
    Column("created_ms", BIG, nullable=False),
    Column("revoked_ms", BIG),
)

worklists = Table(
    "worklists",
    metadata,
    _number(),
    Column("kit_id", BIG, ForeignKey("kits.id"), nullable=False),
    Column("day", String(10), nullable=False),
    Column("until_ms", BIG, nullable=False),
    Column("orders", Text, nullable=False),
    Column("actor", String(64), nullable=False, server_default=""),
    Column("updated_ms", BIG, nullable=False),
    UniqueConstraint("kit_id", "day"),
)

worklist_objects = Table(
    "worklist_objects",
    metadata,
    _number(),
    Column("kit_id", BIG, ForeignKey("kits.id"), nullable=False, unique=True),
    Column("version", BIG, nullable=False),
    Column("object_id", String(32), nullable=False, unique=True),
    Column("object", LargeBinary, nullable=False),
    Column("custody_ms", BIG),
    Column("taken_ms", BIG),
)

users = Table(
    "users",
    metadata,
    _number(),
    Column("name", String(64), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("zone", String(64), nullable=False, server_default="UTC"),
    Column("created_ms", BIG, nullable=False),
    Column("disabled_ms", BIG),
)

sessions = Table(
    "sessions",
    metadata,
    _number(),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("user_id", BIG, ForeignKey("users.id"), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("created_ms", BIG, nullable=False),
    Column("seen_ms", BIG, nullable=False),
)

patients = Table(
    "patients",
    metadata,
    _number(),
    Column("code", String(128), nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    *_record(),
)

aliases = Table(
    "aliases",
    metadata,
    _number(),
    Column("text", String(255), nullable=False, unique=True),
    *_record(),
)

forms = Table(
    "forms",
    metadata,
    _number(),
    Column("name", String(64), nullable=False, unique=True),
    Column("page", Integer, nullable=False),
    Column("description", Text, nullable=False),
    *_record(),
)

studies = Table(
    "studies",
    metadata,
    _number(),
    Column("study", String(32), nullable=False, unique=True),
    Column("kit_id", BIG, ForeignKey("kits.id"), index=True),
    Column("patient_id", BIG, ForeignKey("patients.id"), index=True),
    Column("form", String(64), nullable=False),
    Column("patient_code", String(128), nullable=False, server_default=""),
    Column("device", String(255), nullable=False, server_default=""),
    Column("headline", Text, nullable=False, server_default="[]"),
    Column("opened_ms", BIG),
    Column("closed_ms", BIG),
    Column("announced_ms", BIG),
    Column("received_ms", BIG),
    Column("state", Integer, nullable=False),
    *_record(),
    Column("priority", Integer, nullable=False),
    Column("entries", Integer, nullable=False, server_default="0"),
    _flag("signature"),
    _flag("qc"),
    _flag("partial"),
    _flag("damaged"),
    _flag("recovered"),
    _flag("conflict"),
    Column("bytes_lost", BIG, nullable=False, server_default="0"),
    Column("digest", String(64)),
    Column("size", BIG, nullable=False, server_default="0"),
    _flag("unlisted"),
    _flag("clock"),
    Column("operator", String(64), nullable=False, server_default=""),
    Index(None, "qc", "updated_ms"),
)

boots = Table(
    "boots",
    metadata,
    _number(),
    Column("kit_id", BIG, ForeignKey("kits.id"), nullable=False),
    Column("boot", String(16), nullable=False),
    Column("base_ms", BIG, nullable=False),
    Column("uptime_ms", BIG, nullable=False),
    Column("error_ms", BIG, nullable=False),
    Column("updated_ms", BIG, nullable=False),
    UniqueConstraint("kit_id", "boot"),
)

objects = Table(
    "objects",
    metadata,
    _number(),
    Column("object_id", String(32), nullable=False, unique=True),
    Column("kind", Integer, nullable=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("size", BIG, nullable=False),
    Column("study", String(32), nullable=False, server_default="", index=True),
    Column("sender", String(64), nullable=False, server_default=""),
    Column("received_ms", BIG, nullable=False),
    Column("receipt", LargeBinary, nullable=False),
)

refused = Table(
    "refused",
    metadata,
    _number(),
    Column("object_id", String(32), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("kind", Integer, nullable=False),
    Column("size", BIG, nullable=False),
    Column("sender", String(64), nullable=False, server_default=""),
    Column("refused_ms", BIG, nullable=False),
    Column("reason", Text, nullable=False),
    _flag("kept"),
    UniqueConstraint("object_id", "digest"),
)

events = Table(
    "events",
    metadata,
    _number(),
    Column("time_ms", BIG, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("actor", String(64), nullable=False, server_default=""),
    Column("study", String(32), nullable=False, server_default="", index=True),
    Column("address", String(64), nullable=False, server_default=""),
    Column("detail", Text, nullable=False, server_default=""),
    Index(None, "kind", "time_ms"),
)


def _page(number: int) -> Table:
    """Return form-page table `number`: twenty integers, the study's number, a status and a text (R19)."""
    return Table(
        f"page_{number}",
        metadata,
        _number(),
        Column("study_id", BIG, ForeignKey("studies.id"), nullable=False, index=True),
        Column("ordinal", Integer, nullable=False),
        *_record(),
        *(Column(f"f{field:02d}", BIG) for field in range(1, FIELDS + 1)),
        Column("text", Text, nullable=False, server_default=""),
        Index(None, "f01", "f02"),
    )


pages: Final = tuple(_page(number) for number in range(1, PAGES + 1))
"""`pages[0]` is page 1."""
