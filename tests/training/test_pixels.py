"""Photographs become pixels: each once a batch, within bounded memory."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from vqa_helpers.training.pixels import PixelRows


@pytest.fixture
def photographs(tmp_path):
    paths = []
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (12, 9), colour).save(paths[-1])
    return paths


def test_pixels_are_decoded_to_the_rows_asked_for(photographs):
    pixels = PixelRows(photographs, 8)[torch.tensor([2, 0, 2])]
    assert pixels.shape == (3, 3, 8, 8)
    assert pixels.dtype == torch.uint8
    assert pixels[:, :, 4, 4].tolist() == [[0, 0, 255], [255, 0, 0], [0, 0, 255]]


def test_a_photograph_is_decoded_once_where_there_is_room(photographs):
    rows = PixelRows(photographs, 8)
    rows[torch.tensor([0])]
    photographs[0].unlink()
    assert rows[torch.tensor([0])][0, 0].eq(255).all()
    assert rows.unreadable == {}


def test_without_room_nothing_is_kept(photographs, monkeypatch):
    monkeypatch.setattr("vqa_helpers.training.pixels.CACHED_BYTES", 3 * 8 * 8)
    rows = PixelRows(photographs, 8)
    rows[torch.tensor([0])], rows[torch.tensor([1])]
    for path in photographs[:2]:
        path.unlink()
    pixels = rows[torch.tensor([0, 1])]
    assert pixels[0].any() and not pixels[1].any()


def test_a_broken_photograph_is_black_and_named_once(photographs, caplog):
    photographs[1].write_bytes(photographs[1].read_bytes()[:40])
    rows = PixelRows(photographs, 8)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            pixels = rows[torch.tensor([1, 0])]
    assert not pixels[0].any() and pixels[1].any()
    assert [str(photographs[1]) in message for message in caplog.messages] == [True]
    assert list(rows.unreadable) == [1]


def test_a_missing_photograph_is_black(photographs):
    pixels = PixelRows([None, *photographs], 8)[torch.tensor([0, 1])]
    assert not pixels[0].any() and pixels[1].any()


def test_cached_pixels_are_not_changed_by_their_reader(photographs):
    rows = PixelRows(photographs, 8)
    first = rows[torch.tensor([0])]
    first.zero_()
    assert np.array_equal(rows[torch.tensor([0])][0, 0].numpy(), np.full((8, 8), 255))


def test_an_image_with_several_questions_is_decoded_once_a_batch(photographs, monkeypatch):
    decoded = []
    real = PixelRows._decode
    monkeypatch.setattr("vqa_helpers.training.pixels.CACHED_BYTES", 0)
    monkeypatch.setattr(
        PixelRows, "_decode", lambda self, row: (decoded.append(row), real(self, row))[1]
    )
    PixelRows(photographs, 8)[torch.tensor([1, 2, 1, 1, 2])]
    assert sorted(decoded) == [1, 2]


def test_an_error_of_a_thread_reaches_the_reader(photographs, monkeypatch):
    def fail(path, size_px):
        raise MemoryError("no room")

    monkeypatch.setattr("vqa_helpers.training.pixels.load_square", fail)
    with pytest.raises(MemoryError, match="no room"):
        PixelRows(photographs, 8)[torch.tensor([0])]
