"""What tells one recipe's cache and checkpoints from another's."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from workers.training.recipe.settings import RecipeSettings

pytestmark = pytest.mark.torch


def test_another_seed_or_loss_has_a_folder_of_its_own() -> None:
    folders = {
        RecipeSettings(data=Path("data"), **changed).run_folder
        for changed in (dict[str, Any](), {"seed": 21}, {"token_weight": 0.0}, {"layers": (0, 1)})
    }
    assert len(folders) == 4


def test_a_run_that_goes_on_longer_or_elsewhere_keeps_its_folder() -> None:
    first = RecipeSettings(data=Path("data"))
    assert RecipeSettings(data=Path("/other"), threads=8, epochs=1.0).run_folder == first.run_folder


def test_the_shipped_run_has_1575_steps_of_eight_lists() -> None:
    assert RecipeSettings(data=Path("data")).steps(45_000) == 1575
