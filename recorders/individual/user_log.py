"""One user's log, run after run. A run is a stretch with the same codecs, and with an init section of its own."""

from __future__ import annotations

from pathlib import Path

from recorders.lease import Lease
from recorders.log import files
from recorders.log.files import log_of
from recorders.log.salvage import open_log
from recorders.log.segment_log import SegmentLog
from recorders.spec import RecordingSpec


class UserLog:
    """The log of a key (see `keys`), for this attempt; `newest` tells how far it has come.

    What an attempt before this one has left is salvaged on opening. Raises as `SegmentLog` does.
    """

    def __init__(self, spec: RecordingSpec, key: str, lease: Lease) -> None:
        self.name = log_of(spec.prefix, key)
        self._folder = Path(spec.folder)
        self._lease = lease
        self._first = spec.attempt * files.RUNS
        self._runs = 0
        self.ended = float("-inf")  # when the last stay in it has ended (monotonic seconds of capture)
        self.newest = open_log(spec, lease, key)

    def next_run(self, epoch: float) -> SegmentLog:
        """For the next run; the one before must be closed. `epoch` is media time 0 (Unix seconds)."""
        number = self._first + self._runs
        self._runs += 1
        self.newest = SegmentLog(self._folder, self.name.prefix, number, self._lease, epoch, self.name.index)
        return self.newest
