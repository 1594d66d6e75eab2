"""THE EXPORT PATH, read first: folder → fp32 graph → int8 graph, each checked, then put in place together."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import transformers

from connector.contract import passages
from connector.contract.errors import ConfigurationError, ModelError
from workers.export import check, graph, quantise
from workers.export.check import Comparison
from workers.export.sample import Sample
from workers.models import folder as model_folder
from workers.models.cross_encoder import CrossEncoder
from workers.models.folder import ModelFolder
from workers.models.runtime import rows_to_arrays
from workers.models.torch import WEIGHTS, load_checkpoint
from workers.training import record
from workers.training.collection import digest

__all__ = ["RECORD", "Exported", "export"]

RECORD = "export.json"
_FP32 = "onnx/model.onnx"
_INT8 = "onnx/model_int8.onnx"
#: What a worker needs beside the graphs.
_BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_CALIBRATION_BATCH = 8

Method = Literal["auto", "static", "dynamic", "none"]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The files that were let through."""

    output: Path
    fp32: Comparison
    #: "static" or "dynamic"; None without int8.
    method: str | None
    int8: Comparison | None


def export(
    model: str,
    output: Path | None,
    sample: Sample,
    *,
    revision: str | None = None,
    method: Method = "auto",
    max_length: int = 256,
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Writes onnx/model.onnx, onnx/model_int8.onnx and export.json into `output`, or into the model's own folder.

    `auto` tries static quantisation, then dynamic. Nothing is written unless every file asked for is let through.

    Raises:
        ModelError: no such model, more than one label, or a file that is refused.
        ConfigurationError: a file is there already, or no place to write to.
    """
    source = model_folder.find(model, revision, WEIGHTS)
    labels = source.labels()
    if labels != 1:
        raise ModelError(f"{source.name}: has {labels} labels, and an export needs a model with one")
    target = _target(model, source, output, force=force, int8=method != "none")
    if not sample.check or not sample.calibration:
        raise ConfigurationError(f"{sample.name}: BM25 finds no candidates for its queries: name other data")
    with tempfile.TemporaryDirectory(prefix="rerank-bridge-export-") as name:
        stage = Path(name)
        (stage / "onnx").mkdir()
        result = _build(source, stage, sample, method, max_length, say, target)
        _record(stage, source, sample, result, max_length)
        _install(stage, target)
    return result


def _target(model: str, source: ModelFolder, output: Path | None, *, force: bool, int8: bool) -> Path:
    if output is None and not Path(model).expanduser().is_dir():
        raise ConfigurationError(f"{model} is no folder of yours: say by --output where the files go")
    target = output or source.path
    wanted = (_FP32, _INT8) if int8 else (_FP32,)
    there = [target / name for name in wanted if (target / name).exists()]
    if there and not force:
        raise ConfigurationError(f"{there[0]}: is there already: choose another --output, or --force")
    config = target / "config.json"
    if output is not None and config.is_file() and json.loads(config.read_text(encoding="utf-8")) != source.config:
        raise ConfigurationError(f"{target}: holds another model: choose another --output")
    return target


def _build(
    source: ModelFolder,
    stage: Path,
    sample: Sample,
    method: Method,
    max_length: int,
    say: Callable[[str], None],
    target: Path,
) -> Exported:
    for name in _BESIDE:
        if (source.path / name).is_file():
            shutil.copyfile(source.path / name, stage / name)
    say("exporting fp32")
    graph.write(_loaded(source), stage / _FP32)
    reference_model = check.load(source.path, "torch", "fp32", max_length)
    reference = check.scores(reference_model, sample)
    fp32 = _compared(stage, "fp32", reference, sample, max_length)
    check.require_fp32(fp32)
    say(f"fp32: scores within {fp32.difference:.1e} of torch's on {fp32.pairs} pairs")
    if method == "none":
        return Exported(output=target, fp32=fp32, method=None, int8=None)
    used, int8 = _quantised(stage, sample, reference, reference_model, method, max_length, say)
    return Exported(output=target, fp32=fp32, method=used, int8=int8)


def _loaded(source: ModelFolder) -> transformers.PreTrainedModel:
    model, _ = load_checkpoint(source, transformers.AutoModelForSequenceClassification)
    loaded: transformers.PreTrainedModel = model.to(dtype=torch.float32).eval()
    return loaded


def _quantised(
    stage: Path,
    sample: Sample,
    reference: list[list[float]],
    model: CrossEncoder,
    method: Method,
    max_length: int,
    say: Callable[[str], None],
) -> tuple[str, Comparison]:
    refusal: ModelError | None = None
    for name in ("static", "dynamic") if method == "auto" else (method,):
        say(f"quantising to int8, {name}")
        if name == "static":
            quantise.static(stage / _FP32, stage / _INT8, list(_batches(model, sample)))
        else:
            quantise.dynamic(stage / _FP32, stage / _INT8)
        result = _compared(stage, "int8", reference, sample, max_length)
        try:
            check.require_int8(result, name)
        except ModelError as exc:
            say(str(exc))
            refusal = exc
        else:
            say(_described(result))
            return name, result
    assert refusal is not None
    raise refusal


def _batches(model: CrossEncoder, sample: Sample) -> Iterator[quantise.Batch]:
    """The calibration pairs as the worker would batch them."""
    policy = passages.Passages()
    for item in sample.calibration:
        rows = [encoded[0] for encoded in model.encode(item.query, item.passages[:_CALIBRATION_BATCH], policy)]
        ids, mask, types = rows_to_arrays(rows, range(len(rows)), pad_id=model.tokenizer.pad_id, multiple=1)
        yield {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def _compared(
    stage: Path,
    precision: Literal["fp32", "int8"],
    reference: Sequence[Sequence[float]],
    sample: Sample,
    max_length: int,
) -> Comparison:
    found = check.scores(check.load(stage, "onnx", precision, max_length), sample)
    return check.compare([list(row) for row in reference], found, sample)


def _described(result: Comparison) -> str:
    quality = "" if result.loss is None else f"nDCG@10 {result.torch_ndcg:.4f} → {result.ndcg:.4f}, "
    return f"int8: {quality}{result.overlap:.3f} of the top 10 stay, on {result.pairs} pairs"


def _record(stage: Path, source: ModelFolder, sample: Sample, result: Exported, max_length: int) -> None:
    content = {
        "written": record.now(),
        "model": source.name,
        "max_length": max_length,
        "checked_on": {"name": sample.name, "queries": len(sample.check), "judged": sample.judged},
        "calibrated_on": {"name": sample.name, "queries": len(sample.calibration)},
        "fp32": asdict(result.fp32),
        "int8": None if result.int8 is None else {"method": result.method, **asdict(result.int8)},
        "sha256": {str(path.relative_to(stage)): digest(path) for path in sorted(stage.glob("onnx/*"))},
        "versions": record.versions(),
    }
    (stage / RECORD).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _install(stage: Path, target: Path) -> None:
    """Each file by a rename, the record last."""
    (target / "onnx").mkdir(parents=True, exist_ok=True)
    names = [str(path.relative_to(stage)) for path in stage.rglob("*") if path.is_file() and path.name != RECORD]
    for name in (*sorted(names), RECORD):
        if name in _BESIDE and (target / name).is_file():
            continue
        partial = target / f"{name}.partial"
        shutil.copyfile(stage / name, partial)
        partial.replace(target / name)
