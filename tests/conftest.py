"""What every test stands on: one thread each, and nothing of this machine found by chance."""

import os
import sys
from pathlib import Path

import pytest

# Before torch is imported, and for every process that a test starts: several workers share the
# cores, threads that wait for each other make them crawl, and sums must come out the same.
os.environ["OMP_NUM_THREADS"] = "1"
for variable in ("VQA_GLOVE", "VQA_SENTENCE_ENCODER", "VQA_MIRROR", "VQA_SOURCES"):
    os.environ.pop(variable, None)
# Else each of the hundreds of processes that tests start would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.modules.setdefault("rfc3987_syntax", None)  # 2 s of each worker, see vqa_helpers/cli.py
os.environ["WNSEARCHDIR"] = "no-wordnet"  # what is measured must not depend on whether there is one


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


@pytest.fixture
def nouns_known(tmp_path, monkeypatch):
    """Let the WordNet that is found be one of a few nouns, as `write_wordnet` takes them."""
    from tests.builders import write_wordnet
    from vqa_helpers.evaluation.wordnet import find_wordnet

    def make(*nouns: str) -> None:
        monkeypatch.setenv("WNSEARCHDIR", str(write_wordnet(tmp_path / "wordnet", nouns)))
        find_wordnet.cache_clear()

    yield make
    find_wordnet.cache_clear()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A dataset of 24 images a split, three questions each."""
    from tests.builders import write_dataset

    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", images=24)


@pytest.fixture(scope="session")
def opened(folder, tmp_path_factory):
    """Open the tiny dataset, or another, with random weights and stand-ins."""
    from tests.builders import open_small

    features = tmp_path_factory.mktemp("features")
    return lambda data=folder, **changes: open_small(data, **{"features": features, **changes})
