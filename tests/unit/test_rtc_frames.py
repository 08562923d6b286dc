"""RTP packets into pictures: order, loss, keyframes."""

from __future__ import annotations

import random

import pytest

from recorders.sources.rtc_frames import Assembler, Packet, Sequencer, is_key

KEY = b"\0\0\0\1\x67\x42\0\0\0\1\x68\xce\0\0\0\1\x65"
DELTA = b"\0\0\0\1\x41"


def stream(pictures: int, *, first: int = 0, size: int = 3, gop: int = 10, marker: bool = True) -> list[Packet]:
    """Pictures of `size` packets each; the data of the n-th holds its number."""
    packets = []
    for n in range(pictures):
        for part in range(size):
            head = (KEY if n % gop == 0 else DELTA) if part == 0 else b""
            sequence = (first + n * size + part) % 65536
            packets.append(
                Packet(sequence, 3000 * n % 2**32, marker and part == size - 1, "h264", head + b"%03d.%d," % (n, part))
            )
    return packets


def whole(n: int, size: int = 3, gop: int = 10) -> bytes:
    return (KEY if n % gop == 0 else DELTA) + b"".join(b"%03d.%d," % (n, part) for part in range(size))


def feed(assembler: Assembler, packets: list[Packet], now: float = 0.0) -> list[bytes]:
    return [picture.data for packet in packets for picture in assembler.add(packet, now)]


def test_pictures_are_whole_with_their_last_packet() -> None:
    assembler = Assembler()
    got = [len(assembler.add(packet, 0)) for packet in stream(4)]
    assert got == [0, 0, 1] * 4
    assert assembler.missing() == []


def test_without_marker_bits_the_next_timestamp_ends_a_picture() -> None:
    assert feed(Assembler(), stream(4, marker=False)) == [whole(n) for n in range(3)]


@pytest.mark.parametrize("first", [0, 65530, 32760])
@pytest.mark.parametrize("seed", range(5))
def test_reordered_and_repeated_packets(first: int, seed: int) -> None:
    chance = random.Random(seed)
    packets = stream(50, first=first)
    late = sorted(range(1, len(packets)), key=lambda i: i + chance.uniform(0, 8))
    order = [packets[0], *(packets[i] for i in late), *chance.sample(packets, 10)]
    assembler = Assembler()
    assert feed(assembler, order) == [whole(n) for n in range(50)]
    assert (assembler.lost, assembler.dropped, assembler.missing()) == (0, 0, [])


def test_a_gap_that_is_closed_gives_all_pictures_at_once() -> None:
    packets = stream(9)
    assembler = Assembler()
    assert feed(assembler, packets[:7] + packets[8:]) == [whole(0), whole(1)]
    assert assembler.missing() == [7]
    assert assembler.tend(0.4) == []
    assert feed(assembler, [packets[7]], 0.4) == [whole(n) for n in range(2, 9)]
    assert assembler.tend(9) == []
    assert assembler.lost == 0


@pytest.mark.parametrize("lost", [[6], [7], [8], [6, 7, 8], [8, 9], [7, 8, 9, 10, 11, 12]])
def test_a_gap_that_stays_is_given_up_and_a_keyframe_waited_for(lost: list[int]) -> None:
    packets = [packet for packet in stream(12) if packet.sequence not in lost]
    assembler = Assembler()
    got = feed(assembler, packets[:24])
    assert got == [whole(0), whole(1)]
    got = [picture.data for picture in assembler.tend(0.6)]
    assert got == []
    assert assembler.needs_key
    assert assembler.missing() == []
    assert assembler.lost == len(lost)
    assert feed(assembler, packets[24:], 0.7) == [whole(10), whole(11)]
    assert not assembler.needs_key


def test_a_keyframe_behind_a_gap_is_gone_to_as_soon_as_it_is_whole() -> None:
    packets = [packet for packet in stream(12) if packet.sequence not in (7, 11)]
    assembler = Assembler()
    assert feed(assembler, packets[:-6]) == [whole(0), whole(1)]
    assert assembler.tend(0.3) == []
    feed(assembler, packets[-6:], 0.3)
    assert assembler.tend(0.2) == []
    assert [p.data for p in assembler.tend(0.3)] == [whole(10), whole(11)]
    assert (assembler.lost, assembler.missing()) == (2, [])


def test_two_gaps_are_given_up_each_in_its_time() -> None:
    packets = [packet for packet in stream(31) if packet.sequence not in (4, 40)]
    assembler = Assembler()
    for packet in packets:
        assembler.add(packet, packet.sequence / 100)
    assert [p.data for p in assembler.tend(0.6)] == [whole(10), whole(11), whole(12)]
    assert assembler.missing() == [40]
    assert assembler.tend(0.65) == []
    assert [p.data for p in assembler.tend(0.67)] == [whole(20 + n) for n in range(11)]


def test_nothing_before_the_first_keyframe() -> None:
    assembler = Assembler()
    assert feed(assembler, stream(12)[3:]) == [whole(10), whole(11)]
    assert assembler.dropped == 9


def test_a_sender_that_begins_anew_is_followed() -> None:
    assembler = Assembler()
    feed(assembler, stream(5))
    assert feed(assembler, stream(12, first=40000)) == [whole(n) for n in range(12)]


def test_nothing_is_held_without_bound() -> None:
    packets = stream(2000, gop=2000)
    assembler = Assembler()
    feed(assembler, packets[:3] + packets[4:])
    assert len(assembler._held) <= 2048


@pytest.mark.timeout(20)
@pytest.mark.parametrize("first", [0, 65000])
def test_a_picture_that_never_ends_is_dropped(first: int) -> None:
    assembler = Assembler()
    endless = [Packet((first + n) % 65536, 0, False, "vp8", b"\0") for n in range(5000)]
    assert feed(assembler, endless) == []
    assert len(assembler._held) <= 2048
    assert assembler.needs_key
    assert (assembler.lost, assembler.dropped) == (0, 2)
    then = [Packet((first + 5000 + n) % 65536, 3000 + n, True, "vp8", bytes([n == 0])) for n in range(3)]
    assert feed(assembler, then) == [b"\0", b"\0"], "neither the rest, nor what needs it"


def test_the_rest_of_a_picture_that_was_given_up_is_no_picture() -> None:
    assembler = Assembler()
    parts = [Packet(n, 0, n == 5, "vp8", b"\0") for n in range(6)]
    assert feed(assembler, [parts[0], parts[2]]) == []
    assert assembler.tend(1) == []
    assert feed(assembler, parts[3:], 1) == []
    assert (assembler.lost, assembler.dropped) == (1, 1)
    assert feed(assembler, [Packet(6, 3000, True, "vp8", b"\0")], 1) == [b"\0"]


def test_padding_is_no_picture() -> None:
    assembler = Assembler()
    feed(assembler, stream(1))
    assert assembler.add(Packet(3, 0, False, "h264", b""), 0) == []
    assert feed(assembler, stream(2, first=1)[3:]) == [whole(1)]


@pytest.mark.parametrize(
    ("codec", "data", "key"),
    [
        ("h264", KEY, True),
        ("h264", DELTA, False),
        ("h264", b"\0\0\0\1\x09\x10\0\0\1\x06\x05\0\0\1\x25\x88", True),
        ("h264", b"\0\0\0\1\x67\x42\0\0\0\1\x68\xce\0\0\0\1\x41", False),
        ("h264", b"\0\0\0\1", False),
        ("h264", b"", False),
        ("vp8", b"\x10\0\0\x9d\x01\x2a", True),
        ("vp8", b"\x11\0\0", False),
        ("vp8", b"", False),
    ],
)
def test_keyframes(codec: str, data: bytes, key: bool) -> None:
    assert is_key(codec, data) is key


def sound(*sequences: int) -> list[Packet]:
    return [Packet(n % 65536, 960 * n % 2**32, True, "opus", b"%d" % n) for n in sequences]


def heard(packets: list[Packet]) -> list[int]:
    return [int(packet.data) for packet in packets]


@pytest.mark.parametrize("first", [0, 65530])
def test_sound_is_put_in_order(first: int) -> None:
    chance = random.Random(first)
    order = [first, *sorted(range(first + 1, first + 100), key=lambda n: n + chance.uniform(0, 4))]
    sequencer = Sequencer()
    got = [n for packet in sound(*order, *order[-3:]) for n in heard(sequencer.add(packet, 0))]
    assert got == list(range(first, first + 100))
    assert (sequencer.lost, sequencer.repeated, sequencer.waits) == (0, 3, False)


def test_sound_that_does_not_come_is_left_out() -> None:
    sequencer = Sequencer()
    assert [n for packet in sound(1, 2, 4, 5) for n in heard(sequencer.add(packet, 0))] == [1, 2]
    assert sequencer.waits
    assert sequencer.add(sound(7)[0], 0.1) == sequencer.tend(0.1) == []
    assert heard(sequencer.tend(0.13)) == [4, 5]
    assert heard(sequencer.add(sound(6)[0], 0.2)) == [6, 7]
    assert heard(sequencer.add(sound(3)[0], 0.2)) == []
    assert (sequencer.lost, sequencer.repeated) == (1, 1)


def test_sound_that_begins_anew_is_followed() -> None:
    sequencer = Sequencer()
    got = [n for packet in sound(1, 2, 40000, 40001) for n in heard(sequencer.add(packet, 0))]
    assert got == [1, 2, 40000, 40001]
    assert sequencer.lost == 0


def test_a_keyframe_is_pleaded_for_before_a_gap_is_given_up() -> None:
    packets = stream(9)
    assembler = Assembler()
    assert assembler.pleads(0)
    feed(assembler, packets[:7] + packets[8:])
    assert not assembler.pleads(0.2)
    assert assembler.pleads(0.3)
    feed(assembler, [packets[7]], 0.3)
    assert not assembler.pleads(0.3)
