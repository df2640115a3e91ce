"""What a model notebook writes out is what the preset of its name says."""

from pathlib import Path

import pytest

from tests.builders import write_dataset
from tests.notebooks.test_contract import MODELS, ROOT, code, read
from vqa_helpers.pieces.identity import structure_of
from vqa_helpers.presets import find_preset
from vqa_helpers.training.train import name_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the cells of a notebook up to its model and schedule; gives what they define."""
    monkeypatch.chdir(tmp_path)  # what is learned from the questions is kept there

    def run_cells(name: str, **parameters: object) -> dict:
        chosen = {"DATA": str(folder), "OFFLINE": True, "IMAGE_SIZE": 32} | parameters
        defaults, _, data, model, schedule, *_ = code(read(ROOT / "notebooks" / f"{name}.ipynb"))
        names: dict = {}
        exec(defaults, names)
        names |= chosen
        for cell in (data, model, schedule):
            exec(cell, names)
        return names

    return run_cells


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_model_and_its_schedules_are_those_of_the_preset(name: str, run) -> None:
    names, recipe = run(name), find_preset(name)
    model, data = names["model"], names["data"]
    built = data.build(recipe, names["SEED"])
    assert model.choices() == built.choices()
    assert structure_of(model) == structure_of(built)
    theirs = built.state_dict()
    assert all(tensor.equal(theirs[key]) for key, tensor in model.state_dict().items())
    assert (names["study"], names["small"]) == (recipe.training, recipe.small)
    assert names["training"] == recipe.small
    assert f'preset="{name}"' in "".join(code(read(ROOT / "notebooks" / f"{name}.ipynb")))
    assert name_of(model, data, names["training"], name) == name


@pytest.mark.parametrize(
    ("parameters", "changed"),
    [
        ({"FUSION": "Concatenation"}, "GUSE_VGG+fusion=Concatenation"),
        ({"SET": "learning_rate=3e-4"}, "GUSE_VGG+learning_rate=0.0003"),
        ({"VISION": "resnet18", "SET": "batch=32"}, "GUSE_VGG+batch=32+vision=resnet18"),
    ],
)
def test_what_a_parameter_changes_is_in_the_name(parameters: dict, changed: str, run) -> None:
    names = run("GUSE_VGG", **parameters)
    assert name_of(names["model"], names["data"], names["training"], "GUSE_VGG") == changed
