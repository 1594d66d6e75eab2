"""Downloads Java artifacts by coordinate and hands them out only when their sha256 is the one in the lock file.

A download lands in a staging folder, is checked there, and is moved into the store in one step. What was fetched
completely before an interruption is kept.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.embedded import account, cache, errors
from connector.embedded.report import Report

__all__ = ["Artifact", "fetch", "from_lock"]

ATTEMPTS = 3
CONNECTIONS = 4
TIMEOUT_S = 30


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file of one Maven component."""

    #: group:artifact:version
    coordinate: str
    sha256: str
    #: bytes
    size: int
    packaging: str = "jar"
    classifier: str = ""

    @property
    def filename(self) -> str:
        """The file's name as the repository has it."""
        _, name, version = self.coordinate.split(":")
        return "-".join(part for part in (name, version, self.classifier) if part) + f".{self.packaging}"

    def path(self, store: Path) -> Path:
        """Where the file lies in the store."""
        return store / self.coordinate.split(":")[0] / self.filename


def from_lock(entry: Mapping[str, Any]) -> Artifact:
    """The artifact that an entry of a lock file names."""
    return Artifact(
        coordinate=entry["coordinate"],
        sha256=entry["sha256"],
        size=entry["bytes"],
        packaging=entry.get("packaging", "jar"),
        classifier=entry.get("classifier", ""),
    )


def fetch(
    artifacts: Sequence[Artifact], store: Path, *, title: str, report: Report, environ: Mapping[str, str]
) -> dict[Artifact, Path]:
    """Make every artifact present and checked in `store`; the caller holds the cache lock.

    `RERANK_BRIDGE_MAVEN_URL` in `environ` names a mirror to use instead of the public repository.
    Raises DownloadFailed, DigestMismatch, DiskFull, CacheUnusable, MissingExtra.
    """
    missing = [artifact for artifact in dict.fromkeys(artifacts) if not _is_stored(artifact, store, report)]
    if missing:
        total = sum(artifact.size for artifact in missing)
        account.make_folder(store)
        # Twice: archives are unpacked beside the downloads.
        cache.check_room(store, 2 * total)
        report.step(f"Downloading {title}: {len(missing)} files, {total / 1e6:.0f} MB, kept in {store.parent}")
        with report.download(title, total) as advance, _staging(store) as staging:
            _download_all(missing, store, _Source(staging, environ.get("RERANK_BRIDGE_MAVEN_URL"), advance))
    return {artifact: artifact.path(store) for artifact in artifacts}


def _is_stored(artifact: Artifact, store: Path, report: Report) -> bool:
    path = artifact.path(store)
    if not path.is_file():
        return False
    found = cache.digest(path)
    if found == artifact.sha256:
        return True
    report.step(f"{path} is damaged (sha256 {found}, expected {artifact.sha256}); fetching it again")
    path.unlink()
    return False


@contextmanager
def _staging(store: Path) -> Iterator[Path]:
    for stale in store.glob(".staging-*"):
        shutil.rmtree(stale, ignore_errors=True)
    with cache.disk_errors(store):
        path = Path(tempfile.mkdtemp(prefix=".staging-", dir=store))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class _Source:
    """The repository, as several threads use it; once stopped, running downloads break off at their next chunk."""

    def __init__(self, staging: Path, url: str | None, advance: Callable[[int], None]) -> None:
        try:
            import jgo.maven
            from jgo.maven import _resolver
        except ImportError as exc:
            raise errors.MissingExtra("The stack on one machine (jgo)", "demo") from exc
        self._maven = jgo.maven
        self._resolver = _resolver.PythonResolver(progress_callback=self._progress)
        self._staging = staging
        self._remote = {"mirror": url} if url else None
        self._advance = advance
        self.stopped = threading.Event()

    @contextmanager
    def _progress(self, _name: str, _total: int) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            if self.stopped.is_set():
                raise InterruptedError("stopped")
            self._advance(count)

        yield advance

    def get(self, artifact: Artifact) -> Path:
        """Download into a folder of its own, so that nothing half-written is found by another attempt."""
        context = self._maven.MavenContext(
            resolver=self._resolver,
            repo_cache=Path(tempfile.mkdtemp(dir=self._staging)),
            remote_repos=self._remote,
            timeout=TIMEOUT_S,
        )
        group, name, version = artifact.coordinate.split(":")
        component = context.project(group, name).at_version(version)
        return component.artifact(packaging=artifact.packaging, classifier=artifact.classifier).resolve()


def _download_all(missing: Sequence[Artifact], store: Path, source: _Source) -> None:
    with futures.ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="download") as pool:
        running = [pool.submit(_download, artifact, store, source) for artifact in missing]
        try:
            for done in futures.as_completed(running):
                done.result()
        except BaseException:
            source.stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _download(artifact: Artifact, store: Path, source: _Source) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _download_once(artifact, store, source)
        except errors.DigestMismatch:
            if attempt == ATTEMPTS:
                raise
        except errors.DownloadFailed:
            if attempt == ATTEMPTS or source.stopped.wait(timeout=attempt):
                raise
        else:
            return


def _download_once(artifact: Artifact, store: Path, source: _Source) -> None:
    try:
        staged = source.get(artifact)
    # jgo says RuntimeError for "the repository does not have it"; its HTTP library's errors are OSErrors without errno.
    except (RuntimeError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            with cache.disk_errors(store):
                raise
        raise errors.DownloadFailed(
            f"Could not download {artifact.filename} ({artifact.coordinate}): {_reason(exc)}. Check the network and "
            "HTTPS_PROXY, or name a mirror in RERANK_BRIDGE_MAVEN_URL, and start again: complete files are kept"
        ) from exc
    found = cache.digest(staged)
    if found != artifact.sha256:
        size = staged.stat().st_size
        staged.unlink()
        raise errors.DigestMismatch(
            f"{artifact.filename} ({artifact.coordinate}) is not the file that the lock names: sha256 {found}, "
            f"expected {artifact.sha256} ({size} bytes, expected {artifact.size}). It was deleted; should it happen "
            "again, a proxy or mirror on the way is changing downloads"
        )
    with cache.disk_errors(store):
        path = artifact.path(store)
        account.make_folder(path.parent)
        staged.chmod(0o644)
        staged.replace(path)


def _reason(exc: BaseException) -> str:
    """The innermost cause in one line; HTTP libraries wrap it several times."""
    inner: object = exc.args[0] if exc.args else exc
    return " ".join(str(getattr(inner, "reason", exc)).split())[:300]
