"""The list of public files: what the package's own says, and what one of a user's may not."""

import re
from copy import deepcopy

import pytest

from tests.data.making import refusal, write
from vqa_helpers.data.public.sources import File, read_sources

OWN = {
    "single_image": "https://host/{subset}/{name}",
    "sources": [
        {
            "name": "small", "about": "a test", "licence": "CC0", "folder": "raw/small",
            "unpack": True,
            "files": [
                {"url": "https://host/a.zip?x=1", "bytes": 3, "sha256": "0" * 64},
                {"url": "http://host/4", "bytes": None, "sha256": None, "saved_as": "b.tar.gz",
                 "mirrors": ["http://user@[::1]:8080/4"]},
            ],
        }
    ],
}  # fmt: skip


def own(tmp_path, content):
    return write(tmp_path / "own.json", content)


def test_the_packages_own():
    sources = read_sources()
    coco = ["coco-train2014", "coco-val2014", "coco-test2014", "coco-test2015"]
    assert [source.name for source in sources.sources] == [
        "v1", "v2", *coco, "daquar", "daquar-images", "glove", "use",
    ]  # fmt: skip
    assert all(source.licence and source.files for source in sources.sources)
    unknown = {source.name for source in sources.sources if source.files[0].sha256 is None}
    assert unknown == {"daquar", "daquar-images", "use"}
    assert sources["coco-val2014"].bytes == 6_645_013_297
    photograph = "http://images.cocodataset.org/val2014/COCO_val2014_000000000042.jpg"
    assert sources.photograph("val2014", 42) == photograph


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_list_of_ones_own(tmp_path, monkeypatch, how):
    path = own(tmp_path, OWN)
    if how == "environment":
        monkeypatch.setenv("VQA_SOURCES", str(path))
    sources = read_sources(path if how == "argument" else None)
    first, second = sources["small"].files
    assert first == File("https://host/a.zip?x=1", 3, "0" * 64) and first.name == "a.zip"
    assert second.mirrors == ("http://user@[::1]:8080/4",) and second.name == "b.tar.gz"
    assert sources["small"].expands == 1 and sources["small"].bytes is None


WRONG = {
    "list": {
        "single_image": ["file:///{subset}/{name}", "http://host/{subset}"],
        "sources": [OWN["sources"] * 2],
    },
    "source": {
        "name": [""], "folder": ["../up", "/etc", "a//b", ".hidden"], "files": [[]], "expands": [0],
    },
    "file": {
        "url": ["file:///etc/a.zip", "http:///a.zip", "http://[x/a.zip", "http://host/"],
        "mirrors": [["ftp://host/a.zip"]], "bytes": [0, "3"], "sha256": ["A" * 64, "0" * 63],
        "saved_as": ["../a.zip", ".a.zip", "b.tar.gz"],  # as the other is
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [(p, field, value) for p in WRONG for field in WRONG[p] for value in WRONG[p][field]],
)
def test_a_field_that_cannot_be_used(tmp_path, place, field, value):
    content = deepcopy(OWN)
    source = content["sources"][0]
    {"list": content, "source": source, "file": source["files"][0]}[place][field] = value
    path = own(tmp_path, content)
    named = {"list": "", "source": r"sources\[0\]|small", "file": r"files\[0\]|b.tar.gz"}[place]
    assert re.match(f"{path}: .*({named})", refusal(read_sources, path))


@pytest.mark.parametrize("field", ["bytes", "sha256", "url"])
def test_a_mistyped_field_is_not_taken_for_none(tmp_path, field):
    content = deepcopy(OWN)
    file = content["sources"][0]["files"][0]
    file[f"{field}x"] = file.pop(field)
    assert f"missing required field `{field}`" in refusal(read_sources, own(tmp_path, content))


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"sources": []}', None])
def test_no_list_at_all(tmp_path, content):
    path = tmp_path if content is None else own(tmp_path, content)
    assert refusal(read_sources, path).startswith(f"{path}: ")
