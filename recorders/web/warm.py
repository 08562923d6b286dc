"""A browser that is open before there is anything to record, for a recording that begins at once."""

from __future__ import annotations

import asyncio
import importlib

from recorders.config import WebConfig
from recorders.spec import PageSpec, RecordingSpec, VideoSpec
from recorders.web.browser import needs
from recorders.web.station import Station

_NOTHING = PageSpec("about:blank")
# What a recording loads while its browser starts.
_LOADED = ("recorders.log.salvage", "recorders.web.output", "recorders.web.recorder")


def fits(spec: RecordingSpec) -> bool:
    """Whether `spec` can be recorded at a station that was opened for nothing in particular. The size of its pictures
    does not matter: that is set at use."""
    return isinstance(spec.subject, PageSpec) and needs(spec.subject) == needs(_NOTHING)


async def open_station(config: WebConfig) -> Station:
    """A station that is open, with all that is needed to record loaded in this process and in the browser.

    Raises `RecorderError`, or TimeoutError when it takes too long.
    """
    station = Station(config, _NOTHING, VideoSpec())
    try:
        async with asyncio.timeout(config.launch_timeout_s):
            await station.open()
            await station.own_page()
            await asyncio.to_thread(lambda: [importlib.import_module(name) for name in _LOADED])
    except BaseException:
        await station.close()
        raise
    return station
