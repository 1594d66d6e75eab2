"""The project's index template on an engine: installs it, compares it, creates an index from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

import mappings
from connector.contract.errors import ConfigurationError, EngineRefused
from connector.engines.base import Engine

__all__ = ["Difference", "create_index", "differences", "fetch", "install", "vector_dimensions"]

#: What the engine adds to a template of its own accord is no difference: only these parts are compared.
_COMPARED = ("index_patterns", "priority", "version", "_meta", "template")
_OWNER = "rerank-bridge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One path of the template whose value on the engine is not ours; None: it is not there."""

    path: str
    engine: str | None
    ours: str | None


async def fetch(engine: Engine, name: str) -> dict[str, Any] | None:
    """The composable index template `name` as the engine has it, or None.

    Raises:
        EngineError: no answer, or a refusal other than "no such template".
    """
    response = await engine.request("GET", _path(name))
    if response.status == 404:
        return None
    if response.status != 200:
        raise engine.refused(f"reading index template {name}", response)
    found: dict[str, Any] = msgspec.json.decode(response.body)["index_templates"][0]["index_template"]
    return found


async def install(engine: Engine, name: str, template: Mapping[str, Any], *, force: bool = False) -> bool:
    """Puts `template` under `name`; False when the engine has it already, unchanged.

    Raises:
        ConfigurationError: a template of that name is there and is not this project's, without `force`.
        EngineError: no answer, or a refusal.
    """
    present = await fetch(engine, name)
    if present is not None:
        if not force and (present.get("_meta") or {}).get("managed_by") != _OWNER:
            raise ConfigurationError(
                f"index template {name} on {engine.url} is somebody else's: choose another --name, or --force"
            )
        if not differences(present, template):
            return False
    response = await engine.request("PUT", _path(name), body=msgspec.json.encode(template))
    if response.status != 200:
        raise engine.refused(f"installing index template {name}", response)
    return True


async def create_index(
    engine: Engine,
    index: str,
    *,
    dimensions: int = mappings.DIMENSIONS,
    text_fields: Sequence[str] = (),
    vector_field: str = mappings.VECTOR_FIELD,
) -> bool:
    """Creates `index` with the project's mapping; False when an index, alias or data stream of that name is there.

    Args:
        text_fields: fields of English text, besides those of the template.
        vector_field: the field of `dimensions` numbers, in place of the template's.

    Raises:
        EngineError: no answer, or a refusal.
    """
    path = f"/{quote(index, safe='')}"
    response = await engine.request("GET", path, params=[("filter_path", "*.aliases")])
    if response.status == 200:
        return False
    if response.status != 404:
        raise engine.refused(f"asking for index {index}", response)
    template = mappings.load(engine.name, engine.version, dimensions=dimensions)["template"]
    properties = template["mappings"]["properties"]
    properties[vector_field] = properties.pop(mappings.VECTOR_FIELD)
    for field in text_fields:
        properties.setdefault(field, properties["text"])
    response = await engine.request("PUT", path, body=msgspec.json.encode(template))
    if response.status != 200:
        refusal = engine.refused(f"creating index {index}", response)
        if _created_meanwhile(refusal):
            return False
        raise refusal
    return True


async def vector_dimensions(engine: Engine, index: str, field: str) -> int | None:
    """The length of the vectors in `field` of `index`, or None where it is no vector field.

    Raises:
        EngineError: no answer, or a refusal.
    """
    response = await engine.request("GET", f"/{quote(index, safe='')}/_mapping/field/{quote(field, safe='')}")
    if response.status != 200:
        raise engine.refused(f"asking for the mapping of {index}", response)
    for found in msgspec.json.decode(response.body).values():
        for mapping in found["mappings"].get(field, {}).get("mapping", {}).values():
            dimensions = mapping.get("dims", mapping.get("dimension"))
            if dimensions is not None:
                return int(dimensions)
    return None


def differences(engine: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Difference]:
    """Where the two templates differ, by path. Settings are compared as the strings that engines turn them into."""
    there, here = (dict(_flat({key: t[key] for key in _COMPARED if key in t}, "")) for t in (engine, ours))
    return [
        Difference(path=path, engine=there.get(path), ours=here.get(path))
        for path in sorted(there.keys() | here.keys())
        if there.get(path) != here.get(path)
    ]


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif path.startswith("template.settings.") and not isinstance(value, (list, Mapping)):
        yield path, (msgspec.json.encode(value).decode() if isinstance(value, bool) else str(value))
    else:
        yield path, msgspec.json.encode(value, order="sorted").decode()


def _path(name: str) -> str:
    return f"/_index_template/{quote(name, safe='')}"


def _created_meanwhile(refusal: EngineRefused) -> bool:
    return refusal.status == 400 and b"resource_already_exists_exception" in refusal.body
