"""An individual recording as a task: files of each user, also after its recorder was killed."""

from __future__ import annotations

import time

from recorders.log import files
from recorders.log.segment_log import read_index
from tests.chaos.ledger import doubles, losses
from tests.cluster.service import App, gone, native, until
from tests.oracle.demo_clock import clock_errors
from tests.oracle.hls import validate

_USERS = ("ada", "ben")


def test_each_users_recording_goes_on_after_a_kill(app: App) -> None:
    task = app.start(native(mode="individual", format="mp4", users=list(_USERS)))
    folder = app.folder(task)
    logs = [files.log_of("out_{user}", user) for user in _USERS]

    def parts(attempt: int) -> int:
        return min(len(read_index(folder, log.index).of(attempt * files.RUNS).parts) for log in logs)

    until(lambda: parts(1) >= 1, 30, lambda: str(app.status(task)))
    live = ["out_ada.m3u8", "out_ben.m3u8"]
    until(lambda: app.status(task)["payload"]["files"] == live, 5, lambda: str(app.status(task)))
    recorder = app.service.recorder(task)
    recorder.kill()
    killed = time.time()
    gone([recorder], 3)
    until(lambda: parts(2) >= 1, 20, lambda: str(app.status(task)))
    assert app.status(task)["message"] == "The recorder was lost: its process died. Attempt 2 goes on."
    app.stop(task)
    done = app.wait(task, "STOPPED")
    assert (done["reason"], done["error"]) == ("user_stop", "")
    assert done["payload"]["mode"] == "individual"
    ends = ("m3u8", "mp4", "json")
    assert done["payload"]["files"] == [f"out_{user}.{end}" for user in _USERS for end in ends]
    for log in logs:
        index = read_index(folder, log.index)
        assert [attempt.attempt for attempt in index.attempts] == [files.RUNS, 2 * files.RUNS]
        (loss,) = losses(index, {killed: "native"})
        assert loss.lost < 1.5
        assert doubles(index) == []
        playlist = folder / f"{log.prefix}.m3u8"
        assert validate(playlist) == []
        assert playlist.read_text().count("#EXT-X-DISCONTINUITY\n") == 1
        assert app.service.http.get(app.file(task, playlist.name)).text == playlist.read_text()
        errors = clock_errors(folder / f"{log.prefix}.mp4", (index.epoch or 0) + index.parts[0].start)
        assert len(errors) > 30
        assert max(map(abs, errors)) < 0.1, "wall-clock times are true before and after the gap"
