"""The environment variables that connector and workers share: where broker, state and cache are.

    redis://  rediss://  unix://                       one server
    redis+sentinel://[user:password@]h1:26379,h2:26379/SERVICE/DB    the master that Sentinels name (state, cache)
    redis+cluster://[user:password@]h1:6379,h2:6379                  a Cluster (cache)

`rediss+sentinel` and `rediss+cluster` speak TLS. User and password are the data servers'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from connector.contract.errors import ConfigurationError

if TYPE_CHECKING:
    import redis
    import redis.asyncio

__all__ = ["Urls", "async_redis", "sync_redis"]

DEFAULT_URL = "redis://127.0.0.1:6379/0"
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_CLUSTER = ("redis+cluster", "rediss+cluster")
#: Seconds: a server that does not take a connection, or keeps silent, in this time is down.
_CONNECT_TIMEOUT = 2.0
_SOCKET_TIMEOUT = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Urls:
    """The three servers; one may play all roles at home."""

    #: Celery's broker: any URL that kombu takes.
    # Passwords stand in these addresses: they are not shown.
    broker: str = field(default=DEFAULT_URL, repr=False)
    #: Redis for replies, heartbeats and jobs; must not evict.
    state: str = field(default=DEFAULT_URL, repr=False)
    #: Redis for scores; may evict.
    cache: str = field(default=DEFAULT_URL, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Urls:
        """Reads RERANK_BRIDGE_BROKER_URL, …_STATE_URL (default: the broker's) and …_CACHE_URL (default: the state's).

        Raises:
            ConfigurationError: names the variable whose value cannot be used.
        """
        broker = environment.get("RERANK_BRIDGE_BROKER_URL") or DEFAULT_URL
        state = environment.get("RERANK_BRIDGE_STATE_URL")
        if not state:
            if urlsplit(broker).scheme not in _REDIS_SCHEMES:
                raise ConfigurationError(
                    "RERANK_BRIDGE_STATE_URL is not set: the broker is no Redis, so name one for replies and heartbeats"
                )
            state = broker
        cache = environment.get("RERANK_BRIDGE_CACHE_URL") or state
        for name, url, more in (
            ("RERANK_BRIDGE_STATE_URL", state, _SENTINEL),
            ("RERANK_BRIDGE_CACHE_URL", cache, _SENTINEL + _CLUSTER),
        ):
            if urlsplit(url).scheme not in _REDIS_SCHEMES + more:
                schemes = ", ".join(f"{scheme}://" for scheme in _REDIS_SCHEMES + more)
                raise ConfigurationError(f"{name} is no Redis address: it begins with one of {schemes}")
            if urlsplit(url).scheme in more:
                _Many.read(name, url)
            else:
                _check_port(name, url)
        return cls(broker=broker, state=state, cache=cache)


def _check_port(name: str, url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:
        # Not its words, nor its cause: half of a password may stand where the port should.
        problem = "its port is no number; special characters of a password are percent-encoded"
        raise ConfigurationError(f"{name} cannot be read: {problem}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Many:
    """An address of several hosts."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    #: Keyword arguments of the data servers' connections.
    options: dict[str, Any]

    @classmethod
    def read(cls, name: str, url: str) -> _Many:
        parts = urlsplit(url)
        login, _, places = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        default = 26379 if parts.scheme in _SENTINEL else 6379
        path = parts.path.strip("/").split("/")
        try:
            hosts = tuple(_host(place, default) for place in places.split(",") if place)
            database = int(path[1]) if len(path) > 1 else 0
        except ValueError:
            raise ConfigurationError(f"{name} cannot be read: a port or the database is no number") from None
        if not hosts or (parts.scheme in _SENTINEL and not path[0]):
            raise ConfigurationError(
                f"{name} cannot be read: as in {parts.scheme}://host:{default},host:{default}/SERVICE"
            )
        options: dict[str, Any] = {"ssl": True} if parts.scheme.startswith("rediss") else {}
        if parts.scheme in _SENTINEL:
            options["db"] = database
        options |= {"username": unquote(user)} if user else {}
        options |= {"password": unquote(password)} if password else {}
        return cls(hosts=hosts, service=path[0], options=options)


def sync_redis(url: str) -> redis.Redis:
    """A synchronous client that gives up in bounded time. It connects at first use; a Cluster's connects here."""
    import redis

    timeouts: dict[str, Any] = {"socket_connect_timeout": _CONNECT_TIMEOUT, "socket_timeout": _SOCKET_TIMEOUT}
    scheme = urlsplit(url).scheme
    client: Any
    if scheme in _SENTINEL:
        import redis.sentinel

        many = _Many.read("the address", url)
        client = redis.sentinel.Sentinel(many.hosts, sentinel_kwargs=timeouts, **timeouts)  # type: ignore[no-untyped-call]
        client = client.master_for(many.service, **many.options)
    elif scheme in _CLUSTER:
        import redis.cluster

        many = _Many.read("the address", url)
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in many.hosts]  # type: ignore[no-untyped-call]
        client = redis.cluster.RedisCluster(startup_nodes=nodes, **many.options, **timeouts)
    else:
        client = redis.Redis.from_url(url, **timeouts)
    return client  # type: ignore[no-any-return]  # a Cluster's client has the methods that are used of it


def async_redis(url: str, *, socket_timeout: float = _SOCKET_TIMEOUT) -> redis.asyncio.Redis:
    """An asyncio client that gives up in bounded time. It connects at first use."""
    import redis.asyncio

    timeouts: dict[str, Any] = {"socket_connect_timeout": _CONNECT_TIMEOUT, "socket_timeout": socket_timeout}
    scheme = urlsplit(url).scheme
    client: Any
    if scheme in _SENTINEL:
        import redis.asyncio.sentinel

        many = _Many.read("the address", url)
        client = redis.asyncio.sentinel.Sentinel(many.hosts, sentinel_kwargs=timeouts, **timeouts)  # type: ignore[no-untyped-call]
        client = client.master_for(many.service, **many.options)
    elif scheme in _CLUSTER:
        import redis.asyncio.cluster

        many = _Many.read("the address", url)
        nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in many.hosts]
        client = redis.asyncio.cluster.RedisCluster(startup_nodes=nodes, **many.options, **timeouts)
    else:
        client = redis.asyncio.Redis.from_url(url, **timeouts)
    return client  # type: ignore[no-any-return]  # a Cluster's client has the methods that are used of it


def _host(place: str, default: int) -> tuple[str, int]:
    parts = urlsplit(f"//{place}")
    if not parts.hostname:
        raise ValueError(f"{place!r} is no host")
    return parts.hostname, parts.port or default
