"""What all finished runs on one dataset say together, as sentences: computed, so that other runs say
otherwise.

A sentence is left out where the runs cannot carry it. Knows run folders, no models.
"""

import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from vqa_helpers.errors import InputError
from vqa_helpers.report.compare import Answered, compare_answered, read_answered
from vqa_helpers.report.seeds import Model, find_models
from vqa_helpers.report.tables import best_blind, number, scored_split

log = logging.getLogger(__name__)

NAMES = {"vgg16": "VGG16", "resnet18": "ResNet18", "resnet50": "ResNet50",
         "Sentences": "sentence vectors", "Glove": "GloVe", "Words": "word embeddings",
         "BagOfWords": "a bag of words"}  # fmt: skip
LEARNT_BY_HEART = 5  # points that train may be above validation
NAMED = 4  # models that a sentence lists by name
TYPES_APART = 2  # points that two answer types must differ to be ranked in words


def findings(runs_root: Path, dataset: str) -> list[str]:
    """Sentences on the models of one dataset, names and figures in **bold**; [] without runs."""
    models = find_models(runs_root, dataset)
    if not models:
        return []
    scores = [_top1(model) for model in models]
    answered = [_read(model) for model in models]
    lines = [
        _best(models, scores, answered),
        _blind(models),
        _priors(models, scores),
        *_swaps(models, answered),
        _types(models),
        _memory(models),
        _stand_ins(models),
    ]
    return [line for line in lines if line]


def _top1(model: Model) -> float:
    return float(np.mean([scored_split(run.metrics)[1]["top1"]["value"] for run in model.runs]))


def _read(model: Model) -> Answered | None:
    try:
        return read_answered(model.runs)
    except InputError as error:
        log.info("%s is not compared question by question: %s", model, error)
        return None


def _pieces(model: Model) -> dict:
    return model.runs[0].config.get("pieces") or {}


def _sees(model: Model) -> bool:
    return _pieces(model).get("images") is not None


def _best(
    models: Sequence[Model], scores: Sequence[float], answered: Sequence[Answered | None]
) -> str:
    """The highest score, and how many others cannot be told from it."""
    top = int(np.argmax(scores))
    split, metrics = scored_split(models[top].runs[0].metrics)
    seeds = len(models[top].runs)
    mean = f", mean of {seeds} seeds" if seeds > 1 else ""
    said = (
        f"**{models[top]}** scores highest: **{scores[top]:.1f} %** of {metrics['questions']:,} "
        f"{split} questions{mean}, with a ceiling of {metrics['ceiling']['top1']:.1f} %."
    )
    if len(models) < 2 or answered[top] is None:
        return said
    verdicts = [
        compare_answered(answered[top], other).verdict
        for place, other in enumerate(answered)
        if place != top and other is not None and other.same_questions(answered[top])
    ]
    unclear = verdicts.count("cannot tell")
    if not verdicts:
        return said
    if not unclear:
        return f"{said} It is better than every other model, question by question."
    return (
        f"{said} Question by question, {unclear} of the {len(verdicts)} others cannot be "
        "told from it."
    )


def _blind(models: Sequence[Model]) -> str:
    """Verdicts against the best blind guess, as the runs were given them."""
    groups: dict[str, list[str]] = {}
    for model in models:
        for run in model.runs[:1]:
            against = scored_split(run.metrics)[1].get("against_blind")
            if against is not None:
                groups.setdefault(against["verdict"], []).append(str(model))
    total = sum(map(len, groups.values()))
    if not total:
        return ""
    parts = [
        f"**{len(groups.get('better', []))} of {total}** models are better than the best blind "
        "guess beyond doubt"
    ]
    if groups.get("cannot tell"):
        parts.append(f"{_listed(groups['cannot tell'])} cannot be told from it")
    if groups.get("worse"):
        verb = "is" if len(groups["worse"]) == 1 else "are"
        parts.append(f"{_listed(groups['worse'])} {verb} worse")
    return "; ".join(parts) + "."


def _priors(models: Sequence[Model], scores: Sequence[float]) -> str:
    """What never looks, as a part of the best that does."""
    seeing = [score for model, score in zip(models, scores, strict=True) if _sees(model)]
    blind = [best_blind(scored_split(model.runs[0].metrics)[1]) for model in models]
    lines = [guess[1] for guess in blind if guess]
    lines += [score for model, score in zip(models, scores, strict=True) if not _sees(model)]
    if not seeing or not lines or max(seeing) <= 0:
        return ""
    never, best = max(lines), max(seeing)
    if never >= best:
        return (
            f"The best that never looks reaches **{never:.1f} %**, no model that looks does better "
            f"({best:.1f} %): here the image is worth nothing."
        )
    return (
        f"The best that never looks reaches **{never:.1f} %**: {100 * never / best:.0f} % of what "
        f"the best model gets. Looking adds **{best - never:.1f} points**."
    )


def _swaps(models: Sequence[Model], answered: Sequence[Answered | None]) -> list[str]:
    """One piece changed and the other three kept: how often that can be told, for each change."""
    lines = []
    for place, noun in (("images", "network"), ("questions", "language")):
        tally: dict[tuple[str, str, str], dict[str, int]] = {}
        for i, j in combinations(range(len(models)), 2):
            names = _changed(models[i], models[j], place)
            one, other = answered[i], answered[j]
            if names is None or one is None or other is None or not one.same_questions(other):
                continue
            if names[0] > names[1]:
                names, one, other = names[::-1], other, one
            verdict = compare_answered(one, other).verdict
            what = (
                noun if _training(models[i]) == _training(models[j]) else f"{noun} (and schedule)"
            )
            counts = tally.setdefault((what, *names), {})
            counts[verdict] = counts.get(verdict, 0) + 1
        lines += [_swap(*changed, counts) for changed, counts in tally.items()]
    return lines


def _changed(a: Model, b: Model, place: str) -> tuple[str, str] | None:
    """The names of the pieces in `place` where they are all that two models differ in."""
    ours, theirs = _pieces(a), _pieces(b)
    if not ours or not theirs or a.settings or b.settings:
        return None
    if any(ours[name] != theirs[name] for name in ours if name != place):
        return None
    names = [_name(pieces[place]) for pieces in (ours, theirs)]
    if None in names or names[0] == names[1]:
        return None
    return names[0], names[1]


def _training(model: Model) -> tuple:
    config = model.runs[0].config
    return config.get("training"), config.get("epochs")


def _name(piece: dict | None) -> str | None:
    if piece is None:
        return None
    known = piece.get("encoder", piece["piece"])
    return NAMES.get(known, known)


def _swap(noun: str, first: str, second: str, counts: dict[str, int]) -> str:
    pairs = sum(counts.values())
    better, worse = counts.get("better", 0), counts.get("worse", 0)
    said = f"Only the {noun} changed, **{first}** against **{second}**: "
    if not better and not worse:
        many = "the one pair" if pairs == 1 else f"any of {pairs} pairs"
        return f"{said}no difference can be told in {many}."
    parts = [
        f"{count} {'is' if count == 1 else 'are'} better with {name}"
        for name, count in ((first, better), (second, worse))
        if count
    ]
    unclear = counts.get("cannot tell", 0)
    if unclear:
        parts.append(f"{unclear} cannot be told")
    return f"{said}of {pairs} pair{'s' if pairs > 1 else ''}, {', '.join(parts)}."


def _types(models: Sequence[Model]) -> str:
    """The hardest and the easiest answer type, on average over the models that see."""
    seeing = [model for model in models if _sees(model)]
    found: dict[str, list[float]] = {}
    for model in seeing:
        for run in model.runs:
            for kind, row in scored_split(run.metrics)[1]["per_answer_type"].items():
                if row["questions"]:
                    found.setdefault(kind, []).append(number(row["top1"]))
    means = {kind: float(np.mean(values)) for kind, values in found.items()}
    if len(means) < 2:
        return ""
    easy, hard = max(means, key=means.get), min(means, key=means.get)
    if means[easy] - means[hard] < TYPES_APART:
        return ""
    return (
        f"Hardest are the **{hard}** questions ({means[hard]:.1f} % on average of the models that "
        f"see), easiest the **{easy}** ones ({means[easy]:.1f} %)."
    )


def _memory(models: Sequence[Model]) -> str:
    """How far train is above validation at the chosen epoch, on average."""
    gaps = []
    for model in models:
        for run in model.runs:
            history = run.history
            if history["validation_top1"].notna().any():
                chosen = history.loc[history["validation_top1"].idxmax()]
                gaps.append(chosen["train_top1"] - chosen["validation_top1"])
    if not gaps or np.mean(gaps) <= LEARNT_BY_HEART:
        return ""
    return (
        f"In the epoch that validation chose, models answered **{np.mean(gaps):.0f} points** more "
        "of the train questions, while they learnt them, than of those they never saw: part of it "
        "is learnt by heart."
    )


def _stand_ins(models: Sequence[Model]) -> str:
    replaced = [model for model in models if model.runs[0].config.get("stand_ins")]
    if not replaced:
        return ""
    who = "All" if len(replaced) == len(models) else f"{len(replaced)} of {len(models)}"
    kinds = sorted({name for model in replaced for name in model.runs[0].config["stand_ins"]})
    return (
        f"{who} models were trained with stand-ins ({'; '.join(kinds)}): their figures say nothing "
        "about the real pieces."
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) > NAMED:
        return f"{len(names)} others"
    bold = [f"**{name}**" for name in names]
    return bold[0] if len(bold) == 1 else f"{', '.join(bold[:-1])} and {bold[-1]}"
