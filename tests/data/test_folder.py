"""Dataset folders as users have them: official names, own data, and everything malformed."""

import gzip
import json
import logging
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.builders import write_dataset, write_json, write_release
from tests.data.making import edit, refusal, write
from vqa_helpers.data.check import check_folder
from vqa_helpers.data.folder import MANIFEST, read_folder

REAL = Path(__file__).parents[2] / ".." / "shared" / "data"


def images_of(dataset):
    return {split: set(table["image_id"]) for split, table in dataset.splits.items()}


def sizes_of(dataset):
    return {split: len(table) for split, table in dataset.splits.items()}


def test_a_folder_with_three_splits(folder):
    dataset = read_folder(folder)
    assert dataset.name == dataset.image_source == "own"
    assert list(sizes_of(dataset).items()) == [("train", 15), ("validation", 15), ("test", 15)]
    assert dataset.notes == [] and dataset.missing_images() == []
    assert dataset.images[1001] == folder / "images" / "000000001001.png"
    assert dataset.image_ids().tolist() == [*range(1, 6), *range(1001, 1006), *range(2001, 2006)]
    record = dataset.split_record()
    assert record["counts"]["validation"] == {"questions": 15, "images": 5}
    assert record["seed"] == 0 and record["sha256"] == dataset.sha256() and record["notes"] == []
    assert json.loads(json.dumps(record)) == record


def test_missing_images_and_answers_are_known(folder):
    (folder / "images" / "000000000002.png").unlink()
    (folder / "annotations_test.json").unlink()
    dataset = read_folder(folder)
    assert dataset.missing_images() == [2]
    assert [dataset.answered(split) for split in ("train", "test", "no")] == [True, False, False]
    assert dataset.splits["test"].columns.tolist() == ["question_id", "image_id", "question"]
    shutil.rmtree(folder / "images")
    assert read_folder(folder).images == {}


def test_missing_splits_are_cut_by_image_and_said_once(tmp_path, caplog):
    folder = write_dataset(tmp_path / "own", images=30, splits=("train",))
    with caplog.at_level(logging.INFO):
        dataset = read_folder(folder, seed=3)
    images = images_of(dataset)
    # 10 % of 30 images is 3; 10 % of the remaining 27 rounds to 3.
    assert [len(images[s]) for s in ("train", "validation", "test")] == [24, 3, 3]
    assert set().union(*images.values()) == set(range(1, 31))
    assert sum(sizes_of(dataset).values()) == 90
    assert dataset.notes == [
        "the validation split was cut from train by image: 9 questions, seed 3",
        "the test split was cut from train by image: 9 questions, seed 3",
    ]
    assert caplog.messages == [f"{folder}: {note}" for note in dataset.notes]
    assert images_of(read_folder(folder, seed=3)) == images != images_of(read_folder(folder, 4))
    two = write_dataset(tmp_path / "two", images=10, splits=("train", "test"))
    assert [len(images) for images in images_of(read_folder(two)).values()] == [9, 1, 10]
    # The study's 100k is all of val2014, and nothing else: the only answered split is learnt from.
    alone = read_folder(write_dataset(tmp_path / "val", splits=("val",)))
    assert list(alone.splits) == ["train", "validation", "test"]
    assert alone.notes[0].startswith("the validation split alone has answers")


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_official_names(tmp_path, release):
    folder = write_release(tmp_path, release, images=5)
    [questions] = folder.glob("*OpenEnded_mscoco_test2015_questions.json")
    shutil.copy(questions, folder / questions.name.replace("test", "test-dev"))  # a part of it
    dataset = read_folder(folder)
    assert sizes_of(dataset) == {"train": 15, "validation": 15, "test": 15}
    assert dataset.missing_images() == []


@pytest.mark.parametrize("name", ["_valid", "_validation", "_dev", "_VAL", "_val2014", ""])
def test_other_names_of_a_split(folder, name):
    for kind in ("questions", "annotations"):
        split = "_val" if name else "_train"  # what says no split is train
        (folder / f"{kind}{split}.json").rename(folder / f"{kind}{name}.json")
    assert list(read_folder(folder).splits) == ["train", "validation", "test"]


def test_the_hash_sees_every_change_and_not_the_packing(folder):
    hashes = {read_folder(folder).sha256()}
    for kind, fields in (
        ("annotations", {"multiple_choice_answer": "changed"}),
        ("annotations", {"answers": [{"answer": "changed"}]}),
        ("questions", {"question": "changed?"}),
    ):
        edit(folder / f"{kind}_test.json", lambda rows, fields=fields: rows[4].update(fields))
        hashes.add(read_folder(folder).sha256())
    assert len(hashes) == 4
    for path in folder.glob("*.json"):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert read_folder(folder).sha256() in hashes


def test_what_is_no_dataset_folder(tmp_path):
    assert "is not a folder; check the path" in refusal(read_folder, tmp_path / "absent")
    (tmp_path / "questions_train.txt").touch()
    (tmp_path / "my_questions_train.txt").touch()
    expected = "is not a dataset folder; expected questions_train.json"
    assert expected in refusal(read_folder, tmp_path)
    shutil.copy(write_dataset(tmp_path / "d", images=2) / "questions_val.json", tmp_path)
    assert "has no train split with answers" in refusal(read_folder, tmp_path)


@pytest.mark.parametrize(
    ("source", "copy", "expected"),
    [
        ("questions_val", "questions_validation", "are both the questions of the validation split"),
        ("questions_val", "questions_trian", "'trian' is no split; name it train, val or test"),
        ("annotations_val", "annotations_export", "has no questions file beside it"),
    ],
)
def test_names_that_do_not_fit(folder, source, copy, expected):
    shutil.copy(folder / f"{source}.json", folder / f"{copy}.json")
    assert expected in refusal(read_folder, folder)


def test_our_own_names_go_before_those_of_a_release_that_lie_beside_them(folder):
    before = read_folder(folder).sha256()
    for kind in ("questions", "annotations"):
        shutil.copy(folder / f"{kind}_val.json", folder / f"vqacp_v2_train_{kind}.json")
    assert read_folder(folder).sha256() == before


def test_the_manifest_names_the_dataset_and_its_images(folder):
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    assert read_folder(link).name == "own"  # the runs of a folder stay together
    (folder / "images").rename(folder.parent / "elsewhere")
    manifest = {"name": "mine", "images": "../elsewhere", "image_source": "big", "notes": ["cut"]}
    write_json(folder / MANIFEST, manifest)
    dataset = read_folder(folder)
    assert (dataset.name, dataset.image_source, dataset.notes) == ("mine", "big", ["cut"])
    assert dataset.missing_images() == []
    for content, expected in (("{", ""), ('{"images": 5}', "images: Expected `str`, got `int`")):
        (folder / MANIFEST).write_text(content)
        assert refusal(read_folder, folder).startswith(f"{folder / MANIFEST}: {expected}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "images", "questions", "pairs"),  # of the last: how many, how many stand apart
    [
        ("daquar", {"train": 715, "validation": 79, "test": 653}, 6795 + 5673, (0, 0)),
        ("coco_sample", {"train": 37, "validation": 4, "test": 4}, 67, (0, 0)),
        ("coco_vqa", {"train": 7077, "validation": 2050, "test": 1673}, 21_162, (3302, 0)),
        ("vqa2_text", {"train": 26_833, "validation": 8260, "test": 2982}, 49_584, (7703, 2008)),
    ],
)
def test_real_data(name, images, questions, pairs):
    if not (REAL / name).is_dir():
        pytest.skip(f"the real data {name} are not on this machine")
    check = check_folder(REAL / name, images="names")
    assert check.problems == []
    assert (check.pairs.get("count", 0), check.pairs.get("apart", 0)) == pairs
    dataset = read_folder(REAL / name)
    assert {split: len(ids) for split, ids in images_of(dataset).items()} == images
    assert sum(sizes_of(dataset).values()) == questions
    assert len(dataset.images) == (0 if name == "vqa2_text" else len(dataset.image_ids()))


def test_answers_that_differ_in_capitals_are_one(tmp_path):
    said = ["Yes", "yes", "yes ", "no", "yes"]
    lines = "".join(f"{n}.jpg,Is it {n}?,{answer}\n" for n, answer in enumerate(said))
    write(tmp_path / "train.csv", "image,question,answer\n" + lines)
    splits = read_folder(tmp_path).splits.values()
    assert set(pd.concat(splits)["answer"]) == {"yes", "no"}
