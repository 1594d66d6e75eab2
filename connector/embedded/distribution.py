"""What `engine.py` needs to know of an engine to fetch, assemble and start it: a seam with two implementations."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from connector.embedded.artifacts import Artifact
from connector.embedded.rundir import RunFolder

__all__ = ["LOG4J", "Distribution", "Tools", "java_flags", "link", "load_lock", "package_file"]

#: Everything to standard output, from where it goes to the log of the run.
LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What assembling needs besides an empty folder."""

    #: the `java` program
    java: Path
    #: every artifact of the distribution, checked
    files: Mapping[Artifact, Path]


class Distribution(Protocol):
    """One engine in one version."""

    @property
    def name(self) -> str:
        """As in `EngineName`."""

    @property
    def title(self) -> str:
        """Name and version for people."""

    @property
    def version(self) -> str:
        """The version of the lock file."""

    @property
    def artifacts(self) -> Sequence[Artifact]:
        """Everything to download."""

    @property
    def recipe(self) -> str:
        """A short digest that changes whenever an assembled home would come out different."""

    def assemble(self, home: Path, tools: Tools) -> None:
        """Fill the empty folder `home`, which is read-only from then on and shared by all runs."""

    def configure(self, home: Path, run: RunFolder, settings: Mapping[str, object]) -> None:
        """Write the configuration of one run."""

    def command(self, java: Path, home: Path, run: RunFolder, heap_mb: int) -> list[str]:
        """The command line of one run."""


def java_flags(run: RunFolder, heap_mb: int) -> list[str]:
    """What both engines want of the runtime; one compiler tier halves the processor time of a boot."""
    return [
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        f"-XX:ErrorFile={run.logs}/hs_err.log",
        "--enable-native-access=ALL-UNNAMED",
        f"-Djava.io.tmpdir={run.tmp}",
        "-Dio.netty.noUnsafe=true",
        "-Dlog4j.shutdownHookEnabled=false",
        "-Dlog4j2.disable.jmx=true",
    ]


def package_file(folder: str, name: str) -> bytes:
    """A file of the package data."""
    return (resources.files("connector.embedded") / folder / name).read_bytes()


def load_lock(name: str) -> dict[str, Any]:
    """A lock file: coordinates, digests, sizes in bytes, places in the home."""
    lock: dict[str, Any] = json.loads(package_file("locks", name))
    return lock


def link(source: Path, target: Path) -> None:
    """Put a file of the store into a home without taking its room twice, where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        target.write_bytes(source.read_bytes())
