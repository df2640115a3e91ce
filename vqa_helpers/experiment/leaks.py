"""What an experiment must not know before it is trained: anything of validation or test.

Everything is worked out again from the splits themselves and compared with what stands ready for
training; what `prepare` says of itself is not believed. Knows nothing of how a leak is mended.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from vqa_helpers.data.text import tokenize_all
from vqa_helpers.experiment.images import photograph_statistics
from vqa_helpers.experiment.prepare import Experiment
from vqa_helpers.experiment.questions import LEARNED_WORDS
from vqa_helpers.language.word_vectors import learn_vectors, read_glove
from vqa_helpers.training.batches import FeatureRows
from vqa_helpers.training.losses import inverse_frequencies
from vqa_helpers.training.tensors import Vocabularies, split_tensors
from vqa_helpers.vision.normalise import FeatureNormaliser, train_statistics

SHARED_BY_RULE = "study"  # the rule that splits rows, as the study did, whatever their images
COMPARED_WORDS = 2_000  # of the learned vectors, the most frequent
TOLERANCE = 1e-3  # relative, between learned vectors: other machines round otherwise


def find_leaks(experiment: Experiment) -> list[str]:
    """Everything that training would know beyond the train split, a few words each.

    Looked at are the images of the splits, the images and targets of the batches that train the
    model and choose its epoch, the words, the answers, the statistics that standardise image
    features, word vectors learned from the questions, and the class weights. Two splits may share
    images only in a dataset that was built by the study's own rule and says so. What is frozen
    elsewhere (vision weights, GloVe, a sentence encoder) is taken as it is, and one photograph
    under two ids is two images.
    """
    leaks = [
        *_shared_images(experiment),
        *_odd_batches(experiment),
        *_odd_vocabularies(experiment),
        *_odd_statistics(experiment),
        *_odd_word_vectors(experiment),
        *_odd_class_weights(experiment),
    ]
    return leaks or _odd_rows(experiment)  # which tells that, and not why


def _shared_images(experiment: Experiment) -> list[str]:
    dataset = experiment.dataset
    if dataset.rule == SHARED_BY_RULE:
        return []
    leaks = []
    for (one, first), (other, second) in combinations(dataset.splits.items(), 2):
        shared = np.intersect1d(first["image_id"].to_numpy(), second["image_id"].to_numpy())
        if shared.size:
            leaks.append(f"{one} and {other} share {shared.size:,} images, such as {shared[0]}")
    return leaks


def _odd_batches(experiment: Experiment) -> list[str]:
    train, batches = experiment.dataset.splits["train"], experiment.batches["train"]
    if len(batches) > len(train):
        return [f"training is given {len(batches):,} questions, the train split has {len(train):,}"]
    given = np.unique(experiment.seen.ids[batches.image_row.numpy()])
    odd = np.setdiff1d(given, train["image_id"].to_numpy())[:1]
    return [
        f"training is given image {image_id}, which is not of the train split" for image_id in odd
    ]


def _odd_rows(experiment: Experiment) -> list[str]:
    return [
        f"the {split} batches are not those of the {split} split"
        for split in ("train", "validation")
        if not _holds(experiment, split)
    ]


def _holds(experiment: Experiment, split: str) -> bool:
    """Whether the batches of a split ask about its images and expect its answers, row for row."""
    batches, answers = experiment.batches[split], experiment.vocabularies.answers
    soft = batches.soft is not None
    right = split_tensors(
        experiment.dataset.splits[split], (None, None), experiment.seen.ids, answers, soft
    )
    if split == "train":
        right = right.learnable()
    pairs = [(batches.image_row, right.image_row), (batches.target, right.target)]
    if soft:
        pairs += [(batches.soft.ids, right.soft.ids), (batches.soft.scores, right.soft.scores)]
    return all(torch.equal(ready.cpu(), expected) for ready, expected in pairs)


def _odd_vocabularies(experiment: Experiment) -> list[str]:
    ready = experiment.vocabularies
    train = experiment.dataset.splits["train"]
    right = Vocabularies.build(train, experiment.preset.questions, ready.sentence_encoder or "")
    leaks = []
    if ready.answers != right.answers:
        leaks.append(_difference("answer", ready.answers.answers, right.answers.answers))
    if ready.words != right.words:
        known, expected = (v.words.words if v.words else () for v in (ready, right))
        leaks.append(_difference("word", known, expected))
    return leaks


def _difference(what: str, known: Sequence[str], expected: Sequence[str]) -> str:
    beyond = sorted(set(known) - set(expected))
    if beyond:
        return f"the {what} vocabulary holds {beyond[0]!r}, which it has not from the train split"
    return f"the {what} vocabulary is not that of the train split"


def _odd_statistics(experiment: Experiment) -> list[str]:
    seen, spec = experiment.seen, experiment.preset.images
    normaliser = _normaliser(experiment.model.vision)
    if normaliser is None:
        return []
    if seen.statistics is None:  # trained weights: nothing is to be standardised
        right = (torch.zeros_like(normaliser.mean.cpu()), torch.ones_like(normaliser.std.cpu()))
    elif isinstance(seen.rows, FeatureRows):
        train_ids = experiment.dataset.splits["train"]["image_id"].to_numpy()
        of_train = np.isin(seen.ids, train_ids) & ~np.isin(seen.ids, seen.unseen)
        right = train_statistics(seen.rows.features.cpu().numpy()[of_train])
    else:
        right = photograph_statistics(spec, experiment.dataset, experiment.options)
    # The same sums over the same rows: nothing rounds otherwise.
    if all(map(torch.equal, (normaliser.mean.cpu(), normaliser.std.cpu()), right)):
        return []
    return ["the image statistics are not those of the train images"]


def _normaliser(vision: nn.Module | None) -> FeatureNormaliser | None:
    modules = () if vision is None else vision.modules()
    return next((module for module in modules if isinstance(module, FeatureNormaliser)), None)


def _odd_word_vectors(experiment: Experiment) -> list[str]:
    if LEARNED_WORDS not in experiment.stand_ins:
        return []
    questions = experiment.dataset.splits["train"]["question"]
    words = experiment.vocabularies.words.words[:COMPARED_WORDS]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "words.txt"
        learn_vectors(tokenize_all(questions), path, experiment.preset.questions.dim)
        expected, _ = read_glove(path, words)
    vectors = experiment.model.language.embedding.weight[: len(words)].detach().cpu()
    # Only how vectors lie to one another is compared: their axes may turn with the machine.
    right, ready = _products(torch.from_numpy(expected)), _products(vectors)
    if torch.linalg.norm(ready - right) <= TOLERANCE * torch.linalg.norm(right):
        return []
    kept = experiment.options.features / experiment.dataset.name / "words"
    return [
        "the word vectors were not learned from the train questions alone, or by another version: "
        f"remove {kept}"
    ]


def _products(vectors: Tensor) -> Tensor:
    return vectors.double() @ vectors.double().T


def _odd_class_weights(experiment: Experiment) -> list[str]:
    if experiment.class_weights is None:
        return []
    answers = experiment.vocabularies.answers
    target = answers.encode(experiment.dataset.splits["train"]["answer"])
    right = inverse_frequencies(torch.from_numpy(target), len(answers))
    if torch.equal(experiment.class_weights.cpu(), right):
        return []
    return ["the class weights are not those of the train answers"]
