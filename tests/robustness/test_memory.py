"""No memory left, on a CPU or a GPU: one line with a remedy, not a traceback."""

import os

import numpy as np
import pytest
import torch

from tests.robustness.conftest import begin
from vqa_helpers import commands

SAYS = "the memory does not suffice"
CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB of "
    "which 12.00 GiB is free. Process 1 has 67.00 GiB memory in use.\nOf the allocated memory …"
)


def fail(error: Exception | type) -> None:
    """Raise an error, or have a library refuse in its own words, whatever version is installed."""
    if isinstance(error, Exception):
        raise error
    error(1 << 50)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(CUDA),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be …"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
        RuntimeError("std::bad_alloc"),
        OSError(12, os.strerror(12)),
        torch.empty,
        np.empty,
    ],
)
def test_it_is_one_line(vqa, monkeypatch, error):
    monkeypatch.setattr(commands, "train", lambda _: fail(error))
    code, [line] = vqa("train", "Question_Only", "--data", "demo")
    assert code == 1 and len(line) < 500
    assert SAYS in line and "--image-size" in line


def test_other_errors_stay_what_they_are(vqa, monkeypatch):
    other = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    monkeypatch.setattr(commands, "train", lambda _: fail(other))
    with pytest.raises(RuntimeError, match="shapes"):
        vqa("train", "Question_Only", "--data", "demo")


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
    assert not list(tmp_path.rglob("*.partial"))
