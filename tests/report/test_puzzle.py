"""The puzzle and the split model: what the presets use, and the numbers of a run."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from tests.report import samples
from vqa_helpers.data.folder import Dataset
from vqa_helpers.model.presets import PRESETS
from vqa_helpers.report.examples import Example
from vqa_helpers.report.puzzle import alternatives, draw_puzzle, draw_split_model
from vqa_helpers.report.style import save
from vqa_helpers.runs import Run

BROKEN_FORMULA = r"$\frac{ what costs $5"


def texts(figure) -> str:
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def example(**changes) -> Example:
    fields = dict(
        preset="1.e", outcome="hit", rule="a rule", question=BROKEN_FORMULA, truth="red",
        answers=("red", "blue"), probabilities=(0.62, 0.1),
        picture=np.zeros((8, 8, 3), dtype=np.uint8),
    )  # fmt: skip
    return Example(**{**fields, **changes})


def test_the_spare_pieces_are_those_of_the_presets() -> None:
    found = alternatives()
    encoders = {preset.images.encoder for preset in PRESETS.values() if preset.images}
    assert len(found["vision"]) == len(encoders)
    assert found["classifier"] == ["1 hidden layer", "2 hidden layers", "3 hidden layers"]
    assert all(len(names) == len(set(names)) >= 3 for names in found.values())


@pytest.mark.parametrize("picture", [None, np.zeros((8, 8, 3), dtype=np.uint8)])
def test_the_puzzle_shows_its_example(picture, tmp_path) -> None:
    figure = draw_puzzle(example(picture=picture))
    said = texts(figure)
    assert "red" in said and "62 % sure" in said and "hit" in said
    assert "GloVe + BiLSTM" in said
    assert save(figure, tmp_path / "a.png").stat().st_size < 150_000


def test_a_sure_answer_is_never_certain() -> None:
    assert "over 99 % sure" in texts(draw_puzzle(example(probabilities=(1.0, 0.0))))


def test_the_split_model_counts_the_passes_it_saves(tmp_path) -> None:
    train = pd.DataFrame({"question_id": range(30), "image_id": [n // 3 for n in range(30)]})
    dataset = Dataset("tiny", tmp_path, {"train": train}, {}, "tiny", 0)
    run = Run(samples.write_run(tmp_path))
    run.config["pieces"] = {"images": {"encoder": "resnet50", "in_loop": False}}
    run.config["epochs"] = 4
    said = texts(draw_split_model(dataset, run))
    assert "10 passes" in said and "120" in said and "12 times fewer" in said
    assert "2,048 half floats" in said and "ResNet50" in said
