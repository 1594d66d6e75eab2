"""Writes the list of commands in docs/reference.md: `python -m tests.reference`. A test holds the two together."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import typer.main

from connector.cli.main import GROUP

FILE = Path(__file__).parent.parent / "docs" / "reference.md"
BEGIN = "<!-- commands: written by python -m tests.reference -->\n"


def rendered() -> str:
    """Every command with its arguments, options, defaults and variables, in Markdown."""
    parts = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if importlib.util.find_spec(point.module) is None:
            continue
        loaded: typer.Typer = point.load()
        loaded._add_completion = False
        parts += list(_command(typer.main.get_command(loaded), point.name))
    return "\n".join(parts)


def written() -> str:
    """What docs/reference.md holds."""
    return FILE.read_text(encoding="utf-8").partition(BEGIN)[2]


def _command(command: Any, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner:
        for word, subcommand in inner.items():
            yield from _command(subcommand, f"{name} {word}")
        return
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join(_usage(argument) for argument in arguments)
    yield f"\n## {name}\n\n`rerank-bridge {name} {usage}`".rstrip(" `") + "`\n"
    yield " ".join(command.help.split()) + "\n"
    yield "| option | default | |\n|---|---|---|"
    for parameter in command.params:
        yield _row(parameter)


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper()
    shown = f"{name} …" if argument.nargs == -1 else name
    return shown if argument.required else f"[{shown}]"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = (parameter.metavar or parameter.name).upper()
    else:
        name = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    meaning = (parameter.help or "").replace("|", "\\|")
    if parameter.envvar:
        meaning += f" `{parameter.envvar}`"
    return f"| {name} | {_default(parameter)} | {meaning} |"


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return f"`{parameter.show_default}`"
    if parameter.required:
        return "needed"
    default = parameter.default
    if default is None or default == "" or (isinstance(default, bool) and not parameter.secondary_opts):
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"`{getattr(default, 'value', default)}`"


if __name__ == "__main__":
    head = FILE.read_text(encoding="utf-8").partition(BEGIN)[0]
    FILE.write_text(head + BEGIN + rendered() + "\n", encoding="utf-8")
