"""What a benchmark part hands in: rows of ours against others, and how they are shown and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Report", "Row"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. `ratio` above 1 means better than the best other; None: not measured."""

    name: str
    ours: float | None
    unit: str
    others: Mapping[str, float | None] = field(default_factory=dict)
    ratio: float | None = None
    #: What was measured on what, or why it was not.
    note: str = ""

    @classmethod
    def compare(
        cls,
        name: str,
        unit: str,
        ours: float,
        others: Mapping[str, float | None],
        *,
        higher_is_better: bool = True,
        note: str = "",
    ) -> Row:
        """A measured row; its ratio is taken against the best of `others`."""
        measured = [value for value in others.values() if value is not None]
        ratio = None
        if measured:
            ratio = ours / max(measured) if higher_is_better else min(measured) / ours
        return cls(name=name, unit=unit, ours=ours, others=dict(others), ratio=ratio, note=note)

    @classmethod
    def not_measured(cls, name: str, unit: str, why: str) -> Row:
        """A row that this machine cannot measure."""
        return cls(name=name, unit=unit, ours=None, note=f"not measured: {why}")


@dataclass(kw_only=True)
class Report:
    """Collects rows; `say` tells what is going on while a part runs."""

    say: Callable[[str], None] = print
    rows: list[Row] = field(default_factory=list)
    #: Figures that programs read, by section, beside the rows.
    sections: dict[str, Any] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Takes a row and prints it at once: a long benchmark that is stopped has still told something."""
        self.rows.append(row)
        others = "  ".join(f"{name} {_number(value)}" for name, value in row.others.items())
        ratio = "" if row.ratio is None else f"  = {row.ratio:.2f}x"
        self.say(f"{row.name:32} {_number(row.ours):>10} {row.unit:10} {others}{ratio}  {row.note}".rstrip())

    def write(self, path: Path) -> None:
        """Writes `{"rows": [{"name", "ours", "unit", "others", "ratio", "note"}], …sections}`."""
        rows: list[dict[str, Any]] = [
            {"name": r.name, "ours": r.ours, "unit": r.unit, "others": dict(r.others), "ratio": r.ratio, "note": r.note}
            for r in self.rows
        ]
        path.write_text(json.dumps({"rows": rows, **self.sections}, indent=2) + "\n")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
