"""Whom a list of users means, screens included."""

from __future__ import annotations

import pytest

from recorders.screens import asked_for, sharers


@pytest.mark.parametrize(
    ("users", "names", "asked"),
    [
        ((), ("anybody",), True),
        (("ann",), ("ann",), True),
        (("ann",), ("17", "ann"), True),
        (("ann",), ("ben",), False),
        (("ann",), ("ann-screen",), True),
        (("ann",), ("17", "ann-screen"), True),
        (("ann",), ("ben-screen",), False),
        (("ann-screen",), ("ann-screen",), True),
        (("ann-screen",), ("ann",), False),
        (("ann",), ("-screen",), False),
    ],
)
def test_asked_for(users: tuple[str, ...], names: tuple[str, ...], asked: bool) -> None:
    assert asked_for(users, *names) is asked


@pytest.mark.parametrize(
    ("names", "owners"),
    [
        (("ann-screen",), {"ann"}),
        (("ann-screen-2",), {"ann"}),
        (("7-screen", "ann (screen)"), {"7", "ann"}),
        (("7-screen-3", "ann (screen 3)"), {"7", "ann"}),
        (("7/screen", "ann"), {"7", "ann"}),
        (("17", "ann-screen"), {"17", "ann"}),
        (("ann",), set()),
        (("-screen",), set()),
        (("screen",), set()),
        (("ann-screener",), set()),
        (("",), set()),
    ],
)
def test_whose_screen(names: tuple[str, ...], owners: set[str]) -> None:
    assert sharers(*names) == owners
    assert asked_for(("ann",), *names) is ("ann" in owners or "ann" in names)
    assert asked_for(("ann-screen",), *names) is ("ann" in owners)
