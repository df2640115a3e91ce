"""What a run's own numbers say, as sentences: computed, so that another run says otherwise."""

from vqa_helpers.report.tables import best_blind, number, scored_split
from vqa_helpers.runs import Run

SAMPLE_TYPES = 2  # answer types need to differ by this many points to be told apart in words


def conclude(run: Run) -> str:
    """The findings of a run as a Markdown list."""
    split, scores = scored_split(run.metrics)
    top1 = scores["top1"]
    lines = [
        f"On {scores['questions']:,} {split} questions about {scores['images']:,} images "
        f"**{top1['value']:.1f} %** of the first answers are right (95 % interval "
        f"{top1['low']:.1f} to {top1['high']:.1f}); the vocabulary's ceiling is "
        f"{scores['ceiling']['top1']:.1f} %.",
        _against_blind(scores),
        _chosen_epoch(run),
        _answer_types(scores),
        _calibration(scores),
    ]
    if scores["vqa"] is not None:
        vqa = scores["vqa"]
        lines.insert(
            1,
            f"The VQA accuracy is {vqa['value']:.1f} % ({vqa['low']:.1f} to {vqa['high']:.1f}, "
            f"official normaliser {scores['vqa_normaliser']}).",
        )
    else:
        lines.append("The VQA accuracy is not defined here: it needs ten answers a question.")
    if run.config.get("split_rule") == "study":
        lines.append(
            "The splits were cut by row, as the study's were: photographs stand on both sides, so "
            "the score is partly memory and must not be compared with the others."
        )
    if run.config["stand_ins"]:
        lines.append(
            f"Stand-ins took part: {', '.join(run.config['stand_ins'])}. These figures say "
            "nothing about the real pieces."
        )
    return "\n".join(f"* {line}" for line in lines if line)


def _against_blind(scores: dict) -> str:
    blind = best_blind(scores)
    if blind is None:
        return ""
    name, value = blind
    against = scores.get("against_blind")
    if against is None:  # a run of an old version
        return f'The best blind guess, "{name}", reaches {value:.1f} % without an image.'
    gain = against["difference"]
    interval = f"95 % interval {gain['low']:+.1f} to {gain['high']:+.1f}, question by question"
    said = {
        "better": f"better than the best blind guess by **{gain['value']:.1f} points**",
        "worse": f"worse than the best blind guess by **{-gain['value']:.1f} points**",
        "cannot tell": f"not to be told from the best blind guess ({gain['value']:+.1f} points)",
    }[against["verdict"]]
    return f'The model is {said}; {interval}. "{name}" reaches {value:.1f} % without an image.'


def _calibration(scores: dict) -> str:
    calibration = scores.get("calibration")
    if calibration is None:
        return ""
    filled = [row for row in calibration["bins"] if row["questions"]]
    too_sure = sum(row["questions"] * (row["confidence"] - row["accuracy"]) for row in filled)
    how = "too sure of itself" if too_sure > 0 else "too modest"
    return (
        f"The probability it gives its first answer is off by {calibration['ece']:.1f} points on "
        f"average (expected calibration error); on the whole it is {how}."
    )


def _chosen_epoch(run: Run) -> str:
    history = run.history
    chosen = history.loc[history["validation_top1"].idxmax()]
    gap = chosen["train_top1"] - chosen["validation_top1"]
    last = int(chosen["epoch"]) == int(history["epoch"].max())
    when = "the last one: more epochs may help" if last else f"of {int(history['epoch'].max())}"
    memory = (
        f"the train score is {gap:.1f} points above it, so the model has begun to learn by heart"
        if gap > 5
        else f"the train score is {abs(gap):.1f} points {'above' if gap >= 0 else 'below'} it"
    )
    return (
        f"Validation chose epoch {int(chosen['epoch'])} ({when}) at "
        f"{chosen['validation_top1']:.1f} %; {memory}."
    )


def _answer_types(scores: dict) -> str:
    types = {
        kind: number(row["top1"])
        for kind, row in scores["per_answer_type"].items()
        if row["questions"]
    }
    if len(types) < 2:
        return ""
    easiest, hardest = max(types, key=types.get), min(types, key=types.get)
    if types[easiest] - types[hardest] < SAMPLE_TYPES:
        return "The answer types are equally hard."
    return (
        f"Easiest are the {easiest} questions ({types[easiest]:.1f} %), hardest the {hardest} ones "
        f"({types[hardest]:.1f} %)."
    )
