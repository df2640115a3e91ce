"""The README's figures: all of them, small, the same each time."""

import pytest

from tests.report import samples
from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.model.presets import PRESETS
from vqa_helpers.report.gallery import write_gallery


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    tables = {name: samples.questions() for name in ("train", "validation", "test")}
    return Dataset("demo", tmp_path, tables, {}, "demo", 0)


def test_without_a_run_there_is_no_gallery(tmp_path, dataset) -> None:
    with pytest.raises(InputError, match="no finished run on demo"):
        write_gallery(dataset, tmp_path / "runs", tmp_path / "images")


@pytest.mark.slow
def test_every_figure_is_there_and_small(tmp_path, dataset) -> None:
    stored = {"images": {"encoder": "vgg16", "in_loop": False}}
    folder = samples.write_run(tmp_path / "runs")
    text = (folder / "config.json").read_text(encoding="utf-8")
    assert '"pieces": {}' in text
    written = text.replace('"pieces": {}', f'"pieces": {stored}'.replace("'", '"'))
    (folder / "config.json").write_text(written.replace("False", "false"), encoding="utf-8")
    paths = write_gallery(dataset, tmp_path / "runs", tmp_path / "images")
    names = [str(path.relative_to(tmp_path / "images")) for path in paths]
    assert names[:6] == [
        "comparison.png", "sample_cards.png", "curves.png", "answer_types.png", "puzzle.png",
        "split_model.png",
    ]  # fmt: skip
    assert names[6:] == [f"architectures/{name}.png" for name in PRESETS]
    assert all(path.stat().st_size < 150_000 for path in paths)
