"""Finishing a recording, wherever its files are: in its own recorder, or as a Ray task after that is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from egress_ray.folders import here
from egress_ray.recording.job import Order
from recorders.disk import free_mb
from recorders.errors import RecorderError
from recorders.log.finish import Finished, finish
from recorders.storage.remote import Remote
from recorders.storage.spool import Spool, spool_of

_HELD_S = 30.0


def finish_here(order: Order) -> Finished:
    """Finish and put everything into its place; idempotent, blocking. Nobody may be writing to the log any more.

    Raises `RecorderError`, and keeps everything then.
    """
    if order.place is None:
        return finish(order.folder, order.prefix, order.format)
    spool = Spool(order.folder, order.place)
    try:
        with spool.held(_HELD_S):
            return spool.settle()
    except TimeoutError:
        raise RecorderError("Somebody else is uploading the recording.") from None


def delete_files(order: Order) -> None:
    """Delete everything that was recorded, in its place and on this node. Raises `StorageAway`."""
    if order.place is not None:
        remote = Remote(order.place.url, order.place.path)
        remote.delete(remote.names())
    shutil.rmtree(order.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Swept:
    """What was found on a node: MB free, and the recordings (app id, task id) that wait there with all they have in the
    store."""

    free_mb: float
    waiting: tuple[tuple[str, str], ...]


def sweep(data_dir: str) -> Swept:
    """Go on with every spool on this node that nobody is at; blocking."""
    folder = here(data_dir)
    waiting = []
    for spool in _spools(folder / "recordings"):
        try:
            with spool.held(0):
                spool.advance()
        except (TimeoutError, RecorderError, OSError):
            continue
        waiting.append((spool.folder.parent.name, spool.folder.name))
    return Swept(free_mb(folder), tuple(waiting))


def _spools(folder: Path) -> Iterator[Spool]:
    for each in sorted(folder.glob("*/*")):
        spool = spool_of(each)
        if spool is not None:
            yield spool
