"""Candidate lists and what the student is asked to match."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from workers.training.recipe import lists, loss
from workers.training.recipe.pool import Pool
from workers.training.recipe.settings import RecipeSettings
from workers.training.recipe.teacher import TokenVectors

pytestmark = pytest.mark.torch

SETTINGS = RecipeSettings(data=Path("data"), top_depth=6, middle_depth=12, max_query_length=3)
PASSAGES = tuple(f"pump {'valve ' * (n % 5)} part number {n}" for n in range(40))
POOL = Pool(passages=PASSAGES, queries=("pump valve", "part number 7"), labels=(30, 7))


def vectors(count: int, tokens: int, seed: int) -> tuple[np.ndarray, TokenVectors]:
    draw = np.random.default_rng(seed)
    units = draw.normal(size=(count, 8)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    small = (np.repeat(units, tokens, axis=0) * 127).round().astype(np.int8)
    return units, TokenVectors(vectors=small, starts=np.arange(count + 1) * tokens)


def built() -> lists.Lists:
    return lists.build(POOL, vectors(2, 2, 1), vectors(40, 4, 2), SETTINGS)


def test_a_list_starts_with_its_label_and_repeats_no_passage() -> None:
    made = built()
    assert made.rows[:, 0].tolist() == [30, 7]
    assert all(len(set(row.tolist())) == SETTINGS.list_length for row in made.rows)


def test_a_list_holds_the_best_of_both_retrievers() -> None:
    made, (queries, _), (passages, _) = built(), vectors(2, 2, 1), vectors(40, 4, 2)
    semantic = np.argsort(-(queries[0] @ passages.T))[: SETTINGS.top_depth]
    assert len(set(semantic.tolist()) & set(made.rows[0].tolist())) >= SETTINGS.semantic_top
    assert made.bm25[0].max() > made.bm25[0].min()


def test_the_best_match_of_a_query_token_is_its_highest_cosine_and_ends_with_the_query() -> None:
    made, (queries, _), (passages, _) = built(), vectors(2, 2, 1), vectors(40, 4, 2)
    row = made.rows[0, 3]
    assert made.matches[0, 3, 0] == pytest.approx(float(queries[0] @ passages[row]), abs=0.03)
    assert np.isnan(made.matches[..., 2]).all()


def test_lists_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    made = built()
    lists.save(made, tmp_path / "lists.npz")
    again = lists.load(tmp_path / "lists.npz")
    assert (again.rows == made.rows).all()
    assert np.array_equal(again.matches, made.matches, equal_nan=True)


def test_the_target_follows_the_teacher_and_keeps_one_zero_for_all_lists() -> None:
    made = built()
    targets = loss.targets(made, RecipeSettings(data=Path("data"), match_weight=0.0, bm25_weight=0.0))
    assert np.corrcoef(targets.ravel(), made.cosine.ravel())[0, 1] == pytest.approx(1.0, abs=1e-5)
    assert targets.std(1).mean() == pytest.approx(1.5, rel=1e-4)


def test_the_loss_is_least_for_the_teachers_own_scores_and_pulls_the_label_up() -> None:
    target = torch.tensor([[1.0, 2.0, -1.0, -2.0]])
    plain = RecipeSettings(data=Path("data"), label_share=0.0)
    assert loss.list_loss(target.clone(), target, plain).item() == pytest.approx(0.0, abs=1e-6)
    assert loss.list_loss(target.flip(1), target, plain).item() > 1.0
    scores = target.clone().requires_grad_()
    loss.list_loss(scores, target, RecipeSettings(data=Path("data"), label_share=0.5)).backward()
    assert scores.grad is not None
    assert scores.grad[0, 0] < 0 < scores.grad[0, 1]
