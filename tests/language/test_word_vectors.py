"""GloVe files as they are published and as they break; the vectors learned in their place."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.language.word_vectors import (
    find_glove,
    learn_vectors,
    read_glove,
    require_glove,
)

TEXT = "the 0.5 -1 2e-3\ncat 1 2 3\n. . . 7 8 9\nat name@domain.com 4 5 6\n2 0.1 0.2 0.3\n"


def glove(folder: Path, text: str = TEXT, name: str = "glove.6B.3d.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("VQA_GLOVE", raising=False)


# ---------------------------------------------------------------- reading


def test_rows_follow_the_words_and_absent_words_are_zero(tmp_path):
    matrix, found = read_glove(glove(tmp_path), ["cat", "unicorn", "the", "cat"])
    assert matrix.dtype == np.float32 and matrix.shape == (4, 3)
    np.testing.assert_allclose(matrix, [[1, 2, 3], [0, 0, 0], [0.5, -1, 0.002], [1, 2, 3]])
    assert found.dtype == bool and found.tolist() == [True, False, True, True]


def test_words_with_spaces_keep_their_last_numbers(tmp_path):
    matrix, found = read_glove(glove(tmp_path), [". . .", "at name@domain.com", "at", "2"])
    assert found.tolist() == [True, True, False, True]
    np.testing.assert_allclose(matrix[:2], [[7, 8, 9], [4, 5, 6]])


def test_no_words_still_has_the_files_width(tmp_path):
    matrix, found = read_glove(glove(tmp_path), [])
    assert matrix.shape == (0, 3) and found.shape == (0,)


def test_header_is_passed_over_and_windows_line_ends_are_read(tmp_path):
    path = glove(tmp_path, "2 3\r\nthe 1 2 3\r\ncafé 4 5 6\r\n")
    matrix, found = read_glove(path, ["2", "café"])
    assert found.tolist() == [False, True]
    np.testing.assert_allclose(matrix[1], [4, 5, 6])


def test_gzip_and_zip_read_like_the_text(tmp_path):
    packed = tmp_path / "glove.6B.3d.txt.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    archive = tmp_path / "glove.6B.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("glove.6B.3d.txt", TEXT)
        out.writestr("glove.6B.2d.txt", "cat 8 9\n")
    for path in (packed, archive):
        np.testing.assert_allclose(read_glove(path, ["cat"], dim=3)[0], [[1, 2, 3]])
    np.testing.assert_allclose(read_glove(archive, ["cat"], dim=2)[0], [[8, 9]])


def test_zip_errors_name_what_is_missing(tmp_path):
    no_zip = glove(tmp_path, name="a.zip")
    with pytest.raises(InputError, match=r"a\.zip: cannot be read .*not a zip"):
        read_glove(no_zip, ["cat"], dim=3)
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("readme.md", "hello")
    with pytest.raises(InputError, match=r"b\.zip: no \.txt member \(it holds readme\.md\)"):
        read_glove(archive, ["cat"], dim=3)
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr("glove.6B.50d.txt", TEXT)
        out.writestr("glove.6B.100d.txt", TEXT)
    with pytest.raises(InputError, match=r"no member named like glove\.6B\.3d\.txt"):
        read_glove(archive, ["cat"], dim=3)
    with pytest.raises(InputError, match="give the width"):
        read_glove(archive, ["cat"])


@pytest.mark.parametrize(
    ("line", "found"),
    [("dog 1.5 2.5", 2), ("dog 1.5 2.5 3.5 4.5", 4), ("dog", 0), ("dog 1.5\t2.5\t3.5", 0)],
    ids=["too few", "too many", "none", "tabs"],
)
def test_wrong_width_names_file_line_expected_and_found(tmp_path, line, found):
    path = glove(tmp_path, f"the 1 2 3\ncat 1 2 3\n{line}\n")
    with pytest.raises(
        InputError, match=rf"3d\.txt: line 3: expected 3 numbers .* found {found};"
    ) as caught:
        read_glove(path, ["the"])
    assert "\n" not in str(caught.value)


def test_width_asked_for_is_held_against_every_line(tmp_path):
    with pytest.raises(InputError, match="line 1: expected 50 numbers after the word, found 3"):
        read_glove(glove(tmp_path), ["cat"], dim=50)
    with pytest.raises(InputError, match="line 1: vectors of width 3, expected 50"):
        read_glove(glove(tmp_path, "1 3\ncat 1 2 3\n"), ["cat"], dim=50)


@pytest.mark.parametrize("bad", ["x", "nan", "inf", "1_0", "1.2.3", "1e99"])
def test_non_number_names_file_and_line(tmp_path, bad):
    path = glove(tmp_path, f"the 1 2 3\ncat 1 {bad} 3\n")
    with pytest.raises(InputError, match=r"3d\.txt: line 2: .*number"):
        read_glove(path, ["cat"])


def test_non_number_in_an_unwanted_or_first_line_is_seen(tmp_path):
    with pytest.raises(InputError, match="line 2: 'oops' is not a finite number"):
        read_glove(glove(tmp_path, "the 1 2 3\ncat 1 oops 3\n"), ["the"])
    with pytest.raises(InputError, match="line 1: 'html>' is not a finite number"):
        read_glove(glove(tmp_path, "<!DOCTYPE html>\n<body>\n"), ["the"])


@pytest.mark.parametrize("text", ["", "\n\n", "400000 50\n"])
def test_empty_file(tmp_path, text):
    with pytest.raises(InputError, match=r"3d\.txt: holds no word vectors"):
        read_glove(glove(tmp_path, text), ["cat"])


def test_unreadable_files_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        read_glove(tmp_path / "none.txt", ["cat"])
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(TEXT.encode() * 100)[:-20])
    with pytest.raises(InputError, match=r"cut\.gz: cannot be read"):
        read_glove(cut, ["cat"])


# ---------------------------------------------------------------- finding


def test_find_prefers_the_option_then_the_environment_then_the_folder(tmp_path, monkeypatch):
    assert find_glove(None, tmp_path / "absent", 3) is None
    archive = glove(tmp_path, name="glove.6B.zip")
    assert find_glove(None, tmp_path, 3) == archive
    text = glove(tmp_path)
    assert find_glove(None, tmp_path, 3) == text
    assert find_glove(None, tmp_path, 50) == archive
    other = glove(tmp_path, name="mine.txt")
    monkeypatch.setenv("VQA_GLOVE", str(other))
    assert find_glove(None, tmp_path, 3) == other
    assert find_glove(text, tmp_path, 3) == text
    assert find_glove(tmp_path, tmp_path / "absent", 3) == text


def test_named_file_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"nope\.txt: no such file"):
        find_glove(tmp_path / "nope.txt", tmp_path, 3)
    monkeypatch.setenv("VQA_GLOVE", str(tmp_path))
    with pytest.raises(InputError, match=r"none of glove\.6B\.3d\.txt"):
        find_glove(None, tmp_path, 3)


def test_require_names_the_remedies(tmp_path):
    with pytest.raises(InputError) as caught:
        require_glove(None, tmp_path, 50)
    message = str(caught.value)
    assert "\n" not in message
    for remedy in ("glove.6B.zip", "--glove", "VQA_GLOVE", "--offline", str(tmp_path)):
        assert remedy in message
    path = glove(tmp_path)
    assert require_glove(None, tmp_path, 3) == path


# ---------------------------------------------------------------- the stand-in

TOY = [
    f"{verb} the {animal} {doing} on the {place}".split()
    for verb in ("is", "was")
    for animal in ("cat", "dog")
    for doing in ("sleeping", "sitting")
    for place in ("sofa", "couch")
] + [
    f"what {kind} is the {thing} painted".split()
    for kind in ("color", "colour")
    for thing in ("car", "bus", "truck")
]


def test_learned_vectors_round_trip_and_are_padded(tmp_path):
    path = tmp_path / "new" / "learned.50d.txt"
    learn_vectors(TOY, path, dim=50)
    words = sorted({word for question in TOY for word in question})
    matrix, found = read_glove(path, [*words, "absent"], dim=50)
    assert matrix.shape == (len(words) + 1, 50)
    assert found[:-1].all() and not found[-1]
    assert np.abs(matrix[:-1]).sum(axis=1).min() > 0
    assert not matrix[:, len(words) :].any()  # fewer words than directions
    assert path.read_text(encoding="utf-8").startswith("the ")  # the most frequent first
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing left beside it


def test_words_of_the_same_company_are_near(tmp_path):
    path = tmp_path / "learned.txt"
    learn_vectors(TOY, path, dim=8)
    names = ["cat", "dog", "sofa", "couch", "car", "bus", "color", "colour"]
    matrix, _ = read_glove(path, names)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    near = unit @ unit.T
    for first in range(0, len(names), 2):
        others = np.delete(near[first], [first, first + 1])
        assert near[first, first + 1] > 0.9 > others.max()


def test_learning_is_deterministic_and_blind_to_order(tmp_path):
    for name, questions in (("a", TOY), ("b", TOY), ("c", TOY[::-1])):
        learn_vectors(questions, tmp_path / name, dim=8)
    first = (tmp_path / "a").read_bytes()
    assert (tmp_path / "b").read_bytes() == first
    assert (tmp_path / "c").read_bytes() == first


def test_windows_do_not_reach_into_the_next_question(tmp_path):
    learn_vectors([["a"], ["b"], ["c"]], tmp_path / "lonely.txt", dim=4)
    matrix, found = read_glove(tmp_path / "lonely.txt", ["a", "b", "c"])
    assert found.all() and matrix.shape == (3, 4) and not matrix.any()


def test_rare_words_get_no_vector(tmp_path):
    path = tmp_path / "learned.txt"
    learn_vectors([["red", "car"], ["red", "car"], ["red", "bus"]], path, dim=4, min_count=2)
    assert read_glove(path, ["red", "car", "bus"])[1].tolist() == [True, True, False]
    with pytest.raises(InputError, match="no word occurs 9 times in 1 training questions"):
        learn_vectors([["red"]], path, min_count=9)
