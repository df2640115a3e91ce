"""TensorBoard's files of a run: epochs as they come, and what a finished run has to show beside them:
accuracy per kind of question, the settings beside the scores, the vectors of answers and words.

Each kind of result has an event file of its own, replaced when it is written again, so that a
resumed run doubles nothing.
"""

import shutil
import sys
import types
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vqa_helpers.pieces.model import VQAModel

FOLDER = "tensorboard"
PROJECTOR, VECTORS = "projector_config.pbtxt", "00000"  # SummaryWriter's names
DIMENSIONS = 64  # of projected vectors; the projector begins with their principal components too
POINTS = 300  # of the projector: enough to see neighbours, few enough to read
FEWEST = 10  # questions of a type that has a scalar of its own
NUMBERS = ("seed", "epochs", "image_size_px", "answers", "words", "parameters")
TEXTS = ("name", "dataset", "weights", "loss", "question_source", "split_rule")
TRAINING = ("optimiser", "learning_rate", "decay", "decay_every", "batch")


def open_writer(folder: Path, first_epoch: int):  # -> SummaryWriter, imported only when needed
    """A writer of the epochs from `first_epoch` on; what is there of them is discarded.

    So is what an earlier end of the same training left: a run in training has no results.
    """
    stale = "events.*" if first_epoch == 1 else "events.*.*-of-run"
    _remove(folder, stale, PROJECTOR, VECTORS)
    return _writer(folder, purge_step=None if first_epoch == 1 else first_epoch)


def record_epoch(writer, epoch: Mapping[str, Any]) -> None:
    """Add an epoch's numbers."""
    for name, value in epoch.items():
        if name != "epoch" and value is not None:
            tag = name.replace("_", "/", 1) if name.startswith(("train", "validation")) else name
            writer.add_scalar(tag, value, epoch["epoch"])
    writer.flush()


def write_board(
    folder: Path, config: Mapping[str, Any], metrics: Mapping[str, Any], model: VQAModel,
    train: pd.DataFrame, answers: Sequence[str],
) -> None:  # fmt: skip
    """Write what a finished run has to show, in place of what is there.

    Args:
        config, metrics: as the run folder keeps them.
        model: with the weights that were kept.
        train: the questions it learnt from.
        answers: of its vocabulary.
    """
    scores, per_kind = {}, {}
    for split, part in metrics.items():
        for metric, name in (("top1", "top-1"), ("top5", "top-5"), ("vqa", "VQA accuracy")):
            if part[metric] is not None:
                scores[f"result/{split} {name}"] = part[metric]["value"]
        for kind, fewest in (("answer", 1), ("question", FEWEST)):
            for name, entry in part[f"per_{kind}_type"].items():
                if entry["questions"] >= fewest:
                    per_kind[f"{split}, {kind} types/{name}"] = entry["top1"]["value"]
    # TensorBoard's table wants the same columns of every run.
    settings: dict[str, str | float] = {name: str(config[name] or "none") for name in TEXTS}
    settings["stand_ins"] = ", ".join(config["stand_ins"]) or "none"
    settings |= {name: float(config[name] or 0) for name in NUMBERS}
    settings |= {name: config["training"][name] for name in TRAINING}
    with _writer_of(folder, "results") as writer:
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(settings, scores):
            writer.file_writer.add_summary(summary)
        for tag, value in (per_kind | scores).items():
            writer.add_scalar(tag, value, config["epochs"])
        _remove(folder, VECTORS)
        add_vectors(writer, _vectors(model, train, answers))


def write_pictures(folder: Path, kind: str, epoch: int, pictures: Mapping[str, np.ndarray]) -> None:
    """Write pictures (H, W, 3) uint8, by tag, in place of earlier ones of that kind."""
    with _writer_of(folder, kind) as writer:
        for tag, picture in pictures.items():
            writer.add_image(tag, picture, epoch, dataformats="HWC")


def add_vectors(
    writer, vectors: Mapping[str, tuple[Tensor, Mapping[str, Sequence[object]]]]
) -> None:
    """Add vectors to what a writer shows in TensorBoard's projector.

    Wide vectors are given as their principal components, which keep their distances nearly.

    Args:
        vectors: name to vectors (N, D) and their labels, at least two columns (of a single one the
            projector takes the head for a label): name to N texts or numbers.
    """
    for name, (points, labels) in vectors.items():
        # A label must not hold what would end its cell or its line.
        cells = ([" ".join(str(x).split()) or "(empty)" for x in row] for row in labels.values())
        rows, head = list(zip(*cells, strict=True)), list(labels)
        writer.add_embedding(_components(points), rows, tag=name, metadata_header=head)


def _vectors(
    model: VQAModel, train: pd.DataFrame, answers: Sequence[str]
) -> dict[str, tuple[Tensor, dict[str, Sequence[object]]]]:
    """The last layer's vectors of the most frequent answers and, where words are embedded, theirs."""
    asked = Counter(train["answer"])
    pairs = Counter(zip(train["answer"], train["answer_type"], strict=True))
    kinds = {answer: kind for (answer, kind), _ in reversed(pairs.most_common())}
    shown = answers[:POINTS]
    labels = {
        "answer": shown,
        "answer type": [kinds[answer] for answer in shown],
        "times in train": [asked[answer] for answer in shown],
    }
    vectors = {}
    linear = [module for module in model.classifier.modules() if isinstance(module, nn.Linear)]
    if linear and linear[-1].out_features == len(answers):
        vectors["answers"] = (linear[-1].weight[:POINTS], labels)
    words = model.words(None)
    if words is not None and len(words) > 2:  # the first two stand for no word and for any other
        known = words.words[2 : 2 + POINTS]
        labels = {"word": known, "place by frequency": range(1, 1 + len(known))}
        tables = (nn.Embedding, nn.EmbeddingBag)
        embedding = next((m for m in model.language.modules() if isinstance(m, tables)), None)
        if embedding is not None:
            vectors["words"] = (embedding.weight[2 : 2 + POINTS], labels)
    return vectors


def _components(points: Tensor) -> Tensor:
    """Vectors (N, D), centred, on their first principal axes: (N, at most DIMENSIONS)."""
    points = points.detach().double().cpu()
    centred = points - points.mean(dim=0)
    if centred.shape[1] > DIMENSIONS:
        # Of the few points' products with each other: a fifth of the time of their SVD.
        squares, axes = torch.linalg.eigh(centred @ centred.T)  # ascending
        sizes = squares.clamp(min=0).sqrt()
        centred = (axes * sizes).flip(1)[:, :DIMENSIONS]
    return centred.round(decimals=5)


def _writer_of(folder: Path, kind: str):  # -> SummaryWriter
    """A writer of one kind of result; what is there of it is removed."""
    _remove(folder, f"events.*.{kind}-of-run")
    return _writer(folder, filename_suffix=f".{kind}-of-run")


def _writer(folder: Path, **options: Any):  # -> SummaryWriter
    # Where TensorFlow is installed TensorBoard imports it (7 s, and all of a GPU's memory); this
    # name tells it to use its own small copy of the file functions.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / FOLDER), **options)


def _remove(folder: Path, *patterns: str) -> None:
    for pattern in patterns:
        for path in (folder / FOLDER).glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
