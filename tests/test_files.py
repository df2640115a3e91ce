"""Files written in one step."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vqa_helpers import files
from vqa_helpers.errors import InputError
from vqa_helpers.files import (
    is_sealed,
    read_sums,
    remedy,
    remove_partials,
    require_space,
    seal,
    sha256_of,
    write_bytes,
    write_sums,
    write_text,
)


def test_folders_are_made_and_nothing_is_left_beside(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    write_text(path, "größer\n")
    assert path.read_bytes() == b"gr\xc3\xb6\xc3\x9fer\n"
    write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [p.name for p in path.parent.iterdir()] == ["c.json"]


def test_a_name_as_text(tmp_path):
    write_text(str(tmp_path / "a"), "x")
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_fails_half_way_leaves_the_old_file_alone(tmp_path, monkeypatch, step, error):
    path = tmp_path / "a"
    write_text(path, "old")

    def fail(*_):
        raise error

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(error):
        write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_the_content_is_on_disk_before_the_name_is(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(files.os, "fsync", lambda _: steps.append("flushed"))
    replace = os.replace
    monkeypatch.setattr(
        files.os, "replace", lambda a, b: (steps.append(a.read_text()), replace(a, b))
    )
    write_text(tmp_path / "a", "whole")
    assert steps == ["flushed", "whole"]


def test_text_that_cannot_be_encoded_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a", "\ud800")
    assert not list(tmp_path.iterdir())


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        write_text(tmp_path / "a", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, seen, done = tmp_path / "a", set(), threading.Event()
    write_bytes(path, b"0" * 100_000)

    def read():
        while not done.is_set():
            content = path.read_bytes()
            seen.add((len(content), len(set(content))))

    reader = threading.Thread(target=read)
    reader.start()
    for digit in b"123456789" * 3:
        write_bytes(path, bytes([digit]) * 100_000)
    done.set()
    reader.join()
    assert seen == {(100_000, 1)}


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path):
    program = """
import sys, time
from pathlib import Path
from vqa_helpers.files import locked
place = Path(sys.argv[1])
for _ in range(5):
    with locked(place / "lock"):
        (place / "inside").mkdir()  # fails if another is inside
        time.sleep(0.01)
        (place / "inside").rmdir()
"""
    root = Path(__file__).parents[1]
    workers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=root) for _ in range(3)
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]


def test_room_on_the_disk_of_a_folder_that_is_not_there_yet(tmp_path, monkeypatch):
    asked = []
    usage = files.shutil.disk_usage(tmp_path)._replace(free=2_000_000_000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda place: asked.append(place) or usage)
    folder = tmp_path / "a" / "b"
    require_space(folder, 2_000_000_000, "the archive")
    with pytest.raises(InputError) as caught:
        require_space(folder, 13_500_000_000, "the archive")
    assert str(caught.value) == (
        f"{folder}: the archive needs 13.50 GB and 2.00 GB are free; "
        "free some space, or choose a folder on another disk"
    )
    assert asked == [tmp_path] * 2


def test_a_full_disk_names_the_file_and_the_remedy(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError) as error:
        write_text(tmp_path / "a", "x")
    assert error.value.filename == str(tmp_path / "a")
    assert remedy(error.value).startswith("free some space")
    assert remedy(OSError(errno.EACCES, "denied")).startswith("mend that")


def test_sums_are_those_of_sha256sum(tmp_path):
    for name in ("a", "größer b"):
        write_text(tmp_path / name, name)
    write_sums(tmp_path / "sums", [tmp_path / "a", tmp_path / "größer b"])
    subprocess.run(["sha256sum", "--check", "--strict", "sums"], cwd=tmp_path, check=True)
    assert read_sums(tmp_path / "sums") == {n: sha256_of(tmp_path / n) for n in ("a", "größer b")}
    (tmp_path / "sums").write_bytes(b"done\n\xff")
    assert read_sums(tmp_path / "sums") == read_sums(tmp_path / "absent") == {}


def test_a_seal_is_broken_by_any_change(tmp_path):
    path = tmp_path / "a"
    assert not is_sealed(path)
    write_text(path, "whole")
    assert not is_sealed(path)
    seal(path)
    assert is_sealed(path)
    path.write_text("whale")
    assert not is_sealed(path)
    path.unlink()
    assert not is_sealed(path)


def test_what_kills_have_left_is_removed(tmp_path):
    for name in (".a.17.partial", "kept", ".kept"):
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".kept", "kept"]
