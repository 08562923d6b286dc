"""Whom a list of users means, screens included."""

from __future__ import annotations

import pytest

from recorders.screens import asked_for, sharer


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


def test_sharer() -> None:
    assert [sharer(name) for name in ("ann-screen", "ann", "-screen", "")] == ["ann", None, None, None]
