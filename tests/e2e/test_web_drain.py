"""How a page's sound is taken from Chromium: capture_worker.js' drain by a clock of the test's own, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.worker_page import worker_page

__all__ = ["worker_page"]
# Lets it take blocks of 10 ms for so many seconds. Each comes `delay` after its time, from a second on so much later
# or sooner (`changes`: [second, ms]); the worker may not get to run for a while (`held`: [second, ms]). Chromium keeps
# `waiting` blocks. Tells how many were lost, for how many milliseconds one had waited when it was taken, in each
# second at most, and how often a second the worker was woken.
_TAKE = """async ([seconds, delay, changes, held, waiting]) => {
    const BLOCK = 10, COST = 0.1;
    let now = 0, due = [], next = 0, lost = 0, wakes = 0;
    const comes = (n) => {
        const time = BLOCK * (n + 1);
        return time + changes.reduce((late, [second, ms]) => late + (time >= 1000 * second ? ms : 0), delay);
    };
    const waited = new Array(seconds).fill(0);
    const take = () => {
        now += COST;
        const timestamp = 1000 * BLOCK * next++;
        return { done: false, value: { timestamp, close() {} } };
    };
    const read = () => {
        while (comes(next + waiting) <= now) next++, lost++;
        const late = now - comes(next);
        const second = Math.min(seconds - 1, Math.floor(now / 1000));
        waited[second] = Math.max(waited[second], late);
        if (late >= 0) return Promise.resolve(take());
        return new Promise((resolve) => due.push([comes(next), () => resolve(take())]));
    };
    const { port1, port2 } = new MessageChannel();
    const settled = () => new Promise((resolve) => { port2.onmessage = resolve; port1.postMessage(null); });
    const setTimeoutBefore = globalThis.setTimeout;
    performance.now = () => now;
    globalThis.setTimeout = (call, ms) => due.push([now + ms, call]);
    try {
        const clock = { map: (timestamp) => timestamp / 1000 };
        const drain = new SoundDrain({ getReader: () => ({ read }) }, clock, { add() {}, flush() {} });
        drain.run();
        for (;;) {
            await settled();
            due.sort(([one], [other]) => one - other);
            const [time, call] = due.shift();
            now = Math.max(now, time);
            if (now >= 1000 * seconds) break;
            const hold = held.findIndex(([second]) => now >= 1000 * second);
            if (hold >= 0) now += held.splice(hold, 1)[0][1];
            wakes++;
            call();
        }
    } finally {
        delete performance.now;
        globalThis.setTimeout = setTimeoutBefore;
    }
    return [lost, waited, wakes / seconds];
}"""
DELAY, WAITING = 20, 300


def take(
    page: Page,
    seconds: int,
    changes: list[tuple[float, float]] | None = None,
    held: list[tuple[float, float]] | None = None,
) -> tuple[int, list[float], float]:
    lost, waited, wakes = page.evaluate(_TAKE, [seconds, DELAY, changes or [], held or [], WAITING])
    return lost, waited, wakes


def test_in_half_an_hour_it_does_not_fall_behind(worker_page: Page) -> None:
    lost, waited, wakes = take(worker_page, 1800)
    assert lost == 0
    assert max(waited) < 120
    assert wakes < 13


def test_what_waited_while_it_was_held_up_is_taken_at_once(worker_page: Page) -> None:
    lost, waited, _ = take(worker_page, 60, held=[(20, 2000), (40, 2000)])
    assert lost == 0
    assert max(waited[:20]) < 120 < 1900 < max(waited[20:23])
    assert max(waited[23:40]) < 120 < 1900 < max(waited[40:43])
    assert max(waited[43:]) < 120


def test_held_up_from_its_beginning_it_catches_up(worker_page: Page) -> None:
    lost, waited, _ = take(worker_page, 60, held=[(0, 2500)])
    assert lost == 0
    assert max(waited[15:]) < 120


@pytest.mark.parametrize("drift", [-0.1, 0.1])
def test_sound_that_comes_ever_sooner_or_later_is_taken_together(worker_page: Page, drift: float) -> None:
    lost, waited, wakes = take(worker_page, 300, changes=[(second, drift) for second in range(300)])
    assert lost == 0
    assert max(waited) < 120
    assert wakes < 13


def test_sound_that_comes_later_from_some_time_on_is_taken_together_soon(worker_page: Page) -> None:
    lost, waited, wakes = take(worker_page, 120, changes=[(0, -19), (20, 60)])
    assert lost == 0
    assert max(waited) < 120
    assert wakes < 22
