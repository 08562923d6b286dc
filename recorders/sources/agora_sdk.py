"""Loads Agora's server SDK for Python (`agora-python-server-sdk`), whose native library the operator installs.

Importing it downloads that library when it is missing, ends the process when it cannot be loaded, and turns off the
verification of TLS certificates for the whole process; none of that may happen to a recorder.
"""

from __future__ import annotations

import importlib
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from recorders.errors import InvalidSpec

_LIBRARIES = ("libagora_rtc_sdk.so", "libAgoraRtcKit.dylib")
_HOW = (
    "on every node, `pip install '.[agora]'` in egress-ray's folder, run `python -c 'import agora.rtc'` once, and "
    "start Ray with its agora_sdk folder in LD_LIBRARY_PATH"
)


@dataclass(frozen=True, slots=True)
class Sdk:
    """The modules of the SDK that we use, by the SDK's names."""

    agora_base: ModuleType
    agora_service: ModuleType
    rtc_connection_observer: ModuleType
    local_user_observer: ModuleType
    audio_frame_observer: ModuleType
    video_frame_observer: ModuleType


def load() -> Sdk:
    """Blocks; a second or so. Raises `InvalidSpec` with how to install it."""
    found = find_spec("agora")  # does not import it
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    if not folders:
        raise InvalidSpec(f"The Agora SDK is not installed on this node: {_HOW}.")
    if not any((Path(folder) / "agora_sdk" / name).exists() for folder in folders for name in _LIBRARIES):
        raise InvalidSpec(f"The Agora SDK's native library is not installed on this node: {_HOW}.")
    verifying = ssl._create_default_https_context
    try:
        return Sdk(*(importlib.import_module(f"agora.rtc.{name}") for name in Sdk.__dataclass_fields__))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it calls sys.exit
        raise InvalidSpec(f"The Agora SDK cannot be loaded on this node ({_fact(error)}): {_HOW}.") from error
    finally:
        ssl._create_default_https_context = verifying


def _fact(error: BaseException) -> str:
    return type(error).__name__ if isinstance(error, SystemExit) or not str(error) else str(error).rstrip(".")
