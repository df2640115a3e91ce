"""What a result depends on beside its configuration: versions, commit, machine, date.

Knows nothing of what was run.
"""

import logging
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import vqa_helpers

log = logging.getLogger(__name__)

PACKAGES = (
    "torch", "torchvision", "numpy", "pandas", "scipy", "scikit-learn", "pillow", "safetensors",
    "msgspec", "tensorboard", "tensorflow", "tensorflow-hub", "papermill",
)  # fmt: skip


def environment(device: str, **extra: Any) -> dict[str, Any]:
    """What a result depends on beside its config: versions, commit, machine, date.

    Args:
        device: as torch spells it, "cpu", "cuda", "cuda:1", "mps".
        extra: further JSON-able facts, such as hashes of the data and of the features.
    """
    versions = {"vqa-helpers": vqa_helpers.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "git": _checkout(Path(vqa_helpers.__file__).parent),
        "device": device,
        "device_name": _device_name(device),
        "cpu_count": os.cpu_count(),
        **extra,
    }


def _checkout(package: Path) -> dict[str, Any] | None:
    """Commit of the project's checkout and whether the package differs from it; None without one.

    Only changes to the package count as dirty: executing a notebook rewrites the notebook.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        # A package installed inside somebody else's repository has no commit of its own.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != package.parent.resolve():
            return None
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--", ".")),
        }
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("no commit to record: %s", error)
        return None


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch  # slow, and of no use to those who only read runs

        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
