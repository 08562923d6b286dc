"""Tables: printed to the terminal and written to results.md, where each benchmark has its own section."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("results.md")
ORDER = ("native", "individual", "web", "web_codecs", "api", "latency", "memory", "drift")
# Those that take long, and run only when they are asked for.
LONG = ("page_drift", "janus_drift")


@dataclass
class Table:
    """Rows of text below a title, with notes that say how it was measured."""

    title: str
    columns: Sequence[str]
    notes: str = ""
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def __str__(self) -> str:
        """Markdown that reads well as plain text."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        text = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        ]
        text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join([f"### {self.title}", "", *text, *(["", self.notes] if self.notes else [])])


def write(name: str, tables: Sequence[Table]) -> None:
    """Replace the section of the benchmark `name`, which says on what machine it ran."""
    sections = _sections(RESULTS.read_text()) if RESULTS.exists() else {}
    sections[name] = "\n\n".join([machine(), *map(str, tables)])
    parts = ["# Benchmarks\n\n`make bench` writes this file, each section by itself."]
    parts += [f"## {key}\n\n{sections[key].strip()}" for key in (*ORDER, *LONG) if key in sections]
    RESULTS.write_text("\n\n".join(parts) + "\n")


def _sections(text: str) -> dict[str, str]:
    pieces = re.split(r"^## (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def machine() -> str:
    """Cores, processor, memory and versions of what was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("ray", "av", "aiortc", "playwright", "fastapi"))
    programs = ", ".join(
        found
        for found in (
            _version("ffmpeg", "-version", r"ffmpeg version (\S+)", "ffmpeg"),
            _version("gst-launch-1.0", "--version", r"GStreamer (\S+)", "GStreamer"),
            _version("chromium", "--version", r"Chromium (\S+)", "Chromium"),
        )
        if found
    )
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {packages}; {programs}."
    )


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def _version(program: str, option: str, pattern: str, name: str) -> str:
    try:
        said = subprocess.run([program, option], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(pattern, said)
    return f"{name} {found[1]}" if found else name
