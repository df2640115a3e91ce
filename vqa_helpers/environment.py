"""What a result depends on beside its configuration (versions, commit, machine, date), and which
device computes.

Knows nothing of what was run.
"""

import ctypes
import os
import platform
import re
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import vqa_helpers
from vqa_helpers.errors import InputError

PACKAGES = (
    "torch", "torchvision", "numpy", "pandas", "scipy", "scikit-learn", "pillow", "safetensors",
    "msgspec", "tensorboard", "tensorflow", "tensorflow-hub", "papermill",
)  # fmt: skip

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def pick_device(device: str = "auto") -> str:
    """A GPU where there is one, or the device named.

    Raises:
        InputError: for a device this machine does not have.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.ones(1, device=device).item()  # "meta" makes tensors that hold no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"device {device!r} cannot be used ({reason}); try cpu") from None
    return device


def pick_precision(device: str) -> str:
    """The precision of matrix products on a device: "bfloat16" on a CPU with instructions for it,
    up to twice as fast there, otherwise "float32"."""
    silicon = {"avx512_bf16", "amx_bf16"} & {*_cpuinfo().split()}
    return "bfloat16" if silicon and pick_device(device) == "cpu" else "float32"


def has_room(device: torch.device | str, size: int) -> bool:
    """Whether so many bytes take at most half of what is free on a GPU; true of any CPU, where what
    is in memory has been placed already."""
    gpu = torch.device(device).type == "cuda"
    return not gpu or size <= torch.cuda.mem_get_info(device)[0] / 2


def keep_memory() -> None:
    """Let the process keep the memory that large tensors leave, for the next ones: where glibc hands
    it back to the system, getting it anew at each step costs up to half of the time."""
    with suppress(AttributeError, OSError, TypeError):  # another library's
        mallopt = ctypes.CDLL(None).mallopt
        for limit in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(limit, 2**30)


def environment(device: str, **extra: Any) -> dict[str, Any]:
    """What a result depends on beside its config: versions, commit, machine, date.

    Args:
        device: as torch spells it, "cpu", "cuda", "cuda:1", "mps".
        extra: further JSON-able facts, such as hashes of the data and of the features.
    """
    return {
        "date_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _versions(),
        "git": _checkout(Path(vqa_helpers.__file__).parent),
        "device": device,
        "device_name": _device_name(device),
        "cpu_count": os.cpu_count(),
        **extra,
    }


@cache  # what has been imported does not change
def _versions() -> dict[str, str]:
    """The versions of the packages that are installed."""
    versions = {"vqa-helpers": vqa_helpers.__version__}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _checkout(package: Path) -> dict[str, Any] | None:
    """Commit of the project's checkout and whether the package differs from it; None without one.

    Only changes to the package count as dirty: executing a notebook rewrites the notebook.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        # A package installed inside another repository has no commit of its own.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != package.parent.resolve():
            return None
        dirty = bool(git("status", "--porcelain", "--", "."))
        return {"commit": git("rev-parse", "HEAD"), "dirty": dirty}
    except (OSError, subprocess.SubprocessError):
        return None


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    named = re.search(r"^model name\s*:(.*)", _cpuinfo(), re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _cpuinfo() -> str:
    """What Linux says of its cores; "" elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text(errors="replace") if path.is_file() else ""
