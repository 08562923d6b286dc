"""When a browser is replaced, and when it is not: liveness, succession, and what the log says of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from recorders.config import WebConfig
from recorders.errors import Lost, RecorderError, Refused, Unreachable
from recorders.log.index import Index, Part, Slate, line, parse
from recorders.web.avcc import length_prefixed, with_sets
from recorders.web.clock import Clock
from recorders.web.liveness import TICK_S, Doubt, Quiet
from recorders.web.session import Beginning
from recorders.web.sink import Feed, Sink
from recorders.web.succession import Succession

BROWSER = Doubt("browser", "The browser sent nothing any more.")
PAGE = Doubt("page", "The page did not answer for 10 s.")
CONFIG = WebConfig(replace_in_a_row=2)
_TICK_S = 0.02


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorders.web.succession.TICK_S", _TICK_S)
    monkeypatch.setattr("recorders.web.succession._AGAIN_S", 0.05)


class _Session:
    """A browser whose condition the test sets; `start` gives or raises what the test has said before."""

    def __init__(self, sink: Sink, comes: RecorderError | None) -> None:
        self.feed = Feed(sink)
        self.doubt: Doubt | None = None
        self.error: RecorderError | None = None
        self.closed: list[bool] = []
        self.requests_refused = 0
        self.lost: tuple[asyncio.Future[None], ...] = ()
        self.contract = _Contract()
        self.requests_refused = 0
        self._comes = comes

    async def start(self, prepared: Any = None) -> Beginning:
        await asyncio.sleep(0.02)
        if self._comes is not None:
            raise self._comes
        return Beginning(time.time(), "h264", "bt709")

    def look(self) -> Doubt | None:
        if self.error is not None:
            raise self.error
        return self.doubt

    async def close(self, kill: bool = False) -> None:
        self.closed.append(kill)


class _Contract:
    """Of a page that does not say that it is at its end."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.has_ended = False


class _Output:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.until: list[float] = []
        self.filled = self.left_out = 0

    def slate(self, until: float, why: str) -> None:
        self.told.append("slate")
        self.until.append(until)

    def go_on(self, begun: Beginning, why: str) -> None:
        self.told.append("go on")

    def close(self, seconds: float | None) -> None:
        return


class _Attempt:
    """A succession of such browsers; `coming` tells how each that follows the first comes up."""

    def __init__(self, config: WebConfig, *coming: RecorderError | None) -> None:
        self.sink = Sink()
        self.output = _Output()
        self.made: list[_Session] = []
        self._coming = [None, *coming]
        self.browsers = Succession(cast(Any, self._new), self.sink, config, Clock())
        self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sink.open(lambda: cast(Any, self.output))

    def _new(self) -> _Session:
        comes = self._coming[len(self.made)] if len(self.made) < len(self._coming) else None
        self.made.append(_Session(self.sink, comes))
        return self.made[-1]

    async def run(self, steps: Callable[[_Attempt], Any]) -> None:
        watching: asyncio.Task[None] | None = None
        try:
            await self.browsers.start(asyncio.get_running_loop().create_future())
            watching = asyncio.create_task(self.browsers.watch(self._stop))
            done = asyncio.create_task(steps(self))
            await asyncio.wait({watching, done}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            if done.done():
                done.result()
                self._stop.set_result(None)
            else:
                done.cancel()
            await asyncio.wait_for(watching, 5)
        finally:
            await self.sink.close(None)
            await self.browsers.close()

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(8):
            while not what():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def attempt(steps: Callable[[_Attempt], Any], *coming: RecorderError | None, config: WebConfig = CONFIG) -> _Attempt:
    async def run() -> _Attempt:
        made = _Attempt(config, *coming)
        await made.run(steps)
        return made

    return asyncio.run(run())


def test_one_that_is_lost_is_killed_at_once_and_another_goes_on_after_the_slate() -> None:
    async def steps(made: _Attempt) -> None:
        made.made[0].error = Lost("It crashed.")
        await made.until(lambda: len(made.browsers.replaced) == 1)
        assert made.browsers.replaced[0][1] == "It crashed."

    made = attempt(steps)
    assert [session.closed for session in made.made] == [[True], [False]]
    assert made.output.told[0] == "slate"
    assert made.output.told[-1] == "go on"


def test_a_step_of_the_machine_s_clock_makes_no_slate(monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(made: _Attempt) -> None:
        made.made[0].error = Lost("It crashed.")
        await made.until(lambda: bool(made.output.until))
        wall = time.time
        monkeypatch.setattr(time, "time", lambda: wall() + 3600)
        await made.until(lambda: len(made.output.until) > 3)

    class Slow(_Session):
        async def start(self, prepared: Any = None) -> Beginning:
            if prepared is None:
                await asyncio.sleep(1)
            return await super().start(prepared)

    monkeypatch.setattr("tests.unit.test_web_succession._Session", Slow)
    made = attempt(steps)
    assert made.output.until[-1] - made.output.until[0] < 60


def test_a_doubt_that_passes_costs_a_browser_and_nothing_else() -> None:
    async def steps(made: _Attempt) -> None:
        for n in range(1, 5):
            made.made[0].doubt = BROWSER
            await made.until(lambda n=n: len(made.made) == n + 1)  # type: ignore[misc]
            made.made[0].doubt = None
            made.browsers._not_before = 0.0
            await made.until(lambda n=n: made.made[n].closed == [False])  # type: ignore[misc]
            made.browsers._not_before = 0.0

    class Slow(_Session):
        async def start(self, prepared: Any = None) -> Beginning:
            if prepared is None:
                await asyncio.sleep(60)
            return await super().start(prepared)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.unit.test_web_succession._Session", Slow)
        made = attempt(steps)
    assert made.browsers.replaced == []
    assert made.output.told == []
    assert made.made[0].closed == [False]


def test_one_that_is_in_doubt_records_until_its_successor_is_ready() -> None:
    async def steps(made: _Attempt) -> None:
        made.made[0].doubt = BROWSER
        await made.until(lambda: len(made.browsers.replaced) == 1)

    made = attempt(steps)
    assert made.output.told == ["go on"]
    assert made.made[0].closed == [True]


def test_a_page_that_hangs_again_is_recorded_as_it_stands() -> None:
    async def steps(made: _Attempt) -> None:
        made.made[0].doubt = PAGE
        await made.until(lambda: len(made.browsers.replaced) == 1)
        made.made[1].doubt = PAGE
        await asyncio.sleep(5 * _TICK_S)
        assert len(made.made) == 2

    attempt(steps)


def test_a_row_is_bounded_and_begins_anew_after_a_while_without_a_fault() -> None:
    async def steps(made: _Attempt) -> None:
        for n in range(5):
            made.made[n].error = Lost("It crashed.")
            await made.until(lambda n=n: len(made.browsers.replaced) == n + 1)  # type: ignore[misc]

    with pytest.raises(Lost, match=r"^It crashed\. 2 browsers in a row were replaced\.$"):
        attempt(steps)

    async def rested(made: _Attempt) -> None:
        for n in range(3):
            await asyncio.sleep(0.3)
            made.made[n].error = Lost("It crashed.")
            await made.until(lambda n=n: len(made.browsers.replaced) == n + 1)  # type: ignore[misc]

    attempt(rested, config=WebConfig(replace_in_a_row=1, healthy_s=0.1))


@pytest.mark.parametrize(
    ("coming", "kind", "often"),
    [
        ((Refused("HTTP 404."),), Refused, 2),
        ((Unreachable("No answer."), Unreachable("No answer.")), Lost, 3),
    ],
)
def test_a_page_that_does_not_come_again(coming: tuple[RecorderError, ...], kind: type[Exception], often: int) -> None:
    async def run() -> None:
        made = _Attempt(CONFIG, *coming)

        async def steps(made: _Attempt) -> None:
            made.made[0].error = Lost("It crashed.")
            await asyncio.sleep(60)

        with pytest.raises(kind) as caught:
            await made.run(steps)
        assert type(caught.value) is kind
        assert len(made.made) == often
        assert all(session.closed for session in made.made)

    asyncio.run(run())


def test_a_time_in_which_nobody_looked_is_no_silence() -> None:
    now = 0.0
    quiet = Quiet(lambda: now)
    for _ in range(4):
        now += TICK_S
        quiet.look(False)
    assert quiet.seconds == 4 * TICK_S
    now += 30
    quiet.look(False)
    assert quiet.seconds == 6 * TICK_S
    quiet.look(True)
    assert quiet.seconds == 0


def test_slates_are_in_the_index_and_one_over_several_parts() -> None:
    slates = [(Slate(1.5, 2.0, "a"),), (Slate(2.0, 3.0, "a"), Slate(3.5, 4.0, "b")), ()]
    parts = [Part(1, k, f"p{k}", 2.0 * k, 2.0, 1, "", each) for k, each in enumerate(slates)]
    begun = b'{"kind":"attempt","attempt":1,"epoch":0,"init":"i","bytes":1,"sha256":"","part_seconds":2}\n'
    lines = [line(part) for part in parts]
    assert b"slates" not in lines[2]
    index = parse((begun + b"".join(lines)).splitlines())
    assert index.parts == tuple(parts)
    assert index.slates == (Slate(1.5, 3.0, "a"), Slate(3.5, 4.0, "b"))
    assert Index().slates == ()


def test_a_description_for_two_encoders() -> None:
    own = b"\x01\x64\x00\x1f\xff\xe1\x00\x04\x67\x64\x00\x1f\x01\x00\x03\x68\xce\x3c\xfd\xf8\xf8\x00"
    both = with_sets(own, b"\0\0\0\1\x67\x42\xc0\x1f\x05\0\0\1\x68\x48\xe0")
    sps = b"\xe2\x00\x04\x67\x64\x00\x1f\x00\x05\x67\x42\xc0\x1f\x05"
    assert both == b"\x01\x64\x00\x1f\xff" + sps + b"\x02\x00\x03\x68\xce\x3c\x00\x03\x68\x48\xe0" + b"\xfd\xf8\xf8\x00"
    picture = b"\0\0\0\1\x06\x05\x01\x80\0\0\0\1\x65\x88\x84\0\0\1\x41\x9a"
    assert length_prefixed(picture) == b"\0\0\0\3\x65\x88\x84\0\0\0\2\x41\x9a"
