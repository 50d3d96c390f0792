"""What is known of the time in each boot of a kit, and which studies have a wrong one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("studies", sa.Column("clock", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "boots",
        sa.Column("id", BIG, autoincrement=True),
        sa.Column("kit_id", BIG, nullable=False),
        sa.Column("boot", sa.String(length=16), nullable=False),
        sa.Column("base_ms", BIG, nullable=False),
        sa.Column("uptime_ms", BIG, nullable=False),
        sa.Column("error_ms", BIG, nullable=False),
        sa.Column("updated_ms", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_boots"),
        sa.ForeignKeyConstraint(["kit_id"], ["kits.id"], name="fk_boots_kit_id_kits"),
        sa.UniqueConstraint("kit_id", "boot", name="uq_boots_kit_id_boot"),
    )


def downgrade() -> None:
    op.drop_table("boots")
    op.drop_column("studies", "clock")
