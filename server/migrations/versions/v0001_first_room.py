"""The centre's first schema: kits, people, studies, objects, form pages, and the record of events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for step in (_nodes, _people, _dictionary, _studies, _objects, _events):
        step()
    for number in range(1, 11):
        _page(f"page_{number}")


def downgrade() -> None:
    tables = [f"page_{number}" for number in range(1, 11)]
    tables += ["events", "refused", "objects", "studies", "forms", "aliases", "patients", "sessions", "users"]
    for table in (*tables, "gateways", "kits", "settings"):
        op.drop_table(table)


def _nodes() -> None:
    """Settings, and who may speak on the link."""
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
    op.create_table(
        "kits",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("link_public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("psk", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sign_public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signer", sa.LargeBinary(length=8), nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("revoked_ms", BIG),
        sa.PrimaryKeyConstraint("id", name="pk_kits"),
        sa.UniqueConstraint("link_public", name="uq_kits_link_public"),
        sa.UniqueConstraint("name", name="uq_kits_name"),
        sa.UniqueConstraint("sign_public", name="uq_kits_sign_public"),
        sa.UniqueConstraint("signer", name="uq_kits_signer"),
    )
    op.create_table(
        "gateways",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("link_public", sa.LargeBinary(length=32), nullable=False),
        sa.Column("psk", sa.LargeBinary(length=32), nullable=False),
        sa.Column("urls", sa.Text(), nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("revoked_ms", BIG),
        sa.PrimaryKeyConstraint("id", name="pk_gateways"),
        sa.UniqueConstraint("link_public", name="uq_gateways_link_public"),
        sa.UniqueConstraint("name", name="uq_gateways_name"),
    )


def _people() -> None:
    """Who may look."""
    op.create_table(
        "users",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("zone", sa.String(length=64), server_default="UTC", nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("disabled_ms", BIG),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("seen_ms", BIG, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])


def _dictionary() -> None:
    """Records that studies point at."""
    op.create_table(
        "patients",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patients"),
        sa.UniqueConstraint("code", name="uq_patients_code"),
    )
    op.create_table(
        "aliases",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("text", sa.String(length=255), nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_aliases"),
        sa.UniqueConstraint("text", name="uq_aliases_text"),
    )
    op.create_table(
        "forms",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_forms"),
        sa.UniqueConstraint("name", name="uq_forms_name"),
    )


def _studies() -> None:
    """One row for each study."""
    op.create_table(
        "studies",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("study", sa.String(length=32), nullable=False),
        sa.Column("kit_id", BIG),
        sa.Column("patient_id", BIG),
        sa.Column("form", sa.String(length=64), nullable=False),
        sa.Column("patient_code", sa.String(length=128), server_default="", nullable=False),
        sa.Column("device", sa.String(length=255), server_default="", nullable=False),
        sa.Column("headline", sa.Text(), server_default="[]", nullable=False),
        sa.Column("opened_ms", BIG),
        sa.Column("closed_ms", BIG),
        sa.Column("announced_ms", BIG),
        sa.Column("received_ms", BIG),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("entries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("signature", sa.Integer(), server_default="0", nullable=False),
        sa.Column("qc", sa.Integer(), server_default="0", nullable=False),
        sa.Column("partial", sa.Integer(), server_default="0", nullable=False),
        sa.Column("damaged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("recovered", sa.Integer(), server_default="0", nullable=False),
        sa.Column("conflict", sa.Integer(), server_default="0", nullable=False),
        sa.Column("bytes_lost", BIG, server_default="0", nullable=False),
        sa.Column("digest", sa.String(length=64)),
        sa.Column("size", BIG, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.id"], name="fk_studies_kit_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_studies_patient_id"),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.UniqueConstraint("study", name="uq_studies_study"),
    )
    op.create_index("ix_studies_kit_id", "studies", ["kit_id"])
    op.create_index("ix_studies_patient_id", "studies", ["patient_id"])
    op.create_index("ix_studies_qc_updated_ms", "studies", ["qc", "updated_ms"])


def _objects() -> None:
    """What was taken in, and what was not."""
    op.create_table(
        "objects",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("object_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("study", sa.String(length=32), server_default="", nullable=False),
        sa.Column("sender", sa.String(length=64), server_default="", nullable=False),
        sa.Column("received_ms", BIG, nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_objects"),
        sa.UniqueConstraint("object_id", name="uq_objects_object_id"),
    )
    op.create_index("ix_objects_digest", "objects", ["digest"])
    op.create_index("ix_objects_study", "objects", ["study"])
    op.create_table(
        "refused",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("object_id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("sender", sa.String(length=64), server_default="", nullable=False),
        sa.Column("refused_ms", BIG, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("kept", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refused"),
        sa.UniqueConstraint("object_id", "digest", name="uq_refused_object_id_digest"),
    )


def _events() -> None:
    """The record of who did what. Nobody changes or removes a line of it."""
    op.create_table(
        "events",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("time_ms", BIG, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=64), server_default="", nullable=False),
        sa.Column("study", sa.String(length=32), server_default="", nullable=False),
        sa.Column("address", sa.String(length=64), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_kind_time_ms", "events", ["kind", "time_ms"])
    op.create_index("ix_events_study", "events", ["study"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER events_no_{verb.lower()} BEFORE {verb} ON events "
                "BEGIN SELECT RAISE(ABORT, 'the record of events is append-only'); END"
            )


def _page(name: str) -> None:
    """A form page: twenty searchable integers and a text."""
    op.create_table(
        name,
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("study_id", BIG, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        *(sa.Column(f"f{field:02d}", BIG) for field in range(1, 21)),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=f"fk_{name}_study_id"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
    )
    op.create_index(f"ix_{name}_f01_f02", name, ["f01", "f02"])
    op.create_index(f"ix_{name}_study_id", name, ["study_id"])
