"""`rerank-bridge jobs`: reranks large inputs in the background, behind live searches."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from connector.jobs.spec import Spec

app = typer.Typer(no_args_is_help=True, help="Rerank large inputs in the background, behind live searches.")

_IN, _OUT, _HOW = "Input", "Output", "How"
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object in place of text.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


class Form(StrEnum):
    """What the input holds."""

    DOCUMENTS = "documents"
    QUERIES = "queries"
    LOG = "log"
    RUN = "run"
    MSEARCH = "msearch"


class OutputForm(StrEnum):
    """What is written."""

    JSONL = "jsonl"
    TREC = "trec"
    INDEX = "index"
    CACHE = "cache"


class Mode(StrEnum):
    """The first stage."""

    BM25 = "bm25"
    KNN = "knn"
    HYBRID = "hybrid"


class Method(StrEnum):
    """How two scores become one order."""

    NONE = "none"
    RRF = "rrf"
    MINMAX = "minmax"
    ZSCORE = "zscore"


@app.command()
def submit(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="File or URL (s3://, gs://, https://).")],
    form: Annotated[Form | None, typer.Option(help="What it holds; guessed without.", rich_help_panel=_IN)] = None,
    index: Annotated[str | None, typer.Option(help="Index to search or read texts of.", rich_help_panel=_IN)] = None,
    mode: Annotated[Mode, typer.Option(help="First stage of queries.", rich_help_panel=_IN)] = Mode.BM25,
    field: Annotated[list[str] | None, typer.Option(help="Text field; repeatable.", rich_help_panel=_IN)] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Texts of a run: BEIR folder, or JSONL with _id.", rich_help_panel=_IN)
    ] = None,
    queries: Annotated[str | None, typer.Option(help="Queries of a run: JSONL with _id.", rich_help_panel=_IN)] = None,
    window: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Candidates to rerank.", rich_help_panel=_IN)
    ] = None,
    fusion: Annotated[
        Method, typer.Option(help="Of first-stage scores, where there are any.", rich_help_panel=_OUT)
    ] = Method.MINMAX,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Pass over lines that cannot be used.", rich_help_panel=_IN)
    ] = False,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File or URL; without: `jobs results`.", rich_help_panel=_OUT)
    ] = None,
    output_form: Annotated[OutputForm | None, typer.Option(help="What is written.", rich_help_panel=_OUT)] = None,
    into: Annotated[str | None, typer.Option(help="Index to write back into.", rich_help_panel=_OUT)] = None,
    tag: Annotated[str, typer.Option(help="Last column of a TREC run.", rich_help_panel=_OUT)] = "rerank-bridge",
    texts: Annotated[bool, typer.Option("--texts", help="Texts in JSON lines too.", rich_help_panel=_OUT)] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it.", rich_help_panel=_OUT)] = False,
    job: Annotated[str | None, typer.Option("--id", help="The same id goes on.", rich_help_panel=_HOW)] = None,
    model: Annotated[str, typer.Option(help="Alias of the cross-encoder.", rich_help_panel=_HOW)] = "default",
    passages: Annotated[str, typer.Option(help="Policy of long documents.", rich_help_panel=_HOW)] = "truncate",
    rate: Annotated[float | None, typer.Option(help="Pairs a second, at most.", rich_help_panel=_HOW)] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(min=1, help="Chunks under way, at most.", rich_help_panel=_HOW)
    ] = None,
    chunk_tokens: Annotated[int, typer.Option(help="Tokens of a chunk.", rich_help_panel=_HOW)] = 32_768,
    attempts: Annotated[
        int, typer.Option(min=1, help="Failures after which a chunk is set aside.", rich_help_panel=_HOW)
    ] = 5,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it has ended.", rich_help_panel=_HOW)] = False,
    as_json: AsJson = False,
) -> None:
    """Queue a job. It runs in `rerank-bridge jobs run`, and goes on after any restart."""
    from connector.cli import jobs_view

    corpus, queries = _beir(corpus, queries)
    form = form or jobs_view.guess(source)
    spec = _spec(
        id=job or jobs_view.fresh_id(source),
        source=source,
        form=form,
        index=index,
        mode=mode,
        fields=tuple(field or ()),
        corpus=corpus,
        queries=queries,
        window=window,
        fusion=fusion,
        skip_bad=skip_bad,
        output=output,
        output_form=output_form or (OutputForm.INDEX if into else jobs_view.output_form(form, output)),
        into=into,
        tag=tag,
        texts=texts,
        overwrite=overwrite,
        model=model,
        passages=passages,
        rate=rate,
        max_in_flight=max_in_flight,
        chunk_tokens=chunk_tokens,
        attempts=attempts,
    )
    jobs_view.submit(spec, wait=wait, as_json=as_json)


@app.command()
def status(
    job: JobId,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """How far a job is, how fast, and what went wrong."""
    from connector.cli import jobs_view

    jobs_view.status(job, wait=wait, as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All jobs."""
    from connector.cli import jobs_view

    jobs_view.overview(as_json=as_json)


@app.command()
def cancel(job: JobId, as_json: AsJson = False) -> None:
    """Stop a job. What is done is kept; the same submit goes on."""
    from connector.cli import jobs_view

    jobs_view.cancel(job, as_json=as_json)


@app.command()
def results(
    job: JobId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file, in place of standard output.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="What is there of a job that has not ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """The output of a job; with --json what it is and where, and not the output itself."""
    from connector.cli import jobs_view

    jobs_view.results(job, output, partial=partial, as_json=as_json)


@app.command("retry-failed")
def retry_failed(job: JobId, as_json: AsJson = False) -> None:
    """Try the chunks again that were set aside."""
    from connector.cli import jobs_view

    jobs_view.retry_failed(job, as_json=as_json)


@app.command()
def purge(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="The job's id.")] = None,
    older: Annotated[float | None, typer.Option(help="Every job that ended so many days ago.", min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """Forget a job that has ended, and its parts. Outputs stay."""
    from connector.cli import jobs_view

    jobs_view.purge(job, older, as_json=as_json)


@app.command()
def run(
    jobs: Annotated[int, typer.Option(min=1, max=100, help="Jobs at once.")] = 4,
    lease: Annotated[float, typer.Option(min=2, max=600, help="Seconds until a dead one is followed.")] = 10.0,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Leave when no job is left to run.")] = False,
    admin_listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Jobs over HTTP too; needs RERANK_BRIDGE_ADMIN_TOKEN.")
    ] = None,
    admin_allow: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Prefix that HTTP inputs may come from; repeatable.")
    ] = None,
) -> None:
    """Run jobs until Ctrl-C or SIGTERM: one process is enough, several share the work."""
    from connector.cli import jobs_run

    jobs_run.run(
        dict(os.environ),
        jobs=jobs,
        lease=lease,
        until_idle=until_idle,
        admin_listen=admin_listen,
        admin_allow=admin_allow or (),
    )


def _spec(**options: object) -> "Spec":
    from connector.jobs.spec import Spec

    plain = {name: value.value if isinstance(value, StrEnum) else value for name, value in options.items()}
    return Spec(**plain)  # type: ignore[arg-type]  # checked by `Spec` itself


def _beir(corpus: str | None, queries: str | None) -> tuple[str | None, str | None]:
    """A BEIR folder is its corpus.jsonl, and its queries.jsonl where none are named."""
    if corpus and "://" not in corpus and Path(corpus).is_dir():
        folder = Path(corpus)
        return str(folder / "corpus.jsonl"), queries or str(folder / "queries.jsonl")
    return corpus, queries
