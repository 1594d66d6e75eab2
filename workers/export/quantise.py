"""ONNX fp32 → int8: static scales measured on calibration pairs, or dynamic ones as the fallback."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization import shape_inference

__all__ = ["Batch", "dynamic", "static"]

#: Input name → int64 array [batch, tokens].
Batch = dict[str, NDArray[np.int64]]

#: Embedding tables among them: they are most of a small model's bytes.
_OPERATORS = ["MatMul", "Gemm", "Gather"]


class _Batches(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Feeds ready batches to the calibrator."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._rest: Iterator[Batch] = iter(batches)

    def get_next(self) -> Batch | None:
        """The next batch, None at the end."""
        return next(self._rest, None)


def static(source: Path, target: Path, batches: Sequence[Batch]) -> None:
    """One QDQ file that ONNX Runtime and OpenVINO load: weights by channel, activations by scales fixed here.

    So a pair's score does not depend on the pairs beside it. The products of two activations (attention) stay in
    floating point: they are a small part of the work and the one that loses most.
    """
    names = [node.name for node in onnx.load(source, load_external_data=False).graph.input]
    with tempfile.TemporaryDirectory(prefix="rerank-bridge-") as folder:
        prepared = Path(folder) / "prepared.onnx"
        shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(target),
            _Batches([{name: batch[name] for name in names} for batch in batches]),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=_OPERATORS,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            nodes_to_exclude=_activation_products(prepared),
            extra_options={
                "WeightSymmetric": True,
                "OpTypesToExcludeOutputQuantization": _OPERATORS,
            },
        )


def _activation_products(path: Path) -> list[str]:
    """Names of the products without a constant factor; `MatMulConstBOnly` spares them in dynamic quantisation only."""
    graph = onnx.load(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "MatMul" and not constants & set(node.input)]


def dynamic(source: Path, target: Path) -> None:
    """int8 weights; the scale of the activations is taken from each batch, so a score moves with its neighbours."""
    quantization.quantize_dynamic(
        str(source),
        str(target),
        op_types_to_quantize=_OPERATORS,
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
