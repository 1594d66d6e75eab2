"""Asks a server by plain HTTP what it is, and picks the adapter for its answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from connector.contract.errors import EngineRefused
from connector.engines import http, reasons
from connector.engines.address import Address
from connector.engines.base import Engine, EngineResponse, Name

__all__ = ["connect", "identify"]

#: Seconds that `GET /` may take: it touches no index.
_TIMEOUT = 10.0
#: The first version of each that has what we send.
_OLDEST: dict[Name, tuple[int, int]] = {"elasticsearch": (7, 17), "opensearch": (1, 3)}


async def connect(url: str, *, ca_file: Path | None = None, api_key: str | None = None) -> Engine:
    """Asks `GET /` of the engine at `url` and returns the adapter for what it says it is.

    The question is plain HTTP and JSON: each client library's own media types are refused by other major versions.

    Raises:
        ConfigurationError: the address or the CA file cannot be used.
        EngineUnavailable: no answer.
        EngineRefused: an answer that is not 200, or not an engine's, or of a version that is too old.
    """
    address = Address.parse(url, ca_file=ca_file, api_key=api_key)
    headers = {"accept": "application/json"}
    if address.authorization:
        headers["authorization"] = address.authorization
    async with http.session(address.ssl_context()) as session:
        response = await http.exchange(session, address, "GET", "/", headers=headers, timeout=_TIMEOUT)
    name, version = identify(address, response)
    return _adapter(address, name, version)


def identify(address: Address, response: EngineResponse) -> tuple[Name, tuple[int, ...]]:
    """Which engine and version answered `GET /` with `response`.

    OpenSearch that was told to call itself 7.10.2 (`compatibility.override_main_response_version`) is still known by
    its distribution or its tagline, and counts as 1.3: nothing that we send differs between its versions.

    Raises:
        EngineRefused: see `connect`.
    """
    if response.status != 200:
        raise reasons.refused("asking what it is", address, status=response.status, body=response.body)
    try:
        answer: dict[str, Any] = json.loads(response.body)
        about = answer["version"]
        version = _numbers(about["number"])
    except (ValueError, KeyError, TypeError) as exc:
        raise EngineRefused(
            f"{address.url} answers, but is neither Elasticsearch nor OpenSearch", status=200, body=response.body
        ) from exc
    tagline = str(answer.get("tagline", ""))
    name: Name = "elasticsearch"
    if about.get("distribution") == "opensearch" or "OpenSearch" in tagline:
        name = "opensearch"
        if version == (7, 10, 2):
            version = _OLDEST[name]
    if version < _OLDEST[name]:
        oldest = ".".join(map(str, _OLDEST[name]))
        raise EngineRefused(
            f"{address.url} is {name} {about['number']}: {oldest} is the oldest that is supported", status=200
        )
    return name, version


def _numbers(number: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", number)
    if found is None:
        raise ValueError(f"no version: {number!r}")
    return tuple(int(part) for part in found.group().split("."))


def _adapter(address: Address, name: Name, version: tuple[int, ...]) -> Engine:
    # One client library is loaded, not both: each takes a quarter of a second.
    if name == "opensearch":
        from connector.engines.opensearch import OpenSearch

        return OpenSearch(address, version)
    from connector.engines.elasticsearch import Elasticsearch

    return Elasticsearch(address, version)
