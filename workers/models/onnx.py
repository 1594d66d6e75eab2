"""The light CPU runtime: ONNX Runtime on an exported graph, int8 or fp32, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from connector.contract.errors import ModelError
from workers.batcher import OutOfMemory
from workers.models import onnx_files
from workers.models.folder import ModelFolder
from workers.models.pairs import Row
from workers.models.runtime import physical_cores, rows_to_arrays

__all__ = ["OnnxRuntime"]


class OnnxRuntime:
    """Each core runs batches of its own, one thread a batch: that wastes less than several threads on one batch.

    Raises:
        ModelError: the folder has no graph of that precision, or it cannot be loaded.
    """

    backend = "onnx"
    device = "cpu"
    multiple = 8
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
        self._session = _session(path, folder.name)
        self._inputs = {node.name for node in self._session.get_inputs()}
        self.output = self._session.get_outputs()[0].name
        self._pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="onnx") if self.parallel > 1 else None

    def run(self, rows: Sequence[Row], batches: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """See `Runtime.run`."""
        if self._pool is None or len(batches) == 1:
            return [self._forward(rows, batch) for batch in batches]
        return list(self._pool.map(lambda batch: self._forward(rows, batch), batches))

    def memory(self) -> int:
        """No device memory."""
        return 0

    def _forward(self, rows: Sequence[Row], batch: Sequence[int]) -> NDArray[Any]:
        ids, mask, types = rows_to_arrays(rows, batch, pad_id=self._pad_id, multiple=self.multiple)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        try:
            outputs = self._session.run([self.output], {k: v for k, v in feed.items() if k in self._inputs})
        except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException as exc:
            if "allocate" in str(exc):
                raise OutOfMemory(f"the CPU's memory does not hold {ids.size} tokens at once") from exc
            raise
        return np.asarray(outputs[0], dtype=np.float32)


def _session(path: Path, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # the library's exceptions have no common class below Exception
        raise ModelError(f"{name}: {path.name} cannot be loaded: {str(exc).splitlines()[0]}") from exc
