"""Files written in one step, their sums, and locks."""

import errno
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from vqa_helpers import files
from vqa_helpers.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folders_are_made_and_nothing_is_left_beside(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    files.write_text(str(path), "größer\n")
    assert path.read_bytes() == b"gr\xc3\xb6\xc3\x9fer\n"
    files.write_bytes(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(path.parent) == ["c.json"]
    (path.parent / ".c.json.17.partial").touch()
    files.remove_partials(path.parent)
    assert names(path.parent) == ["c.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("make", [lambda: OSError(errno.ENOSPC, "full"), KeyboardInterrupt])
def test_what_fails_half_way_leaves_the_old_file_alone(tmp_path, monkeypatch, step, make):
    path, error = tmp_path / "a", make()
    files.write_text(path, "old")

    def fail(*_):
        raise error

    with monkeypatch.context() as patch, pytest.raises(type(error)) as raised:
        patch.setattr(files.os, step, fail)
        files.write_text(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["a"]
    if isinstance(error, OSError):  # a full disk: the file and the remedy are named
        assert raised.value.filename == str(path)
        assert files.remedy(error).startswith("free some space")
    assert files.remedy(OSError(errno.EACCES, "denied")).startswith("correct that")


def test_sums_are_those_of_sha256sum(tmp_path):
    made = [tmp_path / "a", tmp_path / "größer b"]
    for path in made:
        files.write_text(path, path.name)
    files.write_sums(tmp_path / "sums", made)
    subprocess.run(["sha256sum", "--check", "--strict", "sums"], cwd=tmp_path, check=True)
    expected = {path.name: files.sha256_of(path) for path in made}
    assert files.read_sums(tmp_path / "sums") == expected
    (tmp_path / "sums").write_bytes(b"done\n\xff")
    assert files.read_sums(tmp_path / "sums") == files.read_sums(tmp_path / "absent") == {}


def test_a_seal_is_broken_by_any_change(tmp_path):
    path = tmp_path / "a"
    files.write_text(path, "whole")
    assert not files.is_sealed(path)
    files.seal(path)
    assert files.is_sealed(path)
    path.write_text("whale")
    assert not files.is_sealed(path)
    path.unlink()
    assert not files.is_sealed(path)


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
    command = [sys.executable, "-c", program, str(tmp_path)]
    workers = [subprocess.Popen(command, cwd=Path(__file__).parents[1]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    with files.locked(tmp_path / "lock"), pytest.raises(InputError, match="^busy$"):
        with files.locked(tmp_path / "lock", refusal="busy"):
            pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL])
def test_a_file_system_without_locks_is_said_once(tmp_path, monkeypatch, caplog, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.fcntl, "flock", flock)
    for name in "ab":
        with files.locked(tmp_path / name, refusal="busy"):
            files.write_text(tmp_path / "c", "x")
    assert ["no locks on this file system" in message for message in caplog.messages] == [True]


def test_windows_which_has_no_such_locks_is_like_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    locked = runpy.run_path(files.__file__)["locked"]
    with locked(tmp_path / "a", refusal="busy"), locked(tmp_path / "a", refusal="busy"):
        pass
    assert ["no locks on this file system" in message for message in caplog.messages] == [True]


def test_room_on_the_disk_of_a_folder_that_is_not_there_yet(tmp_path, monkeypatch):
    usage = files.shutil.disk_usage(tmp_path)._replace(free=2_000_000_000)
    monkeypatch.setattr(files.shutil, "disk_usage", {tmp_path: usage}.__getitem__)
    folder = tmp_path / "a" / "b"
    files.require_space(folder, 2_000_000_000, "the archive")
    says = "the archive needs 13.50 GB and 2.00 GB are free; free some space"
    with pytest.raises(InputError, match=f"^{folder}: {says}"):
        files.require_space(folder, 13_500_000_000, "the archive")
