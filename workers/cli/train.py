"""`rerank-bridge train`: fine-tune a cross-encoder on one's own queries."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from workers.training.settings import Settings

app = typer.Typer()

_DATA = "Data"
_NEGATIVES = "Negatives"
_LEARNING = "Learning"
_JUDGING = "Judging and saving"
_DEFAULTS = Settings()


class Loss(StrEnum):
    """The losses; docs/train.md says which for what."""

    BCE = "bce"
    LISTWISE = "listwise"
    LAMBDA = "lambda"
    MSE = "mse"
    MARGIN_MSE = "margin-mse"


@app.command()
def train(
    output: Annotated[Path, typer.Option(help="Folder of the new model; never overwritten without --force.")],
    pairs: Annotated[
        list[Path] | None,
        typer.Option(help="Query–passage pairs, JSON lines (.gz too). Repeatable.", rich_help_panel=_DATA),
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="BEIR folder with graded judgments. Repeatable.", rich_help_panel=_DATA)
    ] = None,
    split: Annotated[str, typer.Option(help="Judgments of BEIR folders: qrels/SPLIT.tsv.", rich_help_panel=_DATA)] = (
        _DEFAULTS.split
    ),
    clicks: Annotated[
        list[Path] | None, typer.Option(help="Click log, JSON lines. Repeatable.", rich_help_panel=_DATA)
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Texts of the documents that click logs name by id.", rich_help_panel=_DATA)
    ] = None,
    click_eta: Annotated[
        float | None,
        typer.Option(help="Examination is (1/position)^η with this η; else from the log.", rich_help_panel=_DATA),
    ] = None,
    satisfied_seconds: Annotated[
        float, typer.Option(help="Dwell time from which a click counts in full.", rich_help_panel=_DATA)
    ] = _DEFAULTS.satisfied_seconds,
    model: Annotated[
        str, typer.Option(help="Model to start from, name or path; else the bundled one.", rich_help_panel=_LEARNING)
    ] = _DEFAULTS.model,
    revision: Annotated[str | None, typer.Option(help="Its revision on the hub.", rich_help_panel=_LEARNING)] = None,
    loss: Annotated[Loss, typer.Option(help="What is minimised.", rich_help_panel=_LEARNING)] = Loss.LISTWISE,
    teacher: Annotated[
        str | None,
        typer.Option(help="Bigger cross-encoder to learn from and to filter by.", rich_help_panel=_LEARNING),
    ] = None,
    false_negative_margin: Annotated[
        float,
        typer.Option(help="Mined negatives this close to a positive, by the teacher, go.", rich_help_panel=_NEGATIVES),
    ] = _DEFAULTS.false_negative_margin,
    engine_url: Annotated[
        str | None, typer.Option(help="Mine from this running engine; else from memory.", rich_help_panel=_NEGATIVES)
    ] = None,
    index: Annotated[str | None, typer.Option(help="The engine's index.", rich_help_panel=_NEGATIVES)] = None,
    engine_fields: Annotated[
        str, typer.Option(help="Its fields with the text, by commas.", rich_help_panel=_NEGATIVES)
    ] = ",".join(_DEFAULTS.engine_fields),
    ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="RERANK_BRIDGE_ENGINE_CA_FILE", help="PEM file of its authority.", rich_help_panel=_NEGATIVES
        ),
    ] = None,
    vector_field: Annotated[
        str | None, typer.Option(help="Its vector field: kNN finds negatives too.", rich_help_panel=_NEGATIVES)
    ] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Bi-encoder the vectors are of, name or path.", rich_help_panel=_NEGATIVES)
    ] = None,
    negatives: Annotated[int, typer.Option(help="Negatives in a list.", rich_help_panel=_NEGATIVES)] = (
        _DEFAULTS.negatives
    ),
    positives: Annotated[int, typer.Option(help="Positives in a list.", rich_help_panel=_NEGATIVES)] = (
        _DEFAULTS.positives
    ),
    depth: Annotated[int, typer.Option(help="How deep negatives are looked for.", rich_help_panel=_NEGATIVES)] = (
        _DEFAULTS.depth
    ),
    skip: Annotated[int, typer.Option(help="Best candidates passed over.", rich_help_panel=_NEGATIVES)] = (
        _DEFAULTS.skip
    ),
    epochs: Annotated[float, typer.Option(help="Passes over the lists.", rich_help_panel=_LEARNING)] = _DEFAULTS.epochs,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, instead.", rich_help_panel=_LEARNING)] = None,
    batch: Annotated[int, typer.Option(help="Pairs in a step.", rich_help_panel=_LEARNING)] = _DEFAULTS.batch,
    learning_rate: Annotated[float, typer.Option(help="At its highest.", rich_help_panel=_LEARNING)] = (
        _DEFAULTS.learning_rate
    ),
    warmup: Annotated[float, typer.Option(help="Share of steps with a rising rate.", rich_help_panel=_LEARNING)] = (
        _DEFAULTS.warmup
    ),
    max_length: Annotated[int, typer.Option(help="Tokens of a pair.", rich_help_panel=_LEARNING)] = (
        _DEFAULTS.max_length
    ),
    seed: Annotated[int, typer.Option(help="Of everything drawn.", rich_help_panel=_LEARNING)] = _DEFAULTS.seed,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=_LEARNING)] = (
        _DEFAULTS.device
    ),
    holdout: Annotated[float, typer.Option(help="Share of queries held out; 0: none.", rich_help_panel=_JUDGING)] = (
        _DEFAULTS.holdout
    ),
    holdout_most: Annotated[int, typer.Option(help="Most queries held out.", rich_help_panel=_JUDGING)] = (
        _DEFAULTS.holdout_most
    ),
    window: Annotated[int, typer.Option(help="Candidates of a held-out query.", rich_help_panel=_JUDGING)] = (
        _DEFAULTS.window
    ),
    evaluations: Annotated[int, typer.Option(help="Judgments on the way.", rich_help_panel=_JUDGING)] = (
        _DEFAULTS.evaluations
    ),
    patience: Annotated[int, typer.Option(help="Judgments without gain before it stops.", rich_help_panel=_JUDGING)] = (
        _DEFAULTS.patience
    ),
    checkpoint_minutes: Annotated[
        float, typer.Option(help="Minutes between checkpoints.", rich_help_panel=_JUDGING)
    ] = _DEFAULTS.checkpoint_minutes,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished run of --output.", rich_help_panel=_JUDGING)
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the model or unfinished run there.", rich_help_panel=_JUDGING)
    ] = False,
) -> None:
    """Fine-tune a cross-encoder on pairs, judgments or clicks; needs the extra `train`."""
    settings = Settings(
        pairs=_texts(pairs), data=_texts(data), clicks=_texts(clicks), split=split, corpus=_text(corpus),
        click_eta=click_eta, satisfied_seconds=satisfied_seconds, model=model, revision=revision,
        max_length=max_length, teacher=teacher, false_negative_margin=false_negative_margin, engine_url=engine_url,
        index=index, engine_fields=tuple(name.strip() for name in engine_fields.split(",") if name.strip()),
        ca_file=_text(ca_file), vector_field=vector_field, embedder=embedder, negatives=negatives,
        positives=positives, depth=depth, skip=skip, loss=loss.value, epochs=epochs, steps=steps, batch=batch,
        learning_rate=learning_rate, warmup=warmup, seed=seed, device=device, holdout=holdout,
        holdout_most=holdout_most, window=window, evaluations=evaluations, patience=patience,
        checkpoint_minutes=checkpoint_minutes,
    )  # fmt: skip
    if not resume:
        settings.check()
    quiet_libraries()
    from workers.training import run

    console = Console(stderr=True)
    with _Bar(console) as report:
        result = run.train(settings, output, report, resume=resume, force=force)
    print(f"{result.output}  ({result.steps} steps)")
    if result.before is not None and result.after is not None:
        verdict = "" if result.after > result.before else ": no gain; the model to start from is as good"
        print(f"nDCG@10 of the held-out queries: {result.before:.4f} before, {result.after:.4f} after{verdict}")


def quiet_libraries() -> None:
    """The bar is ours: what the libraries would draw and log beside it is left out."""
    import datasets
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    datasets.disable_progress_bars()


def _texts(paths: list[Path] | None) -> tuple[str, ...]:
    return tuple(str(path) for path in paths or ())


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


class _Bar:
    """The progress bar on the terminal, and the steps as lines above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.description}"), console=console,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=None, visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def step(self, text: str) -> None:
        """One line."""
        self._console.print(text, highlight=False, markup=False)

    def progress(self, done: int, total: int, note: str) -> None:
        """Moves the bar."""
        self._progress.update(self._task, completed=done, total=total, description=note, visible=True)
