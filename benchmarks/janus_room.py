"""What records a room of a Janus server for the benchmarks: the command of a recorder by itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.janus_server import Janus

PIN, ROOM = "benchmark-token", 1001


def command(janus: Janus, users: int, video: dict[str, Any], folder: Path) -> list[str]:
    """Records `user1` and so on in `ROOM` into `folder`, until it is ended."""
    spec = {
        "task_id": "bench",
        "folder": str(folder),
        "subject": {
            "app_id": "bench",
            "channel": str(ROOM),
            "worker_uid": 1,
            "access_token": PIN,
            "users": [f"user{k + 1}" for k in range(users)],
        },
        "video": video,
        "config": {
            "encoder": {"quality": "best"},
            "sources": {
                "rules": [{"source": "janus"}],
                "janus": {"url": janus.url, "api_secret": janus.api_secret},
            },
        },
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return [sys.executable, "-m", "recorders", str(path)]
