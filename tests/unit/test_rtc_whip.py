"""The WHIP source itself, with a publisher that never connects."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from recorders.config import WhipConfig
from recorders.sources.whip import WhipSource
from recorders.spec import ChannelSpec
from tests.unit.rtc_pair import Listener, until

RESTART = "a=ice-ufrag:other\r\na=ice-pwd:0123456789012345678901\r\n"


@pytest.mark.parametrize(
    ("if_match", "outcome"), [("*", "restarted"), ('"*"', "restarted"), ("", "stale"), ('"another"', "stale")]
)
def test_ice_is_restarted_whatever_the_session_where_a_star_says_so(if_match: str, outcome: str) -> None:
    async def run() -> str:
        source = WhipSource(ChannelSpec("app", "room", 42, "token"), WhipConfig(ice_address="127.0.0.1"))
        running = asyncio.create_task(source.run(Listener()))
        publisher = RTCPeerConnection(RTCConfiguration([]))
        try:
            publisher.addTransceiver("audio", "sendonly")
            published = await source.publish("someone", (await publisher.createOffer()).sdp)
            path: Any = source._peers[published.resource]._path
            await until(lambda: path._connection.remote_username is not None)
            return (await source.patch(published.resource, RESTART, if_match)).outcome
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await publisher.close()

    assert asyncio.run(run()) == outcome
