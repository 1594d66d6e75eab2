"""Starts the process that runs jobs, through the console script."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from connector.embedded import process, rundir
from connector.embedded.process import Child
from connector.embedded.report import Report, quiet
from connector.embedded.worker import console_script

__all__ = ["start_coordinator"]


@contextmanager
def start_coordinator(environment: Mapping[str, str], *, report: Report = quiet) -> Iterator[Child]:
    """Run `rerank-bridge jobs run` on the servers that `environment` names until the context ends.

    It waits for its servers by itself, so it is handed over at once. Raises EmbeddedError.
    """
    with rundir.opened(None, None) as run:
        report.step("Starting the jobs' coordinator")
        with process.running(
            "The jobs' coordinator",
            [*console_script(), "jobs", "run"],
            log=run.output,
            cwd=Path.cwd(),
            env={**os.environ, **environment},
            keep=[run.lock],
        ) as child:
            yield child
