"""`check_folder`: all that a folder holds and all that is wrong with it, in one report."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from tests.builders import write_dataset, write_json
from vqa_helpers.data.check import MOST_LINES, check_folder
from vqa_helpers.data.folder import MANIFEST, read_folder
from vqa_helpers.errors import InputError

REAL = Path(__file__).parents[2] / ".." / "shared" / "data"


def real(name):
    folder = REAL / name
    if not folder.is_dir():
        pytest.skip(f"the real data {name} are not on this machine")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_dataset(tmp_path / "own", images=5)


def edit(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    (rows,) = content.values()
    change(rows)
    write_json(path, content)


def kinds(folder):
    return [problem.kind for problem in check_folder(folder).problems]


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
    assert test["answers_per_question"] == {"10": 15}
    assert check.splits["train"]["answers_per_question"] == {"1": 1, "10": 14}
    train = set(read_folder(folder).splits["train"]["answer"])
    expected = 100 * (10 / 15 if "yes" in train else 0)
    assert test["coverage"] == pytest.approx(expected)
    assert check.splits["train"]["coverage"] == 100
    assert json.loads(json.dumps(check.to_json())) == check.to_json()


def test_an_answerless_test_split(folder):
    (folder / "annotations_test.json").unlink()
    check = check_folder(folder)
    assert check.problems == [] and "the test split has no answers" in check.notes[0]
    assert check.splits["test"] == {
        "questions": 15, "images": 5, "answers": None, "answer_types": {}, "question_types": {},
        "answers_per_question": {}, "coverage": None,
    }  # fmt: skip
    assert [line.split()[-1] for line in check.lines()[:4]] == ["each", "10", "10", "none"]


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
    for problem in check.problems:
        assert str(folder) in problem.line and ";" in problem.line
    *_, last = check.lines()
    assert last.startswith("11 problems: 3 file name, 1 empty question")


def test_people_see_twenty_of_a_kind_and_json_has_all(folder):
    for split in ("train", "val"):
        edit(folder / f"questions_{split}.json", lambda rows: [r.update(question="") for r in rows])
    check = check_folder(folder)
    shown = [line for line in check.lines() if line.startswith("problem: ")]
    assert len(shown) == MOST_LINES + 1
    assert shown[-1] == "problem: … 10 more: empty question (--json has all)"
    assert len(check.to_json()["problems"]) == 30


def test_the_tables_are_aligned(folder):
    lines = check_folder(folder).lines()
    header, *rows = lines[:4]
    assert header.split()[:3] == ["questions", "images", "answers"]
    assert len({row.index("15") for row in rows}) == 1
    assert "answer type  train  validation  test" in lines
    assert lines[-1] == "no problem found"


def test_shared_images_are_said_as_a_run_says_them(folder):
    def move(rows):
        for row in rows:
            row["image_id"] = 1 if row["image_id"] == 2001 else row["image_id"]

    edit(folder / "questions_test.json", move)
    edit(folder / "annotations_test.json", move)
    assert check_folder(folder).notes == read_folder(folder).notes != []


def test_splits_that_no_run_can_use(folder):
    (folder / "annotations_val.json").unlink()
    assert kinds(folder) == ["splits"]
    (folder / "annotations_train.json").unlink()
    problems = check_folder(folder).problems
    assert "has no train split with answers" in problems[0].line
    assert "the validation split has no answers to choose an epoch by" in problems[1].line


def test_one_file_twice_leaves_no_train_split(folder):
    for kind in ("questions", "annotations"):
        shutil.copy(folder / f"{kind}_train.json", folder / f"{kind}_test.json")
    check = check_folder(folder)
    assert "every image of the train split stands in the test split" in check.problems[0].line
    assert any("15 question ids stand in two splits" in note for note in check.notes)


def test_too_few_images_to_cut(tmp_path):
    check = check_folder(write_dataset(tmp_path / "own", images=2, splits=("train",)))
    assert "cannot be cut by image" in check.problems[0].line


def test_splits_cut_by_row_share_images_on_purpose(folder):
    write_json(folder / MANIFEST, {"rule": "study"})
    for kind in ("questions", "annotations"):
        content = json.loads((folder / f"{kind}_train.json").read_text())
        for row in content[kind]:
            row["question_id"] += 50_000
        write_json(folder / f"{kind}_test.json", content)
    check = check_folder(folder)
    assert check.problems == []
    assert "5 images stand in two splits, as the study has it" in check.notes[-1]


def test_no_folder_and_no_dataset(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        check_folder(tmp_path / "absent")
    check = check_folder(tmp_path)
    assert [p.kind for p in check.problems] == ["file name"] and check.splits == {}
    assert check.lines()[-1] == "1 problems: 1 file name"


def test_official_sample():
    check = check_folder(real("coco_sample"))
    train = check.splits["train"]
    assert check.problems == [] and check.images == {"asked": 45, "found": 45, "opened": True}
    assert (train["questions"], train["images"]) == (67, 45)
    assert sum(train["answer_types"].values()) == 67
    assert train["answers_per_question"] == {"10": 67} and train["coverage"] == 100


def test_daquar():
    check = check_folder(real("daquar"), images="names")
    assert check.problems == []
    assert check.images == {"asked": 794 + 653, "found": 794 + 653, "opened": False}
    assert check.splits["train"]["questions"] == 6795 and check.splits["test"]["answers"] is None
    assert check.splits["train"]["answers_per_question"] == {"1": 6795}
    assert any("6,795 annotations with fewer than ten answers" in note for note in check.notes)


def test_text_alone():
    check = check_folder(real("vqa2_text"))
    assert check.problems == [] and check.images["found"] == 0
    counts = [check.splits[split]["questions"] for split in ("train", "validation")]
    assert counts == [48_061, 8_977]
    assert check.splits["validation"]["coverage"] == pytest.approx(87.9, abs=0.1)
    assert any("about 3,930 images that validation holds too" in note for note in check.notes)
