"""The coordinator's process: logging, signals, connections."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Mapping

from connector.jobs import parts, servers
from connector.jobs.coordinator import Coordinator
from connector.proxy import logs
from connector.settings import Settings

__all__ = ["run"]

log = logging.getLogger("connector.jobs")


def run(environment: Mapping[str, str], *, jobs: int, lease: float, until_idle: bool) -> None:
    """Runs until a signal, or until no job is left."""
    logs.configure("warning")
    logging.getLogger("connector.jobs").setLevel(logging.INFO)
    settings = Settings.from_environment(environment)

    async def main() -> None:
        async with servers.connect(settings) as connected:
            coordinator = Coordinator(connected, parts.home(environment), jobs=jobs, lease=lease)
            log.info("coordinator ready", extra={"fields": {"id": coordinator.id}})
            work = asyncio.create_task(coordinator.run(until_idle=until_idle))
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, work.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await work

    asyncio.run(main())
