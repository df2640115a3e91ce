"""Files of records as they are published: which of a folder are read, and that a question is a row."""

import gzip
import json

import pandas as pd
import pytest

from tests.data.making import picture, rows, write
from vqa_helpers.data.check import check_folder
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.layouts import read_layout
from vqa_helpers.data.records import record_files
from vqa_helpers.errors import InputError


def packed(path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.mark.parametrize(
    "name", ["train.csv.gz", "train.TSV.gz", "train.jsonl.gz", "train.json.gz"]
)
def test_tables_packed_by_gzip(tmp_path, name):
    table = pd.DataFrame({"image": ["a.png", "b.png"], "question": ["What, now?", "Who?"],
                          "answer": ["a cat", "Ana"]})  # fmt: skip
    kind = name.split(".")[1].lower()
    if "json" in kind:
        text = table.to_json(orient="records", lines=kind == "jsonl")
    else:
        text = table.to_csv(index=False, sep="\t" if kind == "tsv" else ",")
    path = packed(tmp_path / name, text)
    picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    for data in (tmp_path, path):
        assert rows(read_layout(data)["train"]) == [
            ("a.png", "What, now?", "a cat", 1), ("b.png", "Who?", "Ana", 1)
        ]  # fmt: skip
        assert check_folder(data).images["found"] == 2
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=f"{path}: is not a complete gzip file"):
        read_layout(tmp_path)


@pytest.mark.parametrize("orient", ["columns", "list", "records", "table"])
def test_json_as_pandas_writes_it(tmp_path, orient):
    table = pd.DataFrame({"image": ["a.png", "b.png"], "question": ["What?", "Who?"],
                          "answer": ["a cat", "Ana"], "n": [1, 2]})  # fmt: skip
    text = json.dumps(table.to_dict("list")) if orient == "list" else table.to_json(orient=orient)
    assert rows(read_layout(write(tmp_path / "train.json", text))["train"]) == [
        ("a.png", "What?", "a cat", 1), ("b.png", "Who?", "Ana", 1)
    ]  # fmt: skip


def test_columns_of_different_lengths_and_thousands_of_keys_are_one_line(tmp_path):
    path = write(tmp_path / "train.json", {"question": ["What?", "Who?"], "answer": ["a"]})
    with pytest.raises(InputError, match="train.json: cannot be read as json .All arrays must be"):
        read_layout(path)
    write(path, [{f"key{n}": n for n in range(9_000)}])
    with pytest.raises(InputError, match="which column holds the questions") as caught:
        read_layout(path)
    assert len(str(caught.value)) < 600


def test_a_packed_table_is_called_without_its_endings_and_its_parts_are_one(tmp_path):
    lines = "".join(f"Is it {n}?,a{n}\n" for n in range(30))
    assert read_folder(packed(tmp_path / "mine.csv.gz", "question,answer\n" + lines)).name == "mine"
    for number in range(2):
        packed(
            tmp_path / "parts" / f"train_{number}.csv.gz", f"question,answer\nIs it {number}?,b\n"
        )
    asked = read_layout(tmp_path / "parts")["train"]["question"].tolist()
    assert asked == ["Is it 0?", "Is it 1?"]


@pytest.mark.parametrize(
    "names",
    [
        ("default/train/0000.parquet", "default/train/0001.parquet", "default/validation/0000.parquet"),
        ("default/partial-train/0000.parquet", "default/partial-train/0001.parquet",
         "default/partial-validation/0000.parquet"),
        ("data/en/train-00000-of-00002.parquet", "data/en/train-00001-of-00002.parquet",
         "data/en/validation-00000-of-00001.parquet"),
    ],
)  # fmt: skip
def test_the_hubs_configurations(tmp_path, names):
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame({"question": [f"Is it {number}?"], "answer": ["yes"]})
        table.to_parquet(tmp_path / name)
    write(tmp_path / "dataset_infos.json", {"default": {"splits": {}}})
    write(tmp_path / "images" / "train" / "boxes.json", [{"x": 1}])  # notes on images
    asked = {split: table["question"].tolist() for split, table in read_layout(tmp_path).items()}
    assert asked == {"train": ["Is it 0?", "Is it 1?"], "validation": ["Is it 2?"]}


def test_several_configurations_are_not_mixed(tmp_path):
    for config in ("en", "fr"):
        for split in ("train", "test") if config == "en" else ("train",):
            (tmp_path / config / split).mkdir(parents=True)
            table = pd.DataFrame({"question": [f"{config} {split}?"], "answer": ["yes"]})
            table.to_parquet(tmp_path / config / split / "0000.parquet")
    for read in (read_layout, check_folder):
        with pytest.raises(InputError) as caught:
            read(tmp_path)
        line = f"{tmp_path}: holds several datasets, en, fr; name the folder of one"
        assert str(caught.value) == line
    assert list(read_layout(tmp_path / "fr")) == ["train"]


def test_hidden_files_are_not_read(tmp_path):
    write(tmp_path / "train.csv", "question,answer\nIs it?,yes\n")
    write(tmp_path / ".ipynb_checkpoints" / "test-checkpoint.csv", "question,answer\nOld?,no\n")
    write(tmp_path / "__MACOSX" / "._val.csv", "\0\0")
    assert record_files(tmp_path) == {"train": [[tmp_path / "train.csv"]]}


def test_visual7w(tmp_path):
    """As the authors' toolkit reads it: images, each with its pairs of question and answer."""
    images = []
    for split, image_id in (("train", 2360153), ("val", 2360154), ("test", 2360155)):
        pairs = [
            {"image_id": image_id, "qa_id": 10 * image_id + n, "type": "what", "answer": answer,
             "question": f"What is {n}?", "multiple_choices": ["Apples.", "Pears.", "Plums."]}
            for n, answer in enumerate(["Bananas.", "A cat."])
        ]  # fmt: skip
        images.append({"split": split, "image_id": image_id, "qa_pairs": pairs,
                       "filename": f"v7w_{image_id}.jpg"})  # fmt: skip
        picture(tmp_path / "images" / f"v7w_{image_id}.jpg")
    told = write(
        tmp_path / "dataset_v7w_telling.json", {"dataset": "v7w_telling", "images": images}
    )
    dataset = read_folder(tmp_path)
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert rows(dataset.splits["validation"]) == [
        ("v7w_2360154.jpg", "What is 0?", "Bananas.", 1), ("v7w_2360154.jpg", "What is 1?", "A cat.", 1)
    ]  # fmt: skip
    assert dataset.splits["test"]["question_id"].tolist() == [23601550, 23601551]
    assert not dataset.missing_images() and len(dataset.images) == 3

    pointing = [{**image, "qa_pairs": [{**image["qa_pairs"][0], "answer": 7,
                                        "multiple_choices": [8, 9, 10]}]} for image in images]  # fmt: skip
    boxes = [
        {"box_id": n, "name": "cat", "x": 1, "y": 1, "width": 2, "height": 2} for n in range(9)
    ]
    write(tmp_path / "dataset_v7w_pointing.json", {"boxes": boxes, "images": pointing})
    assert read_folder(tmp_path).sha256() == dataset.sha256()  # beside the other it is passed over
    told.unlink()
    with pytest.raises(
        InputError, match="pointing.json: its answers are boxes, not texts .*; name data"
    ):
        read_folder(tmp_path)


@pytest.mark.parametrize("key", ["id", "image_id"])
def test_visual_genome(tmp_path, key):
    """As the API's readme has it (image_id), and as the files do (id); image names are the ids."""
    images = [
        {key: image, "qas": [
            {"qa_id": 986768 + 2 * image + n, "image_id": image, "question": f"Where is {n}?",
             "answer": "On the sidewalk.", "a_objects": [], "q_objects": []} for n in range(2)]}
        for image in range(1, 31)
    ]  # fmt: skip
    images.append({key: 31, "qas": []})
    write(tmp_path / "question_answers.json", images)
    notes = [{"image_id": n, "width": 8, "url": f"VG_100K/{n}.jpg"} for n in range(1, 32)]
    write(tmp_path / "image_data.json", notes)
    write(tmp_path / "objects.json", [{"image_id": 1, "objects": [{"object_id": 5}]}])
    for image in range(1, 32):
        picture(tmp_path / f"VG_100K{'_2' if image > 15 else ''}" / f"{image}.jpg")
    dataset = read_folder(tmp_path)
    questions = pd.concat(dataset.splits.values())
    assert len(questions) == 60 and questions["question_id"].min() == 986770
    assert questions["question_id"].is_unique and len(dataset.images) == 30
    assert (questions["question_id"] // 2 - 493384 == questions["image_id"]).all()
    assert set(questions["answer"]) == {"On the sidewalk."}
    for image_id, path in dataset.images.items():
        assert path.stem == str(image_id)


def test_gqa_as_its_archives_unpack(tmp_path):
    """`questions1.2/`, the whole train in ten parts, text ids, and what else a question has."""

    def entry(image: str, number: int) -> dict:
        return {
            "imageId": image, "question": f"Is the chair {number}?", "answer": "yes",
            "fullAnswer": "Yes, it is.", "isBalanced": True, "entailed": ["05451384"],
            "equivalent": [f"0{number}"], "groups": {"global": None, "local": "06-chair"},
            "types": {"detailed": "chooseAttr", "semantic": "attr", "structural": "verify"},
            "annotations": {"answer": {}, "question": {"3": "2"}, "fullAnswer": {}},
            "semantic": [{"operation": "select", "dependencies": [], "argument": "chair (2)"}],
        }  # fmt: skip

    root = tmp_path / "questions1.2"
    for part in range(2):
        content = {f"0{part}{n}": entry(f"n{part}{n}", 10 * part + n) for n in range(3)}
        write(root / "train_all_questions" / f"train_all_questions_{part}.json", content)
    write(root / "val_balanced_questions.json", {"07": entry("2370799", 7)})
    write(root / "testdev_balanced_questions.json", {"201": entry("77", 8)})
    write(root / "submission_all_questions.json", {"9": {"imageId": "n9", "question": "Is it?"}})
    for path in ("n00", "n01", "n02", "n10", "n11", "n12", "2370799", "77"):
        picture(tmp_path / "images" / f"{path}.jpg")
    dataset = read_folder(tmp_path)
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.splits["train"]["question_name"].tolist() == [
        "000",
        "001",
        "002",
        "010",
        "011",
        "012",
    ]
    assert dataset.splits["validation"]["question_type"].tolist() == ["is the"]
    assert not dataset.missing_images()
    write(root / "train_balanced_questions.json", {"020": entry("n02", 2)})
    assert read_layout(tmp_path)["train"]["question_name"].tolist() == ["020"]


def test_pickles_are_named_and_not_opened(tmp_path):
    """PathVQA's; one that would write a file beside it if it were opened."""
    trap = tmp_path / "qas" / "train" / "train_qa.pkl"
    trap.parent.mkdir(parents=True)
    trap.write_bytes(b"cbuiltins\nopen\n(V" + str(tmp_path / "opened").encode() + b"\nVw\ntR.")
    picture(tmp_path / "images" / "train" / "train_0001.jpg")
    for data, place in ((tmp_path, trap), (trap, trap)):
        with pytest.raises(InputError) as caught:
            read_folder(data)
        line = str(caught.value)
        assert line.startswith(f"{place}: is a pickle, and to open one is to run what is in it")
        assert line.endswith("save its table as CSV, JSON or parquet") and "\n" not in line
    assert "is a pickle" in check_folder(tmp_path).problems[0].line
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    "content", [[], {}, {"images": []}, {"images": [{"qa_pairs": []}]}, [{"qas": "none", "id": 1}]]
)
def test_what_lists_no_questions_is_one_line(tmp_path, content):
    path = write(tmp_path / "data.json", json.dumps(content))
    with pytest.raises(
        InputError, match=rf"{path}: (holds no records|which column holds the quest)"
    ):
        read_layout(tmp_path)


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
