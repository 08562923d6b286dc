"""What holds for all tests: steady examples, and which tests go together when they run side by side.

Property tests find the same examples in every run, and none fails for being slow on a busy machine;
`--hypothesis-profile=default` looks for others.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

_SERVICES = ("service", "persistent", "equipped", "elsewhere")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share what it sets up, and many share one service: each such group runs in one place."""
    for item in items:
        if (paired := item.get_closest_marker("paired")) is not None and paired.args:
            item.add_marker(pytest.mark.xdist_group(paired.args[0]))
            continue
        shared = [name for name in _SERVICES if name in getattr(item, "fixturenames", ())]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else item.path.name))
