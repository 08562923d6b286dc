"""What a recording reserves of a node, and what is said when no node has it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress_ray.manager.placement import MIB, Cost, cost, missing
from egress_ray.settings import load

SETTINGS = load({"cost": {"native_memory_mb": 300, "web_memory_mb": 700}}).cost
SLOW = "the free resources were not on one node, or its process was slow to start"


def payload(layout: str = "flat", width: int = 1280, height: int = 720, rate: int = 30, users: int = 0) -> Any:
    video = {"width": width, "height": height, "frameRate": rate}
    return {"layout": layout, "video": video, "users": [f"user{n}" for n in range(users)]}


def test_costs() -> None:
    assert cost(payload(), SETTINGS) == Cost(0.35, 300 * MIB)
    assert cost(payload(users=9), SETTINGS) == Cost(1.05, 300 * MIB)
    assert cost(payload("freestyle"), SETTINGS) == Cost(0.7, 700 * MIB)
    assert str(cost(payload("freestyle"), SETTINGS)) == "0.70 CPU and 700 MiB"


def test_pages_are_counted_where_the_settings_say_so() -> None:
    counted = load({"cost": {"web_memory_mb": 700, "pages_per_node": 4}}).cost
    page = cost(payload("freestyle"), counted)
    assert page == Cost(0.7, 700 * MIB, 1)
    assert page.resources == {"pages": 1}
    assert cost(payload(), counted).resources == cost(payload("freestyle"), SETTINGS).resources == {}
    plenty = {"CPU": 8.0, "memory": 9e9}
    assert missing(page, {**plenty, "pages": 4}, plenty, 30) == (
        "No node had 0.70 CPU and 700 MiB and a place for a page free within 30 s: 0.00 places for pages were free."
    )
    assert "the whole cluster has 0.00 places for pages" in missing(page, plenty, plenty, 30)


def test_individual_and_sound_alone_cost_less() -> None:
    individual, sound = {"mode": "individual"}, {"video": None}
    assert cost({**payload(users=4), **individual}, SETTINGS) == Cost(0.29, 340 * MIB)
    assert cost({**payload(users=4), **individual, **sound}, SETTINGS) == Cost(0.17, 340 * MIB)
    assert cost({**payload(users=4), **sound}, SETTINGS) == Cost(0.14, 300 * MIB)
    assert cost({**payload(users=4), "format": "m4a"}, SETTINGS) == Cost(0.14, 300 * MIB)
    assert cost({**payload("freestyle"), **sound}, SETTINGS) == Cost(0.2, 700 * MIB)


@given(st.sampled_from(["flat", "freestyle"]), st.integers(2, 8192), st.integers(1, 60), st.integers(0, 31))
def test_more_never_costs_less(layout: str, width: int, rate: int, users: int) -> None:
    some = cost(payload(layout, width, 720, rate, users), SETTINGS)
    assert some.cpus > 0
    assert some.cpus <= cost(payload(layout, width + 2, 720, rate, users + 1), SETTINGS).cpus
    assert some.cpus <= cost(payload(layout, width, 720, rate + 1, users), SETTINGS).cpus


@pytest.mark.parametrize(
    ("total", "free", "fact"),
    [
        ({"CPU": 0.5, "memory": 9e9}, {"CPU": 0.5, "memory": 9e9}, "the whole cluster has 0.50 CPU"),
        ({"CPU": 2, "memory": 9e9}, {"memory": 9e9}, "0.00 CPU were free"),
        (
            {"CPU": 2, "memory": 9e9},
            {"CPU": 0.6, "memory": 100 * MIB},
            "0.60 CPU were free; 100.00 MiB of memory were free",
        ),
        ({"CPU": 2, "memory": 9e9}, {"CPU": 2, "memory": 9e9}, SLOW),
    ],
)
def test_what_was_missing_is_told(total: dict[str, float], free: dict[str, float], fact: str) -> None:
    told = missing(Cost(0.7, 700 * MIB), total, free, 30)
    assert told == f"No node had 0.70 CPU and 700 MiB free within 30 s: {fact}."
