"""Telling players the truth about the matrix of the pictures' colours.

Without a GPU, Chromium converts captured pictures to YUV by BT.601's matrix but marks them as BT.709. Which it was
is measured on a page of a known colour (capture_worker.js); here the marks in the streams are set right.
"""

from __future__ import annotations

from typing import Literal

Matrix = Literal["bt709", "bt601"]
# MatrixCoefficients of ITU-T H.273, which is also FFmpeg's AVColorSpace; color_space of VP9.
_H273: dict[Matrix, int] = {"bt709": 1, "bt601": 6}
_VP9: dict[Matrix, int] = {"bt709": 2, "bt601": 1}
# Profiles whose SPS has the chroma format in it (ITU-T H.264, 7.3.2.1.1).
_HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128}
_EXTENDED_SAR = 255


def h273(matrix: Matrix) -> int:
    """MatrixCoefficients of ITU-T H.273."""
    return _H273[matrix]


def vp9_marked(data: bytes, matrix: Matrix) -> bytes:
    """A VP9 keyframe of profile 0 whose header says `matrix` (VP9 bitstream specification, 6.2 and 7.2.2)."""
    if len(data) < 5 or data[0] >> 4 != 0b1000 or data[1:4] != b"\x49\x83\x42":
        return data
    return data[:4] + bytes([data[4] & 0x1F | _VP9[matrix] << 5]) + data[5:]


def avcc_marked(avcc: bytes, matrix: Matrix) -> bytes:
    """An AVCDecoderConfigurationRecord (ISO/IEC 14496-15) whose first SPS says `matrix`, if it says any."""
    length = int.from_bytes(avcc[6:8])
    sps = avcc[8 : 8 + length]
    raw = sps.replace(b"\0\0\x03", b"\0\0")
    position = _matrix_position(raw)
    if position is None:
        return avcc
    bits = int.from_bytes(raw)
    shift = len(raw) * 8 - position - 8
    raw = (bits & ~(0xFF << shift) | _H273[matrix] << shift).to_bytes(len(raw))
    sps = _escaped(raw)
    return avcc[:6] + len(sps).to_bytes(2) + sps + avcc[8 + length :]


def _escaped(raw: bytes) -> bytes:
    """With emulation prevention bytes (ITU-T H.264, 7.4.1)."""
    out = bytearray()
    for byte in raw:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


def _matrix_position(sps: bytes) -> int | None:
    """Where matrix_coefficients begins, in bits; None where the SPS (7.3.2.1.1, E.1.1) has none or is not simple."""
    bits = _Bits(sps)
    bits.skip(8)
    profile = bits.u(8)
    bits.skip(16)
    bits.ue()  # seq_parameter_set_id
    if profile in _HIGH:
        if bits.ue() == 3:  # chroma_format_idc
            bits.skip(1)
        bits.ue()
        bits.ue()  # bit depths
        bits.skip(1)
        if bits.u(1):  # seq_scaling_matrix_present_flag
            return None
    bits.ue()  # log2_max_frame_num_minus4
    order = bits.ue()  # pic_order_cnt_type
    if order == 0:
        bits.ue()
    elif order == 1:
        return None
    bits.ue()  # max_num_ref_frames
    bits.skip(1)
    bits.ue()
    bits.ue()  # size
    if not bits.u(1):  # frame_mbs_only_flag
        bits.skip(1)
    bits.skip(1)
    if bits.u(1):  # frame_cropping_flag
        for _ in range(4):
            bits.ue()
    if not bits.u(1):  # vui_parameters_present_flag
        return None
    if bits.u(1) and bits.u(8) == _EXTENDED_SAR:  # aspect_ratio_info_present_flag, aspect_ratio_idc
        bits.skip(32)
    if bits.u(1):  # overscan_info_present_flag
        bits.skip(1)
    if not bits.u(1):  # video_signal_type_present_flag
        return None
    bits.skip(4)
    if not bits.u(1):  # colour_description_present_flag
        return None
    return bits.at + 16  # after colour_primaries and transfer_characteristics


class _Bits:
    """Reads bits, most significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._length = len(data) * 8
        self.at = 0

    def skip(self, count: int) -> None:
        self.at += count

    def u(self, count: int) -> int:
        """u(n); zeros beyond the end."""
        self.at += count
        shift = self._length - self.at
        return (self._value >> shift if shift >= 0 else 0) & ((1 << count) - 1)

    def ue(self) -> int:
        """ue(v), Exp-Golomb (9.1)."""
        zeros = 0
        while self.at < self._length and not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)
