"""`rerank-bridge doctor`: checks engine, Redis, queue and workers, and says what to do."""

from typing import Annotated

import typer

from connector.cli.engine import EngineUrl

app = typer.Typer()

_FAILED = 1
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@app.command()
def doctor(
    model: Annotated[str, typer.Option(help="Alias of the cross-encoder to try.")] = "default",
    deadline: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds for the test score.")] = 10.0,
    engine_url: EngineUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object in place of the table.")] = False,
) -> None:
    """Check everything that a reranked search needs; exit code 1 when something fails."""
    import asyncio
    import json
    import os
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from connector import diagnosis
    from connector.cli.engine import settings

    checks = asyncio.run(diagnosis.examine(settings(engine_url), os.environ, model=model, deadline=deadline))
    failed = any(check.verdict == "fail" for check in checks)
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        for check in checks:
            said = Text(check.detail)
            if check.advice:
                said.append(f"\n→ {check.advice}", "cyan")
            table.add_row(Text(check.verdict, _STYLES[check.verdict]), Text(check.name, "bold"), said)
        Console().print(table)
    if failed:
        raise typer.Exit(_FAILED)
