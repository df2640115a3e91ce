"""Files of records as they are published: which of a folder are read, and that a question is a row."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.data.making import asked, picture, refusal, rows, write
from vqa_helpers.data.check import check_folder
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.layouts import read_layout

OWN = pd.DataFrame({"img_name": ["a b.png", "ä.png", "a b.png"], "n": [1, 2, 3],
                    "question": ["What, now?", "Who?", "How many?"], "Answer": ["a cat", "Ana", "2"]})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "save", "options"),
    [
        *[(f"train.csv{end}", OWN.to_csv, {"index": False}) for end in ("", ".gz")],
        *[(f"train.TSV{end}", OWN.to_csv, {"index": False, "sep": "\t"}) for end in ("", ".gz")],
        ("train.semicolons.csv", OWN.to_csv, {"index": False, "sep": ";"}),
        *[(f"train.jsonl{end}", OWN.to_json, {"orient": "records", "lines": True, "force_ascii": False})
          for end in ("", ".gz")],
        *[(f"train.json{end}", OWN.to_json, {"orient": orient}) for end in ("", ".gz")
          for orient in ("records", "columns", "table")],
        ("train.json", lambda path: write(path, OWN.to_dict("list")), {}),
        ("train.parquet", OWN.to_parquet, {}),
    ],
)  # fmt: skip
def test_tables_of_peoples_own(tmp_path, name, save, options):
    path = tmp_path / name
    save(path, **options)
    picture(tmp_path / "img" / "a b.png"), picture(tmp_path / "img" / "ä.png")
    for data in (tmp_path, path):  # the folder, or the file itself
        read = read_layout(data)["train"]
        assert rows(read) == [("a b.png", "What, now?", "a cat", 1), ("ä.png", "Who?", "Ana", 1),
                              ("a b.png", "How many?", "2", 1)]  # fmt: skip
        assert read["answer_type"].tolist() == ["other", "other", "number"]
        assert read["image_id"].nunique() == 2
        check = check_folder(data)
        assert check.images["found"] == 2 and [p.kind for p in check.problems] == ["splits"]


def test_a_packed_table_that_is_cut(tmp_path):
    path = tmp_path / "train.csv.gz"
    OWN.to_csv(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert refusal(read_layout, tmp_path).startswith(f"{path}: is not a complete gzip file")


def save(path, **columns):
    """Write a table in the format of its name."""
    table = pd.DataFrame(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".json":
        table.to_json(path, orient="records")
    else:
        table.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("names", "read"),  # of the last: the numbers of the files, by split
    [
        (["data_train.csv", "data_eval.csv"], {"train": [0], "validation": [1]}),  # DAQUAR, on Kaggle
        (["trainset.json", "testset.json"], {"train": [0], "test": [1]}),  # VQA-RAD
        (["training.csv", "valset.csv", "testing.csv"], {"train": [0], "validation": [1], "test": [2]}),
        (["trainval.json", "test.json"], {"train": [0], "test": [1]}),
        (["mine.csv", "test.csv"], {"train": [0], "test": [1]}), (["mine.json"], {"train": [0]}),
        # Of several that fit, the plainest name.
        (["dev.csv", "eval.csv", "train.csv", "trainval.csv", "val.csv", "more.csv"],
         {"train": [2], "validation": [4]}),
        (["train_all.json", "train.json", "old/train.json"], {"train": [1]}),
        (["train.csv", ".ipynb_checkpoints/test-checkpoint.csv", "__MACOSX/._val.csv"], {"train": [0]}),
        # Parts of one split.
        *[(names, {"train": [0, 1], "validation": [2]}) for names in (
            ["train_0.csv.gz", "train_1.csv.gz", "val.csv.gz"],
            ["train/0000.json", "train/0001.json", "validation/0000.json"],
            ["train-00000-of-00002-abcdef0123456789.json", "train-00001-of-00002-123456789abcdef0.json",
             "validation-00000-of-00001-123456789abcdef1.json"],
            ["default/train/0000.parquet", "default/train/0001.parquet",
             "default/validation/0000.parquet"],
            ["default/partial-train/0000.parquet", "default/partial-train/0001.parquet",
             "default/partial-validation/0000.parquet"],
            ["data/en/train-00000-of-00002.parquet", "data/en/train-00001-of-00002.parquet",
             "data/en/validation-00000-of-00001.parquet"],
        )],
    ],
)  # fmt: skip
def test_which_files_are_read(tmp_path, names, read):
    for number, name in enumerate(names):
        save(tmp_path / name, question=[f"Is it {number}?"], answer="yes")
    write(tmp_path / "dataset_infos.json", {"default": {"splits": {}}})
    write(tmp_path / "vocabulary.json", ["yes", "no"])
    write(tmp_path / "images" / "train" / "boxes.json", [{"x": 1}])  # notes on images
    questions = {split: [f"Is it {n}?" for n in numbers] for split, numbers in read.items()}
    assert asked(read_layout(tmp_path)) == questions


def test_a_packed_table_is_called_without_its_endings(tmp_path):
    save(tmp_path / "mine.csv.gz", question=[f"Is it {n}?" for n in range(30)], answer="a")
    assert read_folder(tmp_path / "mine.csv.gz").name == "mine"


def test_several_configurations_are_not_mixed(tmp_path):
    for place in ("en/train", "en/test", "fr/train"):
        save(tmp_path / place / "0000.parquet", question=[f"{place}?"], answer="yes")
    for read in (read_layout, check_folder):
        line = f"{tmp_path}: holds several datasets, en, fr; name the folder of one"
        assert refusal(read, tmp_path) == line
    assert list(read_layout(tmp_path / "fr")) == ["train"]


def test_pickles_are_named_and_not_opened(tmp_path):
    """PathVQA's; one that would write a file beside it if it were opened."""
    trap = tmp_path / "qas" / "train" / "train_qa.pkl"
    trap.parent.mkdir(parents=True)
    trap.write_bytes(b"cbuiltins\nopen\n(V" + str(tmp_path / "opened").encode() + b"\nVw\ntR.")
    picture(tmp_path / "images" / "train" / "train_0001.jpg")
    for data, place in ((tmp_path, trap), (trap, trap)):
        line = refusal(read_folder, data)
        assert line.startswith(f"{place}: is a pickle, and to open one is to run what is in it")
        assert line.endswith("save its table as CSV, JSON or parquet")
    assert "is a pickle" in check_folder(tmp_path).problems[0].line
    assert not (tmp_path / "opened").exists()


def test_what_is_not_read_is_said(tmp_path, caplog):
    caplog.set_level("INFO")
    for name in ("train.json", "train_all.json"):
        write(tmp_path / name, [{"question": "Is it?", "answer": name}])
    assert read_layout(tmp_path)["train"]["answer"].tolist() == ["train.json"]
    assert "train.json: holds what is asked; not read: train_all.json" in caplog.text
    write(tmp_path / "old" / "train.json", [{"question": "Is it?", "answer": "old"}])
    assert read_layout(tmp_path)["train"]["answer"].tolist() == ["train.json"]
    assert "not read: train_all.json, old/train.json" in caplog.text  # not of the same name
    write(tmp_path / "more.csv", "question,answer\nIs it?,more\n")
    assert read_layout(tmp_path)["train"]["answer"].tolist() == ["train.json"]
    assert f"{tmp_path}: names of no split, not read: more.csv" in caplog.text


ASKED = {"question": "Is it?", "answer": "a"}
FIRST, SECOND = ("1.jpg", "Is it?", "a", 1), ("2.jpg", "Is it?", "a", 1)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "image,question,answer\n1.jpg,What?,a;b\n", [("1.jpg", "What?", "a;b", 1)]),
        ("a.csv", "image , question\n1.jpg , Is it?\n", [("1.jpg", "Is it?", None, 0)]),
        # A spreadsheet ends in empty lines.
        ("a.csv", "image,question,answer\n1.jpg,Is it?,a\n,,\n,,\n", [FIRST]),
        # Python writes a missing number as no JSON has it.
        ("a.json", [{"image": "1.jpg", "area": float("nan")} | ASKED], [FIRST]),
        ("a.jsonl", '{"image": 1, "question": "NaN?", "answer": "a"}\n' * 2, [(1, "NaN?", "a", 1)] * 2),
        # By column, by picture, by split.
        ("a.json", {"Image": ["1.jpg", "2.jpg"], "Question": ["Is it?"] * 2, "Answer": ["a", "a"]},
         [FIRST, SECOND]),
        ("a.json", {"Image": {"3": "1.jpg"}, "Question": {"3": "Is it?"}, "Answer": {"3": "a"}}, [FIRST]),
        ("a.json", {"1.jpg": ASKED, "2.jpg": ASKED}, [FIRST, SECOND]),
        ("a.json", {"1.jpg": [ASKED], "2.jpg": [ASKED] * 2}, [FIRST, SECOND, SECOND]),
        ("a.json", {"1": [ASKED], "2": [ASKED]}, [("1", *FIRST[1:]), ("2", *FIRST[1:])]),
        ("a.json", {split: [{"image": "1.jpg"} | ASKED] for split in ("train", "val")}, [FIRST]),
    ],
)  # fmt: skip
def test_tables_as_people_write_them(tmp_path, name, content, expected):
    tables = read_layout(write(tmp_path / name, content))
    assert [rows(table) for table in tables.values()] == [expected] * (1 + ("val" in content))


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


def with_pictures(path, questions, colours, column="image"):
    """A table with pictures inside, as the hub and `datasets` keep them, in the format of its name."""
    rows = []
    for question, colour in zip(questions, colours, strict=True):
        made = io.BytesIO()
        Image.new("RGB", (8, 8), (colour, 0, 0)).save(made, format="PNG")
        name = None if path.suffix == ".parquet" else "image"  # without an ending
        image = {"bytes": made.getvalue(), "path": name}
        answers = {"answer": ["a", "b", "b"], "answer_id": [1, 2, 3]}
        image = [image] if column == "images" else image
        rows.append({column: image, "question": question, "answers": answers})
    table = pa.Table.from_pylist(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(path, table.schema) as out:
            out.write_table(table)


def seen(dataset, split):
    """The question of each row, and the red of its picture."""
    table = dataset.splits[split]
    reds = [np.asarray(Image.open(dataset.images[image]))[0, 0, 0] for image in table["image_id"]]
    return list(zip(table["question"], reds, strict=True))


def test_a_list_of_one_picture_is_that_picture(tmp_path):
    with_pictures(tmp_path / "train.parquet", ["What?", "Who?"], [4, 7], column="images")
    assert seen(read_folder(tmp_path, arranged=False), "train") == [("What?", 4), ("Who?", 7)]


@pytest.mark.parametrize(
    ("train", "validation"),
    [("data/train-0000{}-of-00002.parquet", "data/validation-00000-of-00001.parquet"),
     ("train/data-0000{}-of-00002.arrow", "validation/data-00000-of-00001.arrow")],
)  # fmt: skip
def test_pictures_inside_are_put_beside(tmp_path, train, validation):
    for part in range(2):
        with_pictures(tmp_path / train.format(part), [f"What {part}?", "Who?"], [part, 9])
    with_pictures(tmp_path / validation, ["Why?"], [4])
    for folder in {(tmp_path / train).parent, (tmp_path / validation).parent}:  # notes, as saved
        write(folder / "state.json", {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]})
        write(folder / "dataset_info.json", {"features": {"question": {"dtype": "string"}}})
    write(tmp_path / "dataset_dict.json", {"splits": ["train", "validation"]})
    dataset = read_folder(tmp_path, arranged=False)
    assert rows(dataset.splits["train"])[0][1:] == ("What 0?", "b", 3)
    assert not dataset.missing_images()
    expected = [("What 0?", 0), ("Who?", 9), ("What 1?", 1), ("Who?", 9)]
    assert seen(dataset, "train") == expected and seen(dataset, "validation") == [("Why?", 4)]
    assert len(dataset.images) == 4  # one picture stands in both parts
    alone = read_layout((tmp_path / train).parent)["train"]
    assert alone["question"].tolist() == dataset.splits["train"]["question"].tolist()
