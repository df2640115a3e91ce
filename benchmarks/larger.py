"""Training from features that stay on disk, beside the same from memory: samples a second and memory.

    python benchmarks/larger.py [--share 0.01 0.1] [--json FILE]

The whole are a million images with a vector each (1,280 half floats, 2.6 GB, GUSE_ResNet) and 100,000
with a grid each (49 x 1,280, 12.5 GB, Top_Down_Attention at width 256); `--share` of them is drawn, a
question an image. Each way is a process of its own on one thread, an epoch of it after a warm-up; from disk
the files are first put out of the machine's own cache. Rates are of processor seconds and of the clock.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator

from training import ANSWERS, LOSS, build, draw
from vqa_helpers.features import store
from vqa_helpers.features.extract import SHARD_IMAGES
from vqa_helpers.files import write_json
from vqa_helpers.presets import find_preset
from vqa_helpers.report.tables import to_markdown
from vqa_helpers.training.batches import Batches, Examples
from vqa_helpers.training.loop import Trainer

WIDTH = 1280
KINDS = {  # images of the whole, the shape of one's features, and what is trained on them
    "vectors": (1_000_000, (WIDTH,), find_preset("GUSE_ResNet").with_("efficientnet_lite0")),
    "grid": (
        100_000,
        (49, WIDTH),
        find_preset("Top_Down_Attention").with_("efficientnet_lite0", set={"fusion.width": 256}),
    ),
}
BATCH = 64
WAYS = {"memory": 1 << 50, "disk": 0}  # bytes of features up to which they are kept in memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, nargs="+", default=[0.01, 0.1])
    parser.add_argument("--json", type=Path, help="write the rows there")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # kind, folder, way: of a process
    options = parser.parse_args()
    if options.one:
        kind, folder, way = options.one
        print(json.dumps(train(kind, Path(folder), way, round(KINDS[kind][0] * options.share[0]))))
        return
    rows = []
    for kind, (images, shape, _) in KINDS.items():
        for share in options.share:
            with tempfile.TemporaryDirectory() as folder:
                fill(Path(folder), round(images * share), shape)
                for way in WAYS:
                    words = [
                        sys.executable,
                        __file__,
                        "--one",
                        kind,
                        folder,
                        way,
                        "--share",
                        str(share),
                    ]
                    said = subprocess.run(
                        words, check=True, stdout=subprocess.PIPE, text=True
                    ).stdout
                    row = {"features": kind, "share": share, "way": way}
                    rows.append(row | json.loads(said.splitlines()[-1]))
                    print(rows[-1], flush=True)
    print(to_markdown(pd.DataFrame(rows).drop(columns="share")))
    if options.json:
        write_json(options.json, {"rows": rows})


def fill(folder: Path, images: int, shape: tuple[int, ...]) -> None:
    """A store of drawn features."""
    chance, shards = np.random.default_rng(0), []
    for start in range(0, images, SHARD_IMAGES):
        ids = np.arange(start, min(start + SHARD_IMAGES, images))
        rows = chance.standard_normal((len(ids), *shape), np.float32).astype(np.float16)
        file = f"shard-{start // SHARD_IMAGES:05d}.safetensors"
        store.write_shard(folder / file, store.Shard(ids, ids, rows), "drawn")
        shards.append({"file": file})
    write_json(folder / "manifest.json", {"identity": "drawn", "shards": shards, "failed": {}})


def train(kind: str, folder: Path, way: str, count: int) -> dict:
    """An epoch over all of a store: its rates, and the most memory that the process ever had."""
    torch.set_num_threads(1)
    store.MOST_IN_MEMORY = WAYS[way]
    rows, _ = store.FeatureStore(folder).rows(np.arange(count))
    model = build(KINDS[kind][2], "cpu")
    drawn = draw(model, count, "cpu").examples
    target = torch.randint(ANSWERS, (count,))
    batches = Batches(Examples(drawn.question, torch.arange(count), target), rows, BATCH)
    few = Examples(tuple(t[:BATCH] for t in drawn.question), torch.arange(BATCH), target[:BATCH])
    once = Batches(few, rows, BATCH)
    trainer = Trainer(model, KINDS[kind][2].small, LOSS, Accelerator(cpu=True))
    trainer.run_epoch(once, once, 2)
    if way == "disk":
        for path in folder.glob("*.safetensors"):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    busy, start = time.process_time(), time.perf_counter()
    trainer.run_epoch(batches, once, 2)
    busy, seconds = time.process_time() - busy, time.perf_counter() - start
    return {
        "images": count,
        "features_mb": round(np.prod(rows.shape) * 2 / 1e6),
        "per_processor_s": round(count / busy),
        "per_s": round(count / seconds),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }


if __name__ == "__main__":
    main()
