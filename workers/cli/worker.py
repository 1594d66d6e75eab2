"""`rerank-bridge worker`: loads a model, announces it, and scores until it is told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def worker(
    model: Annotated[
        str | None, typer.Option(help="Name on the hub, or a folder. Default: the bundled cross-encoder.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of a model on the hub.")] = None,
    alias: Annotated[
        str | None, typer.Option(help="Name that policies use. Default: default, or embed for --kind embed.")
    ] = None,
    kind: Annotated[str, typer.Option(help="score (cross-encoder) or embed (bi-encoder).")] = "score",
    backend: Annotated[str, typer.Option(help="auto, torch or onnx.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    devices: Annotated[str | None, typer.Option(help="all: one worker process for each GPU.")] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or int8.")] = "auto",
    max_length: Annotated[int, typer.Option(min=16, help="Tokens of a pair that the model reads.")] = 256,
    threads: Annotated[int, typer.Option(min=0, help="CPU cores to use. 0: all physical ones.")] = 0,
    slots: Annotated[int, typer.Option(min=1, help="Requests taken from the queues at once.")] = 32,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Serve Prometheus metrics. 0: do not.")] = 0,
) -> None:
    """Run a worker: it takes requests from the queues of its model until it is told to stop."""
    import logging
    import os
    import sys

    from connector.contract import env
    from workers import process, supervise
    from workers.settings import WorkerSettings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # Celery tells two lines a request; its warnings are wanted.
    logging.getLogger("celery").setLevel(logging.WARNING)
    logging.getLogger("kombu").setLevel(logging.WARNING)
    urls = env.Urls.from_environment(os.environ)
    if devices is not None:
        raise typer.Exit(supervise.run_all(devices, sys.argv, metrics_port=metrics_port))
    settings = WorkerSettings(
        model=model,
        revision=revision,
        alias=alias,
        kind=process.one_of("--kind", kind, ("score", "embed")),
        backend=process.one_of("--backend", backend, ("auto", "torch", "onnx")),
        device=device,
        precision=process.one_of("--precision", precision, ("auto", "fp32", "bf16", "fp16", "int8")),
        max_length=max_length,
        threads=threads,
        slots=slots,
    )
    raise typer.Exit(process.run(settings, urls, metrics_port=metrics_port))
