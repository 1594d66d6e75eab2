"""Puts tasks on Celery queues from asyncio: the one place where the connector blocks, in threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import celery
import kombu.exceptions

from connector.contract.errors import QueueUnavailable

__all__ = ["Sender"]

#: Seconds after which the broker drops a task that no worker took: a broom for rubbish, not a deadline (clocks differ).
EXPIRES = 60
_THREADS = 4
_CONNECT_TIMEOUT = 2.0


class Sender:
    """Sends tasks by name."""

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
        connection = self._app.connection_for_write()
        self._errors = (
            kombu.exceptions.OperationalError,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="rerank-send")

    async def send(self, task: str, message: Mapping[str, Any], *, queue: str, expires: float | None = EXPIRES) -> None:
        """Puts one task on `queue`.

        Raises:
            QueueUnavailable: the broker does not take it.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, self._publish, task, message, queue, expires)

    def close(self) -> None:
        """Lets go of the broker's connections; a send that hangs is left to its own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._app.close()

    def _publish(self, task: str, message: Mapping[str, Any], queue: str, expires: float | None) -> None:
        try:
            self._app.send_task(task, args=[message], queue=queue, expires=expires, ignore_result=True, retry=False)
        except self._errors as exc:
            raise QueueUnavailable(f"the broker does not take tasks: {exc}") from exc
