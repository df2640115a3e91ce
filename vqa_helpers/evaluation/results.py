"""Scores a results JSON against annotations, as the evaluation server does."""

from pathlib import Path

from vqa_helpers.data.formats import read_annotations, read_questions, read_results
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.metrics import Normaliser, by, percent, vqa_scores


def evaluate_results(
    questions: Path, annotations: Path, results: Path, normaliser: Normaliser = "2021"
) -> dict:
    """The official report: accuracy overall, per answer type and per question type, percent.

    Where a question has fewer than ten answers the VQA accuracy is not defined: those three are
    None, and `top1` (the answer is the target, word for word) is all there is.

    Raises:
        InputError: for a malformed file, a question without a result or a result without its
            question.
    """
    table = read_annotations(annotations, read_questions(questions))
    given = read_results(results).set_index("question_id")["answer"]
    without = table.loc[~table["question_id"].isin(given.index), "question_id"]
    if len(without):
        raise InputError(
            f"{results}: has no answer to question {without.iloc[0]} ({len(without)} are missing); "
            "every question needs one"
        )
    unasked = given.index[~given.index.isin(table["question_id"])]
    if len(unasked):
        raise InputError(
            f"{results}: answers question {unasked[0]}, which {questions} does not ask; are they "
            "of one split?"
        )
    answers = given.loc[table["question_id"]].to_numpy()
    scores = vqa_scores(answers, table, normaliser)
    defined = scores is not None
    return {
        "overall": percent(scores) if defined else None,
        "per_answer_type": by(scores, table["answer_type"]) if defined else None,
        "per_question_type": by(scores, table["question_type"]) if defined else None,
        "top1": percent(answers == table["answer"].to_numpy()),
        "questions": len(table),
        "normaliser": normaliser,
    }
