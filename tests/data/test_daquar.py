"""DAQUAR as its authors publish it: text files, and images named by number."""

import shutil

import pytest

from tests.builders import read_json, write_dataset
from tests.data.making import picture, refusal
from vqa_helpers.data.build import Fetching, build
from vqa_helpers.data.check import check_folder
from vqa_helpers.data.daquar import read_daquar
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.formats import refuse
from vqa_helpers.errors import InputError

TRAIN = """\
what is on the desk in the image3 ?
book, scissor, papers, tape_dispenser
what is the largest brown objects in this image3 ?
carton
how many bottles are on the desk in the image4 ?
11
what is on the right side of the image10 behind the door in the image10 ?
garbage_bin
what is at the right corner of the image929 ?
lamp
how many chairs  are in this picture in the image3 ?
2
is the door open in image4 ?
yes
"""


def publish(folder, classes=894, train=TRAIN, test="what is it in the image5 ?\nbed\n"):
    """A folder as it is downloaded and unpacked."""
    for number in (3, 4, 5, 10, 929, 77):
        picture(folder / "nyu_depth_images" / f"image{number}.png")
    for split, text in (("train", train), ("test", test)):
        content = text if isinstance(text, bytes) else text.encode()
        (folder / f"qa.{classes}.raw.{split}.txt").write_bytes(content)
    return folder


def test_questions_and_answers(tmp_path):
    path = publish(tmp_path / "d") / "qa.894.raw.train.txt"
    table = read_daquar(path, refuse)
    assert table[["question_id", "image_id", "question", "answer"]].to_numpy().tolist() == [
        [3000, 3, "what is on the desk?", "book, scissor, papers, tape_dispenser"],
        [3001, 3, "what is the largest brown objects?", "carton"],
        [4000, 4, "how many bottles are on the desk?", "11"],
        [10000, 10, "what is on the right side of the image10 behind the door?", "garbage_bin"],
        [929000, 929, "what is at the right corner of the image929?", "lamp"],
        [3002, 3, "how many chairs are in this picture?", "2"],
        [4001, 4, "is the door open?", "yes"],
    ]
    assert table["answers"].tolist() == [(answer,) for answer in table["answer"]]
    spaced = publish(tmp_path / "s", train=TRAIN.replace("\nwhat", "\n\nwhat"))
    assert read_daquar(spaced / path.name, refuse).equals(table)  # empty lines between the pairs
    types = table[["question_type", "answer_type"]].to_numpy().tolist()
    assert types[0] == ["what is on the", "other"] and types[6] == ["is the", "yes/no"]
    assert types[2] == ["how many", "number"]
    for content in (TRAIN.replace("\n", "\r\n"), TRAIN + "\n \n\n", "\ufeff" + TRAIN):
        path.write_bytes(content.encode())
        assert read_daquar(path, refuse).equals(table)
    path.write_text(TRAIN.upper())
    loud = read_daquar(path, refuse)
    assert loud["image_id"].equals(table["image_id"])
    assert loud["question"].equals(table["question"].str.upper())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TRAIN + "what is it in the image4 ?\n", "ends after 15 lines; every question needs a line"),
        (TRAIN.replace("in the image4 ?", "in the room ?"), "line 5 names no image; expected a"),
        (TRAIN.replace("image4 ?", "image12345678901234567890 ?"), "line 5 names no image"),
        (TRAIN.replace("carton\n", "\n"), "line 4 is no answer to the question of line 3; write"),
        (TRAIN.replace("carton\n", ""), "line 4 is no answer to the question of line 3"),
        (TRAIN.encode().replace(b"carton", b"cart\xf6n"), "line 4 is no UTF-8"),
        (b"\xff\xfe" + TRAIN.encode("utf-16-le"), "line 1 is no UTF-8"),
        ("", "ends after 0 lines"), ("\n\n", "ends after 0 lines"),
    ],
)  # fmt: skip
def test_malformed_lines_name_the_file_and_the_line(tmp_path, content, expected):
    folder = publish(tmp_path / "d", train=content)
    line = refusal(build, "daquar", source=folder, out=tmp_path / "out")
    assert line.startswith(f"{folder / 'qa.894.raw.train.txt'}: {expected}")
    assert not (tmp_path / "out").exists()
    problems = [problem.line for problem in check_folder(folder).problems]
    assert line in problems, "a check names it too"


@pytest.mark.parametrize("classes", [894, 37])
def test_a_dataset_is_built(tmp_path, classes):
    folder = publish(tmp_path / "d", classes)
    out = build("daquar", source=folder, seed=2, out=tmp_path / "out")
    made = read_folder(out)
    assert made.splits["test"]["question_id"].tolist() == [5000] and made.image_source == "d"
    assert made.image_ids().tolist() == [3, 4, 5, 10, 929] and made.missing_images() == []
    assert made.splits["validation"]["image_id"].nunique() == 1
    assert "the validation split was cut from train by image" in made.notes[1]
    record = read_json(out / "split.json")
    names = [f"qa.{classes}.raw.{split}.txt" for split in ("train", "test")]
    assert record["files"].keys() == {*names}
    assert made.notes[0] == f"DAQUAR as published: {', '.join(names)}"
    # The folder is a dataset as it is, with the same splits.
    assert read_folder(folder, seed=2).sha256() == made.sha256()
    assert check_folder(folder).problems == check_folder(out).problems == []


def test_which_files_are_read(tmp_path):
    folder = publish(tmp_path / "d", test="what is it in the image3 ?\nbed\n")
    (folder / "qa.37.raw.train.txt").write_text("")  # all classes come first
    kept = read_folder(folder)  # image 3 stands in both splits
    assert 3 not in set(kept.splits["train"]["image_id"]) and "3 train questions" in kept.notes[0]
    (folder / "qa.894.raw.test.txt").unlink()
    assert "the test split was cut from train by image" in read_folder(folder).notes[1]
    shutil.rmtree(write_dataset(folder, images=5) / "images")  # the official layout comes first
    assert len(read_folder(folder).splits["test"]) == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "."}, r"lacks qa\.894\.raw\.train\.txt; put it, .* of https://www\.mpi-inf"),
        ({"rule": "study"}, "daquar has splits of its own; leave --split"),
        ({}, r"qa\.894\.raw\.train\.txt \(from http://datasets\.d2\.mpi.* into .*raw/daquar/"),
    ],
)
def test_what_is_lacking(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        build("daquar", fetching=Fetching(root=tmp_path, offline=True), **options)
