"""Kill -9 at random points, go on, compare: is anything lost or doubled?

    OMP_NUM_THREADS=1 python benchmarks/kills.py --json kills.json
    OMP_NUM_THREADS=1 python benchmarks/kills.py training --kills 3

Each work (extraction, training, download, batch, sweep) is done once undisturbed and timed. Then, in a
fresh folder for each point, a real process begins it, is killed with its process group at a seeded
time spread over that duration, and the same command is given again until it ends. The processes are
forked from this one, which has imported everything, so that the kills fall into the work and not
into the start of Python. Of a batch every second kill takes the notebooks too; the others leave
them running, as a kill of the command alone does.

A server is killed while four clients ask it without end, and the next one must answer the same and find
nothing left of the uploads.

What must be equal is the sha256 of every file left, hidden ones too, but for what rightly differs:
times (`timing.json`, `seconds` and `finished` in a batch's records, its logs), the date in
`environment.json`, TensorBoard's events, and the record of a sweep, whose trials are compared.
"""

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the server of the tests, and the package where it is not installed

QUICK = ["--weights", "random", "--image-size", "32", "--offline", "--device", "cpu"]
PRESET = "Improved_VQA2015_ResNet"
SHARD_IMAGES, EPOCHS = 16, 4
LONGEST_S = 300  # of one attempt to go on
VARYING = {"environment.json", "timing.json", "tensorboard", "logs", "stderr", "study.db"}
VARYING_FIELDS = ("seconds", "finished")


@dataclass(frozen=True)
class Work:
    """Something that is killed.

    Attributes:
        words: of the command.
        samples: how often each sample stands in the files that are left in a folder.
        outlives: whether what it starts outlives it.
    """

    words: list[str]
    samples: Callable[[Path], Counter]
    outlives: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="WORK", help="extraction, training, …")
    parser.add_argument("--kills", type=int, default=20, help="of each (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the times (0)")
    parser.add_argument("--images", type=int, default=200, help="of the drawn dataset (200)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here too")
    options = parser.parse_args()
    from vqa_helpers.data.demo.dataset import make_demo

    with tempfile.TemporaryDirectory(prefix="vqa-kills-") as folder:
        shared = Path(folder)
        warm_up(shared)
        make_demo(shared / "drawn", images=options.images, size_px=64)
        works = {
            "extraction": Work(extraction(shared), rows_of_shards),
            "training": Work(training(shared), rows_of_predictions),
            "download": Work(download(shared), lines_of_files),
            "batch": Work(batch(shared), results_of_notebooks, outlives=True),
            "sweep": Work(sweep(shared), trials_of_sweep),
        }
        server = serve(shared)
        try:
            rows = []
            for name in options.names or [*works, "serve"]:
                if name == "serve":
                    rows.append(measure_server(options.kills, options.seed, shared))
                else:
                    rows.append(measure(name, works[name], options.kills, options.seed, shared))
                print(*(f"{key} {value}" for key, value in rows[-1].items()), sep=", ", flush=True)
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def warm_up(shared: Path) -> None:
    """Import what the works import, so that a fork begins with the work; leave no thread."""
    from vqa_helpers.features import extract
    from vqa_helpers.training.tensorboard import open_writer

    open_writer(shared, 1).close()  # the one way to import it without TensorFlow
    for name in (
        "papermill", "requests", "torch._dynamo", "vqa_helpers.batch", "vqa_helpers.commands",
        "vqa_helpers.data.public.download", "vqa_helpers.report.show", "vqa_helpers.training.train",
    ):  # fmt: skip
        importlib.import_module(name)
    extract.SHARD_IMAGES = SHARD_IMAGES  # for many shards of few images


def measure(name: str, work: Work, kills: int, seed: int, shared: Path) -> dict:
    """Do a work undisturbed, then kill it `kills` times; the row of the table."""
    place = shared / f"{name}-whole"
    start = time.perf_counter()
    go_on(work, place)
    duration = time.perf_counter() - start
    whole, samples = sums(place), work.samples(place)
    draw = random.Random(f"{name} {seed}")
    row = {"what": name, "seconds": round(duration, 2), "samples": len(samples), "kills": 0,
           "resumed": 0, "same_sha256": 0, "lost": 0, "doubled": 0}  # fmt: skip
    for number in range(kills):
        place = shared / f"{name}-{number}"
        at = duration * (number + draw.random()) / kills
        while not kill(work, place, at, everything=number % 2 == 1):
            shutil.rmtree(place)  # it was faster this time
            at *= 0.8
        row["kills"] += 1
        go_on(work, place)
        row["resumed"] += 1
        left, found = sums(place), work.samples(place)
        row["same_sha256"] += left == whole
        for different in sorted(dict(left.items() ^ whole.items())):
            print(f"{name}, killed after {at:.2f} s: {different} differs", file=sys.stderr)
        row["lost"] += sum((samples - found).values())
        row["doubled"] += sum((found - samples).values())
        shutil.rmtree(place)
    return row


# ---------------------------------------------------------------- processes


def start(work: Work, place: Path) -> int:
    """Fork a process, of a group of its own, that does the work in `place`; its id."""
    place.mkdir(exist_ok=True)
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        os.chdir(place)
        output = os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        from vqa_helpers.cli import main as vqa

        code = vqa(work.words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def kill(work: Work, place: Path, after_s: float, everything: bool) -> bool:
    """Begin a work and kill it; False where it had ended before."""
    import psutil

    child = start(work, place)
    time.sleep(after_s)
    started = psutil.Process(child).children(recursive=True) if everything else []
    in_own_group = os.getpgid(child) == child  # not in the first instant
    (os.killpg if in_own_group else os.kill)(child, signal.SIGKILL)
    for process in started if work.outlives else []:
        process.kill()
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def go_on(work: Work, place: Path) -> None:
    """Give the command until it ends well: notebooks that outlived a batch are waited for."""
    until = time.monotonic() + LONGEST_S
    while True:
        _, status = os.waitpid(start(work, place), 0)
        if status == 0:
            return
        said = (place / "stderr").read_text()
        if not (work.outlives and "still works here" in said) or time.monotonic() > until:
            raise SystemExit(f"{place.name}: exit code {os.waitstatus_to_exitcode(status)}: {said}")
        time.sleep(0.2)


def sums(place: Path) -> dict[str, str]:
    """The sha256 of every file in a folder that may not differ."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place)
        if not path.is_file() or path.is_symlink() or VARYING & set(name.parts):
            continue
        content = path.read_bytes()
        if path.parent.name == "records":
            record = json.loads(content)
            kept = {key: record[key] for key in record if key not in VARYING_FIELDS}
            content = json.dumps(kept).encode()
        found[str(name)] = hashlib.sha256(content).hexdigest()
    return found


# ---------------------------------------------------------------- extraction and training


def extraction(shared: Path) -> list[str]:
    return ["features", "--data", str(shared / "drawn"), "--encoder", "resnet18", *QUICK]


def rows_of_shards(place: Path) -> Counter:
    """How often each image has a row."""
    from safetensors.numpy import load_file

    shards = (load_file(path) for path in place.rglob("shard-*.safetensors"))
    return Counter(int(image_id) for shard in shards for image_id in shard["image_ids"])


def training(shared: Path) -> list[str]:
    words = ["train", PRESET, "--data", str(shared / "drawn"), "--out", "run"]
    return [*words, "--epochs", str(EPOCHS), *QUICK]


def rows_of_predictions(place: Path) -> Counter:
    """How often each question is answered."""
    lines = (place / "run" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return Counter(json.loads(line)["question_id"] for line in lines)


# ---------------------------------------------------------------- download


def download(shared: Path) -> list[str]:
    """A plain file and an archive of many, every line of which is a sample."""
    (shared / "served").mkdir()
    lines = [
        f"{number:06d} {hashlib.sha256(str(number).encode()).hexdigest()}\n"
        for number in range(30_000)
    ]
    (shared / "served" / "plain.txt").write_text("".join(lines[:15_000]))
    with zipfile.ZipFile(shared / "served" / "many.zip", "w") as archive:
        for first in range(15_000, 30_000, 50):
            archive.writestr(f"many/{first}.txt", "".join(lines[first : first + 50]))
    return ["data", "download", "plain", "many", "--sources", str(shared / "sources.json")]


def lines_of_files(place: Path) -> Counter:
    """How often each line came."""
    return Counter(
        line for path in place.rglob("[!.]*.txt") for line in path.read_text().splitlines()
    )


def serve(shared: Path) -> int:
    """A process that serves the files a piece at a time; its id."""
    from tests.data.public.server import Server, well

    class Pieces:
        """A stream that takes its time."""

        def __init__(self, stream) -> None:
            self._stream = stream

        def write(self, content: bytes) -> None:
            for first in range(0, len(content), 1 << 14):
                self._stream.write(content[first : first + (1 << 14)])
                time.sleep(0.01)

        def __getattr__(self, name: str):
            return getattr(self._stream, name)

    class Always(list):
        def pop(self, _):
            return self[0]

    def slowly(handler, content: bytes) -> None:
        stream, handler.wfile = handler.wfile, Pieces(handler.wfile)
        try:
            well(handler, content)
        finally:
            handler.wfile = stream

    server = Server()
    sources = []
    for name, unpack in (("plain.txt", False), ("many.zip", True)):
        content = (shared / "served" / name).read_bytes()
        file = server.file(f"/{name}", content)
        server.scripts[f"/{name}"] = Always([slowly])
        listed = {"url": file.url, "bytes": file.bytes, "sha256": file.sha256}
        stem = Path(name).stem
        sources.append({"name": stem, "about": stem, "licence": "none", "folder": stem,
                        "unpack": unpack, "files": [listed]})  # fmt: skip
    template = f"{server.base}/{{subset}}/{{name}}"
    (shared / "sources.json").write_text(json.dumps({"single_image": template, "sources": sources}))
    child = os.fork()
    if child == 0:
        with server:
            signal.pause()
    return child


# ---------------------------------------------------------------- batch

NOTEBOOK = """\
import time
from vqa_helpers.notebook import finish
rows = []
for row in range({first}, {first} + 10):
    time.sleep(0.03)
    rows.append(row)
print(sum(rows))
finish({{"rows": rows}})
"""


def batch(shared: Path) -> list[str]:
    """Four notebooks of ten rows each, two at a time."""
    folder = shared / "notebooks"
    folder.mkdir()
    for number in range(4):
        cells = [
            {"cell_type": "code", "id": "parameters", "metadata": {"tags": ["parameters"]},
             "source": 'DATA: str = "demo"', "outputs": [], "execution_count": None},
            {"cell_type": "code", "id": "work", "metadata": {}, "outputs": [],
             "source": NOTEBOOK.format(first=10 * number), "execution_count": None},
        ]  # fmt: skip
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4,
                    "nbformat_minor": 5}  # fmt: skip
        (folder / f"{number}.ipynb").write_text(json.dumps(notebook))
    return ["batch", "--notebooks", str(folder), "--out", "out", "--jobs", "2"]


def results_of_notebooks(place: Path) -> Counter:
    """How often each row was recorded."""
    records = [json.loads(path.read_text()) for path in (place / "out" / "records").glob("*.json")]
    return Counter(row for record in records for row in record["results"]["rows"])


# ---------------------------------------------------------------- sweep


def sweep(shared: Path) -> list[str]:
    """Three trials of two epochs."""
    words = ["sweep", "Question_Only", "--data", str(shared / "drawn"), "--out", "out"]
    words += ["--range", "learning_rate=1e-3..1e-2:log", "--trials", "3", "--epochs", "2"]
    return [*words, *QUICK]


def trials_of_sweep(place: Path) -> Counter:
    """How often each question is answered in each trial's run, and each trial has its score."""
    lines = ((path.parent.name, line) for path in (place / "out" / "runs").glob("*/predictions.jsonl")
             for line in path.read_text(encoding="utf-8").splitlines())  # fmt: skip
    found = Counter((trial, json.loads(line)["question_id"]) for trial, line in lines)
    with closing(sqlite3.connect(place / "out" / "study.db")) as record:
        found.update(record.execute(
            "SELECT number, value FROM trials JOIN trial_values USING (trial_id)"
            " WHERE state = 'COMPLETE'"
        ))  # fmt: skip
    return found


# ---------------------------------------------------------------- serve


def measure_server(kills: int, seed: int, shared: Path) -> dict:
    """Kill the server of the package's model, `kills` times; the row of the table."""
    import requests

    photo = next(iter((shared / "drawn" / "train").iterdir()))
    place, draw = shared / "served-page", random.Random(f"serve {seed}")
    os.environ["TMPDIR"] = tempfile.tempdir = str(shared / "uploads")
    (shared / "uploads").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    work = Work(["serve", "--port", str(port)], Counter)

    def ask() -> str:
        sent = {"question": "what is it?"}
        with photo.open("rb") as file:
            files = {"image": file}
            url = f"http://127.0.0.1:{port}/answer"
            return requests.post(url, sent, files=files, timeout=LONGEST_S).text

    def begin() -> tuple[int, str]:
        """A server that listens: its process, and its answer."""
        child = start(work, place)
        while True:
            with suppress(requests.ConnectionError):
                return child, ask()
            time.sleep(0.1)

    def ask_without_end() -> None:
        with suppress(requests.RequestException):
            while True:
                ask()

    began = time.perf_counter()
    child, whole = begin()
    row = {"what": "serve", "seconds": round(time.perf_counter() - began, 2), "samples": 1,
           "kills": 0, "resumed": 0, "same_sha256": 0, "lost": 0, "doubled": 0}  # fmt: skip
    for _ in range(kills):
        with ThreadPoolExecutor(4) as clients:
            for _ in range(4):
                clients.submit(ask_without_end)
            time.sleep(2 * draw.random())
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        child, answer = begin()
        row["kills"] += 1
        row["resumed"] += 1
        row["same_sha256"] += answer == whole
        row["doubled"] += len(list((shared / "uploads").glob("vqa-serve-*"))) - 1  # but its own
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return row


if __name__ == "__main__":
    main()
