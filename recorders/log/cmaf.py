"""Encoded packets in, CMAF parts out: FFmpeg's MP4 muxer writing to memory, cut at keyframes.

Why not FFmpeg's own HLS muxer: `docs/decisions/0001-parts-from-memory.md`.
"""

from __future__ import annotations

import io
import math
from fractions import Fraction
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.container.output import OutputContainer
from av.video.codeccontext import VideoCodecContext

from recorders.errors import RecorderError
from recorders.log import files
from recorders.log.boxes import Fragment, Fragmenter
from recorders.log.index import Slate, within
from recorders.log.journal import Heading, Journal, Kind, Packet
from recorders.log.segment_log import SegmentLog
from recorders.log.tracks import UNSPECIFIED, AudioTrack, VideoTrack
from recorders.log.window import Window

_MOVFLAGS = "cmaf+frag_keyframe+empty_moov+default_base_moof+frag_discont"
_ENCODERS = {"h264": "libx264", "vp9": "libvpx-vp9", "aac": "aac", "opus": "libopus"}


class _Memory(io.RawIOBase):
    """Where the muxer writes; no seeking, so that it never comes back to what is gone."""

    def __init__(self, fragmenter: Fragmenter) -> None:
        self._fragmenter = fragmenter

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._fragmenter.feed(bytes(data))
        return len(data)


def slack_of(video: VideoTrack | None) -> float:
    """Seconds that are none in a stretch of pictures: half of one."""
    return 0.5 / video.frame_rate if video else 0.05


class Muxer:
    """Encoded packets to an init section and fragments; one thread at a time.

    A fragment ends at each keyframe; without pictures, after about `part_seconds`.
    """

    def __init__(self, video: VideoTrack | None, audio: AudioTrack | None, part_seconds: float) -> None:
        self._fragmenter = Fragmenter()
        options = {"movflags": _MOVFLAGS}
        if video is None:
            options = {
                "movflags": _MOVFLAGS.replace("frag_keyframe+", ""),
                "frag_duration": str(round(part_seconds * 1_000_000)),
            }
        self._muxer: OutputContainer = av.open(
            cast(Any, _Memory(self._fragmenter)), "w", format="mp4", container_options=options
        )
        self._streams: dict[Kind, tuple[Any, Fraction]] = {}
        if video is not None:
            self._streams["video"] = (self._add_video(video), Fraction(1, video.frame_rate))
        if audio is not None:
            self._streams["audio"] = (self._add_audio(audio), Fraction(1, audio.sample_rate))

    @property
    def init(self) -> bytes:
        """The init section, empty before the first packet."""
        return self._fragmenter.init

    def put(self, packet: Packet) -> None:
        """The next packet of its track."""
        stream, time_base = self._streams[packet.kind]
        out = av.Packet(packet.data)
        out.stream = stream
        out.time_base = time_base
        out.pts = out.dts = packet.time
        out.duration = packet.duration
        out.is_keyframe = packet.key
        self._muxer.mux_one(out)

    def take(self) -> list[Fragment]:
        """The fragments completed since the last call."""
        return self._fragmenter.take()

    def ends(self, fragment: Fragment) -> dict[Kind, int]:
        """Where each of its tracks ends, in pictures or samples since the epoch."""
        tracks = enumerate(self._streams.items(), 1)
        return {
            kind: round(fragment.ends[n] * time_base.denominator)
            for n, (kind, (_, time_base)) in tracks
            if n in fragment.ends
        }

    def close(self) -> None:
        """Complete the last fragment."""
        self._muxer.close()

    def _add_video(self, track: VideoTrack) -> Any:
        stream = self._add(track.codec, track.frame_rate)
        context = cast(VideoCodecContext, stream.codec_context)
        context.width, context.height, context.pix_fmt = track.width, track.height, "yuv420p"
        if track.matrix != UNSPECIFIED:
            context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, track.matrix, 1, 1
        if track.extradata:
            context.extradata = track.extradata
        return stream

    def _add_audio(self, track: AudioTrack) -> Any:
        stream = self._add(track.codec, track.sample_rate)
        context = cast(AudioCodecContext, stream.codec_context)
        context.sample_rate = track.sample_rate
        context.layout = "mono" if track.channels == 1 else "stereo"
        context.extradata = track.extradata
        return stream

    def _add(self, codec: str, rate: int) -> Any:
        """A stream that takes packets of another's encoder: PyAV opens no encoder for a stream made from a template."""
        with av.open(io.BytesIO(), "w", format="mp4") as scratch:
            return self._muxer.add_stream_from_template(scratch.add_stream(_ENCODERS[codec], rate=rate))


class CmafWriter:
    """One attempt's tracks into its log; one thread at a time.

    Times count from the recording's epoch (Unix seconds of media time 0): picture `n` is shown at
    `n / frame_rate`, sound by its sample index. A part ends at the first keyframe `part_seconds` or more after
    its start, or less by `slack` (seconds; half a picture); without pictures, sound is cut at about that length.
    What is not in a part yet is in the journal.
    What is not in `window` is left out; the last part is closed as soon as all up to the window's end has come.
    Once the log has refused something (its error is raised as it is) nothing more is written, so that an attempt has
    no holes.
    """

    def __init__(
        self,
        log: SegmentLog,
        *,
        video: VideoTrack | None,
        audio: AudioTrack | None,
        part_seconds: float,
        epoch: float,
        window: Window | None = None,
        slack: float | None = None,
    ) -> None:
        self._log = log
        self._window = window or Window()
        self._window.expects(part_seconds, video is not None)
        self._rates: dict[Kind, int] = {}
        if video is not None:
            self._rates["video"] = video.frame_rate
        if audio is not None:
            self._rates["audio"] = audio.sample_rate
        self._seen: dict[Kind, float] = dict.fromkeys(self._rates, -math.inf)
        self._heading = Heading(log.attempt, part_seconds, epoch, video, audio)
        self._slack = slack if slack is not None else slack_of(video)
        self._muxer = Muxer(video, audio, part_seconds)
        self._journal: Journal | None = None
        self._early: list[Packet] = []  # those that are not in the journal yet
        self._held: list[bytes] = []
        self._start = 0.0
        self._duration = 0.0
        self._ends: dict[Kind, int] = {}
        self._slates: list[Slate] = []  # those that may reach into the part that is open
        self._closed = False
        self._refused = False

    def video(self, data: bytes, n: int, key: bool, duration: int = 1) -> None:
        """Picture number `n`, which stands until `n + duration`; H.264 as Annex B or length-prefixed, as the track's
        extradata is."""
        self._seen["video"] = n / self._rates["video"]
        if self._window.picture(self._seen["video"], key):
            self._put(Packet("video", n, duration, key, data))
        else:
            self._look_for_end()

    def audio(self, data: bytes, sample: int, samples: int) -> None:
        """A packet whose first sample has index `sample`, `samples` long."""
        self._seen["audio"] = sample / self._rates["audio"]
        if self._window.sound(self._seen["audio"]):
            self._put(Packet("audio", sample, samples, True, data))
        else:
            self._look_for_end()

    def slate(self, start: float, end: float, why: str) -> None:
        """What comes next of this stretch (media seconds) is slate; for the manifest."""
        before = self._slates[-1] if self._slates else None
        if before is not None and before.why == why and before.end >= start - self._slack:
            self._slates[-1] = Slate(before.start, end, why)
        else:
            self._slates.append(Slate(start, end, why))
        if self._journal is not None and not self._closed:
            self._journal.slate(self._slates[-1])

    def _look_for_end(self) -> None:
        if self._window.over(self._seen.get("video"), self._seen.get("audio")):
            self.close()
            self._window.passed.set()

    def close(self) -> None:
        """Flush and close the last part; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._muxer.close()
        if not self._refused:
            self._collect(math.inf)
            self._append()
            if self._journal is not None:
                self._journal.close()

    def _put(self, packet: Packet) -> None:
        if self._closed or self._refused:
            raise RecorderError("The recording's log is closed.")
        self._muxer.put(packet)
        self._early.append(packet)
        try:
            self._collect(self._seen[packet.kind])
        except BaseException:
            self._refused = True
            raise
        if self._journal is not None:
            for each in self._early:
                self._journal.add(each)
            self._early.clear()

    def _collect(self, reached: float) -> None:
        if self._journal is None:
            if not (self._muxer.init and self._early and self._window.may_begin(reached)):
                return
            log, heading = self._log, self._heading
            log.begin(heading.epoch, self._muxer.init, heading.part_seconds)
            self._journal = Journal(log.folder / files.journal_name(log.prefix, log.attempt), heading)
            for slate in self._slates:
                self._journal.slate(slate)
        for fragment in self._muxer.take():
            if not self._held:
                self._start, self._duration = fragment.start, 0.0
            self._held.append(fragment.data)
            self._duration += fragment.duration
            self._ends |= self._muxer.ends(fragment)
            if self._duration >= self._heading.part_seconds - self._slack:
                self._append()

    def _append(self) -> None:
        if self._held:
            data, self._held = b"".join(self._held), []
            end = self._start + self._duration
            slates = within(self._slates, self._start, end, self._slack)
            self._log.append(data, start=self._start, duration=self._duration, slates=slates)
            self._slates = [each for each in self._slates if each.end > end]
            if self._journal is not None:
                self._journal.cut(self._ends, self._slates)
