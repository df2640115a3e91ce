"""Photographs one by one: the ones that are lacking, each whole, the others named."""

import io
import os
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.data.public.server import QUICK, Server, cut, endless, silent, status
from vqa_helpers.data.public import photographs
from vqa_helpers.data.public.photographs import fetch_images
from vqa_helpers.data.public.sources import Sources
from vqa_helpers.errors import InputError


def picture(seed, size_px=64, form="JPEG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def server():
    with Server() as server:
        for image_id in range(1, 31):
            server.files[address(image_id)] = picture(image_id)
        yield server


@pytest.fixture
def sources(server):
    return Sources((), server.base + "/{subset}/{name}")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "raw" / "coco" / "val2014"


def address(image_id, base=""):
    return f"{base}/val2014/COCO_val2014_{image_id:012d}.jpg"


def names(image_ids):
    return [f"COCO_val2014_{image_id:012d}.jpg" for image_id in image_ids]


def fetched(image_ids, tmp_path, sources, **options):
    return fetch_images(image_ids, "val2014", tmp_path, sources, **({"patience": QUICK} | options))


def test_the_wanted_ones_come(server, sources, tmp_path, folder):
    assert fetched([3, 1, 3, 30], tmp_path, sources) == {}
    assert sorted(os.listdir(folder)) == names([1, 3, 30])
    assert (folder / names([3])[0]).read_bytes() == server.files[address(3)]
    assert len(server.asked) == 3


def test_those_that_are_here_are_not_asked_for(server, sources, tmp_path):
    fetched(range(1, 11), tmp_path, sources)
    server.asked.clear()
    assert fetched(range(1, 13), tmp_path, sources) == {}
    assert sorted(path for path, _ in server.asked) == [address(11), address(12)]
    assert fetched(range(1, 13), tmp_path, sources, offline=True) == {}
    assert fetched([], tmp_path, sources) == {}


def test_several_are_asked_for_at_once(server, sources, tmp_path):
    together = threading.Barrier(4, timeout=20)

    def waits_for_the_others(handler, content):
        together.wait()
        handler.start(200, len(content))
        handler.wfile.write(content)

    for image_id in range(1, 5):
        server.scripts[address(image_id)] = [waits_for_the_others]
    assert fetched(range(1, 5), tmp_path, sources, parallel=4) == {}


def test_failures_are_named_and_the_others_come(server, sources, tmp_path, folder):
    failed = fetched([1, 99, 2], tmp_path, sources)
    assert list(failed) == [99] and "answers 404" in failed[99]
    assert sorted(os.listdir(folder)) == names([1, 2])


def test_passing_failures_are_got_over(server, sources, tmp_path, folder):
    server.scripts[address(1)] = [status(500), cut(100)]
    server.scripts[address(2)] = [status(503), status(429)]
    assert fetched([1, 2], tmp_path, sources) == {}
    assert sorted(os.listdir(folder)) == names([1, 2])


WRONG = {
    "cut short": picture(1)[:-600],
    "no image": b"<html>sorry</html>",
    "nothing": b"",
    "PNG": picture(1, form="PNG"),
    "only a head": picture(1)[:200],
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_whole_jpeg_gets_no_name(server, sources, tmp_path, folder, what):
    server.files[address(1)] = WRONG[what]
    failed = fetched([1, 2], tmp_path, sources)
    assert list(failed) == [1] and "no readable JPEG" in failed[1] and "\n" not in failed[1]
    assert os.listdir(folder) == names([2])


def test_too_many_pixels(server, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "MOST_PIXELS", 63 * 64)
    assert "64 x 64 pixels" in fetched([1], tmp_path, sources)[1]


def test_a_picture_that_pillow_takes_for_a_bomb(server, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "no readable JPEG" in fetched([1], tmp_path, sources)[1]


def test_a_body_without_an_end(server, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "MOST_BYTES", 100_000)
    server.scripts[address(1)] = [endless] * 9
    assert "sends more than 100000 bytes" in fetched([1], tmp_path, sources)[1]


def test_the_mirror_comes_first_and_the_official_host_after_it(
    server, sources, tmp_path, monkeypatch
):
    server.files[address(1, "/near")] = server.files[address(1)]
    assert fetched([1, 2], tmp_path, sources, mirror=f"{server.base}/near/", parallel=1) == {}
    assert [path for path, _ in server.asked] == [
        address(1, "/near"), address(2, "/near"), address(2)
    ]  # fmt: skip
    monkeypatch.setenv("VQA_MIRROR", "file:///tmp")
    with pytest.raises(InputError, match="mirror"):
        fetched([3], tmp_path, sources)


def test_offline_says_where_they_belong(server, sources, tmp_path, folder):
    failed = fetched([1, 2], tmp_path, sources, offline=True)
    assert list(failed) == [1, 2] and f"is not in {folder}/" in failed[1]
    assert not server.asked


def test_a_host_that_is_silent_is_soon_left_alone(server, sources, tmp_path):
    replies = [silent(0.3)] * 9
    server.scripts = {address(image_id): list(replies) for image_id in range(1, 31)}
    patience = replace(QUICK, attempts=1, timeout_s=0.1)
    failed = fetched(range(1, 31), tmp_path, sources, parallel=2, patience=patience)
    assert list(failed) == list(range(1, 31))
    assert len(server.asked) <= 6
    assert sum("not tried" in reason for reason in failed.values()) >= 24


def test_refusals_do_not_end_the_work(server, sources, tmp_path, folder):
    failed = fetched([*range(101, 141), 1], tmp_path, sources, parallel=2)
    assert len(failed) == 40 and not any("not tried" in reason for reason in failed.values())
    assert fetched([*range(101, 141), 1], tmp_path, sources, parallel=2).keys() == failed.keys()
    assert os.listdir(folder) == names([1])


def test_a_folder_that_cannot_be_written(server, sources, tmp_path, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photographs, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        fetched(range(1, 31), tmp_path, sources)


def test_ctrl_c_ends_the_pauses_too(server, sources, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(photographs, "track", interrupt)
    server.scripts = {address(i): [status(503, Retry_After="60")] * 9 for i in range(1, 31)}
    with pytest.raises(KeyboardInterrupt):  # at once: the test's own limit would end it otherwise
        fetched(range(1, 31), tmp_path, sources, patience=None)
    assert not list(tmp_path.rglob("*.jpg"))


def test_no_warning_reaches_the_user(server, sources, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fetched([1], tmp_path, sources) == {}
