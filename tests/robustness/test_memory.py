"""No memory left, on a CPU or a GPU: one line with a remedy, not a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.calling import QUICK
from vqa_helpers.cli.limits import explain
from vqa_helpers.experiment import conduct

ROOT = Path(__file__).parents[2]
CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of "
    "which 12.00 GiB is free. Process 1 has 67.00 GiB memory in use.\nOf the allocated memory …"
)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(CUDA),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be …"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
        OSError(12, os.strerror(12)),
    ],
)
def test_it_is_one_line(data, vqa, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(conduct, "rank", fail)
    words = ["train", "Question_Only", "--data", data, "--epochs", "1", "--out", "run", *QUICK]
    code, [line] = vqa(*words)
    assert code == 1 and len(line) < 500
    assert "the memory does not suffice" in line and "--image-size" in line


def test_other_errors_stay_what_they_are(data, vqa, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(conduct, "rank", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        vqa("train", "Question_Only", "--data", data, "--epochs", "1", "--out", "run", *QUICK)
    assert explain(RuntimeError("shapes")) is None and explain(ValueError("odd")) is None


def test_what_the_allocators_of_this_machine_say_is_understood():
    """The words of torch's and numpy's own refusals, whatever version is installed."""
    most = 1 << 50
    for allocate in (lambda: torch.empty(most), lambda: np.empty(most)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            allocate()
        assert "the memory does not suffice" in explain(caught.value)


@pytest.mark.slow
def test_a_process_without_memory(tmp_path, data):
    """A real one: photographs of 2,048 px in a batch, and an address space too small for them."""
    code = (
        "import sys, resource, torch, torchvision; from vqa_helpers.cli import main; "
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); "
        "resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY)); "
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["features", "--data", str(data), "--encoder", "vgg16", "--weights", "random",
             "--image-size", "2048", "--device", "cpu"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "the memory does not suffice" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.rglob("*.partial"))
