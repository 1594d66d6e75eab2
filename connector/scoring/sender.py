"""Puts tasks on Celery queues from asyncio: the one place where the connector blocks, in threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import celery
import kombu.exceptions

from connector.contract.errors import ConfigurationError, QueueUnavailable

__all__ = ["Sender"]

#: Seconds after which the broker drops a task that no worker took: a broom for rubbish, not a deadline (clocks differ).
EXPIRES = 60
_THREADS = 4
#: Tasks that may wait for a broker that takes them slowly.
_MOST_WAITING = 500
_CONNECT_TIMEOUT = 2.0


class Sender:
    """Sends tasks by name.

    Raises:
        ConfigurationError: Celery cannot use the broker's address.
    """

    def __init__(self, broker_url: str) -> None:
        self._app = celery.Celery("rerank-bridge", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            task_serializer="json",
            accept_content=["json"],
            task_ignore_result=True,
            broker_pool_limit=_THREADS,
            broker_connection_timeout=_CONNECT_TIMEOUT,
            broker_transport_options={
                "socket_connect_timeout": _CONNECT_TIMEOUT,
                "socket_timeout": _CONNECT_TIMEOUT,
                "max_retries": 0,
            },
        )
        try:
            connection = self._app.connection_for_write()
            known = (*connection.connection_errors, *connection.channel_errors)
        except (ImportError, LookupError, ValueError) as exc:
            # Not its words: an address that cannot be read may show its password in them.
            problem = f"needs the package {exc.name}" if isinstance(exc, ImportError) else "is none that Celery knows"
            raise ConfigurationError(f"RERANK_BRIDGE_BROKER_URL {problem}") from exc
        self._errors = (kombu.exceptions.OperationalError, OSError, *known)
        self._waiting = 0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="rerank-send")

    async def send(self, task: str, message: Mapping[str, Any], *, queue: str, expires: float | None = EXPIRES) -> None:
        """Puts one task on `queue`.

        Raises:
            QueueUnavailable: the broker does not take it, or takes tasks so slowly that too many wait already.
        """
        if self._waiting >= _MOST_WAITING:
            raise QueueUnavailable(f"the broker takes tasks too slowly: {self._waiting} wait")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._publish, task, message, queue, expires)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Lets go of the broker's connections; a send that hangs is left to its own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._app.close()

    def _publish(self, task: str, message: Mapping[str, Any], queue: str, expires: float | None) -> None:
        try:
            self._app.send_task(task, args=[message], queue=queue, expires=expires, ignore_result=True, retry=False)
        except self._errors as exc:
            raise QueueUnavailable(f"the broker does not take tasks: {exc}") from exc
