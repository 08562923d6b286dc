"""The database behind the store, its schema brought up to date: SQLite with WAL and full sync, or PostgreSQL."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, make_url

from egress_ray.folders import make_private

_CONNECT_S = 3
_STATEMENT_S = 10
# A server that has gone without a word is noticed by the kernel within 6 s.
_ALIVE = {"keepalives_idle": 2, "keepalives_interval": 1, "keepalives_count": 4, "tcp_user_timeout": 6000}


def open_engine(url: str) -> Engine:
    """Connect and migrate to the newest schema. Raises SQLAlchemyError when the database cannot be used."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        make_private(Path(parsed.database).parent)
        Path(parsed.database).touch(0o640)  # its journals get the same mode
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed)
        _set_up_sqlite(engine)
    else:
        limits = {"connect_timeout": _CONNECT_S, "options": f"-c statement_timeout={_STATEMENT_S * 1000}"}
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(
            parsed, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args={**limits, **_ALIVE}
        )
    config = Config()
    config.set_main_option("script_location", str(files("egress_ray.store") / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return engine


def _set_up_sqlite(engine: Engine) -> None:
    """An answer given is on the disk (FULL), and transactions begin where we say, not where the driver guesses."""

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=5000")

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
