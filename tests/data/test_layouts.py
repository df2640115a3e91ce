"""Other people's data, made small: each layout reads as the tables that the official one gives."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from vqa_helpers.data.build import convert
from vqa_helpers.data.check import check_folder
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.formats import as_id
from vqa_helpers.data.images import images_of
from vqa_helpers.data.layouts import read_layout
from vqa_helpers.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "cases"


def write(path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def picture(path, colour=(9, 9, 9)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def rows(table) -> list[tuple]:
    """(image's name or id, question, target, number of answers) of each row."""
    image = table["image_name"] if "image_name" in table else table["image_id"]
    answers = table["answers"].map(len) if "answers" in table else [0] * len(table)
    target = table["answer"] if "answer" in table else [None] * len(table)
    return list(zip(image, table["question"], target, answers, strict=True))


def test_vizwiz(tmp_path):
    ten = [{"answer": a, "answer_confidence": "yes"} for a in ["red"] * 6 + ["pink"] * 4]
    for split in ("train", "val", "test"):
        entry = {"image": f"VizWiz_{split}_00000000.jpg", "question": "What colour?"}
        answers = (
            {} if split == "test" else {"answers": ten, "answer_type": "other", "answerable": 1}
        )
        write(tmp_path / "Annotations" / f"{split}.json", [entry | answers])
        picture(tmp_path / split / entry["image"])
    tables = read_layout(tmp_path)
    assert list(tables) == ["train", "validation", "test"]
    assert rows(tables["train"]) == [("VizWiz_train_00000000.jpg", "What colour?", "red", 10)]
    assert "answer" not in tables["test"]
    ids = pd.concat([table["question_id"] for table in tables.values()])
    assert ids.is_unique
    dataset = read_folder(tmp_path)
    assert not dataset.missing_images() and len(set(dataset.images)) == 3
    (image_id,) = dataset.splits["train"]["image_id"]
    assert image_id == as_id("VizWiz_train_00000000.jpg")  # the same in any folder
    assert dataset.images[image_id].name == "VizWiz_train_00000000.jpg"


def test_gqa(tmp_path):
    entry = {"imageId": "n161313", "question": "Is it red?", "answer": "yes", "isBalanced": True,
             "types": {"structural": "verify"}}  # fmt: skip
    write(tmp_path / "train_balanced_questions.json", {"02930152": entry})
    write(tmp_path / "train_all_questions.json", {"02930152": entry, "05": entry})
    write(tmp_path / "testdev_balanced_questions.json", {"201": {**entry, "imageId": "77"}})
    unanswered = {"imageId": "78", "question": "Is it blue?"}
    write(tmp_path / "test_balanced_questions.json", {"9": unanswered})
    write(tmp_path / "train_sceneGraphs.json", {"1": {"width": 3, "objects": {}}})
    picture(tmp_path / "images" / "78.jpg")
    picture(tmp_path / "images" / "n161313.jpg"), picture(tmp_path / "images" / "77.jpg")
    tables = read_layout(tmp_path)
    assert {split: rows(table) for split, table in tables.items()} == {
        "train": [("n161313", "Is it red?", "yes", 1)], "test": [("77", "Is it red?", "yes", 1)],
        "export": [("78", "Is it blue?", None, 0)],
    }  # fmt: skip
    assert tables["train"]["question_name"].tolist() == ["02930152"]
    assert len(images_of(tmp_path, tables)[1]) == 3


def test_textvqa_and_answers_that_are_texts(tmp_path):
    data = [{"question_id": n, "image_id": f"00{n}ab", "question": "what does it say?",
             "answers": ["stop"] * 7 + ["go"] * 3, "set_name": "train"} for n in range(3)]  # fmt: skip
    write(tmp_path / "TextVQA_0.5.1_train.json", {"dataset_type": "train", "data": data})
    table = read_layout(tmp_path)["train"]
    assert rows(table)[2] == ("002ab", "what does it say?", "stop", 10)
    assert table["question_id"].tolist() == [0, 1, 2]


def test_a_okvqa(tmp_path):
    entry = {"split": "val", "image_id": 42, "question_id": "22jbM6gDxdaMaunuzgrsBB",
             "question": "What is it for?", "choices": ["run", "swim"], "correct_choice_idx": 1,
             "direct_answers": ["swim"] * 4 + ["swimming"] * 6}  # fmt: skip
    write(tmp_path / "aokvqa_v1p0_val.json", [entry])
    write(tmp_path / "aokvqa_v1p0_train.json", [{**entry, "question_id": "other"}])
    write(tmp_path / "large_vocab_train.csv", ",answer\n0,swim\n")  # as the release has it
    write(tmp_path / "vocab_train.csv", ",answer\n0,swim\n")
    table = read_layout(tmp_path)["validation"]
    assert rows(table) == [(42, "What is it for?", "swim", 10)]
    assert table["question_name"].tolist() == ["22jbM6gDxdaMaunuzgrsBB"]


def test_clevr(tmp_path):
    """Numbers of questions and of images begin again in each split; the file's name is the image."""
    for split, answered in (("train", True), ("val", True), ("test", False)):
        entries = [
            {"split": split, "question_index": n, "image_index": n // 2, "question": f"How many {n}?",
             "image_filename": f"CLEVR_{split}_{n // 2:06d}.png"} | ({"answer": str(n)} if answered else {})
            for n in range(6)
        ]  # fmt: skip
        content = {"info": {"split": split}, "questions": entries}
        write(tmp_path / "questions" / f"CLEVR_{split}_questions.json", content)
        for n in range(3):
            picture(tmp_path / "images" / split / f"CLEVR_{split}_{n:06d}.png")
    dataset = read_folder(tmp_path)
    assert len(dataset.images) == 9 and not dataset.missing_images()
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        table = dataset.splits[split]
        seen = [dataset.images[image_id].name for image_id in table["image_id"]]
        assert seen == [f"CLEVR_{name}_{n // 2:06d}.png" for n in range(6)]
    assert "answer" not in dataset.splits["test"]


def test_slake(tmp_path):
    for split, n in (("train", 0), ("validate", 5)):
        entry = {"img_id": n, "img_name": f"xmlab{n}/source.jpg", "question": "Is it a lung?",
                 "answer": "Yes", "qid": n, "answer_type": "CLOSED"}  # fmt: skip
        write(tmp_path / f"{split}.json", [entry])
        picture(tmp_path / "imgs" / f"xmlab{n}" / "source.jpg")
    tables = read_layout(tmp_path)
    assert list(tables) == ["train", "validation"]
    assert rows(tables["validation"]) == [("xmlab5/source.jpg", "Is it a lung?", "Yes", 1)]
    images = images_of(tmp_path, tables)[1]
    (image_id,) = tables["validation"]["image_id"]
    assert images[image_id].parent.name == "xmlab5" and len(images) == 2


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


def test_a_folder_of_the_hub_with_pictures_inside(tmp_path):
    def content(colour):
        made = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(made, format="PNG")
        return {"bytes": made.getvalue(), "path": None}

    for shard in range(2):
        pd.DataFrame(
            {"image": [content((shard, 0, 0)), content((9, 9, 9))], "question": ["What?", "Who?"],
             "answers": [["a", "b", "a"], ["c"]]}
        ).to_parquet(
            tmp_path.joinpath("data").mkdir(exist_ok=True)
            or tmp_path / "data" / f"train-0000{shard}-of-00002.parquet"
        )  # fmt: skip
    dataset = read_folder(tmp_path)
    questions = pd.concat(dataset.splits.values())
    assert len(questions) == 4 and questions["image_id"].nunique() == 3  # one stands in both
    assert sorted(questions["answer"]) == ["a", "a", "c", "c"]
    assert not dataset.missing_images()
    colours = {np.asarray(Image.open(path))[0, 0, 0] for path in dataset.images.values()}
    assert colours == {0, 1, 9}


def test_a_folder_that_datasets_saved(tmp_path):
    def content(colour):
        made = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(made, format="PNG")
        return {"bytes": made.getvalue(), "path": "image"}  # no ending

    for split, count in (("train", 2), ("validation", 1)):
        for part in range(count):
            table = pa.table({"image": [content((part, 0, 0))], "question": [f"What {part}?"],
                              "answers": [{"answer": ["a", "b", "b"], "answer_id": [1, 2, 3]}]})  # fmt: skip
            path = tmp_path / split / f"data-0000{part}-of-0000{count}.arrow"
            path.parent.mkdir(exist_ok=True)
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
                out.write_table(table)
        write(tmp_path / split / "state.json", {"_data_files": [{"filename": path.name}]})
        features = {"question": {"dtype": "string", "_type": "Value"}}
        write(tmp_path / split / "dataset_info.json", {"features": features})
    write(tmp_path / "dataset_dict.json", {"splits": ["train", "validation"]})
    dataset = read_folder(tmp_path, arranged=False)
    for split, count in (("train", 2), ("validation", 1)):
        table = dataset.splits[split]
        assert table["question"].tolist() == [f"What {part}?" for part in range(count)]
        seen = [np.asarray(Image.open(dataset.images[i]))[0, 0, 0] for i in table["image_id"]]
        assert seen == [*range(count)]
        assert set(table["answer"]) == {"b"} and table["answers"].map(len).tolist() == [3] * count
    assert read_layout(tmp_path / "train")["train"]["question"].tolist() == ["What 0?", "What 1?"]


@pytest.mark.parametrize(
    "names",
    [
        ("train_0.json", "train_1.json"), ("train/0000.json", "train/0001.json"),
        ("train-00000-of-00002-abcdef0123456789.json", "train-00001-of-00002-123456789abcdef0.json"),
    ],
)  # fmt: skip
def test_parts_of_a_split_are_read_all(tmp_path, names):
    for number, name in enumerate(names):
        write(tmp_path / name, [{"question": f"Is it {number}?", "answer": "yes"}])
    assert read_layout(tmp_path)["train"]["question"].tolist() == ["Is it 0?", "Is it 1?"]


def test_what_is_not_read_is_said(tmp_path, caplog):
    caplog.set_level("INFO")
    for name in ("train.json", "train_all.json"):
        write(tmp_path / name, [{"question": "Is it?", "answer": name}])
    assert read_layout(tmp_path)["train"]["answer"].tolist() == ["train.json"]
    assert (
        f"{tmp_path / 'train.json'}: holds what is asked; not read: train_all.json" in caplog.text
    )
    write(tmp_path / "old" / "train.json", [{"question": "Is it?", "answer": "old"}])
    assert read_layout(tmp_path)["train"]["answer"].tolist() == ["train.json"]
    assert "not read: train_all.json, old/train.json" in caplog.text  # not of the same name


def test_one_file_among_others_is_known_by_its_questions(tmp_path):
    write(tmp_path / "mine.json", [{"question": "Is it?", "answer": "yes"}])
    write(tmp_path / "info.json", {"license": "mine"})
    write(tmp_path / "all.json", ["yes", "no"])
    assert read_layout(tmp_path)["train"]["answer"].tolist() == ["yes"]


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


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lines_however_they_are_written(tmp_path, separator, encoding):
    lines = [["question id", "image", "question", "answer"],
             ["7", "a.png", '"Is it\r\nred?"', "yes"],
             ["8", "b.png", f'"Is{separator} it?"', "no", ""]]  # fmt: skip
    text = "\r\n".join(f"{separator} ".join(line) for line in lines)
    (tmp_path / "train.csv").write_bytes(text.encode(encoding))
    assert rows(read_layout(tmp_path)["train"]) == [
        ("a.png", "Is it\r\nred?", "yes", 1), ("b.png", f"Is{separator} it?", "no", 1)
    ]  # fmt: skip


def test_files_of_a_release_in_folders(tmp_path):
    asked = {"question_id": 3, "image_id": 42, "question": "What?"}
    said = {"question_id": 3, "image_id": 42, "answers": [{"answer": "cat"}]}
    for split in ("train2014", "val2014"):
        name = f"mscoco_{split}"
        write(tmp_path / "Questions" / f"OpenEnded_{name}_questions.json", {"questions": [asked]})
        write(tmp_path / "Annotations" / f"{name}_annotations.json", {"annotations": [said]})
    tables = read_layout(tmp_path)
    assert {split: rows(table) for split, table in tables.items()} == dict.fromkeys(
        ("train", "validation"), [(42, "What?", "cat", 1)]
    )


def test_coco_qa(tmp_path):
    for split in ("train", "test"):
        for name, text in (("questions", "what is on the desk\nhow many cats\n"), ("types", "0\n1\n"),
                           ("answers", "book\ntwo\n"), ("img_ids", "42\n7\n")):  # fmt: skip
            write(tmp_path / split / f"{name}.txt", text)
    tables = read_layout(tmp_path)
    wanted = [(42, "what is on the desk?", "book", 1), (7, "how many cats?", "two", 1)]
    assert rows(tables["train"]) == rows(tables["test"]) == wanted
    assert tables["train"]["question_type"].tolist() == ["object", "number"]
    assert pd.concat([t["question_id"] for t in tables.values()]).is_unique


def test_numbers_that_begin_again_are_other_images(tmp_path):
    for split, count in (("train", 5), ("val", 3)):
        asked = [{"question_id": n, "image_id": n, "question": "What?"} for n in range(count)]
        said = [{"question_id": n, "multiple_choice_answer": split} for n in range(count)]
        write(tmp_path / f"questions_{split}.json", {"questions": asked})
        write(tmp_path / f"annotations_{split}.json", {"annotations": said})
    alone = read_folder(tmp_path)  # text alone: nothing says that 0 is not 0
    assert not alone.images
    for split, count in (("train", 5), ("val", 3)):
        for n in range(count):
            picture(tmp_path / "images" / split / f"CLEVR_{split}_{n:06d}.png")
    dataset = read_folder(tmp_path)
    assert len(dataset.images) == 8 and not dataset.missing_images()
    assert len(dataset.splits["validation"]) == 3
    for image_id in dataset.splits["validation"]["image_id"]:
        assert "_val_" in dataset.images[image_id].name


def test_answers_that_differ_in_capitals_are_one(tmp_path):
    said = ["Yes", "yes", "yes ", "no", "yes"]
    lines = "".join(f"{n}.jpg,Is it {n}?,{answer}\n" for n, answer in enumerate(said))
    write(tmp_path / "train.csv", "image,question,answer\n" + lines)
    splits = read_folder(tmp_path).splits.values()
    assert set(pd.concat(splits)["answer"]) == {"yes", "no"}


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


def test_what_is_converted_reads_the_same(tmp_path):
    write(tmp_path / "in" / "train.csv", "image,question,answer\n" + "".join(
        f"p{n}.png,What is {n}?,a{n % 3}\n" for n in range(40)))  # fmt: skip
    for n in range(40):
        picture(tmp_path / "in" / "pictures" / f"p{n}.png", (n, 0, 0))
    dataset = read_folder(tmp_path / "in")
    alone = read_folder(tmp_path / "in" / "train.csv")
    assert alone.sha256() == dataset.sha256() and len(alone.images) == 40
    again = read_folder(convert(dataset, tmp_path / "out"))
    columns = ["question_id", "image_id", "question", "question_type", "answer_type", "answer"]
    for split, table in dataset.splits.items():
        pd.testing.assert_frame_equal(again.splits[split][columns], table[columns])
    assert {i: p.resolve() for i, p in again.images.items()} == {
        i: p.resolve() for i, p in dataset.images.items()
    }
    with pytest.raises(InputError, match="out: is there already"):
        convert(dataset, tmp_path / "out")


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
