"""Conduct an experiment: train, choose the epoch on validation, score test once, leave a run
folder.

An interrupted run goes on where it stopped and ends in the same files; a finished one is returned
as it is.
"""

import json
import logging
import math
import time
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from vqa_helpers.data.formats import write_results
from vqa_helpers.environment import environment
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.baselines import best_guesser, hits, measure_guesses
from vqa_helpers.evaluation.calibration import calibrate
from vqa_helpers.evaluation.compare import against
from vqa_helpers.evaluation.metrics import measure, score
from vqa_helpers.experiment.board import write_board
from vqa_helpers.experiment.guesses import blind_guesses
from vqa_helpers.experiment.leaks import find_leaks
from vqa_helpers.experiment.prepare import Experiment
from vqa_helpers.files import locked, remove_partials
from vqa_helpers.model.config import DEFAULT_LOSS
from vqa_helpers.runs import (
    CONFIG,
    ENVIRONMENT,
    HISTORY,
    METRICS,
    PREDICTION_COLUMNS,
    PREDICTIONS,
    TIMING,
    Run,
    is_done,
    mark_done,
    write_history,
    write_json,
    write_predictions,
)
from vqa_helpers.training.checkpoint import (
    CHECKPOINT,
    load_checkpoint,
    load_model,
    model_is_whole,
    remove_checkpoint,
    save_checkpoint,
    save_model,
)
from vqa_helpers.training.events import open_writer
from vqa_helpers.training.loop import Epoch, Trainer, rank
from vqa_helpers.training.losses import loss_function
from vqa_helpers.training.step import resolve_precision

log = logging.getLogger(__name__)

RESULTS = "results_{split}.json"  # for the evaluation server
SPLIT = "split.json"
LATER_SCHEDULE = {"accumulate": 1, "vision_rate": None, "augmentation": None}


def conduct(experiment: Experiment, folder: Path, set_aside: bool = True) -> Run:
    """Train and measure, or return the run that `folder` already holds.

    A second process that trains into the same folder waits for the first. Of several processes that
    train together all take part, and the main one alone reads and writes the folder.

    Args:
        set_aside: a finished run with other settings is kept beside, as `<folder>.1`, `.2`, …;
            otherwise it is an error.

    Raises:
        InputError: when `folder` holds a finished run with other settings, and that may not be
            moved; when the experiment knows anything of validation or test.
    """
    # Beside the folder, not inside: setting it aside must not take the lock along.
    with ExitStack() as held:

        def lock() -> None:
            held.enter_context(locked(folder.with_name(f".{folder.name}.lock"), folder))

        experiment.team.from_main(lock)
        return _conduct(experiment, folder, set_aside)


def _conduct(experiment: Experiment, folder: Path, set_aside: bool) -> Run:
    config, team = experiment.config(), experiment.team
    if team.from_main(lambda: _finished(folder, config, set_aside)):
        team.from_main(lambda: remove_checkpoint(folder))  # of one that was killed at its very end
        log.info("%s: is finished; nothing to do", folder)
        return Run(folder)
    team.from_main(lambda: _begin(experiment, folder, config))
    train_s = _train(experiment, folder, config)
    start = time.perf_counter()
    ranked = _answer(experiment, folder)

    def end() -> None:
        _measure(experiment, folder, ranked)
        answered = len(experiment.batches["train"]) * experiment.options.epochs
        write_json(
            folder / TIMING,
            {
                "features_s": experiment.seen.seconds,
                "train_s": train_s,
                "evaluate_s": time.perf_counter() - start,
                "samples_per_s": answered / train_s,
            },
        )
        mark_done(folder, leave_out=CHECKPOINT)
        remove_checkpoint(folder)  # after: a kill in between must not cost the whole training

    team.from_main(end)
    return Run(folder)


def _begin(experiment: Experiment, folder: Path, config: dict) -> None:
    """Write down what is going to be trained, from what."""
    if leaks := find_leaks(experiment):
        raise InputError(
            f"{experiment.dataset.folder}: what is trained would know more than the train split "
            f"({'; '.join(leaks)}); mend the splits or prepare the experiment anew"
        )
    folder.mkdir(parents=True, exist_ok=True)
    remove_partials(folder)
    write_json(folder / CONFIG, config)
    write_json(folder / SPLIT, experiment.dataset.split_record())
    write_json(
        folder / ENVIRONMENT,
        environment(
            experiment.options.device,
            processes=experiment.team.count,
            data_sha256=config["data_sha256"],
            features_sha256=experiment.seen.sha256,
            precision=_precision(experiment),
        ),
    )
    experiment.vocabularies.save(folder)


def _finished(folder: Path, config: dict, set_aside: bool) -> bool:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder for the run")
    if not is_done(folder):
        return False
    kept = Run(folder).config
    wanted = json.loads(json.dumps(config))
    kept.setdefault("loss", DEFAULT_LOSS)  # runs of old versions had no other
    kept.setdefault("split_rule", "by-image")
    kept["training"] = {**LATER_SCHEDULE, **kept.get("training", {})}
    different = [name for name in wanted if kept.get(name) != wanted[name]]
    if different and set_aside:
        names = (folder.with_name(f"{folder.name}.{number}") for number in count(1))
        beside = next(name for name in names if not name.exists())
        folder.rename(beside)
        log.info("%s: the run with another %s is kept as %s", folder, different[0], beside)
        return False
    if different:
        name = different[0]
        raise InputError(
            f"{folder}: holds a finished run with another {name} ({_short(kept.get(name))}, not "
            f"{_short(wanted[name])}); choose another folder or remove this one"
        )
    return True


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _precision(experiment: Experiment) -> str:
    options = experiment.options
    return resolve_precision(options.precision, torch.device(options.device))


def _train(experiment: Experiment, folder: Path, config: dict) -> float:
    """Train to the last epoch; the best epoch's model lies in the folder. Returns the seconds."""
    trainer = Trainer(
        experiment.model,
        experiment.schedule,
        experiment.options.seed,
        loss_function(experiment.preset.loss, experiment.class_weights),
        _precision(experiment),
        capture=not experiment.options.recompute,  # a graph cannot hold what is computed again
        team=experiment.team,
    )
    history: list[dict] = []
    team = experiment.team
    checkpoint = team.from_main(lambda: _left_behind(folder, config))
    if checkpoint is not None:
        trainer.restore(checkpoint["trainer"])
        history = json.loads(checkpoint["history"])
        log.info("%s: goes on after epoch %d", folder, trainer.epoch)
    writer = open_writer(folder, trainer.epoch + 1) if team.main else None
    epochs = trainer.fit(
        experiment.batches["train"],
        experiment.batches["validation"],
        experiment.options.epochs,
        experiment.score,
    )

    def keep(epoch: Epoch, better: bool) -> None:
        _refuse_divergence(folder, epoch)
        if better:
            save_model(folder, experiment.model)
        write_history(folder / HISTORY, _without_times(history))
        save_checkpoint(
            folder,
            {
                "config": json.dumps(config, sort_keys=True),
                "history": json.dumps(history),
                "trainer": trainer.state(),
            },
        )
        _record_events(writer, epoch)
        log.info("%s", _line(epoch, experiment.options.epochs, better))

    for epoch in epochs:
        better = all(epoch.validation_top1 > row["validation_top1"] for row in history)
        history.append(asdict(epoch))
        team.from_main(partial(keep, epoch, better))
    if writer is not None:
        writer.close()
    return sum(row["train_s"] for row in history)


def _refuse_divergence(folder: Path, epoch: Epoch) -> None:
    if not math.isfinite(epoch.train_loss):
        raise InputError(
            f"{folder}: training has diverged: the loss of epoch {epoch.epoch} is not finite; use "
            "a lower learning rate (--vision-rate), or --precision float32"
        )


def _left_behind(folder: Path, config: dict) -> dict | None:
    """The checkpoint to go on from, if an interrupted run of the same settings left one."""
    checkpoint = load_checkpoint(folder)
    if checkpoint is None:
        return None
    if not model_is_whole(folder):
        log.warning("%s: the best epoch's model is lost; the run starts again", folder)
        return None
    if checkpoint["config"] != json.dumps(config, sort_keys=True):
        log.info("%s: the settings have changed; the run starts again", folder)
        return None
    return checkpoint


def _without_times(history: list[dict]) -> list[dict]:
    # Seconds differ from run to run; the history of a resumed run must not.
    return [{name: row[name] for name in row if name != "train_s"} for row in history]


def _record_events(writer, epoch: Epoch) -> None:
    for name, value in asdict(epoch).items():
        if name != "epoch" and value is not None:
            tag = name.replace("_", "/", 1) if name.startswith(("train", "validation")) else name
            writer.add_scalar(tag, value, epoch.epoch)
    writer.flush()


def _line(epoch: Epoch, epochs: int, better: bool) -> str:
    vqa = "" if epoch.validation_vqa is None else f", VQA {epoch.validation_vqa:.2f} %"
    return (
        f"epoch {epoch.epoch}/{epochs}: train loss {epoch.train_loss:.4f}, top-1 "
        f"{epoch.train_top1:.2f} %; validation loss {epoch.validation_loss:.4f}, top-1 "
        f"{epoch.validation_top1:.2f} %{vqa}; {epoch.train_s:.1f} s{' (best)' if better else ''}"
    )


def _answer(experiment: Experiment, folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """What the chosen epoch's model ranks first in every split but train: ids and probabilities."""
    model = experiment.model
    experiment.team.from_main(lambda: load_model(folder, model))
    experiment.team.spread(model)
    return {
        split: rank(model, batches, loss=experiment.preset.loss)
        for split, batches in experiment.batches.items()
        if split != "train"
    }


def _measure(
    experiment: Experiment, folder: Path, answers: dict[str, tuple[Tensor, Tensor]]
) -> None:
    """Write the answers to every split but train: results JSON, and where the truth is known
    predictions and metrics."""
    dataset, vocabulary = experiment.dataset, experiment.vocabularies.answers
    answered = [split for split in ("validation", "test") if dataset.answered(split)]
    kept = experiment.options.features / dataset.name / "guesses"
    guesses = blind_guesses(dataset, answered, kept)
    rows: list[dict] = []
    metrics = {}
    for split, table in dataset.splits.items():
        if split == "train":
            continue
        ids, probabilities = answers[split]
        ranked = [[vocabulary.answers[i] for i in row] for row in ids.tolist()]
        first = [row[0] for row in ranked]
        write_results(folder / RESULTS.format(split=split), table["question_id"], first)
        if split == "export":
            continue  # for the evaluation server alone
        columns = dict.fromkeys(PREDICTION_COLUMNS, [None] * len(table)) | {
            "split": [split] * len(table),
            "question_id": table["question_id"].tolist(),
            "image_id": table["image_id"].tolist(),
            "answers": ranked,
            "probabilities": [[round(p, 6) for p in row] for row in probabilities.tolist()],
        }
        if split in answered:
            scores = score(table, ranked, vocabulary)
            best = best_guesser(guesses[split], table)
            blind = guesses[split][best]
            metrics[split] = {
                **measure(table, scores, vocabulary),
                "calibration": calibrate(probabilities[:, 0].numpy(), scores.top1),
                "baselines": measure_guesses(guesses[split], table),
                "against_blind": against(best, scores.top1, hits(blind, table), table["image_id"]),
            }
            columns |= {"truth": table["answer"].tolist(), "blind": blind}
            if scores.vqa is not None:
                columns["vqa"] = scores.vqa.round(6).tolist()
        entries = zip(*columns.values(), strict=True)
        rows += [dict(zip(columns, entry, strict=True)) for entry in entries]
    write_predictions(folder / PREDICTIONS, rows)
    write_json(folder / METRICS, metrics)
    write_board(experiment, folder, metrics)
