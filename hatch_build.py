"""Puts the hook for `serve run` into what is installed, editable or not; see `egress_ray.environment`."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HOOK = "egress_ray_serve.pth"


class ServeHook(BuildHookInterface[Any]):
    """A .pth file beside the package, which Python reads when it starts."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_data["force_include"][HOOK] = HOOK
        build_data["force_include_editable"] = {HOOK: HOOK, **build_data.get("force_include_editable", {})}
