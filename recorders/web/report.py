"""What was the matter with a page: counted, and the first of each kind told.

Nothing in it grows without bound, and nothing in it lets anybody in anywhere (`redact.py`).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from typing import Any, TypeVar
from urllib.parse import urlsplit

from recorders.web.redact import bare, redacted

T = TypeVar("T")

# How many different ones are told of; more are only counted.
_EXCEPTIONS, _REQUESTS, _PROTECTED, _WARNINGS = 20, 50, 10, 20
_LENGTH = 300
# A page that has shown and played nothing for so long is worth a word.
_IDLE_S = 10.0
_FAILED = re.compile(r"Failed to load resource: (?:(net::ERR_\w+)|the server responded with a status of (\d+))")


class Report:
    """One attempt's, of the page at `url`."""

    def __init__(self, url: str, attempt: int) -> None:
        self._page = bare(url)
        self._attempt = attempt
        self._error = ""
        self._ended_by_page = False
        self._warnings: dict[str, None] = {}
        self._protected: dict[str, None] = {}
        self._exceptions: Counter[str] = Counter()
        self._requests: Counter[tuple[str, str]] = Counter()
        self.counters = {"navigations": 0, "page_exceptions": 0, "requests_failed": 0}
        self.changed = asyncio.Event()

    def navigated(self) -> None:
        """The page went to another address, by itself or as it was told."""
        self._count("navigations")

    def exception(self, text: str) -> None:
        """A script of the page threw what nobody caught."""
        self._count("page_exceptions")
        _tally(self._exceptions, text[: 4 * _LENGTH], _EXCEPTIONS)

    def browser_said(self, text: str, url: str) -> None:
        """A line of the browser's own about what it loads; any that is no failure is passed over."""
        found = _FAILED.match(text)
        if found is None:
            return
        self._count("requests_failed")
        reason = found[1].removeprefix("net::") if found[1] else f"HTTP {found[2]}"
        _tally(self._requests, (_host(url), reason), _REQUESTS)

    def protected(self, what: str) -> None:
        """The page asked for this key system, or plays encrypted media."""
        if len(self._protected) < _PROTECTED and (told := redacted(what, 80)) not in self._protected:
            self._protected[told] = None
            self.warn(f"The page uses DRM ({told}): protected pictures are black or missing.")

    def warn(self, sentence: str) -> None:
        """Something that a person should know."""
        if sentence not in self._warnings and len(self._warnings) < _WARNINGS:
            self._warnings[sentence] = None
            self.changed.set()

    def idle(self, seconds: float) -> None:
        """The page has been of one colour and silent for so long."""
        if seconds >= _IDLE_S:
            self.warn(f"The page was of one colour and silent for {_IDLE_S:g} s.")

    def ended_by_page(self) -> None:
        """The page said that its recording is at its end."""
        self._ended_by_page = True
        self.changed.set()

    def failed(self, sentence: str) -> None:
        """Why the attempt ended."""
        self._error = sentence
        self.changed.set()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences, in the order of their coming."""
        return tuple(self._warnings)

    def document(self) -> dict[str, Any]:
        """For JSON. Counts are of all there were, lists of the first different ones."""
        return {
            "page": self._page,
            "attempt": self._attempt,
            "error": self._error,
            "warnings": list(self._warnings),
            "ended_by_page": self._ended_by_page,
            "counters": dict(self.counters),
            "exceptions": [
                {"message": redacted(text, _LENGTH), "count": count} for text, count in self._exceptions.items()
            ],
            "requests_failed": [
                {"host": host, "reason": reason, "count": count} for (host, reason), count in self._requests.items()
            ],
            "protected_media": list(self._protected),
        }

    @property
    def json(self) -> str:
        """The document as it is kept."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n"

    def _count(self, name: str) -> None:
        self.counters[name] += 1
        self.changed.set()


def _tally(counter: Counter[T], key: T, most: int) -> None:
    if key in counter or len(counter) < most:
        counter[key] += 1


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
