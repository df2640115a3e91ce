"""Samples a second of each preset's training: a naive loop, this package, and what compute allows.

    python benchmarks/training.py [PRESET …] [--batch N] [--seconds 2] [--json FILE]
    python benchmarks/training.py --accuracy [PRESET …] [--seeds 5] [--json FILE]

Full-size models, the study's batch sizes, 1,000 answers, 3,209 words, questions as long as those of
VQA v2; all drawn. The three take turns in one run:

* naive: a loop as the study had it: a per-sample data set behind a DataLoader, questions turned
  into ids inside each batch (hashed n-grams where the study had sentence vectors, which took it far
  longer), loss and accuracy read back after every step;
* ours: epochs of the package's Trainer over its Batches;
* limit: the same Trainer's step and optimiser, again and again on one batch of mean length that
  already lies on the device.

Presets whose network runs inside the loop see the demo's photographs at 64 px; the naive loop
decodes them one by one. With --accuracy both loops train on the demo, seed by seed, and their
validation top-1 is compared.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from vqa_helpers.experiment.options import Options, pick_device
from vqa_helpers.experiment.prepare import prepare
from vqa_helpers.language.sentence import hash_ngrams
from vqa_helpers.model.config import Preset, Schedule
from vqa_helpers.model.presets import PRESETS, find_preset
from vqa_helpers.model.vqa import build_model
from vqa_helpers.training.pixels import PixelRows
from vqa_helpers.vision.encoders import WIDTHS

from vqa_helpers.data.folder import open_dataset
from vqa_helpers.data.vocabulary import UNKNOWN, WordVocabulary
from vqa_helpers.features.pixels import load_square
from vqa_helpers.training.batches import Batch, Batches, FeatureRows, QuestionTensors
from vqa_helpers.training.loop import Trainer, evaluate

WORDS, ANSWERS, IMAGES, SIZE_PX = 3_209, 1_000, 2_000, 64
# Questions of each length among the 48,061 of `vqa2_text`, of 10,000, from two words on.
LENGTHS = (1, 304, 1124, 2582, 1919, 1969, 1008, 521, 271, 140, 74, 40, 23, 8, 6, 5, 3, 2)
VOCABULARY = WordVocabulary(("<pad>", "<unknown>", *(f"w{n}" for n in range(WORDS - 2))))
TURNS = 5
FEWEST_STEPS = 6  # of a turn
WARM_UP = {"cpu": 1, "cuda": 60}  # batches; a GPU captures a step for each width of questions
MOST_STEPS = {"cpu": 60, "cuda": 500}  # an epoch of the study has 250


@dataclass
class Drawn:
    """Questions as text, and what they are about: paths of photographs, or features (I, D)."""

    texts: list[str]
    image_row: np.ndarray
    target: np.ndarray
    images: list[Path] | np.ndarray | None


def draw(preset: Preset, questions: int, seed: int = 0) -> Drawn:
    """Questions of a preset, nothing to be learnt from them."""
    chance = np.random.default_rng(seed)
    lengths = 2 + chance.choice(len(LENGTHS), questions, p=np.array(LENGTHS) / sum(LENGTHS))
    words = iter(chance.choice(VOCABULARY.words[2:], lengths.sum()).tolist())
    texts = [" ".join(next(words) for _ in range(length)) + "?" for length in lengths]
    rows, target = chance.integers(0, IMAGES, questions), chance.integers(0, ANSWERS, questions)
    if preset.images is None:
        return Drawn(texts, rows, target, None)
    if preset.images.in_loop:
        paths = [path for _, path in sorted(open_dataset("demo").images.items())]
        return Drawn(texts, rows % len(paths), target, paths)
    features = chance.standard_normal((IMAGES, WIDTHS[preset.images.encoder]), dtype=np.float32)
    return Drawn(texts, rows, target, features.astype(np.float16))


# The naive loop ---------------------------------------------------------------------------------


class Samples(Dataset):
    """One question at a time: its text, its image, its answer."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn

    def __len__(self) -> int:
        return len(self.drawn.texts)

    def __getitem__(self, i: int) -> tuple[str, Tensor, int]:
        images, row = self.drawn.images, int(self.drawn.image_row[i])
        if images is None:
            image = torch.empty(0)
        elif isinstance(images, np.ndarray):
            image = torch.from_numpy(images[row].astype(np.float32))
        else:
            image = torch.from_numpy(load_square(images[row], SIZE_PX).copy()).permute(2, 0, 1)
        return self.drawn.texts[i], image, int(self.drawn.target[i])


def read_questions(
    texts: list[str], preset: Preset, vocabulary: WordVocabulary
) -> tuple[Tensor | None, Tensor | None]:
    """The questions of one batch as ids (B, T) and lengths (B,), or as vectors (B, 512)."""
    if preset.questions is None:
        return None, None
    if type(preset.questions).__name__ == "Sentences":
        return torch.from_numpy(hash_ngrams(texts)), None
    ids = []
    for text in texts:
        words = text.lower().replace("?", "").split()
        ids.append([vocabulary.ids.get(word, UNKNOWN) for word in words])
    longest = max(map(len, ids))
    padded = [row + [0] * (longest - len(row)) for row in ids]
    return torch.tensor(padded), torch.tensor([len(row) for row in ids])


class NaiveLoop:
    """Training as the study wrote it, with the package's pieces and the schedule's optimiser."""

    def __init__(
        self,
        model: nn.Module,
        preset: Preset,
        schedule: Schedule,
        drawn: Drawn,
        vocabulary: WordVocabulary = VOCABULARY,
    ) -> None:
        self.model, self.preset, self.vocabulary = model, preset, vocabulary
        self.loader = DataLoader(Samples(drawn), schedule.batch, shuffle=True)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[schedule.optimiser]
        learning = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = kind(learning, lr=schedule.learning_rate)

    def run(self, most: int | None = None) -> int:
        """An epoch, or `most` batches of it; returns the samples seen."""
        device = next(self.model.parameters()).device
        self.model.train()
        losses, hits, seen = 0.0, 0, 0
        for number, (texts, image, target) in enumerate(self.loader):
            if number == most:
                break
            question, lengths = read_questions(texts, self.preset, self.vocabulary)
            question = None if question is None else question.to(device)
            image, target = image.to(device), target.to(device)
            self.optimiser.zero_grad()
            logits = self.model(image, question, lengths)
            loss = cross_entropy(logits, target)
            loss.backward()
            self.optimiser.step()
            losses += loss.item()
            hits += (logits.argmax(1) == target).sum().item()
            seen += len(target)
        return seen


# This package, and its limit --------------------------------------------------------------------


def to_split(drawn: Drawn, preset: Preset) -> QuestionTensors:
    """The questions as tensors, encoded ahead."""
    question = lengths = None
    if type(preset.questions).__name__ == "Sentences":
        question = torch.from_numpy(hash_ngrams(drawn.texts))
    elif preset.questions is not None:
        words = [text[:-1].split() for text in drawn.texts]
        question, lengths = map(torch.from_numpy, VOCABULARY.encode(words))
    rows, target = torch.from_numpy(drawn.image_row), torch.from_numpy(drawn.target)
    return QuestionTensors(question, lengths, rows, target)


class Ours:
    """The package's Trainer on drawn questions."""

    def __init__(self, preset: Preset, schedule: Schedule, drawn: Drawn, device: str) -> None:
        images = drawn.images
        if images is None:
            self.rows = None
        elif isinstance(images, np.ndarray):
            self.rows = FeatureRows(torch.from_numpy(images), device)
        else:
            self.rows = PixelRows(images, SIZE_PX, device)
            self.rows[torch.arange(len(images))]  # as after a first epoch: decoded and kept
        self.split, self.size, self.device = to_split(drawn, preset), schedule.batch, device
        self.trainer = Trainer(made(preset, device), schedule, seed=0)
        self.once = self._batches(1)
        self.typical = typical(self._batches(20))

    def _batches(self, count: int) -> Batches:
        return Batches(first(self.split, count * self.size), self.rows, self.size, self.device)

    def epoch(self, steps: int) -> tuple[int, float]:
        """An epoch of so many steps; returns samples and seconds."""
        train = self._batches(steps)
        result = next(self.trainer.fit(train, self.once, self.trainer.epoch + 1))
        return len(train), result.train_s

    def limit(self, steps: int) -> tuple[int, float]:
        """So many steps on one batch; returns samples and seconds."""
        self.trainer.model.train()
        wait(self.device)
        start = time.perf_counter()
        for _ in range(steps):
            self.trainer.step(self.typical)
            self.trainer.optimiser.step()
        wait(self.device)
        return steps * len(self.typical), time.perf_counter() - start


def first(split: QuestionTensors, count: int) -> QuestionTensors:
    """The first questions of a split."""
    question = None if split.question is None else split.question[:count]
    lengths = None if split.lengths is None else split.lengths[:count]
    return QuestionTensors(question, lengths, split.image_row[:count], split.target[:count])


def typical(batches: Batches) -> Batch:
    """Of some batches the one with the median number of words."""
    given = list(batches.in_order())
    if given[0].lengths is None:
        return given[0]
    return sorted(given, key=lambda batch: int(batch.lengths.sum()))[len(given) // 2]


def made(preset: Preset, device: str) -> nn.Module:
    """The preset's model; every one of them begins alike."""
    torch.manual_seed(0)
    vectors = torch.randn(WORDS, 50)
    pieces = preset.records()
    model = build_model(pieces, answers=ANSWERS, vocabulary_size=WORDS, word_vectors=vectors)
    return model.to(device)


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


# Turns ------------------------------------------------------------------------------------------


def measure(name: str, batch: int, seconds: float, device: str) -> dict:
    """A preset's three rates, in samples a second."""
    preset = find_preset(name)
    schedule = replace(preset.schedule, batch=batch or preset.schedule.batch)
    drawn = draw(preset, schedule.batch * MOST_STEPS[device])
    ours = Ours(preset, schedule, drawn, device)
    ours.epoch(WARM_UP[device])
    steps = enough(lambda: ours.limit(2)[1] / 2, seconds, MOST_STEPS[device])
    naive = NaiveLoop(made(preset, device), preset, schedule, drawn)
    naive.run(1)
    naive_steps = enough(lambda: timed(lambda: naive.run(2))[1] / 2, seconds, steps)
    rates = take_turns(
        {
            "naive": lambda: timed(lambda: naive.run(naive_steps)),
            "ours": lambda: ours.epoch(steps),
            "limit": lambda: ours.limit(steps),
        }
    )
    return {
        "preset": name,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "batch": schedule.batch,
        **rates,
        "ours_over_naive": rates["ours"] / rates["naive"],
        "ours_over_limit": rates["ours"] / rates["limit"],
    }


def enough(step_s: Callable[[], float], seconds: float, most: int) -> int:
    """How many steps take about so many seconds, and not so few that their beginning counts."""
    return min(most, max(FEWEST_STEPS, round(seconds / step_s())))


def timed(work: Callable[[], int]) -> tuple[int, float]:
    """What `work` returns, and the seconds it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def take_turns(turns: dict[str, Callable[[], tuple[int, float]]]) -> dict[str, float]:
    """Each way TURNS times, the order turned round each time: the median, in samples a second."""
    rates: dict[str, list[float]] = {way: [] for way in turns}
    for turn in range(TURNS):
        for way in list(turns)[:: 1 if turn % 2 else -1]:
            samples, seconds = turns[way]()
            rates[way].append(samples / seconds)
    return {way: statistics.median(found) for way, found in rates.items()}


# Accuracy ---------------------------------------------------------------------------------------


def compare_accuracy(name: str, seeds: int) -> dict:
    """Validation top-1 after the last epoch on the demo, both loops from the same beginnings."""
    preset, dataset = find_preset(name), open_dataset("demo")
    found: dict[str, list[float]] = {"naive": [], "ours": []}
    for seed in range(seeds):
        for way in found:
            experiment = prepare(preset, dataset, Options(seed=seed))
            schedule, epochs = experiment.schedule, experiment.options.epochs
            train, held_out = (experiment.batches[split] for split in ("train", "validation"))
            if way == "ours":
                trainer = Trainer(experiment.model, schedule, seed)
                *_, last = trainer.fit(train, held_out, epochs)
                found[way].append(last.validation_top1)
                continue
            table = dataset.splits["train"]
            kept = experiment.vocabularies.answers.encode(table["answer"]) >= 0
            images = train.images and train.images.features.cpu().numpy()
            drawn = Drawn(table["question"][kept].tolist(), train.image_row.numpy(),
                          train.target.cpu().numpy(), images)  # fmt: skip
            torch.manual_seed(seed)
            loop = NaiveLoop(
                experiment.model, preset, schedule, drawn, experiment.vocabularies.words
            )
            for epoch in range(epochs):
                rate = schedule.learning_rate * schedule.decay ** (epoch // schedule.decay_every)
                loop.optimiser.param_groups[0]["lr"] = rate
                loop.run()
            hits = evaluate(experiment.model, held_out)[2]
            found[way].append(100 * hits / len(held_out))
    row = {"preset": name, "seeds": seeds}
    for way, values in found.items():
        spread = statistics.stdev(values) if seeds > 1 else float("nan")
        row |= {way: statistics.mean(values), f"{way}_sd": spread}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="default: all")
    parser.add_argument("--batch", type=int, default=0, help="questions a step (the study's)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each of five turns (2)")
    parser.add_argument("--accuracy", action="store_true", help="compare what is learnt instead")
    parser.add_argument("--seeds", type=int, default=5, help="for --accuracy (5)")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    rows, start = [], time.perf_counter()
    if options.accuracy:
        for name in options.presets or ["GUSE_ResNet"]:
            rows.append(row := compare_accuracy(name, options.seeds))
            print(f"{name:24} validation top-1 of {options.seeds} seeds: naive {row['naive']:.1f} "
                  f"± {row['naive_sd']:.1f}, ours {row['ours']:.1f} ± {row['ours_sd']:.1f}")  # fmt: skip
    else:
        print(f"{'samples/s':24} batch     naive      ours     limit  ours/naive  ours/limit")
        for name in options.presets or PRESETS:
            rows.append(row := measure(name, options.batch, options.seconds, pick_device()))
            print(f"{name:24} {row['batch']:5} {row['naive']:9.1f} {row['ours']:9.1f} "
                  f"{row['limit']:9.1f} {row['ours_over_naive']:11.2f} "
                  f"{row['ours_over_limit']:11.3f}", flush=True)  # fmt: skip
    print(f"{time.perf_counter() - start:.0f} s in all")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
