"""Load on an HTTP server from another process: `wrk` where it is installed, else a client of our own.

`python -m tests.bench.load URL PATH CLIENTS SECONDS` is that client: it reads bodies, one a line, from standard input,
keeps CLIENTS connections busy, and prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httptools

__all__ = ["Load", "measure", "tool"]

_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local bodies, n = {}, 0
for line in io.lines("%(bodies)s") do bodies[#bodies + 1] = line end
request = function() n = n + 1; return wrk.format(nil, nil, nil, bodies[n %% #bodies + 1]) end
done = function(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
  io.write(string.format('JSON {"requests": %%d, "seconds": %%f, "p50": %%f, "p99": %%f, "failed": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))
end
"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a server did under load."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


def tool() -> str:
    """What makes the load here."""
    return "wrk" if shutil.which("wrk") else "own client"


def measure(url: str, path: str, bodies: Sequence[bytes], *, clients: int, seconds: float) -> Load:
    """Sends `bodies` in turn over `clients` keep-alive connections for about `seconds`."""
    if shutil.which("wrk"):
        found = _wrk(url + path, bodies, clients, seconds)
    else:
        command = [sys.executable, "-m", "tests.bench.load", url, path, str(clients), str(seconds)]
        run = subprocess.run(command, input=b"\n".join(bodies), capture_output=True, check=True)
        found = json.loads(run.stdout)
    if not found["requests"]:
        raise RuntimeError(f"{url}{path} answered nothing in {seconds} s: the machine is too busy to measure on")
    return Load(
        per_second=found["requests"] / found["seconds"],
        p50_ms=found["p50"],
        p99_ms=found["p99"],
        failed=found["failed"],
    )


def _wrk(url: str, bodies: Sequence[bytes], clients: int, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bodies").write_bytes(b"\n".join(bodies))
        script = Path(folder) / "load.lua"
        script.write_text(_LUA % {"bodies": Path(folder) / "bodies"})
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "-s", str(script), url]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in run.stdout.splitlines() if line.startswith("JSON "))
    parsed: dict[str, float] = json.loads(line.removeprefix("JSON "))
    return parsed


class _Client(asyncio.Protocol):
    """One connection: sends the next request as soon as an answer is whole."""

    def __init__(self, requests: list[bytes], first: int, until: float, times: list[float]) -> None:
        self._requests, self._next, self._until, self._times = requests, first, until, times
        self._parser = httptools.HttpResponseParser(self)
        self.finished = asyncio.get_running_loop().create_future()
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._begun = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])  # type: ignore[attr-defined]
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._times.append(now - self._begun)
        self.failed += self._parser.get_status_code() != 200
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.finished.set_result(None)


async def _run(url: str, path: str, bodies: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    parts = urlsplit(url)
    head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
    requests = [head.encode() + b"%d\r\n\r\n" % len(body) + body for body in bodies]
    times: list[float] = []
    begun = time.perf_counter()
    made = [_Client(requests, i, begun + seconds, times) for i in range(clients)]
    for client in made:
        await asyncio.get_running_loop().create_connection(lambda client=client: client, parts.hostname, parts.port)
    await asyncio.gather(*(client.finished for client in made))
    took = time.perf_counter() - begun
    times.sort()
    return {
        "requests": len(times),
        "seconds": took,
        "p50": times[len(times) // 2] * 1e3,
        "p99": times[int(len(times) * 0.99)] * 1e3,
        "failed": sum(client.failed for client in made),
    }


def main() -> None:
    import uvloop

    url, path, clients, seconds = sys.argv[1:]
    bodies = sys.stdin.buffer.read().splitlines()
    print(json.dumps(uvloop.run(_run(url, path, bodies, int(clients), float(seconds)))))


if __name__ == "__main__":
    main()
