"""Images a second of a feature store, against decoding alone and the network alone.

    python benchmarks/features.py [--images N] [--size PX] [--encoder NAME …] [--json FILE]
    python benchmarks/features.py --halves [--size 224] [--encoder NAME …] [--json FILE]
    python benchmarks/features.py --memory [--images N] [--json FILE]

The photographs are drawn: 640 x 480 JPEGs of about 160 kB, as COCO's; a few files under many names.
Three things are measured in turn, `--rounds` times, medians kept: decoding by a process on every
core, the network on a batch that already lies on the device, and `fill_store` into an empty folder
(less the time to build the network, which is measured beside it). Weights are random: the time is
that of any.

`ours_over_limit` is ours over the smaller of the two rates. Where the network runs on the cores that
decode, that cannot be reached: an image costs the work of both, so the limit is
1 / (1 / decode + 1 / network), and `ours_over_shared` is ours over that.

`--halves` compares float32 with bfloat16: the network by itself and the part of their length by which the
vectors differ. The two take turns, on one thread, in processor seconds.

`--memory` fills stores of ResNet18 rows at 32 px from 1,000 and from N images (100,000 if not
given), each in its own process, and then again, when nothing is to be done. The growth is that of
the peak over what the process held before, its list of files included.
"""

import argparse
import json
import multiprocessing
import multiprocessing.pool
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas
import torch
from PIL import Image

from vqa_helpers.environment import pick_device
from vqa_helpers.features.extract import Encode, batch_size, fill_store
from vqa_helpers.features.pixels import load_square
from vqa_helpers.pieces.networks import NETWORKS, PACKAGED
from vqa_helpers.pieces.vision import VisionEncoder, for_inference
from vqa_helpers.report.tables import to_markdown

DRAWN = 64  # different photographs
QUALITY = 87  # about 160 kB each
NETWORK_S = 3.0  # at least, of every round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int)
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    parser.add_argument("--encoder", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--device", default=pick_device())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--halves", action="store_true", help="float32 against bfloat16")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        what = memory if options.memory else halves if options.halves else speed
        rows = what(options, Path(folder))
    print(to_markdown(pandas.DataFrame(rows).round(3)))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def speed(options: argparse.Namespace, folder: Path) -> list[dict]:
    count = options.images or (8192 if options.device == "cuda" else 128)
    images = photographs(folder, count)
    rows = []
    torch.zeros(1, device=options.device)  # a GPU takes seconds to begin
    with multiprocessing.get_context("spawn").Pool() as processes:
        for encoder in options.encoder:
            rounds = [
                one_round(encoder, options, images, folder / f"{encoder}{number}", processes)
                for number in range(options.rounds)
            ]
            seconds = {what: statistics.median(r[what] for r in rounds) for what in rounds[0]}
            rows.append(row(encoder, options, count, seconds))
            print(rows[-1], flush=True)
    return rows


def one_round(
    encoder: str,
    options: argparse.Namespace,
    images: dict[int, Path],
    stores: Path,
    processes: multiprocessing.pool.Pool,
) -> dict[str, float]:
    """One round: seconds an image of `decode` and `network`, seconds of `build` and `fill`."""
    start = time.perf_counter()
    network = VisionEncoder(encoder, "random").eval().to(options.device)
    build = time.perf_counter() - start
    found = {"build": build, "network": computing(network, options), "decode": 0.0, "fill": 0.0}
    del network
    start = time.perf_counter()
    fill_store(stores, images, Encode(encoder, "random", options.size, options.device))
    found["fill"] = time.perf_counter() - start
    found["decode"] = decoding(images, options.size, processes)
    return found


def computing(network: VisionEncoder, options: argparse.Namespace) -> float:
    """Seconds an image of the network on a batch that lies on the device."""
    quick = for_inference(network)
    batch = batch_size(options.size, torch.device(options.device))
    shape = (batch, options.size, options.size, 3)
    image = torch.randint(256, shape, dtype=torch.uint8, device=options.device).permute(0, 3, 1, 2)

    def run(batches: int) -> float:
        start = time.perf_counter()
        for _ in range(batches):
            vectors = quick(image)
        vectors.cpu()  # a GPU is done only now
        return (time.perf_counter() - start) / batches

    with torch.inference_mode():
        run(2)
        once = run(2)
        return run(max(2, round(NETWORK_S / once))) / batch


def halves(options: argparse.Namespace, folder: Path) -> list[dict]:
    """Images a processor second in float32 and in bfloat16, and how far apart the vectors are."""
    torch.set_num_threads(1)
    paths = [*photographs(folder, options.images or 20).values()]
    size_px, rows = options.size, []
    squares = torch.from_numpy(np.stack([load_square(path, size_px) for path in paths]))
    pixels = squares.permute(0, 3, 1, 2).split(batch_size(size_px, torch.device("cpu")))
    for encoder in options.encoder:
        network = VisionEncoder(encoder, "packaged" if encoder in PACKAGED else "random").eval()
        ways = [for_inference(network), for_inference(network, half=True)]
        vectors = [encode(way, pixels) for way in ways]
        seconds = [[], []]
        for _ in range(options.rounds):
            for way, found in zip(ways, seconds, strict=True):
                start = time.process_time()
                encode(way, pixels)
                found.append(time.process_time() - start)
        apart = (vectors[1] - vectors[0]).norm(dim=1) / vectors[0].norm(dim=1)
        single, half = (len(paths) / statistics.median(found) for found in seconds)
        rows.append(
            {"encoder": encoder, "size_px": size_px, "float32_per_s": single,
             "bfloat16_per_s": half, "times": half / single, "apart_mean": apart.mean().item(),
             "apart_most": apart.max().item()}
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


@torch.inference_mode()
def encode(network: VisionEncoder, pixels: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([network(batch).float() for batch in pixels])


def decoding(images: dict[int, Path], size_px: int, processes: multiprocessing.pool.Pool) -> float:
    """Seconds an image of a process on every core."""
    paths = [(path, size_px) for path in list(images.values())[:4096]]
    processes.starmap(decode, paths[:256], chunksize=1)  # every process is there, files are cached
    start = time.perf_counter()
    processes.starmap(decode, paths, chunksize=8)
    return (time.perf_counter() - start) / len(paths)


def decode(path: Path, size_px: int) -> None:
    load_square(path, size_px)


def row(encoder: str, options: argparse.Namespace, count: int, seconds: dict[str, float]) -> dict:
    """Rates and ratios; `decode` and `network` are seconds an image, the others seconds."""
    decode, network = 1 / seconds["decode"], 1 / seconds["network"]
    ours = count / (seconds["fill"] - seconds["build"])
    found = {
        "encoder": encoder,
        "size_px": options.size,
        "device": options.device,
        "images": count,
        "batch": batch_size(options.size, torch.device(options.device)),
        "decode_per_s": decode,
        "network_per_s": network,
        "ours_per_s": ours,
        "ours_over_limit": ours / min(decode, network),
    }
    if options.device == "cpu":
        found["ours_over_shared"] = ours * (1 / decode + 1 / network)
    return found


def photographs(folder: Path, count: int) -> dict[int, Path]:
    """`count` names of drawn photographs: noise with the spectrum of natural images, 1 / f."""
    height, width = 480, 640
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    amplitude = 1 / np.maximum(f, 1 / width)
    generator = np.random.default_rng(0)
    (folder / "images").mkdir()
    drawn = []
    for number in range(min(count, DRAWN)):
        phases = np.exp(2j * np.pi * generator.random((4, *f.shape)))
        light, *colours = np.fft.irfft2(amplitude * phases, s=(height, width))
        shades = [light + 0.3 * colour for colour in colours]
        pixels = 120 + 45 * np.stack(shades, axis=-1) / light.std()
        drawn.append(folder / "images" / f"drawn{number}.jpg")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(drawn[-1], quality=QUALITY)
    images = {}
    for image_id in range(count):
        images[image_id] = folder / "images" / f"{image_id:012}.jpg"
        images[image_id].symlink_to(drawn[image_id % len(drawn)].name)
    return images


def memory(options: argparse.Namespace, folder: Path) -> list[dict]:
    images = photographs(folder, options.images or 100_000)
    rows = []
    for count in (1000, len(images)):
        command = [sys.executable, "-c", FILL, str(folder / str(count)), options.device]
        paths = "\n".join(str(images[i]) for i in range(count))
        done = [
            subprocess.run(command, input=paths, capture_output=True, text=True, check=True)
            for _ in range(2)
        ]
        first, again = (json.loads(one.stdout) for one in done)
        store = next((folder / str(count)).iterdir())
        size = sum(path.stat().st_size for path in store.glob("*.safetensors"))
        rows.append(
            {"images": count, "before_mb": first["before_mb"], "peak_mb": first["peak_mb"],
             "growth_mb": first["peak_mb"] - first["before_mb"], "fill_s": first["seconds"],
             "nothing_to_do_s": again["seconds"], "bytes_per_row": size / count}
        )  # fmt: skip
    return rows


# A process of its own: the peak of its memory is that of one store.
FILL = """
import json, sys, time
from pathlib import Path
from vqa_helpers.features.extract import Encode, fill_store

def peak_mb():  # not getrusage: what that says is at least the peak of the process that began us
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

images = dict(enumerate(Path(line) for line in sys.stdin.read().split("\\n")))
before, start = peak_mb(), time.perf_counter()
fill_store(Path(sys.argv[1]), images, Encode("resnet18", "random", 32, sys.argv[2]))
print(json.dumps({"before_mb": before, "peak_mb": peak_mb(), "seconds": time.perf_counter() - start}))
"""


if __name__ == "__main__":
    main()
