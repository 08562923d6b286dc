"""A bad network on one machine: a UDP proxy between a publisher and the recorder, put into the SDP they exchange."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

_ADDRESS = "127.0.0.1"
_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ \S+ \d+) \S+ \d+ typ host.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Weather:
    """Each way: `loss` and `repeats` are shares of 1, `delay` seconds, and up to `jitter` more for each packet alone,
    so that packets overtake each other. Until the first media everything is delayed only: FFmpeg does not try ICE and
    DTLS again."""

    loss: float = 0.0
    delay: float = 0.02
    jitter: float = 0.05
    repeats: float = 0.005


class Proxy:
    """One connection's. `sent` and `lost` count the publisher's packets by RTP payload type (RTCP: 72 and above)."""

    def __init__(self, weather: Weather, seed: int) -> None:
        self.sent, self.lost = Counter[int](), Counter[int]()
        self._weather = weather
        self._chance = random.Random(seed)
        self._flows = False
        self._loop = asyncio.get_running_loop()
        self._publisher, self._recorder = _Side(self, back=False), _Side(self, back=True)

    async def open(self) -> None:
        for side in (self._publisher, self._recorder):
            await self._loop.create_datagram_endpoint(lambda side=side: side, local_addr=(_ADDRESS, 0))  # type: ignore[misc]

    def close(self) -> None:
        for side in (self._publisher, self._recorder):
            side.transport.close()

    def offer(self, sdp: str) -> str:
        """The publisher's, as the recorder is to see it."""
        return _with(sdp, self._recorder.port)

    def answer(self, sdp: str) -> str:
        """The recorder's, as the publisher is to see it."""
        found = _CANDIDATE.search(sdp)
        assert found is not None, sdp
        fields = found[0].split()
        self._recorder.peer = (fields[4], int(fields[5]))
        return _with(sdp, self._publisher.port)

    def pass_on(self, data: bytes, back: bool) -> None:
        weather, chance = self._weather, self._chance
        to = self._publisher if back else self._recorder
        media = 127 < data[0] < 192
        self._flows = self._flows or (media and not back)
        if not self._flows:
            self._loop.call_later(weather.delay, to.send, data)
            return
        if media and not back:
            self.sent[data[1] & 0x7F] += 1
        if chance.random() < weather.loss:
            if media and not back:
                self.lost[data[1] & 0x7F] += 1
            return
        for _ in range(1 + (chance.random() < weather.repeats)):
            self._loop.call_later(weather.delay + chance.uniform(0, weather.jitter), to.send, data)


class _Side(asyncio.DatagramProtocol):
    """The socket that one of both sees; it answers whoever spoke to it last."""

    transport: asyncio.DatagramTransport
    port: int

    def __init__(self, proxy: Proxy, back: bool) -> None:
        self.peer: tuple[str, int] | None = None
        self._proxy = proxy
        self._back = back

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.peer = addr
        self._proxy.pass_on(data, self._back)

    def send(self, data: bytes) -> None:
        if self.peer is not None and not self.transport.is_closing():
            with suppress(OSError):
                self.transport.sendto(data, self.peer)


def _with(sdp: str, port: int) -> str:
    """Its candidates replaced by the proxy's one."""
    return _CANDIDATE.sub(rf"\1 {_ADDRESS} {port} typ host", sdp)
