"""What a single request sets (`X-Rerank-*`, `rerank_*`, `ext.rerank_bridge`), within what its rule allows. Pure."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import msgspec

from connector.contract.errors import ConfigurationError
from connector.policies import Rule
from connector.settings import Policy

__all__ = ["Unusable", "policy_of"]

#: The option that switches reranking off; whoever may search may use it.
_SWITCH = "rerank"
_HINTS = typing.get_type_hints(Policy)


class Unusable(ConfigurationError):
    """An option has a value that cannot be used."""


def policy_of(rule: Rule, options: Mapping[str, Any]) -> Policy:
    """The policy of one request. Options that the rule does not allow are without effect.

    Raises:
        Unusable: an allowed option has a bad value.
    """
    values = {name: _value(name, options[name]) for name in rule.client_options & options.keys()}
    if _SWITCH in options and not _converted(_SWITCH, options[_SWITCH], bool):
        values["mode"] = "off"
    if not values:
        return rule.policy
    try:
        return dataclasses.replace(rule.policy, **values)
    except ConfigurationError as exc:
        raise Unusable(str(exc)) from exc


def _value(name: str, value: Any) -> Any:
    return _converted(name, value, _HINTS[name])


def _converted(name: str, value: Any, kind: Any) -> Any:
    if kind is bool and value in ("", "on", "off"):
        return value != "off"
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as exc:
        raise Unusable(f"option {name}: {exc}") from exc
