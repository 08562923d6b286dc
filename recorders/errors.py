"""The one error family of the recorders: each is one sentence with the fact that helps."""

from __future__ import annotations


class RecorderError(Exception):
    """A recording cannot go on. `str(error)` is one sentence fit for the task's `error` field.

    `retryable` tells whether a fresh attempt could mend it.
    """

    retryable = True


class Refused(RecorderError):
    """The other side said no for good: a token, pin or user that is not accepted, a page with HTTP 404."""

    retryable = False


class InvalidSpec(RecorderError):
    """The specification cannot be recorded as written: unknown source, codec that does not fit the format."""

    retryable = False


class Lost(RecorderError):
    """The source or the browser went away: connection refused, ICE failed, browser crashed."""


class Unreachable(Lost):
    """The page or channel could not be reached at all: a mistake, or in a recording that has begun a passing lapse."""


class Unwritable(RecorderError):
    """The place where the recording is kept takes nothing more: disk full, folder gone."""

    retryable = False


class StorageAway(RecorderError):
    """The object store does not do as asked now: no connection, no access, no such bucket."""


class Fenced(RecorderError):
    """A newer attempt owns the segment log; this one must stop writing at once."""

    retryable = False


class NotNow(RecorderError):
    """A publisher is not let in now, but may be in a moment; the recording itself goes on."""

    retryable = False
