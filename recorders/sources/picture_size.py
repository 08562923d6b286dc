"""The size of an encoded picture, told from its own header without decoding it."""

from __future__ import annotations

# Profiles whose parameter sets also tell of the chroma format (ITU-T H.264, 7.3.2.1.1).
_HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134}
_SPS = 7


def picture_size(codec: str, data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels of a keyframe of "vp8" or "h264" (Annex B); None where its header does not tell."""
    if codec == "vp8":
        if len(data) < 10 or data[0] & 1 or data[3:6] != b"\x9d\x01\x2a":  # RFC 6386, section 9.1
            return None
        return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF
    if codec != "h264":
        return None
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 4:
        end = data.find(b"\0\0\1", at + 3)
        if data[at + 3] & 0x1F == _SPS:
            return _sps_size(data[at + 4 : end if end >= 0 else len(data)])
        at = end
    return None


def _sps_size(sps: bytes) -> tuple[int, int] | None:
    """ITU-T H.264, 7.3.2.1.1 and 7.4.2.1.1; None for parameter sets with scaling matrices."""
    bits = _Bits(sps.replace(b"\0\0\3", b"\0\0"))
    profile = bits.read(8)
    bits.read(16)
    bits.golomb()
    chroma = 1
    if profile in _HIGH:
        chroma = bits.golomb()
        if chroma == 3:
            bits.read(1)
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):
            return None
    bits.golomb()
    order = bits.golomb()  # pic_order_cnt_type
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    bits.golomb()
    bits.read(1)
    width, height = (bits.golomb() + 1) * 16, (bits.golomb() + 1) * 16
    frames_only = bits.read(1)
    if not frames_only:
        height *= 2
        bits.read(1)
    bits.read(1)
    if bits.read(1):  # frame_cropping_flag
        across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1) * (2 - frames_only)
        width -= across * (bits.golomb() + bits.golomb())
        height -= down * (bits.golomb() + bits.golomb())
    return (width, height) if width > 0 and height > 0 and not bits.overrun else None


class _Bits:
    """Reads bits, most significant first; zeros beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = len(data) * 8

    @property
    def overrun(self) -> bool:
        return self._left < 0

    def read(self, count: int) -> int:
        """u(n)"""
        self._left -= count
        return (self._value >> self._left if self._left >= 0 else 0) & ((1 << count) - 1)

    def golomb(self) -> int:
        """ue(v), section 9.1."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 31:
                self._left = -1
            if self.overrun:
                return 0
        return (1 << zeros) - 1 + self.read(zeros)
