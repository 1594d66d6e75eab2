"""`rerank-bridge evaluate`: is reranking better, on your queries? Figures, significance, sweeps, a report, a gate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from connector.cli.evaluate_servers import Wanted
    from connector.evaluate.request import Live, Request
    from connector.evaluate.result import Result
    from connector.settings import Policy

app = typer.Typer()

_DATA, _HOW, _OUT = "What is evaluated", "How", "What comes out"


class FirstStage(StrEnum):
    """Where candidates come from."""

    BM25 = "bm25"
    KNN = "knn"
    HYBRID = "hybrid"


class Backend(StrEnum):
    """What runs the model."""

    AUTO = "auto"
    TORCH = "torch"
    ONNX = "onnx"


@app.command()
def evaluate(
    data: Annotated[Path | None, typer.Option(help="Folder in BEIR layout.", rich_help_panel=_DATA)] = None,
    split: Annotated[
        str, typer.Option(help="Judgments of the folder: qrels/SPLIT.tsv.", rich_help_panel=_DATA)
    ] = "test",
    index: Annotated[
        str | None, typer.Option(help="A live index, in place of a folder.", rich_help_panel=_DATA)
    ] = None,
    queries: Annotated[Path | None, typer.Option(help="Its queries, JSONL or TSV.", rich_help_panel=_DATA)] = None,
    qrels: Annotated[Path | None, typer.Option(help="Its judgments, BEIR or TREC.", rich_help_panel=_DATA)] = None,
    run_in: Annotated[Path | None, typer.Option(help="Candidates from a TREC run file.", rich_help_panel=_DATA)] = None,
    lenient: Annotated[
        bool,
        typer.Option("--lenient", help="Leave out judgments for unknown queries and documents.", rich_help_panel=_DATA),
    ] = False,
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many queries.", rich_help_panel=_DATA)] = None,
    seed: Annotated[int, typer.Option(help="Which ones.", rich_help_panel=_DATA)] = 0,
    first_stage: Annotated[
        FirstStage, typer.Option(help="How candidates are found.", rich_help_panel=_HOW)
    ] = FirstStage.BM25,
    field: Annotated[
        list[str] | None,
        typer.Option(help="Text field of the index to search and read; repeatable.", rich_help_panel=_HOW),
    ] = None,
    search: Annotated[
        Path | None, typer.Option(help="Your own search body, {{query}} in it, as first stage.", rich_help_panel=_HOW)
    ] = None,
    window: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Candidates to rerank.", rich_help_panel=_HOW)
    ] = None,
    depths: Annotated[
        str | None, typer.Option(help="Windows of the sweep, as 10,20,50,100,200.", rich_help_panel=_HOW)
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(help="rerank-bridge.toml with the index's policy.", rich_help_panel=_HOW)
    ] = None,
    rerank: Annotated[bool, typer.Option(help="Or judge the first stage alone.", rich_help_panel=_HOW)] = True,
    model: Annotated[
        str | None, typer.Option(help="Cross-encoder by name or path, in a worker of its own.", rich_help_panel=_HOW)
    ] = None,
    backend: Annotated[Backend, typer.Option(help="What runs it.", rich_help_panel=_HOW)] = Backend.AUTO,
    engine_url: Annotated[
        str | None,
        typer.Option(
            help="Your engine; else one of its own (--data) or the environment's (--index).", rich_help_panel=_HOW
        ),
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Where own servers keep indices and scores.", rich_help_panel=_HOW)
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the figures.", rich_help_panel=_OUT)] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page with plots.", rich_help_panel=_OUT)] = None,
    run_out: Annotated[
        Path | None, typer.Option(help="Write the default policy's order as a TREC run file.", rich_help_panel=_OUT)
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            help='Exit with 1 unless it holds, as "ndcg@10>=baseline+0.02"; repeatable.', rich_help_panel=_OUT
        ),
    ] = None,
) -> None:
    """Is reranking better, on your queries? A BEIR folder (--data), or a live index (--index, --queries, --qrels)."""
    import os

    from rich.console import Console

    from connector.cli import evaluate_results
    from connector.contract.errors import ConfigurationError
    from connector.evaluate import extra, gate, sweep
    from connector.evaluate.request import Live, Request

    extra.check(report=report is not None)
    requirements = [gate.parse(text) for text in require or []]
    _writable(as_json, report, run_out)
    if not rerank and (require or report):
        raise ConfigurationError("--no-rerank leaves nothing to compare: drop --require and --report")
    subject: Path | Live
    if data is not None and not (index or queries or qrels or search or field):
        subject = data
    elif index and queries and qrels and data is None:
        subject = Live(index=index, queries=queries, qrels=qrels, fields=tuple(field or ()), search=search)
    else:
        raise ConfigurationError(
            "name either a folder with --data, or a live index with --index, --queries and --qrels"
        )
    policy = _policy(policies, index, window)
    request = Request(
        data=subject,
        policy=policy,
        first_stage=first_stage.value,
        windows=_windows(depths) if depths else tuple(depth for depth in sweep.WINDOWS if depth < policy.window),
        split=split,
        lenient=lenient,
        sample=sample,
        seed=seed,
        run_in=run_in,
        rerank=rerank,
    )
    environment = dict(os.environ) | ({"RERANK_BRIDGE_ENGINE_URL": engine_url} if engine_url else {})
    own_engine = data is not None and engine_url is None
    wanted = _wanted(request, model, backend, home, own_engine=own_engine)
    result = _run(request, wanted, environment)
    console = Console()
    evaluate_results.show(console, result)
    _write(result, as_json, report, run_out)
    verdicts = [requirement.check(result.means) for requirement in requirements]
    evaluate_results.show_verdicts(console, verdicts)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def _run(request: Request, wanted: Wanted, environment: dict[str, str]) -> Result:
    import asyncio

    from rich.console import Console

    from connector.cli import evaluate_results, evaluate_servers
    from connector.embedded import process
    from connector.evaluate import experiment, subject

    narrator = evaluate_results.Narrator(Console(stderr=True))
    # Before any server is started: a bad line should not cost a minute.
    files = subject.read(request)
    with process.stop_on_sigterm(), evaluate_servers.started(wanted, environment, narrator) as found:
        return asyncio.run(experiment.run(request, files, found, narrator))


def _policy(policies: Path | None, index: str | None, window: int | None) -> Policy:
    """The policy that ships, or that of the index in the site's file; `window` goes before it."""
    import dataclasses

    from connector import policies as policy_files
    from connector.contract.errors import ConfigurationError
    from connector.settings import Policy

    policy = Policy()
    if policies is not None:
        rule = policy_files.load(policies).of(index or "")
        if not isinstance(rule, policy_files.Rule):
            raise ConfigurationError(f"{policies} has no single policy for index {index}")
        policy = rule.policy
    return policy if window is None else dataclasses.replace(policy, window=window)


def _windows(text: str) -> tuple[int, ...]:
    from connector.contract.errors import ConfigurationError
    from connector.settings import MAX_SIZE

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= MAX_SIZE for part in parts):
        raise ConfigurationError(f"--depths {text}: whole numbers from 1 to {MAX_SIZE}, with commas between them")
    return tuple(int(part) for part in parts)


def _wanted(request: Request, model: str | None, backend: Backend, home: Path | None, *, own_engine: bool) -> Wanted:
    """Own servers where none are named: a site's engine is used with the site's workers, unless a model is named."""
    from connector.cli.evaluate_servers import Wanted

    own_workers = own_engine or model is not None
    searches = request.run_in is None
    return Wanted(
        engine=own_engine and searches,
        scorer=own_workers and request.rerank,
        embedder=own_workers and searches and request.first_stage != "bm25",
        alias=request.policy.model,
        model=model,
        backend=backend.value,
        home=home,
    )


def _writable(*paths: Path | None) -> None:
    """Refuses an output whose folder is missing before anything is computed."""
    from connector.contract.errors import ConfigurationError

    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigurationError(f"{path}: there is no folder {path.absolute().parent}")


def _write(result: Result, as_json: Path | None, report: Path | None, run_out: Path | None) -> None:
    import json

    from connector.contract.errors import ConfigurationError
    from connector.evaluate import report as pages
    from connector.evaluate import runs

    if as_json:
        text = json.dumps(result.summary(), indent=2, ensure_ascii=False) + "\n"
        try:
            as_json.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise ConfigurationError(f"{as_json}: {exc.strerror or exc}") from exc
    if report:
        pages.write(report, result)
    if run_out:
        name = "default" if "default" in result.runs else "first_stage"
        runs.write(run_out, result.runs[name], f"rerank-bridge-{name}")
