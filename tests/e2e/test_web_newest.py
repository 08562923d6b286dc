"""When a page is asked what it shows: the part of capture_worker.js that sees to its last picture, in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.worker_page import worker_page

__all__ = ["worker_page"]
# Gives it pictures, each the luma of its bands of 40 rows, or null for "wait"; answers come when it asks, while there
# are any. Each picture follows the last that was new. Tells which were new, how often it asked, whether it has settled.
_TELL = """async ([pictures, answers]) => {
    const made = (luma) => {
        const width = 64, height = 40 * luma.length, data = new Uint8Array(width * height * 1.5).fill(128);
        luma.forEach((value, n) => data.fill(value, 40 * n * width, 40 * (n + 1) * width));
        return new VideoFrame(data, { format: "I420", codedWidth: width, codedHeight: height, timestamp: 0 });
    };
    const told = [];
    let last = null, asked = 0;
    const come = async (luma) => {
        const picture = made(luma);
        told.push(await newest.isNew(picture, performance.now(), last));
        if (told.at(-1)) last = picture;
    };
    const newest = new Newest(() => { asked++; if (answers.length) come(answers.shift()); });
    for (const luma of pictures) {
        if (luma) await come(luma);
        else await new Promise((resolve) => setTimeout(resolve, 5.5 * STILL_MS));
    }
    return [told, asked, newest.settled];
}"""
DARK, LIGHT, BELOW = [20, 20, 20], [200, 20, 20], [20, 20, 21]


def tell(page: Page, pictures: list[list[int] | None], answers: list[list[int]]) -> Any:
    return page.evaluate(_TELL, [pictures, answers])


def test_a_page_that_moves_is_not_asked(worker_page: Page) -> None:
    assert tell(worker_page, [DARK, LIGHT, DARK, DARK], []) == [[True] * 4, 0, False]


def test_a_page_that_stands_still_is_asked_once(worker_page: Page) -> None:
    assert tell(worker_page, [DARK, None, None], [DARK]) == [[True, False], 1, True]


@pytest.mark.parametrize("other", [LIGHT, BELOW])
def test_a_page_is_asked_until_it_shows_what_it_showed(worker_page: Page, other: list[int]) -> None:
    told, asked, settled = tell(worker_page, [DARK, None, None], [other, DARK, DARK])
    assert (told, asked, settled) == ([True, True, True, False], 3, True)


def test_a_page_that_does_not_answer_is_asked_again(worker_page: Page) -> None:
    told, asked, settled = tell(worker_page, [DARK, None], [])
    assert (told, settled) == ([True], False)
    assert 2 <= asked <= 5


def test_what_comes_unasked_is_new_though_it_shows_the_same(worker_page: Page) -> None:
    assert tell(worker_page, [DARK, None, DARK, None], [DARK, DARK]) == [[True, False, True, False], 2, True]
