"""Every fault of a dataset folder is named by file, entry and field, and hides no other."""

import json
import shutil

import pandas as pd
import pytest
from PIL import Image
from vqa_helpers.data.faults import MOST_PIXELS, Faults, examine_annotations, examine_questions

from tests.builders import write_dataset, write_json
from vqa_helpers.data.check import check_folder
from vqa_helpers.data.formats import read_annotations, read_questions
from vqa_helpers.vision import preprocess


@pytest.fixture
def folder(tmp_path):
    return write_dataset(tmp_path / "own", images=5)


def edit(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    (rows,) = content.values()
    change(rows)
    write_json(path, content)


def lines(folder, kind=None, **options):
    check = check_folder(folder, **options)
    assert all("\n" not in problem.line for problem in check.problems)
    return [p.line.replace(f"{folder}/", "") for p in check.problems if kind in (None, p.kind)]


def notes(folder):
    return [note.replace(f"{folder}/", "") for note in check_folder(folder).notes]


def test_a_sound_folder_has_no_fault_and_is_read_as_formats_reads_it(folder):
    assert lines(folder) == [] and check_folder(folder).notes == []
    faults = Faults()
    asked = examine_questions(folder / "questions_val.json", faults)
    table = examine_annotations(folder / "annotations_val.json", asked, faults)
    expected = read_annotations(
        folder / "annotations_val.json", read_questions(folder / "questions_val.json")
    )
    pd.testing.assert_frame_equal(table, expected)


def test_annotations_in_another_order(folder):
    edit(folder / "annotations_val.json", lambda rows: rows.reverse())
    assert lines(folder) == []


def test_every_field_of_every_broken_entry(folder):
    def change(rows):
        rows[0]["question_id"] = "x"
        rows[0]["question"] = 5
        del rows[3]["image_id"]
        rows[4]["image_id"] = 2**63
        rows[5] = "what?"

    edit(folder / "questions_train.json", change)
    layout = "the official VQA JSON layout is expected"
    assert lines(folder, "broken entry") == [
        f"questions_train.json: questions[0].question_id: Expected `int`, got `str`; {layout}",
        f"questions_train.json: questions[0].question: Expected `str`, got `int`; {layout}",
        f"questions_train.json: questions[3]: Object missing required field `image_id`; {layout}",
        "questions_train.json: questions[4] has an id beyond 64 bits; number anew",
        f"questions_train.json: questions[5]: Expected `object`, got `str`; {layout}",
    ]
    # Their annotations stand alone now; the other ten are sound.
    assert len(lines(folder, "annotation without its question")) == 5 - 1
    assert check_folder(folder).splits["train"]["questions"] == 15 - 4


def test_questions_that_say_nothing_or_come_twice(folder):
    def change(rows):
        rows[1]["question"] = " \t"
        rows[7]["question_id"] = rows[9]["question_id"] = rows[2]["question_id"]
        rows[3]["question"] = "so " * 101 + "?"

    edit(folder / "questions_test.json", change)
    assert lines(folder, "empty question") == [
        "questions_test.json: questions[1].question is empty; write it"
    ]
    repeated = lines(folder, "repeated question id")
    assert [line.split(";")[0] for line in repeated] == [
        "questions_test.json: questions[7] repeats question_id 20012 of questions[2]",
        "questions_test.json: questions[9] repeats question_id 20012 of questions[2]",
    ]
    assert notes(folder) == [
        "questions_test.json: 1 question longer than 100 words (the first is questions[3])"
    ]


def test_the_two_files_against_each_other(folder):
    def change(rows):
        rows[0]["question_id"] = 77
        rows[4]["image_id"] = 5
        rows.append(dict(rows[8]))

    edit(folder / "annotations_train.json", change)
    assert lines(folder, "annotation without its question") == [
        "annotations_train.json: annotations[0] has question_id 77, which no sound question has; "
        "are the two files of one release?"
    ]
    assert lines(folder, "question without its annotation") == [
        "annotations_train.json: question 10 (questions[0]) has no sound annotation; add it, or "
        "take the question away"
    ]
    assert lines(folder, "another image") == [
        "annotations_train.json: annotations[4] says image 5 but its question is about image 2; "
        "are the two files of one release?"
    ]
    (line,) = lines(folder, "repeated question id")
    assert "annotations[15] repeats question_id 32 of annotations[8]" in line
    assert len(lines(folder)) == 4


def test_answers(folder):
    def change(rows):
        del rows[0]["multiple_choice_answer"], rows[0]["answers"]
        rows[1]["multiple_choice_answer"] = " "
        for entry in (2, 5):
            rows[entry]["answer_type"] = "yes-no"
        rows[3]["answers"] = rows[3]["answers"][:4]
        rows[4]["answers"].append({"answer": ""})
        rows[6]["answer_type"] = rows[6]["question_type"] = None

    edit(folder / "annotations_train.json", change)
    assert lines(folder) == [
        "annotations_train.json: annotations[0] has neither multiple_choice_answer nor answers; "
        "add one",
        "annotations_train.json: annotations[1].multiple_choice_answer is empty; write the answer",
        "annotations_train.json: annotations[2].answer_type is 'yes-no' (so are 2 in all); use "
        "yes/no, number, other, or leave the field away",
    ]
    assert notes(folder) == [
        "annotations_train.json: 1 annotation with fewer than ten answers: no VQA accuracy (the "
        "first is annotations[3])",
        "annotations_train.json: 1 annotation with more than ten answers (the first is "
        "annotations[4])",
        "annotations_train.json: 1 annotation with an empty text among the answers (the first is "
        "annotations[4])",
    ]


def test_one_question_asked_twice_of_an_image_with_two_targets(folder):
    def ask(rows):
        rows[1]["question"] = rows[0]["question"]  # image 1: a colour and a number
        rows[4]["question"] = rows[7]["question"]  # images 2 and 3: no matter

    edit(folder / "questions_train.json", ask)
    assert notes(folder) == [
        "annotations_train.json: 2 annotations of a question that is asked about its image again, "
        "word for word, with another target (the first is annotations[0])"
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("questions_val.json", '{"questions": [}', "JSON is malformed"),
        ("questions_val.json", "[]", "Expected `object`, got `array`"),
        ("questions_val.json", "", "is empty"),
        ("questions_val.json", '{"questions": []}', "`questions` lists nothing"),
        ("annotations_val.json", '{"annotations": 3}', "Expected `array`, got `int`"),
        ("annotations_val.json", '{"annotations": []}', "`annotations` lists nothing"),
    ],
)
def test_a_file_that_cannot_be_read_hides_nothing_of_the_others(folder, name, content, expected):
    (folder / name).write_text(content)
    edit(folder / "questions_train.json", lambda rows: rows[1].update(question=""))
    (folder / "images" / "000000002003.png").unlink()
    found = lines(folder)
    assert found[0] == "questions_train.json: questions[1].question is empty; write it"
    assert found[1].startswith(f"{name}: ") and expected in found[1]
    assert "has no file of image 2003, which the test split asks about" in found[2]
    assert len(found) == 3
    assert list(check_folder(folder).splits) == ["train", "test"]


def test_images_missing_damaged_and_doubled(folder):
    images = folder / "images"
    (images / "000000000002.png").unlink()
    (images / "000000001003.png").unlink()
    (images / "000000000003.png").write_text("no image")
    whole = (images / "000000002001.png").read_bytes()
    (images / "000000002001.png").write_bytes(whole[: len(whole) // 2])
    photograph = images / "000000000004.jpg"
    Image.effect_noise((400, 300), 50).save(photograph, quality=90)
    (images / "000000000004.png").unlink()
    photograph.write_bytes(photograph.read_bytes()[:-5000])
    shutil.copy(images / "000000000005.png", images / "5.png")
    shutil.copy(images / "000000000005.png", images / "99.png")  # nobody asks about it
    missing, doubled = lines(folder, "missing image"), lines(folder, "two files of one image")
    assert missing == [
        f"{folder}: has no file of image 2, which the train split asks about; put one there whose "
        "name ends in 2".replace(f"{folder}/", ""),
        f"{folder}: has no file of image 1003, which the validation split asks about; put one "
        "there whose name ends in 1003",
    ]
    assert doubled == [
        "images/5.png: shows image 5, and so does images/000000000005.png; give every image an id "
        "of its own"
    ]
    unusable = lines(folder, "image that cannot be opened")
    assert sorted(line.split(":")[0] for line in unusable) == [
        "images/000000000003.png", "images/000000000004.jpg", "images/000000002001.png"
    ]  # fmt: skip
    assert lines(folder, "image that cannot be opened", images="names") == []


def test_an_image_too_large_to_be_one(folder, monkeypatch):
    assert MOST_PIXELS == preprocess.MOST_PIXELS
    monkeypatch.setattr("vqa_helpers.data.faults.MOST_PIXELS", 32 * 32 - 1)
    assert len(lines(folder, "image that cannot be opened")) == 15


def test_the_same_test_image_of_two_years(folder):
    for year in ("test2014", "test2015"):
        shutil.copytree(folder / "images", folder / year)
    shutil.rmtree(folder / "images")
    assert lines(folder) == []


def test_text_alone_is_no_fault(folder):
    shutil.rmtree(folder / "images")
    assert lines(folder) == []
    assert "holds no image that is asked about" in notes(folder)[0]
