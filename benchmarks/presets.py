"""Samples a second of each preset's training step, at full size, on data already in memory.

    python benchmarks/presets.py [PRESET …] [--batch 0] [--json FILE]

Batches have the study's size unless --batch says otherwise; 1,000 answers, 3,209 words and
questions of 6 to 12 words, as on VQA v1. Presets whose network runs inside the loop decode the
demo's photographs at 64 px.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from vqa_helpers.data.build import open_dataset
from vqa_helpers.model.presets import PRESETS, find_preset
from vqa_helpers.model.vqa import build_model
from vqa_helpers.training.batches import Batches, FeatureRows, QuestionTensors
from vqa_helpers.training.loop import Trainer
from vqa_helpers.training.pixels import PixelRows
from vqa_helpers.vision.encoders import WIDTHS

WORDS, ANSWERS, LONGEST, IMAGES, STEPS = 3_209, 1_000, 12, 500, 8


def measure(name: str, batch: int, device: str) -> dict:
    """Train one short epoch to warm up, then time another."""
    preset = find_preset(name)
    in_loop = preset.images is not None and preset.images.in_loop
    size = batch or preset.schedule.batch
    steps = 3 if in_loop else STEPS
    generator = torch.Generator().manual_seed(0)
    questions = size * steps
    kind = type(preset.questions).__name__
    if kind == "Sentences":
        question, lengths = torch.randn(questions, 512, generator=generator), None
    else:
        lengths = torch.randint(6, LONGEST + 1, (questions,), generator=generator)
        question = torch.randint(2, WORDS, (questions, LONGEST), generator=generator)
    images = None
    if in_loop:
        paths = [path for _, path in sorted(open_dataset("demo").images.items())][:IMAGES]
        images = PixelRows(paths, 64, device)
    elif preset.images is not None:
        features = torch.randn(IMAGES, WIDTHS[preset.images.encoder], generator=generator)
        images = FeatureRows(features.half(), device)
    split = QuestionTensors(
        question,
        lengths,
        torch.randint(0, IMAGES, (questions,), generator=generator),
        torch.randint(0, ANSWERS, (questions,), generator=generator),
    )
    model = build_model(
        preset.records(),
        answers=ANSWERS,
        vocabulary_size=WORDS,
        word_vectors=torch.randn(WORDS, 50),
    ).to(device)
    trainer = Trainer(model, preset.schedule, seed=0)
    batches = Batches(split, images, size, device)
    warm_up = Batches(QuestionTensors(*_first(split, 2 * size)), images, size, device)
    list(trainer.fit(warm_up, warm_up, 1))
    epoch = next(trainer.fit(batches, warm_up, 2))
    return {
        "preset": name,
        "device": device,
        "batch": size,
        "samples_per_s": questions / epoch.train_s,
    }


def _first(split: QuestionTensors, count: int) -> tuple:
    lengths = None if split.lengths is None else split.lengths[:count]
    return split.question[:count], lengths, split.image_row[:count], split.target[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("presets", nargs="*", default=list(PRESETS), metavar="PRESET")
    parser.add_argument("--batch", type=int, default=0, help="questions a step (the study's)")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = []
    start = time.perf_counter()
    for name in options.presets:
        rows.append(measure(name, options.batch, device))
        print(f"{name:26} batch {rows[-1]['batch']:4} {device}: "
              f"{rows[-1]['samples_per_s']:9.1f} samples/s", flush=True)  # fmt: skip
    print(f"{time.perf_counter() - start:.0f} s in all")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
