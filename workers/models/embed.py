"""Bi-encoders of the sentence-transformers kind: texts to vectors, for kNN search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import tokenizers
import torch
import transformers
from numpy.typing import NDArray

from connector.contract.errors import ModelError, ModelFailed
from workers import batching
from workers.batcher import OutOfMemory
from workers.models import fingerprint
from workers.models.folder import ModelFolder
from workers.models.pairs import Row, clean
from workers.models.runtime import physical_cores, rows_to_arrays
from workers.models.torch import choose_device, choose_precision, load_checkpoint

__all__ = ["BiEncoder"]

_CHARS_PER_TOKEN = 100
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class BiEncoder:
    """Embeds texts. Pooling and normalising are read from the sentence-transformers files of the folder.

    Raises:
        ModelError: the model cannot be loaded, or pools in another way than "mean" or "cls".
    """

    kind = "embed"

    def __init__(self, folder: ModelFolder, *, device: str, precision: str, threads: int, max_length: int) -> None:
        self.name = folder.name
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.backend = "torch"
        self.batch_tokens = 65536 if self.device.startswith("cuda") else 4096
        if self.device == "cpu":
            torch.set_num_threads(threads or physical_cores())
        self._pooling, self._normalise = _pooling(folder)
        own = folder.optional_json("sentence_bert_config.json").get("max_seq_length") or max_length
        positions = folder.config.get("max_position_embeddings") or max_length
        self.max_length = min(max_length, int(own), int(positions))
        self._tokenizer = tokenizers.Tokenizer.from_file(str(_tokenizer_file(folder)))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.max_length)
        model, files = load_checkpoint(folder, transformers.AutoModel)
        self._model = model.to(device=self.device, dtype=_TYPES[self.precision])
        self.dimensions = int(self._model.config.hidden_size)
        named = (*files, folder.path / "tokenizer.json", folder.path / "config.json")
        self.fingerprint = fingerprint.digest(
            named, precision=f"{self.precision}|{self._pooling}|{self._normalise}", max_length=self.max_length
        )

    def encode(self, texts: Sequence[str]) -> list[Row]:
        """Token ids of each text."""
        cut = [clean(text)[: self.max_length * _CHARS_PER_TOKEN] for text in texts]
        return [Row(np.array(e.ids, dtype=np.uint32), len(e.ids)) for e in self._tokenizer.encode_batch(cut)]

    def embed(self, rows: Sequence[Row]) -> list[NDArray[np.float32] | Exception]:
        """One vector a row, float32, of length 1 where the model normalises.

        Raises:
            OutOfMemory: the device does not hold the rows.
        """
        lengths = [len(row) for row in rows]
        batches = batching.plan(lengths, self.batch_tokens, multiple=8)
        try:
            with torch.inference_mode():
                outputs = [self._forward(rows, batch).float().cpu().numpy() for batch in batches]
        except torch.OutOfMemoryError as exc:
            torch.cuda.empty_cache()
            raise OutOfMemory(f"{self.device} does not hold {sum(lengths)} tokens at once") from exc
        order = batching.inverse([index for batch in batches for index in batch])
        vectors = np.concatenate(outputs)[order]
        return [v if np.isfinite(v).all() else ModelFailed(f"{self.name} gave a vector with NaN") for v in vectors]

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors outside a worker, texts × dimensions."""
        vectors = self.embed(self.encode(texts))
        for vector in vectors:
            if isinstance(vector, Exception):
                raise vector
        return np.stack([vector for vector in vectors if not isinstance(vector, Exception)])

    def warm(self) -> None:
        """Runs a short and a long text, so that the first request finds everything allocated."""
        self.predict(["a short text", "a long text " * self.max_length])

    def memory(self) -> int:
        """Bytes that torch has allocated on the device."""
        return torch.cuda.memory_allocated(self.device) if self.device.startswith("cuda") else 0

    def _forward(self, rows: Sequence[Row], batch: Sequence[int]) -> torch.Tensor:
        arrays = rows_to_arrays(rows, batch, pad_id=0, multiple=8)
        ids, mask, _ = (torch.from_numpy(array).to(self.device) for array in arrays)
        hidden = cast("torch.Tensor", self._model(input_ids=ids, attention_mask=mask).last_hidden_state).float()
        if self._pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weights = mask.unsqueeze(-1).float()
            pooled = (hidden * weights).sum(1) / weights.sum(1)
        return torch.nn.functional.normalize(pooled, dim=-1) if self._normalise else pooled


def _pooling(folder: ModelFolder) -> tuple[str, bool]:
    """ "mean" or "cls", and whether vectors are normalised. A plain checkpoint without such files: mean, normalised."""
    if not (folder.path / "modules.json").is_file():
        return "mean", True
    import json

    modules: list[dict[str, Any]] = json.loads((folder.path / "modules.json").read_text())
    kinds = {str(module["type"]).rsplit(".", 1)[-1]: module for module in modules}
    unknown = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if unknown or "Pooling" not in kinds:
        raise ModelError(f"{folder.name}: modules {', '.join(sorted(kinds))} are not a bi-encoder that is known here")
    settings = folder.json(f"{kinds['Pooling']['path']}/config.json")
    modes = sorted(key for key, on in settings.items() if key.startswith("pooling_mode") and on is True)
    named = settings.get("pooling_mode") if isinstance(settings.get("pooling_mode"), str) else None
    if modes == ["pooling_mode_mean_tokens"] or named == "mean":
        return "mean", "Normalize" in kinds
    if modes == ["pooling_mode_cls_token"] or named == "cls":
        return "cls", "Normalize" in kinds
    raise ModelError(f"{folder.name} pools by {named or ', '.join(modes)}: only mean and cls are known here")


def _tokenizer_file(folder: ModelFolder) -> Any:
    path = folder.first(["tokenizer.json"])
    if path is None:
        raise ModelError(f"{folder.name}: tokenizer.json is missing; save the model with its fast tokenizer")
    return path
