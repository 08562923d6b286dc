"""What is seen and heard at a moment of output: the stage through layout, compositor and mixer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import av

from recorders.native.compositor import Compositor
from recorders.native.layout import arrange
from recorders.native.mixer import Mixer, Samples
from recorders.native.stage import Participant, Stage
from recorders.spec import AudioSpec, ChannelSpec, VideoSpec

# Sound is decoded this far ahead of the output; less than the mixer's ring.
_HORIZON_S = 3.0
# From so many participants on, half of them are decoded in a second thread, so that many fit into one tick.
_SHARED = 4


class Picture:
    """The composited picture; moments are monotonic seconds of output, `delay` (s) behind capture."""

    def __init__(
        self, stage: Stage, subject: ChannelSpec, video: VideoSpec, *, delay: float, absent_after: float
    ) -> None:
        self._stage = stage
        self._subject = subject
        self._half_frame = 0.5 / video.frame_rate
        self._delay = delay
        self._absent_after = absent_after
        self._size = (video.width, video.height)
        self._compositor = Compositor(video.width, video.height)
        self._second = ThreadPoolExecutor(1, "decode")
        self.alive = False  # whether anybody's camera is seen

    def at(self, moment: float) -> av.VideoFrame:
        """The picture of that moment; the same frame object every time, so encode it before the next call."""
        due = moment - self._delay
        compositor, stage = self._compositor, self._stage
        if stage.advance(due):
            seats = [participant.seat for participant in stage.roster]
            subject = self._subject
            cells = arrange(subject.layout, seats, *self._size, users=subject.users, regions=subject.regions)
            compositor.arrange(cells)
            stage.arranged(cells)
        self.alive = False
        for participant, picture in zip(stage.roster, self._due(due + self._half_frame), strict=True):
            if picture is not None:
                participant.picture_at = moment
            at = participant.picture_at
            if participant.camera_off or at is None or moment - at > self._absent_after:
                compositor.show(participant.uid, None)
                continue
            self.alive = True
            if picture is not None:
                compositor.show(participant.uid, picture)
        compositor.compose()
        return compositor.canvas

    def _due(self, t: float) -> list[av.VideoFrame | None]:
        """Everybody's next picture, in the order of the roster."""

        def decode(participants: Sequence[Participant]) -> list[av.VideoFrame | None]:
            return [participant.video.due(t) for participant in participants]

        roster = self._stage.roster
        if len(roster) < _SHARED:
            return decode(roster)
        half = len(roster) // 2
        others = self._second.submit(decode, roster[half:])
        return decode(roster[:half]) + others.result()

    @property
    def still(self) -> av.VideoFrame:
        """The picture as it was last."""
        return self._compositor.canvas


class Sound:
    """The mix, read once from sample `start` on; sample m is heard at `zero` + m / sample rate (monotonic)."""

    def __init__(self, stage: Stage, audio: AudioSpec, *, zero: float, start: int, delay: float) -> None:
        self._stage = stage
        self._rate = audio.sample_rate
        self._zero = zero
        self._delay = delay
        self._mixer = Mixer(audio.sample_rate, audio.channels, start)
        self._present: set[str] = set()
        self._late = 0

    @property
    def position(self) -> int:
        """The next sample to be read."""
        return self._mixer.position

    def until(self, sample: int) -> Samples:
        """Everything from `position` up to `sample`, as (n, channels)."""
        horizon = self._zero + sample / self._rate - self._delay + _HORIZON_S
        mixer = self._mixer
        present = set()
        for participant in self._stage.listening():
            present.add(participant.uid)
            for sound, t in participant.audio.until(horizon):
                mixer.add(participant.uid, sound, t - self._zero + self._delay)
        for uid in self._present - present:
            mixer.forget(uid)
        self._present = present
        if mixer.late > self._late:
            self._stage.count("audio_late", mixer.late - self._late)
            self._late = mixer.late
        return mixer.read(max(0, sample - mixer.position))
