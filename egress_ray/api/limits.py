"""The limits of the REST API as data; the models, their errors and the OpenAPI document read them from here."""

from __future__ import annotations

import re

REQUEST_ID = r"^[0-9a-zA-Z]{1,32}$"
APP_ID = r"^[a-zA-Z0-9_-]{1,64}$"
TASK_ID = r"^[0-9a-z]{1,64}$"
CHANNEL = r"^[a-zA-Z0-9_.:-]{1,64}$"
USER = r"^[a-zA-Z0-9_-]{1,32}$"
COLOUR = r"^#[0-9a-fA-F]{6}$"
PICTURE = r"^[a-zA-Z0-9_.-]{1,64}$"
URL = r"^https?://\S+$"
CURSOR = r"^[0-9]{1,18}$"

BODY_BYTES = 64 * 1024
URL_LENGTH = 1024
TOKEN_LENGTH = (10, 512)
WORKER_UID = (1, 999_999_999)
USERS = 32
REGIONS = 32
SIDE = (2, 8192)
FRAME_RATE = (1, 60)
SCALE = (1, 4)
VIDEO_KBPS = (32, 50_000)
AUDIO_KBPS = (16, 512)
# Those that both AAC and Opus are fed at without a surprise.
SAMPLE_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
INTERVAL_MS = (1000, 300_000)
PATTERN_LENGTH = 200
BUCKET = r"^[a-z0-9][a-z0-9._-]{1,62}$"
OBJECT_PREFIX = r"^[a-zA-Z0-9_-][a-zA-Z0-9_.-]{0,63}(/[a-zA-Z0-9_-][a-zA-Z0-9_.-]{0,63}){0,7}$"
PAGE = (1, 500)

PLACEHOLDERS = ("date", "time", "region", "task_id", "channel", "user", "app_id")
NOT_YET = ("snapshot", "rtmp", "whip")

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# Below what any file system takes in one name (255 bytes): leaves room for "_1_screenshot.jpg" and the like.
_PATH_PART = 200


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a `filename_pattern`; None when it can be filled in."""
    unknown = [name for name in _PLACEHOLDER.findall(pattern) if name not in PLACEHOLDERS]
    if unknown:
        return f"has an unknown placeholder {{{unknown[0]}}}; known are {', '.join(PLACEHOLDERS)}"
    rest = _PLACEHOLDER.sub("", pattern)
    if "{" in rest or "}" in rest:
        return "has a brace that is not part of a placeholder"
    if any(ord(char) < 32 or ord(char) == 127 for char in rest) or not rest.isprintable():
        return "must not hold a control character"
    if "\\" in rest or any(char in rest for char in '"?#%*:<>|'):
        return 'must not hold any of \\ " ? # % * : < > |'
    return path_problem(pattern)


def path_problem(path: str) -> str | None:
    """What is wrong with a path below a task's folder, of a pattern or of one that is filled in."""
    if path.startswith("/"):
        return "must not be an absolute path"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "must not hold an empty part, '.' or '..'"
    if any(part.startswith(".") for part in parts):
        return "must not hold a part that begins with a dot"
    if any(len(part.encode()) > _PATH_PART for part in parts):
        return f"must not hold a part longer than {_PATH_PART} bytes"
    return None
