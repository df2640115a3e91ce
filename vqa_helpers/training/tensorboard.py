"""TensorBoard's files of a run: epochs as they come, and what a finished run has to show beside them:
accuracy per kind of question, the settings beside the scores, the vectors of answers and words.

Each kind of result has an event file of its own, replaced when it is written again, so that a
resumed run doubles nothing.
"""

import sys
import types
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from vqa_helpers.files import write_text
from vqa_helpers.pieces.model import VQAModel

FOLDER = "tensorboard"
PROJECTOR = "projector_config.pbtxt"
DIMENSIONS = 64  # of projected vectors; the projector begins with their principal components too
POINTS = 300  # of the projector: enough to see neighbours, few enough to read
FEWEST = 10  # questions of a type that has a scalar of its own
NUMBERS = ("seed", "epochs", "image_size_px", "answers", "words", "parameters")
TEXTS = ("name", "dataset", "weights", "loss", "question_source", "split_rule")
TRAINING = ("optimiser", "learning_rate", "decay", "decay_every", "batch")


def without_tensorflow() -> None:
    """Keep TensorBoard, imported after this, from importing TensorFlow.

    Where TensorFlow is installed TensorBoard imports it (7 s, and all of a GPU's memory); this name
    tells it to use its own small copy of the file functions.
    """
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))


def open_writer(folder: Path, first_epoch: int):  # -> SummaryWriter, imported only when needed
    """A writer of the epochs from `first_epoch` on; what is there of them is discarded.

    So is what an earlier end of the same training left: a run in training has no results.
    """
    without_tensorflow()
    from torch.utils.tensorboard import SummaryWriter

    stale = "events.*" if first_epoch == 1 else "events.*.*-of-run"
    _remove(folder, stale, PROJECTOR)
    purged = {} if first_epoch == 1 else {"purge_step": first_epoch}
    return SummaryWriter(str(folder / FOLDER), **purged)


def record_epoch(writer, epoch: Mapping[str, Any]) -> None:
    """Add an epoch's numbers."""
    for name, value in epoch.items():
        if name != "epoch" and value is not None:
            tag = name.replace("_", "/", 1) if name.startswith(("train", "validation")) else name
            writer.add_scalar(tag, value, epoch["epoch"])
    writer.flush()


def write_board(
    folder: Path,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    model: VQAModel,
    train: pd.DataFrame,
    answers: Sequence[str],
) -> None:
    """Write what a finished run has to show, in place of what is there.

    Args:
        config, metrics: as the run folder keeps them.
        model: with the weights that were kept.
        train: the questions it learnt from.
        answers: of its vocabulary.
    """
    scores = {
        f"result/{split} {name}": part[metric]["value"]
        for split, part in metrics.items()
        for metric, name in (("top1", "top-1"), ("top5", "top-5"), ("vqa", "VQA accuracy"))
        if part[metric] is not None
    }
    per_kind = {
        f"{split}, {kind}/{name}": entry["top1"]["value"]
        for split, part in metrics.items()
        for kind, field, fewest in (
            ("answer types", "per_answer_type", 1),
            ("question types", "per_question_type", FEWEST),
        )
        for name, entry in part[field].items()
        if entry["questions"] >= fewest
    }
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
    write_vectors(folder, _vectors(model, train, answers[:POINTS]))


def write_pictures(folder: Path, kind: str, epoch: int, pictures: Mapping[str, np.ndarray]) -> None:
    """Write pictures (H, W, 3) uint8, by tag, in place of earlier ones of that kind."""
    with _writer_of(folder, kind) as writer:
        for tag, picture in pictures.items():
            writer.add_image(tag, picture, epoch, dataformats="HWC")


def write_vectors(
    folder: Path, vectors: Mapping[str, tuple[np.ndarray, Mapping[str, Sequence[object]]]]
) -> None:
    """Write vectors for TensorBoard's projector, in place of earlier ones.

    Wide vectors are given as their principal components, which keep their distances nearly.

    Args:
        vectors: name to vectors (N, D) and their labels, column name to N texts or numbers.
    """
    place, entries = folder / FOLDER, []
    for name, (points, labels) in vectors.items():
        rows = ["\t".join(f"{number:.5g}" for number in row) for row in _components(points)]
        write_text(place / f"{name}.tsv", "\n".join(rows) + "\n")
        # A label must not hold what would end its cell or its line.
        cells = [
            [" ".join(str(x).split()) or "(empty)" for x in column] for column in labels.values()
        ]
        lines = ["\t".join(row) for row in zip(*cells, strict=True)]
        if len(labels) > 1:  # of a single column the projector takes the head for a label
            lines.insert(0, "\t".join(labels))
        write_text(place / f"{name}_labels.tsv", "\n".join(lines) + "\n")
        entries.append(
            f'embeddings {{\n  tensor_name: "{name}"\n  tensor_path: "{name}.tsv"\n'
            f'  metadata_path: "{name}_labels.tsv"\n}}\n'
        )
    write_text(place / PROJECTOR, "".join(entries))


def _vectors(
    model: VQAModel, train: pd.DataFrame, answers: Sequence[str]
) -> dict[str, tuple[np.ndarray, dict[str, Sequence[object]]]]:
    """The last layer's vector of each frequent answer and, where words are embedded, theirs."""
    asked = Counter(train["answer"])
    pairs = Counter(zip(train["answer"], train["answer_type"], strict=True))
    kinds: dict[str, str] = {}
    for (answer, kind), _ in pairs.most_common():
        kinds.setdefault(answer, kind)
    labels = {
        "answer": answers,
        "answer type": [kinds[answer] for answer in answers],
        "times in train": [asked[answer] for answer in answers],
    }
    vectors = {}
    linear = [module for module in model.classifier.modules() if isinstance(module, nn.Linear)]
    if linear and linear[-1].out_features >= len(answers):
        vectors["answers"] = (_rows(linear[-1].weight, 0, len(answers)), labels)
    words = getattr(model.language, "vocabulary", None)
    tables = (nn.Embedding, nn.EmbeddingBag)
    language = () if model.language is None else model.language.modules()
    embedding = next((module for module in language if isinstance(module, tables)), None)
    if words is not None and embedding is not None and len(words) > 2:
        known = words.words[2 : 2 + POINTS]  # the first two stand for no word and for any other
        vectors["words"] = (_rows(embedding.weight, 2, 2 + POINTS), {"word": known})
    return vectors


def _rows(table: Tensor, start: int, end: int) -> np.ndarray:
    return table[start:end].detach().float().cpu().numpy()


def _components(points: np.ndarray) -> np.ndarray:
    """Vectors (N, D), centred, on their first principal axes: (N, at most DIMENSIONS)."""
    centred = points - points.mean(axis=0)
    if centred.shape[1] <= DIMENSIONS:
        return centred
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, :DIMENSIONS] * sizes[:DIMENSIONS]


def _writer_of(folder: Path, kind: str):  # -> SummaryWriter
    """A writer of one kind of result; what is there of it is removed."""
    without_tensorflow()
    from torch.utils.tensorboard import SummaryWriter

    _remove(folder, f"events.*.{kind}-of-run")
    return SummaryWriter(str(folder / FOLDER), filename_suffix=f".{kind}-of-run")


def _remove(folder: Path, *patterns: str) -> None:
    for pattern in patterns:
        for path in (folder / FOLDER).glob(pattern):
            path.unlink()
