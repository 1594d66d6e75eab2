"""What a worker counts, in Prometheus' terms. Served over HTTP only where `--metrics-port` is given."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from workers.batcher import BatchStats, Load

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)


class Metrics:
    """The counters of one worker process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests taken from the queues", ["lane"])
        self._pairs = self._counter("pairs", "Pairs (or texts) that went through the model", ["lane"])
        self._tokens = self._counter("tokens", "Tokens that went through the model", ["lane"])
        self._padding = self._counter("padding_tokens", "Padding that went through the model")
        self._cached = self._counter("cache_hits", "Pairs found in the cache when their turn came")
        self._late = self._counter("deadline_misses", "Requests whose deadline passed before their scores were there")
        self._errors = self._counter("errors", "Requests that ended with an error", ["kind"])
        self._fill = Histogram(
            "rerank_bridge_batch_fill",
            "Share of the token budget that a batch filled",
            buckets=(0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5),
            registry=self.registry,
        )
        self._waited = self._histogram("queue_wait_seconds", "Longest wait of a pair in a batch", ["lane"])
        self._seconds = self._histogram("batch_seconds", "Model's work for a batch", ["lane"])

    def _counter(self, name: str, text: str, labels: tuple[str, ...] | list[str] = ()) -> Counter:
        return Counter(f"rerank_bridge_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: list[str]) -> Histogram:
        return Histogram(f"rerank_bridge_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

    def watch(self, load: Callable[[], Load], memory: Callable[[], int]) -> None:
        """Registers gauges that are read when they are asked for."""
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("waiting_requests", "Requests that wait for the model", lambda: load().waiting),
            ("waiting_tokens", "Tokens that wait for the model", lambda: load().waiting_tokens),
            ("in_flight_requests", "Requests in the running batch", lambda: load().in_flight),
            ("ms_per_1000_tokens", "Moving average of the model's speed", lambda: load().ms_per_1000_tokens),
            ("device_memory_bytes", "Device memory in use", memory),
        )
        for name, text, read in gauges:
            Gauge(f"rerank_bridge_{name}", text, registry=self.registry).set_function(read)

    def request(self, lane: str) -> None:
        """A request came."""
        self._requests.labels(lane).inc()

    def padding(self, tokens: int) -> None:
        """A forward pass carried this much padding."""
        self._padding.inc(tokens)

    def batch(self, stats: BatchStats) -> None:
        """A batch ran."""
        self._pairs.labels(stats.lane).inc(stats.items)
        self._tokens.labels(stats.lane).inc(stats.tokens)
        self._cached.inc(stats.cached)
        self._fill.observe(stats.fill)
        self._waited.labels(stats.lane).observe(stats.waited)
        self._seconds.labels(stats.lane).observe(stats.seconds)

    def late(self) -> None:
        """A request's deadline passed."""
        self._late.inc()

    def error(self, kind: str) -> None:
        """A request ended with an error."""
        self._errors.labels(kind).inc()

    def serve(self, port: int) -> None:
        """Serves `/metrics` on all addresses.

        Raises:
            OSError: the port is taken.
        """
        start_http_server(port, registry=self.registry)
