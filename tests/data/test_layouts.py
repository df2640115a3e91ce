"""Other people's data, made small: each layout reads as the tables that the official one gives."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.data.making import asked, picture, refusal, rows, write
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.formats import as_id
from vqa_helpers.data.images import images_of
from vqa_helpers.data.layouts import read_layout

SHARED = Path(__file__).parents[3] / "shared" / "cases"

# Small copies of published data: their files, the pictures, and what is read of them, split to id,
# image, question, target and number of answers.
PUBLISHED = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))


def publish(folder, name):
    for path, content in PUBLISHED[name]["files"].items():
        write(folder / path, content)


@pytest.mark.parametrize("name", PUBLISHED)
def test_data_as_they_are_published(tmp_path, name):
    publish(tmp_path, name)
    _, pictures, expected = PUBLISHED[name].values()
    for path in pictures:
        picture(tmp_path / path)
    tables = read_layout(tmp_path)
    assert list(tables) == list(expected)
    for split, table in tables.items():
        ids = table.get("question_name", table["question_id"])
        assert [[id_, *row] for id_, row in zip(ids, rows(table), strict=True)] == expected[split]
    assert all(("answer" in table) == (rows(table)[0][2] is not None) for table in tables.values())
    found = images_of(tmp_path, tables)[1]
    assert {path.relative_to(tmp_path).as_posix() for path in found.values()} == {*pictures}
    for _, image, *_ in sum(expected.values(), []) if pictures else ():
        assert str(image) in found[as_id(image)].as_posix()  # an id is the same in any folder


def test_pointing_questions_are_refused_where_there_are_no_others(tmp_path):
    name = "dataset_v7w_pointing.json"
    path = write(tmp_path / name, PUBLISHED["Visual7W"]["files"][name])
    line = refusal(read_layout, tmp_path)
    assert line.startswith(f"{path}: its answers are boxes, not texts")
    assert line.endswith("; name dataset_v7w_telling.json")


def test_the_text_files_of_coco_qa(tmp_path):
    publish(tmp_path, "COCO-QA")
    assert read_layout(tmp_path)["train"]["question_type"].tolist() == ["object", "number"]
    write(tmp_path / "train" / "answers.txt", "one alone")
    line = refusal(read_layout, tmp_path)
    assert line.startswith(f"{tmp_path / 'train'}: the lines of img_ids.txt, ")
    assert line.endswith("types.txt differ in number; copy the files again")


@pytest.mark.parametrize(
    ("name", "said", "read", "warning"),  # of the third: the numbers of the records, by split
    [
        ("mine.csv", ["train", "val2014", "test", "Train", "odd"],
         {"train": [0, 3, 4], "validation": [1], "test": [2]}, "1 records are of no known split"),
        ("mine.csv", ["train", "holdout"], {"train": [0, 1]}, "1 records are of no known split, and so"),
        ("mine.csv", ["easy", "hard"], {"train": [0, 1]}, None),
        # Several splits go before the name of the file, one does not.
        ("train.csv", ["train", "val", ""], {"train": [0, 2], "validation": [1]}, "1 records are of no"),
        ("train.csv", ["test", "test", ""], {"train": [0, 1, 2]}, "its records say test, its name says"),
    ],
)  # fmt: skip
def test_a_column_says_the_split(tmp_path, caplog, name, said, read, warning):
    lines = [f"Is it {n}?,yes,{split}" for n, split in enumerate(said)]
    path = write(tmp_path / name, "\n".join(["question,answer,split", *lines]))
    questions = {split: [f"Is it {n}?" for n in numbers] for split, numbers in read.items()}
    assert asked(read_layout(tmp_path)) == questions
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == (warning is not None)
    assert all(line.startswith(f"{path}: {warning}") for line in told)


def test_records_without_images_share_none(tmp_path):
    lines = [f"Is it {n}?,a{n % 2}" for n in range(30)]
    write(tmp_path / "train.csv", "\n".join(["question,answer", *lines]))
    picture(tmp_path / "3.png")  # no question's, though one has this number
    dataset = read_folder(tmp_path)
    assert not dataset.images
    assert pd.concat(dataset.splits.values())["image_id"].is_unique


def test_columns_are_named_where_they_are_not_guessed(tmp_path):
    path = write(tmp_path / "mine.csv", "bild,frage,antwort\n1.jpg,Was?,Hund\n2.jpg,Wo?,dort\n")
    line = refusal(read_layout, path)
    assert "which column holds the questions? It has bild, frage, antwort; say so with" in line
    columns = {"image": "bild", "question": "frage", "answer": "antwort"}
    assert rows(read_layout(path, columns)["train"])[0] == ("1.jpg", "Was?", "Hund", 1)
    line = refusal(read_layout, path, {**columns, "image": "foto"})
    assert "has no column 'foto'; it has bild" in line
    write(path, "question,answer,own\nWhat?,b,c\n")
    assert read_layout(path, {"answer": "own"})["train"]["answer"].tolist() == ["c"]


SEVERAL = [("cat", ("cat", "dog", "cat")), ("Ana", ("Ana",))]
WHAT = {"question": "What?"}


@pytest.mark.parametrize(
    ("content", "expected"),  # of the last: the target and the answers of each row
    [
        ("question,answer_1,answer_2,answer_3\nWhat?,cat,dog,cat\nWho?,,Ana,\n", SEVERAL),
        ("question,Answer1,Answer2,Answer3\nWhat?,cat,dog,cat\nWho?,Ana,,\n", SEVERAL),
        ("question,answers\nWhat?,cat; dog ;cat\nWho?,Ana\n", SEVERAL),
        ("question,answers\nWhat?,cat|dog|cat\nWho?,Ana\n", SEVERAL),
        ('question,answer,answers\nWhat?,cat,"cat;dog;cat"\nWho?,Ana,Ana\n', SEVERAL),
        *[([WHAT | {"answer": answer}], [("b", ("a", "b", "b"))]) for answer in (
            ["a", "b", "b"], "['a', 'b', 'b']", "['a' 'b'\n 'b']", '["a", "b", "b"]')],
        *[([WHAT | {"answer": answer}], [(text, (text,))]) for answer, text in (
            ("[unclear]", "[unclear]"), ("[{'answer': 'b', 'answer_confidence': 'yes'}]", "b"),
            ({"text": ["b"], "start": [3]}, "b"), (2.0, "2"), (2.5, "2.5"), ("[" * 9_000, "[" * 9_000))],
        ([WHAT | {"answer": '["it\'s", "b"]'}, WHAT | {"answer": [3.0, "3"]}],
         [("it's", ("it's", "b")), ("3", ("3", "3"))]),
        # Not the first of the choices, and not the most frequent where one is named.
        ([WHAT | {"choices": ["a", "b"], "answer": right} for right in (1, 0)], [("b", ("b",)), ("a", ("a",))]),
        ([WHAT | {"answers": ["a", "b"], "answer": "b"}], [("b", ("a", "b"))]),
    ],
    ids=range(18),
)  # fmt: skip
def test_answers_as_people_have_them(tmp_path, content, expected):
    write(tmp_path / ("train.csv" if isinstance(content, str) else "train.json"), content)
    table = read_layout(tmp_path)["train"]
    assert list(zip(table["answer"], table["answers"], strict=True)) == expected


def test_types_are_texts(tmp_path):
    types = [{"answer_type": 0, "question_type": 1}, {"answer_type": "own"}, {"answer_type": None}]
    write(tmp_path / "train.json", [WHAT | {"answer": "b"} | kinds for kinds in types])
    table = read_layout(tmp_path)["train"]
    assert table["answer_type"].tolist() == ["0", "own", "other"]
    assert table["question_type"].tolist() == ["1", "what", "what"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("train.csv", "image,question,answer\n1.jpg,,cat\n", "record 0: question is ''; write the"),
        ("train.csv", "image,question,answer\n,What?,cat\n", "record 0: image is empty; name the image"),
        ("train.json", '[{"question": 3, "answer": "b"}]', "record 0: question is 3; write the question"),
        ("train.csv", "image,question,answer\n1.jpg,What?,cat\n2.jpg,Who?,\n", "1 questions have no ans"),
        *[("train.json", content, "holds no records") for content in ({"a": 3}, [1, 2], [], {})],
        *[("data.json", {"images": images}, "holds no records") for images in ([], [{"qa_pairs": []}])],
        ("data.json", [{"qas": "none", "id": 1}], "which column holds the questions"),
        ("data.json", [{f"key{n}": n for n in range(9_000)}], "which column holds the questions"),
        ("data.json", {"question": ["What?", "Who?"], "answer": ["a"]}, "as json (All arrays must be"),
        ("train.json", '[{"question": "a?", "answer": "b"}, 5]', "holds no records"),
        ("train.json", "[" * 100_000, "cannot be read as json"),
        ("train.csv", "image,question,answer\n", "holds no records"),
        ("train.csv", "image,question,answer\n1.jpg,red, or blue?,red\n", "record 0: has more values than"),
        ("train.csv", 'image,question,answer\n1.jpg,"What?,red\n', "cannot be read as csv"),
        ("train.json", '[{"question": "a?", "answer": [["b"]]}]', "record 0: the answer is [['b']]; write"),
        ("train.json", [WHAT | {"answer": "b", "answer_type": ["c"]}], "answer_type ['c'] is no text; name"),
        ("train.jsonl", '{"question": "a"}\n{"question": ', "cannot be read as jsonl"),
        ("train.parquet", "PAR1 not", "cannot be read as parquet"),
        ("train.json", [{"id": 1, "question": "a?", "answer": "b"}] * 2, "repeat a question id"),
        ("train.json", [{"image": 1.5, "question": "a?", "answer": "b"}], "record 0: 0 or 1.5 is no id; use"),
        # A column that the first record lacks.
        ("train.json", [{"question": "What?"}, {"question": "Who?", "answer": "b"}], "1 questions have no ans"),
        ("train.json", [{"question": "What?", "answer": "a"}, {"question": "Who?", "image": "2.png"}],
         "record 0: image is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, expected):
    path = write(tmp_path / name, content)
    line = refusal(read_layout, tmp_path)
    assert str(path) in line and expected in line and len(line) < 600


CASES = {  # train questions and images, with the splits that are cut from them
    "01-vizwiz": (16, 16), "02-same-number-in-two-splits": (16, 16), "04-text-ids": (12, 12),
    "05-vqacp-lists": (12, 12), "06-json-lines": (12, 0), "07-answers-are-texts": (12, 0),
    "08-annotations-without-image-id": (12, 0), "09-utf16": (12, 0), "10-pandas-floats": (12, 0),
    "12-abstract-scenes": (12, 0), "13-own-dataset-json": (12, 0), "14-medical-answer-types": (12, 0),
    "28-coco-2014-and-2017": (42, 14), "32-id-not-last": (42, 14),
}  # fmt: skip


@pytest.mark.skipif(not SHARED.is_dir(), reason="the collected cases are not at hand")
@pytest.mark.parametrize("case", CASES)
def test_cases_that_people_reported(case):
    dataset = read_folder(SHARED / case)
    questions = pd.concat(dataset.splits.values())
    assert (len(questions), len(dataset.images)) == CASES[case]
    if case == "14-medical-answer-types":
        assert questions["answer"].nunique() == 1
    elif case not in ("28-coco-2014-and-2017", "32-id-not-last"):
        assert set(questions["answer"]) == {"red", "blue", "green"}


def test_numbers_that_pandas_wrote_with_a_point(tmp_path):
    lines = "".join(f"{n}.0,{n + 7}.0,Is it {n}?,2.0\n" for n in range(3))
    header, last = "question_id,image_id,question,answer\n", "v1.0,v1.0,A?,b\n"
    write(tmp_path / "train.csv", header + lines + last)
    for name in ("7", "8", "9", "v1.0"):
        picture(tmp_path / f"{name}.png")
    tables, images = images_of(tmp_path, read_layout(tmp_path))
    table = tables["train"]
    assert table["question_id"].tolist() == [0, 1, 2, as_id("v1.0")] != [0, 1, 2, as_id("v1")]
    assert [images[i].stem for i in table["image_id"]] == ["7", "8", "9", "v1.0"]
