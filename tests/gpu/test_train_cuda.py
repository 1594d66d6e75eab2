"""Training on a GPU: bf16, and a model that the CPU reads."""

import json
from pathlib import Path

import pytest

from tests.fixtures import tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")
pytestmark = [pytest.mark.gpu, pytest.mark.torch]
if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)

from workers.training import base, run  # noqa: E402  after the skip
from workers.training.report import Quiet  # noqa: E402
from workers.training.settings import Settings  # noqa: E402


def test_a_run_on_a_gpu_trains_in_bf16_and_saves_what_a_cpu_loads(tmp_path: Path) -> None:
    model = tiny_model.write(tmp_path / "model")
    pairs = tiny_model.pairs(tmp_path / "pairs.jsonl")
    given = Settings(pairs=(str(pairs),), model=str(model), max_length=32, steps=4, device="cuda")
    run.train(given, tmp_path / "tuned", Quiet())
    record = json.loads((tmp_path / "tuned" / "run.json").read_text())
    assert (record["device"], record["precision"]) == ("cuda:0", "bf16")
    assert base.load(str(tmp_path / "tuned"), max_length=32, device="cpu").num_labels == 1
