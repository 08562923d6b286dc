"""Where participants come from: one module a back end, chosen per channel by the settings' rules."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from recorders.errors import InvalidSpec
from recorders.sources.base import Source
from recorders.spec import ChannelSpec

if TYPE_CHECKING:
    from recorders.config import SourceName, SourcesConfig


def source_of(app_id: str, channel: str, config: SourcesConfig) -> SourceName | None:
    """The name of the source that serves a channel: that of the first rule that matches; None without."""
    for rule in config.rules:
        if fnmatchcase(app_id, rule.app_id) and fnmatchcase(channel, rule.channel):
            return rule.source
    return None


def build(spec: ChannelSpec, config: SourcesConfig) -> Source:
    """The source that the first matching rule names. Raises `InvalidSpec` when no rule matches.

    Only that back end is imported: an RTC stack costs a good part of a second.
    """
    source = source_of(spec.app_id, spec.channel, config)
    if source is None:
        raise InvalidSpec(f"No source is configured for channel {spec.channel} of app {spec.app_id}.")
    if source == "demo":
        from recorders.sources.demo import DemoSource

        return DemoSource(spec)
    if source == "media":
        from recorders.sources.media import MediaSource

        return MediaSource(spec, config.media)
    if source == "janus":
        from recorders.sources.janus import JanusSource

        return JanusSource(spec, config.janus)
    if source == "livekit":
        from recorders.sources.livekit import LiveKitSource

        return LiveKitSource(spec, config.livekit)
    if source == "agora":
        from recorders.sources.agora import AgoraSource

        return AgoraSource(spec, config.agora)
    if source == "whep":
        from recorders.sources.whep import WhepSource

        return WhepSource(spec, config.whep)
    from recorders.sources.whip import WhipSource

    return WhipSource(spec, config.whip)
