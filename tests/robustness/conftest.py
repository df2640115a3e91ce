"""What these tests share: a place of their own, a tiny dataset, the command, a disk to fill."""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import write_dataset
from vqa_helpers.cli import main
from vqa_helpers.features import extract

MOUNTED_BYTES = 96 << 20


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A working folder in which nothing of this machine is found by chance; small shards."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    monkeypatch.setattr(extract, "SHARD_IMAGES", 8)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", images=12)


@pytest.fixture
def vqa(capsys):
    """Run the command: exit code, and the lines in which it says what went wrong."""

    def call(*words: object) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return code, [line for line in error.splitlines() if line.startswith("vqa: ")]

    return call


class Mounted:
    """A file system in memory, of which a ballast takes all but so many bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, count: int) -> None:
        self.free()
        with (self.path / ".ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, MOUNTED_BYTES - (count + 4095) // 4096 * 4096
                               - self._used())  # fmt: skip

    def free(self) -> None:
        (self.path / ".ballast").unlink(missing_ok=True)

    def share(self, files: list[int], part: float) -> int:
        """How many bytes to leave for a part of what these files need."""
        return int(part * sum(files))

    def _used(self) -> int:
        state = os.statvfs(self.path)
        return (state.f_blocks - state.f_bfree) * state.f_frsize


class Limited:
    """No file may grow beyond so many bytes: what anybody can have without being root."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def leave(self, count: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (count, self._hard))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._hard, self._hard))

    def share(self, files: list[int], part: float) -> int:
        return int(part * max(files))


@pytest.fixture(params=["mounted", "limited"])
def disk(request, tmp_path) -> Iterator[Mounted | Limited]:
    """A disk that can be full."""
    path = tmp_path / "disk"
    path.mkdir()
    if request.param == "limited":
        limited = Limited(path)
        yield limited
        limited.free()
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MOUNTED_BYTES}", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here ({done.stderr.strip()})")
    try:
        yield Mounted(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
