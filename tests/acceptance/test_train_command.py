"""`rerank-bridge train` and `export` as a user runs them: killed, resumed, exported."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures import tiny_model

pytest.importorskip("sentence_transformers")
pytestmark = pytest.mark.torch

SCRIPT = Path(sys.executable).with_name("rerank-bridge")
#: One thread: matrices of 32 columns are not worth a second one.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT, timeout=300)


def test_a_killed_training_resumes_and_its_model_is_exported(tmp_path: Path) -> None:
    model = tiny_model.write(tmp_path / "model")
    pairs = tiny_model.pairs(tmp_path / "pairs.jsonl", count=60)
    output = tmp_path / "tuned"
    options = ["--pairs", pairs, "--model", model, "--max-length", 32, "--steps", 100_000, "--checkpoint-minutes", 1e-4]
    # So many steps and so few judgments that only the kill can end it.
    running = subprocess.Popen(
        [SCRIPT, "train", "--output", output, "--evaluations", "1", *map(str, options)],
        env=ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    state = tmp_path / "tuned.training"
    try:
        until = time.monotonic() + 240
        while not list(state.glob("checkpoints/*/complete.json")):
            assert running.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        running.kill()
        running.wait()
    assert not output.exists()
    # A shorter run, so that the test ends: the settings of a run are its own, and only its state says them.
    settings = json.loads((state / "state.json").read_text())
    settings["settings"]["steps"] = 1
    (state / "state.json").write_text(json.dumps(settings))
    resumed = command("train", "--output", output, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from checkpoint-" in resumed.stderr
    assert "nDCG@10 of the held-out queries" in resumed.stdout
    exported = command("export", output, "--pairs", pairs, "--max-length", 32, "--quantisation", "none")
    assert exported.returncode == 0, exported.stderr
    assert (output / "onnx" / "model.onnx").is_file()
