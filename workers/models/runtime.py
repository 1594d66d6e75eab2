"""What runs the model: token ids in, outputs of its head out. One implementation a backend."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.models.pairs import Row

__all__ = ["Runtime", "physical_cores", "rows_to_arrays"]


class Runtime(Protocol):
    """A loaded model on one device. Called by one thread."""

    backend: str
    device: str
    precision: str
    #: Padded tokens of one forward pass, at most; and rows are padded to multiples of this many tokens.
    forward_tokens: int
    multiple: int
    #: Forward passes that run side by side.
    parallel: int
    #: Tokens worth taking from the queue at once.
    batch_tokens: int
    #: What the fingerprint is made of: weights and what belongs to them.
    files: tuple[Path, ...]
    #: Name of the output that `run` returns.
    output: str

    def run(self, rows: Sequence[Row], batches: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """One forward pass a batch of row indices: what the model puts out for them, float32, first axis rows.

        Raises:
            OutOfMemory: the device does not hold one of the batches.
        """

    def memory(self) -> int:
        """Bytes of device memory in use; 0 where the device is the CPU."""


def rows_to_arrays(
    rows: Sequence[Row], batch: Sequence[int], *, pad_id: int, multiple: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Input ids, attention mask and token types of a batch, n × its padded length, int64."""
    longest = max(len(rows[i]) for i in batch)
    width = -(-longest // multiple) * multiple
    ids = np.full((len(batch), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(batch), width), dtype=np.int64)
    types = np.zeros((len(batch), width), dtype=np.int64)
    for line, index in enumerate(batch):
        row = rows[index]
        length = len(row)
        ids[line, :length] = row.ids
        mask[line, :length] = 1
        types[line, row.zeros : length] = 1
    return ids, mask, types


def physical_cores() -> int:
    """Physical cores that this process may use: hyper-threads of one core share its arithmetic units."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = set()
    for cpu in allowed:
        try:
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
        except OSError:
            siblings = str(cpu)
        cores.add(siblings)
    return max(1, len(cores))
