"""What is seen and heard at a moment of output: the stage through layout, compositor and mixer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import av

from recorders.native.compositor import Compositor
from recorders.native.layout import Seat, arrange
from recorders.native.mixer import Mixer, Samples, runs
from recorders.native.planes import Planes
from recorders.native.speaker import Speakers
from recorders.native.stage import Coming, Participant, Stage
from recorders.spec import AudioSpec, ChannelSpec, VideoSpec

# Sound is decoded this far ahead of the output; less than the mixer's ring.
_HORIZON_S = 3.0
# From so many participants on, half of them are decoded in a second thread, so that many fit into one tick; to hand
# them over costs as much as a twentieth of the decoding of four.
_SHARED = 9
# Who comes has a place from its first picture on, so that no tile flashes up before it; without one after so long.
_FIRST_PICTURE_S = 0.5


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """What cells depend on while a recording goes on."""

    seats: tuple[Seat, ...]
    large: str | None
    tall: bool | None


class Picture:
    """The composited picture; moments are monotonic seconds of output, `delay` (s) behind capture.

    `speakers` tells who is large in a spotlight by speaker.
    """

    def __init__(
        self,
        stage: Stage,
        subject: ChannelSpec,
        video: VideoSpec,
        *,
        delay: float,
        absent_after: float,
        background: Planes | None = None,
        speakers: Speakers | None = None,
    ) -> None:
        self._stage = stage
        self._subject = subject
        self._half_frame = 0.5 / video.frame_rate
        self._delay = delay
        self._absent_after = absent_after
        self._size = (video.width, video.height)
        self._compositor = Compositor(video.width, video.height, background, labels=subject.labels)
        self._speakers = speakers
        self._undrawn = 0
        self._arranged: _Arrangement | None = None
        self._second = ThreadPoolExecutor(1, "decode")
        self.alive = False  # whether anybody's camera is seen

    def ahead(self, moments: Sequence[float]) -> None:
        """Decode what is due at each of the next moments, and shrink it, of one participant after the other.

        What a decoder works with and has just decoded stays in the processor's cache. Of all but the newest pictures
        only what will be seen is kept.
        """
        times = [moment - self._delay for moment in moments]
        roster = self._stage.roster
        half = len(roster) // 2 if len(roster) >= _SHARED else len(roster)
        others = self._second.submit(self._decode, roster[half:], times) if half < len(roster) else None
        self._decode(roster[:half], times)
        if others is not None:
            others.result()

    def _decode(self, participants: Sequence[Participant], times: Sequence[float]) -> None:
        for participant in participants:
            coming = participant.coming
            while len(coming) > 1:  # not shown, for there was no time for it
                coming.popleft()
            for t in times:
                picture = participant.video.due(t + self._half_frame)
                if picture is None:
                    continue
                if coming:
                    coming[-1].picture = coming[-1].drawn or coming[-1].picture
                coming.append(Coming(t, picture, self._compositor.shrunk(participant.uid, picture)))
            participant.decoded = times[-1]

    def at(self, moment: float) -> av.VideoFrame:
        """The picture of that moment; the same frame object every time, so encode it before the next call."""
        due = moment - self._delay
        compositor, stage = self._compositor, self._stage
        stage.advance(due)
        self.alive = False
        for participant in stage.roster:
            coming = self._due(participant, due)
            self._look_at(participant, coming.picture if coming else None, moment)
            self._show(participant, coming.drawn if coming else None)
        if self._arrange(moment):
            for participant in stage.roster:
                self._show(participant)
        compositor.compose()
        if compositor.undrawn > self._undrawn:
            stage.count("frames_undrawn", compositor.undrawn - self._undrawn)
            self._undrawn = compositor.undrawn
        return compositor.canvas

    def _due(self, participant: Participant, t: float) -> Coming | None:
        """Its newest picture to be seen at `t`, once."""
        found, within = None, t + self._half_frame
        while participant.coming and participant.coming[0].t <= within:
            found = participant.coming.popleft()
        if participant.decoded < t - self._half_frame and (picture := participant.video.due(within)) is not None:
            found = Coming(t, picture, None)  # who has come since, for example
        return found

    def _look_at(self, participant: Participant, picture: av.VideoFrame | None, moment: float) -> None:
        """Which picture of it is to be seen, and whether it has a place."""
        if participant.camera_off:
            participant.picture = participant.picture_at = None
        elif picture is not None:
            participant.picture, participant.picture_at = picture, moment
            participant.tall = picture.height > picture.width
        at = participant.picture_at
        recent = at is not None and moment - at <= self._absent_after
        self.alive = self.alive or recent
        if participant.seat.sharers:  # a screen may stand still as long as it likes; off, it is no tile
            participant.shown = participant.seated = at is not None
            return
        participant.shown = recent
        waited = moment - self._delay - participant.since >= _FIRST_PICTURE_S
        participant.seated = participant.seated or recent or participant.camera_off or waited

    def _show(self, participant: Participant, drawn: av.VideoFrame | None = None) -> None:
        self._compositor.show(participant.uid, participant.picture if participant.shown else None, drawn)

    def _arrange(self, moment: float) -> bool:
        """Move cells if those who are there, or their pictures' shape, ask for it; tells whether it was so."""
        roster = [participant for participant in self._stage.roster if participant.seated]
        seats = tuple(participant.seat for participant in roster)
        tall = sum(0 if one.tall is None else 1 if one.tall else -1 for one in roster)
        arranged = _Arrangement(
            seats,
            self._speakers.at(moment, {seat.uid for seat in seats}) if self._speakers else None,
            tall > 0 if tall else None,
        )
        if arranged == self._arranged:
            return False
        self._arranged = arranged
        subject = self._subject
        cells = arrange(
            subject.layout,
            seats,
            *self._size,
            users=subject.users,
            regions=subject.regions,
            large=arranged.large,
            tall=arranged.tall,
        )
        self._compositor.arrange(cells)
        self._stage.arranged(cells)
        return True

    @property
    def still(self) -> av.VideoFrame:
        """The picture as it was last."""
        return self._compositor.canvas


class Sound:
    """The mix, read once from sample `start` on; sample m is heard at `zero` + m / sample rate (monotonic).

    `speakers` are told of everybody's.
    """

    def __init__(
        self,
        stage: Stage,
        audio: AudioSpec,
        *,
        zero: float,
        start: int,
        delay: float,
        speakers: Speakers | None = None,
    ) -> None:
        self._stage = stage
        self._rate = audio.sample_rate
        self._zero = zero
        self._delay = delay
        self._speakers = speakers
        self._mixer = Mixer(audio.sample_rate, audio.channels, start, self._heard if speakers else None)
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
            for run, t in runs(participant.audio.until(horizon)):
                mixer.add(participant.uid, run, t - self._zero + self._delay)
        for uid in self._present - present:
            mixer.forget(uid)
        self._present = present
        if mixer.late > self._late:
            self._stage.count("audio_late", mixer.late - self._late)
            self._late = mixer.late
        return mixer.read(max(0, sample - mixer.position))

    def _heard(self, uid: str, until: int, pcm: Samples) -> None:
        if self._speakers:
            self._speakers.heard(uid, self._zero + until / self._rate, pcm, self._rate)
