"""One round of chaos against a running service, and its result."""

from __future__ import annotations

import contextlib
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from recorders.log.files import INDEX
from recorders.log.segment_log import read_index
from tests.chaos.faults import Fault, Hit, Target
from tests.chaos.ledger import Loss, doubles, handovers, losses, unexplained
from tests.cluster.service import TERMINAL, App, Service, native, page, until
from tests.oracle.hls import probe_quiet, validate
from tests.oracle.page import serve_page
from tests.processes import title

_END_S = 30.0


@dataclass
class Result:
    """What was promised, as it came out."""

    faults: Counter[str] = field(default_factory=Counter)
    losses: dict[str, list[Loss]] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    ghosts: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    unplayable: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    handovers: int = 0

    def table(self) -> str:
        """For people."""
        lines = [f"faults: {dict(self.faults)}; tasks ended: {dict(self.ends)}"]
        for kind, found in sorted(self.losses.items()):
            lost, again = sorted(each.lost for each in found), sorted(each.again for each in found)
            lines.append(
                f"{kind}: {len(found)}; media lost {_spread(lost)} s; recording again after {_spread(again)} s"
            )
        if self.handovers:
            lines.append(f"handed over without a gap: {self.handovers}")
        lines += [
            f"{name}: {len(found)} {found or ''}"
            for name, found in (
                ("ghosts", self.ghosts),
                ("doubles", self.doubles),
                ("unplayable", self.unplayable),
                ("gaps without a fault", self.unexplained),
            )
        ]
        return "\n".join(lines)


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    p95 = values[min(len(values) - 1, round(0.95 * len(values)))]
    return f"p50 {statistics.median(values):.2f}, p95 {p95:.2f}, max {values[-1]:.2f}"


def chaos(
    target: Target,
    faults: Mapping[Fault, int],
    *,
    kills: int,
    natives: int,
    pages: int,
    pause_s: float,
    seed: int,
) -> Result:
    """Keep so many recordings going, hit something every now and then, stop them all and look at what is left."""
    service, chance, result = target.service, random.Random(seed), Result()
    app = service.app(f"chaos{seed}")
    hits: list[Hit] = []
    with serve_page() as url:
        kinds = {app.begin(native(format=chance.choice(["hls", "mp4"]))): "native" for _ in range(natives)}
        kinds |= {app.begin(page(url)): "web" for _ in range(pages)}
        while len(hits) < kills:
            time.sleep(chance.uniform(0.3, 1.7) * pause_s)
            fault = chance.choices(list(faults), list(faults.values()))[0]
            hit = fault(target, chance)
            if hit is not None:
                hits.append(hit)
        _let_recover(app, list(kinds))
        for task in kinds:
            _insist(lambda task=task: app.stop(task))  # type: ignore[misc]
        _until_ended(service, app, list(kinds), result)
    result.faults = Counter(hit.fault for hit in hits)
    with tempfile.TemporaryDirectory() as folder:
        for task, kind in kinds.items():
            _judge(
                app,
                task,
                kind,
                _fetched(target, app, task, Path(folder)),
                {hit.at: hit.fault for hit in hits if task in hit.tasks},
                result,
            )
    return result


def _insist(call: Callable[[], Any]) -> Any:
    """Again, as a client does, while the service says that it is not available."""
    for _ in range(20):
        with contextlib.suppress(AssertionError, httpx.HTTPError):
            return call()
        time.sleep(0.5)
    return call()


def _fetched(target: Target, app: App, task: str, folder: Path) -> Path:
    """The folder of a recording that has ended."""
    if target.s3 is None:
        return app.folder(task)
    for name, body in target.s3.objects(f"kept/{app.name}/{task}/").items():
        (folder / task).mkdir(exist_ok=True)
        (folder / task / name).write_bytes(body)
    if not (folder / task / INDEX).exists():
        pieces = sorted((folder / task).glob("index_*.jsonl"))
        (folder / task / INDEX).write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    return folder / task


def _state(app: App, task: str) -> str:
    return str(_insist(lambda: app.status(task)["state"]))


def _let_recover(app: App, tasks: list[str]) -> None:
    def settled() -> bool:
        return all(_state(app, task) in ("PROCESSING", *TERMINAL) for task in tasks)

    until(settled, 60, lambda: str([app.status(task) for task in tasks]))
    time.sleep(3)


def _until_ended(service: Service, app: App, tasks: list[str], result: Result) -> None:
    limit = time.monotonic() + _END_S
    open_tasks = set(tasks)
    while open_tasks and time.monotonic() < limit:
        open_tasks = {task for task in open_tasks if _state(app, task) not in TERMINAL}
        time.sleep(0.2)
    result.ghosts += [f"{task} is {app.status(task)['state']}" for task in open_tasks]
    result.ghosts += [title(process) for process in service.processes("ray::record ")]


def _judge(app: App, task: str, kind: str, folder: Path, faults: dict[float, str], result: Result) -> None:
    end = app.status(task)
    result.ends[end["state"]] += 1
    index = read_index(folder)
    for loss in losses(index, faults):
        result.losses.setdefault(f"{kind}, {loss.fault}", []).append(loss)
    result.handovers += handovers(index)
    result.doubles += doubles(index)
    result.unexplained += [f"{task}: {gap}" for gap in unexplained(index, faults)]
    if end["state"] == "TIMEOUT" and not index.parts:
        return
    for name in end["payload"]["files"]:
        if name.endswith(".json"):
            continue
        said = probe_quiet(folder / name) or (validate(folder / name) if name.endswith(".m3u8") else [])
        if said:
            result.unplayable.append(f"{task}/{name}: {said}")
    if not end["payload"]["files"]:
        result.unplayable.append(f"{task} has no files: {end}")
