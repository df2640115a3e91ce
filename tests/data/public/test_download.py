"""Sources made ready: fetched, unpacked, remembered, found by hand, never half there."""

import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data.public.server import QUICK, Server, cut, other, stalls_after, status
from vqa_helpers.data.public import download as download_module
from vqa_helpers.data.public.download import HERE, NOT_HERE, download, state
from vqa_helpers.data.public.sources import Source, read_sources
from vqa_helpers.errors import InputError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server():
    with Server() as server:
        yield server


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
    files = (
        server.file("/Questions.zip", QUESTIONS),
        server.file("/Annotations.zip", ANNOTATIONS, bytes=None),
    )
    return Source("v2", "", "", "raw/v2", True, files)


@pytest.fixture
def val2014(server):
    files = (server.file("/val2014.zip", PHOTOGRAPHS),)
    return Source("coco-val2014", "", "", "raw/coco", True, files)


def visible(folder):
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


# ---------------------------------------------------------------- the way there


def test_archives_are_fetched_unpacked_and_removed(v2, tmp_path):
    folder = download(v2, tmp_path, patience=QUICK)
    assert folder == tmp_path / "raw" / "v2"
    assert visible(folder) == ["annotations.json", "questions.json"]
    assert state(v2, tmp_path) == HERE


def test_what_is_here_is_not_asked_for_again(v2, server, tmp_path):
    download(v2, tmp_path, patience=QUICK)
    server.asked.clear()
    assert download(v2, tmp_path, patience=QUICK) == tmp_path / "raw" / "v2"
    assert download(v2, tmp_path, offline=True) == tmp_path / "raw" / "v2"
    assert not server.asked


def test_what_one_file_brought_is_kept_when_another_fails(v2, server, tmp_path):
    server.scripts["/Annotations.zip"] = [cut(400_000)] + [status(500)] * 2
    with pytest.raises(InputError, match="Annotations.zip cannot be had"):
        download(v2, tmp_path, patience=QUICK)
    assert visible(tmp_path / "raw" / "v2") == ["Annotations.zip.part", "questions.json"]
    assert state(v2, tmp_path) == "partly here (3 MB)"  # the length of one is not published
    download(v2, tmp_path, patience=QUICK)
    assert state(v2, tmp_path) == HERE
    assert server.ranges("/Annotations.zip")[-1] == "bytes=400000-"
    assert len(server.ranges("/Questions.zip")) == 1


def test_sources_that_share_a_folder(server, val2014, tmp_path):
    more = server.file("/train2014.zip", zipped({"train2014/1.jpg": b"1"}))
    train2014 = replace(val2014, name="coco-train2014", files=(more,))
    download(val2014, tmp_path, patience=QUICK)
    assert state(train2014, tmp_path) == NOT_HERE
    download(train2014, tmp_path, patience=QUICK)
    assert visible(tmp_path / "raw" / "coco") == ["train2014", "val2014"]
    assert state(val2014, tmp_path) == state(train2014, tmp_path) == HERE


def test_an_archive_that_stays_packed(server, tmp_path):
    content = zipped({"glove.6B.50d.txt": b"the 1 2\n"})
    glove = Source("glove", "", "", "glove", False, (server.file("/glove.6B.zip", content),))
    folder = download(glove, tmp_path, patience=QUICK)
    assert (folder / "glove.6B.zip").read_bytes() == content and visible(folder) == ["glove.6B.zip"]
    download(glove, tmp_path, patience=QUICK)
    assert len(server.asked) == 1


def test_the_sentence_encoder_of_which_no_sum_is_published(server, tmp_path, caplog):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("./saved_model.pb", "./variables/variables.index"):
            archive.addfile(tarfile.TarInfo(name))
    named = {"saved_as": "use-4.tar.gz", "told": False}
    file = server.file("/4", buffer.getvalue(), **named)
    use = Source("use", "", "", "use", True, (replace(file, url=f"{file.url}?format=x"),))
    folder = download(use, tmp_path, patience=QUICK)
    assert visible(folder) == ["saved_model.pb", "variables"]
    record = json.loads((folder / ".use-4.tar.gz.json").read_text())
    assert record["sha256"] == hashlib.sha256(buffer.getvalue()).hexdigest()
    assert record["verified"] is False and "unverified" in caplog.text


def test_the_record_says_what_came(val2014, tmp_path):
    folder = download(val2014, tmp_path, patience=QUICK)
    record = json.loads((folder / ".val2014.zip.json").read_text())
    assert record == {
        "url": val2014.files[0].url,
        "bytes": len(PHOTOGRAPHS),
        "sha256": val2014.files[0].sha256,
        "verified": True,
        "unpacked": {
            "files": 20, "bytes": 30, "first": "val2014/0.jpg", "last": "val2014/19.jpg",
            "folders": {"val2014": 20},
        },
    }  # fmt: skip


def test_the_mirror_comes_first(v2, server, tmp_path):
    server.file("/near/Questions.zip", QUESTIONS)
    download(v2, tmp_path, mirror=f"{server.base}/near/", patience=QUICK)
    assert [asked for asked, _ in server.asked] == [
        "/near/Questions.zip", "/near/Annotations.zip", "/Annotations.zip"
    ]  # fmt: skip


# ---------------------------------------------------------------- what is believed


@pytest.mark.parametrize("gone", ["0.jpg", "7.jpg", "19.jpg", ""])
def test_a_record_whose_files_are_gone_is_not_believed(val2014, server, tmp_path, gone):
    folder = download(val2014, tmp_path, patience=QUICK) / "val2014"
    (folder / gone).unlink() if gone else shutil.rmtree(folder)
    assert state(val2014, tmp_path) == NOT_HERE
    download(val2014, tmp_path, patience=QUICK)
    assert len(os.listdir(folder)) == 20 and len(server.asked) == 2


def test_more_files_than_the_archive_had_are_no_harm(val2014, server, tmp_path):
    folder = download(val2014, tmp_path, patience=QUICK)
    (folder / "val2014" / "mine.jpg").write_bytes(b"")
    assert state(val2014, tmp_path) == HERE


@pytest.mark.parametrize(
    "record", ["", "[]", "{}", "null", '{"unpacked": 1}', '{"unpacked": {"first": 1}}']
)
def test_a_damaged_record_is_not_believed(val2014, server, tmp_path, record):
    folder = download(val2014, tmp_path, patience=QUICK)
    (folder / ".val2014.zip.json").write_text(record)
    assert state(val2014, tmp_path) == NOT_HERE
    download(val2014, tmp_path, patience=QUICK)
    assert state(val2014, tmp_path) == HERE


def test_a_record_of_another_release_is_not_believed(val2014, server, tmp_path):
    download(val2014, tmp_path, patience=QUICK)
    files = (server.file("/val2014.zip", zipped({"val2014/new.jpg": b"new"})),)
    newer = replace(val2014, files=files)
    assert state(newer, tmp_path) == NOT_HERE
    download(newer, tmp_path, patience=QUICK)
    assert (tmp_path / "raw" / "coco" / "val2014" / "new.jpg").exists()


def test_states(v2, server, tmp_path):
    assert state(v2, tmp_path) == NOT_HERE
    published = replace(v2, files=tuple(replace(f, bytes=f.bytes or 1_000_132) for f in v2.files))
    server.scripts["/Questions.zip"] = [cut(1_500_000)] + [status(500)] * 2
    with pytest.raises(InputError):
        download(published, tmp_path, patience=QUICK)
    assert state(published, tmp_path) == "partly here (2 of 4 MB)"
    assert state(read_sources()["coco-train2014"], tmp_path) == NOT_HERE
    assert os.listdir(tmp_path) == ["raw"]  # looking makes nothing


# ---------------------------------------------------------------- by hand


def test_offline_says_which_files_to_put_where(v2, server, tmp_path):
    with pytest.raises(InputError) as caught:
        download(v2, tmp_path, offline=True)
    message = str(caught.value)
    folder = tmp_path / "raw" / "v2"
    first, second = v2.files
    assert f"put Questions.zip (from {first.url}), Annotations.zip (from {second.url})" in message
    assert f" into {folder}/ and run again" in message and "\n" not in message
    assert not server.asked


def test_a_file_put_there_by_hand_is_used(v2, server, tmp_path):
    folder = tmp_path / "raw" / "v2"
    folder.mkdir(parents=True)
    (folder / "Questions.zip").write_bytes(QUESTIONS)
    with pytest.raises(InputError, match="put Annotations.zip .from .* into"):
        download(v2, tmp_path, offline=True)
    (folder / "Annotations.zip").write_bytes(ANNOTATIONS)
    assert state(v2, tmp_path) == "partly here (4 MB)"
    download(v2, tmp_path, offline=True)
    assert visible(folder) == ["annotations.json", "questions.json"] and not server.asked


@pytest.mark.parametrize(
    ("content", "reason"),
    [(QUESTIONS[:-1], "bytes where"), (QUESTIONS[:-1] + b"x", "has sha256 .* is expected")],
)
def test_a_wrong_file_put_there_by_hand_is_named_and_kept(v2, server, tmp_path, content, reason):
    path = tmp_path / "raw" / "v2" / "Questions.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for offline in (True, False):
        with pytest.raises(InputError, match="Annotations" if offline else reason):
            download(v2, tmp_path, offline=offline, patience=QUICK)
    assert path.read_bytes() == content and not server.asked
    path.with_name("Annotations.zip").write_bytes(ANNOTATIONS)
    with pytest.raises(InputError, match=f"{reason}.*; remove it"):
        download(v2, tmp_path, offline=True)


# ---------------------------------------------------------------- what goes wrong


def test_a_hostile_archive_leaves_nothing_unpacked(server, tmp_path):
    content = zipped({"good.json": b"good", "../../escaped": b"evil"})
    hostile = Source("x", "", "", "raw/x", True, (server.file("/x.zip", content),))
    with pytest.raises(InputError, match="leads out of the folder"):
        download(hostile, tmp_path, patience=QUICK)
    assert visible(tmp_path / "raw" / "x") == [] and visible(tmp_path) == ["raw"]
    assert state(hostile, tmp_path) == NOT_HERE
    (tmp_path / "raw" / "x" / "x.zip").write_bytes(content)  # somebody's own is not deleted
    with pytest.raises(InputError, match="leads out of the folder"):
        download(hostile, tmp_path, offline=True)
    assert visible(tmp_path / "raw" / "x") == ["x.zip"]


def test_wrong_bytes_leave_nothing(v2, server, tmp_path):
    server.scripts["/Questions.zip"] = [other(QUESTIONS[::-1])]
    with pytest.raises(InputError, match=v2.files[0].sha256):
        download(v2, tmp_path, patience=QUICK)
    assert visible(tmp_path / "raw" / "v2") == []


def test_room_for_archive_and_content_is_asked_for_first(val2014, server, tmp_path, monkeypatch):
    from vqa_helpers import files

    size = len(PHOTOGRAPHS)
    usage = files.shutil.disk_usage(tmp_path)
    for free, expands, fits in ((2 * size, 1, True), (2 * size, 2, False)):
        monkeypatch.setattr(
            files.shutil, "disk_usage", lambda _, free=free: usage._replace(free=free)
        )
        source = replace(val2014, expands=expands)
        if fits:
            download(source, tmp_path / "a", patience=QUICK)
        else:
            with pytest.raises(InputError, match="to download coco-val2014 needs .* GB .* free"):
                download(source, tmp_path / "b", patience=QUICK)
            assert not (tmp_path / "b").exists()


def test_a_kill_between_unpacking_and_recording(val2014, server, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(download_module, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        download(val2014, tmp_path, patience=QUICK)
    monkeypatch.undo()
    assert visible(tmp_path / "raw" / "coco") == ["val2014", "val2014.zip"]
    download(val2014, tmp_path, offline=True)
    assert visible(tmp_path / "raw" / "coco") == ["val2014"] and len(server.asked) == 1


PROGRAM = """
import json, sys
from pathlib import Path
from vqa_helpers.data.public.download import download
from vqa_helpers.data.public.sources import read_sources
download(read_sources(Path(sys.argv[1]))["x"], Path(sys.argv[2]))
"""


def started(source, root):
    """A process of its own that downloads a source."""
    listed = {
        "single_image": "http://127.0.0.1/{subset}/{name}",
        "sources": [
            {
                "name": "x", "about": "", "licence": "", "folder": source.folder, "unpack": True,
                "files": [{"url": f.url, "bytes": f.bytes, "sha256": f.sha256}
                          for f in source.files],
            }
        ],
    }  # fmt: skip
    path = root / "sources.json"
    path.write_text(json.dumps(listed))
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(root)], cwd=ROOT,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip


def test_two_processes_share_the_work(v2, server, tmp_path):
    processes = [started(v2, tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert visible(tmp_path / "raw" / "v2") == ["annotations.json", "questions.json"]
    assert sorted(asked for asked, _ in server.asked) == ["/Annotations.zip", "/Questions.zip"]


def test_a_process_killed_while_it_downloads(v2, server, tmp_path):
    server.scripts["/Questions.zip"] = [stalls_after(2_000_000)]
    process = started(v2, tmp_path)
    part = tmp_path / "raw" / "v2" / "Questions.zip.part"
    try:
        limit = time.monotonic() + 60
        while not part.exists() or part.stat().st_size < 2_000_000:
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(30)
    download(v2, tmp_path, patience=QUICK)
    assert server.ranges("/Questions.zip") == [None, "bytes=2000000-"]
    assert (tmp_path / "raw" / "v2" / "questions.json").stat().st_size == 3_000_000
