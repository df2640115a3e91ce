"""What is shown in one call: the pieces of a model, a run's results, TensorBoard, the README."""

import io

import pytest
from PIL import Image

from tests.report import samples
from tests.training.test_tensorboard import read
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import OneSide
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.pieces.vision import NetworkInLoop
from vqa_helpers.report import show
from vqa_helpers.report.style import note


def test_the_pieces_of_a_model_by_name():
    vision = NetworkInLoop("resnet18", "random", 32)
    table = show.pieces_table(VQAModel(vision, None, OneSide(512, 0), Funnel(512, (3,), 5)))
    assert list(table.index) == ["vision", "fusion", "classifier"]
    assert table["class"].tolist() == ["NetworkInLoop", "OneSide", "Funnel"]
    assert table["chosen"]["vision"].startswith("resnet18, ")
    assert "hidden=[3]" in table["chosen"]["classifier"]
    assert table["learnt"].tolist() == [0, 0, 513 * 3 + 4 * 5]
    assert table["frozen"]["vision"] > 11_000_000
    assert table["output width"].tolist() == [512, 512, 5]


def test_results_and_samples_in_a_call_each(run, dataset, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda *given: displayed.extend(given))
    show.show_results(run)
    show.show_samples(run, dataset)
    table, types, reliability, cards = displayed
    assert "ceiling" in table.to_html() and "GUSE_VGG" in table.to_html()
    assert types.axes and len(reliability.axes) == 2
    assert cards.format == "png" and len(cards.data) < 150_000


def test_cards_of_a_run_are_pinned_once(run, dataset):
    show.pin_samples(run, dataset)
    (card,) = read(run.folder).Images("samples/questions")
    assert card.step == 12
    with Image.open(io.BytesIO(card.encoded_image_string)) as picture:
        assert picture.size == (card.width, card.height) and card.width > 500
    before = list((run.folder / "tensorboard").iterdir())
    show.pin_samples(run, dataset)
    assert list((run.folder / "tensorboard").iterdir()) == before


def test_figures_of_one_kind_replace_each_other(run):
    show.pin(run, "gallery", {"a": note("first"), "b": note("second")})
    show.pin(run, "gallery", {"a": note("third")})
    show.pin(run, "more", {"a": note("other")})
    assert sorted(read(run.folder).Tags()["images"]) == ["gallery/a", "more/a"]


def test_the_figures_of_the_readme(tmp_path, dataset):
    with pytest.raises(InputError, match="no finished run"):
        show.write_gallery(dataset, tmp_path / "runs", tmp_path / "images")
    samples.write_run(tmp_path / "runs")
    paths = show.write_gallery(dataset, tmp_path / "runs", tmp_path / "images")
    assert [path.stem for path in paths] == ["comparison", "sample_cards", "curves", "answer_types"]
    assert {path.suffix for path in paths} == {".png"}
    assert all(path.stat().st_size < 150_000 for path in paths)
