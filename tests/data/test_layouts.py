"""Other people's data, made small: each layout reads as the tables that the official one gives."""

from pathlib import Path

import pandas as pd
import pytest

from tests.data.making import picture, rows, write
from vqa_helpers.data.check import check_folder
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.formats import as_id
from vqa_helpers.data.images import images_of
from vqa_helpers.data.layouts import read_layout
from vqa_helpers.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "cases"

TEN = [{"answer": a, "answer_confidence": "yes"} for a in ["red"] * 6 + ["pink"] * 4]
VIZWIZ = {"answers": TEN, "answer_type": "other", "answerable": 1, "question": "What colour?"}
GQA = {
    "imageId": "n161313", "question": "Is it red?", "answer": "yes", "fullAnswer": "Yes, it is.",
    "isBalanced": True, "entailed": ["05451384"], "groups": {"global": None, "local": "06-chair"},
    "types": {"structural": "verify"}, "annotations": {"answer": {}, "question": {"3": "2"}},
    "semantic": [{"operation": "select", "dependencies": [], "argument": "chair (2)"}],
}  # fmt: skip
A_OKVQA = {"split": "val", "image_id": 42, "question_id": "22jbM6g", "question": "What is it for?",
           "choices": ["run", "swim"], "correct_choice_idx": 1,
           "direct_answers": ["swim"] * 4 + ["swimming"] * 6}  # fmt: skip
CLEVR = {"question_index": 0, "image_index": 0, "question": "How many?"}
SLAKE = {"question": "Is it a lung?", "answer": "Yes", "answer_type": "CLOSED"}
SAYS = {"image_id": "002ab", "question": "what does it say?", "answers": ["stop"] * 7 + ["go"] * 3}
VOCABULARY = ",answer\n0,swim\n"
BOXES = [{"box_id": n, "name": "cat", "x": 1, "y": 1, "width": 2, "height": 2} for n in range(9)]


def visual7w(answer, choices):
    """As the authors' toolkit reads it: images, each with its pairs of question and answer."""
    return [
        {"split": split, "image_id": image, "filename": f"v7w_{image}.jpg", "qa_pairs": [
            {"image_id": image, "qa_id": 10 * image, "type": "what", "question": "What is it?",
             "answer": answer, "multiple_choices": choices}]}
        for split, image in (("train", 2360153), ("test", 2360155))
    ]  # fmt: skip


def visual_genome(key):
    """As the API's readme has it (image_id), and as the files do (id); image names are the ids."""
    images = [
        {key: image, "qas": [
            {"qa_id": 986770 + image, "image_id": image, "question": "Where is it?",
             "answer": "On the sidewalk.", "a_objects": [], "q_objects": []}]} for image in (1, 2)
    ]  # fmt: skip
    notes = [{"image_id": n, "width": 8, "url": f"VG_100K/{n}.jpg"} for n in range(1, 9)]
    return {
        "question_answers.json": [*images, {key: 31, "qas": []}], "image_data.json": notes,
        "objects.json": [{"image_id": 1, "objects": [{"object_id": 5}]}],
    }  # fmt: skip


def release(questions, annotations, picture):
    """A release in folders, by these names: train and val, a yes/no question each."""
    files, pictures, expected = {}, [], {}
    for split, name, image in (("train", "train", 900_000_000), ("val", "validation", 900_000_001)):
        entry = {"question_id": 10 * image, "image_id": image}
        said = {"multiple_choice_answer": "no", "answers": [{"answer": "no", "answer_id": 1}] * 10}
        files |= {
            questions.format(split, split.title()): {"questions": [entry | {"question": "Is it?"}]},
            annotations.format(split, split.title()): {"annotations": [entry | said]},
        }
        pictures.append(picture.format(split, image))
        expected[name] = [(10 * image, image, "Is it?", "no", 10)]
    return files, pictures, expected


POINTING = {"boxes": BOXES, "images": visual7w(7, [8, 9, 10])}
VALIDATION, TEST = 10**9, 2 * 10**9  # the first ids of questions that have none

# Files, pictures, and what is read: split to id, image, question, target and number of answers.
PUBLISHED = {
    "VizWiz": (
        {"Annotations/train.json": [VIZWIZ | {"image": "VizWiz_train_00000000.jpg"}],
         "Annotations/val.json": [VIZWIZ | {"image": "VizWiz_val_00000000.jpg"}],
         "Annotations/test.json": [{"image": "VizWiz_test_00000000.jpg", "question": "What?"}]},
        ["train/VizWiz_train_00000000.jpg", "val/VizWiz_val_00000000.jpg",
         "test/VizWiz_test_00000000.jpg"],
        {"train": [(0, "VizWiz_train_00000000.jpg", "What colour?", "red", 10)],
         "validation": [(VALIDATION, "VizWiz_val_00000000.jpg", "What colour?", "red", 10)],
         "test": [(TEST, "VizWiz_test_00000000.jpg", "What?", None, 0)]},
    ),
    "GQA": (
        {"train_balanced_questions.json": {"02930152": GQA},
         "train_all_questions.json": {"02930152": GQA, "05": GQA},
         "testdev_balanced_questions.json": {"201": GQA | {"imageId": "77"}},
         "test_balanced_questions.json": {"9": {"imageId": "78", "question": "Is it blue?"}},
         "train_sceneGraphs.json": {"1": {"width": 3, "objects": {}}}},
        ["images/78.jpg", "images/n161313.jpg", "images/77.jpg"],
        {"train": [("02930152", "n161313", "Is it red?", "yes", 1)],
         "test": [("201", "77", "Is it red?", "yes", 1)],
         "export": [("9", "78", "Is it blue?", None, 0)]},
    ),
    "VQA in folders": release(
        "Questions/OpenEnded_mscoco_{}2014_questions.json",
        "Annotations/mscoco_{}2014_annotations.json",
        "{0}2014/COCO_{0}2014_{1:012d}.jpg",
    ),
    "binary abstract scenes": release(  # the names inside the archives; images still say 2015
        "Questions_Binary_{1}2017_abstract_v002/OpenEnded_abstract_v002_{0}2017_questions.json",
        "Annotations_Binary_{1}2017_abstract_v002/abstract_v002_{0}2017_annotations.json",
        "scene_img_abstract_v002_{0}2017/abstract_v002_{0}2015_{1:012d}.png",
    ),
    "GQA as its archives unpack": (  # train in parts
        {f"questions1.2/train_all_questions/train_all_questions_{part}.json":
            {f"0{part}{n}": GQA | {"imageId": f"n{part}{n}"} for n in range(2)} for part in range(2)}
        | {"questions1.2/val_balanced_questions.json": {"07": GQA | {"imageId": "2370799"}},
           "questions1.2/submission_all_questions.json": {"9": {"imageId": "n9", "question": "Is?"}}},
        ["images/n00.jpg", "images/n01.jpg", "images/n10.jpg", "images/n11.jpg", "images/2370799.jpg"],
        {"train": [(f"0{n}", f"n{n}", "Is it red?", "yes", 1) for n in ("00", "01", "10", "11")],
         "validation": [("07", "2370799", "Is it red?", "yes", 1)]},
    ),
    "Visual7W": (
        {"dataset_v7w_telling.json": {"dataset": "v7w_telling",
                                      "images": visual7w("A cat.", ["Apples.", "Pears."])},
         "dataset_v7w_pointing.json": POINTING},
        ["images/v7w_2360153.jpg", "images/v7w_2360155.jpg"],
        {"train": [(23601530, "v7w_2360153.jpg", "What is it?", "A cat.", 1)],
         "test": [(23601550, "v7w_2360155.jpg", "What is it?", "A cat.", 1)]},
    ),
    **{f"Visual Genome, {key}": (
        visual_genome(key), ["VG_100K/1.jpg", "VG_100K_2/2.jpg"],
        {"train": [(986770 + n, n, "Where is it?", "On the sidewalk.", 1) for n in (1, 2)]},
    ) for key in ("id", "image_id")},
    "TextVQA": (
        {"TextVQA_0.5.1_train.json": {"dataset_type": "train", "data": [
            SAYS | {"question_id": n, "set_name": "train"} for n in range(3)]}},
        [],
        {"train": [(n, "002ab", "what does it say?", "stop", 10) for n in range(3)]},
    ),
    "A-OKVQA": (
        {"aokvqa_v1p0_val.json": [A_OKVQA],
         "aokvqa_v1p0_train.json": [A_OKVQA | {"question_id": "other"}],
         "large_vocab_train.csv": VOCABULARY, "vocab_train.csv": VOCABULARY},
        ["42.jpg"],
        {"train": [("other", 42, "What is it for?", "swim", 10)],
         "validation": [("22jbM6g", 42, "What is it for?", "swim", 10)]},
    ),
    "CLEVR": (  # numbers begin again in each split; the file's name is the image
        {f"questions/CLEVR_{split}_questions.json": {"info": {"split": split}, "questions": [
            CLEVR | answered | {"split": split, "image_filename": f"CLEVR_{split}_000000.png"}]}
         for split, answered in (("train", {"answer": "3"}), ("test", {}))},
        ["images/train/CLEVR_train_000000.png", "images/test/CLEVR_test_000000.png"],
        {"train": [(0, "CLEVR_train_000000.png", "How many?", "3", 1)],
         "test": [(0, "CLEVR_test_000000.png", "How many?", None, 0)]},
    ),
    "SLAKE": (
        {f"{split}.json": [SLAKE | {"img_id": n, "qid": n, "img_name": f"xmlab{n}/source.jpg"}]
         for split, n in (("train", 0), ("validate", 5))},
        ["imgs/xmlab0/source.jpg", "imgs/xmlab5/source.jpg"],
        {"train": [(0, "xmlab0/source.jpg", "Is it a lung?", "Yes", 1)],
         "validation": [(5, "xmlab5/source.jpg", "Is it a lung?", "Yes", 1)]},
    ),
    "COCO-QA": (
        {f"{split}/{name}.txt": text for split in ("train", "test") for name, text in (
            ("questions", "what is on the desk\nhow many cats\n"), ("types", "0\n1\n"),
            ("answers", "book\ntwo\n"), ("img_ids", "42\n7\n"))},
        ["COCO_train2014_000000000042.jpg", "COCO_val2014_000000000007.jpg"],
        {split: [(first, 42, "what is on the desk?", "book", 1),
                 (first + 1, 7, "how many cats?", "two", 1)]
         for split, first in (("train", 0), ("test", TEST))},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_data_as_they_are_published(tmp_path, name):
    files, pictures, expected = PUBLISHED[name]
    for path, content in files.items():
        write(tmp_path / path, content)
    for path in pictures:
        picture(tmp_path / path)
    tables = read_layout(tmp_path)
    assert list(tables) == list(expected)
    for split, table in tables.items():
        ids = table.get("question_name", table["question_id"])
        assert [(id_, *row) for id_, row in zip(ids, rows(table), strict=True)] == expected[split]
    assert all(("answer" in table) == (rows(table)[0][2] is not None) for table in tables.values())
    found = images_of(tmp_path, tables)[1]
    assert {path.relative_to(tmp_path).as_posix() for path in found.values()} == {*pictures}
    for _, image, *_ in sum(expected.values(), []) if pictures else ():
        assert str(image) in found[as_id(image)].as_posix()  # an id is the same in any folder


def test_pointing_questions_are_refused_where_there_are_no_others(tmp_path):
    write(tmp_path / "dataset_v7w_pointing.json", POINTING)
    expected = "pointing.json: its answers are boxes, not texts .*; name dataset_v7w_telling.json"
    with pytest.raises(InputError, match=expected):
        read_layout(tmp_path)


def test_the_types_of_coco_qa(tmp_path):
    for path, content in PUBLISHED["COCO-QA"][0].items():
        write(tmp_path / path, content)
    assert read_layout(tmp_path)["train"]["question_type"].tolist() == ["object", "number"]


def test_a_column_says_the_split_where_the_file_does_not(tmp_path):
    said = [("train", "a"), ("val2014", "b"), ("test", ""), ("Train", "c"), ("odd", "d")]
    lines = [f"{n}.jpg,Is it {n}?,{answer},{split}" for n, (split, answer) in enumerate(said)]
    path = write(tmp_path / "mine.csv", "\n".join(["image,question,answer,split", *lines]))
    tables = read_layout(path)
    assert {split: table["question"].tolist() for split, table in tables.items()} == {
        "train": ["Is it 0?", "Is it 3?", "Is it 4?"], "validation": ["Is it 1?"],
        "test": ["Is it 2?"],
    }  # fmt: skip
    assert "answer" not in tables["test"]


def test_records_without_images_share_none(tmp_path):
    lines = [f"Is it {n}?,a{n % 2}" for n in range(30)]
    write(tmp_path / "train.csv", "\n".join(["question,answer", *lines]))
    picture(tmp_path / "3.png")  # no question's, though one has this number
    dataset = read_folder(tmp_path)
    assert not dataset.images
    assert pd.concat(dataset.splits.values())["image_id"].is_unique


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "semicolons.csv"])
def test_tables_of_peoples_own(tmp_path, kind):
    table = pd.DataFrame(
        {"img_name": ["a b.png", "ä.png", "a b.png"], "Question": ["What, now?", "Who?", "How many?"],
         "Answer": ["a cat", "Ana", "2"]}
    )  # fmt: skip
    path = tmp_path / f"train.{kind}"
    if kind == "parquet":
        table.to_parquet(path)
    elif kind == "jsonl":
        table.to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        sep = {"tsv": "\t", "csv": ",", "semicolons.csv": ";"}[kind]
        table.to_csv(path, index=False, sep=sep)
    picture(tmp_path / "img" / "a b.png"), picture(tmp_path / "img" / "ä.png")
    wanted = [("a b.png", "What, now?", "a cat", 1), ("ä.png", "Who?", "Ana", 1),
              ("a b.png", "How many?", "2", 1)]  # fmt: skip
    for data in (tmp_path, path):  # the folder, or the file itself
        read = read_layout(data)["train"]
        assert rows(read) == wanted
        assert read["answer_type"].tolist() == ["other", "other", "number"]
    assert read["image_id"].nunique() == 2
    for check in (check_folder(path), check_folder(tmp_path)):
        assert check.images["found"] == 2 and [p.kind for p in check.problems] == ["splits"]


def test_columns_are_named_where_they_are_not_guessed(tmp_path):
    path = write(tmp_path / "mine.csv", "bild,frage,antwort\n1.jpg,Was?,Hund\n2.jpg,Wo?,dort\n")
    expected = (
        r"mine.csv: which column holds the questions\? It has bild, frage, antwort; say so with"
    )
    with pytest.raises(InputError, match=expected):
        read_layout(path)
    columns = {"image": "bild", "question": "frage", "answer": "antwort"}
    assert rows(read_layout(path, columns)["train"])[0] == ("1.jpg", "Was?", "Hund", 1)
    with pytest.raises(InputError, match="has no column 'foto'; it has bild"):
        read_layout(path, {**columns, "image": "foto"})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (["a", "b", "b"], ("b", 3)), ("['a', 'b', 'b']", ("b", 3)), ("['a' 'b'\n 'b']", ("b", 3)),
        ('["it\'s", "b", "b"]', ("b", 3)), ("[unclear]", ("[unclear]", 1)),
        ("[{'answer': 'b', 'answer_confidence': 'yes'}]", ("b", 1)),
        ({"text": ["b"], "start": [3]}, ("b", 1)), (2.0, ("2", 1)), (2.5, ("2.5", 1)),
        ([3.0, "3"], ("3", 2)), ("[" * 9_000, ("[" * 9_000, 1)),
    ],
)  # fmt: skip
def test_answers_as_people_have_them(tmp_path, answer, expected):
    write(tmp_path / "train.json", [{"question": "What?", "answer": answer}])
    assert rows(read_layout(tmp_path)["train"])[0][2:] == expected


def test_the_answer_is_not_the_first_of_the_choices(tmp_path):
    write(tmp_path / "train.json", [
        {"question": "What?", "choices": ["a", "b"], "answer": 1},
        {"question": "Who?", "choices": ["a", "b"], "answer": 0},
    ])  # fmt: skip
    table = read_layout(tmp_path)["train"]
    assert table["answer"].tolist() == ["b", "a"]
    assert table["answers"].tolist() == [("b",), ("a",)]
    write(
        tmp_path / "train.json",
        [{"question": "What?", "answers": ["a", "b"], "answer": "b", "own": "c"}],
    )
    assert read_layout(tmp_path)["train"]["answer"].tolist() == ["b"]
    assert read_layout(tmp_path, {"answer": "own"})["train"]["answer"].tolist() == ["c"]


def test_a_column_that_the_first_record_lacks(tmp_path):
    first, second = {"question": "What?"}, {"question": "Who?", "image": "2.png", "answer": "b"}
    write(tmp_path / "train.json", [first | {"image": "1.png"}, second])
    with pytest.raises(InputError, match="1 questions have no answer"):
        read_layout(tmp_path)
    write(tmp_path / "train.json", [first | {"answer": "a"}, second])
    with pytest.raises(InputError, match="record 0: image is empty"):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("train.csv", "image,question,answer\n1.jpg,,cat\n", "record 0: question is ''; write the"),
        ("train.csv", "image,question,answer\n,What?,cat\n", "record 0: image is empty; name the image"),
        ("train.json", '[{"question": 3, "answer": "b"}]', "record 0: question is 3; write the question"),
        ("train.csv", "image,question,answer\n1.jpg,What?,cat\n2.jpg,Who?,\n", "1 questions have no ans"),
        ("train.json", '{"a": 3}', "holds no records"), ("train.json", "[1, 2]", "holds no records"),
        ("train.json", '[{"question": "a?", "answer": "b"}, 5]', "holds no records"),
        ("train.json", "[" * 100_000, "cannot be read as json"),
        ("train.csv", "image,question,answer\n", "holds no records"),
        ("train.csv", "image,question,answer\n1.jpg,red, or blue?,red\n", "record 0: has more values than"),
        ("train.csv", 'image,question,answer\n1.jpg,"What?,red\n', "cannot be read as csv"),
        ("train.json", '[{"question": "a?", "answer": [["b"]]}]', "record 0: the answer is [['b']]; write"),
        ("train.jsonl", '{"question": "a"}\n{"question": ', "cannot be read as jsonl"),
        ("train.parquet", "PAR1 not", "cannot be read as parquet"),
        ("train.json", '[{"question_id": 1, "question": "a?", "answer": "b"},'
         ' {"question_id": 1, "question": "c?", "answer": "d"}]', "repeat a question id"),
        ("train.json", '[{"image": 1.5, "question": "a?", "answer": "b"}]', "record 0: 0 or 1.5 is no id; use"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, expected):
    path = write(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        read_layout(tmp_path)
    assert str(path) in str(caught.value) and expected in str(caught.value)
    assert "\n" not in str(caught.value)


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
    write(
        tmp_path / "train.csv",
        "question_id,image_id,question,answer\n" + lines + "v1.0,v1.0,A?,b\n",
    )
    for name in ("7", "8", "9", "v1.0"):
        picture(tmp_path / f"{name}.png")
    tables, images = images_of(tmp_path, read_layout(tmp_path))
    table = tables["train"]
    assert table["question_id"].tolist() == [0, 1, 2, as_id("v1.0")] != [0, 1, 2, as_id("v1")]
    assert [images[i].stem for i in table["image_id"]] == ["7", "8", "9", "v1.0"]
