"""The worker's Celery application: JSON only, threads, no results, two queues of one fingerprint."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import kombu.entity
from celery import Celery, signals
from celery.platforms import SecurityWarning

from connector.contract import env, names
from workers import tasks, wake
from workers.service import EmbedService, ScoreService

__all__ = ["VISIBILITY_TIMEOUT", "create", "run"]

logger = logging.getLogger(__name__)

#: Seconds after which an unacknowledged batch request is given to another worker.
VISIBILITY_TIMEOUT = 300


def create(urls: env.Urls, service: ScoreService | EmbedService) -> Celery:
    """An application that serves `service` on the queues of its model."""
    app = Celery("rerank_bridge", broker=urls.broker, set_as_current=False)
    fingerprint = service.model.fingerprint
    queue: Any = kombu.entity.Queue
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # Interactive first: `priority` asks the queues in this order.
        task_queues=[queue(names.queue(fingerprint, lane)) for lane in (names.INTERACTIVE, names.BATCH)],
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT,
            "queue_order_strategy": "priority",
            "socket_keepalive": True,
        },
        # A message is taken only when a slot is free. What the batcher shall see is taken; the rest stays in the
        # broker, where other workers find it.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # A broker that is away is waited for, however long.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    app.steps["consumer"].add(wake.WakeStep)
    tasks.register(app, service)
    return app


def run(app: Celery, *, slots: int, on_ready: Callable[[], None]) -> int:
    """Runs the worker until it is told to stop (SIGTERM, SIGINT); returns the exit code.

    What is in flight then is finished first. `on_ready` is called when the queues are listened to.
    """

    def ready(**_: object) -> None:
        on_ready()

    signals.setup_logging.connect(_keep_logging, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    # Celery warns of root because of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = app.Worker(
        pool="threads",
        concurrency=slots,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="WARNING",
    )
    worker.start()
    return int(worker.exitcode or 0)


def _keep_logging(**_: object) -> None:
    """The command has configured logging already."""
