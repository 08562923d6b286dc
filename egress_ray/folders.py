"""Where a task's files are: on the disk of a node, and in the object store."""

from __future__ import annotations

import os
from pathlib import Path


def task_folder(data_dir: str | Path, app_id: str, task_id: str) -> Path:
    """The folder of one task, shared by its attempts; both ids are safe as file names by the API's rules."""
    return Path(data_dir) / "recordings" / app_id / task_id


def make_private(folder: Path) -> None:
    """Make it, for this user and its group only: not for browsers, which are other users where the service is root.

    One that is there stays as it is.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o750, exist_ok=True)


def here(data_dir: str | Path) -> Path:
    """The data folder of the node that asks: a node whose disk is mounted elsewhere says so in `EGRESS_DATA_DIR`."""
    own = Path(os.environ.get("EGRESS_DATA_DIR", ""))
    return own if own.is_absolute() else Path(data_dir)


def store_path(prefix: str, app_id: str, task_id: str) -> str:
    """Where a task's files are below the store's URL."""
    return "/".join(part for part in (prefix.strip("/"), app_id, task_id) if part)
