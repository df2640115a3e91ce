"""Architectures as drawn: the widths and parameters are those of the model itself."""

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from vqa_helpers.model.presets import PRESETS
from vqa_helpers.model.vqa import build_model
from vqa_helpers.report.architecture import build_empty, draw_architecture, read_stages
from vqa_helpers.report.style import save


def texts(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("name", PRESETS)
def test_every_parameter_of_every_preset_is_in_some_stage(name: str) -> None:
    model = build_empty(PRESETS[name], answers=105, vocabulary=116)
    assert all(parameter.is_meta for parameter in model.parameters())
    stages = read_stages(PRESETS[name], model)
    assert sum(stage.learnt for stage in stages) == model.parameter_count()
    assert stages[-1].width == 105
    assert {stage.lane for stage in stages} >= {"both"}


def test_the_empty_model_is_the_real_one() -> None:
    preset = PRESETS["GloVe_VGG"]
    real = build_model(preset.records(), answers=7, word_vectors=torch.zeros(9, 50))
    empty = build_empty(preset, answers=7, vocabulary=9)
    shapes = [{n: p.shape for n, p in m.named_parameters()} for m in (real, empty)]
    assert shapes[0] == shapes[1]


def test_stages_hold_what_the_modules_say() -> None:
    preset = PRESETS["Improved_VQA2015_VGG"]
    stages = read_stages(preset, build_empty(preset, answers=105, vocabulary=116))
    read = [(stage.piece, stage.name, stage.width, stage.learnt) for stage in stages]
    assert read == [
        ("vision", "VGG16", 4096, 0),
        ("language", "embedding", 300, 116 * 300),
        ("language", "LSTM", 1024, 4 * 512 * (300 + 512 + 2)),
        ("fusion", "project", 1024, 4097 * 1024),
        ("fusion", "project", 1024, 1025 * 1024),
        ("fusion", "product", 1024, 0),
        ("classifier", "linear", 1000, 1025 * 1000 + 2000),
        ("classifier", "linear", 1000, 1001 * 1000 + 2000),
        ("classifier", "linear", 1000, 1001 * 1000 + 2000),
        ("classifier", "answers", 105, 1001 * 105),
    ]
    assert stages[0].frozen == 134_260_544  # VGG16 without its last layer


def test_which_part_of_the_vision_learns_is_told() -> None:
    said = {}
    for name in ("1.f", "1.fB", "1.fC"):
        [vision] = [s for s in read_stages(PRESETS[name], build_empty(PRESETS[name]))
                    if s.piece == "vision"]  # fmt: skip
        said[name] = (vision.detail[0], vision.learnt > 0, vision.frozen > 0)
    assert said == {
        "1.f": ("all of it learns", True, False),
        "1.fB": ("once per image", False, True),
        "1.fC": ("last block learns", True, True),
    }


@pytest.mark.parametrize("name", ["Improved_VQA2015_VGG", "Question_Only", "Image_Only", "1.e"])
def test_drawings_tell_it_and_stay_inside_the_sheet(name: str, tmp_path) -> None:
    figure = draw_architecture(PRESETS[name])
    found = texts(figure)
    assert name in found
    assert any("parameters learnt" in text for text in found)
    assert "1,000" in found
    frame = figure.bbox
    for text in figure.findobj(Text):
        if text.get_text():
            box = text.get_window_extent()
            assert frame.x0 <= box.x0 and box.x1 <= frame.x1, text.get_text()
            assert frame.y0 <= box.y0 and box.y1 <= frame.y1, text.get_text()
    assert ("vision" in found) == (PRESETS[name].images is not None)
    assert save(figure, tmp_path / "a.png").stat().st_size < 150_000
