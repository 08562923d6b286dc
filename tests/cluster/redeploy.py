"""What a deployment of other settings does to the task manager: `python -m tests.cluster.redeploy ADDRESS DATA`."""

from __future__ import annotations

import asyncio
import os
import sys

from egress_ray import environment


async def _redeploy(data_dir: str) -> None:
    from egress_ray.manager.client import get_manager
    from egress_ray.settings import load

    manager = await get_manager(load({"data_dir": data_dir, "limits": {"enqueued_s": 5}}))
    await manager.ready.remote()


if __name__ == "__main__":
    environment.apply(os.environ)
    import ray

    ray.init(address=sys.argv[1], log_to_driver=False)
    asyncio.run(_redeploy(sys.argv[2]))
