"""`vqa predict` and `vqa ask`."""

import json
import shutil

import pytest

from tests.cli.calling import refused
from vqa_helpers.runs import Run


def test_predictions_are_scored_as_the_run_was(vqa, run, data, tmp_path):
    results = tmp_path / "new" / "results.json"
    questions, annotations = data / "questions_test.json", data / "annotations_test.json"
    words = ["--questions", questions, "--images", data, "--out", results, "--offline"]
    code, out, error = vqa("predict", run, *words, "--features", "features/tiny")
    assert (code, out.strip()) == (0, str(results)), error
    given = json.loads(results.read_text(encoding="utf-8"))
    asked = json.loads(questions.read_text(encoding="utf-8"))["questions"]
    assert [row["question_id"] for row in given] == [row["question_id"] for row in asked]
    assert all(row["answer"] for row in given)
    code, out, _ = vqa("evaluate", "--questions", questions, "--annotations", annotations,
                       "--results", results)  # fmt: skip
    report = json.loads(out)
    assert code == 0
    measured = Run(run).metrics["test"]
    assert report["overall"] == measured["vqa"]["value"]
    for kind in ("per_answer_type", "per_question_type"):
        assert report[kind] == {name: row["vqa"]["value"] for name, row in measured[kind].items()}
    assert report["top1"] == measured["top1"]["value"]


def test_prediction_names_what_it_could_not_see(vqa, run, data, tmp_path, caplog):
    images = shutil.copytree(data / "images", tmp_path / "images")
    questions = data / "questions_test.json"
    words = ["predict", run, "--questions", questions, "--images", images, "--offline"]
    broken = images / f"{2001:012d}.png"
    broken.write_bytes(broken.read_bytes()[:60])
    code, _, error = vqa(*words, "--out", tmp_path / "a.json")
    assert code == 1
    assert str(broken) in caplog.text + error
    broken.unlink()
    code, _, error = vqa(*words, "--out", tmp_path / "b.json")
    assert code == 1
    assert "image 2001 has no file" in error
    for name in ("a.json", "b.json"):
        assert len(json.loads((tmp_path / name).read_text(encoding="utf-8"))) == 36


def test_prediction_without_images(vqa, run, blind, data, tmp_path):
    words = ["--questions", data / "questions_test.json", "--out", tmp_path / "r.json"]
    assert "--images" in refused(vqa("predict", run, *words))
    assert vqa("predict", blind, *words)[0] == 0
    assert len(json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))) == 36


def test_prediction_of_no_run(vqa, data, tmp_path):
    words = ["--questions", data / "questions_test.json", "--out", tmp_path / "r.json"]
    assert "holds no finished run" in refused(vqa("predict", tmp_path, *words))
    assert "no.json" in refused(vqa("predict", tmp_path, "--questions", tmp_path / "no.json",
                                    "--out", tmp_path / "r.json"))  # fmt: skip


@pytest.mark.parametrize("question", ["What color is the ground?", "???", "字 🤖?"])
def test_asking_prints_five_answers(vqa, run, data, question):
    code, out, _ = vqa("ask", run, data / "images" / f"{1:012d}.png", question, "--offline")
    assert code == 0
    chances = [float(line.split(" %  ")[0]) for line in out.splitlines()]
    assert len(chances) == 5 and chances == sorted(chances, reverse=True)
    answers = [line.split(" %  ")[1] for line in out.splitlines()]
    assert set(answers) <= set(json.loads((run / "vocabulary.json").read_text("utf-8"))["answers"])


def test_asking_in_vain(vqa, run, data, tmp_path):
    photograph = data / "images" / f"{1:012d}.png"
    assert "the question is empty" in refused(vqa("ask", run, photograph, " "))
    assert "the file is missing" in refused(vqa("ask", run, tmp_path / "no.png", "What?"))
    assert "holds no finished run" in refused(vqa("ask", tmp_path, photograph, "What?"))
