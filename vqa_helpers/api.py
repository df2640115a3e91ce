"""Load a trained run to ask it questions.

The run folder contains everything except a frozen vision network, which is restored from its source
(ImageNet, a seed, a file). Nothing that a run folder names is imported or executed: classes that
are not the package's are named by the user.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from torch import nn

from vqa_helpers.answering import Answerer
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.environment import pick_device
from vqa_helpers.errors import InputError
from vqa_helpers.pictures import SUFFIXES
from vqa_helpers.pieces.choice import SLOTS, choice_from, read_pieces
from vqa_helpers.pieces.identity import structure_of
from vqa_helpers.pieces.pretrained import HUB, own_answers
from vqa_helpers.pieces.sentences import MULTILINGUAL, USE
from vqa_helpers.pieces.vision import NetworkInLoop
from vqa_helpers.presets import find_preset
from vqa_helpers.recipe import LOSSES
from vqa_helpers.runs import CONFIG, VOCABULARY, Run, find_runs
from vqa_helpers.training.checkpoint import load_model
from vqa_helpers.training.inputs import build_model

log = logging.getLogger(__name__)

VISION = "vision.safetensors"  # of an exported run: a vision network that nobody publishes
SHIPPED = Path(__file__).with_name("shipped")  # the model that comes with the package

_READ = {  # what is read here of a run's configuration
    "model": dict, "structure": str, "loss": str, "dataset": str, "weights_source": str | None,
    "image_size_px": int | None, "question_source": str | None, "stand_ins": list,
}  # fmt: skip


def load(
    folder: Path | str | None = None, *, device: str = "auto", weights: str | None = None,
    encoder: Path | None = None, own: Mapping[str, type[nn.Module]] | Path | None = None,
    features: Path | None = None,
) -> Answerer:  # fmt: skip
    """Load a finished run, the model that comes with the package, or a published one.

    Args:
        folder: the run folder; None for the model that comes with the package; "hf:NAME" for a
            published one, as `pieces.pretrained` reads it.
        features: where sentence vectors are kept, below `sentences`; None keeps them in memory.
        weights: the file of the vision network's weights, where it has moved.
        encoder: the folder of the sentence encoder, where the run was trained with one.
        own: classes that are not the package's, by name, or the Python file that defines them.

    Raises:
        InputError: for a folder that holds no finished run, a class that is not here, or weights
            that are not the run's.
    """
    folder, device = SHIPPED if folder is None else Path(folder), pick_device(device)
    if folder.as_posix().startswith(HUB):
        return _published(folder.as_posix(), device)
    run = Run(folder)
    if not run.finished:
        raise InputError(f"{folder}: {_why_no_run(folder)}")
    run.verify()
    config = _checked_config(run)
    classes = read_pieces(own) if isinstance(own, Path | str) else own or {}
    records = config["model"]
    choices = dict.fromkeys(SLOTS)
    for slot in SLOTS:  # one of the two sides may be missing, on purpose
        if slot in ("fusion", "classifier") or records.get(slot) is not None:
            where = f"{folder}/{CONFIG}"
            choices[slot] = choice_from(slot, records.get(slot), classes, where)
    vision = choices["vision"]
    if vision and issubclass(vision.made_by, NetworkInLoop):
        trained = vision.keywords.get("trained", "none") != "none"
        if trained and vision.keywords.get("weights") != "packaged":
            weights = "random"  # the run holds all of a network that was trained
    if (folder / VISION).is_file():
        weights = weights or folder / VISION
    if weights and vision:
        choices["vision"] = vision.with_(weights=str(weights))
    language = choices["language"]
    if language and encoder and "encoder" in language.settable():
        choices["language"] = language.with_(encoder=str(encoder))
    elif language and language.keywords.get("encoder") not in (None, USE, MULTILINGUAL):
        raise InputError(  # a SavedModel is code: a run folder alone must not say which one runs
            f"{folder}: was trained with the sentence encoder {language.keywords['encoder']!r}; name "
            "its folder with --sentence-encoder DIR"
        )
    words, answers = _read_vocabulary(folder / VOCABULARY)
    usual = {"language": {"cache": features and Path(features) / "sentences"}}
    model = build_model(choices, words, answers, usual)
    _refuse_other_source(folder, model.vision, config["weights_source"], "--weights FILE")
    if hasattr(model.language, "encoder"):
        source = config["question_source"]
        _refuse_other_source(folder, model.language, source, "--sentence-encoder DIR")
    load_model(folder, model)
    if structure_of(model) != config["structure"]:
        what = "a piece of the model is not quite as it was trained"
        for slot, choice in choices.items():
            if choice and choice.record().get("code") != records[slot].get("code"):
                what += f", the code of {choice.made_by.__name__} has changed"
        log.warning("%s: %s; answers may be others than the run's", folder, what)
    return Answerer(model.to(device).eval(), answers, words, config, _about(run), device)


def _why_no_run(folder: Path) -> str:
    if below := find_runs(folder):
        return f"is no run itself; name one, such as {below[0].folder}"
    if folder.is_file():
        return "is a file, and a run is a folder; a question goes in quotes after the photograph"
    if not folder.is_dir():
        line = "holds no finished run, as there is no such folder; check the path"
        asked = folder.suffix.lower() in SUFFIXES
        return line + "; a question goes in quotes after the photograph" * asked
    if (folder / CONFIG).is_file():
        return "holds no finished run, one that was begun; train it to go on"
    return "holds no finished run; train one with `vqa train`"


def _checked_config(run: Run) -> dict:
    """The run's configuration, of which all that is read here is as it should be."""
    config, where = run.config, f"{run.folder}/{CONFIG}"
    for name, kind in _READ.items():
        if name not in config:
            raise InputError(f"{where}: lacks {name!r}; train the run again")
        if not isinstance(config[name], kind):
            raise InputError(f"{where}: {name!r} is not what a run has there; train the run again")
    if config["loss"] not in LOSSES:
        raise InputError(f"{where}: 'loss' is none of {', '.join(LOSSES)}; train the run again")
    return config


def _published(name: str, device: str) -> Answerer:
    """A published model as it is, with its own answers, or those of the package's model to rank."""
    recipe, (words, shipped) = find_preset(name), _read_vocabulary(SHIPPED / VOCABULARY)
    answers = AnswerVocabulary(own_answers(name) or shipped.answers)
    model = build_model(recipe.choices, words, answers, {})
    config = {"image_size_px": model.vision.size_px, "loss": recipe.training.loss}
    about = f"{name}, as it is published, with {len(answers):,} answers"
    return Answerer(model.to(device).eval(), answers, words, config, about, device)


def _about(run: Run) -> str:
    """A run in one line."""
    parts = [f"{run.name}, trained on {Path(run.config['dataset']).name}"]
    # A copy without its scores answers as well.
    with suppress(InputError, LookupError, TypeError, ValueError):
        split, scores = run.scored
        top1 = scores["top1"]
        parts.append(f"{split} top-1 {top1['value']:.1f} % [{top1['low']:.1f}, {top1['high']:.1f}]")
    return "; ".join([*parts, *map(str, run.config["stand_ins"])])


def _refuse_other_source(folder: Path, piece: nn.Module | None, known: str, option: str) -> None:
    """Refuse a frozen part that is not the one used in training."""
    found = getattr(piece, "source", known)
    if found == known:
        return
    if str(found).startswith("random") and str(known).startswith("random"):
        log.warning("%s: its vision weights are %s, and drawn here are %s", folder, known, found)
    elif getattr(piece, "trained", "none") == "none":
        line = f"was trained with {known}, which is not what is here ({found}); name the right one"
        raise InputError(f"{folder}: {line} with {option}")


def _read_vocabulary(path: Path) -> tuple[WordVocabulary, AnswerVocabulary]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        words = WordVocabulary(tuple(content["words"] or ()))
        return words, AnswerVocabulary(tuple(content["answers"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train the run again") from None
