"""The tasks table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("app_id", sa.String(64), nullable=False),
        sa.Column("task_id", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(32), nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("cmd", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("enqueued_at", sa.Float, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("channel", sa.String(64)),
        sa.Column("access_token", sa.LargeBinary),
        sa.Column("error", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("node_id", sa.String(64)),
        sa.Column("files", sa.JSON, nullable=False),
        sa.UniqueConstraint("app_id", "task_id", name="uq_tasks_task"),
        sa.UniqueConstraint("app_id", "request_id", name="uq_tasks_request"),
    )
    op.create_index("ix_tasks_state", "tasks", ["state"])
    op.create_index("ix_tasks_channel", "tasks", ["app_id", "channel", "state"])


def downgrade() -> None:
    op.drop_table("tasks")
