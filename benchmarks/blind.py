"""What can be had without looking: every blind guesser, every blind model, every loss.

    python benchmarks/blind.py --data DIR --report-on valid --seeds 5 --jobs 2

Trains on the `train` files of a dataset folder, chooses epochs on a part of them, cut by image,
and reports on the split that `--report-on` names. Runs are kept below `--out`; what is finished is
not trained again. Prints three tables: the guessers, the models (mean over seeds, spread,
interval), and every model against every other.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

from vqa_helpers.data.folder import Dataset, read_folder
from vqa_helpers.presets import find_preset
from vqa_helpers.report.factors import guesser_table
from vqa_helpers.report.tables import results_table, to_markdown
from vqa_helpers.report.verdicts import pair_table
from vqa_helpers.runs import find_experiments, run_folder

# Preset, loss, epochs: enough for the validation score to stop rising.
MODELS = [
    ("Bag_Of_Words", "cross entropy", 8),
    ("Bag_Of_Words", "weighted cross entropy", 8),
    ("Bag_Of_Words", "soft cross entropy", 8),
    ("Bag_Of_Words", "binary cross entropy", 8),
    ("Question_Only", "soft cross entropy", 6),
    ("Question_Only", "cross entropy", 10),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a dataset folder")
    parser.add_argument("--report-on", default="valid", metavar="SPLIT", help="as its files say")
    parser.add_argument("--out", type=Path, default=Path("runs") / "blind")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="of every model, instead of its own number")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a thread each")
    parser.add_argument("--json", type=Path, help="write the tables' rows there")
    options = parser.parse_args()
    dataset = read_folder(arrange(options.data, options.report_on, options.out))
    train_all(dataset, options)
    experiments = find_experiments(options.out, dataset.name)
    tables = {
        "guessers": guesser_table(dataset, "test"),
        "models": results_table(experiments),
        "pairs": pair_table(combinations(experiments, 2)),
    }
    for name, table in tables.items():
        print(f"\n{name}\n\n{to_markdown(table)}")
    if options.json:
        rows = {name: table.astype(str).to_dict("records") for name, table in tables.items()}
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def arrange(data: Path, report_on: str, out: Path) -> Path:
    """A folder of links in which the split to report on is the test split; nothing is copied."""
    folder = out / "data" / data.resolve().name
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("questions", "annotations"):
        for split, name in (("train", "train"), (report_on, "test")):
            for suffix in (".json", ".json.gz"):
                file = data / f"{kind}_{split}{suffix}"
                link = folder / f"{kind}_{name}{suffix}"
                if file.exists() and not link.exists():
                    link.symlink_to(file.resolve())
    return folder


def train_all(dataset: Dataset, options: argparse.Namespace) -> None:
    """Every model with every seed, a process each; the cheap ones come first."""

    def train(job: tuple[int, str, str, int]) -> None:
        seed, preset, loss, epochs = job
        name = find_preset(preset).with_(set={"loss": loss}).name
        words = ["train", preset, "--data", dataset.folder, "--set", f"loss={loss}"]
        words += ["--seed", seed, "--epochs", options.epochs or epochs]
        words += ["--out", run_folder(options.out, dataset.name, name, seed)]
        subprocess.run(
            [sys.executable, "-m", "vqa_helpers", *map(str, words)],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    jobs = [(seed, *model) for model in MODELS for seed in range(options.seeds)]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(train, jobs))


if __name__ == "__main__":
    main()
