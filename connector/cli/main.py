"""The console script: finds the commands of every installed package, runs one, and turns errors into one line."""

import functools
import logging
import os
import sys
from importlib import metadata
from typing import Annotated, Any

import typer
import typer.core
import typer.main
from rich.console import Console

from connector.cli import extras, listing
from connector.contract import errors

__all__ = ["main"]

GROUP = "rerank_bridge.commands"
DISTRIBUTION = "rerank-bridge"
_UNEXPECTED = 1
_INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 done · 1 something went wrong · 2 an option, setting or input line cannot be used · "
    "3 the search engine · 4 no scores · 5 the model · 6 the embedded stack · 130 interrupted."
)


class Commands(typer.core.TyperGroup):
    """The commands that installed packages contribute; the module of one is imported when that one is used."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the library's signature
        """Names, sorted."""
        return sorted(_entry_points())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  likewise
        """What the list of commands shows of one; None when there is no such command."""
        point = _entry_points().get(cmd_name)
        if point is None:
            return None
        return typer.core.TyperCommand(name=cmd_name, help=listing.summary(point.module))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begin with, loaded."""
        # The base class suggests names out of this mapping when there is no such command.
        self.commands = dict.fromkeys(_entry_points())  # type: ignore[assignment]
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            with extras.named_when_missing(DISTRIBUTION, name):
                loaded: typer.Typer = _entry_points()[name].load()
            loaded._add_completion = False  # the options to install completion belong to no single command
            command = typer.main.get_command(loaded)
        return name, command, rest


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=EXIT_CODES,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        print(f"{DISTRIBUTION} {metadata.version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="RERANK_BRIDGE_DEBUG", help="Tracebacks of errors, and what is logged.")
    ] = False,
    version: Annotated[  # noqa: ARG001  acts through its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Cross-encoder reranking for an existing Elasticsearch or OpenSearch site."""
    if debug:
        _state["debug"] = True
        logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
        for package in ("connector", "workers"):
            logging.getLogger(package).setLevel(logging.DEBUG)


#: Set by the callback above, read when a command has failed.
_state = {"debug": False}


def main() -> None:
    """Runs the command line and ends the process with its exit code (see `EXIT_CODES`)."""
    code = _UNEXPECTED
    try:
        typer.main.get_command(app)(prog_name=DISTRIBUTION)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as exc:  # the boundary: whatever it was, the user reads one line
        code = _failed(exc)
    sys.exit(_flushed(code))


def _failed(exc: Exception) -> int:
    if isinstance(exc, ImportError):
        exc = extras.explain(exc, DISTRIBUTION, command=None)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if _state["debug"]:
        import traceback

        traceback.print_exception(exc)
    if isinstance(exc, errors.RerankBridgeError):
        line, code = str(exc), exc.exit_code
    else:
        line, code = f"{type(exc).__name__}: {exc} (unexpected; --debug shows where)", _UNEXPECTED
    console.print("error:", style="bold red", end=" ")
    console.print(" ".join(line.split()), style="red", markup=False)
    for note in getattr(exc, "__notes__", ()):
        console.print(note, style="dim", markup=False)
    return code


def _flushed(code: int) -> int:
    """`code`, after the last output has left; a reader that is gone (`| head`) is no reason for noise."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or _UNEXPECTED
    return code


@functools.cache
def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=GROUP)}
