"""What is needed to go on after a loss: when the last attempt was claimed, how many were lost in a row, media time
0, whether there are files, and since when there has been no manager."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("claimed_at", sa.Float))
    op.create_table(
        "managers",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("alive_at", sa.Float, nullable=False),
    )
    op.add_column("tasks", sa.Column("epoch", sa.Float))
    op.add_column("tasks", sa.Column("filed", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("tasks", sa.Column("losses", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_table("managers")
    op.drop_column("tasks", "losses")
    op.drop_column("tasks", "filed")
    op.drop_column("tasks", "epoch")
    op.drop_column("tasks", "claimed_at")
