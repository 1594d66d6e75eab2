"""The torch runtime: any sequence-classification checkpoint, on CUDA (bf16, padding-free if it can) or a CPU (fp32)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from connector.contract.errors import ConfigurationError, ModelError
from workers.batcher import OutOfMemory
from workers.models import packed
from workers.models.folder import ModelFolder
from workers.models.pairs import Row
from workers.models.runtime import physical_cores, rows_to_arrays

__all__ = ["WEIGHTS", "TorchRuntime", "choose_device", "choose_precision", "load_checkpoint", "pack"]

logger = logging.getLogger(__name__)

#: Files of the hub that hold torch weights.
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRuntime:
    """`AutoModelForSequenceClassification` in inference mode.

    Raises:
        ModelError: the checkpoint cannot be loaded, or its head is not in it.
        ConfigurationError: the device is not there, or the precision is none of torch's.
    """

    backend = "torch"
    output = "logits"
    parallel = 1

    def __init__(self, folder: ModelFolder, *, device: str, precision: str, threads: int, pad_id: int) -> None:
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        cuda = self.device.startswith("cuda")
        self.multiple = 8
        self.forward_tokens = 32768 if cuda else 2048
        self.batch_tokens = 65536 if cuda else 4096
        self._pad_id = pad_id
        if not cuda:
            torch.set_num_threads(threads or physical_cores())
        model, self.files = load_checkpoint(folder, transformers.AutoModelForSequenceClassification)
        model = model.to(device=self.device, dtype=_TYPES[self.precision])
        self.model = model
        self._packed = _packed(model, self.precision) if cuda else None
        if self._packed is not None:
            self.multiple = 1

    def run(self, rows: Sequence[Row], batches: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """See `Runtime.run`. All batches are queued on the device before the first result is waited for."""
        forward = self._forward_padded if self._packed is None else self._forward_packed
        try:
            with torch.inference_mode():
                outputs = [forward(rows, batch).float() for batch in batches]
                return [np.asarray(output.cpu().numpy()) for output in outputs]
        except torch.OutOfMemoryError as exc:
            torch.cuda.empty_cache()
            raise OutOfMemory(f"{self.device} does not hold {sum(map(len, rows))} tokens at once") from exc

    @property
    def packed(self) -> bool:
        """Whether the padding-free forward pass runs."""
        return self._packed is not None

    def memory(self) -> int:
        """Bytes that torch has allocated on the device."""
        return torch.cuda.memory_allocated(self.device) if self.device.startswith("cuda") else 0

    def _forward_padded(self, rows: Sequence[Row], batch: Sequence[int]) -> torch.Tensor:
        arrays = rows_to_arrays(rows, batch, pad_id=self._pad_id, multiple=self.multiple)
        ids, mask, types = (self._send(array) for array in arrays)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if (getattr(self.model.config, "type_vocab_size", 0) or 0) > 1:
            inputs["token_type_ids"] = types
        return cast("torch.Tensor", self.model(**inputs).logits)

    def _forward_packed(self, rows: Sequence[Row], batch: Sequence[int]) -> torch.Tensor:
        assert self._packed is not None
        ids, types, positions, bounds, longest = pack([rows[i] for i in batch])
        sent = (self._send(array) for array in (ids, types, positions, bounds))
        return cast("torch.Tensor", self._packed(*sent, longest))

    def _send(self, array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        if not self.device.startswith("cuda"):
            return tensor
        # From pinned memory the copy runs beside the kernels of the batch before.
        return tensor.pin_memory().to(self.device, non_blocking=True)


def load_checkpoint(folder: ModelFolder, auto: Any) -> tuple[Any, tuple[Any, ...]]:
    """The model in evaluation mode, float32, and the files that its weights came from.

    Raises:
        ModelError: it cannot be loaded, or weights that it needs are not in the checkpoint.
    """
    files = tuple(sorted(folder.path.glob("*.safetensors")) or sorted(folder.path.glob("pytorch_model*.bin")))
    if not files:
        raise ModelError(f"{folder.name} has no torch weights (model.safetensors): use --backend onnx")
    quiet: Any = transformers.logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    try:
        model, report = auto.from_pretrained(
            folder.path,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as exc:
        raise ModelError(f"{folder.name} cannot be loaded: {str(exc).splitlines()[0]}") from exc
    except Exception as exc:  # safetensors raises classes of its own for a broken file
        raise ModelError(f"{folder.name} cannot be loaded: {type(exc).__name__}: {str(exc).splitlines()[0]}") from exc
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise ModelError(f"{folder.name} lacks weights that its architecture needs: {missing}")
    return model.eval(), files


def choose_device(device: str) -> str:
    """ "cuda:0" or "cpu" for "auto"; a CUDA device must be there.

    Raises:
        ConfigurationError: it is not.
    """
    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    name, _, number = device.partition(":")
    if name != "cuda" or not (number or "0").isdigit():
        raise ConfigurationError(f"--device {device}: auto, cpu, cuda or cuda:N")
    if int(number or 0) >= torch.cuda.device_count():
        raise ConfigurationError(f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices")
    return f"cuda:{number or 0}"


def choose_precision(precision: str, device: str) -> str:
    """The precision to compute in: for "auto" bf16 on CUDA, else fp32.

    Raises:
        ConfigurationError: int8, which is the ONNX backend's.
    """
    if precision == "int8":
        raise ConfigurationError("--precision int8 needs --backend onnx and a quantised export")
    if precision != "auto":
        return precision
    return "bf16" if device.startswith("cuda") else "fp32"


def _packed(model: Any, precision: str) -> packed.PackedBert | None:
    """The padding-free forward pass, where checkpoint, precision and torch allow it."""
    if precision == "fp32" or not packed.fits(model):
        return None
    try:
        import torch.nn.attention.varlen  # noqa: F401  # torch 2.10 and later
    except ImportError:
        logger.info("this torch has no variable-length attention: batches are padded")
        return None
    return packed.PackedBert(model, packed.attend_varlen).eval()


def pack(
    rows: Sequence[Row],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], int]:
    """Rows laid end to end: ids, types, positions, bounds, and the longest row's length."""
    lengths = np.array([len(row) for row in rows])
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ids = np.concatenate([row.ids for row in rows]).astype(np.int64)
    positions = np.arange(len(ids)) - np.repeat(bounds[:-1], lengths)
    types = (positions >= np.repeat([row.zeros for row in rows], lengths)).astype(np.int64)
    return ids, types, positions.astype(np.int64), bounds, int(lengths.max())
