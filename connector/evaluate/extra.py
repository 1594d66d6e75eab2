"""Are the packages of the `evaluate` extra there? Asked before minutes of scoring, not after."""

from __future__ import annotations

import importlib.util

from connector.contract.errors import MissingExtra

__all__ = ["check"]

_ALWAYS = ("ir_measures", "scipy")
_REPORT = ("matplotlib",)


def check(*, report: bool) -> None:
    """Looks for what an evaluation imports, with `report` also for what draws its plots.

    Raises:
        MissingExtra: one of them is not installed.
    """
    needed = _ALWAYS + _REPORT if report else _ALWAYS
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise MissingExtra("evaluate", "evaluate")
