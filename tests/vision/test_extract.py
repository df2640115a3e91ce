"""Filling a store: resumed after a kill, repaired where damaged, every bad image named."""

import functools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vqa_helpers import files
from vqa_helpers.errors import InputError
from vqa_helpers.vision import extract, pipeline
from vqa_helpers.vision.encoders import VisionEncoder, weights_sha256
from vqa_helpers.vision.extract import Chunk, Recipe, encode_images, fill_store, plan, store_folder
from vqa_helpers.vision.features import MANIFEST, FeatureStore
from vqa_helpers.vision.pipeline import compute_shard
from vqa_helpers.vision.preprocess import load_square

ROOT = Path(__file__).parents[2]
HOW = {"encoder": "resnet18", "weights": "random", "size_px": 32}
FOLDER = "resnet18-random-32"


def draw(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((48, 40)).save(path)
    return path


@pytest.fixture
def images(tmp_path):
    """Ten images, ids 10, 20 … 100."""
    folder = tmp_path / "images"
    folder.mkdir()
    return {10 * k: draw(folder / f"{10 * k}.png", k) for k in range(1, 11)}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(extract, "SHARD_IMAGES", 4)


@pytest.fixture(autouse=True)
def built_once(monkeypatch):
    """The network of random weights is drawn once for all tests: it is always the same."""

    def build(name, weights):
        return (
            _random() if (name, weights) == ("resnet18", "random") else VisionEncoder(name, weights)
        )

    monkeypatch.setattr(extract, "VisionEncoder", build)


@functools.cache
def _random():
    return VisionEncoder("resnet18")


@pytest.fixture
def counted(monkeypatch):
    """The ids of the images decoded since."""
    seen = []

    def load(path, size_px):
        if size_px == 32:
            seen.append(int(path.stem))
        return load_square(path, size_px)

    monkeypatch.setattr(pipeline, "load_square", load)
    return seen


def fill(tmp_path, images, **how):
    return fill_store(tmp_path / "stores", images, **{**HOW, "batch_images": 3, **how})


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*"))}


def shard(store, number):
    return store.folder / f"shard-{number:05d}.safetensors"


def test_every_image_has_its_row(tmp_path, images, counted):
    store = fill(tmp_path, images)
    assert store.folder == tmp_path / "stores" / FOLDER
    assert sorted(counted) == sorted(images)
    network = _random()
    ids = np.array([100, 10, 50])
    rows, found = store.read(ids)
    assert found.all() and rows.shape == (3, 512)
    for row, image_id in zip(rows, ids.tolist(), strict=True):
        pixels = torch.from_numpy(load_square(images[image_id], 32).copy()).permute(2, 0, 1)
        expected = network(pixels[None])[0].detach().numpy()
        assert np.allclose(row, expected, rtol=2e-3, atol=1e-3)
    assert not np.array_equal(rows[0], rows[1])


def test_the_manifest_says_what_the_store_is(tmp_path, images):
    store = fill(tmp_path, images)
    manifest = json.loads((store.folder / MANIFEST).read_text())
    assert manifest["encoder"] == "resnet18" and manifest["width"] == 512
    assert manifest["dtype"] == "float16" and manifest["failed"] == {}
    assert manifest["weights"].startswith("random, seed 0") and "32 px" in manifest["preprocessing"]
    assert manifest["weights_sha256"] == weights_sha256(VisionEncoder("resnet18"))
    assert [entry["rows"] for entry in manifest["shards"]] == [4, 4, 2]
    assert len({entry["sha256"] for entry in manifest["shards"]}) == 3


def test_a_full_store_is_opened_without_a_network(tmp_path, images, monkeypatch):
    before = content(fill(tmp_path, images).folder)

    def no_network(*_):
        raise AssertionError("the network was built")

    monkeypatch.setattr(extract, "VisionEncoder", no_network)
    store = fill(tmp_path, images)
    assert content(store.folder) == before
    assert fill(tmp_path, {20: images[20]}).read(np.array([20]))[1].all()


def test_new_images_are_added_and_old_ones_kept(tmp_path, images, counted):
    some = {i: path for i, path in images.items() if i <= 60}
    first = content(fill(tmp_path, some).folder)
    counted.clear()
    store = fill(tmp_path, images)
    assert sorted(counted) == [70, 80, 90, 100]
    assert (
        content(store.folder).items() >= {k: v for k, v in first.items() if k != MANIFEST}.items()
    )
    assert store.read(np.array(list(images)))[1].all()


def test_a_kill_between_the_last_new_shard_and_the_manifest(tmp_path, images, monkeypatch, counted):
    some = {i: path for i, path in images.items() if i <= 60}
    fill(tmp_path, some)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
        during.setattr(extract, "_write_manifest", killed)
        fill(tmp_path, images)
    counted.clear()
    # Every shard is there, but the manifest is that of the first six images.
    assert fill(tmp_path, images).read(np.array(list(images)))[1].all()
    assert counted == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_removed_shard_alone_is_computed_again(tmp_path, images, counted, number):
    store = fill(tmp_path, images)
    before = content(store.folder)
    shard(store, number).unlink()
    counted.clear()
    fill(tmp_path, images)
    assert sorted(counted) == sorted(images)[4 * number : 4 * number + 4]
    assert content(store.folder) == before


@pytest.mark.parametrize("place", [40, 300, -1])
def test_a_flipped_bit_recomputes_that_shard_alone(tmp_path, images, counted, place, caplog):
    store = fill(tmp_path, images)
    before = content(store.folder)
    changed = bytearray(shard(store, 1).read_bytes())
    changed[place] ^= 4
    shard(store, 1).write_bytes(changed)
    counted.clear()
    fill(tmp_path, images)
    assert sorted(counted) == [50, 60, 70, 80]
    assert content(store.folder) == before
    assert "shard-00001.safetensors" in caplog.text


@pytest.mark.parametrize("damage", [None, "", "{", "[]", '{"shards": []}', '{"shards": [{}]}'])
def test_a_lost_or_damaged_manifest_is_written_anew(tmp_path, images, counted, damage):
    store = fill(tmp_path, images)
    before = content(store.folder)
    if damage is None:
        (store.folder / MANIFEST).unlink()
    else:
        (store.folder / MANIFEST).write_text(damage)
    counted.clear()
    fill(tmp_path, images)
    assert counted == [] and content(store.folder) == before


def test_a_changed_image_file_is_computed_again(tmp_path, images, counted):
    store = fill(tmp_path, images)
    row = store.read(np.array([30]))[0]
    draw(images[30], seed=99)
    with images[30].open("ab") as file:
        file.write(b"12345")  # whatever the drawing, another size
    counted.clear()
    store = fill(tmp_path, images)
    assert sorted(counted) == [10, 20, 30, 40]
    assert not np.array_equal(store.read(np.array([30]))[0], row)


def test_failed_images_are_named_and_have_no_row(tmp_path, images, caplog):
    images[20].write_bytes(images[20].read_bytes()[:80])
    images[70].write_text("no image")
    images[75] = tmp_path / "absent.png"
    with caplog.at_level(logging.WARNING):
        store = fill(tmp_path, images)
    assert sorted(store.failed) == [20, 70, 75]
    assert store.failed[70] == "is not an image" and store.failed[75] == "the file is missing"
    rows, found = store.read(np.array([20, 30, 70, 75]))
    assert found.tolist() == [False, True, False, False]
    assert not rows[[0, 2, 3]].any() and rows[1].any()
    assert f"{images[70]}: is not an image; it gets no features" in caplog.text
    assert json.loads((store.folder / MANIFEST).read_text())["failed"]["70"] == "is not an image"


def test_failed_images_are_not_tried_by_every_run_and_a_mended_one_is(tmp_path, images, counted):
    images[20].write_text("no image")
    fill(tmp_path, images)
    counted.clear()
    assert sorted(fill(tmp_path, images).failed) == [20] and counted == []
    draw(images[20], seed=2)
    store = fill(tmp_path, images)
    assert store.failed == {} and sorted(counted) == [10, 20, 30, 40]
    assert store.read(np.array([20]))[1].all()


def test_an_image_that_was_lost_since_is_named(tmp_path, images):
    fill(tmp_path, images)
    images[30].unlink()
    store = fill(tmp_path, images)
    assert store.failed == {30: "the file is missing"}
    assert store.read(np.array([10, 30]))[1].tolist() == [True, False]


def test_a_whole_shard_of_bad_images(tmp_path, images):
    for i in (10, 20, 30, 40):
        images[i].write_text("no image")
    store = fill(tmp_path, images)
    assert len(store.failed) == 4
    assert store.read(np.array([10, 50]))[1].tolist() == [False, True]


def test_no_image_can_be_read(tmp_path, images):
    for path in images.values():
        path.write_text("no image")
    for some in (images, {i: path for i, path in images.items() if i > 50}):  # also a second time
        with pytest.raises(InputError, match=r"is not an image; none of the \d+ images could"):
            fill(tmp_path, some)
    assert not (tmp_path / "stores" / FOLDER / MANIFEST).exists()
    with pytest.raises(InputError, match="there is no image to compute features of"):
        fill(tmp_path, {})


def test_unusual_ids(tmp_path, images):
    odd = {0: images[10], 2**62: images[20]}
    store = fill(tmp_path, odd)
    assert store.read(np.array([2**62, 0]))[1].all()


def test_other_weights_are_another_store_and_a_changed_file_is_noticed(tmp_path, images, counted):
    path = tmp_path / "mine.pth"
    states = [VisionEncoder("resnet18", seed=seed).network.state_dict() for seed in (5, 6)]
    random = fill(tmp_path, images)
    rows = []
    for state in states:
        # The encoder's classifier is gone; any will do.
        torch.save(
            {**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path
        )
        counted.clear()
        store = fill(tmp_path, images, weights=str(path))
        assert sorted(counted) == sorted(images)
        assert store.folder.name.startswith("resnet18-mine-")
        rows.append(store.read(np.array([10]))[0])
    rows.append(random.read(np.array([10]))[0])
    assert not any(np.array_equal(rows[a], rows[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_features_beyond_half_floats_are_refused(tmp_path, images):
    path = tmp_path / "wild.pth"
    state = _random().network.state_dict()
    state = {k: v * 1e6 if k == "layer4.1.bn2.weight" else v for k, v in state.items()}
    torch.save({**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)
    with pytest.raises(InputError, match="exceed the range of half floats"):
        fill(tmp_path, images, weights=str(path))


def test_the_folder_of_a_store(tmp_path):
    weights = tmp_path / "my net.pth"
    weights.write_bytes(b"abc")
    folder = store_folder(Path("f"), "vgg16", str(weights), 512)
    assert folder == Path("f/vgg16-my net-ba7816bf-512")


def test_a_few_images_in_memory(tmp_path, images, caplog):
    images[20].write_text("no image")
    ids = np.array([50, 20, 11, 10])
    rows = encode_images(images, ids, **HOW)
    assert rows.dtype == np.float16 and rows.shape == (4, 512)
    assert not rows[1:3].any() and "20.png: is not an image" in caplog.text
    stored = fill(tmp_path, images).read(ids)[0]
    assert np.allclose(rows.astype(float), stored.astype(float), rtol=2e-3, atol=1e-3)


def test_the_plan_of_chunks():
    ids = list(range(0, 100, 10))
    chunks = plan(ids, {"shard-00001.safetensors": None})
    assert chunks == [
        Chunk("shard-00000.safetensors", (0, 10, 20, 30)),
        Chunk("shard-00002.safetensors", (40, 50, 60, 70)),
        Chunk("shard-00003.safetensors", (80, 90)),
    ]
    # What is left after any of them were done is planned as it was.
    for done in range(3):
        left = [i for chunk in chunks if chunk != chunks[done] for i in chunk.image_ids]
        taken = {"shard-00001.safetensors": None, chunks[done].file: None}
        assert plan(left, taken) == [chunk for chunk in chunks if chunk != chunks[done]]
    assert plan([], {}) == []


def test_whoever_computes_the_chunks_and_in_whatever_order_the_files_are_the_same(tmp_path, images):
    images[20].write_text("no image")
    asked = []

    def backwards(recipe, chunks, files):
        asked.append((recipe, len(chunks)))
        network = recipe.network()
        for chunk in reversed(chunks):
            yield chunk, compute_shard(network, chunk.image_ids, files, recipe.size_px, 3)

    here = fill(tmp_path, images)
    there = fill_store(tmp_path / "other", images, **HOW, compute=backwards)
    assert asked == [(Recipe("resnet18", "random", 32), 3)]
    assert content(there.folder) == content(here.folder)


def test_what_an_executor_did_before_it_failed_is_kept(tmp_path, images, counted):
    def fails(recipe, chunks, files):
        yield chunks[1], compute_shard(_random(), chunks[1].image_ids, files, recipe.size_px, 3)
        raise RuntimeError("a machine is gone")

    with pytest.raises(RuntimeError, match="a machine is gone"):
        fill(tmp_path, images, compute=fails)
    assert sorted(counted) == [50, 60, 70, 80]
    counted.clear()
    store = fill(tmp_path, images)
    assert sorted(counted) == [10, 20, 30, 40, 90, 100]
    whole = fill_store(tmp_path / "whole", images, **HOW, batch_images=3)
    assert content(store.folder) == content(whole.folder)


# What a second process runs: it stops for ever before shard `argv[2]` is renamed into its place,
# or, where a file `go` lies in the folder, goes on.
PROGRAM = """
import os, sys, time
from pathlib import Path
from vqa_helpers import files
from vqa_helpers.vision import extract
folder, stop = Path(sys.argv[1]), sys.argv[2]
replace = os.replace
def slow(source, target):
    if Path(target).name == stop:
        (folder / "stopped").touch()
        while not (folder / "go").exists():
            time.sleep(0.02)
    replace(source, target)
files.os.replace = slow
extract.SHARD_IMAGES = 4
images = {int(path.stem): path for path in (folder / "images").glob("*.png")}
store = extract.fill_store(folder / "stores", images, encoder="resnet18", weights="random",
                           size_px=32, batch_images=3)
"""


@pytest.fixture
def process(tmp_path, images):
    """A second process that fills the store and has stopped before its third shard."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), "shard-00002.safetensors"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "stopped").exists():
            assert started.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        yield started
    finally:
        started.kill()
        started.wait()


def test_a_kill_loses_one_shard_and_the_rest_is_byte_for_byte_the_same(
    tmp_path, images, counted, process
):
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = tmp_path / "stores" / FOLDER
    assert sorted(content(folder)) == ["shard-00000.safetensors", "shard-00001.safetensors"]
    assert list(folder.glob(".*.partial"))
    with pytest.raises(InputError, match="is no finished feature store"):
        FeatureStore(folder)
    fill(tmp_path, images)
    assert sorted(counted) == [90, 100]
    assert not list(folder.glob(".*.partial"))
    uninterrupted = fill_store(tmp_path / "again", images, **HOW, batch_images=3)
    assert content(folder) == content(uninterrupted.folder)


def test_a_second_process_waits_and_computes_nothing(tmp_path, images, counted, process):
    log = logging.getLogger(files.__name__)

    class Go(logging.Handler):
        def emit(self, record):
            if "waiting for it" in record.getMessage():
                (tmp_path / "go").touch()

    handler = Go()
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        store = fill(tmp_path, images)
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
    assert process.wait(timeout=60) == 0
    assert counted == [] and store.read(np.array(list(images)))[1].all()
    shutil.rmtree(tmp_path / "stores")
    assert (tmp_path / "go").exists()


def test_more_images_than_a_store_has_names_for_are_refused(monkeypatch):
    monkeypatch.setattr(extract, "MOST_SHARDS", 3)
    assert len(plan(range(2 * extract.SHARD_IMAGES), {"shard-00001.safetensors": None})) == 2
    with pytest.raises(InputError, match="are more than a store has names for"):
        plan(range(3 * extract.SHARD_IMAGES), {"shard-00001.safetensors": None})
