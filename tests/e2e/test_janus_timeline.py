"""A short meeting of six in a room of a real Janus, recorded as it was; `make timeline` is the long form."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from recorders.log.finish import finish
from tests.e2e.janus_server import running_janus
from tests.e2e.janus_timeline import check, hold, recorder

pytestmark = pytest.mark.paired("short")


def test_the_recording_is_as_the_meeting_was(tmp_path: Path) -> None:
    (tmp_path / "janus").mkdir()
    with running_janus(tmp_path / "janus") as janus:
        recording = recorder(tmp_path, janus)
        changes = asyncio.run(hold(recording, janus, 1, 2.6, one_by_one=False))
    finish(tmp_path, "rec", "hls")
    found = check(tmp_path / "rec.m3u8", changes, before=0.2, after=1.2)
    counters = recording.progress().counters
    assert not found.wrong, ("\n".join([*found.wrong, *map(str, changes)]), counters)
    assert found.windows >= 8
    assert list(found.legible) == ["Ada"]
