"""The encoders: keyframes where parts begin, times that are true, pictures that may be overwritten."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal, cast

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from recorders.config import EncoderConfig
from recorders.encoder import AudioEncoder, EncodedPicture, EncodedSound, VideoEncoder
from recorders.errors import InvalidSpec
from recorders.spec import AudioSpec, VideoSpec

SPEC = VideoSpec(320, 180, 30, 300)
CODECS = ("h264", "vp9")
Floats = np.ndarray[Any, np.dtype[np.float64]]


def canvas() -> tuple[av.VideoFrame, np.ndarray[Any, Any]]:
    """A picture and its luma (height, width), to be overwritten."""
    frame = av.VideoFrame(320, 180, "yuv420p")
    for plane in frame.planes:
        np.frombuffer(cast(Any, plane), np.uint8)[:] = 128
    plane = frame.planes[0]
    return frame, np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, plane.line_size)[:, :320]


def level_of(frame: av.VideoFrame) -> float:
    """Mean luma as it is coded."""
    plane = frame.planes[0]
    return float(np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, plane.line_size)[:, :320].mean())


def decoded(encoder: VideoEncoder, packets: list[EncodedPicture]) -> list[av.VideoFrame]:
    context = av.CodecContext.create(encoder.track.codec, "r")
    context.extradata = encoder.track.extradata or None
    frames: list[av.VideoFrame] = []
    for data, n, _ in packets:
        packet = av.Packet(data)
        packet.pts = n
        frames += context.decode(packet)
    return frames + context.decode(None)


@pytest.mark.parametrize("codec", CODECS)
def test_keyframes_begin_parts_and_nothing_else(codec: Literal["h264", "vp9"]) -> None:
    """Even with a cut every ten pictures; and the canvas is free as soon as `encode` returns."""
    encoder = VideoEncoder(SPEC, EncoderConfig(), 2.0, codec)
    frame, luma = canvas()
    packets: list[EncodedPicture] = []
    levels = [40 + 150 * (n // 10 % 2) + n % 10 for n in range(150)]
    for n, level in enumerate(levels):
        luma[:] = level
        now = encoder.encode(frame, 1000 + n)
        luma[:] = 255 - level
        assert [number for _, number, _ in now] == [1000 + n]  # no delay
        packets += now
    packets += encoder.flush()
    assert [n for _, n, key in packets if key] == [1000, 1060, 1120]
    shown = decoded(encoder, packets)
    assert [picture.pts for picture in shown] == list(range(1000, 1150))
    for picture, level in zip(shown, levels, strict=True):
        assert abs(level_of(picture) - level) < 8  # the other one is 45 off at least


@pytest.mark.parametrize("codec", CODECS)
def test_a_keyframe_at_will(codec: Literal["h264", "vp9"]) -> None:
    encoder = VideoEncoder(SPEC, EncoderConfig(), 2.0, codec)
    frame, luma = canvas()
    packets: list[EncodedPicture] = []
    for n in range(100):
        luma[:, n : n + 9] = 200
        packets += encoder.encode(frame, n, key=n == 20)
    packets += encoder.flush()
    keys = [n for _, n, key in packets if key]
    assert keys == [0, 20, 80]
    for begin in keys:  # each can be decoded alone
        assert len(decoded(encoder, packets[begin:])) == 100 - begin


def test_without_zerolatency_no_picture_is_lost_or_out_of_order() -> None:
    encoder = VideoEncoder(SPEC, EncoderConfig(quality="best", zerolatency=False, threads=2), 1.0)
    frame, luma = canvas()
    packets: list[EncodedPicture] = []
    for n in range(70):
        luma[:] = 60 + 2 * n
        packets += encoder.encode(frame, n)
        luma[:] = 0
    packets += encoder.flush()
    assert [n for _, n, _ in packets] == list(range(70))
    assert [n for _, n, key in packets if key] == [0, 30, 60]
    shown = decoded(encoder, packets)
    assert all(picture.pict_type != PictureType.B for picture in shown)
    for n, picture in enumerate(shown):
        assert abs(level_of(picture) - 60 - 2 * n) < 4


def test_h264_says_how_it_is_coloured() -> None:
    encoder = VideoEncoder(SPEC, EncoderConfig(), 2.0)
    frame, _ = canvas()
    (picture,) = decoded(encoder, encoder.encode(frame, 0))
    assert (picture.color_range, picture.colorspace, picture.color_primaries, picture.color_trc) == (1, 1, 1, 1)
    context = av.CodecContext.create("h264", "r")
    context.extradata = encoder.track.extradata
    context.decode(av.Packet(encoder.encode(frame, 1, key=True)[0][0]))
    assert (context.profile, context.has_b_frames) == ("High", False)


@pytest.mark.parametrize("codec", CODECS)
def test_bitrate(codec: Literal["h264", "vp9"]) -> None:
    """Noise that would take more costs what was asked for and not much more."""
    encoder = VideoEncoder(SPEC, EncoderConfig(), 2.0, codec)
    frame, luma = canvas()
    noise = np.random.default_rng(1).integers(118, 138, (9, *luma.shape), np.uint8)
    size = 0
    for n in range(150):
        luma[:] = noise[n % 9]
        size += sum(len(data) for data, _, _ in encoder.encode(frame, n))
    size += sum(len(data) for data, _, _ in encoder.flush())
    assert 0.7 < size * 8 / 5 / 300_000 < 1.5


def noise(samples: int, channels: int, rate: int) -> Floats:
    """Band-limited noise (n, channels) that swells and fades, so that a shift shows."""
    raw = np.random.default_rng(7).standard_normal((samples + 15, channels))
    smooth = np.stack([np.convolve(raw[:, c], np.hanning(16) / 8, "valid") for c in range(channels)], axis=1)
    swell = 0.6 + 0.4 * np.sin(np.arange(samples) / rate * 9)
    return np.clip(0.3 * smooth[:samples] * swell[:, None], -1, 1)


def heard(encoder: AudioEncoder, packets: list[EncodedSound]) -> tuple[int, Floats]:
    """Index of the first sample that a decoder gives, and mono samples."""
    context = av.CodecContext.create(encoder.track.codec, "r")
    context.extradata = encoder.track.extradata
    context.sample_rate = encoder.track.sample_rate
    blocks, first = [], None
    for data, sample, samples in packets:
        packet = av.Packet(data)
        packet.pts, packet.duration, packet.time_base = sample, samples, Fraction(1, encoder.track.sample_rate)
        for frame in context.decode(packet):
            first = sample if first is None else first
            block = frame.to_ndarray().astype(np.float64)
            assert len(block) == encoder.track.channels
            assert block.shape[1] == samples or packet.pts == packets[-1][1]  # the last one may say where sound ends
            blocks.append(block.mean(axis=0)[:samples])
    assert first is not None
    return first, np.concatenate(blocks)


def lag(reference: Floats, found: Floats) -> tuple[int, float]:
    """By how many samples `found` comes late, and how alike the two then are (1: the same)."""
    size = 2 ** int(np.ceil(np.log2(2 * len(reference))))
    spectrum = np.fft.rfft(found, size) * np.conj(np.fft.rfft(reference, size))
    correlation = np.fft.irfft(spectrum, size)
    at = int(np.argmax(correlation))
    norm = np.linalg.norm(reference) * np.linalg.norm(found)
    return (at if at < size // 2 else at - size), float(correlation[at] / norm)


@pytest.mark.parametrize(
    ("codec", "rate", "channels"),
    [
        ("aac", 48000, 2),
        ("aac", 44100, 1),
        ("aac", 16000, 2),
        ("opus", 48000, 1),
        ("opus", 44100, 2),
        ("opus", 16000, 2),
    ],
)
def test_a_sample_is_where_its_packet_says(codec: Literal["aac", "opus"], rate: int, channels: int) -> None:
    """Fed in uneven pieces from sample 5 s on; decoded, each packet begins with the sample that it names."""
    encoder = AudioEncoder(AudioSpec(rate, channels, 128), codec)
    pcm, begin = noise(rate, channels, rate), 5 * rate
    packets: list[EncodedSound] = []
    for at in range(0, rate, 997):
        piece = pcm[at : at + 997]
        whole = (piece * 32767).astype(np.int16) if at % 2 else piece.astype(np.float32)
        packets += encoder.encode(whole, begin + at)
    packets += encoder.flush()
    out = encoder.track.sample_rate
    for before, after in pairwise(packets):
        assert after[1] == before[1] + before[2]
    first, end = packets[0][1], packets[-1][1] + packets[-1][2]
    # Wherever it began; Opus looks ahead by 6.5 ms.
    assert first % packets[0][2] == (0 if codec == "aac" else 648), "those of another encoder follow on"
    assert 0 <= first - 5 * out < 0.014 * out + packets[0][2]
    assert 6 * out - 1 <= end <= 6 * out + 0.1 * out
    start, found = heard(encoder, packets)
    mono = pcm.mean(axis=1)
    reference = np.interp(np.arange(out) / out, np.arange(rate) / rate, mono)
    late, alike = lag(reference[start - 5 * out :], found[: out - (start - 5 * out)])
    assert abs(late) <= 1
    assert alike > 0.9


def test_the_first_21_ms_of_aac_fade_in() -> None:
    """The packet before, which a decoder needs to be exact, is dropped: from the second packet on it is exact."""
    encoder = AudioEncoder(AudioSpec(48000, 1, 128), "aac")
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48000) / 48000)[:, None]
    packets = encoder.encode(tone.astype(np.float32), 0)
    first, found = heard(encoder, packets)
    assert first == 0
    assert np.abs(found[1024:40000] - tone[1024:40000, 0]).max() < 0.05
    assert np.abs(found[:200]).max() < 0.2


def test_rates_that_a_codec_does_not_have() -> None:
    with pytest.raises(InvalidSpec, match=r"AAC has no sample rate of 50000 Hz; it has 7350, .* 96000"):
        AudioEncoder(AudioSpec(50000, 2, 128), "aac")
    assert AudioEncoder(AudioSpec(50000, 2, 128), "opus").track.sample_rate == 48000


def test_nothing_encoded_nothing_flushed() -> None:
    assert AudioEncoder(AudioSpec(), "aac").flush() == []
    assert VideoEncoder(SPEC, EncoderConfig(), 2.0).flush() == []
