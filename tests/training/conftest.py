"""A tiny dataset, open for models, and what was trained on it: shared by the tests of training."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vqa_helpers.presets import PRESETS
from vqa_helpers.recipe import Recipe
from vqa_helpers.runs import Run
from vqa_helpers.training.inputs import Data
from vqa_helpers.training.train import train_recipe


@pytest.fixture(scope="module", autouse=True)
def elsewhere(place):
    """Nothing of this machine is found by chance."""


def quick(name: str, **changed) -> Recipe:
    """A preset with narrow layers on ResNet18, and other settings; "__" stands for the dot."""
    recipe = PRESETS[name]
    narrow = [("hidden", 16), ("width", 32)]
    settings = {f"{slot}.{key}": n for slot in ("language", "fusion") for key, n in narrow}
    settings = {key: n for key, n in settings.items() if key in recipe.settable()}
    settings |= {"classifier.hidden": "[32]"}
    settings |= {key.replace("__", "."): value for key, value in changed.items()}
    return recipe.with_(vision="resnet18" if recipe.vision else None, set=settings)


@pytest.fixture(scope="session")
def train(opened) -> Callable[..., Run]:
    """Train a quick preset, or another recipe, for three epochs; `data` if not the tiny one."""

    def make(recipe: str | Recipe, out: Path, data: Path | Data | None = None, **options) -> Run:
        recipe = quick(recipe) if isinstance(recipe, str) else recipe
        data = data if isinstance(data, Data) else opened(*[data] if data else [])
        return train_recipe(recipe, data, out, **{"epochs": 3, **options})

    return make


@pytest.fixture(scope="session")
def trained(train, tmp_path_factory) -> Callable[[str | Recipe], Path]:
    """The run folder of a recipe, trained once in this session; it is not to be changed."""
    kept: dict[str, Path] = {}

    def make(recipe: str | Recipe) -> Path:
        name = recipe if isinstance(recipe, str) else recipe.name
        if name not in kept:
            kept[name] = train(recipe, tmp_path_factory.mktemp("runs") / "run").folder
        return kept[name]

    return make
