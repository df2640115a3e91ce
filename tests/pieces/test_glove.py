"""GloVe files as they are published and as they break; the vectors learned in their place."""

import gzip
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.pieces import glove
from vqa_helpers.pieces.glove import find_glove, learn_vectors, no_glove, read_glove

TEXT = "the 0.5 -1 2e-3\ncat 1 2 3\n. . . 7 8 9\nat name@domain.com 4 5 6\n2 0.1 0.2 0.3\n"


def write(folder: Path, text: str = TEXT, name: str = "glove.6B.3d.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------- reading


def test_rows_follow_the_words_and_absent_words_are_zero(tmp_path, caplog):
    caplog.set_level("INFO")
    matrix, source = read_glove(write(tmp_path), ["<pad>", "cat", "unicorn", "the"], 3)
    assert matrix.tolist() == [[0, 0, 0], [1, 2, 3], [0, 0, 0], pytest.approx([0.5, -1, 0.002])]
    assert "100.0 % of the train words" in caplog.text  # two of them stand for no word
    again = read_glove(write(tmp_path, TEXT + "dog 4 4 4\n"), ["<pad>", "cat", "unicorn", "the"], 3)
    assert again[1] == source.strip() != read_glove(write(tmp_path), ["the", "cat"], 3)[1]


def test_words_with_spaces_keep_their_last_numbers(tmp_path):
    matrix, _ = read_glove(write(tmp_path), [". . .", "at name@domain.com", "at", "2"], 3)
    assert matrix[:3].tolist() == [[7, 8, 9], [4, 5, 6], [0, 0, 0]]
    assert read_glove(write(tmp_path), [], 3)[0].shape == (0, 3)


def test_header_is_passed_over_and_windows_line_ends_are_read(tmp_path):
    path = write(tmp_path, "2 3\r\nthe 1 2 3\r\ncafé 4 5 6\r\n")
    assert read_glove(path, ["2", "café"], 3)[0].tolist() == [[0, 0, 0], [4, 5, 6]]


def test_gzip_and_zip_read_like_the_text(tmp_path):
    packed = tmp_path / "glove.6B.3d.txt.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    archive = tmp_path / "glove.6B.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("glove.6B.3d.txt", TEXT)
        out.writestr("glove.6B.2d.txt", "cat 8 9\n")
    assert read_glove(packed, ["cat"], 3)[0].tolist() == [[1, 2, 3]]
    assert read_glove(archive, ["cat"], 3)[0].tolist() == [[1, 2, 3]]
    assert read_glove(archive, ["cat"], 2)[0].tolist() == [[8, 9]]


def test_archives_and_files_that_cannot_be_read_are_one_line(tmp_path):
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("readme.md", "hello")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(TEXT.encode() * 100)[:-20])
    for path, message in (
        (write(tmp_path, name="a.zip"), r"a\.zip: cannot be read .*not a zip"),
        (archive, r"no member named like glove\.6B\.3d\.txt \(it holds readme\.md\)"),
        (tmp_path / "none.txt", r"none\.txt: cannot be read"),
        (cut, r"cut\.gz: cannot be read"),
    ):
        with pytest.raises(InputError, match=message):
            read_glove(path, ["cat"], 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((f"the 1 2 3\n{bad}\n", f"line 2: expected a word and 3 .* found '{bad[:3]}") for bad in (
            "dog 1.5 2.5", "dog 1.5 2.5 3.5 4.5", "dog 1.5 2.5 3.5 -.5e-3", "dog",
            "dog 1.5\t2.5\t3.5", "unwanted 1 oops 3",
            *(f"cat 1 {bad} 3" for bad in ("x", "nan", "inf", "1_0", "1.2.3", "1e99")),
        )),
        ("<!DOCTYPE html>\n<body>\n", "line 1: expected a word and 3 finite numbers"),
        *((empty, "holds no word vectors") for empty in ("", "\n\n", "400000 50\n")),
    ],
)  # fmt: skip
def test_a_malformed_file_is_one_line_that_names_the_place(tmp_path, text, message):
    with pytest.raises(InputError, match=r"glove\.6B\.3d\.txt: " + message) as caught:
        read_glove(write(tmp_path, text), ["cat"], 3)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- finding


def test_the_option_comes_before_the_environment_and_that_before_downloads(tmp_path, monkeypatch):
    monkeypatch.setattr(glove, "DOWNLOADED", tmp_path)
    assert find_glove(None, 3) is None
    archive = write(tmp_path, name="glove.6B.zip")
    assert find_glove(None, 3) == archive
    text = write(tmp_path)
    assert (find_glove(None, 3), find_glove(None, 50)) == (text, archive)
    other = write(tmp_path, name="mine.txt")
    monkeypatch.setenv("VQA_GLOVE", str(other))
    assert find_glove(None, 3) == other
    assert find_glove(text, 3) == find_glove(tmp_path, 3) == text


def test_a_named_file_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nope\.txt: no such file"):
        find_glove(tmp_path / "nope.txt", 3)
    monkeypatch.setenv("VQA_GLOVE", str(tmp_path))
    with pytest.raises(InputError, match=r"none of glove\.6B\.3d\.txt"):
        find_glove(None, 3)
    for remedy in ("glove.6B.zip", "--glove", "VQA_GLOVE", "--offline"):
        assert remedy in str(no_glove(50))


# ---------------------------------------------------------------- the stand-in

PLACES = product(("is", "was"), ("cat", "dog"), ("sleeping", "sitting"), ("sofa", "couch"))
COLOURS = product(("color", "colour"), ("car", "bus", "truck"))
TOY = ["{} the {} {} on the {}".format(*words).split() for words in PLACES]
TOY += ["what {} is the {} painted".format(*words).split() for words in COLOURS]


def test_learned_vectors_round_trip_and_are_padded(tmp_path):
    path = tmp_path / "new" / "learned.50d.txt"
    learn_vectors(TOY, path, dim=50)
    words = sorted({word for question in TOY for word in question})
    matrix = read_glove(path, [*words, "absent"], dim=50)[0]
    assert matrix[:-1].any(dim=1).all() and not matrix[-1].any()
    assert not matrix[:, len(words) :].any()  # fewer words than directions
    assert path.read_text(encoding="utf-8").startswith("the ")  # the most frequent first
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing left beside it


def test_words_with_the_same_neighbours_are_near(tmp_path):
    learn_vectors(TOY, tmp_path / "learned.txt", dim=8)
    names = ["cat", "dog", "sofa", "couch", "car", "bus", "color", "colour"]
    matrix = read_glove(tmp_path / "learned.txt", names, 8)[0].numpy()
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    near = unit @ unit.T
    for first in range(0, len(names), 2):
        others = np.delete(near[first], [first, first + 1])
        assert near[first, first + 1] > 0.9 > others.max()


def test_learning_is_deterministic_and_blind_to_order(tmp_path):
    for name, questions in (("a", TOY), ("b", TOY), ("c", TOY[::-1])):
        learn_vectors(questions, tmp_path / name, dim=8)
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_windows_stay_within_a_question_and_no_word_is_an_error(tmp_path):
    path = tmp_path / "learned.txt"
    learn_vectors([["a"], ["b"], ["c"]], path, dim=4)
    assert not read_glove(path, ["a", "b", "c"], 4)[0].any()
    with pytest.raises(InputError, match="no word in 1 training questions"):
        learn_vectors([[]], path, dim=4)
