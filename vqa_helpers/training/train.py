"""Train a model and measure it: the epoch is chosen on validation, test is scored once, a run folder
is left.

An interrupted run goes on where it stopped and ends in the same files; a finished one is returned
as it is. What makes two runs the same is the live model (classes, keywords, shapes), the training,
the data and the seed.
"""

import json
import logging
import math
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import MISSING, asdict, fields
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, gather_object

from vqa_helpers import runs as run_files
from vqa_helpers.data.folder import require_seed
from vqa_helpers.environment import environment, pick_precision
from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import locked, read_json, remove_partials, write_json
from vqa_helpers.pieces.identity import structure_of
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.pieces.pretrained import HUB
from vqa_helpers.presets import PRESETS, find_preset
from vqa_helpers.recipe import (
    Recipe,
    Training,
    differences,
    folder_name,
    named,
    training_differences,
)
from vqa_helpers.runs import Experiment, Run, mark_done, run_folder, write_history
from vqa_helpers.training import checkpoint, measuring, refusals
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.inputs import Data
from vqa_helpers.training.loop import Trainer, evaluate
from vqa_helpers.training.losses import Loss, inverse_frequencies, prior_logits
from vqa_helpers.training.tensorboard import open_writer, record_epoch

log = logging.getLogger(__name__)

LONGEST_WAIT = timedelta(hours=24)  # for the main process, which may compute features beforehand
PAUSE = 30  # between two checkpoints: so many times the seconds that the last one took
NOT_COMPARED = ("name", "preset", "source")  # how a run is called, not what it is


def train(
    model: VQAModel, data: Data, training: Training, folder: Path | str | None = None, *,
    preset: str = "", seed: int = 0, epochs: int = 0, runs: Path | str = "runs",
    set_aside: bool = True, zero_shot: bool = False,
) -> Run:  # fmt: skip
    """Train and measure a model, or return the run that its folder already holds.

    A second process that trains into the same folder waits for the first. Of several processes that
    train together (`accelerate launch`) all take part, and the main one alone writes the folder.

    Args:
        folder: the run folder; None is `<runs>/<dataset>/<name>/<seed>`, where the name is the
            preset's and what differs from it.
        preset: the experiment that the model is, or changes.
        seed: of shuffling and dropout. The model's own weights are drawn where it is built: call
            `torch.manual_seed(seed)` before.
        epochs: the length of this run; 0 is the training's own.
        set_aside: a run of something else, finished or interrupted, is kept beside, as
            `<folder>.1`, `.2`, …; otherwise it is an error.
        zero_shot: a published model is measured as it is; its run has one epoch, number 0.

    Raises:
        InputError: when `folder` holds a run of something else that may not be moved, or other
            files, or the data lack what the model needs.
    """
    require_seed(seed)
    if epochs < 0:
        raise InputError(f"{epochs} epochs: use 1 or more, or 0 for the schedule's own")
    refusals.refuse_unusable_settings(model, training, data.dataset)
    refusals.refuse_unrecorded(model, data)
    name, epochs = name_of(model, data, training, preset), epochs or training.epochs
    if zero_shot:
        if not hasattr(model.classifier, "pretrained"):
            raise InputError(f"{name}: has learnt nothing yet; zero-shot is for hf:NAME")
        name, epochs = f"{name}+epochs=0", 0
    folder = Path(folder) if folder else run_folder(Path(runs), data.name, folder_name(name), seed)
    accelerator = _accelerator(data.device)
    main, device = accelerator.is_main_process, str(accelerator.device)
    share = (accelerator.process_index, accelerator.num_processes)
    # Beside the folder, not inside: setting it aside must not take the lock along.
    lock = locked(folder.with_name(f".{folder.name}.lock"), folder)
    with lock if main else nullcontext():
        found = None
        if main:  # alone: the others may see a folder that is being written
            precisions = _precisions(folder, model, data, training)
            config = _config(model, data, training, precisions, name, preset, seed, epochs)
            found = config, _finished(folder, config, set_aside)
        [(config, done)] = broadcast_object_list([found])
        if done:
            log.info("%s: is finished; nothing to do", folder)
            return Run(folder)
        training = Training(**config["training"])
        read = data.read(model)  # first: what is wrong shows before hours of feature extraction
        images = data.images(model.vision, device, seed, config["features_precision"])
        batches = data.batches(read, images, training, device, share)
        refusals.refuse_unfit_pieces(model, batches["validation"], len(data.answers))
        if main:
            _open_folder(folder, model, data, config)
        accelerator.wait_for_everyone()
        train_s = _fit(model, data, training, batches, folder, config, accelerator)
        unseen = gather_object(images.unseen())  # each process decodes photographs of its own
        if main:
            start = time.perf_counter()
            with refusals.own_pieces_named(model):
                measuring.measure_run(folder, config, model, data, batches)
            answered = len(batches["train"]) * config["epochs"]
            timing = {
                "features_s": images.seconds,
                "train_s": train_s,
                "evaluate_s": time.perf_counter() - start,
                "samples_per_s": answered / train_s if train_s else None,
                "unseen_images": len({*unseen, *images.unseen()}),
            }
            write_json(folder / run_files.TIMING, timing)
            machine = environment(
                device, processes=share[1], precision=training.precision,
                features_precision=config["features_precision"],
                data=str(data.dataset.folder.resolve()),
            )  # fmt: skip
            write_json(folder / run_files.ENVIRONMENT, machine)
            mark_done(folder, leave_out=checkpoint.CHECKPOINT)
            # After: a kill in between must not cost all the training.
            checkpoint.remove_checkpoint(folder)
        accelerator.wait_for_everyone()
    return Run(folder)


def train_recipe(
    recipe: Recipe, data: Data, folder: Path | str | None = None, *, seed: int = 0, **options: Any
) -> Run:
    """Build the model of a recipe and train it; `options` are those of `train`."""
    require_seed(seed)
    model = data.build(recipe, seed)
    preset = (recipe.preset or recipe).name
    schedule = recipe.schedule(data.train_questions)
    return train(model, data, schedule, folder, preset=preset, seed=seed, **options)


def train_seeds(
    recipe: Recipe, data: Data | Sequence[Data], seeds: Sequence[int], *, name: str = "",
    **options: Any,
) -> Experiment:  # fmt: skip
    """Train a recipe once per seed, or find the existing runs; logs one line in the end.

    Args:
        data: the same for all seeds, or one for each.
        name: of the experiment in tables; without one, the name of its runs.
        options: those of `train`.
    """
    if not seeds:
        raise InputError("no seeds: use 1 or more")
    each = [data] * len(seeds) if isinstance(data, Data) else data
    runs = []
    for one, seed in zip(each, seeds, strict=True):
        level = log.level
        log.setLevel(logging.WARNING)  # a line an epoch would bury what a reader looks for
        try:
            runs.append(train_recipe(recipe, one, seed=seed, **options))
        finally:
            log.setLevel(level)
    found = Experiment(name or runs[0].name, runs[0].config["dataset"], tuple(runs))
    scores = ", ".join(f"{run.best_epoch['validation_top1']:.1f}" for run in runs)
    which = f"seed{'s' * (len(runs) > 1)} {', '.join(map(str, seeds))}"
    log.info("%s on %s: validation top-1 %s %% (%s)", found.name, found.dataset, scores, which)
    return found


def name_of(model: VQAModel, data: Data, training: Training, preset: str) -> str:
    """The name of a run: the preset and what differs from it, or without a preset its classes."""
    choices = model.choices()
    if preset not in PRESETS and not preset.startswith(HUB):
        classes = [choice.made_by.__name__ for choice in choices.values() if choice]
        return preset or "-".join(classes)
    recipe = find_preset(preset)
    usual = {slot: data.usual(slot, choice) for slot, choice in choices.items()}
    changes = differences(recipe, choices, usual)
    schedules = recipe.schedule(data.train_questions), recipe.training, recipe.small
    changes |= training_differences(training, schedules)
    return named(preset, changes)


# ---------------------------------------------------------------- what a run is


def _precisions(folder: Path, model: VQAModel, data: Data, training: Training) -> tuple[str, str]:
    """The precision of training and of its features. Unless one is asked for, an interrupted run
    keeps its own, on any machine."""
    chosen = (training.precision, data.precision, pick_precision(data.device))
    wanted = next(c for c in chosen if c != "auto"), data.features_precision(model.vision)
    if data.precision != "auto":
        return wanted
    try:
        kept = Run(folder).config
        begun = kept["training"].get("precision", "float32"), kept["features_precision"]
    except (InputError, LookupError, AttributeError):  # nothing was begun, or nothing readable
        return wanted
    return begun if training.precision == "auto" else (wanted[0], begun[1])


def _config(
    model: VQAModel, data: Data, training: Training, precisions: tuple[str, str], name: str,
    preset: str, seed: int, epochs: int,
) -> dict:  # fmt: skip
    """The contents of `config.json`; a run with different contents is a different run."""
    dataset, vision, language = data.dataset, model.vision, model.language
    words = model.words(data.words)
    pieces = [getattr(model, slot) for slot in model.choices()]
    recipe = PRESETS.get(preset)
    return {
        "name": name,
        "preset": preset or name,
        "source": recipe.source if recipe else "no preset",
        "dataset": dataset.name,
        "data_sha256": dataset.sha256(),
        "split_rule": dataset.rule,
        "seed": seed,
        "epochs": epochs,
        "training": asdict(training) | {"precision": precisions[0]},
        "loss": training.loss,
        "model": {slot: c.record() if c else None for slot, c in model.choices().items()},
        "structure": structure_of(model),
        "weights": getattr(vision, "weights", None),
        "weights_source": getattr(vision, "source", None),
        "image_size_px": getattr(vision, "size_px", data.square_px) if vision is not None else None,
        "standardised": bool(getattr(vision, "standardised", False)),
        "question_source": getattr(language, "source", None),
        "stand_ins": [p.stand_in for p in pieces if getattr(p, "stand_in", None)],
        "answers": len(data.answers),
        "words": None if words is None else len(words),
        "word_coverage": data.word_coverage(model),
        "parameters": model.parameter_count(),
        "features_precision": precisions[1],
    }


def _finished(folder: Path, config: dict, set_aside: bool) -> bool:
    """Whether the folder holds this run, finished; a run of something else is set aside or refused,
    and so is a folder of other files."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder for the run")
    done, begun = (folder / run_files.DONE).is_file(), (folder / checkpoint.CHECKPOINT).is_file()
    if not done and "structure" not in read_json(folder / run_files.CONFIG):
        foreign = [] if begun else sorted(folder.glob("[!.]*"))
        if foreign:
            line = f"holds {foreign[0].name} and no run; name a new folder, or an empty one"
            raise InputError(f"{folder}: {line}")
        return False  # new, or of a run whose checkpoint says what it is
    if not done and not begun:
        return False
    kept, wanted = Run(folder).config, json.loads(json.dumps(config))
    for slot, record in wanted["model"].items():
        with suppress(KeyError, TypeError):  # no piece there, or no record of one
            # A keyword that came to the class since: `structure` says whether it changes anything.
            was = kept["model"][slot]
            was["keywords"] = record["keywords"] | was["keywords"]
    numbers = {f.name: f.default for f in fields(Training) if f.default is not MISSING}
    numbers["precision"] = "float32"  # of those that do not say
    kept["training"] = numbers | (kept.get("training") or {})  # so for one that came to schedules
    different = [name for name in wanted if kept.get(name) != wanted[name]]
    field = next((name for name in different if name not in NOT_COMPARED), None)
    if field is None:
        if done:
            checkpoint.remove_checkpoint(folder)  # of one that was killed at its very end
        return done
    if set_aside:
        names = (folder.with_name(f"{folder.name}.{number}") for number in count(1))
        beside = next(name for name in names if not name.exists())
        folder.rename(beside)
        log.info("%s: the run that differs in %s is kept as %s", folder, field, beside)
        return False
    raise InputError(
        f"{folder}: holds {'a finished' if done else 'an interrupted'} run that differs in {field} "
        f"({_short(kept.get(field), wanted[field])}, not {_short(wanted[field], kept.get(field))}); "
        "choose another folder or remove this one"
    )


def _short(value: object, other: object) -> str:
    """A value as an error shows it."""
    text = json.dumps(_otherwise(value, other))
    return text if len(text) <= 60 else text[:57] + "…"


def _otherwise(value: object, other: object) -> object:
    """A value; for a mapping only the entries that differ from another."""
    if not (isinstance(value, dict) and isinstance(other, dict)):
        return value
    changed = {name: one for name, one in value.items() if one != other.get(name)}
    return {name: _otherwise(one, other.get(name)) for name, one in changed.items()}


# ---------------------------------------------------------------- training


def _open_folder(folder: Path, model: VQAModel, data: Data, config: dict) -> None:
    """Write what a run folder holds before the first epoch."""
    remove_partials(folder)
    words = model.words(data.words)
    known = {"answers": list(data.answers.answers), "words": words and list(words.words)}
    write_json(folder / run_files.CONFIG, config)
    write_json(folder / run_files.SPLIT, data.dataset.split_record())
    write_json(folder / run_files.VOCABULARY, known)


def _accelerator(device: str) -> Accelerator:
    """This process, or those launched together, with a device each."""
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}: use cpu, cuda, or auto for a GPU where there is one")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda': there is no GPU that torch can use here; try cpu")
    cpu = device == "cpu" or not torch.cuda.is_available()
    waiting = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    try:
        return Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[waiting])
    except ValueError as error:
        raise InputError(
            f"the processes cannot be brought together ({one_line(error)}; WORLD_SIZE="
            f"{os.environ.get('WORLD_SIZE')}); start them with `accelerate launch -m vqa_helpers`"
        ) from None


def _fit(
    model: VQAModel, data: Data, training: Training, batches: dict[str, Batches], folder: Path,
    config: dict, accelerator: Accelerator,
) -> float:  # fmt: skip
    """Train to the last epoch, keeping the best epoch's model in the folder. Returns the seconds."""
    train, validation, epochs = batches["train"], batches["validation"], config["epochs"]
    main, answers = accelerator.is_main_process, len(data.answers)
    if training.loss == "binary cross entropy" and hasattr(model.classifier, "start_from"):
        model.classifier.start_from(prior_logits(train.examples.soft, answers))
    loss = Loss(training.loss, inverse_frequencies(train.examples.target, answers))
    score = partial(measuring.validation_score, data)
    trainer = Trainer(model, training, loss, accelerator, config["seed"], score)
    history, writer, best = [], None, None
    rested = -math.inf  # when the next checkpoint may be written
    if not epochs and main:
        found, predictions = evaluate(model, validation, loss)
        right = 100 * (predictions == validation.examples.target).float().mean().item()
        scores = {"validation_top1": right, "validation_vqa": score(predictions)}
        row = {"epoch": 0, "validation_loss": found} | scores
        write_history(folder / run_files.HISTORY, [row])
        checkpoint.save_model(folder, checkpoint.copy_of(model))
    if (kept := checkpoint.load_checkpoint(folder, config)) is not None:
        trainer.restore(kept["trainer"])
        history = json.loads(kept["history"])
        log.info("%s: goes on after epoch %d", folder, trainer.epoch)
    judged = len(validation.examples.learnable()) > 0  # else its loss is not defined
    while trainer.epoch < epochs:
        with refusals.own_pieces_named(model):
            epoch = trainer.run_epoch(train, validation, epochs)
        losses = [epoch.train_loss, epoch.validation_loss][: 1 + judged]
        if not all(map(math.isfinite, losses)):
            raise InputError(
                f"{folder}: training has diverged: the loss of epoch {epoch.epoch} is not finite; "
                "use a lower learning rate (--set learning_rate=…, vision_rate=…)"
            )
        better = all(epoch.validation_top1 > row["validation_top1"] for row in history)
        history.append(asdict(epoch))
        if main:
            if better:
                best = checkpoint.copy_of(model)
            # Seconds differ from run to run; the history of a resumed run must not.
            without_times = [{k: v for k, v in row.items() if k != "train_s"} for row in history]
            write_history(folder / run_files.HISTORY, without_times)
            start = time.monotonic()
            if start >= rested or trainer.epoch == epochs:
                if best is not None:
                    checkpoint.save_model(folder, best)
                    best = None
                texts = {"config": json.dumps(config, sort_keys=True)}
                texts["history"] = json.dumps(history)
                state = trainer.state() if trainer.epoch < epochs else {"epoch": epochs}
                checkpoint.save_checkpoint(folder, texts | {"trainer": state})
                rested = time.monotonic() + PAUSE * (time.monotonic() - start)
            writer = writer or open_writer(folder, epoch.epoch)
            record_epoch(writer, asdict(epoch))
            log.info("%s%s", epoch.line(epochs), " (best)" if better else "")
        accelerator.wait_for_everyone()
    if writer is not None:
        writer.close()
    return sum(row["train_s"] for row in history)
