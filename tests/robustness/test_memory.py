"""No memory left, on a CPU or a GPU: one line with a remedy, not a traceback."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.calling import QUICK
from tests.robustness.conftest import begin

SAYS = "the memory does not suffice"
CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of "
    "which 12.00 GiB is free. Process 1 has 67.00 GiB memory in use.\nOf the allocated memory …"
)


@pytest.fixture
def train_and_fail(vqa, data, monkeypatch):
    """Train, and have something go wrong in the model."""

    def call(fail) -> tuple[int, list[str]]:
        monkeypatch.setattr(torch.nn.Linear, "forward", lambda *_: fail())
        words = ["train", "Question_Only", "--data", data, "--epochs", "1", "--out", "run"]
        return vqa(*words, *QUICK)

    return call


def raising(error: Exception):
    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    "fail",
    [
        raising(torch.OutOfMemoryError(CUDA)),
        raising(RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be …")),
        raising(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")),
        raising(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")),
        raising(RuntimeError("std::bad_alloc")),
        raising(OSError(12, os.strerror(12))),
        # The words of torch's and numpy's own refusals, whatever version is installed.
        lambda: torch.empty(1 << 50),
        lambda: np.empty(1 << 50),
    ],
)
def test_it_is_one_line(train_and_fail, fail):
    code, [line] = train_and_fail(fail)
    assert code == 1 and len(line) < 500
    assert SAYS in line and "--image-size" in line


def test_other_errors_stay_what_they_are(train_and_fail):
    with pytest.raises(RuntimeError, match="shapes"):
        train_and_fail(raising(RuntimeError("mat1 and mat2 shapes cannot be multiplied")))


@pytest.mark.slow
def test_a_process_without_memory(tmp_path, data):
    """A real one: photographs of 2,048 px in a batch, and an address space too small for them."""
    code = (
        "import resource, torch, torchvision; "
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); "
        "resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))"
    )
    words = ["features", "--data", data, "--encoder", "vgg16", "--weights", "random",
             "--image-size", "2048", "--device", "cpu"]  # fmt: skip
    process = begin(code, words, tmp_path)
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 1 and "Traceback" not in error
    assert SAYS in error.splitlines()[-1]
    assert not list(Path(tmp_path).rglob("*.partial"))
