"""`rerank-bridge serve`: the proxy that a site points its engine URL at."""

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def serve(
    engine_url: Annotated[
        list[str] | None,
        typer.Option(envvar="RERANK_BRIDGE_ENGINE_URL", help="Address of an engine node; repeat it for more nodes."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(envvar="RERANK_BRIDGE_CONFIG", help="Policies by index: rerank-bridge.toml.")
    ] = None,
    host: Annotated[str, typer.Option(envvar="RERANK_BRIDGE_HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="RERANK_BRIDGE_PORT", min=0, max=65535, help="0 takes a free one.")
    ] = 9250,
    workers: Annotated[int, typer.Option(envvar="RERANK_BRIDGE_WORKERS", min=1, max=128, help="Processes.")] = 1,
    ca_file: Annotated[
        Path | None,
        typer.Option(envvar="RERANK_BRIDGE_ENGINE_CA_FILE", help="PEM of who signed the engine's certificate."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(envvar="RERANK_BRIDGE_TLS_CERTIFICATE", help="PEM to serve HTTPS with.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="RERANK_BRIDGE_TLS_KEY", help="Its key, where it is not in the same file.")
    ] = None,
    add_credentials: Annotated[
        bool,
        typer.Option(
            "--add-credentials",
            envvar="RERANK_BRIDGE_ADD_CREDENTIALS",
            help="Give requests without credentials those of the engine's URL. Whoever reaches us then has them.",
        ),
    ] = False,
    drain: Annotated[float, typer.Option(min=0, help="Seconds for requests under way after SIGTERM.")] = 30.0,
    log_level: Annotated[
        str, typer.Option(envvar="RERANK_BRIDGE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
    log_queries: Annotated[bool, typer.Option("--log-queries", help="Query texts in the log.")] = False,
) -> None:
    """Serve the engine's API with text searches reranked: everything else passes through unchanged."""
    from connector.contract.errors import ConfigurationError
    from connector.proxy.options import ServeOptions
    from connector.proxy.server import serve as run

    if log_level not in ("debug", "info", "warning", "error"):
        raise ConfigurationError(f"--log-level {log_level}: debug, info, warning or error")
    for path in (config, ca_file):
        if path is not None and not path.is_file():
            raise ConfigurationError(f"there is no file {path}")
    run(
        ServeOptions(
            engine_urls=tuple(engine_url or ["http://127.0.0.1:9200"]),
            ca_file=ca_file,
            add_credentials=add_credentials,
            policies=config,
            host=host,
            port=port,
            workers=workers,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            drain=drain,
            log_level=log_level,
            log_queries=log_queries,
            environment={name: value for name, value in os.environ.items() if name.startswith("RERANK_BRIDGE_")},
        )
    )
