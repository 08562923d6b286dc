"""Tables of the task store; the migrations in `migrations/` build them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()

managers = Table(
    "managers",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    # When the task manager last was there (Unix seconds).
    Column("alive_at", Float, nullable=False),
)
tasks = Table(
    "tasks",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("app_id", String(64), nullable=False),
    Column("task_id", String(64), nullable=False),
    Column("request_id", String(32), nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("cmd", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("action", String(16), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    # Not before this (Unix seconds) a recorder is looked for, and from then on its time in the queue counts.
    Column("enqueued_at", Float, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("channel", String(64)),
    # Encrypted; NULL as soon as the task has ended.
    Column("access_token", LargeBinary),
    Column("error", String, nullable=False, default=""),
    Column("message", String, nullable=False, default=""),
    Column("reason", String(32), nullable=False, default=""),
    # The fencing token: how many recorders have been started for this task.
    Column("attempt", Integer, nullable=False, default=0),
    Column("node_id", String(64)),
    # When the last recorder was up (Unix seconds); NULL when there has been none.
    Column("claimed_at", Float),
    # Recorders lost one after another, each soon after it was up.
    Column("losses", Integer, nullable=False, default=0),
    # Whether there may be files of it: false once they were deleted for their age.
    Column("filed", Boolean, nullable=False, default=True),
    # Media time 0 (Unix seconds), when a recorder has told it.
    Column("epoch", Float),
    Column("files", JSON, nullable=False),
    UniqueConstraint("app_id", "task_id", name="uq_tasks_task"),
    UniqueConstraint("app_id", "request_id", name="uq_tasks_request"),
    Index("ix_tasks_state", "state"),
    Index("ix_tasks_channel", "app_id", "channel", "state"),
)
