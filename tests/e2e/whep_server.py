"""A small WHEP endpoint on aiortc: each user is a clip, stream copied, from its beginning for whoever asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
from aiortc import MediaStreamError, MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av.bitstream import BitStreamFilterContext
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recorders.sources.rtc_ice import IceSettings, offer_addresses
from tests.e2e.whip_front import http_server


class _Played(MediaStreamTrack):
    """One stream of a clip at its own speed; both streams of a session share `begun`."""

    def __init__(self, clip: Path, kind: str, begun: float) -> None:
        super().__init__()
        self.kind = kind
        self._begun = begun
        self._container = av.open(str(clip))
        stream = self._container.streams.video[0] if kind == "video" else self._container.streams.audio[0]
        annex_b = BitStreamFilterContext("h264_mp4toannexb", stream) if kind == "video" else None
        packets = self._container.demux(stream)
        self._packets = (one for packet in packets for one in (annex_b.filter(packet) if annex_b else (packet,)))

    async def recv(self) -> av.Packet[Any]:
        packet = next(self._packets, None)
        if packet is None or packet.pts is None or packet.time_base is None:
            raise MediaStreamError  # the clip is over
        await asyncio.sleep(max(0.0, self._begun + float(packet.pts * packet.time_base) - time.monotonic()))
        return packet

    def stop(self) -> None:
        super().stop()
        self._container.close()


class WhepServer:
    """`clips` may change at any time; a user without one is a 404, or what `refusals` has."""

    def __init__(self, token: str, clips: dict[str, Path]) -> None:
        self.clips = clips
        self.refusals: dict[str, int] = {}
        self.asked: list[tuple[str, int]] = []  # (user, status)
        self.sessions: dict[str, RTCPeerConnection] = {}
        self._token = token

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """On a free port of 127.0.0.1; yields the URL template. Requests are redirected once, as by a load balancer."""

        async def redirect(request: Request) -> Response:
            user = request.path_params["user"]
            return Response(status_code=307, headers={"Location": f"/edge/whep/{user}?{request.url.query}"})

        routes = [
            Route("/{channel}/{user}/whep", redirect, methods=["POST"]),
            Route("/edge/whep/{user}", self._play, methods=["POST"]),
            Route("/session/{number}", self._leave, methods=["DELETE"]),
        ]
        async with http_server(Starlette(routes=routes)) as origin:
            try:
                yield origin + "/{channel}/{user}/whep?app={app_id}"
            finally:
                for number in list(self.sessions):
                    await self.hang_up(number)

    async def hang_up(self, number: str) -> None:
        """End a session from this side."""
        if (connection := self.sessions.pop(number, None)) is not None:
            await connection.close()

    async def _play(self, request: Request) -> Response:
        user = request.path_params["user"]
        status = 201 if user in self.clips else self.refusals.get(user, 404)
        if request.headers.get("authorization") != f"Bearer {self._token}":
            status = 401
        assert request.headers["content-type"] == "application/sdp"
        self.asked.append((user, status))
        if status != 201:
            return Response(status_code=status)
        connection, begun = RTCPeerConnection(RTCConfiguration([])), time.monotonic()
        number = f"{user}-{len(self.asked)}"
        self.sessions[number] = connection
        await connection.setRemoteDescription(RTCSessionDescription((await request.body()).decode(), "offer"))
        for transceiver in connection.getTransceivers():
            kind = transceiver.kind
            assert transceiver._offerDirection == "sendonly", "the client only receives"
            transceiver.sender.replaceTrack(_Played(self.clips[user], kind, begun))
            transceiver.direction = "sendonly"
            if kind == "video":
                codec = next(codec for codec in transceiver._codecs if codec.name == "H264")
                repairs = [c for c in transceiver._codecs if c.parameters.get("apt") == codec.payloadType]
                transceiver._codecs = [codec, *repairs]
        offer_addresses(connection.getTransceivers(), IceSettings("127.0.0.1"))
        await connection.setLocalDescription(await connection.createAnswer())
        headers = {"Location": f"../../session/{number}"}
        return Response(connection.localDescription.sdp, 201, headers, "application/sdp")

    async def _leave(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return Response(status_code=401)
        await self.hang_up(request.path_params["number"])
        return Response(status_code=200)
