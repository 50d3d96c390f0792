"""Worklists of the kits, and what studies say of them: who was not on the list, whose badge was read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("studies", sa.Column("unlisted", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("studies", sa.Column("operator", sa.String(length=64), nullable=False, server_default=""))
    op.create_table(
        "worklists",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("kit_id", BIG, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("until_ms", BIG, nullable=False),
        sa.Column("orders", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=64), server_default="", nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worklists"),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.id"], name="fk_worklists_kit_id_kits"),
        sa.UniqueConstraint("kit_id", "day", name="uq_worklists_kit_id_day"),
    )
    op.create_table(
        "worklist_objects",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("kit_id", BIG, nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("object_id", sa.String(length=32), nullable=False),
        sa.Column("object", sa.LargeBinary(), nullable=False),
        sa.Column("custody_ms", BIG),
        sa.Column("taken_ms", BIG),
        sa.PrimaryKeyConstraint("id", name="pk_worklist_objects"),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.id"], name="fk_worklist_objects_kit_id_kits"),
        sa.UniqueConstraint("kit_id", name="uq_worklist_objects_kit_id"),
        sa.UniqueConstraint("object_id", name="uq_worklist_objects_object_id"),
    )


def downgrade() -> None:
    op.drop_table("worklist_objects")
    op.drop_table("worklists")
    op.drop_column("studies", "operator")
    op.drop_column("studies", "unlisted")
