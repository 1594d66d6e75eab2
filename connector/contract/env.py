"""The environment variables that connector and workers share: where broker, state and cache are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from connector.contract.errors import ConfigurationError

if TYPE_CHECKING:
    import redis
    import redis.asyncio

__all__ = ["Urls", "async_redis", "sync_redis"]

DEFAULT_URL = "redis://127.0.0.1:6379/0"
_REDIS_SCHEMES = ("redis", "rediss", "unix")
#: Seconds: a server that does not take a connection, or keeps silent, in this time is down.
_CONNECT_TIMEOUT = 2.0
_SOCKET_TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Urls:
    """The three servers; one may play all roles at home."""

    #: Celery's broker: any URL that kombu takes.
    broker: str = DEFAULT_URL
    #: Redis for replies, heartbeats and jobs; must not evict.
    state: str = DEFAULT_URL
    #: Redis for scores; may evict.
    cache: str = DEFAULT_URL

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Urls:
        """Reads RERANK_BRIDGE_BROKER_URL, …_STATE_URL (default: the broker's) and …_CACHE_URL (default: the state's).

        Raises:
            ConfigurationError: names the variable whose value cannot be used.
        """
        broker = environment.get("RERANK_BRIDGE_BROKER_URL", DEFAULT_URL)
        state = environment.get("RERANK_BRIDGE_STATE_URL")
        if state is None:
            if urlsplit(broker).scheme not in _REDIS_SCHEMES:
                raise ConfigurationError(
                    "RERANK_BRIDGE_STATE_URL is not set: the broker is no Redis, so name one for replies and heartbeats"
                )
            state = broker
        cache = environment.get("RERANK_BRIDGE_CACHE_URL", state)
        for name, url in (("RERANK_BRIDGE_STATE_URL", state), ("RERANK_BRIDGE_CACHE_URL", cache)):
            if urlsplit(url).scheme not in _REDIS_SCHEMES:
                raise ConfigurationError(f"{name} is no Redis address: it begins with redis://, rediss:// or unix://")
        return cls(broker=broker, state=state, cache=cache)


def sync_redis(url: str) -> redis.Redis:
    """A synchronous client that gives up in bounded time. It connects at first use."""
    import redis

    return redis.Redis.from_url(url, socket_connect_timeout=_CONNECT_TIMEOUT, socket_timeout=_SOCKET_TIMEOUT)


def async_redis(url: str, *, socket_timeout: float = _SOCKET_TIMEOUT) -> redis.asyncio.Redis:
    """An asyncio client that gives up in bounded time. It connects at first use."""
    import redis.asyncio

    return redis.asyncio.Redis.from_url(url, socket_connect_timeout=_CONNECT_TIMEOUT, socket_timeout=socket_timeout)
