"""What a deployment of other settings does to the task manager: `python -m tests.cluster.redeploy ADDRESS S CHANGES`.

The former manager is retired for S seconds before it ends. The settings are those of the environment, and where it
says nothing the changes: a JSON object of their sections.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from egress_ray import environment


async def _redeploy(retired_s: float, changes: dict[str, Any]) -> None:
    from egress_ray.manager.client import get_manager, present_manager
    from egress_ray.settings import load

    settings = load(changes)
    await present_manager(settings).retire.remote()
    await asyncio.sleep(retired_s)
    manager = await get_manager(settings)
    await manager.ready.remote()


if __name__ == "__main__":
    environment.apply(os.environ)
    import ray

    ray.init(address=sys.argv[1], log_to_driver=False)
    asyncio.run(_redeploy(float(sys.argv[2]), json.loads(sys.argv[3])))
