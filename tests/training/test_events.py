"""TensorBoard's files: written, of a resumed run only the ones that count, and served for real."""

import json
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

from vqa_helpers.training.events import (
    DIMENSIONS,
    FOLDER,
    PROJECTOR,
    open_writer,
    write_pictures,
    write_results,
    write_vectors,
)

SERVE = """
import sys
from vqa_helpers.training.events import without_tensorflow
without_tensorflow()
from tensorboard.main import run_main
sys.exit(run_main())
"""
SETTINGS = {"preset": "1.e", "epochs": 3.0, "weights": "none"}


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / FOLDER))
    events.Reload()
    return events


def scalars(folder, tag="train/loss"):
    return [(event.step, round(event.value, 3)) for event in read(folder).Scalars(tag)]


def write(folder, first_epoch, losses):
    writer = open_writer(folder, first_epoch)
    for step, loss in enumerate(losses, start=first_epoch):
        writer.add_scalar("train/loss", loss, step)
    writer.close()


def results(folder, value=60.0):
    write_results(
        folder, 3, {"test, answer types/yes/no": value}, SETTINGS, {"result/top-1": value}
    )


def test_events_are_written_without_tensorflow(tmp_path):
    before = "tensorflow" in sys.modules
    write(tmp_path, 1, [0.5, 0.25])
    results(tmp_path)
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25)]
    assert ("tensorflow" in sys.modules) == before


def test_a_resumed_run_discards_the_epochs_it_trains_again(tmp_path):
    write(tmp_path, 1, [0.5, 0.25, 0.125])
    write(tmp_path, 3, [0.1, 0.05])
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25), (3, 0.1), (4, 0.05)]


def test_a_run_that_starts_again_forgets_everything(tmp_path):
    write(tmp_path, 1, [0.5, 0.25])
    results(tmp_path)
    write_pictures(tmp_path, "samples", 2, {"samples/a": np.zeros((4, 4, 3), np.uint8)})
    write_vectors(tmp_path, {"answers": (np.eye(3), {"answer": ["a", "b", "c"]})})
    write(tmp_path, 1, [0.4])
    assert scalars(tmp_path) == [(1, 0.4)]
    assert read(tmp_path).Tags()["images"] == []
    assert not (tmp_path / FOLDER / PROJECTOR).exists()


def test_results_written_twice_are_there_once(tmp_path):
    write(tmp_path, 1, [0.5, 0.25, 0.125])
    results(tmp_path, 50.0)
    results(tmp_path, 60.0)  # as after a kill between the results and the end
    assert scalars(tmp_path, "result/top-1") == [(3, 60.0)]
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25), (3, 0.125)]
    for shade in (0, 200):
        write_pictures(tmp_path, "samples", 3, {"a": np.full((4, 6, 3), shade, np.uint8)})
    (picture,) = read(tmp_path).Images("a")
    assert (picture.width, picture.height) == (6, 4)


def test_a_run_that_goes_on_has_no_results_yet(tmp_path):
    write(tmp_path, 1, [0.5, 0.25, 0.125])
    results(tmp_path)
    write(tmp_path, 3, [0.1])
    assert "result/top-1" not in read(tmp_path).Tags()["scalars"]
    assert scalars(tmp_path) == [(1, 0.5), (2, 0.25), (3, 0.1)]


def test_vectors_keep_their_distances_and_labels_their_lines(tmp_path):
    points = np.random.default_rng(0).normal(size=(20, 300))
    labels = ["a\tb", "c\nd", "", *map(str, range(17))]
    write_vectors(
        tmp_path, {"words": (points, {"word": labels}), "two": (points[:, :3], {"a": labels, "b": labels})}
    )  # fmt: skip
    place = tmp_path / FOLDER
    kept = np.loadtxt(place / "words.tsv")
    assert kept.shape == (20, 20) and kept.shape[1] <= DIMENSIONS
    assert np.linalg.norm(kept[0] - kept[1]) == pytest.approx(
        np.linalg.norm(points[0] - points[1]), rel=1e-3
    )
    assert (place / "words_labels.tsv").read_text().splitlines()[:3] == ["a b", "c d", "(empty)"]
    lines = (place / "two_labels.tsv").read_text().splitlines()
    assert lines[0] == "a\tb" and len(lines) == 21


def ask(address, content=None):
    """What TensorBoard answers, as JSON."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.fixture
def served(tmp_path):
    """The address of a TensorBoard that has read a run below `tmp_path`."""
    run = tmp_path / "runs" / "tiny"
    write(run, 1, [0.5, 0.25, 0.125])
    results(run)
    write_pictures(run, "samples", 3, {"samples/<b>": np.zeros((8, 8, 3), np.uint8)})
    write_vectors(run, {"answers": (np.eye(4), {"answer": list("abcd"), "type": list("wxyz")})})
    log = tmp_path / "log.txt"
    command = [sys.executable, "-c", SERVE, "--logdir", str(tmp_path / "runs"), "--port", "0",
               "--host", "127.0.0.1", "--load_fast", "false"]  # fmt: skip
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 50
        while " at http://" not in log.read_text():
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        address = log.read_text().split(" at ")[1].split()[0]
        while not ask(f"{address}data/plugin/images/tags") and time.monotonic() < deadline:
            time.sleep(0.2)
        yield f"{address}data/plugin/"
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_tensorboard_serves_all_of_it(served):
    name = f"tiny/{FOLDER}"
    tags = ask(f"{served}scalars/tags")[name]
    assert {"train/loss", "result/top-1", "test, answer types/yes/no"} <= tags.keys()
    curve = ask(f"{served}scalars/scalars?run={name}&tag=train%2Floss")
    assert [point[1:] for point in curve] == [[1, 0.5], [2, 0.25], [3, 0.125]]
    assert list(ask(f"{served}images/tags")[name]) == ["samples/<b>"]

    wanted = {"experimentName": "", "colParams": [], "startIndex": 0, "sliceSize": 10,
              "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"]}  # fmt: skip
    (session,) = ask(f"{served}hparams/session_groups", wanted)["sessionGroups"]
    assert session["hparams"] == SETTINGS
    assert [score["value"] for score in session["metricValues"]] == [60.0]

    assert ask(f"{served}projector/runs") == [name]
    (embedding,) = ask(f"{served}projector/info?run={name}")["embeddings"]
    assert embedding["tensorShape"] == [4, 4]
    address = f"{served}projector/metadata?run={name}&name=answers"
    with urllib.request.urlopen(address, timeout=20) as answer:
        assert answer.read().decode().splitlines()[:2] == ["answer\ttype", "a\tw"]
