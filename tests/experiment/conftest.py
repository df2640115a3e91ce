"""A tiny dataset and what was trained on it, shared by the tests of this room."""

import dataclasses
from pathlib import Path

import pytest

from tests.builders import write_dataset
from vqa_helpers.data.folder import read_folder
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.experiment.options import Options
from vqa_helpers.experiment.prepare import prepare
from vqa_helpers.model.config import Preset
from vqa_helpers.model.presets import find_preset


@pytest.fixture(scope="package", autouse=True)
def elsewhere(tmp_path_factory):
    """A working folder without data, and an empty cache of TensorFlow Hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.setenv("TFHUB_CACHE_DIR", str(tmp_path_factory.mktemp("hub")))
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A dataset of 24 images a split, three questions each."""
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", images=24)


@pytest.fixture(scope="session")
def options(tmp_path_factory) -> Options:
    return Options(
        weights="random",
        image_size_px=32,
        epochs=3,
        offline=True,
        features=tmp_path_factory.mktemp("features"),
        device="cpu",
    )


@pytest.fixture(scope="session")
def ready(folder, options):
    """A preset prepared on the tiny dataset, or another; options can be changed by name."""

    def make(preset: str | Preset, data: Path = folder, **changes):
        chosen = dataclasses.replace(options, **changes)
        preset = find_preset(preset) if isinstance(preset, str) else preset
        return prepare(preset, read_folder(data), chosen)

    return make


@pytest.fixture(scope="session")
def trained(ready, tmp_path_factory):
    """The run folder of a preset, trained once in this session; it is not to be changed."""
    kept: dict[str, Path] = {}

    def make(preset: str) -> Path:
        if preset not in kept:
            out = tmp_path_factory.mktemp("runs") / "tiny" / preset / "0"
            conduct(ready(preset), out)
            kept[preset] = out
        return kept[preset]

    return make
