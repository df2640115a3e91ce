"""Nothing of validation or test is known before a model is trained.

Two datasets have the same train split; the held-out splits of one shout: words, answers and colours
that train never has. Whatever a model begins with and learns from must be the same on both, to the
bit. That the comparison would see a leak is shown by planting some.
"""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from tests.builders import open_small, retell, write_dataset
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary, tokenize_all
from vqa_helpers.presets import PRESETS
from vqa_helpers.recipe import Recipe
from vqa_helpers.training.inputs import Data
from vqa_helpers.training.loop import Trainer
from vqa_helpers.training.losses import Loss, inverse_frequencies, prior_logits

STRANGE = "zyzzyva"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """The plain dataset, and the one whose held-out splits are unlike any of train."""
    plain, marked = (write_dataset(tmp_path_factory.mktemp(name) / "tiny") for name in "ab")
    for split in ("val", "test"):
        retell(
            marked, split, asked=lambda _, question: f"{STRANGE} " * 9 + question,
            answered=lambda number, answer: answer if number % 2 else STRANGE,
        )  # fmt: skip
    for path in (marked / "images").iterdir():
        if int(path.stem) > 1000:
            noise = np.random.default_rng(int(path.stem)).integers(0, 256, (32, 32, 3))
            Image.fromarray(noise.astype(np.uint8)).save(path)
    return plain, marked


def everything(folder: Path, recipe: Recipe, plant: Callable = lambda *_: None) -> dict:
    """What a model begins with and learns from, and what it is after an epoch.

    Args:
        plant: is given the data before a model is built, and again with all that training is given.
    """
    data = open_small(folder, folder.parent / "features")
    plant(data)
    model = data.build(recipe)
    images = data.images(model.vision)
    training = recipe.schedule(data.train_questions)
    batches = data.batches(data.read(model), images, training)
    plant(data, model, images, batches)
    train = batches["train"]
    examples, answers = train.examples, len(data.answers)
    read = [tensor for batch in train.in_order() for tensor in batch.question]
    known = {
        "words": data.words.words,
        "answers": data.answers.answers,
        "weights": inverse_frequencies(examples.target, answers),
        "images asked about": images.ids[examples.image_row.numpy()].tolist(),
        "targets": examples.target,
        "questions": torch.cat([tensor.flatten().double() for tensor in read]),
    }
    known |= {f"before {name}": t.clone() for name, t in model.state_dict().items()}
    if examples.soft:
        known |= {"prior": prior_logits(examples.soft, answers), "soft": examples.soft.scores}
    loss = Loss(training.loss, known["weights"])
    Trainer(model, training, loss, Accelerator(cpu=True)).run_epoch(train, train, 1)
    return known | {f"after {name}": tensor for name, tensor in model.state_dict().items()}


def differing(folders: tuple[Path, Path], recipe: Recipe, plant: Callable = lambda *_: None):
    """What is not the same on both datasets."""
    one, other = (everything(folder, recipe, plant) for folder in folders)
    assert one.keys() == other.keys()
    return {name for name in one if not same(one[name], other[name])}


def same(one: object, other: object) -> bool:
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("1.e", {}),
        ("1.e", {"vision": "NetworkInLoop", "set": {"vision.network": "resnet18"}}),
        ("GloVe_ResNet", {"vision": "resnet18"}),
        ("Improved_VQA2015_ResNet", {"vision": "resnet18"}),
        ("Bag_Of_Words", {}),
        *(("Question_Only", {"set": {"loss": f"{kind} cross entropy"}})
          for kind in ("weighted", "soft", "binary")),
    ],
)  # fmt: skip
def test_held_out_data_leave_no_trace(folders, name, changes):
    assert differing(folders, PRESETS[name].with_(**changes)) == set()


def all_texts(data: Data, column: str) -> list[str]:
    return [text for table in data.dataset.splits.values() for text in table[column]]


def words_of_all(data):
    data.words = WordVocabulary.build(tokenize_all(all_texts(data, "question")))


def answers_of_all(data):
    data.answers = AnswerVocabulary.build(all_texts(data, "answer"))


def statistics_of_all(data, model, images, batches):
    model.vision.standardise(images.rows)


def held_out_batches(data, model, images, batches):
    batches["train"] = batches["validation"]


@pytest.mark.parametrize(
    ("name", "leak", "seen"),
    [
        ("Bag_Of_Words", words_of_all, "words"),
        ("1.e", answers_of_all, "answers"),
        ("1.e", statistics_of_all, "before vision.mean"),
        ("Question_Only", held_out_batches, "targets"),
    ],
)
def test_a_leak_would_be_seen(folders, name, leak, seen):
    def plant(*there):
        if len(there) == leak.__code__.co_argcount:
            leak(*there)

    recipe = PRESETS[name].with_(vision="resnet18" if PRESETS[name].vision else None)
    assert seen in differing(folders, recipe, plant)


@pytest.mark.parametrize("splits", [("train",), ("train", "val"), ("train", "val", "test")])
def test_splits_share_no_images(tmp_path, splits):
    dataset = read_folder(write_dataset(tmp_path / "d", images=20, splits=splits))
    ids = [set(table["image_id"]) for table in dataset.splits.values()]
    assert len(ids) == 3 and all(ids)
    assert not any(one & other for one, other in combinations(ids, 2))
