"""Samples a second and memory of training with the vision network inside the loop.

    python benchmarks/fine_tuning.py [PRESET …] [--batch 16] [--size 224] [--steps 6] [--json FILE]

JPEGs of COCO's size (640 x 480), drawn, decoded anew for every batch as in a dataset that no cache
holds; sentence vectors, 1,000 answers. The ways take turns in one run:

* waiting: each batch is decoded when the model asks for it;
* ours: the next batches are decoded while the model learns;
* limit: the same step on one batch that already lies on the device;
* recompute, in parts: ours with --recompute, and with --accumulate 4.

Kept are the bytes that wait for the gradient of a step, weights left out.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from vqa_helpers.experiment.options import pick_device
from vqa_helpers.model.presets import find_preset
from vqa_helpers.model.vqa import build_model

from vqa_helpers.training import pixels
from vqa_helpers.training.batches import Batches, QuestionTensors
from vqa_helpers.training.loop import Trainer

ANSWERS, SENTENCE, TURNS = 1_000, 512, 3
PRESETS = ("Model100", "1.fC", "1.f")


def draw_photographs(folder: Path, count: int) -> list[Path]:
    """JPEGs of 640 x 480 with detail enough to weigh what photographs weigh."""
    chance = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = chance.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize((640, 480))).astype(np.int16)
        image = (image + chance.integers(-12, 13, image.shape)).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(image).save(paths[-1], quality=90)
    return paths


def questions(count: int, images: int) -> QuestionTensors:
    chance = torch.Generator().manual_seed(0)
    return QuestionTensors(
        torch.randn(count, SENTENCE, generator=chance),
        None,
        torch.arange(count) % images,
        torch.randint(0, ANSWERS, (count,), generator=chance),
    )


class Way:
    """A preset trained in one of the ways."""

    def __init__(self, name: str, batches: Batches, recompute: bool = False, pieces: int = 1):
        preset = find_preset(name)
        torch.manual_seed(0)
        model = build_model(preset.records(), answers=ANSWERS, recompute=recompute)
        schedule = replace(preset.schedule, accumulate=pieces)
        self.trainer = Trainer(model.to(batches.device).train(), schedule, 0, capture=not recompute)
        self.batches = batches

    def rate(self, given) -> float:
        """Samples a second over some batches; the first warms up."""
        given, done = iter(given), 0
        self.step(next(given))
        start = self.now()
        for batch in given:
            self.step(batch)
            done += len(batch)
        return done / (self.now() - start)

    def step(self, batch) -> None:
        self.trainer.step(batch)
        self.trainer.optimiser.step()

    def now(self) -> float:
        if self.batches.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def kept_mb(self) -> float:
        """What waits for the gradient, at most at any one time, in MB."""
        weights = {tensor.data_ptr() for tensor in self.trainer.model.state_dict().values()}
        waiting, most = {}, 0

        class Kept:
            def __init__(self, tensor):
                self.tensor, self.place = tensor, tensor.untyped_storage().data_ptr()
                count, size = waiting.get(self.place, (0, tensor.untyped_storage().nbytes()))
                waiting[self.place] = count + 1, size

            def __del__(self):
                count, size = waiting.pop(self.place)
                if count > 1:
                    waiting[self.place] = count - 1, size

        def pack(tensor):
            nonlocal most
            kept = tensor if tensor.data_ptr() in weights else Kept(tensor)
            most = max(most, sum(size for _, size in waiting.values()))
            return kept

        def unpack(kept):
            return kept.tensor if isinstance(kept, Kept) else kept

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            self.trainer.step(next(iter(self.batches.in_order())))
        return most / 1e6


def measure(name: str, paths: list[Path], size: int, batch: int, steps: int, device: str) -> dict:
    """The ways of one preset, in turns."""
    rows = pixels.PixelRows(paths, size, device)
    table = questions(batch * (steps + 1), len(paths))

    def ready(waiting: bool = False) -> Batches:
        made = Batches(table, rows, batch, device)
        made.resident = waiting  # what lies on the device already is not made ahead
        return made

    learns = find_preset(name).images.trained != "none"
    ways = {"waiting": Way(name, ready(waiting=True)), "ours": Way(name, ready())}
    ways["in parts"] = Way(name, ready(), pieces=4)
    if learns:
        ways["recompute"] = Way(name, ready(), recompute=True)
    one = next(iter(ways["ours"].batches.in_order()))
    rates: dict[str, list[float]] = {way: [] for way in (*ways, "limit")}
    for _ in range(TURNS):
        for way, trained in ways.items():
            rates[way].append(trained.rate(trained.batches.in_order()))
        rates["limit"].append(ways["ours"].rate([one] * (steps + 1)))
    found = {way: statistics.median(values) for way, values in rates.items()}
    kept = {f"{way}_kept_mb": ways[way].kept_mb() for way in ways if way != "waiting"}
    return {
        "preset": name, "device": device, "batch": batch, "size_px": size, **found,
        "ours_over_waiting": found["ours"] / found["waiting"],
        "ours_over_limit": found["ours"] / found["limit"], **kept,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("presets", nargs="*", default=PRESETS, metavar="PRESET")
    parser.add_argument("--batch", type=int, default=16, help="questions a step (16)")
    parser.add_argument("--size", type=int, default=224, help="side of the square, px (224)")
    parser.add_argument("--steps", type=int, default=6, help="steps a turn (6)")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    pixels.CACHED_BYTES = 0  # as where there are far more photographs than memory
    found = []
    with tempfile.TemporaryDirectory() as folder:
        paths = draw_photographs(Path(folder), options.batch * (options.steps + 1))
        for name in options.presets:
            row = measure(name, paths, options.size, options.batch, options.steps, pick_device())
            found.append(row)
            cells = (f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
            print(", ".join(cells), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
