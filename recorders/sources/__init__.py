"""Where participants come from: one module a back end, chosen per channel by the settings' rules."""

from __future__ import annotations

from fnmatch import fnmatchcase

from recorders.config import SourcesConfig
from recorders.errors import InvalidSpec
from recorders.sources.base import Source
from recorders.spec import ChannelSpec


def build(spec: ChannelSpec, config: SourcesConfig) -> Source:
    """The source that the first matching rule names. Raises `InvalidSpec` when no rule matches.

    Only that back end is imported: an RTC stack costs a good part of a second.
    """
    for rule in config.rules:
        if fnmatchcase(spec.app_id, rule.app_id) and fnmatchcase(spec.channel, rule.channel):
            break
    else:
        raise InvalidSpec(f"No source is configured for channel {spec.channel} of app {spec.app_id}.")
    if rule.source == "demo":
        from recorders.sources.demo import DemoSource

        return DemoSource(spec)
    if rule.source == "media":
        from recorders.sources.media import MediaSource

        return MediaSource(spec, config.media)
    if rule.source == "janus":
        from recorders.sources.janus import JanusSource

        return JanusSource(spec, config.janus)
    from recorders.sources.whip import WhipSource

    return WhipSource(spec, config.whip)
