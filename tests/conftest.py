"""What every test stands on: one thread each, and nothing of this machine found by chance."""

import os
from pathlib import Path

import pytest

# Before torch is imported, and for every process that a test starts: several workers share the
# cores, threads that wait for each other make them crawl, and sums must come out the same.
os.environ["OMP_NUM_THREADS"] = "1"
for variable in ("VQA_GLOVE", "VQA_SENTENCE_ENCODER", "VQA_MIRROR", "VQA_SOURCES"):
    os.environ.pop(variable, None)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working folder without data, and an empty cache of TensorFlow Hub; for processes too."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("place")
        patch.chdir(folder)
        patch.setenv("TFHUB_CACHE_DIR", str(folder / "hub"))
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        yield folder


@pytest.fixture(scope="module")
def data(place) -> Path:
    from tests.builders import write_dataset  # not above: it imports NumPy

    return write_dataset(place / "tiny", images=12)
