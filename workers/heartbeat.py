"""Tells the state Redis once a second that this worker lives, what it serves and how busy it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis

from connector.contract import heartbeats, names

__all__ = ["Beater"]

logger = logging.getLogger(__name__)


class Beater:
    """A thread that writes heartbeats until it is stopped. A Redis that is away is waited for."""

    def __init__(self, state: redis.Redis, describe: Callable[[], heartbeats.Heartbeat]) -> None:
        self._state = state
        self._describe = describe
        self._stop = threading.Event()
        self._announced = False
        self._silent = False
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Announces the worker and starts the thread."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and takes the worker off the list."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        worker = self._describe().id
        try:
            pipeline = self._state.pipeline(transaction=False)
            pipeline.delete(names.heartbeat_key(worker))
            pipeline.srem(names.WORKERS_KEY, worker)
            pipeline.execute()
        except redis.RedisError as exc:
            logger.warning("the heartbeat could not be taken back (it expires by itself): %s", exc)

    def _loop(self) -> None:
        while not self._stop.wait(heartbeats.INTERVAL):
            self._beat()

    def _beat(self) -> None:
        beat = self._describe()
        message = beat.encode()
        pipeline = self._state.pipeline(transaction=False)
        pipeline.set(names.heartbeat_key(beat.id), message, ex=heartbeats.LIFETIME)
        pipeline.sadd(names.WORKERS_KEY, beat.id)
        # Written once, so that an older worker does not take the alias back from a newer one; afterwards only where a
        # restarted Redis has lost it.
        pipeline.set(names.alias_key(beat.alias), message, nx=self._announced)
        try:
            pipeline.execute()
        except redis.RedisError as exc:
            if not self._silent:
                logger.warning("no heartbeat can be written: %s", exc)
            self._silent = True
            return
        if self._silent:
            logger.info("heartbeats are written again")
        self._announced, self._silent = True, False
