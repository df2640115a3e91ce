"""What blind guessers answer on a dataset, computed once for all its runs and kept.

On a full release the nearest questions take minutes; every run is compared with them.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from vqa_helpers.data.folder import Dataset
from vqa_helpers.evaluation.baselines import GUESSERS, answered
from vqa_helpers.files import is_sealed, locked, remove_partials, seal, write_text
from vqa_helpers.progress import track

Guesses = dict[str, list[str]]


def blind_guesses(dataset: Dataset, splits: Iterable[str], folder: Path) -> dict[str, Guesses]:
    """Split to guesser to its answers, in the order of the table.

    Args:
        splits: answered ones.
        folder: where guesses are kept; files are named by a hash of the dataset and the guesser.
    """
    stem = _hash(dataset)[:16]
    answers: dict[str, Guesses] = {split: {} for split in splits}
    with locked(folder / ".lock"):  # notebooks that end together
        for name, learn in track(GUESSERS.items(), "blind guesses", unit="guessers"):
            path = folder / f"{stem}-{name.replace(' ', '-')}.json"
            # A flipped letter would be another answer.
            kept = json.loads(path.read_text(encoding="utf-8")) if is_sealed(path) else {}
            if not answers.keys() <= kept.keys():
                guess = learn(answered(dataset.splits["train"]))
                kept = {split: guess(dataset.splits[split]) for split in answers}
                if os.access(folder, os.W_OK):  # else the next run computes them, too
                    remove_partials(folder)
                    write_text(path, json.dumps(kept, ensure_ascii=False))
                    seal(path)
            for split in answers:
                answers[split][name] = kept[split]
    return answers


def _hash(dataset: Dataset) -> str:
    """The dataset's own hash, and its question types, which one of the guessers goes by."""
    tables = dataset.splits.values()
    kinds = ["\x1f".join(table.get("question_type", ())) for table in tables]
    return hashlib.sha256("".join([dataset.sha256(), *kinds]).encode()).hexdigest()
