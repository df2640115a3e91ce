"""A tiny dataset and what was trained on it, shared by the tests of this room."""

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.builders import write_dataset
from vqa_helpers.data.folder import read_folder
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.experiment.options import Options
from vqa_helpers.experiment.prepare import prepare
from vqa_helpers.model.config import Preset
from vqa_helpers.model.presets import find_preset


@pytest.fixture(scope="session", autouse=True)
def alone(tmp_path_factory):
    """One thread, so that sums come out the same; nothing of this machine is found by chance."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.delenv("VQA_GLOVE", raising=False)
        patch.delenv("VQA_SENTENCE_ENCODER", raising=False)
        patch.setenv("TFHUB_CACHE_DIR", str(tmp_path_factory.mktemp("hub")))
        yield
    torch.set_num_threads(threads)


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
