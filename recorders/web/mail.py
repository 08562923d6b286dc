"""Messages of media from the browser, in a part of the shared file that is written to its end and then again.

They have sound, and where in the file pictures are; there are some ten a second. The browser counts the bytes that it
has put there, and keeps what there is no room for; we count those that we have taken.
"""

from __future__ import annotations

from recorders.errors import Lost
from recorders.web.shared_file import PAGE, SharedFile

MAIL_BYTES = 256 * 1024
"""Room for more than a second of sound; a power of two, for counters that begin again."""
_PUT_AT, _TAKEN_AT = 128, 192


class Mail:
    """Of one browser."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file
        self._taken = file.counter(_TAKEN_AT)

    def take(self) -> bytes:
        """All that has come since; whole messages. Raises `Lost` when that cannot be."""
        put = self._file.counter(_PUT_AT)
        size = (put - self._taken) & 0xFFFFFFFF
        if size > MAIL_BYTES:
            raise Lost("The browser says that it has sent more than there is room for.")
        begin = PAGE + self._taken % MAIL_BYTES
        message = self._file.bytes[begin : min(begin + size, PAGE + MAIL_BYTES)]
        message += self._file.bytes[PAGE : PAGE + size - len(message)]
        self._taken = put
        self._file.count(_TAKEN_AT, put)
        return message
