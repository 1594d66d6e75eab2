"""Exports: what torch computes comes back from the ONNX files, and files that do not hold to it are refused."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from connector.contract.errors import ConfigurationError, InputError, ModelError
from tests.fixtures import tiny_model

pytest.importorskip("sentence_transformers")
from workers.export import check, graph, quantise, run, sample
from workers.models.folder import ModelFolder
from workers.training.held_out import HeldOutQuery

pytestmark = pytest.mark.torch


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.write(tmp_path / "model")


def drawn(tmp_path: Path, *, judged: bool = False) -> sample.Sample:
    collection, _ = sample.read(None, "test", tiny_model.pairs(tmp_path / "pairs.jsonl"))
    return sample.draw(collection, judged=judged, queries=12, window=20, seed=0)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, run.Exported]:
    folder = tmp_path_factory.mktemp("exported")
    model = tiny_model.write(folder / "model")
    return model, run.export(str(model), None, drawn(folder), max_length=32)


def test_an_export_computes_what_torch_computes_and_records_how_close(exported: tuple[Path, run.Exported]) -> None:
    model, result = exported
    assert result.fp32.difference <= 1e-4
    assert result.int8 is not None
    assert result.int8.overlap >= 0.9
    found = json.loads((model / run.RECORD).read_text())
    assert found["fp32"]["pairs"] == result.fp32.pairs
    assert found["int8"]["method"] == result.method == "static"
    assert found["sha256"].keys() == {"onnx/model.onnx", "onnx/model_int8.onnx"}


def test_the_graph_takes_any_batch_and_any_length(exported: tuple[Path, run.Exported]) -> None:
    model, _ = exported
    torch_model = check.load(model, "torch", "fp32", 64)
    onnx_model = check.load(model, "onnx", "fp32", 64)
    draw = random.Random(4)
    for count, words in ((1, 1), (3, 50), (17, 7)):
        texts = [" ".join(draw.choices(tiny_model.WORDS, k=words)) for _ in range(count)]
        assert onnx_model.predict("w1 w2", texts) == pytest.approx(torch_model.predict("w1 w2", texts), abs=1e-5)


def test_a_statically_quantised_score_does_not_depend_on_its_batch(exported: tuple[Path, run.Exported]) -> None:
    model, _ = exported
    scorer = check.load(model, "onnx", "int8", 32)
    texts = [" ".join(tiny_model.WORDS[start : start + 9]) for start in range(0, 90, 9)]
    assert scorer.predict("w1 w2", texts) == [scorer.predict("w1 w2", [text])[0] for text in texts]


@pytest.fixture
def ruined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Static quantisation gives a file that orders otherwise: that of a model with other weights."""
    other = tiny_model.write(tmp_path / "other", seed=9)
    honest = quantise.static

    def quantised(source: Path, target: Path, batches: Any) -> None:
        graph.write(run._loaded(ModelFolder(other, "other")), tmp_path / "other.onnx")
        honest(tmp_path / "other.onnx", target, batches)

    monkeypatch.setattr(quantise, "static", quantised)


@pytest.mark.usefixtures("ruined")
def test_int8_that_loses_the_order_is_refused_and_nothing_is_written(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"int8 \(static\) is refused: 0\.\d+ of the top 10 stay"):
        run.export(str(model), tmp_path / "out", drawn(tmp_path), max_length=32, method="static")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("ruined")
def test_auto_falls_back_to_dynamic_quantisation(model: Path, tmp_path: Path) -> None:
    told: list[str] = []
    result = run.export(str(model), tmp_path / "out", drawn(tmp_path), max_length=32, say=told.append)
    assert result.method == "dynamic"
    assert any(line.startswith("int8 (static) is refused") for line in told)
    assert {"config.json", "tokenizer.json", "onnx/model.onnx", "onnx/model_int8.onnx"} <= files(tmp_path / "out")


def test_a_graph_that_is_off_is_refused(model: Path, tmp_path: Path) -> None:
    other = tiny_model.write(tmp_path / "other", seed=9)
    with pytest.MonkeyPatch.context() as patch:
        honest = run._loaded
        patch.setattr(run, "_loaded", lambda source: honest(ModelFolder(other, "other")))
        with pytest.raises(ModelError, match="the fp32 file is refused: a score is off by"):
            run.export(str(model), None, drawn(tmp_path), max_length=32)
    assert not (model / "onnx").exists()


def test_with_judgments_ndcg_decides_and_not_the_overlap() -> None:
    query = HeldOutQuery(query="q", ids=("a", "b", "c"), passages=("a", "b", "c"), grades={"a": 1, "b": 1})
    judged = sample.Sample(calibration=(query,), check=(query,), judged=True, name="set")
    swapped = check.compare([[3.0, 2.0, 1.0]], [[2.0, 3.0, 1.0]], judged)
    assert swapped.overlap == 0.0
    check.require_int8(swapped, "static")
    worse = check.compare([[3.0, 2.0, 1.0]], [[3.0, 1.0, 2.0]], judged)
    assert worse.overlap == 1.0
    with pytest.raises(ModelError, match=r"nDCG@10 falls from 1\.0000 to 0\.9197"):
        check.require_int8(worse, "static")


def test_no_query_is_calibrated_on_and_checked(tmp_path: Path) -> None:
    found = drawn(tmp_path)
    assert not {item.query for item in found.calibration} & {item.query for item in found.check}
    assert len(found.check) == 12


def test_without_data_the_docstrings_of_the_library_are_real_pairs() -> None:
    collection, judged = sample.read(None, "test", None)
    found = sample.draw(collection, judged=judged, queries=50, window=10, seed=0)
    assert len(found.check) == 50
    assert not judged


def test_too_few_queries_to_check_on_is_an_error(tmp_path: Path) -> None:
    collection, judged = sample.read(None, "test", tiny_model.pairs(tmp_path / "pairs.jsonl", count=3))
    with pytest.raises(InputError, match="3 queries are too few"):
        sample.draw(collection, judged=judged, queries=5, window=10, seed=0)


def test_files_that_are_there_are_replaced_only_by_force(model: Path, tmp_path: Path) -> None:
    run.export(str(model), None, drawn(tmp_path), max_length=32, method="none")
    before = (model / run.RECORD).stat().st_mtime_ns
    with pytest.raises(ConfigurationError, match=r"model\.onnx: is there already"):
        run.export(str(model), None, drawn(tmp_path), max_length=32, method="none")
    assert (model / run.RECORD).stat().st_mtime_ns == before
    run.export(str(model), None, drawn(tmp_path), max_length=32, method="none", force=True)
    assert (model / run.RECORD).stat().st_mtime_ns != before


def test_a_folder_of_another_model_is_never_written_into(model: Path, tmp_path: Path) -> None:
    other = tiny_model.write(tmp_path / "other", labels=2)
    with pytest.raises(ConfigurationError, match="holds another model"):
        run.export(str(model), other, drawn(tmp_path), max_length=32, force=True)


def test_a_model_with_two_labels_is_not_exported(tmp_path: Path) -> None:
    two = tiny_model.write(tmp_path / "two", labels=2)
    with pytest.raises(ModelError, match="has 2 labels, and an export needs a model with one"):
        run.export(str(two), None, drawn(tmp_path), max_length=32)
