"""Pure: an engine's refusal, or its silence, as one line that says what, where and what to do."""

from __future__ import annotations

import json
import os
import ssl
from typing import Any

import aiohttp

from connector.contract.errors import EngineRefused, EngineUnavailable
from connector.engines.address import Address

__all__ = ["of", "of_error", "refused", "unavailable"]

_LONGEST = 300


def of(body: bytes) -> str:
    """The engine's own reason in one line, from an error body of either engine; "" when there is none."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return _one_line(body.decode("utf-8", "replace"))
    return of_error(error)


def of_error(error: Any) -> str:
    """The reason out of an `error` value: an object as engines nest them, or a text."""
    if not isinstance(error, dict):
        return _one_line(str(error))
    # "all shards failed" tells nothing; its root cause does. "failed to parse" tells nothing; what caused it does.
    causes = error.get("root_cause")
    first = causes[0] if isinstance(causes, list) and causes and isinstance(causes[0], dict) else error
    line = ": ".join(str(first[key]) for key in ("type", "reason") if first.get(key))
    cause = error
    while isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    detail = str(cause.get("reason") or "")
    return _one_line(line if detail in line else f"{line} ({detail})")


def refused(what: str, address: Address, *, status: int, body: bytes) -> EngineRefused:
    """The error for an answer that is no."""
    advice = ""
    if status == 401 and address.authorization is None:
        advice = "; it wants credentials: put user and password into the address, or give an API key"
    elif status == 401:
        advice = "; the user, password or API key is wrong"
    elif status == 403:
        advice = "; the user may not do that"
    reason = of(body)
    told = f"{status}, {reason}" if reason else str(status)
    return EngineRefused(f"{what}: {address.url} answered {told}{advice}", status=status, body=body)


def unavailable(address: Address, exc: Exception, *, timeout: float) -> EngineUnavailable:
    """The error for no answer; `timeout` is what the request was given, in seconds."""
    if isinstance(exc, TimeoutError):
        return EngineUnavailable(f"{address.url} did not answer within {timeout:g} s")
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        detail = getattr(exc.certificate_error, "verify_message", "") or str(exc.certificate_error)
        return EngineUnavailable(
            f"{address.url}: its certificate is not trusted ({detail}): "
            "name the file of its authority in RERANK_BRIDGE_ENGINE_CA_FILE"
        )
    if isinstance(exc, (aiohttp.ClientSSLError, ssl.SSLError)):
        return EngineUnavailable(f"{address.url}: TLS failed ({_one_line(str(exc))}): is it http:// there?")
    if isinstance(exc, aiohttp.ClientConnectorError):
        # A refused connection comes with a text of its own; name look-ups have negative numbers.
        number = exc.os_error.errno or 0
        why = os.strerror(number) if number > 0 else exc.os_error.strerror or str(exc.os_error)
        return EngineUnavailable(f"no answer from {address.url} ({_one_line(why)}): is the engine running there?")
    hint = ": is it https:// there?" if address.scheme == "http" else ""
    detail = _one_line(str(exc)) or type(exc).__name__
    return EngineUnavailable(f"{address.url} broke the connection off ({detail}){hint}")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
