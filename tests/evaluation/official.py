"""The official accuracy as the published code computes it, annotator by annotator; files to score."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from tests.builders import write_json
from vqa_helpers.data.text import clean_white_space, normalise, strip_punctuation


def vqa_score(prediction: str, answers: list[str], normaliser: str = "2021") -> float:
    """What the tests hold the package's closed form against."""
    prediction = clean_white_space(prediction)
    if normaliser == "2021":
        answers = [clean_white_space(answer) for answer in answers]
    if len(set(answers)) > 1:
        step = normalise if normaliser == "2021" else strip_punctuation
        answers = [step(answer) for answer in answers]
        prediction = normalise(prediction)
    elif normaliser == "2015":
        prediction = normalise(prediction)
    scores = []
    for left_out in range(len(answers)):
        others = answers[:left_out] + answers[left_out + 1 :]
        scores.append(min(1, sum(other == prediction for other in others) / 3))
    return sum(scores) / len(scores)


def table(*rows: tuple, answers: int = 10) -> pd.DataFrame:
    """An answered split of rows (question, answer, image, question type), where so many people gave
    each answer; image and type may be left out."""
    rows = [(*row, *(0, "t")[len(row) - 2 :]) for row in rows]
    made = pd.DataFrame(rows, columns=["question", "answer", "image_id", "question_type"])
    given = [(answer,) * answers for answer in made["answer"]]
    return made.assign(question_id=range(len(made)), answers=pd.Series(given, dtype=object))


def write_split(folder: Path, rows: Iterable[tuple]) -> tuple[Path, Path]:
    """Write the questions and annotations of rows (question id, question type, answer type, target,
    answers), all about one image."""
    questions, annotations = [], []
    for id_, question_type, answer_type, target, answers in rows:
        ids = {"question_id": id_, "image_id": 1}
        questions.append(ids | {"question": "q?"})
        types = {"question_type": question_type, "answer_type": answer_type}
        given = [{"answer": answer} for answer in answers]
        annotations.append(ids | types | {"multiple_choice_answer": target, "answers": given})
    return (
        write_json(folder / "q.json", {"questions": questions}),
        write_json(folder / "a.json", {"annotations": annotations}),
    )
