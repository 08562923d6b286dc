"""The render thread of an individual recording: several times a second, everybody's log is brought up to date.

Media time is the time of capture since the recording's epoch, in all logs the same; it is written when
`playout_delay_ms` more have passed.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from recorders.config import RecorderConfig
from recorders.errors import InvalidSpec
from recorders.formats import codecs_of, wanted
from recorders.individual.keys import key_of
from recorders.individual.person import Person, Terms
from recorders.individual.user_log import UserLog
from recorders.lease import Lease
from recorders.log import files
from recorders.log.segment_log import SegmentLog
from recorders.native.deadline import Deadline
from recorders.native.stage import Participant, Stage
from recorders.spec import ChannelSpec, RecordingSpec

# How often logs are brought up to date. Pictures have their own times, so nothing is seen of it.
_LOOK_S = 0.1


class IndividualRenderer:
    """Writes what is on the stage until `end`; `run` is called once, in a thread of its own.

    Raises `InvalidSpec` where the prefix has no place for the user.
    """

    def __init__(
        self,
        spec: RecordingSpec,
        subject: ChannelSpec,
        config: RecorderConfig,
        stage: Stage,
        lease: Lease,
        keyframe: Callable[[str], None],
    ) -> None:
        if files.USER not in spec.prefix:
            raise InvalidSpec(f"The prefix of an individual recording must hold {files.USER}.")
        self.epoch: float | None = None
        self.first_frame_at: float | None = None  # Unix time
        self.active_at = time.monotonic()  # when somebody was last seen or heard
        self._spec = spec
        self._subject = subject
        self._config = config
        self._stage = stage
        self._lease = lease
        self._keyframe = keyframe
        self._delay = config.native.playout_delay_ms / 1000
        self._logs: dict[str, UserLog] = {}
        self._people: dict[Participant, Person] = {}
        self._looked = 0.0  # up to when everything is written (monotonic seconds of capture)
        self._end = Deadline()

    @property
    def logs(self) -> Sequence[SegmentLog]:
        """Everybody's, who has been there, by name. Any thread."""
        return [log.newest for _, log in sorted(self._logs.copy().items())]

    def end(self, at: float) -> None:
        """Write up to `at` (monotonic) and no further; the earliest of several ends counts. Any thread."""
        self._end.set(at)

    def run(self, begun: Callable[[], None]) -> None:
        """Blocks until the end; calls `begun` when it is ready for participants.

        Raises `RecorderError`; whatever was written until then is in the logs.
        """
        terms = self._begin()
        self._looked = time.monotonic() - self._delay
        begun()
        moment = -math.inf
        pool = ThreadPoolExecutor(os.cpu_count() or 1, "person")
        try:
            while moment < self._end.at:
                self._end.wait(time.monotonic() + _LOOK_S)
                moment = min(time.monotonic(), self._end.at)
                self._update(moment - self._delay, terms, pool)
            self._dismiss(self._people, moment - self._delay, pool)
        finally:
            pool.shutdown()
            self._abandon()

    def _begin(self) -> Terms:
        """Take up the logs that there are: none of them may be lost for the one that it belongs to staying away."""
        spec = self._spec
        video, audio = wanted(spec)
        codecs = codecs_of(spec.format)
        for name in files.logs_in(Path(spec.folder), spec.prefix):
            self._logs[name.user] = UserLog(spec, name.user, self._lease)
        logs = [log.newest for log in self._logs.values()]
        known = [log.epoch for log in logs if log.epoch is not None]
        captured = time.time() - self._delay
        epoch = spec.epoch if spec.epoch is not None else min(known, default=captured)
        # A wall clock that is behind the logs, because it was set back or is another node's, goes on at their end.
        reached = max(captured - epoch, *(log.end for log in logs), 0.0)
        self.epoch = epoch
        return Terms(
            subject=replace(self._subject, users=(), layout="flat", regions=()),
            config=self._config,
            video=video,
            video_codec=codecs.video or "h264",
            audio=audio,
            audio_codec=codecs.audio,
            zero=time.monotonic() - self._delay - reached,
            epoch=epoch,
            keyframe=self._keyframe,
            count=self._stage.count,
        )

    def _update(self, due: float, terms: Terms, pool: ThreadPoolExecutor) -> None:
        self._stage.advance(due)
        roster = self._stage.roster
        self._dismiss([one for one in self._people if one not in roster], due, pool)
        for participant in roster:
            if participant not in self._people:
                log = self._log_of(participant)
                self._people[participant] = Person(participant, log, terms, max(self._looked, log.ended))
        self._looked = due
        people = list(self._people.values())
        # What costs much goes to other threads; what costs little would cost more there.
        making = [person.making for person in people]
        made = [pool.submit(person.advance, due) for person, heavy in zip(people, making, strict=True) if heavy]
        for person, heavy in zip(people, making, strict=True):
            if not heavy:
                person.advance(due)
        _all(each.result() for each in made)
        if any(person.active for person in people):
            self.active_at = time.monotonic()
            self.first_frame_at = self.first_frame_at or time.time()

    def _dismiss(self, leaving: Iterable[Participant], due: float, pool: ThreadPoolExecutor) -> None:
        gone = list(leaving)
        _all(pool.map(lambda person: person.close(due), [self._people[one] for one in gone]))
        for one in gone:
            del self._people[one]

    def _log_of(self, participant: Participant) -> UserLog:
        seat = participant.seat
        taken = {person.log.name.user for person in self._people.values()}
        key = key_of(seat.name, seat.uid, taken)
        if key not in self._logs:
            self._logs[key] = UserLog(self._spec, key, self._lease)
        return self._logs[key]

    def _abandon(self) -> None:
        """Close what a failure has left open; the failure is what is told."""
        for person in self._people.values():
            person.abandon()
        self._people.clear()


def _all(results: Iterable[None]) -> None:
    """Wait for all; raises the first error there was."""
    for _ in results:
        pass
