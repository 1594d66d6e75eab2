"""The light CPU runtime: OpenVINO on an exported ONNX graph, int8 or fp32, without torch.

It was the fastest measured (docs/performance.md). Kernels are made for each shape of a batch and kept, so the shapes
that occur are few: `widths` and `heights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from connector.contract.errors import ModelError
from workers.batcher import OutOfMemory
from workers.models import onnx_files
from workers.models.folder import ModelFolder
from workers.models.pairs import Row
from workers.models.runtime import physical_cores, rows_to_arrays

__all__ = ["OpenVinoRuntime"]

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class OpenVinoRuntime:
    """Each core runs batches of its own, one thread a batch: that wastes less than several threads on one batch.

    Raises:
        ModelError: the folder has no graph of that precision, or it cannot be loaded.
    """

    backend = "onnx"
    device = "cpu"
    multiple = 16
    forward_tokens = 1024

    def __init__(self, folder: ModelFolder, *, precision: str, threads: int, pad_id: int) -> None:
        found = onnx_files.graph(folder, precision)
        if found is None:
            raise ModelError(
                f"{folder.name} has no ONNX graph for precision {precision}: export one with `rerank-bridge export`,"
                " or use --backend torch"
            )
        path, self.precision = found
        self.parallel = threads or physical_cores()
        self.batch_tokens = 2 * self.parallel * self.forward_tokens
        self.files = (path, *sorted(path.parent.glob(path.name + "*data")))
        self._pad_id = pad_id
        compiled = _compile(path, folder.name, self.parallel)
        self._inputs = {name for port in compiled.inputs for name in port.names}
        self.output = next(iter(compiled.outputs[0].names), "logits")
        self._queue = openvino.AsyncInferQueue(compiled, self.parallel)
        self._queue.set_callback(_keep)

    def run(self, rows: Sequence[Row], batches: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """See `Runtime.run`."""
        pieces = [(number, piece) for number, batch in enumerate(batches) for piece in heights(len(batch), batch)]
        outputs: list[NDArray[Any]] = [np.empty(0)] * len(pieces)
        try:
            for place, (_, piece) in enumerate(pieces):
                arrays = rows_to_arrays(rows, piece, pad_id=self._pad_id, multiple=self.multiple)
                feed = {n: a for n, a in zip(_INPUTS, arrays, strict=True) if n in self._inputs}
                self._queue.start_async(feed, (outputs, place))
            self._queue.wait_all()
        except (RuntimeError, MemoryError) as exc:
            if isinstance(exc, MemoryError) or "bad_alloc" in str(exc) or "allocate" in str(exc):
                raise OutOfMemory(f"the memory does not hold {sum(map(len, rows))} tokens at once") from exc
            raise
        return [
            np.concatenate([outputs[place] for place, (owner, _) in enumerate(pieces) if owner == number])
            for number in range(len(batches))
        ]

    def memory(self) -> int:
        """No device memory."""
        return 0


def heights(count: int, batch: Sequence[int]) -> list[Sequence[int]]:
    """A batch cut into pieces of 2ⁿ or 3·2ⁿ rows, so that few shapes occur. Nothing is added to it."""
    pieces: list[Sequence[int]] = []
    start = 0
    while start < count:
        left = count - start
        power = 1 << (left.bit_length() - 1)
        size = power + power // 2 if power >= 2 and left >= power + power // 2 else power
        pieces.append(batch[start : start + size])
        start += size
    return pieces


def _keep(request: Any, place: tuple[list[NDArray[Any]], int]) -> None:
    """Takes a finished request's output, whose memory the next request overwrites."""
    outputs, number = place
    outputs[number] = np.array(request.get_output_tensor(0).data, dtype=np.float32)


def _compile(path: Path, name: str, streams: int) -> Any:
    core = openvino.Core()
    properties = {
        # A CPU with bf16 but without AMX is many times slower in it, and scores lose digits.
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": streams,
        # Other processes live on these cores too.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        return core.compile_model(core.read_model(str(path)), "CPU", properties)
    except RuntimeError as exc:
        lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
        raise ModelError(f"{name}: {path.name} cannot be loaded: {lines[-1] if lines else exc}") from exc
