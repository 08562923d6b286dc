"""One stay of one participant, into its log: which kind of run is due, and the sound, which goes on from run to run.

One thread at a time. Times `t` and `due` are monotonic seconds of capture.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from recorders.config import RecorderConfig
from recorders.encoder import AudioEncoder, EncodedSound, VideoEncoder
from recorders.errors import RecorderError
from recorders.formats import AudioCodec, VideoCodec
from recorders.individual.h264 import describe, parameter_sets
from recorders.individual.runs import Made, Passed, Run, SoundOnly
from recorders.individual.user_log import UserLog
from recorders.log.cmaf import CmafWriter
from recorders.log.tracks import VideoTrack
from recorders.native.layout import Cell
from recorders.native.scene import Picture, Sound
from recorders.native.stage import Participant, Stage
from recorders.sources.base import EncodedFrame
from recorders.spec import AudioSpec, ChannelSpec, VideoSpec

# Who has come is given so long to be seen, before there is a tile.
_FIRST_PICTURE_S = 1.0
# A keyframe is asked for a little before a part is long enough, and again while none comes.
_ASK_AHEAD_S = 0.15
_ASK_AGAIN_S = 0.5
# A part that ends at another's keyframes may be shorter by this than ours.
_SLACK_S = 0.25
# Pictures that bring no keyframe for so long are not passed on: the part that is open would grow without bound.
_LONGEST_S = 30.0
# Sound below this (of 1) is silence: -60 dB.
_SILENCE = 0.001


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for everybody. `zero` is the monotonic time of media time 0, which is `epoch` (Unix seconds)."""

    subject: ChannelSpec
    config: RecorderConfig
    video: VideoSpec | None
    video_codec: VideoCodec
    audio: AudioSpec | None
    audio_codec: AudioCodec
    zero: float
    epoch: float
    keyframe: Callable[[str], None]
    count: Callable[[str, int], None]


class _Alone:
    """The stage as the composite of one sees it."""

    def __init__(self, participant: Participant, count: Callable[[str, int], None]) -> None:
        self.roster = [participant]
        self.count = count
        self._new = True

    def advance(self, t: float) -> bool:
        new, self._new = self._new, False
        return new

    def listening(self) -> Sequence[Participant]:
        return self.roster

    def arranged(self, cells: Sequence[Cell]) -> None:
        """Pictures are passed through as large as they come."""


class Person:
    """Writes from `begin` on whatever `advance` finds due."""

    def __init__(self, participant: Participant, log: UserLog, terms: Terms, begin: float) -> None:
        self.log = log
        self.active = False  # whether it was seen or heard since the last look
        self._participant = participant
        self._terms = terms
        self._begin = begin
        self._alone = cast(Stage, _Alone(participant, terms.count))
        self._run: Run | None = None
        self._picture: Picture | None = None
        self._seen_at = begin
        self._key_at = begin
        self._asked_at = float("-inf")
        self._needs_key = True
        self._pending: list[EncodedSound] = []  # sound that is ready before there is a run
        self._sound: Sound | None = None
        self._audio: AudioEncoder | None = None
        if terms.audio is None:
            participant.audio.close()
        else:
            start = round((begin - terms.zero) * terms.audio.sample_rate)
            self._sound = Sound(self._alone, terms.audio, zero=terms.zero, start=start, delay=0.0)
            self._audio = AudioEncoder(terms.audio, terms.audio_codec)

    @property
    def making(self) -> bool:
        """Whether its pictures are made by us, which costs much."""
        return isinstance(self._run, Made)

    def advance(self, due: float) -> None:
        """Write what was captured up to `due`."""
        self.active = False
        if self._terms.video is None:
            if self._run is None:
                self._begin_run(SoundOnly(self._writer(None)))
        else:
            self._see(due)
        self._hear(due)

    def close(self, due: float) -> None:
        """The stay ends at `due`."""
        self.advance(due)
        if self._run is None and due > self._begin:
            self._make(due)
            self._hear(due)
        if self._audio is not None and self._run is not None:
            self._write_sound(self._audio.flush())
        if self._run is not None:
            self._run.close(due - self._terms.zero)
            self._run = None
        self.log.ended = due

    def abandon(self) -> None:
        """Close what can be closed, after an error."""
        if self._run is not None:
            with contextlib.suppress(RecorderError):
                self._run.writer.close()

    def _see(self, due: float) -> None:
        feed, off = self._participant.video, self._participant.camera_off
        frames = feed.encoded("h264", due) if self._terms.video_codec == "h264" else None
        if frames is None:
            self._make(due)
            return
        for frame in frames:
            if not off:
                self._pass(frame)
        if isinstance(self._run, Passed):
            if off or due - self._seen_at > self._absent_after or due - self._key_at > _LONGEST_S:
                self._make(due)
            elif time.monotonic() - feed.key_at > self._part_seconds - _ASK_AHEAD_S:
                self._ask()
        elif self._run is not None or off or due - self._begin > _FIRST_PICTURE_S:
            self._make(due)

    def _pass(self, frame: EncodedFrame) -> None:
        """One picture as it is; without what it is predicted from, it is left out."""
        run = self._run
        if frame.key:
            sets = parameter_sets(frame.data) or parameter_sets(frame.extradata or b"")
            self._needs_key = False
            if not isinstance(run, Passed) or (sets and sets != run.sets):
                track = describe(sets, frame.data)
                self._needs_key = track is None
                if track is not None:
                    at = self._turn(self._begin if run is None else frame.t)
                    run = Passed(self._writer(track), sets, at)
                    self._begin_run(run)
            self._hear(frame.t)
            self._key_at = frame.t
        if self._needs_key or not isinstance(run, Passed):
            self._terms.count("frames_dropped", 1)
            self._ask()
            return
        run.put(frame, frame.t - self._terms.zero)
        self._seen_at = frame.t
        self.active = True
        self._terms.count("frames", 1)

    def _make(self, due: float) -> None:
        """Pictures of ours up to `due`."""
        terms, run = self._terms, self._run
        assert terms.video is not None
        if not isinstance(run, Made):
            at = self._turn(self._begin if run is None else due)
            encoder = VideoEncoder(terms.video, terms.config.encoder, self._part_seconds, terms.video_codec)
            if self._picture is None:
                self._picture = Picture(
                    self._alone, terms.subject, terms.video, delay=0.0, absent_after=self._absent_after
                )
            run = Made(
                self._writer(Made.track_of(encoder)),
                encoder,
                self._picture,
                self._participant,
                rate=terms.video.frame_rate,
                part_seconds=self._part_seconds,
                begin=at,
                zero=terms.zero,
            )
            self._begin_run(run)
        late = run.until(due - terms.zero)
        terms.count("frames_late", late)
        self.active = self.active or run.alive

    def _hear(self, t: float) -> None:
        if self._sound is None or self._audio is None or self._terms.audio is None:
            return
        position = self._sound.position
        pcm = self._sound.until(round((t - self._terms.zero) * self._terms.audio.sample_rate))
        if len(pcm):
            self.active = self.active or float(np.abs(pcm).max()) > _SILENCE
            self._write_sound(self._audio.encode(pcm, position))

    def _write_sound(self, packets: list[EncodedSound]) -> None:
        if self._run is None:
            self._pending += packets
            return
        for data, sample, samples in packets:
            self._run.writer.audio(data, sample, samples)

    def _turn(self, t: float) -> float:
        """End the run that there is at `t`, or as soon after as it can; the media time at which the next one begins."""
        at = t - self._terms.zero
        if self._run is not None:
            at = max(at, self._run.reached)
            self._hear(t)
            self._run.close(at)
            self._run = None
        return at

    def _begin_run(self, run: Run) -> None:
        self._run = run
        pending, self._pending = self._pending, []
        self._write_sound(pending)

    def _writer(self, video: VideoTrack | None) -> CmafWriter:
        return CmafWriter(
            self.log.next_run(self._terms.epoch),
            video=video,
            audio=self._audio.track if self._audio is not None else None,
            part_seconds=self._part_seconds,
            epoch=self._terms.epoch,
            slack=_SLACK_S if video is not None else None,
        )

    def _ask(self) -> None:
        now = time.monotonic()
        if now - self._asked_at >= _ASK_AGAIN_S:
            self._asked_at = now
            self._terms.keyframe(self._participant.uid)

    @property
    def _part_seconds(self) -> float:
        return self._terms.config.log.part_seconds

    @property
    def _absent_after(self) -> float:
        return self._terms.config.native.absent_after_s
