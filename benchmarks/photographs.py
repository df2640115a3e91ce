"""The experiments on real photographs: every preset, several seeds, beside its controls.

    python benchmarks/photographs.py --data DIR --presets GUSE_VGG GUSE_ResNet --seeds 5 --jobs 2

Runs are kept below `--runs`; what is finished is not trained again. Prints a table a model: top-1 and
its gain over the best blind guess, VQA accuracy, balanced pairs, the questions whose answer is one
thing (DAQUAR has several as one string) with their WUPS where WordNet is at hand, and the controls. `shuffled` is the same trained model given
the photographs of other questions; `random` is the preset trained on the same networks with random
weights, where `--random` asks for it. An ensemble of experiments is a row of its own: `--ensemble`.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vqa_helpers.api import load
from vqa_helpers.evaluation.compare import paired_difference
from vqa_helpers.evaluation.wordnet import find_wordnet
from vqa_helpers.evaluation.wups import is_one_thing, wups
from vqa_helpers.presets import PRESETS, find_preset
from vqa_helpers.recipe import Training, read_settings
from vqa_helpers.report.tables import results_table, score_of, to_markdown
from vqa_helpers.report.verdicts import read_answers
from vqa_helpers.runs import Experiment, find_experiments, run_folder
from vqa_helpers.training.inputs import Data, open_data
from vqa_helpers.training.loop import rank

COLUMNS = [
    "name", "px", "seeds", "top-1", "top-1 sd", "VQA accuracy", "pairs both right", "blind top-1",
    "gain over blind", "verdict", "train s",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a dataset folder")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--set", nargs="+", default=[], help="as `vqa train` takes them")
    parser.add_argument("--vision", help="another network")
    parser.add_argument("--fusion", help="another fusion")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--random", action="store_true", help="also with random weights")
    parser.add_argument("--ensemble", nargs="+", action="append", default=[], help="their names")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a thread each")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--features", type=Path, default=Path("features"))
    options = parser.parse_args()
    data = open_data(options.data, offline=True, features=options.features, device="cpu")
    train_all(data, options)
    found = find_experiments(options.runs, data.name)
    print(to_markdown(results_table(found)[COLUMNS]))
    for one in found:
        print(f"{one.name}: {controls(one, data)}")
    for names in options.ensemble:
        if lacking := set(names) - {one.name for one in found}:
            sys.exit(f"--ensemble {', '.join(sorted(lacking))}: has no run below {options.runs}")
        print(f"{' + '.join(names)}: {ensemble([one for one in found if one.name in names])}")


def train_all(data: Data, options: argparse.Namespace) -> None:
    """Every preset with every seed, a process each."""
    changes = [word for each in options.set for word in ("--set", each)]
    for slot in ("vision", "fusion"):
        if chosen := getattr(options, slot):
            changes += [f"--{slot}", chosen]

    def train(job: tuple[int, str, bool]) -> None:
        seed, preset, random = job
        recipe = find_preset(preset)
        (settings,) = read_settings(options.set)
        name = recipe.with_(options.vision, fusion=options.fusion, set=settings).name
        words = ["train", preset, "--data", options.data, "--offline", "--seed", seed, *changes]
        if random and recipe.vision:
            name += "+random"
            words += ["--weights", "random", "--image-size", 224]
        words += ["--out", run_folder(options.runs, data.name, name, seed)]
        words += ["--features", options.features]
        subprocess.run(
            [sys.executable, "-m", "vqa_helpers", *map(str, words)],
            check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    kinds = [False, True] if options.random else [False]
    jobs = [(s, p, r) for s in range(options.seeds) for p in options.presets for r in kinds]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(train, jobs))


def controls(experiment: Experiment, data: Data) -> str:
    """Scores of the questions whose answer is one thing, and of photographs exchanged."""
    answers = read_answers(experiment)
    truths = answers.asked["truth"].to_numpy()
    single = is_one_thing(truths)
    scores = {"one thing": answers.top1}
    ten_answered = answers.vqa is not None or experiment.runs[0].scored[1].get("vqa_of_ten")
    if not ten_answered and (wordnet := find_wordnet()):
        of_seed = [wups(first, truths, wordnet) for first in answers.first]
        scores |= {name: np.stack([one[name] for one in of_seed]) for name in of_seed[0]}
    images = answers.images[single]
    shown = [f"{name} {score_of(values[:, single], images)}" for name, values in scores.items()]
    text = f"{', '.join(shown)} of {single.sum():,}"
    run = experiment.runs[0]
    model = load(run.folder, device="cpu").model
    if model.vision is None or not model.vision.stored:
        return text
    training = Training(**run.config["training"])
    batches = data.batches(data.read(model), data.images(model.vision), training)[answers.split]
    examples, chance = batches.examples, torch.Generator().manual_seed(0)
    examples.image_row[:] = examples.image_row[torch.randperm(len(examples), generator=chance)]
    first = rank(model, batches, run.config["loss"])[0][:, 0]
    right = (first == examples.target).numpy().astype(float)
    shuffled = data.dataset.splits[answers.split]["image_id"].to_numpy()
    return f"{text}; shuffled, seed {run.config['seed']} {score_of(right, shuffled)}"


def ensemble(experiments: list[Experiment]) -> str:
    """The score of one answer a question, from all runs: each gives its five most probable answers
    their probabilities, and the largest sum wins."""
    answers = read_answers(experiments[0])
    runs = [run for one in experiments for run in one.runs]
    tables = [run.predictions[run.predictions["split"] == answers.split] for run in runs]
    given = pd.concat(tables).explode(["answers", "probabilities"])
    votes = given.groupby(["question_id", "answers"])["probabilities"].sum().reset_index()
    best = votes.sort_values("probabilities").groupby("question_id")["answers"].last()
    truths = answers.asked["truth"].to_numpy()
    right = (best.loc[answers.asked["question_id"]].to_numpy() == truths).astype(float)
    single, images = is_one_thing(truths), answers.images
    gain = paired_difference(right, answers.blind, images)
    parts = f"{score_of(right, images)}, one thing {score_of(right[single], images[single])}"
    return f"{parts}, over the blind guess {gain} {gain.verdict}, of {len(runs)} runs"


if __name__ == "__main__":
    main()
