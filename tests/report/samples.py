"""Small builders of what the report reads: metrics, histories, predictions, run folders."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from vqa_helpers import runs
from vqa_helpers.data.folder import Dataset, open_dataset
from vqa_helpers.evaluation.analysis import judge
from vqa_helpers.files import write_json
from vqa_helpers.report.answers import AnswersPage
from vqa_helpers.report.tables import RESULT_COLUMNS


def score(value: float, half: float = 2.0) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def scores(top1: float = 58.4, vqa: float | None = None) -> dict[str, Any]:
    """Scores of a split."""

    def known(value: Any) -> Any:
        return None if vqa is None else value

    def part(questions: int, value: float) -> dict[str, Any]:
        top5 = min(100.0, value + 25)
        return {"questions": questions, "top1": value, "top5": top5, "vqa": known(value + 4)}

    types = {"other": (180, top1 - 8), "number": (90, top1 - 22), "yes/no": (110, top1 + 18)}
    kinds = {"what color": (120, 80), "how many": (90, 65)}
    blind = {"most frequent answer": (21.0, 23.0), "most frequent per question": (41.0, 44.0)}
    return {
        "questions": 380, "images": 127, "top1": score(top1), "top5": score(91.2),
        "vqa": None if vqa is None else score(vqa), "vqa_normaliser": "2021",
        "per_answer_type": {name: part(*numbers) for name, numbers in types.items()},
        "per_question_type": {name: part(*numbers) for name, numbers in kinds.items()},
        "ceiling": {"top1": 98.1, "vqa": known(96.0)},
        "baselines": {name: {"top1": one, "vqa": known(two)} for name, (one, two) in blind.items()},
    }  # fmt: skip


def metrics(
    top1: float = 58.4, vqa: float | None = None, test: bool = True, **more: Any
) -> dict[str, Any]:
    """Scores of validation, and of test with `more` among them."""
    made = {"validation": scores(top1 + 1.5, vqa)}
    return made | {"test": scores(top1, vqa) | more} if test else made


def history_rows(epochs: int = 12) -> list[dict[str, Any]]:
    """A run that learns, then overfits: validation is best at two thirds."""
    best = max(1, round(epochs * 2 / 3))
    return [
        {
            "epoch": n, "train_loss": 3.2 * 0.88**n, "train_top1": 85 * (1 - 0.8**n),
            "validation_loss": 3.0 * 0.93 ** min(n, best) + 0.03 * max(0, n - best),
            "validation_top1": 60 * (1 - 0.75 ** min(n, best)) - 0.4 * max(0, n - best),
            "validation_vqa": None, "learning_rate": 1e-3 * 0.95**n,
        }
        for n in range(1, epochs + 1)
    ]  # fmt: skip


def prediction(number: int, answers: list[str], truth: str, **changes: Any) -> dict[str, Any]:
    """What was answered to a test question, which is about an image of its own."""
    row = {"split": "test", "question_id": number, "image_id": number, "answers": answers,
           "probabilities": [0.5, 0.1], "truth": truth, "vqa": None, "blind": "1"}  # fmt: skip
    return row | changes


def prediction_rows(count: int = 12) -> list[dict[str, Any]]:
    """Hits, truths in the top five and misses in turn; question ids 1, 2, 3, …"""
    answers = ["red", "blue", "two", "yes", "a large wooden cutting board"]
    sure, truths = [0.52, 0.24, 0.11, 0.02, 0.001], ["red", "two", "giraffe"]
    return [
        prediction(n + 1, answers, truths[n % 3], image_id=n // 3, probabilities=sure)
        for n in range(count)
    ]


def questions(count: int = 12) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "question_id": range(1, count + 1),
            "image_id": [number // 3 for number in range(count)],
            "question": [f"What color is object {n} left of the $5 note?" for n in range(count)],
            "question_type": "what color",
            "answer_type": ["other", "number", "yes/no"] * (count // 3) + ["other"] * (count % 3),
            "answer": [row["truth"] for row in prediction_rows(count)],
        }
    )


def dataset(folder: Path, images: dict[int, Path] | None = None) -> Dataset:
    """What `prediction_rows` answer, in every split."""
    splits = {name: questions() for name in ("train", "validation", "test")}
    return Dataset("demo", folder, splits, images or {}, "demo", 0)


def judged(*rows: tuple, vqa: list[float] | None = None) -> pd.DataFrame:
    """A judged table of rows (question, truth, answers, probabilities), an image each."""
    columns = ["question", "answer", "answers", "probabilities"]
    table = pd.DataFrame([row[:4] for row in rows], columns=columns)
    table["question_id"] = table["image_id"] = range(1, len(rows) + 1)
    table = table.assign(question_type="what", answer_type="other", truth=table["answer"], vqa=vqa)
    return judge(table, table)


def texts(figure: Figure) -> list[str]:
    """Every text of the figure once drawn: drawing is what a bad formula breaks."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def write_run(
    root: Path, preset: str = "GUSE_VGG", seed: int = 0, dataset: str = "demo", **changes: Any
) -> Path:
    """A finished run folder. `changes` replace `metrics`, `predictions`, or entries of config and
    timing."""
    folder = runs.run_folder(root, dataset, preset, seed)
    config = {
        "preset": preset, "source": "reference study", "dataset": dataset, "seed": seed,
        "epochs": 12, "schedule": "small", "weights": "random", "image_size_px": 64,
        "stand_ins": ["random-weight vision", "hashed n-gram sentences"], "model": {},
        "parameters": 1234, "split_rule": "by-image",
    }  # fmt: skip
    timing = {"features_s": None, "train_s": 45.25, "evaluate_s": 1.5, "samples_per_s": 290.4}
    for part in (config, timing):
        part.update({name: changes[name] for name in part if name in changes})
    write_json(folder / runs.CONFIG, config)
    write_json(folder / runs.TIMING, timing)
    write_json(folder / runs.METRICS, changes.get("metrics", metrics()))
    write_json(folder / runs.ENVIRONMENT, {"python": "3.11"})
    runs.write_history(folder / runs.HISTORY, history_rows())
    rows = changes.get("predictions", prediction_rows())
    runs.write_predictions(folder / runs.PREDICTIONS, rows)
    runs.mark_done(folder)
    return folder


IMAGES = 100  # that `answered_rows` asks about


def answered_rows(share: float, seed: int = 0, split: str = "test", vqa: bool = True) -> list[dict]:
    """300 questions about 100 images, `share` of them right; the guesser is right on a third."""
    right = np.random.default_rng(seed).random(3 * IMAGES) < share
    return [
        prediction(
            n + 1, ["yes" if hit else "no", "maybe"], "yes", split=split, image_id=n // 3,
            vqa=(0.9 if hit else 0.3) if vqa else None, blind="yes" if n % 3 == 0 else "2",
        )
        for n, hit in enumerate(right)
    ]  # fmt: skip


def share_right(rows: list[dict]) -> float:
    """How many of `answered_rows` are right, 0 to 1."""
    return float(np.mean([row["answers"][0] == "yes" for row in rows]))


def right_rows(folder: Path) -> list[dict]:
    """The right answer to each test question of a dataset folder, and four others."""
    sure = [0.9, 0.04, 0, 0, 0]
    return [
        prediction(row.question_id, [row.answer, "b", "c", "d", "e"], row.answer,
                   image_id=row.image_id, probabilities=sure, vqa=1.0)
        for row in open_dataset(folder).splits["test"].itertuples()
    ]  # fmt: skip


# Everything that a page must show and not do, and what is too long for a line.
SHOUT = "</script><script>window.ran = 'text'</script><img src=x onerror=\"window.ran='img'\"> $1"
LONG = "x" * 300
NO_RUNS = pd.DataFrame(columns=list(RESULT_COLUMNS))


def answers_page(count: int) -> AnswersPage:
    """Answers by turns right, second and wrong; every other is a number; the last is hostile."""
    turns = np.arange(count)
    texts = [f"how many wheels has bus {n}?" for n in range(count - 1)] + [SHOUT]
    rows = pd.DataFrame({
        "question": texts, "image_id": turns, "truth": "two", "blind": "yes",
        "answers": [["two", "three"]] * (count - 1) + [[SHOUT, LONG]],
        "probabilities": [[0.9, 0.004]] * count,
        "outcome": np.array(["hit", "top five", "miss"])[turns % 3],
        "answer_type": np.array(["number", "other"])[turns % 2],
    })  # fmt: skip
    return AnswersPage("answers-1.html", SHOUT, "demo", 0, "test", rows, count, True)
