"""What these tests share: a place of their own, a tiny dataset, the command, a disk to fill.

They call the command and look at files; the few names of the package's inside are all here.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import write_dataset
from tests.calling import QUICK
from vqa_helpers.cli import main

ROOT = Path(__file__).parents[2]
CHECKPOINT = "checkpoint.pt"
# Shards of a few images, so that there are several.
SMALL_SHARDS = ("vqa_helpers.features.extract", "SHARD_IMAGES", 8)
MOUNTED_BYTES = 96 << 20
# Commands that lack the dataset.
FEATURES = ["features", "--encoder", "resnet18", *QUICK, "--data"]
TRAIN = ["train", "Bag_Of_Words", "--epochs", "2", "--out", "run", *QUICK, "--data"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A working folder in which nothing of this machine is found by chance; small shards."""
    module, name, value = SMALL_SHARDS
    monkeypatch.setattr(f"{module}.{name}", value)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
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


@pytest.fixture
def interrupted(vqa, monkeypatch) -> Callable[..., None]:
    """Run the command, and press Ctrl-C as soon as it has kept its first checkpoint."""

    def call(*words: object) -> None:
        replace = os.replace

        def stop(source, target):
            replace(source, target)
            if Path(target).name == CHECKPOINT:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", stop)
            assert vqa(*words)[0] == 130

    return call


def begin(code: str, words: list, place: Path) -> subprocess.Popen:
    """The command in a process and a session of its own, after `code`."""
    module, name, value = SMALL_SHARDS
    code = f"import {module}\n{module}.{name} = {value}\n{code}\n"
    code += "import sys\nfrom vqa_helpers.cli import main\nsys.exit(main(sys.argv[1:]))"
    command, quiet = [sys.executable, "-c", code, *map(str, words)], subprocess.DEVNULL
    how = {"text": True, "start_new_session": True, "stdout": quiet, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=place, **how)


class Disk:
    """A disk that can be full: a file system in memory, all but some of it taken by a ballast; where
    mounting is not permitted, a limit on the size of any file, which anybody can set."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path, self.hard = path, resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        mount = ["mount", "-t", "tmpfs", "-o", f"size={MOUNTED_BYTES}", "tmpfs", str(path)]
        self.mounted = subprocess.run(mount, capture_output=True).returncode == 0

    def leave(self, part: float, sizes: list[int]) -> None:
        """Leave room for a part of what files of these sizes need."""
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(part * max(sizes)), self.hard))
            return
        self.free()
        state = os.statvfs(self.path)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize
        room = (int(part * sum(sizes)) + 4095) // 4096 * 4096
        with (self.path / ".ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, MOUNTED_BYTES - room - used)

    def free(self) -> None:
        (self.path / ".ballast").unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.hard, self.hard))


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.free()
    if disk.mounted:
        subprocess.run(["umount", "--lazy", str(disk.path)], check=True)
