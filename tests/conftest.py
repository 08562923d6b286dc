"""What holds for all tests: steady examples, and which tests go together when they run side by side.

Property tests find the same examples in every run, and none fails for being slow on a busy machine;
`--hypothesis-profile=default` looks for others.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each group runs in one place, one after the other."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    """A file's tests share what it sets up. Those that need a whole service are two groups: one of them starting while
    two others do takes minutes."""
    paired = item.get_closest_marker("paired")
    if paired is not None and paired.args:
        return str(paired.args[0])
    if item.path.parent.name == "cluster":
        common = "service" in getattr(item, "fixturenames", ()) or item.path.name == "test_restart.py"
        return "service" if common else "other services"
    return item.path.name
