"""Cards in TensorBoard: there once, and those of the run."""

import io

from PIL import Image

from tests.report import samples
from tests.training.test_events import read
from vqa_helpers.data.folder import Dataset
from vqa_helpers.report.board import pin, pin_samples
from vqa_helpers.report.style import note
from vqa_helpers.runs import Run


def tiny(tmp_path) -> Dataset:
    return Dataset("demo", tmp_path, {"test": samples.questions()}, {}, "demo", 0)


def test_cards_of_a_run_are_pinned_once(tmp_path):
    run = Run(samples.write_run(tmp_path))
    pin_samples(run, tiny(tmp_path))
    (card,) = read(run.folder).Images("samples/test questions")
    assert card.step == 12
    with Image.open(io.BytesIO(card.encoded_image_string)) as picture:
        assert picture.size == (card.width, card.height) and card.width > 500
    before = list((run.folder / "tensorboard").iterdir())
    pin_samples(run, tiny(tmp_path))
    assert list((run.folder / "tensorboard").iterdir()) == before


def test_figures_of_one_kind_replace_each_other(tmp_path):
    run = Run(samples.write_run(tmp_path))
    pin(run, "gallery", {"a": note("first"), "b": note("second")})
    pin(run, "gallery", {"a": note("third")})
    pin(run, "more", {"a": note("other")})
    assert sorted(read(run.folder).Tags()["images"]) == ["gallery/a", "more/a"]
