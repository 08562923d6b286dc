"""The names that are private to aiortc and aioice, and a real connection through them, over loopback."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any

import aioice.ice
import numpy as np
import pytest
from aiortc import (
    RTCConfiguration,
    RTCDtlsTransport,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
)
from aiortc.codecs import CODECS
from aiortc.rtp import DYNAMIC_PAYLOAD_TYPES
from aiortc.sdp import SessionDescription, parse_h264_profile_level_id
from pydantic import SecretStr

from recorders.config import WhipConfig
from recorders.sources.rtc import BadOffer, IceSettings, Peer
from recorders.sources.rtc_ice import BadFragment, Fragment
from tests.unit.rtc_pair import LOOPBACK, Encoded, Listener, RsaCertificate, connection, until


def test_the_names_are_there() -> None:
    names = RTCRtpReceiver.__init__.__code__.co_names
    private = ("jitter_buffer", "nack_generator", "rtx_ssrc")
    assert {f"_RTCRtpReceiver__{name}" for name in private} <= set(names)
    for name in (
        "_handle_rtp_packet",
        "_handle_rtcp_packet",
        "_send_rtcp",
        "_send_rtcp_nack",
        "_send_rtcp_pli",
        "receive",
    ):
        assert asyncio.iscoroutinefunction(getattr(RTCRtpReceiver, name)), name
    assert asyncio.iscoroutinefunction(RTCRtpReceiver.receive)
    assert {"_rtp_header_extensions_map"} <= set(RTCDtlsTransport.__init__.__code__.co_names)
    gather = aioice.ice.Connection.get_component_candidates
    assert gather.__code__.co_varnames[:4] == ("self", "component", "addresses", "timeout")
    transport = RTCIceTransport.__init__.__code__.co_names
    assert {"_connection", "_recv", "_send"} <= set(transport)
    connection = aioice.ice.Connection.__init__.__code__.co_names
    assert {"_protocols", "_event_waiter", "_early_checks"} <= set(connection)
    assert {"_remote_candidates", "_remote_candidates_end"} <= set(connection)
    assert asyncio.iscoroutinefunction(aioice.ice.server_reflexive_candidate)
    video = [codec.name for codec in CODECS["video"]]
    assert video[video.index("H264") + 1] == "rtx"


@pytest.mark.paired
@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
def test_media_arrives_as_it_was_encoded(codec: str) -> None:
    video, audio = Encoded(codec, 30), Encoded("libopus", 50)
    threads = threading.active_count()

    async def run() -> tuple[Listener, list[str]]:
        async with connection(audio, video) as (_, peer, sink, changes):
            await until(lambda: len(sink.frames["video"]) >= 40 and len(sink.frames["audio"]) >= 60)
            assert changes == ["connected"]
            for transceiver in peer._pc.getTransceivers():
                receiver: Any = transceiver.receiver
                assert receiver._RTCRtpReceiver__decoder_queue.empty(), "aiortc has nothing to decode, or keep"
                assert receiver.track._queue.empty()
            return sink, changes

    sink, _ = asyncio.run(run())
    pictures = sink.frames["video"]
    assert pictures[0].key
    assert {frame.codec for frame in pictures} == {"h264" if codec == "libx264" else "vp8"}
    assert {frame.codec for frame in sink.frames["audio"]} == {"opus"}
    ours, theirs = ([_slices(data) for data in many] for many in ([f.data for f in pictures], video.packets))
    first = theirs.index(ours[0])
    assert ours == [theirs[(first + n) % len(theirs)] for n in range(len(ours))]
    for frames, step in ((pictures, 1 / 30), (sink.frames["audio"], 1 / 50)):
        steps = np.diff([frame.t for frame in frames])
        assert np.median(steps) == pytest.approx(step, abs=1e-3)
        assert abs(frames[-1].t - time.monotonic()) < 5
    assert set(sink.counters) <= {"keyframes_asked"}
    assert threading.active_count() <= threads + 1  # the pool's


def _slices(data: bytes) -> bytes:
    """Without start codes, whose length is the sender's choice."""
    return data.replace(b"\0\0\0\1", b"").replace(b"\0\0\1", b"")


@pytest.mark.alone
def test_what_is_lost_is_sent_again() -> None:
    """5 % of the packets never arrive at their first sending."""
    video, chance = Encoded("libx264", 30), random.Random(3)

    async def run() -> tuple[Listener, int]:
        lost = 0
        async with connection(video) as (sender, _, sink, changes):
            await until(lambda: changes == ["connected"])
            encode: Any = sender.getSenders()[0]
            transport: Any = encode.transport
            send, media = transport._send_rtp, encode._ssrc.to_bytes(4, "big")

            async def lossy(data: bytes) -> None:
                nonlocal lost
                if data[8:12] == media and not 72 <= data[1] & 0x7F <= 76 and chance.random() < 0.05:  # not RTCP
                    lost += 1
                    return
                await send(data)

            transport._send_rtp = lossy
            await until(lambda: len(sink.frames["video"]) >= 60)
            return sink, lost

    sink, lost = asyncio.run(run())
    assert lost > 10
    assert "packets_lost" not in sink.counters
    steps = np.diff([frame.t for frame in sink.frames["video"]])
    assert np.max(steps) < 1.5 / 30, "no picture is missing"


def test_a_keyframe_is_asked_for_from_another_thread() -> None:
    async def run() -> int:
        async with connection(Encoded("libx264", 30)) as (sender, peer, sink, _):
            await until(lambda: bool(sink.frames["video"]))
            asked = 0
            encode: Any = sender.getSenders()[0]

            def send_keyframe() -> None:
                nonlocal asked
                asked += 1

            encode._send_keyframe = send_keyframe
            await asyncio.to_thread(peer.keyframe)
            await until(lambda: asked > 0)
            return asked

    assert asyncio.run(run()) == 1


def test_a_publisher_with_an_rsa_certificate_connects() -> None:
    async def run() -> None:
        async with connection(Encoded("libopus", 50), certificate=RsaCertificate()) as (_, _, sink, changes):
            await until(lambda: len(sink.frames["audio"]) > 5)
            assert changes == ["connected"]

    asyncio.run(run())


@pytest.mark.parametrize("profile", ["42e01f", "42c01f", "42001f", "4d401f", "4d0028", "640c1f", "64001f", "64000a"])
def test_h264_of_any_profile_is_answered(profile: str) -> None:
    async def run() -> str:
        sender, peer = RTCPeerConnection(RTCConfiguration([])), Peer("someone", Listener(), LOOPBACK, lambda *_: None)
        try:
            known = RTCRtpSender.getCapabilities("video").codecs
            h264, rtx = (next(c for c in known if c.mimeType == mime) for mime in ("video/H264", "video/rtx"))
            sender.addTransceiver("video", "sendonly").setCodecPreferences([h264, rtx])
            offer = (await sender.createOffer()).sdp.replace("=42001f", f"={profile}")
            return await peer.answer(offer)
        finally:
            await peer.close()
            await sender.close()

    answer = SessionDescription.parse(asyncio.run(run())).media[0].rtp
    h264, rtx = answer.codecs
    assert (h264.name, h264.parameters["packetization-mode"]) == ("H264", "1")
    assert (
        parse_h264_profile_level_id(str(h264.parameters["profile-level-id"]))[0]
        == parse_h264_profile_level_id(profile)[0]
    )
    assert rtx.parameters["apt"] == h264.payloadType


def test_what_is_offered_is_one_codec_a_payload_type() -> None:
    async def run() -> str:
        peer = Peer("someone", Listener(), LOOPBACK, lambda *_: None)
        try:
            return await peer.offer()
        finally:
            await peer.close()

    codecs = [codec for media in SessionDescription.parse(asyncio.run(run())).media for codec in media.rtp.codecs]
    types = [codec.payloadType for codec in codecs]
    assert len(types) == len(set(types))
    assert all(type in DYNAMIC_PAYLOAD_TYPES for type in types)
    assert [codec.name.lower() for codec in codecs] == ["opus", "vp8", "rtx", *["h264", "rtx"] * 5]
    assert len({codec.parameters["profile-level-id"] for codec in codecs if codec.name.lower() == "h264"}) == 5
    apt = {codec.parameters["apt"] for codec in codecs if codec.name == "rtx"}
    assert apt == {codec.payloadType for codec in codecs if codec.name.lower() in ("h264", "vp8")}


def test_the_other_side_leaves() -> None:
    async def run() -> list[str]:
        async with connection(Encoded("libopus", 50)) as (sender, _, sink, changes):
            await until(lambda: bool(sink.frames["audio"]))
            await sender.close()
            await until(lambda: "gone" in changes)
            return changes

    assert asyncio.run(run()) == ["connected", "gone"]


def test_all_addresses_or_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def offered(ice: IceSettings) -> list[str]:
        sender = RTCPeerConnection(RTCConfiguration([]))
        peer = Peer("someone", Listener(), ice, lambda *_: None)
        try:
            sender.addTransceiver("audio", "sendonly")
            offer = (await sender.createOffer()).sdp
            answer = await peer.answer(offer + "a=candidate:1 1 udp 1 a1b2.local 9 typ host\r\n")
            return [line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate")]
        finally:
            await peer.close()
            await sender.close()

    assert asyncio.run(offered(IceSettings("127.0.0.1"))) == ["127.0.0.1"]
    assert "127.0.0.1" not in asyncio.run(offered(IceSettings()))
    assert asyncio.run(offered(IceSettings(loopback=True)))[-1] == "127.0.0.1"


async def answered(ice: IceSettings) -> tuple[Peer, str]:
    """A peer with these settings, and its answer to somebody who never connects."""
    sender = RTCPeerConnection(RTCConfiguration([]))
    sender.addTransceiver("audio", "sendonly")
    peer = Peer("someone", Listener(), ice, lambda *_: None)
    try:
        return peer, await peer.answer((await sender.createOffer()).sdp)
    except BaseException:
        await peer.close()
        raise
    finally:
        await sender.close()


def test_ports_and_the_public_address_are_those_of_the_settings() -> None:
    ice = IceSettings("127.0.0.2", ports=(47201, 47202), public_address="192.0.2.7")

    async def run() -> None:
        peers = [await answered(ice) for _ in range(2)]
        told = [line.split()[4:8] for _, answer in peers for line in answer.splitlines() if "candidate:" in line]
        ports = {port for _, port, *_ in told}
        assert ports == {"47201", "47202"}
        assert sorted(told) == sorted(
            [address, port, "typ", kind]
            for port in ports
            for address, kind in (("127.0.0.2", "host"), ("192.0.2.7", "srflx"))
        )
        with pytest.raises(BadOffer, match=r"^No UDP port from 47201 to 47202 is free at 127\.0\.0\.2\.$"):
            await answered(ice)
        await peers[0][0].close()
        again, _ = await answered(ice)
        for peer in (again, peers[1][0]):
            await peer.close()

    asyncio.run(run())


def test_stun_and_turn_servers_reach_the_connection() -> None:
    config = WhipConfig(
        stun_url="stun:192.0.2.1",
        turn_url="turn:192.0.2.2:3479?transport=tcp",
        turn_username="me",
        turn_credential=SecretStr("secret"),
    )
    ice = IceSettings.of(config)
    assert "secret" not in repr(ice)

    async def run() -> None:
        peer = Peer("someone", Listener(), ice, lambda *_: None)
        connection = peer._pc._RTCPeerConnection__createTransceiver("recvonly", "audio")  # type: ignore[attr-defined]
        ours = connection.receiver.transport.transport.iceGatherer._connection
        assert ours.stun_server == ("192.0.2.1", 3478)
        assert ours.turn_server == ("192.0.2.2", 3479)
        assert (ours.turn_username, ours.turn_password, ours.turn_transport) == ("me", "secret", "tcp")
        await peer.close()

    asyncio.run(run())


@pytest.mark.parametrize("wrong", ["", "a=ice-ufrag:abcd", "a=ice-ufrag:a\na=ice-pwd:0123456789012345678901"])
def test_a_fragment_that_cannot_be_used(wrong: str) -> None:
    with pytest.raises(BadFragment, match=r"^The SDP fragment has no ice-\w+ that RFC 8839 allows\.$"):
        Fragment.parse(wrong)


def test_a_fragment_is_read_and_written() -> None:
    text = "".join(
        f"a={line}\r\n"
        for line in (
            "ice-ufrag:abcd",
            "ice-pwd:0123456789012345678901",
            "candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host generation 0",
            "candidate:2 1 tcp 2122260223 192.0.2.1 9 typ host tcptype active",
            "candidate:3 1 udp 2122260223 a1b2.local 61765 typ host",
            "candidate:4 nonsense",
            "end-of-candidates",
        )
    )
    fragment = Fragment.parse(text)
    assert [(one.host, one.port) for one in fragment.candidates] == [("192.0.2.1", 61764)]
    assert fragment.last
    assert Fragment.parse(fragment.sdp("audio", "0")).ufrag == "abcd"
    assert "0123456789012345678901" not in repr(fragment)


def test_an_offer_that_cannot_be_used() -> None:
    async def run() -> None:
        peer = Peer("someone", Listener(), LOOPBACK, lambda *_: None)
        with pytest.raises(BadOffer, match=r"^The SDP offer has neither sound nor picture\.$"):
            await peer.answer("v=0\r\n")
        await peer.close()

    asyncio.run(run())
