"""The program that draws the diagrams keeps up with the presets."""

import importlib.util
from pathlib import Path

import pytest

from vqa_helpers.presets import PRESETS

PROGRAM = Path(__file__).parents[2] / "images" / "draw.py"


@pytest.fixture(scope="module")
def draw():
    spec = importlib.util.spec_from_file_location("draw", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_chain_of_boxes_is_committed_and_read_off_its_model(draw):
    chains = {name for name, recipe in PRESETS.items() if draw.is_chain(recipe)}
    assert chains == {path.stem for path in (PROGRAM.parent / "architectures").glob("*.png")}
    for name in chains:
        *_, answers = draw.stages(PRESETS[name])
        assert answers[:3] == ("classifier", "answers", 1000)
    seen = [stage[1:3] for stage in draw.stages(PRESETS["GloVe_ResNet"])]
    assert ("ResNet50", 2048) in seen and ("GloVe", 50) in seen and ("product", 1024) in seen


def test_a_side_that_is_missing_is_not_drawn(draw):
    texts = {
        name: {text.get_text() for text in draw.draw_architecture(PRESETS[name]).axes[0].texts}
        for name in ("Question_Only", "Image_Only", "Deeper_LSTM_norm_I")
    }
    assert not any("image" in text for text in texts["Question_Only"])
    assert not any("question" in text for text in texts["Image_Only"])
    assert {"image\n3 × 224²", "question\ntext", "VGG19"} <= texts["Deeper_LSTM_norm_I"]
