"""What is deleted for its age: files of tasks, and tasks; on a real store and real files."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from egress_ray.folders import task_folder
from egress_ray.manager.office import Office
from egress_ray.manager.retention import tidy
from egress_ray.manager.states import Event
from egress_ray.manager.warm import Warm
from egress_ray.secrets import open_vault
from egress_ray.settings import Settings, load
from egress_ray.store import rows
from egress_ray.store.rows import Key
from egress_ray.store.store import TaskStore
from egress_ray.tasks import NewTask

DAY_S = 86400.0
PAYLOAD = {"layout": "flat", "channel": "room", "filename_pattern": "out", "format": "hls"}


def tidied(data: Path, ended: int, **settings: Any) -> tuple[int, int]:
    """Of so many tasks that ended 100 days ago, how many are left and how many folders, after it was tidied once."""
    loaded: Settings = load({"data_dir": str(data), "retention": settings.pop("retention"), **settings})

    async def work() -> int:
        store = TaskStore(loaded.store_url)
        office = Office(loaded, store, open_vault(None, data), Warm(loaded, "1"))
        now = time.time()
        for n in range(ended):
            key = Key("app", f"t{n}")
            new = NewTask("app", f"t{n}", f"r{n}", "record", PAYLOAD, "f")
            await store.run(lambda c, new=new: rows.add(c, new, None, now))  # type: ignore[misc]
            await store.run(lambda c, key=key: rows.move(c, key, Event.STOP_ASKED, now - 100 * DAY_S))  # type: ignore[misc]
            folder = task_folder(data, key.app_id, key.task_id)
            folder.mkdir(parents=True)
            (folder / "out.m3u8").write_text("#EXTM3U")
        await tidy(office, loaded.retention, now)
        left = await store.run(lambda c: rows.page(c, "app", None, None, 500, None))
        store.close()
        return len(left.tasks)

    return asyncio.run(work()), len(list((data / "recordings/app").iterdir()))


def test_files_go_before_their_tasks_however_many_there_are(tmp_path: Path) -> None:
    assert tidied(tmp_path / "a", 230, retention={"files_days": 30, "tasks_days": 60}) == (0, 0)
    assert tidied(tmp_path / "b", 3, retention={"files_days": 30}) == (3, 0)
    assert tidied(tmp_path / "c", 3, retention={"files_days": 101}) == (3, 3)


def test_files_stay_where_only_tasks_are_to_go(tmp_path: Path) -> None:
    assert tidied(tmp_path, 3, retention={"tasks_days": 60}) == (0, 3)
