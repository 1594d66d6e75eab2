"""The scores that a response shows, slot by slot: never rising, finite, as JSON numbers. Pure.

Whichever policy: where the engine gave null it stays null (`connector.merge` sees to that).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Literal

from connector.fusion import Ranked

__all__ = ["float32", "scores"]

_FLOAT32_MAX = 3.4028234663852886e38
_single = struct.Struct("<f")


def scores(
    engine: Sequence[bytes | None], ranking: Sequence[Ranked], policy: Literal["engine", "rerank"], slots: range
) -> list[bytes | None]:
    """What each of `slots` shows, in the new order; None: leave what the hit has.

    Args:
        engine: the engine's `_score` of each hit, in its order, as it wrote them.
        ranking: the window's new order; the hits behind it keep theirs.
        policy: `engine`: slot i shows the engine's i-th score. `rerank`: the values of `ranking`, and the hits behind
            the window scaled below the lowest of them (as Vespa's global phase does).
    """
    if policy == "engine":
        return [engine[slot] for slot in slots]
    window = _window(ranking)
    values = window + _tail([_number(score) for score in engine[max(0, len(window) - 1) :]], window)
    return [float32(values[slot]) for slot in slots]


def float32(value: float) -> bytes:
    """The shortest decimal that reads back as the same float32; always with a point or an exponent."""
    value = _single.unpack(_single.pack(min(max(value, -_FLOAT32_MAX), _FLOAT32_MAX)))[0]
    text = f"{value:.6g}"  # six digits always survive float32, nine always suffice
    for digits in (7, 8, 9):
        if _single.unpack(_single.pack(float(text)))[0] == value:
            break
        text = f"{value:.{digits}g}"
    return (text if "." in text or "e" in text else f"{text}.0").encode()


def _window(ranking: Sequence[Ranked]) -> list[float]:
    """The values shown in the window: not below any that follows, and for an unscored hit that of the hit above."""
    values: list[float | None] = [None] * len(ranking)
    best = 0.0
    for slot in reversed(range(len(ranking))):
        if ranking[slot].score is not None:
            best = max(best, ranking[slot].value if math.isfinite(ranking[slot].value) else 0.0)
            values[slot] = best
    shown: list[float] = []
    for value in values:
        shown.append(value if value is not None else shown[-1] if shown else best)
    return shown


def _tail(engine: Sequence[float], window: Sequence[float]) -> list[float]:
    """The hits behind the window: the engine's scores, scaled so that the window's last one meets its new value.

    Args:
        engine: the engine's scores from the window's last hit on, or of all hits without a window.
    """
    if not window:
        return list(engine)
    last, low = engine[0], window[-1]
    factor = low / last if last > 0 else 0.0
    tail: list[float] = []
    for score in engine[1:]:
        tail.append(min(max(score * factor, 0.0), tail[-1] if tail else low))
    return tail


def _number(score: bytes | None) -> float:
    return 0.0 if score is None or score == b"null" else float(score)
