"""WordNet: similarities worked out by hand on a small database in its own format, and how one is found."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.builders import write_wordnet
from vqa_helpers.evaluation import wordnet
from vqa_helpers.evaluation.wordnet import WordNet, find_wordnet

# The depth of each, counted from 1 at entity.
NOUNS = (
    "entity",  # 1
    "furniture < entity",  # 2
    "seat < furniture",  # 3
    "chair < seat",  # 4
    "armchair < chair",  # 5
    "rocker < armchair",  # 6
    "sofa couch < seat",  # 4
    "bed < furniture",  # 3
    "sofa_bed < sofa bed",  # 5 by sofa, 4 by bed
    "divan day_bed < sofa entity",  # 5 by sofa, 2 at once
    "table < furniture",  # 3
    "group < entity",  # 2
    "table array < group",  # 3
    "box < furniture",  # 3
    "knife < entity",  # 2
    "Excalibur < !knife",  # 3
    "thing",  # a root of its own
)
EXCEPTIONS = "foci focus\nknives knife\nchildrens_chairs chair bed\n"


@pytest.fixture
def small(tmp_path) -> Path:
    return write_wordnet(tmp_path / "wordnet", NOUNS, EXCEPTIONS)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("chair", "sofa", 6 / 8),  # by seat: 2 * 3 / (4 + 4)
        ("chair", "armchair", 8 / 9),  # one above the other: 2 * 4 / (4 + 5)
        ("armchair", "rocker", 10 / 11),
        ("chair", "bed", 4 / 7),  # by furniture: 2 * 2 / (4 + 3)
        ("rocker", "knife", 2 / 8),  # by entity alone: 2 * 1 / (6 + 2)
        ("sofa", "couch", 1),  # two words for one thing
        ("table", "array", 1),  # the second sense of table
        ("table", "bed", 4 / 6),  # and the first: furniture, 2 * 2 / (3 + 3)
        ("excalibur", "knife", 4 / 5),  # an instance: 2 * 2 / (3 + 2)
        ("thing", "chair", 0),  # nothing is above both
        ("sofa_bed", "bed", 6 / 7),  # by bed: 2 * 3 / (4 + 3)
        ("sofa_bed", "sofa", 8 / 9),  # by sofa: 2 * 4 / (5 + 4)
        ("sofa_bed", "chair", 6 / 9),  # by seat, which is lower than furniture: 2 * 3 / (5 + 4)
        # Lowest is what has the longest shortest way: sofa with 4, not divan itself with 2.
        ("divan", "day_bed", 8 / 10),
        # Of seat both are one step from sofa or chair away; by seat: 2 * 3 / (5 + 5).
        ("divan", "armchair", 6 / 10),
        ("stapler", "chair", 0),
        ("stapler", "stapler", 0),
        ("", "chair", 0),
    ],
)
def test_by_hand(small, first, second, expected):
    net = WordNet(small)
    assert net.similarity(first, second) == pytest.approx(expected, abs=1e-12)
    assert net.similarity(second, first) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("said", "noun"),
    [
        ("chairs", "chair"),
        ("Chair", "chair"),
        ("boxes", "box"),
        ("sofa bed", "sofa_bed"),
        ("sofa  beds", "sofa_bed"),
        ("knives", "knife"),  # -ves is -f: by the list of exceptions
    ],
)
def test_a_noun_is_known_in_the_plural_in_capitals_and_in_words(small, said, noun):
    net = WordNet(small)
    assert net.senses(said) == net.senses(noun) != []


def test_an_exception_takes_the_place_of_the_rules(small):
    net = WordNet(small)
    assert net.senses("childrens_chairs") == net.senses("bed") + net.senses("chair")
    assert net.senses("foci") == net.senses("xchairs") == net.senses("s") == []


@pytest.fixture
def found(monkeypatch, tmp_path):
    """Find a WordNet, on a machine that has none; nothing is remembered."""
    for name in ("WNSEARCHDIR", "NLTK_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(wordnet, "NLTK", (tmp_path / "nltk",))
    return find_wordnet.__wrapped__


def test_it_is_found_where_it_was_named_or_installed(small, found, monkeypatch, tmp_path):
    monkeypatch.setenv("WNSEARCHDIR", str(small))
    assert found().similarity("chair", "sofa") == 0.75
    monkeypatch.delenv("WNSEARCHDIR")
    for place in (tmp_path / "debian", tmp_path / "nltk" / "corpora" / "wordnet"):
        assert found() is None
        shutil.copytree(small, place)
        assert found().similarity("chair", "sofa") == 0.75
        shutil.rmtree(place)


def test_nltk_leaves_it_packed(small, found, monkeypatch, tmp_path):
    folder = tmp_path / "mine" / "corpora"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "wordnet.zip", "w") as packed:
        for path in small.iterdir():
            packed.write(path, f"wordnet/{path.name}")
    monkeypatch.setenv("NLTK_DATA", f"{tmp_path / 'none'}{os.pathsep}{tmp_path / 'mine'}")
    assert found().similarity("chair", "sofa") == 0.75
    (folder / "wordnet.zip").write_bytes(b"PK no zip")
    assert found() is None


def test_none_is_one_line_that_says_how_to_get_it(found, caplog):
    find_wordnet.cache_clear()
    assert find_wordnet() is None and find_wordnet() is None
    (line,) = caplog.messages  # said once
    assert line.startswith(f"WUPS is left out: no WordNet in {wordnet.DEBIAN} (")
    assert "\n" not in line and "); `apt-get install wordnet-base`, " in line
    assert "python -m nltk.downloader wordnet" in line and "WNSEARCHDIR" in line


def test_what_is_no_database_is_one_line(small, found, monkeypatch, tmp_path, caplog):
    def refused(folder: Path) -> str:
        caplog.clear()
        monkeypatch.setenv("WNSEARCHDIR", str(folder))
        assert found() is None
        (line,) = caplog.messages
        assert str(folder) in line and "\n" not in line
        return line

    assert "No such file" in refused(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "index.noun" in refused(tmp_path / "empty")
    for name, content in (
        ("data.noun", (small / "data.noun").read_bytes().replace(b"\n", b"\r\n")),
        ("data.noun", b""),
        ("index.noun", b""),
        ("index.noun", b"chair n"),
        ("index.noun", b"\x00\xff\n" * 9),
        ("noun.exc", b"\n\n"),
    ):
        damaged = shutil.copytree(small, tmp_path / "damaged", dirs_exist_ok=True)
        (damaged / name).write_bytes(content)
        assert "no WordNet in" in refused(damaged), (name, content[:9])


@pytest.fixture(scope="module")
def real():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WNSEARCHDIR")
        net = find_wordnet.__wrapped__()  # nothing is remembered
    return net or pytest.skip("no WordNet on this machine: apt-get install wordnet-base")


@pytest.mark.parametrize(
    ("first", "second", "expected"),  # what NLTK 3.10 says of WordNet 3.0
    [
        ("dog", "cat", 6 / 7),
        ("curtain", "blinds", 16 / 17),
        ("carton", "box", 16 / 17),
        ("2", "3", 7 / 8),
        ("sink", "faucet", 6 / 11),  # ways to what is above both lead about another ancestor
    ],
)
def test_the_real_wordnet(real, first, second, expected):
    assert real.similarity(first, second) == pytest.approx(expected, abs=1e-12)
