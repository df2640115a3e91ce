"""TensorBoard's files: written, of a resumed run only the ones that count, and served for real."""

import json
import sys
import time
import urllib.request

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import OneSide
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.runs import Run
from vqa_helpers.training.tensorboard import (
    DIMENSIONS,
    FOLDER,
    PROJECTOR,
    VECTORS,
    add_vectors,
    open_writer,
    record_epoch,
    write_board,
    write_pictures,
)

CONFIG = {
    "name": "1.e", "dataset": "tiny", "weights": None, "loss": "cross entropy",
    "question_source": None, "split_rule": "by-image", "stand_ins": [], "seed": 0, "epochs": 3,
    "image_size_px": None, "answers": 4, "words": None, "parameters": 24,
    "training": {"optimiser": "adam", "learning_rate": 0.5, "decay": 1.0, "decay_every": 1,
                 "batch": 30},
}  # fmt: skip
TRAIN = pd.DataFrame({"answer": list("aabcd"), "answer_type": ["other", "yes/no", *["other"] * 3]})


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / FOLDER))
    events.Reload()
    return events


def scalars(folder, tag="train/loss"):
    return [(event.step, round(event.value, 3)) for event in read(folder).Scalars(tag)]


def write(folder, first_epoch, losses):
    writer = open_writer(folder, first_epoch)
    for epoch, loss in enumerate(losses, start=first_epoch):
        record_epoch(writer, {"epoch": epoch, "train_loss": loss, "validation_vqa": None})
    writer.close()


def results(folder, value=60.0):
    kinds = {"yes/no": {"questions": 72, "top1": {"value": value}}}
    metrics = {
        "test": {"top1": {"value": value}, "top5": {"value": value}, "vqa": None,
                 "per_answer_type": kinds, "per_question_type": {}},
    }  # fmt: skip
    model = VQAModel(None, nn.Identity(), OneSide(0, 6), Funnel(6, (), 4))
    write_board(folder, CONFIG, metrics, model, TRAIN, list("abcd"))


def projected(folder, name):
    return folder / FOLDER / VECTORS / name


def labels(folder, name) -> list[list[str]]:
    lines = (projected(folder, name) / "metadata.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


def test_events_are_written_without_tensorflow(tmp_path):
    before = "tensorflow" in sys.modules
    write(tmp_path, 1, [0.5, 0.25])
    results(tmp_path)
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25)]
    assert "validation/vqa" not in read(tmp_path).Tags()["scalars"]  # what is not defined
    assert ("tensorflow" in sys.modules) == before


def test_a_resumed_run_discards_the_epochs_it_trains_again_and_its_results(tmp_path):
    write(tmp_path, 1, [0.5, 0.25, 0.125])
    results(tmp_path)
    write(tmp_path, 3, [0.1, 0.05])
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25), (3, 0.1), (4, 0.05)]
    assert "result/test top-1" not in read(tmp_path).Tags()["scalars"]


def test_a_run_that_starts_again_forgets_everything(tmp_path):
    write(tmp_path, 1, [0.5, 0.25])
    results(tmp_path)
    write_pictures(tmp_path, "samples", 2, {"samples/a": np.zeros((4, 4, 3), np.uint8)})
    write(tmp_path, 1, [0.4])
    assert scalars(tmp_path) == [(1, 0.4)]
    assert read(tmp_path).Tags()["images"] == []
    assert not (tmp_path / FOLDER / PROJECTOR).exists()


def test_results_written_twice_are_there_once(tmp_path):
    write(tmp_path, 1, [0.5, 0.25, 0.125])
    results(tmp_path, 50.0)
    results(tmp_path, 60.0)  # as after a kill between the results and the end
    assert scalars(tmp_path, "result/test top-1") == [(3, 60.0)]
    assert scalars(tmp_path, "test, answer types/yes/no") == [(3, 60.0)]
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25), (3, 0.125)]
    for shade in (0, 200):
        write_pictures(tmp_path, "samples", 3, {"a": np.full((4, 6, 3), shade, np.uint8)})
    (picture,) = read(tmp_path).Images("a")
    assert (picture.width, picture.height) == (6, 4)


def test_vectors_keep_their_distances_and_labels_their_lines(tmp_path):
    points = np.random.default_rng(0).normal(size=(20, 300))
    names = ["a\tb", "c\nd", "", *map(str, range(17))]
    points, said = torch.from_numpy(points), {"word": names, "place": range(20)}
    with open_writer(tmp_path, 1) as writer:
        add_vectors(writer, {"words": (points, said), "few": (points[:, :3], said)})
    assert (tmp_path / FOLDER / PROJECTOR).read_text().count("tensor_path") == 2
    kept = np.loadtxt(projected(tmp_path, "words") / "tensors.tsv")
    assert kept.shape == (20, 20) and kept.shape[1] <= DIMENSIONS
    assert np.linalg.norm(kept[0] - kept[1]) == pytest.approx(
        np.linalg.norm(points[0] - points[1]), rel=1e-3
    )
    head = [["word", "place"], ["a b", "0"], ["c d", "1"], ["(empty)", "2"]]
    assert labels(tmp_path, "words")[:4] == head and len(labels(tmp_path, "few")) == 21


# What a finished run shows ------------------------------------------------------------------------


def test_a_finished_run_shows_its_scores_per_kind(trained):
    run = Run(trained("1.e"))
    events = read(run.folder)
    for kind, scores in run.metrics["test"]["per_answer_type"].items():
        (shown,) = events.Scalars(f"test, answer types/{kind}")
        assert shown.step == 3 and shown.value == pytest.approx(scores["top1"]["value"])
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
    assert len(np.loadtxt(projected(folder, "answers") / "tensors.tsv")) == len(rows)
    words = [row[0] for row in labels(folder, "words")[1:]]
    assert "color" in words and "<pad>" not in words
    assert len(np.loadtxt(projected(folder, "words") / "tensors.tsv")) == len(words)


def ask(address, content=None):
    """What TensorBoard answers, as JSON."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_tensorboard_serves_all_of_it(tmp_path):
    run, name = tmp_path / "runs" / "tiny", f"tiny/{FOLDER}"
    write(run, 1, [0.5, 0.25, 0.125])
    results(run)
    write_pictures(run, "samples", 3, {"samples/<b>": np.zeros((8, 8, 3), np.uint8)})
    from tensorboard.program import TensorBoard

    board = TensorBoard()
    board.configure([None, "--logdir", str(run.parent), "--port", "0", "--load_fast", "false"])
    served = f"{board.launch()}data/plugin/"
    while not ask(f"{served}images/tags"):  # it reads the files in a thread of its own
        time.sleep(0.2)
    tags = ask(f"{served}scalars/tags")[name]
    assert {"train/loss", "result/test top-1", "test, answer types/yes/no"} <= tags.keys()
    curve = ask(f"{served}scalars/scalars?run={name}&tag=train%2Floss")
    assert [point[1:] for point in curve] == [[1, 0.5], [2, 0.25], [3, 0.125]]
    assert list(ask(f"{served}images/tags")[name]) == ["samples/<b>"]
    wanted = {"experimentName": "", "colParams": [], "startIndex": 0, "sliceSize": 10,
              "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"]}  # fmt: skip
    (session,) = ask(f"{served}hparams/session_groups", wanted)["sessionGroups"]
    # Every run has the same columns, also where it has no weights and no words.
    told = {key: session["hparams"][key] for key in ("name", "weights", "words", "learning_rate")}
    assert told == {"name": "1.e", "weights": "none", "words": 0, "learning_rate": 0.5}
    assert [score["value"] for score in session["metricValues"]] == [60.0, 60.0]
    (embedding,) = ask(f"{served}projector/info?run={name}")["embeddings"]
    assert embedding["tensorShape"] == [4, 6]
