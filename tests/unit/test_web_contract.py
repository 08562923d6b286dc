"""What is noted of a page: bounded, without secrets; and the names it is kept under."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any, cast

import playwright
import pytest

from recorders.errors import Fenced, Refused, Unreachable
from recorders.log import files
from recorders.log.finish import finish
from recorders.spec import PageSpec, RecordingSpec
from recorders.web import contract
from recorders.web.contract import Contract
from recorders.web.notes import Notes, tail
from recorders.web.redact import bare, redacted
from recorders.web.report import Report

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Joined room 12 after 340 ms", "Joined room 12 after 340 ms"),
        ("GET https://ada:pw@example.org:8443/a/b.js?token=1#x failed", "GET https://example.org:8443/a/b.js failed"),
        ("wss://example.org/socket?key=1", "wss://example.org/socket"),
        (f"https://example.org/join/{JWT}", "https://example.org/join/\u2026"),
        (f"as {JWT} now", "as \u2026 now"),
        ('{"access_token": "007eJxT", "uid": 1}', '{"access_token": "\u2026", "uid": 1}'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer \u2026"),
        ("bearer abc", "bearer \u2026"),
        ("key 0123456789abcdef0123456789abcdef", "key \u2026"),
        ("two\nlines\t\x0bhere", "two lines here"),
    ],
)
def test_what_could_let_somebody_in_is_not_kept(text: str, kept: str) -> None:
    assert redacted(text, 500) == kept


def test_what_a_page_says_is_cut_and_soon_looked_through() -> None:
    assert redacted("word " * 10**6, 20) == "word word word word" + "\u2026"
    for hostile in ("a" * 10**6, "a1" * 10**6, "token" * 10**5, "eyJ" * 10**5, "http://" * 10**5):
        assert len(redacted(hostile, 500)) <= 500


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://ada:pw@example.org/a?b#c", "https://example.org/a"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
        ("data:text/html,secret", "data:\u2026"),
        ("http://[::1", "\u2026"),
    ],
)
def test_an_address_is_kept_as_far_as_its_path(url: str, kept: str) -> None:
    assert bare(url) == kept


def test_a_report_counts_all_and_tells_of_the_first_ones() -> None:
    report = Report("https://example.org/a?token=1", 2)
    for n in range(1000):
        report.exception(f"Error: {n}")
        report.exception("Error: 0")
        report.browser_said(f"Failed to load resource: net::ERR_{'X' * (n + 1)}", f"https://h{n}.example/?k=1")
        report.protected(f"key.system.{n}")
        report.warn(f"Warning {n}.")
    report.browser_said("Failed to load resource: the server responded with a status of 404 ()", "https://a.example/")
    report.browser_said("A cookie was refused", "https://a.example/")
    document = report.document()
    assert document["counters"] == {"navigations": 0, "page_exceptions": 2000, "requests_failed": 1001}
    assert document["exceptions"][0] == {"message": "Error: 0", "count": 1001}
    assert [len(document[name]) for name in ("exceptions", "requests_failed", "protected_media")] == [20, 50, 10]
    assert len(report.warnings) == 20
    assert "token" not in report.json


def test_failed_requests_are_told_by_host_and_reason() -> None:
    report = Report("https://example.org/", 1)
    for _ in range(2):
        report.browser_said("Failed to load resource: net::ERR_NAME_NOT_RESOLVED", "https://cdn.example/x.js?a=b")
    report.browser_said("Failed to load resource: the server responded with a status of 403 (Forbidden)", "http://x/")
    assert report.document()["requests_failed"] == [
        {"host": "cdn.example", "reason": "ERR_NAME_NOT_RESOLVED", "count": 2},
        {"host": "x", "reason": "HTTP 403", "count": 1},
    ]


def test_a_page_that_shows_and_plays_nothing_is_warned_of_once() -> None:
    report = Report("https://example.org/", 1)
    for seconds in (1, 9.9, 10, 11, 12):
        report.idle(seconds)
    assert report.warnings == ("The page was of one colour and silent for 10 s.",)


def test_the_console_s_end_is_kept_as_far_as_there_is_room() -> None:
    assert tail(["first", "last \udc80"]) == b"first\nlast ?\n"
    kept = tail([f"{n:0500d}" for n in range(1000)])
    assert 60_000 < len(kept) <= 64 * 1024
    assert kept.endswith(b"999\n")


def spec(folder: Path, attempt: int = 1, prefix: str = "a/[b]") -> RecordingSpec:
    return RecordingSpec("t", str(folder), PageSpec("https://example.org/"), prefix, attempt)


def test_every_attempt_leaves_notes_of_its_own_that_finishing_lists(tmp_path: Path) -> None:
    async def attempt(number: int) -> None:
        notes = Notes(spec(tmp_path, number), PageSpec("https://example.org/"))
        keeping = asyncio.create_task(notes.keep())
        notes.report.exception("Error: x")
        await asyncio.sleep(0.1)
        written = json.loads((tmp_path / files.report_name("a/[b]", number)).read_text())
        assert written["counters"]["page_exceptions"] == 1, "a report is there before the attempt has ended"
        keeping.cancel()
        await notes.failed(Refused("No."), None)
        await notes.close()

    for number in (2, 10):
        asyncio.run(attempt(number))
    (tmp_path / "a" / "other_1_report.json").write_text("{}")
    assert finish(tmp_path, "a/[b]", "hls").files == ("a/[b]_2_report.json", "a/[b]_10_report.json")
    assert json.loads((tmp_path / "a/[b]_10_report.json").read_text())["error"] == "No."


def test_an_attempt_that_is_fenced_off_writes_nothing(tmp_path: Path) -> None:
    async def fenced() -> None:
        notes = Notes(spec(tmp_path), PageSpec("https://example.org/"))
        await notes.failed(Fenced("Newer."), None)
        await notes.close()

    asyncio.run(fenced())
    assert not list(tmp_path.iterdir())


def test_a_page_may_tell_whatever_it_likes_and_only_its_words_count() -> None:
    async def run() -> None:
        contract = Contract({}, Report("https://example.org/", 1))
        hear = cast(Any, contract)._heard
        nonsense: Any
        for nonsense in (None, 1, [["stop"]], {"0": "stop"}, "", "\n", " ", "stop 1", "nonstop", "protected"):
            hear(nonsense)
        assert not contract.started.done()
        assert not contract.has_ended
        with pytest.raises(Unreachable, match="did not signal START_RECORDING within 0"):
            await contract.signalled(0.01)
        hear("protected org.w3.clearkey\nstart\nstart\n")
        await contract.signalled(0.01)
        hear("stop\n")
        assert contract.has_ended
        assert contract.report.document()["protected_media"] == ["org.w3.clearkey"]

    asyncio.run(run())


# Enough of a page's window for contract.js, in which a page does its worst and then has much to say.
_WINDOW = """
const vm = require("node:vm");
const printed = [];
const log = (...what) => printed.push(...what);
const page = { EventTarget, Event, console: { log, info: log, debug: log, warn: log, error: log } };
page.addEventListener = () => {};
page.Navigator = class {};
vm.createContext(page);
vm.runInContext("window = top = globalThis", page);
vm.runInContext(`(${process.argv[1]})("recorder", {})`, page);
vm.runInContext(process.argv[2], page);
const answers = [];
const ask = () => page.recorder.next().then((told) => answers.push(told));
ask();
page.egress.stop();
ask();
vm.runInContext("recorder.begun()", page);
console.log(JSON.stringify({ answers, printed: printed.map((each) => each.length), state: page.egress.state }));
"""
_HOSTILE = """
const huge = "x".repeat(1e6);
const lie = () => huge;
const changed = [Array, String, Promise, Function, EventTarget].map(({ prototype }) => prototype);
for (const place of [...changed, Reflect, JSON])
  for (const name of ["splice", "slice", "some", "push", "join", "includes", "then", "call", "apply", "bind", "parse",
                      "stringify", "dispatchEvent"])
    if (name in place) place[name] = lie;
Object.prototype.then = (resolve) => resolve(huge);
Object.defineProperty(Array.prototype, "0", { get: lie, set: lie });
Promise = Event = String = class { constructor() { return huge; } };
egress.start();
console.log("START_RECORDING");
console.log(huge, "END", { length: 7 });
for (let n = 0; n < 100; n++) recorder.note(huge + n);
for (let n = 0; n < 100; n++) recorder.note(n + huge);
"""


def test_a_page_that_changes_what_there_is_tells_and_prints_no_more_than_it_may() -> None:
    node = Path(playwright.__file__).parent / "driver" / "node"
    script = Path(contract.__file__).with_name("contract.js").read_text()
    told = subprocess.run([node, "-e", _WINDOW, script, _HOSTILE], capture_output=True, text=True, check=True)
    found = json.loads(told.stdout)
    first, *rest, end = found["answers"][0].split("\n")
    assert (first, end) == ("start", "")
    assert rest == [f"protected {('x' * 200) if n is None else str(n) + 'x' * 200}"[:200] for n in (None, *range(14))]
    assert found["answers"][1:] == ["stop\n"]
    assert found["printed"] == [15, 2000, 3, 7]
    assert found["state"] == "recording"


def test_a_contract_that_is_closed_has_not_ended() -> None:
    async def run() -> None:
        contract = Contract({}, Report("https://example.org/", 1))
        contract.close()
        assert not contract.has_ended

    asyncio.run(run())
