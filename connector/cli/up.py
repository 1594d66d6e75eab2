"""`rerank-bridge up`: the stack on this machine, in the foreground."""

import shlex
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from connector.embedded.stack import Stack

app = typer.Typer()

LOOK_EVERY_S = 0.5


class Engine(StrEnum):
    """The engines that can be brought up."""

    ELASTICSEARCH = "elasticsearch"
    OPENSEARCH = "opensearch"


@app.command()
def up(
    engine: Annotated[Engine, typer.Option(help="Which search engine.")] = Engine.ELASTICSEARCH,
    data: Annotated[Path | None, typer.Option(help="Keep indices and scores here; else they go with the run.")] = None,
    worker: Annotated[bool, typer.Option(help="Start a worker too.")] = True,
    jobs: Annotated[bool, typer.Option(help="Start a coordinator of jobs too.")] = True,
    model: Annotated[str | None, typer.Option(help="The worker's cross-encoder, by name or path.")] = None,
    engine_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    valkey_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
) -> None:
    """Bring up a search engine, a Redis-protocol server, a worker and a coordinator of jobs, until Ctrl-C."""
    from connector.cli.progress import ConsoleReport
    from connector.embedded import process
    from connector.embedded.stack import start_stack

    console = Console()
    with (
        process.stop_on_sigterm(),
        start_stack(
            engine=engine.value,
            worker=worker,
            jobs=jobs,
            data=data,
            model=model,
            report=ConsoleReport(console),
            engine_port=engine_port,
            valkey_port=valkey_port,
        ) as stack,
    ):
        keep_up(console, stack)


def keep_up(console: Console, stack: "Stack") -> None:
    """Shows the addresses, then stays until Ctrl-C, SIGTERM, or the death of a process."""
    from connector.embedded import process

    try:
        _show(console, stack)
        while True:
            stack.check()
            time.sleep(LOOK_EVERY_S)
    except (KeyboardInterrupt, process.Asked):
        console.print("Stopping …")


def _show(console: Console, stack: "Stack") -> None:
    """The addresses, and the variables to paste into another terminal."""
    lines = [
        f"{stack.engine_name} {stack.engine_version}  {stack.engine_url}",
        f"Valkey  {stack.broker_url}",
    ]
    if stack.worker is not None:
        beat = stack.worker.heartbeat
        lines.append(f"worker  {beat.model}, {beat.backend} {beat.precision} on {beat.device}")
    lines += ["", "In another terminal:"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in stack.environment.items()]
    lines += ["", "Up. Ctrl-C stops everything."]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
