"""Named datasets: built from a dataset or a release, and opened again."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from tests.builders import read_json, write_dataset, write_json, write_release
from tests.data.making import edit, picture, refusal, write
from vqa_helpers.cli import main
from vqa_helpers.data.build import Fetching, build, convert
from vqa_helpers.data.catalogue import ENTRIES
from vqa_helpers.data.folder import draw_demo, open_dataset, read_folder
from vqa_helpers.data.subset import cut


def targets(dataset):
    """Image id to the file that its link leads to."""
    return {image_id: path.resolve() for image_id, path in dataset.images.items()}


def test_a_cut_is_written_and_read_back(tmp_path):
    source = read_folder(write_dataset(tmp_path / "big", images=8))
    assert open_dataset(tmp_path / "big").name == open_dataset(str(tmp_path / "big")).name == "big"
    made = cut(source, "E", seed=2)
    assert set(made.images) == set(made.image_ids()) < set(source.images) | {0}
    out = build("E", source=tmp_path / "big", seed=2, out=tmp_path / "out" / "E")
    again = open_dataset("E", root=tmp_path / "out")
    for split, table in made.splits.items():
        pd.testing.assert_frame_equal(again.splits[split], table)
    assert again.sha256() == made.sha256()
    assert again.name == "E" and again.image_source == "big" and again.notes == made.notes
    assert targets(again) == targets(made)
    record = read_json(out / "split.json")
    assert record["sha256"] == again.sha256() and record["seed"] == 2
    left = {path.name for path in out.parent.iterdir()}
    assert left == {"E", ".E.build.lock"}  # nothing half-written


def test_a_cut_of_a_cut_finds_its_images_and_may_move_with_them(tmp_path):
    write_dataset(tmp_path / "a" / "big", images=8)
    build("100k", source=tmp_path / "a" / "big", out=tmp_path / "a" / "far" / "away" / "100k")
    build("E", source=tmp_path / "a" / "far" / "away" / "100k", out=tmp_path / "a" / "E")
    (tmp_path / "a").rename(tmp_path / "b")
    second = read_folder(tmp_path / "b" / "E")
    assert second.missing_images() == [] and len(second.images) > 0
    assert second.image_source == "big"


@pytest.mark.parametrize(
    ("name", "seed", "expected"),
    [
        ("v2", 0, "dataset v2 is not on this machine; `vqa data build v2` makes it"),
        ("nonsense", 0, "is neither a folder nor a named dataset; the names are demo, A, B"),
        ("data.zip", 0, "data.zip: is not a folder; unpack it"),
        (".", -1, "use 0 to 4294967295"), (".", 2**32, "use 0 to 4294967295"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened(tmp_path, monkeypatch, name, seed, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.zip").touch()
    assert expected in refusal(open_dataset, name, seed)


def test_the_demo_is_drawn_once(tmp_path, monkeypatch):
    drawn = []

    def make_demo(folder, seed):
        drawn.append(seed)
        write_dataset(folder, images=3)
        write_json(folder / "dataset.json", {"drawn": seed})

    monkeypatch.setattr("vqa_helpers.data.demo.dataset.make_demo", make_demo)
    root = tmp_path / "new" / "data"
    assert open_dataset("demo", seed=5, root=root).name == "demo"
    assert draw_demo(root / "demo") == root / "demo"
    assert drawn == [0]  # the splits' seed is not that of the scenes
    assert "holds the demo of seed 0; choose another --out" in refusal(draw_demo, root / "demo", 1)
    other = write_dataset(tmp_path / "demo", images=3)
    assert "holds another dataset; choose another --out" in refusal(draw_demo, other)


def test_a_folder_is_cut_as_its_files_have_it(tmp_path):
    folder = write_dataset(tmp_path / "big", images=20)
    for file in folder.glob("*_test.json"):
        file.unlink()  # a run would cut one from train
    for kind in ("questions", "annotations"):  # and leave out what validation shares with train
        edit(folder / f"{kind}_train.json", lambda rows: rows[0].update(image_id=1020))
    made = read_folder(build("100k", source=folder, rule="study", out=tmp_path / "out"))
    questions = [read_json(folder / f"questions_{name}.json") for name in ("train", "val")]
    in_order = [row["question_id"] for content in questions for row in content["questions"]]
    assert list(pd.concat(made.splits.values())["question_id"]) == in_order
    # The rule is believed when it is read: nothing is kept apart.
    assert made.rule == "study" and "1 of 40 images stand in more than one split" in made.notes[-1]


# ---------------------------------------------------------------- from a release


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """Both releases cut small, photographs included."""
    folder = tmp_path_factory.mktemp("official")
    for release in ("v1", "v2"):
        (folder / release).mkdir()
        write_release(folder / release, release, images=40)
    return folder


def asked(release, subset):
    """The ids of the questions of a subset."""
    (file,) = release.glob(f"*OpenEnded_mscoco_{subset}_questions.json")
    return {question["question_id"] for question in read_json(file)["questions"]}


def test_the_study_s_datasets_come_from_val2014_alone(official, tmp_path):
    out = build("100k", source=official / "v1", out=tmp_path / "100k")
    made = read_folder(out)
    assert set(pd.concat(made.splits.values())["question_id"]) == asked(official / "v1", "val2014")
    assert made.missing_images() == []
    record = read_json(out / "split.json")
    names = ("OpenEnded_mscoco_val2014_questions.json", "mscoco_val2014_annotations.json")
    assert record["files"].keys() == set(names)
    assert record["built"]["rule"] == "by-image" and record["counts"]["test"]["images"] == 8


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_the_field_s_protocol(official, tmp_path, name):
    made = read_folder(build(name, source=official / name, out=tmp_path / name))
    ids = {split: set(table["question_id"]) for split, table in made.splits.items()}
    assert list(ids) == ["train", "validation", "test", "export"]
    assert ids["train"] | ids["validation"] == asked(official / name, "train2014")
    assert ids["test"] == asked(official / name, "val2014")
    assert ids["export"] == asked(official / name, "test2015")
    assert made.splits["validation"]["image_id"].nunique() == 2  # 5 % of 40
    assert not set(made.splits["train"]["image_id"]) & set(made.splits["validation"]["image_id"])
    assert not made.answered("export") and made.missing_images() == []
    assert any("test2015 is answered and exported" in note for note in made.notes)


def test_the_pairs_of_a_release_stay_together_and_known(official, tmp_path):
    folder = tmp_path / "v2"
    shutil.copytree(official / "v2", folder)
    rows = pd.DataFrame(read_json(folder / "v2_mscoco_train2014_annotations.json")["annotations"])
    rows = rows[rows["answer_type"] == "other"]  # a colour; each beside that of another image
    listed = rows["question_id"].to_numpy()[:10].reshape(5, 2).tolist()
    write_json(folder / "v2_mscoco_train2014_complementary_pairs.json", listed)
    made = read_folder(build("v2", source=folder, out=tmp_path / "out"))
    balanced, apart = made.pairs.count(made.splits.values())
    assert made.pairs.ids.tolist() == listed and balanced > 0 and apart == 0
    record = read_json(tmp_path / "out" / "split.json")
    assert "v2_mscoco_train2014_complementary_pairs.json" in record["files"]
    kept = f"; {balanced} balanced pairs kept together (as listed)"
    assert any(note.endswith(kept) for note in record["notes"])
    again = read_folder(build("100k", source=tmp_path / "out", out=tmp_path / "again"))
    assert again.pairs.count(again.splits.values()) == (balanced, 0)
    assert len(read_folder(build("v1", source=official / "v1", out=tmp_path / "v1")).pairs.ids) == 0


def test_without_its_photographs_the_server_s_test_is_left_out(official, tmp_path):
    folder = tmp_path / "v2"
    shutil.copytree(official / "v2", folder)
    shutil.rmtree(folder / "test2015")
    made = read_folder(build("v2", source=folder, out=tmp_path / "out"))
    assert "export" not in made.splits
    assert any("test2015 is not exported" in note for note in made.notes)
    text = build("v2", source=folder, out=tmp_path / "text", fetching=Fetching(photographs=False))
    assert "export" in read_folder(text).splits


def test_a_built_dataset_is_not_built_again(official, tmp_path):
    fetching = Fetching(root=tmp_path)
    out = build("E", source=official / "v1", fetching=fetching)
    assert out == tmp_path / "v1-E"
    before = (out / "split.json").stat().st_mtime_ns
    assert build("E", source=official / "v1", fetching=fetching) == out
    assert (out / "split.json").stat().st_mtime_ns == before
    for new in ({"seed": 1, "fetching": fetching}, {"out": tmp_path}):
        line = refusal(build, "E", source=official / "v1", **new)
        assert "is there already; choose another --out" in line
    for name in ENTRIES.keys() - {"demo", "E", "v2", "daquar"}:
        assert build(name, source=official / "v1", fetching=fetching).name == f"v1-{name}"
    study = build("E", source=official / "v1", rule="study", fetching=fetching)
    assert study == tmp_path / "v1-E-study" and read_folder(study).rule == "study"
    make = partial(build, "E", source=official / "v1", fetching=Fetching(root=tmp_path / "new"))
    with ThreadPoolExecutor(4) as pool:  # several at once
        assert {call.result() for call in [pool.submit(make) for _ in range(4)]} == {make()}
    assert not list((tmp_path / "new").glob(".*.partial"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("F", {}, "'F' is no named dataset"), ("A", {"rule": "by-hand"}, "split rule 'by-hand'"),
        ("A", {"seed": -1}, "seed -1: use 0"), ("v1", {"rule": "study"}, "splits of its own"),
        ("v2", {}, "lacks the official questions or annotations of v2 train2014"),
    ],
)  # fmt: skip
def test_wishes_that_cannot_be_met(official, tmp_path, name, options, message):
    assert message in refusal(build, name, source=official / "v1", out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_is_converted_reads_the_same(tmp_path):
    lines = [f"p{n}.png,What is {n}?,a{n % 3}" for n in range(40)]
    write(tmp_path / "in" / "train.csv", "\n".join(["image,question,answer", *lines]))
    for n in range(40):
        picture(tmp_path / "in" / "pictures" / f"p{n}.png", (n, 0, 0))
    dataset = read_folder(tmp_path / "in")
    alone = read_folder(tmp_path / "in" / "train.csv")
    assert alone.sha256() == dataset.sha256() and len(alone.images) == 40
    again = read_folder(convert(dataset, tmp_path / "out"))
    columns = ["question_id", "image_id", "question", "question_type", "answer_type", "answer"]
    for split, table in dataset.splits.items():
        pd.testing.assert_frame_equal(again.splits[split][columns], table[columns])
    assert targets(again) == targets(dataset)
    assert "out: is there already" in refusal(convert, dataset, tmp_path / "out")


@pytest.mark.parametrize("answers", [["yes", "no"], [None, None]])
def test_what_is_too_little_to_cut_is_converted_as_it_is(tmp_path, monkeypatch, answers):
    """Then it is answered, and its ids are those of the table."""
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"id": ["x1", "x2"], "image": ["a.png", "b.png"], "question": "Is it?"})
    table.assign(answer=answers).to_csv("mine.csv", index=False)
    for name in table["image"]:
        picture(tmp_path / name)
    assert main(["data", "convert", "mine.csv", "out"]) == 0
    written = read_json(Path("out/questions_train.json"))["questions"]
    assert [one["question_id"] for one in written] == ["x1", "x2"]
    assert Path("out/annotations_train.json").is_file() == (answers[0] is not None)
    read = read_folder(Path("out"), arranged=False)
    assert len(read.images) == 2 and [*read.splits["train"]["question_name"]] == ["x1", "x2"]
