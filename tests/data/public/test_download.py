"""Public files made ready: fetched, unpacked, remembered, found by hand, never half there."""

import io
import os
import random
import re
import shutil
import signal
import tarfile
import threading
import zipfile
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from PIL import Image

from tests.builders import write_release
from tests.calling import python, wait_until
from tests.data.making import refusal
from tests.data.public.server import cut, endless, other, status
from vqa_helpers import files
from vqa_helpers.data.build import Fetching, build
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.public import download as module
from vqa_helpers.data.public import web
from vqa_helpers.data.public.download import HERE, NOT_HERE, download, fetch_images, state
from vqa_helpers.data.public.sources import Source, Sources


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


QUESTIONS = zipped({"questions.json": random.Random(0).randbytes(3_000_000)})
ANNOTATIONS = zipped({"annotations.json": random.Random(1).randbytes(1_000_000)})
PHOTOGRAPHS = zipped({f"val2014/{i}.jpg": b"%d" % i for i in range(20)})


@pytest.fixture
def v2(server):
    """A source of two archives, the second of unpublished length."""
    second = server.file("/Annotations.zip", ANNOTATIONS, bytes=None)
    return Source("v2", "", "", "raw/v2", True, (server.file("/Questions.zip", QUESTIONS), second))


@pytest.fixture
def val2014(server):
    return Source("v", "", "", "raw/coco", True, (server.file("/val2014.zip", PHOTOGRAPHS),))


def visible(folder):
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


# ---------------------------------------------------------------- archives


def test_archives_are_fetched_unpacked_removed_and_not_asked_for_again(v2, server, tmp_path):
    server.file("/near/Questions.zip", QUESTIONS)
    assert state(v2, tmp_path) == NOT_HERE and not visible(tmp_path)
    for offline in (False, False, True):
        folder = download(v2, tmp_path, mirror=f"{server.base}/near/", offline=offline)
        assert folder == tmp_path / "raw" / "v2" and state(v2, tmp_path) == HERE
        assert visible(folder) == ["annotations.json", "questions.json"]
    assert server.paths() == ["/near/Questions.zip", "/near/Annotations.zip", "/Annotations.zip"]


def test_what_one_file_brought_is_kept_when_another_fails(v2, server, tmp_path):
    server.scripts["/Annotations.zip"] = [cut(400_000), status(500), status(500)]
    folder = tmp_path / "raw" / "v2"
    line = refusal(download, v2, tmp_path)
    assert "Annotations.zip cannot be had" in line and f"put it into {folder}/" in line
    assert visible(folder) == ["Annotations.zip.part", "questions.json"]
    assert state(v2, tmp_path) == "partly here (3 MB)"  # the length of one is not published
    download(v2, tmp_path)
    assert state(v2, tmp_path) == HERE
    assert server.ranges("/Annotations.zip")[-1] == "bytes=400000-"
    assert len(server.ranges("/Questions.zip")) == 1


def test_an_archive_that_stays_packed(server, tmp_path):
    glove = Source("glove", "", "", "glove", False, (server.file("/glove.zip", QUESTIONS),))
    for _ in range(2):
        path = download(glove, tmp_path) / "glove.zip"
        assert path.read_bytes() == QUESTIONS and len(server.asked) == 1
    path.write_bytes(QUESTIONS[:-1])
    assert state(glove, tmp_path) != HERE


def test_an_archive_of_which_no_sum_is_published(server, tmp_path, caplog):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("./saved_model.pb", "./variables/variables.index"):
            archive.addfile(tarfile.TarInfo(name))
    file = server.file("/4", buffer.getvalue(), saved_as="use-4.tar.gz", told=False)
    use = Source("use", "", "", "use", True, (replace(file, url=f"{file.url}?format=x"),))
    assert visible(download(use, tmp_path)) == ["saved_model.pb", "variables"]
    assert "unverified" in caplog.text and state(use, tmp_path) == HERE


LOST = ("0.jpg", "7.jpg", "19.jpg", "folder", "", "[]", '{"ends": 1}', '{"ends": {}, "folders": 1}')


@pytest.mark.parametrize("lost", LOST)
def test_a_record_that_is_damaged_or_whose_files_are_gone(val2014, tmp_path, lost):
    folder = download(val2014, tmp_path) / "val2014"
    (folder / "mine.jpg").touch()  # more than came is no harm
    assert state(val2014, tmp_path) == HERE
    (folder / "mine.jpg").unlink()
    if lost == "folder":
        shutil.rmtree(folder)
    elif lost.endswith(".jpg"):
        (folder / lost).unlink()
    else:
        (folder.parent / ".val2014.zip.json").write_text(lost)
    assert state(val2014, tmp_path) == NOT_HERE
    download(val2014, tmp_path)
    assert state(val2014, tmp_path) == HERE and len(os.listdir(folder)) == 20
    newer = replace(val2014.files[0], sha256="0" * 64)
    assert state(replace(val2014, files=(newer,)), tmp_path) == NOT_HERE


# ---------------------------------------------------------------- by hand


def test_files_put_there_by_hand_are_asked_for_and_used(v2, server, tmp_path):
    folder = tmp_path / "raw" / "v2"
    put = ", ".join(f"{file.name} (from {file.url})" for file in v2.files)
    line = refusal(download, v2, tmp_path, offline=True)
    assert f"put {put} into {folder}/ and run again" in line
    folder.mkdir(parents=True)
    (folder / "Questions.zip").write_bytes(QUESTIONS)
    (folder / "Annotations.zip").write_bytes(ANNOTATIONS)
    assert state(v2, tmp_path) == "partly here (4 MB)"
    download(v2, tmp_path, offline=True)
    assert visible(folder) == ["annotations.json", "questions.json"] and not server.asked


@pytest.mark.parametrize("content", [QUESTIONS[:-1], QUESTIONS[:-1] + b"x"])
def test_a_wrong_file_put_there_by_hand_is_named_and_kept(v2, server, tmp_path, content):
    path = tmp_path / "raw" / "v2" / "Questions.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    line = refusal(download, v2, tmp_path)
    assert line.startswith(f"{path}: has ") and "expected; remove it" in line
    assert path.read_bytes() == content and not server.asked


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_hostile_archive_leaves_nothing_unpacked(server, tmp_path, by_hand):
    content = zipped({"good.json": b"good", "../../escaped": b"evil"})
    hostile = Source("x", "", "", "raw/x", True, (server.file("/x.zip", content),))
    if by_hand:
        (tmp_path / "raw" / "x").mkdir(parents=True)
        (tmp_path / "raw" / "x" / "x.zip").write_bytes(content)
    assert "leads elsewhere" in refusal(download, hostile, tmp_path)
    assert visible(tmp_path) == ["raw"]
    assert visible(tmp_path / "raw" / "x") == ["x.zip"] * by_hand  # somebody's own is kept


def test_room_for_archive_and_content_is_asked_for_first(val2014, tmp_path, monkeypatch):
    usage = files.shutil.disk_usage(tmp_path)._replace(free=2 * len(PHOTOGRAPHS))
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    line = refusal(download, replace(val2014, expands=2), tmp_path)
    assert re.search("to download v needs .* GB .* free", line)
    assert not visible(tmp_path)
    download(val2014, tmp_path)


def test_an_end_between_unpacking_and_recording(val2014, server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "write_text", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(val2014, tmp_path)
    monkeypatch.undo()
    assert visible(tmp_path / "raw" / "coco") == ["val2014", "val2014.zip"]
    (tmp_path / "raw" / "coco" / "..val2014.zip.json.17.partial").touch()  # of one that was killed
    assert visible(download(val2014, tmp_path, offline=True)) == ["val2014"]
    assert not [*(tmp_path / "raw" / "coco").glob(".*.partial")]
    assert len(server.asked) == 1


def interrupt(*_):
    raise KeyboardInterrupt


def listed(source, server, folder):
    """A list of that source and of photographs on the server."""
    path = folder / "sources.json"
    path.write_bytes(msgspec.json.encode(Sources((source,), server.base + "/{subset}/{name}")))
    return path


def started(source, server, root):
    """A process of its own that downloads a source."""
    sources = listed(source, server, root)
    return python("data", "download", source.name, "--sources", sources, "--root", root)


def test_two_processes_share_the_work(v2, server, tmp_path):
    processes = [started(v2, server, tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert visible(tmp_path / "raw" / "v2") == ["annotations.json", "questions.json"]
    assert sorted(server.paths()) == ["/Annotations.zip", "/Questions.zip"]


@pytest.mark.parametrize(("end", "count"), [(signal.SIGKILL, 3_000), (signal.SIGINT, 2_000_000)])
def test_a_process_killed_while_it_downloads_is_continued(v2, server, tmp_path, end, count):
    server.scripts["/Questions.zip"] = [cut(count, 60.0)]
    process = started(v2, server, tmp_path)
    part = tmp_path / "raw" / "v2" / "Questions.zip.part"
    try:
        wait_until(lambda: part.exists() and part.stat().st_size >= count)
        process.send_signal(end)
        process.wait(30)
    finally:
        process.kill()
    assert part.stat().st_size == count
    assert visible(download(v2, tmp_path)) == ["annotations.json", "questions.json"]
    assert server.ranges("/Questions.zip") == [None, f"bytes={count}-"]


# ---------------------------------------------------------------- single photographs


def picture(seed, form="JPEG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


PICTURES = {image_id: picture(image_id) for image_id in range(1, 31)}


@pytest.fixture
def album(server, tmp_path):
    """Fetches photographs of a server that has thirty."""
    for image_id, content in PICTURES.items():
        server.files[address(image_id)] = content
    sources = Sources((), server.base + "/{subset}/{name}")
    return lambda ids, **options: fetch_images(ids, "val2014", tmp_path, sources, **options)


def address(image_id, base=""):
    return f"{base}/val2014/COCO_val2014_{image_id:012d}.jpg"


def here(tmp_path):
    folder = tmp_path / "raw" / "coco" / "val2014"
    return {int(p.stem[-12:]): p.read_bytes() for p in folder.glob("*.jpg")}


def test_those_that_lack_come_and_failures_are_named(album, server, tmp_path):
    server.scripts[address(1)] = [status(500), cut(100)]
    failed = album([3, 1, 3, 99])
    assert list(failed) == [99] and "answers 404" in failed[99]
    assert here(tmp_path) == {i: PICTURES[i] for i in (1, 3)}
    assert server.ranges(address(1)) == [None, None, "bytes=100-"]
    server.asked.clear()
    assert album([1, 2, 3]) == {} and server.paths() == [address(2)]
    assert album([1, 2, 3], offline=True) == {} == album([])
    failed = album([1, 4, 5], offline=True)
    assert list(failed) == [4, 5] and "is not in" in failed[4]


def test_photographs_that_a_dataset_lacked_are_asked_for_again(server, tmp_path):
    (tmp_path / "made").mkdir()
    release = write_release(tmp_path / "made", images=40)
    packed = zipped({file.name: file.read_bytes() for file in release.glob("*.json")})
    v1 = Source("v1", "", "", "raw/v1", True, (server.file("/v1.zip", packed),))
    fetching = Fetching(tmp_path / "data", sources=listed(v1, server, tmp_path))
    out = build("A", fetching=replace(fetching, photographs=False))
    assert build("A", fetching=replace(fetching, offline=True)) == out
    assert server.paths() == ["/v1.zip"]
    assert build("A", fetching=fetching) == out  # nothing but 404
    assert len(read_folder(out).missing_images()) == 40
    for photograph in (release / "val2014").iterdir():
        server.files[f"/val2014/{photograph.name}"] = photograph.read_bytes()
    assert build("A", fetching=fetching) == out
    assert read_folder(out).missing_images() == []


def test_several_are_asked_for_at_once_and_the_mirror_first(album, server, monkeypatch):
    together = threading.Barrier(4, timeout=20)

    def waits_for_the_others(handler, content):
        together.wait()
        other(content)(handler, content)

    for image_id in range(1, 5):
        server.scripts[address(image_id)] = [waits_for_the_others]
    server.files[address(5, "/near")] = PICTURES[5]
    assert album(range(1, 6), parallel=4, mirror=f"{server.base}/near/") == {}
    assert address(5) not in server.paths() and address(1, "/near") in server.paths()
    monkeypatch.setenv("VQA_MIRROR", "file:///tmp")
    assert "mirror" in refusal(album, [6])


@pytest.mark.parametrize(
    "content",
    [PICTURES[1][:-600], PICTURES[1][:200], picture(1, "PNG"), b"<html>sorry</html>"],
    ids=["cut short", "only a head", "PNG", "no image"],
)
def test_what_is_no_whole_jpeg_gets_no_name(album, server, tmp_path, monkeypatch, content):
    server.files[address(1)] = content
    failed = album([1, 2])
    assert list(failed) == [1] and "serves what cannot be used" in failed[1]
    assert "\n" not in failed[1] and here(tmp_path) == {2: PICTURES[2]}
    server.scripts[address(1)] = [endless(200)] * 9  # a bomb
    monkeypatch.setattr(module, "MOST_PHOTOGRAPH_BYTES", 100_000)
    assert "sends more than 100000 bytes" in album([1])[1]


def test_a_host_that_is_silent_is_soon_left_alone_one_that_refuses_not(album, server, monkeypatch):
    assert len(album(range(101, 141), parallel=2)) == len(server.asked) == 40
    server.asked.clear()
    monkeypatch.setattr(web, "ATTEMPTS", 1)
    server.scripts = {address(image_id): [status(503)] * 9 for image_id in range(1, 31)}
    failed = album(range(1, 31), parallel=2)
    assert list(failed) == list(range(1, 31)) and len(server.asked) <= 6
    assert sum("not tried" in reason for reason in failed.values()) >= 24


def test_ctrl_c_ends_the_pauses_too(album, server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "track", interrupt)
    server.scripts = {address(i): [status(503, Retry_After="60")] * 9 for i in range(1, 31)}
    with pytest.raises(KeyboardInterrupt):  # at once: the test's own limit would end it otherwise
        album(range(1, 31))
    assert here(tmp_path) == {}
