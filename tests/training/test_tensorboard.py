"""TensorBoard's files: written, and of a resumed run only the ones that count."""

import sys
import time
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests.builders import read_json
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import OneSide
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.runs import Run
from vqa_helpers.training import tensorboard
from vqa_helpers.training.tensorboard import DIMENSIONS, FOLDER, PROJECTOR, TRAINING, VECTORS

CONFIG = defaultdict(lambda: None, stand_ins=[], epochs=3, training=dict.fromkeys(TRAINING, 0.5))
TRAIN = pd.DataFrame({"answer": list("aabcd"), "answer_type": ["other", "yes/no", *["other"] * 3]})


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / FOLDER))
    events.Reload()
    return events


def scalars(folder, tag="train/loss"):
    return [(event.step, round(event.value, 3)) for event in read(folder).Scalars(tag)]


def write(folder, first_epoch, losses):
    time.sleep(1)  # TensorBoard reads files in the order of their names, which hold whole seconds
    writer = tensorboard.open_writer(folder, first_epoch)
    for epoch, loss in enumerate(losses, start=first_epoch):
        numbers = {"epoch": epoch, "train_loss": loss, "validation_vqa": None}
        tensorboard.record_epoch(writer, numbers)
    writer.close()


def results(folder, value=60.0):
    score = {"questions": 72, "top1": {"value": value}, "top5": {"value": value}, "vqa": None}
    metrics = {"test": {**score, "per_answer_type": {"yes/no": score}, "per_question_type": {}}}
    model = VQAModel(None, nn.Identity(), OneSide(0, 6), Funnel(6, (), 4))
    tensorboard.write_board(folder, CONFIG, metrics, model, TRAIN, list("abcd"))


def projected(folder, name):
    return folder / FOLDER / VECTORS / name


def labels(folder, name) -> list[list[str]]:
    lines = (projected(folder, name) / "metadata.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


@pytest.mark.slow
def test_what_is_trained_again_is_discarded_and_so_are_results(tmp_path):
    before = "tensorflow" in sys.modules
    write(tmp_path, 1, [0.5, 0.25, 0.125])
    results(tmp_path)
    write(tmp_path, 3, [0.1, 0.05])
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25), (3, 0.1), (4, 0.05)]
    assert "validation/vqa" not in read(tmp_path).Tags()["scalars"]  # what is not defined
    assert "result/test top-1" not in read(tmp_path).Tags()["scalars"]
    results(tmp_path)
    tensorboard.write_pictures(tmp_path, "samples", 2, {"samples/a": np.zeros((4, 4, 3), np.uint8)})
    write(tmp_path, 1, [0.4])
    assert scalars(tmp_path) == [(1, 0.4)]
    assert read(tmp_path).Tags()["images"] == []
    assert not (tmp_path / FOLDER / PROJECTOR).exists()
    assert ("tensorflow" in sys.modules) == before


def test_results_written_twice_are_there_once(tmp_path):
    write(tmp_path, 1, [0.5, 0.25, 0.125])
    results(tmp_path, 50.0)
    results(tmp_path, 60.0)  # as after a kill between the results and the end
    assert scalars(tmp_path, "result/test top-1") == [(3, 60.0)]
    assert scalars(tmp_path, "test, answer types/yes/no") == [(3, 60.0)]
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25), (3, 0.125)]
    for shade in (0, 200):
        picture = np.full((4, 6, 3), shade, np.uint8)
        tensorboard.write_pictures(tmp_path, "samples", 3, {"a": picture})
    (picture,) = read(tmp_path).Images("a")
    assert (picture.width, picture.height) == (6, 4)


def test_vectors_keep_their_distances_and_labels_their_lines(tmp_path):
    points = np.random.default_rng(0).normal(size=(20, 300))
    names = ["a\tb", "c\nd", "", *map(str, range(17))]
    points, said = torch.from_numpy(points), {"word": names, "place": range(20)}
    with tensorboard.open_writer(tmp_path, 1) as writer:
        tensorboard.add_vectors(writer, {"words": (points, said), "few": (points[:, :3], said)})
    assert (tmp_path / FOLDER / PROJECTOR).read_text().count("tensor_path") == 2
    kept = np.loadtxt(projected(tmp_path, "words") / "tensors.tsv")
    assert kept.shape == (20, 20) and kept.shape[1] <= DIMENSIONS
    near, far = (np.linalg.norm(vectors[0] - vectors[1]) for vectors in (kept, points))
    assert near == pytest.approx(far, rel=1e-3)
    head = [["word", "place"], ["a b", "0"], ["c d", "1"], ["(empty)", "2"]]
    assert labels(tmp_path, "words")[:4] == head and len(labels(tmp_path, "few")) == 21


def test_a_finished_run_shows_scores_per_kind_and_the_vectors_of_answers_and_words(trained):
    run = Run(trained("Improved_VQA2015_ResNet"))
    events = read(run.folder)
    for kind, scores in run.metrics["test"]["per_answer_type"].items():
        (shown,) = events.Scalars(f"test, answer types/{kind}")
        assert shown.step == 3 and shown.value == pytest.approx(scores["top1"]["value"])
    assert "test, question types/how many" in events.Tags()["scalars"]
    assert [event.step for event in events.Scalars("validation/top1")] == [1, 2, 3]
    head, *rows = labels(run.folder, "answers")
    assert head == ["answer", "answer type", "times in train"]
    assert {"yes", "red", "1"} <= {row[0] for row in rows}
    assert dict(row[:2] for row in rows)["yes"] == "yes/no"
    words = [row[0] for row in labels(run.folder, "words")[1:]]
    assert "color" in words and "<pad>" not in words
    for name, count in (("answers", len(rows)), ("words", len(words))):
        assert len(np.loadtxt(projected(run.folder, name) / "tensors.tsv")) == count


def test_of_many_answers_the_first_are_shown(train, tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "POINTS", 3)
    run = train("Bag_Of_Words", tmp_path / "run", epochs=1)
    known = read_json(run.folder / "vocabulary.json")["answers"]
    assert len(known) > 3
    assert [row[0] for row in labels(run.folder, "answers")[1:]] == known[:3]
    assert len(np.loadtxt(projected(run.folder, "answers") / "tensors.tsv")) == 3
