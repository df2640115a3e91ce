"""What is shown in one call: the pieces of a model, a run's results, TensorBoard, the README."""

import io

import pytest
from PIL import Image
from torch import nn

from tests.report import samples
from tests.training.test_tensorboard import read
from vqa_helpers.errors import InputError
from vqa_helpers.report.show import (
    pieces_table,
    pin,
    pin_samples,
    show_results,
    show_samples,
    write_gallery,
)
from vqa_helpers.report.style import note
from vqa_helpers.runs import Run


class Piece(nn.Linear):
    """A piece of one layer, 3 to `out_dim`."""

    def __init__(self, out_dim: int, **choice) -> None:
        super().__init__(3, out_dim)
        self.out_dim, self.choice = out_dim, choice


def test_the_pieces_of_a_model_by_name():
    model = nn.Module()
    model.vision = Piece(4, **{"class": "StoredFeatures", "encoder": "vgg16"}).requires_grad_(False)
    model.language = None
    model.fusion = Piece(2, **{"class": "Product", "width": 2, "normalise": True})
    model.classifier = nn.Linear(2, 5)
    table = pieces_table(model)
    assert list(table.index) == ["vision", "fusion", "classifier"]
    assert table["class"].tolist() == ["StoredFeatures", "Product", "Linear"]
    assert table["chosen"].tolist() == ["vgg16, stored features", "width=2, normalise=True", ""]
    assert table["learnt"].tolist() == [0, 8, 15] and table["frozen"].tolist() == [16, 0, 0]
    assert table["output width"].tolist()[:2] == [4, 2]


def test_results_and_samples_in_a_call_each(tmp_path, dataset, capsys):
    run = Run(samples.write_run(tmp_path))
    show_results(run)
    show_samples(run, dataset)
    shown = capsys.readouterr().out
    assert "ceiling" in shown and shown.count("Figure(") == 3
    assert "GUSE_VGG" in shown and ", paired, 95 %" in shown


def test_cards_of_a_run_are_pinned_once(tmp_path, dataset):
    run = Run(samples.write_run(tmp_path))
    pin_samples(run, dataset)
    (card,) = read(run.folder).Images("samples/questions")
    assert card.step == 12
    with Image.open(io.BytesIO(card.encoded_image_string)) as picture:
        assert picture.size == (card.width, card.height) and card.width > 500
    before = list((run.folder / "tensorboard").iterdir())
    pin_samples(run, dataset)
    assert list((run.folder / "tensorboard").iterdir()) == before


def test_figures_of_one_kind_replace_each_other(tmp_path):
    run = Run(samples.write_run(tmp_path))
    pin(run, "gallery", {"a": note("first"), "b": note("second")})
    pin(run, "gallery", {"a": note("third")})
    pin(run, "more", {"a": note("other")})
    assert sorted(read(run.folder).Tags()["images"]) == ["gallery/a", "more/a"]


def test_the_figures_of_the_readme(tmp_path, dataset):
    with pytest.raises(InputError, match="no finished run"):
        write_gallery(dataset, tmp_path / "runs", tmp_path / "images")
    samples.write_run(tmp_path / "runs")
    paths = write_gallery(dataset, tmp_path / "runs", tmp_path / "images")
    assert [path.name for path in paths] == [
        "comparison.png", "sample_cards.png", "curves.png", "answer_types.png",
    ]  # fmt: skip
    assert all(path.stat().st_size < 150_000 for path in paths)
