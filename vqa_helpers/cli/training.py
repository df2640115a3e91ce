"""`vqa features` and `vqa train`."""

import argparse
import logging
import os
from pathlib import Path

from vqa_helpers.cli.words import (
    DONE,
    SOME_FAILED,
    add_executor,
    add_language,
    add_vision,
    command,
    name_missing,
)
from vqa_helpers.cluster import executor_of
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
    add_executor(features)
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
    train.add_argument(
        "--precision", choices=["auto", "float32", "bfloat16"], default="auto",
        help="of training (bfloat16 on a GPU that has it, else float32)",
    )  # fmt: skip
    train.add_argument("--glove", type=Path, metavar="FILE", help="GloVe text file, .gz or .zip")
    train.add_argument(
        "--processes", type=int, default=1, metavar="N",
        help="share every batch among N processes, a GPU each (1); machines: accelerate launch",
    )  # fmt: skip
    add_executor(train)
    _add_fine_tuning(train)


def _add_fine_tuning(train: argparse.ArgumentParser) -> None:
    group = train.add_argument_group("fine-tuning the vision network (1.f, 1.fC)")
    group.add_argument("--vision-rate", type=float, default=0.0, metavar="RATE",
                       help="its own learning rate (default: that of the rest)")  # fmt: skip
    group.add_argument(
        "--accumulate", type=int, default=0, metavar="N",
        help="compute each batch in N parts, for less memory; any preset (1)",
    )  # fmt: skip
    group.add_argument(
        "--recompute", action="store_true",
        help="forget activations and compute them again: less memory, more time, same result",
    )  # fmt: skip
    group.add_argument("--crop", type=float, default=0.0, metavar="SHARE",
                       help="crop at random, at most this share of the area: 0.2 (0)")  # fmt: skip
    group.add_argument(
        "--jitter", type=float, default=0.0, metavar="SHARE",
        help="vary brightness, contrast and saturation by at most this share: 0.2 (0)",
    )  # fmt: skip
    group.add_argument(
        "--flip", action="store_true",
        help="mirror half of the photographs; questions of left and right then have wrong answers",
    )  # fmt: skip


def _features(options: argparse.Namespace) -> int:
    from vqa_helpers.data.build import open_dataset
    from vqa_helpers.experiment.options import Options
    from vqa_helpers.vision.extract import fill_store
    from vqa_helpers.vision.spread import spread

    dataset = open_dataset(options.data)
    far = options.executor == "ray"  # where devices are, and are chosen, by each worker
    chosen = Options(
        weights=options.weights,
        image_size_px=options.image_size,
        offline=options.offline,
        device="cpu" if far else options.device,
    ).resolved(dataset)
    if not dataset.images:
        raise InputError(f"{dataset.folder}: has no images, or none whose name ends in an image id")
    with executor_of(options) as map_units:
        store = fill_store(
            options.features / dataset.image_source,
            dataset.images,
            encoder=options.encoder,
            weights=chosen.weights,
            size_px=chosen.image_size_px,
            device=chosen.device,
            compute=spread(map_units, options.device) if far else None,
        )
    missing = name_missing(dataset.folder, dataset.missing_images())
    print(store.folder)
    return SOME_FAILED if missing or store.failed else DONE


def _train(options: argparse.Namespace) -> int:
    if options.seeds < 1:
        raise InputError(f"{options.seeds} seeds: use 1 or more")
    if options.processes < 1:
        raise InputError(f"{options.processes} processes: use 1 or more")
    if options.processes > 1 and options.executor != "local":
        raise InputError("--processes shares batches on this machine; leave --executor")
    launched = _launched()
    if launched > 1 and options.executor != "local":
        raise InputError(f"{launched} processes share batches; leave --executor")
    if options.processes > 1 and launched == 1:
        from vqa_helpers.cli.launch import launch

        return launch(options.words, options.processes)
    if options.processes not in (1, launched):
        raise InputError(
            f"--processes {options.processes}: but WORLD_SIZE says {launched}; leave one of the two"
        )
    from vqa_helpers.data.build import open_dataset
    from vqa_helpers.experiment.seeds import train_seeds
    from vqa_helpers.model.presets import find_preset
    from vqa_helpers.report.board import pin_samples
    from vqa_helpers.report.seeds import summary_table
    from vqa_helpers.report.tables import score_table, to_markdown
    from vqa_helpers.training.team import assemble

    team = assemble(options.device)
    if not team.main:
        logging.getLogger().setLevel(logging.ERROR)  # one voice
    preset = team.main_first(lambda: find_preset(options.preset))
    dataset = team.main_first(lambda: open_dataset(options.data, options.split_seed))
    seeds = range(options.seed, options.seed + options.seeds)
    runs, unseen = [], False
    with executor_of(options) as map_units:
        for trained in train_seeds(
            preset, dataset, _chosen(options, team.device or options.device), seeds,
            map_units=map_units, out=options.out, team=team,
        ):  # fmt: skip
            if not team.main:
                continue
            run = trained.run
            pin_samples(run, dataset)
            if run.config["stand_ins"]:
                print(f"stand-ins: {', '.join(run.config['stand_ins'])}")
            print(to_markdown(score_table(run.metrics)))
            print(run.folder)
            runs.append(run)
            unseen = unseen or bool(trained.unseen)
    if len(runs) > 1:
        runs.sort(key=lambda run: run.config["seed"])
        print(to_markdown(summary_table(runs)))
    team.leave()
    return SOME_FAILED if unseen else DONE


def _launched() -> int:
    """How many processes this one was launched with, itself counted."""
    count = os.environ.get("WORLD_SIZE", "1")
    if not count.isdecimal():
        raise InputError(f"WORLD_SIZE={count}: is not a number of processes; unset it")
    return max(int(count), 1)


def _augmentation(options: argparse.Namespace):  # -> Augmentation | None
    from vqa_helpers.model.config import Augmentation

    if not (options.flip or options.crop or options.jitter):
        return None
    return Augmentation(options.flip, options.crop, options.jitter)


def _chosen(options: argparse.Namespace, device: str):  # -> Options, imported only when needed
    from vqa_helpers.experiment.options import Options

    return Options(
        weights=options.weights,
        image_size_px=options.image_size,
        epochs=options.epochs,
        seed=options.seed,
        schedule=options.schedule,
        loss=options.loss and options.loss.replace("-", " "),
        offline=options.offline,
        features=options.features,
        glove=options.glove,
        sentence_encoder=options.sentence_encoder,
        word_order=options.word_order.replace("-", " "),
        device=device,
        precision=options.precision,
        accumulate=options.accumulate,
        vision_rate=options.vision_rate,
        augmentation=_augmentation(options),
        recompute=options.recompute,
    )
