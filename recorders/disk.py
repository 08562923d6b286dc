"""How much room there is where recordings are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from recorders.errors import Unwritable

MB = 1_000_000


def free_mb(folder: Path) -> float:
    """MB (10^6 bytes) free on the disk of a folder, which need not be there yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / MB


def need(folder: Path, mb: float) -> None:
    """Raises `Unwritable` when there is less."""
    free = free_mb(folder)
    if free < mb:
        raise Unwritable(
            f"The disk of the node has {free:.0f} MB free, less than the {mb:.0f} MB that a recording needs."
        )
