"""Downloads: checked, cached, retried from scratch, never half used. The mirror is a real HTTP server on loopback."""

import gc
import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.embedded import artifacts, cache, errors
from connector.embedded.artifacts import Artifact
from connector.embedded.report import quiet

# On an answer that it does not read to its end, the download library leaves the socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def collect_sockets() -> Iterator[None]:
    yield
    gc.collect()


class Recorder:
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.announced = self.received = 0

    def step(self, text: str) -> None:
        self.steps.append(text)

    @contextmanager
    def download(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        self.announced += total

        def advance(count: int) -> None:
            self.received += count

        yield advance


class Mirror:
    """A repository on loopback that serves given bytes and counts what it is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        #: paths whose connection is cut in the middle of the body
        self.cut: set[str] = set()
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = mirror.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                mirror.asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if self.path in mirror.cut else body)

            def log_message(self, *args: object) -> None:
                """Stay quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.environ = {"RERANK_BRIDGE_MAVEN_URL": f"http://127.0.0.1:{self._server.server_port}"}
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, name: str, body: bytes) -> Artifact:
        self.files[self.path(name)] = body
        digest = hashlib.sha256(body).hexdigest()
        return Artifact(coordinate=f"org.example:{name}:1.0", sha256=digest, size=len(body))

    def path(self, name: str) -> str:
        return f"/org/example/{name}/1.0/{name}-1.0.jar"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    yield mirror
    mirror.stop()


def fetch(wanted: list[Artifact], store: Path, mirror: Mirror, report: Recorder | None = None) -> dict[Artifact, Path]:
    return artifacts.fetch(wanted, store, title="Example", report=report or quiet, environ=mirror.environ)


def test_artifacts_are_fetched_once_announced_in_bytes_and_then_served_from_the_cache(
    mirror: Mirror, tmp_path: Path
) -> None:
    wanted = [mirror.publish(f"part{i}", os.urandom(50_000 + i)) for i in range(7)]
    report = Recorder()
    files = fetch(wanted, tmp_path / "store", mirror, report)
    assert [files[artifact].read_bytes() for artifact in wanted] == list(mirror.files.values())
    assert report.announced == report.received == sum(artifact.size for artifact in wanted)
    assert "7 files" in report.steps[0]

    again = Recorder()
    assert fetch(wanted, tmp_path / "store", mirror, again) == files
    assert len(mirror.asked) == 7
    assert again.steps == []


def test_a_corrupted_cached_jar_is_named_and_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    good, bad = mirror.publish("good", b"g" * 1000), mirror.publish("bad", b"b" * 1000)
    files = fetch([good, bad], tmp_path, mirror)
    files[bad].write_bytes(b"b" * 999 + b"X")
    report = Recorder()
    assert fetch([good, bad], tmp_path, mirror, report)[bad].read_bytes() == b"b" * 1000
    found = hashlib.sha256(b"b" * 999 + b"X").hexdigest()
    assert any(str(files[bad]) in step and found in step and bad.sha256 in step for step in report.steps)
    assert mirror.asked.count(mirror.path("good")) == 1


def test_bytes_other_than_the_locks_are_refused_by_name_and_deleted(mirror: Mirror, tmp_path: Path) -> None:
    wanted = mirror.publish("tampered", b"what the lock names")
    mirror.files[mirror.path("tampered")] = b"what somebody else put there"
    found = hashlib.sha256(b"what somebody else put there").hexdigest()
    with pytest.raises(errors.DigestMismatch) as caught:
        fetch([wanted], tmp_path, mirror)
    message = str(caught.value)
    assert "tampered-1.0.jar" in message
    assert found in message
    assert wanted.sha256 in message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_download_cut_in_the_middle_is_an_error_and_the_next_start_fetches_that_file_only(
    mirror: Mirror, tmp_path: Path
) -> None:
    whole, cut = mirror.publish("whole", b"w" * 100_000), mirror.publish("cut", b"c" * 100_000)
    fetch([whole], tmp_path, mirror)
    mirror.cut.add(mirror.path("cut"))
    with pytest.raises(errors.DownloadFailed, match=r"cut-1\.0\.jar"):
        fetch([whole, cut], tmp_path, mirror)
    assert not cut.path(tmp_path).exists()

    mirror.cut.clear()
    report = Recorder()
    assert fetch([whole, cut], tmp_path, mirror, report)[cut].read_bytes() == b"c" * 100_000
    assert report.announced == cut.size


def test_without_a_network_the_error_says_what_and_what_to_do_in_one_line(tmp_path: Path) -> None:
    wanted = Artifact(coordinate="org.example:far:1.0", sha256="0" * 64, size=10)
    with pytest.raises(errors.DownloadFailed) as caught:
        artifacts.fetch(
            [wanted],
            tmp_path,
            title="Example",
            report=quiet,
            environ={"RERANK_BRIDGE_MAVEN_URL": "http://127.0.0.1:9"},
        )
    message = str(caught.value)
    assert "far-1.0.jar" in message
    assert "refused" in message
    assert "RERANK_BRIDGE_MAVEN_URL" in message
    assert "\n" not in message


def test_an_artifact_that_the_repository_does_not_have_is_named(mirror: Mirror, tmp_path: Path) -> None:
    wanted = Artifact(coordinate="org.example:absent:1.0", sha256="0" * 64, size=10)
    with pytest.raises(errors.DownloadFailed, match=r"absent-1\.0\.jar.*not found"):
        fetch([wanted], tmp_path, mirror)


def test_more_bytes_than_the_disk_has_are_refused_before_the_download(mirror: Mirror, tmp_path: Path) -> None:
    wanted = Artifact(coordinate="org.example:huge:1.0", sha256="0" * 64, size=10**18)
    with pytest.raises(errors.DiskFull, match="RERANK_BRIDGE_CACHE_DIR"):
        fetch([wanted], tmp_path, mirror)
    assert mirror.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(errors.DiskFull), cache.disk_errors(tmp_path), Path("/dev/full").open("wb", 0) as device:
        device.write(b"x")


FETCH = """
import os, sys
from pathlib import Path
from connector.embedded import artifacts, cache
from connector.embedded.report import quiet
folder = Path(sys.argv[1])
wanted = [
    artifacts.Artifact(coordinate=c, sha256=s, size=int(n)) for c, s, n in (a.split(",") for a in sys.argv[2:])
]
with cache.locked(folder, quiet):
    artifacts.fetch(wanted, folder / "store", title="Example", report=quiet, environ=os.environ)
"""


def test_two_starts_at_once_fetch_every_file_once(mirror: Mirror, tmp_path: Path) -> None:
    wanted = [mirror.publish(f"part{i}", os.urandom(200_000)) for i in range(5)]
    given = [f"{artifact.coordinate},{artifact.sha256},{artifact.size}" for artifact in wanted]
    command = [sys.executable, "-W", "error", "-c", FETCH, str(tmp_path), *given]
    both = [subprocess.Popen(command, env={**os.environ, **mirror.environ}) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert sorted(mirror.asked) == sorted(mirror.files)
