"""Features on this machine alone and over Ray, in turn: what spreading costs, and what it gives.

    python benchmarks/ray_features.py [--images N] [--encoder NAME] [--size PX] [--address ADDR]
                                      [--workers N] [--rounds N] [--json FILE]

The images are the demo's, as often as it takes; the weights are random. Each round fills two empty
stores, one in this process and one over the cluster, and compares their bytes; the fastest of each
counts. Building networks is in both times, joining the cluster in neither: it is told apart. On one
machine there is nothing to gain: the same cores do the same work.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

import pandas

from vqa_helpers.cluster import HERE, ray_cluster
from vqa_helpers.data.folder import open_dataset
from vqa_helpers.features.extract import Encode, MapUnits, fill_store
from vqa_helpers.report.tables import to_markdown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--encoder", default="resnet18")
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--address", default=HERE, help="of the cluster (local: a small one here)")
    parser.add_argument("--workers", type=int, default=0, help="at most (one a GPU or CPU)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    paths = list(open_dataset("demo").images.values())
    images = {number: paths[number % len(paths)] for number in range(options.images)}
    start = time.perf_counter()
    with ray_cluster(options.address, options.workers) as map_units:
        join_s = time.perf_counter() - start
        here_s, there_s, same = [], [], True
        for _ in range(options.rounds):
            seconds, here = fill(options, images, None)
            here_s.append(seconds)
            seconds, there = fill(options, images, map_units)
            there_s.append(seconds)
            same &= here == there
        rate = options.images / min(here_s)
        spread_rate = options.images / min(there_s)
        row = {
            "encoder": options.encoder,
            "size_px": options.size,
            "images": options.images,
            "cores_here": os.cpu_count(),
            "workers": options.workers or "all",
            "here_per_s": round(rate, 1),
            "ray_per_s": round(spread_rate, 1),
            "ray_over_here": round(spread_rate / rate, 2),
            "join_s": round(join_s, 1),
            "same_bytes": same,
        }
    print(to_markdown(pandas.DataFrame([row])))
    if options.json:
        options.json.write_text(json.dumps([row], indent=1), encoding="utf-8")


def fill(
    options: argparse.Namespace, images: dict[int, Path], map_units: MapUnits | None
) -> tuple[float, list[str]]:
    """Seconds to fill an empty store, and the sha256 of its files."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        work = Encode(options.encoder, "random", options.size, "cpu")
        store = fill_store(Path(folder), images, work, map_units)
        seconds = time.perf_counter() - start
        files = sorted(path for path in store.folder.iterdir() if path.name[0] != ".")
        return seconds, [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


if __name__ == "__main__":
    main()
