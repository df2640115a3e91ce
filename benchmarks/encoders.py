"""Images a second of each vision encoder: decoding, the network alone, and both overlapped.

    python benchmarks/encoders.py [--images 256] [--size 64] [--json FILE]

The images are the demo's; the weights are random, which changes no time.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from vqa_helpers.data.build import open_dataset
from vqa_helpers.vision.encoders import WIDTHS, VisionEncoder
from vqa_helpers.vision.extract import BATCH_IMAGES, fill_store
from vqa_helpers.vision.preprocess import load_square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    dataset = open_dataset("demo")
    images = dict(sorted(dataset.images.items())[: options.images])
    device = "cuda" if torch.cuda.is_available() else "cpu"

    start = time.perf_counter()
    squares = np.stack([load_square(path, options.size) for path in images.values()])
    decode = len(images) / (time.perf_counter() - start)
    rows = []
    for name in WIDTHS:
        network = VisionEncoder(name).eval().to(device)
        pixels = torch.from_numpy(squares).permute(0, 3, 1, 2).to(device)
        with torch.inference_mode():
            network(pixels[:BATCH_IMAGES])  # warm up
            start = time.perf_counter()
            for batch in pixels.split(BATCH_IMAGES):
                network(batch).cpu()
            alone = len(images) / (time.perf_counter() - start)
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            fill_store(
                Path(folder), images, encoder=name, weights="random", size_px=options.size,
                device=device,
            )  # fmt: skip
            store = len(images) / (time.perf_counter() - start)
        rows.append(
            {"encoder": name, "size_px": options.size, "device": device, "decode_per_s": decode,
             "network_per_s": alone, "store_per_s": store}
        )  # fmt: skip
        print(
            f"{name:10} {options.size} px {device}: decoding on one thread {decode:7.1f}, network "
            f"alone {alone:7.1f}, filling a store (building the network included) {store:7.1f} "
            "images/s"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
