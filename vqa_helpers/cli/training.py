"""`vqa features` and `vqa train`."""

import argparse
from pathlib import Path

from vqa_helpers.cli.words import (
    DONE,
    SOME_FAILED,
    add_language,
    add_vision,
    command,
    name_missing,
)
from vqa_helpers.errors import InputError

LOSSES = (
    "cross-entropy", "weighted-cross-entropy", "soft-cross-entropy", "binary-cross-entropy",
)  # fmt: skip


def add_commands(commands, common: argparse.ArgumentParser) -> None:
    """Add the commands to the parser."""
    features = command(
        commands, common, "features", _features, "compute image features, once per image"
    )
    features.add_argument("--data", required=True, metavar="NAME|DIR", help="the dataset")
    features.add_argument("--encoder", default="vgg16", help="vgg16, resnet18 or resnet50 (vgg16)")
    add_vision(features)
    features.add_argument("--offline", action="store_true", help="random weights")
    _add_train(commands, common)


def _add_train(commands, common: argparse.ArgumentParser) -> None:
    train = command(commands, common, "train", _train, "train a preset and measure it")
    train.add_argument("preset", help="an experiment, such as Improved_VQA2015_VGG")
    train.add_argument("--data", required=True, metavar="NAME|DIR", help="the dataset")
    train.add_argument(
        "--out", type=Path, metavar="RUN",
        help="run folder (runs/<dataset>/<preset>/<seed>); of several seeds, the folder above",
    )  # fmt: skip
    train.add_argument("--epochs", type=int, default=0, help="default: the schedule's own")
    train.add_argument("--seed", type=int, default=0, help="of weights and batches (0)")
    train.add_argument("--seeds", type=int, default=1, metavar="N",
                       help="train N times, from --seed on, and give mean and spread (1)")  # fmt: skip
    train.add_argument("--split-seed", type=int, default=0, metavar="N",
                       help="of the splits that have to be cut (0)")  # fmt: skip
    train.add_argument(
        "--schedule", choices=["auto", "study", "small"], default="auto",
        help="the study's, or the small one (default: small below 20,000 train questions)",
    )  # fmt: skip
    train.add_argument("--loss", choices=LOSSES, help="default: the preset's own")
    add_vision(train)
    add_language(train)
    train.add_argument(
        "--word-order", choices=["asked", "sorted-set"], default="asked",
        help="sorted-set: words as the study's notebooks fed them, their order lost (asked)",
    )  # fmt: skip
    train.add_argument("--glove", type=Path, metavar="FILE", help="GloVe text file, .gz or .zip")


def _features(options: argparse.Namespace) -> int:
    from vqa_helpers.data.build import open_dataset
    from vqa_helpers.experiment.options import Options
    from vqa_helpers.vision.extract import fill_store

    dataset = open_dataset(options.data)
    chosen = Options(
        weights=options.weights,
        image_size_px=options.image_size,
        offline=options.offline,
        device=options.device,
    ).resolved(dataset)
    if not dataset.images:
        raise InputError(f"{dataset.folder}: has no images, or none whose name ends in an image id")
    store = fill_store(
        options.features / dataset.image_source,
        dataset.images,
        encoder=options.encoder,
        weights=chosen.weights,
        size_px=chosen.image_size_px,
        device=chosen.device,
    )
    missing = name_missing(dataset.folder, dataset.missing_images())
    print(store.folder)
    return SOME_FAILED if missing or store.failed else DONE


def _train(options: argparse.Namespace) -> int:
    from vqa_helpers.data.build import open_dataset
    from vqa_helpers.experiment.conduct import conduct
    from vqa_helpers.experiment.prepare import prepare
    from vqa_helpers.model.presets import find_preset
    from vqa_helpers.report.board import pin_samples
    from vqa_helpers.report.seeds import summary_table
    from vqa_helpers.report.tables import score_table, to_markdown
    from vqa_helpers.runs import run_folder

    if options.seeds < 1:
        raise InputError(f"{options.seeds} seeds: use 1 or more")
    preset = find_preset(options.preset)
    dataset = open_dataset(options.data, options.split_seed)
    runs, unseen = [], []
    for seed in range(options.seed, options.seed + options.seeds):
        experiment = prepare(preset, dataset, _chosen(options, seed))
        name = experiment.preset.name
        out = options.out or run_folder(Path("runs"), dataset.name, name, seed)
        if options.out and options.seeds > 1:
            out = options.out / str(seed)
        run = conduct(experiment, out, set_aside=False)
        pin_samples(run, dataset)
        if run.config["stand_ins"]:
            print(f"stand-ins: {', '.join(run.config['stand_ins'])}")
        print(to_markdown(score_table(run.metrics)))
        print(run.folder)
        runs.append(run)
        unseen += experiment.unseen()
    if options.seeds > 1:
        print(to_markdown(summary_table(runs)))
    return SOME_FAILED if unseen else DONE


def _chosen(options: argparse.Namespace, seed: int):  # -> Options, imported only when needed
    from vqa_helpers.experiment.options import Options

    return Options(
        weights=options.weights,
        image_size_px=options.image_size,
        epochs=options.epochs,
        seed=seed,
        schedule=options.schedule,
        loss=options.loss and options.loss.replace("-", " "),
        offline=options.offline,
        features=options.features,
        glove=options.glove,
        sentence_encoder=options.sentence_encoder,
        word_order=options.word_order.replace("-", " "),
        device=options.device,
    )
