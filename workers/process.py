"""One worker process from start to end: load and warm the model, listen, announce; finish, take back the heartbeat."""

from __future__ import annotations

import logging
from typing import TypeVar

import workers.models
from connector.contract import env
from connector.contract.errors import ConfigurationError
from workers import app
from workers.heartbeat import Beater
from workers.metrics import Metrics
from workers.service import EmbedService, ScoreService
from workers.settings import WorkerSettings

__all__ = ["one_of", "run"]

logger = logging.getLogger(__name__)
S = TypeVar("S", bound=str)


def one_of(option: str, value: str, allowed: tuple[S, ...]) -> S:
    """`value`, which must be one of `allowed`.

    Raises:
        ConfigurationError: it is not.
    """
    for candidate in allowed:
        if candidate == value:
            return candidate
    raise ConfigurationError(f"{option} {value}: one of {', '.join(allowed)}")


def run(settings: WorkerSettings, urls: env.Urls, *, metrics_port: int = 0) -> int:
    """Runs a worker until it is told to stop; returns the exit code.

    Raises:
        ModelError, MissingExtra, ConfigurationError: it cannot start.
    """
    metrics = Metrics()
    if metrics_port:
        try:
            metrics.serve(metrics_port)
        except OSError as exc:
            raise ConfigurationError(f"--metrics-port {metrics_port} cannot be listened on: {exc.strerror}") from exc
    model = workers.models.load(settings)
    logger.info("model loaded: %s, %s on %s, %s", model.name, model.backend, model.device, model.precision)
    state = env.sync_redis(urls.state)
    alias = settings.announced_alias
    service: ScoreService | EmbedService
    if model.kind == "embed":
        service = EmbedService(model, alias=alias, state=state, metrics=metrics)  # type: ignore[arg-type]
    else:
        cache = env.sync_redis(urls.cache)
        service = ScoreService(model, alias=alias, state=state, cache=cache, metrics=metrics)  # type: ignore[arg-type]
    service.start()
    beater = Beater(state, service.heartbeat)

    def announce() -> None:
        beater.start()
        logger.info("worker ready: %s as %s, fingerprint %s", model.name, alias, model.fingerprint[:12])

    try:
        return app.run(app.create(urls, service), slots=settings.slots, on_ready=announce)
    finally:
        service.stop()
        beater.stop()
