"""What TensorBoard shows of a finished run, read back from its folder."""

import dataclasses

import numpy as np
import pytest

from tests.training.test_events import read
from vqa_helpers.experiment.board import write_board
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.runs import Run
from vqa_helpers.training.events import FOLDER


def labels(folder, name) -> list[list[str]]:
    lines = (folder / FOLDER / f"{name}_labels.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


def test_a_finished_run_shows_its_scores_per_kind(trained):
    run = Run(trained("1.e"))
    events = read(run.folder)
    kinds = run.metrics["test"]["per_answer_type"]
    for kind in ("yes/no", "number", "other"):
        (shown,) = events.Scalars(f"test, answer types/{kind}")
        assert shown.step == 3 and shown.value == pytest.approx(kinds[kind]["top1"]["value"])
    (shown,) = events.Scalars("result/validation top-1")
    assert shown.value == pytest.approx(run.metrics["validation"]["top1"]["value"])
    assert "test, question types/how many" in events.Tags()["scalars"]
    assert [event.step for event in events.Scalars("validation/top1")] == [1, 2, 3]


def test_the_vectors_of_answers_and_words_have_labels(trained):
    folder = trained("Improved_VQA2015_ResNet")
    head, *rows = labels(folder, "answers")
    assert head == ["answer", "answer type", "times in train"]
    assert {"yes", "red", "1"} <= {row[0] for row in rows}
    assert dict(row[:2] for row in rows)["yes"] == "yes/no"
    assert len(np.loadtxt(folder / FOLDER / "answers.tsv")) == len(rows)
    words = [row[0] for row in labels(folder, "words")]
    assert "color" in words and "<pad>" not in words
    assert len(np.loadtxt(folder / FOLDER / "words.tsv")) == len(words)


@pytest.mark.parametrize("preset", ["1.e", "GloVe_ResNet", "Bag_Of_Words", "Image_Only"])
def test_words_are_there_where_the_model_looks_them_up(trained, preset):
    words = trained(preset) / FOLDER / "words.tsv"
    assert words.exists() == (preset in ("GloVe_ResNet", "Bag_Of_Words"))


def test_every_run_has_the_same_columns_of_settings(ready, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("vqa_helpers.experiment.board.write_results",
                        lambda folder, epoch, scalars, settings, scores: seen.append(settings))  # fmt: skip
    for preset in ("1.e", "Question_Only"):
        experiment = ready(preset)
        write_board(experiment, tmp_path, {})
    assert list(seen[0]) == list(seen[1])
    assert [type(value) for value in seen[0].values()] == [type(v) for v in seen[1].values()]
    assert seen[1]["weights"] == "none" and seen[1]["image_size_px"] == 0
    assert seen[0]["preset"] == "1.e" and seen[0]["batch"] > 0


def test_writing_it_again_doubles_nothing(ready, tmp_path):
    experiment = ready("Question_Only", epochs=1)
    run = conduct(experiment, tmp_path / "run")
    before = {path.name for path in (run.folder / FOLDER).iterdir()}
    write_board(experiment, run.folder, run.metrics)
    assert len(before) == len(list((run.folder / FOLDER).iterdir()))
    assert len(read(run.folder).Scalars("result/test top-1")) == 1


def test_an_answer_seen_once_and_no_test_answers(ready, tmp_path):
    experiment = dataclasses.replace(ready("Question_Only", epochs=1))
    metrics = {
        "validation": Run(conduct(experiment, tmp_path / "run").folder).metrics["validation"]
    }
    write_board(experiment, tmp_path / "run", metrics)
    tags = read(tmp_path / "run").Tags()["scalars"]
    assert "result/validation top-1" in tags and "result/test top-1" not in tags
