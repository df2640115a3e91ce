"""What a model sees: features and pixels by row, statistics of train; missing and unreadable images."""

import dataclasses
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from tests.builders import write_dataset
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.vision import NetworkInLoop, StoredFeatures
from vqa_helpers.training import image_rows
from vqa_helpers.training.image_rows import PixelRows


@pytest.fixture
def photographs(tmp_path):
    paths = [tmp_path / f"{colour}.png" for colour in ("red", "lime", "blue")]
    for path in paths:
        Image.new("RGB", (12, 9), path.stem).save(path)
    return paths


# Photographs, decoded for each batch --------------------------------------------------------------


@pytest.mark.parametrize("room", [2, 1])
def test_photographs_are_decoded_to_the_rows_asked_for_and_kept_where_there_is_room(
    photographs, monkeypatch, room
):
    monkeypatch.setattr(image_rows, "CACHED_BYTES", room * 3 * 8 * 8)
    rows = PixelRows(photographs, 8)
    rows[torch.tensor([0])].zero_()  # what a reader does to its pixels is its own
    pixels = rows[torch.tensor([2, 0, 2])]
    assert pixels.shape == (3, 3, 8, 8) and pixels.dtype == torch.uint8
    assert pixels[:, :, 4, 4].tolist() == [[0, 0, 255], [255, 0, 0], [0, 0, 255]]
    for path in photographs:
        path.unlink()
    seen = rows[torch.tensor([0, 2])]
    assert [bool(one.any()) for one in seen] == [True, room == 2]


def test_a_broken_photograph_is_black_and_named_once(photographs, caplog):
    photographs[1].write_bytes(photographs[1].read_bytes()[:40])
    rows = PixelRows([*photographs, None], 8)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            pixels = rows[torch.tensor([1, 0, 3])]
    assert [bool(one.any()) for one in pixels] == [False, True, False]  # the last has no file
    assert [str(photographs[1]) in message for message in caplog.messages] == [True]
    assert list(rows.unreadable) == [1]


# What a dataset shows -----------------------------------------------------------------------------


def stored() -> StoredFeatures:
    return StoredFeatures("resnet18", "random", 32)


def test_a_feature_row_is_that_of_its_image(opened):
    data = opened()
    seen = data.images(stored())
    assert seen.ids.tolist() == sorted({*seen.ids.tolist()}) and seen.rows.shape == (72, 512)
    assert seen.unseen() == []
    [image_id] = np.flatnonzero(seen.ids == 1003)
    alone = data.dataset.images[1003]
    encoder = NetworkInLoop("resnet18", "random", 32).encoder.eval()
    with torch.no_grad():
        expected = encoder(PixelRows([alone], 32)[torch.tensor([0])])[0]
    torch.testing.assert_close(seen.rows[image_id].float(), expected, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize(
    ("vision", "standardised"),
    [
        (stored, True),
        (lambda: NetworkInLoop("resnet18", "random", 32), True),
        (lambda: NetworkInLoop("resnet18", "random", 32, trained="last block"), False),
    ],
)
def test_random_weights_that_learn_nothing_take_statistics(opened, vision, standardised):
    piece = vision()
    opened().images(piece)
    assert bool((piece.std != 1).any()) == bool(piece.mean.any()) == standardised
    assert piece.standardised is standardised


@pytest.mark.parametrize("removed_before", [True, False])
def test_a_few_missing_images_are_named_and_survived(opened, tmp_path, caplog, removed_before):
    folder = write_dataset(tmp_path / "d", images=8)
    if not removed_before:  # the store holds a row of it
        opened(folder, features=tmp_path / "f").images(stored())
    (folder / "images" / f"{1003:012d}.png").unlink()
    with caplog.at_level(logging.WARNING):
        seen = opened(folder, features=tmp_path / "f").images(stored())
    assert "no file for 1 of 24 images (1003)" in caplog.text
    assert seen.unseen() == [1003]
    assert not seen.rows[np.flatnonzero(seen.ids == 1003)].any()


@pytest.mark.parametrize("in_loop", [False, True])
def test_many_images_that_cannot_be_seen_are_refused(opened, tmp_path, in_loop):
    folder = write_dataset(tmp_path / "d", images=8)
    vision = NetworkInLoop("resnet18", "random", 32) if in_loop else stored()
    broken = [folder / "images" / f"{image_id:012d}.png" for image_id in (1, 2, 3)]
    for path in broken:
        path.write_bytes(b"not a picture")
    of = 8 if in_loop else 24  # inside the loop the train images are tried
    with pytest.raises(InputError, match=rf"3 of {of} images cannot be read.*0001\.png"):
        opened(folder, features=tmp_path / "features").images(vision)
    for path in broken:
        path.unlink()
    with pytest.raises(InputError, match=r"no file for 3 of 24 images \(1, 2, 3\)"):
        opened(folder).images(vision)


def test_a_network_in_the_loop_names_what_it_could_not_read(opened, tmp_path):
    folder = write_dataset(tmp_path / "d", images=12)
    (folder / "images" / f"{2:012d}.png").write_bytes(b"not a picture")
    (folder / "images" / f"{3:012d}.png").unlink()
    seen = opened(folder).images(NetworkInLoop("resnet18", "random", 32))
    assert seen.unseen() == [3]
    seen.rows[torch.arange(len(seen.ids))]
    assert seen.unseen() == [2, 3]
    assert dataclasses.replace(seen, rows=None).unseen() == [3]
