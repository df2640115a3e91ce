"""What TensorBoard shows of a finished run beside its epochs: accuracy per kind of question, the
settings beside the scores, and the vectors of answers and words.

Knows experiments and metrics; how TensorBoard's files are written is `training.events`' part.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from vqa_helpers.experiment.prepare import Experiment
from vqa_helpers.language.encoders import BagOfWords
from vqa_helpers.training.events import write_results, write_vectors

POINTS = 300  # of the projector: enough to see neighbours, few enough to read
FEWEST = 10  # questions of a type that has a scalar of its own
NUMBERS = ("seed", "epochs", "image_size_px", "answers", "words", "parameters")
TEXTS = ("preset", "dataset", "schedule", "weights", "loss", "question_source", "split_rule")
TRAINING = ("optimiser", "learning_rate", "decay", "decay_every", "batch")


def write_board(experiment: Experiment, folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write all of it into a run's folder, in place of what is there.

    Args:
        experiment: its model holds the weights that were kept.
        metrics: as `metrics.json` keeps them.
    """
    scores = {
        f"result/{split} {name}": part[metric]["value"]
        for split, part in metrics.items()
        for metric, name in (("top1", "top-1"), ("top5", "top-5"), ("vqa", "VQA accuracy"))
        if part[metric] is not None
    }
    epochs = experiment.options.epochs
    write_results(folder, epochs, _per_kind(metrics), _settings(experiment.config()), scores)
    write_vectors(folder, _vectors(experiment))


def _per_kind(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Tag to top-1, for each answer type and each question type with enough questions."""
    return {
        f"{split}, {kind}/{name}": entry["top1"]["value"]
        for split, part in metrics.items()
        for kind, field, fewest in (
            ("answer types", "per_answer_type", 1),
            ("question types", "per_question_type", FEWEST),
        )
        for name, entry in part[field].items()
        if entry["questions"] >= fewest
    }


def _settings(config: Mapping[str, Any]) -> dict[str, str | float]:
    """What runs differ in. TensorBoard's table wants the same columns of every run."""
    settings: dict[str, str | float] = {name: str(config[name] or "none") for name in TEXTS}
    settings["stand_ins"] = ", ".join(config["stand_ins"]) or "none"
    settings |= {name: float(config[name] or 0) for name in NUMBERS}
    return settings | {name: config["training"][name] for name in TRAINING}


def _vectors(experiment: Experiment) -> dict[str, tuple[np.ndarray, dict[str, Sequence[object]]]]:
    """The last layer's vector of each frequent answer and, where words are read, theirs."""
    train = experiment.dataset.splits["train"]
    answers = experiment.vocabularies.answers.answers[:POINTS]
    asked = Counter(train["answer"])
    labels = {
        "answer": answers,
        "answer type": _kinds(train, answers),
        "times in train": [asked[answer] for answer in answers],
    }
    last: nn.Linear = experiment.model.classifier.layers[-1]
    vectors = {"answers": (_rows(last.weight, 0, POINTS), labels)}
    words, table = experiment.vocabularies.words, _word_table(experiment.model.language)
    if words is not None and table is not None and len(words) > 2:
        known = words.words[2 : 2 + POINTS]  # the first two stand for no word and for any other
        vectors["words"] = (_rows(table, 2, 2 + POINTS), {"word": known})
    return vectors


def _kinds(train: pd.DataFrame, answers: Sequence[str]) -> list[str]:
    """The answer type that each answer has most often."""
    pairs = Counter(zip(train["answer"], train["answer_type"], strict=True))
    kinds: dict[str, str] = {}
    for (answer, kind), _ in pairs.most_common():
        kinds.setdefault(answer, kind)
    return [kinds[answer] for answer in answers]


def _word_table(language: nn.Module | None) -> Tensor | None:
    """The vectors (V, W) that a language encoder looks words up in; None where it has none."""
    if isinstance(language, BagOfWords):
        return language.bag.weight
    embedding = getattr(language, "embedding", None)
    return None if embedding is None else embedding.weight


def _rows(table: Tensor, start: int, end: int) -> np.ndarray:
    return table[start:end].detach().float().cpu().numpy()
