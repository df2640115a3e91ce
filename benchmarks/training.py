"""Samples a second of each preset's training: a naive loop, this package, and what compute allows.

    python benchmarks/training.py [PRESET …] [--batch N] [--seconds 2] [--json FILE]
    python benchmarks/training.py --halves [PRESET …] [--batch N] [--seconds 2] [--json FILE]
    python benchmarks/training.py --accuracy [PRESET …] [--seeds 5] [--json FILE]

Full-size models, the study's batch sizes, 1,000 answers, 3,209 words, questions as long as those of
VQA v2; all drawn. The three take turns in one run:

* naive: a loop as the study had it: a per-sample data set behind a DataLoader, questions read
  inside each batch (hashed n-grams where the study had sentence vectors, which took it far
  longer), loss and accuracy read back after every step;
* ours: epochs of the package's Trainer over its Batches;
* limit: forward, backward and optimiser in plain PyTorch, over batches like ours that already lie
  on the device.

Presets whose network runs inside the loop see the demo's photographs at 64 px; the naive loop
decodes them one by one. With --halves the package's epochs take turns in float32 and in bfloat16, in
processor seconds on one thread. With --accuracy both loops train on the demo, seed by seed, and their
validation top-1 is compared.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from vqa_helpers.data.folder import open_dataset
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.environment import pick_device
from vqa_helpers.features.pixels import load_square
from vqa_helpers.pieces.language import GloveBiLSTM
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.pieces.sentences import MULTILINGUAL
from vqa_helpers.presets import PRESETS, find_preset
from vqa_helpers.recipe import Recipe, Training
from vqa_helpers.training.batches import Batch, Batches, Examples
from vqa_helpers.training.image_rows import PixelRows, place_rows
from vqa_helpers.training.inputs import build_model, open_data
from vqa_helpers.training.loop import OPTIMISERS, Trainer, evaluate
from vqa_helpers.training.losses import Loss

WORDS, ANSWERS, IMAGES, SIZE_PX = 3_209, 1_000, 2_000, 64
QUESTIONS = 4_000  # different ones; as in every dataset, many are asked again
# Questions of each length among the 48,061 of `vqa2_text`, of 10,000, from two words on.
LENGTHS = (1, 304, 1124, 2582, 1919, 1969, 1008, 521, 271, 140, 74, 40, 23, 8, 6, 5, 3, 2)
VOCABULARY = WordVocabulary(("<pad>", "<unknown>", *(f"w{n}" for n in range(WORDS - 2))))
LOSS = Loss("cross entropy", torch.ones(ANSWERS))
TURNS = 5
FEWEST_STEPS = 6  # of a turn
WARM_UP = {"cpu": 1, "cuda": 60}  # batches
MOST_STEPS = {"cpu": 60, "cuda": 500}  # an epoch of the study has 250


@dataclass
class Drawn:
    """Questions with nothing to learn: as text, as the model reads them, and what they are about."""

    texts: list[str]
    examples: Examples
    images: Tensor | PixelRows | None

    def batches(self, count: int, size: int, device: str) -> Batches:
        """The first so many batches."""
        rows, examples = slice(count * size), self.examples
        question = tuple(tensor[rows] for tensor in examples.question)
        kept = Examples(question, examples.image_row[rows], examples.target[rows])
        images = self.images
        images = place_rows(images, device) if isinstance(images, Tensor) else images
        return Batches(kept, images, size, device)


def draw(model: VQAModel, questions: int, device: str) -> Drawn:
    """Questions for a model; photographs are decoded already, as after a first epoch."""
    chance = np.random.default_rng(0)
    lengths = 2 + chance.choice(len(LENGTHS), QUESTIONS, p=np.array(LENGTHS) / sum(LENGTHS))
    words = iter(chance.choice(VOCABULARY.words[2:], lengths.sum()).tolist())
    distinct = [" ".join(next(words) for _ in range(length)) + "?" for length in lengths]
    texts = [distinct[number % QUESTIONS] for number in range(questions)]
    images, count, vision = None, IMAGES, model.vision
    if vision is not None and vision.stored:
        images = torch.from_numpy(chance.standard_normal((IMAGES, vision.out_dim), np.float32))
        images = images.half()
    elif vision is not None:
        paths = [path for _, path in sorted(open_dataset("demo").images.items())]
        images, count = PixelRows(paths, SIZE_PX, device), len(paths)
        images[torch.arange(count)]
    rows, target = chance.integers(0, count, questions), chance.integers(0, ANSWERS, questions)
    read = model.encode(texts, VOCABULARY)
    return Drawn(texts, Examples(read, *map(torch.from_numpy, (rows, target))), images)


def build(recipe: Recipe, device: str, size_px: int = SIZE_PX) -> VQAModel:
    """The model of a preset; every one of them begins alike."""
    torch.manual_seed(0)
    usual = {"vision": {"weights": "random", "size_px": size_px},
             "language": {"encoder": MULTILINGUAL}}  # fmt: skip
    answers = AnswerVocabulary(tuple(map(str, range(ANSWERS))))
    model = build_model(recipe.choices, VOCABULARY, answers, usual)
    if isinstance(model.language, GloveBiLSTM):
        nn.init.normal_(model.language.embedding.weight)
    return model.to(device)


# The three ways --------------------------------------------------------------------------------


class Samples(Dataset):
    """One question at a time: its text, its image, its answer."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn

    def __len__(self) -> int:
        return len(self.drawn.texts)

    def __getitem__(self, i: int) -> tuple[str, Tensor, int]:
        images, row = self.drawn.images, int(self.drawn.examples.image_row[i])
        if images is None:
            image = torch.empty(0)
        elif isinstance(images, Tensor):
            image = images[row].float()
        else:
            square = load_square(images.paths[row], images.size_px)
            image = torch.from_numpy(square.copy()).permute(2, 0, 1)
        return self.drawn.texts[i], image, int(self.drawn.examples.target[i])


class NaiveLoop:
    """Training as the study wrote it, with the package's pieces and the schedule's optimiser."""

    def __init__(self, model: VQAModel, training: Training, drawn: Drawn) -> None:
        self.model = model
        self.loader = DataLoader(Samples(drawn), training.batch, shuffle=True)
        learning = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = OPTIMISERS[training.optimiser](learning, lr=training.learning_rate)

    def run(self, most: int | None = None) -> int:
        """An epoch, or `most` batches of it; returns the samples seen."""
        device = next(self.model.parameters()).device
        self.model.train()
        losses, hits, seen = 0.0, 0, 0
        for number, (texts, image, target) in enumerate(self.loader):
            if number == most:
                break
            question = [tensor.to(device) for tensor in self.model.encode(texts, VOCABULARY)]
            image, target = image.to(device), target.to(device)
            self.optimiser.zero_grad()
            logits = self.model(image, question)
            loss = cross_entropy(logits, target)
            loss.backward()
            self.optimiser.step()
            losses += loss.item()
            hits += (logits.argmax(1) == target).sum().item()
            seen += len(target)
        return seen


def train_epoch(trainer: Trainer, batches: Batches, once: Batches) -> tuple[int, float]:
    """An epoch by the package, the one batch of `once` being its validation: samples, seconds."""
    return len(batches), trainer.run_epoch(batches, once, 1).train_s


def train_plainly(trainer: Trainer, batches: Sequence[Batch]) -> tuple[int, float]:
    """The same model and optimiser over batches in memory: samples, seconds."""
    model, optimiser = trainer.model.train(), trainer.optimiser
    wait(trainer.accelerator.device.type)
    start = time.perf_counter()
    for batch in batches:
        optimiser.zero_grad()
        cross_entropy(model(batch.image, batch.question), batch.target).backward()
        optimiser.step()
    wait(trainer.accelerator.device.type)
    return sum(map(len, batches)), time.perf_counter() - start


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


# Turns -----------------------------------------------------------------------------------------


def measure(name: str, batch: int, seconds: float, device: str) -> dict:
    """A preset's three rates, in samples a second."""
    recipe = find_preset(name)
    training = recipe.training
    training = replace(training, batch=batch or training.batch)
    model, most = build(recipe, device), MOST_STEPS[device]
    drawn = draw(model, training.batch * most, device)
    trainer = Trainer(model, training, LOSS, Accelerator(cpu=device == "cpu"))
    once = drawn.batches(1, training.batch, device)
    train_epoch(trainer, drawn.batches(WARM_UP[device], training.batch, device), once)
    tried = list(drawn.batches(3, training.batch, device).in_order())
    steps = enough(lambda: train_plainly(trainer, tried)[1] / 3, seconds, most)
    ours = drawn.batches(steps, training.batch, device)
    ready = list(ours.in_order())
    naive = NaiveLoop(build(recipe, device), training, drawn)
    naive.run(1)
    naive_steps = enough(lambda: timed(lambda: naive.run(2))[1] / 2, seconds, steps)
    rates = take_turns(
        {
            "naive": lambda: timed(lambda: naive.run(naive_steps)),
            "ours": lambda: train_epoch(trainer, ours, once),
            "limit": lambda: train_plainly(trainer, ready),
        }
    )
    return {
        "preset": name,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "batch": training.batch,
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


def take_turns(ways: dict[str, Callable[[], tuple[int, float]]], turns: int = TURNS) -> dict:
    """Each way so many times, the order turned round each time: the median, in samples a second."""
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(turns):
        for way in list(ways)[:: 1 if turn % 2 else -1]:
            samples, seconds = ways[way]()
            rates[way].append(samples / seconds)
    return {way: statistics.median(found) for way, found in rates.items()}


# Precisions ------------------------------------------------------------------------------------


def compare_halves(name: str, batch: int, seconds: float) -> dict:
    """A preset's epochs in float32 and in bfloat16, in samples a processor second, and how much of what
    the machine multiplies in one large product a processor second they use."""
    recipe, ways, steps = find_preset(name), {}, 0
    training = replace(recipe.training, batch=batch or recipe.training.batch)
    drawn = draw(build(recipe, "cpu"), training.batch * FEWEST_STEPS, "cpu")
    once, batches = (drawn.batches(count, training.batch, "cpu") for count in (1, FEWEST_STEPS))
    for precision in ("float32", "bfloat16"):
        changed = replace(training, precision=precision)
        trainer = Trainer(build(recipe, "cpu"), changed, LOSS, Accelerator(cpu=True))
        _, took = processor_epoch(trainer, batches, once)
        steps = steps or max(1, round(seconds / took))
        ways[precision] = partial(processor_epoch, trainer, batches, once, steps)
        ways[f"product_{precision}"] = partial(multiply, getattr(torch, precision), seconds)
    rates, operations = take_turns(ways), operations_of(trainer, next(once.in_order()))
    used = {f"used_{way}": rates[way] * operations / rates.pop(f"product_{way}")
            for way in ("float32", "bfloat16")}  # fmt: skip
    times = rates["bfloat16"] / rates["float32"]
    return {"preset": name, "batch": training.batch, **rates, "times": times, **used}


def operations_of(trainer: Trainer, batch: Batch) -> float:
    """The multiplications and additions of products and convolutions that a sample needs, there and
    back."""
    # Without the fused LSTM, whose operations torch does not count.
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        cross_entropy(trainer.model.train()(batch.image, batch.question), batch.target).backward()
    return counter.get_total_flops() / len(batch)


def multiply(dtype: torch.dtype, seconds: float, side: int = 2048) -> tuple[float, float]:
    """Operations of products of two large matrices, and the processor seconds they took."""
    one, other, count = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype), 0
    start = time.process_time()
    while time.process_time() - start < seconds:
        one @ other
        count += 1
    return count * 2 * side**3, time.process_time() - start


def processor_epoch(
    trainer: Trainer, batches: Batches, once: Batches, epochs: int = 1
) -> tuple[int, float]:
    """As `train_epoch`, several of them, in processor seconds."""
    start = time.process_time()
    for _ in range(epochs):
        trainer.run_epoch(batches, once, 1)
    return epochs * len(batches), time.process_time() - start


# Accuracy --------------------------------------------------------------------------------------


def compare_accuracy(name: str, seeds: int) -> dict:
    """Validation top-1 after the last epoch on the demo, both loops from the same beginnings."""
    data, recipe = open_data("demo", device="cpu"), find_preset(name)
    training, table = recipe.schedule(data.train_questions), data.dataset.splits["train"]
    taught = table["question"][data.answers.encode(table["answer"]) >= 0].tolist()
    found: dict[str, list[float]] = {"naive": [], "ours": []}
    for seed in range(seeds):
        for way, scores in found.items():
            model = data.build(recipe, seed)
            images = data.images(model.vision, seed=seed)
            batches = data.batches(data.read(model), images, training)
            trainer = Trainer(model, training, LOSS, Accelerator(cpu=True), seed)
            if way == "ours":
                for _ in range(training.epochs):
                    trainer.run_epoch(batches["train"], batches["validation"], training.epochs)
            else:
                naive = NaiveLoop(
                    model, training, Drawn(taught, batches["train"].examples, images.rows)
                )
                decay = torch.optim.lr_scheduler.StepLR(
                    naive.optimiser, training.decay_every, training.decay
                )
                for _ in range(training.epochs):
                    naive.run()
                    decay.step()
            given = evaluate(model, batches["validation"], LOSS)[1]
            right = given == batches["validation"].examples.target
            scores.append(100 * right.double().mean().item())
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
    parser.add_argument("--halves", action="store_true", help="float32 against bfloat16 instead")
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
    elif options.halves:
        torch.set_num_threads(1)
        for name in options.presets or PRESETS:
            rows.append(row := compare_halves(name, options.batch, options.seconds))
            print(f"{name:24} {row['batch']:5} float32 {row['float32']:8.1f}  bfloat16 "
                  f"{row['bfloat16']:8.1f}  {row['times']:5.2f}  of a product {row['used_float32']:.2f} "
                  f"and {row['used_bfloat16']:.2f}", flush=True)  # fmt: skip
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
