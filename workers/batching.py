"""Pure: which sequences go into one forward pass, and how results find their way back.

Rows of a batch are padded to its longest, so batches are cut from the sequences in order of length.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["inverse", "padded", "plan"]


def padded(length: int, multiple: int) -> int:
    """`length` rounded up to a multiple."""
    return -(-length // multiple) * multiple


def plan(lengths: Sequence[int], budget: int, *, multiple: int = 1) -> list[list[int]]:
    """Splits sequences of these lengths (in tokens) into batches, longest first.

    A batch of n rows costs n × (its longest, rounded up to `multiple`) tokens, at most `budget`; a sequence that
    alone exceeds the budget is a batch of its own. Every index of `lengths` stands in exactly one batch.
    """
    batches: list[list[int]] = []
    # Longest first: what runs out of memory does so at once, and the short ones fill the end.
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or (len(batches[-1]) + 1) * padded(lengths[batches[-1][0]], multiple) > budget:
            batches.append([])
        batches[-1].append(index)
    return batches


def inverse(order: Sequence[int]) -> list[int]:
    """The permutation that undoes `order`: `[x[i] for i in order]` put back by `[y[i] for i in inverse(order)]`."""
    positions = [0] * len(order)
    for position, index in enumerate(order):
        positions[index] = position
    return positions
