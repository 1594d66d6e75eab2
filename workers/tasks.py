"""The two tasks, thin: which lane did it come through, and off to the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import Celery
from celery.worker.request import Request

from connector.contract import names
from workers import wake
from workers.service import EmbedService, ScoreService

__all__ = ["LaneRequest", "register"]


class LaneRequest(Request):  # type: ignore[misc]  # celery has no types
    """Interactive requests are acknowledged when they start: nobody wants them run twice, minutes later.

    Batch requests are acknowledged when they are done, so that those of a killed worker come back.
    """

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Called when a thread of the pool starts with the request."""
        super().on_accepted(pid, time_accepted)
        if _lane(self.delivery_info) == names.INTERACTIVE:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Called once more when the request is done and its slot given back."""
        super().acknowledge()
        wake.slot_is_free()


def register(app: Celery, service: ScoreService | EmbedService) -> None:
    """Registers the task that `service` serves."""

    def score(task: Any, message: Mapping[str, Any]) -> None:
        assert isinstance(service, ScoreService)
        service.score(message, _lane(task.request.delivery_info))

    def embed(task: Any, message: Mapping[str, Any]) -> None:
        assert isinstance(service, EmbedService)
        service.embed(message, _lane(task.request.delivery_info))

    name, function = (names.EMBED_TASK, embed) if isinstance(service, EmbedService) else (names.SCORE_TASK, score)
    app.task(name=name, bind=True, Request=LaneRequest, acks_late=True, reject_on_worker_lost=True)(function)


def _lane(delivery_info: Mapping[str, Any] | None) -> names.Lane:
    queue = str((delivery_info or {}).get("routing_key", ""))
    return names.BATCH if queue.endswith(f".{names.BATCH}") else names.INTERACTIVE
