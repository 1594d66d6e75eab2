"""Runs the proxy under uvicorn: one process or several on one socket, TLS, signals, draining."""

from __future__ import annotations

import functools
import gc
import logging
import os
import signal
import socket

import uvicorn
from uvicorn.supervisors import Multiprocess

from connector import policies
from connector.contract.errors import ConfigurationError
from connector.proxy import logs
from connector.proxy.app import Proxy
from connector.proxy.nodes import NodeUrl
from connector.proxy.options import ServeOptions
from connector.proxy.protocol import ProxyProtocol
from connector.settings import Settings

__all__ = ["serve"]

log = logging.getLogger(__name__)

_BACKLOG = 2048
#: Objects after which the youngest generation is collected; Python's own figure is 700.
_GARBAGE = 20_000
#: Seconds an idle client connection stays open: longer than load balancers keep theirs, so that we never close first.
_KEEP_ALIVE = 620


class Supervisor(Multiprocess):
    """Several processes. SIGHUP is handed on: each reads its policies anew, and none is restarted."""

    def handle_hup(self) -> None:
        """Tells every process."""
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)


def serve(options: ServeOptions) -> None:
    """Serves until SIGTERM or SIGINT, then lets requests under way finish.

    Raises:
        ConfigurationError: an address, file or policy that cannot be used.
    """
    logs.configure(options.log_level)
    _check(options)
    config = _config(options)
    _check_tls(config)
    with _listen(options) as listener:
        host, port = listener.getsockname()[:2]
        scheme = "https" if config.is_ssl else "http"
        shown = f"[{host}]" if ":" in host else host
        log.info("listening", extra={"address": f"{scheme}://{shown}:{port}", "processes": options.workers})
        if options.workers == 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            Supervisor(config, sockets=[listener]).run()


def _check(options: ServeOptions) -> None:
    """Finds what cannot be used before any process starts."""
    for url in options.engine_urls:
        if NodeUrl.parse(url).credentials and not options.add_credentials:
            raise ConfigurationError(
                "the engine's address holds credentials: clients send their own; to lend them these, --add-credentials"
            )
    Settings.from_environment(options.environment)
    if options.policies:
        policies.load(options.policies)


def _config(options: ServeOptions) -> uvicorn.Config:
    return uvicorn.Config(
        functools.partial(_application, options),
        factory=True,
        workers=options.workers,
        http=ProxyProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(options.drain),
        ssl_certfile=options.tls_certificate,
        ssl_keyfile=options.tls_key,
    )


def _application(options: ServeOptions) -> Proxy:
    logs.configure(options.log_level)
    proxy = Proxy(options)
    # What was imported stays: the collector need not walk it again and again, nor so often for what requests leave.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    return proxy


def _check_tls(config: uvicorn.Config) -> None:
    if config.ssl_keyfile and not config.ssl_certfile:
        raise ConfigurationError("a TLS key without its certificate: name both")
    for path in (config.ssl_certfile, config.ssl_keyfile):
        if path is not None and not os.path.isfile(path):  # noqa: PTH113  uvicorn's type is any path-like
            raise ConfigurationError(f"there is no TLS file {os.fspath(path)}")


def _listen(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        raise ConfigurationError(f"cannot listen on {options.host}:{options.port}: {exc.strerror}") from exc
    listener.set_inheritable(True)
    return listener
