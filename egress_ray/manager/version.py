"""Which code and settings a manager runs, so that an older one can be told from this one."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import egress_ray
import recorders


def code_version(args: dict[str, Any]) -> str:
    """A digest of the packages' sources and of the settings."""
    return hashlib.sha256((_sources() + json.dumps(args, sort_keys=True, default=str)).encode()).hexdigest()[:16]


@cache
def _sources() -> str:
    digest = hashlib.sha256()
    for package in (egress_ray, recorders):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
