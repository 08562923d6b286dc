"""Where a task's files are."""

from __future__ import annotations

from pathlib import Path


def task_folder(data_dir: str | Path, app_id: str, task_id: str) -> Path:
    """The folder of one task, shared by its attempts; both ids are safe as file names by the API's rules."""
    return Path(data_dir) / "recordings" / app_id / task_id
