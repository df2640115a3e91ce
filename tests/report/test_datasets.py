"""The named datasets and public files as tables."""

from importlib import resources

from tests.builders import read_json, write_dataset, write_json
from vqa_helpers.data.catalogue import ENTRIES
from vqa_helpers.data.public.sources import read_sources
from vqa_helpers.report.datasets import dataset_list, source_list


def test_every_dataset_with_all_that_is_asked(tmp_path):
    table = dataset_list(tmp_path).set_index("dataset")
    assert list(table.index) == list(ENTRIES)
    assert {"source", "questions", "images", "on disk", "licence", "state"} <= set(table.columns)
    assert table.loc["A", "on disk"] == "16.0 MB" and table.loc["100k", "on disk"] == "6.6 GB"
    assert table.loc["demo", "state"] == "not drawn yet"
    assert table.loc["daquar", "on disk"] == "size not published"
    assert table.loc["daquar", "state"] == "not built; lacks daquar, daquar-images"
    assert table.loc["C", "state"] == "not built; lacks v1"
    write_json(write_dataset(tmp_path / "C", images=2) / "dataset.json", {})
    assert dataset_list(tmp_path).set_index("dataset").loc["C", "state"] == "built"


def test_a_list_of_one_s_own_may_be_shorter(tmp_path):
    listed = read_json(resources.files("vqa_helpers.data.public") / "sources.json")
    listed["sources"] = [s for s in listed["sources"] if s["name"] in ("v1", "coco-train2014")]
    table = dataset_list(tmp_path, write_json(tmp_path / "few.json", listed)).set_index("dataset")
    assert table.loc["100k", "state"] == "not built; lacks v1, coco-val2014"
    assert table.loc["v1", "on disk"] == "size not published"


def test_every_public_source(tmp_path):
    table = source_list(tmp_path).set_index("source")
    assert list(table.index) == [source.name for source in read_sources().sources]
    assert table.loc["coco-val2014", "download"] == "6.6 GB"
    assert table.loc["use", "download"] == "size not published"
    assert set(table["state"]) == {"not here"}
