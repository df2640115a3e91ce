"""`check_folder`: what a folder holds, and every fault by file, entry and field in one report."""

import gzip
import json
import shutil

import pytest
from PIL import Image

from tests.data.making import edit, picture, write
from vqa_helpers.data.check import MOST_LINES, check_folder
from vqa_helpers.data.folder import MANIFEST, read_folder


def lines(folder, kind=None, **options):
    check = check_folder(folder, **options)
    assert all("\n" not in problem.line for problem in check.problems)
    return [p.line.replace(f"{folder}/", "") for p in check.problems if kind in (None, p.kind)]


def kinds(folder):
    return [problem.kind for problem in check_folder(folder).problems]


def notes(folder):
    return [note.removeprefix(f"{folder}: the ") for note in check_folder(folder).notes]


def test_the_counts(folder):
    def change(rows):
        for row in rows:
            row["multiple_choice_answer"] = "unheard" if row["answer_type"] == "number" else "yes"

    edit(folder / "annotations_test.json", change)
    edit(folder / "annotations_train.json", lambda rows: rows[0].update(answers=[]))
    check = check_folder(folder)
    assert check.problems == [] and check.images == {"asked": 15, "found": 15, "opened": True}
    assert list(check.splits) == ["train", "validation", "test"]
    test = check.splits["test"]
    assert (test["questions"], test["images"], test["answers"]) == (15, 5, 2)
    assert test["answer_types"] == {"other": 5, "number": 5, "yes/no": 5}
    assert test["question_types"] == {"what color is the": 5, "how many": 5, "is the": 5}
    assert check.splits["train"]["answers_per_question"] == {"1": 1, "10": 14}
    assert test["coverage"] == pytest.approx(100 * 10 / 15)  # "yes", of all but the numbers
    (folder / "annotations_test.json").unlink()
    check = check_folder(folder)
    assert check.problems == [] and "the test split has no answers" in check.notes[-1]
    counts = check.splits["test"]
    assert counts["questions"] == 15 and counts["answers"] is counts["coverage"] is None
    assert json.loads(json.dumps(check.to_json())) == check.to_json()


def test_people_see_a_table_and_twenty_of_a_kind(folder):
    table = check_folder(folder).lines()
    assert ["questions", "15", "15", "15"] in [line.split() for line in table]
    assert table[-1] == "problems: none"
    for split in ("train", "val"):
        edit(folder / f"questions_{split}.json", lambda rows: [r.update(question="") for r in rows])
    check = check_folder(folder)
    shown = [line for line in check.lines() if line.startswith("problem: ")]
    assert len(shown) == MOST_LINES + 1 and len(check.to_json()["problems"]) == 30
    assert shown[-1] == "problem: … 10 more: empty question (--json has all)"


def test_everything_at_once(folder):
    """Four files broken in five ways, two images, three file names: all named in one go."""
    edit(folder / "questions_train.json", lambda rows: rows[2].update(question=""))
    edit(folder / "annotations_train.json", lambda rows: rows[3].update(image_id=999, answers=7))
    (folder / "questions_val.json").write_text('{"questions": [}')
    edit(folder / "annotations_test.json", lambda rows: rows.pop(0))
    (folder / "images" / "000000000001.png").unlink()
    (folder / "images" / "000000002001.png").write_bytes(b"")
    (folder / "questions_trian.json").write_text("{}")
    packed = gzip.compress((folder / "questions_test.json").read_bytes())
    (folder / "questions_test.json.gz").write_bytes(packed)
    (folder / "annotations_export.json").write_text("{}")
    (folder / MANIFEST).write_text('{"images": 5}')
    assert kinds(folder) == [
        "file name", "file name", "file name", "empty question", "broken entry",
        "question without its annotation", "unreadable file", "question without its annotation",
        "manifest", "missing image", "image that cannot be opened",
    ]  # fmt: skip
    check = check_folder(folder)
    assert check.lines()[-1].startswith("problems: 3 file name, 1 empty question")


def test_answers_that_a_run_does_not_mind(folder):
    def ask(rows):
        rows[10]["question"] = rows[9]["question"]  # one image: a colour and a number
        rows[4]["question"] = rows[7]["question"]  # images 2 and 3: no matter
        rows[8]["question"] = "so " * 101 + "?"

    edit(folder / "questions_train.json", ask)

    def change(rows):
        rows[1]["multiple_choice_answer"] = " "
        for entry in (2, 5):
            rows[entry]["answer_type"] = "yes-no"
        rows[3]["answers"] = rows[3]["answers"][:4]
        rows[4]["answers"].append({"answer": ""})
        rows[6]["answer_type"] = rows[6]["question_type"] = None

    edit(folder / "annotations_train.json", change)
    assert [(p.kind, p.line.split("train split: ")[1]) for p in check_folder(folder).problems] == [
        ("empty answer", "multiple_choice_answer of question 11 is empty; write the answer"),
    ]  # fmt: skip
    assert [note.removeprefix("train split: questions with ") for note in notes(folder)] == [
        "train split: answer_type of question 12 is 'yes-no' (so are 2 in all), not one of yes/no, "
        "number, other; it is scored as a type of its own",
        "train split: questions longer than 100 words: 1 (the first is 32)",
        "fewer than ten answers, so no VQA accuracy: 1 (the first is 20)",
        "more than ten answers: 1 (the first is 21)",
        "an empty text among the answers: 1 (the first is 21)",
        "train split: questions asked about an image again, with another target: 2 (the first is 40)",
    ]
    read_folder(folder)


def test_pairs_and_those_that_stand_apart(folder):
    assert check_folder(folder).pairs == {}

    def answer(rows):
        for row in rows:
            row["multiple_choice_answer"] = "yes" if row["question_id"] == 12 else "no"

    for split in ("train", "val", "test"):
        edit(folder / f"annotations_{split}.json", answer)
    (folder / "annotations_test.json").unlink()  # whether it is a pair cannot be told
    path = folder / "v2_mscoco_train2014_complementary_pairs.json"
    path.write_text("[[12, 22], [12, 32], [22, 32], [12, 10012], [12, 20012], [1, 2]]")
    check = check_folder(folder)
    assert check.pairs == {"count": 3, "apart": 1, "known_by": "as listed"}
    assert "balanced pairs: 3 (as listed), 1 of them apart, in two splits" in check.lines()
    path.write_text("{}")
    assert "a list of [question_id, question_id] is expected" in lines(folder, "list of pairs")[0]


def test_a_file_without_entries_hides_nothing_and_is_one_problem(folder):
    (folder / "annotations_val.json").write_text('{"annotations": []}')
    assert kinds(folder) == ["empty file"]
    assert list(check_folder(folder).splits) == ["train", "test"]


def test_splits_that_no_run_can_use(folder):
    (folder / "annotations_val.json").unlink()
    assert kinds(folder) == ["splits"]
    (folder / "annotations_train.json").unlink()
    first, second = lines(folder, "splits")
    assert "has no train split with answers" in first
    assert "the validation split has no answers to choose an epoch by" in second
    for kind in ("questions", "annotations"):
        shutil.copy(folder / f"{kind}_test.json", folder / f"{kind}_train.json")
    assert "every image of the train split stands in the test split" in lines(folder, "splits")[0]


def test_images_missing_damaged_doubled_and_too_large(folder, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("vqa_helpers.pictures.MOST_PIXELS", 32 * 32 - 1)
        assert len(lines(folder, "image that cannot be opened")) == 15
    images = folder / "images"
    (images / "000000000002.png").unlink()
    (images / "000000000003.png").write_text("no image")
    photograph = images / "4.jpg"
    (images / "000000000004.png").unlink()
    Image.effect_noise((400, 300), 50).save(photograph, quality=90)
    photograph.write_bytes(photograph.read_bytes()[:-5000])
    shutil.copy(images / "000000000005.png", images / "5.png")
    shutil.copy(images / "000000000005.png", images / "99.png")  # nobody asks about it
    (missing,) = lines(folder, "missing image")
    assert "has no file of image 2, which the train split asks about; put one there" in missing
    (doubled,) = lines(folder, "two files of one image")
    assert "image 5 could be images/000000000005.png or images/5.png" in doubled
    unusable = lines(folder, "image that cannot be opened")
    names = ["images/000000000003.png", "images/4.jpg"]
    assert [line.split(":")[0] for line in unusable] == names
    assert lines(folder, "image that cannot be opened", images="names") == []
    shutil.rmtree(images)
    check = check_folder(folder)
    assert check.problems == [] and "holds no image that is asked about" in check.notes[0]


def test_images_are_called_what_the_questions_call_them(tmp_path):
    rows = "".join(f"p{n}.png,Is it {n}?,yes\n" for n in range(20))
    write(tmp_path / "train.csv", "image,question,answer\n" + rows)
    [line] = lines(tmp_path, "missing image")
    assert "holds no image that is asked about, such as p0.png; put them there" in line
    for n in range(1, 20):
        picture(tmp_path / f"p{n}.png")
    [line] = lines(tmp_path, "missing image")
    assert "no file of image p0.png, which the train split asks about; put one there of" in line
