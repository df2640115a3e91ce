"""`vqa evaluate`, `vqa compare`, `vqa batch`, `vqa report`."""

import json

import pytest

from tests.cli.calling import refused


def test_evaluation_follows_the_normaliser(vqa, data, tmp_path):
    questions, annotations = data / "questions_test.json", data / "annotations_test.json"
    asked = json.loads(annotations.read_text(encoding="utf-8"))["annotations"]
    rows = [
        {"question_id": a["question_id"], "answer": a["multiple_choice_answer"] + "."}
        for a in asked
    ]
    (tmp_path / "r.json").write_text(json.dumps(rows), encoding="utf-8")
    words = ["evaluate", "--questions", questions, "--annotations", annotations,
             "--results", tmp_path / "r.json"]  # fmt: skip
    old = json.loads(vqa(*words, "--normaliser", "2015")[1])
    new = json.loads(vqa(*words)[1])
    assert old["overall"] == 100.0  # the full stop is always stripped
    assert new["overall"] < 100.0  # where all agree the answer must be the same word for word
    assert (new["normaliser"], old["normaliser"]) == ("2021", "2015")


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "has no answer to question"), ("{}", "array"), ("", "is empty"),
     ('[{"question_id": 1}]', "answer")],
)  # fmt: skip
def test_broken_results_are_refused(vqa, data, tmp_path, content, message):
    (tmp_path / "r.json").write_text(content, encoding="utf-8")
    line = refused(
        vqa("evaluate", "--questions", data / "questions_test.json", "--annotations",
            data / "annotations_test.json", "--results", tmp_path / "r.json")
    )  # fmt: skip
    assert "r.json" in line and message in line


def test_the_results_are_a_table(vqa, run):
    code, out, _ = vqa("report", "--table", "--runs", "runs")
    assert code == 0
    assert "1.e" in out


def test_batch_without_notebooks_is_refused(vqa, tmp_path):
    assert "no notebooks" in refused(vqa("batch", "--notebooks", tmp_path))


@pytest.mark.parametrize("content", ["{}", "[]", "hello", '{"cells": 3}'])
def test_a_broken_notebook_is_named(vqa, tmp_path, content):
    (tmp_path / "one.ipynb").write_text(content, encoding="utf-8")
    line = refused(vqa("batch", "--notebooks", tmp_path, "-p", "EPOCHS=1"))
    assert "one.ipynb: cannot be read as a notebook" in line


def test_two_runs_are_told_apart(vqa, run, blind, tmp_path):
    code, out, _ = vqa("compare", run, blind)
    assert code == 0 and "top-1" in out and "VQA accuracy" in out and ", paired, 95 %" in out
    told = json.loads(vqa("compare", run, run, "--json")[1])
    assert told["verdict"] == "cannot tell" and told["top1"]["value"] == 0
    assert "is no finished run" in refused(vqa("compare", run, tmp_path))


def test_results_are_validated_without_annotations(vqa, data, tmp_path):
    asked = json.loads((data / "questions_test.json").read_text(encoding="utf-8"))["questions"]
    rows = [{"question_id": q["question_id"], "answer": "yes"} for q in asked]
    results = tmp_path / "r.json"
    results.write_text(json.dumps(rows), encoding="utf-8")
    words = ["evaluate", "--questions", data / "questions_test.json", "--results", results]
    assert json.loads(vqa(*words)[1]) == {"accepted": True, "answers": len(rows)}
    results.write_text(json.dumps(rows[1:]), encoding="utf-8")
    assert "has no answer to question" in refused(vqa(*words))


def test_a_site_of_failed_notebooks_says_so_with_its_exit_code(vqa, run, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbconvert")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")])
    (tmp_path / "nb" / "failed").mkdir(parents=True)
    nbformat.write(made, tmp_path / "nb" / "failed" / "One.ipynb")
    words = ["report", "--runs", "runs", "--notebooks", tmp_path / "nb", "--out", tmp_path / "out"]
    code, _, error = vqa(*words)
    assert code == 1 and "One.ipynb: failed when it was last run" in error
    assert (tmp_path / "out" / "One.html").is_file()
    nbformat.write(made, tmp_path / "nb" / "Two.ipynb")
    (tmp_path / "nb" / "failed" / "One.ipynb").unlink()
    assert vqa(*words)[0] == 0
    assert not (tmp_path / "out" / "One.html").exists()
