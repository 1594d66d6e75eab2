"""`rerank-bridge export`: a Hugging Face folder to ONNX files, checked against torch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer()


class Quantisation(StrEnum):
    """How the int8 file is made."""

    AUTO = "auto"
    STATIC = "static"
    DYNAMIC = "dynamic"
    NONE = "none"


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="Cross-encoder, a folder or a name.")],
    output: Annotated[Path | None, typer.Option(help="Where the files go; else into the model's folder.")] = None,
    revision: Annotated[str | None, typer.Option(help="The model's revision on the hub.")] = None,
    data: Annotated[Path | None, typer.Option(help="BEIR folder to check on: nDCG@10 decides over int8.")] = None,
    split: Annotated[str, typer.Option(help="Its judgments: qrels/SPLIT.tsv.")] = "test",
    pairs: Annotated[Path | None, typer.Option(help="Pairs to check on: the overlap of the top 10 decides.")] = None,
    quantisation: Annotated[
        Quantisation, typer.Option(help="auto: static, and dynamic if that is refused.")
    ] = Quantisation.AUTO,
    queries: Annotated[int, typer.Option(min=2, help="Queries to check on.")] = 50,
    window: Annotated[int, typer.Option(min=2, help="Candidates of each.")] = 50,
    max_length: Annotated[int, typer.Option(min=8, help="Tokens of a pair.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Which queries are drawn.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace ONNX files that are there.")] = False,
) -> None:
    """Write ONNX fp32 and int8 files of a model, each refused unless it orders real pairs as torch does.

    Without --data or --pairs the docstrings of Python's own library are the real pairs. Needs the extra `train`.
    """
    from connector.contract.errors import ConfigurationError
    from workers.cli.train import quiet_libraries
    from workers.export import run, sample

    if data is not None and pairs is not None:
        raise ConfigurationError("--data or --pairs, not both")
    quiet_libraries()
    console = Console(stderr=True)
    collection, judged = sample.read(data, split, pairs)
    drawn = sample.draw(collection, judged=judged, queries=queries, window=window, seed=seed)
    result = run.export(
        model,
        output,
        drawn,
        revision=revision,
        method=quantisation.value,
        max_length=max_length,
        force=force,
        say=lambda text: console.print(text, highlight=False, markup=False),
    )
    print(result.output)
