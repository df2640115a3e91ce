"""The README's figures: all of them, small, the same each time."""

import pytest

from tests.report import samples
from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.model.presets import PRESETS
from vqa_helpers.report.gallery import write_gallery
from vqa_helpers.runs import CONFIG, Run, mark_done, write_json


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    tables = {name: samples.questions() for name in ("train", "validation", "test")}
    return Dataset("demo", tmp_path, tables, {}, "demo", 0)


def test_without_a_run_there_is_no_gallery(tmp_path, dataset) -> None:
    with pytest.raises(InputError, match="no finished run on demo"):
        write_gallery(dataset, tmp_path / "runs", tmp_path / "images")


@pytest.mark.slow
def test_every_figure_is_there_and_small(tmp_path, dataset) -> None:
    pieces = {"images": {"encoder": "vgg16", "in_loop": False}}
    folder = samples.write_run(tmp_path / "runs")
    write_json(folder / CONFIG, {**Run(folder).config, "pieces": pieces})
    mark_done(folder)
    paths = write_gallery(dataset, tmp_path / "runs", tmp_path / "images")
    names = [str(path.relative_to(tmp_path / "images")) for path in paths]
    assert names[:6] == [
        "comparison.png", "sample_cards.png", "curves.png", "answer_types.png", "puzzle.png",
        "split_model.png",
    ]  # fmt: skip
    assert names[6:] == [f"architectures/{name}.png" for name in PRESETS]
    assert all(path.stat().st_size < 150_000 for path in paths)
