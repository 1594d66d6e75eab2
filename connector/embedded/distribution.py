"""What `engine.py` needs to know of an engine to fetch, assemble and start it: a seam with two implementations."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from connector.embedded.artifacts import Artifact
from connector.embedded.rundir import RunFolder

__all__ = ["LOG4J", "Distribution", "Tools", "link", "load_lock", "package_file"]

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

    name: str
    title: str
    version: str
    artifacts: Sequence[Artifact]
    #: changes whenever an assembled home would come out different
    recipe: str

    def assemble(self, home: Path, tools: Tools) -> None:
        """Fill the empty folder `home`, which is read-only from then on and shared by all runs."""

    def configure(self, home: Path, run: RunFolder, settings: Mapping[str, object]) -> None:
        """Write the configuration of one run."""

    def command(self, java: Path, home: Path, run: RunFolder, heap_mb: int) -> list[str]:
        """The command line of one run."""


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
