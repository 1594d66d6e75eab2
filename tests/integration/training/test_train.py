"""Whole training runs on tiny data: every input, every loss, resume, and everything that stops a run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from connector.contract.errors import ConfigurationError, InputError, ModelError
from tests.fixtures import tiny_model

pytest.importorskip("sentence_transformers")
from workers.training import base, examples, losses, run, workspace
from workers.training.report import Quiet
from workers.training.settings import LOSSES, Settings

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl")


def settings(model: Path, **changes: Any) -> Settings:
    return Settings(**{"model": str(model), "max_length": 32, "steps": 2, "device": "cpu", "holdout": 0.2} | changes)


def record(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / workspace.RECORD).read_text())
    return found


class Killed(BaseException):
    """Ends a run in the middle of a step, as a kill would."""


class KilledAt(Quiet):
    """A report that never comes back from one step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def progress(self, done: int, total: int, note: str) -> None:
        if done == self._step:
            raise Killed


def killed_at(step: int, given: Settings, output: Path) -> None:
    with pytest.raises(Killed):
        run.train(given, output, KilledAt(step))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_on_the_training_lists_falls(loss: str, model: Path, pairs: Path, tmp_path: Path) -> None:
    teacher = str(tiny_model.write(tmp_path / "teacher", seed=2)) if "mse" in loss else None
    given = settings(
        model, pairs=(str(pairs),), loss=loss, steps=12, batch=64, learning_rate=3e-3, teacher=teacher, holdout=0.0
    )
    kept: list[workspace.Prepared] = []
    begin = workspace.Workspace.begin

    def keep(self: workspace.Workspace, value: Settings, prepared: workspace.Prepared) -> None:
        kept.append(prepared)
        begin(self, value, prepared)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace.Workspace, "begin", keep)
        run.train(given, tmp_path / "tuned", Quiet())
    rows = examples.rows(kept[0].lists, loss)
    assert value_of(loss, tmp_path / "tuned", rows) < 0.97 * value_of(loss, model, rows)


def value_of(loss: str, folder: Path, rows: list[examples.Row]) -> float:
    """The loss of a model over all rows, without dropout."""
    import torch

    encoder = base.load(str(folder), max_length=32)
    encoder.eval()
    columns = [name for name in rows[0] if name != "label"]
    labels = [row["label"] for row in rows]
    ready: Any = [torch.tensor(value) for value in labels] if isinstance(labels[0], list) else torch.tensor(labels)
    with torch.no_grad():
        built = losses.build(loss, encoder, 64)
        return float(built([[row[name] for row in rows] for name in columns], ready))


def test_pairs_give_a_model_that_loads_with_its_record_beside_it(model: Path, pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "tuned"
    result = run.train(settings(model, pairs=(str(pairs),)), output, Quiet())
    found = record(output)
    assert result.after == found["metrics"]["ndcg@10"]["after"]
    assert found["held_out_queries"] == 8
    assert found["data"][0]["sha256"].keys() == {str(pairs)}
    assert found["settings"]["loss"] == "listwise"
    assert found["base"]["weights_sha256"] != found["weights_sha256"]
    assert base.load(str(output), max_length=32).num_labels == 1
    assert list(output.parent.iterdir()) == [output]


def test_a_beir_folder_trains_on_its_grades(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "set"
    (data / "qrels").mkdir(parents=True)
    words = tiny_model.WORDS
    documents = [{"_id": f"d{n}", "text": f"{words[n]} {words[n + 1]} {words[n + 2]}"} for n in range(60)]
    queries = [{"_id": f"q{n}", "text": f"{words[n]} {words[n + 1]}"} for n in range(20)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = "".join(f"q{n}\td{n}\t2\nq{n}\td{n + 1}\t1\nq{n}\td{n + 30}\t0\n" for n in range(20))
    (data / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    run.train(settings(model, data=(str(data),), loss="lambda"), tmp_path / "tuned", Quiet())
    assert record(tmp_path / "tuned")["lists"] == 16


def test_a_click_log_trains_and_its_click_model_is_recorded(model: Path, tmp_path: Path) -> None:
    words = tiny_model.WORDS
    pages = [
        {
            "query": f"{words[n]} {words[n + 1]}",
            "shown": [
                {"text": words[n + place], "position": place, "clicked": place == 2, "dwell": 40 * (place == 2)}
                for place in (1, 2, 3)
            ],
        }
        for n in range(20)
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(page) + "\n" for page in pages))
    run.train(settings(model, clicks=(str(log),)), tmp_path / "tuned", Quiet())
    (data,) = record(tmp_path / "tuned")["data"]
    assert data["click_model"]["propensities"] == {"1": 1.0, "2": 0.5, "3": 0.3333}


def test_a_bare_encoder_gets_the_head_of_its_seed_and_is_trained(pairs: Path, tmp_path: Path) -> None:
    encoder = tiny_model.write(tmp_path / "encoder", head=False)
    for name in ("tuned", "again"):
        run.train(settings(encoder, pairs=(str(pairs),), steps=1), tmp_path / name, Quiet())
    assert base.load(str(tmp_path / "tuned"), max_length=32).num_labels == 1
    assert record(tmp_path / "tuned")["weights_sha256"] == record(tmp_path / "again")["weights_sha256"]


def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(model: Path, pairs: Path, tmp_path: Path) -> None:
    given = settings(model, pairs=(str(pairs),), steps=6, evaluations=3, patience=9, learning_rate=1e-3)
    run.train(given, tmp_path / "whole", Quiet())
    killed_at(5, given, tmp_path / "broken")
    run.train(Settings(), tmp_path / "broken", Quiet(), resume=True)
    whole, broken = record(tmp_path / "whole"), record(tmp_path / "broken")
    assert broken["resumed_from"] == "checkpoint-4"
    for key in ("weights_sha256", "metrics", "loss", "steps"):
        assert broken[key] == whole[key]


def test_a_checkpoint_that_a_kill_left_half_written_is_passed_over(model: Path, pairs: Path, tmp_path: Path) -> None:
    given = settings(model, pairs=(str(pairs),), steps=4, evaluations=4, patience=9)
    killed_at(3, given, tmp_path / "tuned")
    last = tmp_path / "tuned.training" / "checkpoints" / "checkpoint-2"
    shutil.copytree(last, last.with_name("checkpoint-3"), ignore=shutil.ignore_patterns("complete.json"))
    run.train(given, tmp_path / "tuned", Quiet(), resume=True)
    assert record(tmp_path / "tuned")["resumed_from"] == "checkpoint-2"


def test_a_corrupt_checkpoint_is_named_and_nothing_is_lost(model: Path, pairs: Path, tmp_path: Path) -> None:
    given = settings(model, pairs=(str(pairs),), steps=4, evaluations=4, patience=9)
    killed_at(3, given, tmp_path / "tuned")
    weights = tmp_path / "tuned.training" / "checkpoints" / "checkpoint-2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(ModelError, match=r"checkpoint-2/model\.safetensors: a corrupt checkpoint"):
        run.train(given, tmp_path / "tuned", Quiet(), resume=True)
    assert (tmp_path / "tuned.training" / "state.json").is_file()
    assert not (tmp_path / "tuned").exists()


def test_resume_refuses_other_settings_than_the_run_began_with(model: Path, pairs: Path, tmp_path: Path) -> None:
    given = settings(model, pairs=(str(pairs),), steps=4)
    killed_at(1, given, tmp_path / "tuned")
    with pytest.raises(ConfigurationError, match="these differ: --loss, --seed"):
        run.train(
            settings(model, pairs=(str(pairs),), steps=4, loss="bce", seed=3), tmp_path / "tuned", Quiet(), resume=True
        )


def test_an_unfinished_run_is_not_begun_anew_without_force(model: Path, pairs: Path, tmp_path: Path) -> None:
    given = settings(model, pairs=(str(pairs),))
    killed_at(1, given, tmp_path / "tuned")
    with pytest.raises(ConfigurationError, match="an unfinished run is there"):
        run.train(given, tmp_path / "tuned", Quiet())


def test_resume_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no unfinished run to resume"):
        run.train(Settings(), tmp_path / "tuned", Quiet(), resume=True)


def test_a_model_is_replaced_only_by_force_and_only_by_a_finished_one(model: Path, pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "tuned"
    run.train(settings(model, pairs=(str(pairs),)), output, Quiet())
    first = record(output)["weights_sha256"]
    with pytest.raises(ConfigurationError, match="a model is there already"):
        run.train(settings(model, pairs=(str(pairs),)), output, Quiet())
    killed_at(1, settings(model, pairs=(str(pairs),), seed=5), tmp_path / "other")
    with pytest.raises(InputError):
        run.train(settings(model, pairs=("nowhere",)), output, Quiet(), force=True)
    assert record(output)["weights_sha256"] == first
    run.train(settings(model, pairs=(str(pairs),), seed=5, learning_rate=1e-3), output, Quiet(), force=True)
    assert record(output)["weights_sha256"] != first


def test_force_never_replaces_a_folder_that_train_did_not_make(model: Path, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match="is no model made by train"):
        run.train(settings(model, pairs=(str(pairs),)), tmp_path / "home", Quiet(), force=True)
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def test_a_model_with_two_labels_is_refused(pairs: Path, tmp_path: Path) -> None:
    model = tiny_model.write(tmp_path / "two", labels=2)
    with pytest.raises(ModelError, match="has 2 labels, and reranking needs a model with one"):
        run.train(settings(model, pairs=(str(pairs),)), tmp_path / "tuned", Quiet())
    assert not (tmp_path / "tuned.training").exists()


def test_broken_weights_are_named(model: Path, pairs: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(ModelError, match=f"{broken}: cannot be loaded"):
        run.train(settings(broken, pairs=(str(pairs),)), tmp_path / "tuned", Quiet())


def test_too_little_disk_is_told_before_anything_is_written(model: Path, pairs: Path, tmp_path: Path) -> None:
    space = workspace.Workspace(tmp_path / "tuned")
    with pytest.raises(ConfigurationError, match=r"too little disk: [\d,]+ MB are free, .* need 1,000,000,000 MB"):
        space.require_space(10**15)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_no_number_ends_the_run(model: Path, pairs: Path, tmp_path: Path) -> None:
    path = tmp_path / "scored.jsonl"
    rows = [{"query": f"{word} again", "text": word, "score": 1e38} for word in tiny_model.WORDS[:20]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ModelError, match="the loss is inf at step 1"):
        run.train(settings(model, pairs=(str(path),), loss="mse", holdout=0.0), tmp_path / "tuned", Quiet())


def test_a_folder_without_torch_weights_is_named(model: Path, pairs: Path, tmp_path: Path) -> None:
    light = Path(shutil.copytree(model, tmp_path / "light", ignore=shutil.ignore_patterns("*.safetensors")))
    with pytest.raises(ModelError, match=f"{light}: no torch weights"):
        run.train(settings(light, pairs=(str(pairs),)), tmp_path / "tuned", Quiet())


def test_the_engines_password_is_not_recorded() -> None:
    kept = Settings(engine_url="https://me:secret@search.example:9200/es", index="pages").to_json()
    assert kept["engine_url"] == "https://search.example:9200/es"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "nothing to train on"),
        ({"pairs": ("p",), "loss": "hinge"}, "--loss 'hinge'"),
        ({"pairs": ("p",), "engine_url": "http://127.0.0.1:1"}, "--engine-url and --index belong together"),
        ({"pairs": ("p",), "batch": 0}, "--batch 0: at least 1"),
        ({"pairs": ("p",), "learning_rate": 0.0}, "--learning-rate 0.0: more than 0"),
        ({"pairs": ("p",), "holdout": 1.0}, "--holdout and --warmup are shares"),
        ({"pairs": ("p",), "vector_field": "v"}, "--vector-field and --embedder belong together"),
    ],
)
def test_options_that_cannot_be_used_are_named(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        run.train(Settings(**changes), tmp_path / "tuned", Quiet())
