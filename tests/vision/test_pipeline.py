"""Photographs to rows: each decoded once, in its place, whatever shares its batch."""

import numpy as np
import pytest
import torch
from PIL import Image

from vqa_helpers.errors import InputError
from vqa_helpers.vision import pipeline
from vqa_helpers.vision.encoders import VisionEncoder, for_inference
from vqa_helpers.vision.pipeline import batch_size, compute_shard, compute_shards
from vqa_helpers.vision.preprocess import file_mark, load_square

SIZE_PX = 32


@pytest.fixture(scope="module")
def network():
    return VisionEncoder("resnet18").eval()


@pytest.fixture
def images(tmp_path):
    """Ten images, ids 0 to 9; 4 cannot be read, 7 is not there."""
    paths = {}
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        paths[number] = tmp_path / f"{number}.png"
        Image.fromarray(pixels).resize((48, 40)).save(paths[number])
    paths[4].write_text("no image")
    paths[7].unlink()
    return paths


def plain_row(network, path):
    pixels = torch.from_numpy(load_square(path, SIZE_PX).copy()).permute(2, 0, 1)[None]
    return network(pixels)[0].detach().numpy()


def close(a, b):
    return np.allclose(a.astype(float), b.astype(float), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("batch_images", [1, 3, 4, 10, None])
def test_every_image_has_its_own_row_whatever_shares_its_batch(network, images, batch_images):
    shard = compute_shard(network, range(10), images, SIZE_PX, batch_images)
    assert shard.image_ids.tolist() == [0, 1, 2, 3, 5, 6, 8, 9]
    assert shard.failed == {4: "is not an image", 7: "the file is missing"}
    assert shard.marks.tolist() == [file_mark(images[i]) for i in shard.image_ids.tolist()]
    assert shard.features.dtype == np.float16
    for image_id, row in zip(shard.image_ids.tolist(), shard.features, strict=True):
        assert close(row, plain_row(network, images[image_id]))


def test_chunks_come_in_turn_and_end_where_they_end(network, images):
    chunks = [(0, 1, 2, 3), (4, 5, 6), (7,), (8, 9)]
    shards = list(compute_shards(network, chunks, images, SIZE_PX, batch_images=3))
    assert [shard.image_ids.tolist() for shard in shards] == [[0, 1, 2, 3], [5, 6], [], [8, 9]]
    assert [sorted(shard.failed) for shard in shards] == [[], [4], [7], []]
    assert shards[2].features.shape == (0, 512)
    alone = compute_shard(network, chunks[1], images, SIZE_PX, batch_images=3)
    assert alone.checksum() == shards[1].checksum()


def test_an_image_is_decoded_once_and_not_long_before_it_is_needed(network, images, monkeypatch):
    decoded = []

    def load(path, size_px):
        decoded.append(path)
        return load_square(path, size_px)

    monkeypatch.setattr(pipeline, "load_square", load)
    monkeypatch.setattr(pipeline, "THREADS", 1)
    many = {number: images[0] for number in range(60)}
    chunks = [range(i, i + 4) for i in range(0, 60, 4)]
    shards = compute_shards(network, chunks, many, SIZE_PX, batch_images=2)
    next(shards)
    assert len(decoded) < 20  # not all 60 lie in memory
    assert sum(len(shard.image_ids) for shard in shards) == 56 and len(decoded) == 60


def test_progress_is_shown_where_a_label_is_given(network, images, monkeypatch):
    seen = []

    def track(items, label, total, unit):
        seen.append((label, total, unit))
        return items

    monkeypatch.setattr(pipeline, "track", track)
    list(compute_shards(network, [(0, 1, 2), (3,)], images, SIZE_PX, 2, label="features"))
    list(compute_shards(network, [(0,)], images, SIZE_PX, 2))
    assert seen == [("features", 3, "batches")]


@pytest.fixture
def halved(monkeypatch):
    """The network computes in half floats, as on a GPU."""
    monkeypatch.setattr(pipeline, "for_inference", lambda n, _: for_inference(n, torch.float16))


def test_half_floats_give_the_same_rows(network, images, halved):
    shard = compute_shard(network, [0, 1, 2], images, SIZE_PX)
    whole = np.stack([plain_row(network, images[i]) for i in (0, 1, 2)])
    assert np.linalg.norm(shard.features - whole) < 0.01 * np.linalg.norm(whole)


def test_inner_values_beyond_half_floats_are_computed_again(images, halved):
    network = VisionEncoder("resnet18").eval()
    with torch.no_grad():  # a million from the first layer to the last block, which takes it back
        network.network.bn1.weight *= 1e6
        network.network.layer4[0].downsample[0].weight /= 1e6
        network.network.layer4[0].conv1.weight /= 1e6
    shard = compute_shard(network, [0, 1], images, SIZE_PX)
    whole = np.stack([plain_row(network, images[i]) for i in (0, 1)])
    assert np.isfinite(whole).all() and whole.any() and close(shard.features, whole)


def test_features_beyond_half_floats_are_refused(network, images):
    beyond = VisionEncoder("resnet18").eval()
    with torch.no_grad():
        beyond.network.layer4[1].bn2.weight *= 1e6
    with pytest.raises(InputError, match="exceed the range of half floats"):
        compute_shard(beyond, [0], images, SIZE_PX)


@pytest.mark.parametrize(
    ("device", "size_px", "images"),
    [("cpu", 512, 2), ("cpu", 64, 64), ("cpu", 4096, 1), ("cuda", 512, 32), ("cuda", 64, 512)],
)
def test_a_batch_holds_about_as_many_pixels_whatever_their_squares(device, size_px, images):
    assert batch_size(size_px, torch.device(device)) == images
