"""A bag of objects and regions, from photographs to a run that answers."""

import numpy as np
import pytest

from vqa_helpers.api import load
from vqa_helpers.cli import main
from vqa_helpers.features.store import FeatureStore

SMALLEST = "fasterrcnn_mobilenet_v3_large_320_fpn"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "width"),
    [
        (["--vision", SMALLEST], (91,)),
        (["--vision", "StoredGrid", "--set", f"vision.network={SMALLEST}",
          "--fusion", "TopDownAttention"], (36, 1024)),
    ],
)  # fmt: skip
def test_they_train_and_answer(folder, tmp_path, words, width):
    out, features = tmp_path / "run", tmp_path / "features"
    words = ["train", "Improved_VQA2015_ResNet", "--data", str(folder), *words]
    words += ["--weights", "random", "--epochs", "1", "--device", "cpu", "--out", str(out)]
    assert main([*words, "--features", str(features)]) == 0
    [store] = map(FeatureStore, features.glob(f"tiny/{SMALLEST}-random-64*"))
    ids = np.arange(1, 25)
    rows, there = store.read(ids)
    assert rows.shape == (24, *width) and there.all()
    answers = load(out, device="cpu").answer(folder / "images" / f"{1:012d}.png", "How many?")
    assert len(answers) == 5
