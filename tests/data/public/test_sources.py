"""The list of public files: what the package's own says, and what one of a user's may not."""

import json
import re
import sys
from copy import deepcopy

import pytest

from vqa_helpers.data.public.sources import File, read_sources
from vqa_helpers.errors import InputError

OWN = {
    "single_image": "https://host/{subset}/{name}",
    "sources": [
        {
            "name": "small", "about": "a test", "licence": "CC0", "folder": "raw/small",
            "unpack": True,
            "files": [
                {"url": "https://host/a.zip?x=1", "bytes": 3, "sha256": "0" * 64},
                {"url": "http://host/4", "bytes": None, "sha256": None, "saved_as": "b.tar.gz",
                 "mirrors": ["http://other/4"]},
            ],
        }
    ],
}  # fmt: skip


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a list of one's own; returns its path."""

    def write(content):
        path = tmp_path / "own.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    monkeypatch.delenv("VQA_SOURCES", raising=False)
    return write


# ---------------------------------------------------------------- the package's own


def test_every_source_of_the_release_is_listed():
    sources = read_sources()
    assert list(sources) == [
        "v1", "v2", "coco-train2014", "coco-val2014", "coco-test2014", "coco-test2015", "glove",
        "use",
    ]  # fmt: skip
    assert [len(source.files) for source in sources.values()] == [5, 5, 1, 1, 1, 1, 1, 1]
    for source in sources.values():
        for file in source.files:
            assert (file.sha256 is None) == (source.name == "use")


def test_sizes_are_those_published():
    sources = read_sources()
    assert sources["coco-train2014"].bytes == 13_510_573_713
    assert sources["coco-val2014"].bytes == 6_645_013_297
    assert sources["glove"].bytes == 862_182_613
    assert sources["v1"].bytes is sources["v2"].bytes is sources["use"].bytes is None


def test_where_things_go_and_what_stays_packed():
    sources = read_sources()
    assert sources["v2"].folder == "raw/v2"
    assert {sources[f"coco-{name}"].folder for name in ("train2014", "test2015")} == {"raw/coco"}
    assert [source.name for source in sources.values() if not source.unpack] == ["glove"]


def test_names_on_this_machine():
    sources = read_sources()
    assert sources["glove"].files[0].name == "glove.6B.zip"
    assert sources["use"].files[0].name == "universal-sentence-encoder-4.tar.gz"
    assert sources["v2"].files[0].mirrors == (
        "https://s3.amazonaws.com/cvmlp/vqa/mscoco/vqa/v2_Questions_Train_mscoco.zip",
    )


def test_licences():
    licences = {source.name: source.licence for source in read_sources().values()}
    assert licences["v1"] == licences["v2"] == "CC BY 4.0"
    assert "Flickr" in licences["coco-val2014"] and "its own" in licences["coco-val2014"]
    assert licences["glove"].startswith("PDDL") and licences["use"] == "Apache-2.0"


def test_the_address_of_one_photograph():
    assert read_sources().photograph("val2014", 42) == (
        "http://images.cocodataset.org/val2014/COCO_val2014_000000000042.jpg"
    )


def test_a_name_that_is_not_listed():
    with pytest.raises(InputError, match="'v3': no such download; there are v1, v2, coco-train"):
        read_sources()["v3"]
    assert "v3" not in read_sources()


# ---------------------------------------------------------------- a user's own


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_list_of_ones_own(own, monkeypatch, how):
    path = own(OWN)
    if how == "environment":
        monkeypatch.setenv("VQA_SOURCES", str(path))
    sources = read_sources(path if how == "argument" else None)
    assert list(sources) == ["small"]
    first, second = sources["small"].files
    assert first == File("https://host/a.zip?x=1", 3, "0" * 64) and first.name == "a.zip"
    assert second.mirrors == ("http://other/4",) and second.name == "b.tar.gz"
    assert sources["small"].expands == 1 and sources["small"].bytes is None
    assert sources.photograph("val2014", 1) == "https://host/val2014/COCO_val2014_000000000001.jpg"


def test_without_msgspec_it_is_the_same(monkeypatch):
    expected = read_sources()
    monkeypatch.setitem(sys.modules, "msgspec", None)
    assert read_sources() == expected


SOURCE, FIRST, SECOND = "sources[0]", "sources[0].files[0]", "sources[0].files[1]"


@pytest.mark.parametrize(
    ("place", "field", "value", "message"),
    [
        (SOURCE, "name", "", "name: ''"),
        (SOURCE, "folder", "../up", "folder: '../up' cannot be used; name a folder below"),
        (SOURCE, "folder", "/etc", "folder: '/etc'"),
        (SOURCE, "folder", "", "folder: ''"),
        (SOURCE, "folder", "a//b", "folder: 'a//b'"),
        (SOURCE, "folder", ".hidden", "folder: '.hidden'"),
        (SOURCE, "files", [], "files: []"),
        (SOURCE, "expands", 0, "expands: 0"),
        (SOURCE, "unpack", "yes", "unpack: Expected `bool`, got `str`"),
        (FIRST, "url", "file:///etc/a.zip", "url: 'file:///etc/a.zip' cannot be used; use an http"),
        (FIRST, "url", "http:///a.zip", "url: 'http:///a.zip'"),
        (FIRST, "url", "http://[x/a.zip", "url: 'http://[x/a.zip'"),
        (FIRST, "url", "http://host/", "saved_as: ''"),
        (FIRST, "url", "http://host/a.exe", "saved_as: 'a.exe' cannot be used; let it end in"),
        (FIRST, "bytes", 0, "bytes: 0"),
        (FIRST, "bytes", "3", "bytes: Expected `int | null`, got `str`"),
        (FIRST, "sha256", "A" * 64, "sha256: 'AAA"),
        (FIRST, "sha256", "0" * 63, "sha256: '000"),
        (FIRST, "saved_as", "../a.zip", "saved_as: '../a.zip'"),
        (FIRST, "saved_as", ".a.zip", "saved_as: '.a.zip'"),
        (SECOND, "saved_as", "a.zip", "saved_as: 'a.zip' cannot be used; give every file a name"),
        (SECOND, "mirrors", ["ftp://host/a.zip"], "mirrors: 'ftp://host/a.zip'"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(own, place, field, value, message):
    content = deepcopy(OWN)
    source = content["sources"][0]
    {SOURCE: source, FIRST: source["files"][0], SECOND: source["files"][1]}[place][field] = value
    path = own(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: {place}.{message}")) as caught:
        read_sources(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["bytes", "sha256", "url"])
def test_a_mistyped_field_is_not_taken_for_none(own, field):
    content = deepcopy(OWN)
    file = content["sources"][0]["files"][0]
    file[f"{field}x"] = file.pop(field)
    with pytest.raises(InputError, match=f"missing required field `{field}`"):
        read_sources(own(content))


def test_two_sources_of_one_name(own):
    content = deepcopy(OWN)
    content["sources"].append({**content["sources"][0], "folder": "raw/b"})
    with pytest.raises(InputError, match=r"sources\[1\].name: 'small'"):
        read_sources(own(content))
    content["sources"][1] = {**content["sources"][0], "name": "b"}
    with pytest.raises(InputError, match=r"sources\[1\].files\[0\].saved_as: 'a.zip'"):
        read_sources(own(content))


@pytest.mark.parametrize(
    "template", ["file:///{subset}/{name}", "http://host/{subset}", "http://host/{name}", "x"]
)
def test_a_template_that_cannot_be_used(own, template):
    with pytest.raises(InputError, match="single_image"):
        read_sources(own({**OWN, "single_image": template}))


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "[" * 100_000, '{"sources": []}'])
def test_no_list_at_all(own, content):
    path = own(content)
    with pytest.raises(InputError) as caught:
        read_sources(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read .No such file"):
        read_sources(tmp_path / "absent.json")
    with pytest.raises(InputError, match="cannot be read .Is a directory"):
        read_sources(tmp_path)
