"""The part of each document that a search shows under `_source`, as the engines read body and URL. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from connector import field_pattern
from connector.query.asked import Asked, listed

__all__ = ["PARAMETERS", "SourceFilter", "read"]

#: URL parameters that take the place of the body's `_source`.
PARAMETERS = ("_source", "_source_includes", "_source_excludes", "_source_include", "_source_exclude")


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """The part of `_source` that the client asks for."""

    shown: Literal["all", "none", "part"]
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        """Whether the whole field `name` is surely in that part."""
        included = not self.includes or any(_holds(pattern, name) for pattern in self.includes)
        return included and not any(_touches(pattern, name) for pattern in self.excludes)


def read(asked: Asked) -> SourceFilter | None:
    """The filter of a request; None where `stored_fields: _none_` rules out every document."""
    tree, params = asked.tree, asked.params
    stored = params["stored_fields"].split(",") if "stored_fields" in params else _patterns(tree.get("stored_fields"))
    if "_none_" in stored:
        return None
    found = _of_url(params) if any(name in params for name in PARAMETERS) else _of_body(tree.get("_source"))
    if found is None:
        return SourceFilter("none" if stored and "_source" not in stored else "all")
    return found


def _of_url(params: Mapping[str, str]) -> SourceFilter:
    """`_source=false` rules out the others; `_source=a,b` names includes, as `_source_includes` does."""
    value = params.get("_source", "true")
    if value == "false":
        return SourceFilter("none")
    includes = params.get("_source_includes", params.get("_source_include", "" if value == "true" else value))
    excludes = params.get("_source_excludes", params.get("_source_exclude", ""))
    return _part(_split(includes), _split(excludes))


def _of_body(value: Any) -> SourceFilter | None:
    """None where the body does not say; a string is one pattern, whatever it holds."""
    if value is None:
        return None
    if isinstance(value, bool):
        return SourceFilter("all" if value else "none")
    if isinstance(value, Mapping):
        includes = _patterns(value.get("includes", value.get("include")))
        return _part(includes, _patterns(value.get("excludes", value.get("exclude"))))
    return _part(_patterns(value), ())


def _part(includes: tuple[str, ...], excludes: tuple[str, ...]) -> SourceFilter:
    return SourceFilter("part" if includes or excludes else "all", includes, excludes)


def _split(value: str) -> tuple[str, ...]:
    return tuple(part for part in value.split(",") if part)


def _patterns(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(part for part in listed(value) if isinstance(part, str))


def _holds(pattern: str, name: str) -> bool:
    """Whether a pattern takes in the whole of `name`: it matches it, or an object around it."""
    parts = name.split(".")
    return any(field_pattern.matches(pattern, ".".join(parts[:length])) for length in range(1, len(parts) + 1))


def _touches(pattern: str, name: str) -> bool:
    """Whether a pattern may take out anything of `name`."""
    return "*" in pattern or _holds(pattern, name) or pattern.startswith(f"{name}.")
