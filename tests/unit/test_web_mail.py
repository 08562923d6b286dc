"""Messages in the shared file: all of them come, whole and in order, however they are put and taken."""

from __future__ import annotations

import struct
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorders.errors import Lost
from recorders.web.mail import MAIL_BYTES, Mail
from recorders.web.shared_file import PAGE, SharedFile

PUT_AT, TAKEN_AT = 128, 192
SECRET = bytes(range(16))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> SharedFile:
    profile: Path = tmp_path_factory.mktemp("profile")
    path = profile / "Default" / "File System" / "000" / "t" / "00" / "00000000"
    path.parent.mkdir(parents=True)
    path.write_bytes(SECRET + bytes(PAGE - 16 + MAIL_BYTES))
    return SharedFile(profile, SECRET, PAGE + MAIL_BYTES)


class Browser:
    """Does what capture_worker.js does with the file; `before`: so many bytes have been put and taken already."""

    def __init__(self, file: SharedFile, before: int = 0) -> None:
        self.file = file
        self._sent = before
        self.file.count(PUT_AT, before)
        self.file.count(TAKEN_AT, before)

    @property
    def room(self) -> int:
        return MAIL_BYTES - ((self._sent - self.file.counter(TAKEN_AT)) & 0xFFFFFFFF)

    def put(self, message: bytes) -> None:
        for byte, at in zip(message, count(self._sent), strict=False):
            self.file.bytes[PAGE + at % MAIL_BYTES] = byte
        self._sent = (self._sent + len(message)) & 0xFFFFFFFF
        self.file.count(PUT_AT, self._sent)


@given(
    st.integers(0, 2**32 - 1) | st.integers(2**32 - 3000, 2**32 - 1) | st.integers(MAIL_BYTES - 3000, MAIL_BYTES),
    st.lists(st.binary(min_size=1, max_size=2000) | st.none(), max_size=20),
)
def test_what_is_put_is_taken_once(file: SharedFile, before: int, steps: list[bytes | None]) -> None:
    browser = Browser(file, before)
    mail = Mail(browser.file)
    put = taken = b""
    for message in [*steps, None]:
        if message is None:
            taken += mail.take()
            assert taken == put
            assert browser.room == MAIL_BYTES
        else:
            browser.put(message)
            put += message
            assert browser.room == MAIL_BYTES - len(put) + len(taken)
    assert mail.take() == b""


def test_a_whole_room_of_it(file: SharedFile) -> None:
    browser = Browser(file, 7)
    mail = Mail(browser.file)
    message = struct.pack(f"<{MAIL_BYTES // 4}I", *range(MAIL_BYTES // 4))
    browser.put(message)
    assert browser.room == 0
    assert mail.take() == message


def test_more_than_there_is_room_for_is_an_error(file: SharedFile) -> None:
    browser = Browser(file)
    browser.file.count(PUT_AT, MAIL_BYTES + 1)
    with pytest.raises(Lost, match="room"):
        Mail(browser.file).take()
