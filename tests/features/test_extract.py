"""Filling a store: resumed after a kill, repaired where damaged, every bad image named."""

import errno
import functools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from vqa_helpers.errors import InputError
from vqa_helpers.features import extract
from vqa_helpers.features import pixels as loading
from vqa_helpers.features.extract import Encode, fill_store
from vqa_helpers.features.pixels import load_square
from vqa_helpers.features.store import FeatureStore

HOW = {"encoder": "resnet18", "weights": "random", "size_px": 32, "device": "cpu"}
FOLDER = "resnet18-random-32"
MANIFEST = FeatureStore.MANIFEST
VisionEncoder = extract.vision.VisionEncoder


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


@functools.cache
def network():
    return VisionEncoder("resnet18", "random").eval()


@pytest.fixture(autouse=True)
def small_and_built_once(monkeypatch):
    """Shards of four images; the random network is always the same, so it is built once."""

    def build(*given, grid):
        known = given == ("resnet18", "random") and not grid
        return network() if known else VisionEncoder(*given, grid=grid)

    monkeypatch.setattr(extract.vision, "VisionEncoder", build)
    monkeypatch.setattr(extract, "SHARD_IMAGES", 4)


@pytest.fixture
def counted(monkeypatch):
    """The ids of the images decoded since."""
    seen = []

    def load(path, size_px):
        if size_px == 32:
            seen.append(int(path.stem))
        return load_square(path, size_px)

    monkeypatch.setattr(loading, "load_square", load)
    return seen


def fill(tmp_path, images, map_units=None, **how):
    return fill_store(tmp_path / "stores", images, Encode(**HOW | how), map_units)


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*"))}


def weights_file(path, seed=0, factor=1.0):
    """A state dict of ResNet18, its last batch norm scaled."""
    torch.manual_seed(seed)
    state = torchvision.models.resnet18(weights=None).state_dict()
    state["layer4.1.bn2.weight"] *= factor
    torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_every_image_has_its_row_whatever_shares_its_batch(tmp_path, images, monkeypatch, batch):
    monkeypatch.setattr(extract, "batch_size", lambda *_: batch)
    rows, found = fill(tmp_path, images).read(np.array([100, 10, 50]))
    squares = np.stack([load_square(images[image_id], 32) for image_id in (100, 10, 50)])
    expected = network()(torch.from_numpy(squares).permute(0, 3, 1, 2)).detach().numpy()
    assert found.all() and np.allclose(rows, expected, rtol=2e-3, atol=1e-3)
    assert not np.array_equal(rows[0], rows[1])


def test_the_manifest_says_what_the_store_is(tmp_path, images, monkeypatch):
    manifest = fill(tmp_path, images).manifest
    assert manifest["encoder"] == "resnet18" and manifest["width"] == 512
    assert manifest["dtype"] == "float16" and manifest["failed"] == {}
    assert manifest["weights"].startswith("random, seed 0") and "32 px" in manifest["preprocessing"]
    assert manifest["weights_sha256"] == extract.vision.weights_sha256(network())
    assert [entry["rows"] for entry in manifest["shards"]] == [4, 4, 2]
    # Else nobody could use the stores they have.
    monkeypatch.setattr(extract.networks, "weights_source", lambda *_: "any")
    assert fill(tmp_path, images).manifest["identity"].startswith("8f2625580cc38ab9533b0994")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_complete_store_is_opened_without_a_network(tmp_path, images, monkeypatch, read_only):
    folder = fill(tmp_path, images).folder
    monkeypatch.setattr(extract.vision, "VisionEncoder", None)
    if read_only:
        (folder / ".lock").unlink()

        def refuse(path, **_):
            raise OSError(errno.EROFS, "Read-only file system", str(path))

        monkeypatch.setattr(os, "access", lambda *_: False)
        for write in ("touch", "mkdir"):
            monkeypatch.setattr(Path, write, refuse)
    before = content(folder)
    assert fill(tmp_path, images).folder == folder and content(folder) == before
    assert fill(tmp_path, {20: images[20]}).read(np.array([20]))[1].all()
    if read_only:  # and one that lacks a row is refused before anything is computed
        images[110] = images[10]
        for stores in (tmp_path, tmp_path / "absent"):
            with pytest.raises(OSError, match="Read-only file system"):
                fill(stores, images)


def test_new_images_are_added_and_old_ones_kept(tmp_path, images, monkeypatch, counted):
    first = content(fill(tmp_path, {i: images[i] for i in (10, 20, 30, 40, 50, 60)}).folder)
    counted.clear()

    with monkeypatch.context() as during, pytest.raises(TypeError):
        during.setattr(extract, "write_text", None)  # it ends before the manifest is written
        fill(tmp_path, images)
    assert sorted(counted) == [70, 80, 90, 100]
    killed = tmp_path / "stores" / FOLDER / ".shard-00002.safetensors.17.partial"
    killed.touch()  # as a process leaves it
    # Every shard is there now, but the manifest is that of the first six images.
    store = fill(tmp_path, images)
    assert len(counted) == 4 and store.read(np.array(list(images)))[1].all()
    del first[MANIFEST]
    assert content(store.folder).items() >= first.items() and not killed.exists()


SHARD = "shard-00001.safetensors"
TEXTS = (None, "", "{", "[]", '{"shards": []}', '{"shards": [{}]}')


@pytest.mark.parametrize(
    ("file", "damage", "computed"),  # None is a lost file, a number the place of a flipped bit
    [*((SHARD, place, [50, 60, 70, 80]) for place in (None, 40, 300, -1)),
     *((MANIFEST, text, []) for text in TEXTS)],
)  # fmt: skip
def test_a_lost_or_damaged_file_alone_is_made_again(
    tmp_path, images, counted, caplog, file, damage, computed
):
    store = fill(tmp_path, images)
    before = content(store.folder)
    path = store.folder / file
    path.unlink()
    if isinstance(damage, int):
        changed = bytearray(before[file])
        changed[damage] ^= 4
        path.write_bytes(changed)
    elif damage is not None:
        path.write_text(damage)
    counted.clear()
    fill(tmp_path, images)
    assert sorted(counted) == computed and content(store.folder) == before
    assert damage is None or file == MANIFEST or file in caplog.text


def test_a_changed_image_file_is_computed_again(tmp_path, images, counted):
    row = fill(tmp_path, images).read(np.array([30]))[0]
    draw(images[30], seed=99)
    counted.clear()
    store = fill(tmp_path, images)
    assert sorted(counted) == [10, 20, 30, 40]
    assert not np.array_equal(store.read(np.array([30]))[0], row)
    images[30].unlink()
    store = fill(tmp_path, images)
    assert store.failed == {30: "the file is missing"}
    assert store.read(np.array([10, 30]))[1].tolist() == [True, False]


def test_failed_images_are_named_and_tried_again_once_they_are_mended(
    tmp_path, images, counted, caplog
):
    images[75] = tmp_path / "75.png"
    for image_id in (20, 50, 60, 70):  # with 75, a shard without any row
        images[image_id].write_text("no image")
    store = fill(tmp_path, images)
    assert sorted(store.failed) == [20, 50, 60, 70, 75]
    assert store.failed[70] == "is not an image" and store.failed[75] == "the file is missing"
    assert f"{images[70]}: is not an image; it gets no features" in caplog.text
    rows, found = store.read(np.array([20, 30, 70, 75]))
    assert found.tolist() == [False, True, False, False]
    assert not rows[[0, 2, 3]].any() and rows[1].any()
    counted.clear()
    assert fill(tmp_path, images).failed == store.failed and counted == []
    draw(images[20], seed=2)
    store = fill(tmp_path, images)
    assert sorted(store.failed) == [50, 60, 70, 75] and sorted(counted) == [10, 20, 30, 40]


def test_no_image_can_be_read(tmp_path, images):
    for path in images.values():
        path.write_text("no image")
    for some in (images, {i: path for i, path in images.items() if i > 50}):  # also a second time
        with pytest.raises(InputError, match=r"is not an image; none of the \d+ images can"):
            fill(tmp_path, some)
    assert not (tmp_path / "stores" / FOLDER / MANIFEST).exists()
    with pytest.raises(InputError, match="there is no image to compute features of"):
        fill(tmp_path, {})


@pytest.mark.slow
def test_other_weights_are_another_store_and_a_changed_file_is_noticed(tmp_path, images, counted):
    rows = [fill(tmp_path, images).read(np.array([10]))[0]]
    for seed in (5, 6):
        counted.clear()
        store = fill(tmp_path, images, weights=weights_file(tmp_path / "my net.pth", seed))
        assert sorted(counted) == sorted(images)
        assert store.folder.name.startswith("resnet18-my net-")
        rows.append(store.read(np.array([10]))[0])
    assert len({row.tobytes() for row in rows}) == 3
    with pytest.raises(InputError, match="exceed half floats"):
        fill(tmp_path, images, weights=weights_file(tmp_path / "wild.pth", factor=1e6))


def test_a_few_images_in_memory(tmp_path, images, caplog):
    images[20].write_text("no image")
    images[2**62] = images[30]
    ids = np.array([50, 20, 11, 2**62])
    work = Encode("resnet18", "random", 32, "cpu")
    rows, failed = extract.encode_images(images, ids, work)
    assert list(failed) == [20] and failed[20]
    assert rows.dtype == np.float16 and rows.shape == (4, 512)
    assert not rows[1:3].any()
    stored = fill(tmp_path, images).read(ids)[0]
    assert np.allclose(rows.astype(float), stored.astype(float), rtol=2e-3, atol=1e-3)
    rows, failed = extract.encode_images({}, np.array([5]), work)
    assert rows.tolist() == [[0] * 512] and not failed


def test_half_floats_are_a_store_of_their_own_and_always_the_same(tmp_path, images):
    ids = np.array([*images])
    single, half = (fill(tmp_path, images, precision=p) for p in ("float32", "bfloat16"))
    assert (single.folder.name, half.folder.name) == (FOLDER, f"{FOLDER}-bfloat16")
    assert "precision" not in single.manifest and half.manifest["precision"] == "bfloat16"
    rows, near = (store.read(ids)[0].astype(float) for store in (single, half))
    apart = np.linalg.norm(near - rows, axis=1) / np.linalg.norm(rows, axis=1)
    assert 0.001 < apart.max() < 0.01
    again = fill_store(tmp_path / "again", images, Encode(**HOW, precision="bfloat16"))
    assert content(again.folder) == content(half.folder)
    # A shard that was carried over from the other store is not taken for one of its own.
    shard = "shard-00000.safetensors"
    (half.folder / shard).write_bytes((single.folder / shard).read_bytes())
    assert content(fill(tmp_path, images, precision="bfloat16").folder) == content(again.folder)


def test_what_is_stored_decides_in_what_precision_it_goes_on(tmp_path, monkeypatch):
    network = "resnet18", "random", 32
    for best, other in (("float32", "bfloat16"), ("bfloat16", "float32")):
        monkeypatch.setattr(extract, "pick_precision", lambda _, best=best: best)
        folders, found = [], [extract.stored_precision(tmp_path, "cpu", *network, False)]
        for precision in (other, best):
            folders.append(tmp_path / extract.store_name(*network, False, precision))
            folders[-1].mkdir()
            # The grid is another store, of which there is none.
            assert extract.stored_precision(tmp_path, "cpu", *network, True) == best
            found.append(extract.stored_precision(tmp_path, "cpu", *network, False))
        assert found == [best, other, best]
        for folder in folders:
            folder.rmdir()


def test_units_may_be_computed_elsewhere_in_any_order(tmp_path, images, counted):
    images[20].write_text("no image")

    def backwards(work, units):
        return ((unit, work(unit)) for unit in reversed(units))

    here = fill(tmp_path, images)
    there = fill_store(tmp_path / "other", images, Encode(**HOW), backwards)
    assert content(there.folder) == content(here.folder)
    with pytest.raises(InputError, match="1.png: the machine .* sees neither this image"):
        fill(tmp_path / "new", {1: tmp_path / "1.png"}, map_units=backwards)

    def fails(work, units):
        yield units[1], work(units[1])
        raise RuntimeError("a machine is gone")

    counted.clear()
    with pytest.raises(RuntimeError, match="a machine is gone"):
        fill(tmp_path / "third", images, map_units=fails)
    folder = fill(tmp_path / "third", images).folder  # what was computed before is kept
    assert len(counted) == len(set(counted)) == 10 and content(folder) == content(here.folder)
