"""Samples a second and memory of training with the vision network inside the loop.

    python benchmarks/fine_tuning.py [PRESET …] [--batch 16] [--size 224] [--steps 6] [--json FILE]

JPEGs of COCO's size (640 x 480), drawn, decoded anew for every batch as in a dataset that no cache
holds; sentence vectors, 1,000 answers. The ways take turns in one run:

* waiting: each batch is decoded when the model asks for it;
* ours: the next batches are decoded while the model learns;
* limit: the same steps in plain PyTorch on one batch that already lies on the device;
* recompute, in parts: ours with `vision.recompute=true`, and with `accumulate=4`.

Kept are the bytes that wait for the gradient of a step, weights left out.
"""

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

import torch
from accelerate import Accelerator

from features import photographs
from training import ANSWERS, LOSS, build, take_turns, train_epoch, train_plainly
from vqa_helpers.environment import pick_device
from vqa_helpers.presets import find_preset
from vqa_helpers.recipe import Recipe
from vqa_helpers.training import image_rows
from vqa_helpers.training.batches import Batches, Examples
from vqa_helpers.training.loop import Trainer

TURNS = 3
PRESETS = ("Model100", "1.fC", "1.f")


class OnDemand:
    """Photographs that are decoded when a batch asks for them, not ahead."""

    def __init__(self, rows: image_rows.PixelRows) -> None:
        self.rows = rows

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        return self.rows[rows]


def trainer_of(recipe: Recipe, size: int, device: str) -> Trainer:
    model = build(recipe, device, size)
    return Trainer(model, recipe.training, LOSS, Accelerator(cpu=device == "cpu"))


def kept_mb(trainer: Trainer, batches: Batches) -> float:
    """What waits for the gradient of a batch, at most at any one time, in MB."""
    weights = {tensor.data_ptr() for tensor in trainer.model.state_dict().values()}
    waiting, sizes, most = Counter(), {}, 0

    class Kept:
        def __init__(self, tensor: torch.Tensor) -> None:
            storage = tensor.untyped_storage()
            self.tensor, self.place = tensor, storage.data_ptr()
            waiting[self.place] += 1
            sizes[self.place] = storage.nbytes()

        def __del__(self) -> None:
            waiting[self.place] -= 1

    def pack(tensor: torch.Tensor) -> torch.Tensor | Kept:
        nonlocal most
        kept = tensor if tensor.data_ptr() in weights else Kept(tensor)
        most = max(most, sum(sizes[place] for place, count in waiting.items() if count))
        return kept

    def unpack(kept: torch.Tensor | Kept) -> torch.Tensor:
        return kept.tensor if isinstance(kept, Kept) else kept

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        train_epoch(trainer, batches, batches)
    return most / 1e6


def measure(name: str, paths: list[Path], size: int, batch: int, steps: int, device: str) -> dict:
    """The ways of one preset, in turns."""
    recipe, chance = find_preset(name), torch.Generator().manual_seed(0)
    rows = image_rows.PixelRows(paths, size, device)
    sentences = torch.randn(len(paths), 512, generator=chance)
    target = torch.randint(0, ANSWERS, (len(paths),), generator=chance)

    def batches(count: int, images=rows) -> Batches:
        some = slice(count * batch)
        row = torch.arange(len(paths))[some]
        return Batches(Examples((sentences[some],), row, target[some]), images, batch, device)

    changes = {"ours": {}, "waiting": {}, "in parts": {"accumulate": 4}}
    if recipe.vision.keywords.get("trained"):
        changes["recompute"] = {"vision.recompute": "true"}
    trainers = {way: trainer_of(recipe.with_(set=s), size, device) for way, s in changes.items()}
    once, given = batches(1), {way: batches(steps) for way in changes}
    given["waiting"] = batches(steps, OnDemand(rows))
    for trainer in trainers.values():
        train_epoch(trainer, once, once)
    ready = list(once.in_order()) * steps
    ways = {way: lambda w=way: train_epoch(trainers[w], given[w], once) for way in changes}
    ways["limit"] = lambda: train_plainly(trainers["ours"], ready)
    found = take_turns(ways, TURNS)
    kept = {f"{w}_kept_mb": kept_mb(trainers[w], once) for w in changes if w != "waiting"}
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
    image_rows.CACHED_BYTES = 0  # as where there are far more photographs than memory
    found = []
    with tempfile.TemporaryDirectory() as folder:
        paths = list(photographs(Path(folder), options.batch * options.steps).values())
        for name in options.presets:
            row = measure(name, paths, options.size, options.batch, options.steps, pick_device())
            found.append(row)
            cells = (f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
            print(", ".join(cells), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
