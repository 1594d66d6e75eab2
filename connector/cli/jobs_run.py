"""The coordinator's process: logging, signals, connections."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Mapping, Sequence

from connector.contract.errors import ConfigurationError
from connector.jobs import parts, servers, stopping
from connector.jobs.control import Control
from connector.jobs.coordinator import Coordinator
from connector.jobs.state import State
from connector.proxy import logs
from connector.settings import Settings

__all__ = ["run"]

log = logging.getLogger("connector.jobs")


def run(
    environment: Mapping[str, str],
    *,
    jobs: int,
    lease: float,
    until_idle: bool,
    admin_listen: str | None = None,
    admin_allow: Sequence[str] = (),
) -> None:
    """Runs until a signal, or until no job is left.

    Raises:
        ConfigurationError: a setting cannot be used, or the admin address cannot be listened on.
    """
    logs.configure("warning")
    logging.getLogger("connector.jobs").setLevel(logging.INFO)
    settings = Settings.from_environment(environment)

    async def main() -> None:
        async with servers.connect(settings) as connected, _admin(environment, connected, admin_listen, admin_allow):
            coordinator = Coordinator(connected, parts.home(environment), jobs=jobs, lease=lease)
            log.info("coordinator ready", extra={"fields": {"id": coordinator.id}})
            work = asyncio.create_task(coordinator.run(until_idle=until_idle))
            asked = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, asked.set)
            leaving = asyncio.create_task(asked.wait())
            try:
                await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                await stopping.stop([work, leaving])

    asyncio.run(main())


@contextlib.asynccontextmanager
async def _admin(
    environment: Mapping[str, str], connected: servers.Servers, listen: str | None, allowed: Sequence[str]
) -> AsyncIterator[None]:
    """The HTTP form, where it is asked for."""
    if listen is None:
        yield
        return
    from aiohttp import web

    from connector.jobs import admin

    host, port = admin.read_address(listen)
    home = parts.home(environment)
    app = admin.application(
        Control(State(connected.state), home),
        token=environment.get("RERANK_BRIDGE_ADMIN_TOKEN", ""),
        allowed=allowed,
        home=home,
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as exc:
            raise ConfigurationError(f"--admin-listen {listen} cannot be listened on: {exc.strerror}") from exc
        address = runner.addresses[0]
        log.info("admin listening", extra={"fields": {"address": f"http://{address[0]}:{address[1]}"}})
        yield
    finally:
        await runner.cleanup()
