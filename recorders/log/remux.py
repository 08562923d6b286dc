"""One file from the parts of a log, without re-encoding."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.bitstream import BitStreamFilterContext

from recorders.formats import Codecs
from recorders.log.index import Index, Part


class _Joined(io.RawIOBase):
    """Files read one after the other as if they were one, without holding more than a read's worth."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = iter(paths)
        self._file: Any = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while True:
            if self._file is None:
                path = next(self._paths, None)
                if path is None:
                    return b""
                self._file = path.open("rb")
            data: bytes = self._file.read(size)
            if data:
                return data
            self._file.close()
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def remux(folder: Path, index: Index, codecs: Codecs, target: Path) -> None:
    """Write all parts into one file at `target`, beginning at the first; a gap between attempts stays a gap.

    MP4 has its index in front. Raises av.FFmpegError when a part cannot be read.
    """
    attempts = [parts for parts in _by_attempt(index) if parts]
    inits = [folder / index.attempt_of(parts[0]).init for parts in attempts]
    options = {"movflags": "faststart"} if codecs.container in ("mp4", "ipod") else {}
    with av.open(str(target), "w", format=codecs.container, container_options=options) as out:
        joiner = _Joiner(out, self_describing=_configurations(inits) > 1)
        end = Fraction(0)
        for init, parts in zip(inits, attempts, strict=True):
            # An attempt that begins before the last one ended (its clock differs) is put behind it, sound with picture.
            begin = end if parts is attempts[0] else max(end, Fraction(parts[0].start) + joiner.shift)
            joiner.shift = begin - Fraction(parts[0].start)
            with _Joined([init, *(folder / part.name for part in parts)]) as joined:
                joiner.add(joined)
            end = Fraction(parts[-1].start) + Fraction(parts[-1].duration) + joiner.shift


class _Joiner:
    """The streams of attempt after attempt, as those of one file; times are shifted by `shift` seconds.

    One file describes its H.264 once. Where attempts differ in that, every keyframe brings its parameter sets with
    it (`self_describing`).
    """

    def __init__(self, out: Any, *, self_describing: bool) -> None:
        self.shift = Fraction(0)
        self._out = out
        self._self_describing = self_describing
        self._streams: dict[str, Any] = {}
        self._ends: dict[str, Fraction] = {}

    def add(self, joined: io.RawIOBase) -> None:
        """All packets of one attempt."""
        with av.open(cast(Any, joined), format="mp4") as source:
            streams = [stream for stream in source.streams if stream.type in ("video", "audio")]
            for stream in streams:
                if stream.type not in self._streams:
                    self._streams[stream.type] = self._out.add_stream_from_template(stream, opaque=True)
            filters = {stream.index: self._filter(stream) for stream in streams}
            for packet in source.demux(streams):
                if packet.dts is not None:
                    self._put(packet, filters[packet.stream.index])

    def _filter(self, stream: Any) -> BitStreamFilterContext | None:
        if not self._self_describing or stream.codec_context.name != "h264":
            return None
        # Gives the output its Annex B description too, by which the muxer knows what it gets.
        return BitStreamFilterContext("h264_mp4toannexb", stream, self._streams[stream.type])

    def _put(self, packet: Any, annex_b: BitStreamFilterContext | None) -> None:
        kind, shift = packet.stream.type, round(self.shift / packet.time_base)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        start = packet.dts * packet.time_base
        if start < self._ends.get(kind, start):
            return  # a packet of sound that began before the end of the attempt before
        self._ends[kind] = start + (packet.duration or 0) * packet.time_base
        time_base = packet.time_base
        for done in annex_b.filter(packet) if annex_b else (packet,):
            done.time_base = time_base
            done.stream = self._streams[kind]
            self._out.mux(done)


def _by_attempt(index: Index) -> Iterator[list[Part]]:
    for attempt in index.attempts:
        yield [part for part in index.parts if part.attempt == attempt.attempt]


def _configurations(inits: Iterable[Path]) -> int:
    """How many different descriptions of pictures there are."""
    found: set[bytes] = set()
    for init in inits:
        with av.open(str(init), format="mp4") as source:
            found |= {bytes(stream.codec_context.extradata or b"") for stream in source.streams.video}
    return len(found)
