"""The H.264 profiles that are taken. aiortc negotiates baseline only, for that is what it encodes itself. Here it does
not encode, nor decode, and libx264's default is High.
"""

from __future__ import annotations

import copy

from aiortc.codecs import CODECS
from aiortc.rtp import DYNAMIC_PAYLOAD_TYPES

# Main, constrained High, High (RFC 6184, section 8.1). The level is the sender's.
_PROFILES = ("4d001f", "640c1f", "64001f")


def take_all_profiles() -> None:
    """To be called once, before the first connection; it is for the whole process."""
    codecs = CODECS["video"]
    at = next(n for n, codec in enumerate(codecs) if codec.name == "H264")
    free = iter(sorted(set(DYNAMIC_PAYLOAD_TYPES) - {one.payloadType for many in CODECS.values() for one in many}))
    for profile in _PROFILES:
        codec, rtx = copy.deepcopy(codecs[at : at + 2])
        codec.payloadType, rtx.payloadType = next(free), next(free)
        codec.parameters["profile-level-id"] = profile
        rtx.parameters["apt"] = codec.payloadType
        codecs += [codec, rtx]
