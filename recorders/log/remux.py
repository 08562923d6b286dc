"""One file from the parts of a log, without re-encoding."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import av

from recorders.formats import Codecs
from recorders.log.index import Index


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
    """Write all parts into one file at `target`; times are kept, so a gap between attempts stays a gap.

    MP4 has its index in front. Raises av.FFmpegError when a part cannot be read.
    """
    options = {"movflags": "faststart"} if codecs.container in ("mp4", "ipod") else {}
    with av.open(str(target), "w", format=codecs.container, container_options=options) as out:
        streams: dict[str, Any] = {}
        last_dts: dict[str, int] = {}
        for paths in _attempts(folder, index):
            with av.open(cast(Any, _Joined(paths)), format="mp4") as source:
                for stream in source.streams:
                    if stream.type in ("video", "audio") and stream.type not in streams:
                        streams[stream.type] = out.add_stream_from_template(stream, opaque=True)
                for packet in source.demux():
                    kind = packet.stream.type
                    if packet.dts is None or kind not in streams:
                        continue
                    if packet.dts <= last_dts.get(kind, -1):
                        continue  # an attempt's first packets may overlap the last ones of the attempt before
                    last_dts[kind] = packet.dts
                    packet.stream = streams[kind]
                    out.mux(packet)


def _attempts(folder: Path, index: Index) -> Iterator[list[Path]]:
    """The files of each attempt that has parts, init section first."""
    for attempt in index.attempts:
        parts = [folder / part.name for part in index.parts if part.attempt == attempt.attempt]
        if parts:
            yield [folder / attempt.init, *parts]
