"""`vqa data`."""

import json
import zipfile

from tests.builders import read_json, write_dataset, write_json, write_release
from tests.cli.calling import QUICK, refused
from vqa_helpers.runs import Run


def test_datasets_and_public_files_are_listed(vqa, tmp_path):
    code, out, _ = vqa("data", "list", "--root", tmp_path)
    assert code == 0
    names = [line.split()[1] for line in out.splitlines() if line and "---" not in line]
    assert names[:10] == ["dataset", "demo", *"ABCDE", "100k", "v1", "v2"]
    assert {"coco-val2014", "glove", "use"} <= set(names)
    listed = json.loads(vqa("data", "list", "--root", tmp_path, "--json")[1])
    by_name = {row["dataset"]: row for row in listed["datasets"]}
    assert by_name["v2"]["questions"] == 658_111 and by_name["v2"]["on disk"] == "20.2 GB"
    assert by_name["100k"]["state"] == "not built; lacks v1, coco-val2014"


def test_a_dataset_is_cut_and_trained_on(vqa, data, tmp_path):
    code, out, _ = vqa("data", "build", "A", "--from", data, "--out", tmp_path / "A")
    assert (code, out.strip()) == (0, str(tmp_path / "A"))
    notes = read_json(tmp_path / "A" / "dataset.json")["notes"]
    assert "scaled: 36 questions qualify where the study has 100" in notes
    code, out, _ = vqa("train", "Question_Only", "--data", tmp_path / "A", "--out",
                       tmp_path / "run", "--epochs", "1", *QUICK)  # fmt: skip
    assert code == 0
    assert Run(tmp_path / "run").config["dataset"] == "A"


def test_offline_it_says_which_file_to_put_where(vqa, tmp_path):
    for words in (["build", "A"], ["download", "v1"]):
        line = refused(vqa("data", *words, "--offline", "--root", tmp_path))
        assert "Questions_Val_mscoco.zip" in line and str(tmp_path / "raw" / "v1") in line


def test_photographs_that_cannot_be_had_are_failed_work(vqa, tmp_path):
    release = tmp_path / "v1"
    release.mkdir()
    write_release(release, "v1", ("val2014",), images=40)
    with zipfile.ZipFile(tmp_path / "v1.zip", "w") as packed:
        for file in release.glob("*.json"):
            packed.write(file, file.name)
    v1 = {"name": "v1", "about": "", "licence": "", "folder": "raw/v1", "unpack": True,
          "files": [{"url": "https://nowhere.invalid/v1.zip",
                     "bytes": (tmp_path / "v1.zip").stat().st_size, "sha256": None}]}  # fmt: skip
    sources = write_json(
        tmp_path / "sources.json",
        {"single_image": "https://nowhere.invalid/{subset}/{name}", "sources": [v1]},
    )
    by_hand = tmp_path / "data" / "raw" / "v1"
    by_hand.mkdir(parents=True)
    (tmp_path / "v1.zip").rename(by_hand / "v1.zip")
    words = ["data", "build", "A", "--offline", "--sources", sources, "--root", tmp_path / "data"]
    code, out, error = vqa(*words)
    assert (code, out.strip()) == (1, str(tmp_path / "data" / "A")), error
    assert "photographs are not here, the first of image" in error.splitlines()[-1]
    assert vqa(*words, "--no-photographs")[0] == 0


def test_what_cannot_be_downloaded_is_named(vqa, tmp_path):
    assert "'v3': no such download; there are v1" in refused(vqa("data", "download", "v3"))
    code, out, error = vqa("data", "download", "v1", "v2", "--offline", "--root", tmp_path)
    assert (code, out) == (1, "")
    assert [line.split()[1] for line in error.splitlines()] == ["v1", "v2"]


def test_a_sound_folder_passes_the_check(vqa, data):
    code, out, _ = vqa("data", "check", data)
    assert code == 0
    report = json.loads(vqa("data", "check", data, "--json")[1])
    assert report["problems"] == []


def test_every_problem_is_named(vqa, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    (data / "images" / f"{2:012d}.png").unlink()
    broken = data / "images" / f"{1002:012d}.png"
    broken.write_bytes(broken.read_bytes()[:60])
    questions = read_json(data / "questions_test.json")
    questions["questions"][3]["question"] = " "
    write_json(data / "questions_test.json", questions)
    code, out, _ = vqa("data", "check", data)
    assert code == 1
    for told in ("image 2", broken.name, "questions[3].question"):
        assert told in out, out
    assert broken.name not in vqa("data", "check", data, "--images", "names")[1]
