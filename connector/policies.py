"""`rerank-bridge.toml`: what is done with the searches of which index. Pure, but for reading the file.

    [defaults]                    what every index starts from; any key of `settings.Policy`
    window = 50

    [[index]]                     the first entry that matches a name counts
    pattern = ["docs-*", "faq"]
    text.fields = ["title", "body"]
    client_options = ["window"]   what a request may set besides switching reranking off

Without a file every index is on, except names that begin with a dot. With one, what it does not match is off. Names
match as they stand in the request: aliases and patterns are not resolved.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from connector import toml_lines
from connector.contract.errors import ConfigurationError
from connector.settings import SERVE_DEADLINE, Policy

__all__ = ["DIFFERENT", "OVERRIDABLE", "Different", "Policies", "Rule", "changed", "load", "serving"]

_HINTS = typing.get_type_hints
#: What a request may be allowed to set: single values, no tables.
OVERRIDABLE = (
    "deadline",
    "details",
    "min_hits",
    "model",
    "on_timeout",
    "passages",
    "pins",
    "raise_k",
    "scores",
    "window",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What is done with the searches of the indices that match."""

    patterns: tuple[str, ...] = ("*",)
    policy: Policy
    #: Options that a client may set. Switching reranking off is always allowed.
    client_options: frozenset[str] = frozenset()

    def matches(self, name: str) -> bool:
        """Whether one of the patterns takes `name`. A leading wildcard takes no hidden name, as in the engines."""
        return any(
            _glob(pattern).fullmatch(name) and name.startswith(".") <= pattern.startswith(".")
            for pattern in self.patterns
        )


class Different:
    """A request over indices of different policies: it is left alone."""


DIFFERENT = Different()


@dataclass(frozen=True, kw_only=True, slots=True)
class Policies:
    """Every rule, in order."""

    rules: tuple[Rule, ...]

    @classmethod
    def everything(cls) -> Policies:
        """The policies without a file."""
        return cls(rules=(Rule(policy=serving()),))

    def of(self, expression: str) -> Rule | Different | None:
        """The rule of an index expression as it stands in a path; None where none matches.

        `""` and `_all` are `*`. Names that a minus takes out of a pattern do not matter.
        """
        names = [name for name in expression.split(",") if name and not name.startswith("-")] or ["*"]
        rules = [self._rule("*" if name == "_all" else name) for name in names]
        return rules[0] if all(rule is rules[0] for rule in rules) else DIFFERENT

    def _rule(self, name: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.matches(name)), None)


def serving() -> Policy:
    """The policy that `serve` starts from: its clients wait, and their pages show the engine's scores."""
    return Policy(deadline=SERVE_DEADLINE, scores="engine")


def load(path: Path) -> Policies:
    """Reads the file.

    Raises:
        ConfigurationError: it cannot be read, or has an unknown key or a bad value; names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(f"{path} is no TOML: {exc}") from exc
    try:
        return _policies(table)
    except _Wrong as exc:
        line = toml_lines.find(text, exc.path)
        raise ConfigurationError(f"{path}, line {line}: {exc}") from exc


def changed(policy: Policy, changes: Mapping[str, Any]) -> Policy:
    """`policy` with the keys of `changes`, named and typed as in the file.

    Raises:
        ConfigurationError: an unknown key or a bad value.
    """
    try:
        return typing.cast("Policy", _filled(policy, changes, ()))
    except _Wrong as exc:
        raise ConfigurationError(str(exc)) from exc


class _Wrong(Exception):
    """Something at `path` of the document cannot be used."""

    def __init__(self, path: Sequence[str | int], problem: str) -> None:
        super().__init__(problem)
        self.path = tuple(path)


def _policies(table: Mapping[str, Any]) -> Policies:
    _known(table, ("defaults", "index"), ())
    defaults = _filled(serving(), _table(table.get("defaults", {}), ("defaults",)), ("defaults",))
    entries = _converted(table.get("index", []), list[dict[str, Any]], ("index",))
    return Policies(rules=tuple(_rule(entry, defaults, ("index", i)) for i, entry in enumerate(entries)))


def _rule(entry: Mapping[str, Any], defaults: Policy, path: tuple[str | int, ...]) -> Rule:
    rest = dict(entry)
    pattern = rest.pop("pattern", None)
    if not pattern:
        raise _Wrong(path, "an [[index]] needs a pattern: the names it is for")
    patterns = _converted(pattern, str | list[str], (*path, "pattern"))
    options = _converted(rest.pop("client_options", []), list[str], (*path, "client_options"))
    for option in options:
        if option not in OVERRIDABLE:
            problem = f"client_options: {option!r} is none of {', '.join(OVERRIDABLE)}"
            raise _Wrong((*path, "client_options"), problem)
    return Rule(
        patterns=(patterns,) if isinstance(patterns, str) else tuple(patterns),
        policy=_filled(defaults, rest, path),
        client_options=frozenset(options),
    )


def _filled(base: Any, table: Mapping[str, Any], path: tuple[str | int, ...]) -> Any:
    """`base`, a frozen dataclass, with the values of `table`."""
    hints = _HINTS(type(base))
    _known(table, hints, path)
    values = {}
    for name, value in table.items():
        where = (*path, name)
        if dataclasses.is_dataclass(hints[name]):
            values[name] = _filled(getattr(base, name), _table(value, where), where)
        else:
            values[name] = _converted(value, hints[name], where)
    try:
        return dataclasses.replace(base, **values)
    except ConfigurationError as exc:
        raise _Wrong((*path, *str(exc).partition(" ")[0].split(".")), str(exc)) from exc


def _known(table: Mapping[str, Any], names: Iterable[str], path: tuple[str | int, ...]) -> None:
    for name in table:
        if name not in names:
            raise _Wrong((*path, name), f"unknown key {name!r}: one of {', '.join(sorted(names))}")


def _table(value: Any, path: tuple[str | int, ...]) -> Mapping[str, Any]:
    return typing.cast("Mapping[str, Any]", _converted(value, dict[str, Any], path))


def _converted(value: Any, kind: Any, path: tuple[str | int, ...]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise _Wrong(path, f"{path[-1]}: {exc}") from exc


@functools.cache
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
