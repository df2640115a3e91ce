"""GloVe files as they are published and as they break, and the package that carries them."""

import gzip
import zipfile
from pathlib import Path

import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.pieces import glove
from vqa_helpers.pieces.glove import find_glove, read_glove

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
    caplog.clear()
    read_glove(tmp_path / "glove.6B.3d.txt", ["<pad>", "cat", "unicorn", "the"], 3)
    assert not caplog.text, "said once"
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


# ---------------------------------------------------------------- the package


def test_the_package_has_the_studys_own_vectors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # nothing is downloaded here
    matrix, source = read_glove(
        find_glove(None, 50), ["<pad>", "<unknown>", "the", "zq\ud800j"], 50
    )
    assert matrix[2, :4].tolist() == pytest.approx([0.418, 0.24968, -0.41242, 0.1217])
    assert not matrix[[0, 1, 3]].any() and source.startswith("word vectors, sha256 ")
    remedies = ".*vqa data download glove.*glove.6B.zip.*--glove FILE or VQA_GLOVE"
    line = "no GloVe vectors of width 300 in .*has width 50" + remedies
    with pytest.raises(InputError, match=line):
        find_glove(None, 300)
