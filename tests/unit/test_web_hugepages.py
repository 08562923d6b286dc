"""Who has huge pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ASK = """
import ctypes, sys
from pathlib import Path
from recorders.web import hugepages
ctypes.CDLL(None).prctl(41, 0, 0, 0, 0)  # whatever was declined in the process that starts this one
hugepages.decline(Path(sys.argv[1]))
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("THP_enabled:")))
"""


@pytest.mark.parametrize(
    ("whole", "sizes", "has"),
    [
        ("always [madvise] never", {"2048": "always [inherit] madvise never"}, "0"),
        ("always [madvise] never", {}, "0"),
        (
            "always madvise [never]",
            {"64": "always inherit [madvise] never", "2048": "always inherit madvise [never]"},
            "0",
        ),
        ("[always] madvise never", {}, "1"),
        (
            "[always] madvise never",
            {"64": "always inherit madvise [never]", "2048": "always [inherit] madvise never"},
            "1",
        ),
        ("[always] madvise never", {"2048": "always inherit madvise [never]"}, "0"),
        (
            "always [madvise] never",
            {"64": "[always] inherit madvise never", "2048": "always [inherit] madvise never"},
            "1",
        ),
        (None, {}, "1"),
    ],
)
def test_only_what_is_for_everybody_is_left(tmp_path: Path, whole: str | None, sizes: dict[str, str], has: str) -> None:
    if whole is not None:
        (tmp_path / "enabled").write_text(f"{whole}\n")
    for size, text in sizes.items():
        (tmp_path / f"hugepages-{size}kB").mkdir()
        (tmp_path / f"hugepages-{size}kB" / "enabled").write_text(f"{text}\n")
    asked = subprocess.run([sys.executable, "-c", _ASK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == has
